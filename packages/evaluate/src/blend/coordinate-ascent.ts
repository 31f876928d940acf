import type { BlendObjective } from './blend-objective.js';

/** Times a weight that is not 0. */
const factors = [0.25, 0.5, 0.7, 0.85, 0.95, 1.05, 1.2, 1.4, 2, 4];
/** Of the largest weight, where a weight is 0. */
const shares = [0.02, 0.05, 0.1, 0.2, 0.4, 0.8];
const maximumRounds = 12;
/** A move must gain this share of the figure: less is rounding or a single case. */
const leastGain = 1e-4;

/** What an ascent may do, and what it lets run between its steps. */
export interface AscentOptions {
  readonly signed: boolean;
  readonly beforeStep?: () => Promise<void>;
}

/**
 * Coordinate ascent on the mean NDCG itself (Metzler and Croft 2007): one weight after the other is set to whichever of some
 * values is best, until a round gains nothing more. A weight that is as good at 0 becomes 0, but for the last.
 *
 * @returns new weights whose largest is 1 (all 0 stays so), with the mean NDCG over `subset`
 */
export async function coordinateAscent(
  objective: BlendObjective,
  start: ArrayLike<number>,
  subset: Int32Array,
  options: AscentOptions,
): Promise<{ readonly weights: Float64Array; readonly ndcg: number }> {
  const weights = largestOne(Float64Array.from(start));
  let ndcg = objective.mean(weights, subset);
  for (let round = 0; round < maximumRounds; round++) {
    const before = ndcg;
    for (let column = 0; column < weights.length; column++) {
      await options.beforeStep?.();
      const best = bestWeight(objective, weights, column, subset, options.signed, ndcg);
      weights[column] = best.weight;
      ndcg = best.ndcg;
    }
    if (ndcg - before <= leastGain * before) break;
  }
  return { weights: largestOne(weights), ndcg };
}

/**
 * The best weight for one column, the others as they are. `ndcg` is the figure of the present weight, which another must beat by a
 * ten-thousandth; it is worked out when it is not given.
 */
export function bestWeight(
  objective: BlendObjective,
  weights: Float64Array,
  column: number,
  subset: Int32Array,
  signed: boolean,
  ndcg?: number,
): { readonly weight: number; readonly ndcg: number } {
  objective.fix(weights, column, subset);
  const current = weights[column] as number;
  const present = ndcg ?? objective.meanWith(column, current, subset);
  let chosen = current;
  let best = present;
  const largest = weights.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0) || 1;
  const isLast = weights.every((weight, other) => weight === 0 || other === column);
  for (const trial of trialsOf(current, largest, signed)) {
    // A blend of nothing would order by nothing.
    if (trial === 0 && isLast) continue;
    const found = objective.meanWith(column, trial, subset);
    // As good without the column: one thing less to compute and to explain.
    const enough = trial === 0 ? found >= best : found > best && found - present >= leastGain * present;
    if (!enough) continue;
    chosen = trial;
    best = found;
  }
  return { weight: chosen, ndcg: best };
}

function trialsOf(current: number, largest: number, signed: boolean): number[] {
  if (current === 0) return shares.flatMap((share) => (signed ? [share * largest, -share * largest] : [share * largest]));
  const near = factors.map((factor) => factor * current);
  return [0, ...near, ...(signed ? [-0.1 * current, -0.5 * current] : [])];
}

/** The same proportions with a largest weight (of either sign) of 1. */
export function largestOne(weights: Float64Array): Float64Array {
  const largest = weights.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0);
  return largest > 0 ? weights.map((weight) => weight / largest) : weights.slice();
}
