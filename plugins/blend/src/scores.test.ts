import type { Scorer } from '@recloom/plugin-api';
import { candidateBatch, openComponent, validateOptions } from '@recloom/testing';
import { describeConformance } from '@recloom/testing/vitest';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import plugin, { scores } from './index.js';
import { normalisations } from './options.js';

describeConformance(plugin, {
  fixtures: {
    scores: {
      options: {
        weights: { first: 1, second: 0.5, 'feature.first': -0.25 },
        normaliseEach: { second: 'log-zscore', 'feature.first': 'rank' },
        segments: [{ name: 'guest', below: 1, weights: { second: 2 } }],
        contributions: true,
      },
    },
  },
});

// The other ways to normalise are under the same laws.
for (const normalise of ['robust-zscore', 'minmax']) {
  describeConformance(
    { ...plugin, id: `blend, ${normalise}` },
    { fixtures: { scores: { options: { weights: { first: 1, second: 0.5 }, normalise } } } },
  );
}

async function blend(
  options: object,
  parts: Parameters<typeof candidateBatch>[0],
): Promise<{ readonly score: number[]; readonly further: Record<string, number[]> }> {
  const scorer = await openComponent<Scorer>(scores, { options });
  const batch = candidateBatch(parts);
  const out = new Float32Array(batch.count).fill(Number.NaN);
  const names = scorer.furtherColumns ?? [];
  const further = names.map(() => new Float32Array(batch.count).fill(Number.NaN));
  await scorer.score(batch, out, new AbortController().signal, further);
  return { score: [...out], further: Object.fromEntries(names.map((name, index) => [name, [...(further[index] as Float32Array)]])) };
}

const close = (values: readonly number[]) => values.map((value) => expect.closeTo(value, 5));

describe('the ways to normalise', () => {
  // numpy 2: z = lambda v: (v - v.mean()) / v.std(); log-zscore z(np.log1p((x - x.min()) / (x.mean() - x.min())));
  // robust (x - m) / (1.4826 * np.median(abs(x - m))); rank scipy.stats.rankdata(x, method='max') / len(x).
  const column = [2, 7, 1.5, 40, 7, 0];
  it.each([
    ['zscore', [-0.5469931, -0.1863383, -0.5830586, 2.1939835, -0.1863383, -0.6912551]],
    ['log-zscore', [-0.5924224, 0.0656903, -0.6733493, 2.0744421, 0.0656903, -0.9400509]],
    ['robust-zscore', [-0.6131734, 0.6131734, -0.7358081, 8.7070625, 0.6131734, -1.1037122]],
    ['rank', [0.5, 0.8333333, 0.3333333, 1, 0.8333333, 0.1666667]],
    ['minmax', [0.05, 0.175, 0.0375, 1, 0.175, 0]],
  ])('%s as numpy', async (normalise, expected) => {
    const { score } = await blend({ weights: { a: 1 }, normalise }, { rows: [[1, 2, 3, 4, 5, 6]], columns: { 'score.a': column } });
    expect(score).toEqual(close(expected));
  });

  it('robust-zscore of a spike: more than half alike, so the mean deviation stands in; as numpy', async () => {
    const { score } = await blend(
      { weights: { a: 1 }, normalise: 'robust-zscore' },
      { rows: [[1, 2, 3, 4, 5, 6]], columns: { 'score.a': [0, 0, 0, 0, 3, 9] } },
    );
    expect(score).toEqual(close([0, 0, 0, 0, 1.1968403, 3.590521]));
  });

  it.each([
    ['zscore', [-1.2247449, 0, 1.2247449, -1.2247449, -1.2247449]],
    ['rank', [1 / 3, 2 / 3, 1, 0, 0]],
    ['minmax', [0, 0.5, 1, 0, 0]],
    ['robust-zscore', [-0.6744908, 0, 0.6744908, -0.6744908, -0.6744908]],
    // log1p(0), log1p(1), log1p(2): 0, .6931472, 1.0986123; mean .5972532, deviation .4536034.
    ['log-zscore', [-1.3166859, 0.211405, 1.105281, -1.3166859, -1.3166859]],
  ])('%s: what is missing or not finite counts as the lowest and leaves the statistics alone', async (normalise, expected) => {
    const { score } = await blend(
      { weights: { a: 1 }, normalise },
      { rows: [[1, 2, 3, 4, 5]], columns: { 'score.a': [1, 3, 5, Number.NaN, Number.POSITIVE_INFINITY] } },
    );
    expect(score).toEqual(close(expected));
  });

  it.each(normalisations)('%s: equal scores, a single candidate and a silent column say nothing about the order', async (normalise) => {
    for (const column of [[0.1, 0.1, 0.1], [7], [Number.NaN, Number.NaN]]) {
      const { score } = await blend(
        { weights: { a: 1 }, normalise },
        { rows: [column.map((_, row) => row)], columns: { 'score.a': column } },
      );
      expect(score.every(Number.isFinite)).toBe(true);
      expect(new Set(score).size).toBe(1);
    }
  });

  it.each(normalisations)('%s: another unit and zero point give the same, and order is kept', async (normalise) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: -500, max: 500 }),
        async (column, factor, shift) => {
          const rows = [column.map((_, row) => row)];
          const { score: before } = await blend({ weights: { a: 1 }, normalise }, { rows, columns: { 'score.a': column } });
          const moved = column.map((value) => value * factor + shift);
          const { score: after } = await blend({ weights: { a: 1 }, normalise }, { rows, columns: { 'score.a': moved } });
          before.forEach((value, index) => expect(after[index]).toBeCloseTo(value, 3));
          for (const [left, value] of column.entries())
            for (const [right, other] of column.entries())
              if (value > other) expect(before[left]).toBeGreaterThanOrEqual(before[right] as number);
        },
      ),
      { numRuns: 40 },
    );
  });

  it.each(normalisations)('%s: extreme scores stay finite', async (normalise) => {
    const { score } = await blend(
      { weights: { a: 1 }, normalise },
      { rows: [[1, 2, 3, 4]], columns: { 'score.a': [-3.4e38, 3.4e38, 1e-38, 0] } },
    );
    expect(score.every(Number.isFinite)).toBe(true);
    expect(Math.max(...score)).toBe(score[1]);
  });
});

describe('the blend', () => {
  it('weighs and sums, each column normalised in its own way; by hand', async () => {
    // a: 0, 1, 1/2 by minmax; b: 1/3, 1, 2/3 by rank, turned round. 2 × a − 3 × b.
    const { score } = await blend(
      { weights: { a: 2, 'score.b.part': -3 }, normalise: 'minmax', normaliseEach: { 'score.b.part': 'rank' } },
      { rows: [[1, 2, 3]], columns: { 'score.a': [10, 30, 20], 'score.b.part': [1, 9, 4] } },
    );
    expect(score).toEqual(close([-1, -1, -1]));
  });

  it('normalises within each request, and reads features', async () => {
    const { score } = await blend(
      { weights: { 'feature.walk': 1 }, normalise: 'minmax' },
      { rows: [[1, 2], [], [1, 2, 3]], columns: { 'feature.walk': [10, 20, 1, 2, 3] } },
    );
    expect(score).toEqual([0, 1, 0, 0.5, 1]);
  });

  it('names what it reads, so that a surface without it is refused', async () => {
    const scorer = await openComponent<Scorer>(scores, { options: { weights: { habits: 1, 'clicks.buy': 1, 'feature.walk': 1 } } });
    expect(scorer.readsColumns).toEqual(['score.habits', 'score.clicks.buy', 'feature.walk']);
    expect(scorer.furtherColumns).toEqual([]);
  });

  it('shows what each column added, and the parts make up the whole', async () => {
    const { score, further } = await blend(
      { weights: { a: 2, 'clicks.buy': 0.5, idle: 0 }, normalise: 'minmax', contributions: true },
      { rows: [[1, 2, 3]], columns: { 'score.a': [10, 30, 20], 'score.clicks.buy': [4, 0, 2], 'score.idle': [1, 2, 3] } },
    );
    expect(further).toEqual({ a: [0, 2, 1], clicks_buy: [0.5, 0, 0.25], idle: [0, 0, 0] });
    expect(score).toEqual([0.5, 2, 1.25]);
  });

  it('has weights by how many distinct items a user has; the first segment that fits counts', async () => {
    const event = (item: number) => ({ item, type: 'view', timeMs: item });
    const options = {
      weights: { a: 1, b: 1 },
      normalise: 'minmax',
      segments: [
        { name: 'guest', below: 1, weights: { a: 0 } },
        { name: 'cold', from: 1, below: 3, weights: { a: 5, b: 0 } },
        { name: 'heavy', from: 4, weights: { b: -1 } },
      ],
    };
    const histories = [[], [7, 7, 7, 7], [7, 8], [7, 8, 9], [6, 7, 8, 9]].map((items) => ({ history: items.map(event) }));
    const { score } = await blend(options, {
      rows: histories.map(() => [1, 2]),
      requests: histories,
      columns: { 'score.a': histories.flatMap(() => [0, 1]), 'score.b': histories.flatMap(() => [1, 0]) },
    });
    expect(score).toEqual([1, 0, 0, 5, 0, 5, 1, 1, -1, 1]);
  });

  it('is what the expression of the same normalised scores is, to rounding: any batch, any weights', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.float({ min: -5, max: 5, noNaN: true }), fc.float({ min: -5, max: 5, noNaN: true })), {
          minLength: 2,
          maxLength: 20,
        }),
        fc.float({ min: 0, max: 3, noNaN: true }),
        async (pairs, weight) => {
          const rows = [pairs.map((_, row) => row)];
          const columns = { 'score.a': pairs.map(([a]) => a), 'score.b': pairs.map(([, b]) => b) };
          const { score: a } = await blend({ weights: { a: 1 } }, { rows, columns });
          const { score: b } = await blend({ weights: { b: 1 } }, { rows, columns });
          const { score } = await blend({ weights: { a: 1, b: weight } }, { rows, columns });
          score.forEach((value, index) => expect(value).toBeCloseTo((a[index] as number) + weight * (b[index] as number), 3));
        },
      ),
      { numRuns: 40 },
    );
  });

  it('a column that the batch does not have adds nothing', async () => {
    const { score } = await blend({ weights: { a: 1, gone: 9 }, normalise: 'minmax' }, { rows: [[1, 2]], columns: { 'score.a': [1, 2] } });
    expect(score).toEqual([0, 1]);
  });
});

describe('options that make no sense are refused', () => {
  it.each([
    ['no column at all', { weights: {} }, /at least one column/],
    ['a weight that is no number', { weights: { a: 'much' } }, /number/],
    ['a way to normalise that there is none', { weights: { a: 1 }, normalise: 'softmax' }, /zscore/],
    ['a normalisation of a column that has no weight', { weights: { a: 1 }, normaliseEach: { b: 'rank' } }, /"b" is not among/],
    ['a segment with a column that has no weight', { weights: { a: 1 }, segments: [{ name: 's', weights: { b: 1 } }] }, /"b" is not among/],
    ['a segment that nobody fits', { weights: { a: 1 }, segments: [{ name: 's', from: 5, below: 5, weights: {} }] }, /larger than `from`/],
    ['a column named twice', { weights: { a: 1, 'score.a': 2 } }, /same column as "a"/],
  ])('%s', async (_, options, why) => {
    await expect(validateOptions(scores, options)).rejects.toThrow(why);
  });
});
