import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { confidence, lift, logLikelihoodRatio, npmi } from './measures.js';

describe('measures of a pair', () => {
  // Lift and NPMI by hand from their formulas; G² by scipy 1.15:
  // chi2_contingency([[both, left - both], [right - both, rest]], lambda_='log-likelihood', correction=False).
  it.each([
    // 4 baskets of 10 with both, 5 and 6 with each: lift 40 / 30; NPMI ln(4 / 3) / -ln(.4).
    [{ both: 4, left: 5, right: 6, total: 10 }, 0.8, 4 / 3, 0.313963748, 1.7260924347],
    // Never apart: NPMI 1.
    [{ both: 2, left: 2, right: 2, total: 50 }, 1, 25, 1, 16.7944147734],
    [{ both: 30, left: 100, right: 60, total: 1000 }, 0.3, 5, 0.45897942, 68.7016417748],
    [{ both: 1, left: 1, right: 1, total: 2 }, 1, 2, 1, 2.7725887222],
    // Independent: 10 = 20 * 50 / 100.
    [{ both: 10, left: 20, right: 50, total: 100 }, 0.5, 1, 0, 0],
  ])('%j', (counts, expectedConfidence, expectedLift, expectedNpmi, significance) => {
    expect(confidence(counts)).toBeCloseTo(expectedConfidence, 9);
    expect(lift(counts)).toBeCloseTo(expectedLift, 9);
    expect(npmi(counts)).toBeCloseTo(expectedNpmi, 8);
    expect(logLikelihoodRatio(counts)).toBeCloseTo(significance, 8);
  });

  it('knows the ends: never together -1, always in everything 0', () => {
    expect(npmi({ both: 0, left: 3, right: 3, total: 10 })).toBe(-1);
    expect(npmi({ both: 7, left: 7, right: 7, total: 7 })).toBe(0);
  });

  it('is symmetric but for confidence, and stays in its range', () => {
    const counts = fc
      .tuple(fc.nat(50), fc.nat(50), fc.nat(50), fc.nat(50))
      .filter(([both, onlyLeft, onlyRight, rest]) => both > 0 && both + onlyLeft + onlyRight + rest > 1)
      .map(([both, onlyLeft, onlyRight, rest]) => ({
        both,
        left: both + onlyLeft,
        right: both + onlyRight,
        total: both + onlyLeft + onlyRight + rest,
      }));
    fc.assert(
      fc.property(counts, (given) => {
        const mirrored = { ...given, left: given.right, right: given.left };
        expect(npmi(mirrored)).toBeCloseTo(npmi(given), 12);
        expect(logLikelihoodRatio(mirrored)).toBeCloseTo(logLikelihoodRatio(given), 8);
        expect(Math.abs(npmi(given))).toBeLessThanOrEqual(1 + 1e-12);
        expect(logLikelihoodRatio(given)).toBeGreaterThanOrEqual(0);
        expect(Math.sign(Math.round(npmi(given) * 1e9))).toBe(Math.sign(Math.round(Math.log(lift(given)) * 1e9)));
      }),
    );
  });
});
