import type { Dataset } from './dataset.js';

export interface DatasetFilter {
  /** Keeps events before this time. */
  readonly beforeMs?: number | undefined;
  /** One byte per item row, 1 = keep. */
  readonly items?: Uint8Array | undefined;
  /** One byte per user row, 1 = keep. */
  readonly users?: Uint8Array | undefined;
}

export function filterDataset(_dataset: Dataset, _filter: DatasetFilter): Dataset {
  throw new Error('in work');
}
