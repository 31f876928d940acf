import { kernelsOf } from '@recloom/kernels';
import { type CandidateSource, type ComponentState, computeToken, type Explainer, isRecloomError, type Scorer } from '@recloom/plugin-api';
import {
  candidateBatch,
  createTestHost,
  historyFrom,
  openComponent,
  requestBatch,
  requestView,
  singleThreadCompute,
  syntheticShop,
  type TestUserEvent,
  tableFrom,
  validateOptions,
} from '@recloom/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { transitions } from './index.js';

type Transitions = CandidateSource & Scorer & Explainer & { dispose(): void };
const hour = 3_600_000;
const day = 24 * hour;
const signal = new AbortController().signal;

function shopOf(events: readonly TestUserEvent[], items: number) {
  const history = historyFrom(events, { itemCount: items });
  return {
    items: tableFrom(Array.from({ length: items }, (_, row) => `i${row}`)),
    users: tableFrom(Array.from({ length: history.userCount }, (_, row) => `u${row}`)),
    history,
  };
}

/** One event per hour. */
function walks(...lists: readonly (readonly number[])[]): TestUserEvent[] {
  return lists.flatMap((list, user) => list.map((item, place) => ({ user, item, timeMs: place * hour })));
}

function links(state: ComponentState): number[][] {
  const offsets = state['offsets']?.data as Int32Array;
  const columns = state['targets']?.data as Int32Array;
  const stored = state['links']?.data as Float32Array;
  const size = offsets.length - 1;
  return Array.from({ length: size }, (_, row) => {
    const values = new Array<number>(size).fill(0);
    for (let entry = offsets[row] as number; entry < (offsets[row + 1] as number); entry++) {
      values[columns[entry] as number] = stored[entry] as number;
    }
    return values;
  });
}

function expectClose(found: readonly (readonly number[])[], expected: readonly (readonly number[])[]): void {
  expect(found.length).toBe(expected.length);
  found.forEach((row, i) => row.forEach((value, j) => expect(value, `cell ${i}, ${j}`).toBeCloseTo(expected[i]?.[j] as number, 5)));
}

describe('transitions against the reference', () => {
  // d = pd.DataFrame({'u': [0,0,0,0,1,1,1,2,2], 'i': [0,1,2,3,1,0,2,3,1]}); common.py's
  //   transitions(d, 4, gamma=.5, window=2, back=.25, pw=.6, sm=3, pu=.3)   (numpy 2.4.6, scipy 1.17.1)
  const shop = shopOf(walks([0, 1, 2, 3], [1, 0, 2], [3, 1]), 4);
  const options = { gamma: 0.5, window: 2, back: 0.25, sourcePower: 0.6, smoothing: 3, targetPower: 0.3 };

  it('gives its links', async () => {
    expectClose(links(await createTestHost().fit(transitions, { shop, options })), [
      [0, 0.2589458, 0.3030585, 0],
      [0.2568198, 0, 0.2815653, 0.152864],
      [0.0929997, 0.0871194, 0, 0.246023],
      [0, 0.2745777, 0.0595099, 0],
    ]);
  });

  it('gives its links to the next event only, forwards only', async () => {
    // transitions(d, 4, .9, 1, 0, .5, 1., .5)
    const next = { gamma: 0.9, window: 1, back: 0, sourcePower: 0.5, smoothing: 1, targetPower: 0.5 };
    expectClose(links(await createTestHost().fit(transitions, { shop, options: next })), [
      [0, 0.3333333, 0.3333333, 0],
      [0.4082483, 0, 0.3333333, 0],
      [0, 0, 0, 0.5],
      [0, 0.4082483, 0, 0],
    ]);
  });

  it('keeps the strongest links of each history item', async () => {
    expectClose(links(await createTestHost().fit(transitions, { shop, options: { ...options, neighbours: 1 } })), [
      [0, 0, 0.3030585, 0],
      [0, 0, 0.2815653, 0],
      [0, 0, 0, 0.246023],
      [0, 0.2745777, 0, 0],
    ]);
  });

  it('scores with historyDecay^age, proposes by it and explains it', async () => {
    const component = await openComponent<Transitions>(transitions, { shop, options: { ...options, historyDecay: 0.5 } });
    // Last event 2 (weight 1), before it 0 (weight .5).
    const request = requestView({
      userRow: 5,
      history: [
        { item: 0, timeMs: 1, type: 'view' },
        { item: 2, timeMs: 2 },
      ],
    });
    const out = new Float32Array(4);
    await component.score(candidateBatch({ rows: [[0, 1, 2, 3]], requests: [request] }), out, signal);
    [0.0929997, 0.0871194 + 0.1294729, 0.1515293, 0.246023].forEach((expected, row) => expect(out[row]).toBeCloseTo(expected, 5));
    const proposals = await component.propose(requestBatch([request, requestView({ items: [3] })]), 10);
    expect([...proposals.rows]).toEqual([3, 1, 2, 0, 1, 2]);
    const [reason] = component.reasons(request, Int32Array.of(1));
    expect(reason).toMatchObject({ code: 'because-you-viewed', items: [0] });
    await component.dispose();
  });
});

describe('transitions', () => {
  const forwards = { gamma: 1, window: 1, back: 0, sourcePower: 0, targetPower: 0 };
  const fitted = async (events: readonly TestUserEvent[], items: number, options: object) =>
    links(await createTestHost().fit(transitions, { shop: shopOf(events, items), options: { ...forwards, ...options } }));

  it('takes several events in a row on one item for one, and links no item to itself', async () => {
    // View, cart and purchase of item 0, then item 1, then 0 again.
    expect(await fitted(walks([0, 0, 0, 1, 0]), 2, {})).toEqual([
      [0, 1],
      [1, 0],
    ]);
    expect(await fitted(walks([0, 1, 0]), 2, { window: 2 })).toEqual([
      [0, 1],
      [1, 0],
    ]);
  });

  it('does not link across visits when told', async () => {
    const events: TestUserEvent[] = [
      { user: 0, item: 0, timeMs: 0 },
      { user: 0, item: 1, timeMs: 2 * hour },
      { user: 0, item: 2, timeMs: 9 * hour },
      { user: 1, item: 2, timeMs: 9 * hour },
    ];
    expect((await fitted(events, 3, { window: 2 }))[0]).toEqual([0, 1, 1]);
    expect(await fitted(events, 3, { window: 2, maxGapHours: 6 })).toEqual([
      [0, 1, 0],
      [0, 0, 0],
      [0, 0, 0],
    ]);
  });

  it('weighs by recency, by the weight of the event a transition leads to, and by type', async () => {
    const events: TestUserEvent[] = [
      { user: 0, item: 0, timeMs: 0, weight: 2, type: 'view' },
      { user: 0, item: 1, timeMs: 70 * day, weight: 5, type: 'purchase' },
      { user: 1, item: 1, timeMs: 99 * day, weight: 5, type: 'purchase' },
      { user: 1, item: 2, timeMs: 100 * day, weight: 3, type: 'purchase' },
    ];
    const recent = await fitted(events, 3, { recencyDays: 30, recencyFloor: 0 });
    expect(recent[0]?.[1]).toBeCloseTo(Math.exp(-1), 6);
    expect(recent[1]?.[2]).toBe(1);
    const weights = await fitted(events, 3, { useWeights: true, back: 0.5 });
    expect(weights).toEqual([
      [0, 5, 0],
      [1, 0, 3],
      [0, 2.5, 0],
    ]);
    expect(await fitted(events, 3, { eventTypes: ['purchase'] })).toEqual([
      [0, 0, 0],
      [0, 0, 1],
      [0, 0, 0],
    ]);
    const host = createTestHost();
    await host.fit(transitions, { shop: shopOf(events, 3), options: { eventTypes: ['lent'] } });
    expect(host.warnings.map((warning) => warning.code)).toEqual(['SEQUENCE_EVENT_TYPE_UNKNOWN']);
  });

  it('reads only the types of the history it is told to, and counts ages in those', async () => {
    const component = await openComponent<Transitions>(transitions, {
      shop: shopOf(walks([0, 1], [2, 3]), 4),
      options: { ...forwards, historyDecay: 0.5, historyEventTypes: ['cart'] },
    });
    const history = [
      { item: 0, type: 'cart', timeMs: 1 },
      { item: 1, type: 'view', timeMs: 2 },
      { item: 2, type: 'cart', timeMs: 3 },
      { item: 2, type: 'cart', timeMs: 4 },
      { item: 3, type: 'view', timeMs: 5 },
    ];
    const proposals = await component.propose(requestBatch([{ history }]), 10);
    expect([...proposals.rows]).toEqual([3, 1]);
    expect([...proposals.scores].map((score) => Math.round(score * 1e6) / 1e6)).toEqual([1, 0.5]);
    await component.dispose();
  });

  it('weighs the history by hours before its newest event when told', async () => {
    const options = { ...forwards, historyDecay: 0.5, historyHours: 2, historyFloor: 0.25 };
    const component = await openComponent<Transitions>(transitions, { shop: shopOf(walks([0, 1], [2, 3], [4, 5]), 6), options });
    // Ages 0, 1, 2 and 0, 1, 5 hours: what comes next after 4, 2 and 0. The newest counts 1.25, and all are told in its parts.
    const history = [
      { item: 0, timeMs: 0 },
      { item: 2, timeMs: 4 * hour },
      { item: 4, timeMs: 5 * hour },
    ];
    const { rows, scores } = await component.propose(requestBatch([{ history }]), 10);
    expect([...rows]).toEqual([5, 3, 1]);
    const parts = [1, (0.5 * (Math.exp(-0.5) + 0.25)) / 1.25, (0.25 * (Math.exp(-2.5) + 0.25)) / 1.25];
    parts.forEach((part, place) => expect(scores[place]).toBeCloseTo(part, 5));
    await component.dispose();
  });

  it('agrees with the definition on any short walks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 8 }), { minLength: 1, maxLength: 4 }),
        fc.record({
          window: fc.integer({ min: 1, max: 4 }),
          back: fc.constantFrom(0, 0.5),
          gamma: fc.constantFrom(0.5, 1),
          targetPower: fc.constantFrom(0, 1),
        }),
        async (lists, options) => {
          const t = Array.from({ length: 5 }, () => new Array<number>(5).fill(0));
          for (const list of lists) {
            const walk = list.filter((item, place) => item !== list[place - 1]);
            for (let place = 0; place < walk.length; place++) {
              for (let gap = 1; gap <= options.window && place + gap < walk.length; gap++) {
                const [a, b] = [walk[place] as number, walk[place + gap] as number];
                if (a === b) continue;
                (t[a] as number[])[b] = (t[a]?.[b] as number) + options.gamma ** (gap - 1);
                (t[b] as number[])[a] = (t[b]?.[a] as number) + options.back * options.gamma ** (gap - 1);
              }
            }
          }
          const leaving = t.map((row) => row.reduce((sum, value) => sum + value, 0));
          const reaching = t.map((_, j) => t.reduce((sum, row) => sum + (row[j] as number), 0));
          const state = await createTestHost().fit(transitions, {
            shop: shopOf(walks(...lists), 5),
            options: { ...options, smoothing: 2, sourcePower: 0.5 },
          });
          expectClose(
            links(state),
            t.map((row, i) =>
              row.map((value, j) => value / (((leaving[i] as number) + 2) ** 0.5 * ((reaching[j] as number) + 2) ** options.targetPower)),
            ),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  it('learns what follows what in a shop whose visitors walk along the shelf', async () => {
    // In the synthetic shop the next event of a visit is the next item of the same cluster six times out of ten.
    const shop = syntheticShop();
    const clusters = Math.max(...shop.itemClusters) + 1;
    const state = await createTestHost({ shop }).fit(transitions, {
      options: { ...forwards, maxGapHours: 1, smoothing: 5, targetPower: 0.3 },
    });
    let right = 0;
    let asked = 0;
    links(state).forEach((row, item) => {
      if (item + clusters >= row.length || (item + clusters) % 20 === 19 || item % 20 === 19) return;
      asked++;
      if (row.indexOf(Math.max(...row)) === item + clusters) right++;
    });
    expect(asked).toBeGreaterThan(50);
    expect(right / asked).toBeGreaterThan(0.6);
  });

  it('answers a batch as it answers each request, gives the same bytes twice and its memory back', async () => {
    const many = syntheticShop();
    const compute = singleThreadCompute();
    const host = createTestHost({ shop: many, provide: [[computeToken, compute]] });
    const before = kernelsOf(compute).bytesInUse;
    expect(await host.fit(transitions)).toEqual(await host.fit(transitions));
    const component = await host.open<Transitions>(transitions, { options: { neighbours: 20, excludeHistory: true } });
    const requests = Array.from({ length: 25 }, (_, user) => many.request(user - 1));
    const together = await component.propose(requestBatch(requests), 12);
    for (const [index, request] of requests.entries()) {
      const alone = await component.propose(requestBatch([request]), 12);
      const rows = together.rows.subarray(together.offsets[index], together.offsets[index + 1]);
      expect(rows).toEqual(alone.rows);
      for (const row of rows) expect(request.history.items).not.toContain(row);
      const out = new Float32Array(rows.length);
      await component.score(candidateBatch({ rows: [rows], requests: [request] }), out, signal);
      expect(out).toEqual(alone.scores);
    }
    expect(together.rows.length).toBeGreaterThan(200);
    await component.dispose();
    expect(kernelsOf(compute).bytesInUse).toBe(before);
  });

  it('works on an empty history and refuses unknown and wrong options', async () => {
    const component = await openComponent<Transitions>(transitions, { shop: shopOf([], 3) });
    expect((await component.propose(requestBatch([{ history: [{ item: 1 }] }]), 5)).rows.length).toBe(0);
    await component.dispose();
    for (const raw of [{ decay: 0.5 }, { gamma: 0 }, { window: 1.5 }]) {
      await expect(validateOptions(transitions, raw)).rejects.toSatisfy(
        (error) => isRecloomError(error) && error.code === 'RECLOOM_CFG_TYPE',
      );
    }
  });
});
