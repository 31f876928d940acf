import type { CandidateBatch } from './candidates.js';

/** Scores candidates. By writing into a column of the pipeline's it can neither drop nor reorder them. */
export interface Scorer {
  /** Names of further columns it fills beside its own, e.g. `['cvr']` for a model with several outputs: they become `score.<component>.<name>`. */
  readonly furtherColumns?: readonly string[];
  /**
   * Names of the `score.*` and `feature.*` columns it reads (`CandidateBatch.column`), e.g. `['score.habits']`. Core waits for
   * them before it calls `score`, and refuses at assembly an order of the surface's scorers in which they come later.
   */
  readonly readsColumns?: readonly string[];
  /**
   * Writes one score per candidate into `out` (length = batch.count, filled with NaN), and into `further[i]` for
   * `furtherColumns[i]`. What stays NaN counts as missing and sinks. Higher is better. The candidates of request `r` lie at
   * `[offsets[r], offsets[r + 1])`: walk the requests when the score depends on one. A row may lie past what `fit` saw: an
   * item added since the build.
   */
  score(batch: CandidateBatch, out: Float32Array, signal: AbortSignal, further?: readonly Float32Array[]): void | Promise<void>;
  dispose?(): void | Promise<void>;
}
