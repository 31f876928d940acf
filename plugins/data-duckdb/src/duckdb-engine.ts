import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DuckDBConnection, DuckDBDataChunk, DuckDBInstance } from '@duckdb/node-api';
import { importLibrary } from '@recloom/plugin-api';
import { quoteText, quoteTextList } from './sql-text.js';

/** What DuckDB may use and open. */
export interface EngineOptions {
  /** Memory DuckDB may use, in megabytes. */
  readonly memoryLimitMb: number;
  readonly threads?: number | undefined;
  /** IANA zone that times without a zone are read in. */
  readonly timeZone: string;
}

/** A value of a result, as plain JavaScript. */
export type EngineValue = string | number | boolean | null | readonly EngineValue[];

/** Some rows of a result; valid until the next one is asked for. */
export interface EngineChunk {
  readonly rowCount: number;
  /** Copies rows `[from, to)` (all when left out) of a numeric column into `out` from `start` on; null becomes `missing`. */
  copyNumbers(
    column: number,
    out: Float64Array | Int32Array | Uint8Array,
    start: number,
    missing: number,
    from?: number,
    to?: number,
  ): void;
  /** The same for a text column. */
  copyTexts(column: number, out: (string | null)[], start: number, from?: number, to?: number): void;
  /** Calls back with each row's list of texts, in order; an empty list for null. */
  visitLists(column: number, visit: (entries: readonly string[]) => void, from?: number, to?: number): void;
}

/**
 * One private in-memory DuckDB: the only file that touches the library. It begins unlocked, so that globs can be
 * expanded; `lock` then shuts it off from everything but the files named. Extensions are never installed or loaded.
 * What DuckDB throws reaches the caller as it is: messages can quote values, so they must not be passed on.
 */
export class Engine {
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;
  readonly #spillDirectory: string;
  #closed = false;

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection, spillDirectory: string) {
    this.#instance = instance;
    this.#connection = connection;
    this.#spillDirectory = spillDirectory;
  }

  /** @throws RECLOOM_PLG_LIBRARY_MISSING when @duckdb/node-api is not installed. */
  static async open(options: EngineOptions): Promise<Engine> {
    const library = await importLibrary('@duckdb/node-api', '1.5.6-r.1', () => import('@duckdb/node-api'));
    const spillDirectory = await mkdtemp(join(tmpdir(), 'recloom-duckdb-'));
    try {
      const instance = await library.DuckDBInstance.create(':memory:', {
        threads: String(options.threads ?? Math.min(8, availableParallelism())),
        memory_limit: `${options.memoryLimitMb}MB`,
        temp_directory: spillDirectory,
        autoinstall_known_extensions: 'false',
        autoload_known_extensions: 'false',
        allow_community_extensions: 'false',
        // Row numbers are line numbers here, and the order of events is part of the result.
        preserve_insertion_order: 'true',
      });
      const connection = await instance.connect();
      const engine = new Engine(instance, connection, spillDirectory);
      await engine.run(`SET TimeZone = ${quoteText(options.timeZone)}`);
      // Counted, never printed.
      await engine.run('SET enable_progress_bar = true');
      await engine.run('SET enable_progress_bar_print = false');
      return engine;
    } catch (error) {
      await rm(spillDirectory, { recursive: true, force: true });
      throw error;
    }
  }

  /** From here on the engine reads only `paths`, writes nowhere but its own spill folder, and keeps its settings. */
  async lock(paths: readonly string[]): Promise<void> {
    await this.run(`SET allowed_paths = ${quoteTextList(paths)}`);
    await this.run('SET enable_external_access = false');
    await this.run('SET lock_configuration = true');
  }

  /** `watch` is told now and then which fraction of a long statement is done, when DuckDB knows. */
  async run(sql: string, signal?: AbortSignal, watch?: (fraction: number) => void): Promise<void> {
    const timer =
      watch === undefined
        ? undefined
        : setInterval(() => {
            const { percentage } = this.#connection.progress;
            if (percentage > 0) watch(Math.min(1, percentage / 100));
          }, 200);
    try {
      await this.#interruptible(signal, () => this.#connection.run(sql));
    } finally {
      clearInterval(timer);
    }
  }

  /** All rows of a small result as plain values; 64-bit integers become numbers. */
  async rows(sql: string, signal?: AbortSignal): Promise<Record<string, EngineValue>[]> {
    const reader = await this.#interruptible(signal, () => this.#connection.runAndReadAll(sql));
    return reader.getRowObjectsJS().map((row) => {
      const plain: Record<string, EngineValue> = {};
      for (const [name, value] of Object.entries(row)) plain[name] = plainValue(value);
      return plain;
    });
  }

  /** Names and DuckDB types of the columns a SELECT gives, without running it. */
  async describe(select: string): Promise<{ readonly name: string; readonly type: string }[]> {
    const statement = await this.#connection.prepare(select);
    try {
      return Array.from({ length: statement.columnCount }, (_, index) => ({
        name: statement.columnName(index),
        type: String(statement.columnType(index)),
      }));
    } finally {
      statement.destroySync();
    }
  }

  /** Streams a result in chunks of about 2,048 rows, in order. */
  async *chunks(sql: string, signal?: AbortSignal): AsyncGenerator<EngineChunk> {
    const result = await this.#interruptible(signal, () => this.#connection.stream(sql));
    for (;;) {
      const chunk = await this.#interruptible(signal, () => result.fetchChunk());
      if (chunk === null || chunk.rowCount === 0) return;
      yield wrapChunk(chunk);
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#connection.closeSync();
    this.#instance.closeSync();
    await rm(this.#spillDirectory, { recursive: true, force: true });
  }

  async #interruptible<Value>(signal: AbortSignal | undefined, work: () => Promise<Value>): Promise<Value> {
    signal?.throwIfAborted();
    const interrupt = (): void => this.#connection.interrupt();
    signal?.addEventListener('abort', interrupt, { once: true });
    try {
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', interrupt);
    }
  }
}

function plainValue(value: unknown): EngineValue {
  if (typeof value === 'bigint') return Number(value);
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (Array.isArray(value)) return value.map(plainValue);
  return JSON.stringify(value) ?? null;
}

function wrapChunk(chunk: DuckDBDataChunk): EngineChunk {
  return {
    rowCount: chunk.rowCount,
    copyNumbers(column, out, start, missing, from = 0, to = chunk.rowCount) {
      const vector = chunk.getColumnVector(column);
      const shift = start - from;
      for (let row = from; row < to; row++) {
        const value = vector.getItem(row);
        out[row + shift] = typeof value === 'number' ? value : value === null ? missing : Number(value);
      }
    },
    copyTexts(column, out, start, from = 0, to = chunk.rowCount) {
      const vector = chunk.getColumnVector(column);
      for (let row = from; row < to; row++) out[start + row - from] = vector.getItem(row) as string | null;
    },
    visitLists(column, visit, from = 0, to = chunk.rowCount) {
      const vector = chunk.getColumnVector(column);
      for (let row = from; row < to; row++) visit((vector.getItem(row) as { readonly items: readonly string[] } | null)?.items ?? []);
    },
  };
}
