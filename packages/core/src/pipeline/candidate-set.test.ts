import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allFinite, CandidateSet, MergeScratch, selectBest } from './candidate-set.js';

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

interface Merged {
  readonly row: number;
  readonly scores: readonly number[];
  readonly ranks: readonly number[];
}

/** One request's lists merged by the rule itself: in turns, place by place; a row stands where it came first. */
function mergeByRule(lists: readonly (readonly number[])[], limits: readonly number[], itemCount: number): Merged[] {
  const merged = new Map<number, { row: number; scores: number[]; ranks: number[] }>();
  for (let place = 0; lists.some((list) => place < list.length); place++) {
    for (const [source, list] of lists.entries()) {
      const row = list[place];
      if (row === undefined || place >= (limits[source] as number) || row < 0 || row >= itemCount) continue;
      const entry = merged.get(row) ?? { row, scores: lists.map(() => Number.NaN), ranks: lists.map(() => 0) };
      merged.set(row, entry);
      if (entry.ranks[source] !== 0) continue;
      entry.scores[source] = Math.fround(row / 7 + source);
      entry.ranks[source] = place + 1;
    }
  }
  return [...merged.values()];
}

function candidatesOf(set: CandidateSet, request: number): Merged[] {
  return Array.from({ length: (set.offsets[request + 1] as number) - (set.offsets[request] as number) }, (_, index) => {
    const at = (set.offsets[request] as number) + index;
    return {
      row: set.rows[at] as number,
      scores: set.sourceScores.slice(0, set.sourceCount).map((column) => column[at] as number),
      ranks: set.sourceRanks.slice(0, set.sourceCount).map((column) => column[at] as number),
    };
  });
}

const items = 40;
/** By request and source a list of rows, some outside of the catalogue, some twice; one list may be far longer than the others. */
const merges = fc.integer({ min: 1, max: 4 }).chain((sources) =>
  fc.record({
    limits: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: sources, maxLength: sources }),
    requests: fc.array(
      fc.record({
        lists: fc.array(
          fc.oneof(
            fc.array(fc.integer({ min: -1, max: items }), { maxLength: 8 }),
            fc.shuffledSubarray(
              Array.from({ length: items }, (_, row) => row),
              { minLength: items },
            ),
          ),
          { minLength: sources, maxLength: sources },
        ),
        named: fc.array(fc.integer({ min: 0, max: items - 1 }), { maxLength: 45 }),
      }),
      { maxLength: 4 },
    ),
  }),
);

describe('CandidateSet', () => {
  const scratch = new MergeScratch();
  scratch.ensureItems(items);
  const set = new CandidateSet();

  it('merges as the rule says, and drops what was named or marked, in place', () => {
    fc.assert(
      fc.property(merges, fc.boolean(), ({ limits, requests }, byMark) => {
        const proposals = limits.map((_, source) => {
          const rows = Int32Array.from(requests.flatMap(({ lists }) => lists[source] as number[]));
          let end = 0;
          const offsets = Int32Array.from([0, ...requests.map(({ lists }) => (end += (lists[source] as number[]).length))]);
          return { offsets, rows, scores: Float32Array.from(rows, (row) => row / 7 + source) };
        });
        set.reset(limits.length);
        scratch.ensureSources(limits.length);
        scratch.limits.set(limits);
        const named = requests.map((request) => Int32Array.from(request.named));
        set.merge(proposals, requests.length, items, scratch, named);
        const expected = requests.map(({ lists }) => mergeByRule(lists, limits, items));
        expect(requests.map((_, request) => candidatesOf(set, request))).toEqual(expected);
        if (byMark) {
          set.removed.fill(0);
          for (const place of set.named as Int32Array) set.removed[place] = 1;
          set.compact();
        } else set.drop(set.named as Int32Array);
        const kept = expected.map((request, index) => request.filter(({ row }) => !(requests[index]?.named ?? []).includes(row)));
        expect(requests.map((_, request) => candidatesOf(set, request))).toEqual(kept);
        expect(set.count).toBe(kept.reduce((sum, request) => sum + request.length, 0));
      }),
      { numRuns: 300 },
    );
  });

  it('forgets rows however often it is begun, also when its numbers run out', () => {
    const few = new MergeScratch();
    few.ensureItems(3);
    for (let round = 0; round < 5; round++) {
      few.begin(0x3fffffff);
      expect([0, 1, 2].map((row) => few.placeOf(row) >= 0)).toEqual([false, false, false]);
      few.put(1, 0x3ffffffe - round);
      few.put(2, 0);
      expect(few.placeOf(0)).toBeLessThan(0);
      expect([few.placeOf(1), few.placeOf(2)]).toEqual([0x3ffffffe - round, 0]);
    }
  });
});

describe('allFinite', () => {
  it('finds what is not a finite number, wherever it stands', () => {
    const largest = 3.4e38;
    for (let length = 0; length < 6; length++) {
      const values = new Float32Array(length + 2).fill(largest);
      values[0] = values[length + 1] = Number.NaN;
      expect(allFinite(values, 1, length + 1)).toBe(true);
      for (let place = 1; place <= length; place++) {
        for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
          expect(allFinite(values.with(place, bad), 1, length + 1)).toBe(false);
        }
      }
    }
  });
});
