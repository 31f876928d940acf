import type { Column } from './column.js';

/**
 * Items or users by dense row number. At serve time it is a live view: rows and values may be added or changed by
 * the overlay, so read `rowCount` and `column()` per request and keep neither.
 */
export interface Table {
  readonly rowCount: number;
  /** The id of a row. */
  idOf(row: number): string;
  /** The row of an id, or -1. */
  rowOf(id: string): number;
  /** The column of a field, or undefined; may be longer than `rowCount`. */
  column(field: string): Column | undefined;
  readonly fields: readonly string[];
  /** Grows whenever the overlay changes a row; a cache keyed by it is never stale. */
  readonly version: number;
}
