/** Milliseconds of a day. */
export const dayMs = 86_400_000;

/** Types that mean a purchase where the config names none. */
const usualPurchases: readonly string[] = Object.freeze(['purchase', 'order', 'buy']);

/** The names of the types that count: those of the options, else the usual ones that are there, else all (undefined). */
export function purchaseTypes(typeNames: readonly string[], eventTypes: readonly string[] | undefined): readonly string[] | undefined {
  if (eventTypes !== undefined) return eventTypes;
  const usual = usualPurchases.filter((name) => typeNames.includes(name));
  return usual.length === 0 ? undefined : usual;
}

/** What people bought, and bought again: pairs of a person and an item, in days since the epoch. */
export interface PurchaseLog {
  readonly pairCount: number;
  /** The group of each pair (a user row, or a request); groups are contiguous and ascend. */
  readonly users: Int32Array;
  /** Item row of each pair. */
  readonly items: Int32Array;
  readonly firstDays: Float64Array;
  readonly lastDays: Float64Array;
  /** Purchases after the first. */
  readonly repeats: Int32Array;
  /** Σ ln(gap in days) over the gaps of each pair. */
  readonly logGaps: Float64Array;
  readonly repeatCount: number;
  /** The pair of each repeat purchase, in ascending time within a pair. */
  readonly repeatPairs: Int32Array;
  readonly repeatDays: Float64Array;
  /** Days since the purchase before, above 0. */
  readonly repeatGaps: Float64Array;
}

/** Events of several people, each person's in ascending time: the columns of a history. */
export interface Purchases {
  readonly offsets: ArrayLike<number>;
  readonly items: ArrayLike<number>;
  readonly types: ArrayLike<number>;
  readonly timesMs: ArrayLike<number>;
}

/** Gaps below an hour count as one: a logarithm needs something above 0. */
const shortestGapDays = 1 / 24;

/** Reads logs one after the other into scratch of its own; makes no object per event. */
export class PurchaseReader {
  readonly #mergeDays: number;
  /** Pair of an item for the person in work, or -1. */
  readonly #pairOf: Int32Array;

  /** Items from `itemCount` on are passed over. */
  constructor(itemCount: number, mergeHours: number) {
    this.#mergeDays = mergeHours / 24;
    this.#pairOf = new Int32Array(itemCount).fill(-1);
  }

  /**
   * The purchases of the people `purchases.offsets` tells apart, up to `untilMs` (inclusive), of the types with
   * `counted[type] = 1` (undefined: all). The arrays are the caller's.
   */
  read(purchases: Purchases, counted: Uint8Array | undefined, untilMs: number, signal?: AbortSignal): PurchaseLog {
    const { offsets, items, types, timesMs } = purchases;
    const userCount = offsets.length - 1;
    const most = offsets[userCount] as number;
    const log = {
      users: new Int32Array(most),
      items: new Int32Array(most),
      firstDays: new Float64Array(most),
      lastDays: new Float64Array(most),
      repeats: new Int32Array(most),
      logGaps: new Float64Array(most),
      repeatPairs: new Int32Array(most),
      repeatDays: new Float64Array(most),
      repeatGaps: new Float64Array(most),
    };
    const pairOf = this.#pairOf;
    let pairCount = 0;
    let repeatCount = 0;
    for (let user = 0; user < userCount; user++) {
      if ((user & 0x3fff) === 0) signal?.throwIfAborted();
      const firstPair = pairCount;
      for (let event = offsets[user] as number; event < (offsets[user + 1] as number); event++) {
        const timeMs = timesMs[event] as number;
        if (timeMs > untilMs) break;
        if (counted !== undefined && counted[types[event] as number] !== 1) continue;
        const item = items[event] as number;
        if (item >= pairOf.length) continue;
        const day = timeMs / dayMs;
        const pair = pairOf[item] as number;
        if (pair < 0) {
          pairOf[item] = pairCount;
          log.users[pairCount] = user;
          log.items[pairCount] = item;
          log.firstDays[pairCount] = day;
          log.lastDays[pairCount++] = day;
          continue;
        }
        const gap = day - (log.lastDays[pair] as number);
        if (gap <= this.#mergeDays) continue;
        const counting = Math.max(shortestGapDays, gap);
        log.lastDays[pair] = day;
        log.repeats[pair] = (log.repeats[pair] as number) + 1;
        log.logGaps[pair] = (log.logGaps[pair] as number) + Math.log(counting);
        log.repeatPairs[repeatCount] = pair;
        log.repeatDays[repeatCount] = day;
        log.repeatGaps[repeatCount++] = counting;
      }
      for (let pair = firstPair; pair < pairCount; pair++) pairOf[log.items[pair] as number] = -1;
    }
    return { pairCount, repeatCount, ...log };
  }
}
