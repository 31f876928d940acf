import { type Column, columnLength } from '@recloom/plugin-api';
import { columnEquals, gatherColumn, shapeError } from './columns.js';
import type { ColumnarTable } from './dataset.js';

class ImmutableTable implements ColumnarTable {
  readonly ids: readonly string[];
  readonly columns: Readonly<Record<string, Column>>;
  readonly fields: readonly string[];
  readonly version = 0;
  #rows: Map<string, number> | undefined;

  constructor(ids: readonly string[], columns: ReadonlyMap<string, Column>) {
    this.ids = ids;
    this.columns = Object.freeze(Object.fromEntries(columns));
    this.fields = Object.freeze([...columns.keys()]);
  }

  get rowCount(): number {
    return this.ids.length;
  }

  idOf(row: number): string {
    const id = this.ids[row];
    if (id === undefined) throw new RangeError(`Row ${row} is outside a table of ${this.ids.length} rows.`);
    return id;
  }

  rowOf(id: string): number {
    // Built at the first look-up: a build that never asks by id does not pay for it.
    this.#rows ??= new Map(this.ids.map((known, row) => [known, row]));
    return this.#rows.get(id) ?? -1;
  }

  column(field: string): Column | undefined {
    return Object.hasOwn(this.columns, field) ? this.columns[field] : undefined;
  }
}

/**
 * A table over `ids`, which must ascend strictly by code unit order, and columns of as many rows. Neither is copied.
 *
 * @throws RECLOOM_LAW_SHAPE when the ids do not ascend or a column has another number of rows.
 */
export function createTable(
  ids: readonly string[],
  columns: Readonly<Record<string, Column>> | ReadonlyMap<string, Column> = {},
): ColumnarTable {
  for (let row = 1; row < ids.length; row++) {
    if (!((ids[row - 1] as string) < (ids[row] as string))) {
      throw shapeError('createTable', 'ids in strictly ascending order', `row ${row} out of order or twice`);
    }
  }
  const byField: ReadonlyMap<string, Column> = columns instanceof Map ? columns : new Map(Object.entries(columns));
  for (const [field, column] of byField) {
    if (columnLength(column) !== ids.length) {
      throw shapeError('createTable', `${ids.length} rows in column "${field}"`, `${columnLength(column)}`);
    }
  }
  return new ImmutableTable(ids, byField);
}

/** A new table of some rows of another; `rows` ascend. */
export function selectRows(table: ColumnarTable, rows: Int32Array): ColumnarTable {
  const ids: string[] = new Array(rows.length);
  for (let index = 0; index < rows.length; index++) ids[index] = table.ids[rows[index] as number] as string;
  return createTable(ids, new Map(table.fields.map((field) => [field, gatherColumn(table.columns[field] as Column, rows)])));
}

/** True when both tables hold the same ids and, field by field, the same values; the order of fields and the coding of categories do not matter. */
export function tableEquals(left: ColumnarTable, right: ColumnarTable): boolean {
  if (left.rowCount !== right.rowCount || left.fields.length !== right.fields.length) return false;
  for (let row = 0; row < left.rowCount; row++) if (left.ids[row] !== right.ids[row]) return false;
  return left.fields.every((field) => {
    const one = left.column(field);
    const other = right.column(field);
    return one !== undefined && other !== undefined && columnEquals(one, other, left.rowCount);
  });
}
