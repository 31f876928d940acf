import type { NearestOptions } from './options.js';

/** Puts the similarities of several items together, row by row: the best of them, or their weighted power mean. */
export class CombinedScores {
  readonly #best: boolean;
  readonly #power: number;
  /** How often a number is squared for a power of 1, 2, 4, …; undefined for the powers between. */
  readonly #squarings: number | undefined;
  readonly #sums: Float64Array;
  #total = 0;

  constructor({ profile, power }: Pick<NearestOptions, 'profile' | 'power'>, rowCount: number) {
    this.#best = profile === 'max';
    this.#power = power;
    const squarings = Math.log2(power);
    this.#squarings = Number.isInteger(squarings) ? squarings : undefined;
    this.#sums = new Float64Array(rowCount);
    if (this.#best) this.#sums.fill(Number.NEGATIVE_INFINITY);
  }

  /** Adds one item; what is no number counts as nothing. */
  add(similarities: Float32Array, weight: number): void {
    const sums = this.#sums;
    this.#total += weight;
    if (this.#best) {
      for (let place = 0; place < sums.length; place++) {
        const similarity = similarities[place] as number;
        if (similarity > (sums[place] as number)) sums[place] = similarity;
      }
      return;
    }
    const squarings = this.#squarings;
    for (let place = 0; place < sums.length; place++) {
      const similarity = similarities[place] as number;
      if (!(similarity > 0)) continue;
      let raised = similarity;
      if (squarings === undefined) raised = raise(similarity, this.#power);
      else for (let left = squarings; left > 0; left--) raised *= raised;
      sums[place] = (sums[place] as number) + weight * raised;
    }
  }

  /** Writes what came of it; -Infinity where `max` saw no number. */
  finish(out: Float32Array): void {
    const sums = this.#sums;
    const squarings = this.#squarings;
    for (let place = 0; place < sums.length; place++) {
      const value = sums[place] as number;
      if (this.#best) out[place] = value;
      else if (squarings === undefined) out[place] = (value / this.#total) ** (1 / this.#power);
      else {
        let root = value / this.#total;
        for (let left = squarings; left > 0; left--) root = Math.sqrt(root);
        out[place] = root;
      }
    }
  }
}

/** A positive number to a power; whole powers by squaring, which is several times faster than `**`. */
function raise(base: number, power: number): number {
  if (!Number.isInteger(power)) return base ** power;
  let result = 1;
  let square = base;
  for (let left = power; left > 0; left >>= 1) {
    if ((left & 1) === 1) result *= square;
    square *= square;
  }
  return result;
}
