import type { TuneParameter, TuneValue } from '@recloom/core';
import type { TriedPoint } from './search.js';

/** How much the trials' figures went along with a parameter. */
export interface ParameterImportance {
  readonly name: string;
  /** In [0, 1]. */
  readonly strength: number;
  /** `rank-correlation`: |Spearman's ρ| with the figure. `correlation-ratio`: η, the share of spread between the values' mean ranks, as a root. */
  readonly measure: 'rank-correlation' | 'correlation-ratio';
}

/** Fewer trials say nothing. */
const fewestTrials = 10;

/**
 * Parameters by falling strength (ties in their order). A hint, not a proof: parameters are looked at one by one, a rank
 * correlation misses a best value in the middle of a range, and a search looks more closely where it is good. Empty with
 * fewer than ten scored trials.
 */
export function parameterImportance(parameters: readonly TuneParameter[], tried: readonly TriedPoint[]): readonly ParameterImportance[] {
  const scored = tried.filter(({ value }) => value !== undefined);
  if (scored.length < fewestTrials) return [];
  const ranks = ranksOf(scored.map(({ value }) => value as number));
  const found = parameters.map(({ name, domain }, place): ParameterImportance => {
    const values = scored.map(({ point }) => point[place]);
    const isNumber = domain.kind === 'number' && values.every((value) => typeof value === 'number');
    return isNumber
      ? { name, strength: Math.abs(correlation(ranksOf(values as number[]), ranks)), measure: 'rank-correlation' }
      : { name, strength: correlationRatio(values, ranks), measure: 'correlation-ratio' };
  });
  return found.sort((left, right) => right.strength - left.strength);
}

/** Ranks from 1; equal values share the mean of theirs. */
function ranksOf(values: readonly number[]): Float64Array {
  const order = values.map((_, index) => index).sort((left, right) => (values[left] as number) - (values[right] as number));
  const ranks = new Float64Array(values.length);
  for (let from = 0; from < order.length; ) {
    let to = from;
    while (to < order.length && values[order[to] as number] === values[order[from] as number]) to++;
    for (let place = from; place < to; place++) ranks[order[place] as number] = (from + 1 + to) / 2;
    from = to;
  }
  return ranks;
}

function correlation(left: Float64Array, right: Float64Array): number {
  const middle = (left.length + 1) / 2;
  let both = 0;
  let ofLeft = 0;
  let ofRight = 0;
  for (const [index, rank] of left.entries()) {
    both += (rank - middle) * ((right[index] as number) - middle);
    ofLeft += (rank - middle) ** 2;
    ofRight += ((right[index] as number) - middle) ** 2;
  }
  return ofLeft === 0 || ofRight === 0 ? 0 : both / Math.sqrt(ofLeft * ofRight);
}

function correlationRatio(values: readonly (TuneValue | undefined)[], ranks: Float64Array): number {
  const groups = new Map<TuneValue | undefined, number[]>();
  for (const [index, value] of values.entries()) {
    const group = groups.get(value);
    if (group === undefined) groups.set(value, [ranks[index] as number]);
    else group.push(ranks[index] as number);
  }
  const middle = (ranks.length + 1) / 2;
  const total = ranks.reduce((sum, rank) => sum + (rank - middle) ** 2, 0);
  let between = 0;
  for (const group of groups.values()) {
    const mean = group.reduce((sum, rank) => sum + rank, 0) / group.length;
    between += group.length * (mean - middle) ** 2;
  }
  return total === 0 ? 0 : Math.sqrt(between / total);
}
