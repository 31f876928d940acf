import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { createComputePool } from './compute-pool.js';
import { choleskyFactor, choleskyFactorNow, inPlaceSize, invertPositiveDefinite, invertPositiveDefiniteNow } from './factorization.js';
import { createKernels, type Kernels } from './kernels.js';

const wasm = createKernels({ implementation: 'wasm' });
const twin = createKernels({ implementation: 'typescript' });
const both: [string, Kernels][] = [
  ['wasm', wasm],
  ['typescript', twin],
];

afterAll(() => {
  expect(wasm.bytesInUse).toBe(0);
  expect(twin.bytesInUse).toBe(0);
});

/** A well-conditioned positive definite matrix: Z Z^T / size + 2 I. */
function positiveDefinite(size: number, seed: number): Float32Array {
  let state = seed >>> 0;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296 - 0.5;
  };
  const inner = Math.min(size, 24);
  const factors = Float64Array.from({ length: size * inner }, next);
  const matrix = new Float32Array(size * size);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      let sum = row === column ? 2 : 0;
      for (let index = 0; index < inner; index++) {
        sum += (factors[row * inner + index] as number) * (factors[column * inner + index] as number);
      }
      matrix[row * size + column] = sum;
      matrix[column * size + row] = sum;
    }
  }
  return matrix;
}

/** The largest deviation of left times right from the identity, over some rows. */
function distanceFromIdentity(left: Float32Array, right: Float32Array, size: number): number {
  let worst = 0;
  const stepSize = Math.max(1, Math.floor(size / 40));
  for (let row = 0; row < size; row += stepSize) {
    for (let column = 0; column < size; column++) {
      let sum = 0;
      for (let index = 0; index < size; index++) {
        sum += (left[row * size + index] as number) * (right[index * size + column] as number);
      }
      worst = Math.max(worst, Math.abs(sum - (row === column ? 1 : 0)));
    }
  }
  return worst;
}

/** Typed arrays are compared as bytes: the matcher's walk over each element takes seconds here. */
function sameBits(one: Float32Array, other: Float32Array): boolean {
  return Buffer.from(one.buffer, one.byteOffset, one.byteLength).equals(Buffer.from(other.buffer, other.byteOffset, other.byteLength));
}

describe.each(both)('%s', (name, kernels) => {
  test('a matrix inverted by hand', () => {
    // [[4, 2], [2, 3]] has determinant 8.
    const inverse = invertPositiveDefiniteNow(kernels, Float32Array.of(4, 2, 2, 3), 2);
    expect(Array.from(inverse)).toEqual([0.375, -0.25, -0.25, 0.5]);
    expect(Array.from(choleskyFactorNow(kernels, Float32Array.of(4, 2, 2, 5), 2))).toEqual([2, 0, 1, 2]);
    // 4x + 2y = 8 and 2x + 5y = 12 give x = 1, y = 2.
    expect(Array.from(kernels.choleskySolve(Float32Array.of(2, 0, 1, 2), 2, Float32Array.of(8, 12, 0, 0)))).toEqual([1, 2, 0, 0]);
  });

  test('empty and 1 x 1', () => {
    expect(invertPositiveDefiniteNow(kernels, new Float32Array(0), 0)).toHaveLength(0);
    expect(choleskyFactorNow(kernels, new Float32Array(0), 0)).toHaveLength(0);
    expect(Array.from(invertPositiveDefiniteNow(kernels, Float32Array.of(4), 1))).toEqual([0.25]);
  });

  test('inverse, factor and solution at sizes around the block and lane widths', () => {
    // The twin is slow, and one size past the first block shows it all.
    for (const size of name === 'wasm' ? [2, 3, 7, 8, 9, 15, 17, 127, 128, 129, 140, 257] : [3, 8, 129]) {
      const matrix = positiveDefinite(size, size);
      const inverse = invertPositiveDefiniteNow(kernels, matrix, size);
      expect(distanceFromIdentity(matrix, inverse, size)).toBeLessThan(2e-5);
      for (let row = 0; row < size; row++) {
        expect(inverse[row * size]).toBe(inverse[row]);
      }
      const factor = choleskyFactorNow(kernels, matrix, size);
      const expected = Float32Array.from({ length: size }, (_, index) => Math.sin(index));
      const rightHandSide = Float32Array.from({ length: size }, (_, row) =>
        expected.reduce((sum, value, column) => sum + value * (matrix[row * size + column] as number), 0),
      );
      const solution = kernels.choleskySolve(factor, size, rightHandSide);
      for (let row = 0; row < size; row++) {
        expect(Math.abs((solution[row] as number) - (expected[row] as number))).toBeLessThan(2e-5);
        expect(factor.subarray(row * size + row + 1, (row + 1) * size).every((value) => value === 0)).toBe(true);
      }
    }
  });

  test('only the lower triangle is read, the input stays, and output may be the input', () => {
    const size = 37;
    const matrix = positiveDefinite(size, 5);
    const expected = invertPositiveDefiniteNow(kernels, matrix, size);
    const lower = matrix.map((value, index) => (index % size > Math.floor(index / size) ? Number.NaN : value));
    const copy = lower.slice();
    expect(sameBits(invertPositiveDefiniteNow(kernels, lower, size), expected)).toBe(true);
    expect(sameBits(lower, copy)).toBe(true);
    const resident = kernels.keepFloat32(matrix);
    expect(invertPositiveDefiniteNow(kernels, resident, size, { output: resident })).toBe(resident);
    expect(sameBits(resident, expected)).toBe(true);
    kernels.free(resident);
  });

  test('what is not positive definite is refused, wherever it shows', () => {
    for (const position of name === 'wasm' ? [0, 5, 130, 199] : [5, 130]) {
      const size = position < 128 ? 20 : 200;
      for (const value of [-1, 0, Number.NaN, Number.POSITIVE_INFINITY]) {
        const matrix = positiveDefinite(size, 3);
        matrix[position * size + position] = value;
        const failure = expect.objectContaining({ code: 'RECLOOM_KRN_NOT_POSITIVE_DEFINITE', retryable: false });
        let thrown: unknown;
        try {
          invertPositiveDefiniteNow(kernels, matrix, size);
        } catch (error) {
          thrown = error;
        }
        expect(thrown).toEqual(failure);
        expect(() => choleskyFactorNow(kernels, matrix, size)).toThrow('not positive definite');
      }
    }
    expect(() => invertPositiveDefiniteNow(kernels, new Float32Array(5), 2)).toThrow('not 4');
  });
});

test('both implementations agree', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.nat(), (size, seed) => {
      const matrix = positiveDefinite(size, seed);
      const one = invertPositiveDefiniteNow(wasm, matrix, size);
      const other = invertPositiveDefiniteNow(twin, matrix, size);
      expect(one.every((value, index) => Math.abs(value - (other[index] as number)) < 1e-5)).toBe(true);
    }),
    { numRuns: 25 },
  );
});

test('the result is the same bit for bit for any number of threads, and when memory is resident', async () => {
  const size = 300;
  const matrix = positiveDefinite(size, 8);
  const expected = invertPositiveDefiniteNow(wasm, matrix, size);
  const factor = choleskyFactorNow(wasm, matrix, size);
  expect(sameBits(await invertPositiveDefinite(matrix, size, { kernels: wasm }), expected)).toBe(true);
  for (const threads of [1, 2, 3]) {
    const compute = createComputePool({ threads });
    try {
      expect(sameBits(await invertPositiveDefinite(matrix, size, { compute }), expected)).toBe(true);
      expect(sameBits(await choleskyFactor(matrix, size, { compute }), factor)).toBe(true);
      await expect(invertPositiveDefinite(new Float32Array(4), 2, { compute })).rejects.toMatchObject({
        code: 'RECLOOM_KRN_NOT_POSITIVE_DEFINITE',
      });
      expect(compute.kernels.bytesInUse).toBe(0);
    } finally {
      await compute.close();
    }
  }
});

describe.each(both)('in place (%s)', (name, kernels) => {
  test('sizes are the next odd multiple of 16', () => {
    expect([1, 16, 17, 48, 49, 12_101].map(inPlaceSize)).toEqual([16, 16, 48, 48, 80, 12_112]);
  });

  test.each([16, 48, 80, 272])('%i rows are inverted where they lie, to the same bits, with no second matrix', async (size) => {
    const matrix = positiveDefinite(size, 5);
    const apart = invertPositiveDefiniteNow(kernels, matrix, size);
    const resident = kernels.keepFloat32(matrix);
    try {
      const growth = kernels.bytesInUse;
      const plan = invertPositiveDefinite(resident, size, { kernels, output: resident });
      // Room for one panel of 128 columns, but not for another matrix of 272 rows beside it.
      if (size === 272) expect(kernels.bytesInUse - growth).toBeLessThan(4 * (2 * 272 * 128 + 128 * 128) + 8 * 4 * 128 * 128 + 1024);
      expect(await plan).toBe(resident);
      expect(sameBits(resident.slice(), apart)).toBe(true);
      expect(distanceFromIdentity(matrix, resident, size)).toBeLessThan(1e-4);
    } finally {
      kernels.free(resident);
    }
    expect(name).toBe(kernels.implementation);
  });

  test('a padded matrix has the inverse of the matrix it holds, to the same bits', () => {
    const size = 150;
    const stride = inPlaceSize(size);
    const matrix = positiveDefinite(size, 8);
    const padded = kernels.float32(stride * stride);
    try {
      for (let row = 0; row < stride; row++) {
        if (row < size) padded.set(matrix.subarray(row * size, (row + 1) * size), row * stride);
        else padded[row * (stride + 1)] = 3;
      }
      invertPositiveDefiniteNow(kernels, padded, stride, { output: padded });
      const cut = Float32Array.from({ length: size * size }, (_, at) => padded[Math.floor(at / size) * stride + (at % size)] as number);
      expect(sameBits(cut, invertPositiveDefiniteNow(kernels, matrix, size))).toBe(true);
    } finally {
      kernels.free(padded);
    }
  });
});
