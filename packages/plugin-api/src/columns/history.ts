/**
 * All interactions, CSR by user row, each user's events in ascending time (stable for ties).
 * Event `k` of user `u` lies at `offsets[u] + k`. Build plane only: a request sees a `HistoryView`.
 */
export interface HistoryStore {
  readonly userCount: number;
  readonly itemCount: number;
  readonly eventCount: number;
  /** Length userCount + 1. */
  readonly offsets: Int32Array;
  /** Item rows. */
  readonly items: Int32Array;
  /** Index into `typeNames`. */
  readonly types: Uint8Array;
  /** Event weight: the configured weight of its type times the event's own, if any. */
  readonly weights: Float32Array;
  /** Milliseconds since the epoch. */
  readonly timesMs: Float64Array;
  /** Dense number of the order or basket an event belongs to, -1 for none; absent when the data name none. */
  readonly baskets?: Int32Array;
  /**
   * Names of the `types` codes: `['event']` when the data name none; otherwise names from the data, so make the type you
   * want an option and look it up here.
   */
  readonly typeNames: readonly string[];
}

/** The interactions one request may use (stored and session events together), in ascending time. All arrays have length `length`. */
export interface HistoryView {
  readonly length: number;
  readonly items: Int32Array;
  readonly types: Uint8Array;
  readonly weights: Float32Array;
  readonly timesMs: Float64Array;
  /** Names of the `types` codes, as in `HistoryStore.typeNames`. */
  readonly typeNames: readonly string[];
}

/** A history with nothing in it. */
export const emptyHistory: HistoryView = Object.freeze({
  length: 0,
  items: new Int32Array(0),
  types: new Uint8Array(0),
  weights: new Float32Array(0),
  timesMs: new Float64Array(0),
  typeNames: Object.freeze([]) as readonly string[],
});
