import { describe, expect, it } from 'vitest';
import { pool } from './pooling.js';

describe('pooling', () => {
  // Two tokens of width 2 after one number that belongs to another text. By hand: mean (3, 4), length 5.
  const hidden = Float32Array.of(99, 1, 2, 5, 6);
  it('takes the mean or the first token, scaled to length 1 or not', () => {
    const out = new Float32Array(2);
    expect(pool(hidden, 1, 2, 2, 'mean', false, out)).toBe(true);
    expect([...out]).toEqual([3, 4]);
    pool(hidden, 1, 2, 2, 'mean', true, out);
    expect([...out]).toEqual([Math.fround(0.6), Math.fround(0.8)]);
    pool(hidden, 1, 2, 2, 'cls', false, out);
    expect([...out]).toEqual([1, 2]);
  });
  it('refuses what has no direction or is not finite, and writes nothing', () => {
    const out = new Float32Array(2);
    expect(pool(new Float32Array(4), 0, 2, 2, 'mean', true, out)).toBe(false);
    expect(pool(Float32Array.of(Number.NaN, 1), 0, 1, 2, 'mean', false, out)).toBe(false);
    expect(pool(Float32Array.of(Number.POSITIVE_INFINITY, 1), 0, 1, 2, 'cls', false, out)).toBe(false);
    expect([...out]).toEqual([0, 0]);
  });
});
