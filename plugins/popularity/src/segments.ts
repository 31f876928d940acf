import { columnValue, type FieldInput, type HistoryStore } from '@recloom/plugin-api';
import { bestFirst, type CountRule, createCounter, everyUser } from './item-counts.js';
import { type RankedSegment, type Ranking, rankedRows } from './ranked-items.js';

/** How segments are smoothed. */
export interface SegmentRule {
  readonly segmentSmoothing: number;
  readonly minimumSegmentUsers: number;
}

/**
 * Ranks the catalogue by share, count / total, and every large enough segment by its own share smoothed towards it:
 * (count in segment + smoothing × share) / (total of segment + smoothing), a Dirichlet prior of that many pseudo-counts.
 */
export function rankBySegment(
  history: HistoryStore,
  rule: CountRule,
  segment: FieldInput | undefined,
  segments: SegmentRule,
  signal: AbortSignal,
): Ranking {
  const all = createCounter(history, rule)(everyUser(history), signal);
  const scores = new Float32Array(history.itemCount);
  for (let place = 0; place < all.rows.length; place++) scores[all.rows[place] as number] = (all.counts[place] as number) / all.total;
  const ranked: RankedSegment[] = [];
  const countGroup = createCounter(history, rule);
  for (const [name, users] of usersBySegment(history, segment)) {
    if (users.length < segments.minimumSegmentUsers) continue;
    const group = countGroup(users, signal);
    if (group.users < segments.minimumSegmentUsers) continue;
    const denominator = group.total + segments.segmentSmoothing;
    const local = Float32Array.from(
      group.rows,
      (row, place) => ((group.counts[place] as number) + segments.segmentSmoothing * (scores[row] as number)) / denominator,
    );
    const order = bestFirst(local, group.rows);
    ranked.push({
      name,
      rows: order.map((place) => group.rows[place] as number),
      scores: Float32Array.from(order, (place) => local[place] as number),
      backgroundFactor: segments.segmentSmoothing / denominator,
    });
  }
  return { scores, order: rankedRows(scores, 0), segments: ranked };
}

/** Users by the value of the field, values in ascending string order; users without a value are in no segment. */
function usersBySegment(history: HistoryStore, segment: FieldInput | undefined): readonly (readonly [string, readonly number[]])[] {
  const column = segment?.column();
  if (column === undefined) return [];
  const users = new Map<string, number[]>();
  for (let user = 0; user < history.userCount; user++) {
    const value = columnValue(column, user);
    if (value === null) continue;
    const name = String(value);
    const rows = users.get(name);
    if (rows === undefined) users.set(name, [user]);
    else rows.push(user);
  }
  return [...users].sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
}
