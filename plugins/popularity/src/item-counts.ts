import type { HistoryStore, Warning } from '@recloom/plugin-api';

/** Milliseconds of a day. */
export const dayMs = 86_400_000;

/** What counts and how much. */
export interface CountRule {
  readonly count: 'users' | 'events' | 'weights';
  /** One byte per type code, 1 = counts; absent = all. */
  readonly countedTypes: Uint8Array | undefined;
  /** "Now" of the build in milliseconds. */
  readonly asOfMs: number;
  /** Youngest age in days that counts; inclusive. */
  readonly fromAgeDays: number;
  /** Age in days from which on events no longer count; exclusive. */
  readonly untilAgeDays: number;
  /** Days after which an event counts 1/e; absent = all alike. */
  readonly decayDays: number | undefined;
  /** Of `users`: a user counts once per item in each stretch of so many days from `fromAgeDays` on; absent = once in all. */
  readonly onceInDays?: number;
}

/** Counts of a group of users; `counts` is sparse: entry k belongs to item row `rows[k]`. Rows ascend. */
export interface GroupCounts {
  readonly rows: Int32Array;
  /** All above 0. */
  readonly counts: Float64Array;
  /**
   * What one item would count if everybody had it: users that count at all (at their newest weight; once per stretch of
   * `onceInDays`), else the sum of all counts.
   */
  readonly total: number;
  /** Users with at least one event that counts. */
  readonly users: number;
}

/**
 * Turns names of event types into a mask over type codes; undefined names mean "all types".
 * A name that no event has is reported as the warning POPULARITY_EVENT_TYPE_UNKNOWN.
 */
export function countedTypes(
  history: HistoryStore,
  names: readonly string[] | undefined,
  warn: (warning: Warning) => void,
): Uint8Array | undefined {
  if (names === undefined) return undefined;
  const mask = new Uint8Array(256);
  for (const name of names) {
    const code = history.typeNames.indexOf(name);
    if (code >= 0) mask[code] = 1;
    else {
      warn({
        code: 'POPULARITY_EVENT_TYPE_UNKNOWN',
        message: `No event has the type "${name}" of eventTypes; the data have: ${history.typeNames.join(', ') || 'no types'}.`,
      });
    }
  }
  return mask;
}

/**
 * Makes a counter that adds up the events of groups of users by item: `users` are rows, each at most once per counter.
 * The scratch is shared by its groups, so that a group costs what its events cost and not the size of the catalogue.
 * Events in the future of `asOfMs` count as events of that moment. The results are the caller's.
 */
export function createCounter(history: HistoryStore, rule: CountRule): (users: ArrayLike<number>, signal: AbortSignal) => GroupCounts {
  const sums = new Float64Array(history.itemCount);
  const lastUser = new Int32Array(history.itemCount).fill(-1);
  const lastStretch = new Int32Array(history.itemCount);
  return (users, signal) => countGroup(history, users, rule, { sums, lastUser, lastStretch }, signal);
}

interface Scratch {
  /** One sum per item row; zeros between groups. */
  readonly sums: Float64Array;
  /** The user who counted last for an item. */
  readonly lastUser: Int32Array;
  /** In which stretch of `onceInDays` that was. */
  readonly lastStretch: Int32Array;
}

function countGroup(history: HistoryStore, users: ArrayLike<number>, rule: CountRule, scratch: Scratch, signal: AbortSignal): GroupCounts {
  const { offsets, items, types, weights, timesMs } = history;
  const { sums, lastUser, lastStretch } = scratch;
  const onceInDays = rule.onceInDays ?? Number.POSITIVE_INFINITY;
  const touched: number[] = [];
  let total = 0;
  let active = 0;
  for (let place = 0; place < users.length; place++) {
    if ((place & 0x3fff) === 0) signal.throwIfAborted();
    const user = users[place] as number;
    const start = offsets[user] as number;
    let counted = false;
    let countedStretch = -1;
    // Newest first, so that the first time a user's item comes up is its newest event.
    for (let event = (offsets[user + 1] as number) - 1; event >= start; event--) {
      if (rule.countedTypes !== undefined && rule.countedTypes[types[event] as number] === 0) continue;
      const ageDays = Math.max(0, (rule.asOfMs - (timesMs[event] as number)) / dayMs);
      if (ageDays < rule.fromAgeDays || ageDays >= rule.untilAgeDays) continue;
      let amount = rule.decayDays === undefined ? 1 : Math.exp(-ageDays / rule.decayDays);
      if (rule.count === 'weights') {
        const weight = weights[event] as number;
        if (!(weight > 0) || weight === Number.POSITIVE_INFINITY) continue;
        amount *= weight;
      }
      const item = items[event] as number;
      counted = true;
      if (rule.count === 'users') {
        // Ages ascend, so a stretch is left for good once an event of the next one comes.
        const stretch = Math.floor((ageDays - rule.fromAgeDays) / onceInDays);
        if (stretch !== countedStretch) {
          countedStretch = stretch;
          total += amount;
        }
        if (lastUser[item] === user && lastStretch[item] === stretch) continue;
        lastUser[item] = user;
        lastStretch[item] = stretch;
      } else {
        total += amount;
      }
      if (amount > 0 && sums[item] === 0) touched.push(item);
      sums[item] = (sums[item] as number) + amount;
    }
    if (counted) active++;
  }
  const rows = Int32Array.from(touched).sort();
  const counts = Float64Array.from(rows, (item) => sums[item] as number);
  for (const item of rows) sums[item] = 0;
  return { rows, counts, total, users: active };
}

/** All user rows, ascending. */
export function everyUser(history: HistoryStore): Int32Array {
  return Int32Array.from({ length: history.userCount }, (_, user) => user);
}

/** Positions 0 … length - 1 by score descending, then by `rows` ascending. */
export function bestFirst(scores: Float32Array, rows: Int32Array): Int32Array {
  return Int32Array.from(rows.keys()).sort(
    (one, other) => (scores[other] as number) - (scores[one] as number) || (rows[one] as number) - (rows[other] as number),
  );
}
