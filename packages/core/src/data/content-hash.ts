import { createHash } from 'node:crypto';
import type { Column, HistoryStore } from '@recloom/plugin-api';
import type { ColumnarTable } from './dataset.js';

/** Hex SHA-256 over every id, value and event; for datasets that come from no source with a fingerprint of its own. */
export function contentHash(items: ColumnarTable, users: ColumnarTable, history: HistoryStore): string {
  const hash = createHash('sha256');
  const addJson = (value: unknown): void => {
    hash.update(`${JSON.stringify(value)}\n`);
  };
  const addBytes = (data: Float64Array | Float32Array | Int32Array | Uint8Array): void => {
    hash.update(`${data.length}\n`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  };
  const addColumn = (column: Column): void => {
    addJson(column.type);
    if (column.type === 'category' || column.type === 'list') {
      addJson(column.categories);
      addBytes(column.codes);
      if (column.type === 'list') addBytes(column.offsets);
    } else if (column.type === 'number' || column.type === 'boolean') {
      addBytes(column.values);
    } else {
      addJson(column.values);
    }
  };
  for (const table of [items, users]) {
    addJson(table.ids);
    for (const field of [...table.fields].sort()) {
      addJson(field);
      addColumn(table.columns[field] as Column);
    }
  }
  addJson(history.typeNames);
  for (const data of [history.offsets, history.items, history.types, history.weights, history.timesMs]) addBytes(data);
  if (history.baskets !== undefined) addBytes(history.baskets);
  return hash.digest('hex');
}
