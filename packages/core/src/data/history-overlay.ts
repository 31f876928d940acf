import { emptyHistory, type HistoryStore, type HistoryView, recloomError } from '@recloom/plugin-api';
import { maximumEventTypes, untypedEvent } from './history-store.js';
import type { OverlayTable } from './overlay-table.js';

/** An event that a request brings along. */
export interface SessionEvent {
  readonly itemRow: number;
  /** Default: `event`. */
  readonly type?: string | undefined;
  /** Milliseconds since the epoch. Default: the request's `asOfMs`. */
  readonly timeMs?: number | undefined;
  /** Default: the usual weight of its type in the stored history, else 1. */
  readonly weight?: number | undefined;
}

/** Which events a view may show. */
export interface ViewOptions {
  /** Events later than this are not seen; one at this very time is. */
  readonly asOfMs: number;
  readonly session?: readonly SessionEvent[] | undefined;
}

/** What an overlay is told about itself. */
export interface HistoryOverlayOptions {
  /** Told `history` before a user's stored or recorded events are touched, and `session` before session events are. */
  readonly onRead?: ((label: 'history' | 'session') => void) | undefined;
}

/** One user's recorded events in ascending time, with spare room. */
interface RecordedEvents {
  length: number;
  items: Int32Array;
  types: Uint8Array;
  weights: Float32Array;
  timesMs: Float64Array;
}

/**
 * The only way a pipeline reads interactions: the stored history, and the events recorded since the snapshot was opened.
 * Lives in memory only; a host that wants recorded events to last stores them itself.
 */
export class HistoryOverlay {
  readonly #store: HistoryStore;
  readonly #users: OverlayTable;
  readonly #onRead: ((label: 'history' | 'session') => void) | undefined;
  readonly #recorded = new Map<number, RecordedEvents>();
  /** Grows when an event of a new type is recorded; views hand it out, so its first entries never change. */
  #typeNames: readonly string[];
  readonly #typeCodes: Map<string, number>;
  readonly #usualWeights: readonly number[];
  #recordedCount = 0;

  /** `users` is the live table whose rows `store` counts users by; `record` adds new users to it. */
  constructor(store: HistoryStore, users: OverlayTable, options: HistoryOverlayOptions = {}) {
    this.#store = store;
    this.#users = users;
    this.#onRead = options.onRead;
    this.#typeNames = store.typeNames;
    this.#typeCodes = new Map(store.typeNames.map((name, code) => [name, code]));
    this.#usualWeights = usualWeights(store);
  }

  /** How many events were recorded. */
  get recordedCount(): number {
    return this.#recordedCount;
  }

  /** Whether a stored event has this type; also true where no event is stored at all, and so nothing is unusual. */
  isStoredType(type: string): boolean {
    return this.#store.typeNames.length === 0 || this.#store.typeNames.includes(type);
  }

  /**
   * Adds an event of a known or new user; the next view sees it. `timeMs` is in milliseconds since the epoch; a weight left
   * out is the mean of its type's in the stored history, else 1.
   *
   * @throws RECLOOM_RUN_REQUEST for an empty user id, a row that is none, or a time or weight that is not a finite number;
   * RECLOOM_DAT_HISTORY_TYPES when it would be the 256th type.
   */
  record(userId: string, itemRow: number, typeName: string | undefined, timeMs: number, weight?: number): void {
    const type = typeName ?? untypedEvent;
    checkEvent(itemRow, type, timeMs, weight);
    const known = this.#typeCodes.get(type);
    if (known === undefined && this.#typeNames.length >= maximumEventTypes) {
      throw recloomError('RECLOOM_DAT_HISTORY_TYPES', { count: this.#typeNames.length + 1 });
    }
    const userRow = this.#users.upsert(userId, {});
    let code = known;
    if (code === undefined) {
      code = this.#typeNames.length;
      // A new array: views given out before keep the one they know.
      this.#typeNames = [...this.#typeNames, type];
      this.#typeCodes.set(type, code);
    }
    let events = this.#recorded.get(userRow);
    if (events === undefined) {
      events = withRoom(undefined, 8);
      this.#recorded.set(userRow, events);
    } else if (events.length === events.items.length) {
      events = withRoom(events, events.length * 2);
      this.#recorded.set(userRow, events);
    }
    const place = upperBound(events.timesMs, 0, events.length, timeMs);
    if (place < events.length) {
      // Late arrivals go where their time belongs. Views given out before share these arrays, so they are replaced, not shifted.
      events = withRoom(events, events.items.length);
      this.#recorded.set(userRow, events);
      for (const array of [events.items, events.types, events.weights, events.timesMs]) array.copyWithin(place + 1, place, events.length);
    }
    events.items[place] = itemRow;
    events.types[place] = code;
    events.weights[place] = weight ?? this.#usualWeight(code);
    events.timesMs[place] = timeMs;
    events.length++;
    this.#recordedCount++;
  }

  /**
   * The events of a user and of a session up to `asOfMs`, in ascending time; of equal times stored ones come first, then
   * recorded ones, then the session's in their order. `userRow` -1 (guest, unknown or not granted): the session's alone.
   * Nothing is copied when only stored or only recorded events are seen: the arrays are then views of the store's own, so never write to them.
   *
   * @throws RECLOOM_RUN_REQUEST for a session event with a row that is none, or a time or weight that is not a finite number.
   */
  view(userRow: number, options: ViewOptions): HistoryView {
    const session = options.session ?? [];
    const personal = userRow >= 0 ? this.#personalView(userRow, options.asOfMs) : undefined;
    if (session.length === 0) return personal ?? this.#empty();
    this.#onRead?.('session');
    const events = this.#sessionView(session, options.asOfMs);
    if (events.length === 0) return personal ?? this.#empty();
    // The session's type names start with all the known ones.
    return personal === undefined || personal.length === 0 ? events : merge(personal, events);
  }

  #personalView(userRow: number, asOfMs: number): HistoryView {
    this.#onRead?.('history');
    const store = this.#store;
    let from = 0;
    let end = 0;
    if (userRow < store.userCount) {
      from = store.offsets[userRow] as number;
      end = upperBound(store.timesMs, from, store.offsets[userRow + 1] as number, asOfMs);
    }
    const recorded = this.#recorded.get(userRow);
    const recordedEnd = recorded === undefined ? 0 : upperBound(recorded.timesMs, 0, recorded.length, asOfMs);
    if (recorded === undefined || recordedEnd === 0) return viewOf(store, from, end, this.#typeNames);
    const live = viewOf(recorded, 0, recordedEnd, this.#typeNames);
    return end === from ? live : merge(viewOf(store, from, end, this.#typeNames), live);
  }

  #sessionView(session: readonly SessionEvent[], asOfMs: number): HistoryView {
    for (const event of session) checkEvent(event.itemRow, event.type ?? untypedEvent, event.timeMs ?? asOfMs, event.weight);
    const timesOf = session.map((event) => event.timeMs ?? asOfMs);
    const order = session.map((_, index) => index).filter((index) => (timesOf[index] as number) <= asOfMs);
    order.sort((left, right) => (timesOf[left] as number) - (timesOf[right] as number) || left - right);
    const view = withRoom(undefined, order.length);
    let typeNames = this.#typeNames;
    order.forEach((index, place) => {
      const event = session[index] as SessionEvent;
      const type = event.type ?? untypedEvent;
      let code = this.#typeCodes.get(type) ?? typeNames.indexOf(type, this.#typeNames.length);
      if (code < 0) {
        if (typeNames.length >= maximumEventTypes) throw recloomError('RECLOOM_DAT_HISTORY_TYPES', { count: typeNames.length + 1 });
        // Known to this view alone: requests must not be able to use up the codes.
        code = typeNames.length;
        typeNames = [...typeNames, type];
      }
      view.items[place] = event.itemRow;
      view.types[place] = code;
      view.weights[place] = event.weight ?? this.#usualWeight(code);
      view.timesMs[place] = timesOf[index] as number;
    });
    return { length: order.length, items: view.items, types: view.types, weights: view.weights, timesMs: view.timesMs, typeNames };
  }

  #empty(): HistoryView {
    return this.#typeNames.length === 0 ? emptyHistory : { ...emptyHistory, typeNames: this.#typeNames };
  }

  #usualWeight(code: number): number {
    return this.#usualWeights[code] ?? 1;
  }
}

function checkEvent(itemRow: number, type: string, timeMs: number, weight: number | undefined): void {
  const refuse = (why: string): never => {
    throw recloomError('RECLOOM_RUN_REQUEST', { why });
  };
  if (!Number.isInteger(itemRow) || itemRow < 0) refuse('an event must name a known item');
  if (typeof type !== 'string' || type === '') refuse('the type of an event must be a text that is not empty');
  if (!Number.isFinite(timeMs)) refuse('the time of an event must be a finite number of milliseconds');
  if (weight !== undefined && !Number.isFinite(Math.fround(weight))) refuse('the weight of an event must be a finite number');
}

/** By type code: the mean weight of its stored events. Equal weights come out as they are: sums of float32 are exact in float64. */
function usualWeights(store: HistoryStore): number[] {
  const counts = new Float64Array(store.typeNames.length);
  const sums = new Float64Array(store.typeNames.length);
  for (let event = 0; event < store.eventCount; event++) {
    const type = store.types[event] as number;
    counts[type] = (counts[type] as number) + 1;
    sums[type] = (sums[type] as number) + (store.weights[event] as number);
  }
  return store.typeNames.map((_, type) => (counts[type] === 0 ? 1 : (sums[type] as number) / (counts[type] as number)));
}

function withRoom(events: RecordedEvents | undefined, room: number): RecordedEvents {
  const grown: RecordedEvents = {
    length: events?.length ?? 0,
    items: new Int32Array(room),
    types: new Uint8Array(room),
    weights: new Float32Array(room),
    timesMs: new Float64Array(room),
  };
  if (events !== undefined) {
    grown.items.set(events.items.subarray(0, events.length));
    grown.types.set(events.types.subarray(0, events.length));
    grown.weights.set(events.weights.subarray(0, events.length));
    grown.timesMs.set(events.timesMs.subarray(0, events.length));
  }
  return grown;
}

/** The first place in `[from, end)` whose time is later than `timeMs`. */
function upperBound(timesMs: Float64Array, from: number, end: number, timeMs: number): number {
  let low = from;
  let high = end;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((timesMs[middle] as number) <= timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

type EventArrays = Pick<HistoryView, 'items' | 'types' | 'weights' | 'timesMs'>;

function viewOf(events: EventArrays, from: number, end: number, typeNames: readonly string[]): HistoryView {
  return {
    length: end - from,
    items: events.items.subarray(from, end),
    types: events.types.subarray(from, end),
    weights: events.weights.subarray(from, end),
    timesMs: events.timesMs.subarray(from, end),
    typeNames,
  };
}

/** Both in ascending time, of equal times the earlier's first. The type names of `later` start with those of `earlier`. */
function merge(earlier: HistoryView, later: HistoryView): HistoryView {
  const length = earlier.length + later.length;
  const merged = withRoom(undefined, length);
  let left = 0;
  let right = 0;
  for (let place = 0; place < length; place++) {
    const takeLeft =
      right >= later.length || (left < earlier.length && (earlier.timesMs[left] as number) <= (later.timesMs[right] as number));
    const from = takeLeft ? earlier : later;
    const index = takeLeft ? left++ : right++;
    merged.items[place] = from.items[index] as number;
    merged.types[place] = from.types[index] as number;
    merged.weights[place] = from.weights[index] as number;
    merged.timesMs[place] = from.timesMs[index] as number;
  }
  return { length, items: merged.items, types: merged.types, weights: merged.weights, timesMs: merged.timesMs, typeNames: later.typeNames };
}
