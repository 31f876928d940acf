import { isRecloomError, RecloomError, recloomError } from '@recloom/plugin-api';
import type { InputFile } from './input-files.js';

/** What the plugin itself can raise, beside the data codes of Recloom's own table. */
export const pluginErrors = [
  {
    code: 'DATA_DUCKDB_EMPTY_FILE',
    summary: 'A file among several holds nothing and was passed over (warning).',
    hint: 'Remove it or look at the export that wrote it.',
  },
  {
    code: 'DATA_DUCKDB_MEMORY',
    summary: 'DuckDB ran out of the memory it was given.',
    hint: 'Raise `memoryLimitMb` or lower `threads`.',
  },
  {
    code: 'DATA_DUCKDB_TIME_AMBIGUOUS',
    summary: 'The times can be read with the day or with the month first, and no row decides it.',
    hint: 'Set `timeFormat`, e.g. %d/%m/%Y %H:%M.',
  },
  {
    code: 'DATA_DUCKDB_TYPE_WITHOUT_WEIGHT',
    summary: 'Events of types that `weights` does not name, or names in `weights` that no event has (warning).',
    hint: 'Name every type under `weights`; types not named weigh 1.',
  },
] as const;

/** Makes an error of the plugin's own; the hint comes from the table. */
export function pluginError(code: (typeof pluginErrors)[number]['code'], message: string): RecloomError {
  return new RecloomError({ code, message, hint: pluginErrors.find((entry) => entry.code === code)?.hint });
}

/**
 * Turns what DuckDB threw into a coded error. Its own text is used only where it can quote nothing but the config:
 * conversion errors hold values, CSV errors whole lines, so neither they nor the cause are passed on.
 */
export function readError(error: unknown, files: readonly InputFile[]): unknown {
  if (isRecloomError(error) || !(error instanceof Error) || error.name === 'AbortError') return error;
  const text = error.message;
  const file = files.find((entry) => text.includes(entry.path)) ?? files[0];
  const path = file?.display ?? 'the data';
  const unreadable = (why: string): RecloomError => recloomError('RECLOOM_DAT_UNREADABLE', { path, why });
  const kind = /^([A-Z][A-Za-z ]+ Error|[A-Z]+ Error)/.exec(text)?.[1] ?? '';
  if (kind === 'Out of Memory Error') return pluginError('DATA_DUCKDB_MEMORY', 'DuckDB ran out of the memory it was given.');
  if (kind === 'Binder Error' || kind === 'Catalog Error' || kind === 'Parser Error') {
    return recloomError('RECLOOM_DAT_QUERY_REFUSED', {
      why: (text.split('\n', 1)[0] ?? text).replace(/^\w+ Error: /, '').replace(/\.$/, ''),
    });
  }
  if (kind === 'Permission Error') return recloomError('RECLOOM_DAT_QUERY_REFUSED', { why: 'it reaches outside the configured files' });
  if (/GZIP|zlib|inflate|ZSTD|zstd/i.test(text)) return unreadable('it is not compressed as its name says');
  if (/magic bytes|parquet|thrift|TProtocol|snappy/i.test(text)) return unreadable('it is not a Parquet file or is damaged');
  if (/JSON/.test(text) && kind !== 'Conversion Error') {
    // DuckDB counts the line after the one at fault; a test watches over that.
    const line = file?.format === 'ndjson' ? Number(/in line (\d+)/.exec(text)?.[1] ?? 1) - 1 : 0;
    return unreadable(`it is not valid JSON${line > 0 ? ` (line ${line})` : ''}`);
  }
  if (/unicode|utf-?8|utf-?16|encoded/i.test(text)) return recloomError('RECLOOM_DAT_ENCODING', { path });
  if (/state machine|CSV Error|CSV Parser/i.test(text))
    return unreadable('it mixes the line ends of different systems, or its quotes do not pair up');
  if (kind === 'Conversion Error' || kind === 'Out of Range Error' || /TRY_CAST|could not convert/i.test(text)) {
    return recloomError('RECLOOM_DAT_QUERY_REFUSED', {
      why: 'an SQL expression met a value that it cannot convert; write TRY_CAST(column AS type), or name the column under `types`',
    });
  }
  return unreadable(kind === '' ? 'DuckDB failed' : `DuckDB reports an ${kind}`);
}
