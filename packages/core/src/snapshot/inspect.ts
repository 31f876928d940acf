import type { OpenedSnapshot } from './types.js';

export interface SnapshotInspection {
  readonly id: string;
}
export interface SnapshotDifference {
  readonly same: boolean;
}
export function inspectSnapshot(_snapshot: OpenedSnapshot): SnapshotInspection {
  throw new Error('in work');
}
export function diffSnapshots(_before: OpenedSnapshot, _after: OpenedSnapshot): SnapshotDifference {
  throw new Error('in work');
}
