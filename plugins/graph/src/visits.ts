import type { HistoryStore, Warning } from '@recloom/plugin-api';
import { countedTypes } from './event-types.js';
import type { RelatedOptions } from './options.js';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** Baskets in the order of their users and, within a user, of time. */
export interface Visits {
  readonly count: number;
  /** Visit `v` holds `items[offsets[v]]` to `items[offsets[v + 1]]`, different rows in ascending order. */
  readonly offsets: Int32Array;
  readonly items: Int32Array;
  /** User row of each visit, ascending. */
  readonly users: Int32Array;
  /** Time of each visit's first event in milliseconds. */
  readonly timesMs: Float64Array;
}

/**
 * Baskets of a history. Events that name a basket form it (per user); the others form visits: one begins with an event and
 * takes in what follows within `windowHours` of it. Baskets above `maximumBasketItems` are left out and counted in a
 * warning (code GRAPH_LARGE_BASKETS).
 */
export function visitsOf(
  history: HistoryStore,
  options: Pick<RelatedOptions, 'types' | 'windowHours' | 'maximumAgeDays' | 'maximumBasketItems'>,
  asOfMs: number,
  warn: (warning: Warning) => void,
): Visits {
  const counted = countedTypes(history, options.types, warn);
  const since = options.maximumAgeDays === undefined ? Number.NEGATIVE_INFINITY : asOfMs - options.maximumAgeDays * dayMs;
  const windowMs = options.windowHours * hourMs;
  const offsets: number[] = [0];
  const items: number[] = [];
  const users: number[] = [];
  const times: number[] = [];
  let tooLarge = 0;
  for (let user = 0; user < history.userCount; user++) {
    const own: { readonly timeMs: number; readonly rows: Set<number> }[] = [];
    const byBasket = new Map<number, Set<number>>();
    let open: { readonly timeMs: number; readonly rows: Set<number> } | undefined;
    for (let event = history.offsets[user] ?? 0; event < (history.offsets[user + 1] ?? 0); event++) {
      const timeMs = history.timesMs[event] ?? 0;
      const row = history.items[event] ?? -1;
      if (!counted[history.types[event] ?? 0] || timeMs < since || row < 0) continue;
      const basket = history.baskets?.[event] ?? -1;
      if (basket >= 0) {
        let rows = byBasket.get(basket);
        if (rows === undefined) {
          rows = new Set();
          byBasket.set(basket, rows);
          own.push({ timeMs, rows });
        }
        rows.add(row);
        continue;
      }
      if (open === undefined || timeMs - open.timeMs > windowMs) {
        open = { timeMs, rows: new Set() };
        own.push(open);
      }
      open.rows.add(row);
    }
    for (const { timeMs, rows } of own) {
      if (rows.size > options.maximumBasketItems) {
        tooLarge++;
        continue;
      }
      items.push(...[...rows].sort((a, b) => a - b));
      offsets.push(items.length);
      users.push(user);
      times.push(timeMs);
    }
  }
  if (tooLarge > 0) {
    warn({
      code: 'GRAPH_LARGE_BASKETS',
      message: `${tooLarge} basket${tooLarge === 1 ? '' : 's'} with more than ${options.maximumBasketItems} different items were left out; raise "maximumBasketItems" to count them.`,
      count: tooLarge,
    });
  }
  return {
    count: users.length,
    offsets: Int32Array.from(offsets),
    items: Int32Array.from(items),
    users: Int32Array.from(users),
    timesMs: Float64Array.from(times),
  };
}
