/** Figures of one ranked list at a cut-off k, all but `revenue` in [0, 1]; higher is better. */
export interface RankingMetrics {
  /** Hits among the first k over k, also when the list is shorter. */
  readonly precision: number;
  /** Hits among the first k over all relevant items. */
  readonly recall: number;
  /** Harmonic mean of precision and recall; 0 when both are. */
  readonly f1: number;
  /** 1 when there is any hit. */
  readonly hitRate: number;
  /** Σ over hits of the precision at their place, over min(k, number of relevant items). Its mean over cases is MAP@k. */
  readonly averagePrecision: number;
  /** 1 / place of the first hit, 0 without one. Its mean over cases is MRR@k. */
  readonly reciprocalRank: number;
  /** Σ hit / log2(place + 1) over the ideal, which is cut at min(k, number of relevant items) (Järvelin and Kekäläinen 2002). */
  readonly ndcg: number;
  /** The same with graded gains: Σ gain / log2(place + 1) over that of the k largest gains in descending order. */
  readonly gradedNdcg: number;
  /** Σ of the values of the hits, in the unit of `value`; NaN when no values were given. */
  readonly revenue: number;
}

/** What the figures of a list depend on besides the list. */
export interface RankingOptions {
  /**
   * How a grade becomes a gain: itself, or 2^grade − 1 (Burges 2005), which makes the top grades count more. Default `linear`.
   */
  readonly gain?: 'linear' | 'exponential';
  /** What a hit on an item is worth, e.g. its price; NaN counts as 0. */
  readonly value?: (item: number) => number;
}

/**
 * Scores a ranked list (best first, unique items) against the relevant items and their grades. Items that are not in
 * `grades` are not relevant; a grade of 0 or less is not relevant either.
 *
 * @throws RangeError when nothing is relevant (such a case has no figure and must be left out), or k is not a positive whole number.
 */
export function rankingMetrics(
  ranked: ArrayLike<number>,
  grades: ReadonlyMap<number, number>,
  k: number,
  options: RankingOptions = {},
): RankingMetrics {
  if (!Number.isSafeInteger(k) || k < 1) throw new RangeError('k must be a positive whole number');
  const gainOf = options.gain === 'exponential' ? (grade: number): number => 2 ** grade - 1 : (grade: number): number => grade;
  const gains = [...grades.values()].filter((grade) => grade > 0).map(gainOf);
  if (gains.length === 0) throw new RangeError('a list without relevant items has no figure');
  let hits = 0;
  let first = 0;
  let precisions = 0;
  let gain = 0;
  let graded = 0;
  let revenue = options.value === undefined ? Number.NaN : 0;
  const length = Math.min(k, ranked.length);
  for (let place = 1; place <= length; place++) {
    const item = ranked[place - 1] as number;
    const grade = grades.get(item) ?? 0;
    if (!(grade > 0)) continue;
    hits++;
    if (first === 0) first = place;
    precisions += hits / place;
    gain += 1 / Math.log2(place + 1);
    graded += gainOf(grade) / Math.log2(place + 1);
    if (options.value !== undefined) revenue += finiteOrZero(options.value(item));
  }
  const reachable = Math.min(k, gains.length);
  gains.sort((left, right) => right - left);
  let ideal = 0;
  let gradedIdeal = 0;
  for (let place = 1; place <= reachable; place++) {
    ideal += 1 / Math.log2(place + 1);
    gradedIdeal += (gains[place - 1] as number) / Math.log2(place + 1);
  }
  const precision = hits / k;
  const recall = hits / gains.length;
  return {
    precision,
    recall,
    f1: hits === 0 ? 0 : (2 * precision * recall) / (precision + recall),
    hitRate: hits > 0 ? 1 : 0,
    averagePrecision: precisions / reachable,
    reciprocalRank: first === 0 ? 0 : 1 / first,
    ndcg: gain / ideal,
    gradedNdcg: graded / gradedIdeal,
    revenue,
  };
}

function finiteOrZero(value: number): number {
  return Number.isFinite(value) ? value : 0;
}
