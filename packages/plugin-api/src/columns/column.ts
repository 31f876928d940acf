/** Numbers, one per row; NaN is null. */
export interface NumberColumn {
  readonly type: 'number';
  readonly values: Float64Array;
}
/** Free text, one per row. */
export interface TextColumn {
  readonly type: 'text';
  readonly values: readonly (string | null)[];
}
/** One of a closed set per row: `categories[codes[row]]`; code -1 is null. */
export interface CategoryColumn {
  readonly type: 'category';
  readonly codes: Int32Array;
  readonly categories: readonly string[];
}
/** 0 false, 1 true, 255 null. */
export interface BooleanColumn {
  readonly type: 'boolean';
  readonly values: Uint8Array;
}
/** Several of a closed set per row: codes `[offsets[row], offsets[row + 1])`. An empty list and null are the same. */
export interface ListColumn {
  readonly type: 'list';
  readonly offsets: Int32Array;
  readonly codes: Int32Array;
  readonly categories: readonly string[];
}
/** A picture per row: a path, data URI or any reference the image reader knows. Core turns bytes a host hands in into data URIs. */
export interface ImageColumn {
  readonly type: 'image';
  readonly values: readonly (string | null)[];
}

/** A field of the item or user table, one value per row; `type` says which of the kinds it is. */
export type Column = NumberColumn | TextColumn | CategoryColumn | BooleanColumn | ListColumn | ImageColumn;
/** The kinds of columns. */
export type ColumnType = Column['type'];

/** The value of one row as plain JavaScript, for answers and messages; hot paths read the arrays instead. */
export function columnValue(column: Column, row: number): string | number | boolean | readonly string[] | null {
  switch (column.type) {
    case 'number': {
      const value = column.values[row];
      return value === undefined || Number.isNaN(value) ? null : value;
    }
    case 'text':
    case 'image':
      return column.values[row] ?? null;
    case 'category': {
      const code = column.codes[row] ?? -1;
      return code < 0 ? null : (column.categories[code] ?? null);
    }
    case 'boolean': {
      const value = column.values[row];
      return value === 0 ? false : value === 1 ? true : null;
    }
    case 'list': {
      const start = column.offsets[row] ?? 0;
      const end = column.offsets[row + 1] ?? start;
      return Array.from(column.codes.subarray(start, end), (code) => column.categories[code] ?? '');
    }
  }
}

/** Number of rows of a column. */
export function columnLength(column: Column): number {
  switch (column.type) {
    case 'category':
      return column.codes.length;
    case 'list':
      return column.offsets.length - 1;
    default:
      return column.values.length;
  }
}
