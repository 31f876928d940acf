import type { ColumnType } from '@recloom/plugin-api';
import type { Dataset } from './dataset.js';
import type { FieldValue } from './overlay-table.js';

export type DatasetRecord = { readonly id: string } & Readonly<Record<string, FieldValue>>;

export interface EventRecord {
  readonly user: string | null;
  readonly item: string;
  readonly timeMs: number;
  readonly type?: string | undefined;
  readonly weight?: number | undefined;
  readonly basket?: string | undefined;
}

export interface DatasetArrays {
  readonly items?: readonly DatasetRecord[] | undefined;
  readonly events?: readonly EventRecord[] | undefined;
  readonly users?: readonly DatasetRecord[] | undefined;
  /** Field types that should not be inferred. */
  readonly types?:
    | { readonly items?: Readonly<Record<string, ColumnType>>; readonly users?: Readonly<Record<string, ColumnType>> }
    | undefined;
}

export function datasetFromArrays(_arrays: DatasetArrays): Dataset {
  throw new Error('in work');
}
