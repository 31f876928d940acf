import type { DataReport, Warning } from '@recloom/plugin-api';

/** Told what a build does, as it does it. */
export interface BuildObserver {
  step(step: string, phase: 'start' | 'end', detail?: Readonly<Record<string, unknown>>): void;
  /** Fraction of a step in [0, 1]. */
  progress(step: string, fraction: number, note?: string): void;
  warn(warning: Warning): void;
}

export interface ComponentReport {
  readonly name: string;
  readonly reference: string;
  /** Taken from an earlier build with the same inputs. */
  readonly reused: boolean;
  readonly milliseconds: number;
}

/** What a build did. */
export interface BuildReport {
  readonly snapshotId: string;
  /** Absolute folder of the snapshot. */
  readonly directory: string;
  /** False when exactly this snapshot was published already. */
  readonly changed: boolean;
  readonly counts: { readonly items: number; readonly users: number; readonly events: number };
  readonly data: Readonly<Partial<Record<'items' | 'events' | 'users', DataReport>>>;
  readonly components: readonly ComponentReport[];
  readonly warnings: readonly Warning[];
  readonly milliseconds: number;
}

/** An observer that looks away. */
export const silentObserver: BuildObserver = Object.freeze({ step: () => {}, progress: () => {}, warn: () => {} });
