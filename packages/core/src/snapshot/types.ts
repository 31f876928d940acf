import type { ComponentState } from '@recloom/plugin-api';
import type { ColumnarTable, Dataset } from '../data/dataset.js';

/** The item feature of one extractor, as stored. */
export interface StoredFeature {
  readonly width: number;
  /** itemCount × width, row-major. */
  readonly values: Float32Array;
  readonly presence: Uint8Array;
}

/** One component's share of a snapshot. */
export interface SnapshotComponent {
  readonly name: string;
  readonly reference: string;
  readonly optionsHash: string;
  readonly stateVersion: number;
  readonly state: ComponentState;
  readonly feature: StoredFeature | undefined;
}

/** What a build hands over to be written. */
export interface SnapshotContents {
  readonly pipeline: string;
  readonly configHash: string;
  readonly dataset: Pick<Dataset, 'items' | 'users' | 'history' | 'lastEventMs' | 'hash'>;
  readonly components: readonly SnapshotComponent[];
}

export interface TensorEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly sha256: string;
}

export interface ManifestComponent {
  readonly name: string;
  readonly reference: string;
  readonly optionsHash: string;
  readonly stateVersion: number;
  readonly file: string;
  readonly tensors: Readonly<Record<string, TensorEntry>>;
  readonly featureWidth: number | undefined;
}

/** `manifest.json`: everything needed to verify and read a snapshot. Holds no clock time, absolute path or core count. */
export interface Manifest {
  readonly formatVersion: number;
  readonly pipeline: string;
  readonly configHash: string;
  readonly dataHash: string;
  readonly lastEventMs: number;
  readonly counts: { readonly items: number; readonly users: number; readonly events: number };
  readonly files: Readonly<
    Record<string, { readonly bytes: number; readonly sha256: string; readonly tensors: Readonly<Record<string, TensorEntry>> }>
  >;
  readonly components: readonly ManifestComponent[];
}

/** A snapshot read into memory and verified. */
export interface OpenedSnapshot {
  /** Content id: hex prefix of the SHA-256 of the manifest. */
  readonly id: string;
  readonly directory: string;
  readonly manifest: Manifest;
  readonly items: ColumnarTable;
  readonly users: ColumnarTable;
  readonly history: Dataset['history'];
  readonly components: ReadonlyMap<string, SnapshotComponent>;
}
