import {
  type Column,
  type ColumnType,
  columnLength,
  type DataBatch,
  type DataReport,
  type DroppedRows,
  type ErrorCode,
  type ErrorParameters,
  type HistoryStore,
  recloomError,
  type Warning,
} from '@recloom/plugin-api';
import { ColumnsBuilder, checkCode, Dictionary, DictionaryTranslation, GrowingArray, gatherColumn, shapeError } from './columns.js';
import type { ColumnarTable } from './dataset.js';
import { createHistoryStore, untypedEvent } from './history-store.js';
import { createTable } from './table.js';

/** The sources a dataset is read from. */
export type DatasetSourceName = 'items' | 'events' | 'users';

/** 1990-01-01T00:00:00Z: earlier times are unset fields or a wrong unit, not shop events. */
const earliestTimeMs = 631_152_000_000;
const dayMs = 86_400_000;

/** Why rows of a source are left out; the words of the build report. */
const reasons = {
  idMissing: 'without an id',
  idTwice: 'id occurs a second time',
  itemMissing: 'without an item',
  timeMissing: 'without a readable time',
  timeImpossible: 'impossible time',
  itemUnknown: 'item not in the catalogue',
  weightUnusable: 'weight out of range',
  userMissing: 'without a user',
} as const;
type Reason = keyof typeof reasons;

class DropCounter {
  readonly #counts = new Map<Reason, number>();
  add(reason: Reason, count = 1): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + count);
  }
  get(reason: Reason): number {
    return this.#counts.get(reason) ?? 0;
  }
  get total(): number {
    let total = 0;
    for (const count of this.#counts.values()) total += count;
    return total;
  }
  /** In the fixed order of `reasons`. */
  rows(): DroppedRows[] {
    return (Object.keys(reasons) as Reason[])
      .filter((reason) => this.get(reason) > 0)
      .map((reason) => ({ reason: reasons[reason], count: this.get(reason) }));
  }
}

/** Half of a surrogate pair has no UTF-8 form: two such ids would be one in a snapshot. */
function isUsableId(id: string): boolean {
  return id !== '' && !/\p{Surrogate}/u.test(id);
}

/** Reads ids from text or category columns as codes of its dictionary; null and ids that cannot be used are -1. */
class IdReader {
  readonly dictionary = new Dictionary();
  readonly #translation = new DictionaryTranslation(this.dictionary, (id) => !isUsableId(id));
  #codes = new Int32Array(0);

  /** Codes of the first `rowCount` rows; valid until the next call. */
  read(column: Column, rowCount: number): Int32Array {
    if (this.#codes.length < rowCount) this.#codes = new Int32Array(rowCount);
    const codes = this.#codes;
    if (column.type === 'category') {
      const translated = this.#translation.translate(column.categories);
      for (let row = 0; row < rowCount; row++) {
        const code = column.codes[row] as number;
        checkCode(code, column.categories.length);
        codes[row] = code < 0 ? -1 : (translated[code] as number);
      }
    } else if (column.type === 'text') {
      // Exports are often grouped by order or user: remembering the last id saves most look-ups.
      let last: string | null = null;
      let lastCode = -1;
      for (let row = 0; row < rowCount; row++) {
        const id = column.values[row] ?? null;
        if (id !== last) {
          last = id;
          lastCode = id === null || !isUsableId(id) ? -1 : this.dictionary.codeOf(id);
        }
        codes[row] = lastCode;
      }
    }
    return codes;
  }
}

/** Collects the rows of an items or users source. */
export class TableBuilder {
  readonly #name: string;
  readonly #ids: string[] = [];
  readonly #known = new Set<string>();
  readonly #keptRows = new GrowingArray((length) => new Int32Array(length), 0);
  readonly #columns: ColumnsBuilder;
  readonly drops = new DropCounter();
  #rowsRead = 0;

  constructor(source: 'items' | 'users') {
    this.#name = `${source} source`;
    this.#columns = new ColumnsBuilder(this.#name);
  }

  /** @throws RECLOOM_LAW_SHAPE when the batch breaks the contract of data sources. */
  append(batch: DataBatch): void {
    const id = requiredColumn(this.#name, batch, 'id', ['text', 'category']);
    this.#columns.append(
      Object.entries(batch.columns).filter(([field]) => field !== 'id'),
      batch.rowCount,
    );
    for (let row = 0; row < batch.rowCount; row++) {
      const value = idAt(id, row);
      if (value === null || !isUsableId(value)) this.drops.add('idMissing');
      else if (this.#known.has(value)) this.drops.add('idTwice');
      else {
        this.#known.add(value);
        this.#ids.push(value);
        const place = this.#keptRows.length;
        this.#keptRows.extend(1)[place] = this.#rowsRead + row;
      }
    }
    this.#rowsRead += batch.rowCount;
  }

  get rowsRead(): number {
    return this.#rowsRead;
  }

  /** The table, ids ascending. `extraIds` are added without values where the source did not bring them. */
  finish(extraIds: readonly string[] = []): ColumnarTable {
    const rows = new Map<string, number>();
    const kept = this.#keptRows.view();
    for (let place = 0; place < this.#ids.length; place++) rows.set(this.#ids[place] as string, kept[place] as number);
    const missing = extraIds.filter((id) => !this.#known.has(id));
    if (missing.length > 0) this.#columns.append([], 1);
    const nullRow = this.#rowsRead;
    const ids = [...this.#ids, ...missing].sort();
    const order = Int32Array.from(ids, (id) => rows.get(id) ?? nullRow);
    return createTable(ids, new Map([...this.#columns.finish()].map(([field, column]) => [field, gatherColumn(column, order)])));
  }
}

/** Collects the rows of an events source. */
export class EventsBuilder {
  readonly #catalogue: ColumnarTable | undefined;
  readonly #latestTimeMs: number;
  readonly #users = new IdReader();
  readonly #items = new IdReader();
  readonly #types = new IdReader();
  readonly #baskets = new IdReader();
  /** With a catalogue: item row (or -1) by code of the item dictionary. */
  readonly #catalogueRows = new GrowingArray((length) => new Int32Array(length), -1);
  readonly #userCodes = new GrowingArray((length) => new Int32Array(length), 0);
  readonly #itemCodes = new GrowingArray((length) => new Int32Array(length), 0);
  readonly #typeCodes = new GrowingArray((length) => new Int32Array(length), 0);
  readonly #basketCodes = new GrowingArray((length) => new Int32Array(length), 0);
  readonly #weights = new GrowingArray((length) => new Float32Array(length), 0);
  readonly #timesMs = new GrowingArray((length) => new Float64Array(length), 0);
  /** Codes of items that some event with a possible time names, guests' events included: they are the catalogue when there is no other. */
  readonly #itemSeen = new GrowingArray((length) => new Uint8Array(length), 0);
  #hasBaskets = false;
  readonly drops = new DropCounter();
  #rowsRead = 0;

  /** `catalogue`: the items, when an items source brought them; undefined when the events bring their own. */
  constructor(catalogue: ColumnarTable | undefined, nowMs: number) {
    this.#catalogue = catalogue;
    this.#latestTimeMs = nowMs + dayMs;
  }

  get rowsRead(): number {
    return this.#rowsRead;
  }

  /** @throws RECLOOM_LAW_SHAPE when the batch breaks the contract of data sources. */
  append(batch: DataBatch): void {
    const { rowCount } = batch;
    const name = 'events source';
    const userCodes = this.#users.read(requiredColumn(name, batch, 'user', ['text', 'category']), rowCount);
    const itemCodes = this.#items.read(requiredColumn(name, batch, 'item', ['text', 'category']), rowCount);
    const times = (requiredColumn(name, batch, 'timeMs', ['number']) as Column & { type: 'number' }).values;
    const typeColumn = optionalColumn(name, batch, 'type', ['category', 'text']);
    const typeCodes = typeColumn === undefined ? undefined : this.#types.read(typeColumn, rowCount);
    const weightColumn = optionalColumn(name, batch, 'weight', ['number']) as (Column & { type: 'number' }) | undefined;
    const basketColumn = optionalColumn(name, batch, 'basket', ['category', 'text']);
    const basketCodes = basketColumn === undefined ? undefined : this.#baskets.read(basketColumn, rowCount);
    if (basketCodes !== undefined) this.#hasBaskets = true;
    const untyped = typeCodes === undefined || hasNull(typeCodes, rowCount) ? this.#types.dictionary.codeOf(untypedEvent) : -1;
    this.#extendItems();
    const catalogueRows = this.#catalogue === undefined ? undefined : this.#catalogueRows.view();
    const itemSeen = this.#itemSeen.view();

    const start = this.#userCodes.length;
    const keptUsers = this.#userCodes.extend(rowCount);
    const keptItems = this.#itemCodes.extend(rowCount);
    const keptTypes = this.#typeCodes.extend(rowCount);
    const keptBaskets = this.#basketCodes.extend(rowCount);
    const keptWeights = this.#weights.extend(rowCount);
    const keptTimes = this.#timesMs.extend(rowCount);
    let place = start;
    for (let row = 0; row < rowCount; row++) {
      const item = itemCodes[row] as number;
      const timeMs = times[row] as number;
      const weight = weightColumn === undefined ? 1 : (weightColumn.values[row] as number);
      if (item < 0) this.drops.add('itemMissing');
      else if (Number.isNaN(timeMs)) this.drops.add('timeMissing');
      else if (timeMs < earliestTimeMs || timeMs > this.#latestTimeMs) this.drops.add('timeImpossible');
      else if (catalogueRows !== undefined && (catalogueRows[item] as number) < 0) this.drops.add('itemUnknown');
      else if (!Number.isNaN(weight) && !Number.isFinite(Math.fround(weight))) this.drops.add('weightUnusable');
      else {
        itemSeen[item] = 1;
        const user = userCodes[row] as number;
        if (user < 0) {
          this.drops.add('userMissing');
          continue;
        }
        keptUsers[place] = user;
        keptItems[place] = item;
        const type = typeCodes === undefined ? -1 : (typeCodes[row] as number);
        keptTypes[place] = type < 0 ? untyped : type;
        keptBaskets[place] = basketCodes === undefined ? -1 : (basketCodes[row] as number);
        keptWeights[place] = Number.isNaN(weight) ? 1 : weight;
        keptTimes[place] = timeMs;
        place++;
      }
    }
    for (const array of [this.#userCodes, this.#itemCodes, this.#typeCodes, this.#basketCodes, this.#weights, this.#timesMs]) {
      array.truncate(place);
    }
    this.#rowsRead += rowCount;
  }

  #extendItems(): void {
    const { categories } = this.#items.dictionary;
    const known = this.#itemSeen.length;
    this.#itemSeen.extend(categories.length - known);
    if (this.#catalogue === undefined) return;
    const rows = this.#catalogueRows.extend(categories.length - known);
    for (let code = known; code < categories.length; code++) rows[code] = this.#catalogue.rowOf(categories[code] as string);
  }

  /** Ids of the items that usable events name, in no particular order. */
  itemIds(): string[] {
    const seen = this.#itemSeen.view();
    return this.#items.dictionary.categories.filter((_, code) => seen[code] === 1);
  }

  /** Ids of the users that have a usable event, in no particular order. */
  userIds(): string[] {
    const seen = new Uint8Array(this.#users.dictionary.categories.length);
    const userCodes = this.#userCodes.view();
    for (let event = 0; event < userCodes.length; event++) seen[userCodes[event] as number] = 1;
    return this.#users.dictionary.categories.filter((_, code) => seen[code] === 1);
  }

  /**
   * The events by the rows of the finished tables, which hold every id that `itemIds` and `userIds` name.
   *
   * @throws RECLOOM_DAT_HISTORY_TYPES above 255 types.
   */
  finish(items: ColumnarTable, users: ColumnarTable): HistoryStore {
    return createHistoryStore(
      {
        userRows: translateCodes(this.#userCodes.view(), this.#users.dictionary, users),
        itemRows: translateCodes(this.#itemCodes.view(), this.#items.dictionary, items),
        types: this.#typeCodes.view(),
        typeNames: this.#types.dictionary.categories,
        weights: this.#weights.view(),
        timesMs: this.#timesMs.view(),
        baskets: this.#hasBaskets ? this.#basketCodes.view() : undefined,
      },
      users.rowCount,
      items.rowCount,
    );
  }
}

/** The parts of a dataset, before its hash. */
export interface BuiltDataset {
  readonly items: ColumnarTable;
  readonly users: ColumnarTable;
  readonly history: HistoryStore;
  readonly lastEventMs: number;
}

/**
 * Joins what was collected; `catalogue` is the one the events were checked against, if any; `reports` are for the messages.
 *
 * @throws RECLOOM_DAT_EMPTY without items, or when an events source left no event.
 */
export function finishDataset(
  catalogue: ColumnarTable | undefined,
  events: EventsBuilder | undefined,
  users: TableBuilder | undefined,
  reports: Readonly<Partial<Record<DatasetSourceName, DataReport>>> = {},
): BuiltDataset {
  const itemTable = catalogue ?? createTable((events?.itemIds() ?? []).sort());
  if (itemTable.rowCount === 0) throw emptyError('items', reports.items ?? reports.events);
  const userTable = (users ?? new TableBuilder('users')).finish(events?.userIds() ?? []);
  const history = (events ?? new EventsBuilder(itemTable, 0)).finish(itemTable, userTable);
  if (events !== undefined && history.eventCount === 0) throw emptyError('events', reports.events);
  return { items: itemTable, users: userTable, history, lastEventMs: lastEventMs(history) };
}

/** Says what became of the rows: there is no build report to look at when a build stops. */
function emptyError(what: string, report: DataReport | undefined): Error {
  const reasons = report?.dropped.map(({ count, reason }) => `${count} × ${reason}`).join(', ') ?? '';
  const rows =
    report === undefined ? '' : ` (${report.rowsRead} row${report.rowsRead === 1 ? '' : 's'} read${reasons && `; left out: ${reasons}`})`;
  return recloomError('RECLOOM_DAT_EMPTY', { what: `${what} left${rows}` });
}

/** The time of the last event in milliseconds; 0 without events. */
export function lastEventMs(history: HistoryStore): number {
  let last = 0;
  for (let event = 0; event < history.eventCount; event++) last = Math.max(last, history.timesMs[event] as number);
  return last;
}

/** Adds what a builder left out to the report of its source, with a typed warning where the data owner should look. */
export function mergeReport(report: DataReport, builder: { readonly drops: DropCounter }): DataReport {
  const { drops } = builder;
  const warnings: Warning[] = [...report.warnings];
  const impossible = drops.get('timeImpossible');
  if (impossible > 0) warnings.push(codedWarning('RECLOOM_DAT_IMPOSSIBLE_TIMES', { count: impossible }, impossible));
  const unknown = drops.get('itemUnknown');
  if (unknown > 0) warnings.push(codedWarning('RECLOOM_DAT_UNKNOWN_ITEMS', { count: unknown }, unknown));
  return {
    rowsRead: report.rowsRead,
    rowsKept: report.rowsKept - drops.total,
    dropped: [...report.dropped, ...drops.rows()],
    warnings,
  };
}

function codedWarning<Code extends ErrorCode>(code: Code, parameters: ErrorParameters<Code>, count: number): Warning {
  return { code, message: recloomError(code, parameters).message, count };
}

function translateCodes(codes: Int32Array, dictionary: Dictionary, table: ColumnarTable): Int32Array {
  const rows = Int32Array.from(dictionary.categories, (id) => table.rowOf(id));
  const translated = new Int32Array(codes.length);
  for (let event = 0; event < codes.length; event++) translated[event] = rows[codes[event] as number] as number;
  return translated;
}

function hasNull(codes: Int32Array, rowCount: number): boolean {
  for (let row = 0; row < rowCount; row++) if ((codes[row] as number) < 0) return true;
  return false;
}

function idAt(column: Column, row: number): string | null {
  if (column.type === 'category') {
    const code = column.codes[row] as number;
    checkCode(code, column.categories.length);
    return code < 0 ? null : (column.categories[code] as string);
  }
  return column.type === 'text' ? (column.values[row] ?? null) : null;
}

function requiredColumn(source: string, batch: DataBatch, field: string, types: readonly ColumnType[]): Column {
  const column = optionalColumn(source, batch, field, types);
  if (column === undefined) throw shapeError(source, `a column "${field}" of type ${types.join(' or ')}`, 'none');
  return column;
}

function optionalColumn(source: string, batch: DataBatch, field: string, types: readonly ColumnType[]): Column | undefined {
  const column = Object.hasOwn(batch.columns, field) ? batch.columns[field] : undefined;
  if (column === undefined) return undefined;
  if (!types.includes(column.type)) throw shapeError(source, `column "${field}" of type ${types.join(' or ')}`, `type ${column.type}`);
  if (columnLength(column) < batch.rowCount) {
    throw shapeError(source, `${batch.rowCount} rows in column "${field}"`, `${columnLength(column)}`);
  }
  return column;
}
