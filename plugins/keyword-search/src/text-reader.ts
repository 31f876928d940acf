import type { Column } from '@recloom/plugin-api';

/** Reads the text of a row; the returned string is the column's own where it can be. */
export function textReader(column: Column | undefined): (row: number) => string | null {
  switch (column?.type) {
    case 'text':
      return (row) => column.values[row] ?? null;
    case 'category':
      return (row) => column.categories[column.codes[row] ?? -1] ?? null;
    case 'list':
      return (row) => {
        const codes = column.codes.subarray(column.offsets[row] ?? 0, column.offsets[row + 1] ?? column.offsets[row] ?? 0);
        return codes.length === 0 ? null : Array.from(codes, (code) => column.categories[code] ?? '').join(' ');
      };
    default:
      return () => null;
  }
}
