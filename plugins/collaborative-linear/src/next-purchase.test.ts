import { createComputePool, kernelsOf } from '@recloom/kernels';
import { type CandidateSource, computeToken, type Explainer, isRecloomError, type Scorer } from '@recloom/plugin-api';
import {
  candidateBatch,
  createTestHost,
  openComponent,
  requestBatch,
  requestView,
  singleThreadCompute,
  syntheticShop,
  type TestUserEvent,
  validateOptions,
} from '@recloom/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { day, linksOf, ridgeWithoutSelf, samplesOf, shopOf } from './definition.test-support.js';
import { ease, nextPurchase } from './index.js';

type NextPurchase = CandidateSource & Scorer & Explainer & { dispose(): void };
const signal = new AbortController().signal;

const settings = {
  cuts: 3,
  stepDays: 7,
  horizonDays: 10,
  cutRecencyDays: 20,
  recencyDays: 25,
  recencyFloor: 0.1,
  userWeight: 0.5,
  cooccurrence: 0.7,
  cooccurrenceRecencyDays: 40,
};
const everything = { minimumItemUsers: 1, keep: 10_000, negativeWeights: true };
/** One cut ten days before the last event, nothing but what came next. */
const oneWindow = { ...everything, cuts: 1, horizonDays: 10, cooccurrence: 0, userWeight: 0, lambda: 1 };

function expectClose(found: readonly (readonly number[])[], expected: readonly (readonly number[])[], digits = 4): void {
  expect(found.length).toBe(expected.length);
  found.forEach((row, i) => row.forEach((value, j) => expect(value, `cell ${i}, ${j}`).toBeCloseTo(expected[i]?.[j] as number, digits)));
}

const randomEvents = (items: number) =>
  fc.array(
    fc.record({
      user: fc.integer({ min: 0, max: 5 }),
      item: fc.integer({ min: 0, max: items - 1 }),
      timeMs: fc.integer({ min: 0, max: 60 }).map((days) => days * day),
    }),
    { minLength: 1, maxLength: 40 },
  );

describe('the fit', () => {
  it('is what it says by hand', async () => {
    // One sample: item 0 was bought 85 days before the cut, so a = exp(-85 / 120) + 0.1; item 1 in the window.
    // For one input the ridge is a · 1 / (a² + lambda).
    const events = [
      { user: 0, item: 0, timeMs: 0 },
      { user: 0, item: 1, timeMs: 95 * day },
    ];
    const host = createTestHost();
    const a = Math.exp(-85 / 120) + 0.1;
    expectClose(
      linksOf(await host.fit(nextPurchase, { shop: shopOf(events, 2), options: oneWindow })),
      [
        [0, a / (a * a + 1)],
        [0, 0],
      ],
      6,
    );
    // EASE beside it: x = [exp(-95 / 30), 1], so the sums gain x0² and x0 x1, and item 1 foretells item 0.
    const x = Math.exp(-95 / 30);
    expectClose(
      linksOf(await host.fit(nextPurchase, { shop: shopOf(events, 2), options: { ...oneWindow, cooccurrence: 2 } })),
      [
        [0, (a + 2 * x) / (a * a + 2 * x * x + 1)],
        [(2 * x) / (2 + 1), 0],
      ],
      6,
    );
  });

  it('is the ridge of its definition on any history', async () => {
    const host = createTestHost();
    await fc.assert(
      fc.asyncProperty(randomEvents(5), fc.constantFrom(0, 0.7), fc.constantFrom(0, 0.5, 1), async (events, cooccurrence, userWeight) => {
        const shop = shopOf(events, 5);
        const own = { ...settings, cooccurrence, userWeight };
        const found = linksOf(await host.fit(nextPurchase, { shop, options: { ...everything, ...own, lambda: 0.5 } }));
        expectClose(found, ridgeWithoutSelf(samplesOf(shop.history, own), 5, 0.5));
      }),
      { numRuns: 60 },
    );
  });

  it('is EASE where nothing came next, and says so', async () => {
    const events = [0, 1, 2].flatMap((user) =>
      [0, 1, 2, 3].filter((item) => (item + user) % 3 > 0).map((item) => ({ user, item, timeMs: 5 * day })),
    );
    const shop = shopOf(events, 4);
    const host = createTestHost();
    const found = await host.fit(nextPurchase, { shop, options: { ...everything, lambda: 3 } });
    const plain = await host.fit(ease, {
      shop,
      options: { lambda: 3, userWeight: 0.5, recencyDays: 30, minimumItemUsers: 1, keep: 10_000 },
    });
    expectClose(linksOf(found), linksOf(plain), 6);
    expect(linksOf(found)[0]?.[1]).not.toBe(0);
    expect(host.warnings).toEqual([
      {
        code: 'NEXT_PURCHASE_NO_WINDOWS',
        count: 12,
        message:
          'Nobody has events before one of the 12 earlier cuts and new items in the 10 days after it, so the model knows only what people have together.',
      },
    ]);
  });

  it('is empty where nothing came next and nothing else is asked for', async () => {
    for (const events of [[], [{ user: 0, item: 1, timeMs: day }]] satisfies TestUserEvent[][]) {
      const host = createTestHost();
      const component = await host.open<NextPurchase>(nextPurchase, {
        shop: shopOf(events, 3),
        options: { cooccurrence: 0, minimumItemUsers: 1 },
      });
      expect((await component.propose(requestBatch([{ history: [{ item: 1 }] }]), 5)).rows.length).toBe(0);
      const out = new Float32Array(2).fill(Number.NaN);
      await component.score(candidateBatch({ rows: [[0, 7]], requests: [requestView({ history: [{ item: 1 }] })] }), out, signal);
      expect([...out]).toEqual([0, 0]);
      expect(host.warnings.map(({ code }) => code)).toEqual(['NEXT_PURCHASE_NO_WINDOWS']);
      await component.dispose();
    }
  });

  it('counts cuts that lie before the first event', async () => {
    const host = createTestHost();
    const events = [
      { user: 0, item: 0, timeMs: 0 },
      { user: 0, item: 1, timeMs: 12 * day },
      { user: 1, item: 0, timeMs: 12 * day },
    ];
    // The cuts lie at day 2, -2, -6 …: of the four, only the first has something before it.
    const state = await host.fit(nextPurchase, { shop: shopOf(events, 2), options: { ...oneWindow, cuts: 4 } });
    expect(linksOf(state)[0]?.[1]).toBeGreaterThan(0);
    expect(host.warnings).toEqual([
      {
        code: 'NEXT_PURCHASE_CUTS_EMPTY',
        count: 3,
        message: '3 of 4 earlier cuts, 4 days apart, have nobody with events before and new items in the 10 days after.',
      },
    ]);
  });

  it('learns nothing from what was bought before, and only from the types it is told', async () => {
    const host = createTestHost();
    const again = [
      { user: 0, item: 0, timeMs: 0 },
      { user: 0, item: 1, timeMs: 50 * day },
      { user: 0, item: 1, timeMs: 95 * day },
    ];
    expect(linksOf(await host.fit(nextPurchase, { shop: shopOf(again, 2), options: oneWindow }))[0]?.[1]).toBe(0);
    // A view before the cut is no purchase: with purchases foretold, the item is new, and another view after it foretells nothing.
    const types = ['view', 'view', 'purchase'];
    const viewed = again.map((event, place) => ({ ...event, type: types[place] as string }));
    const options = { ...oneWindow, targetTypes: ['purchase'] };
    expect(linksOf(await host.fit(nextPurchase, { shop: shopOf(viewed, 2), options }))[0]?.[1]).toBeGreaterThan(0);
    expect(linksOf(await host.fit(nextPurchase, { shop: shopOf(viewed, 2), options: { ...options, targetTypes: ['view'] } }))[0]?.[1]).toBe(
      0,
    );
    // What is not among the eventTypes is no input.
    const learned = { ...options, eventTypes: ['purchase'] };
    expect(linksOf(await host.fit(nextPurchase, { shop: shopOf(viewed, 2), options: learned }))[0]?.[1]).toBe(0);
    expect(host.warnings.filter(({ code }) => code === 'NEXT_PURCHASE_EVENT_TYPE_UNKNOWN')).toEqual([]);
    await host.fit(nextPurchase, { shop: shopOf(viewed, 2), options: { ...options, targetTypes: ['purchase', 'gift'] } });
    expect(host.warnings.at(-1)).toMatchObject({ code: 'NEXT_PURCHASE_EVENT_TYPE_UNKNOWN' });
    expect(host.warnings.at(-1)?.message).toContain('"gift"');
  });

  it('keeps the strongest links of each item', async () => {
    const shop = syntheticShop({ users: 80, items: 40 });
    const host = createTestHost();
    const options = { minimumItemUsers: 1, lambda: 5 };
    const all = linksOf(await host.fit(nextPurchase, { shop, options: { ...options, keep: 10_000, negativeWeights: true } }));
    for (const negativeWeights of [true, false]) {
      const kept = linksOf(await host.fit(nextPurchase, { shop, options: { ...options, keep: 6, negativeWeights } }));
      for (let to = 0; to < 40; to++) {
        const strength = all.map((row) => (negativeWeights ? Math.abs(row[to] as number) : (row[to] as number)));
        const threshold = [...strength].sort((left, right) => right - left)[5] as number;
        all.forEach((row, from) => {
          expect(kept[from]?.[to]).toBe((strength[from] as number) > 0 && (strength[from] as number) >= threshold ? row[to] : 0);
        });
      }
    }
  });

  it('gives the same bytes on one thread and on two, in narrow strips and in wide ones', async () => {
    const shop = syntheticShop({ users: 300, items: 150 });
    const pool = createComputePool({ threads: 2 });
    try {
      const one = await createTestHost().fit(nextPurchase, { shop });
      expect(await createTestHost({ provide: [[computeToken, pool]] }).fit(nextPurchase, { shop })).toEqual(one);
      expect(one['weights']?.data.length).toBeGreaterThan(1000);
    } finally {
      await pool.close();
    }
  });
});

describe('bad input', () => {
  const timed = (pairs: readonly (readonly [user: number, item: number, days: number])[]): TestUserEvent[] =>
    pairs.map(([user, item, days]) => ({ user, item, timeMs: days * day }));
  const fit = async (events: readonly TestUserEvent[], items: number, options: object = {}) => {
    const host = createTestHost();
    const state = await host.fit(nextPurchase, { shop: shopOf(events, items), options: { ...everything, lambda: 1, ...options } });
    return { links: linksOf(state), warnings: host.warnings.map(({ code }) => code), state };
  };

  it('one item, one user', async () => {
    expect((await fit(timed([[0, 0, 1]]), 1)).links).toEqual([[0]]);
    const oneUser = await fit(
      timed([
        [0, 0, 0],
        [0, 1, 60],
        [0, 2, 60],
      ]),
      3,
      { cuts: 1 },
    );
    expect(oneUser.links[0]?.[1]).toBeGreaterThan(0);
    expect(oneUser.links[0]?.[1]).toBe(oneUser.links[0]?.[2]);
  });

  it('all users identical: items that cannot be told apart get equal links', async () => {
    const same = Array.from({ length: 30 }, (_, user) =>
      timed([
        [user, 0, 0],
        [user, 1, 0],
        [user, 2, 55],
        [user, 3, 55],
      ]),
    ).flat();
    const { links } = await fit(same, 4);
    expect(links.flat().every(Number.isFinite)).toBe(true);
    expect(links[0]?.[2]).toBeCloseTo(links[1]?.[3] as number, 5);
    expect(links[0]?.[2]).toBeGreaterThan(0);
  });

  it('an item bought by everybody foretells what everybody else buys too, and drowns nothing', async () => {
    const events = Array.from({ length: 40 }, (_, user) =>
      timed([
        [user, 0, 0],
        [user, 1 + (user % 2), 1],
        [user, 3 + (user % 2), 55],
      ]),
    ).flat();
    const { links } = await fit(events, 5);
    expect(links[1]?.[3]).toBeGreaterThan(2 * (links[0]?.[3] as number));
    expect(links[1]?.[3]).toBeGreaterThan(2 * (links[1]?.[4] as number));
  });

  it('duplicated events count once, unless they are summed', async () => {
    const events = timed([
      [0, 0, 0],
      [0, 1, 55],
      [1, 0, 3],
      [1, 2, 60],
    ]);
    const once = await fit(events, 3);
    expect((await fit([...events, ...events], 3)).state).toEqual(once.state);
    expect((await fit([...events, ...events], 3, { pairs: 'sum' })).state).not.toEqual(once.state);
  });

  it('extreme weights are learned from, or refused with a code', async () => {
    const heavy = (weight: number): TestUserEvent[] =>
      timed([
        [0, 0, 0],
        [0, 1, 55],
        [1, 0, 3],
        [1, 2, 60],
      ]).map((event) => ({ ...event, weight }));
    for (const weight of [1e-30, 1e-3, 1e6])
      expect((await fit(heavy(weight), 3, { useWeights: true })).links.flat().every(Number.isFinite)).toBe(true);
    expect((await fit(heavy(1e39), 3, { useWeights: true })).links.flat()).toEqual(new Array(9).fill(0));
    await expect(fit(heavy(1e30), 3, { useWeights: true, userWeight: 0 })).rejects.toMatchObject({
      code: 'RECLOOM_KRN_NOT_POSITIVE_DEFINITE',
    });
    for (const lambda of [1e-6, 1e9]) expect((await fit(heavy(1), 3, { lambda })).links.flat().every(Number.isFinite)).toBe(true);
  });

  it('more items than maxItems, or more of a user than maximumUserItems', async () => {
    const events = timed([
      [0, 0, 0],
      [0, 1, 1],
      [0, 2, 2],
      [0, 3, 55],
    ]);
    await expect(fit(events, 4, { maxItems: 3 })).rejects.toMatchObject({ code: 'EASE_TOO_MANY_ITEMS' });
    const cut = await fit(events, 4, { maximumUserItems: 2, cooccurrence: 0, cuts: 1 });
    expect(cut.warnings).toContain('NEXT_PURCHASE_USERS_CUT');
  });

  it('of a user with too many items, the newest before the cut are learned from', async () => {
    // Every item has another person, so that the limit leaves no item out.
    const events = timed([[0, 0, 0], [0, 1, 1], [0, 2, 2], [0, 3, 55], ...[0, 1, 2, 3].map((item) => [1 + item, item, 58] as const)]);
    const { links } = await fit(events, 4, { maximumUserItems: 2, cooccurrence: 0, cuts: 1 });
    expect([links[0]?.[3], (links[1]?.[3] as number) > 0, (links[2]?.[3] as number) > 0]).toEqual([0, true, true]);
  });

  it('unknown and wrong options', async () => {
    for (const raw of [{ cut: 3 }, { cuts: 0 }, { cuts: 1.5 }, { horizonDays: 0 }, { lambda: 0 }, { cooccurrence: -1 }, { keep: 0 }]) {
      await expect(validateOptions(nextPurchase, raw)).rejects.toSatisfy(
        (error) => isRecloomError(error) && error.code === 'RECLOOM_CFG_TYPE',
      );
    }
  });
});

describe('requests', () => {
  it('weigh the history by age as the fit does, and say why', async () => {
    const shop = shopOf(
      [0, 1, 2].flatMap((user) => [
        { user, item: 0, timeMs: 0 },
        { user, item: 1, timeMs: 20 * day },
        { user, item: 2, timeMs: 55 * day },
      ]),
      4,
    );
    const options = { ...oneWindow, recencyDays: 30, recencyFloor: 0.2 };
    const links = linksOf(await createTestHost().fit(nextPurchase, { shop, options }));
    const component = await openComponent<NextPurchase>(nextPurchase, { shop, options });
    const request = requestView({
      userRow: 9,
      asOfMs: 90 * day,
      history: [
        { item: 0, timeMs: 0, type: 'view' },
        { item: 1, timeMs: 60 * day, type: 'view' },
      ],
    });
    const out = new Float32Array(2);
    await component.score(candidateBatch({ rows: [[2, 3]], requests: [request] }), out, signal);
    // exp(-90 / 30) + .2 over exp(-30 / 30) + .2: the strongest weight is 1.
    const older = (Math.exp(-3) + 0.2) / (Math.exp(-1) + 0.2);
    expect(out[0]).toBeCloseTo(older * (links[0]?.[2] as number) + (links[1]?.[2] as number), 6);
    expect(out[1]).toBe(0);
    expect([...(await component.propose(requestBatch([request]), 5)).rows]).toEqual([2]);
    expect(component.reasons(request, Int32Array.of(2, 3))).toMatchObject([{ code: 'because-you-viewed', items: [1] }, undefined]);
    await component.dispose();
  });

  it('give the memory back, also when a fit is aborted in the middle', async () => {
    const compute = singleThreadCompute();
    const host = createTestHost({ provide: [[computeToken, compute]] });
    const before = kernelsOf(compute).bytesInUse;
    const component = await host.open<NextPurchase>(nextPurchase);
    expect(kernelsOf(compute).bytesInUse).toBeGreaterThan(before);
    await component.dispose();
    await component.dispose();
    expect(kernelsOf(compute).bytesInUse).toBe(before);
    await expect(host.fit(nextPurchase, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
    const shop = syntheticShop({ users: 600, items: 500 });
    const aborter = new AbortController();
    setTimeout(() => aborter.abort(new Error('later')), 60);
    await expect(host.fit(nextPurchase, { shop, options: { minimumItemUsers: 1 }, signal: aborter.signal })).rejects.toThrow('later');
    expect(kernelsOf(compute).bytesInUse).toBe(before);
  });
});
