import { createRandomStream } from '@recloom/plugin-api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scoreList } from '../metrics.js';
import { type BlendCases, sampleCases } from './blend-cases.js';
import { BestOf, BlendObjective } from './blend-objective.js';
import { coordinateAscent } from './coordinate-ascent.js';
import { learnWeights } from './learn-weights.js';
import { likelyWeights } from './list-likelihood.js';

/** Cases from rows of numbers per candidate and the places of the right ones. */
function casesOf(lists: readonly { readonly rows: readonly (readonly number[])[]; readonly right: readonly number[] }[], k = 10) {
  const width = lists[0]?.rows[0]?.length ?? 0;
  const offsets = new Int32Array(lists.length + 1);
  for (const [index, { rows }] of lists.entries()) offsets[index + 1] = (offsets[index] as number) + rows.length;
  const columns = Array.from({ length: width }, (_, column) =>
    Float32Array.from(lists.flatMap(({ rows }) => rows.map((row) => row[column] as number))),
  );
  const cases: BlendCases = {
    count: lists.length,
    offsets,
    relevant: Uint8Array.from(lists.flatMap(({ rows, right }) => rows.map((_, place) => (right.includes(place) ? 1 : 0)))),
    scores: new Map((['zscore', 'log-zscore', 'robust-zscore', 'rank', 'minmax'] as const).map((way) => [way, columns])),
    ideals: Float64Array.from(lists, ({ right }) => right.slice(0, k).reduce((sum, _, place) => sum + 1 / Math.log2(place + 2), 0)),
    historySizes: new Int32Array(lists.length),
  };
  return { cases, columns, all: Int32Array.from(lists, (_, index) => index) };
}

const lists = [
  {
    rows: [
      [1, 0.2],
      [0.3, 1],
      [-0.5, 0.4],
      [0.1, -1],
    ],
    right: [0, 1],
  },
  {
    rows: [
      [0.5, -0.2],
      [1.2, 0.1],
      [0.9, -0.7],
    ],
    right: [1],
  },
  {
    rows: [
      [0.5, 0.9],
      [0.4, -0.1],
      [-1, 0.6],
      [0.2, 0.3],
      [0, 0],
    ],
    right: [3],
  },
];

describe('likelyWeights', () => {
  // scipy 1.x: minimize(f, [0, 0], method='BFGS') of Σ (log Σ exp(x·w) − mean over right of x·w) / 3 + 0.01 |w|² / 2; with bounds by L-BFGS-B.
  it('is where scipy finds the minimum', async () => {
    const { cases, columns, all } = casesOf(lists);
    const weights = await likelyWeights(cases, columns, all, { signed: true, ridge: 0.01 });
    expect([...weights]).toEqual([expect.closeTo(1.66933766, 4), expect.closeTo(1.12016945, 4)]);
  });

  it('stays at 0 where the minimum lies below, and the others move to suit', async () => {
    const turned = lists.map(({ rows, right }) => ({ rows: rows.map(([a = 0, b = 0]) => [a, -b]), right }));
    const { cases, columns, all } = casesOf(turned);
    const plain = await likelyWeights(cases, columns, all, { signed: false, ridge: 0.01 });
    expect([...plain]).toEqual([expect.closeTo(1.79678989, 4), 0]);
    const signed = await likelyWeights(cases, columns, all, { signed: true, ridge: 0.01 });
    expect([...signed]).toEqual([expect.closeTo(1.66933766, 4), expect.closeTo(-1.12016945, 4)]);
  });

  it('is 0 without a right answer, and finite where cases can be told apart perfectly', async () => {
    const none = casesOf([{ rows: [[1], [2]], right: [] }]);
    expect([...(await likelyWeights(none.cases, none.columns, none.all, { signed: true }))]).toEqual([0]);
    const perfect = casesOf([{ rows: [[1], [0]], right: [0] }]);
    const [weight] = await likelyWeights(perfect.cases, perfect.columns, perfect.all, { signed: true });
    expect(weight).toBeGreaterThan(3);
    expect(Number.isFinite(weight)).toBe(true);
  });
});

describe('BlendObjective', () => {
  it('is the mean NDCG of the sorted sums; by hand', () => {
    // Sums of weights (1, 2): 1.4, 2.3, .3, −1.9 → places 2, 1 right: 1. .1, 1.4, −.5 → 1. 2.3, .2, .2, .8, 0 → place 2: 1 / log2(3).
    const { cases, columns, all } = casesOf(lists);
    const objective = new BlendObjective(cases, columns, 10);
    expect([...objective.perCase([1, 2], all)]).toEqual([1, 1, expect.closeTo(1 / Math.log2(3), 12)]);
    expect(objective.mean([1, 2], all)).toBeCloseTo((2 + 1 / Math.log2(3)) / 3, 12);
    objective.fix([1, 99], 1, all);
    expect(objective.meanWith(1, 2, all)).toBeCloseTo((2 + 1 / Math.log2(3)) / 3, 12);
  });

  it('is what scoreList says of the sorted list: any scores, ties by place, any k', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: -3, max: 3 }), fc.integer({ min: -3, max: 3 }), fc.boolean()), { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: -2, max: 2 }),
        (candidates, k, weight) => {
          const right = candidates.flatMap(([, , taken], place) => (taken ? [place] : []));
          fc.pre(right.length > 0);
          const { cases, columns, all } = casesOf([{ rows: candidates.map(([a, b]) => [a, b]), right }], k);
          const order = candidates
            .map(([a, b], place) => ({ place, sum: a + weight * b }))
            .sort((left, other) => other.sum - left.sum || left.place - other.place);
          const expected = scoreList(
            order.map(({ place }) => place),
            new Set(right),
            k,
          ).ndcg;
          expect(new BlendObjective(cases, columns, k).mean([1, weight], all)).toBeCloseTo(expected, 12);
        },
      ),
    );
  });

  it('keeps minus infinity and fewer than k', () => {
    const best = new BestOf(3);
    best.offer(Number.NEGATIVE_INFINITY, 1);
    best.offer(2, 0);
    expect(best.gain()).toBeCloseTo(1 / Math.log2(3), 12);
    best.clear();
    expect(best.gain()).toBe(0);
  });
});

describe('coordinateAscent', () => {
  it('leaves the start alone, never falls below it, and drops what does not help', async () => {
    const random = createRandomStream(3);
    const made = Array.from({ length: 60 }, () => {
      const rows = Array.from({ length: 15 }, () => [random.normal(), random.normal(), random.normal()]);
      const best = rows.map(([a = 0, b = 0], place) => ({ place, wish: a + 0.3 * b })).sort((left, right) => right.wish - left.wish);
      return { rows, right: best.slice(0, 2).map(({ place }) => place) };
    });
    const { cases, columns, all } = casesOf(made);
    const objective = new BlendObjective(cases, columns, 5);
    const start = [1, 1, 1];
    const { weights, ndcg } = await coordinateAscent(objective, start, all, { signed: false });
    expect(start).toEqual([1, 1, 1]);
    expect(ndcg).toBeGreaterThan(objective.mean(start, all));
    expect(ndcg).toBeCloseTo(objective.mean(weights, all), 12);
    expect(ndcg).toBeGreaterThan(0.97);
    expect(Math.max(...weights)).toBe(1);
    expect(weights[1]).toBeGreaterThan(0.2);
    expect(weights[1]).toBeLessThan(0.45);
    expect(weights[2]).toBeLessThan(0.06);
  });

  it('of columns that say nothing one stays', async () => {
    const { cases, columns, all } = casesOf([{ rows: Array.from({ length: 4 }, () => [0, 0]), right: [2] }]);
    const { weights } = await coordinateAscent(new BlendObjective(cases, columns, 2), [1, 1], all, { signed: true });
    expect([...weights].filter((weight) => weight !== 0)).toEqual([1]);
  });
});

describe('learnWeights', () => {
  it('learns from a single case', async () => {
    const { cases } = casesOf([
      {
        rows: [
          [0, 1],
          [1, 0],
        ],
        right: [1],
      },
    ]);
    const learned = await learnWeights(cases, {
      k: 1,
      seed: 0,
      signed: false,
      segments: [],
      minimumSegmentCases: 1,
      normalisations: ['zscore'],
      pause: async () => undefined,
      progress: () => undefined,
    });
    expect(learned.weights[0]).toBe(1);
    expect(learned.weights[1]).toBeLessThan(1);
  });
});

describe('sampleCases', () => {
  it('keeps the order, draws by the seed, and takes all when there are few', () => {
    const cases = Array.from({ length: 50 }, (_, index) => ({ user: `u${index}`, known: [], relevant: ['a'] }));
    expect(sampleCases(cases, 50, 1)).toBe(cases);
    const drawn = sampleCases(cases, 20, 1);
    expect(drawn).toHaveLength(20);
    expect(new Set(drawn).size).toBe(20);
    expect(drawn).toEqual(cases.filter((testCase) => drawn.includes(testCase)));
    expect(sampleCases(cases, 20, 1)).toEqual(drawn);
    expect(sampleCases(cases, 20, 2)).not.toEqual(drawn);
  });
});
