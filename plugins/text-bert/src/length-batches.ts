/**
 * Groups texts of equal length into runs of at most `batchTokens` tokens (at least one text): nothing is padded, so a
 * text never computes for another's length.
 *
 * @param lengths tokens per text; texts of length 0 are left out
 * @returns indices into `lengths`, shortest texts first, ascending within a run
 */
export function planRuns(lengths: ArrayLike<number>, batchTokens: number, oneByOne: boolean): readonly Int32Array[] {
  const byLength = new Map<number, number[]>();
  for (let index = 0; index < lengths.length; index++) {
    const length = lengths[index] as number;
    if (length === 0) continue;
    const bucket = byLength.get(length);
    if (bucket === undefined) byLength.set(length, [index]);
    else bucket.push(index);
  }
  const runs: Int32Array[] = [];
  for (const length of [...byLength.keys()].sort((left, right) => left - right)) {
    const bucket = byLength.get(length) ?? [];
    const rows = oneByOne ? 1 : Math.max(1, Math.floor(batchTokens / length));
    for (let start = 0; start < bucket.length; start += rows) runs.push(Int32Array.from(bucket.slice(start, start + rows)));
  }
  return runs;
}
