import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mixUnits, unitRow } from './unit-length.js';

describe('vectors of length 1', () => {
  it('come from any row that has a direction', () => {
    expect([...(unitRow([9, 9, 3, 4], 1, 2) ?? [])].map((value) => Number(value.toFixed(6)))).toEqual([0.6, 0.8]);
    for (const bad of [
      [0, 0],
      [Number.NaN, 1],
      [Number.POSITIVE_INFINITY, 0],
    ])
      expect(unitRow(bad, 0, 2)).toBeUndefined();
  });

  it('mix by their weights, and cancel out', () => {
    const right = Float32Array.of(1, 0);
    const up = Float32Array.of(0, 1);
    // 3 right + 1 up, over the square root of 10.
    const mixed = mixUnits(right, 0.75, up, 0.25) ?? new Float32Array(2);
    expect(mixed[0]).toBeCloseTo(0.948683, 6);
    expect(mixed[1]).toBeCloseTo(0.316228, 6);
    expect(mixUnits(right, 0.5, Float32Array.of(-1, 0), 0.5)).toBeUndefined();
  });

  it('of any two directions and weights lie between them', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 3, noNaN: true }), fc.double({ min: 0.01, max: 1, noNaN: true }), (angle, weight) => {
        const other = Float32Array.of(Math.cos(angle), Math.sin(angle));
        const [x = 0, y = 0] = mixUnits(Float32Array.of(1, 0), 1, other, weight) ?? [];
        expect(Math.hypot(x, y)).toBeCloseTo(1, 5);
        expect(Math.atan2(y, x)).toBeLessThanOrEqual(angle + 1e-5);
        expect(Math.atan2(y, x)).toBeGreaterThanOrEqual(-1e-5);
      }),
    );
  });
});
