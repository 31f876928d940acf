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
  const { userRows, timesMs, types } = events;
  const eventCount = userRows.length;
  const offsets = offsetsByUser(userRows, userCount);
  const order = orderByUserAndTime(userRows, timesMs, offsets);
  const { names, codes } = canonicalTypes(events);
  const baskets = events.baskets === undefined ? undefined : numberBaskets(order, events.baskets);
  return {
    userCount,
    itemCount,
    eventCount,
    offsets,
    items: gather(events.itemRows, order, new Int32Array(eventCount)),
    types: gatherTypes(types, codes, order),
    weights: gather(events.weights, order, new Float32Array(eventCount)),
    timesMs: gather(timesMs, order, new Float64Array(eventCount)),
    ...(baskets === undefined ? {} : { baskets }),
    typeNames: names,
  };
}

function offsetsByUser(userRows: Int32Array, userCount: number): Int32Array {
  const offsets = new Int32Array(userCount + 1);
  for (let event = 0; event < userRows.length; event++) {
    const slot = (userRows[event] as number) + 1;
    offsets[slot] = (offsets[slot] as number) + 1;
  }
  for (let user = 0; user < userCount; user++) offsets[user + 1] = (offsets[user + 1] as number) + (offsets[user] as number);
  return offsets;
}

/** By place in the store, the event that belongs there. A counting sort by user, then each user's by time, both stable. */
function orderByUserAndTime(userRows: Int32Array, timesMs: Float64Array, offsets: Int32Array): Int32Array {
  const userCount = offsets.length - 1;
  const order = new Int32Array(userRows.length);
  const next = offsets.slice(0, userCount);
  for (let event = 0; event < userRows.length; event++) {
    const user = userRows[event] as number;
    const place = next[user] as number;
    order[place] = event;
    next[user] = place + 1;
  }
  for (let user = 0; user < userCount; user++) {
    const start = offsets[user] as number;
    const end = offsets[user + 1] as number;
    // Most exports are in order already.
    if (ascends(order, timesMs, start, end)) continue;
    // Event numbers break ties: they are in order of arrival.
    order.subarray(start, end).sort((left, right) => (timesMs[left] as number) - (timesMs[right] as number) || left - right);
  }
  return order;
}

function ascends(order: Int32Array, timesMs: Float64Array, start: number, end: number): boolean {
  for (let place = start + 1; place < end; place++) {
    if ((timesMs[order[place - 1] as number] as number) > (timesMs[order[place] as number] as number)) return false;
  }
  return true;
}

function gatherTypes(types: Int32Array | Uint8Array, codes: Uint8Array, order: Int32Array): Uint8Array {
  const gathered = new Uint8Array(order.length);
  for (let place = 0; place < order.length; place++) gathered[place] = codes[types[order[place] as number] as number] as number;
  return gathered;
}

function gather<Data extends Int32Array | Float32Array | Float64Array>(source: Data, order: Int32Array, target: Data): Data {
  for (let place = 0; place < order.length; place++) target[place] = source[order[place] as number] as number;
  return target;
}

function canonicalTypes(events: EventColumns): { names: readonly string[]; codes: Uint8Array } {
  const used = new Uint8Array(events.typeNames.length);
  const { types } = events;
  for (let event = 0; event < types.length; event++) used[types[event] as number] = 1;
  const names = [...new Set(events.typeNames.filter((_, code) => used[code] === 1))].sort();
  if (names.length > maximumEventTypes) throw recloomError('RECLOOM_DAT_HISTORY_TYPES', { count: names.length });
  const places = new Map(names.map((name, place) => [name, place]));
  return { names, codes: Uint8Array.from(events.typeNames, (name) => places.get(name) ?? 0) };
}

function numberBaskets(order: Int32Array, baskets: Int32Array): Int32Array {
  let largest = -1;
  for (let event = 0; event < baskets.length; event++) largest = Math.max(largest, baskets[event] as number);
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
