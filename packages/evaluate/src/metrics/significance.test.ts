import { describe, expect, it } from 'vitest';
import { bootstrapMeans, holmCorrection, pairedBootstrap, pairedRandomisationTest } from './significance.js';

/** A deterministic series of 300 differences with a small mean. */
const series = (offset: number): Float64Array => Float64Array.from({ length: 300 }, (_, index) => ((index * 37) % 101) / 101 - offset);
const zeros = new Float64Array(300);

describe('pairedRandomisationTest', () => {
  it('is exact for few cases: scipy.stats.permutation_test (samples) gives .09375', () => {
    const left = [0.5, 0.2, 0.9, 0.4, 0.7, 0.1, 0.8, 0.3];
    const right = [0.4, 0.25, 0.6, 0.4, 0.5, 0.2, 0.55, 0.1];
    expect(pairedRandomisationTest(left, right)).toBeCloseTo(0.09375, 12);
  });

  it('comes near scipy with 50,000 resamples: .0075 and .1505', () => {
    expect(pairedRandomisationTest(series(0.45), zeros)).toBeCloseTo(0.0075, 2);
    expect(Math.abs(pairedRandomisationTest(series(0.47), zeros) - 0.1505)).toBeLessThan(0.012);
  });

  it('finds nothing where nothing differs, and never p = 0', () => {
    expect(pairedRandomisationTest([0.3, 0.4], [0.3, 0.4])).toBe(1);
    // The same sums in another order.
    expect(pairedRandomisationTest(new Float64Array(100).fill(0.1 + 0.2), new Float64Array(100).fill(0.3))).toBe(1);
    expect(pairedRandomisationTest(new Float64Array(100).fill(1), new Float64Array(100))).toBeCloseTo(1 / 10_001, 12);
  });

  it('refuses what cannot be paired', () => {
    expect(() => pairedRandomisationTest([1], [1, 2])).toThrow(RangeError);
    expect(() => pairedRandomisationTest([], [])).toThrow(RangeError);
  });
});

describe('pairedBootstrap', () => {
  it('comes near scipy.stats.bootstrap (percentile, 50,000 resamples): [.0116, .0768] around .0440', () => {
    const found = pairedBootstrap(series(0.45), zeros);
    expect(found.mean).toBeCloseTo(0.0439933993, 9);
    expect(Math.abs(found.low - 0.01158)).toBeLessThan(0.0015);
    expect(Math.abs(found.high - 0.07677)).toBeLessThan(0.0015);
  });

  it('gives the same interval for the same seed, and a narrower one for less confidence', () => {
    const wide = pairedBootstrap(series(0.45), zeros, { seed: 3 });
    expect(pairedBootstrap(series(0.45), zeros, { seed: 3 })).toEqual(wide);
    const narrow = pairedBootstrap(series(0.45), zeros, { seed: 3, confidence: 0.5 });
    expect(narrow.high - narrow.low).toBeLessThan(wide.high - wide.low);
  });
});

describe('holmCorrection', () => {
  it('equals values worked out by hand', () => {
    // Sorted .01 ×4 = .04, .02 ×3 = .06, .03 ×2 = .06, .8 ×1 = .8.
    expect(holmCorrection([0.03, 0.01, 0.8, 0.02])).toEqual([0.06, 0.04, 0.8, 0.06].map((value) => expect.closeTo(value, 12)));
    expect(holmCorrection([0.6, 0.7])).toEqual([1, 1]);
    expect(holmCorrection([])).toEqual([]);
  });
});

describe('bootstrapMeans', () => {
  const one = [0, 0.2, 0.9, 1, 0.3, 0, 0, 0.63];
  const other = [1, 0, 0, 1, 0, 1, 1, 0];

  it('is for each column what pairedBootstrap is against nothing, from the same draws', () => {
    const nothing = one.map(() => 0);
    const alone = [one, other].map((column) => pairedBootstrap(column, nothing, { rounds: 500, seed: 4 }));
    expect(bootstrapMeans([one, other], { rounds: 500, seed: 4 })).toEqual(alone);
    expect(alone[0]?.low).toBeLessThan(alone[0]?.mean as number);
  });

  it('has a point for equal figures and for one case, and nothing for no column', () => {
    expect(bootstrapMeans([[3, 3, 3]], { rounds: 100 })).toEqual([{ mean: 3, low: 3, high: 3, confidence: 0.95 }]);
    expect(bootstrapMeans([[0.25]], { rounds: 100 })[0]).toMatchObject({ low: 0.25, high: 0.25 });
    expect(bootstrapMeans([])).toEqual([]);
    expect(() => bootstrapMeans([[]])).toThrow(RangeError);
    expect(() => bootstrapMeans([[1], [1, 2]])).toThrow(RangeError);
  });
});
