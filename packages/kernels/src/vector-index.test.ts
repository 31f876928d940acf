import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createKernels } from './kernels.js';
import { VectorIndex } from './vector-index.js';

const wasm = createKernels({ implementation: 'wasm' });
const twin = createKernels({ implementation: 'typescript' });

describe.each([
  ['wasm', wasm],
  ['typescript', twin],
] as const)('%s', (_name, kernels) => {
  test('nearest by cosine, worked by hand', () => {
    const index = new VectorIndex(kernels, { width: 2, normalize: true });
    expect(index.append(Float32Array.of(1, 0, 0, 2, 3, 3, 0, 0))).toBe(0);
    const { rows, scores } = index.search(Float32Array.of(5, 5), 3);
    expect(Array.from(rows)).toEqual([2, 0, 1]);
    expect(Array.from(scores, (score) => Math.round(score * 1e6) / 1e6)).toEqual([1, 0.707107, 0.707107]);
    expect(Array.from(index.search(Float32Array.of(5, 5), 3, { mask: Uint8Array.of(1, 1, 0, 1) }).rows)).toEqual([0, 1, 3]);
    for (const exact of [true, false])
      expect(Array.from(index.searchMany(Float32Array.of(1, 0, 0, 1), 1, { exact }), ({ rows: [row] }) => row)).toEqual([0, 1]);
    index.dispose();
  });

  test('appended and replaced rows are seen by the next search; memory is given back', () => {
    const before = kernels.bytesInUse;
    const index = new VectorIndex(kernels, { width: 3, capacity: 2 });
    index.upsert(0, Float32Array.of(1, 1, 1));
    for (let row = 1; row < 30; row++) index.upsert(row, Float32Array.of(row, 0, 0));
    expect(index.rowCount).toBe(30);
    expect(Array.from(index.search(Float32Array.of(1, 0, 0), 2).rows)).toEqual([29, 28]);
    index.upsert(7, Float32Array.of(100, 0, 0));
    expect(Array.from(index.search(Float32Array.of(1, 0, 0), 2).rows)).toEqual([7, 29]);
    expect(Array.from(index.vectors.subarray(21, 24))).toEqual([100, 0, 0]);
    expect(() => index.upsert(31, new Float32Array(3))).toThrow('between 0 and 30');
    expect(() => index.append(new Float32Array(4))).toThrow('no whole number');
    expect(() => index.search(new Float32Array(2), 1)).toThrow('not 3');
    index.dispose();
    index.dispose();
    expect(() => index.search(new Float32Array(3), 1)).toThrow(expect.objectContaining({ code: 'RECLOOM_KRN_CLOSED' }));
    expect(kernels.bytesInUse).toBe(before);
  });

  test('an empty index answers with nothing', () => {
    const index = new VectorIndex(kernels, { width: 4 });
    expect(index.append(new Float32Array(0))).toBe(0);
    expect(index.search(new Float32Array(4), 5).rows).toHaveLength(0);
    expect(index.search(new Float32Array(4), 5, { exact: true }).rows).toHaveLength(0);
    expect(index.searchMany(new Float32Array(8), 5)).toHaveLength(2);
    expect(index.searchMany(new Float32Array(8), 5, { exact: false })).toHaveLength(2);
    index.dispose();
  });
});

test('built row by row, in pieces or at once, an index answers the same', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }).chain((width) =>
        fc.record({
          width: fc.constant(width),
          vectors: fc
            .array(fc.array(fc.integer({ min: -5, max: 5 }), { minLength: width, maxLength: width }), { maxLength: 23 })
            .map((rows) => Float32Array.from(rows.flat())),
          cut: fc.nat({ max: 23 }),
        }),
      ),
      ({ width, vectors, cut }) => {
        const count = vectors.length / width;
        const query = Float32Array.from({ length: width }, (_, column) => column - 2);
        const whole = new VectorIndex(wasm, { width });
        whole.append(vectors);
        const pieces = new VectorIndex(wasm, { width });
        const border = Math.min(cut, count) * width;
        pieces.append(vectors.subarray(0, border));
        for (let row = border / width; row < count; row++) {
          pieces.upsert(row, vectors.subarray(row * width, (row + 1) * width));
        }
        expect(pieces.search(query, 5)).toEqual(whole.search(query, 5));
        expect(whole.search(query, 5, { candidates: count })).toEqual(whole.search(query, 5, { exact: true }));
        whole.dispose();
        pieces.dispose();
      },
    ),
    { numRuns: 60 },
  );
});

test('recall@100 of the int8 search on clustered vectors is at least 0.999', () => {
  let state = 7;
  const uniform = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state + 1) / 4_294_967_297;
  };
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  const width = 64;
  const clusters = Array.from({ length: 40 }, () => Float32Array.from({ length: width }, normal));
  const near = () => (clusters[Math.floor(uniform() * 40)] as Float32Array).map((value) => value + 0.4 * normal());
  const rowCount = 8000;
  const index = new VectorIndex(wasm, { width, normalize: true, capacity: rowCount });
  const vectors = new Float32Array(rowCount * width);
  for (let row = 0; row < rowCount; row++) vectors.set(near(), row * width);
  index.append(vectors);
  let hits = 0;
  for (let round = 0; round < 40; round++) {
    const query = near();
    const truth = new Set(index.search(query, 100, { exact: true }).rows);
    for (const row of index.search(query, 100).rows) if (truth.has(row)) hits++;
  }
  expect(hits / 4000).toBeGreaterThanOrEqual(0.999);
  index.dispose();
});
