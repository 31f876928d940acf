import { createComputePool } from '@recloom/kernels';
import {
  type CandidateSource,
  type ComponentState,
  computeToken,
  type Explainer,
  type Inspectable,
  type Scorer,
} from '@recloom/plugin-api';
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
} from '@recloom/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { userKnn } from './index.js';

type Knn = CandidateSource & Scorer & Explainer & Inspectable;
const day = 86_400_000;
const signal = new AbortController().signal;

function shopOf(events: readonly TestUserEvent[], items: number, users?: number) {
  const history = historyFrom(events, { itemCount: items, ...(users === undefined ? {} : { userCount: users }) });
  return {
    items: tableFrom(Array.from({ length: items }, (_, row) => `i${row}`)),
    users: tableFrom(Array.from({ length: history.userCount }, (_, row) => `u${row}`)),
    history,
  };
}

function eventsOf(matrix: readonly (readonly number[])[]): TestUserEvent[] {
  return matrix.flatMap((values, user) => values.flatMap((weight, item) => (weight > 0 ? [{ user, item, weight }] : [])));
}

async function scoresOf(knn: Knn, parts: Parameters<typeof requestView>[0], items = 5): Promise<number[]> {
  const out = new Float32Array(items).fill(Number.NaN);
  await knn.score(candidateBatch({ rows: [Array.from({ length: items }, (_, row) => row)], requests: [requestView(parts)] }), out, signal);
  return [...out];
}

async function rowsOf(knn: Knn, parts: Parameters<typeof requestView>[0], limit = 10): Promise<number[]> {
  return [...(await knn.propose(requestBatch([requestView(parts)]), limit)).rows];
}

function expectClose(found: readonly number[], expected: readonly number[]): void {
  expect(found.length).toBe(expected.length);
  expected.forEach((value, place) => expect(found[place], `place ${place}`).toBeCloseTo(value, 5));
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

describe('user-knn against numpy', () => {
  // X the matrix above, q the history:
  //   w = np.maximum(1, X.sum(0)) ** -iw; s = (X * w) @ q / ((w @ q**2) ** alpha * (X**2 @ w) ** (1 - alpha) + shrink)
  //   o = np.argsort(-s, kind='stable')[:k], those above 0; scores = s[o] ** amp @ X[o]
  const options = { neighbours: 3, alpha: 0.7, shrinkage: 2, itemWeight: 0.5, minimumItemUsers: 1, minimumPeople: 1 };
  const history = [{ item: 1 }, { item: 3 }];
  const open = (more: object, matrix = binary) =>
    openComponent<Knn>(userKnn, { shop: shopOf(eventsOf(matrix), 5), options: { ...options, ...more } });

  it('scores the items of the most similar people', async () => {
    expectClose(await scoresOf(await open({}), { history }), [0.2230685, 0.4930305, 0.4930305, 0.5724738, 0]);
    expectClose(await scoresOf(await open({ amplification: 2 }), { history }), [0.0497595, 0.1427123, 0.1427123, 0.1718436, 0]);
  });

  it('is the plain cosine over everybody when told', async () => {
    const plain = await open({ neighbours: 6, alpha: 0.5, shrinkage: 0, itemWeight: 0 });
    expectClose(await scoresOf(plain, { history }), [1.7247449, 2.5412415, 1.7247449, 1.3164966, 0.8164966]);
  });

  it('leaves the person who asks out of the neighbours', async () => {
    const own = [{ item: 0 }, { item: 1 }, { item: 4 }];
    expectClose(await scoresOf(await open({}), { userRow: 0, history: own }), [0.8574287, 0.7147783, 0.2620757, 0.1426504, 0.4527026]);
    // Items that only one of the three neighbours has are nobody's business.
    expectClose(await scoresOf(await open({ minimumPeople: 2 }), { userRow: 0, history: own }), [0.8574287, 0.7147783, 0, 0, 0]);
  });

  it('counts weights on both sides', async () => {
    const knn = await open({ neighbours: 4, useWeights: true }, weighted);
    const history = [
      { item: 1, weight: 4 },
      { item: 3, weight: 2 },
    ];
    expectClose(await scoresOf(knn, { history }), [0.2224417, 0.489621, 0.1703912, 0.1085994, 0.0247408]);
  });
});

describe('user-knn', () => {
  const shop = shopOf(eventsOf(binary), 5);
  const plain = { neighbours: 6, shrinkage: 0, itemWeight: 0, minimumItemUsers: 1, minimumPeople: 1 };

  it('agrees with the definition on any small matrix', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), { minLength: 1, maxLength: 7 }),
        fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
        fc.record({
          shrinkage: fc.constantFrom(0, 1, 7),
          alpha: fc.constantFrom(0, 0.3, 1),
          itemWeight: fc.constantFrom(0, 0.5, 1),
          minimumPeople: fc.constantFrom(1, 2),
        }),
        async (booleans, wanted, options) => {
          const x = booleans.map((row) => row.map(Number));
          const q = wanted.map(Number);
          const knn = await openComponent<Knn>(userKnn, {
            shop: shopOf(eventsOf(x), 4, x.length),
            options: { ...options, neighbours: 100, minimumItemUsers: 1 },
          });
          const found = await scoresOf(knn, { history: q.flatMap((flag, item) => (flag === 1 ? [{ item }] : [])) }, 4);
          const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
          const w = q.map((_, item) => Math.max(1, sum(x.map((row) => row[item] as number))) ** -options.itemWeight);
          const inner = (one: readonly number[], other: readonly number[]) =>
            sum(one.map((value, item) => value * (other[item] as number) * (w[item] as number)));
          const likeness = x.map((row) => {
            const common = inner(row, q);
            return common === 0 ? 0 : common / (inner(q, q) ** options.alpha * inner(row, row) ** (1 - options.alpha) + options.shrinkage);
          });
          const expected = q.map((_, item) => {
            const voters = x.filter((row, user) => row[item] === 1 && (likeness[user] as number) > 0).length;
            return voters < options.minimumPeople ? 0 : sum(x.map((row, user) => (row[item] as number) * (likeness[user] as number)));
          });
          expectClose(found, expected);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('weighs neighbours and history by age', async () => {
    // Both neighbours share item 0 with the one who asks; the vote for item 2 is 60 days older.
    const events = [
      { user: 0, item: 0, timeMs: 100 * day },
      { user: 0, item: 1, timeMs: 100 * day },
      { user: 1, item: 0, timeMs: 100 * day },
      { user: 1, item: 2, timeMs: 40 * day },
    ];
    const knn = await openComponent<Knn>(userKnn, {
      shop: shopOf(events, 3),
      options: { ...plain, recencyDays: 30, recencyFloor: 0, alpha: 0.5 },
    });
    const found = await scoresOf(knn, { history: [{ item: 0, timeMs: 100 * day }], asOfMs: 100 * day }, 3);
    // By hand: cosines 1 / sqrt(2) and 1 / sqrt(1 + e^-4); votes 1 and e^-2.
    expectClose(found.slice(1), [1 / Math.sqrt(2), Math.exp(-2) / Math.sqrt(1 + Math.exp(-4))]);
  });

  it('compares only the newest items of a long history', async () => {
    const knn = await openComponent<Knn>(userKnn, { shop, options: { ...plain, maximumHistoryItems: 1 } });
    const newest = await scoresOf(knn, { history: [{ item: 3, timeMs: 5 }] });
    const history = [
      { item: 0, timeMs: 1 },
      { item: 4, timeMs: 2 },
      { item: 3, timeMs: 5 },
    ];
    expect(await scoresOf(knn, { history })).toEqual(newest);
  });

  it('answers guests, item pages and strangers, and proposes what it scores', async () => {
    const knn = await openComponent<Knn>(userKnn, { shop, options: plain });
    // Users 3 and 4 have item 3, with cosines 1 / sqrt 2 and 1 / sqrt 3: item 0 .707, 1 and 2 .577.
    expect(await rowsOf(knn, { items: [3] })).toEqual([0, 1, 2]);
    expect(await rowsOf(knn, { history: [{ item: 3 }], items: [0] })).toEqual([3, 1, 2]);
    expect(await rowsOf(knn, {})).toEqual([]);
    expect(await rowsOf(knn, { history: [{ item: 99 }], userRow: 99 })).toEqual([]);
    const fresh = await openComponent<Knn>(userKnn, { shop, options: { ...plain, excludeHistory: true } });
    expect(await rowsOf(fresh, { history: [{ item: 3 }] }, 2)).toEqual([0, 1]);
    const closed = await knn.propose(requestBatch([requestView({ items: [3] })], { eligible: Uint8Array.of(0, 1, 1, 1, 1) }), 1);
    expect([...closed.rows]).toEqual([1]);
  });

  it('explains by an item in common and speaks of people, never of a person', async () => {
    const knn = await openComponent<Knn>(userKnn, { shop, options: { ...plain, minimumPeople: 2 } });
    const request = requestView({
      userRow: 9,
      history: [
        { item: 3, type: 'view' },
        { item: 1, type: 'purchase' },
      ],
    });
    const [two, four, unknown] = knn.reasons(request, Int32Array.of(2, 4, 99));
    // Item 2: users 1, 2 and 4, alike through item 1 thrice and through item 3 once, of whom user 4 shares both.
    expect(two).toMatchObject({ code: 'people-who-bought', items: [1] });
    expect(two?.text).toBe('People who bought {item}, as you did, chose this too');
    expect(four).toMatchObject({ items: [1] });
    expect(unknown).toBeUndefined();
    // Only user 3 has both 0 and 3: with one voter there is neither a proposal nor a reason.
    const alone = requestView({ history: [{ item: 3 }] });
    expect(knn.reasons(alone, Int32Array.of(0))[0]).toBeUndefined();
    expect((await rowsOf(knn, { history: [{ item: 3 }] })).includes(0)).toBe(false);
    expect(JSON.stringify([two, four, knn.inspectItem(2)])).not.toMatch(/u\d/);
    expect(knn.inspectItem(2)).toEqual({ people: 3 });
  });

  it('keeps rows and no ids, and gives the same bytes twice', async () => {
    const host = createTestHost();
    const state: ComponentState = await host.fit(userKnn, { shop, options: plain });
    expect(Object.keys(state)).toEqual(['offsets', 'items', 'weights', 'itemWeights', 'norms', 'itemUsers']);
    expect(state['weights']?.data.length).toBe(0);
    expect(await host.fit(userKnn)).toEqual(await host.fit(userKnn));
  });

  it('answers a batch as it answers each request', async () => {
    const many = syntheticShop();
    const knn = await openComponent<Knn>(userKnn, { shop: many, options: { recencyDays: 30 } });
    const requests = Array.from({ length: 30 }, (_, user) => many.request(user - 1));
    const together = await knn.propose(requestBatch(requests), 12);
    for (const [index, request] of requests.entries()) {
      const alone = await knn.propose(requestBatch([request]), 12);
      expect(together.rows.subarray(together.offsets[index], together.offsets[index + 1])).toEqual(alone.rows);
      const out = new Float32Array(alone.rows.length);
      await knn.score(candidateBatch({ rows: [alone.rows], requests: [request] }), out, signal);
      expect(out).toEqual(alone.scores);
    }
    expect(together.rows.length).toBeGreaterThan(200);
  });

  it('frees what it holds in the kernels, once', async () => {
    const pool = createComputePool({ threads: 1 });
    try {
      const before = pool.kernels.bytesInUse;
      const knn = await openComponent<Knn>(userKnn, { shop, options: plain, provide: [[computeToken, pool]] });
      expect(pool.kernels.bytesInUse).toBeGreaterThan(before);
      await knn.dispose?.();
      expect(pool.kernels.bytesInUse).toBe(before);
      await knn.dispose?.();
      expect(pool.kernels.bytesInUse).toBe(before);
    } finally {
      await pool.close();
    }
  });
});
