import { perform, type WorkOptions } from './compute.js';
import { requireShape } from './kernel-error.js';
import { walkChunkSteps, walkWorkspaceBytes } from './kernel-table.js';
import type { Kernels } from './kernels.js';
import type { Plan, Task } from './plan.js';
import { requireSparseMatrix, type SparseMatrix } from './sparse-matrix.js';
import { Staging } from './staging.js';

/** A directed graph ready for walking; make it with `buildWalkGraph`. */
export interface WalkGraph {
  readonly nodeCount: number;
  /** nodeCount + 1 ascending positions of edges. */
  readonly rowOffsets: Int32Array;
  /**
   * The node that each edge leads to; when `weighted`, an alias table: three words per edge, of which
   * the second is the node when a random 32-bit number is at most the first, else the third.
   */
  readonly edges: Int32Array | Uint32Array;
  readonly weighted: boolean;
}

export interface RandomWalkOptions {
  /** Nodes where walks start and restart. */
  readonly starts: Int32Array;
  /** Relative weight of each start (not negative); absent: equal. */
  readonly startWeights?: Float32Array | undefined;
  /** How many visits to make in all. */
  readonly steps: number;
  /** Chance, from 0 to 1, that a step returns to a start instead of following an edge. */
  readonly restart: number;
  /** Seed of the random numbers, a whole number of at least 0; the same seed gives the same visits. */
  readonly seed: number;
}

/**
 * Prepares a graph: row r of the square matrix holds the edges that leave node r. With
 * `weighted`, an edge is followed in proportion to its value (negative and non-finite values count as
 * 0) by Walker's alias method (Vose 1991): constant time per step.
 * @throws RECLOOM_KRN_SHAPE when the matrix is not square.
 */
export function buildWalkGraph(matrix: SparseMatrix, options: { readonly weighted: boolean }): WalkGraph {
  requireSparseMatrix(matrix, 'The graph');
  const { rowCount, columnCount, rowOffsets, columnIndices, values } = matrix;
  requireShape(rowCount === columnCount, () => `A graph of ${rowCount} x ${columnCount} is not square.`);
  if (!options.weighted || values === undefined) {
    return { nodeCount: rowCount, rowOffsets, edges: columnIndices, weighted: false };
  }
  const edges = new Uint32Array(columnIndices.length * 3);
  for (let row = 0; row < rowCount; row++) {
    const begin = rowOffsets[row] as number;
    const end = rowOffsets[row + 1] as number;
    fillAliasTable(columnIndices.subarray(begin, end), values.subarray(begin, end), edges.subarray(begin * 3, end * 3));
  }
  return { nodeCount: rowCount, rowOffsets, edges, weighted: true };
}

/** A resident copy of a graph, for repeated walks; free it with `freeWalkGraph`. */
export function keepWalkGraph(kernels: Kernels, graph: WalkGraph): WalkGraph {
  const edges = graph.weighted ? kernels.uint32(graph.edges.length) : kernels.int32(graph.edges.length);
  edges.set(graph.edges);
  return { ...graph, rowOffsets: kernels.keepInt32(graph.rowOffsets), edges };
}

/** Frees the arrays of a resident graph. */
export function freeWalkGraph(kernels: Kernels, graph: WalkGraph): void {
  kernels.free(graph.rowOffsets);
  kernels.free(graph.edges);
}

/**
 * Seeded random walks with restart: visits per node (nodeCount counts that sum to `steps`). Divided
 * by `steps` they estimate personalised PageRank, whose entry v is the chance to stand on v. A node
 * without edges restarts. The visits depend on the seed only, never on the thread count.
 * @throws RECLOOM_KRN_SHAPE, RECLOOM_KRN_OUT_OF_MEMORY
 */
export function randomWalks(graph: WalkGraph, options: RandomWalkOptions & WorkOptions): Promise<Uint32Array> {
  return perform(options, (kernels, slots) => walkPlan(kernels, slots, graph, options));
}

/** `randomWalks` on this thread. */
export function randomWalksNow(kernels: Kernels, graph: WalkGraph, options: RandomWalkOptions): Uint32Array {
  return kernels.runPlan(walkPlan(kernels, 1, graph, options));
}

function* walkPlan(kernels: Kernels, slots: number, graph: WalkGraph, options: RandomWalkOptions): Plan<Uint32Array> {
  const { starts, startWeights, steps, restart, seed } = options;
  const { nodeCount } = graph;
  requireShape(Number.isInteger(steps) && steps >= 0 && steps < 2 ** 31, () => `The step count ${steps} is out of range.`);
  requireShape(restart >= 0 && restart <= 1, () => `The restart chance ${restart} is not between 0 and 1.`);
  requireShape(Number.isSafeInteger(seed) && seed >= 0, () => `The seed ${seed} is not a whole number of at least 0.`);
  requireShape(starts.length > 0, 'A walk needs at least one start.');
  for (const start of starts) requireShape(start >>> 0 < nodeCount, () => `Start ${start} is not below ${nodeCount}.`);
  requireShape(startWeights === undefined || startWeights.length === starts.length, 'There must be one weight per start.');
  const staging = new Staging(kernels);
  try {
    let startTable: Int32Array | Uint32Array = starts;
    if (startWeights !== undefined) {
      startTable = new Uint32Array(starts.length * 3);
      fillAliasTable(starts, startWeights, startTable);
    }
    const rowOffsets = staging.input(graph.rowOffsets);
    const edges = staging.input(graph.edges);
    const startAddress = staging.input(startTable);
    const chunks = Math.ceil(steps / walkChunkSteps);
    const counters = Math.max(1, Math.min(slots, chunks));
    const visits = Array.from({ length: counters }, () => staging.take(nodeCount * 4, true));
    const workspaces = Array.from({ length: counters }, () => staging.take(walkWorkspaceBytes));
    const chunksPerTask = Math.max(1, Math.min(16, Math.ceil(chunks / counters)));
    const tasks: Task[] = [];
    for (let begin = 0; begin < chunks; begin += chunksPerTask) {
      tasks.push({
        kernel: 'randomWalks',
        parameters: (slot) => [
          rowOffsets,
          edges,
          graph.weighted ? 1 : 0,
          startAddress,
          startWeights === undefined ? 0 : 1,
          starts.length,
          Math.min(0xffff_ffff, Math.floor(restart * 2 ** 32)),
          seed % 2 ** 32,
          Math.floor(seed / 2 ** 32),
          begin,
          Math.min(chunks, begin + chunksPerTask),
          steps,
          visits[slot] as number,
          workspaces[slot] as number,
        ],
      });
    }
    yield tasks;
    // Whole numbers: the sum does not depend on which counter took which chunk.
    const total = new Uint32Array(nodeCount);
    for (const address of visits) {
      const counter = new Uint32Array(kernels.memory.buffer, address, nodeCount);
      for (let node = 0; node < nodeCount; node++) {
        total[node] = (total[node] as number) + (counter[node] as number);
      }
    }
    return total;
  } finally {
    staging.free();
  }
}

/**
 * Vose's alias table of nodes with relative weights, three words per slot: the slot's node is taken
 * when a random 32-bit number is at most the threshold, else its alias. Without any positive weight
 * all nodes are equally likely.
 */
function fillAliasTable(nodes: Int32Array, weights: Float32Array, table: Uint32Array): void {
  const count = nodes.length;
  let sum = 0;
  for (let slot = 0; slot < count; slot++) sum += usableWeight(weights[slot] as number);
  const shares = new Float64Array(count);
  const small: number[] = [];
  const large: number[] = [];
  for (let slot = 0; slot < count; slot++) {
    const share = sum > 0 ? (usableWeight(weights[slot] as number) * count) / sum : 1;
    shares[slot] = share;
    table[slot * 3] = 0xffff_ffff;
    table[slot * 3 + 1] = nodes[slot] as number;
    table[slot * 3 + 2] = nodes[slot] as number;
    (share < 1 ? small : large).push(slot);
  }
  while (small.length > 0 && large.length > 0) {
    const poor = small.pop() as number;
    const rich = large[large.length - 1] as number;
    table[poor * 3] = Math.floor((shares[poor] as number) * 0xffff_ffff);
    table[poor * 3 + 2] = nodes[rich] as number;
    const left = (shares[rich] as number) + (shares[poor] as number) - 1;
    shares[rich] = left;
    if (left < 1) {
      large.pop();
      small.push(rich);
    }
  }
}

function usableWeight(weight: number): number {
  return weight > 0 && weight < Number.POSITIVE_INFINITY ? weight : 0;
}
