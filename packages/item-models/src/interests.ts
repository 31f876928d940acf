import type { HistoryView, Reason, RequestView } from '@recloom/plugin-api';

/** What a request says about what the person wants: item rows, each once, with a weight. Scratch: valid until the next call. */
export interface Interests {
  readonly count: number;
  /** Item rows, in the order in which they came up (newest first). */
  readonly rows: Int32Array;
  /** Above 0; the largest is 1, so that scores of long-gone people do not underflow. A factor changes no order. */
  readonly weights: Float32Array;
  /** The amount that stands for a weight of 1, above 0; 0 when there are no interests. */
  readonly largest: number;
  /** Type code of the event that counted most, -1 for an item the request names. */
  readonly types: Int32Array;
}

/** When the items a request names (a product page's item, a basket) stand for the history. */
export type RequestItemsUse = 'fallback' | 'instead' | 'ignore';

/** How the items a request starts from are read, and how much each of them counts. */
export interface InterestsRule {
  readonly requestItems: RequestItemsUse;
  readonly pairs: 'strongest' | 'sum';
  /** Amounts of a history's events, in its order; 0 or less, or not finite = does not count. May return the same scratch each time. */
  amounts(history: HistoryView, asOfMs: number): ArrayLike<number>;
}

/** Collects the interests of requests over a catalogue; rows beyond it are passed over. */
export class InterestReader {
  readonly #rule: InterestsRule;
  readonly #itemCount: () => number;
  #amounts: Float64Array;
  #best: Float64Array;
  #types: Int32Array;
  #rows = new Int32Array(64);

  /** `itemCount`: rows of the catalogue; a function where items added since the build count too (a live table's `rowCount`). */
  constructor(itemCount: number | (() => number), rule: InterestsRule) {
    this.#rule = rule;
    this.#itemCount = typeof itemCount === 'function' ? itemCount : () => itemCount;
    const rows = this.#itemCount();
    this.#amounts = new Float64Array(rows);
    this.#best = new Float64Array(rows);
    this.#types = new Int32Array(rows);
  }

  /** The history, or the items the request names, as `requestItems` says. */
  read(request: RequestView): Interests {
    if (this.#itemCount() > this.#amounts.length) {
      // Between two reads all amounts are 0, and the other two are written before they are read.
      const rows = Math.max(this.#itemCount(), Math.ceil(this.#amounts.length * 1.25));
      this.#amounts = new Float64Array(rows);
      this.#best = new Float64Array(rows);
      this.#types = new Int32Array(rows);
    }
    const { requestItems } = this.#rule;
    const named = request.items.length > 0 && requestItems !== 'ignore';
    if (named && requestItems === 'instead') return this.#readItems(request.items);
    const interests = this.#readHistory(request);
    return interests.count === 0 && named ? this.#readItems(request.items) : interests;
  }

  #readItems(items: Int32Array): Interests {
    let count = 0;
    for (const row of items) if (this.#add(row, 1, -1, count)) count++;
    return this.#finish(count);
  }

  #readHistory({ history, asOfMs }: RequestView): Interests {
    const amounts = this.#rule.amounts(history, asOfMs);
    let count = 0;
    for (let event = history.length - 1; event >= 0; event--) {
      const amount = amounts[event] as number;
      if (!(amount > 0) || amount === Number.POSITIVE_INFINITY) continue;
      if (this.#add(history.items[event] as number, amount, history.types[event] as number, count)) count++;
    }
    return this.#finish(count);
  }

  /** True when the row is new. */
  #add(row: number, amount: number, type: number, count: number): boolean {
    if (row < 0 || row >= this.#itemCount()) return false;
    const before = this.#amounts[row] as number;
    if (before > 0) {
      this.#amounts[row] = this.#rule.pairs === 'sum' ? before + amount : Math.max(before, amount);
      if (amount > (this.#best[row] as number)) {
        this.#best[row] = amount;
        this.#types[row] = type;
      }
      return false;
    }
    if (count === this.#rows.length) {
      const grown = new Int32Array(count * 2);
      grown.set(this.#rows);
      this.#rows = grown;
    }
    this.#rows[count] = row;
    this.#amounts[row] = amount;
    this.#best[row] = amount;
    this.#types[row] = type;
    return true;
  }

  #finish(count: number): Interests {
    const rows = this.#rows.subarray(0, count);
    const weights = new Float32Array(count);
    const types = new Int32Array(count);
    let largest = 0;
    for (const row of rows) largest = Math.max(largest, this.#amounts[row] as number);
    for (let place = 0; place < count; place++) {
      const row = rows[place] as number;
      weights[place] = (this.#amounts[row] as number) / largest;
      types[place] = this.#types[row] as number;
      this.#amounts[row] = 0;
    }
    return { count, rows, weights, largest, types };
  }
}

/** Wording of the reason that an item of the history gives. */
export function reasonFor(request: RequestView, type: number): Pick<Reason, 'code' | 'text'> {
  if (type < 0) return { code: 'goes-with', text: 'Goes with {item}' };
  if (request.userRow < 0 || !request.granted('history')) return { code: 'goes-with-visit', text: 'Goes with {item} from your visit' };
  switch (request.history.typeNames[type]) {
    case 'purchase':
    case 'order':
    case 'buy':
      return { code: 'because-you-bought', text: 'Because you bought {item}' };
    case 'view':
    case 'click':
      return { code: 'because-you-viewed', text: 'Because you looked at {item}' };
    case 'cart':
    case 'basket':
      return { code: 'goes-with-basket', text: 'Goes with {item} in your basket' };
    default:
      return { code: 'because-you-chose', text: 'Because you chose {item}' };
  }
}
