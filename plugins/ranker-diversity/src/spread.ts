import { type Column, columnValue, type FieldInput, type RankedList, type Ranker } from '@recloom/plugin-api';
import type { SpreadOptions } from './options.js';

/**
 * Greedy and stable: every place takes the first candidate left whose category occurs fewer than `most` times in the
 * `within − 1` places before; when there is none, the first candidate left. So the window holds wherever the list allows
 * it without looking ahead. The first `limit` places are arranged; whoever is left follows in the order of the list.
 */
export class Spread implements Ranker {
  readonly #most: number;
  readonly #within: number;
  readonly #category: FieldInput;

  constructor(options: SpreadOptions, category: FieldInput) {
    this.#most = options.most;
    this.#within = options.within;
    this.#category = category;
  }

  rank(list: RankedList, signal: AbortSignal): Int32Array {
    signal.throwIfAborted();
    const { count } = list;
    const categories = this.#categoryNumbers(list);
    const order = new Int32Array(count);
    const taken = new Uint8Array(count);
    const inWindow = new Int32Array(count);
    const wanted = Math.min(count, list.limit);
    let firstLeft = 0;
    let position = 0;
    for (; position < wanted; position++) {
      while (taken[firstLeft] === 1) firstLeft++;
      let chosen = firstLeft;
      for (let place = firstLeft; place < count; place++) {
        if (taken[place] === 1) continue;
        const category = categories[place] as number;
        if (category >= 0 && (inWindow[category] as number) >= this.#most) continue;
        chosen = place;
        break;
      }
      taken[chosen] = 1;
      order[position] = chosen;
      addTo(inWindow, categories[chosen] as number, 1);
      const leaving = position - (this.#within - 1) + 1;
      if (leaving > 0) addTo(inWindow, categories[order[leaving - 1] as number] as number, -1);
    }
    for (let place = firstLeft; place < count; place++) if (taken[place] === 0) order[position++] = place;
    return order;
  }

  /** Numbers below `count` for the categories in the list; -1 for none. */
  #categoryNumbers(list: RankedList): Int32Array {
    const column = this.#category.column();
    const numbers = new Map<unknown, number>();
    return Int32Array.from({ length: list.count }, (_, place) => {
      const category = column === undefined ? null : categoryOf(column, list.rows[place] as number);
      if (category === null) return -1;
      const known = numbers.get(category);
      if (known !== undefined) return known;
      numbers.set(category, numbers.size);
      return numbers.size - 1;
    });
  }
}

function addTo(counts: Int32Array, category: number, change: number): void {
  if (category >= 0) counts[category] = (counts[category] as number) + change;
}

/** A key that is the same for rows of one category; null for none. */
function categoryOf(column: Column, row: number): unknown {
  if (column.type !== 'category') return columnValue(column, row);
  const code = column.codes[row] ?? -1;
  return code < 0 ? null : code;
}
