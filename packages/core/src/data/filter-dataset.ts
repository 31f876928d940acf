import { shapeError } from './columns.js';
import { contentHash } from './content-hash.js';
import type { Dataset } from './dataset.js';
import { lastEventMs } from './dataset-builder.js';
import { createHistoryStore } from './history-store.js';
import { selectRows } from './table.js';

/** What to keep; what is left out here keeps everything. */
export interface DatasetFilter {
  /** Keeps events before this time, in milliseconds since the epoch. */
  readonly beforeMs?: number | undefined;
  /** One byte per item row, 1 = keep. Events of other items go with them. */
  readonly items?: Uint8Array | undefined;
  /** One byte per user row, 1 = keep. Events of other users go with them. */
  readonly users?: Uint8Array | undefined;
  /** One byte per event, in the order of the history, 1 = keep. */
  readonly events?: Uint8Array | undefined;
}

/**
 * The part of a dataset that a filter keeps, with rows numbered anew by the laws of `readDataset`. Items and users stay
 * when only their events went: the masks alone decide about them. The reports are those of the whole.
 *
 * @throws RECLOOM_LAW_SHAPE when a mask has another length than its table.
 */
export function filterDataset(dataset: Dataset, filter: DatasetFilter): Dataset {
  const { history } = dataset;
  const items = keptRows('item', filter.items, dataset.items.rowCount);
  const users = keptRows('user', filter.users, dataset.users.rowCount);
  const { events } = filter;
  if (events !== undefined && events.length !== history.eventCount) {
    throw shapeError('filterDataset', `a mask of ${history.eventCount} events`, `one of ${events.length}`);
  }
  const beforeMs = filter.beforeMs ?? Number.POSITIVE_INFINITY;

  const places = new Int32Array(history.eventCount);
  const userRows = new Int32Array(history.eventCount);
  let kept = 0;
  for (const user of users.rows) {
    const end = history.offsets[user + 1] as number;
    for (let place = history.offsets[user] as number; place < end; place++) {
      if ((history.timesMs[place] as number) >= beforeMs) break;
      if (events?.[place] === 0 || (items.newRows[history.items[place] as number] as number) < 0) continue;
      places[kept] = place;
      userRows[kept] = users.newRows[user] as number;
      kept++;
    }
  }
  const order = places.subarray(0, kept);
  const pick = <Data extends Int32Array | Uint8Array | Float32Array | Float64Array>(source: Data, target: Data): Data => {
    for (let index = 0; index < kept; index++) target[index] = source[order[index] as number] as number;
    return target;
  };
  const filtered = createHistoryStore(
    {
      userRows: userRows.subarray(0, kept),
      itemRows: order.map((place) => items.newRows[history.items[place] as number] as number),
      types: pick(history.types, new Uint8Array(kept)),
      typeNames: history.typeNames,
      weights: pick(history.weights, new Float32Array(kept)),
      timesMs: pick(history.timesMs, new Float64Array(kept)),
      baskets: history.baskets === undefined ? undefined : pick(history.baskets, new Int32Array(kept)),
    },
    users.rows.length,
    items.rows.length,
  );
  const itemTable = selectRows(dataset.items, items.rows);
  const userTable = selectRows(dataset.users, users.rows);
  return {
    items: itemTable,
    users: userTable,
    history: filtered,
    lastEventMs: lastEventMs(filtered),
    hash: contentHash(itemTable, userTable, filtered),
    reports: dataset.reports,
  };
}

/** Kept rows, ascending, and by old row the new one or -1. */
function keptRows(
  what: string,
  mask: Uint8Array | undefined,
  rowCount: number,
): { readonly rows: Int32Array; readonly newRows: Int32Array } {
  if (mask !== undefined && mask.length !== rowCount) {
    throw shapeError('filterDataset', `a mask of ${rowCount} ${what} rows`, `one of ${mask.length}`);
  }
  const newRows = new Int32Array(rowCount).fill(-1);
  const rows = new Int32Array(rowCount);
  let count = 0;
  for (let row = 0; row < rowCount; row++) {
    if (mask !== undefined && mask[row] === 0) continue;
    rows[count] = row;
    newRows[row] = count++;
  }
  return { rows: rows.slice(0, count), newRows };
}
