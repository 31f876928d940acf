import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { KernelError } from './kernel-error.js';
import { kernelNames } from './kernel-table.js';
import { createKernels, type Kernels, type TopRows } from './kernels.js';
import { sparseMatrixFromEntries } from './sparse-matrix.js';

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

/** Whole numbers, whose sums float32 holds exactly, so that both implementations must agree exactly. */
const whole = fc.integer({ min: -4, max: 4 });
const special = fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0);
const wholeOrSpecial = fc.oneof({ weight: 40, arbitrary: whole }, { weight: 1, arbitrary: special });
const real = fc.float({ min: -10, max: 10, noNaN: true });

function floats(element: fc.Arbitrary<number>, length: number): fc.Arbitrary<Float32Array> {
  return fc.array(element, { minLength: length, maxLength: length }).map((values) => Float32Array.from(values));
}

interface MatrixCase {
  readonly rowCount: number;
  readonly width: number;
  readonly matrix: Float32Array;
  readonly vector: Float32Array;
  readonly mask: Uint8Array | undefined;
}

function matrixCase(element: fc.Arbitrary<number>, maximumRows = 30, maximumWidth = 70): fc.Arbitrary<MatrixCase> {
  return fc
    .record({ rowCount: fc.nat({ max: maximumRows }), width: fc.integer({ min: 1, max: maximumWidth }) })
    .chain(({ rowCount, width }) =>
      fc.record({
        rowCount: fc.constant(rowCount),
        width: fc.constant(width),
        matrix: floats(element, rowCount * width),
        vector: floats(element, width),
        mask: fc.option(
          fc.array(fc.nat({ max: 1 }), { minLength: rowCount, maxLength: rowCount }).map((values) => Uint8Array.from(values)),
          { nil: undefined },
        ),
      }),
    );
}

function rowList(rowCount: number): fc.Arbitrary<Int32Array> {
  return rowCount === 0
    ? fc.constant(new Int32Array(0))
    : fc.array(fc.nat({ max: rowCount - 1 }), { maxLength: 12 }).map((rows) => Int32Array.from(rows));
}

function close(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-4): void {
  expect(actual.length).toBe(expected.length);
  for (let index = 0; index < actual.length; index++) {
    const one = actual[index] as number;
    const other = expected[index] as number;
    const agree = Number.isFinite(other) ? Math.abs(one - other) <= tolerance * (1 + Math.abs(other)) : Object.is(one, other);
    if (!agree) expect(one).toBe(other);
  }
}

function same(actual: TopRows, expected: TopRows): void {
  expect(Array.from(actual.rows)).toEqual(Array.from(expected.rows));
  expect(Array.from(actual.scores)).toEqual(Array.from(expected.scores));
}

/** Top rows by plain sorting: the definition. */
function sortedTop(scores: ArrayLike<number>, k: number, mask?: Uint8Array): TopRows {
  const rows = Array.from(scores, (_, row) => row)
    .filter((row) => Number.isFinite(scores[row]) && mask?.[row] !== 0)
    .sort((one, other) => (scores[other] as number) - (scores[one] as number) || one - other)
    .slice(0, k);
  return { rows: Int32Array.from(rows), scores: Float32Array.from(rows, (row) => (scores[row] as number) + 0) };
}

test('the automatic choice is WebAssembly, and both tables are complete', () => {
  expect(createKernels().implementation).toBe('wasm');
  for (const [, kernels] of both) {
    for (const name of kernelNames) expect(typeof kernels.table[name]).toBe('function');
    expect(Object.keys(kernels.table).sort()).toEqual([...kernelNames].sort());
  }
});

describe.each(both)('hand-worked values: %s', (_name, kernels) => {
  test('dot products', () => {
    expect(kernels.dot(Float32Array.of(1, 2, 3, 4, 5), Float32Array.of(5, 4, 3, 2, 1))).toBe(35);
    expect(kernels.dot(new Float32Array(0), new Float32Array(0))).toBe(0);
    expect(
      kernels.sparseDot(Int32Array.of(0, 3, 7), Float32Array.of(1, 2, 3), Int32Array.of(3, 4, 7, 9), Float32Array.of(10, 20, 30, 40)),
    ).toBe(110);
    expect(kernels.sparseDenseDot(Int32Array.of(1, 3), Float32Array.of(2, 4), Float32Array.of(1, 10, 100, 1000))).toBe(4020);
  });

  test('top-k: descending, ties by row, never a number that is not finite', () => {
    const scores = Float32Array.of(1, 3, Number.NaN, 3, Number.POSITIVE_INFINITY, -2, Number.NEGATIVE_INFINITY, 3, 0);
    same(kernels.topK(scores, 4), { rows: Int32Array.of(1, 3, 7, 0), scores: Float32Array.of(3, 3, 3, 1) });
    same(kernels.topK(scores, 100), {
      rows: Int32Array.of(1, 3, 7, 0, 8, 5),
      scores: Float32Array.of(3, 3, 3, 1, 0, -2),
    });
    same(kernels.topK(scores, 2, Uint8Array.of(1, 0, 1, 0, 1, 1, 1, 1, 1)), {
      rows: Int32Array.of(7, 0),
      scores: Float32Array.of(3, 1),
    });
    expect(kernels.topK(scores, 0).rows).toHaveLength(0);
    expect(kernels.topK(new Float32Array(0), 5).rows).toHaveLength(0);
  });

  test('largest and smallest finite scores are selected', () => {
    const largest = 3.4028234663852886e38;
    const scores = Float32Array.of(-largest, largest, 1e-45, -1e-45);
    expect(Array.from(kernels.topK(scores, 4).rows)).toEqual([1, 2, 3, 0]);
  });

  test('gather, accumulate, normalise', () => {
    const matrix = Float32Array.of(1, 2, 3, 4, 5, 6);
    expect(Array.from(kernels.gatherRows(matrix, 2, Int32Array.of(2, 0)))).toEqual([5, 6, 1, 2]);
    expect(Array.from(kernels.gatherDot(matrix, 2, Int32Array.of(2, 1), Float32Array.of(10, 1)))).toEqual([56, 34]);
    expect(Array.from(kernels.accumulateRows(Float32Array.of(100, 200), matrix, Int32Array.of(0, 2), Float32Array.of(1, 10)))).toEqual([
      151, 262,
    ]);
    expect(Array.from(kernels.accumulateRows(Float32Array.of(0, 0), matrix, Int32Array.of(0, 1)))).toEqual([4, 6]);
    // 5.8e-24 and 2e-22 squared are denormal: what is left of their digits would make no unit vector.
    expect(Array.from(kernels.normalizeRows(Float32Array.of(5.8e-24, 2e-22), 2))).toEqual([0, 0]);
    expect(Array.from(kernels.normalizeRows(Float32Array.of(3, 4, 0, 0, Number.NaN, 1), 2))).toEqual([
      Math.fround(0.6),
      Math.fround(0.8),
      0,
      0,
      0,
      0,
    ]);
    const sparse = sparseMatrixFromEntries(2, 3, Int32Array.of(0, 0, 1), Int32Array.of(0, 2, 1), Float32Array.of(1, 2, 3));
    for (const stored of [sparse, kernels.keepSparse(sparse)]) {
      expect(
        Array.from(kernels.accumulateSparseRows(new Float32Array(3), stored, Int32Array.of(0, 1, 0), Float32Array.of(1, 2, 3))),
      ).toEqual([4, 6, 8]);
      kernels.freeSparse(stored);
    }
  });
});

describe('each kernel against its twin and the definition', () => {
  test('dot', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 150 }).chain((length) => fc.tuple(floats(real, length), floats(real, length))),
        ([left, right]) => close([wasm.dot(left, right)], [twin.dot(left, right)], 1e-3),
      ),
    );
    fc.assert(
      fc.property(
        fc.nat({ max: 100 }).chain((length) => fc.tuple(floats(wholeOrSpecial, length), floats(wholeOrSpecial, length))),
        ([left, right]) => {
          expect(wasm.dot(left, right) + 0).toEqual(twin.dot(left, right) + 0);
        },
      ),
    );
  });

  test('sparse dot', () => {
    const vector = fc
      .uniqueArray(fc.nat({ max: 40 }), { maxLength: 30 })
      .map((indices) => Int32Array.from(indices).sort())
      .chain((indices) => fc.tuple(fc.constant(indices), floats(whole, indices.length)));
    fc.assert(
      fc.property(vector, vector, ([leftIndices, leftValues], [rightIndices, rightValues]) => {
        let expected = 0;
        leftIndices.forEach((index, position) => {
          const other = rightIndices.indexOf(index);
          if (other >= 0) expected += (leftValues[position] as number) * (rightValues[other] as number);
        });
        const dense = new Float32Array(41);
        rightIndices.forEach((index, position) => {
          dense[index] = rightValues[position] as number;
        });
        for (const [, kernels] of both) {
          expect(kernels.sparseDot(leftIndices, leftValues, rightIndices, rightValues) + 0).toBe(expected + 0);
          expect(kernels.sparseDenseDot(leftIndices, leftValues, dense) + 0).toBe(expected + 0);
        }
      }),
    );
  });

  test('top-k selection', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 900 }).chain((length) =>
          fc.record({
            scores: floats(wholeOrSpecial, length),
            mask: fc.option(
              fc.array(fc.nat({ max: 1 }), { minLength: length, maxLength: length }).map((values) => Uint8Array.from(values)),
              { nil: undefined },
            ),
            k: fc.nat({ max: 60 }),
          }),
        ),
        ({ scores, mask, k }) => {
          const expected = sortedTop(scores, k, mask);
          for (const [, kernels] of both) same(kernels.topK(scores, k, mask), expected);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('top-k of many scores, where the selection is compacted again and again', () => {
    for (const order of ['ascending', 'descending', 'shuffled', 'equal'] as const) {
      const scores = Float32Array.from({ length: 20_011 }, (_, row) => {
        if (order === 'ascending') return row;
        if (order === 'descending') return -row;
        return order === 'equal' ? 7 : Math.imul(row, 0x9e3779b1) >>> 12;
      });
      for (const k of [1, 10, 500, 512, 7_001, 20_011]) {
        const expected = sortedTop(scores, k);
        for (const [, kernels] of both) same(kernels.topK(scores, k), expected);
      }
    }
  });

  test('scans', () => {
    fc.assert(
      fc.property(matrixCase(wholeOrSpecial), fc.nat({ max: 12 }), ({ rowCount, width, matrix, vector, mask }, k) => {
        const scores = Float32Array.from({ length: rowCount }, (_, row) => {
          let sum = 0;
          for (let column = 0; column < width; column++) {
            sum += (matrix[row * width + column] as number) * (vector[column] as number);
          }
          return sum;
        });
        const expected = sortedTop(scores, k, mask);
        for (const [, kernels] of both) {
          same(kernels.scanTopK(matrix, width, vector, k, mask), expected);
          expect(Array.from(kernels.multiplyRows(matrix, width, vector), (score) => score + 0)).toEqual(
            Array.from(scores, (score) => score + 0),
          );
        }
      }),
    );
  });

  test('scans of several queries answer as one by one', () => {
    fc.assert(
      fc.property(
        matrixCase(wholeOrSpecial).chain((one) =>
          fc.tuple(
            fc.constant(one),
            fc.nat({ max: 9 }).chain((count) => floats(wholeOrSpecial, count * one.width)),
          ),
        ),
        fc.nat({ max: 12 }),
        ([{ width, matrix, mask }, queries], k) => {
          for (const [, kernels] of both) {
            const answers = kernels.scanTopKMany(matrix, width, queries, k, mask);
            expect(answers).toHaveLength(queries.length / width);
            answers.forEach((answer, query) => {
              same(answer, kernels.scanTopK(matrix, width, queries.slice(query * width, (query + 1) * width), k, mask));
            });
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test('the int8 scan of several queries answers as one by one', () => {
    fc.assert(
      fc.property(
        matrixCase(fc.oneof({ weight: 20, arbitrary: real }, special), 60).chain((one) =>
          fc.tuple(
            fc.constant(one),
            fc.nat({ max: 9 }).chain((count) => floats(wholeOrSpecial, count * one.width)),
          ),
        ),
        fc.nat({ max: 12 }),
        ([{ width, matrix, mask }, queries], k) => {
          for (const [, kernels] of both) {
            const quantized = kernels.quantizeRows(matrix, width);
            const answers = kernels.quantizedTopKMany(quantized, matrix, width, queries, k, { mask, candidates: k });
            expect(answers).toHaveLength(queries.length / width);
            answers.forEach((answer, query) => {
              const alone = queries.slice(query * width, (query + 1) * width);
              same(answer, kernels.quantizedTopK(quantized, matrix, width, alone, k, { mask, candidates: k }));
            });
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test('top-k above floors: what is above its own floor, as if the mask said so', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 70 }).chain((length) =>
          fc.record({
            scores: floats(wholeOrSpecial, length),
            floors: floats(wholeOrSpecial, length),
            mask: fc.option(fc.uint8Array({ minLength: length, maxLength: length, max: 1 }), { nil: undefined }),
            k: fc.nat({ max: 80 }),
          }),
        ),
        ({ scores, floors, mask, k }) => {
          const passes = Uint8Array.from(scores, (score, row) => (score > (floors[row] as number) && mask?.[row] !== 0 ? 1 : 0));
          const expected = sortedTop(scores, k, passes);
          for (const [, kernels] of both) same(kernels.topKAbove(scores, floors, k, mask), expected);
        },
      ),
    );
  });

  test('quantisation is bit-identical in both', () => {
    fc.assert(
      fc.property(
        matrixCase(fc.oneof({ weight: 30, arbitrary: fc.float({ noDefaultInfinity: true, noNaN: true }) }, special)),
        ({ width, matrix }) => {
          const one = wasm.quantizeRows(matrix, width);
          const other = twin.quantizeRows(matrix, width);
          expect(Buffer.from(one.codes.buffer).equals(Buffer.from(other.codes.buffer))).toBe(true);
          expect(Array.from(one.scales)).toEqual(Array.from(other.scales));
        },
      ),
    );
  });

  test('the int8 scan with all rows as candidates equals the exact scan', () => {
    fc.assert(
      fc.property(matrixCase(wholeOrSpecial), fc.nat({ max: 12 }), ({ rowCount, width, matrix, vector, mask }, k) => {
        for (const [, kernels] of both) {
          const quantized = kernels.quantizeRows(matrix, width);
          const found = kernels.quantizedTopK(quantized, matrix, width, vector, k, { mask, candidates: rowCount });
          if (vector.every(Number.isFinite)) same(found, kernels.scanTopK(matrix, width, vector, k, mask));
          else expect(found.rows).toHaveLength(0);
        }
      }),
    );
  });

  test('the int8 scan proposes the same candidates in both', () => {
    fc.assert(
      fc.property(matrixCase(real, 60), fc.nat({ max: 12 }), ({ width, matrix, vector, mask }, k) => {
        const answers = both.map(([, kernels]) =>
          kernels.quantizedTopK(kernels.quantizeRows(matrix, width), matrix, width, vector, k, { mask, candidates: k }),
        ) as [TopRows, TopRows];
        expect(Array.from(answers[0].rows).sort()).toEqual(Array.from(answers[1].rows).sort());
      }),
    );
  });

  test('columns become rows, or one sum per row, with the same value for all that is missing', () => {
    const case_ = fc
      .record({ rowCount: fc.nat({ max: 150 }), width: fc.integer({ min: 1, max: 11 }), missing: fc.constantFrom(0, -2.5, Number.NaN) })
      .chain(({ rowCount, width, missing }) =>
        fc.record({
          rowCount: fc.constant(rowCount),
          missing: fc.constant(missing),
          columns: fc.array(floats(fc.oneof({ weight: 9, arbitrary: real }, { weight: 1, arbitrary: special }), rowCount), {
            minLength: width,
            maxLength: width,
          }),
          weights: floats(real, width),
        }),
      );
    fc.assert(
      fc.property(case_, ({ rowCount, missing, columns, weights }) => {
        const present = (column: Float32Array, row: number): number => {
          const value = column[row] as number;
          return Number.isNaN(value) ? missing : value;
        };
        const rows = Array.from({ length: rowCount }, (_, row) => row);
        const table = rows.flatMap((row) => columns.map((column) => present(column, row)));
        // float32 after every step, as both implementations promise.
        const sums = rows.map((row) =>
          columns.reduce((sum, column, index) => Math.fround(sum + Math.fround((weights[index] as number) * present(column, row))), 0),
        );
        for (const [, kernels] of both) {
          const output = new Float32Array(rowCount * columns.length);
          expect(kernels.interleaveColumns(columns, missing, output)).toBe(output);
          expect(Array.from(output)).toEqual(table);
          const combined = kernels.combineColumns(columns, weights, missing, new Float32Array(rowCount));
          expect(Array.from(combined, (value) => value + 0)).toEqual(sums.map((value) => value + 0));
        }
      }),
    );
  });

  test('gather and accumulate, resident or not', () => {
    fc.assert(
      fc.property(
        matrixCase(wholeOrSpecial).chain((one) =>
          rowList(one.rowCount).chain((rows) => fc.tuple(fc.constant(one), fc.constant(rows), floats(whole, rows.length))),
        ),
        ([{ width, matrix, vector }, rows, weights]) => {
          for (const [, kernels] of both) {
            const resident = kernels.keepFloat32(matrix);
            for (const stored of [matrix, resident]) {
              const gathered = kernels.gatherRows(stored, width, rows);
              expect(Array.from(gathered)).toEqual(
                Array.from(rows).flatMap((row) => Array.from(matrix.subarray(row * width, (row + 1) * width))),
              );
              expect(Array.from(kernels.gatherDot(stored, width, rows, vector))).toEqual(
                Array.from(rows, (row) => kernels.dot(matrix.slice(row * width, (row + 1) * width), vector)),
              );
              const sum = kernels.accumulateRows(vector.slice(), stored, rows, weights);
              const expected = vector.slice();
              rows.forEach((row, index) => {
                for (let column = 0; column < width; column++) {
                  expected[column] = (expected[column] as number) + (weights[index] as number) * (matrix[row * width + column] as number);
                }
              });
              expect(Array.from(sum, (value) => value + 0)).toEqual(Array.from(expected, (value) => value + 0));
            }
            kernels.free(resident);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  test('normalisation', () => {
    fc.assert(
      fc.property(matrixCase(fc.oneof({ weight: 40, arbitrary: real }, special)), ({ width, matrix }) =>
        close(wasm.normalizeRows(matrix.slice(), width), twin.normalizeRows(matrix.slice(), width)),
      ),
    );
  });

  test('streaming read sums', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 200 }).chain((length) => floats(whole, length)),
        (values) => {
          for (const [, kernels] of both) {
            const resident = kernels.keepFloat32(values);
            expect(kernels.table.streamRead(resident.byteOffset, values.length) + 0).toBe(
              values.reduce((sum, value) => sum + value, 0) + 0,
            );
            kernels.free(resident);
          }
        },
      ),
    );
  });
});

describe('arguments that do not fit', () => {
  function codeOf(run: () => unknown): string {
    try {
      run();
    } catch (error) {
      expect(error).toBeInstanceOf(KernelError);
      expect((error as Record<symbol, unknown>)[Symbol.for('recloom.error')]).toBe(true);
      return (error as KernelError).code;
    }
    return 'nothing thrown';
  }

  test.each(both)('are refused: %s', (_name, kernels) => {
    const two = new Float32Array(2);
    const three = new Float32Array(3);
    const shape = 'RECLOOM_KRN_SHAPE';
    expect(codeOf(() => kernels.dot(two, three))).toBe(shape);
    expect(codeOf(() => kernels.topK(three, -1))).toBe(shape);
    expect(codeOf(() => kernels.topK(three, 1.5))).toBe(shape);
    expect(codeOf(() => kernels.topK(three, 1, new Uint8Array(2)))).toBe(shape);
    expect(codeOf(() => kernels.topKAbove(three, two, 1))).toBe(shape);
    expect(codeOf(() => kernels.quantizedTopKMany(kernels.quantizeRows(new Float32Array(20), 20), two, 2, two, 1))).toBe(shape);
    expect(codeOf(() => kernels.scanTopK(three, 2, two, 1))).toBe(shape);
    expect(codeOf(() => kernels.scanTopK(two, 2, three, 1))).toBe(shape);
    expect(codeOf(() => kernels.scanTopK(two, 0, three, 1))).toBe(shape);
    expect(codeOf(() => kernels.gatherRows(two, 2, Int32Array.of(1)))).toBe(shape);
    expect(codeOf(() => kernels.gatherDot(two, 2, Int32Array.of(-1), two))).toBe(shape);
    expect(codeOf(() => kernels.accumulateRows(two, two, Int32Array.of(0), two))).toBe(shape);
    expect(codeOf(() => kernels.sparseDenseDot(Int32Array.of(2), Float32Array.of(1), two))).toBe(shape);
    expect(codeOf(() => kernels.multiplyRows(two, 2, two, two))).toBe(shape);
    expect(codeOf(() => kernels.interleaveColumns([], 0, two))).toBe(shape);
    expect(codeOf(() => kernels.interleaveColumns([two, three], 0, new Float32Array(4)))).toBe(shape);
    expect(codeOf(() => kernels.interleaveColumns([two, two], 0, three))).toBe(shape);
    expect(codeOf(() => kernels.combineColumns([two, two], three, 0, two))).toBe(shape);
    expect(codeOf(() => kernels.combineColumns([two, three], two, 0, two))).toBe(shape);
  });

  test('an impossible implementation is refused, and a full memory too', () => {
    const small = createKernels({ maximumBytes: 32 * 1024 * 1024 });
    expect(codeOf(() => small.float32(16 * 1024 * 1024))).toBe('RECLOOM_KRN_OUT_OF_MEMORY');
    expect(small.float32(1024).length).toBe(1024);
  });
});
