import type { Column } from '../columns/column.js';
import type { Warning } from '../errors/warning.js';

/** Rows `[0, rowCount)` of named columns. Category columns of one read share one growing dictionary per column. */
export interface DataBatch {
  readonly rowCount: number;
  readonly columns: Readonly<Record<string, Column>>;
}

/** Rows left out for one reason. */
export interface DroppedRows {
  readonly reason: string;
  readonly count: number;
  /** Up to three 1-based line numbers of the source where that is known. */
  readonly lines?: readonly number[];
}

/** What a read did, for the build report: nothing is dropped silently. */
export interface DataReport {
  readonly rowsRead: number;
  readonly rowsKept: number;
  readonly dropped: readonly DroppedRows[];
  readonly warnings: readonly Warning[];
}

/** What a data source is given while it reads. */
export interface DataReadContext {
  readonly signal: AbortSignal;
  /** Fraction done in [0, 1], when it can be told. */
  progress(fraction: number, note?: string): void;
}

/**
 * Reads items, events or users (its capability `data` says which).
 * Items and users: column `id` (text or category, unique after the source's own aggregation) and one column per field.
 * Events: `user`, `item` (text or category), `timeMs` (number), optional `type` (category), `weight` (number), `basket` (category or text).
 * Values the source cannot read are counted in the report, never passed on as something else.
 */
export interface DataSource {
  read(context: DataReadContext): AsyncIterable<DataBatch>;
  /** Valid after `read` has ended. */
  report(): DataReport;
  /** Hex digest of everything the rows depend on (contents of files, the mapping), so that an unchanged source is recognised. */
  fingerprint(signal: AbortSignal): Promise<string>;
  dispose?(): void | Promise<void>;
}
