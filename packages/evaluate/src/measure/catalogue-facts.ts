import { type Column, columnValue, type HistoryStore } from '@recloom/plugin-api';
import { type Split, usersWithEvents } from '../splits/split.js';

/** Users who have each item, by row; a user counts once per item. With `types` (one byte per type code), only by events marked 1. */
export function usersPerItem(history: HistoryStore, types?: Uint8Array): Int32Array {
  const users = new Int32Array(history.itemCount);
  const lastUser = new Int32Array(history.itemCount).fill(-1);
  for (let user = 0; user < history.userCount; user++) {
    for (let place = history.offsets[user] as number; place < (history.offsets[user + 1] as number); place++) {
      const row = history.items[place] as number;
      if (types !== undefined && types[history.types[place] as number] !== 1) continue;
      if (lastUser[row] === user) continue;
      lastUser[row] = user;
      users[row] = (users[row] as number) + 1;
    }
  }
  return users;
}

/** What the figures of lists need to know of the items: those of training by row, then the split's new items. */
export interface CatalogueFacts {
  /** Number of a known item, or -1. */
  indexOf(id: string): number;
  readonly itemCount: number;
  /** Numbers `[from, itemCount)` can stand in a list: all, or the new items alone. */
  readonly from: number;
  /** By number. */
  readonly usersPerItem: Int32Array;
  readonly users: number;
  /** By number: 0 the most bought items that make up a fifth of all purchases, 1 the next three fifths, 2 the rest. */
  readonly popularityGroup: Uint8Array;
  /** By number, 1 = first seen in the last 30 days of training; absent when the times do not tell. */
  readonly isNew?: Uint8Array;
  /** By number, NaN for none; absent without a number field of that name. */
  readonly prices?: Float64Array;
  /** In [0, 1], NaN when one of them has no category; absent without such a field. */
  readonly categoryDistance?: (left: number, right: number) => number;
}

const newItemMs = 30 * 86_400_000;

/** Facts of the items of a split. `priceField` must be a number, `categoryField` a category, text or list to be used. */
export function catalogueFacts(split: Split, fields: { readonly price: string; readonly category: string }): CatalogueFacts {
  const { items, history } = split.train;
  const added = split.newItems ?? [];
  const itemCount = items.rowCount + added.length;
  const numbers = new Map(added.map(({ id }, place) => [id, items.rowCount + place]));
  const users = new Int32Array(itemCount);
  users.set(usersPerItem(history));
  const isNew = added.length > 0 ? undefined : newItems(history);
  const prices = pricesOf(split, fields.price, itemCount);
  const categoryDistance = distanceBy(split, fields.category);
  return {
    indexOf: (id) => {
      const row = items.rowOf(id);
      return row >= 0 ? row : (numbers.get(id) ?? -1);
    },
    itemCount,
    from: added.length > 0 ? items.rowCount : 0,
    usersPerItem: users,
    users: usersWithEvents(split.train),
    popularityGroup: popularityGroups(users),
    ...(isNew === undefined ? {} : { isNew }),
    ...(prices === undefined ? {} : { prices }),
    ...(categoryDistance === undefined ? {} : { categoryDistance }),
  };
}

/** Items by falling number of users (ties by ascending row), cut where a fifth and four fifths of all (user, item) pairs are reached. */
function popularityGroups(users: Int32Array): Uint8Array {
  const order = Int32Array.from({ length: users.length }, (_, row) => row).sort(
    (left, right) => (users[right] as number) - (users[left] as number) || left - right,
  );
  const total = users.reduce((sum, count) => sum + count, 0);
  const groups = new Uint8Array(users.length);
  let before = 0;
  for (const row of order) {
    groups[row] = before < 0.2 * total ? 0 : before < 0.8 * total ? 1 : 2;
    before += users[row] as number;
  }
  return groups;
}

/** Items whose first event lies in the last 30 days; undefined when training spans less than twice that, where nearly all would be new. */
function newItems(history: HistoryStore): Uint8Array | undefined {
  const first = new Float64Array(history.itemCount).fill(Number.POSITIVE_INFINITY);
  let firstMs = Number.POSITIVE_INFINITY;
  let lastMs = Number.NEGATIVE_INFINITY;
  for (let place = 0; place < history.eventCount; place++) {
    const timeMs = history.timesMs[place] as number;
    const row = history.items[place] as number;
    if (timeMs < (first[row] as number)) first[row] = timeMs;
    if (timeMs < firstMs) firstMs = timeMs;
    if (timeMs > lastMs) lastMs = timeMs;
  }
  if (!(lastMs - firstMs >= 2 * newItemMs)) return undefined;
  return Uint8Array.from(first, (timeMs) => (Number.isFinite(timeMs) && timeMs > lastMs - newItemMs ? 1 : 0));
}

function pricesOf(split: Split, field: string, itemCount: number): Float64Array | undefined {
  const column = split.train.items.column(field);
  if (column?.type !== 'number') return undefined;
  const prices = new Float64Array(itemCount).fill(Number.NaN);
  prices.set(column.values.subarray(0, split.train.items.rowCount));
  for (const [place, item] of (split.newItems ?? []).entries()) {
    const price = item[field];
    if (typeof price === 'number') prices[split.train.items.rowCount + place] = price;
  }
  return prices.some((price) => !Number.isNaN(price)) ? prices : undefined;
}

/** 0 for equal and 1 for different values; of lists, 1 − the share of what they have in common (Jaccard). */
function distanceBy(split: Split, field: string): ((left: number, right: number) => number) | undefined {
  const column: Column | undefined = split.train.items.column(field);
  if (column === undefined || !['category', 'text', 'list', 'boolean'].includes(column.type)) return undefined;
  const count = split.train.items.rowCount;
  const valueOf = (item: number): readonly string[] => {
    const value = item < count ? columnValue(column, item) : (split.newItems?.[item - count]?.[field] ?? null);
    return value === null ? [] : Array.isArray(value) ? (value as readonly string[]) : [String(value)];
  };
  return (left, right) => {
    const first = valueOf(left);
    const second = valueOf(right);
    if (first.length === 0 || second.length === 0) return Number.NaN;
    const common = first.filter((value) => second.includes(value)).length;
    return 1 - common / (first.length + second.length - common);
  };
}
