import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { AlsFoldIn, diagonalizeFactors, diagonalizeFactorsNow } from './als-fold-in.js';
import { type AlsObjective, alternatingLeastSquares, alternatingLeastSquaresNow } from './alternating-least-squares.js';
import { createComputePool } from './compute-pool.js';
import { alsDirectEntries } from './kernel-table.js';
import { createKernels, type Kernels } from './kernels.js';
import { type SparseMatrix, sparseMatrixFromEntries } from './sparse-matrix.js';

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

const hu: AlsObjective = { unobservedWeight: 1, targetOffset: 1, regularization: 0.5, regularizationExponent: 0 };
const scaled: AlsObjective = { unobservedWeight: 0.3, targetOffset: 0.3, regularization: 0.02, regularizationExponent: 1 };

/** Reproducible values in [-0.1, 0.1], so that the factors of Python and of TypeScript start alike. */
function startOf(count: number, width: number): Float32Array {
  return Float32Array.from({ length: count * width }, (_, index) => 0.1 * Math.sin(index ** 2 + 1));
}

function matrixOf(rows: readonly (readonly number[])[]): SparseMatrix {
  const cells = rows.flatMap((values, row) => values.flatMap((value, column) => (value === 0 ? [] : [{ row, column, value }])));
  return sparseMatrixFromEntries(
    rows.length,
    rows[0]?.length ?? 0,
    Int32Array.from(cells, ({ row }) => row),
    Int32Array.from(cells, ({ column }) => column),
    Float32Array.from(cells, ({ value }) => value),
  );
}

/** Clustered pairs: rows of a group choose mostly among the columns of their group. */
function clustered(rowCount: number, columnCount: number, share: number, withValues: boolean): SparseMatrix {
  const rows: number[] = [];
  const columns: number[] = [];
  const values: number[] = [];
  for (let row = 0; row < rowCount; row++) {
    for (let column = 0; column < columnCount; column++) {
      const noise = Math.abs(Math.sin(row * 12.9898 + column * 78.233) * 43_758.5453) % 1;
      if (noise >= (row % 5 === column % 5 ? share * 4 : share * 0.3)) continue;
      rows.push(row);
      columns.push(column);
      values.push(0.25 + 8 * (noise / share));
    }
  }
  const matrix = sparseMatrixFromEntries(rowCount, columnCount, Int32Array.from(rows), Int32Array.from(columns), Float32Array.from(values));
  return withValues ? matrix : { ...matrix, values: undefined };
}

/** |one - other| / |other|. */
function distance(one: ArrayLike<number>, other: ArrayLike<number>): number {
  let squares = 0;
  let total = 0;
  for (let index = 0; index < other.length; index++) {
    squares += ((one[index] as number) - (other[index] as number)) ** 2;
    total += (other[index] as number) ** 2;
  }
  return Math.sqrt(squares) / Math.max(Math.sqrt(total), 1e-12);
}

/** Solves a dense system by Gaussian elimination with row exchanges, in float64. */
function eliminate(matrix: number[][], right: number[]): number[] {
  const size = right.length;
  const work = matrix.map((line, row) => [...line, right[row] as number]);
  for (let pivot = 0; pivot < size; pivot++) {
    let best = pivot;
    for (let row = pivot + 1; row < size; row++) {
      if (Math.abs(work[row]?.[pivot] as number) > Math.abs(work[best]?.[pivot] as number)) best = row;
    }
    [work[pivot], work[best]] = [work[best] as number[], work[pivot] as number[]];
    const line = work[pivot] as number[];
    for (let row = 0; row < size; row++) {
      if (row === pivot) continue;
      const other = work[row] as number[];
      const factor = (other[pivot] as number) / (line[pivot] as number);
      for (let column = pivot; column <= size; column++) {
        other[column] = (other[column] as number) - factor * (line[column] as number);
      }
    }
  }
  return work.map((line, row) => (line[size] as number) / (line[row] as number));
}

/** A row's factor by the normal equations, written down as in the paper. */
function normalEquations(
  columns: readonly number[],
  values: readonly number[],
  factors: Float32Array,
  width: number,
  objective: AlsObjective,
): number[] {
  const count = factors.length / width;
  const at = (row: number, index: number): number => factors[row * width + index] as number;
  const regularization =
    objective.regularization * (columns.length + objective.unobservedWeight * count) ** objective.regularizationExponent;
  const matrix = Array.from({ length: width }, (_, i) =>
    Array.from({ length: width }, (__, j) => {
      let sum = i === j ? regularization : 0;
      for (let row = 0; row < count; row++) sum += objective.unobservedWeight * at(row, i) * at(row, j);
      columns.forEach((column, entry) => {
        sum += (values[entry] as number) * at(column, i) * at(column, j);
      });
      return sum;
    }),
  );
  const right = Array.from({ length: width }, (_, i) =>
    columns.reduce((sum, column, entry) => sum + ((values[entry] as number) + objective.targetOffset) * at(column, i), 0),
  );
  return eliminate(matrix, right);
}

function expectSolved(
  matrix: SparseMatrix,
  rows: Float32Array,
  columns: Float32Array,
  width: number,
  objective: AlsObjective,
  uniform: number,
) {
  for (let row = 0; row < matrix.rowCount; row++) {
    const begin = matrix.rowOffsets[row] as number;
    const end = matrix.rowOffsets[row + 1] as number;
    const own = rows.subarray(row * width, (row + 1) * width);
    const entries = [...matrix.columnIndices.subarray(begin, end)];
    const values = entries.map((_, entry) => matrix.values?.[begin + entry] ?? uniform);
    if (entries.length === 0) expect([...own]).toEqual(new Array(width).fill(0));
    else expect(distance(own, normalEquations(entries, values, columns, width, objective)), `row ${row}`).toBeLessThan(5e-3);
  }
}

describe.each(both)('alternating least squares on %s', (_, kernels) => {
  test("gives the factors of implicit's Cholesky solver from the same start", () => {
    // implicit 0.7.3, AlternatingLeastSquares(factors=3, alpha=4, regularization=.5, iterations=3, use_cg=False), started at
    // item_factors[i, k] = .1 * sin((3 i + k)^2 + 1). Its confidence is 4 x and an unobserved pair counts 1: value 4 x - 1 on top.
    const counts = [
      [1, 1, 0, 0, 1],
      [1, 1, 1, 0, 0],
      [0, 1, 3, 0, 0],
      [2, 0, 0, 1, 0],
      [0, 1, 1, 1, 0],
      [0, 0, 0, 0, 0],
      [1, 1, 0, 0, 1],
    ];
    const matrix = matrixOf(counts.map((line) => line.map((count) => (count === 0 ? 0 : 4 * count - 1))));
    const found = alternatingLeastSquaresNow(kernels, matrix, hu, { width: 3, epochs: 3, columnFactors: startOf(5, 3), tolerance: 1e-6 });
    const rows = [
      [0.74528, -0.11806, 0.43682],
      [-0.04572, 0.09335, 1.02232],
      [-0.62377, -0.39571, 1.20926],
      [0.36578, 0.94019, 0.12025],
      [-0.48832, 0.23401, 1.12201],
      [0, 0, 0],
      [0.74528, -0.11806, 0.43682],
    ];
    const columns = [
      [0.96473, 0.55133, 0.74833],
      [0.56636, -0.19699, 1.07042],
      [-0.24807, 0.13743, 0.75981],
      [-0.15559, 0.99279, 0.42713],
      [0.94797, -0.33302, 0.36554],
    ];
    rows.flat().forEach((value, index) => expect(found.rowFactors[index]).toBeCloseTo(value, 4));
    columns.flat().forEach((value, index) => expect(found.columnFactors[index]).toBeCloseTo(value, 4));
  });

  test.each([
    ['one regularisation for all', hu, 12, true],
    ['one regularisation for all, no values', hu, 8, false],
    ['regularisation by frequency', scaled, 12, true],
    ['regularisation by frequency, no values', scaled, 5, false],
    ['nothing unobserved', { ...scaled, unobservedWeight: 0, targetOffset: 0 }, 7, true],
  ] as const)('solves the normal equations: %s', (__, objective, width, withValues) => {
    const matrix = clustered(47, 31, 0.12, withValues);
    const options = { width, epochs: 2, columnFactors: startOf(31, width), rowsLast: true, tolerance: 1e-5 };
    const { rowFactors, columnFactors } = alternatingLeastSquaresNow(kernels, matrix, { ...objective, uniformValue: 2.5 }, options);
    expectSolved(matrix, rowFactors, columnFactors, width, objective, 2.5);
  });

  test('an observed pair that counts nothing in addition leaves one system for all rows', () => {
    const matrix = clustered(30, 20, 0.2, false);
    const options = { width: 6, epochs: 3, columnFactors: startOf(20, 6), rowsLast: true };
    const { rowFactors, columnFactors } = alternatingLeastSquaresNow(kernels, matrix, { ...hu, uniformValue: 0 }, options);
    expectSolved(matrix, rowFactors, columnFactors, 6, hu, 0);
  });

  test('any small matrix, with more factors than rows and columns too', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 11 }),
        fc.boolean(),
        fc.infiniteStream(fc.integer({ min: 0, max: 3 })),
        (rowCount, columnCount, width, byFrequency, stream) => {
          const matrix = matrixOf(
            Array.from({ length: rowCount }, () => Array.from({ length: columnCount }, () => Number(stream.next().value))),
          );
          const objective = byFrequency ? { ...scaled, regularization: 0.1 } : hu;
          const options = { width, epochs: 2, columnFactors: startOf(columnCount, width), rowsLast: true, tolerance: 1e-5 };
          const { rowFactors, columnFactors } = alternatingLeastSquaresNow(kernels, matrix, objective, options);
          expectSolved(matrix, rowFactors, columnFactors, width, objective, 1);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('a column that every row has, equal rows, and values from 1e-6 to 1e6', () => {
    const matrix = matrixOf(Array.from({ length: 40 }, (__, row) => [1, row % 2 === 0 ? 1e6 : 0, row % 3 === 0 ? 1e-6 : 0, 1]));
    const options = { width: 4, epochs: 3, columnFactors: startOf(4, 4), rowsLast: true, tolerance: 1e-5 };
    const { rowFactors, columnFactors } = alternatingLeastSquaresNow(kernels, matrix, hu, options);
    expectSolved(matrix, rowFactors, columnFactors, 4, hu, 1);
    expect(rowFactors.subarray(0, 4)).toEqual(rowFactors.subarray(24, 28));
  });

  test.each([5, 16, 37])('rows of 1 to 40 entries, solved directly or in steps, %i factors wide', (width) => {
    // Row r has r + 1 entries, spread over the columns.
    const lines = Array.from({ length: 40 }, (__, row) =>
      Array.from({ length: 41 }, (___, column) => (((column * 17) % 41) - 1 < row ? 0.5 + ((row * 7 + column * 3) % 13) : 0)),
    );
    const withValues = matrixOf(lines);
    for (const matrix of [withValues, { ...withValues, values: undefined }]) {
      for (const objective of [hu, scaled]) {
        const options = { width, epochs: 2, columnFactors: startOf(41, width), rowsLast: true };
        const { rowFactors, columnFactors } = alternatingLeastSquaresNow(kernels, matrix, { ...objective, uniformValue: 9 }, options);
        for (let row = 0; row < 40; row++) {
          const [begin, end] = [matrix.rowOffsets[row] as number, matrix.rowOffsets[row + 1] as number];
          expect(end - begin).toBe(row + 1);
          const values = Array.from({ length: row + 1 }, (__, entry) => matrix.values?.[begin + entry] ?? 9);
          const exact = normalEquations([...matrix.columnIndices.subarray(begin, end)], values, columnFactors, width, objective);
          const apart = distance(rowFactors.subarray(row * width, (row + 1) * width), exact);
          expect(apart, `row of ${row + 1}`).toBeLessThan(row < alsDirectEntries ? 1e-4 : 2e-3);
        }
      }
    }
  });

  test('entries that count nothing in addition beside others that count much', () => {
    const matrix = clustered(30, 20, 0.2, true);
    const values = (matrix.values as Float32Array).map((value, entry) => (entry % 3 === 0 ? 0 : entry % 3 === 1 ? 1e-9 : value));
    const options = { width: 6, epochs: 3, columnFactors: startOf(20, 6), rowsLast: true, tolerance: 1e-5 };
    const { rowFactors, columnFactors } = alternatingLeastSquaresNow(kernels, { ...matrix, values }, hu, options);
    expectSolved({ ...matrix, values }, rowFactors, columnFactors, 6, hu, 1);
  });

  test('columns with the same factors: a direct solution of a row that has several', () => {
    const lines = Array.from({ length: 24 }, (__, row) =>
      Array.from({ length: 12 }, (___, column) => (row % 3 === (column >> 2) % 3 ? 6 : 0)),
    );
    const options = { width: 7, epochs: 2, columnFactors: startOf(12, 7), rowsLast: true };
    for (const objective of [hu, scaled]) {
      const matrix = matrixOf(lines);
      const { rowFactors, columnFactors } = alternatingLeastSquaresNow(kernels, matrix, objective, options);
      expect(columnFactors.subarray(0, 7)).toEqual(columnFactors.subarray(7, 14));
      expectSolved(matrix, rowFactors, columnFactors, 7, objective, 1);
    }
  });

  test('the basis of the factors does not drift over sixty epochs, weakly regularised', () => {
    const matrix = clustered(60, 45, 0.1, true);
    for (const objective of [
      { ...hu, regularization: 1e-3 },
      { ...scaled, regularization: 1e-4 },
    ]) {
      const options = { width: 10, epochs: 60, columnFactors: startOf(45, 10), rowsLast: true, tolerance: 1e-5 };
      const { rowFactors, columnFactors } = alternatingLeastSquaresNow(kernels, matrix, objective, options);
      expectSolved(matrix, rowFactors, columnFactors, 10, objective, 1);
    }
  });

  test('factors that are no longer finite are an error', () => {
    const matrix = clustered(20, 10, 0.3, true);
    for (const start of [Number.NaN, 1e30]) {
      const columnFactors = startOf(10, 4);
      columnFactors[7] = start;
      for (const objective of [hu, scaled]) {
        expect(() => alternatingLeastSquaresNow(kernels, matrix, objective, { width: 4, epochs: 2, columnFactors })).toThrow(
          expect.objectContaining({ code: 'RECLOOM_KRN_NOT_POSITIVE_DEFINITE' }),
        );
      }
    }
    const huge = { ...matrix, values: matrix.values?.map(() => 3e38) };
    expect(() => alternatingLeastSquaresNow(kernels, huge, hu, { width: 4, epochs: 3, columnFactors: startOf(10, 4) })).toThrow(
      expect.objectContaining({ code: 'RECLOOM_KRN_NOT_POSITIVE_DEFINITE' }),
    );
  });

  test('refuses what has no meaning', () => {
    const matrix = clustered(20, 10, 0.3, true);
    const good = { width: 4, epochs: 1, columnFactors: startOf(10, 4) };
    const shape = expect.objectContaining({ code: 'RECLOOM_KRN_SHAPE' });
    for (const bad of [{ width: 0 }, { width: 2.5 }, { width: 5 }, { epochs: 0 }, { tolerance: 0 }]) {
      expect(() => alternatingLeastSquaresNow(kernels, matrix, hu, { ...good, ...bad })).toThrow(shape);
    }
    const objectives = [{ regularization: 0 }, { unobservedWeight: -1 }, { targetOffset: Number.NaN }, { regularizationExponent: 3 }];
    for (const bad of [...objectives, { uniformValue: -1 }]) {
      expect(() => alternatingLeastSquaresNow(kernels, matrix, { ...hu, ...bad }, good)).toThrow(shape);
    }
    const values = matrix.values?.slice() as Float32Array;
    values[3] = -1;
    expect(() => alternatingLeastSquaresNow(kernels, { ...matrix, values }, hu, good)).toThrow(shape);
  });

  test.each([1, 2, 3, 8, 21])('turns %i-wide factors so that their Gram matrix is diagonal and every product is kept', (width) => {
    const factors = startOf(57, width).map((value, index) => value + ((index * 37) % 11) / 20);
    const { factors: turned, spectrum } = diagonalizeFactorsNow(kernels, factors, width);
    const gramOf = (rows: Float32Array, i: number, j: number): number => {
      let sum = 0;
      for (let at = 0; at < rows.length; at += width) sum += (rows[at + i] as number) * (rows[at + j] as number);
      return sum;
    };
    const total = spectrum.reduce((sum, value) => sum + value, 0);
    for (let i = 0; i < width; i++) {
      for (let j = 0; j < width; j++) {
        expect(Math.abs(gramOf(turned, i, j) - (i === j ? (spectrum[i] as number) : 0))).toBeLessThan(2e-5 * total);
      }
    }
    const product = (rows: Float32Array, one: number, other: number): number => {
      let sum = 0;
      for (let i = 0; i < width; i++) sum += (rows[one * width + i] as number) * (rows[other * width + i] as number);
      return sum;
    };
    for (let row = 1; row < 57; row++) expect(product(turned, 0, row)).toBeCloseTo(product(factors, 0, row), 4);
  });

  test('a fold-in of a row of the fit gives that row', () => {
    const matrix = clustered(47, 31, 0.12, true);
    const options = { width: 9, epochs: 3, columnFactors: startOf(31, 9), rowsLast: true, tolerance: 1e-5 };
    for (const objective of [hu, scaled]) {
      const { rowFactors, columnFactors } = alternatingLeastSquaresNow(kernels, matrix, objective, options);
      const foldIn = new AlsFoldIn(kernels, diagonalizeFactorsNow(kernels, columnFactors, 9), objective);
      const all = Int32Array.from({ length: 31 }, (__, column) => column);
      for (let row = 0; row < 47; row++) {
        const [begin, end] = [matrix.rowOffsets[row] as number, matrix.rowOffsets[row + 1] as number];
        expect(foldIn.solve(matrix.columnIndices.slice(begin, end), (matrix.values as Float32Array).slice(begin, end))).toBe(true);
        const expected = [...all].map((column) => {
          let sum = 0;
          for (let i = 0; i < 9; i++) sum += (rowFactors[row * 9 + i] as number) * (columnFactors[column * 9 + i] as number);
          return sum;
        });
        const scores = foldIn.scores(all);
        expect(distance(scores, expected), `row ${row}`).toBeLessThan(1e-3);
        const best = foldIn.best(31, new Uint8Array(31).fill(1));
        expect([...best.scores]).toEqual([...foldIn.scores(best.rows)]);
        expect([...best.scores]).toEqual([...scores].sort((one, other) => other - one));
      }
      expect(foldIn.solve(Int32Array.of(1), Float32Array.of(Number.NaN))).toBe(false);
      expect([...foldIn.scores(all)]).toEqual(new Array(31).fill(0));
      expect(() => foldIn.solve(Int32Array.of(31), Float32Array.of(1))).toThrow(expect.objectContaining({ code: 'RECLOOM_KRN_SHAPE' }));
      foldIn.dispose();
      foldIn.dispose();
      expect(() => foldIn.scores(all)).toThrow(expect.objectContaining({ code: 'RECLOOM_KRN_CLOSED' }));
    }
  });

  test('many fold-ins are those of one at a time, with the best rows in short lists and long ones', () => {
    // Enough rows for the layout that many queries are asked in.
    const [columns, width, systems] = [1100, 12, 24];
    const factors = Float32Array.from({ length: columns * width }, (__, index) => Math.sin(index ** 2 + 1) / (1 + (index % 97)));
    const foldIn = new AlsFoldIn(kernels, diagonalizeFactorsNow(kernels, factors, width), scaled);
    const offsets = new Int32Array(systems + 1);
    const rows: number[] = [];
    const values: number[] = [];
    for (let system = 0; system < systems; system++) {
      // None, few, and more entries than are solved directly.
      const entries = system % 6 === 0 ? 0 : system % 6 === 5 ? alsDirectEntries + 9 : system % 6;
      for (let entry = 0; entry < entries; entry++) {
        rows.push((system * 131 + entry * 37) % columns);
        values.push(system === 8 && entry === 0 ? Number.NaN : 0.5 + (entry % 3));
      }
      offsets[system + 1] = rows.length;
    }
    const open = new Uint8Array(columns).fill(1);
    for (let row = 0; row < columns; row += 7) open[row] = 0;
    const limits = Int32Array.from({ length: systems }, (__, system) => (system === 4 ? columns : system === 10 ? 200 : 10 + (system % 3)));
    const solved = foldIn.solveMany(offsets, Int32Array.from(rows), Float32Array.from(values));
    const lists = foldIn.bestOfMany(limits, open);
    const { scores, free } = foldIn.scoresOfMany();
    const all = Int32Array.from({ length: columns }, (__, row) => row);
    for (let system = 0; system < systems; system++) {
      const [begin, end] = [offsets[system] as number, offsets[system + 1] as number];
      const alone = foldIn.solve(Int32Array.from(rows.slice(begin, end)), Float32Array.from(values.slice(begin, end)));
      expect(solved[system] === 1, `system ${system}`).toBe(alone);
      expect([...scores.subarray(system * columns, (system + 1) * columns)]).toEqual([...foldIn.scores(all)]);
      const best = foldIn.best(limits[system] as number, open);
      const above = best.scores.filter((score) => score > 0).length;
      expect([...(lists[system]?.rows ?? [])]).toEqual([...best.rows.subarray(0, above)]);
      expect([...(lists[system]?.scores ?? [])]).toEqual([...best.scores.subarray(0, above)]);
    }
    expect(solved[8]).toBe(0);
    free();
    expect(() => foldIn.bestOfMany(limits.subarray(1), open)).toThrow(expect.objectContaining({ code: 'RECLOOM_KRN_SHAPE' }));
    expect([...foldIn.solveMany(Int32Array.of(0), new Int32Array(0), new Float32Array(0))]).toEqual([]);
    expect(foldIn.bestOfMany(new Int32Array(0), open)).toEqual([]);
    foldIn.dispose();
    expect(() => foldIn.scoresOfMany()).toThrow(expect.objectContaining({ code: 'RECLOOM_KRN_CLOSED' }));
  });
});

test('the kernels and their twin take the same steps to the same factors', () => {
  for (const [rowCount, columnCount, width] of [
    [150, 90, 16],
    [63, 130, 37],
  ] as const) {
    for (const objective of [hu, scaled]) {
      for (const withValues of [true, false]) {
        const matrix = clustered(rowCount, columnCount, 0.08, withValues);
        const options = { width, epochs: 3, columnFactors: startOf(columnCount, width), tolerance: 1e-5 };
        const one = alternatingLeastSquaresNow(wasm, matrix, objective, options);
        const other = alternatingLeastSquaresNow(twin, matrix, objective, options);
        expect(distance(one.rowFactors, other.rowFactors)).toBeLessThan(1e-3);
        expect(distance(one.columnFactors, other.columnFactors)).toBeLessThan(1e-3);
      }
    }
  }
});

test('one thread, three threads and none give the same bytes; halves are told in order', async () => {
  const matrix = clustered(900, 700, 0.06, true);
  const options = { width: 40, epochs: 1, columnFactors: startOf(700, 40), rowsLast: true };
  for (const objective of [hu, scaled]) {
    const alone = alternatingLeastSquaresNow(wasm, matrix, objective, options);
    const rotated = diagonalizeFactorsNow(wasm, alone.columnFactors, 40);
    for (const threads of [1, 3]) {
      const pool = createComputePool({ threads, implementation: 'wasm' });
      try {
        const halves: string[] = [];
        const onHalf = (half: number, count: number): void => void halves.push(`${half}/${count}`);
        expect(await alternatingLeastSquares(matrix, objective, { ...options, compute: pool, onHalf })).toEqual(alone);
        expect(halves).toEqual(['1/3', '2/3', '3/3']);
        expect(await diagonalizeFactors(alone.columnFactors, 40, { compute: pool })).toEqual(rotated);
        expect(pool.kernels.bytesInUse).toBe(0);
      } finally {
        await pool.close();
      }
    }
  }
});

test('an abort between two halves ends the fit and gives the memory back', async () => {
  const pool = createComputePool({ threads: 2 });
  try {
    const controller = new AbortController();
    const fit = alternatingLeastSquares(clustered(300, 200, 0.1, true), scaled, {
      width: 24,
      epochs: 50,
      columnFactors: startOf(200, 24),
      compute: pool,
      signal: controller.signal,
      onHalf: (half) => {
        if (half === 3) controller.abort(new Error('enough'));
      },
    });
    await expect(fit).rejects.toThrow('enough');
    expect(pool.kernels.bytesInUse).toBe(0);
  } finally {
    await pool.close();
  }
});
