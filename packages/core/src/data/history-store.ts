import { type HistoryStore, recloomError } from '@recloom/plugin-api';

/** The type of events whose data name none. */
export const untypedEvent = 'event';

/** Most types a history can tell apart: codes are bytes. */
export const maximumEventTypes = 255;

/** Events in any order, one entry per event in each array. */
export interface EventColumns {
  readonly userRows: Int32Array;
  readonly itemRows: Int32Array;
  /** Codes of `typeNames`. */
  readonly types: Int32Array | Uint8Array;
  readonly typeNames: readonly string[];
  readonly weights: Float32Array;
  readonly timesMs: Float64Array;
  /** Any numbers that are equal for events of one basket; -1 for none. */
  readonly baskets: Int32Array | undefined;
}

/**
 * Sorts events into a `HistoryStore`: by user row, then time; events of equal time keep their order. Type names come out
 * ascending and only those in use; baskets are numbered in the order the store holds them. The arrays given are not kept.
 *
 * @throws RECLOOM_DAT_HISTORY_TYPES above 255 types.
 */
export function createHistoryStore(events: EventColumns, userCount: number, itemCount: number): HistoryStore {
  const eventCount = events.userRows.length;
  const offsets = new Int32Array(userCount + 1);
  for (let event = 0; event < eventCount; event++)
    offsets[(events.userRows[event] as number) + 1] = (offsets[(events.userRows[event] as number) + 1] as number) + 1;
  for (let user = 0; user < userCount; user++) offsets[user + 1] = (offsets[user + 1] as number) + (offsets[user] as number);

  // `order[place]` = the event that belongs at `place`: a counting sort by user, stable.
  const order = new Int32Array(eventCount);
  const next = offsets.slice(0, userCount);
  for (let event = 0; event < eventCount; event++) {
    const user = events.userRows[event] as number;
    const place = next[user] as number;
    order[place] = event;
    next[user] = place + 1;
  }
  for (let user = 0; user < userCount; user++) sortByTime(order.subarray(offsets[user], offsets[user + 1]), events.timesMs);

  const { names, codes } = canonicalTypes(events);
  const items = new Int32Array(eventCount);
  const types = new Uint8Array(eventCount);
  const weights = new Float32Array(eventCount);
  const timesMs = new Float64Array(eventCount);
  for (let place = 0; place < eventCount; place++) {
    const event = order[place] as number;
    items[place] = events.itemRows[event] as number;
    types[place] = codes[events.types[event] as number] as number;
    weights[place] = events.weights[event] as number;
    timesMs[place] = events.timesMs[event] as number;
  }
  const baskets = events.baskets === undefined ? undefined : numberBaskets(order, events.baskets);
  return {
    userCount,
    itemCount,
    eventCount,
    offsets,
    items,
    types,
    weights,
    timesMs,
    ...(baskets === undefined ? {} : { baskets }),
    typeNames: names,
  };
}

function sortByTime(slice: Int32Array, timesMs: Float64Array): void {
  for (let place = 1; place < slice.length; place++) {
    if ((timesMs[slice[place - 1] as number] as number) > (timesMs[slice[place] as number] as number)) {
      // Most exports are in order already, so that this is seldom reached. Event numbers break ties: they are in order of arrival.
      slice.sort((left, right) => (timesMs[left] as number) - (timesMs[right] as number) || left - right);
      return;
    }
  }
}

function canonicalTypes(events: EventColumns): { names: readonly string[]; codes: Uint8Array } {
  const used = new Uint8Array(events.typeNames.length);
  for (const code of events.types) used[code] = 1;
  const names = [...new Set(events.typeNames.filter((_, code) => used[code] === 1))].sort();
  if (names.length > maximumEventTypes) throw recloomError('RECLOOM_DAT_HISTORY_TYPES', { count: names.length });
  const places = new Map(names.map((name, place) => [name, place]));
  return { names, codes: Uint8Array.from(events.typeNames, (name) => places.get(name) ?? 0) };
}

function numberBaskets(order: Int32Array, baskets: Int32Array): Int32Array {
  let largest = -1;
  for (const basket of baskets) if (basket > largest) largest = basket;
  const numbers = new Int32Array(largest + 1).fill(-1);
  const numbered = new Int32Array(order.length);
  let count = 0;
  for (let place = 0; place < order.length; place++) {
    const basket = baskets[order[place] as number] as number;
    if (basket >= 0 && numbers[basket] === -1) numbers[basket] = count++;
    numbered[place] = basket < 0 ? -1 : (numbers[basket] as number);
  }
  return numbered;
}
