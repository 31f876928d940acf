import type { Engine } from './duckdb-engine.js';
import { pluginError } from './read-error.js';
import { quoteText } from './sql-text.js';

/** A value of one row as SQL, before it is read as anything. */
export interface SqlValue {
  readonly sql: string;
  /** DuckDB type. */
  readonly type: string;
  /** Column name or option, for messages. */
  readonly label: string;
}

/** A value read as something; null where there is none or it cannot be read. */
export interface ReadValue {
  readonly sql: string;
  /** Whether a value can be there and not be readable. */
  readonly fallible: boolean;
}

/** What a DuckDB type is to a reader of values. */
export type TypeClass = 'text' | 'number' | 'boolean' | 'time' | 'list' | 'other';

const numberTypes = /^(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|BIGNUM|FLOAT|DOUBLE|DECIMAL)/;

/** The class of a DuckDB type by its name, e.g. `DECIMAL(10,2)` → `number`. */
export function typeClass(type: string): TypeClass {
  if (/\[\d*\]$/.test(type)) return 'list';
  if (type === 'VARCHAR' || type.startsWith('ENUM')) return 'text';
  if (numberTypes.test(type)) return 'number';
  if (type === 'BOOLEAN') return 'boolean';
  if (type === 'DATE' || type.startsWith('TIMESTAMP')) return 'time';
  return 'other';
}

/** True where there is a value: not null and, for text, not blank. */
export function presentSql(value: SqlValue): string {
  return typeClass(value.type) === 'text' ? `coalesce(trim(${value.sql}) <> '', false)` : `${value.sql} IS NOT NULL`;
}

/** Every text above this one holds more than blanks: a comparison is many times cheaper than trim(). */
const blanks = quoteText(' '.repeat(64));

/** As text exactly as it stands; blank is null. Whole numbers of any numeric type are written without a decimal point. */
export function textSql(value: SqlValue): string {
  const { sql } = value;
  switch (typeClass(value.type)) {
    case 'text':
      return `CASE WHEN ${sql} > ${blanks} THEN CAST(${sql} AS VARCHAR) WHEN trim(${sql}) <> '' THEN CAST(${sql} AS VARCHAR) END`;
    case 'number':
      return /^(FLOAT|DOUBLE|DECIMAL)/.test(value.type)
        ? `CASE WHEN ${sql} = trunc(${sql}) AND abs(${sql}) < 1e15 THEN CAST(CAST(${sql} AS BIGINT) AS VARCHAR) ELSE CAST(${sql} AS VARCHAR) END`
        : `CAST(${sql} AS VARCHAR)`;
    default:
      return `CAST(${sql} AS VARCHAR)`;
  }
}

/** A text column's number as text DuckDB can cast: the decimal comma made a point. */
export function plainNumberSql(sql: string, decimal: '.' | ','): string {
  return decimal === '.' ? sql : `replace(replace(${sql}, '.', ''), ',', '.')`;
}

/** As a finite DOUBLE. */
export function numberSql(value: SqlValue, decimal: '.' | ','): ReadValue {
  const { sql } = value;
  switch (typeClass(value.type)) {
    case 'number':
      return /^(FLOAT|DOUBLE)/.test(value.type)
        ? { sql: `CASE WHEN isfinite(${sql}) THEN CAST(${sql} AS DOUBLE) END`, fallible: false }
        : { sql: `CAST(${sql} AS DOUBLE)`, fallible: false };
    case 'boolean':
      return { sql: `CAST(CAST(${sql} AS INTEGER) AS DOUBLE)`, fallible: false };
    case 'time':
      return { sql: millisecondsSql(`CAST(${sql} AS TIMESTAMPTZ)`), fallible: false };
    case 'text': {
      const cast = `TRY_CAST(${plainNumberSql(sql, decimal)} AS DOUBLE)`;
      return {
        sql: `CASE WHEN isfinite(${cast}) THEN ${cast} END`,
        fallible: true,
      };
    }
    default:
      return { sql: 'CAST(NULL AS DOUBLE)', fallible: true };
  }
}

/** As BOOLEAN: true/false, yes/no, y/n, t/f, on/off, 1/0 in any case; numbers by "not zero". */
export function booleanSql(value: SqlValue): ReadValue {
  const { sql } = value;
  switch (typeClass(value.type)) {
    case 'boolean':
      return { sql, fallible: false };
    case 'number':
      return { sql: `${sql} <> 0`, fallible: false };
    default: {
      const word = `lower(trim(CAST(${sql} AS VARCHAR)))`;
      const read = `CASE WHEN ${word} IN ('true', 'yes', 'y', 't', 'on', '1') THEN true WHEN ${word} IN ('false', 'no', 'n', 'f', 'off', '0') THEN false END`;
      return { sql: read, fallible: true };
    }
  }
}

/** As a sorted list of distinct, trimmed, non-empty texts: a LIST, a JSON array, or text with separators. */
export function listSql(value: SqlValue, separator: string): ReadValue {
  const source =
    typeClass(value.type) === 'list'
      ? `CAST(${value.sql} AS VARCHAR[])`
      : `CASE WHEN starts_with(ltrim(CAST(${value.sql} AS VARCHAR)), '[') AND json_valid(CAST(${value.sql} AS VARCHAR))
           THEN TRY(CAST(CAST(${value.sql} AS JSON) AS VARCHAR[]))
           ELSE string_split(CAST(${value.sql} AS VARCHAR), ${quoteText(separator)}) END`;
  const entries = `list_filter(list_transform(${source}, lambda entry: trim(entry)), lambda entry: entry <> '')`;
  return { sql: `list_sort(list_distinct(${entries}))`, fallible: false };
}

/** How times are written. */
export type TimeNotation =
  | { readonly kind: 'timestamp' }
  | { readonly kind: 'epoch'; readonly perSecond: number }
  | { readonly kind: 'format'; readonly format: string };

/** Milliseconds since the epoch of a TIMESTAMPTZ; null for infinite ones. */
function millisecondsSql(sql: string): string {
  return `CAST(epoch_ms(${sql}) AS DOUBLE)`;
}

/** As milliseconds since the epoch; a time without a zone is one of the session's zone. */
export function timeSql(value: SqlValue, notation: TimeNotation, decimal: '.' | ','): ReadValue {
  const kind = typeClass(value.type);
  if (kind === 'time') return { sql: millisecondsSql(`CAST(${value.sql} AS TIMESTAMPTZ)`), fallible: false };
  if (notation.kind === 'epoch') {
    const number = numberSql(value, decimal);
    const scaled =
      notation.perSecond === 1000
        ? number.sql
        : notation.perSecond < 1000
          ? `(${number.sql}) * 1000`
          : `floor((${number.sql}) / ${notation.perSecond / 1000})`;
    return { sql: scaled, fallible: number.fallible };
  }
  const text = kind === 'text' ? value.sql : `CAST(${value.sql} AS VARCHAR)`;
  const sql = millisecondsSql(instantSql(text, notation));
  return { sql, fallible: true };
}

function instantSql(text: string, notation: { readonly kind: 'timestamp' } | { readonly kind: 'format'; readonly format: string }): string {
  return notation.kind === 'timestamp'
    ? `TRY_CAST(${text} AS TIMESTAMPTZ)`
    : `CAST(try_strptime(trim(${text}), ${quoteText(notation.format)}) AS TIMESTAMPTZ)`;
}

const unitsPerSecond: Readonly<Record<string, number>> = { seconds: 1, milliseconds: 1e3, microseconds: 1e6, nanoseconds: 1e9 };

const dates = [
  '%m/%d/%Y',
  '%d/%m/%Y',
  '%d.%m.%Y',
  '%d-%m-%Y',
  '%m-%d-%Y',
  '%m/%d/%y',
  '%d/%m/%y',
  '%d.%m.%y',
  '%d %b %Y',
  '%d-%b-%Y',
  '%d %B %Y',
  '%b %d, %Y',
  '%B %d, %Y',
  '%a, %d %b %Y',
];
const clocks = ['', ' %H:%M', ' %H:%M:%S', ' %I:%M %p', ' %I:%M:%S %p'];
const digitFormats: readonly string[] = ['%Y%m%d', '%Y%m%d%H%M%S'];
const formats: readonly string[] = [
  ...dates.flatMap((date) => clocks.map((clock) => date + clock)),
  ...digitFormats,
  '%Y%m%dT%H%M%S',
  '%a, %d %b %Y %H:%M:%S %z',
];

/** Where to look for how times are written. */
export interface TimeRows {
  /** FROM entry with the first rows. */
  readonly first: string;
  /** FROM entry with all rows. */
  readonly all: string;
}

/**
 * Tells how times are written: by the option, or from the first rows. Where day and month cannot be told apart there, all rows
 * are asked.
 *
 * @throws DATA_DUCKDB_TIME_AMBIGUOUS when no row decides.
 */
export async function detectTimeNotation(
  engine: Engine,
  value: SqlValue,
  rows: TimeRows,
  timeFormat: string,
  signal: AbortSignal | undefined,
): Promise<TimeNotation> {
  if (typeClass(value.type) === 'time') return { kind: 'timestamp' };
  if (timeFormat !== 'auto') {
    const perSecond = unitsPerSecond[timeFormat];
    return perSecond === undefined ? { kind: 'format', format: timeFormat } : { kind: 'epoch', perSecond };
  }
  const texts = (from: string): string =>
    `(SELECT DISTINCT trim(CAST(${value.sql} AS VARCHAR)) AS t FROM ${from} WHERE ${presentSql(value)})`;
  const sample = texts(rows.first);
  const count = async (from: string): Promise<Readonly<Record<string, number>>> => {
    const [row] = await engine.rows(
      `SELECT count(*) AS present, count(TRY_CAST(t AS TIMESTAMPTZ)) AS timestamps, count(TRY_CAST(t AS DOUBLE)) AS numbers,
              coalesce(median(abs(TRY_CAST(t AS DOUBLE))), 0) AS magnitude FROM ${from}`,
      signal,
    );
    return row as Readonly<Record<string, number>>;
  };
  const first = await count(sample);
  if (first['timestamps'] === first['present']) return { kind: 'timestamp' };

  // Some hundred values tell; which ones depends on nothing but the values.
  const few = `(SELECT t FROM ${sample} ORDER BY hash(t), t LIMIT 500)`;
  const { present = 0, timestamps = 0, numbers = 0, magnitude = 0 } = await count(few);
  const counts = await countFormats(engine, few, numbers === present ? digitFormats : formats, signal);
  const most = Math.max(...counts.map((entry) => entry.count));
  const rivals = counts.filter((entry) => entry.count === most).map((entry) => entry.format);
  if (timestamps >= most && timestamps >= numbers) return { kind: 'timestamp' };
  // 20101201 reads as a number too; as a date it makes more sense.
  if (numbers >= most && !(most === numbers && rivals.some((format) => digitFormats.includes(format)))) {
    return { kind: 'epoch', perSecond: magnitude < 1e11 ? 1 : magnitude < 1e14 ? 1e3 : magnitude < 1e17 ? 1e6 : 1e9 };
  }
  const everything = texts(rows.all);
  const decided = rivals.length === 1 ? [] : await countFormats(engine, everything, rivals, signal);
  const best = Math.max(0, ...decided.map((entry) => entry.count));
  const left = rivals.length === 1 ? rivals : decided.filter((entry) => entry.count === best).map((entry) => entry.format);
  const [chosen = '%Y-%m-%d', ...others] = left;
  for (const other of others) {
    const [row] = await engine.rows(
      `SELECT count(*) AS n FROM ${everything} WHERE try_strptime(t, ${quoteText(chosen)}) IS DISTINCT FROM try_strptime(t, ${quoteText(other)})`,
      signal,
    );
    if (Number(row?.['n'] ?? 0) > 0) {
      throw pluginError(
        'DATA_DUCKDB_TIME_AMBIGUOUS',
        `The times in "${value.label}" can be read as ${chosen} and as ${other}, and no row decides which is meant.`,
      );
    }
  }
  return { kind: 'format', format: chosen };
}

/** How many texts each format reads as a time between 1970 and 2100. */
async function countFormats(
  engine: Engine,
  from: string,
  candidates: readonly string[],
  signal: AbortSignal | undefined,
): Promise<{ readonly format: string; readonly count: number }[]> {
  const columns = candidates.map(
    (format, index) => `count(*) FILTER (year(try_strptime(t, ${quoteText(format)})) BETWEEN 1970 AND 2100) AS f${index}`,
  );
  const [row] = await engine.rows(`SELECT ${columns.join(', ')} FROM ${from}`, signal);
  return candidates.map((format, index) => ({ format, count: Number(row?.[`f${index}`] ?? 0) }));
}
