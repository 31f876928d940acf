import type { CandidateBatch } from '@recloom/plugin-api';

/** The candidates of requests `first` … `end - 1` as a batch of their own: views of the same arrays. */
export function sliceBatch(batch: CandidateBatch, first: number, end: number): CandidateBatch {
  const from = batch.offsets[first] as number;
  const to = batch.offsets[end] as number;
  const offsets = new Int32Array(end - first + 1);
  for (let index = 0; index < offsets.length; index++) offsets[index] = (batch.offsets[first + index] as number) - from;
  return {
    requests: batch.requests.slice(first, end),
    count: to - from,
    offsets,
    rows: batch.rows.subarray(from, to),
    sources: batch.sources.map(({ name, scores, ranks }) => ({ name, scores: scores.subarray(from, to), ranks: ranks.subarray(from, to) })),
    column: (name) => batch.column(name)?.subarray(from, to),
  };
}

/** A stretch of the requests of a batch: `[first, end)`, its candidates beginning at `from`. */
export interface Stretch {
  readonly first: number;
  readonly end: number;
  readonly from: number;
}

/** Cuts a batch into stretches of at most `mostRequests` requests and, unless one request alone has more, `mostRows` candidates. Requests without candidates at the ends are left out. */
export function stretchesOf(batch: CandidateBatch, mostRows: number, mostRequests: number): readonly Stretch[] {
  const stretches: Stretch[] = [];
  const total = batch.requests.length;
  const offset = (index: number): number => batch.offsets[index] as number;
  let first = 0;
  while (first < total) {
    let end = first + 1;
    while (end < total && end - first < mostRequests && offset(end + 1) - offset(first) <= mostRows) end++;
    if (offset(end) > offset(first)) stretches.push({ first, end, from: offset(first) });
    first = end;
  }
  return stretches;
}
