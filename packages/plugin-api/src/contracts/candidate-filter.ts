import type { CandidateBatch } from './candidates.js';

/** Says which candidates go, and why. It cannot reorder or add. */
export interface CandidateFilter {
  /** The reasons this filter can give, e.g. `['seen']`; the answer's ledger counts removals by them. */
  readonly removalReasons: readonly string[];
  /** `removed` comes zeroed, one byte per candidate: leave 0 to keep, write 1 + the index of the removal reason to remove. */
  filter(batch: CandidateBatch, removed: Uint8Array, signal: AbortSignal): void | Promise<void>;
  /**
   * For a filter that depends on the item alone: the same decision for the whole catalogue (`removed` has one byte per
   * item row), so that sources can skip such items inside their scan. Core caches it by `Table.version`.
   */
  filterItems?(removed: Uint8Array): void;
  dispose?(): void | Promise<void>;
}
