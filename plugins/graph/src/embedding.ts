import { type SparseMatrix, sparseDenseProduct, transposeSparseMatrix } from '@recloom/kernels';
import {
  type ComponentState,
  type Compute,
  type ExtractBatch,
  type FeatureBlock,
  type FeatureExtractor,
  type HistoryStore,
  type Inspectable,
  type RandomStream,
  tensor,
  type Warning,
} from '@recloom/plugin-api';
import { bipartiteGraph, interactionsOf, rowSums, valuesOf } from './interactions.js';
import type { EmbeddingOptions } from './options.js';
import { dataOf } from './relation-graph.js';

/** What fitting needs. */
export interface EmbeddingFitContext {
  readonly options: EmbeddingOptions;
  readonly history: HistoryStore;
  readonly itemCount: number;
  readonly asOfMs: number;
  readonly compute: Compute;
  readonly random: RandomStream;
  readonly signal: AbortSignal;
  progress(fraction: number, note?: string): void;
  readonly warn: (warning: Warning) => void;
}

/** Sparsity of the projection: one entry in three differs from 0 (Achlioptas 2003), which keeps distances well at small widths. */
const sparsity = 3;

/**
 * FastRP on a weighted graph (Chen et al. 2019, "Fast and Accurate Network Embeddings via Very Sparse Random Projection"):
 * every node starts with a sparse random vector times (its strength / all strengths)^normalizationStrength; each hop averages
 * the neighbours' vectors by edge weight; hops are brought to length 1 per node and summed by `iterationWeights`. Returns
 * nodes × dimensions, each row of length 1, or all zero for a node without edges.
 */
export async function fastRandomProjection(
  graph: SparseMatrix,
  options: Pick<EmbeddingOptions, 'dimensions' | 'iterationWeights' | 'normalizationStrength'>,
  random: RandomStream,
  work: { readonly compute: Compute; readonly signal: AbortSignal; progress(fraction: number): void },
): Promise<Float32Array> {
  const { dimensions: width, iterationWeights, normalizationStrength } = options;
  const strengths = rowSums(graph);
  const total = strengths.reduce((sum, strength) => sum + strength, 0);
  let current = new Float32Array(graph.rowCount * width);
  for (let node = 0; node < graph.rowCount; node++) {
    const strength = strengths[node] as number;
    // Drawn for every node, so that a node's vector does not depend on which others have edges.
    const scale = strength > 0 ? Math.sqrt(sparsity) * ((strength * graph.rowCount) / total) ** normalizationStrength : 0;
    for (let column = 0; column < width; column++) {
      const draw = random.next() * 2 * sparsity;
      if (draw < 2) current[node * width + column] = draw < 1 ? scale : -scale;
    }
  }
  const transition = normalizedRows(graph, strengths);
  const sum = new Float32Array(current.length);
  for (const [hop, weight] of iterationWeights.entries()) {
    work.signal.throwIfAborted();
    work.progress(hop / iterationWeights.length);
    current = (await sparseDenseProduct(transition, current, width, {
      compute: work.compute,
      signal: work.signal,
    })) as Float32Array<ArrayBuffer>;
    addNormalized(current, width, weight, sum);
  }
  normalizeRows(sum, width);
  work.progress(1);
  return sum;
}

/** Embeds the items of the user–item graph. State: `vectors` (items × dimensions) and `presence`. */
export async function fitEmbedding(context: EmbeddingFitContext): Promise<ComponentState> {
  const { options, itemCount } = context;
  const itemsByUsers = interactionsOf(context.history, itemCount, options, context.asOfMs, context.warn);
  const graph = bipartiteGraph(itemsByUsers, transposeSparseMatrix(itemsByUsers));
  const vectors = (await fastRandomProjection(graph, options, context.random, context)).slice(0, itemCount * options.dimensions);
  const presence = Uint8Array.from({ length: itemCount }, (_, row) => {
    return vectors.subarray(row * options.dimensions, (row + 1) * options.dimensions).some((value) => value !== 0) ? 1 : 0;
  });
  return { vectors: tensor(vectors, [itemCount, options.dimensions]), presence: tensor(presence) };
}

/** Gives each item its place in the graph of who chose what; items without edges are absent. */
export class Embedding implements FeatureExtractor, Inspectable {
  readonly width: number;
  readonly #vectors: Float32Array;
  readonly #presence: Uint8Array;

  /** Opens what `fitEmbedding` (or `fitDegree`) left. @throws RECLOOM_DAT_SNAPSHOT_CORRUPT when the state lacks it. */
  constructor(state: ComponentState, width: number) {
    this.width = width;
    this.#vectors = dataOf(state.vectors, Float32Array);
    this.#presence = dataOf(state.presence, Uint8Array);
  }

  extract(batch: ExtractBatch, out: FeatureBlock): void {
    batch.signal.throwIfAborted();
    for (let index = 0; index < batch.rows.length; index++) {
      const row = batch.rows[index] as number;
      if (this.#presence[row] !== 1) continue;
      out.values.set(this.#vectors.subarray(row * this.width, (row + 1) * this.width), index * this.width);
      out.presence[index] = 1;
    }
  }

  inspectItem(row: number): Readonly<Record<string, unknown>> {
    const present = this.#presence[row] === 1;
    return { present, values: present ? Array.from(this.#vectors.subarray(row * this.width, (row + 1) * this.width).slice(0, 8)) : [] };
  }
}

function normalizedRows(graph: SparseMatrix, strengths: Float64Array): SparseMatrix {
  const values = valuesOf(graph).slice();
  for (let node = 0; node < graph.rowCount; node++) {
    for (let entry = graph.rowOffsets[node] as number; entry < (graph.rowOffsets[node + 1] as number); entry++) {
      values[entry] = (values[entry] as number) / (strengths[node] as number);
    }
  }
  return { ...graph, values };
}

/** Adds `weight` times each row at length 1 to `sum`; zero rows add nothing. */
function addNormalized(rows: Float32Array, width: number, weight: number, sum: Float32Array): void {
  for (let start = 0; start < rows.length; start += width) {
    const length = lengthOf(rows, start, width);
    if (!(length > 0)) continue;
    for (let place = start; place < start + width; place++)
      sum[place] = (sum[place] as number) + (weight * (rows[place] as number)) / length;
  }
}

function normalizeRows(rows: Float32Array, width: number): void {
  for (let start = 0; start < rows.length; start += width) {
    const length = lengthOf(rows, start, width);
    if (!(length > 0)) continue;
    for (let place = start; place < start + width; place++) rows[place] = (rows[place] as number) / length;
  }
}

function lengthOf(rows: Float32Array, start: number, width: number): number {
  let squares = 0;
  for (let place = start; place < start + width; place++) squares += (rows[place] as number) ** 2;
  return Math.sqrt(squares);
}
