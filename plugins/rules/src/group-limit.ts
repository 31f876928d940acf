import { type Column, columnValue, type FieldInput, type RankedList, type Ranker } from '@recloom/plugin-api';
import type { GroupLimitOptions } from './options.js';

/** Lets the first `most` of each group stay where they are; the others follow after everything else, in their order. */
export class GroupLimit implements Ranker {
  readonly #most: number;
  readonly #group: FieldInput;

  constructor(options: GroupLimitOptions, group: FieldInput) {
    this.#most = options.most;
    this.#group = group;
  }

  rank(list: RankedList, signal: AbortSignal): Int32Array {
    signal.throwIfAborted();
    const order = new Int32Array(list.count);
    const waiting: number[] = [];
    const counts = new Map<unknown, number>();
    const column = this.#group.column();
    let kept = 0;
    for (let place = 0; place < list.count; place++) {
      const group = column === undefined ? null : groupOf(column, list.rows[place] as number);
      const count = group === null ? 0 : (counts.get(group) ?? 0);
      if (count >= this.#most) {
        waiting.push(place);
        continue;
      }
      if (group !== null) counts.set(group, count + 1);
      order[kept++] = place;
    }
    order.set(waiting, kept);
    return order;
  }
}

/** A key that is the same for rows of one group; null for none. Categories are told apart by their codes, which is cheaper. */
function groupOf(column: Column, row: number): unknown {
  if (column.type !== 'category') return columnValue(column, row);
  const code = column.codes[row] ?? -1;
  return code < 0 ? null : code;
}
