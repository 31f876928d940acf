import type { CandidateSource, Explainer, Inspectable, Scorer } from '@recloom/plugin-api';
import {
  candidateBatch,
  createTestHost,
  historyFrom,
  openComponent,
  requestBatch,
  requestView,
  type TestEvent,
  type TestUserEvent,
  tableFrom,
} from '@recloom/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { again } from './index.js';

type Again = CandidateSource & Scorer & Explainer & Inspectable;
const day = 86_400_000;

function shopOf(events: readonly TestUserEvent[], items: number, users?: number) {
  const history = historyFrom(events, { itemCount: items, ...(users === undefined ? {} : { userCount: users }) });
  return {
    items: tableFrom(Array.from({ length: items }, (_, row) => `i${row}`)),
    users: tableFrom(Array.from({ length: history.userCount }, (_, row) => `u${row}`)),
    history,
  };
}

/** Purchases of one item on these days. */
const on = (item: number, days: readonly number[]): TestEvent[] => days.map((at) => ({ item, timeMs: at * day }));
const by = (user: number, events: readonly TestEvent[]): TestUserEvent[] => events.map((event) => ({ ...event, user }));

async function chances(component: Again, history: readonly TestEvent[], atDay: number, items: number): Promise<number[]> {
  const out = new Float32Array(items).fill(Number.NaN);
  const request = requestView({ userRow: 0, history, asOfMs: atDay * day });
  await component.score(candidateBatch({ rows: [[...out.keys()]], requests: [request] }), out, new AbortController().signal);
  return [...out];
}

// Two people, day 100 is the last: item 0 on days 0, 40 and 100 by user 0 and on day 20 by user 1; item 1 on day 60 by user 0.
const small = shopOf([...by(0, [...on(0, [0, 40, 100]), ...on(1, [60])]), ...by(1, on(0, [20]))], 2);

describe('repeat/again by hand', () => {
  // itemRecencyDays 1e9 (no decay), every smoothing 1, timing 0:
  // exposure: item 0: 100 + 80 days, item 1: 40; repeat purchases 2 and 0; catalogue 2 / 220.
  // r0 = (2 + 1) / (180 + 110) = 3 / 290, r1 = 1 / 150.
  const options = { itemRecencyDays: 1e9, itemSmoothing: 1, userSmoothing: 1, pairSmoothing: 1, timing: 0, horizonDays: 30 };

  it('gives the chance of the gamma posterior', async () => {
    const component = await openComponent<Again>(again, { shop: small, options });
    // User 0 on day 100: expected 100 r0 + 40 r1, 2 repeats; factor f = 3 / (expected + 1).
    const [r0, r1] = [3 / 290, 1 / 150];
    const f = 3 / (100 * r0 + 40 * r1 + 1);
    const rate = (r: number, repeats: number, days: number) => (r * f * (repeats + 1)) / (r * f * days + 1);
    const expected = [1 - Math.exp(-30 * rate(r0, 2, 100)), 1 - Math.exp(-30 * rate(r1, 0, 40))];
    const found = await chances(component, [...on(0, [0, 40, 100]), ...on(1, [60])], 100, 3);
    expected.forEach((chance, item) => expect(found[item]).toBeCloseTo(chance, 6));
    // Never bought, and not in the catalogue of the fit.
    expect(found[2]).toBe(0);
    const proposals = await component.propose(
      requestBatch([requestView({ history: [...on(0, [0, 40, 100]), ...on(1, [60])], asOfMs: 100 * day })]),
      10,
    );
    expect([...proposals.rows]).toEqual([0, 1]);
    expect([...proposals.scores]).toEqual(found.slice(0, 2));
  });

  it('decays repeat purchases and exposure alike', async () => {
    const component = await openComponent<Again>(again, { shop: small, options: { ...options, itemRecencyDays: 50 } });
    const decayed = (days: number) => 50 * (1 - Math.exp(-days / 50));
    const repeats = Math.exp(-60 / 50) + 1;
    const exposure = [decayed(100) + decayed(80), decayed(40)] as const;
    const catalogue = repeats / (exposure[0] + exposure[1]);
    const yearly = (item: number) => component.inspectItem(item)['repeatPurchasesPerOwnerAndYear'] as number;
    expect(yearly(0) / 365).toBeCloseTo((repeats + 1) / (exposure[0] + 1 / catalogue), 7);
    expect(yearly(1) / 365).toBeCloseTo(1 / (exposure[1] + 1 / catalogue), 7);
  });

  it('learns the usual gap, shrunk to the catalogue', async () => {
    const component = await openComponent<Again>(again, { shop: small, options });
    // ln 40 and ln 60, all of item 0: its own mean is the catalogue's.
    expect(component.inspectItem(0)['usualGapDays']).toBeCloseTo(Math.sqrt(40 * 60), 4);
  });

  it('takes purchases close together for one', async () => {
    const lines = [...on(0, [0, 0.2, 40, 40.4, 100]), ...on(1, [60])];
    const merged = await openComponent<Again>(again, { shop: small, options });
    expect(await chances(merged, lines, 100, 2)).toEqual(await chances(merged, [...on(0, [0, 40, 100]), ...on(1, [60])], 100, 2));
    const apart = await openComponent<Again>(again, { shop: small, options: { ...options, mergeHours: 0 } });
    expect((await chances(apart, lines, 100, 2))[0]).toBeGreaterThan((await chances(merged, lines, 100, 2))[0] as number);
  });
});

/** A grocer: everybody buys item 0 every 28 ± 2 days and item 1 at random, as often. */
function grocer() {
  const events: TestUserEvent[] = [];
  let state = 7;
  const uniform = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x7fffffff;
  };
  for (let user = 0; user < 150; user++) {
    for (let at = uniform() * 28; at < 400; at += 26 + 4 * uniform()) events.push(...by(user, on(0, [at])));
    for (let at = uniform() * 28; at < 400; at += 0.6 - 28 * Math.log(1 - uniform())) events.push(...by(user, on(1, [at])));
  }
  return shopOf(events, 2);
}

/** A gift shop: people come at random and buy at random. */
function giftShop() {
  const events: TestUserEvent[] = [];
  let state = 11;
  const uniform = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x7fffffff;
  };
  for (let user = 0; user < 200; user++) {
    const eager = 0.2 + 2 * uniform();
    for (let item = 0; item < 6; item++) {
      for (let at = (-60 * Math.log(1 - uniform())) / eager; at < 400; at += 0.6 - (60 / eager) * Math.log(1 - uniform())) {
        events.push(...by(user, on(item, [at])));
      }
    }
  }
  return shopOf(events, 6);
}

describe('repeat/again and time', () => {
  it('learns that time tells where it does', async () => {
    const component = await openComponent<Again>(again, { shop: grocer(), options: { horizonDays: 7 } });
    expect(component.inspectItem(0)['timing']).toBeGreaterThan(0);
    const history = (last: number) => on(0, [last - 84, last - 56, last - 28, last]);
    const chanceAfter = async (days: number) => (await chances(component, history(400 - days), 400, 1))[0] as number;
    // Just bought, half a gap ago, due.
    expect(await chanceAfter(1)).toBeLessThan(0.5 * (await chanceAfter(25)));
    expect(await chanceAfter(12)).toBeLessThan(await chanceAfter(25));
  });

  it('learns next to nothing from it where people buy at random, and follows the option when told', async () => {
    const component = await openComponent<Again>(again, { shop: giftShop(), options: {} });
    const chanceAfter = async (days: number) => (await chances(component, on(0, [320, 400 - days]), 400, 1))[0] as number;
    expect((await chanceAfter(5)) / (await chanceAfter(35))).toBeGreaterThan(0.8);
    expect((await chanceAfter(5)) / (await chanceAfter(35))).toBeLessThan(1.25);
    const told = await openComponent<Again>(again, { shop: giftShop(), options: { timing: 0.5 } });
    expect(told.inspectItem(0)['timing']).toBe(0.5);
  });

  it('is calibrated: over all people, as many are expected as come', async () => {
    const shop = giftShop();
    const { history } = shop;
    const cut = 370 * day;
    // Fitted to what lies before the cut, asked for the 30 days after it.
    const events: TestUserEvent[] = [];
    const before: TestEvent[][] = [];
    let happened = 0;
    for (let user = 0; user < history.userCount; user++) {
      const own: TestEvent[] = [];
      const known = new Set<number>();
      const later = new Set<number>();
      for (let event = history.offsets[user] as number; event < (history.offsets[user + 1] as number); event++) {
        const item = history.items[event] as number;
        const timeMs = history.timesMs[event] as number;
        if (timeMs < cut) {
          own.push({ item, timeMs });
          known.add(item);
        } else if (known.has(item)) later.add(item);
      }
      happened += later.size;
      before.push(own);
      events.push(...by(user, own));
    }
    const component = await openComponent<Again>(again, { shop: shopOf(events, 6), options: { itemRecencyDays: 100 } });
    let expected = 0;
    for (const own of before) for (const chance of await chances(component, own, 370, 6)) expected += chance;
    expect(happened).toBeGreaterThan(300);
    expect(expected / happened).toBeGreaterThan(0.85);
    expect(expected / happened).toBeLessThan(1.15);
  });
});

describe('repeat/again', () => {
  const regular = [...on(0, [0, 34, 68, 102]), ...on(1, [60]), ...on(2, [30, 90])];
  const shop = shopOf([...by(0, regular), ...by(1, [...on(0, [10, 50, 90]), ...on(1, [5])])], 4);

  it('prefers what the person buys more often', async () => {
    const component = await openComponent<Again>(again, { shop });
    const found = await chances(component, regular, 110, 4);
    expect(found[0]).toBeGreaterThan(found[2] as number);
    expect(found[2]).toBeGreaterThan(found[1] as number);
    expect(found[3]).toBe(0);
  });

  it('says how often and how long ago', async () => {
    const component = await openComponent<Again>(again, { shop });
    const request = requestView({ history: regular, asOfMs: 133 * day });
    const [often, once, twice, never] = component.reasons(request, Int32Array.of(0, 1, 2, 3));
    expect(often).toMatchObject({
      code: 'buys-regularly',
      text: 'You buy this about every {gapDays} days; the last time was {sinceDays} days ago',
      values: { gapDays: 34, sinceDays: 31, times: 4 },
      items: [0],
    });
    expect(once).toMatchObject({ code: 'bought-before', text: 'You bought this {sinceDays} days ago', values: { sinceDays: 73 } });
    expect(twice).toMatchObject({ code: 'bought-twice', values: { sinceDays: 43, gapDays: 60 } });
    expect(never).toBeUndefined();
    const [now] = component.reasons(requestView({ history: regular, asOfMs: 102.2 * day }), Int32Array.of(0));
    expect(now?.text).toBe('You buy this about every {gapDays} days; the last time was less than a day ago');
    const [next] = component.reasons(requestView({ history: on(3, [1]), asOfMs: 2 * day }), Int32Array.of(3));
    expect(next?.text).toBe('You bought this a day ago');
  });

  it('counts purchases only, where the data tell them apart', async () => {
    const mixed = [
      ...by(0, [...on(0, [0, 30, 60]), { item: 1, type: 'view', timeMs: 10 * day }, { item: 1, type: 'view', timeMs: 50 * day }]),
    ];
    const history = mixed.map(({ user: _user, ...event }) => event);
    const component = await openComponent<Again>(again, { shop: shopOf(mixed, 2) });
    expect((await chances(component, history, 70, 2))[1]).toBe(0);
    const views = await openComponent<Again>(again, { shop: shopOf(mixed, 2), options: { eventTypes: ['view'] } });
    const found = await chances(views, history, 70, 2);
    expect(found[0]).toBe(0);
    expect(found[1]).toBeGreaterThan(0);
  });

  it('passes over what is named, ineligible or too unlikely', async () => {
    const component = await openComponent<Again>(again, { shop });
    const rowsOf = async (instance: Again, parts: object, eligible?: Uint8Array) => [
      ...(await instance.propose(requestBatch([requestView({ history: regular, asOfMs: 110 * day, ...parts })], { eligible }), 2)).rows,
    ];
    expect(await rowsOf(component, {})).toEqual([0, 2]);
    expect(await rowsOf(component, { items: [0] })).toEqual([2, 1]);
    expect(await rowsOf(component, {}, Uint8Array.of(1, 1, 0, 1))).toEqual([0, 1]);
    const strict = await openComponent<Again>(again, { shop, options: { minimumProbability: 0.99 } });
    expect(await rowsOf(strict, {})).toEqual([]);
  });

  it('gives chances that grow with the horizon', async () => {
    const options = [1, 10, 100].map((horizonDays) => ({ horizonDays, timing: 1 }));
    const found = await Promise.all(
      options.map(
        async (option) => (await chances(await openComponent<Again>(again, { shop, options: option }), regular, 110, 1))[0] as number,
      ),
    );
    expect(found[0]).toBeLessThan(found[1] as number);
    expect(found[1]).toBeLessThan(found[2] as number);
  });

  it('gives a chance to any purchases whatever', async () => {
    const event = fc.record({
      user: fc.integer({ min: 0, max: 4 }),
      item: fc.integer({ min: 0, max: 3 }),
      timeMs: fc.oneof(fc.integer({ min: -1e6, max: 1e6 }), fc.integer({ min: 0, max: 400 * day }), fc.constant(8.64e15)),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 40 }), fc.array(event, { maxLength: 20 }), async (events, own) => {
        const component = await openComponent<Again>(again, { shop: shopOf(events, 4, 5) });
        for (const chance of await chances(component, own, 400, 6)) {
          expect(chance).toBeGreaterThanOrEqual(0);
          expect(chance).toBeLessThanOrEqual(1);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('keeps nothing of people, and the same bytes', async () => {
    const host = createTestHost();
    const state = await host.fit(again, { shop });
    expect(Object.entries(state).map(([name, { data }]) => [name, data.length])).toEqual([
      ['itemRates', 4],
      ['itemLogGaps', 4],
      ['curve', 16],
      ['catalogue', 3],
    ]);
    expect(await host.fit(again)).toEqual(await host.fit(again));
  });
});

describe('repeat/again on bad input', () => {
  async function fitted(events: readonly TestUserEvent[], items: number, options: object = {}) {
    const host = createTestHost();
    const component = await host.open<Again>(again, { shop: shopOf(events, items), options });
    return { component, warnings: host.warnings };
  }

  it('proposes nothing and says so when nobody bought anything twice', async () => {
    for (const events of [[], by(0, on(0, [1])), [...by(0, on(0, [1, 1.1])), ...by(1, on(1, [3]))]]) {
      const { component, warnings } = await fitted(events, 2);
      expect(warnings).toMatchObject([{ code: 'REPEAT_NOTHING_AGAIN' }]);
      expect((await component.propose(requestBatch([requestView({ history: on(0, [1]), asOfMs: 9 * day })]), 5)).rows.length).toBe(0);
    }
  });

  it('warns of a type that is none', async () => {
    const { warnings } = await fitted(by(0, on(0, [1, 5])), 1, { eventTypes: ['purchase', 'lent'] });
    expect(warnings).toMatchObject([{ code: 'REPEAT_EVENT_TYPE_UNKNOWN' }]);
  });

  it('orders by row when all are alike', async () => {
    const events = [0, 1, 2].flatMap((user) => [0, 1, 2, 3].flatMap((item) => by(user, on(item, [0, 20, 40]))));
    const { component } = await fitted(events, 4);
    const history = [3, 1, 0, 2].flatMap((item) => on(item, [0, 20, 40]));
    const proposals = await component.propose(requestBatch([requestView({ history, asOfMs: 45 * day })]), 10);
    expect([...proposals.rows]).toEqual([0, 1, 2, 3]);
    expect(new Set(proposals.scores).size).toBe(1);
  });

  it('takes duplicated events for one purchase', async () => {
    const events = [...by(0, on(0, [0, 20, 40])), ...by(1, on(1, [0, 30]))];
    const once = (await fitted(events, 2)).component;
    const often = (await fitted([...events, ...events, ...events], 2)).component;
    const history = [...on(0, [0, 20, 40]), ...on(1, [30])];
    expect(await chances(often, [...history, ...history], 50, 2)).toEqual(await chances(once, history, 50, 2));
  });

  it('bounds one item that one person buys every day for years', async () => {
    const daily = Array.from({ length: 3000 }, (_, at) => at);
    const { component } = await fitted(by(0, on(0, daily)), 1);
    const [chance] = await chances(component, on(0, daily), 3000, 1);
    expect(chance).toBeGreaterThan(0.9);
    expect(chance).toBeLessThanOrEqual(1);
  });

  it('does not count events later than the request', async () => {
    const { component } = await fitted([...by(0, on(0, [0, 20, 40])), ...by(1, on(1, [0, 30]))], 2);
    expect(await chances(component, on(0, [0, 20, 90]), 50, 1)).toEqual(await chances(component, on(0, [0, 20]), 50, 1));
  });
});
