import type { RequestProposals } from '@recloom/plugin-api';

/**
 * The best of `candidates` by score: positive scores only, descending, ties by ascending row, at most `limit`. Scores are
 * compared as the float32 numbers they are given out as. `scores` is indexed by row.
 */
export function bestRows(candidates: ArrayLike<number>, scores: ArrayLike<number>, limit: number): RequestProposals {
  const kept: number[] = [];
  const rounded = new Map<number, number>();
  for (let place = 0; place < candidates.length; place++) {
    const row = candidates[place] as number;
    const score = Math.fround(scores[row] as number);
    if (!(score > 0)) continue;
    kept.push(row);
    rounded.set(row, score);
  }
  kept.sort((a, b) => (rounded.get(b) as number) - (rounded.get(a) as number) || a - b);
  const rows = Int32Array.from(kept.slice(0, limit));
  return { rows, scores: Float32Array.from(rows, (row) => rounded.get(row) as number) };
}
