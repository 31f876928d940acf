import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { createComputePool } from './compute-pool.js';
import { gram, gramNow } from './gram.js';
import { createKernels, type Kernels } from './kernels.js';
import { sparseDenseProduct, sparseDenseProductNow } from './sparse-dense-product.js';
import { type SparseMatrix, sparseMatrixFromEntries, transposeSparseMatrix } from './sparse-matrix.js';
import { sparseProductTopK, sparseProductTopKNow } from './sparse-product.js';

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

const whole = fc.integer({ min: -3, max: 4 });

function sparse(rowCount: number, columnCount: number, withValues: boolean): fc.Arbitrary<SparseMatrix> {
  const cells = rowCount * columnCount;
  return fc.uniqueArray(fc.nat({ max: Math.max(0, cells - 1) }), { maxLength: Math.min(cells, 60) }).chain((positions) =>
    fc.array(whole, { minLength: positions.length, maxLength: positions.length }).map((values) => {
      const matrix = sparseMatrixFromEntries(
        rowCount,
        columnCount,
        Int32Array.from(positions, (position) => Math.floor(position / columnCount)),
        Int32Array.from(positions, (position) => position % columnCount),
        Float32Array.from(values),
      );
      return withValues ? matrix : { ...matrix, values: undefined };
    }),
  );
}

function dense(matrix: SparseMatrix): number[][] {
  return Array.from({ length: matrix.rowCount }, (_, row) => {
    const line = new Array<number>(matrix.columnCount).fill(0);
    for (let entry = matrix.rowOffsets[row] as number; entry < (matrix.rowOffsets[row + 1] as number); entry++) {
      line[matrix.columnIndices[entry] as number] = matrix.values?.[entry] ?? 1;
    }
    return line;
  });
}

function touches(matrix: SparseMatrix, row: number, column: number): boolean {
  return matrix.columnIndices.subarray(matrix.rowOffsets[row], matrix.rowOffsets[row + 1]).includes(column);
}

const shape = fc.nat({ max: 9 });

test('a matrix from entries: rows, ascending columns, sums of equal cells', () => {
  const matrix = sparseMatrixFromEntries(3, 4, Int32Array.of(2, 0, 2, 0, 2), Int32Array.of(3, 1, 0, 1, 3), Float32Array.of(1, 2, 3, 4, 5));
  expect(matrix).toEqual({
    rowCount: 3,
    columnCount: 4,
    rowOffsets: Int32Array.of(0, 1, 1, 3),
    columnIndices: Int32Array.of(1, 0, 3),
    values: Float32Array.of(6, 3, 6),
  });
  expect(() => sparseMatrixFromEntries(1, 1, Int32Array.of(0), Int32Array.of(1))).toThrow('not below 1');
  expect(() => sparseMatrixFromEntries(1, 1, Int32Array.of(-1), Int32Array.of(0))).toThrow('not below 1');
});

test('transposition twice gives the matrix back', () => {
  fc.assert(
    fc.property(
      fc.tuple(shape, shape, fc.boolean()).chain(([rows, columns, valued]) => sparse(rows, columns, valued)),
      (matrix) => {
        const transposed = transposeSparseMatrix(matrix);
        expect(dense(transposed)).toEqual(
          Array.from({ length: matrix.columnCount }, (_, column) => dense(matrix).map((line) => line[column])),
        );
        expect(transposeSparseMatrix(transposed)).toEqual(matrix);
      },
    ),
  );
});

describe('gram', () => {
  test('counts worked by hand: three users, three items', () => {
    const matrix = sparseMatrixFromEntries(3, 3, Int32Array.of(0, 0, 1, 1, 2), Int32Array.of(0, 1, 0, 2, 0));
    const weights = Float32Array.of(1, 10, 100);
    for (const [, kernels] of both) {
      expect(Array.from(gramNow(kernels, matrix))).toEqual([3, 1, 1, 1, 1, 0, 1, 0, 1]);
      expect(Array.from(gramNow(kernels, matrix, { weights }))).toEqual([111, 1, 10, 1, 1, 0, 10, 0, 10]);
    }
  });

  test('equals the definition', () => {
    fc.assert(
      fc.property(
        fc
          .tuple(shape, fc.nat({ max: 40 }), fc.boolean())
          .chain(([rows, columns, valued]) =>
            fc.tuple(sparse(rows, columns, valued), fc.option(fc.array(whole, { minLength: rows, maxLength: rows }), { nil: undefined })),
          ),
        ([matrix, weights]) => {
          const lines = dense(matrix);
          const expected = Array.from({ length: matrix.columnCount ** 2 }, (_, cell) => {
            const one = Math.floor(cell / matrix.columnCount);
            const other = cell % matrix.columnCount;
            return lines.reduce((sum, line, row) => sum + (line[one] as number) * (line[other] as number) * (weights?.[row] ?? 1), 0);
          });
          const options = weights === undefined ? {} : { weights: Float32Array.from(weights) };
          for (const [, kernels] of both) {
            expect(Array.from(gramNow(kernels, matrix, options), (value) => value + 0)).toEqual(expected.map((value) => value + 0));
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('sparse product', () => {
  test('asymmetric cosine with shrinkage, worked by hand', () => {
    // Users' items: {a, b}, {a, b, c}, {a}. Counts 3, 2, 1; common: ab 2, ac 1, bc 1.
    const matrix = sparseMatrixFromEntries(3, 3, Int32Array.of(0, 0, 1, 1, 1, 2), Int32Array.of(0, 1, 0, 1, 2, 0));
    const factors = Float32Array.of(3, 2, 1).map(Math.sqrt);
    for (const [, kernels] of both) {
      const similar = sparseProductTopKNow(kernels, transposeSparseMatrix(matrix), matrix, 1, {
        rowFactors: factors,
        columnFactors: factors,
        shrinkage: 1,
      });
      expect(Array.from(similar.rowOffsets)).toEqual([0, 1, 2, 3]);
      expect(Array.from(similar.columnIndices)).toEqual([1, 0, 1]);
      const expected = [2 / (Math.sqrt(6) + 1), 2 / (Math.sqrt(6) + 1), 1 / (Math.sqrt(2) + 1)];
      similar.values?.forEach((value, index) => expect(value).toBeCloseTo(expected[index] as number, 6));
    }
  });

  test('equals the definition, per row and per column', () => {
    fc.assert(
      fc.property(
        fc.tuple(shape, shape, fc.nat({ max: 30 }), fc.boolean(), fc.boolean()).chain(([rows, inner, columns, leftValued, rightValued]) =>
          fc.record({
            left: sparse(rows, inner, leftValued),
            right: sparse(inner, columns, rightValued),
            k: fc.nat({ max: 6 }),
            keep: fc.constantFrom('row' as const, 'column' as const),
            excludeDiagonal: fc.boolean(),
          }),
        ),
        ({ left, right, k, keep, excludeDiagonal }) => {
          const [one, other] = [dense(left), dense(right)];
          const rowFactors = Float32Array.from({ length: left.rowCount }, (_, row) => 2 ** (row % 3));
          const columnFactors = Float32Array.from({ length: right.columnCount }, (_, column) => 2 ** (column % 2));
          const cells: { row: number; column: number; value: number }[] = [];
          for (let row = 0; row < left.rowCount; row++) {
            for (let column = 0; column < right.columnCount; column++) {
              let sum = 0;
              let touched = false;
              for (let inner = 0; inner < left.columnCount; inner++) {
                touched ||= touches(left, row, inner) && touches(right, inner, column);
                sum += (one[row]?.[inner] as number) * (other[inner]?.[column] as number);
              }
              if (!touched || (excludeDiagonal && row === column)) continue;
              const divisor = (rowFactors[row] as number) * (columnFactors[column] as number) + 0.5;
              cells.push({ row, column, value: Math.fround(sum / divisor) + 0 });
            }
          }
          const position = keep === 'row' ? 'row' : 'column';
          const across = keep === 'row' ? 'column' : 'row';
          const kept = cells.filter(
            (cell) =>
              cells.filter(
                (rival) =>
                  rival[position] === cell[position] &&
                  (rival.value > cell.value || (rival.value === cell.value && rival[across] < cell[across])),
              ).length < k,
          );
          for (const [, kernels] of both) {
            const result = sparseProductTopKNow(kernels, left, right, k, {
              rowFactors,
              columnFactors,
              shrinkage: 0.5,
              excludeDiagonal,
              keep,
            });
            const found = Array.from({ length: result.rowCount }, (_, row) =>
              Array.from(result.columnIndices.subarray(result.rowOffsets[row], result.rowOffsets[row + 1])).map((column, index) => ({
                row,
                column,
                value: result.values?.[(result.rowOffsets[row] as number) + index] as number,
              })),
            ).flat();
            expect(found).toEqual(kept);
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  test.each([
    [1, 5],
    [15, 1],
    [16, 3],
    [17, 16],
    [253, 40],
    [700, 1],
    [700, 7],
    [1_900, 300],
  ])('%i columns of few different values, of which ties keep the lowest: the best %i, in order', (columnCount, k) => {
    let state = columnCount + k;
    const next = (bound: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 4_294_967_296) * bound);
    };
    const [rowCount, innerCount, entries] = [9, 6, columnCount * 4];
    // Several rows, so that each finds the workspace as the one before left it; sums come to 0 and below.
    const left = sparseMatrixFromEntries(
      rowCount,
      innerCount,
      Int32Array.from({ length: 27 }, (_, entry) => entry % rowCount),
      Int32Array.from({ length: 27 }, () => next(innerCount)),
      Float32Array.from({ length: 27 }, () => next(5) - 2),
    );
    const right = sparseMatrixFromEntries(
      innerCount,
      columnCount,
      Int32Array.from({ length: entries }, () => next(innerCount)),
      Int32Array.from({ length: entries }, () => next(columnCount)),
      Float32Array.from({ length: entries }, () => next(7) - 3),
    );
    const columnFactors = Float32Array.from({ length: columnCount }, (_, column) => 2 ** (column % 3));
    const expected = dense(left).map((line, row) => {
      const cells = new Map<number, number>();
      line.forEach((value, inner) => {
        if (!touches(left, row, inner)) return;
        for (let entry = right.rowOffsets[inner] as number; entry < (right.rowOffsets[inner + 1] as number); entry++) {
          const column = right.columnIndices[entry] as number;
          cells.set(column, (cells.get(column) ?? 0) + value * (right.values?.[entry] as number));
        }
      });
      return [...cells]
        .filter(([column]) => column !== row)
        .map(([column, sum]) => ({ column, value: sum / (columnFactors[column] as number) + 0 }))
        .sort((one, other) => other.value - one.value || one.column - other.column)
        .slice(0, k)
        .sort((one, other) => one.column - other.column);
    });
    for (const [, kernels] of both) {
      const found = sparseProductTopKNow(kernels, left, right, k, { columnFactors });
      const rows = expected.map((_, row) =>
        Array.from({ length: (found.rowOffsets[row + 1] as number) - (found.rowOffsets[row] as number) }, (__, index) => ({
          column: found.columnIndices[(found.rowOffsets[row] as number) + index] as number,
          value: found.values?.[(found.rowOffsets[row] as number) + index] as number,
        })),
      );
      expect(rows).toEqual(expected);
      expect(sparseProductTopKNow(kernels, left, right, k, { columnFactors, transpose: true })).toEqual(transposeSparseMatrix(found));
      const byColumn = sparseProductTopKNow(kernels, left, right, k, { columnFactors, keep: 'column' });
      expect(sparseProductTopKNow(kernels, left, right, k, { columnFactors, keep: 'column', transpose: true })).toEqual(
        transposeSparseMatrix(byColumn),
      );
    }
  });

  test('nothing to keep, transposed too', () => {
    const left = sparseMatrixFromEntries(2, 3, new Int32Array(0), new Int32Array(0));
    const right = sparseMatrixFromEntries(3, 5, new Int32Array(0), new Int32Array(0));
    for (const [, kernels] of both) {
      for (const k of [0, 2]) {
        const found = sparseProductTopKNow(kernels, left, right, k, { transpose: true });
        expect(found).toEqual({
          rowCount: 5,
          columnCount: 2,
          rowOffsets: new Int32Array(6),
          columnIndices: new Int32Array(0),
          values: new Float32Array(0),
        });
      }
    }
  });

  test('cells that are not finite are dropped', () => {
    const left = sparseMatrixFromEntries(1, 1, Int32Array.of(0), Int32Array.of(0), Float32Array.of(1));
    const right = sparseMatrixFromEntries(
      1,
      4,
      Int32Array.of(0, 0, 0, 0),
      Int32Array.of(0, 1, 2, 3),
      Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY, 5, Number.NEGATIVE_INFINITY),
    );
    for (const [, kernels] of both) {
      const result = sparseProductTopKNow(kernels, left, right, 4, { excludeDiagonal: false });
      expect(Array.from(result.columnIndices)).toEqual([2]);
    }
  });
});

test('sparse times dense equals the definition, for widths around the register blocks', () => {
  fc.assert(
    fc.property(
      fc
        .tuple(shape, shape, fc.integer({ min: 1, max: 70 }), fc.boolean())
        .chain(([rows, columns, width, valued]) =>
          fc.tuple(
            sparse(rows, columns, valued),
            fc.constant(width),
            fc.array(whole, { minLength: columns * width, maxLength: columns * width }),
          ),
        ),
      ([matrix, width, values]) => {
        const expected = dense(matrix).flatMap((line) =>
          Array.from({ length: width }, (_, column) =>
            line.reduce((sum, value, row) => sum + value * (values[row * width + column] as number), 0),
          ),
        );
        for (const [, kernels] of both) {
          const product = sparseDenseProductNow(kernels, matrix, Float32Array.from(values), width);
          expect(Array.from(product, (value) => value + 0)).toEqual(expected.map((value) => value + 0));
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('results are the same bit for bit for any number of threads', async () => {
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
  const entries = 6000;
  const matrix = sparseMatrixFromEntries(
    400,
    150,
    Int32Array.from({ length: entries }, () => Math.floor(next() * 400)),
    Int32Array.from({ length: entries }, () => Math.floor(next() ** 2 * 150)),
    Float32Array.from({ length: entries }, next),
  );
  const transposed = transposeSparseMatrix(matrix);
  const features = Float32Array.from({ length: 150 * 33 }, next);
  const weights = Float32Array.from({ length: 400 }, next);
  const expected = {
    gram: gramNow(wasm, matrix, { weights }),
    product: sparseProductTopKNow(wasm, transposed, matrix, 20, { shrinkage: 3 }),
    columns: sparseProductTopKNow(wasm, transposed, matrix, 20, { shrinkage: 3, keep: 'column' }),
    features: sparseDenseProductNow(wasm, matrix, features, 33),
  };
  for (const threads of [1, 3]) {
    const compute = createComputePool({ threads });
    try {
      expect(await gram(matrix, { compute, weights })).toEqual(expected.gram);
      expect(await sparseProductTopK(transposed, matrix, 20, { compute, shrinkage: 3 })).toEqual(expected.product);
      expect(await sparseProductTopK(transposed, matrix, 20, { compute, shrinkage: 3, keep: 'column' })).toEqual(expected.columns);
      expect(await sparseDenseProduct(matrix, features, 33, { compute })).toEqual(expected.features);
      expect(compute.kernels.bytesInUse).toBe(0);
    } finally {
      await compute.close();
    }
  }
});

test('broken matrices are refused before any kernel sees them', async () => {
  const good = sparseMatrixFromEntries(2, 2, Int32Array.of(0, 1), Int32Array.of(1, 0));
  const code = { code: 'RECLOOM_KRN_SHAPE' };
  await expect(gram({ ...good, rowOffsets: Int32Array.of(0, 1) }, { kernels: wasm })).rejects.toMatchObject(code);
  await expect(gram({ ...good, rowOffsets: Int32Array.of(0, 2, 1) }, { kernels: wasm })).rejects.toMatchObject(code);
  await expect(gram({ ...good, columnIndices: Int32Array.of(1, 2) }, { kernels: wasm })).rejects.toMatchObject(code);
  await expect(gram({ ...good, columnIndices: Int32Array.of(1, -1) }, { kernels: wasm })).rejects.toMatchObject(code);
  await expect(gram({ ...good, rowOffsets: Int32Array.of(0, 2, 2) }, { kernels: wasm })).rejects.toMatchObject(code);
  await expect(gram(good, { kernels: wasm, weights: new Float32Array(1) })).rejects.toMatchObject(code);
  await expect(
    sparseProductTopK(good, { ...good, rowCount: 3, rowOffsets: Int32Array.of(0, 1, 2, 2) }, 1, { kernels: wasm }),
  ).rejects.toMatchObject(code);
  await expect(sparseDenseProduct(good, new Float32Array(3), 2, { kernels: wasm })).rejects.toMatchObject(code);
});
