import { type CandidateBatch, columnValue, type InferenceTensor, type RequestView, type Table } from '@recloom/plugin-api';
import type { Arena, InputFiller } from './input-filler.js';
import { writeIntegers } from './integers.js';
import { scorerError } from './plugin-error.js';

/** Numbers by value: 1 + the place in a vocabulary. */
export class Vocabulary {
  readonly #numbers: ReadonlyMap<string, number>;
  readonly unknown: number;

  constructor(values: readonly string[], unknown: number) {
    this.#numbers = new Map(values.map((value, place) => [value, place + 1]));
    this.unknown = unknown;
  }

  /** The number of a value; `unknown` for null and for what is not in the vocabulary. */
  numberOf(value: string | number | boolean | null | undefined): number {
    if (value === null || value === undefined) return this.unknown;
    return this.#numbers.get(typeof value === 'string' ? value : String(value)) ?? this.unknown;
  }
}

/** What a category input needs to know. */
export interface CategorySettings {
  readonly input: string;
  /** `item.<field>`, `item.id`, `user.<field>` or `request.<key>`. */
  readonly source: string;
  readonly vocabulary: Vocabulary;
  readonly type: 'int64' | 'int32';
  /** Shape in the graph: [rows] or [rows, 1]. */
  readonly rank: 1 | 2;
  readonly place: string;
}

/**
 * An integer input with the number of a category per candidate.
 *
 * @throws SCORER_ONNX_INPUT when the item field does not exist or is a list or a picture.
 */
export function categoryInput(settings: CategorySettings, items: Table): InputFiller {
  const { input, source, type, rank } = settings;
  const dot = source.indexOf('.');
  const namespace = source.slice(0, dot);
  const name = source.slice(dot + 1);
  const write = namespace === 'item' ? itemWriter(settings, name, items) : requestWriter(settings, namespace, name);
  return {
    input,
    perCandidate: true,
    reads: [],
    fill(batch: CandidateBatch, arena: Arena): InferenceTensor {
      const numbers = arena.words(batch.count);
      write(batch, numbers);
      const dims = rank === 1 ? [batch.count] : [batch.count, 1];
      return type === 'int32' ? { type, dims, data: numbers } : { type, dims, data: writeIntegers(numbers, arena.longs(batch.count)) };
    },
  };
}

type Writer = (batch: CandidateBatch, numbers: Int32Array) => void;

function requestWriter({ vocabulary }: CategorySettings, namespace: string, name: string): Writer {
  const read =
    namespace === 'user'
      ? (request: RequestView): string | number | boolean | null | undefined => request.userField(name)
      : (request: RequestView): string | number | boolean | null | undefined =>
          Object.hasOwn(request.context, name) ? request.context[name] : undefined;
  return (batch, numbers) => {
    for (const [index, request] of batch.requests.entries()) {
      const start = batch.offsets[index] as number;
      const end = batch.offsets[index + 1] as number;
      if (end > start) numbers.fill(vocabulary.numberOf(read(request)), start, end);
    }
  };
}

function itemWriter({ vocabulary, source, place }: CategorySettings, field: string, items: Table): Writer {
  if (field !== 'id' || items.fields.includes('id')) {
    const type = items.fields.includes(field) ? items.column(field)?.type : undefined;
    if (type === undefined) {
      const known = ['id', ...items.fields].join(', ');
      throw scorerError('SCORER_ONNX_INPUT', `${place}: items have no field "${field}"; they have ${known}.`);
    }
    if (type === 'list' || type === 'image') {
      throw scorerError('SCORER_ONNX_INPUT', `${place}: ${source} is ${type === 'list' ? 'a list' : 'a picture'}, not one category.`);
    }
  }
  return new ItemNumbers(vocabulary, field, items).write;
}

/** Looks a value up once per item, and again after the catalogue has changed. */
class ItemNumbers {
  readonly #vocabulary: Vocabulary;
  readonly #field: string;
  readonly #items: Table;
  #version = Number.NaN;
  /** -1: not looked up yet. */
  #numbers = new Int32Array(0);

  constructor(vocabulary: Vocabulary, field: string, items: Table) {
    this.#vocabulary = vocabulary;
    this.#field = field;
    this.#items = items;
  }

  readonly write: Writer = (batch, numbers) => {
    const items = this.#items;
    if (this.#version !== items.version || this.#numbers.length < items.rowCount) {
      this.#numbers = new Int32Array(items.rowCount).fill(-1);
      this.#version = items.version;
    }
    const known = this.#numbers;
    for (let place = 0; place < batch.count; place++) {
      const row = batch.rows[place] as number;
      let number = known[row] ?? this.#vocabulary.unknown;
      if (number < 0) {
        number = this.#numberOf(row);
        known[row] = number;
      }
      numbers[place] = number;
    }
  };

  #numberOf(row: number): number {
    const items = this.#items;
    if (this.#field === 'id' && !items.fields.includes('id')) return this.#vocabulary.numberOf(items.idOf(row));
    const column = items.column(this.#field);
    const value = column === undefined ? null : columnValue(column, row);
    return this.#vocabulary.numberOf(typeof value === 'object' ? null : value);
  }
}
