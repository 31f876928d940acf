import type { Column } from '../columns/column.js';
import type { FeatureBlock, FeatureRows } from '../columns/features.js';
import type { Warning } from '../errors/warning.js';
import type { RequestView } from '../request/request-view.js';
import type { CandidateBatch } from './candidates.js';

/** What a feature is of: an item, a query, or a candidate of a request. */
export type FeatureScope = 'item' | 'query' | 'candidate';

/** What to extract from: `count` rows of the declared inputs. */
export interface ExtractBatch {
  readonly scope: FeatureScope;
  readonly count: number;
  /**
   * By input name: one column per field the config gave it, each with `count` rows. At query scope one column: the text
   * of the search stands in for a text input, the reference of its picture for an
   * image input (null when it came as bytes). A component that takes pictures or both reads `requests`.
   */
  readonly columns: Readonly<Record<string, readonly Column[]>>;
  /**
   * By input name, for inputs that are features of other components: one block per feature the config gave it, in its
   * order, each with `count` rows. At item scope the items' vectors, at query scope the vectors those components gave for
   * the same requests. Absent at candidate scope, where `candidates.rows` index the matrices of `inputs`.
   */
  readonly features?: Readonly<Record<string, readonly FeatureRows[]>>;
  /** At query scope: the requests the rows stand for, in order. Absent otherwise. */
  readonly requests?: readonly RequestView[];
  /** At query scope: puts a warning into the answer of one request, by its place in `requests`; e.g. that its picture could not be read. */
  readonly warn?: (index: number, warning: Warning) => void;
  /** Item rows, at item scope; empty otherwise. */
  readonly rows: Int32Array;
  /** Present at candidate scope. */
  readonly candidates: CandidateBatch | undefined;
  readonly signal: AbortSignal;
}

/** Turns inputs into `width` numbers per row. Item features are computed at build time and stored in the snapshot. */
export interface FeatureExtractor {
  readonly width: number;
  /** Candidate scope: a name per component for messages and training files, e.g. `['degree', 'rank']`; columns stay `feature.<name>` and `feature.<name>.<index>`. */
  readonly componentNames?: readonly string[];
  /**
   * Writes into `out`, which comes zeroed: values count × width, presence 1 for each row written. A row whose input is
   * missing or unreadable stays absent; it is never written as zeros and marked present. Results must not depend on how rows are batched.
   */
  extract(batch: ExtractBatch, out: FeatureBlock): void | Promise<void>;
  dispose?(): void | Promise<void>;
}
