import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { areaUnderCurve, clickMetrics } from './clicks.js';

const labels = [0, 1, 1, 0, 1, 0, 0, 1];
const predictions = [0.1, 0.8, 0.4, 0.4, 0.9, 0.35, 0.6, 0.55];

describe('clickMetrics', () => {
  it('equals scikit-learn 1.9: roc_auc_score and log_loss', () => {
    const found = clickMetrics(predictions, labels);
    expect(found.auc).toBe(0.84375);
    expect(found.logLoss).toBeCloseTo(0.4757364483740297, 12);
  });

  it('gives the calibration error worked out by hand', () => {
    // Two bins. Below .5: .1 0, .4 1, .4 0, .35 0 → mean .3125, share .25: 4/8 × .0625 = .03125.
    // From .5: .8 1, .9 1, .6 0, .55 1 → mean .7125, share .75: 4/8 × .0375 = .01875. Sum .05.
    expect(clickMetrics(predictions, labels, 2).calibrationError).toBeCloseTo(0.05, 12);
  });

  it('keeps certainty finite and has no figure without examples', () => {
    expect(clickMetrics([1, 0], [0, 1]).logLoss).toBeCloseTo(-Math.log(1e-15), 1);
    expect(clickMetrics([], [])).toEqual({ auc: Number.NaN, logLoss: Number.NaN, calibrationError: Number.NaN });
    expect(clickMetrics([0.3], [1]).auc).toBeNaN();
  });

  it('refuses what is not a probability', () => {
    expect(() => clickMetrics([1.2], [1])).toThrow(RangeError);
    expect(() => clickMetrics([Number.NaN], [1])).toThrow(RangeError);
    expect(() => clickMetrics([0.5], [1, 0])).toThrow(RangeError);
    expect(() => areaUnderCurve([1, Number.NaN, 2], [1, 0, 1])).toThrow(RangeError);
  });

  it('is the share of pairs in the right order', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.boolean()), { minLength: 2, maxLength: 12 }), (rows) => {
        const positives = rows.filter(([, positive]) => positive);
        const negatives = rows.filter(([, positive]) => !positive);
        fc.pre(positives.length > 0 && negatives.length > 0);
        let right = 0;
        for (const [high] of positives) for (const [low] of negatives) right += high > low ? 1 : high === low ? 0.5 : 0;
        const found = areaUnderCurve(
          rows.map(([score]) => score),
          rows.map(([, positive]) => (positive ? 1 : 0)),
        );
        expect(found).toBeCloseTo(right / (positives.length * negatives.length), 12);
      }),
    );
  });
});
