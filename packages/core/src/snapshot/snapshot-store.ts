import type { Warning } from '@recloom/plugin-api';
import type { BuildLock } from './build-lock.js';
import { PartStore } from './part-store.js';
import type { OpenedSnapshot, SnapshotContents } from './types.js';

/** Told when a step of writing or publishing starts and ends. */
export type SnapshotStepListener = (step: string, phase: 'start' | 'end') => void;

export interface WriteOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: SnapshotStepListener | undefined;
}

export interface OpenOptions {
  readonly signal?: AbortSignal | undefined;
  /** Opens the newest older intact snapshot when the one asked for is damaged, and warns. */
  readonly fallback?: boolean | undefined;
  readonly warn?: ((warning: Warning) => void) | undefined;
}

export interface SnapshotListEntry {
  readonly id: string;
  readonly current: boolean;
  readonly bytes: number;
}

export class SnapshotStore {
  readonly root: string;
  readonly parts: PartStore;
  /** `root`: `<config folder>/.recloom/<name>`. */
  constructor(root: string) {
    this.root = root;
    this.parts = new PartStore(root);
  }
  async acquireLock(_signal?: AbortSignal): Promise<BuildLock> {
    throw new Error('in work');
  }
  async write(_contents: SnapshotContents, _options: WriteOptions = {}): Promise<{ readonly id: string; readonly directory: string }> {
    throw new Error('in work');
  }
  async verify(_id: string, _signal?: AbortSignal): Promise<void> {
    throw new Error('in work');
  }
  async publish(_id: string, _options: WriteOptions = {}): Promise<void> {
    throw new Error('in work');
  }
  async open(_id?: string, _options: OpenOptions = {}): Promise<OpenedSnapshot> {
    throw new Error('in work');
  }
  /** Id of the published snapshot, or undefined. */
  async current(): Promise<string | undefined> {
    throw new Error('in work');
  }
  async list(): Promise<readonly SnapshotListEntry[]> {
    throw new Error('in work');
  }
  /** Keeps the newest `keep` published snapshots, never removing the current. */
  async prune(_keep: number): Promise<void> {
    throw new Error('in work');
  }
  /** Calls back with the new id after each publish; returns how to stop. */
  watchCurrent(_callback: (id: string) => void): () => void {
    throw new Error('in work');
  }
}
