import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { selectBest } from './candidate-set.js';

/** The rule itself, by sorting everything: value descending, then row ascending. */
function bySorting(values: Float32Array, rows: Int32Array, start: number, end: number, size: number): number[] {
  return Array.from({ length: end - start }, (_, place) => start + place)
    .sort((one, other) => {
      const [left, right] = [values[one] as number, values[other] as number];
      return left === right ? (rows[one] as number) - (rows[other] as number) : left < right ? 1 : -1;
    })
    .slice(0, size);
}

const columns = fc
  .array(
    // Few different values, so that ties are common; minus infinity is where candidates without a finite value sink to.
    fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constant(Number.NEGATIVE_INFINITY), fc.float({ noNaN: true, noDefaultInfinity: true })),
    { maxLength: 300 },
  )
  .chain((values) =>
    fc.record({
      values: fc.constant(Float32Array.from(values)),
      rows: fc
        .shuffledSubarray(
          Array.from(values, (_, row) => row * 3),
          { minLength: values.length },
        )
        .map((rows) => Int32Array.from(rows)),
      start: fc.integer({ min: 0, max: values.length }),
      size: fc.integer({ min: 0, max: 320 }),
    }),
  );

describe('selectBest', () => {
  it('gives what sorting everything gives, in that order', () => {
    fc.assert(
      fc.property(columns, ({ values, rows, start, size }) => {
        const found = selectBest(values, rows, start, values.length, size);
        expect([...found]).toEqual(bySorting(values, rows, start, values.length, size));
      }),
      { numRuns: 500 },
    );
  });

  it('breaks ties by ascending row, wherever the candidates stand', () => {
    const rows = Int32Array.of(9, 4, 7, 1, 3);
    expect([...selectBest(new Float32Array(5).fill(2), rows, 0, 5, 3)].map((at) => rows[at])).toEqual([1, 3, 4]);
  });

  it('keeps candidates that sank to minus infinity behind all others, by ascending row', () => {
    const sunk = Number.NEGATIVE_INFINITY;
    const rows = Int32Array.of(5, 2, 8, 1);
    expect([...selectBest(Float32Array.of(sunk, sunk, -1e30, sunk), rows, 0, 4, 10)].map((at) => rows[at])).toEqual([8, 1, 2, 5]);
  });

  it('finds the last when values rise, the first when they fall', () => {
    const rows = Int32Array.from({ length: 1000 }, (_, row) => row);
    const rising = Float32Array.from(rows, (row) => row);
    expect([...selectBest(rising, rows, 0, 1000, 3)]).toEqual([999, 998, 997]);
    expect([
      ...selectBest(
        rising.map((value) => -value),
        rows,
        0,
        1000,
        3,
      ),
    ]).toEqual([0, 1, 2]);
  });
});
