import type { CandidateBatch, HistoryView, Scorer } from '@recloom/plugin-api';
import { type Normaliser, normalisers, Scratch } from './normalise.js';
import { type BlendOptions, columnOf, contributionOf } from './options.js';

/** One column of the blend. */
interface BlendedColumn {
  /** As the pipeline calls it, e.g. `score.habits`. */
  readonly column: string;
  readonly normalise: Normaliser;
}

/** Weights for users with `from` to `below` (exclusive) distinct items in their history, in the order of the columns. */
interface WeightedSegment {
  readonly from: number;
  readonly below: number;
  readonly weights: Float64Array;
}

/**
 * score(c) = Σ weight(column) × normalised(column, c): the weighted sum of normalised scores, within each request
 * ("CombSUM" with weights; Fox and Shaw 1994, normalised as in Montague and Aslam 2001). A missing score counts as the
 * lowest of its column; a column without any finite score in a request adds 0 to all candidates. Order of the candidates,
 * other requests of the batch and earlier calls change nothing.
 */
export class BlendedScores implements Scorer {
  readonly readsColumns: readonly string[];
  readonly furtherColumns: readonly string[];
  readonly #columns: readonly BlendedColumn[];
  readonly #segments: readonly WeightedSegment[];
  readonly #weights: Float64Array;
  /** Beyond this many distinct items every user is in the same segment. */
  readonly #highestBound: number;
  readonly #scratch = new Scratch();
  #normalised = new Float64Array(0);
  #sums = new Float64Array(0);

  constructor(options: BlendOptions) {
    const names = Object.keys(options.weights);
    this.#columns = names.map((name) => ({
      column: columnOf(name),
      normalise: normalisers[options.normaliseEach[name] ?? options.normalise],
    }));
    this.readsColumns = this.#columns.map(({ column }) => column);
    this.furtherColumns = options.contributions ? names.map(contributionOf) : [];
    this.#weights = Float64Array.from(names, (name) => options.weights[name] as number);
    this.#segments = options.segments.map(({ from, below, weights }) => ({
      from,
      below: below ?? Number.POSITIVE_INFINITY,
      weights: Float64Array.from(names, (name) => weights[name] ?? (options.weights[name] as number)),
    }));
    this.#highestBound = Math.max(0, ...options.segments.flatMap(({ from, below }) => [from, below ?? 0]));
  }

  score(batch: CandidateBatch, out: Float32Array, signal: AbortSignal, further?: readonly Float32Array[]): void {
    signal.throwIfAborted();
    const columns = this.#columns.map(({ column }) => batch.column(column));
    for (let request = 0; request < batch.requests.length; request++) {
      const start = batch.offsets[request] as number;
      const end = batch.offsets[request + 1] as number;
      const length = end - start;
      if (length === 0) continue;
      if (this.#sums.length < length) {
        this.#sums = new Float64Array(2 * length);
        this.#normalised = new Float64Array(2 * length);
      }
      const sums = this.#sums.fill(0, 0, length);
      const normalised = this.#normalised;
      const weights = this.#weightsFor(batch, request);
      for (let index = 0; index < columns.length; index++) {
        const weight = weights[index] as number;
        const scores = columns[index];
        const contribution = further?.[index];
        if (weight === 0 || scores === undefined) {
          contribution?.fill(0, start, end);
          continue;
        }
        (this.#columns[index] as BlendedColumn).normalise(scores, start, end, normalised, this.#scratch);
        for (let place = 0; place < length; place++) sums[place] = (sums[place] as number) + weight * (normalised[place] as number);
        if (contribution === undefined) continue;
        for (let place = 0; place < length; place++) contribution[start + place] = weight * (normalised[place] as number);
      }
      for (let place = 0; place < length; place++) out[start + place] = sums[place] as number;
    }
  }

  /** The history holds what the gate granted and nothing else: a user who refuses counts as one of whom nothing is known. */
  #weightsFor(batch: CandidateBatch, request: number): Float64Array {
    if (this.#segments.length === 0) return this.#weights;
    const count = distinctItems(batch.requests[request]?.history, this.#highestBound);
    return this.#segments.find(({ from, below }) => count >= from && count < below)?.weights ?? this.#weights;
  }
}

/** Distinct items of a history, counted up to `enough`. */
function distinctItems(history: HistoryView | undefined, enough: number): number {
  if (history === undefined) return 0;
  const seen = new Set<number>();
  for (let event = 0; event < history.length && seen.size < enough; event++) seen.add(history.items[event] as number);
  return seen.size;
}
