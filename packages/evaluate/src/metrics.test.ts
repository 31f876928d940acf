import { describe, expect, it } from 'vitest';
import { meanOf, scoreList } from './metrics.js';

describe('scoreList', () => {
  it('equals values worked out by hand', () => {
    // Relevant {1, 3, 5, 7}, list 3 9 1: gains at places 1 and 3 = 1/log2(2) + 1/log2(4) = 1.5;
    // ideal at k = 3: 1 + 1/log2(3) + 1/2 = 1 + 0.6309297536 + 0.5 = 2.1309297536. NDCG = 0.7039180890.
    const found = scoreList([3, 9, 1], new Set([1, 3, 5, 7]), 3);
    expect(found.ndcg).toBeCloseTo(0.703918089, 9);
    expect(found.recall).toBe(0.5);
    expect(found.hitRate).toBe(1);
  });

  it('cuts the ideal at the number of relevant items', () => {
    // One relevant item at place 2 of ten: DCG 1/log2(3), ideal 1.
    expect(scoreList([4, 2, 0, 1, 3, 5, 6, 7, 8, 9], new Set([2]), 10).ndcg).toBeCloseTo(0.6309297536, 9);
  });

  it('counts nothing beyond k and gives 0 without a hit', () => {
    expect(scoreList([1, 2, 3], new Set([3]), 2)).toEqual({ ndcg: 0, recall: 0, hitRate: 0 });
    expect(scoreList([], new Set([3]), 2)).toEqual({ ndcg: 0, recall: 0, hitRate: 0 });
  });

  it('refuses a case without relevant items', () => {
    expect(() => scoreList([1], new Set(), 10)).toThrow(RangeError);
  });
});

describe('meanOf', () => {
  it('gives mean and standard error', () => {
    // 1, 2, 3, 4: mean 2.5, variance 1.25, standard error √(1.25 / 4) = 0.5590169944.
    expect(meanOf(Float64Array.of(1, 2, 3, 4))).toEqual({ mean: 2.5, standardError: expect.closeTo(0.5590169944, 9) });
    expect(meanOf(new Float64Array(0))).toEqual({ mean: 0, standardError: 0 });
  });
});
