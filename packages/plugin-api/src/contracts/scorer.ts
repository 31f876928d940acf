import type { CandidateBatch } from './candidates.js';

/** Scores candidates. By writing into a column of the pipeline's it can neither drop nor reorder them. */
export interface Scorer {
  /**
   * Writes one score per candidate into `out` (length = batch.count, filled with NaN). What stays NaN counts as missing
   * and sinks. Higher is better. The candidates of request `r` lie at `[offsets[r], offsets[r + 1])`: walk the requests
   * when the score depends on one. A row may lie past what `fit` saw: an item added since the build.
   */
  score(batch: CandidateBatch, out: Float32Array, signal: AbortSignal): void | Promise<void>;
  dispose?(): void | Promise<void>;
}
