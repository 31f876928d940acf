import type { ContextValue, Warning } from '@recloom/plugin-api';

/** Attributes of an item as an answer carries them. */
export type AttributeValue = string | number | boolean | readonly string[] | null;
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** An event a guest's request brings along, or that a host records. */
export interface SessionEventInput {
  readonly item: string;
  /** Name of the event type, e.g. `view`. */
  readonly type?: string;
  /** When it happened; now when absent. */
  readonly time?: Date | number;
}

/** What one page wants. Unknown users and items are normal (cold start). */
export interface RecommendRequest {
  /** Name of a surface of the config. Default: `search` with a text or image, `product` with an item, else `home`; or the config's only surface. */
  readonly surface?: string;
  readonly user?: string;
  /** Events of a guest (or of a known user's visit) not recorded yet. Sending them grants the label `session`. */
  readonly session?: readonly SessionEventInput[];
  /** The item a product page shows. */
  readonly item?: string;
  /** Several anchor items, e.g. a basket. */
  readonly items?: readonly string[];
  readonly text?: string;
  /** Encoded bytes, a path or a URI of a picture to search by. */
  readonly image?: Uint8Array | string;
  /**
   * How much the words and the picture of a search count against each other when both are there, e.g. `{ text: 0.7, image: 0.3 }`:
   * finite, not negative, not both zero; only their proportion matters. Default: equal.
   */
  readonly queryWeights?: { readonly text: number; readonly image: number };
  /** What the person agreed to, e.g. `['personalisation']`; absent = nothing, unless a consent service answers. */
  readonly purposes?: readonly string[];
  readonly limit?: number;
  /** CEL condition an item must meet, e.g. `item.price < 10.0`. */
  readonly filter?: string;
  /** CEL number added to the value after it was scaled to [0, 1] within the request, e.g. `item.category == "gift" ? 0.2 : 0.0`. */
  readonly boost?: string;
  /** Ids that must not be in the answer. */
  readonly exclude?: readonly string[];
  /** 0 (relevance only) to 1 (diversity only): overrides what a diversity ranker is set to. */
  readonly diversity?: number;
  /** Leaves out items whose value is below. */
  readonly minRelevance?: number;
  readonly context?: Readonly<Record<string, ContextValue>>;
  readonly seed?: number;
  /** Milliseconds this request may take; default: the surface's `limits.timeoutMs`. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
  /** Adds to every item why it is there. */
  readonly explain?: boolean;
  /** Item fields wanted on top of the surface's `attributes`. */
  readonly attributes?: readonly string[];
  /** "Now" for this request, instead of the clock's or the data's. Nothing later is seen. */
  readonly asOf?: Date | number;
}

/** One item of an answer, best first. */
export interface AnswerItem<ItemAttributes extends Attributes = Attributes> {
  readonly id: string;
  /** The value it was ordered by before the rankers; comparable within one answer only. */
  readonly value: number;
  readonly attributes: ItemAttributes;
  /** A sentence a shopper can read; present with `explain: true`. */
  readonly reason?: string;
  readonly explanation?: ItemExplanation;
}

/** Why an item is where it is. */
export interface ItemExplanation {
  readonly sources: readonly { readonly name: string; readonly rank: number; readonly score: number }[];
  readonly scores: Readonly<Record<string, number | null>>;
  readonly value: { readonly expression: string; readonly result: number; readonly place: number };
  /** Its place (1-based) after each ranker. */
  readonly rankers: readonly { readonly name: string; readonly place: number }[];
  readonly reasons: readonly {
    readonly component: string;
    readonly code: string;
    readonly sentence: string;
    readonly items: readonly string[];
  }[];
}

/** How many candidates each stage saw. */
export interface Ledger {
  /** By source: how many it proposed. */
  readonly proposed: Readonly<Record<string, number>>;
  readonly merged: number;
  /** By filter and reason. */
  readonly removed: readonly { readonly filter: string; readonly reason: string; readonly count: number }[];
  readonly scored: number;
  /** Scores that are not finite, by scorer. */
  readonly missingScores: Readonly<Record<string, number>>;
  readonly withheld: number;
}

export interface NodeTiming {
  readonly node: string;
  readonly milliseconds: number;
  /** What ran the component's model, e.g. `cpu` or `cuda`; several are joined by `+`. Only for components that run a model. */
  readonly device?: string;
}

/** What a request gets back. */
export interface Answer<ItemAttributes extends Attributes = Attributes> {
  readonly items: readonly AnswerItem<ItemAttributes>[];
  readonly surface: string;
  readonly snapshotId: string;
  readonly configHash: string;
  /** Names this answer in later events, so that what was shown and what was bought can be joined. */
  readonly attributionId: string;
  /** "Now" of the request, in milliseconds since the epoch. */
  readonly asOfMs: number;
  /** True when stored personal data were granted and used. */
  readonly personalised: boolean;
  readonly warnings: readonly Warning[];
  readonly timings: readonly NodeTiming[];
  readonly ledger: Ledger;
}

/** The way of one item through a request, found or not. */
export interface Trace {
  readonly item: string;
  readonly known: boolean;
  readonly inAnswer: boolean;
  /** 1-based place in the answer; 0 when it is not in it. */
  readonly place: number;
  readonly proposedBy: readonly { readonly source: string; readonly rank: number; readonly score: number }[];
  /** The filter that took it out, if one did. */
  readonly removedBy: { readonly filter: string; readonly reason: string } | undefined;
  readonly scores: Readonly<Record<string, number | null>>;
  readonly value: number | undefined;
  /** Place by value among the scored candidates. */
  readonly placeByValue: number | undefined;
  readonly rankers: readonly { readonly name: string; readonly place: number }[];
  /** What happened, in a sentence for the person who assembles the pipeline. */
  readonly verdict: string;
  readonly answer: Answer;
}

/**
 * An item to add or change in the overlay: its id and fields. Fields left out keep their value. An image field takes a reference
 * (a path, a data URI, the host's own) or the encoded bytes, which are kept as a data URI.
 */
export type ItemInput = { readonly id: string } & Readonly<Record<string, AttributeValue | Uint8Array | undefined>>;

/** An event to record in the overlay. */
export interface EventInput extends SessionEventInput {
  readonly user: string;
  readonly weight?: number;
}
