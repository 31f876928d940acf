import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { DuckDBAppender, DuckDBConnection, DuckDBInstance, DuckDBType, DuckDBValue } from '@duckdb/node-api';
import { importLibrary } from '@recloom/plugin-api';

/** How a column is stored. `time` takes milliseconds since the epoch; NaN in a `float` or `double` stays NaN, null is null. */
export type ParquetType = 'float' | 'double' | 'int' | 'long' | 'boolean' | 'text' | 'time' | 'texts' | 'floats';

/** A column of a table that is written. */
export interface ParquetColumn {
  readonly name: string;
  readonly type: ParquetType;
}

/** The values of a column, one per row, in plain JavaScript. */
export type ParquetValues = ArrayLike<number | string | boolean | null | readonly string[] | readonly number[]>;

type Library = typeof import('@duckdb/node-api');

/** DuckDB's chunks hold at most this many rows. */
const chunkRows = 2_048;

const sqlTypes: Readonly<Record<ParquetType, string>> = {
  float: 'FLOAT',
  double: 'DOUBLE',
  int: 'INTEGER',
  long: 'BIGINT',
  boolean: 'BOOLEAN',
  text: 'VARCHAR',
  time: 'BIGINT',
  texts: 'VARCHAR[]',
  floats: 'FLOAT[]',
};

/**
 * Tables that grow on disk and become Parquet files at the end: memory stays the same however many rows there are. The only
 * file of the package that touches DuckDB. The same rows give the same bytes: one thread writes them.
 */
export class ParquetWriter {
  readonly #library: Library;
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;
  readonly #file: string;
  readonly #tables = new Map<string, ParquetTable>();
  #closed = false;

  private constructor(library: Library, instance: DuckDBInstance, connection: DuckDBConnection, file: string) {
    this.#library = library;
    this.#instance = instance;
    this.#connection = connection;
    this.#file = file;
  }

  /** @throws RECLOOM_PLG_LIBRARY_MISSING when @duckdb/node-api is not installed. */
  static async open(folder: string): Promise<ParquetWriter> {
    const library = await importLibrary('@duckdb/node-api', '1.5.6-r.1', () => import('@duckdb/node-api'));
    const file = join(folder, `.rows-${randomUUID()}.duckdb`);
    const instance = await library.DuckDBInstance.create(file, {
      threads: '1',
      memory_limit: '512MB',
      preserve_insertion_order: 'true',
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
      allow_community_extensions: 'false',
    });
    return new ParquetWriter(library, instance, await instance.connect(), file);
  }

  /** A table of some columns; `name` becomes `<name>.parquet`. */
  async table(name: string, columns: readonly ParquetColumn[]): Promise<ParquetTable> {
    const declared = columns.map((column) => `${quote(column.name)} ${sqlTypes[column.type]}`).join(', ');
    await this.#connection.run(`CREATE TABLE ${quote(name)} (${declared})`);
    const table = new ParquetTable(this.#library, await this.#connection.createAppender(name), columns);
    this.#tables.set(name, table);
    return table;
  }

  /** Writes every table to `<folder>/<name>.parquet` and gives the file names. */
  async write(folder: string): Promise<readonly string[]> {
    const files: string[] = [];
    for (const [name, table] of this.#tables) {
      table.end();
      const selected = table.columns
        .map((column) =>
          column.type === 'time' ? `make_timestamp(${quote(column.name)} * 1000) AS ${quote(column.name)}` : quote(column.name),
        )
        .join(', ');
      const file = `${name}.parquet`;
      await this.#connection.run(
        `COPY (SELECT ${selected} FROM ${quote(name)}) TO '${join(folder, file).replaceAll("'", "''")}' (FORMAT parquet, COMPRESSION zstd)`,
      );
      files.push(file);
    }
    return files;
  }

  /** Idempotent; the tables' own file is removed. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const table of this.#tables.values()) table.end();
    this.#connection.closeSync();
    this.#instance.closeSync();
    for (const file of [this.#file, `${this.#file}.wal`]) await rm(file, { force: true });
  }
}

/** A table that rows are added to. */
export class ParquetTable {
  readonly columns: readonly ParquetColumn[];
  readonly #library: Library;
  readonly #types: readonly DuckDBType[];
  readonly #appender: DuckDBAppender;
  #rowCount = 0;
  #ended = false;

  constructor(library: Library, appender: DuckDBAppender, columns: readonly ParquetColumn[]) {
    this.#library = library;
    this.#appender = appender;
    this.columns = columns;
    this.#types = columns.map(({ type }) => typeOf(library, type));
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  /** Adds `count` rows: `values[c][r]` is the value of column `c`, or what the one value of a constant column is. */
  append(count: number, values: readonly (ParquetValues | { readonly constant: string | number | boolean | null })[]): void {
    for (let start = 0; start < count; start += chunkRows) {
      const size = Math.min(chunkRows, count - start);
      const chunk = this.#library.DuckDBDataChunk.create(this.#types, size);
      for (const [index, { type }] of this.columns.entries()) {
        const vector = chunk.getColumnVector(index);
        const column = values[index] as (typeof values)[number];
        if ('constant' in column) {
          const value = this.#value(type, column.constant);
          for (let row = 0; row < size; row++) vector.setItem(row, value);
        } else {
          for (let row = 0; row < size; row++) vector.setItem(row, this.#value(type, column[start + row] ?? null));
        }
        vector.flush();
      }
      this.#appender.appendDataChunk(chunk);
    }
    this.#rowCount += count;
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#appender.closeSync();
  }

  #value(type: ParquetType, value: ParquetValues[number]): DuckDBValue {
    if (value === null) return null;
    switch (type) {
      case 'long':
      case 'time':
        return BigInt(value as number);
      case 'texts':
      case 'floats':
        return this.#library.listValue(value as readonly DuckDBValue[]);
      default:
        return value as DuckDBValue;
    }
  }
}

function typeOf(library: Library, type: ParquetType): DuckDBType {
  switch (type) {
    case 'float':
      return library.FLOAT;
    case 'double':
      return library.DOUBLE;
    case 'int':
      return library.INTEGER;
    case 'long':
    case 'time':
      return library.BIGINT;
    case 'boolean':
      return library.BOOLEAN;
    case 'text':
      return library.VARCHAR;
    case 'texts':
      return library.LIST(library.VARCHAR);
    case 'floats':
      return library.LIST(library.FLOAT);
  }
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
