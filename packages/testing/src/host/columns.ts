import type { BooleanColumn, CategoryColumn, Column, ImageColumn, ListColumn, NumberColumn, Table, TextColumn } from '@recloom/plugin-api';

/** A number column; null becomes NaN. */
export function numberColumn(values: ArrayLike<number | null>): NumberColumn {
  return { type: 'number', values: Float64Array.from(values, (value) => value ?? Number.NaN) };
}

/** A text column; the values are copied. */
export function textColumn(values: readonly (string | null)[]): TextColumn {
  return { type: 'text', values: [...values] };
}

/** An image column of paths or URIs; the values are copied. */
export function imageColumn(values: readonly (string | null)[]): ImageColumn {
  return { type: 'image', values: [...values] };
}

/** A category column; categories are numbered in ascending string order, null is -1. */
export function categoryColumn(values: readonly (string | null)[]): CategoryColumn {
  const categories = [...new Set(values.filter((value) => value !== null))].sort();
  const codeOf = new Map(categories.map((category, code) => [category, code]));
  return { type: 'category', codes: Int32Array.from(values, (value) => (value === null ? -1 : (codeOf.get(value) ?? -1))), categories };
}

/** A boolean column; null becomes 255. */
export function booleanColumn(values: readonly (boolean | null)[]): BooleanColumn {
  return { type: 'boolean', values: Uint8Array.from(values, (value) => (value === null ? 255 : value ? 1 : 0)) };
}

/** A list column; categories are numbered in ascending string order, null is an empty list. */
export function listColumn(values: readonly (readonly string[] | null)[]): ListColumn {
  const categories = [...new Set(values.flatMap((value) => value ?? []))].sort();
  const codeOf = new Map(categories.map((category, code) => [category, code]));
  const offsets = new Int32Array(values.length + 1);
  const codes: number[] = [];
  values.forEach((value, row) => {
    for (const entry of value ?? []) codes.push(codeOf.get(entry) ?? 0);
    offsets[row + 1] = codes.length;
  });
  return { type: 'list', offsets, codes: Int32Array.from(codes), categories };
}

/** A table whose ids and columns a test can also read as plain arrays. */
export interface TestTable extends Table {
  readonly ids: readonly string[];
  readonly columns: Readonly<Record<string, Column>>;
}

/** A table of the given ids and columns, in that row order. Nothing is copied: change a column's array and the table shows it. */
export function tableFrom(ids: readonly string[], columns: Readonly<Record<string, Column>> = {}, version = 1): TestTable {
  const rows = new Map(ids.map((id, row) => [id, row]));
  const byName = new Map(Object.entries(columns));
  return {
    ids,
    columns,
    rowCount: ids.length,
    fields: [...byName.keys()],
    version,
    idOf: (row) => ids[row] ?? '',
    rowOf: (id) => rows.get(id) ?? -1,
    column: (field) => byName.get(field),
  };
}
