import type { Label } from '../request/labels.js';
import type { RequestView } from '../request/request-view.js';

/** What the gate may look at. It is the only component that sees a user's id. */
export interface GateContext {
  readonly surface: string;
  readonly userId: string | undefined;
  /** The purposes the request carries; undefined when it carries none. */
  readonly purposes: readonly string[] | undefined;
  readonly signal: AbortSignal;
}

/** The final list of one request. */
export interface ResultList {
  readonly request: RequestView;
  readonly count: number;
  readonly rows: Int32Array;
  readonly values: Float32Array;
}

/** Guards people. It fails closed: when it throws or is late, nothing is granted and nothing passes. */
export interface PrivacyFilter {
  /**
   * Names of the purposes that make a difference to the gate; left out when it cannot list them. They are words of the config, and
   * an answer may name them to a caller who sent none of them.
   */
  readonly purposes?: readonly string[];
  /** The labels granted to this request. Several gates on a surface: only what all grant. */
  gate?(context: GateContext): readonly Label[] | Promise<readonly Label[]>;
  /** `removed` comes zeroed, one byte per item of the list: write 1 to withhold. It cannot add or restore. */
  filterResult?(list: ResultList, removed: Uint8Array): void | Promise<void>;
  dispose?(): void | Promise<void>;
}
