import type { HistoryView } from '../columns/history.js';
import type { Label } from './labels.js';

/** A value that the host sends along with a request, e.g. the device or the weather. */
export type ContextValue = string | number | boolean | null;

/** One request as components see it: only what the privacy gate granted is there. */
export interface RequestView {
  /** Place in the batch. */
  readonly index: number;
  /** Dense user row, -1 when unknown, a guest, or not granted (`history` or `profile`). */
  readonly userRow: number;
  /** Stored events (label `history`) and events sent along (label `session`), whichever are granted, in ascending time. */
  readonly history: HistoryView;
  /** Rows of the items the request names (a product page's item, a basket); unknown ids are left out. */
  readonly items: Int32Array;
  /** The words of a search. */
  readonly text: string | undefined;
  /** The picture of a search: encoded bytes, or a path or URI. */
  readonly image: Uint8Array | string | undefined;
  /** How much the words and the picture of a search count against each other when both are there, e.g. `{ text: 0.7, image: 0.3 }`; equal shares when undefined. */
  readonly queryWeights?: { readonly text: number; readonly image: number } | undefined;
  /** The query-scope vector of a feature for this request, when its modality came along. */
  queryVector(feature: string): Float32Array | undefined;
  /** A field of the user's row (label `profile`, or the label the config gave the field); undefined when not granted. */
  userField(field: string): ContextValue | undefined;
  /** Free values the caller sent along, by name; a name may be missing, and a value a text, a number, true, false or null. */
  readonly context: Readonly<Record<string, ContextValue>>;
  /**
   * "Now" for this request, in milliseconds since the epoch: the clock, the snapshot's last event when the config says
   * `now: data`, or an evaluation's cut. Use this and never `Date.now()`, or past requests cannot be replayed.
   */
  readonly asOfMs: number;
  /** How many items the caller wants. */
  readonly limit: number;
  /** Seed for everything random in this request. */
  readonly seed: number;
  /** Per-request options of rankers, e.g. `diversity`, `minRelevance`. */
  readonly diversity: number | undefined;
  granted(label: Label): boolean;
}

/** B requests of one surface (B = 1 online). */
export interface RequestBatch {
  readonly requests: readonly RequestView[];
  /**
   * Items that the surface's item-only filters allow (1 = may be proposed), one byte per item row; undefined = all.
   * A source that can apply it inside its scan should; core filters afterwards in any case.
   */
  readonly eligible: Uint8Array | undefined;
  readonly signal: AbortSignal;
}
