import type { DataSource, Warning } from '@recloom/plugin-api';
import type { Dataset } from './dataset.js';

export type DatasetSourceName = 'items' | 'events' | 'users';

export interface DatasetSources {
  readonly items?: DataSource | undefined;
  readonly events?: DataSource | undefined;
  readonly users?: DataSource | undefined;
}

export interface ReadDatasetOptions {
  readonly signal: AbortSignal;
  progress(source: DatasetSourceName, fraction: number, note?: string): void;
  readonly nowMs: number;
  warn(warning: Warning): void;
}

export async function readDataset(_sources: DatasetSources, _options: ReadDatasetOptions): Promise<Dataset> {
  throw new Error('in work');
}
