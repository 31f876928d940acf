import type { Column, DataBatch, DataReport, DataSource, Warning } from '@recloom/plugin-api';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Dataset } from './dataset.js';
import { readDataset } from './read-dataset.js';
import { tableEquals } from './table.js';

const start = Date.UTC(2011, 0, 1);
const nowMs = Date.UTC(2011, 11, 10);

function text(values: readonly (string | null)[]): Column {
  return { type: 'text', values };
}
function number(values: readonly number[]): Column {
  return { type: 'number', values: Float64Array.from(values) };
}
/** Codes in the order in which the values first come, as a growing dictionary gives them. */
function category(values: readonly (string | null)[], categories: string[] = []): Column {
  const codes = values.map((value) => {
    if (value === null) return -1;
    if (!categories.includes(value)) categories.push(value);
    return categories.indexOf(value);
  });
  return { type: 'category', codes: Int32Array.from(codes), categories };
}

function sourceOf(batches: readonly DataBatch[], options: Partial<DataReport> & { fingerprint?: string } = {}): DataSource {
  const rowsRead = batches.reduce((sum, batch) => sum + batch.rowCount, 0);
  return {
    async *read(context) {
      for (const batch of batches) {
        context.progress(0.5, 'half');
        yield batch;
      }
    },
    report: () => ({ rowsRead, rowsKept: rowsRead, dropped: [], warnings: [], ...options }),
    fingerprint: async () => options.fingerprint ?? 'print',
  };
}

async function read(
  sources: Parameters<typeof readDataset>[0],
  options: Partial<Parameters<typeof readDataset>[1]> = {},
): Promise<Dataset> {
  return readDataset(sources, {
    signal: new AbortController().signal,
    progress: () => undefined,
    nowMs,
    warn: () => undefined,
    ...options,
  });
}

interface Event {
  readonly user: string | null;
  readonly item: string;
  readonly timeMs: number;
  readonly type: string | null;
  readonly weight: number;
  readonly basket: string | null;
}

function eventBatches(events: readonly Event[], size: number, kind: 'text' | 'category'): DataBatch[] {
  const dictionaries: Record<string, string[]> = { user: [], item: [], type: [], basket: [] };
  const batches: DataBatch[] = [];
  for (let from = 0; from < events.length; from += size) {
    const part = events.slice(from, from + size);
    const ids = (field: 'user' | 'item' | 'type' | 'basket'): Column => {
      const values = part.map((event) => event[field]);
      return kind === 'text' && field !== 'type' ? text(values) : category(values, dictionaries[field]);
    };
    batches.push({
      rowCount: part.length,
      columns: {
        user: ids('user'),
        item: ids('item'),
        type: ids('type'),
        basket: ids('basket'),
        timeMs: number(part.map(({ timeMs }) => timeMs)),
        weight: number(part.map(({ weight }) => weight)),
      },
    });
  }
  return batches;
}

/** The events of a dataset, spelt out by user. */
function spell(dataset: Dataset): Record<string, unknown[]> {
  const { history, users, items } = dataset;
  return Object.fromEntries(
    users.ids.map((user, row) => [
      user,
      Array.from({ length: (history.offsets[row + 1] as number) - (history.offsets[row] as number) }, (_, place) => {
        const event = (history.offsets[row] as number) + place;
        return [
          items.ids[history.items[event] as number],
          history.timesMs[event],
          history.typeNames[history.types[event] as number],
          history.weights[event],
        ];
      }),
    ]),
  );
}

describe('readDataset', () => {
  test('a small shop, worked out by hand', async () => {
    const warnings: Warning[] = [];
    const dataset = await read(
      {
        items: sourceOf(
          [
            {
              rowCount: 3,
              columns: { id: text(['B', 'a', 'Z']), price: number([2, Number.NaN, 26]), shelf: category(['top', 'low', null]) },
            },
            // A second batch with a dictionary of its own and a field the first lacked; a row without an id, and one seen before.
            {
              rowCount: 4,
              columns: {
                id: text(['A', '', 'B', null]),
                shelf: category(['attic', 'x', 'x', 'x']),
                tags: { type: 'list', offsets: Int32Array.of(0, 2, 2, 3, 3), codes: Int32Array.of(1, 0, 0), categories: ['warm', 'cosy'] },
              },
            },
          ],
          { warnings: [{ code: 'RECLOOM_DAT_BAD_VALUES', message: 'of the source' }], dropped: [{ reason: 'no price', count: 2 }] },
        ),
        events: sourceOf([
          {
            rowCount: 9,
            columns: {
              //             kept   kept   guest  guest   unknown  no item  early   late        no time
              user: category(['u2', 'u1', null, '', 'u1', 'u1', 'u1', 'u1', 'u1']),
              item: category(['B', 'a', 'a', 'a', 'nowhere', null, 'a', 'a', 'a']),
              timeMs: number([start + 1, start + 5, start, start, start, start, 631_151_999_999, nowMs + 86_400_001, Number.NaN]),
              type: category(['view', 'buy', null, null, null, null, null, null, null]),
              basket: category(['o9', 'o1', null, null, null, null, null, null, null]),
            },
          },
          {
            rowCount: 3,
            columns: {
              user: text(['u1', 'u1', 'u1']),
              item: text(['Z', 'Z', 'B']),
              timeMs: number([start + 4, nowMs + 86_400_000, start + 5]),
              weight: number([3, Number.NaN, Number.POSITIVE_INFINITY]),
            },
          },
        ]),
        users: sourceOf([{ rowCount: 2, columns: { id: category(['u3', 'u1']), country: category(['DE', 'FR']) } }]),
      },
      { warn: (warning) => warnings.push(warning) },
    );
    // Code unit order: capitals before small letters.
    expect(dataset.items.ids).toEqual(['A', 'B', 'Z', 'a']);
    expect(dataset.items.columns).toEqual({
      price: { type: 'number', values: Float64Array.of(Number.NaN, 2, 26, Number.NaN) },
      shelf: { type: 'category', codes: Int32Array.of(0, 2, -1, 1), categories: ['attic', 'low', 'top'] },
      tags: { type: 'list', offsets: Int32Array.of(0, 2, 2, 2, 2), codes: Int32Array.of(0, 1), categories: ['cosy', 'warm'] },
    });
    // u2 is only in the events, u3 only in the users.
    expect(dataset.users.ids).toEqual(['u1', 'u2', 'u3']);
    expect(dataset.users.columns).toEqual({ country: { type: 'category', codes: Int32Array.of(1, -1, 0), categories: ['DE', 'FR'] } });
    expect(dataset.history).toEqual({
      userCount: 3,
      itemCount: 4,
      eventCount: 4,
      offsets: Int32Array.of(0, 3, 4, 4),
      items: Int32Array.of(2, 3, 2, 1),
      types: Uint8Array.of(1, 0, 1, 2),
      weights: Float32Array.of(3, 1, 1, 1),
      timesMs: Float64Array.of(start + 4, start + 5, nowMs + 86_400_000, start + 1),
      baskets: Int32Array.of(-1, 0, -1, 1),
      typeNames: ['buy', 'event', 'view'],
    });
    expect(dataset.lastEventMs).toBe(nowMs + 86_400_000);
    expect(dataset.reports).toEqual({
      items: {
        rowsRead: 7,
        rowsKept: 4,
        dropped: [
          { reason: 'no price', count: 2 },
          { reason: 'without an id', count: 2 },
          { reason: 'id occurs a second time', count: 1 },
        ],
        warnings: [{ code: 'RECLOOM_DAT_BAD_VALUES', message: 'of the source' }],
      },
      users: { rowsRead: 2, rowsKept: 2, dropped: [], warnings: [] },
      events: {
        rowsRead: 12,
        rowsKept: 4,
        dropped: [
          { reason: 'without an item', count: 1 },
          { reason: 'without a readable time', count: 1 },
          { reason: 'impossible time', count: 2 },
          { reason: 'item not in the catalogue', count: 1 },
          { reason: 'weight out of range', count: 1 },
          { reason: 'without a user', count: 2 },
        ],
        warnings: [
          expect.objectContaining({ code: 'RECLOOM_DAT_IMPOSSIBLE_TIMES', count: 2 }),
          expect.objectContaining({ code: 'RECLOOM_DAT_UNKNOWN_ITEMS', count: 1 }),
        ],
      },
    });
    expect(warnings.map(({ code }) => code)).toEqual([
      'RECLOOM_DAT_BAD_VALUES',
      'RECLOOM_DAT_IMPOSSIBLE_TIMES',
      'RECLOOM_DAT_UNKNOWN_ITEMS',
    ]);
    // No warning spells out an id.
    expect(JSON.stringify(warnings)).not.toContain('nowhere');
  });

  test('without an items source the events bring the catalogue, guests included; what only impossible events name stays out', async () => {
    const columns = { user: text(['u', null, 'v']), item: text(['b', 'a', 'c']), timeMs: number([start, start, 0]) };
    const dataset = await read({ events: sourceOf([{ rowCount: 3, columns }]) });
    expect(dataset.items.ids).toEqual(['a', 'b']);
    expect(dataset.items.fields).toEqual([]);
    expect(dataset.users.ids).toEqual(['u']);
    expect(spell(dataset)).toEqual({ u: [['b', start, 'event', 1]] });
    expect(dataset.history.baskets).toBeUndefined();
  });

  test('rows, codes and order are those of a plain implementation with maps, however the rows are cut, coded and (but for ties) ordered', async () => {
    const event = fc.record({
      user: fc.option(fc.constantFrom('u', 'U', 'ü', '\u{1f600}', '\uffee', '__proto__', 'constructor', '10', '9', ''), { freq: 8 }),
      item: fc.constantFrom('a', 'b', 'B', '__proto__', 'toString', '2', '10'),
      timeMs: fc.integer({ min: 0, max: 20 }).map((minute) => start + minute * 60_000),
      type: fc.option(fc.constantFrom('view', 'buy', 'add')),
      weight: fc.constantFrom(1, 2.5, 0, -1, Number.NaN),
      basket: fc.option(fc.constantFrom('x', 'y', 'z')),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 20 }),
        fc.constantFrom('text' as const, 'category' as const),
        async (events, size, kind) => {
          const known = events.filter(({ user }) => user !== null && user !== '');
          fc.pre(known.length > 0);
          const dataset = await read({ events: sourceOf(eventBatches(events, size, kind)) });
          const byUser = new Map<string, Event[]>();
          for (const one of known) byUser.set(one.user as string, [...(byUser.get(one.user as string) ?? []), one]);
          expect(dataset.users.ids).toEqual([...byUser.keys()].sort());
          expect(dataset.items.ids).toEqual([...new Set(events.map(({ item }) => item))].sort());
          const expected = [...byUser].map(([user, theirs]): [string, unknown[]] => [
            user,
            [...theirs]
              .sort((left, right) => left.timeMs - right.timeMs)
              .map((one) => [one.item, one.timeMs, one.type ?? 'event', Number.isNaN(one.weight) ? 1 : one.weight]),
          ]);
          expect(spell(dataset)).toEqual(Object.fromEntries(expected));
          const inBaskets = dataset.users.ids.flatMap((user) =>
            [...(byUser.get(user) as Event[])].sort((left, right) => left.timeMs - right.timeMs).map(({ basket }) => basket),
          );
          const order = [...new Set(inBaskets.filter((basket) => basket !== null))];
          expect([...(dataset.history.baskets ?? [])]).toEqual(inBaskets.map((basket) => (basket === null ? -1 : order.indexOf(basket))));
          expect(dataset.reports.events?.rowsKept).toBe(known.length);
          for (const user of dataset.users.ids) expect(dataset.users.idOf(dataset.users.rowOf(user))).toBe(user);
          // Distinct times: then not even the order of the rows matters.
          const distinct = events.map((one, index) => ({ ...one, timeMs: one.timeMs + index }));
          const forth = await read({ events: sourceOf(eventBatches(distinct, size, kind)) });
          const back = await read({ events: sourceOf(eventBatches([...distinct].reverse(), 7, 'text')) });
          expect(back.history).toEqual(forth.history);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('items come out the same in any order and any cut', async () => {
    const item = fc.record({
      price: fc.constantFrom(1, 2, Number.NaN),
      title: fc.option(fc.constantFrom('x', 'y')),
      shelf: fc.option(fc.constantFrom('s', 't', 'r')),
    });
    const batchesOf = (
      rows: readonly { id: string; price: number; title: string | null; shelf: string | null }[],
      size: number,
    ): DataBatch[] => {
      const batches: DataBatch[] = [];
      for (let from = 0; from < rows.length; from += size) {
        const part = rows.slice(from, from + size);
        batches.push({
          rowCount: part.length,
          columns: {
            id: text(part.map(({ id }) => id)),
            shelf: category(part.map(({ shelf }) => shelf)),
            price: number(part.map(({ price }) => price)),
            title: text(part.map(({ title }) => title)),
          },
        });
      }
      return batches;
    };
    await fc.assert(
      fc.asyncProperty(fc.array(item, { minLength: 1, maxLength: 30 }), fc.integer({ min: 1, max: 9 }), async (items, size) => {
        const rows = items.map((one, index) => ({ ...one, id: String(index) }));
        const forth = await read({ items: sourceOf(batchesOf(rows, size)) });
        const back = await read({ items: sourceOf(batchesOf([...rows].reverse(), 4)) });
        expect(tableEquals(forth.items, back.items)).toBe(true);
        expect(back.items.columns).toEqual(forth.items.columns);
        expect(
          forth.items.ids.map((id) => (forth.items.column('price') as { values: Float64Array }).values[forth.items.rowOf(id)]),
        ).toEqual(forth.items.ids.map((id) => rows[Number(id)]?.price));
      }),
      { numRuns: 40 },
    );
  });

  test('nothing left is a coded error that says what is missing', async () => {
    const empty = { rowCount: 0, columns: { id: text([]), user: text([]), item: text([]), timeMs: number([]) } };
    const item = { rowCount: 1, columns: { id: text(['a']) } };
    await expect(read({ items: sourceOf([empty]) })).rejects.toMatchObject({
      code: 'RECLOOM_DAT_EMPTY',
      message: 'There are no items left (0 rows read).',
    });
    await expect(read({ items: sourceOf([]) })).rejects.toMatchObject({ code: 'RECLOOM_DAT_EMPTY' });
    await expect(read({ events: sourceOf([empty]) })).rejects.toMatchObject({ code: 'RECLOOM_DAT_EMPTY' });
    await expect(read({})).rejects.toMatchObject({ code: 'RECLOOM_DAT_EMPTY' });
    await expect(read({ items: sourceOf([item]), events: sourceOf([empty]) })).rejects.toMatchObject({
      code: 'RECLOOM_DAT_EMPTY',
      message: 'There are no events left (0 rows read).',
    });
    // A catalogue alone is enough for a shop that has only just opened.
    const alone = await read({ items: sourceOf([item]) });
    expect([alone.users.rowCount, alone.history.eventCount, alone.lastEventMs]).toEqual([0, 0, 0]);
  });

  test.each<[string, DataBatch, RegExp]>([
    ['no id column', { rowCount: 1, columns: { price: number([1]) } }, /column "id" of type text or category/],
    ['a number for an id', { rowCount: 1, columns: { id: number([1]) } }, /type number/],
    ['a short column', { rowCount: 2, columns: { id: text(['a', 'b']), price: number([1]) } }, /2 rows in column "price"/],
    [
      'a code outside the dictionary',
      { rowCount: 1, columns: { id: text(['a']), shelf: { type: 'category', codes: Int32Array.of(3), categories: ['x'] } } },
      /category codes below 1/,
    ],
    [
      'an id inherited from the prototype',
      { rowCount: 0, columns: Object.create({ id: text([]) }) as DataBatch['columns'] },
      /none instead of a column "id"/,
    ],
  ])('a source that breaks its contract with %s is named', async (_, batch, why) => {
    await expect(read({ items: sourceOf([batch]) })).rejects.toMatchObject({
      code: 'RECLOOM_LAW_SHAPE',
      message: expect.stringMatching(why),
    });
    await expect(read({ items: sourceOf([batch]) })).rejects.toThrow(/source/);
  });

  test('a column that changes its type between batches is refused', async () => {
    const batches = [
      { rowCount: 1, columns: { id: text(['a']), price: number([1]) } },
      { rowCount: 1, columns: { id: text(['b']), price: text(['1']) } },
    ];
    await expect(read({ items: sourceOf(batches) })).rejects.toMatchObject({
      code: 'RECLOOM_LAW_SHAPE',
      message: expect.stringContaining('column "price" of type number'),
    });
  });

  test('more than 255 event types are refused', async () => {
    const eventsOf = (count: number): DataSource => {
      const rows = Array.from({ length: count }, (_, index) => `type ${index}`);
      return sourceOf([
        {
          rowCount: count,
          columns: {
            user: text(rows.map(() => 'u')),
            item: text(rows.map(() => 'a')),
            timeMs: number(rows.map(() => start)),
            type: category(rows),
          },
        },
      ]);
    };
    await expect(read({ events: eventsOf(256) })).rejects.toMatchObject({
      code: 'RECLOOM_DAT_HISTORY_TYPES',
      message: expect.stringContaining('256'),
    });
    const dataset = await read({ events: eventsOf(255) });
    expect(new Set(dataset.history.types).size).toBe(255);
  });

  test('ids that UTF-8 cannot write are left out and counted', async () => {
    const dataset = await read({
      items: sourceOf([{ rowCount: 2, columns: { id: text(['a', '\ud800']) } }]),
      events: sourceOf([
        {
          rowCount: 3,
          columns: { user: category(['u', '\udc00', 'u']), item: text(['a', 'a', '\ud800']), timeMs: number([start, start, start]) },
        },
      ]),
    });
    expect(dataset.reports.items?.dropped).toEqual([{ reason: 'without an id', count: 1 }]);
    expect(dataset.reports.events?.dropped).toEqual([
      { reason: 'without an item', count: 1 },
      { reason: 'without a user', count: 1 },
    ]);
  });

  test('the hash is that of the fingerprints, by source', async () => {
    const batch = { rowCount: 1, columns: { id: text(['a']), user: text(['u']), item: text(['a']), timeMs: number([start]) } };
    const hashOf = async (items: string, events: string): Promise<string> =>
      (await read({ items: sourceOf([batch], { fingerprint: items }), events: sourceOf([batch], { fingerprint: events }) })).hash;
    expect(await hashOf('x', 'y')).toBe(await hashOf('x', 'y'));
    expect(new Set([await hashOf('x', 'y'), await hashOf('y', 'x'), await hashOf('x', 'x')]).size).toBe(3);
    expect(await hashOf('x', 'y')).toMatch(/^[0-9a-f]{64}$/);
  });

  test('tells how far it is, and stops when aborted', async () => {
    const batch = { rowCount: 1, columns: { id: text(['a']) } };
    const progress: unknown[] = [];
    await read({ items: sourceOf([batch]) }, { progress: (...told) => progress.push(told) });
    expect(progress).toEqual([
      ['items', 0.5, 'half'],
      ['items', 1],
    ]);
    const controller = new AbortController();
    const seen: number[] = [];
    const source = {
      ...sourceOf([]),
      async *read() {
        for (let index = 0; index < 5; index++) {
          seen.push(index);
          if (index === 2) controller.abort(new Error('stop'));
          yield { rowCount: 1, columns: { id: text([String(index)]) } };
        }
      },
    };
    await expect(read({ items: source }, { signal: controller.signal })).rejects.toThrow('stop');
    expect(seen).toEqual([0, 1, 2]);
    await expect(read({ items: sourceOf([batch]) }, { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before');
  });
});
