import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { datasetFromArrays, type EventRecord } from './dataset-from-arrays.js';
import { filterDataset } from './filter-dataset.js';

const start = Date.UTC(2024, 0, 1);
const items = [
  { id: 'a', shelf: 'low', price: 1 },
  { id: 'b', shelf: 'top', price: 2 },
  { id: 'c', shelf: 'low', price: 3 },
];
const events: EventRecord[] = [
  { user: 'u', item: 'a', timeMs: start, type: 'view', basket: 'o1' },
  { user: 'u', item: 'b', timeMs: start + 1, type: 'buy', weight: 5, basket: 'o2' },
  { user: 'v', item: 'b', timeMs: start + 2, type: 'buy', weight: 5, basket: 'o3' },
  { user: 'w', item: 'c', timeMs: start + 3, type: 'rate', weight: 2, basket: 'o2' },
];
const types = { items: { shelf: 'category' as const } };
const dataset = datasetFromArrays({ items, events, types });

describe('filterDataset', () => {
  test('keeps events by a mask in the order of the history', () => {
    // The history is by user: u a, u b, v b, w c.
    const kept = filterDataset(dataset, { events: Uint8Array.of(0, 1, 1, 0) });
    expect([...kept.history.offsets]).toEqual([0, 1, 2, 2]);
    expect([...kept.history.items]).toEqual([1, 1]);
    expect(kept.items.ids).toEqual(['a', 'b', 'c']);
    expect(() => filterDataset(dataset, { events: new Uint8Array(3) })).toThrow(expect.objectContaining({ code: 'RECLOOM_LAW_SHAPE' }));
  });

  test('keeps items and users by their masks, and events by both and by time; numbers everything anew', () => {
    const kept = filterDataset(dataset, { items: Uint8Array.of(0, 1, 1), users: Uint8Array.of(1, 0, 1), beforeMs: start + 3 });
    expect(kept.items.ids).toEqual(['b', 'c']);
    expect(kept.items.columns).toEqual({
      price: { type: 'number', values: Float64Array.of(2, 3) },
      shelf: { type: 'category', codes: Int32Array.of(1, 0), categories: ['low', 'top'] },
    });
    // w has no event left and stays: the masks decide.
    expect(kept.users.ids).toEqual(['u', 'w']);
    expect(kept.history).toEqual({
      userCount: 2,
      itemCount: 2,
      eventCount: 1,
      offsets: Int32Array.of(0, 1, 1),
      items: Int32Array.of(0),
      types: Uint8Array.of(0),
      weights: Float32Array.of(5),
      timesMs: Float64Array.of(start + 1),
      baskets: Int32Array.of(0),
      typeNames: ['buy'],
    });
    expect(kept.lastEventMs).toBe(start + 1);
    expect(kept.reports).toBe(dataset.reports);
  });

  test('without a filter gives the same dataset, and never touches the one it was given', () => {
    const before = structuredClone({ history: dataset.history, columns: dataset.items.columns });
    expect(filterDataset(dataset, {}).hash).toBe(dataset.hash);
    const none = filterDataset(dataset, { items: new Uint8Array(3), users: new Uint8Array(3) });
    expect([none.items.rowCount, none.users.rowCount, none.history.eventCount, none.lastEventMs]).toEqual([0, 0, 0, 0]);
    expect({ history: dataset.history, columns: dataset.items.columns }).toEqual(before);
  });

  test('an event at the cut belongs to what comes after it', () => {
    expect(filterDataset(dataset, { beforeMs: start + 2 }).history.eventCount).toBe(2);
    expect(filterDataset(dataset, { beforeMs: start + 2.5 }).history.eventCount).toBe(3);
  });

  test('a mask of another length is refused', () => {
    for (const filter of [{ items: new Uint8Array(2) }, { users: new Uint8Array(4) }]) {
      expect(() => filterDataset(dataset, filter)).toThrow(expect.objectContaining({ code: 'RECLOOM_LAW_SHAPE' }));
    }
  });

  test('is what building from the remaining rows gives', () => {
    const event = fc.record({
      user: fc.constantFrom('u', 'v', 'w'),
      item: fc.constantFrom('a', 'b', 'c'),
      timeMs: fc.integer({ min: 0, max: 9 }).map((offset) => start + offset),
      type: fc.constantFrom('view', 'buy', 'rate'),
      basket: fc.constantFrom('o1', 'o2', 'o3'),
    });
    const mask = fc.tuple(fc.nat(1), fc.nat(1), fc.nat(1));
    const users = ['u', 'v', 'w'];
    fc.assert(
      fc.property(
        fc.array(event, { minLength: 1, maxLength: 30 }),
        mask,
        mask,
        fc.integer({ min: 0, max: 10 }),
        (all, itemMask, userMask, cut) => {
          const keptItems = items.filter((_, row) => itemMask[row] === 1);
          const keptUsers = users.filter((_, row) => userMask[row] === 1);
          const keptEvents = all.filter(
            ({ user, item, timeMs }) => keptUsers.includes(user) && keptItems.some(({ id }) => id === item) && timeMs < start + cut,
          );
          fc.pre(keptEvents.length > 0);
          const whole = datasetFromArrays({ items, events: all, users: users.map((id) => ({ id })), types });
          const filtered = filterDataset(whole, {
            items: Uint8Array.from(itemMask),
            users: Uint8Array.from(userMask),
            beforeMs: start + cut,
          });
          const built = datasetFromArrays({ items: keptItems, events: keptEvents, users: keptUsers.map((id) => ({ id })), types });
          expect(filtered.history).toEqual(built.history);
          expect(filtered.items.columns).toEqual(built.items.columns);
          expect(filtered.hash).toBe(built.hash);
        },
      ),
      { numRuns: 100 },
    );
  });
});
