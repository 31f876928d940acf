import { type SparseMatrix, sparseProductTopK, transposeSparseMatrix } from '@recloom/kernels';
import {
  type ComponentState,
  type Compute,
  type HistoryStore,
  type RandomStream,
  type Tensor,
  tensor,
  type Warning,
} from '@recloom/plugin-api';
import { fastRandomProjection } from './embedding.js';
import { bipartiteGraph, interactionsOf, rowSums } from './interactions.js';
import { mineRelation } from './mine-relation.js';
import { type CandidateColumn, type CandidateOptions, embeddingOptions } from './options.js';
import { bipartitePageRank } from './power-iteration.js';
import { visitsOf } from './visits.js';

/** What fitting needs. */
export interface CandidateFitContext {
  readonly options: CandidateOptions;
  readonly history: HistoryStore;
  readonly itemCount: number;
  readonly asOfMs: number;
  readonly compute: Compute;
  readonly random: RandomStream;
  readonly signal: AbortSignal;
  progress(fraction: number, note?: string): void;
  readonly warn: (warning: Warning) => void;
}

/** Columns that need the lists of neighbours. */
export const neighbourColumns: readonly CandidateColumn[] = ['linked', 'commonNeighbours', 'adamicAdar', 'jaccard'];
/** Columns that need the vectors. */
export const similarityColumns: readonly CandidateColumn[] = ['similarityMax', 'similarityMean'];

/** True when any of `wanted` is among the configured columns. */
export function givesAny(options: Pick<CandidateOptions, 'columns'>, wanted: readonly CandidateColumn[]): boolean {
  return options.columns.some((column) => wanted.includes(column));
}

/**
 * Builds what the columns need. State: `degree` (log(1 + different people) per item), `pageRank` (log of the item's share of
 * the rank of all items, times their number: 0 is average), `unlinkedRank` (that of an item without edges), and where a
 * column asks for them `offsets` and `neighbours` (CSR by item, at most `neighbours` each) and `vectors`
 * (items × dimensions, of length 1, zeros without edges).
 */
export async function fitCandidateGraph(context: CandidateFitContext): Promise<ComponentState> {
  const { options, itemCount, signal } = context;
  signal.throwIfAborted();
  const itemsByUsers = interactionsOf(context.history, itemCount, options, context.asOfMs, context.warn);
  const usersByItems = transposeSparseMatrix(itemsByUsers);
  const graph = bipartiteGraph(itemsByUsers, usersByItems);
  const state: Record<string, Tensor> = { degree: tensor(logDegrees(itemsByUsers)), ...pageRanks(graph, itemCount, options.restart) };
  context.progress(0.2, 'neighbours');
  if (givesAny(options, neighbourColumns)) {
    const lists =
      options.relation === 'shared-people' ? await sharedPeople(context, itemsByUsers, usersByItems) : await minedLists(context);
    state.offsets = tensor(lists.offsets);
    state.neighbours = tensor(lists.neighbours);
  }
  context.progress(0.6, 'vectors');
  if (givesAny(options, similarityColumns)) {
    const { dimensions } = options;
    // As `graph/embedding` makes them by default.
    const projection = { ...embeddingOptions.parse({}), dimensions };
    const vectors = await fastRandomProjection(graph, projection, context.random, {
      compute: context.compute,
      signal,
      progress: (fraction) => context.progress(0.6 + 0.4 * fraction, 'vectors'),
    });
    state.vectors = tensor(vectors.slice(0, itemCount * dimensions), [itemCount, dimensions]);
  }
  context.progress(1);
  return state;
}

function logDegrees({ rowCount, rowOffsets }: SparseMatrix): Float32Array {
  return Float32Array.from({ length: rowCount }, (_, row) => Math.log1p((rowOffsets[row + 1] as number) - (rowOffsets[row] as number)));
}

/** PageRank (Page et al. 1999) on the graph of people and items, started evenly at all items. */
function pageRanks(graph: SparseMatrix, itemCount: number, restart: number): { readonly pageRank: Tensor; readonly unlinkedRank: Tensor } {
  if (itemCount === 0) return { pageRank: tensor(new Float32Array(0)), unlinkedRank: tensor(new Float32Array(1)) };
  const starts = { rows: Int32Array.from({ length: itemCount }, (_, row) => row), weights: new Float64Array(itemCount).fill(1) };
  const ranks = bipartitePageRank(graph, itemCount, rowSums(graph), starts, { restart, iterations: 200, tolerance: 1e-10 });
  let total = 0;
  let lowest = Number.POSITIVE_INFINITY;
  for (let row = 0; row < itemCount; row++) {
    total += ranks[row] as number;
    lowest = Math.min(lowest, ranks[row] as number);
  }
  const level = (rank: number): number => Math.log((rank * itemCount) / total);
  // Nothing leads to an item without edges: no rank is lower than what it gets from starting there.
  return {
    pageRank: tensor(Float32Array.from({ length: itemCount }, (_, row) => level(ranks[row] as number))),
    unlinkedRank: tensor(Float32Array.of(level(lowest))),
  };
}

interface Lists {
  readonly offsets: Int32Array;
  readonly neighbours: Int32Array;
}

async function sharedPeople(context: CandidateFitContext, itemsByUsers: SparseMatrix, usersByItems: SparseMatrix): Promise<Lists> {
  const { compute, signal, options } = context;
  const { rowOffsets, columnIndices } = await sparseProductTopK(itemsByUsers, usersByItems, options.neighbours, { compute, signal });
  return { offsets: rowOffsets.slice(), neighbours: columnIndices.slice() };
}

async function minedLists(context: CandidateFitContext): Promise<Lists> {
  const { options, itemCount, signal } = context;
  const relation = options.relation === 'bought-after' ? 'bought-after' : 'bought-together';
  const visits = visitsOf(context.history, { ...options, maximumAgeDays: undefined }, context.asOfMs, context.warn);
  const edges = await mineRelation(relation, visits, itemCount, { ...options, by: undefined }, signal, (fraction) =>
    context.progress(0.2 + 0.4 * fraction, `mining ${relation}`),
  );
  return { offsets: edges.offsets, neighbours: edges.rows };
}
