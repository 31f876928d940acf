import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { BoundedRows, mostBounded } from './bounded-rows.js';
import { createKernels, type Kernels, type TopRows } from './kernels.js';

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

/** Few different values, so that scores tie; and lengths that differ a thousandfold, so that whole blocks are passed over. */
const row = (width: number): fc.Arbitrary<readonly number[]> =>
  fc
    .record({
      values: fc.array(fc.oneof(fc.integer({ min: -3, max: 3 }), fc.float({ min: -3, max: 3, noNaN: true })), {
        minLength: width,
        maxLength: width,
      }),
      factor: fc.constantFrom(0, 0.001, 0.1, 1, 1),
    })
    .map(({ values, factor }) => values.map((value) => Math.fround(value * factor)));

const cases = fc.integer({ min: 1, max: 40 }).chain((width) =>
  fc.record({
    width: fc.constant(width),
    rows: fc.array(row(width), { minLength: 1, maxLength: 150 }),
    queries: fc.array(fc.record({ query: row(width), limit: fc.nat({ max: 12 }) }), { maxLength: 6 }),
    scales: fc.array(fc.float({ min: Math.fround(0.1), max: 10, noNaN: true }), { minLength: width, maxLength: width }),
    closed: fc.array(fc.nat({ max: 149 }), { maxLength: 40 }),
  }),
);

/** The rows above 0 that a plain scan finds, one query at a time. */
function byScan(kernels: Kernels, matrix: Float32Array, query: Float32Array, limit: number, open: Uint8Array): TopRows {
  const { rows, scores } = kernels.scanTopK(matrix, query.length, query, limit, open);
  const kept = scores.filter((score) => score > 0).length;
  return { rows: rows.subarray(0, kept), scores: scores.subarray(0, kept) };
}

function plain(lists: readonly (TopRows | undefined)[]): unknown {
  return lists.map((list) => list && { rows: [...list.rows], scores: [...list.scores] });
}

describe.each(both)('bounded rows (%s)', (_, kernels) => {
  test('are the very rows and scores of a scan, whatever is passed over', () => {
    fc.assert(
      fc.property(cases, ({ width, rows, queries, scales, closed }) => {
        const matrix = kernels.keepFloat32(Float32Array.from(rows.flat()));
        const asked = kernels.keepFloat32(Float32Array.from(queries.flatMap(({ query }) => query)));
        const open = new Uint8Array(rows.length).fill(1);
        for (const place of closed) if (place < open.length) open[place] = 0;
        const bounded = BoundedRows.of(kernels, matrix, width, Float32Array.from(scales)) as BoundedRows;
        const limits = Int32Array.from(queries, ({ limit }) => limit);
        const expected = queries.map(({ query, limit }) => byScan(kernels, matrix, Float32Array.from(query), limit, open));
        expect(plain(bounded.best(asked, limits, open))).toEqual(plain(expected));
        bounded.dispose();
        for (const array of [matrix, asked]) kernels.free(array);
      }),
      { numRuns: 300 },
    );
  });

  test('of factors as a model has them: thousands of rows, many queries, lists as long as they may be', () => {
    const width = 48;
    let state = 1;
    const uniform = (): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    };
    const matrix = kernels.float32(3000 * width);
    for (let place = 0; place < 3000; place++) {
      const length = 0.01 + uniform() ** 6;
      for (let column = 0; column < width; column++) matrix[place * width + column] = length * (uniform() - 0.5);
    }
    // A query is near some rows, as a person's factors are; and one pair of rows is the same, far apart.
    matrix.copyWithin(2990 * width, 7 * width, 8 * width);
    const queries = kernels.float32(20 * width);
    for (let query = 0; query < 20; query++) {
      for (const near of [7 + query, 40 * query, 2999 - query]) {
        for (let column = 0; column < width; column++) {
          const at = query * width + column;
          queries[at] = (queries[at] as number) + (matrix[near * width + column] as number);
        }
      }
    }
    const bounded = BoundedRows.of(kernels, matrix, width, new Float32Array(width).fill(2)) as BoundedRows;
    const open = kernels.uint8(3000).fill(1);
    open[2999] = 0;
    const limits = Int32Array.from({ length: 20 }, (__, query) => (query < 2 ? mostBounded : 1 + query));
    const found = bounded.best(queries, limits, open);
    const expected = Array.from(limits, (limit, query) =>
      byScan(kernels, matrix, queries.slice(query * width, (query + 1) * width), limit, open),
    );
    expect(plain(found)).toEqual(plain(expected));
    bounded.dispose();
    for (const array of [matrix, queries, open]) kernels.free(array);
  });

  test('say nothing of a query without a finite length, and refuse rows without one', () => {
    const matrix = kernels.keepFloat32(Float32Array.of(1, 2, 3, 4));
    const bounded = BoundedRows.of(kernels, matrix, 2, Float32Array.of(1, 1)) as BoundedRows;
    const queries = kernels.keepFloat32(Float32Array.of(1, Number.NaN, 1, 1, 3e38, 3e38, 3e38, 0));
    const found = bounded.best(queries, Int32Array.of(2, 2, 2, 0), new Uint8Array(2).fill(1));
    expect(plain(found)).toEqual([undefined, { rows: [1, 0], scores: [7, 3] }, undefined, { rows: [], scores: [] }]);
    expect(bounded.best(queries.subarray(0, 0), new Int32Array(0), new Uint8Array(2))).toEqual([]);
    const shape = expect.objectContaining({ code: 'RECLOOM_KRN_SHAPE' });
    expect(() => bounded.best(queries, Int32Array.of(1), new Uint8Array(2))).toThrow(shape);
    expect(() => bounded.best(queries.subarray(0, 2), Int32Array.of(mostBounded + 1), new Uint8Array(2))).toThrow(shape);
    expect(() => bounded.best(queries.subarray(0, 2), Int32Array.of(1), new Uint8Array(3))).toThrow(shape);
    expect(() => BoundedRows.of(kernels, new Float32Array(4), 2, Float32Array.of(1, 1))).toThrow(shape);
    matrix[3] = Number.POSITIVE_INFINITY;
    expect(BoundedRows.of(kernels, matrix, 2, Float32Array.of(1, 1))).toBeUndefined();
    bounded.dispose();
    for (const array of [matrix, queries]) kernels.free(array);
  });
});

test('both implementations multiply out many queries as they do one', () => {
  fc.assert(
    fc.property(cases, ({ width, rows, queries }) => {
      for (const [, kernels] of both) {
        const matrix = kernels.keepFloat32(Float32Array.from(rows.flat()));
        const asked = kernels.keepFloat32(Float32Array.from(queries.flatMap(({ query }) => query)));
        const output = kernels.float32(rows.length * queries.length);
        kernels.table.multiplyRowsMany(matrix.byteOffset, rows.length, width, asked.byteOffset, queries.length, output.byteOffset);
        const expected = queries.flatMap(({ query }) => [...kernels.multiplyRows(matrix, width, Float32Array.from(query))]);
        expect([...output]).toEqual(expected);
        for (const array of [matrix, asked, output]) kernels.free(array);
      }
    }),
  );
});
