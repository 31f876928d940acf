import { createRandomStream } from '@recloom/plugin-api';
import { singleThreadCompute } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { denseProduct, gramOf, orthonormalise, transpose } from './dense.js';

const work = { compute: singleThreadCompute(), signal: new AbortController().signal };

function draw(length: number, seed: number): Float32Array {
  const random = createRandomStream(seed);
  return Float32Array.from({ length }, () => random.normal());
}

describe('denseProduct', () => {
  it('multiplies, in slices too', async () => {
    const rows = 1500;
    const left = draw(rows * 3, 1).map((value, at) => (at % 5 === 0 ? 0 : value));
    const right = draw(3 * 4, 2);
    const product = await denseProduct(left, 3, right, 4, work);
    for (const row of [0, 1, 1023, 1024, 1499]) {
      for (let column = 0; column < 4; column++) {
        let sum = 0;
        for (let inner = 0; inner < 3; inner++) sum += (left[row * 3 + inner] as number) * (right[inner * 4 + column] as number);
        expect(product[row * 4 + column]).toBeCloseTo(sum, 5);
      }
    }
  });

  it('gives a row the same bits whatever stands beside it', async () => {
    const left = draw(7 * 33, 3);
    const right = draw(33 * 5, 4);
    const together = await denseProduct(left, 33, right, 5, work);
    for (let row = 0; row < 7; row++) {
      const alone = await denseProduct(left.slice(row * 33, (row + 1) * 33), 33, right, 5, work);
      expect([...alone]).toEqual([...together.subarray(row * 5, (row + 1) * 5)]);
    }
  });
});

describe('orthonormalise', () => {
  it('makes columns orthonormal and keeps their span', async () => {
    const matrix = draw(50 * 6, 5);
    // Nearly parallel columns, of lengths that differ by a million.
    for (let row = 0; row < 50; row++) matrix[row * 6 + 1] = (matrix[row * 6] as number) * 1e3 + (matrix[row * 6 + 1] as number) * 1e-1;
    const before = matrix.slice();
    await orthonormalise(matrix, 6, work.signal);
    const gram = await gramOf(matrix, 6, work.signal);
    gram.forEach((value, at) => {
      expect(Math.abs(value - (Math.floor(at / 6) === at % 6 ? 1 : 0))).toBeLessThan(1e-5);
    });
    // What is left of each old column after projection on the new ones.
    const coordinates = await denseProduct(transpose(before, 6), 50, matrix, 6, work);
    const back = await denseProduct(coordinates, 6, transpose(matrix, 6), 50, work);
    const old = transpose(before, 6);
    for (let column = 0; column < 6; column++) {
      const length = Math.hypot(...old.subarray(column * 50, (column + 1) * 50));
      const rest = Math.hypot(
        ...old.subarray(column * 50, (column + 1) * 50).map((value, at) => value - (back[column * 50 + at] as number)),
      );
      expect(rest / length).toBeLessThan(1e-4);
    }
  });

  it('makes a dependent column zero', async () => {
    const matrix = Float32Array.of(1, 2, 0, 2, 4, 0, 0, 0, 0);
    await orthonormalise(matrix, 3, work.signal);
    expect([...transpose(matrix, 3).subarray(3)].every((value) => value === 0)).toBe(true);
    expect(Math.hypot(...transpose(matrix, 3).subarray(0, 3))).toBeCloseTo(1, 6);
  });
});
