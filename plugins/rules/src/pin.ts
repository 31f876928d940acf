import { type CandidateSource, perRequest, type RankedList, type Ranker, type RequestProposals, type Table } from '@recloom/plugin-api';
import type { PinOptions } from './options.js';

interface PinnedItem {
  readonly item: string;
  /** From 1. */
  readonly slot: number;
}

/**
 * As a source: the pinned items that are in the catalogue, lowest slot first. As a ranker: each pinned item of the list
 * goes to its slot; the others keep their order around them. A slot beyond the end of the list means its end.
 */
export class Pin implements CandidateSource, Ranker {
  readonly #pins: readonly PinnedItem[];
  readonly #items: Table;

  constructor(options: PinOptions, items: Table) {
    this.#pins = [...options.items].sort((a, b) => a.slot - b.slot);
    this.#items = items;
  }

  readonly propose: CandidateSource['propose'] = perRequest((_request, limit, { eligible }) => this.#proposeOne(limit, eligible));

  rank(list: RankedList, signal: AbortSignal): Int32Array {
    signal.throwIfAborted();
    const order = new Int32Array(list.count);
    // Ids are looked up per request: an item may join the catalogue while the pipeline runs.
    const placeOf = new Map<number, number>();
    for (let place = 0; place < list.count; place++) placeOf.set(list.rows[place] as number, place);
    const pinned = this.#pins.flatMap(({ item, slot }) => {
      const place = placeOf.get(this.#items.rowOf(item));
      return place === undefined ? [] : [{ place, slot }];
    });
    const isPinned = new Uint8Array(list.count);
    for (const { place } of pinned) isPinned[place] = 1;
    let nextPin = 0;
    let nextOther = 0;
    for (let position = 0; position < list.count; position++) {
      while (nextOther < list.count && isPinned[nextOther] === 1) nextOther++;
      const pin = pinned[nextPin];
      if (pin !== undefined && (pin.slot <= position + 1 || nextOther === list.count)) {
        order[position] = pin.place;
        nextPin++;
      } else {
        order[position] = nextOther;
        nextOther++;
      }
    }
    return order;
  }

  #proposeOne(limit: number, eligible: Uint8Array | undefined): RequestProposals {
    const rows: number[] = [];
    for (const { item } of this.#pins) {
      if (rows.length === limit) break;
      const row = this.#items.rowOf(item);
      if (row >= 0 && (eligible === undefined || eligible[row] === 1)) rows.push(row);
    }
    return { rows, scores: rows.map((_, place) => 1 / (place + 1)) };
  }
}
