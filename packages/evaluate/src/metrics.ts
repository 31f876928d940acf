import { rankingMetrics } from './metrics/ranking.js';

/** Figures of one ranked list. All in [0, 1], higher is better. */
export interface ListMetrics {
  /**
   * Normalised discounted cumulative gain at k with binary gain: Σ hit(rank) / log2(rank + 1) over the ideal, which is cut
   * at min(k, number of relevant items) (Järvelin and Kekäläinen 2002).
   */
  readonly ndcg: number;
  /** Hits over all relevant items. */
  readonly recall: number;
  /** 1 when there is any hit. */
  readonly hitRate: number;
}

/**
 * Scores a ranked list (best first, unique rows) against the relevant rows.
 *
 * @throws RangeError when nothing is relevant: such a case has no figure and must be left out.
 */
export function scoreList(ranked: ArrayLike<number>, relevant: ReadonlySet<number>, k: number): ListMetrics {
  const { ndcg, recall, hitRate } = rankingMetrics(ranked, new Map(Array.from(relevant, (row) => [row, 1])), k);
  return { ndcg, recall, hitRate };
}

/** Mean and its standard error. */
export interface Mean {
  readonly mean: number;
  /** Standard deviation (population) over √n. */
  readonly standardError: number;
}

/** Mean of some values; both figures are 0 for none. */
export function meanOf(values: Float64Array): Mean {
  const count = values.length;
  if (count === 0) return { mean: 0, standardError: 0 };
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / count;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  return { mean, standardError: Math.sqrt(squares / count / count) };
}
