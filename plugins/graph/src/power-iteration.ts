import type { SparseMatrix } from '@recloom/kernels';
import { valuesOf } from './interactions.js';

/** Where a random surfer starts and restarts. */
export interface Starts {
  readonly rows: Int32Array;
  /** Not negative, with a positive sum. */
  readonly weights: Float64Array;
}

/** How long to iterate. */
export interface IterationOptions {
  /** Chance of returning to a start, 0 to 1; 1 - restart is the damping factor of the literature. */
  readonly restart: number;
  readonly iterations: number;
  /** Stops when the sum of absolute changes falls below. */
  readonly tolerance: number;
}

/**
 * Personalised PageRank by power iteration (Page et al. 1999): the probability of each node of a weighted graph, summing to
 * 1. Row r of the matrix holds the edges that leave node r; from a node without edges the surfer returns to a start, as in
 * networkx. Starts at the restart distribution, so that a few rounds already respect it.
 */
export function personalizedPageRank(
  graph: SparseMatrix,
  strengths: Float64Array,
  starts: Starts,
  options: IterationOptions,
): Float64Array {
  const { rowCount } = graph;
  const restarts = restartDistribution(rowCount, starts);
  let current = restarts.slice();
  let next = new Float64Array(rowCount);
  for (let round = 0; round < options.iterations; round++) {
    next.fill(0);
    const dangling = push(graph, strengths, 0, rowCount, 1 - options.restart, current, next);
    const back = options.restart + (1 - options.restart) * dangling;
    let change = 0;
    for (let node = 0; node < rowCount; node++) {
      const mass = (next[node] as number) + back * (restarts[node] as number);
      next[node] = mass;
      change += Math.abs(mass - (current[node] as number));
    }
    [current, next] = [next, current];
    if (change < options.tolerance) break;
  }
  return current;
}

/**
 * `personalizedPageRank` for a bipartite graph whose nodes from `split` on only meet those before it, where every start lies.
 * A round passes over the edges once and counts as two, for both sides are settled in turn: the same probabilities, in half
 * the time.
 */
export function bipartitePageRank(
  graph: SparseMatrix,
  split: number,
  strengths: Float64Array,
  starts: Starts,
  options: IterationOptions,
): Float64Array {
  const { rowCount } = graph;
  const damping = 1 - options.restart;
  const restarts = restartDistribution(rowCount, starts);
  let current = restarts.slice();
  let next = new Float64Array(rowCount);
  for (let round = 0; round < options.iterations; round += 2) {
    next.fill(0);
    const dangling = push(graph, strengths, 0, split, damping, current, next);
    push(graph, strengths, split, rowCount, damping, next, next);
    const back = options.restart + damping * dangling;
    let change = 0;
    for (let node = 0; node < rowCount; node++) {
      const mass = (next[node] as number) + back * (restarts[node] as number);
      next[node] = mass;
      change += Math.abs(mass - (current[node] as number));
    }
    [current, next] = [next, current];
    if (change < options.tolerance) break;
  }
  return current;
}

function restartDistribution(nodeCount: number, starts: Starts): Float64Array<ArrayBuffer> {
  const restarts = new Float64Array(nodeCount);
  let total = 0;
  for (const weight of starts.weights) total += weight;
  for (let place = 0; place < starts.rows.length; place++) {
    const row = starts.rows[place] as number;
    restarts[row] = (restarts[row] as number) + (starts.weights[place] as number) / total;
  }
  return restarts;
}

/** Adds `damping` times the mass of nodes [begin, end) to their neighbours; returns the mass that had nowhere to go. */
function push(
  graph: SparseMatrix,
  strengths: Float64Array,
  begin: number,
  end: number,
  damping: number,
  from: Float64Array,
  to: Float64Array,
): number {
  const { rowOffsets, columnIndices } = graph;
  const values = valuesOf(graph);
  let dangling = 0;
  for (let node = begin; node < end; node++) {
    const mass = from[node] as number;
    if (mass === 0) continue;
    const strength = strengths[node] as number;
    if (!(strength > 0)) {
      dangling += mass;
      continue;
    }
    const share = (damping * mass) / strength;
    const last = rowOffsets[node + 1] as number;
    for (let entry = rowOffsets[node] as number; entry < last; entry++) {
      const neighbour = columnIndices[entry] as number;
      to[neighbour] = (to[neighbour] as number) + share * (values[entry] as number);
    }
  }
  return dangling;
}
