import {
  type Column,
  type ColumnType,
  type ComponentState,
  type HistoryStore,
  jsonTensor,
  readJsonTensor,
  recloomError,
  type Tensor,
  tensor,
} from '@recloom/plugin-api';
import type { ColumnarTable } from '../data/dataset.js';
import { createTable } from '../data/table.js';

/** Reads tensors of one file and names the file in errors. */
class TensorReader {
  readonly #tensors: ComponentState;
  readonly #file: string;

  constructor(tensors: ComponentState, file: string) {
    this.#tensors = tensors;
    this.#file = file;
  }

  /** @throws RECLOOM_DAT_SNAPSHOT_CORRUPT when it is missing, of another element type or another length. */
  read<Data extends Tensor['data']>(name: string, type: new (length: number) => Data, length?: number): Data {
    const found = this.optional(name, type);
    if (found === undefined) throw this.corrupt(`tensor ${name} is missing`);
    if (length !== undefined && found.length !== length) throw this.corrupt(`tensor ${name} has ${found.length} elements, not ${length}`);
    return found;
  }

  optional<Data extends Tensor['data']>(name: string, type: new (length: number) => Data): Data | undefined {
    const found = Object.hasOwn(this.#tensors, name) ? this.#tensors[name] : undefined;
    if (found === undefined) return undefined;
    if (!(found.data instanceof type)) throw this.corrupt(`tensor ${name} has another element type`);
    return found.data;
  }

  json(name: string): unknown {
    try {
      return readJsonTensor({ shape: [], data: this.read(name, Uint8Array) });
    } catch (error) {
      throw error instanceof SyntaxError ? this.corrupt(`tensor ${name} is no JSON`) : error;
    }
  }

  /** Offsets that start at 0, do not descend and end at `end`. */
  offsets(name: string, length: number, end: number): Int32Array {
    const offsets = this.read(name, Int32Array, length);
    let ascending = offsets[0] === 0 && offsets[length - 1] === end;
    for (let index = 1; index < length && ascending; index++) ascending = (offsets[index - 1] as number) <= (offsets[index] as number);
    if (!ascending) throw this.corrupt(`the offsets in tensor ${name} are impossible`);
    return offsets;
  }

  corrupt(why: string): Error {
    return recloomError('RECLOOM_DAT_SNAPSHOT_CORRUPT', { file: this.#file, why });
  }
}

/** Strings as two tensors: UTF-8 bytes end to end, and where each begins. Null takes no bytes. */
function encodeStrings(strings: readonly (string | null)[], prefix: string): [string, Tensor][] {
  const offsets = new Int32Array(strings.length + 1);
  let length = 0;
  for (let index = 0; index < strings.length; index++) {
    length += Buffer.byteLength(strings[index] ?? '', 'utf8');
    if (length > 0x7fffffff) throw recloomError('RECLOOM_LAW_SHAPE', { name: prefix, expected: 'at most 2 GiB of text', found: 'more' });
    offsets[index + 1] = length;
  }
  const bytes = new Uint8Array(length);
  const buffer = Buffer.from(bytes.buffer);
  for (let index = 0; index < strings.length; index++) buffer.write(strings[index] ?? '', offsets[index] as number, 'utf8');
  return [
    [`${prefix}.bytes`, tensor(bytes)],
    [`${prefix}.offsets`, tensor(offsets)],
  ];
}

function decodeStrings(reader: TensorReader, prefix: string, count?: number): string[] {
  const bytes = reader.read(`${prefix}.bytes`, Uint8Array);
  const length = count === undefined ? reader.read(`${prefix}.offsets`, Int32Array).length : count + 1;
  const offsets = reader.offsets(`${prefix}.offsets`, length, bytes.length);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const strings: string[] = new Array(length - 1);
  for (let index = 0; index < strings.length; index++) strings[index] = buffer.toString('utf8', offsets[index], offsets[index + 1]);
  return strings;
}

/**
 * A table as tensors: `ids.*`, `column.<field>.*`, and `fields`, the JSON list of names and types in order.
 * Texts are UTF-8 bytes with offsets; null texts have 0 in `column.<field>.present`.
 */
export function encodeTable(table: ColumnarTable): ComponentState {
  const tensors: [string, Tensor][] = [
    ['fields', jsonTensor(table.fields.map((field) => ({ name: field, type: (table.columns[field] as Column).type })))],
    ...encodeStrings(table.ids, 'ids'),
  ];
  for (const field of table.fields) {
    const column = table.columns[field] as Column;
    const prefix = `column.${field}`;
    switch (column.type) {
      case 'number':
      case 'boolean':
        tensors.push([`${prefix}.values`, tensor(column.values)]);
        break;
      case 'category':
        tensors.push([`${prefix}.codes`, tensor(column.codes)], ...encodeStrings(column.categories, `${prefix}.categories`));
        break;
      case 'list':
        tensors.push([`${prefix}.offsets`, tensor(column.offsets)], [`${prefix}.codes`, tensor(column.codes)]);
        tensors.push(...encodeStrings(column.categories, `${prefix}.categories`));
        break;
      default:
        tensors.push(...encodeStrings(column.values, `${prefix}.values`));
        tensors.push([`${prefix}.present`, tensor(Uint8Array.from(column.values, (text) => (text === null ? 0 : 1)))]);
    }
  }
  return Object.fromEntries(tensors);
}

/** @throws RECLOOM_DAT_SNAPSHOT_CORRUPT when the tensors are no table. */
export function decodeTable(tensors: ComponentState, file: string): ColumnarTable {
  const reader = new TensorReader(tensors, file);
  const fields = reader.json('fields');
  if (!Array.isArray(fields)) throw reader.corrupt('tensor fields is no list');
  const ids = decodeStrings(reader, 'ids');
  const columns = new Map(
    fields.map((entry: { name?: unknown; type?: unknown }): [string, Column] => {
      if (typeof entry?.name !== 'string') throw reader.corrupt('tensor fields names no field');
      return [entry.name, decodeColumn(reader, `column.${entry.name}`, entry.type, ids.length)];
    }),
  );
  try {
    return createTable(ids, columns);
  } catch (error) {
    throw reader.corrupt((error as Error).message);
  }
}

function decodeColumn(reader: TensorReader, prefix: string, type: unknown, rowCount: number): Column {
  switch (type as ColumnType) {
    case 'number':
      return { type: 'number', values: reader.read(`${prefix}.values`, Float64Array, rowCount) };
    case 'boolean':
      return { type: 'boolean', values: reader.read(`${prefix}.values`, Uint8Array, rowCount) };
    case 'category': {
      const categories = decodeStrings(reader, `${prefix}.categories`);
      const codes = reader.read(`${prefix}.codes`, Int32Array, rowCount);
      checkCodes(reader, codes, -1, categories.length, `${prefix}.codes`);
      return { type: 'category', codes, categories };
    }
    case 'list': {
      const categories = decodeStrings(reader, `${prefix}.categories`);
      const codes = reader.read(`${prefix}.codes`, Int32Array);
      checkCodes(reader, codes, 0, categories.length, `${prefix}.codes`);
      return { type: 'list', offsets: reader.offsets(`${prefix}.offsets`, rowCount + 1, codes.length), codes, categories };
    }
    case 'text':
    case 'image': {
      const values: (string | null)[] = decodeStrings(reader, `${prefix}.values`, rowCount);
      const present = reader.read(`${prefix}.present`, Uint8Array, rowCount);
      for (let row = 0; row < rowCount; row++) if (present[row] === 0) values[row] = null;
      return { type: type as 'text' | 'image', values };
    }
    default:
      throw reader.corrupt(`${prefix} has an unknown type`);
  }
}

/** The history as tensors named like its fields; `typeNames` as UTF-8 bytes with offsets. */
export function encodeHistory(history: HistoryStore): ComponentState {
  return Object.fromEntries([
    ['offsets', tensor(history.offsets)],
    ['items', tensor(history.items)],
    ['types', tensor(history.types)],
    ['weights', tensor(history.weights)],
    ['timesMs', tensor(history.timesMs)],
    ...(history.baskets === undefined ? [] : [['baskets', tensor(history.baskets)] as [string, Tensor]]),
    ...encodeStrings(history.typeNames, 'typeNames'),
  ]);
}

/** @throws RECLOOM_DAT_SNAPSHOT_CORRUPT when the tensors are no history of so many users and items. */
export function decodeHistory(tensors: ComponentState, userCount: number, itemCount: number, file: string): HistoryStore {
  const reader = new TensorReader(tensors, file);
  const items = reader.read('items', Int32Array);
  const eventCount = items.length;
  const typeNames = decodeStrings(reader, 'typeNames');
  const types = reader.read('types', Uint8Array, eventCount);
  checkCodes(reader, items, 0, itemCount, 'items');
  checkCodes(reader, types, 0, typeNames.length, 'types');
  const baskets = reader.optional('baskets', Int32Array);
  return {
    userCount,
    itemCount,
    eventCount,
    offsets: reader.offsets('offsets', userCount + 1, eventCount),
    items,
    types,
    weights: reader.read('weights', Float32Array, eventCount),
    timesMs: reader.read('timesMs', Float64Array, eventCount),
    ...(baskets === undefined ? {} : { baskets: reader.read('baskets', Int32Array, eventCount) }),
    typeNames,
  };
}

function checkCodes(reader: TensorReader, codes: Int32Array | Uint8Array, lowest: number, count: number, name: string): void {
  for (let index = 0; index < codes.length; index++) {
    const code = codes[index] as number;
    if (code < lowest || code >= count) throw reader.corrupt(`tensor ${name} has a number out of range`);
  }
}
