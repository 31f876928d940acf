import type { Column } from '@recloom/plugin-api';

/** Rows `[start, end)` of a column; typed arrays are views. */
export function sliceColumn(column: Column, start: number, end: number): Column {
  switch (column.type) {
    case 'number':
      return { type: 'number', values: column.values.subarray(start, end) };
    case 'boolean':
      return { type: 'boolean', values: column.values.subarray(start, end) };
    case 'category':
      return { type: 'category', codes: column.codes.subarray(start, end), categories: column.categories };
    case 'text':
    case 'image':
      return { type: column.type, values: column.values.slice(start, end) };
    case 'list': {
      const first = column.offsets[start] ?? 0;
      const last = column.offsets[end] ?? first;
      const offsets = column.offsets.slice(start, end + 1).map((offset) => offset - first);
      return { type: 'list', offsets, codes: column.codes.subarray(first, last), categories: column.categories };
    }
  }
}
