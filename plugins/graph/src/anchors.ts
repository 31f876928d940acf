import type { RequestView } from '@recloom/plugin-api';

/** The items an answer starts from, different ones, the most important first; weights are 1 for the first and never grow. */
export interface Anchors {
  readonly rows: Int32Array;
  readonly weights: Float64Array;
}

/**
 * The items a request names, all of weight 1; else the last `historyItems` different items of its history, the newest of
 * weight 1 and each earlier one of `historyDecay` times the weight of the one after it. Rows from `itemCount` on, which
 * were not there at fit time, are passed over.
 */
export function anchorsOf(
  request: RequestView,
  itemCount: number,
  options: { readonly historyItems: number; readonly historyDecay: number },
): Anchors {
  const rows = new Set<number>();
  if (request.items.length > 0) {
    for (const row of request.items) if (row >= 0 && row < itemCount) rows.add(row);
    return { rows: Int32Array.from(rows), weights: new Float64Array(rows.size).fill(1) };
  }
  const { history } = request;
  for (let event = history.length - 1; event >= 0 && rows.size < options.historyItems; event--) {
    const row = history.items[event] ?? -1;
    if (row >= 0 && row < itemCount) rows.add(row);
  }
  return {
    rows: Int32Array.from(rows),
    weights: Float64Array.from({ length: rows.size }, (_, place) => options.historyDecay ** place),
  };
}
