import {
  type BooleanColumn,
  type CategoryColumn,
  type Column,
  type ColumnType,
  columnLength,
  type ImageColumn,
  type ListColumn,
  type NumberColumn,
  type TextColumn,
} from '@recloom/plugin-api';
import { Dictionary } from './columns.js';
import { dataUriOf } from './data-uri.js';

/**
 * A value of one field as a host hands it in: null for none; a list for a list field; for an image field a reference or the
 * encoded bytes. `undefined` leaves the field as it is.
 */
export type FieldValue = string | number | boolean | readonly string[] | Uint8Array | null | undefined;

/**
 * A column that rows can be written to. Nothing is copied before the first write; afterwards it holds its own arrays with
 * spare room, so that a write costs constant time on average. Rows never written are null.
 */
export interface LiveColumn {
  readonly type: ColumnType;
  /** The column over at least `rowCount` rows, live: later writes show in it or in its successor. */
  read(rowCount: number): Column;
  /** Writes one row and says whether that changed its value. The value fits the type (see `fitsColumn`). */
  write(row: number, value: Exclude<FieldValue, undefined>): boolean;
}

/** True when a value can stand in a column of this type. */
export function fitsColumn(type: ColumnType, value: Exclude<FieldValue, undefined>): boolean {
  if (value === null) return true;
  switch (type) {
    case 'number':
      // NaN is how columns write null; infinities would poison every scale.
      return typeof value === 'number' && (Number.isFinite(value) || Number.isNaN(value));
    case 'boolean':
      return typeof value === 'boolean';
    case 'list':
      return Array.isArray(value) && value.every((entry) => typeof entry === 'string');
    case 'image':
      return typeof value === 'string' || value instanceof Uint8Array;
    default:
      return typeof value === 'string';
  }
}

/** Makes a live column over `base`, which is never written to. */
export function createLiveColumn(base: Column): LiveColumn {
  switch (base.type) {
    case 'number':
      return new LiveNumberColumn(base);
    case 'boolean':
      return new LiveBooleanColumn(base);
    case 'category':
      return new LiveCategoryColumn(base);
    case 'list':
      return new LiveListColumn(base);
    default:
      return new LiveStringColumn(base);
  }
}

/** Room for `rowCount` rows and a quarter more, so that n added rows cost O(n) copies in total. */
function roomFor(rowCount: number): number {
  return rowCount + (rowCount >> 2) + 16;
}

class LiveNumberColumn implements LiveColumn {
  readonly type = 'number';
  #column: NumberColumn;
  #owned = false;
  constructor(base: NumberColumn) {
    this.#column = base;
  }
  read(rowCount: number): NumberColumn {
    if (this.#column.values.length < rowCount) this.#own(rowCount);
    return this.#column;
  }
  write(row: number, value: Exclude<FieldValue, undefined>): boolean {
    const number = value === null ? Number.NaN : (value as number);
    if (Object.is(this.#column.values[row] ?? Number.NaN, number)) return false;
    if (!this.#owned || row >= this.#column.values.length) this.#own(row + 1);
    this.#column.values[row] = number;
    return true;
  }
  #own(rowCount: number): void {
    const { values } = this.#column;
    const grown = new Float64Array(roomFor(Math.max(rowCount, values.length))).fill(Number.NaN, values.length);
    grown.set(values);
    this.#column = { type: 'number', values: grown };
    this.#owned = true;
  }
}

class LiveBooleanColumn implements LiveColumn {
  readonly type = 'boolean';
  #column: BooleanColumn;
  #owned = false;
  constructor(base: BooleanColumn) {
    this.#column = base;
  }
  read(rowCount: number): BooleanColumn {
    if (this.#column.values.length < rowCount) this.#own(rowCount);
    return this.#column;
  }
  write(row: number, value: Exclude<FieldValue, undefined>): boolean {
    const byte = value === null ? 255 : Number(value);
    if ((this.#column.values[row] ?? 255) === byte) return false;
    if (!this.#owned || row >= this.#column.values.length) this.#own(row + 1);
    this.#column.values[row] = byte;
    return true;
  }
  #own(rowCount: number): void {
    const { values } = this.#column;
    const grown = new Uint8Array(roomFor(Math.max(rowCount, values.length))).fill(255, values.length);
    grown.set(values);
    this.#column = { type: 'boolean', values: grown };
    this.#owned = true;
  }
}

class LiveStringColumn implements LiveColumn {
  readonly type: 'text' | 'image';
  #column: TextColumn | ImageColumn;
  #values: (string | null)[] | undefined;
  constructor(base: TextColumn | ImageColumn) {
    this.type = base.type;
    this.#column = base;
  }
  read(rowCount: number): TextColumn | ImageColumn {
    if (this.#column.values.length < rowCount) this.#own(rowCount);
    return this.#column;
  }
  write(row: number, value: Exclude<FieldValue, undefined>): boolean {
    const text = value instanceof Uint8Array ? dataUriOf(value) : (value as string | null);
    if ((this.#column.values[row] ?? null) === text) return false;
    this.#own(row + 1)[row] = text;
    return true;
  }
  #own(rowCount: number): (string | null)[] {
    if (this.#values === undefined) {
      this.#values = this.#column.values.slice();
      this.#column = { type: this.type, values: this.#values };
    }
    while (this.#values.length < rowCount) this.#values.push(null);
    return this.#values;
  }
}

class LiveCategoryColumn implements LiveColumn {
  readonly type = 'category';
  #column: CategoryColumn;
  #dictionary: Dictionary | undefined;
  constructor(base: CategoryColumn) {
    this.#column = base;
  }
  read(rowCount: number): CategoryColumn {
    if (this.#column.codes.length < rowCount) this.#own(rowCount);
    return this.#column;
  }
  write(row: number, value: Exclude<FieldValue, undefined>): boolean {
    const code = this.#column.codes[row] ?? -1;
    if ((code < 0 ? null : this.#column.categories[code]) === value) return false;
    const dictionary = this.#own(row + 1);
    this.#column.codes[row] = value === null ? -1 : dictionary.codeOf(value as string);
    return true;
  }
  #own(rowCount: number): Dictionary {
    const { codes } = this.#column;
    let dictionary = this.#dictionary;
    if (dictionary === undefined) {
      dictionary = new Dictionary();
      for (const category of this.#column.categories) dictionary.codeOf(category);
    } else if (rowCount <= codes.length) return dictionary;
    const grown = new Int32Array(roomFor(Math.max(rowCount, codes.length))).fill(-1, codes.length);
    grown.set(codes);
    this.#column = { type: 'category', codes: grown, categories: dictionary.categories };
    this.#dictionary = dictionary;
    return dictionary;
  }
}

/**
 * Lists of varying length lie end to end, so a changed row would shift all that follow: writes wait and are merged in one
 * pass at the next read.
 */
class LiveListColumn implements LiveColumn {
  readonly type = 'list';
  #column: ListColumn;
  #dictionary: Dictionary | undefined;
  readonly #pending = new Map<number, Int32Array>();
  constructor(base: ListColumn) {
    this.#column = base;
  }
  read(rowCount: number): ListColumn {
    if (this.#pending.size > 0 || columnLength(this.#column) < rowCount) this.#merge(rowCount);
    return this.#column;
  }
  write(row: number, value: Exclude<FieldValue, undefined>): boolean {
    const list = (value ?? []) as readonly string[];
    const current = this.#codesOf(row);
    const { categories } = this.#dictionary ?? this.#column;
    if (current.length === list.length && list.every((entry, place) => categories[current[place] as number] === entry)) return false;
    if (this.#dictionary === undefined) {
      this.#dictionary = new Dictionary();
      for (const category of this.#column.categories) this.#dictionary.codeOf(category);
    }
    const dictionary = this.#dictionary;
    this.#pending.set(
      row,
      Int32Array.from(list, (entry) => dictionary.codeOf(entry)),
    );
    return true;
  }
  #codesOf(row: number): Int32Array {
    const pending = this.#pending.get(row);
    if (pending !== undefined) return pending;
    if (row >= columnLength(this.#column)) return new Int32Array(0);
    return this.#column.codes.subarray(this.#column.offsets[row], this.#column.offsets[row + 1]);
  }
  #merge(rowCount: number): void {
    let rows = Math.max(rowCount, columnLength(this.#column));
    for (const row of this.#pending.keys()) rows = Math.max(rows, row + 1);
    const offsets = new Int32Array(rows + 1);
    for (let row = 0; row < rows; row++) offsets[row + 1] = (offsets[row] as number) + this.#codesOf(row).length;
    const codes = new Int32Array(offsets[rows] as number);
    for (let row = 0; row < rows; row++) codes.set(this.#codesOf(row), offsets[row]);
    this.#column = { type: 'list', offsets, codes, categories: this.#dictionary?.categories ?? this.#column.categories };
    this.#pending.clear();
  }
}
