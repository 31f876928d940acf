import { createRandomStream } from '@recloom/plugin-api';

/** The mean of paired differences with an interval. */
export interface Interval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  /** Share of the distribution between `low` and `high`. */
  readonly confidence: number;
}

/** How often is drawn, with which seed, and how wide the interval is. */
export interface ResampleOptions {
  /** Resamples drawn; default 10,000. */
  readonly rounds?: number;
  readonly seed?: number;
}

/**
 * Percentile bootstrap of the mean of `left[i] − right[i]` over cases (Efron 1979): cases are drawn with replacement,
 * each with both of its figures.
 *
 * @throws RangeError when the lengths differ or there is no case.
 */
export function pairedBootstrap(
  left: ArrayLike<number>,
  right: ArrayLike<number>,
  options: ResampleOptions & { readonly confidence?: number } = {},
): Interval {
  const differences = differencesOf(left, right);
  const rounds = options.rounds ?? 10_000;
  const confidence = options.confidence ?? 0.95;
  const random = createRandomStream(options.seed ?? 0);
  const means = new Float64Array(rounds);
  for (let round = 0; round < rounds; round++) {
    let sum = 0;
    for (let draw = 0; draw < differences.length; draw++) sum += differences[random.integer(differences.length)] as number;
    means[round] = sum / differences.length;
  }
  means.sort();
  return { mean: meanDifference(differences), ...bounds(means, confidence), confidence };
}

/**
 * Two-sided paired randomisation test (Fisher; Smucker 2007 for retrieval): under the null hypothesis each case's two
 * figures could be swapped. Up to 2^14 sign patterns are tried exhaustively, beyond that `rounds` random ones, where p is
 * (as extreme + 1) / (rounds + 1) and so never 0.
 *
 * @throws RangeError when the lengths differ or there is no case.
 */
export function pairedRandomisationTest(left: ArrayLike<number>, right: ArrayLike<number>, options: ResampleOptions = {}): number {
  // A case without a difference has the same figure under either sign; and figures that differ by rounding are the same.
  const differences = differencesOf(left, right).filter((difference, place) => {
    const size = Math.max(Math.abs(left[place] as number), Math.abs(right[place] as number));
    return Math.abs(difference) > size * 1e-12;
  });
  const count = differences.length;
  if (count === 0) return 1;
  const observed = Math.abs(differences.reduce((sum, difference) => sum + difference, 0));
  const largest = differences.reduce((most, difference) => Math.max(most, Math.abs(difference)), 0);
  // Sums of the same numbers in another order differ by rounding; what is meant to be equal counts as extreme.
  const extreme = observed - largest * count * 1e-12;
  if (count <= 14) {
    let asExtreme = 0;
    for (let pattern = 0; pattern < 1 << count; pattern++) {
      let sum = 0;
      for (let place = 0; place < count; place++)
        sum += (pattern >> place) & 1 ? (differences[place] as number) : -(differences[place] as number);
      if (Math.abs(sum) >= extreme) asExtreme++;
    }
    return asExtreme / (1 << count);
  }
  const rounds = options.rounds ?? 10_000;
  const random = createRandomStream(options.seed ?? 0);
  let asExtreme = 0;
  for (let round = 0; round < rounds; round++) {
    let sum = 0;
    for (let start = 0; start < count; start += 32) {
      const signs = random.integer(4_294_967_296) | 0;
      const end = Math.min(count, start + 32);
      for (let place = start; place < end; place++)
        sum += (signs >>> (place - start)) & 1 ? (differences[place] as number) : -(differences[place] as number);
    }
    if (Math.abs(sum) >= extreme) asExtreme++;
  }
  return (asExtreme + 1) / (rounds + 1);
}

/** Holm's step-down correction (Holm 1979) of several p values, in their order: the chance of even one false finding stays below α. */
export function holmCorrection(values: readonly number[]): readonly number[] {
  const order = values.map((_, index) => index).sort((left, right) => (values[left] as number) - (values[right] as number) || left - right);
  const corrected = new Array<number>(values.length).fill(1);
  let running = 0;
  for (const [place, index] of order.entries()) {
    running = Math.max(running, Math.min(1, (values.length - place) * (values[index] as number)));
    corrected[index] = running;
  }
  return corrected;
}

function differencesOf(left: ArrayLike<number>, right: ArrayLike<number>): Float64Array {
  if (left.length !== right.length) throw new RangeError(`${left.length} figures cannot be paired with ${right.length}`);
  if (left.length === 0) throw new RangeError('there is no case to compare');
  return Float64Array.from({ length: left.length }, (_, index) => (left[index] as number) - (right[index] as number));
}

function meanDifference(differences: Float64Array): number {
  let sum = 0;
  for (const difference of differences) sum += difference;
  return sum / differences.length;
}

/**
 * Percentile bootstrap intervals of the means of several columns over the same cases (Efron 1979): cases are drawn with
 * replacement, each with all of its figures, so that one set of draws serves all columns. In the order of the columns.
 *
 * @throws RangeError when the lengths differ or there is no case.
 */
export function bootstrapMeans(
  columns: readonly ArrayLike<number>[],
  options: ResampleOptions & { readonly confidence?: number } = {},
): readonly Interval[] {
  const [first] = columns;
  if (first === undefined) return [];
  const count = first.length;
  const width = columns.length;
  if (count === 0) throw new RangeError('there is no case to compare');
  // Case by case, so that a draw touches one place in memory.
  const table = new Float64Array(count * width);
  for (const [at, column] of columns.entries()) {
    if (column.length !== count) throw new RangeError(`${count} figures cannot be paired with ${column.length}`);
    for (let index = 0; index < count; index++) table[index * width + at] = column[index] as number;
  }
  const rounds = options.rounds ?? 10_000;
  const confidence = options.confidence ?? 0.95;
  const random = createRandomStream(options.seed ?? 0);
  const means = columns.map(() => new Float64Array(rounds));
  const sums = new Float64Array(width);
  for (let round = 0; round < rounds; round++) {
    sums.fill(0);
    for (let draw = 0; draw < count; draw++) {
      const start = random.integer(count) * width;
      for (let at = 0; at < width; at++) sums[at] = (sums[at] as number) + (table[start + at] as number);
    }
    for (let at = 0; at < width; at++) (means[at] as Float64Array)[round] = (sums[at] as number) / count;
  }
  return columns.map((column, at) => {
    const sorted = (means[at] as Float64Array).sort();
    let sum = 0;
    for (let index = 0; index < count; index++) sum += column[index] as number;
    return { mean: sum / count, ...bounds(sorted, confidence), confidence };
  });
}

/** The interval that holds the middle `confidence` of ascending means. */
function bounds(sorted: Float64Array, confidence: number): { readonly low: number; readonly high: number } {
  const last = sorted.length - 1;
  const at = (share: number): number => sorted[Math.min(last, Math.max(0, Math.round(share * last)))] as number;
  return { low: at((1 - confidence) / 2), high: at((1 + confidence) / 2) };
}
