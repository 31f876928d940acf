import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { createComputePool } from './compute-pool.js';
import { createKernels, type Kernels } from './kernels.js';
import { buildWalkGraph, freeWalkGraph, keepWalkGraph, randomWalks, randomWalksNow } from './random-walks.js';
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

const triangle = sparseMatrixFromEntries(4, 4, Int32Array.of(0, 0, 1, 2, 2), Int32Array.of(1, 2, 2, 0, 3), Float32Array.of(1, 3, 1, 1, 1));

/** Personalised PageRank by power iteration: the expected share of visits. */
function pageRank(transitions: number[][], start: number, restart: number): number[] {
  let ranks: number[] = transitions.map((_, node) => (node === start ? 1 : 0));
  for (let round = 0; round < 200; round++) {
    const next = ranks.map((_, node) => (node === start ? restart : 0));
    ranks.forEach((rank, node) => {
      const row = transitions[node] as number[];
      const leaves = row.some((chance) => chance > 0);
      row.forEach((chance, to) => {
        next[to] = (next[to] as number) + rank * (1 - restart) * chance;
      });
      if (!leaves) next[start] = (next[start] as number) + rank * (1 - restart);
    });
    ranks = next;
  }
  return ranks;
}

test.each(both)('visit shares approach personalised PageRank: %s', (_name, kernels) => {
  const steps = 400_000;
  for (const weighted of [false, true]) {
    const transitions = [weighted ? [0, 0.25, 0.75, 0] : [0, 0.5, 0.5, 0], [0, 0, 1, 0], [0.5, 0, 0, 0.5], [0, 0, 0, 0]];
    const visits = randomWalksNow(kernels, buildWalkGraph(triangle, { weighted }), {
      starts: Int32Array.of(0),
      steps,
      restart: 0.2,
      seed: 3,
    });
    expect(visits.reduce((sum, count) => sum + count, 0)).toBe(steps);
    pageRank(transitions, 0, 0.2).forEach((rank, node) => {
      expect(Math.abs((visits[node] as number) / steps - rank)).toBeLessThan(0.004);
    });
  }
});

test.each(both)('restart 1 stays at the starts, in proportion to their weights: %s', (_name, kernels) => {
  const visits = randomWalksNow(kernels, buildWalkGraph(triangle, { weighted: false }), {
    starts: Int32Array.of(1, 3),
    startWeights: Float32Array.of(1, 3),
    steps: 100_000,
    restart: 1,
    seed: 1,
  });
  expect(Array.from(visits.subarray(0, 3)).filter((count) => count > 0)).toHaveLength(1);
  expect((visits[3] as number) / 100_000).toBeCloseTo(0.75, 2);
});

test('both implementations make the same visits, whatever the graph', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }).chain((nodes) =>
        fc.record({
          nodes: fc.constant(nodes),
          edges: fc.array(fc.tuple(fc.nat({ max: nodes - 1 }), fc.nat({ max: nodes - 1 }), fc.constantFrom(0, 1, 2.5, -1)), {
            maxLength: 60,
          }),
          starts: fc.array(fc.nat({ max: nodes - 1 }), { minLength: 1, maxLength: 5 }),
          weighted: fc.boolean(),
          weightedStarts: fc.boolean(),
          steps: fc.oneof(fc.nat({ max: 100 }), fc.integer({ min: 16_380, max: 16_400 })),
          restart: fc.constantFrom(0, 0.15, 1),
          seed: fc.maxSafeNat(),
        }),
      ),
      ({ nodes, edges, starts, weighted, weightedStarts, steps, restart, seed }) => {
        const matrix = sparseMatrixFromEntries(
          nodes,
          nodes,
          Int32Array.from(edges, ([from]) => from),
          Int32Array.from(edges, ([, to]) => to),
          Float32Array.from(edges, ([, , weight]) => weight),
        );
        const graph = buildWalkGraph(matrix, { weighted });
        const options = {
          starts: Int32Array.from(starts),
          startWeights: weightedStarts ? Float32Array.from(starts, (start) => start + 1) : undefined,
          steps,
          restart,
          seed,
        };
        const visits = randomWalksNow(wasm, graph, options);
        expect(visits).toEqual(randomWalksNow(twin, graph, options));
        expect(visits.reduce((sum, count) => sum + count, 0)).toBe(steps);
      },
    ),
    { numRuns: 50 },
  );
});

test('the seed alone decides, not the thread count, and a resident graph walks alike', async () => {
  const graph = buildWalkGraph(triangle, { weighted: true });
  const options = { starts: Int32Array.of(0, 2), steps: 300_001, restart: 0.1, seed: 99 };
  const expected = randomWalksNow(wasm, graph, options);
  expect(randomWalksNow(wasm, graph, { ...options, seed: 100 })).not.toEqual(expected);
  const resident = keepWalkGraph(wasm, graph);
  expect(randomWalksNow(wasm, resident, options)).toEqual(expected);
  freeWalkGraph(wasm, resident);
  for (const threads of [1, 2, 3]) {
    const compute = createComputePool({ threads });
    try {
      expect(await randomWalks(graph, { ...options, compute })).toEqual(expected);
    } finally {
      await compute.close();
    }
  }
});

test('impossible walks are refused', () => {
  const graph = buildWalkGraph(triangle, { weighted: false });
  const options = { starts: Int32Array.of(0), steps: 10, restart: 0.1, seed: 1 };
  for (const wrong of [
    { starts: new Int32Array(0) },
    { starts: Int32Array.of(4) },
    { steps: -1 },
    { restart: 1.1 },
    { restart: Number.NaN },
    { seed: -1 },
    { startWeights: Float32Array.of(1, 2) },
  ]) {
    expect(() => randomWalksNow(wasm, graph, { ...options, ...wrong })).toThrow(expect.objectContaining({ code: 'RECLOOM_KRN_SHAPE' }));
  }
});
