import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { createGunzip } from 'node:zlib';
import { parseFirstRecord } from './csv-records.js';
import { Engine } from './duckdb-engine.js';
import {
  type Compression,
  type FileFormat,
  type InputFile,
  literalPath,
  readHead,
  resolveFiles,
  verifyCompression,
} from './input-files.js';
import { eventsOptions, type SourceOptions } from './options.js';
import { readError } from './read-error.js';
import { type ColumnKind, detectKinds, openFiles, type Relation } from './relation.js';
import { detectTimeNotation, presentSql, textSql, timeSql, typeClass } from './value-sql.js';

/** What a column of a file holds, by its first rows. */
export interface ColumnProfile {
  readonly name: string;
  /** DuckDB type: the file's own, or what its text looks like (BIGINT, DOUBLE, TIMESTAMP, BOOLEAN, VARCHAR). */
  readonly type: string;
  /** Share of rows without a value, 0 to 1. */
  readonly nullShare: number;
  /** Different values among the rows looked at. */
  readonly distinctCount: number;
  /** The same when case does not count. */
  readonly distinctIgnoringCase: number;
  /** Least and greatest value, as text; by number or time where it is one. */
  readonly min: string | undefined;
  readonly max: string | undefined;
  /** Up to five of the most frequent values, ties ascending. */
  readonly examples: readonly string[];
  /** Mean number of characters. */
  readonly averageLength: number;
  /** Shares of the values, 0 to 1: with a blank inside, below zero, zero, whole numbers, pictures by name, without any digit. */
  readonly wordsShare: number;
  readonly negativeShare: number;
  readonly zeroShare: number;
  readonly integerShare: number;
  readonly imageShare: number;
  readonly digitlessShare: number;
  /** Shares of values that are one letter and then digits, by that letter, most frequent first. */
  readonly letterPrefixes: readonly { readonly letter: string; readonly share: number }[];
  /** How it is written when it is a time: `timestamp`, a strptime format, or the unit of a number; `ambiguous` when day and month cannot be told apart. */
  readonly time: string | undefined;
}

/** What a look into a file found: format, columns and samples of their values. */
export interface FileProfile {
  /** As it was asked for. */
  readonly path: string;
  readonly format: FileFormat;
  readonly compression: Compression;
  readonly sizeBytes: number;
  /** CSV only. */
  readonly delimiter: string | undefined;
  /** CSV only: whether the first line names the columns. */
  readonly header: boolean;
  readonly encoding: 'utf-8' | 'latin-1' | 'utf-16';
  readonly rowsSampled: number;
  /** Rows of the whole file; estimated from its beginning when it is very large. */
  readonly rowCount: number;
  readonly rowCountIsExact: boolean;
  readonly columns: readonly ColumnProfile[];
}

/** Larger files are not counted to their end. */
const countedBytes = 256 * 1024 * 1024;

/**
 * Looks at the first rows of a file (CSV, TSV, Parquet, JSON, NDJSON) and tells what its columns hold.
 * The profile quotes values of the data: show it to the data's owner, never log it.
 *
 * @param options.sampleRows rows to look at; default 100,000.
 * @throws RECLOOM_DAT_FILE_MISSING, RECLOOM_DAT_UNREADABLE, RECLOOM_DAT_EMPTY
 */
export async function inspectFile(
  path: string,
  options: { readonly sampleRows?: number; readonly directory?: string; readonly signal?: AbortSignal } = {},
): Promise<FileProfile> {
  const { signal } = options;
  const sampleRows = options.sampleRows ?? 100_000;
  const absolute = resolve(options.directory ?? process.cwd(), path);
  const engine = await Engine.open({ memoryLimitMb: 512, threads: undefined, timeZone: 'UTC' });
  let file: InputFile | undefined;
  try {
    const files = await resolveFiles(engine, absolute, options.directory ?? dirname(absolute), 'auto');
    file = files[0] as InputFile;
    await engine.lock(files.flatMap((entry) => [entry.path, literalPath(entry.path)]));
    for (const entry of files) if (entry.compression === 'zstd') await verifyCompression(entry, signal ?? new AbortController().signal);
    const isText = file.format === 'csv' || file.format === 'tsv';
    const encoding = isText ? await detectEncoding(file) : 'utf-8';
    let source = sourceOptions({ path, encoding });
    let relation = await openFiles(engine, files, source);
    if (isText && (await looksLikeData(file, relation, encoding))) {
      source = sourceOptions({ path, encoding, header: false });
      relation = await openFiles(engine, files, source);
    }
    await engine.run(`CREATE TEMP TABLE profile AS SELECT * FROM (${relation.scan('profile')}) LIMIT ${sampleRows}`, signal);
    const [counted] = await engine.rows('SELECT count(*) AS n FROM profile');
    const rowsSampled = Number(counted?.['n'] ?? 0);
    if (rowsSampled < sampleRows) await verifyCompression(file, signal ?? new AbortController().signal);
    const { rowCount, rowCountIsExact } = await countRows(engine, files, relation, rowsSampled, sampleRows, signal);
    const kinds = relation.isText ? (await detectKinds(engine, 'profile', relation.columns, '.', signal)).kinds : undefined;
    const columns: ColumnProfile[] = [];
    for (const column of relation.columns) columns.push(await profileColumn(engine, column, kinds?.get(column.name), rowsSampled, signal));
    return {
      path,
      format: file.format,
      compression: file.compression,
      sizeBytes: files.reduce((sum, entry) => sum + entry.sizeBytes, 0),
      delimiter: isText ? relation.dialect.delimiter : undefined,
      header: isText ? relation.dialect.header : false,
      encoding,
      rowsSampled,
      rowCount,
      rowCountIsExact,
      columns,
    };
  } catch (error) {
    signal?.throwIfAborted();
    throw readError(error, file === undefined ? [] : [file]);
  } finally {
    await engine.close();
  }
}

function sourceOptions(options: { readonly path: string; readonly encoding: string; readonly header?: boolean }): SourceOptions {
  return eventsOptions.parse({ ...options, user: 'user', item: 'item', time: 'time' });
}

/** UTF-16 by its byte order mark, UTF-8 when the beginning is valid, Latin-1 otherwise. */
async function detectEncoding(file: InputFile): Promise<'utf-8' | 'latin-1' | 'utf-16'> {
  if (file.compression === 'none') {
    const handle = await open(file.path, 'r');
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(2), 0, 2, 0);
      if (bytesRead === 2 && ((buffer[0] === 0xff && buffer[1] === 0xfe) || (buffer[0] === 0xfe && buffer[1] === 0xff))) return 'utf-16';
    } finally {
      await handle.close();
    }
  }
  const head = (await readHead(file, 'utf-8', 1 << 20)) ?? '';
  return head.slice(0, -4).includes('\uFFFD') ? 'latin-1' : 'utf-8';
}

/** A first line with a bare number or a date in it names no columns. */
async function looksLikeData(file: InputFile, relation: Relation, encoding: 'utf-8' | 'latin-1' | 'utf-16'): Promise<boolean> {
  const head = (await readHead(file, encoding, 1 << 16)) ?? '';
  const record = parseFirstRecord(head, relation.dialect) ?? [];
  return record.some((value) => /^\s*[+-]?\d+([.,]\d+)?\s*$/.test(value) || /^\s*\d{4}-\d{2}-\d{2}/.test(value));
}

async function countRows(
  engine: Engine,
  files: readonly InputFile[],
  relation: Relation,
  rowsSampled: number,
  sampleRows: number,
  signal: AbortSignal | undefined,
): Promise<{ readonly rowCount: number; readonly rowCountIsExact: boolean }> {
  if (rowsSampled < sampleRows) return { rowCount: rowsSampled, rowCountIsExact: true };
  const [file] = files;
  const sizeBytes = files.reduce((sum, entry) => sum + entry.sizeBytes, 0);
  if (
    file === undefined ||
    sizeBytes <= countedBytes ||
    file.format === 'parquet' ||
    file.format === 'json' ||
    file.compression === 'zstd'
  ) {
    const [row] = await engine.rows(`SELECT count(*) AS n FROM (${relation.scan('count')})`, signal);
    return { rowCount: Number(row?.['n'] ?? 0), rowCountIsExact: true };
  }
  // Lines in the first 8 MB on disk, scaled up.
  const head = 8 * 1024 * 1024;
  const raw = createReadStream(file.path, { end: head - 1 });
  let lines = 0;
  try {
    for await (const chunk of (file.compression === 'gzip' ? raw.pipe(createGunzip()) : raw) as AsyncIterable<Buffer>) {
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines++;
    }
  } catch {
    // Of gzip only the beginning was given; that it ends early is expected.
  }
  return { rowCount: Math.round((lines * sizeBytes) / Math.min(head, file.sizeBytes)), rowCountIsExact: false };
}

const typeByKind: Readonly<Record<ColumnKind, string>> = {
  text: 'VARCHAR',
  integer: 'BIGINT',
  number: 'DOUBLE',
  timestamp: 'TIMESTAMP',
  timestamptz: 'TIMESTAMP WITH TIME ZONE',
  boolean: 'BOOLEAN',
  time: 'TIMESTAMP',
};

async function profileColumn(
  engine: Engine,
  column: Relation['columns'][number],
  kind: ColumnKind | undefined,
  rowsSampled: number,
  signal: AbortSignal | undefined,
): Promise<ColumnProfile> {
  const { raw } = column;
  const type = kind === undefined ? raw.type : typeByKind[kind];
  const group = typeClass(type);
  const order = group === 'number' ? 'TRY_CAST(v AS DOUBLE)' : group === 'time' ? 'TRY_CAST(v AS TIMESTAMPTZ)' : 'v';
  const [row] = await engine.rows(
    `SELECT coalesce(sum(n), 0) AS present, count(*) AS distinct_count, count(DISTINCT lower(v)) AS distinct_ignoring_case,
            arg_min(v, ${order}) AS least, arg_max(v, ${order}) AS greatest,
            list(v ORDER BY n DESC, v)[:5] AS examples,
            sum(n * length(v)) AS characters,
            sum(n) FILTER (contains(trim(v), ' ')) AS words,
            sum(n) FILTER (TRY_CAST(v AS DOUBLE) < 0) AS negative,
            sum(n) FILTER (TRY_CAST(v AS DOUBLE) = 0) AS zero,
            sum(n) FILTER (regexp_full_match(v, '[+-]?[0-9]+')) AS integers,
            sum(n) FILTER (regexp_matches(lower(v), '\\.(jpe?g|png|webp|gif|avif|bmp|tiff?)([?#].*)?$')) AS images,
            sum(n) FILTER (NOT regexp_matches(v, '[0-9]')) AS digitless
     FROM (SELECT ${textSql(raw)} AS v, count(*) AS n FROM profile WHERE ${presentSql(raw)} GROUP BY 1)`,
    signal,
  );
  const present = Number(row?.['present'] ?? 0);
  const share = (name: string): number => (present === 0 ? 0 : Number(row?.[name] ?? 0) / present);
  const examples = (row?.['examples'] ?? []) as readonly string[];
  const prefixes =
    group === 'text'
      ? await engine.rows(
          `SELECT upper(left(v, 1)) AS letter, count(*) AS n FROM (SELECT trim(CAST(${raw.sql} AS VARCHAR)) AS v FROM profile)
           WHERE regexp_full_match(v, '[A-Za-z][0-9]+') GROUP BY 1 ORDER BY n DESC, letter LIMIT 5`,
          signal,
        )
      : [];
  return {
    name: column.name,
    type,
    nullShare: rowsSampled === 0 ? 0 : 1 - present / rowsSampled,
    distinctCount: Number(row?.['distinct_count'] ?? 0),
    distinctIgnoringCase: Number(row?.['distinct_ignoring_case'] ?? 0),
    min: row?.['least'] == null ? undefined : String(row['least']),
    max: row?.['greatest'] == null ? undefined : String(row['greatest']),
    examples,
    averageLength: share('characters'),
    wordsShare: share('words'),
    negativeShare: share('negative'),
    zeroShare: share('zero'),
    integerShare: share('integers'),
    imageShare: share('images'),
    digitlessShare: share('digitless'),
    letterPrefixes: prefixes.map((entry) => ({ letter: String(entry['letter']), share: present === 0 ? 0 : Number(entry['n']) / present })),
    time: examples.some(couldBeTime) ? await recogniseTime(engine, column, group, present, signal) : undefined,
  };
}

/** Numbers or a month's name with something between them, or a bare number of seconds or days: worth a closer look. */
function couldBeTime(value: string): boolean {
  const month = '(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)';
  return new RegExp(`\\d[-/. ]${month}|${month}[a-z]*\\.? \\d|\\d+[-/.]\\d+[-/.]\\d|^\\d{8,19}$`, 'i').test(value);
}

/** How a column's times are written, when nine in ten values read as times of our age. */
async function recogniseTime(
  engine: Engine,
  column: Relation['columns'][number],
  group: ReturnType<typeof typeClass>,
  present: number,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  if (group === 'boolean' || group === 'list' || group === 'other') return undefined;
  const rows = { first: 'profile', all: 'profile' };
  try {
    const notation = await detectTimeNotation(engine, column.raw, rows, 'auto', signal);
    const read = timeSql(column.raw, notation, '.').sql;
    const [row] = await engine.rows(
      `SELECT count(*) FILTER (x BETWEEN 631152000000 AND 4102444800000) AS n FROM (SELECT ${read} AS x FROM profile)`,
      signal,
    );
    if (Number(row?.['n'] ?? 0) < 0.9 * present) return undefined;
    if (notation.kind === 'timestamp') return 'timestamp';
    if (notation.kind === 'format') return notation.format;
    return { 1: 'seconds', 1e3: 'milliseconds', 1e6: 'microseconds', 1e9: 'nanoseconds' }[notation.perSecond];
  } catch (error) {
    if ((error as { code?: unknown }).code === 'DATA_DUCKDB_TIME_AMBIGUOUS') return 'ambiguous';
    throw error;
  }
}
