import { describe, expect, it } from 'vitest';
import { LiveFeature } from './live-feature.js';

const stored = () => ({ width: 2, values: Float32Array.of(1, 2, 3, 4), presence: Uint8Array.of(1, 1) });

describe('LiveFeature', () => {
  it('takes changed and added rows and leaves what was stored as it was', async () => {
    const before = stored();
    const feature = new LiveFeature('text', before);
    await feature.reserve(4);
    feature.update(Int32Array.of(1, 3), Float32Array.of(9, 8, 7, 6), Uint8Array.of(1, 1));
    expect(Array.from(feature.values)).toEqual([1, 2, 9, 8, 0, 0, 7, 6]);
    expect(Array.from(feature.presence)).toEqual([1, 1, 0, 1]);
    expect([feature.rowCount, feature.version, ...feature.changedSince(0)]).toEqual([4, 1, 1, 3]);
    expect(before).toEqual(stored());
  });

  it('copies large matrices in stretches, during which the old one is read', async () => {
    const rows = 400_000;
    const values = Float32Array.from({ length: rows * 2 }, (_, index) => index % 1_000);
    const feature = new LiveFeature('text', { width: 2, values, presence: new Uint8Array(rows).fill(1) });
    let turns = 0;
    let isDone = false;
    const copying = feature.reserve(rows + 1).then(() => {
      isDone = true;
    });
    while (!isDone) {
      expect(feature.values.length).toBe(rows * 2);
      turns++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    await copying;
    // 800,000 numbers in stretches of 65,536.
    expect(turns).toBeGreaterThanOrEqual(12);
    feature.update(Int32Array.of(rows), Float32Array.of(1, 1), Uint8Array.of(1));
    expect(Buffer.compare(new Uint8Array(feature.values.slice(0, -2).buffer), new Uint8Array(values.buffer))).toBe(0);
  });

  it('refuses rows that no room was made for', async () => {
    const feature = new LiveFeature('text', stored());
    expect(() => feature.update(Int32Array.of(0), Float32Array.of(1, 1), Uint8Array.of(1))).toThrow(RangeError);
    await feature.reserve(2);
    feature.update(Int32Array.of(0), Float32Array.of(1, 1), Uint8Array.of(1));
    expect(() => feature.update(Int32Array.of(1_000), Float32Array.of(1, 1), Uint8Array.of(1))).toThrow(RangeError);
  });
});
