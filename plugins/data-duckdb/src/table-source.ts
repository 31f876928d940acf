import {
  type Column,
  type ColumnType,
  type DataBatch,
  type DataReadContext,
  type DataReport,
  type DataSource,
  recloomError,
  type Warning,
} from '@recloom/plugin-api';
import type { Engine, EngineChunk } from './duckdb-engine.js';
import { type Aggregate, type FieldMapping, type FieldType, fieldTypes, type TableOptions, type ValueMapping } from './options.js';
import { readError } from './read-error.js';
import { columnClass } from './relation.js';
import {
  badValuesWarning,
  type CountedRows,
  describeNothing,
  type Mapper,
  SourceReader,
  type StageColumn,
  type Staged,
  sourceFingerprint,
  stagedTable,
} from './source-reader.js';
import { booleanSql, listSql, numberSql, type ReadValue, type SqlValue, textSql, timeSql, typeClass } from './value-sql.js';

const batchRows = 8_192;

/** A category has at most this many values, and a fifth as many as there are ids; text beyond that stays text. */
const mostInferredCategories = 1_000;

interface Field {
  readonly name: string;
  /** Column of the staged table that holds it; `<column>_bad` where a value could not be read. */
  readonly staged: string;
  readonly label: string;
  /** `inferred` text becomes text or category when all values are known. */
  readonly type: FieldType | 'inferred';
  readonly aggregate: Aggregate;
  readonly fallible: boolean;
}

const nouns: Readonly<Record<FieldType | 'inferred', string>> = {
  inferred: 'what its other values are',
  text: 'a text',
  number: 'a number',
  category: 'a category',
  boolean: 'true or false',
  list: 'a list',
  image: 'an image',
  time: 'a time',
};

/**
 * Reads items or users: column `id` (text, unique, ascending by bytes) and one column per field. Rows of one id are joined by the
 * field's aggregate. A value that cannot be read counts as missing and is reported; the row stays.
 */
export class TableSource implements DataSource {
  readonly #kind: 'items' | 'users';
  readonly #options: TableOptions;
  readonly #directory: string;
  #report: DataReport | undefined;

  constructor(kind: 'items' | 'users', options: TableOptions, directory: string) {
    this.#kind = kind;
    this.#options = options;
    this.#directory = directory;
  }

  /**
   * @throws RECLOOM_DAT_FILE_MISSING, RECLOOM_DAT_UNREADABLE, RECLOOM_DAT_ENCODING, RECLOOM_DAT_COLUMN_MISSING,
   * RECLOOM_DAT_QUERY_REFUSED, RECLOOM_DAT_TOO_MANY_BAD, RECLOOM_DAT_EMPTY, RECLOOM_CFG_TYPE for an aggregate that does not fit its field
   */
  async *read(context: DataReadContext): AsyncGenerator<DataBatch> {
    const { signal } = context;
    const reader = await SourceReader.open(this.#options, this.#directory, signal);
    try {
      context.progress(0.05, 'opened');
      let fields: readonly Field[] = [];
      const staged = await reader.stage(
        async (mapper) => {
          const planned = await this.#plan(reader, mapper, signal);
          fields = planned.fields;
          return planned.columns;
        },
        (fraction, note) => context.progress(fraction, note),
      );
      const { bad, warnings } = await this.#unreadableFields(reader, fields, staged, signal);
      this.#report = {
        rowsRead: staged.rowsRead,
        rowsKept: staged.rowsKept,
        dropped: staged.dropped,
        warnings: [...staged.warnings, ...warnings],
      };
      reader.checkShare(staged, staged.bad);
      for (const field of bad) reader.checkShare(staged, [...staged.bad, field]);
      if (staged.rowsKept === 0) throw recloomError('RECLOOM_DAT_EMPTY', { what: describeNothing(this.#kind, staged) });

      await joinRows(reader.engine, fields, signal);
      const types = await finalTypes(reader.engine, fields, signal);
      context.progress(0.8, 'joined');
      yield* this.#batches(reader.engine, fields, types, context);
    } catch (error) {
      signal.throwIfAborted();
      throw readError(error, []);
    } finally {
      await reader.close();
    }
  }

  report(): DataReport {
    return this.#report ?? { rowsRead: 0, rowsKept: 0, dropped: [], warnings: [] };
  }

  fingerprint(signal: AbortSignal): Promise<string> {
    return sourceFingerprint(this.#kind, this.#options, this.#directory, signal);
  }

  async #plan(
    reader: SourceReader,
    mapper: Mapper,
    signal: AbortSignal,
  ): Promise<{ readonly columns: StageColumn[]; readonly fields: Field[] }> {
    const options = this.#options;
    const id = await mapper.value('id', options.id);
    const columns: StageColumn[] = [{ name: 'id', sql: textSql(id), label: id.label, required: 'id' }];
    const fields: Field[] = [];
    for (const [index, [name, mapping]] of Object.entries(options.fields).entries()) {
      const spec = fieldSpec(name, mapping, reader.columnNames);
      const value = await mapper.value(`fields.${name}`, spec.mapping);
      const type = spec.type ?? (await inferType(reader, value, spec.mapping, signal));
      const aggregate = spec.aggregate ?? defaultAggregate(type);
      checkAggregate(name, type, aggregate);
      const read = await readAs(reader, mapper, value, type, options, spec.separator, signal);
      const staged = `field${index}`;
      columns.push({ name: staged, sql: read.sql, label: value.label, ...(read.fallible ? { readFrom: value, unreadable: 'null' } : {}) });
      fields.push({ name, staged, label: value.label, type, aggregate, fallible: read.fallible });
    }
    const place = options.orderBy === undefined ? '0' : (await mapper.typedValue('orderBy', options.orderBy)).sql;
    columns.push({ name: 'place', sql: place, label: 'orderBy' });
    return { columns, fields };
  }

  async #unreadableFields(
    reader: SourceReader,
    fields: readonly Field[],
    staged: Staged,
    signal: AbortSignal,
  ): Promise<{ readonly bad: CountedRows[]; readonly warnings: Warning[] }> {
    const fallible = fields.filter((field) => field.fallible);
    if (fallible.length === 0) return { bad: [], warnings: [] };
    const tests = fallible.map(({ staged: column }) => {
      const filter = `FILTER (reason = 0 AND ${column}_bad)`;
      return `count(*) ${filter} AS ${column}_count, min(rowid, 3) ${filter} AS ${column}_first`;
    });
    const [row] = await reader.engine.rows(`SELECT ${tests.join(', ')} FROM ${stagedTable}`, signal);
    const bad: CountedRows[] = [];
    const warnings: Warning[] = [];
    for (const field of fallible) {
      const count = Number(row?.[`${field.staged}_count`] ?? 0);
      if (count === 0) continue;
      const first = row?.[`${field.staged}_first`] as readonly number[];
      const located = await staged.locate(first);
      const places = first.map((place) => located.get(place)).filter((place) => place !== undefined);
      bad.push({ label: field.label, count, places, wanted: { option: `fields.${field.name}`, what: nouns[field.type] } });
      warnings.push(
        badValuesWarning(field.label, count, places, reader.hasOneFile, count === 1 ? 'it counts as missing' : 'they count as missing'),
      );
    }
    return { bad, warnings };
  }

  async *#batches(
    engine: Engine,
    fields: readonly Field[],
    types: readonly ColumnType[],
    context: DataReadContext,
  ): AsyncGenerator<DataBatch> {
    const builders = fields.map((_, index) => makeBuilder(types[index] ?? 'text'));
    let ids: (string | null)[] = [];
    const finish = (): DataBatch => {
      const columns: Record<string, Column> = { id: { type: 'text', values: ids } };
      for (const [index, field] of fields.entries()) columns[field.name] = (builders[index] as ColumnBuilder).take();
      const rowCount = ids.length;
      ids = [];
      return { rowCount, columns };
    };
    const selected = ['id', ...fields.map((field) => field.staged)];
    for await (const chunk of engine.chunks(`SELECT ${selected.join(', ')} FROM joined ORDER BY id`, context.signal)) {
      // DuckDB's chunks may depend on its threads; batches are always full, so that they do not.
      for (let from = 0; from < chunk.rowCount; ) {
        const to = Math.min(chunk.rowCount, from + batchRows - ids.length);
        chunk.copyTexts(0, ids, ids.length, from, to);
        for (const [index, builder] of builders.entries()) builder.add(chunk, index + 1, from, to);
        from = to;
        if (ids.length === batchRows) yield finish();
      }
    }
    if (ids.length > 0) yield finish();
    context.progress(1);
  }
}

interface FieldSpec {
  readonly mapping: ValueMapping;
  readonly type: FieldType | undefined;
  readonly aggregate: Aggregate | undefined;
  readonly separator: string;
}

/** A bare word is a column where there is one of that name, else a type, else a column that is missing. */
function fieldSpec(name: string, mapping: FieldMapping, columns: readonly string[]): FieldSpec {
  const separator = '|';
  if (typeof mapping === 'string') {
    const isType = (fieldTypes as readonly string[]).includes(mapping) && !columns.includes(mapping);
    return { mapping: isType ? name : mapping, type: isType ? (mapping as FieldType) : undefined, aggregate: undefined, separator };
  }
  return {
    mapping: mapping.sql === undefined ? (mapping.column ?? mapping.from ?? name) : { sql: mapping.sql },
    type: mapping.type,
    aggregate: mapping.aggregate,
    separator: mapping.separator,
  };
}

async function inferType(
  reader: SourceReader,
  value: SqlValue,
  mapping: ValueMapping,
  signal: AbortSignal,
): Promise<FieldType | 'inferred'> {
  const found = typeof mapping === 'string' ? await columnClass(reader.typed, reader.relation, mapping, signal) : typeClass(value.type);
  return found === 'text' || found === 'other' ? 'inferred' : found;
}

function defaultAggregate(type: FieldType | 'inferred'): Aggregate {
  switch (type) {
    case 'number':
      return 'median';
    case 'list':
      return 'union';
    case 'time':
      return 'last';
    default:
      return 'mode';
  }
}

const aggregatesByType: Readonly<Record<FieldType | 'inferred', readonly Aggregate[]>> = {
  inferred: ['mode', 'first', 'last', 'min', 'max', 'count'],
  text: ['mode', 'first', 'last', 'min', 'max', 'count'],
  category: ['mode', 'first', 'last', 'min', 'max', 'count'],
  image: ['mode', 'first', 'last', 'min', 'max', 'count'],
  boolean: ['mode', 'first', 'last', 'min', 'max', 'count'],
  number: ['mode', 'first', 'last', 'min', 'max', 'median', 'mean', 'sum', 'count'],
  time: ['mode', 'first', 'last', 'min', 'max', 'median', 'mean', 'count'],
  list: ['first', 'last', 'union', 'count'],
};

function checkAggregate(name: string, type: FieldType | 'inferred', aggregate: Aggregate): void {
  const allowed = aggregatesByType[type];
  if (allowed.includes(aggregate)) return;
  throw recloomError('RECLOOM_CFG_TYPE', {
    key: `fields.${name}.aggregate`,
    why: `${aggregate} does not fit a field of type ${type === 'inferred' ? 'text' : type}; use one of ${allowed.join(', ')}`,
  });
}

async function readAs(
  reader: SourceReader,
  mapper: Mapper,
  value: SqlValue,
  type: FieldType | 'inferred',
  options: TableOptions,
  separator: string,
  signal: AbortSignal,
): Promise<ReadValue> {
  switch (type) {
    case 'number':
      return numberSql(value, options.decimal);
    case 'boolean':
      return booleanSql(value);
    case 'list':
      return listSql(value, separator);
    case 'time':
      return timeSql(value, await reader.typed.timeNotation(value, (scan) => mapper.from(scan), signal), options.decimal);
    default:
      return { sql: `trim(${textSql(value)})`, fallible: false };
  }
}

/** Joins the rows of each id into the table `joined`: `id` and one column per field. */
async function joinRows(engine: Engine, fields: readonly Field[], signal: AbortSignal): Promise<void> {
  const together: string[] = [];
  const joins: string[] = [];
  const selected = ['rows.id'];
  for (const field of fields) {
    const column = field.staged;
    if (field.aggregate === 'mode') {
      // Most frequent, ties ascending: its own grouping, since the counts are per value.
      joins.push(
        `LEFT JOIN (SELECT id, first(${column} ORDER BY n DESC, ${column}) AS ${column}
           FROM (SELECT id, ${column}, count(*) AS n FROM ${stagedTable} WHERE reason = 0 AND ${column} IS NOT NULL GROUP BY id, ${column})
           GROUP BY id) AS mode_${column} ON mode_${column}.id = rows.id`,
      );
      selected.push(`mode_${column}.${column}`);
    } else {
      together.push(`${aggregateSql(field)} AS ${column}`);
      selected.push(`rows.${column}`);
    }
  }
  const rows = `SELECT id${together.map((sql) => `, ${sql}`).join('')} FROM (SELECT rowid AS place2, * FROM ${stagedTable}) WHERE reason = 0 GROUP BY id`;
  await engine.run(
    `CREATE OR REPLACE TEMP TABLE joined AS SELECT ${selected.join(', ')} FROM (${rows}) AS rows ${joins.join(' ')}`,
    signal,
  );
}

function aggregateSql(field: Field): string {
  const column = field.staged;
  const filled = `FILTER (${column} IS NOT NULL)`;
  switch (field.aggregate) {
    case 'first':
      return `first(${column} ORDER BY place NULLS LAST, place2) ${filled}`;
    case 'last':
      return `last(${column} ORDER BY place NULLS FIRST, place2) ${filled}`;
    case 'mean':
      // Ordered, so that the sum does not depend on how threads share the rows.
      return `avg(${column} ORDER BY place2)`;
    case 'sum':
      return `sum(${column} ORDER BY place2)`;
    case 'count':
      return `CAST(count(${column}) AS DOUBLE)`;
    case 'union':
      return `list_sort(list_distinct(flatten(list(${column}) ${filled})))`;
    default:
      return `${field.aggregate}(${column})`;
  }
}

/** The column types as they are handed on: `time` and counts as numbers, inferred text as category when few values repeat. */
async function finalTypes(engine: Engine, fields: readonly Field[], signal: AbortSignal): Promise<ColumnType[]> {
  const types: ColumnType[] = [];
  for (const field of fields) {
    if (field.aggregate === 'count' || field.type === 'time') types.push('number');
    else if (field.type !== 'inferred') types.push(field.type);
    else {
      const [row] = await engine.rows(`SELECT count(DISTINCT ${field.staged}) AS n, count(*) AS ids FROM joined`, signal);
      const distinct = Number(row?.['n'] ?? 0);
      types.push(distinct <= mostInferredCategories && distinct * 5 <= Number(row?.['ids'] ?? 0) ? 'category' : 'text');
    }
  }
  return types;
}

interface ColumnBuilder {
  /** Adds rows `[from, to)` of a chunk. */
  add(chunk: EngineChunk, column: number, from: number, to: number): void;
  /** What was added since the last call. */
  take(): Column;
}

function makeBuilder(type: ColumnType): ColumnBuilder {
  switch (type) {
    case 'number': {
      let parts: Float64Array[] = [];
      return {
        add(chunk, column, from, to) {
          const part = new Float64Array(to - from);
          chunk.copyNumbers(column, part, 0, Number.NaN, from, to);
          parts.push(part);
        },
        take() {
          const values = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
          let start = 0;
          for (const part of parts) {
            values.set(part, start);
            start += part.length;
          }
          parts = [];
          return { type, values };
        },
      };
    }
    case 'boolean': {
      let values: number[] = [];
      return {
        add(chunk, column, from, to) {
          const part = new Uint8Array(to - from);
          chunk.copyNumbers(column, part, 0, 255, from, to);
          for (const value of part) values.push(value);
        },
        take() {
          const column: Column = { type, values: Uint8Array.from(values) };
          values = [];
          return column;
        },
      };
    }
    case 'text':
    case 'image': {
      let values: (string | null)[] = [];
      return {
        add(chunk, column, from, to) {
          chunk.copyTexts(column, values, values.length, from, to);
        },
        take() {
          const column: Column = { type, values };
          values = [];
          return column;
        },
      };
    }
    case 'category': {
      const dictionary = new Dictionary();
      let codes: number[] = [];
      return {
        add(chunk, column, from, to) {
          const texts: (string | null)[] = [];
          chunk.copyTexts(column, texts, 0, from, to);
          for (const text of texts) codes.push(text === null ? -1 : dictionary.code(text));
        },
        take() {
          const column: Column = { type, codes: Int32Array.from(codes), categories: dictionary.categories };
          codes = [];
          return column;
        },
      };
    }
    case 'list': {
      const dictionary = new Dictionary();
      let offsets: number[] = [0];
      let codes: number[] = [];
      return {
        add(chunk, column, from, to) {
          const visit = (entries: readonly string[]): void => {
            for (const entry of entries) codes.push(dictionary.code(entry));
            offsets.push(codes.length);
          };
          chunk.visitLists(column, visit, from, to);
        },
        take() {
          const column: Column = {
            type,
            offsets: Int32Array.from(offsets),
            codes: Int32Array.from(codes),
            categories: dictionary.categories,
          };
          offsets = [0];
          codes = [];
          return column;
        },
      };
    }
  }
}

/** Texts by order of first appearance; shared by all batches of a read. */
class Dictionary {
  readonly categories: string[] = [];
  readonly #codes = new Map<string, number>();

  code(text: string): number {
    const known = this.#codes.get(text);
    if (known !== undefined) return known;
    this.#codes.set(text, this.categories.length);
    return this.categories.push(text) - 1;
  }
}
