import { HistoryEvidence, kernelsOf } from '@recloom/kernels';
import type {
  ComponentState,
  Compute,
  ExtractBatch,
  FeatureBlock,
  FeatureExtractor,
  HistoryView,
  Inspectable,
  RequestView,
  Table,
} from '@recloom/plugin-api';
import { givesAny, neighbourColumns, similarityColumns } from './candidate-graph.js';
import { eventLoopTurns } from './event-loop-turns.js';
import type { CandidateColumn, CandidateOptions } from './options.js';
import { dataOf } from './relation-graph.js';

const dayMs = 86_400_000;

/** The items of a history that are compared with. */
interface Profile {
  readonly rows: Int32Array;
  readonly weights: readonly number[];
}

/**
 * Candidate-scope columns of the graph: how well a candidate is connected, and how near it is to the items of the history,
 * each a weighted mean (or the largest) over those other than the candidate itself. Without a history, and for items that
 * were not there at fit time, the evidence is 0, and the columns are there all the same.
 */
export class CandidateFeatures implements FeatureExtractor, Inspectable {
  readonly width: number;
  readonly componentNames: readonly CandidateColumn[];
  readonly #options: CandidateOptions;
  readonly #items: Table;
  readonly #degree: Float32Array;
  readonly #pageRank: Float32Array;
  readonly #unlinkedRank: number;
  readonly #offsets: Int32Array;
  readonly #neighbours: Int32Array;
  readonly #evidence: HistoryEvidence | undefined;
  readonly #sharing: boolean;
  readonly #comparing: boolean;
  /** Room for what the kernels answer, kept between requests; every use is synchronous. */
  #shared = new Float32Array(0);
  #similar = new Float32Array(0);

  /** Opens what `fitCandidateGraph` left. @throws RECLOOM_DAT_SNAPSHOT_CORRUPT when the state lacks a tensor. */
  constructor(state: ComponentState, options: CandidateOptions, items: Table, compute: Compute) {
    this.#options = options;
    this.#items = items;
    this.componentNames = options.columns;
    this.width = options.columns.length;
    this.#degree = dataOf(state.degree, Float32Array);
    this.#pageRank = dataOf(state.pageRank, Float32Array);
    this.#unlinkedRank = dataOf(state.unlinkedRank, Float32Array)[0] ?? 0;
    this.#sharing = givesAny(options, neighbourColumns);
    this.#comparing = givesAny(options, similarityColumns);
    this.#offsets = this.#sharing ? dataOf(state.offsets, Int32Array) : new Int32Array(this.#degree.length + 1);
    this.#neighbours = this.#sharing ? dataOf(state.neighbours, Int32Array) : new Int32Array(0);
    if (!this.#sharing && !this.#comparing) return;
    this.#evidence = new HistoryEvidence(kernelsOf(compute), {
      offsets: this.#offsets,
      neighbours: this.#neighbours,
      ...(this.#comparing ? { vectors: dataOf(state.vectors, Float32Array), width: options.dimensions } : {}),
    });
  }

  extract(batch: ExtractBatch, out: FeatureBlock): void | Promise<void> {
    batch.signal.throwIfAborted();
    const { candidates } = batch;
    if (candidates === undefined) return undefined;
    if (candidates.requests.length !== 1) return this.#extractMany(batch, out);
    this.#extractOne(candidates.requests[0] as RequestView, candidates.rows.subarray(0, candidates.count), out, 0);
    return undefined;
  }

  /** How well an item is connected, and its neighbours. */
  inspectItem(row: number): Readonly<Record<string, unknown>> {
    const begin = this.#offsets[row] ?? 0;
    const end = this.#offsets[row + 1] ?? begin;
    return {
      people: Math.round(Math.expm1(this.#degree[row] ?? 0)),
      pageRank: Math.exp(this.#pageRank[row] ?? this.#unlinkedRank),
      neighbours: end - begin,
      someNeighbours: Array.from(this.#neighbours.subarray(begin, Math.min(end, begin + 5)), (other) => this.#items.idOf(other)),
    };
  }

  dispose(): void {
    this.#evidence?.dispose();
  }

  async #extractMany(batch: ExtractBatch, out: FeatureBlock): Promise<void> {
    const { candidates } = batch;
    const turn = eventLoopTurns();
    for (const [index, request] of candidates?.requests.entries() ?? []) {
      await turn();
      batch.signal.throwIfAborted();
      const start = candidates?.offsets[index] ?? 0;
      const end = candidates?.offsets[index + 1] ?? start;
      this.#extractOne(request, candidates?.rows.subarray(start, end) ?? new Int32Array(0), out, start);
    }
  }

  #extractOne(request: RequestView, rows: Int32Array, out: FeatureBlock, first: number): void {
    const count = rows.length;
    out.presence.fill(1, first, first + count);
    const evidence = this.#evidence;
    const profile = evidence === undefined ? undefined : this.#profileOf(request.history);
    const heard = profile !== undefined && profile.rows.length > 0;
    if (heard && this.#sharing) {
      if (this.#shared.length < count * 4) this.#shared = new Float32Array(count * 4);
      evidence?.neighbours(rows, profile.rows, profile.weights, this.#shared.subarray(0, count * 4));
    }
    if (heard && this.#comparing) {
      if (this.#similar.length < count * 2) this.#similar = new Float32Array(count * 2);
      evidence?.similarities(rows, profile.rows, profile.weights, this.#similar.subarray(0, count * 2));
    }
    const { values } = out;
    for (const [column, name] of this.componentNames.entries()) {
      const levels = name === 'degree' ? this.#degree : name === 'pageRank' ? this.#pageRank : undefined;
      let to = first * this.width + column;
      if (levels !== undefined) {
        const otherwise = name === 'degree' ? 0 : this.#unlinkedRank;
        for (let index = 0; index < count; index++, to += this.width) values[to] = levels[rows[index] as number] ?? otherwise;
        continue;
      }
      const place = neighbourColumns.indexOf(name);
      const source = place >= 0 ? this.#shared : this.#similar;
      const stride = place >= 0 ? 4 : 2;
      let from = place >= 0 ? place : similarityColumns.indexOf(name);
      for (let index = 0; index < count; index++, to += this.width, from += stride) values[to] = heard ? (source[from] as number) : 0;
    }
  }

  /** The last different items of the history that have edges, each with the sum of its events' weights, faded by age. */
  #profileOf(history: HistoryView): Profile {
    const { historyItems, historyRecencyDays } = this.#options;
    const weights = new Map<number, number>();
    // Faded against the newest event, not against now: on old data every weight would be 0.
    const newestMs = history.timesMs[history.length - 1] ?? 0;
    for (let event = history.length - 1; event >= 0; event--) {
      const row = history.items[event] as number;
      if (!((this.#degree[row] ?? 0) > 0)) continue;
      const known = weights.get(row);
      if (known === undefined && weights.size >= historyItems) continue;
      const ageDays = Math.max(0, newestMs - (history.timesMs[event] as number)) / dayMs;
      const weight = (history.weights[event] as number) * (historyRecencyDays > 0 ? Math.exp(-ageDays / historyRecencyDays) : 1);
      weights.set(row, (known ?? 0) + (weight > 0 && weight < Number.POSITIVE_INFINITY ? weight : 0));
    }
    const usable = [...weights].filter(([, weight]) => weight > 0);
    return { rows: Int32Array.from(usable, ([row]) => row), weights: usable.map(([, weight]) => weight) };
  }
}
