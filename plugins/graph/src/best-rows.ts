import type { RequestProposals } from '@recloom/plugin-api';

/**
 * The best of `candidates` by score: positive scores only, descending, ties by ascending row, at most `limit`. Scores are
 * compared as the float32 numbers they are given out as. `scores` is indexed by row.
 */
export function bestRows(candidates: readonly number[], scores: ArrayLike<number>, limit: number): RequestProposals {
  const rounded = Float32Array.from(candidates, (row) => scores[row] as number);
  const order: number[] = [];
  for (let place = 0; place < rounded.length; place++) if ((rounded[place] as number) > 0) order.push(place);
  order.sort((a, b) => (rounded[b] as number) - (rounded[a] as number) || (candidates[a] as number) - (candidates[b] as number));
  const kept = order.slice(0, limit);
  return {
    rows: Int32Array.from(kept, (place) => candidates[place] as number),
    scores: Float32Array.from(kept, (place) => rounded[place] as number),
  };
}
