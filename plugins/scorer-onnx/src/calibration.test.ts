import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { finisherOf, isotonic, platt, sigmoid } from './calibration.js';

// scikit-learn 1.9.1's own numbers: fixtures/make.fixture.py.
const { calibration } = JSON.parse(await readFile(new URL('./fixtures/expected.fixture.json', import.meta.url), 'utf8')) as {
  calibration: {
    points: number[];
    platt: { a: number; b: number; y: number[] };
    isotonic: { x: number[]; knots: number[]; y: number[] };
  };
};

describe('sigmoid', () => {
  it('by hand, and without overflow', () => {
    expect(sigmoid(0)).toBe(0.5);
    expect(sigmoid(Math.log(3))).toBeCloseTo(0.75, 15);
    expect(sigmoid(-Math.log(3))).toBeCloseTo(0.25, 15);
    expect(sigmoid(1000)).toBe(1);
    expect(sigmoid(-1000)).toBe(0);
    expect(sigmoid(Number.NaN)).toBeNaN();
  });
});

describe('platt', () => {
  it("gives LogisticRegression's probabilities", () => {
    const { a, b, y } = calibration.platt;
    calibration.points.forEach((point, place) => expect(platt(point, a, b)).toBeCloseTo(y[place] as number, 12));
  });
});

describe('isotonic', () => {
  it("gives IsotonicRegression's probabilities, clipped outside", () => {
    const { x, knots, y } = calibration.isotonic;
    expect(x.length).toBeGreaterThan(4);
    calibration.points.forEach((point, place) => expect(isotonic(point, x, knots)).toBeCloseTo(y[place] as number, 12));
  });

  it('by hand: lines between the knots, constant outside, one knot alone', () => {
    expect([-5, 0, 1, 2, 3, 9].map((point) => isotonic(point, [0, 2, 3], [0.125, 0.625, 0.875]))).toEqual([
      0.125, 0.125, 0.375, 0.625, 0.875, 0.875,
    ]);
    expect([-1, 0, 1].map((point) => isotonic(point, [0], [0.4]))).toEqual([0.4, 0.4, 0.4]);
    expect(isotonic(Number.NaN, [0, 1], [0, 1])).toBeNaN();
  });
});

describe('finisherOf', () => {
  const finish = (description: Parameters<typeof finisherOf>[0]): number[] => {
    const values = Float32Array.of(0, 2, Number.NaN);
    finisherOf(description)?.(values);
    return [...values];
  };

  it('a logit becomes a probability; a probability and a score stay', () => {
    expect(finish({ kind: 'logit' })).toEqual([0.5, Math.fround(sigmoid(2)), Number.NaN]);
    expect(finish({ kind: 'score' })).toEqual([0, 2, Number.NaN]);
    expect(finish({ kind: 'probability' })).toEqual([0, 2, Number.NaN]);
  });

  it('a calibration works on the raw output, also of a logit', () => {
    expect(finish({ kind: 'logit', calibration: { method: 'platt', a: 0.5, b: -1 } })).toEqual([Math.fround(sigmoid(-1)), 0.5, Number.NaN]);
    expect(finish({ kind: 'probability', calibration: { method: 'isotonic', x: [0, 4], y: [0.25, 0.75] } })).toEqual([
      0.25,
      0.5,
      Number.NaN,
    ]);
  });
});
