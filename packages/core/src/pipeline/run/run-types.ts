import type { RequestState } from '../request-state.js';
import type { NodeTiming } from '../types.js';

/** How a batch is run. */
export interface RunOptions {
  /** Milliseconds; Infinity = none. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** Evaluation: sources are asked for the whole catalogue and nothing is cut before ranking. */
  readonly unlimited: boolean;
  /** What the sources propose, merged: no limit of candidates, no filter, no fallback. Default false. */
  readonly unfiltered?: boolean;
  /** Item row whose way is followed; -1 = none. Only with a batch of one. */
  readonly traceRow: number;
}

/** The way of one row through a run. */
export interface RunTrace {
  proposedBy: { source: string; rank: number; score: number }[];
  removedBy: { filter: string; reason: string } | undefined;
  scores: Record<string, number | null>;
  value: number | undefined;
  placeByValue: number | undefined;
  rankers: { name: string; place: number }[];
}

/** What explaining needs of one answered item. */
export interface RankedItemDetail {
  readonly sources: readonly { readonly name: string; readonly rank: number; readonly score: number }[];
  readonly scores: Readonly<Record<string, number | null>>;
  readonly place: number;
  readonly rankers: readonly { readonly name: string; readonly place: number }[];
}

/** The ordered result of one request. */
export interface RunResult {
  readonly state: RequestState;
  readonly rows: Int32Array;
  readonly values: Float32Array;
  /** Aligned to `rows`; present when an explanation was asked for. */
  readonly details: readonly RankedItemDetail[] | undefined;
  readonly removed: readonly { readonly filter: string; readonly reason: string; readonly count: number }[];
  readonly proposed: Readonly<Record<string, number>>;
  readonly merged: number;
  readonly scored: number;
  readonly missingScores: Readonly<Record<string, number>>;
  readonly withheld: number;
  readonly timings: readonly NodeTiming[];
  readonly trace: RunTrace | undefined;
}
