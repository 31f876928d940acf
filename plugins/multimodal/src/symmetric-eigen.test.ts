import { createRandomStream } from '@recloom/plugin-api';
import { describe, expect, it } from 'vitest';
import { symmetricEigen } from './symmetric-eigen.js';

const signal = new AbortController().signal;

/** A V = V Λ and VᵀV = I, as the largest violation relative to the matrix. */
function violation(matrix: Float64Array, size: number, values: Float64Array, vectors: Float64Array): number {
  let worst = 0;
  const scale = Math.max(...matrix.map(Math.abs), 1e-300);
  for (let one = 0; one < size; one++) {
    for (let row = 0; row < size; row++) {
      let image = 0;
      for (let column = 0; column < size; column++)
        image += (matrix[row * size + column] as number) * (vectors[one * size + column] as number);
      worst = Math.max(worst, Math.abs(image - (values[one] as number) * (vectors[one * size + row] as number)) / scale);
    }
    for (let other = 0; other < size; other++) {
      let dot = 0;
      for (let column = 0; column < size; column++)
        dot += (vectors[one * size + column] as number) * (vectors[other * size + column] as number);
      worst = Math.max(worst, Math.abs(dot - (one === other ? 1 : 0)));
    }
  }
  return worst;
}

describe('symmetricEigen', () => {
  it('finds what is known by hand', async () => {
    // [[2, 1], [1, 2]]: 3 along (1, 1), 1 along (1, −1).
    const { values, vectors } = await symmetricEigen(Float64Array.of(2, 1, 1, 2), 2, signal);
    expect([...values]).toEqual([expect.closeTo(3, 12), expect.closeTo(1, 12)]);
    expect([...vectors].map((value) => Math.abs(value))).toEqual(
      Array.from({ length: 4 }, () => expect.closeTo(Math.SQRT1_2, 12) as number),
    );
    // The second difference matrix of order 5: 2 − 2 cos(kπ / 6).
    const chain = Float64Array.from({ length: 25 }, (_, at) => {
      const apart = Math.abs(Math.floor(at / 5) - (at % 5));
      return apart === 0 ? 2 : apart === 1 ? -1 : 0;
    });
    const found = await symmetricEigen(chain, 5, signal);
    [5, 4, 3, 2, 1].forEach((k, place) => {
      expect(found.values[place]).toBeCloseTo(2 - 2 * Math.cos((k * Math.PI) / 6), 12);
    });
  });

  it.each([1, 2, 3, 10, 40])('holds A V = V Λ with orthonormal V for random matrices of order %i', async (size) => {
    const random = createRandomStream(size);
    for (const kind of ['full', 'low rank', 'equal values', 'wide range'] as const) {
      const matrix = new Float64Array(size * size);
      const vectors = kind === 'low rank' ? 2 : size;
      for (let vector = 0; vector < vectors; vector++) {
        const draw = Array.from({ length: size }, () => random.normal());
        const weight = kind === 'wide range' ? 10 ** -(vector % 12) : 1;
        for (let at = 0; at < matrix.length; at++) {
          matrix[at] = (matrix[at] as number) + weight * (draw[Math.floor(at / size)] as number) * (draw[at % size] as number);
        }
      }
      if (kind === 'equal values') matrix.fill(0).forEach((_, at) => (matrix[at] = Math.floor(at / size) === at % size ? 4 : 0));
      const eigen = await symmetricEigen(matrix.slice(), size, signal);
      expect(violation(matrix, size, eigen.values, eigen.vectors)).toBeLessThan(1e-11);
      for (let place = 1; place < size; place++) expect(eigen.values[place - 1]).toBeGreaterThanOrEqual(eigen.values[place] as number);
    }
  });

  it('takes an empty matrix', async () => {
    expect((await symmetricEigen(new Float64Array(0), 0, signal)).values).toHaveLength(0);
  });
});
