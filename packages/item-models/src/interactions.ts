import type { SparseMatrix } from '@recloom/kernels';
import type { HistoryStore, Warning } from '@recloom/plugin-api';
import { recencyWeight } from './recency.js';

/** Which events count, and how much. */
export interface InteractionRule {
  /** Multiply by the events' weights; events of weight 0 or less then do not count. */
  readonly useWeights: boolean;
  /** What several events of a user with an item make: the largest amount, or the sum of all. */
  readonly pairs: 'strongest' | 'sum';
  /** Days after which an event counts 1/e of a new one, before the floor; undefined = age does not matter. */
  readonly recencyDays?: number | undefined;
  /** Added to the recency weight, so that old events keep a say. */
  readonly recencyFloor: number;
}

/** What is left out before a fit. */
export interface InteractionLimits {
  /** Items with fewer users are left out; then users with fewer of the items left. */
  readonly minimumItemUsers: number;
  readonly minimumUserItems: number;
  /** Of a user with more items, only the newest so many count. */
  readonly maximumUserItems: number;
}

/** Users × items. */
export interface Interactions {
  /** One row per user (also those left out: empty), one column per item row; `values` absent when every pair counts 1. */
  readonly matrix: SparseMatrix;
  /** Users per item row, after the limits. */
  readonly itemUsers: Float32Array;
  /** Users of whom only the newest `maximumUserItems` items count. */
  readonly cutUsers: number;
}

/** Builds the matrix of a history from the `counted` types; ages are relative to `asOfMs`. The arrays are the caller's. */
export function buildInteractions(
  history: HistoryStore,
  rule: InteractionRule,
  limits: InteractionLimits,
  asOfMs: number,
  counted: Uint8Array | undefined,
  signal: AbortSignal,
): Interactions {
  const { userCount, itemCount, eventCount, offsets, items, types, weights, timesMs } = history;
  const amounts = new Float64Array(itemCount);
  const columns = new Int32Array(eventCount);
  const values = new Float32Array(eventCount);
  const rowOffsets = new Int32Array(userCount + 1);
  let length = 0;
  let cutUsers = 0;
  for (let user = 0; user < userCount; user++) {
    if ((user & 0x3fff) === 0) signal.throwIfAborted();
    const begin = length;
    let cut = false;
    const first = offsets[user] as number;
    // Newest first: a user with too many items keeps the newest.
    for (let event = (offsets[user + 1] as number) - 1; event >= first; event--) {
      if (counted !== undefined && counted[types[event] as number] === 0) continue;
      let amount = recencyWeight(asOfMs - (timesMs[event] as number), rule.recencyDays, rule.recencyFloor);
      if (rule.useWeights) amount *= weights[event] as number;
      // A weight that rounds to 0 in float32 says nothing and would only cost.
      if (!(Math.fround(amount) > 0) || amount > 3e38) continue;
      const item = items[event] as number;
      const before = amounts[item] as number;
      if (before === 0) {
        if (length - begin >= limits.maximumUserItems) {
          cut = true;
          continue;
        }
        columns[length++] = item;
        amounts[item] = amount;
      } else amounts[item] = rule.pairs === 'sum' ? before + amount : Math.max(before, amount);
    }
    sortAscending(columns, begin, length);
    for (let entry = begin; entry < length; entry++) {
      const item = columns[entry] as number;
      values[entry] = amounts[item] as number;
      amounts[item] = 0;
    }
    rowOffsets[user + 1] = length;
    if (cut) cutUsers++;
  }
  return { ...limit({ userCount, itemCount, rowOffsets, columns, values }, limits, rule), cutUsers };
}

/** Sorts columns [begin, end); most rows are short, for which a view of them would cost more than the sorting. */
function sortAscending(columns: Int32Array, begin: number, end: number): void {
  if (end - begin > 32) {
    columns.subarray(begin, end).sort();
    return;
  }
  for (let at = begin + 1; at < end; at++) {
    const column = columns[at] as number;
    let to = at;
    for (; to > begin && (columns[to - 1] as number) > column; to--) columns[to] = columns[to - 1] as number;
    columns[to] = column;
  }
}

interface Entries {
  readonly userCount: number;
  readonly itemCount: number;
  readonly rowOffsets: Int32Array;
  readonly columns: Int32Array;
  readonly values: Float32Array;
}

/** Leaves out rare items, then users with few of the others, in one pass each. */
function limit(
  { userCount, itemCount, rowOffsets, columns, values }: Entries,
  limits: InteractionLimits,
  rule: InteractionRule,
): Omit<Interactions, 'cutUsers'> {
  const length = rowOffsets[userCount] as number;
  const usersBefore = new Int32Array(itemCount);
  for (let entry = 0; entry < length; entry++) {
    const item = columns[entry] as number;
    usersBefore[item] = (usersBefore[item] as number) + 1;
  }
  const keptOffsets = new Int32Array(userCount + 1);
  const itemUsers = new Float32Array(itemCount);
  let kept = 0;
  for (let user = 0; user < userCount; user++) {
    const begin = kept;
    const end = rowOffsets[user + 1] as number;
    for (let entry = rowOffsets[user] as number; entry < end; entry++) {
      const item = columns[entry] as number;
      if ((usersBefore[item] as number) < limits.minimumItemUsers) continue;
      columns[kept] = item;
      values[kept++] = values[entry] as number;
    }
    if (kept - begin < limits.minimumUserItems) kept = begin;
    for (let entry = begin; entry < kept; entry++) {
      const item = columns[entry] as number;
      itemUsers[item] = (itemUsers[item] as number) + 1;
    }
    keptOffsets[user + 1] = kept;
  }
  const allOne = !rule.useWeights && rule.recencyDays === undefined && rule.pairs === 'strongest';
  return {
    matrix: {
      rowCount: userCount,
      columnCount: itemCount,
      rowOffsets: keptOffsets,
      columnIndices: columns.slice(0, kept),
      values: allOne ? undefined : values.slice(0, kept),
    },
    itemUsers,
  };
}

/** The warning for users of whom only the newest items count. */
export function usersCut(code: string, count: number, maximumUserItems: number): Warning {
  return {
    code,
    message: `${count} user${count === 1 ? ' has' : 's have'} more than ${maximumUserItems} items; only the newest so many were learned from.`,
    count,
  };
}

/** Sum of each row, but at least 1: a user's "number of items" when the values are weights. */
export function rowSums(matrix: SparseMatrix): Float64Array {
  const sums = new Float64Array(matrix.rowCount);
  for (let row = 0; row < matrix.rowCount; row++) {
    const end = matrix.rowOffsets[row + 1] as number;
    let sum = 0;
    for (let entry = matrix.rowOffsets[row] as number; entry < end; entry++) sum += matrix.values?.[entry] ?? 1;
    sums[row] = Math.max(1, sum);
  }
  return sums;
}

/** A matrix of the same cells whose values are worked out from row, column and old value. */
export function mapValues(matrix: SparseMatrix, map: (value: number, row: number, column: number) => number): SparseMatrix {
  const { rowCount, rowOffsets, columnIndices } = matrix;
  const values = new Float32Array(columnIndices.length);
  for (let row = 0; row < rowCount; row++) {
    const end = rowOffsets[row + 1] as number;
    for (let entry = rowOffsets[row] as number; entry < end; entry++) {
      values[entry] = map(matrix.values?.[entry] ?? 1, row, columnIndices[entry] as number);
    }
  }
  return { ...matrix, values };
}
