import { type Kernels, kernelsOf } from '@recloom/kernels';
import type { Compute, FeatureMatrix, RankedList, Ranker } from '@recloom/plugin-api';
import type { MmrOptions } from './options.js';

/**
 * Greedy maximal marginal relevance: place after place the candidate with the highest
 * `lambda × relevance − (1 − lambda) × (largest cosine to what was placed)`.
 * Carbonell, Goldstein: The Use of MMR, Diversity-Based Reranking, SIGIR 1998.
 *
 * Relevance is the list's value, minmax-normalised over its finite values; where all are equal it is 1. An item without a
 * vector is like nothing (cosine 0). Ties go to the earlier candidate. The first `limit` places are arranged; whoever is
 * left follows in the order of the list, and values that are not finite come last in any case.
 */
export class MaximalMarginalRelevance implements Ranker {
  readonly #options: MmrOptions;
  readonly #vectors: FeatureMatrix;
  readonly #kernels: Kernels;

  constructor(options: MmrOptions, vectors: FeatureMatrix, compute: Compute) {
    this.#options = options;
    this.#vectors = vectors;
    this.#kernels = kernelsOf(compute);
  }

  rank(list: RankedList, signal: AbortSignal): Int32Array {
    signal.throwIfAborted();
    const { diversity } = list.request;
    const lambda = diversity === undefined || !Number.isFinite(diversity) ? this.#options.lambda : 1 - Math.min(1, Math.max(0, diversity));
    const finite = finitePlaces(list);
    if (lambda === 1 || finite.length < 2 || this.#vectors.width === 0) return inGivenOrder(finite, list.count);
    const selected = this.#select(list, finite, lambda);
    return inGivenOrder(selected, list.count, finite);
  }

  /** Places of the list in the new order, at most `limit` of them. */
  #select(list: RankedList, finite: Int32Array, lambda: number): Int32Array {
    const { width } = this.#vectors;
    const count = finite.length;
    const wanted = Math.min(count, Math.max(1, list.limit));
    const relevance = minmax(list.values, finite);
    // The candidates' vectors lie together in the kernels' memory: one pass per place instead of scattered reads.
    const memory = this.#kernels.float32(count * (width + 1));
    try {
      const vectors = memory.subarray(0, count * width);
      const similarities = memory.subarray(count * width);
      this.#gatherUnitVectors(list.rows, finite, vectors);
      const largest = new NearestPlaced(count, wanted, this.#options.window);
      const taken = new Uint8Array(count);
      const selected = new Int32Array(wanted);
      for (let position = 0; position < wanted; position++) {
        const best = bestCandidate(relevance, largest.values, taken, lambda);
        taken[best] = 1;
        selected[position] = finite[best] as number;
        if (position + 1 === wanted) break;
        this.#kernels.multiplyRows(vectors, width, vectors.subarray(best * width, (best + 1) * width), similarities);
        largest.add(similarities);
      }
      return selected;
    } finally {
      this.#kernels.free(memory);
    }
  }

  /** Copies the candidates' vectors and scales them to length 1; missing ones stay zero. */
  #gatherUnitVectors(rows: Int32Array, places: Int32Array, out: Float32Array): void {
    const { width, values, presence, rowCount } = this.#vectors;
    for (let index = 0; index < places.length; index++) {
      const row = rows[places[index] as number] as number;
      if (row >= rowCount || presence[row] !== 1) continue;
      out.set(values.subarray(row * width, (row + 1) * width), index * width);
    }
    this.#kernels.normalizeRows(out, width);
  }
}

/** Per candidate the largest similarity to what was placed, over all places or the last `window` of them. */
class NearestPlaced {
  /** 0 for everybody before anything is placed. */
  readonly values: Float32Array;
  readonly #recent: Float32Array[] = [];
  readonly #window: number;
  #count = 0;

  constructor(candidates: number, wanted: number, window: number | undefined) {
    this.values = new Float32Array(candidates);
    // A window at least as wide as the answer forgets nothing.
    this.#window = window === undefined || window >= wanted ? 0 : window;
  }

  add(similarities: Float32Array): void {
    const { values } = this;
    if (this.#window === 0) {
      const first = this.#count === 0;
      for (let index = 0; index < values.length; index++) {
        const similarity = similarities[index] as number;
        if (first || similarity > (values[index] as number)) values[index] = similarity;
      }
    } else {
      this.#recent[this.#count % this.#window] = similarities.slice();
      values.fill(Number.NEGATIVE_INFINITY);
      for (const one of this.#recent) {
        for (let index = 0; index < values.length; index++) {
          const similarity = one[index] as number;
          if (similarity > (values[index] as number)) values[index] = similarity;
        }
      }
    }
    this.#count++;
  }
}

function bestCandidate(relevance: Float64Array, nearest: Float32Array, taken: Uint8Array, lambda: number): number {
  let best = -1;
  let highest = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < relevance.length; index++) {
    if (taken[index] === 1) continue;
    const marginal = lambda * (relevance[index] as number) - (1 - lambda) * (nearest[index] as number);
    if (marginal > highest || best < 0) {
      highest = marginal;
      best = index;
    }
  }
  return best;
}

function finitePlaces(list: RankedList): Int32Array {
  const places = new Int32Array(list.count);
  let count = 0;
  for (let place = 0; place < list.count; place++) if (Number.isFinite(list.values[place])) places[count++] = place;
  return places.subarray(0, count);
}

function minmax(values: Float32Array, places: Int32Array): Float64Array {
  let lowest = Number.POSITIVE_INFINITY;
  let highest = Number.NEGATIVE_INFINITY;
  for (const place of places) {
    const value = values[place] as number;
    if (value < lowest) lowest = value;
    if (value > highest) highest = value;
  }
  const range = highest - lowest;
  return Float64Array.from(places, (place) => (range > 0 ? ((values[place] as number) - lowest) / range : 1));
}

/** The places of `first`, then those of `next` that are left, then everybody else. */
function inGivenOrder(first: Int32Array, count: number, next: Int32Array = first): Int32Array {
  const order = new Int32Array(count);
  const placed = new Uint8Array(count);
  let filled = 0;
  const append = (place: number): void => {
    if (placed[place] === 1) return;
    placed[place] = 1;
    order[filled++] = place;
  };
  first.forEach(append);
  next.forEach(append);
  for (let place = 0; place < count; place++) append(place);
  return order;
}
