import { type Column, type ColumnType, recloomError, type Table } from '@recloom/plugin-api';
import type { ColumnarTable } from './dataset.js';
import { createLiveColumn, type FieldValue, fitsColumn, type LiveColumn } from './live-column.js';

export type { FieldValue } from './live-column.js';

/** What an overlay is told about itself. */
export interface OverlayTableOptions {
  /** The word for a row in messages. Default: `item`. */
  readonly what?: 'item' | 'user' | undefined;
  /** Told each field whose column is handed out, before it is: for tests that prove what a request touched. */
  readonly onRead?: ((field: string) => void) | undefined;
}

/**
 * A live table: an immutable one, and the rows added and values changed since. Rows keep their numbers; added rows follow
 * the table's own in the order they came. Lives in memory only.
 */
export class OverlayTable implements Table {
  readonly #base: ColumnarTable;
  readonly #what: 'item' | 'user';
  readonly #onRead: ((field: string) => void) | undefined;
  readonly #columns = new Map<string, LiveColumn>();
  readonly #addedIds: string[] = [];
  readonly #addedRows = new Map<string, number>();
  /** Version at which a row was added, by place in `addedIds`; ascending. */
  readonly #addedVersions: number[] = [];
  /** By field: the version at which each changed row changed last. */
  readonly #changes = new Map<string, Map<number, number>>();
  #version = 0;

  constructor(base: ColumnarTable, options: OverlayTableOptions = {}) {
    this.#base = base;
    this.#what = options.what ?? 'item';
    this.#onRead = options.onRead;
    for (const field of base.fields) this.#columns.set(field, createLiveColumn(base.columns[field] as Column));
  }

  get rowCount(): number {
    return this.#base.rowCount + this.#addedIds.length;
  }

  get fields(): readonly string[] {
    return this.#base.fields;
  }

  get version(): number {
    return this.#version;
  }

  idOf(row: number): string {
    if (row < this.#base.rowCount) return this.#base.idOf(row);
    const id = this.#addedIds[row - this.#base.rowCount];
    if (id === undefined) throw new RangeError(`Row ${row} is outside a table of ${this.rowCount} rows.`);
    return id;
  }

  rowOf(id: string): number {
    const row = this.#base.rowOf(id);
    return row >= 0 ? row : (this.#addedRows.get(id) ?? -1);
  }

  column(field: string): Column | undefined {
    const column = this.#columns.get(field);
    if (column === undefined) return undefined;
    this.#onRead?.(field);
    return column.read(this.rowCount);
  }

  /** The fields that are given, all of them usable. */
  #checked(id: string, fields: Readonly<Record<string, FieldValue>>): [string, Exclude<FieldValue, undefined>][] {
    if (typeof id !== 'string' || id === '')
      throw this.#refusal(`the id of ${this.#what === 'item' ? 'an item' : 'a user'} must be a text that is not empty`);
    const entries = Object.entries(fields).filter((entry): entry is [string, Exclude<FieldValue, undefined>] => entry[1] !== undefined);
    for (const [field, value] of entries) {
      const column = this.#columns.get(field);
      if (column === undefined)
        throw this.#refusal(`there is no ${this.#what} field "${field}"; there are: ${this.fields.join(', ') || 'none'}`);
      if (!fitsColumn(column.type, value)) {
        throw this.#refusal(`the ${this.#what} field "${field}" must be ${kinds[column.type]} or null, not ${kindOf(value)}`);
      }
    }
    return entries;
  }

  /**
   * Whether `upsert` would take this; changes nothing.
   *
   * @throws RECLOOM_RUN_REQUEST as `upsert` does.
   */
  check(id: string, fields: Readonly<Record<string, FieldValue>>): void {
    this.#checked(id, fields);
  }

  /**
   * Adds a row, or changes the fields given of a row that is there, and returns its number. `null` empties a field;
   * `undefined` leaves it. Either all fields are written or none. Takes time in the number of fields, on average.
   *
   * @throws RECLOOM_RUN_REQUEST for an empty id, a field the table does not have, or a value of another type.
   */
  upsert(id: string, fields: Readonly<Record<string, FieldValue>>): number {
    const entries = this.#checked(id, fields);
    const version = this.#version + 1;
    let row = this.rowOf(id);
    let changed = row < 0;
    if (row < 0) {
      row = this.rowCount;
      this.#addedIds.push(id);
      this.#addedRows.set(id, row);
      this.#addedVersions.push(version);
    }
    for (const [field, value] of entries) {
      if (!(this.#columns.get(field) as LiveColumn).write(row, value)) continue;
      changed = true;
      let changes = this.#changes.get(field);
      if (changes === undefined) {
        changes = new Map();
        this.#changes.set(field, changes);
      }
      changes.set(row, version);
    }
    if (changed) this.#version = version;
    return row;
  }

  /**
   * Rows added after `version`, and rows whose value in one of `fields` (default: any field) changed after it; ascending.
   * Writing the value a row had already is no change.
   */
  changedSince(version: number, fields: readonly string[] = this.fields): Int32Array {
    if (version >= this.#version) return new Int32Array(0);
    const rows = new Set<number>();
    for (const field of new Set(fields)) {
      for (const [row, changedAt] of this.#changes.get(field) ?? []) if (changedAt > version) rows.add(row);
    }
    for (let place = this.#addedVersions.length - 1; place >= 0 && (this.#addedVersions[place] as number) > version; place--) {
      rows.add(this.#base.rowCount + place);
    }
    return Int32Array.from(rows).sort();
  }

  #refusal(why: string): Error {
    return recloomError('RECLOOM_RUN_REQUEST', { why });
  }
}

const kinds: Readonly<Record<ColumnType, string>> = {
  number: 'a finite number',
  text: 'a text',
  category: 'a text',
  boolean: 'true, false',
  list: 'a list of texts',
  image: 'a path, URI, bytes',
};

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Uint8Array) return 'bytes';
  if (typeof value === 'number') return Number.isFinite(value) ? 'a number' : 'an infinite number';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
