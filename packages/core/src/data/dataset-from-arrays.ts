import { type Column, type ColumnType, type DataReport, recloomError } from '@recloom/plugin-api';
import { Dictionary } from './columns.js';
import { contentHash } from './content-hash.js';
import { dataUriOf } from './data-uri.js';
import type { Dataset } from './dataset.js';
import { EventsBuilder, finishDataset, mergeReport, TableBuilder } from './dataset-builder.js';
import type { FieldValue } from './live-column.js';

/** One item or user: its id and its fields. */
export type DatasetRecord = { readonly id: string } & Readonly<Record<string, FieldValue>>;

/** One event. */
export interface EventRecord {
  /** Null for a guest: counted, and kept out of the history. */
  readonly user: string | null;
  readonly item: string;
  /** Milliseconds since the epoch. */
  readonly timeMs: number;
  /** Default: `event`. */
  readonly type?: string | undefined;
  /** Default: 1. */
  readonly weight?: number | undefined;
  /** The order it belongs to. */
  readonly basket?: string | undefined;
}

/** A dataset as plain objects. Without `items`, the events bring the catalogue. */
export interface DatasetArrays {
  readonly items?: readonly DatasetRecord[] | undefined;
  readonly events?: readonly EventRecord[] | undefined;
  readonly users?: readonly DatasetRecord[] | undefined;
  /**
   * Types of fields, where they should not be inferred. Inferred are `number`, `boolean` and `list` (arrays of strings);
   * strings become a `category` when every value occurs twice on average, else `text`. Bytes are an `image`, kept as data URIs;
   * references to pictures must be declared as `image`.
   */
  readonly types?:
    | {
        readonly items?: Readonly<Record<string, ColumnType>> | undefined;
        readonly users?: Readonly<Record<string, ColumnType>> | undefined;
      }
    | undefined;
  /** Events more than a day later are impossible. Default: no limit. */
  readonly nowMs?: number | undefined;
}

/**
 * Makes a dataset from plain objects, by the laws of `readDataset`; for hosts that hold their data in memory, and for tests.
 *
 * @throws RECLOOM_DAT_EMPTY when nothing is left, RECLOOM_DAT_HISTORY_TYPES above 255 event types, RECLOOM_RUN_REQUEST when the
 * values of a field do not fit its type or mix types.
 */
export function datasetFromArrays(arrays: DatasetArrays): Dataset {
  const reports: Partial<Record<'items' | 'events' | 'users', DataReport>> = {};
  const readTable = (name: 'items' | 'users'): TableBuilder | undefined => {
    const records = arrays[name];
    if (records === undefined) return undefined;
    const builder = new TableBuilder(name);
    const columns = columnsOf(records, arrays.types?.[name] ?? {}, name);
    builder.append({ rowCount: records.length, columns });
    reports[name] = mergeReport(emptyReport(records.length), builder);
    return builder;
  };
  const catalogue = readTable('items')?.finish();
  const users = readTable('users');
  let events: EventsBuilder | undefined;
  if (arrays.events !== undefined) {
    events = new EventsBuilder(catalogue, arrays.nowMs ?? Number.POSITIVE_INFINITY);
    events.append({ rowCount: arrays.events.length, columns: eventColumns(arrays.events) });
    reports.events = mergeReport(emptyReport(arrays.events.length), events);
  }
  const built = finishDataset(catalogue, events, users);
  return { ...built, hash: contentHash(built.items, built.users, built.history), reports };
}

function emptyReport(rowCount: number): DataReport {
  return { rowsRead: rowCount, rowsKept: rowCount, dropped: [], warnings: [] };
}

function eventColumns(events: readonly EventRecord[]): Record<string, Column> {
  const category = (pick: (event: EventRecord) => string | null | undefined): Column => {
    const dictionary = new Dictionary();
    const codes = Int32Array.from(events, (event) => {
      const value = pick(event);
      return value === null || value === undefined ? -1 : dictionary.codeOf(value);
    });
    return { type: 'category', codes, categories: dictionary.categories };
  };
  return {
    user: category((event) => event.user),
    item: category((event) => event.item),
    timeMs: { type: 'number', values: Float64Array.from(events, (event) => event.timeMs) },
    type: category((event) => event.type),
    weight: { type: 'number', values: Float64Array.from(events, (event) => event.weight ?? Number.NaN) },
    ...(events.some((event) => event.basket !== undefined) ? { basket: category((event) => event.basket) } : {}),
  };
}

function columnsOf(
  records: readonly DatasetRecord[],
  declared: Readonly<Record<string, ColumnType>>,
  table: 'items' | 'users',
): Record<string, Column> {
  const fields = new Set(Object.keys(declared));
  for (const record of records) for (const field of Object.keys(record)) fields.add(field);
  fields.delete('id');
  const columns: [string, Column][] = [['id', { type: 'text', values: records.map((record) => record.id) }]];
  for (const field of fields) {
    const values = records.map((record) => (Object.hasOwn(record, field) ? (record[field] ?? null) : null));
    const type = Object.hasOwn(declared, field) ? declared[field] : undefined;
    columns.push([field, columnOf(values, type ?? inferType(values, table, field), table, field)]);
  }
  return Object.fromEntries(columns);
}

function inferType(values: readonly NonNullable<FieldValue>[] | readonly FieldValue[], table: string, field: string): ColumnType {
  let kind: string | undefined;
  const strings = new Set<string>();
  let stringCount = 0;
  for (const value of values) {
    if (value === null || value === undefined) continue;
    const found = Array.isArray(value) ? 'list' : value instanceof Uint8Array ? 'image' : typeof value;
    if (kind !== undefined && kind !== found) {
      throw recloomError('RECLOOM_RUN_REQUEST', { why: `field "${field}" of the ${table} mixes ${kind} and ${found} values` });
    }
    kind = found;
    if (typeof value === 'string') {
      strings.add(value);
      stringCount++;
    }
  }
  if (kind === 'number' || kind === 'boolean' || kind === 'list' || kind === 'image') return kind;
  return stringCount > 0 && strings.size * 2 <= stringCount ? 'category' : 'text';
}

function columnOf(values: readonly FieldValue[], type: ColumnType, table: string, field: string): Column {
  const refuse = (): never => {
    throw recloomError('RECLOOM_RUN_REQUEST', { why: `field "${field}" of the ${table} has values that are no ${type}` });
  };
  // Half a surrogate pair cannot be stored; it becomes U+FFFD here, so that a build sees what a snapshot will hold.
  const wellFormed = (value: unknown): string => (typeof value === 'string' ? value.replace(/\p{Surrogate}/gu, '\u{fffd}') : refuse());
  const text = (value: FieldValue): string | null => (value === null || value === undefined ? null : wellFormed(value));
  switch (type) {
    case 'number':
      return {
        type,
        values: Float64Array.from(values, (value) =>
          value === null || value === undefined ? Number.NaN : typeof value === 'number' ? value : refuse(),
        ),
      };
    case 'boolean':
      return {
        type,
        values: Uint8Array.from(values, (value) =>
          value === null || value === undefined ? 255 : typeof value === 'boolean' ? Number(value) : refuse(),
        ),
      };
    case 'category': {
      const dictionary = new Dictionary();
      const codes = Int32Array.from(values, (value) => {
        const category = text(value);
        return category === null ? -1 : dictionary.codeOf(category);
      });
      return { type, codes, categories: dictionary.categories };
    }
    case 'list': {
      const dictionary = new Dictionary();
      const codes: number[] = [];
      const offsets = new Int32Array(values.length + 1);
      values.forEach((value, row) => {
        if (value !== null && value !== undefined) {
          if (!Array.isArray(value)) refuse();
          for (const entry of value as readonly unknown[]) codes.push(dictionary.codeOf(wellFormed(entry)));
        }
        offsets[row + 1] = codes.length;
      });
      return { type, offsets, codes: Int32Array.from(codes), categories: dictionary.categories };
    }
    case 'image':
      return { type, values: values.map((value) => (value instanceof Uint8Array ? dataUriOf(value) : text(value))) };
    default:
      return { type, values: values.map(text) };
  }
}
