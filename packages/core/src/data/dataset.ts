import type { Column, DataReport, HistoryStore, Table } from '@recloom/plugin-api';

/** A table of the build plane: ids ascending by JavaScript string order, so that row numbers depend on nothing but the ids. */
export interface ColumnarTable extends Table {
  readonly ids: readonly string[];
  readonly columns: Readonly<Record<string, Column>>;
}

/** Everything a build learns from, in memory and columnar. */
export interface Dataset {
  readonly items: ColumnarTable;
  readonly users: ColumnarTable;
  readonly history: HistoryStore;
  /** Time of the last event in milliseconds; 0 without events. */
  readonly lastEventMs: number;
  /** Hex SHA-256 over the fingerprints of the sources. */
  readonly hash: string;
  readonly reports: Readonly<Partial<Record<'items' | 'events' | 'users', DataReport>>>;
}
