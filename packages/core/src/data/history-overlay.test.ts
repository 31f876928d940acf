import type { HistoryView } from '@recloom/plugin-api';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { datasetFromArrays, type EventRecord } from './dataset-from-arrays.js';
import { HistoryOverlay, type SessionEvent } from './history-overlay.js';
import { OverlayTable } from './overlay-table.js';

const minute = 60_000;
const start = 1_300_000_000_000;

function open(
  events: readonly EventRecord[],
  onRead?: (label: string) => void,
): { overlay: HistoryOverlay; users: OverlayTable; store: ReturnType<typeof datasetFromArrays>['history'] } {
  const items = Array.from({ length: 10 }, (_, item) => ({ id: String(item) }));
  const dataset = datasetFromArrays({ items, events });
  const users = new OverlayTable(dataset.users, { what: 'user' });
  return { overlay: new HistoryOverlay(dataset.history, users, { onRead }), users, store: dataset.history };
}

const stored: readonly EventRecord[] = [
  { user: 'ann', item: '1', timeMs: start, type: 'view' },
  { user: 'ann', item: '2', timeMs: start + 10 * minute, type: 'buy', weight: 5 },
  { user: 'bob', item: '3', timeMs: start + 5 * minute, type: 'view' },
  { user: 'ann', item: '4', timeMs: start + 20 * minute, type: 'view' },
];

/** `item@minute type weight` of each event. */
function spell(view: HistoryView): string[] {
  for (const array of [view.items, view.types, view.weights, view.timesMs]) expect(array.length).toBe(view.length);
  return Array.from(
    view.items,
    (item, place) =>
      `${item}@${((view.timesMs[place] as number) - start) / minute} ${view.typeNames[view.types[place] as number]} ${view.weights[place]}`,
  );
}

describe('HistoryOverlay', () => {
  test('shows the stored events of a user without copying them', () => {
    const { overlay, users, store } = open(stored);
    const view = overlay.view(users.rowOf('ann'), { asOfMs: Number.POSITIVE_INFINITY });
    expect(spell(view)).toEqual(['1@0 view 1', '2@10 buy 5', '4@20 view 1']);
    for (const name of ['items', 'types', 'weights', 'timesMs'] as const) expect(view[name].buffer).toBe(store[name].buffer);
    expect(spell(overlay.view(users.rowOf('bob'), { asOfMs: start + 5 * minute }))).toEqual(['3@5 view 1']);
    expect(overlay.view(-1, { asOfMs: start }).length).toBe(0);
  });

  test('shows nothing later than asOf, and what happened at that very moment', () => {
    const { overlay, users } = open(stored);
    const ann = users.rowOf('ann');
    overlay.record('ann', 7, 'view', start + 15 * minute);
    const session: SessionEvent[] = [{ itemRow: 8, timeMs: start + 12 * minute }, { itemRow: 9 }];
    const until = (minutes: number, parts: readonly SessionEvent[] = []): string[] =>
      spell(overlay.view(ann, { asOfMs: start + minutes * minute, session: parts }));
    expect(until(-1)).toEqual([]);
    expect(until(0)).toEqual(['1@0 view 1']);
    expect(until(9.99)).toEqual(['1@0 view 1']);
    expect(until(10)).toEqual(['1@0 view 1', '2@10 buy 5']);
    expect(until(15)).toEqual(['1@0 view 1', '2@10 buy 5', '7@15 view 1']);
    // Without a time an event counts as now.
    expect(until(11, session)).toEqual(['1@0 view 1', '2@10 buy 5', '9@11 event 1']);
    expect(until(16, session)).toEqual(['1@0 view 1', '2@10 buy 5', '8@12 event 1', '7@15 view 1', '9@16 event 1']);
  });

  test('of equal times stored come first, then recorded, then the session, each in their order', () => {
    const { overlay, users } = open(stored);
    overlay.record('ann', 5, 'view', start + 10 * minute);
    overlay.record('ann', 6, 'view', start + 10 * minute);
    const session = [
      { itemRow: 8, timeMs: start + 10 * minute },
      { itemRow: 7, timeMs: start + 10 * minute },
    ];
    const view = overlay.view(users.rowOf('ann'), { asOfMs: start + 10 * minute, session });
    expect([...view.items]).toEqual([1, 2, 5, 6, 8, 7]);
  });

  test('a new user gets a row of the user table and a history', () => {
    const { overlay, users } = open(stored);
    overlay.record('__proto__', 3, 'view', start);
    overlay.record('zoe', 4, undefined, start + minute);
    overlay.record('__proto__', 2, 'buy', start - minute);
    expect([users.rowOf('ann'), users.rowOf('bob'), users.rowOf('__proto__'), users.rowOf('zoe')]).toEqual([0, 1, 2, 3]);
    expect(spell(overlay.view(2, { asOfMs: start + minute }))).toEqual(['2@-1 buy 5', '3@0 view 1']);
    expect(spell(overlay.view(3, { asOfMs: start + minute }))).toEqual(['4@1 event 1']);
    expect(overlay.recordedCount).toBe(3);
    users.upsert('new', {});
    expect(overlay.view(4, { asOfMs: start }).length).toBe(0);
  });

  test('a weight left out is the usual one of its type', () => {
    const { overlay, users } = open([
      ...stored,
      { user: 'cid', item: '1', timeMs: start, type: 'rate', weight: 2 },
      { user: 'cid', item: '1', timeMs: start, type: 'rate', weight: 3 },
    ]);
    const session = [
      { itemRow: 1, type: 'buy' },
      { itemRow: 2, type: 'rate' },
      { itemRow: 3, type: 'never seen' },
      { itemRow: 4, type: 'buy', weight: 0.5 },
    ];
    expect([...overlay.view(-1, { asOfMs: start, session }).weights]).toEqual([5, 2.5, 1, 0.5]);
    overlay.record('dan', 1, 'buy', start);
    overlay.record('dan', 1, 'buy', start, 0);
    expect([...overlay.view(users.rowOf('dan'), { asOfMs: start }).weights]).toEqual([5, 0]);
    // Equal weights come out as they went in, also where float32 sums would round.
    const tenth = open(
      Array.from({ length: 7 }, (_, place) => ({ user: 'u', item: '1', timeMs: start + place, type: 'view', weight: 0.1 })),
    );
    expect(tenth.overlay.view(-1, { asOfMs: start, session: [{ itemRow: 1, type: 'view' }] }).weights[0]).toBe(Math.fround(0.1));
  });

  test('views given out before do not change', () => {
    const { overlay, users } = open(stored);
    const options = { asOfMs: Number.POSITIVE_INFINITY };
    const views: [HistoryView, string[]][] = [];
    // Late arrivals, growth beyond the first room, and new types in between.
    for (const late of [3, 9, 1, 9, 2, 8, 0, 7, 4, 6, 5, 10, 11, 1, 12, 13, 2, 14]) {
      overlay.record('zoe', late % 10, `type ${late % 4}`, start + late * minute);
      const view = overlay.view(users.rowOf('zoe'), options);
      views.push([view, spell(view)]);
    }
    for (const [view, before] of views) expect(spell(view)).toEqual(before);
  });

  test('types that only a session names are known to its view alone', () => {
    const { overlay } = open(stored);
    const names = Array.from({ length: 300 }, (_, index) => `type ${index}`);
    for (let from = 0; from < 300; from += 100) {
      const session = names.slice(from, from + 100).map((type) => ({ itemRow: 1, type }));
      const view = overlay.view(-1, { asOfMs: start, session });
      expect(Array.from(view.types, (code) => view.typeNames[code])).toEqual(names.slice(from, from + 100));
      expect(view.typeNames.slice(0, 2)).toEqual(['buy', 'view']);
    }
    expect(overlay.view(-1, { asOfMs: start }).typeNames).toEqual(['buy', 'view']);
    expect(() => overlay.view(-1, { asOfMs: start, session: names.map((type) => ({ itemRow: 1, type })) })).toThrow(
      expect.objectContaining({ code: 'RECLOOM_DAT_HISTORY_TYPES' }),
    );
  });

  test('the 256th type is refused, and the refused event adds no user', () => {
    const { overlay, users } = open(stored);
    for (let index = 2; index < 255; index++) overlay.record('ann', 1, `type ${index}`, start);
    expect(() => overlay.record('new user', 1, 'one too many', start)).toThrow(
      expect.objectContaining({ code: 'RECLOOM_DAT_HISTORY_TYPES' }),
    );
    expect(users.rowOf('new user')).toBe(-1);
    overlay.record('ann', 1, 'type 254', start);
    expect(overlay.recordedCount).toBe(254);
  });

  test.each<[string, Parameters<HistoryOverlay['record']>]>([
    ['an unknown item', ['ann', -1, 'view', start]],
    ['half an item', ['ann', 1.5, 'view', start]],
    ['no user', ['', 1, 'view', start]],
    ['no type', ['ann', 1, '', start]],
    ['no time', ['ann', 1, 'view', Number.NaN]],
    ['a time beyond all times', ['ann', 1, 'view', Number.POSITIVE_INFINITY]],
    ['a weight too large for a float', ['ann', 1, 'view', start, 1e39]],
    ['a weight that is none', ['ann', 1, 'view', start, Number.NaN]],
  ])('%s is refused and recorded nowhere', (_, event) => {
    const { overlay, users } = open(stored);
    expect(() => overlay.record(...event)).toThrow(expect.objectContaining({ code: 'RECLOOM_RUN_REQUEST' }));
    expect([overlay.recordedCount, users.rowCount, overlay.view(0, { asOfMs: Number.MAX_VALUE }).length]).toEqual([0, 2, 3]);
    const [, itemRow, type, timeMs, weight] = event;
    if (event[0] !== '')
      expect(() => overlay.view(-1, { asOfMs: start, session: [{ itemRow, type, timeMs, weight }] })).toThrow(
        expect.objectContaining({ code: 'RECLOOM_RUN_REQUEST' }),
      );
  });

  test('says what it touches, and touches nothing it was not asked for', () => {
    const reads: string[] = [];
    const { overlay, users, store } = open(stored, (label) => reads.push(label));
    const session = [{ itemRow: 1 }];
    overlay.record('ann', 1, 'view', start);
    expect(overlay.view(-1, { asOfMs: start }).length).toBe(0);
    expect(reads).toEqual([]);
    overlay.view(-1, { asOfMs: start, session });
    expect(reads.splice(0)).toEqual(['session']);
    overlay.view(users.rowOf('ann'), { asOfMs: start });
    expect(reads.splice(0)).toEqual(['history']);
    overlay.view(users.rowOf('ann'), { asOfMs: start, session });
    expect(reads.splice(0)).toEqual(['history', 'session']);
    // Not by its word alone: with every event's columns spoilt, a guest's view is the same.
    store.items.fill(99);
    store.timesMs.fill(Number.NaN);
    expect([...overlay.view(-1, { asOfMs: start, session }).items]).toEqual([1]);
  });

  test('is what sorting everything gives', () => {
    const event = fc.record({ itemRow: fc.nat(9), timeMs: fc.integer({ min: 0, max: 12 }).map((minutes) => start + minutes * minute) });
    fc.assert(
      fc.property(
        fc.array(event, { maxLength: 12 }),
        fc.array(event, { maxLength: 25 }),
        fc.array(event, { maxLength: 6 }),
        fc.integer({ min: -1, max: 13 }),
        (old, live, session, minutes) => {
          const other = { user: 'other', item: '0', timeMs: start };
          const { overlay, users } = open([other, ...old.map(({ itemRow, timeMs }) => ({ user: 'ann', item: String(itemRow), timeMs }))]);
          for (const { itemRow, timeMs } of live) overlay.record('ann', itemRow, undefined, timeMs);
          const asOfMs = start + minutes * minute;
          const expected = [...old, ...live, ...session]
            .filter(({ timeMs }) => timeMs <= asOfMs)
            .sort((left, right) => left.timeMs - right.timeMs);
          const view = overlay.view(users.rowOf('ann'), { asOfMs, session });
          expect([...view.items]).toEqual(expected.map(({ itemRow }) => itemRow));
          expect([...view.timesMs]).toEqual(expected.map(({ timeMs }) => timeMs));
        },
      ),
      { numRuns: 150 },
    );
  });
});
