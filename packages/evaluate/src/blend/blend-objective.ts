import type { BlendCases } from './blend-cases.js';

/** 1 / log2(place + 1) for the places 1 to k. */
function discountsUpTo(k: number): Float64Array {
  return Float64Array.from({ length: k }, (_, index) => 1 / Math.log2(index + 2));
}

/** Keeps the k best of a stream of numbers and which of them are right; equal numbers keep the order in which they came. */
export class BestOf {
  readonly #discounts: Float64Array;
  readonly #values: Float64Array;
  readonly #right: Uint8Array;
  #filled = 0;
  /** What a number must exceed to be kept: what does not need not be offered, which saves the call. */
  least = Number.NEGATIVE_INFINITY;

  constructor(k: number) {
    this.#discounts = discountsUpTo(k);
    this.#values = new Float64Array(k);
    this.#right = new Uint8Array(k);
  }

  clear(): void {
    this.#filled = 0;
    this.least = Number.NEGATIVE_INFINITY;
  }

  offer(value: number, right: number): void {
    const k = this.#values.length;
    const full = this.#filled === k;
    if (full && !(value > this.least)) return;
    let place = full ? k - 1 : this.#filled++;
    while (place > 0 && value > (this.#values[place - 1] as number)) {
      this.#values[place] = this.#values[place - 1] as number;
      this.#right[place] = this.#right[place - 1] as number;
      place--;
    }
    this.#values[place] = value;
    this.#right[place] = right;
    if (this.#filled === k) this.least = this.#values[k - 1] as number;
  }

  /** Σ 1 / log2(place + 1) over the right ones. */
  gain(): number {
    let gain = 0;
    for (let place = 0; place < this.#filled; place++) if (this.#right[place] === 1) gain += this.#discounts[place] as number;
    return gain;
  }
}

/**
 * NDCG@k of weighted sums over cases whose columns are fixed: the same columns, another weight in every call.
 * Ties go to the lower item row, as in serving.
 */
export class BlendObjective {
  readonly #cases: BlendCases;
  readonly #columns: readonly Float32Array[];
  readonly #best: BestOf;
  readonly #sums: Float64Array;

  /** `columns`: a number per candidate of `cases`. */
  constructor(cases: BlendCases, columns: readonly Float32Array[], k: number) {
    this.#cases = cases;
    this.#columns = columns;
    this.#best = new BestOf(k);
    this.#sums = new Float64Array(cases.relevant.length);
  }

  get columnCount(): number {
    return this.#columns.length;
  }

  /** NDCG of each case of `subset`, in its order. */
  perCase(weights: ArrayLike<number>, subset: Int32Array): Float64Array {
    this.fix(weights, -1, subset);
    return Float64Array.from(subset, (index) => this.#ndcg(index, undefined, 0));
  }

  /** Mean NDCG over `subset`. */
  mean(weights: ArrayLike<number>, subset: Int32Array): number {
    this.fix(weights, -1, subset);
    return this.meanWith(-1, 0, subset);
  }

  /** Adds up all columns but `left` (−1: all), for `meanWith`. */
  fix(weights: ArrayLike<number>, left: number, subset: Int32Array): void {
    const { offsets } = this.#cases;
    const sums = this.#sums;
    for (const index of subset) {
      const start = offsets[index] as number;
      const end = offsets[index + 1] as number;
      sums.fill(0, start, end);
      for (let which = 0; which < this.#columns.length; which++) {
        const weight = weights[which] as number;
        if (which === left || weight === 0) continue;
        const column = this.#columns[which] as Float32Array;
        for (let place = start; place < end; place++) sums[place] = (sums[place] as number) + weight * (column[place] as number);
      }
    }
  }

  /** Mean NDCG over `subset` with a weight for the column that `fix` left out. */
  meanWith(left: number, weight: number, subset: Int32Array): number {
    if (subset.length === 0) return 0;
    const column = left < 0 || weight === 0 ? undefined : this.#columns[left];
    let sum = 0;
    for (const index of subset) sum += this.#ndcg(index, column, weight);
    return sum / subset.length;
  }

  #ndcg(index: number, column: Float32Array | undefined, weight: number): number {
    const { offsets, relevant, ideals } = this.#cases;
    const best = this.#best;
    best.clear();
    const end = offsets[index + 1] as number;
    const sums = this.#sums;
    for (let place = offsets[index] as number; place < end; place++) {
      const sum = sums[place] as number;
      const value = column === undefined ? sum : sum + weight * (column[place] as number);
      if (value > best.least) best.offer(value, relevant[place] as number);
    }
    return best.gain() / (ideals[index] as number);
  }
}
