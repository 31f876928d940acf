import type { SparseMatrix } from '@recloom/kernels';
import type { HistoryStore, Warning } from '@recloom/plugin-api';
import { countedTypes } from './event-types.js';

const dayMs = 86_400_000;

/**
 * Items by users as a sparse matrix: the weight of item `i` for user `u` is the sum of that user's event weights on it,
 * each times exp(-age / recencyDays) when `recencyDays` is above 0 (age against `asOfMs`). Users ascend within an item. Weights
 * that are not positive or not finite are left out.
 */
export function interactionsOf(
  history: HistoryStore,
  itemCount: number,
  options: { readonly types?: readonly string[] | undefined; readonly recencyDays: number },
  asOfMs: number,
  warn: (warning: Warning) => void,
): SparseMatrix {
  const counted = countedTypes(history, options.types, warn);
  const weightOf = (event: number): number => {
    const row = history.items[event] ?? -1;
    const weight = history.weights[event] ?? 0;
    if (!counted[history.types[event] ?? 0] || row < 0 || row >= itemCount || !(weight > 0 && weight < Number.POSITIVE_INFINITY)) return 0;
    if (options.recencyDays <= 0) return weight;
    return weight * Math.exp(-Math.max(0, asOfMs - (history.timesMs[event] ?? asOfMs)) / (options.recencyDays * dayMs));
  };
  const sums = new Float64Array(itemCount);
  // Two passes over the users in the same order: sizes, then entries, so that users ascend within each item.
  const rowOffsets = new Int32Array(itemCount + 1);
  forEachUserItem(history, sums, weightOf, (row) => {
    rowOffsets[row + 1] = (rowOffsets[row + 1] as number) + 1;
  });
  for (let row = 0; row < itemCount; row++) rowOffsets[row + 1] = (rowOffsets[row + 1] as number) + (rowOffsets[row] as number);
  const next = rowOffsets.slice(0, itemCount);
  const columnIndices = new Int32Array(rowOffsets[itemCount] as number);
  const values = new Float32Array(columnIndices.length);
  forEachUserItem(history, sums, weightOf, (row, user, weight) => {
    const entry = next[row] as number;
    next[row] = entry + 1;
    columnIndices[entry] = user;
    values[entry] = weight;
  });
  return { rowCount: itemCount, columnCount: history.userCount, rowOffsets, columnIndices, values };
}

function forEachUserItem(
  history: HistoryStore,
  sums: Float64Array,
  weightOf: (event: number) => number,
  use: (row: number, user: number, weight: number) => void,
): void {
  const touched: number[] = [];
  for (let user = 0; user < history.userCount; user++) {
    for (let event = history.offsets[user] ?? 0; event < (history.offsets[user + 1] ?? 0); event++) {
      const weight = weightOf(event);
      if (weight === 0) continue;
      const row = history.items[event] as number;
      if (sums[row] === 0) touched.push(row);
      sums[row] = (sums[row] as number) + weight;
    }
    for (const row of touched) {
      // Old events can be worth less than float32 can tell from nothing.
      if (Math.fround(sums[row] as number) > 0) use(row, user, sums[row] as number);
      sums[row] = 0;
    }
    touched.length = 0;
  }
}

/** The undirected graph of items (nodes 0 to rowCount - 1) and users (the nodes after them), both directions stored. */
export function bipartiteGraph(itemsByUsers: SparseMatrix, usersByItems: SparseMatrix): SparseMatrix {
  const { rowCount: itemCount, columnCount: userCount } = itemsByUsers;
  const edges = itemsByUsers.columnIndices.length;
  const nodeCount = itemCount + userCount;
  const rowOffsets = new Int32Array(nodeCount + 1);
  rowOffsets.set(itemsByUsers.rowOffsets);
  for (let user = 0; user <= userCount; user++) rowOffsets[itemCount + user] = edges + (usersByItems.rowOffsets[user] as number);
  const columnIndices = new Int32Array(edges * 2);
  for (let entry = 0; entry < edges; entry++) columnIndices[entry] = (itemsByUsers.columnIndices[entry] as number) + itemCount;
  columnIndices.set(usersByItems.columnIndices, edges);
  const values = new Float32Array(edges * 2);
  values.set(valuesOf(itemsByUsers));
  values.set(valuesOf(usersByItems), edges);
  return { rowCount: nodeCount, columnCount: nodeCount, rowOffsets, columnIndices, values };
}

/** The values of a matrix; an absent column means ones. */
export function valuesOf(matrix: SparseMatrix): Float32Array {
  return matrix.values ?? new Float32Array(matrix.columnIndices.length).fill(1);
}

/** The sum of each row. */
export function rowSums(matrix: SparseMatrix): Float64Array {
  const values = valuesOf(matrix);
  return Float64Array.from({ length: matrix.rowCount }, (_, row) => {
    let sum = 0;
    for (let entry = matrix.rowOffsets[row] as number; entry < (matrix.rowOffsets[row + 1] as number); entry++)
      sum += values[entry] as number;
    return sum;
  });
}
