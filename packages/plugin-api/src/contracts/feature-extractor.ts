import type { Column } from '../columns/column.js';
import type { FeatureBlock } from '../columns/features.js';
import type { CandidateBatch } from './candidates.js';

export type FeatureScope = 'item' | 'query' | 'candidate';

/** What to extract from: `count` rows of the declared inputs. */
export interface ExtractBatch {
  readonly scope: FeatureScope;
  readonly count: number;
  /**
   * By input name: one column per field the config gave it, each with `count` rows. At query scope one column: the text
   * of the search stands in for a text input, its picture for an image input.
   */
  readonly columns: Readonly<Record<string, readonly Column[]>>;
  /** Item rows, at item scope; empty otherwise. */
  readonly rows: Int32Array;
  /** Present at candidate scope. */
  readonly candidates: CandidateBatch | undefined;
  readonly signal: AbortSignal;
}

/** Turns inputs into `width` numbers per row. Item features are computed at build time and stored in the snapshot. */
export interface FeatureExtractor {
  readonly width: number;
  /**
   * Writes into `out`, which comes zeroed: values count × width, presence 1 for each row written. A row whose input is
   * missing or unreadable stays absent; it is never written as zeros and marked present. Results must not depend on how rows are batched.
   */
  extract(batch: ExtractBatch, out: FeatureBlock): void | Promise<void>;
  dispose?(): void | Promise<void>;
}
