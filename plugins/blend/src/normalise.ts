import type { Normalisation } from './options.js';

/**
 * Gives `scores[start, end)` made comparable, in `out[0, end − start)`. The statistics run over the finite ones; what is
 * not finite is missing and takes the lowest value that any of the others got. Without a finite score, or with `zscore`
 * and its kin when all are equal, everything is 0: the column says nothing about the order.
 */
export type Normaliser = (scores: Float32Array, start: number, end: number, out: Float64Array, scratch: Scratch) => void;

/** Room for sorting, shared by the calls of one scorer and never by two at a time. */
export class Scratch {
  #values = new Float32Array(0);

  /** The finite values of `scores[start, end)`, ascending; valid until the next call. */
  ascending(scores: Float32Array, start: number, end: number): Float32Array {
    if (this.#values.length < end - start) this.#values = new Float32Array(2 * (end - start));
    let count = 0;
    for (let place = start; place < end; place++) {
      const score = scores[place] as number;
      if (Number.isFinite(score)) this.#values[count++] = score;
    }
    return this.#values.subarray(0, count).sort();
  }
}

/** (x − mean) / standard deviation of the population. */
const zscore: Normaliser = (scores, start, end, out) => {
  for (let place = start; place < end; place++) out[place - start] = scores[place] as number;
  standardise(out, end - start);
};

/**
 * The z-score of log(1 + (x − lowest) / (mean − lowest)): what lies far above the mean is pulled in, whatever the unit of
 * the scores. For scores with a heavy tail, such as how often an item was bought.
 */
const logZscore: Normaliser = (scores, start, end, out) => {
  let count = 0;
  let sum = 0;
  let lowest = Number.POSITIVE_INFINITY;
  for (let place = start; place < end; place++) {
    const score = scores[place] as number;
    if (!Number.isFinite(score)) continue;
    count++;
    sum += score;
    if (score < lowest) lowest = score;
  }
  const unit = sum / count - lowest;
  for (let place = start; place < end; place++) {
    const score = scores[place] as number;
    out[place - start] = !Number.isFinite(score) ? Number.NaN : unit > 0 ? Math.log1p((score - lowest) / unit) : 0;
  }
  standardise(out, end - start);
};

/**
 * (x − median) / (1.4826 × median absolute deviation), which is the standard deviation of a normal distribution. Where
 * more than half of the scores are equal the median deviation is 0; then 1.2533 × the mean absolute deviation stands in.
 */
const robustZscore: Normaliser = (scores, start, end, out, scratch) => {
  const length = end - start;
  const ascending = scratch.ascending(scores, start, end);
  const count = ascending.length;
  if (count === 0 || ascending[0] === ascending[count - 1]) {
    out.fill(0, 0, length);
    return;
  }
  const middle = medianOf(ascending);
  const lowest = ascending[0] as number;
  let sum = 0;
  for (let place = 0; place < count; place++) {
    const deviation = Math.abs((ascending[place] as number) - middle);
    ascending[place] = deviation;
    sum += deviation;
  }
  const median = 1.4826 * medianOf(ascending.sort());
  const spread = median > 0 ? median : (1.2533 * sum) / count;
  for (let place = start; place < end; place++) {
    const score = scores[place] as number;
    out[place - start] = ((Number.isFinite(score) ? score : lowest) - middle) / spread;
  }
};

/** The share of the finite scores that are not greater, in (0, 1]: equals alike, missing 0. */
const rank: Normaliser = (scores, start, end, out, scratch) => {
  const ascending = scratch.ascending(scores, start, end);
  for (let place = start; place < end; place++) {
    const score = scores[place] as number;
    out[place - start] = Number.isFinite(score) ? countUpTo(ascending, score) / ascending.length : 0;
  }
};

/** (x − lowest) / (highest − lowest), missing 0; scores that are all equal say only "there": 1. */
const minmax: Normaliser = (scores, start, end, out) => {
  let lowest = Number.POSITIVE_INFINITY;
  let highest = Number.NEGATIVE_INFINITY;
  for (let place = start; place < end; place++) {
    const score = scores[place] as number;
    if (!Number.isFinite(score)) continue;
    if (score < lowest) lowest = score;
    if (score > highest) highest = score;
  }
  const range = highest - lowest;
  for (let place = start; place < end; place++) {
    const score = scores[place] as number;
    out[place - start] = !Number.isFinite(score) ? 0 : range > 0 ? (score - lowest) / range : 1;
  }
};

/** The normalisers by the names of the option. */
export const normalisers: Readonly<Record<Normalisation, Normaliser>> = {
  zscore,
  'log-zscore': logZscore,
  'robust-zscore': robustZscore,
  rank,
  minmax,
};

/** Makes the finite values of `values[0, length)` z-scores; the others take the lowest. */
function standardise(values: Float64Array, length: number): void {
  let count = 0;
  let sum = 0;
  let lowest = Number.POSITIVE_INFINITY;
  let highest = Number.NEGATIVE_INFINITY;
  for (let place = 0; place < length; place++) {
    const value = values[place] as number;
    if (!Number.isFinite(value)) continue;
    count++;
    sum += value;
    if (value < lowest) lowest = value;
    if (value > highest) highest = value;
  }
  // Compared, not computed: the rounded mean of equal numbers may differ from them, and noise would be blown up.
  if (count === 0 || lowest === highest) {
    values.fill(0, 0, length);
    return;
  }
  const mean = sum / count;
  let squares = 0;
  for (let place = 0; place < length; place++) {
    const value = values[place] as number;
    if (Number.isFinite(value)) squares += (value - mean) * (value - mean);
  }
  const deviation = Math.sqrt(squares / count);
  for (let place = 0; place < length; place++) {
    const value = values[place] as number;
    values[place] = ((Number.isFinite(value) ? value : lowest) - mean) / deviation;
  }
}

/** Of ascending values; the mean of the two in the middle when their number is even. */
function medianOf(ascending: Float32Array): number {
  const half = ascending.length >>> 1;
  const upper = ascending[half] as number;
  return ascending.length % 2 === 1 ? upper : ((ascending[half - 1] as number) + upper) / 2;
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
