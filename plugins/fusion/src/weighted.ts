import type { CandidateBatch, Scorer } from '@recloom/plugin-api';
import type { WeightedOptions } from './options.js';

/**
 * score(c) = sum of weight(s) × normalised(s, c) over all sources, divided by the sum of the weights.
 * Statistics run over the candidates of one request that the source proposed. What a source did not propose (or scored
 * with something that is not finite) counts as the lowest it gave: 0 for minmax and rank, the smallest z for zscore.
 * Scores that are all equal say only "proposed": 1 for minmax and rank, 0 for zscore.
 */
export class WeightedFusion implements Scorer {
  readonly #normalise: WeightedOptions['normalise'];
  readonly #weights: ReadonlyMap<string, number>;

  constructor(options: WeightedOptions) {
    this.#normalise = options.normalise;
    this.#weights = new Map(Object.entries(options.weights));
  }

  score(batch: CandidateBatch, out: Float32Array, signal: AbortSignal): void {
    signal.throwIfAborted();
    const sums = new Float64Array(batch.count);
    let total = 0;
    for (const { name, scores } of batch.sources) {
      const weight = this.#weights.get(name) ?? 1;
      total += weight;
      if (weight === 0) continue;
      for (let request = 0; request < batch.requests.length; request++) {
        const start = batch.offsets[request] as number;
        const end = batch.offsets[request + 1] as number;
        if (this.#normalise === 'rank') addRanks(scores, start, end, weight, sums);
        else if (this.#normalise === 'zscore') addStandardScores(scores, start, end, weight, sums);
        else addMinMax(scores, start, end, weight, sums);
      }
    }
    const factor = total > 0 ? 1 / total : 0;
    for (let place = 0; place < batch.count; place++) out[place] = (sums[place] as number) * factor;
  }
}

function addMinMax(scores: Float32Array, start: number, end: number, weight: number, sums: Float64Array): void {
  let lowest = Number.POSITIVE_INFINITY;
  let highest = Number.NEGATIVE_INFINITY;
  for (let place = start; place < end; place++) {
    const score = scores[place] as number;
    if (!Number.isFinite(score)) continue;
    if (score < lowest) lowest = score;
    if (score > highest) highest = score;
  }
  const spread = highest - lowest;
  for (let place = start; place < end; place++) {
    const score = scores[place] as number;
    if (!Number.isFinite(score)) continue;
    sums[place] = (sums[place] as number) + weight * (spread > 0 ? (score - lowest) / spread : 1);
  }
}

function addStandardScores(scores: Float32Array, start: number, end: number, weight: number, sums: Float64Array): void {
  let count = 0;
  let mean = 0;
  let squares = 0;
  let lowest = Number.POSITIVE_INFINITY;
  // Welford's running mean and sum of squares: exact enough for scores far from 0.
  for (let place = start; place < end; place++) {
    const score = scores[place] as number;
    if (!Number.isFinite(score)) continue;
    count++;
    const before = score - mean;
    mean += before / count;
    squares += before * (score - mean);
    if (score < lowest) lowest = score;
  }
  const deviation = count === 0 ? 0 : Math.sqrt(squares / count);
  if (!(deviation > 0)) return;
  for (let place = start; place < end; place++) {
    const score = scores[place] as number;
    const value = ((Number.isFinite(score) ? score : lowest) - mean) / deviation;
    sums[place] = (sums[place] as number) + weight * value;
  }
}

/** The share of the source's candidates that are not better: (n − better) / n, the same for equals. */
function addRanks(scores: Float32Array, start: number, end: number, weight: number, sums: Float64Array): void {
  const present = scores.slice(start, end).filter((score) => Number.isFinite(score));
  const ascending = present.sort();
  for (let place = start; place < end; place++) {
    const score = scores[place] as number;
    if (!Number.isFinite(score)) continue;
    sums[place] = (sums[place] as number) + (weight * countUpTo(ascending, score)) / ascending.length;
  }
}

/** How many of the ascending values are at most `limit`. */
function countUpTo(ascending: Float32Array, limit: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ascending[middle] as number) <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}
