import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { createKernels, HistoryEvidence, KernelError } from './index.js';

const instances = { wasm: createKernels({ implementation: 'wasm' }), typescript: createKernels({ implementation: 'typescript' }) };
const both = Object.entries(instances).map(([name, kernels]) => ({ name, kernels }));

function listsOf(lists: readonly (readonly number[])[]): { offsets: Int32Array; neighbours: Int32Array } {
  const offsets = new Int32Array(lists.length + 1);
  for (const [row, list] of lists.entries()) offsets[row + 1] = (offsets[row] as number) + list.length;
  return { offsets, neighbours: Int32Array.from(lists.flat()) };
}

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof KernelError) return `${error.code} ${error.message}`;
    throw error;
  }
  throw new Error('nothing was thrown');
}

// The path and triangle 0-1, 0-2, 1-2, 1-3, 2-3, 3-4, 4-5, undirected.
const lists = [[1, 2], [0, 2, 3], [0, 1, 3], [1, 2, 4], [3, 5], [4]];
const all = Int32Array.of(0, 1, 2, 3, 4, 5);

afterAll(() => {
  for (const kernels of Object.values(instances)) expect(kernels.bytesInUse).toBe(0);
});

describe.each(both)('shared neighbours in $name', ({ kernels }) => {
  // networkx 3.6.1: len(list(common_neighbors(G, 0, v))), adamic_adar_index and jaccard_coefficient of (0, v), v = 1 … 5.
  it('agrees with networkx for a history of one item', () => {
    const evidence = new HistoryEvidence(kernels, listsOf(lists));
    const out = evidence.neighbours(all, Int32Array.of(0), [3], new Float32Array(24));
    const column = (index: number): number[] => Array.from(all, (_, row) => out[row * 4 + index] as number);
    expect(column(0)).toEqual([0, 1, 1, 0, 0, 0]);
    expect(column(1)).toEqual([0, 1, 1, 2, 0, 0]);
    const rarity = [0, 0.9102392266268373, 0.9102392266268373, 1.8204784532536746, 0, 0];
    const jaccard = [0, 0.25, 0.25, 2 / 3, 0, 0];
    for (let row = 0; row < 6; row++) {
      expect(column(2)[row]).toBeCloseTo(rarity[row] as number, 6);
      expect(column(3)[row]).toBeCloseTo(jaccard[row] as number, 6);
    }
    evidence.dispose();
  });

  it('weighs the items of the history, and leaves the candidate itself out', () => {
    const evidence = new HistoryEvidence(kernels, listsOf(lists));
    // For 3: three parts of item 0 (not linked, {1, 2} shared of 3) and one part of item 4 (linked, nothing shared).
    // For 4, itself in the history: only item 0 is left, with which it shares nothing.
    const out = evidence.neighbours(Int32Array.of(3, 4, 0), Int32Array.of(0, 4), [3, 1], new Float32Array(12));
    expect(out[0]).toBeCloseTo(0.25, 6);
    expect(out[1]).toBeCloseTo(1.5, 6);
    expect(out[2]).toBeCloseTo(0.75 * 2 * (1 / Math.log(3)), 6);
    expect(out[3]).toBeCloseTo(0.75 * (2 / 3), 6);
    expect([...out.subarray(4)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    evidence.dispose();
  });

  it('is exact where the candidate itself makes up nearly all of the history', () => {
    const evidence = new HistoryEvidence(kernels, { ...listsOf(lists), vectors: Float32Array.of(1, 1, 1, 1, 1, 1), width: 1 });
    const rows = Int32Array.of(3);
    const heavy = evidence.neighbours(rows, Int32Array.of(3, 0), [1e9, 1], new Float32Array(4));
    expect(heavy).toEqual(evidence.neighbours(rows, Int32Array.of(0), [1], new Float32Array(4)));
    expect([...evidence.similarities(rows, Int32Array.of(3, 0), [1e9, 1], new Float32Array(2))]).toEqual([1, 1]);
    evidence.dispose();
  });

  it('says nothing without a history, about the only item of it, and about rows it does not cover', () => {
    const evidence = new HistoryEvidence(kernels, listsOf(lists));
    const rows = Int32Array.of(0, -1, 6, 2_000_000_000);
    for (const history of [[], [0]]) {
      const out = evidence.neighbours(
        rows,
        Int32Array.from(history),
        history.map(() => 1),
        new Float32Array(16).fill(7),
      );
      expect([...out]).toEqual(new Array(16).fill(0));
    }
    evidence.dispose();
  });

  it('has no neighbours at all, or no rows', () => {
    const evidence = new HistoryEvidence(kernels, listsOf([[], []]));
    expect([...evidence.neighbours(Int32Array.of(1), Int32Array.of(0), [1], new Float32Array(4))]).toEqual([0, 0, 0, 0]);
    evidence.dispose();
    const empty = new HistoryEvidence(kernels, listsOf([]));
    expect(empty.neighbours(Int32Array.of(0), new Int32Array(0), [], new Float32Array(4))).toEqual(new Float32Array(4));
    empty.dispose();
  });

  it('leaves no trace for the next request', () => {
    const evidence = new HistoryEvidence(kernels, listsOf(lists));
    const first = evidence.neighbours(all, Int32Array.of(0, 5), [1, 2], new Float32Array(24)).slice();
    evidence.neighbours(all, Int32Array.of(1, 2, 3), [1, 1, 1], new Float32Array(24));
    expect(evidence.neighbours(all, Int32Array.of(0, 5), [1, 2], new Float32Array(24))).toEqual(first);
    evidence.dispose();
  });

  it('compares vectors', () => {
    const vectors = Float32Array.of(1, 0, 0, 1, 0.6, 0.8, -1, 0, 0, 0);
    const evidence = new HistoryEvidence(kernels, { ...listsOf([[], [], [], [], []]), vectors, width: 2 });
    const out = evidence.similarities(Int32Array.of(2, 0, 3, 4, -1), Int32Array.of(0, 1), [3, 1], new Float32Array(10));
    const expected = [0.8, 0.65, 0, 0, 0, -0.75, 0, 0, 0, 0];
    for (const [place, value] of expected.entries()) expect(out[place]).toBeCloseTo(value, 6);
    expect([...evidence.similarities(Int32Array.of(1), Int32Array.of(1), [1], new Float32Array(2))]).toEqual([0, 0]);
    evidence.dispose();
  });
});

describe('any graph', () => {
  const rowCount = 40;
  const list = (row: number) =>
    fc.uniqueArray(
      fc.integer({ min: 0, max: rowCount - 1 }).filter((other) => other !== row),
      { maxLength: 30 },
    );
  const graph = fc.tuple(...Array.from({ length: rowCount }, (_, row) => list(row)));

  it('both implementations agree', () => {
    fc.assert(
      fc.property(
        graph,
        fc.uniqueArray(fc.record({ row: fc.nat(rowCount - 1), weight: fc.double({ min: 1e-6, max: 1e6, noNaN: true }) }), {
          selector: ({ row }) => row,
          maxLength: 40,
        }),
        fc.array(fc.integer({ min: -1, max: rowCount + 3 }), { maxLength: 50 }),
        fc.array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: rowCount * 3, maxLength: rowCount * 3 }),
        (drawn, history, rows, values) => {
          const results = both.map(({ kernels }) => {
            const evidence = new HistoryEvidence(kernels, { ...listsOf(drawn), vectors: Float32Array.from(values), width: 3 });
            const past = Int32Array.from(history, ({ row }) => row);
            const weights = history.map(({ weight }) => weight);
            const candidates = Int32Array.from(rows);
            const neighbours = evidence.neighbours(candidates, past, weights, new Float32Array(rows.length * 4));
            const similarities = evidence.similarities(candidates, past, weights, new Float32Array(rows.length * 2));
            evidence.dispose();
            return [...neighbours, ...similarities];
          });
          const [own, twin] = results as [number[], number[]];
          for (const [place, value] of own.entries()) expect(Math.abs(value - (twin[place] as number))).toBeLessThan(1e-4);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('the largest histories and lists', () => {
  it.each(both)('64 items with 255 neighbours each in $name', ({ kernels }) => {
    const rowCount = 320;
    const drawn = Array.from({ length: rowCount }, (_, row) =>
      Array.from({ length: 256 }, (_unused, place) => place)
        .filter((other) => other !== row)
        .slice(0, 255),
    );
    const evidence = new HistoryEvidence(kernels, listsOf(drawn));
    const history = Int32Array.from({ length: 64 }, (_, place) => 256 + place);
    // Rows from 256 on all have the same 255 neighbours, 0 to 254.
    const out = evidence.neighbours(Int32Array.of(300, 0), history, new Array(64).fill(1), new Float32Array(8));
    expect(out[0]).toBe(0);
    expect(out[1]).toBeCloseTo(255, 3);
    expect(out[3]).toBeCloseTo(1, 5);
    expect(out[4]).toBeCloseTo(1, 5);
    // Row 0 has 1 to 255: 254 shared of 256.
    expect(out[5]).toBeCloseTo(254, 3);
    expect(out[7]).toBeCloseTo(254 / 256, 5);
    evidence.dispose();
  });
});

describe('bad input', () => {
  const kernels = instances.wasm;
  it.each<[string, readonly (readonly number[])[], string]>([
    ['a neighbour that does not exist', [[1]], 'Neighbour 1 is not below 1'],
    ['a neighbour below 0', [[-1]], 'Neighbour -1'],
    ['a row among its own neighbours', [[0]], 'names itself'],
    ['a neighbour twice', [[1, 1], []], 'a neighbour twice'],
    [
      'too many neighbours',
      [Array.from({ length: 256 }, (_, place) => place + 1), ...Array.from({ length: 256 }, () => [])],
      'has 256 neighbours',
    ],
  ])('%s', (_, drawn, message) => {
    expect(codeOf(() => new HistoryEvidence(kernels, listsOf(drawn)))).toContain(message);
    expect(codeOf(() => new HistoryEvidence(kernels, listsOf(drawn)))).toContain('RECLOOM_KRN_SHAPE');
  });

  it('offsets or vectors that do not fit', () => {
    expect(codeOf(() => new HistoryEvidence(kernels, { offsets: Int32Array.of(0, 2), neighbours: Int32Array.of(0) }))).toContain(
      'do not cover',
    );
    expect(codeOf(() => new HistoryEvidence(kernels, { offsets: new Int32Array(0), neighbours: new Int32Array(0) }))).toContain(
      'do not cover',
    );
    expect(codeOf(() => new HistoryEvidence(kernels, { ...listsOf([[], []]), vectors: new Float32Array(3), width: 2 }))).toContain(
      '2 vectors of 2',
    );
  });

  it('histories and outputs that do not fit', () => {
    const evidence = new HistoryEvidence(kernels, listsOf(lists));
    const ask =
      (history: readonly number[], weights: readonly number[], length = 4) =>
      () =>
        evidence.neighbours(Int32Array.of(1), Int32Array.from(history), weights, new Float32Array(length));
    expect(codeOf(ask([0, 0], [1, 1]))).toContain('row 0 twice');
    expect(codeOf(ask([6], [1]))).toContain('Row 6 is not below 6');
    expect(codeOf(ask([0], []))).toContain('one weight per item');
    for (const weight of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
      expect(codeOf(ask([0], [weight]))).toContain('not a positive number');
    expect(codeOf(ask([0], [1], 3))).toContain('has 3 values, not 4');
    expect(codeOf(ask(new Array(65).fill(0), new Array(65).fill(1)))).toContain('more than 64');
    expect(codeOf(() => evidence.similarities(Int32Array.of(1), Int32Array.of(0), [1], new Float32Array(2)))).toContain('no vectors');
    evidence.dispose();
    evidence.dispose();
    expect(codeOf(ask([0], [1]))).toContain('RECLOOM_KRN_CLOSED');
  });
});
