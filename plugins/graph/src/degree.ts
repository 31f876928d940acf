import { type SparseMatrix, transposeSparseMatrix } from '@recloom/kernels';
import { type ComponentState, type HistoryStore, tensor, type Warning } from '@recloom/plugin-api';
import { interactionsOf, rowSums } from './interactions.js';
import type { DegreeOptions } from './options.js';

/** What fitting needs. */
export interface DegreeFitContext {
  readonly options: DegreeOptions;
  readonly history: HistoryStore;
  readonly itemCount: number;
  readonly asOfMs: number;
  readonly signal: AbortSignal;
  readonly warn: (warning: Warning) => void;
}

/**
 * How well each item is connected: log(1 + x) of each configured measure, in that order. State: `vectors` (items × measures)
 * and `presence`, as `Embedding` reads them; items without edges are absent.
 */
export function fitDegree(context: DegreeFitContext): ComponentState {
  const { options, itemCount } = context;
  const { measures } = options;
  const itemsByUsers = interactionsOf(context.history, itemCount, options, context.asOfMs, context.warn);
  const vectors = new Float32Array(itemCount * measures.length);
  for (const [column, measure] of measures.entries()) {
    context.signal.throwIfAborted();
    const values =
      measure === 'users' ? userCounts(itemsByUsers) : measure === 'events' ? rowSums(itemsByUsers) : neighbourCounts(itemsByUsers);
    for (let row = 0; row < itemCount; row++) vectors[row * measures.length + column] = Math.log1p(values[row] as number);
  }
  const presence = Uint8Array.from(userCounts(itemsByUsers), (users) => (users > 0 ? 1 : 0));
  return { vectors: tensor(vectors, [itemCount, measures.length]), presence: tensor(presence) };
}

function userCounts(itemsByUsers: SparseMatrix): Float64Array {
  const { rowOffsets } = itemsByUsers;
  return Float64Array.from({ length: itemsByUsers.rowCount }, (_, row) => (rowOffsets[row + 1] as number) - (rowOffsets[row] as number));
}

/** Different other items that share a user with each item. */
function neighbourCounts(itemsByUsers: SparseMatrix): Float64Array {
  const usersByItems = transposeSparseMatrix(itemsByUsers);
  const stamps = new Int32Array(itemsByUsers.rowCount).fill(-1);
  return Float64Array.from({ length: itemsByUsers.rowCount }, (_, row) => {
    stamps[row] = row;
    let count = 0;
    for (let entry = itemsByUsers.rowOffsets[row] as number; entry < (itemsByUsers.rowOffsets[row + 1] as number); entry++) {
      const user = itemsByUsers.columnIndices[entry] as number;
      for (let other = usersByItems.rowOffsets[user] as number; other < (usersByItems.rowOffsets[user + 1] as number); other++) {
        const item = usersByItems.columnIndices[other] as number;
        if (stamps[item] === row) continue;
        stamps[item] = row;
        count++;
      }
    }
    return count;
  });
}
