import { recloomError, type Warning } from '@recloom/plugin-api';
import { type CsvDialect, columnNames, detectDelimiter, parseFirstRecord } from './csv-records.js';
import type { Engine } from './duckdb-engine.js';
import { type InputFile, literalPath, readHead } from './input-files.js';
import type { SourceOptions } from './options.js';
import { readError } from './read-error.js';
import { quoteIdentifier, quoteText, quoteTextList } from './sql-text.js';
import { detectTimeNotation, plainNumberSql, type SqlValue, type TimeNotation, timeSql, typeClass } from './value-sql.js';

/** Rows that are looked at to tell what a column holds. */
export const sampleRows = 10_240;
const headCharacters = 1 << 18;

/** What a text file's column is inside SQL. */
export type ColumnKind = 'text' | 'integer' | 'number' | 'timestamp' | 'timestamptz' | 'boolean' | 'time';

/** A column that is read: as the file has it, and as it is wanted. */
export interface RelationColumn {
  readonly name: string;
  /** The value as the file has it, as SQL over `scan`. */
  readonly raw: SqlValue;
}

/** Rows of files, of one query, or of nothing but text. */
export interface Relation {
  readonly columns: readonly RelationColumn[];
  readonly names: readonly string[];
  /** Everything is text: types are a matter of reading (CSV). Otherwise the columns come typed. */
  readonly isText: boolean;
  /** Files whose rows come in this order, one row per record, when line numbers can be told. */
  readonly lineFiles: readonly InputFile[];
  readonly dialect: CsvDialect;
  readonly files: readonly InputFile[];
  readonly warnings: readonly Warning[];
  /** A SELECT of all columns under their raw names. Refused lines go to the tables `rejects_<tag>` and `scans_<tag>`. */
  scan(tag: string): string;
}

const hidden = (index: number): string => `__recloom_${index}`;

/**
 * Looks at the files' first lines or schemas and says how to read them as one relation.
 *
 * @throws RECLOOM_DAT_EMPTY when no file holds anything.
 * @throws RECLOOM_DAT_UNREADABLE when the files are of different formats or not what their names say.
 */
export async function openFiles(engine: Engine, files: readonly InputFile[], options: SourceOptions): Promise<Relation> {
  const [first] = files;
  if (first === undefined) throw new Error('openFiles needs at least one file');
  const stranger = files.find((file) => isCsv(file) !== isCsv(first) || (!isCsv(file) && file.format !== first.format));
  if (stranger !== undefined) {
    throw recloomError('RECLOOM_DAT_UNREADABLE', {
      path: stranger.display,
      why: `its format is not that of ${first.display}; read them apart`,
    });
  }
  return isCsv(first) ? openCsv(engine, files, options) : openTyped(engine, files);
}

function isCsv(file: InputFile): boolean {
  return file.format === 'csv' || file.format === 'tsv';
}

interface CsvGroup {
  readonly files: InputFile[];
  /** Index into the relation's columns, by place in the file. */
  readonly places: readonly number[];
  readonly delimiter: string;
}

async function openCsv(engine: Engine, files: readonly InputFile[], options: SourceOptions): Promise<Relation> {
  const names: string[] = [];
  const groups: CsvGroup[] = [];
  const empty: InputFile[] = [];
  for (const file of files) {
    const head =
      file.sizeBytes === 0
        ? ''
        : ((await readHead(file, options.encoding, headCharacters)) ?? (await headThroughEngine(engine, file, options)));
    const quote = options.quote;
    const delimiter = options.delimiter ?? (file.format === 'tsv' ? '\t' : detectDelimiter(head, quote));
    const record = parseFirstRecord(head, { delimiter, quote });
    if (record === undefined) {
      empty.push(file);
      continue;
    }
    if (head.includes('\0')) {
      // Read as UTF-8, UTF-16 is every other byte a zero, after two bytes that are none.
      throw options.encoding === 'utf-8' && /^(\uFFFD\uFFFD|[^\0]\0)/.test(head)
        ? recloomError('RECLOOM_DAT_ENCODING', { path: file.display })
        : recloomError('RECLOOM_DAT_UNREADABLE', { path: file.display, why: 'it is not text' });
    }
    if (options.header && record.some((name) => name.includes('\uFFFD')))
      throw recloomError('RECLOOM_DAT_ENCODING', { path: file.display });
    const places = columnNames(record, options.header).map((name) => {
      const known = names.findIndex((other) => other.toLowerCase() === name.toLowerCase());
      return known >= 0 ? known : names.push(name) - 1;
    });
    const last = groups[groups.length - 1];
    if (last !== undefined && last.delimiter === delimiter && last.places.join() === places.join()) last.files.push(file);
    else groups.push({ files: [file], places, delimiter });
  }
  const [group] = groups;
  if (group === undefined) throw recloomError('RECLOOM_DAT_EMPTY', { what: `rows in ${files.map((file) => file.display).join(', ')}` });
  const readable = groups.flatMap((entry) => entry.files);
  const escape = options.quote;
  const scan = (tag: string): string =>
    groups
      .map((entry) => {
        const columns = entry.places.map((place) => `${quoteText(hidden(place))}: 'VARCHAR'`).join(', ');
        const reader = [
          `read_csv(${quoteTextList(entry.files.map((file) => literalPath(file.path)))}`,
          'auto_detect = false',
          `header = ${options.header}`,
          `delim = ${quoteText(entry.delimiter)}`,
          `quote = ${quoteText(options.quote)}`,
          `escape = ${quoteText(escape)}`,
          `columns = {${columns}}`,
          `nullstr = ${quoteTextList(options.nullStrings.length > 0 ? options.nullStrings : [''])}`,
          `encoding = ${quoteText(options.encoding)}`,
          // The default of 32 MB makes unpacking and parsing take turns, and a sample read most of a file.
          'buffer_size = 8000000',
          'store_rejects = true',
          'rejects_limit = 0',
          `rejects_table = ${quoteText(`rejects_${tag}`)}`,
          `rejects_scan = ${quoteText(`scans_${tag}`)})`,
        ].join(', ');
        return groups.length === 1 ? `SELECT * FROM ${reader}` : `(SELECT * FROM ${reader})`;
      })
      .join(' UNION ALL BY NAME ');
  return {
    columns: names.map((name, index) => ({ name, raw: { sql: quoteIdentifier(hidden(index)), type: 'VARCHAR', label: name } })),
    names,
    isText: true,
    // One dialect is used for finding lines; groups that differ in it leave the numbers out.
    lineFiles: groups.every((entry) => entry.delimiter === group.delimiter) ? readable : [],
    dialect: { delimiter: group.delimiter, quote: options.quote, header: options.header },
    files: readable,
    warnings: empty.map((file) => ({ code: 'DATA_DUCKDB_EMPTY_FILE', message: `${file.display} holds nothing and was passed over.` })),
    scan,
  };
}

/** The first line of a file that this Node cannot decompress. */
async function headThroughEngine(engine: Engine, file: InputFile, options: SourceOptions): Promise<string> {
  try {
    const rows = await engine.rows(
      `SELECT line FROM read_csv(${quoteText(literalPath(file.path))}, auto_detect = false, header = false, delim = chr(1), quote = '', escape = '',
       columns = {'line': 'VARCHAR'}, encoding = ${quoteText(options.encoding)}) LIMIT 1`,
    );
    return rows.length === 0 ? '' : `${String(rows[0]?.['line'] ?? '')}\n`;
  } catch (error) {
    throw readError(error, [file]);
  }
}

async function openTyped(engine: Engine, files: readonly InputFile[]): Promise<Relation> {
  const full = files.filter((file) => file.sizeBytes > 0);
  const [first] = full;
  if (first === undefined) throw recloomError('RECLOOM_DAT_EMPTY', { what: `rows in ${files.map((file) => file.display).join(', ')}` });
  const list = quoteTextList(full.map((file) => literalPath(file.path)));
  const select =
    first.format === 'parquet'
      ? `SELECT * FROM read_parquet(${list}, union_by_name = true)`
      : `SELECT * FROM read_json(${list}, format = ${first.format === 'ndjson' ? "'newline_delimited'" : "'auto'"}, union_by_name = true,
         sample_size = -1, maximum_sample_files = ${full.length})`;
  const relation = await openSelect(engine, select, full);
  const empty = files.filter((file) => file.sizeBytes === 0);
  return {
    ...relation,
    // A record of NDJSON is a line, and JSON never holds a bare line break.
    lineFiles: first.format === 'ndjson' ? full : [],
    warnings: empty.map((file) => ({ code: 'DATA_DUCKDB_EMPTY_FILE', message: `${file.display} holds nothing and was passed over.` })),
  };
}

/** A relation of a SELECT whose columns come typed. */
export async function openSelect(engine: Engine, select: string, files: readonly InputFile[]): Promise<Relation> {
  try {
    const columns = await engine.describe(select);
    return {
      columns: columns.map(({ name, type }) => ({ name, raw: { sql: quoteIdentifier(name), type, label: name } })),
      names: columns.map((column) => column.name),
      isText: false,
      lineFiles: [],
      dialect: { delimiter: '\n', quote: '', header: false },
      files,
      warnings: [],
      scan: () => select,
    };
  } catch (error) {
    throw readError(error, files);
  }
}

/** A text relation's columns as typed SQL: what expressions and queries see under the columns' names. */
export class TypedColumns {
  readonly #relation: Relation;
  readonly #engine: Engine;
  readonly #options: SourceOptions;
  readonly #sample: string;
  readonly #kinds = new Map<string, ColumnKind>();
  readonly #seconds = new Map<string, ColumnKind>();
  readonly #times = new Map<string, string>();
  #sampled = false;

  /** `tag` names the sample's table; unique within an engine. */
  constructor(engine: Engine, relation: Relation, options: SourceOptions, tag: string) {
    this.#engine = engine;
    this.#relation = relation;
    this.#options = options;
    this.#sample = quoteIdentifier(`sample_${tag}`);
  }

  /** Name of a table with the first rows under their raw names; made on first use. */
  async sample(signal: AbortSignal | undefined): Promise<string> {
    if (!this.#sampled) {
      await this.#engine.run(
        `CREATE TEMP TABLE ${this.#sample} AS SELECT * FROM (${this.#relation.scan('sample')}) LIMIT ${sampleRows}`,
        signal,
      );
      this.#sampled = true;
    }
    return this.#sample;
  }

  /** Finds out what the named columns are, unless that is known. */
  async decide(names: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    if (!this.#relation.isText) return;
    const open: RelationColumn[] = [];
    for (const column of this.#relation.columns) {
      if (!names.includes(column.name) || this.#kinds.has(column.name)) continue;
      const told = Object.entries(this.#options.types).find(([name]) => name === column.name)?.[1];
      if (told === undefined) open.push(column);
      else this.#kinds.set(column.name, told);
      if (told === 'time') {
        const notation = await this.timeNotation(column.raw, (scan) => `(${scan})`, signal);
        this.#times.set(column.name, timeSql(column.raw, notation, this.#options.decimal).sql);
      }
    }
    if (open.length === 0) return;
    const found = await detectKinds(this.#engine, await this.sample(signal), open, this.#options.decimal, signal);
    for (const [name, kind] of found.kinds) this.#kinds.set(name, kind);
    for (const [name, kind] of found.seconds) this.#seconds.set(name, kind);
  }

  /**
   * How a value's times are written. `wrap` makes a FROM entry, in which the value's SQL holds, of a scan.
   *
   * @throws DATA_DUCKDB_TIME_AMBIGUOUS
   */
  async timeNotation(value: SqlValue, wrap: (scan: string) => string, signal: AbortSignal | undefined): Promise<TimeNotation> {
    if (typeClass(value.type) === 'time') return { kind: 'timestamp' };
    const rows = { first: wrap(`SELECT * FROM ${await this.sample(signal)}`), all: wrap(this.#relation.scan('times')) };
    return detectTimeNotation(this.#engine, value, rows, this.#options.timeFormat, signal);
  }

  kind(name: string): ColumnKind {
    return this.#kinds.get(name) ?? 'text';
  }

  /** Takes another kind: a number where an integer proved too narrow, text where an expression asks for it. */
  change(name: string, kind: ColumnKind): void {
    this.#kinds.set(name, kind);
  }

  /** What else a column could be, where an expression cannot work with what it was taken for; undefined when the config named it. */
  otherKind(name: string): ColumnKind | undefined {
    if (!this.#relation.isText || this.#options.types[name] !== undefined) return undefined;
    return this.kind(name) === 'text' ? this.#seconds.get(name) : 'text';
  }

  /** The typed columns among `names` that can fail to read: with SQL for "there is a value and it cannot be read". */
  fallible(names: readonly string[]): { readonly name: string; readonly bad: string; readonly fraction: string | undefined }[] {
    if (!this.#relation.isText) return [];
    return this.#relation.columns
      .filter((column) => names.includes(column.name) && this.kind(column.name) !== 'text')
      .map((column) => {
        const raw = column.raw.sql;
        const typed = quoteIdentifier(column.name);
        const plain = plainNumberSql(raw, this.#options.decimal);
        return {
          name: column.name,
          bad: `CASE WHEN ${typed} IS NULL THEN coalesce(trim(${raw}) <> '', false) ELSE ${this.kind(column.name) === 'number' ? `NOT isfinite(${typed})` : 'false'} END`,
          fraction:
            this.kind(column.name) === 'integer'
              ? `CASE WHEN contains(${plain}, '.') THEN TRY_CAST(${plain} AS DOUBLE) IS DISTINCT FROM CAST(${typed} AS DOUBLE) ELSE false END`
              : undefined,
        };
      });
  }

  /** The relation with typed columns beside the raw ones, as a FROM entry. Columns not named stay out. */
  from(names: readonly string[], scan: string): string {
    if (!this.#relation.isText) return `(${scan})`;
    const typed = this.#relation.columns
      .filter((column) => names.includes(column.name))
      .map((column) => `${this.#typedSql(column)} AS ${quoteIdentifier(column.name)}`);
    return typed.length === 0 ? `(${scan})` : `(SELECT *, ${typed.join(', ')} FROM (${scan}))`;
  }

  /** Only the typed columns, under their names: what a query sees. */
  view(scan: string): string {
    if (!this.#relation.isText) return scan;
    return `SELECT ${this.#relation.columns.map((column) => `${this.#typedSql(column, true)} AS ${quoteIdentifier(column.name)}`).join(', ')} FROM (${scan})`;
  }

  /** Numbers that are not finite stay as they are where `fallible` sees them; a query must not meet them. */
  #typedSql(column: RelationColumn, finite = false): string {
    const raw = column.raw.sql;
    const plain = plainNumberSql(raw, this.#options.decimal);
    switch (this.kind(column.name)) {
      case 'text':
        return raw;
      case 'integer':
        return `TRY_CAST(${plain} AS BIGINT)`;
      case 'number':
        return finite
          ? `CASE WHEN isfinite(TRY_CAST(${plain} AS DOUBLE)) THEN TRY_CAST(${plain} AS DOUBLE) END`
          : `TRY_CAST(${plain} AS DOUBLE)`;
      case 'timestamp':
        return `TRY_CAST(${raw} AS TIMESTAMP)`;
      case 'timestamptz':
        return `TRY_CAST(${raw} AS TIMESTAMPTZ)`;
      case 'time':
        // Local wall time, so that conditions read as the shop writes its times.
        return `CAST(to_timestamp((${this.#times.get(column.name) ?? 'NULL'}) / 1000) AS TIMESTAMP)`;
      case 'boolean':
        return `TRY_CAST(${raw} AS BOOLEAN)`;
    }
  }
}

/**
 * What columns of text hold, by their first rows: numbers when every value reads as one and none begins with a needless zero
 * (such are codes), or when nine in ten do and the others do not look like codes (letters and digits mixed). `seconds` holds
 * what text columns could be at second choice: numbers when at least half of the values are.
 */
export async function detectKinds(
  engine: Engine,
  sample: string,
  columns: readonly RelationColumn[],
  decimal: '.' | ',',
  signal: AbortSignal | undefined,
): Promise<{ readonly kinds: Map<string, ColumnKind>; readonly seconds: Map<string, ColumnKind> }> {
  const kinds = new Map<string, ColumnKind>();
  const seconds = new Map<string, ColumnKind>();
  for (const column of columns) {
    const plain = plainNumberSql('v', decimal);
    const [row] = await engine.rows(
      `SELECT sum(n) AS present,
              sum(n) FILTER (regexp_full_match(p, '[+-]?[0-9]{1,18}')) AS integers,
              sum(n) FILTER (isfinite(TRY_CAST(p AS DOUBLE))) AS numbers,
              count(*) FILTER (regexp_full_match(p, '[+-]?0[0-9]+')) AS zeros,
              count(*) FILTER (TRY_CAST(p AS DOUBLE) IS NULL AND regexp_matches(v, '[A-Za-z]') AND regexp_matches(v, '[0-9]')) AS codes,
              sum(n) FILTER (TRY_CAST(v AS TIMESTAMP) IS NOT NULL) AS timestamps,
              count(*) FILTER (regexp_matches(v, '[0-9]:[0-9]{2}.*(Z|[+-][0-9]{2}(:?[0-9]{2})?| UTC|[A-Za-z]+/[A-Za-z_]+)$')) AS zones,
              sum(n) FILTER (lower(v) IN ('true', 'false')) AS booleans
       FROM (SELECT v, ${plain} AS p, n FROM (SELECT trim(${column.raw.sql}) AS v, count(*) AS n FROM ${sample} GROUP BY 1) WHERE v <> '')`,
      signal,
    );
    const count = (name: string): number => Number(row?.[name] ?? 0);
    const present = count('present');
    const most = (name: string): boolean => present > 0 && count(name) >= 0.9 * present;
    const number = count('integers') === count('numbers') ? 'integer' : 'number';
    let kind: ColumnKind = 'text';
    if (
      count('numbers') === present ? present > 0 && count('zeros') === 0 : most('numbers') && count('zeros') === 0 && count('codes') === 0
    ) {
      kind = number;
    } else if (most('timestamps')) kind = count('zones') > 0 ? 'timestamptz' : 'timestamp';
    else if (most('booleans')) kind = 'boolean';
    kinds.set(column.name, kind);
    if (kind === 'text' && present > 0 && count('numbers') >= 0.5 * present) seconds.set(column.name, number);
  }
  return { kinds, seconds };
}

/** Class of a column's type for choosing a field's type: what the file says, or what the text looks like. */
export async function columnClass(
  typed: TypedColumns,
  relation: Relation,
  name: string,
  signal: AbortSignal | undefined,
): Promise<ReturnType<typeof typeClass>> {
  const column = relation.columns.find((entry) => entry.name === name);
  if (column === undefined) return 'other';
  if (!relation.isText) return typeClass(column.raw.type);
  await typed.decide([name], signal);
  switch (typed.kind(name)) {
    case 'integer':
    case 'number':
      return 'number';
    case 'timestamp':
    case 'timestamptz':
    case 'time':
      return 'time';
    case 'boolean':
      return 'boolean';
    case 'text':
      return 'text';
  }
}
