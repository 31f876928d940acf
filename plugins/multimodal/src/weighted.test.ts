import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { batchOf, cosine, extracted, featureOf, queryBatch } from './fixtures.test-support.js';
import { weightedOptions } from './options.js';
import { Weighted } from './weighted.js';

const options = (given: object = {}) => weightedOptions.parse(given);

describe('Weighted', () => {
  const text = featureOf('text', [[3, 4], [0, 2], null, null, [Number.NaN, 1]]);
  const image = featureOf('image', [[0, 5], null, [7, 0], null, [1, 0]]);

  it('is the weighted mean of directions, renormalised over those an item has', async () => {
    const fused = new Weighted(options({ weights: { text: 3 } }), [text, image]);
    // Item 0: 3/4 (.6, .8) + 1/4 (0, 1).
    const values = await extracted(fused, batchOf([text, image], [0, 1, 2, 3, 4]));
    expect(values[0]).toEqual([expect.closeTo(0.45, 6), expect.closeTo(0.85, 6)]);
    expect(values[1]).toEqual([0, 1]);
    expect(values[2]).toEqual([1, 0]);
    expect(values[3]).toBeNull();
    // A vector that is not finite counts as lacking.
    expect(values[4]).toEqual([1, 0]);
    expect(await extracted(fused, queryBatch([text, image], [0]))).toEqual([values[0]]);
    expect(fused.inspectItem(0)).toEqual({ weights: { text: 0.75, image: 0.25 } });
    expect(fused.inspectItem(2)).toEqual({ weights: { image: 1 } });
    expect(fused.inspectItem(99)).toEqual({ weights: {} });
  });

  it('has weights that sum to one, and a missing feature leaves the order by the others alone', async () => {
    const vector = fc
      .array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 3, maxLength: 3 })
      .filter((values) => Math.hypot(...values) > 0.1);
    await fc.assert(
      fc.asyncProperty(
        fc.array(vector, { minLength: 3, maxLength: 8 }),
        vector,
        fc.array(fc.double({ min: 0.05, max: 5, noNaN: true }), { minLength: 3, maxLength: 3 }),
        async (items, query, [first, second, third]) => {
          const names = ['one', 'two', 'three'];
          const weights = { one: first, two: second, three: third };
          const one = featureOf('one', [...items, query]);
          // Every item lacks `two`; `three` says the same as `one`.
          const two = featureOf('two', [...items.map(() => null), query], 3);
          const three = featureOf('three', [...items, query]);
          const fused = new Weighted(options({ weights }), [one, two, three]);
          const without = new Weighted(options({ weights: { one: first, three: third } }), [one, three]);
          const rows = items.map((_, row) => row);
          const whole = await extracted(fused, batchOf([one, two, three], rows));
          const part = await extracted(without, batchOf([one, three], rows));
          const order = (vectors: readonly (number[] | null)[]): number[] => {
            const scores = vectors.map((values) => Math.fround(cosine(values as number[], query) * 1e4));
            return rows.toSorted((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
          };
          expect(order(whole)).toEqual(order(part));
          const shares = Object.values((fused.inspectItem(items.length) as { weights: Record<string, number> }).weights);
          expect(shares).toHaveLength(names.length);
          expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 12);
        },
      ),
    );
  });

  it('keeps the proportion of the others when one feature is missing', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.double({ min: 0.05, max: 5, noNaN: true }), { minLength: 3, maxLength: 3 }),
        async ([first, second, third]) => {
          // Directions along the axes: the fused vector shows the weights as they are.
          const features = [
            featureOf('a', [
              [1, 0, 0],
              [1, 0, 0],
            ]),
            featureOf('b', [
              [0, 2, 0],
              [0, 2, 0],
            ]),
            featureOf('c', [[0, 0, 3], null]),
          ];
          const fused = new Weighted(options({ weights: { a: first, b: second, c: third } }), features);
          const [all, some] = (await extracted(fused, batchOf(features, [0, 1]))) as [number[], number[]];
          expect(all.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 5);
          expect(some.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 5);
          expect((all[0] as number) / (all[1] as number)).toBeCloseTo((some[0] as number) / (some[1] as number), 3);
        },
      ),
    );
  });

  it('refuses features of different spaces', () => {
    const wide = featureOf('wide', [[1, 2, 3]]);
    expect(() => new Weighted(options(), [text, wide])).toThrow(expect.objectContaining({ code: 'MULTIMODAL_WIDTHS' }));
    // A feature of weight 0 is not fused, so that its width does not matter.
    expect(new Weighted(options({ weights: { wide: 0 } }), [text, wide]).width).toBe(2);
  });

  it.each([
    ['a name that is not given', { picture: 1 }],
    ['no feature left', { text: 0, image: 0 }],
  ])('refuses %s', (_, weights) => {
    expect(() => new Weighted(options({ weights }), [text, image])).toThrow(expect.objectContaining({ code: 'MULTIMODAL_FEATURES' }));
  });

  it('refuses a feature given twice', () => {
    expect(() => new Weighted(options(), [text, text])).toThrow(expect.objectContaining({ code: 'MULTIMODAL_FEATURES' }));
  });

  it('answers a query that brings one feature alone', async () => {
    const fused = new Weighted(options(), [text, image]);
    const batch = { ...queryBatch([text], [0]), features: {} };
    expect(await extracted(fused, batch)).toEqual([null]);
    expect(await extracted(fused, { ...queryBatch([text], [1]) })).toEqual([[0, 1]]);
  });
});
