import {
  buildWalkGraph,
  freeWalkGraph,
  type Kernels,
  keepWalkGraph,
  kernelsOf,
  randomWalks,
  type SparseMatrix,
  sparseProductTopK,
  transposeSparseMatrix,
  type WalkGraph,
} from '@recloom/kernels';
import {
  type CandidateBatch,
  type CandidateSource,
  type ComponentState,
  type Compute,
  type Explainer,
  type HistoryStore,
  type Inspectable,
  joinProposals,
  type Proposals,
  type Reason,
  type RequestBatch,
  type RequestProposals,
  type RequestView,
  recloomError,
  type Scorer,
  type Table,
  tensor,
  type Warning,
} from '@recloom/plugin-api';
import { type Anchors, anchorsOf } from './anchors.js';
import { eventLoopTurns } from './event-loop-turns.js';
import { bipartiteGraph, interactionsOf, rowSums, valuesOf } from './interactions.js';
import type { PageRankOptions } from './options.js';
import { bipartitePageRank, personalizedPageRank } from './power-iteration.js';
import { dataOf } from './relation-graph.js';

/** Above this many edges `method: auto` walks at random. */
const mostIteratedEdges = 1_000_000;

/** What fitting needs. */
export interface PageRankFitContext {
  readonly options: PageRankOptions;
  readonly history: HistoryStore;
  readonly itemCount: number;
  readonly asOfMs: number;
  readonly compute: Compute;
  readonly signal: AbortSignal;
  readonly warn: (warning: Warning) => void;
}

/**
 * Builds the graph. State: `shape` (items, columns), `offsets`, `columns` and `weights` (CSR by item: its users, or for
 * `item-item` its neighbours), and `strengths` (each item's share of all event weight).
 */
export async function fitPageRank(context: PageRankFitContext): Promise<ComponentState> {
  const { options, compute, signal } = context;
  signal.throwIfAborted();
  const itemsByUsers = interactionsOf(context.history, context.itemCount, options, context.asOfMs, context.warn);
  const strengths = rowSums(itemsByUsers);
  const total = strengths.reduce((sum, strength) => sum + strength, 0);
  const matrix =
    options.graph === 'user-item'
      ? itemsByUsers
      : await sparseProductTopK(itemsByUsers, transposeSparseMatrix(itemsByUsers), options.neighbours, { compute, signal });
  return {
    shape: tensor(Int32Array.of(matrix.rowCount, matrix.columnCount)),
    offsets: tensor(matrix.rowOffsets.slice()),
    columns: tensor(matrix.columnIndices.slice()),
    weights: tensor(valuesOf(matrix).slice()),
    strengths: tensor(strengths.map((strength) => (total > 0 ? strength / total : 0))),
  };
}

/** Proposes and scores items by personalised PageRank from the items of a request, or from its history. */
export class PageRank implements CandidateSource, Scorer, Explainer, Inspectable {
  readonly #options: PageRankOptions;
  readonly #items: Table;
  readonly #compute: Compute;
  readonly #itemCount: number;
  readonly #graph: SparseMatrix;
  readonly #nodeStrengths: Float64Array;
  readonly #popularity: Float64Array;
  readonly #walks: boolean;
  #kernels: Kernels | undefined;
  #walkGraph: WalkGraph | undefined;
  /** The source, the scorer and the reasons of one request share one computation. */
  readonly #scores = new WeakMap<RequestView, Promise<Float32Array> | Float32Array>();

  /** Opens the graph that `fitPageRank` left. @throws RECLOOM_DAT_SNAPSHOT_CORRUPT when the state lacks it. */
  constructor(state: ComponentState, options: PageRankOptions, items: Table, compute: Compute) {
    this.#options = options;
    this.#items = items;
    this.#compute = compute;
    const [rowCount = 0, columnCount = 0] = dataOf(state.shape, Int32Array);
    const matrix: SparseMatrix = {
      rowCount,
      columnCount,
      rowOffsets: dataOf(state.offsets, Int32Array),
      columnIndices: dataOf(state.columns, Int32Array),
      values: dataOf(state.weights, Float32Array),
    };
    const popularity = state.strengths?.data;
    if (!(popularity instanceof Float64Array)) {
      throw recloomError('RECLOOM_DAT_SNAPSHOT_CORRUPT', { file: 'of a graph component', why: 'the strengths are missing' });
    }
    this.#itemCount = rowCount;
    this.#popularity = popularity;
    this.#graph = options.graph === 'user-item' ? bipartiteGraph(matrix, transposeSparseMatrix(matrix)) : matrix;
    this.#nodeStrengths = rowSums(this.#graph);
    this.#walks = options.method === 'walks' || (options.method === 'auto' && this.#graph.columnIndices.length > mostIteratedEdges);
  }

  async propose(batch: RequestBatch, limit: number): Promise<Proposals> {
    const lists: (RequestProposals | undefined)[] = [];
    const turn = eventLoopTurns();
    for (const request of batch.requests) {
      await turn();
      batch.signal.throwIfAborted();
      lists.push(await this.#proposeOne(request, batch, limit));
    }
    return joinProposals(lists, limit);
  }

  async score(batch: CandidateBatch, out: Float32Array, signal: AbortSignal): Promise<void> {
    const turn = eventLoopTurns();
    for (let index = 0; index < batch.requests.length; index++) {
      await turn();
      signal.throwIfAborted();
      const start = batch.offsets[index] ?? 0;
      const end = batch.offsets[index + 1] ?? start;
      const request = batch.requests[index] as RequestView;
      const anchors = this.#anchorsOf(request);
      if (anchors.rows.length === 0) {
        out.fill(0, start, end);
        continue;
      }
      const scores = await this.#scoresOf(request, anchors, signal);
      for (let place = start; place < end; place++) out[place] = scores[batch.rows[place] ?? -1] ?? 0;
    }
    signal.throwIfAborted();
  }

  /** The anchor that shares most of an item's people (or, on the item graph, has the strongest edge to it). */
  reasons(request: RequestView, rows: Int32Array): readonly (Reason | undefined)[] {
    const anchors = this.#anchorsOf(request);
    return Array.from(rows, (row) => {
      if (row < 0 || row >= this.#itemCount) return undefined;
      const twoSteps = this.#options.graph === 'user-item';
      const reached = new Map<number, number>();
      this.#forEachEdge(row, (middle, first) => {
        if (!twoSteps) reached.set(middle, first);
        else this.#forEachEdge(middle, (other, second) => void reached.set(other, (reached.get(other) ?? 0) + first * second));
      });
      const found = Array.from(anchors.rows, (anchor, place) => ({
        anchor,
        value: (reached.get(anchor) ?? 0) * (anchors.weights[place] as number),
      }))
        .filter(({ anchor, value }) => value > 0 && anchor !== row)
        .sort((a, b) => b.value - a.value);
      if (found.length === 0) return undefined;
      return {
        code: 'liked-by-same-people',
        text: 'Chosen by people who also chose {item}',
        items: found.slice(0, 3).map(({ anchor }) => anchor),
        strength: 0.5,
      };
    });
  }

  /** How well an item is connected. */
  inspectItem(row: number): Readonly<Record<string, unknown>> {
    if (row < 0 || row >= this.#itemCount) return { edges: 0 };
    const edges = (this.#graph.rowOffsets[row + 1] as number) - (this.#graph.rowOffsets[row] as number);
    return { edges, shareOfEvents: this.#popularity[row], method: this.#walks ? 'walks' : 'iteration', item: this.#items.idOf(row) };
  }

  dispose(): void {
    if (this.#kernels !== undefined && this.#walkGraph !== undefined) freeWalkGraph(this.#kernels, this.#walkGraph);
    this.#walkGraph = undefined;
  }

  #anchorsOf(request: RequestView): Anchors {
    return anchorsOf(request, this.#itemCount, this.#options);
  }

  async #proposeOne(request: RequestView, batch: RequestBatch, limit: number): Promise<RequestProposals | undefined> {
    const anchors = this.#anchorsOf(request);
    if (anchors.rows.length === 0) return undefined;
    const scores = await this.#scoresOf(request, anchors, batch.signal);
    const mask = new Uint8Array(this.#itemCount);
    for (let row = 0; row < mask.length; row++) {
      mask[row] = (scores[row] as number) > 0 && (batch.eligible === undefined || batch.eligible[row] === 1) ? 1 : 0;
    }
    for (const anchor of anchors.rows) mask[anchor] = 0;
    return kernelsOf(this.#compute).topK(scores, limit, mask);
  }

  /** One score per item known at fit time. */
  async #scoresOf(request: RequestView, anchors: Anchors, signal: AbortSignal): Promise<Float32Array> {
    const known = this.#scores.get(request);
    if (known !== undefined) return known;
    const pending = this.#computeScores(request, anchors, signal);
    this.#scores.set(request, pending);
    // An aborted or failed computation must not answer a later call for the same request.
    pending.then(
      (scores) => this.#scores.set(request, scores),
      () => this.#scores.delete(request),
    );
    return pending;
  }

  async #computeScores(request: RequestView, anchors: Anchors, signal: AbortSignal): Promise<Float32Array> {
    const ranks = this.#walks ? await this.#walk(request, anchors, signal) : this.#iterate(anchors);
    const scores = ranks.slice(0, this.#itemCount);
    const { popularityDiscount } = this.#options;
    if (popularityDiscount > 0) {
      for (let row = 0; row < scores.length; row++) {
        const share = this.#popularity[row] as number;
        if (share > 0) scores[row] = (scores[row] as number) / share ** popularityDiscount;
      }
    }
    return Float32Array.from(scores);
  }

  #iterate(anchors: Anchors): Float64Array {
    return this.#options.graph === 'user-item'
      ? bipartitePageRank(this.#graph, this.#itemCount, this.#nodeStrengths, anchors, this.#options)
      : personalizedPageRank(this.#graph, this.#nodeStrengths, anchors, this.#options);
  }

  async #walk(request: RequestView, anchors: Anchors, signal: AbortSignal): Promise<Float64Array> {
    if (this.#walkGraph === undefined) {
      this.#kernels = kernelsOf(this.#compute);
      this.#walkGraph = keepWalkGraph(this.#kernels, buildWalkGraph(this.#graph, { weighted: true }));
    }
    const { steps, restart } = this.#options;
    const visits = await randomWalks(this.#walkGraph, {
      starts: anchors.rows,
      startWeights: Float32Array.from(anchors.weights),
      steps,
      restart,
      seed: request.seed >>> 0,
      compute: this.#compute,
      signal,
    });
    return Float64Array.from(visits, (count) => count / steps);
  }

  #forEachEdge(node: number, use: (to: number, probability: number) => void): void {
    const strength = this.#nodeStrengths[node] as number;
    const values = this.#graph.values as Float32Array;
    for (let entry = this.#graph.rowOffsets[node] as number; entry < (this.#graph.rowOffsets[node + 1] as number); entry++) {
      use(this.#graph.columnIndices[entry] as number, (values[entry] as number) / strength);
    }
  }
}
