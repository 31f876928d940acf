import {
  type BooleanColumn,
  type CategoryColumn,
  type Column,
  type ColumnType,
  columnLength,
  type ImageColumn,
  type ListColumn,
  type NumberColumn,
  recloomError,
  type TextColumn,
} from '@recloom/plugin-api';

/** Grows by doubling; fresh entries hold `filler`. */
export class GrowingArray<Data extends Float64Array | Int32Array | Uint8Array | Float32Array> {
  #data: Data;
  #used = 0;
  readonly #create: (length: number) => Data;
  readonly #filler: number;

  /** `create(n)` allocates n entries, `filler` is what fresh entries hold. */
  constructor(create: (length: number) => Data, filler: number) {
    this.#create = create;
    this.#filler = filler;
    this.#data = create(0);
  }

  get length(): number {
    return this.#used;
  }

  /** Makes room for `count` more entries and returns the array to write them to, from the old `length` on. */
  extend(count: number): Data {
    const needed = this.#used + count;
    if (needed > this.#data.length) {
      const grown = this.#create(Math.max(needed, this.#data.length * 2, 1024));
      if (this.#filler !== 0) grown.fill(this.#filler, this.#used);
      grown.set(this.#data.subarray(0, this.#used));
      this.#data = grown;
    }
    this.#used = needed;
    return this.#data;
  }

  /** Forgets the entries from `length` on; until they are written again, they keep what they held. */
  truncate(length: number): void {
    this.#used = length;
  }

  /** The entries so far, as a view that later growth may leave behind. */
  view(): Data {
    return this.#data.subarray(0, this.#used) as Data;
  }

  /** The entries in an array of exactly their number. */
  finish(): Data {
    return this.#used === this.#data.length ? this.#data : (this.#data.slice(0, this.#used) as Data);
  }
}

/** Gives equal strings equal codes: 0, 1, 2… in the order they first came. */
export class Dictionary {
  readonly categories: string[] = [];
  readonly #codes = new Map<string, number>();

  codeOf(category: string): number {
    let code = this.#codes.get(category);
    if (code === undefined) {
      code = this.categories.length;
      this.#codes.set(category, code);
      this.categories.push(category);
    }
    return code;
  }

  /** The code of a category, or -1; never adds it. */
  find(category: string): number {
    return this.#codes.get(category) ?? -1;
  }
}

/**
 * Translates the codes of one source column, batch after batch, to those of a shared dictionary. A growing dictionary is
 * looked at once per category, not once per batch; a source that starts a new dictionary is understood as well.
 */
export class DictionaryTranslation {
  readonly #dictionary: Dictionary;
  readonly #isNull: ((category: string) => boolean) | undefined;
  #source: readonly string[] = [];
  #translated = new Int32Array(64);
  #known = 0;

  /** `isNull` says which categories stand for none. */
  constructor(dictionary: Dictionary, isNull?: (category: string) => boolean) {
    this.#dictionary = dictionary;
    this.#isNull = isNull;
  }

  /** Dictionary code by source code; -1 for categories that stand for none. Valid until the next call. */
  translate(categories: readonly string[]): Int32Array {
    if (categories !== this.#source) {
      if (!startsWith(categories, this.#source, this.#known)) this.#known = 0;
      this.#source = categories;
    }
    if (categories.length > this.#translated.length) {
      const grown = new Int32Array(Math.max(categories.length, this.#translated.length * 2));
      grown.set(this.#translated);
      this.#translated = grown;
    }
    for (let code = this.#known; code < categories.length; code++) {
      const category = categories[code] as string;
      this.#translated[code] = this.#isNull?.(category) === true ? -1 : this.#dictionary.codeOf(category);
    }
    this.#known = categories.length;
    return this.#translated;
  }
}

function startsWith(categories: readonly string[], start: readonly string[], length: number): boolean {
  if (categories.length < length) return false;
  for (let code = 0; code < length; code++) if (categories[code] !== start[code]) return false;
  return true;
}

/** Collects one column from batches. */
interface ColumnBuilder {
  readonly type: ColumnType;
  readonly length: number;
  append(column: Column, rowCount: number): void;
  /** Adds `rowCount` nulls. */
  appendNulls(rowCount: number): void;
  finish(): Column;
}

class NumberBuilder implements ColumnBuilder {
  readonly type = 'number';
  readonly #values = new GrowingArray((length) => new Float64Array(length), Number.NaN);
  get length(): number {
    return this.#values.length;
  }
  append(column: NumberColumn, rowCount: number): void {
    const start = this.#values.length;
    this.#values.extend(rowCount).set(column.values.subarray(0, rowCount), start);
  }
  appendNulls(rowCount: number): void {
    this.#values.extend(rowCount);
  }
  finish(): NumberColumn {
    return { type: 'number', values: this.#values.finish() };
  }
}

class BooleanBuilder implements ColumnBuilder {
  readonly type = 'boolean';
  readonly #values = new GrowingArray((length) => new Uint8Array(length), 255);
  get length(): number {
    return this.#values.length;
  }
  append(column: BooleanColumn, rowCount: number): void {
    const start = this.#values.length;
    this.#values.extend(rowCount).set(column.values.subarray(0, rowCount), start);
  }
  appendNulls(rowCount: number): void {
    this.#values.extend(rowCount);
  }
  finish(): BooleanColumn {
    return { type: 'boolean', values: this.#values.finish() };
  }
}

class StringBuilder<Type extends 'text' | 'image'> implements ColumnBuilder {
  readonly type: Type;
  readonly #values: (string | null)[] = [];
  constructor(type: Type) {
    this.type = type;
  }
  get length(): number {
    return this.#values.length;
  }
  append(column: TextColumn | ImageColumn, rowCount: number): void {
    for (let row = 0; row < rowCount; row++) this.#values.push(column.values[row] ?? null);
  }
  appendNulls(rowCount: number): void {
    for (let row = 0; row < rowCount; row++) this.#values.push(null);
  }
  finish(): Column {
    return { type: this.type, values: this.#values };
  }
}

class CategoryBuilder implements ColumnBuilder {
  readonly type = 'category';
  readonly #dictionary = new Dictionary();
  readonly #translation = new DictionaryTranslation(this.#dictionary);
  readonly #codes = new GrowingArray((length) => new Int32Array(length), -1);
  get length(): number {
    return this.#codes.length;
  }
  append(column: CategoryColumn, rowCount: number): void {
    const translated = this.#translation.translate(column.categories);
    const start = this.#codes.length;
    const codes = this.#codes.extend(rowCount);
    for (let row = 0; row < rowCount; row++) {
      const code = column.codes[row] as number;
      checkCode(code, column.categories.length);
      codes[start + row] = code < 0 ? -1 : (translated[code] as number);
    }
  }
  appendNulls(rowCount: number): void {
    this.#codes.extend(rowCount);
  }
  finish(): CategoryColumn {
    return canonicalCategories({ type: 'category', codes: this.#codes.finish(), categories: this.#dictionary.categories });
  }
}

class ListBuilder implements ColumnBuilder {
  readonly type = 'list';
  readonly #dictionary = new Dictionary();
  readonly #translation = new DictionaryTranslation(this.#dictionary);
  readonly #ends = new GrowingArray((length) => new Int32Array(length), 0);
  readonly #codes = new GrowingArray((length) => new Int32Array(length), 0);
  get length(): number {
    return this.#ends.length;
  }
  append(column: ListColumn, rowCount: number): void {
    const translated = this.#translation.translate(column.categories);
    const firstRow = this.#ends.length;
    const ends = this.#ends.extend(rowCount);
    for (let row = 0; row < rowCount; row++) {
      const from = column.offsets[row] as number;
      const to = column.offsets[row + 1] as number;
      const start = this.#codes.length;
      const codes = this.#codes.extend(to - from);
      for (let place = from; place < to; place++) {
        const code = column.codes[place] as number;
        if (code < 0) throw shapeError('a category code', 'codes in range', `code ${code}`);
        checkCode(code, column.categories.length);
        codes[start + place - from] = translated[code] as number;
      }
      ends[firstRow + row] = this.#codes.length;
    }
  }
  appendNulls(rowCount: number): void {
    const firstRow = this.#ends.length;
    this.#ends.extend(rowCount).fill(this.#codes.length, firstRow, firstRow + rowCount);
  }
  finish(): ListColumn {
    const offsets = new Int32Array(this.#ends.length + 1);
    offsets.set(this.#ends.view(), 1);
    return canonicalCategories({ type: 'list', offsets, codes: this.#codes.finish(), categories: this.#dictionary.categories });
  }
}

/**
 * Refuses a code outside its dictionary.
 *
 * @throws RECLOOM_LAW_SHAPE
 */
export function checkCode(code: number, categoryCount: number): void {
  if (code >= categoryCount || code < -1) throw shapeError('A data source', `category codes below ${categoryCount}`, `code ${code}`);
}

/** RECLOOM_LAW_SHAPE for data that break their contract. */
export function shapeError(name: string, expected: string, found: string): Error {
  return recloomError('RECLOOM_LAW_SHAPE', { name, expected, found });
}

function createBuilder(type: ColumnType): ColumnBuilder {
  switch (type) {
    case 'number':
      return new NumberBuilder();
    case 'boolean':
      return new BooleanBuilder();
    case 'category':
      return new CategoryBuilder();
    case 'list':
      return new ListBuilder();
    default:
      return new StringBuilder(type);
  }
}

/** Collects named columns from batches that may each bring only some of them; what a batch lacks is null. */
export class ColumnsBuilder {
  readonly #builders = new Map<string, ColumnBuilder>();
  readonly #name: string;
  #rowCount = 0;

  /** `name` says in errors whose columns these are, e.g. `The items source`. */
  constructor(name: string) {
    this.#name = name;
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  /** @throws RECLOOM_LAW_SHAPE when a column changes its type between batches or is shorter than the batch. */
  append(columns: Iterable<readonly [string, Column]>, rowCount: number): void {
    for (const [field, column] of columns) {
      let builder = this.#builders.get(field);
      if (builder === undefined) {
        builder = createBuilder(column.type);
        builder.appendNulls(this.#rowCount);
        this.#builders.set(field, builder);
      }
      if (builder.type !== column.type) {
        throw shapeError(this.#name, `column "${field}" of type ${builder.type} in every batch`, `type ${column.type}`);
      }
      if (columnLength(column) < rowCount) {
        throw shapeError(this.#name, `${rowCount} rows in column "${field}"`, `${columnLength(column)}`);
      }
      builder.append(column, rowCount);
    }
    this.#rowCount += rowCount;
    for (const builder of this.#builders.values()) builder.appendNulls(this.#rowCount - builder.length);
  }

  /** The columns in ascending order of their names, so that the result does not depend on the order they came in. */
  finish(): Map<string, Column> {
    const fields = [...this.#builders.keys()].sort();
    return new Map(fields.map((field) => [field, (this.#builders.get(field) as ColumnBuilder).finish()]));
  }
}

/** Categories in ascending order and only those in use, so that equal values give equal bytes. Returns its argument when it is so already. */
export function canonicalCategories<Kind extends CategoryColumn | ListColumn>(column: Kind): Kind {
  const { categories } = column;
  const used = new Uint8Array(categories.length);
  for (const code of column.codes) if (code >= 0) used[code] = 1;
  let canonical = true;
  for (let code = 0; code < categories.length && canonical; code++) {
    canonical = used[code] === 1 && (code === 0 || (categories[code - 1] as string) < (categories[code] as string));
  }
  if (canonical) return column;
  const kept: string[] = [];
  for (let code = 0; code < categories.length; code++) if (used[code] === 1) kept.push(categories[code] as string);
  const dictionary = new Dictionary();
  for (const category of kept.sort()) dictionary.codeOf(category);
  const renamed = new Int32Array(categories.length);
  for (let code = 0; code < categories.length; code++) if (used[code] === 1) renamed[code] = dictionary.codeOf(categories[code] as string);
  return { ...column, codes: column.codes.map((code) => (code < 0 ? -1 : (renamed[code] as number))), categories: dictionary.categories };
}

/** The values of `rows`, in that order, as a new column with canonical categories. */
export function gatherColumn(column: Column, rows: Int32Array): Column {
  switch (column.type) {
    case 'number': {
      const values = new Float64Array(rows.length);
      for (let index = 0; index < rows.length; index++) values[index] = column.values[rows[index] as number] as number;
      return { type: 'number', values };
    }
    case 'boolean': {
      const values = new Uint8Array(rows.length);
      for (let index = 0; index < rows.length; index++) values[index] = column.values[rows[index] as number] as number;
      return { type: 'boolean', values };
    }
    case 'category': {
      const codes = new Int32Array(rows.length);
      for (let index = 0; index < rows.length; index++) codes[index] = column.codes[rows[index] as number] as number;
      return canonicalCategories({ type: 'category', codes, categories: column.categories });
    }
    case 'list': {
      const offsets = new Int32Array(rows.length + 1);
      for (let index = 0; index < rows.length; index++) {
        const row = rows[index] as number;
        offsets[index + 1] = (offsets[index] as number) + (column.offsets[row + 1] as number) - (column.offsets[row] as number);
      }
      const codes = new Int32Array(offsets[rows.length] as number);
      for (let index = 0; index < rows.length; index++) {
        const row = rows[index] as number;
        codes.set(column.codes.subarray(column.offsets[row], column.offsets[row + 1]), offsets[index]);
      }
      return canonicalCategories({ type: 'list', offsets, codes, categories: column.categories });
    }
    default: {
      const values: (string | null)[] = new Array(rows.length);
      for (let index = 0; index < rows.length; index++) values[index] = column.values[rows[index] as number] ?? null;
      return { type: column.type, values };
    }
  }
}

/** True when both columns have the same type and, in each of the first `rowCount` rows, the same value; how their categories are coded does not matter. */
export function columnEquals(left: Column, right: Column, rowCount: number): boolean {
  if (left.type === 'number' && right.type === 'number') {
    for (let row = 0; row < rowCount; row++) if (!Object.is(left.values[row], right.values[row])) return false;
    return true;
  }
  if (left.type === 'category' && right.type === 'category') {
    for (let row = 0; row < rowCount; row++) {
      if (left.categories[left.codes[row] as number] !== right.categories[right.codes[row] as number]) return false;
    }
    return true;
  }
  if (left.type === 'list' && right.type === 'list') {
    for (let row = 0; row < rowCount; row++) {
      const from = left.offsets[row] as number;
      const length = (left.offsets[row + 1] as number) - from;
      const other = right.offsets[row] as number;
      if ((right.offsets[row + 1] as number) - other !== length) return false;
      for (let place = 0; place < length; place++) {
        if (left.categories[left.codes[from + place] as number] !== right.categories[right.codes[other + place] as number]) return false;
      }
    }
    return true;
  }
  if (left.type !== right.type || !('values' in left) || !('values' in right)) return false;
  for (let row = 0; row < rowCount; row++) if (left.values[row] !== right.values[row]) return false;
  return true;
}
