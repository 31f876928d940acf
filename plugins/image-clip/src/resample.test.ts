import { describe, expect, it } from 'vitest';
import { enlarge } from './resample.js';
import { Turns } from './turns.js';

const whole = (width: number, height: number) => ({ left: 0, top: 0, width, height });

const turns = new Turns();

describe('enlarging by Lanczos', () => {
  // Pillow 13.0.0: Image.fromarray(a).resize((12, 9), Image.LANCZOS)[2:6, 3:8], a[y, x] = ((53x + 31y) % 256, (29xy) % 256, 255((x + y) % 2)).
  const byPillow = [
    [65, 13, 73, 92, 22, 107, 113, 27, 172, 129, 30, 172, 147, 32, 107],
    [83, 29, 3, 109, 44, 82, 130, 56, 229, 149, 68, 229, 171, 81, 82],
    [97, 41, 128, 121, 59, 128, 140, 76, 128, 169, 100, 128, 204, 135, 128],
    [110, 53, 252, 132, 79, 173, 150, 101, 26, 188, 124, 26, 234, 151, 173],
  ];
  const picture = new Uint8Array(60);
  for (let y = 0; y < 4; y++) {
    for (let x = 0; x < 5; x++) picture.set([(x * 53 + y * 31) % 256, (x * y * 29) % 256, 255 * ((x + y) % 2)], (y * 5 + x) * 3);
  }

  it("gives Pillow's bytes, the whole or a part of it", async () => {
    // Pillow sums in fixed point: where the sum is near a half, its byte may be the next one. One of these 60 is.
    const differences = (found: Uint8Array, expected: readonly number[]): number[] =>
      [...found].map((value, place) => Math.abs(value - (expected[place] ?? -9)));
    const part = await enlarge(picture, 5, 4, 12, 9, { left: 3, top: 2, width: 5, height: 4 }, turns);
    const apart = differences(part, byPillow.flat());
    expect(Math.max(...apart)).toBeLessThanOrEqual(1);
    expect(apart.filter((difference) => difference > 0).length).toBeLessThanOrEqual(1);
    const all = await enlarge(picture, 5, 4, 12, 9, whole(12, 9), turns);
    for (let y = 0; y < 4; y++)
      expect(all.subarray(((y + 2) * 12 + 3) * 3, ((y + 2) * 12 + 8) * 3)).toEqual(part.subarray(y * 15, (y + 1) * 15));
  });

  it('keeps one colour as it is, over any number of turns', async () => {
    const plain = new Uint8Array(3 * 100 * 100).fill(77);
    expect(new Set(await enlarge(plain, 100, 100, 300, 256, whole(300, 256), turns))).toEqual(new Set([77]));
    expect(new Set(await enlarge(Uint8Array.of(9, 9, 9), 1, 1, 256, 256, { left: 16, top: 16, width: 224, height: 224 }, turns))).toEqual(
      new Set([9]),
    );
  });
});
