import type { RequestView } from '../request/request-view.js';

/** What one source said about the merged candidates. */
export interface SourceColumns {
  readonly name: string;
  /** The source's own score, NaN where it did not propose the candidate. */
  readonly scores: Float32Array;
  /** 1-based rank in the source's list, 0 where it did not propose the candidate. */
  readonly ranks: Int32Array;
}

/**
 * Merged candidates of B requests as columns: request `r` owns `[offsets[r], offsets[r + 1])`. All arrays belong to
 * the pipeline and are valid until the call returns; never write to them.
 */
export interface CandidateBatch {
  readonly requests: readonly RequestView[];
  /** Total number of candidates. */
  readonly count: number;
  /** Length requests.length + 1. */
  readonly offsets: Int32Array;
  /** Item rows, unique within a request. */
  readonly rows: Int32Array;
  readonly sources: readonly SourceColumns[];
  /** A finished column: `score.<name>` or `feature.<name>` (first component); undefined when there is none yet. */
  column(name: string): Float32Array | undefined;
}
