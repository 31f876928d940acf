import { describe, expect, it } from 'vitest';
import { rankingMetrics } from './ranking.js';

/** Letters as item numbers, so that the lists read like those that were given to the reference implementation. */
const item = (name: string): number => Array.from(name).reduce((sum, letter) => sum * 256 + letter.charCodeAt(0), 0);
const grades = (entries: Record<string, number>): Map<number, number> =>
  new Map(Object.entries(entries).map(([name, grade]) => [item(name), grade]));
const list = (names: string): number[] => names.split(' ').map(item);

describe('rankingMetrics', () => {
  // Outputs of pytrec_eval-terrier (trec_eval), 2026-11: map_cut divides by all relevant items, ndcg_cut uses linear gains.
  const cases = [
    {
      name: 'four graded items, three found',
      ranked: 'c z a y1 y2 e y3 y4 y5 y6',
      relevant: { a: 1, c: 3, e: 2, g: 1 },
      at: {
        5: { P: 0.4, recall: 0.5, ndcg: 0.6740444276, map: 0.4166666667, rr: 1 },
        10: { P: 0.3, recall: 0.75, ndcg: 0.8112441245, map: 0.5416666667, rr: 1 },
      },
    },
    {
      name: 'one item at place four',
      ranked: 'n1 n2 n3 b',
      relevant: { b: 1 },
      at: { 5: { P: 0.2, recall: 1, ndcg: 0.4306765581, map: 0.25, rr: 0.25 } },
    },
    {
      name: 'the lower grade first',
      ranked: 'y n x',
      relevant: { x: 2, y: 1 },
      at: { 5: { P: 0.4, recall: 1, ndcg: 0.7601875334, map: 0.8333333333, rr: 1 } },
    },
  ];
  for (const { name, ranked, relevant, at } of cases) {
    it(`equals trec_eval: ${name}`, () => {
      for (const [k, expected] of Object.entries(at)) {
        const found = rankingMetrics(list(ranked), grades(relevant), Number(k));
        expect(found.precision).toBeCloseTo(expected.P, 9);
        expect(found.recall).toBeCloseTo(expected.recall, 9);
        expect(found.gradedNdcg).toBeCloseTo(expected.ndcg, 9);
        expect(found.reciprocalRank).toBeCloseTo(expected.rr, 9);
        // Ours divides by min(k, relevant), trec_eval by all relevant items: the same while k holds them all.
        expect(found.averagePrecision).toBeCloseTo(expected.map, 9);
      }
    });
  }

  it('equals RecTools 0.19: MRR and F1 at 3', () => {
    const found = rankingMetrics(list('b c e'), grades({ c: 1, e: 1 }), 3);
    expect(found.reciprocalRank).toBe(0.5);
    expect(found.f1).toBeCloseTo(0.8, 12);
    expect(found.averagePrecision).toBeCloseTo(0.5833333333, 9);
  });

  it('weighs exponential gains as worked out by hand', () => {
    // Grades y 1, x 2 as 1 and 3; list y n x: 1/log2(2) + 3/log2(4) = 2.5; ideal 3 + 1/log2(3) = 3.6309297536.
    expect(rankingMetrics(list('y n x'), grades({ x: 2, y: 1 }), 5, { gain: 'exponential' }).gradedNdcg).toBeCloseTo(2.5 / 3.6309297536, 9);
  });

  it('cuts the ideal of MAP and NDCG at k', () => {
    // Three relevant items, k = 2, both first: nothing better can be shown.
    const found = rankingMetrics(list('a b'), grades({ a: 1, b: 1, c: 1 }), 2);
    expect([found.averagePrecision, found.ndcg, found.gradedNdcg, found.recall]).toEqual([1, 1, 1, expect.closeTo(2 / 3, 12)]);
  });

  it('adds up the values of the hits and passes over those without one', () => {
    const price = new Map([
      [item('a'), 2.5],
      [item('b'), Number.NaN],
    ]);
    expect(rankingMetrics(list('a b z'), grades({ a: 1, b: 1 }), 3, { value: (row) => price.get(row) ?? 0 }).revenue).toBe(2.5);
    expect(rankingMetrics(list('a'), grades({ a: 1 }), 3).revenue).toBeNaN();
  });

  it('refuses a case without relevant items and an impossible k', () => {
    expect(() => rankingMetrics([1], new Map([[1, 0]]), 5)).toThrow(RangeError);
    expect(() => rankingMetrics([1], new Map([[1, 1]]), 0)).toThrow(RangeError);
  });
});
