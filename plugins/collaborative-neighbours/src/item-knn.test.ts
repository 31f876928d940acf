import { type CandidateSource, type ComponentState, type Explainer, isRecloomError, type Scorer } from '@recloom/plugin-api';
import {
  candidateBatch,
  createTestHost,
  historyFrom,
  openComponent,
  requestBatch,
  requestView,
  syntheticShop,
  type TestUserEvent,
  tableFrom,
  validateOptions,
} from '@recloom/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { itemKnn } from './index.js';

type Knn = CandidateSource & Scorer & Explainer;
const day = 86_400_000;
const signal = new AbortController().signal;

function shopOf(events: readonly TestUserEvent[], items: number) {
  const history = historyFrom(events, { itemCount: items });
  return {
    items: tableFrom(Array.from({ length: items }, (_, row) => `i${row}`)),
    users: tableFrom(Array.from({ length: history.userCount }, (_, row) => `u${row}`)),
    history,
  };
}

function eventsOf(matrix: readonly (readonly number[])[]): TestUserEvent[] {
  return matrix.flatMap((values, user) => values.flatMap((weight, item) => (weight > 0 ? [{ user, item, weight }] : [])));
}

function dense(state: ComponentState): number[][] {
  const offsets = state['offsets']?.data as Int32Array;
  const columns = state['neighbours']?.data as Int32Array;
  const stored = state['similarities']?.data as Float32Array;
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

const binary = [
  [1, 1, 0, 0, 1],
  [1, 1, 1, 0, 0],
  [0, 1, 1, 0, 0],
  [1, 0, 0, 1, 0],
  [0, 1, 1, 1, 0],
  [1, 1, 0, 0, 1],
];
const factors = [
  [1, 0.5, 1, 1, 0.25],
  [0.5, 1, 0.25, 1, 1],
  [1, 0.25, 0.5, 1, 1],
  [0.25, 1, 1, 0.5, 1],
  [1, 1, 0.5, 0.25, 1],
  [1, 0.5, 1, 1, 1],
];
const weighted = binary.map((row, user) => row.map((value, item) => value * (factors[user]?.[item] as number)));

describe('item-knn against numpy', () => {
  // X = np.array(binary) or W = X * np.array(factors); common.py's knn(sp.csr_matrix(X), k, shrink=2, alpha=.7, uw=.5):
  //   n = np.maximum(X.sum(1), 1); C = X.T @ (X * n[:, None] ** -uw); d = diag(C) + 1e-9; C's diagonal = 0
  //   C[i, j] / (d[i] ** alpha * d[j] ** (1 - alpha) + shrink), the k largest of each column
  const options = { shrinkage: 2, alpha: 0.7, userWeight: 0.5, minimumItemUsers: 1 };

  it('gives its similarities on binary data', async () => {
    const state = await createTestHost().fit(itemKnn, { shop: shopOf(eventsOf(binary), 5), options: { ...options, neighbours: 5 } });
    expectClose(dense(state), [
      [0, 0.3765593, 0.1358693, 0.1762366, 0.2924043],
      [0.358584, 0, 0.4038664, 0.1331864, 0.2709619],
      [0.1436569, 0.4484318, 0, 0.1575051, 0],
      [0.1987956, 0.1577712, 0.1680411, 0, 0],
      [0.335171, 0.3261673, 0, 0, 0],
    ]);
    expect([...(state['itemUsers']?.data ?? [])]).toEqual([4, 5, 3, 2, 2]);
  });

  it('keeps the strongest per proposed item', async () => {
    const state = await createTestHost().fit(itemKnn, { shop: shopOf(eventsOf(binary), 5), options: { ...options, neighbours: 2 } });
    expectClose(dense(state), [
      [0, 0.3765593, 0, 0.1762366, 0.2924043],
      [0.358584, 0, 0.4038664, 0, 0.2709619],
      [0, 0.4484318, 0, 0.1575051, 0],
      [0, 0, 0.1680411, 0, 0],
      [0.335171, 0, 0, 0, 0],
    ]);
  });

  it('gives its similarities on weighted data', async () => {
    const state = await createTestHost().fit(itemKnn, {
      shop: shopOf(eventsOf(weighted), 5),
      options: { ...options, neighbours: 5, useWeights: true },
    });
    expectClose(dense(state), [
      [0, 0.2882367, 0.030105, 0.0419122, 0.2520441],
      [0.2797725, 0, 0.2114552, 0.0610077, 0.1205581],
      [0.0349939, 0.2530612, 0, 0.0390541, 0],
      [0.0500769, 0.0749834, 0.0403027, 0, 0],
      [0.2847026, 0.1402561, 0, 0, 0],
    ]);
  });
});

describe('item-knn', () => {
  const shop = shopOf(eventsOf(binary), 5);
  const plain = { shrinkage: 2, alpha: 0.7, userWeight: 0.5, minimumItemUsers: 1, neighbours: 5 };

  it('scores the sum of history weight x similarity, and its source ranks by it', async () => {
    const knn = await openComponent<Knn>(itemKnn, { shop, options: plain });
    // History 3 and 4, each of weight 1: the rows 3 and 4 of the table above, plus 1e-9 x users.
    const request = requestView({ userRow: 7, history: [{ item: 3 }, { item: 4 }] });
    const out = new Float32Array(6).fill(Number.NaN);
    await knn.score(candidateBatch({ rows: [[0, 1, 2, 3, 4, 99]], requests: [request] }), out, signal);
    [0.5339666, 0.4839385, 0.1680411, 0, 0, 0].forEach((expected, row) => expect(out[row]).toBeCloseTo(expected, 5));
    const proposals = await knn.propose(requestBatch([request]), 10);
    expect([...proposals.rows]).toEqual([0, 1, 2]);
    expect([...proposals.scores]).toEqual([...out.subarray(0, 3)]);
  });

  it('orders exact ties by popularity', async () => {
    const knn = await openComponent<Knn>(itemKnn, { shop, options: plain });
    const out = new Float32Array(3);
    // Nothing links 4 to itself, 2 or 3: their zeros are ordered by users (3, 2).
    await knn.score(candidateBatch({ rows: [[4, 2, 3]], requests: [requestView({ history: [{ item: 4 }] })] }), out, signal);
    expect(out[1]).toBeGreaterThan(out[2] as number);
    expect(out[1]).toBeLessThan(1e-8);
  });

  it('takes the items of the page for a missing history and never proposes them', async () => {
    const knn = await openComponent<Knn>(itemKnn, { shop, options: plain });
    const rowsOf = async (component: Knn, parts: Parameters<typeof requestView>[0]) => [
      ...(await component.propose(requestBatch([requestView(parts)]), 10)).rows,
    ];
    expect(await rowsOf(knn, { items: [2] })).toEqual([1, 3, 0]);
    // With a history it is the history that counts; the page's item is still left out (1 would come first).
    expect(await rowsOf(knn, { items: [1], history: [{ item: 2 }] })).toEqual([3, 0]);
    expect(await rowsOf(knn, {})).toEqual([]);
    const instead = await openComponent<Knn>(itemKnn, { shop, options: { ...plain, requestItems: 'instead' } });
    expect(await rowsOf(instead, { items: [4], history: [{ item: 2 }] })).toEqual([0, 1]);
    const ignore = await openComponent<Knn>(itemKnn, { shop, options: { ...plain, requestItems: 'ignore' } });
    expect(await rowsOf(ignore, { items: [4] })).toEqual([]);
  });

  it('leaves out ineligible rows and, when told, the history, without losing places', async () => {
    const knn = await openComponent<Knn>(itemKnn, { shop, options: plain });
    const requests = [requestView({ history: [{ item: 0 }, { item: 1 }] }), requestView({ history: [{ item: 4 }] })];
    const eligible = Uint8Array.of(0, 1, 1, 1, 1);
    const open = await knn.propose(requestBatch(requests, { eligible }), 2);
    expect([...open.offsets]).toEqual([0, 2, 3]);
    expect([...open.rows]).toEqual([4, 2, 1]);
    const fresh = await openComponent<Knn>(itemKnn, { shop, options: { ...plain, excludeHistory: true } });
    const without = await fresh.propose(requestBatch(requests, {}), 2);
    // Request 0: 2 and 4 and 3 are left of 5; request 1: 0, 1.
    expect([...without.rows]).toEqual([4, 2, 0, 1]);
  });

  it('weighs the fit and the history by age', async () => {
    // Users 0 and 1 link 0 with 1 and with 2; the link with 2 is 60 days older.
    const events: TestUserEvent[] = [
      { user: 0, item: 0, timeMs: 100 * day },
      { user: 0, item: 1, timeMs: 100 * day },
      { user: 1, item: 0, timeMs: 40 * day },
      { user: 1, item: 2, timeMs: 40 * day },
    ];
    const options = { shrinkage: 0, alpha: 1, userWeight: 0, minimumItemUsers: 1, recencyDays: 30, recencyFloor: 0 };
    const state = await createTestHost().fit(itemKnn, { shop: shopOf(events, 3), options });
    // By hand: w = e^-2; C[0, 0] = 1 + w², C[0, 1] = 1, C[0, 2] = w²; alpha 1 divides by C[0, 0] alone.
    const old = Math.exp(-4);
    const links = dense(state);
    expect(links[0]?.[1]).toBeCloseTo(1 / (1 + old), 6);
    expect(links[0]?.[2]).toBeCloseTo(old / (1 + old), 6);

    const knn = await openComponent<Knn>(itemKnn, { shop: shopOf(events, 3), options: { ...options, historyRecencyFloor: 0 } });
    const scoreOf = async (asOf: number) => {
      const out = new Float32Array(1);
      const request = requestView({
        asOfMs: asOf * day,
        history: [
          { item: 2, timeMs: 10 * day },
          { item: 1, timeMs: 100 * day },
        ],
      });
      await knn.score(candidateBatch({ rows: [[0]], requests: [request] }), out, signal);
      return out[0] as number;
    };
    // Links to 0: from 1 it is 1 / 1, from 2 it is w² / w². The event 90 days before the newest weighs e^-3.
    expect(await scoreOf(100)).toBeCloseTo(1 + Math.exp(-3), 5);
    // A person who comes back after 300 years gets the same order of magnitude, not an underflow.
    expect(await scoreOf(100_000)).toBeCloseTo(1 + Math.exp(-3), 5);
  });

  it('adds a floor to the age of a history, relative to the request', async () => {
    const knn = await openComponent<Knn>(itemKnn, { shop, options: { ...plain, historyRecencyDays: 10, historyRecencyFloor: 0.25 } });
    const out = new Float32Array(2);
    const history = [
      { item: 2, timeMs: 0 },
      { item: 4, timeMs: 10 * day },
    ];
    const request = requestView({ asOfMs: 20 * day, history });
    await knn.score(candidateBatch({ rows: [[3, 0]], requests: [request] }), out, signal);
    // Weights e^-2 + .25 for item 2 and e^-1 + .25 for item 4, the largest made 1; link 2 → 3 .1575051, 4 → 3 none.
    const relative = (Math.exp(-2) + 0.25) / (Math.exp(-1) + 0.25);
    expect(out[0]).toBeCloseTo(relative * 0.1575051, 6);
    expect(out[1]).toBeCloseTo(relative * 0.1436569 + 0.335171, 6);
  });

  it('counts a pair once, or as often as it happens', async () => {
    const events: TestUserEvent[] = [
      { user: 0, item: 0, weight: 1, timeMs: 2 },
      { user: 0, item: 0, weight: 3, timeMs: 1 },
      { user: 0, item: 1, weight: 0 },
      { user: 0, item: 2, weight: 2 },
    ];
    const fitted = async (options: object) =>
      dense(
        await createTestHost().fit(itemKnn, {
          shop: shopOf(events, 3),
          options: { shrinkage: 1, alpha: 0.5, userWeight: 0, minimumItemUsers: 1, ...options },
        }),
      );
    // c / (sqrt(d0 d2) + 1): alike 1 / 2; strongest 3 x 2 / (3 x 2 + 1); sum 4 x 2 / (4 x 2 + 1).
    expect((await fitted({}))[0]?.[2]).toBeCloseTo(1 / 2, 6);
    const strongest = await fitted({ useWeights: true });
    expect(strongest[0]?.[2]).toBeCloseTo(6 / 7, 6);
    expect(strongest[0]?.[1]).toBe(0);
    expect((await fitted({ useWeights: true, pairs: 'sum' }))[0]?.[2]).toBeCloseTo(8 / 9, 6);
  });

  it('leaves out rare items, then small and crawling users', async () => {
    const host = createTestHost();
    const itemUsers = async (options: object) => [...((await host.fit(itemKnn, { shop, options }))['itemUsers']?.data ?? [])];
    expect(await itemUsers({ minimumItemUsers: 3 })).toEqual([4, 5, 3, 0, 0]);
    // Without items 3 and 4, user 3 has one item left.
    expect(await itemUsers({ minimumItemUsers: 3, minimumUserItems: 2 })).toEqual([3, 5, 3, 0, 0]);
    // Of each user only the newest item: the last in the list.
    expect(await itemUsers({ minimumItemUsers: 1, maximumUserItems: 1 })).toEqual([0, 0, 2, 2, 2]);
    const views = shopOf(
      [
        { user: 0, item: 0, type: 'view' },
        { user: 0, item: 1, type: 'purchase' },
      ],
      2,
    );
    const state = await host.fit(itemKnn, { shop: views, options: { eventTypes: ['purchase', 'lent'], minimumItemUsers: 1 } });
    expect([...(state['itemUsers']?.data ?? [])]).toEqual([0, 1]);
    expect(host.warnings).toMatchObject([{ code: 'NEIGHBOURS_USERS_CUT', count: 6 }, { code: 'NEIGHBOURS_EVENT_TYPE_UNKNOWN' }]);
  });

  it('explains with the item of the history that adds most', async () => {
    const knn = await openComponent<Knn>(itemKnn, { shop, options: plain });
    const history = [
      { item: 2, type: 'view' },
      { item: 4, type: 'purchase' },
    ];
    const [reason, none] = knn.reasons(requestView({ userRow: 3, history }), Int32Array.of(0, 99));
    // 4 → 0 is .335171, 2 → 0 is .1436569.
    expect(reason).toMatchObject({ code: 'because-you-bought', text: 'Because you bought {item}', items: [4] });
    expect(reason?.strength).toBeCloseTo(0.5 + (0.4 * 0.335171) / (0.335171 + 0.1436569), 5);
    expect(none).toBeUndefined();
    expect(knn.reasons(requestView({ userRow: 3, history }), Int32Array.of(3))[0]?.text).toBe('Because you looked at {item}');
    expect(knn.reasons(requestView({ history, grants: ['session'] }), Int32Array.of(0))[0]?.text).toBe('Goes with {item} from your visit');
    expect(knn.reasons(requestView({ items: [2] }), Int32Array.of(1))[0]).toMatchObject({ code: 'goes-with', items: [2] });
  });

  it('answers a batch as it answers each request, and proposes what it scores', async () => {
    const many = syntheticShop();
    const knn = await openComponent<Knn>(itemKnn, { shop: many, options: { recencyDays: 30 } });
    const requests = Array.from({ length: 30 }, (_, user) => many.request(user - 1));
    const together = await knn.propose(requestBatch(requests), 12);
    for (const [index, request] of requests.entries()) {
      const alone = await knn.propose(requestBatch([request]), 12);
      const rows = together.rows.subarray(together.offsets[index], together.offsets[index + 1]);
      expect(rows).toEqual(alone.rows);
      const out = new Float32Array(rows.length);
      await knn.score(candidateBatch({ rows: [rows], requests: [request] }), out, signal);
      expect(out).toEqual(alone.scores);
    }
    expect(together.rows.length).toBeGreaterThan(200);
  });

  it('agrees with the definition on any small matrix', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), { minLength: 1, maxLength: 7 }),
        fc.record({ shrinkage: fc.constantFrom(0, 1, 7), alpha: fc.constantFrom(0, 0.3, 1), userWeight: fc.constantFrom(0, 0.5, 1) }),
        async (booleans, options) => {
          const x = booleans.map((row) => row.map(Number));
          const state = await createTestHost().fit(itemKnn, {
            shop: shopOf(eventsOf(x), 4),
            options: { ...options, minimumItemUsers: 1 },
          });
          const weights = x.map(
            (row) =>
              Math.max(
                1,
                row.reduce((sum, value) => sum + value, 0),
              ) ** -options.userWeight,
          );
          const c = (i: number, j: number) =>
            x.reduce((sum, row, user) => sum + (row[i] as number) * (row[j] as number) * (weights[user] as number), 0);
          const expected = Array.from({ length: 4 }, (_, i) =>
            Array.from({ length: 4 }, (_, j) =>
              i === j || c(i, j) === 0 ? 0 : c(i, j) / (c(i, i) ** options.alpha * c(j, j) ** (1 - options.alpha) + options.shrinkage),
            ),
          );
          expectClose(dense(state), expected);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('gives the same bytes twice, and nothing from nothing', async () => {
    const host = createTestHost();
    expect(await host.fit(itemKnn)).toEqual(await host.fit(itemKnn));
    const empty = await openComponent<Knn>(itemKnn, { shop: shopOf([], 3) });
    expect((await empty.propose(requestBatch([{ history: [{ item: 1 }] }]), 5)).rows.length).toBe(0);
  });

  it('refuses unknown and wrong options', async () => {
    for (const raw of [{ k: 3 }, { alpha: 2 }, { neighbours: 0 }]) {
      await expect(validateOptions(itemKnn, raw)).rejects.toSatisfy((error) => isRecloomError(error) && error.code === 'RECLOOM_CFG_TYPE');
    }
  });
});
