import type { RequestView } from '../request/request-view.js';

/** The candidates of one request in the order so far, best first. */
export interface RankedList {
  readonly request: RequestView;
  readonly count: number;
  /** Item rows. */
  readonly rows: Int32Array;
  /** The value of each, descending at the first ranker; finite values first. */
  readonly values: Float32Array;
  /** How many items the answer needs; a ranker may return fewer, never more than `count`. */
  readonly limit: number;
}

/** Orders and cuts. */
export interface Ranker {
  /** Indices into the list, unique, in the new order. Equal candidates keep their order. Return at least `limit` of them when there are so many, so that later rankers have something to work with. */
  rank(list: RankedList, signal: AbortSignal): Int32Array | Promise<Int32Array>;
  dispose?(): void | Promise<void>;
}
