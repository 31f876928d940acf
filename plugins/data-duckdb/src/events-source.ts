import type { CategoryColumn, Column, DataBatch, DataReadContext, DataReport, DataSource, Warning } from '@recloom/plugin-api';
import { recloomError } from '@recloom/plugin-api';
import type { Engine } from './duckdb-engine.js';
import type { EventsOptions, ValueMapping } from './options.js';
import { readError } from './read-error.js';
import {
  describeNothing,
  type Mapper,
  SourceReader,
  type StageColumn,
  type Staged,
  sourceFingerprint,
  stagedTable,
} from './source-reader.js';
import { quoteText } from './sql-text.js';
import { numberSql, type ReadValue, type SqlValue, textSql, timeSql } from './value-sql.js';

/** Rows per batch: large enough that a batch costs nothing, small enough to be freed soon. */
const batchRows = 32_768;

type CategoryName = 'user' | 'item' | 'type' | 'basket';

/**
 * Reads events. Columns: `user`, `item` and, where mapped, `type` and `basket` (category; code -1 = none; the dictionary ascends and is
 * complete in the first batch), `timeMs` (milliseconds since the epoch), `weight` where mapped. Rows come in
 * the order of the source.
 */
export class EventsSource implements DataSource {
  readonly #options: EventsOptions;
  readonly #directory: string;
  #report: DataReport | undefined;

  constructor(options: EventsOptions, directory: string) {
    this.#options = options;
    this.#directory = directory;
  }

  /**
   * @throws RECLOOM_DAT_FILE_MISSING, RECLOOM_DAT_UNREADABLE, RECLOOM_DAT_ENCODING, RECLOOM_DAT_COLUMN_MISSING,
   * RECLOOM_DAT_QUERY_REFUSED, RECLOOM_DAT_TOO_MANY_BAD, RECLOOM_DAT_EMPTY
   */
  async *read(context: DataReadContext): AsyncGenerator<DataBatch> {
    const { signal } = context;
    const options = this.#options;
    const reader = await SourceReader.open(options, this.#directory, signal);
    try {
      context.progress(0.05, 'opened');
      const staged = await reader.stage(
        (mapper) => this.#plan(reader, mapper, signal),
        (fraction, note) => context.progress(fraction, note),
      );
      this.#report = reportOf(staged, []);
      reader.checkShare(staged, staged.bad);
      if (staged.rowsKept === 0) throw recloomError('RECLOOM_DAT_EMPTY', { what: describeNothing('events', staged) });

      const dictionaries = await makeDictionaries(reader.engine, this.#categories(), signal);
      context.progress(0.7, 'dictionaries');
      const weightByType = this.#weightByType(dictionaries.get('type') ?? []);
      this.#report = reportOf(staged, await this.#weightWarnings(reader.engine, dictionaries.get('type') ?? [], signal));
      yield* this.#batches(reader.engine, dictionaries, weightByType, staged, context);
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
    return sourceFingerprint('events', this.#options, this.#directory, signal);
  }

  #categories(): CategoryName[] {
    const { type, basket } = this.#options;
    const names: CategoryName[] = ['user', 'item'];
    if (type !== undefined && !(typeof type === 'object' && 'value' in type)) names.push('type');
    if (basket !== undefined) names.push('basket');
    return names;
  }

  /** Milliseconds of the first row's made-up time; undefined when times are read. */
  get #sequenceStart(): number | undefined {
    const { time } = this.#options;
    return typeof time === 'object' && 'sequence' in time ? Date.parse(time.sequence) : undefined;
  }

  get #isWeighted(): boolean {
    return this.#options.weight !== undefined || this.#options.weights !== undefined;
  }

  async #plan(reader: SourceReader, mapper: Mapper, signal: AbortSignal): Promise<StageColumn[]> {
    const options = this.#options;
    const columns: StageColumn[] = [];
    for (const name of this.#categories()) {
      const mapping = options[name];
      if (mapping === undefined || (typeof mapping === 'object' && 'value' in mapping)) continue;
      const value = await mapper.value(name, mapping);
      columns.push({ name, sql: textSql(value), label: value.label, ...(name === 'item' ? { required: 'item' } : {}) });
    }
    if (this.#sequenceStart === undefined) {
      const value = await mapper.value('time', options.time as ValueMapping);
      const notation = await reader.typed.timeNotation(value, (scan) => mapper.from(scan), signal);
      const time = timeSql(value, notation, options.decimal);
      columns.push({
        name: 'time',
        sql: time.sql,
        label: value.label,
        wanted: { option: 'time', what: 'a time' },
        ...dropUnreadable(time, value),
        required: 'time',
      });
    }
    if (options.weight !== undefined) {
      const value = await mapper.value('weight', options.weight);
      const weight = numberSql(value, options.decimal);
      columns.push({ name: 'weight', sql: weight.sql, label: value.label, ...dropUnreadable(weight, value) });
    }
    return columns;
  }

  #weightByType(types: readonly string[]): Float64Array {
    return Float64Array.from(types, (type) => this.#weightOf(type));
  }

  #weightOf(type: string): number {
    const { weights } = this.#options;
    return weights !== undefined && Object.hasOwn(weights, type) ? (weights[type] ?? 1) : 1;
  }

  async #weightWarnings(engine: Engine, types: readonly string[], signal: AbortSignal): Promise<Warning[]> {
    const { weights, type } = this.#options;
    if (weights === undefined) return [];
    const constant = typeof type === 'object' && 'value' in type ? type.value : undefined;
    const present = constant === undefined ? types : [constant];
    const unused = Object.keys(weights).filter((name) => !present.includes(name));
    const unweighted = present.filter((name) => !Object.hasOwn(weights, name));
    let count = 0;
    if (unweighted.length > 0 && constant === undefined) {
      const list = unweighted.map(quoteText).join(', ');
      const [row] = await engine.rows(`SELECT count(*) AS n FROM ${stagedTable} WHERE reason = 0 AND "type" IN (${list})`, signal);
      count = Number(row?.['n'] ?? 0);
    }
    if (unused.length === 0 && unweighted.length === 0) return [];
    const parts: string[] = [];
    if (unweighted.length > 0)
      parts.push(
        `${count > 0 ? `${count} event${count === 1 ? ' is' : 's are'}` : 'events are'} of ${unweighted.length === 1 ? 'a type' : `${unweighted.length} types`} that \`weights\` does not name; ${count === 1 ? 'it weighs' : 'they weigh'} 1`,
      );
    // Names out of the config are safe to repeat; values of the data are not.
    if (unused.length > 0) parts.push(`\`weights\` names ${unused.join(', ')}, which no event has`);
    const text = parts.join('; ');
    return [
      {
        code: 'DATA_DUCKDB_TYPE_WITHOUT_WEIGHT',
        message: `${text.charAt(0).toUpperCase()}${text.slice(1)}.`,
        ...(count > 0 ? { count } : {}),
      },
    ];
  }

  async *#batches(
    engine: Engine,
    dictionaries: ReadonlyMap<CategoryName, readonly string[]>,
    weightByType: Float64Array,
    staged: Staged,
    context: DataReadContext,
  ): AsyncGenerator<DataBatch> {
    const options = this.#options;
    const names = this.#categories();
    // No nulls leave DuckDB: its client tests a bit of a BigInt for each value of a column that has some.
    const selected: string[] = names.map((name) =>
      (dictionaries.get(name)?.length ?? 0) === 0
        ? 'CAST(-1 AS INTEGER)'
        : `coalesce(CAST(enum_code(CAST("${name}" AS "${dictionaryType(name)}")) AS INTEGER), -1)`,
    );
    const sequenceStart = this.#sequenceStart;
    const timeAt = selected.push(sequenceStart === undefined ? '"time"' : `CAST(${sequenceStart} + 1000 * rowid AS DOUBLE)`) - 1;
    const weightAt = options.weight === undefined ? -1 : selected.push('coalesce("weight", 1)') - 1;
    const constantType = typeof options.type === 'object' && 'value' in options.type ? options.type.value : undefined;

    let batch = new BatchBuffers(names, Math.min(batchRows, staged.rowsKept));
    const finish = (): DataBatch => {
      const columns: Record<string, Column> = {};
      for (const name of names) columns[name] = category(batch.take(name), dictionaries.get(name) ?? []);
      columns['timeMs'] = { type: 'number', values: batch.times.subarray(0, batch.length) };
      if (constantType !== undefined) columns['type'] = category(new Int32Array(batch.length), [constantType]);
      if (this.#isWeighted) {
        const weights = batch.weights.subarray(0, batch.length);
        const types = columns['type'];
        const constant = constantType === undefined ? 1 : this.#weightOf(constantType);
        for (let row = 0; row < weights.length; row++) {
          const code = constantType === undefined && types?.type === 'category' ? (types.codes[row] ?? -1) : -1;
          weights[row] = (weights[row] ?? 1) * (code < 0 ? constant : (weightByType[code] ?? 1));
        }
        columns['weight'] = { type: 'number', values: weights };
      }
      return { rowCount: batch.length, columns };
    };
    let done = 0;
    for await (const chunk of engine.chunks(`SELECT ${selected.join(', ')} FROM ${stagedTable} WHERE reason = 0`, context.signal)) {
      // DuckDB's chunks depend on its threads; batches are always full, so that they do not.
      for (let from = 0; from < chunk.rowCount; ) {
        const to = Math.min(chunk.rowCount, from + batch.capacity - batch.length);
        const start = batch.length;
        for (const [index, name] of names.entries()) chunk.copyNumbers(index, batch.codes(name), start, -1, from, to);
        chunk.copyNumbers(timeAt, batch.times, start, Number.NaN, from, to);
        if (weightAt >= 0) chunk.copyNumbers(weightAt, batch.weights, start, 1, from, to);
        batch.length += to - from;
        done += to - from;
        from = to;
        if (batch.length < batch.capacity) continue;
        yield finish();
        context.progress(0.7 + (0.3 * done) / staged.rowsKept);
        batch = new BatchBuffers(names, Math.min(batchRows, staged.rowsKept - done));
      }
    }
    if (batch.length > 0) yield finish();
    context.progress(1);
  }
}

function dropUnreadable(read: ReadValue, value: SqlValue): Pick<StageColumn, 'readFrom' | 'unreadable'> {
  return read.fallible ? { readFrom: value, unreadable: 'drop' } : {};
}

/** Arrays of one batch, handed over to the receiver when it is full. */
class BatchBuffers {
  readonly capacity: number;
  readonly times: Float64Array;
  readonly weights: Float64Array;
  readonly #codes = new Map<CategoryName, Int32Array>();
  length = 0;

  constructor(names: readonly CategoryName[], capacity: number) {
    this.capacity = capacity;
    this.times = new Float64Array(capacity);
    this.weights = new Float64Array(capacity).fill(1);
    for (const name of names) this.#codes.set(name, new Int32Array(capacity));
  }

  codes(name: CategoryName): Int32Array {
    return this.#codes.get(name) as Int32Array;
  }

  take(name: CategoryName): Int32Array {
    return this.codes(name).subarray(0, this.length);
  }
}

function category(codes: Int32Array, categories: readonly string[]): CategoryColumn {
  return { type: 'category', codes, categories };
}

function dictionaryType(name: CategoryName): string {
  return `dictionary_${name}`;
}

/**
 * Makes enum types of the columns' values, so that DuckDB does the encoding; gives the values, ascending by bytes. A column without
 * any value gets none.
 */
async function makeDictionaries(
  engine: Engine,
  names: readonly CategoryName[],
  signal: AbortSignal,
): Promise<Map<CategoryName, readonly string[]>> {
  const dictionaries = new Map<CategoryName, readonly string[]>();
  const [counts] = await engine.rows(
    `SELECT ${names.map((name) => `count("${name}") AS "${name}"`).join(', ')} FROM ${stagedTable} WHERE reason = 0`,
    signal,
  );
  for (const name of names) {
    const values: (string | null)[] = [];
    dictionaries.set(name, values as string[]);
    if (Number(counts?.[name] ?? 0) === 0) continue;
    const type = `"${dictionaryType(name)}"`;
    await engine.run(
      `CREATE TYPE ${type} AS ENUM (SELECT DISTINCT "${name}" AS value FROM ${stagedTable} WHERE reason = 0 AND "${name}" IS NOT NULL ORDER BY value)`,
      signal,
    );
    for await (const chunk of engine.chunks(`SELECT unnest(enum_range(CAST(NULL AS ${type})))`, signal))
      chunk.copyTexts(0, values, values.length);
  }
  return dictionaries;
}

function reportOf(staged: Staged, more: readonly Warning[]): DataReport {
  return { rowsRead: staged.rowsRead, rowsKept: staged.rowsKept, dropped: staged.dropped, warnings: [...staged.warnings, ...more] };
}
