import type { RequestBatch } from '../request/request-view.js';

/**
 * Item rows with scores, flat, best first within each request: request `r` owns `[offsets[r], offsets[r + 1])`.
 * Rows are unique within a request and at most `limit` each.
 */
export interface Proposals {
  readonly offsets: Int32Array;
  readonly rows: Int32Array;
  readonly scores: Float32Array;
}

/** Proposes candidates. An unknown user or item is normal: propose nothing. */
export interface CandidateSource {
  propose(batch: RequestBatch, limit: number): Proposals | Promise<Proposals>;
  dispose?(): void | Promise<void>;
}
