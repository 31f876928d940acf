import type { HistoryStore, HistoryView } from '@recloom/plugin-api';

/** One interaction, with rows instead of ids. */
export interface TestEvent {
  readonly item: number;
  /** Default `purchase`. */
  readonly type?: string;
  /** Milliseconds since the epoch; default 0. */
  readonly timeMs?: number;
  /** Default 1. */
  readonly weight?: number;
}

/** One interaction of one user. */
export interface TestUserEvent extends TestEvent {
  readonly user: number;
  /** Dense number of the basket; none by default. */
  readonly basket?: number;
}

/** Shape of a history that its events alone do not tell. */
export interface HistoryShape {
  /** Default: the highest user row + 1. */
  readonly userCount?: number;
  /** Default: the highest item row + 1. */
  readonly itemCount?: number;
  /** Default: in the order the types first occur. */
  readonly typeNames?: readonly string[];
}

/** The history of the given events: CSR by user, each user's events in ascending time, stable for ties. Baskets are present when any event has one. */
export function historyFrom(events: readonly TestUserEvent[], shape: HistoryShape = {}): HistoryStore {
  const ordered = events
    .map((event, order) => ({ event, order }))
    .sort((a, b) => a.event.user - b.event.user || (a.event.timeMs ?? 0) - (b.event.timeMs ?? 0) || a.order - b.order)
    .map(({ event }) => event);
  const typeNames = shape.typeNames ?? [...new Set(events.map((event) => event.type ?? 'purchase'))];
  const typeOf = new Map(typeNames.map((name, code) => [name, code]));
  const userCount = shape.userCount ?? ordered.reduce((most, event) => Math.max(most, event.user + 1), 0);
  const itemCount = shape.itemCount ?? ordered.reduce((most, event) => Math.max(most, event.item + 1), 0);
  const offsets = new Int32Array(userCount + 1);
  for (const event of ordered) offsets[event.user + 1] = (offsets[event.user + 1] ?? 0) + 1;
  for (let user = 0; user < userCount; user++) offsets[user + 1] = (offsets[user + 1] ?? 0) + (offsets[user] ?? 0);
  const store = {
    userCount,
    itemCount,
    eventCount: ordered.length,
    offsets,
    items: Int32Array.from(ordered, (event) => event.item),
    types: Uint8Array.from(ordered, (event) => typeOf.get(event.type ?? 'purchase') ?? 0),
    weights: Float32Array.from(ordered, (event) => event.weight ?? 1),
    timesMs: Float64Array.from(ordered, (event) => event.timeMs ?? 0),
    typeNames,
  };
  if (!events.some((event) => event.basket !== undefined)) return store;
  return { ...store, baskets: Int32Array.from(ordered, (event) => event.basket ?? -1) };
}

/** The view of one request on the given events, sorted by time, stable for ties. */
export function historyViewFrom(events: readonly TestEvent[], typeNames?: readonly string[]): HistoryView {
  const store = historyFrom(
    events.map((event) => ({ ...event, user: 0 })),
    { userCount: 1, ...(typeNames === undefined ? {} : { typeNames }) },
  );
  const { items, types, weights, timesMs } = store;
  return { length: store.eventCount, items, types, weights, timesMs, typeNames: store.typeNames };
}

/** The stored events of one user as a request's view (copies); empty for a row out of range. */
export function historyViewOf(store: HistoryStore, userRow: number): HistoryView {
  const start = store.offsets[userRow] ?? 0;
  const end = userRow < 0 ? start : (store.offsets[userRow + 1] ?? start);
  return {
    length: end - start,
    items: store.items.slice(start, end),
    types: store.types.slice(start, end),
    weights: store.weights.slice(start, end),
    timesMs: store.timesMs.slice(start, end),
    typeNames: store.typeNames,
  };
}
