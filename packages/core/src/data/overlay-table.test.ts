import { type Column, columnLength, columnValue } from '@recloom/plugin-api';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type FieldValue, OverlayTable } from './overlay-table.js';
import { createTable } from './table.js';

const base = createTable(['a', 'b', 'c'], {
  price: { type: 'number', values: Float64Array.of(1, Number.NaN, 3) },
  photo: { type: 'image', values: ['a.jpg', null, 'c.jpg'] },
  shelf: { type: 'category', codes: Int32Array.of(0, -1, 1), categories: ['low', 'top'] },
  sold: { type: 'boolean', values: Uint8Array.of(0, 255, 1) },
  tags: { type: 'list', offsets: Int32Array.of(0, 2, 2, 3), codes: Int32Array.of(0, 1, 1), categories: ['x', 'y'] },
  title: { type: 'text', values: ['Cup', 'Pot', null] },
});
const untouched = JSON.stringify(base.columns, (_, value: unknown) => (ArrayBuffer.isView(value) ? [...(value as Int32Array)] : value));

/** All values, spelt out. */
function spell(table: OverlayTable): Record<string, Record<string, unknown>> {
  return Object.fromEntries(
    Array.from({ length: table.rowCount }, (_, row) => [
      table.idOf(row),
      Object.fromEntries(table.fields.map((field) => [field, columnValue(table.column(field) as Column, row)])),
    ]),
  );
}

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toMatchObject({ code: 'RECLOOM_RUN_REQUEST' });
    return (error as Error).message;
  }
  throw new Error('It was not refused.');
}

describe('OverlayTable', () => {
  test('is the table below as long as nothing is written, without copies', () => {
    const overlay = new OverlayTable(base);
    for (const field of base.fields) expect(overlay.column(field)).toBe(base.column(field));
    expect([overlay.rowCount, overlay.version, overlay.rowOf('b'), overlay.rowOf('z'), overlay.idOf(2)]).toEqual([3, 0, 1, -1, 'c']);
    expect(overlay.column('nothing')).toBeUndefined();
    expect(overlay.changedSince(0)).toEqual(new Int32Array(0));
  });

  test('shows changed and added rows, and leaves the table below as it was', () => {
    const overlay = new OverlayTable(base);
    expect(overlay.upsert('b', { price: 2.5, shelf: 'new', tags: ['z', 'x'], sold: true, title: null, photo: undefined })).toBe(1);
    expect(overlay.upsert('__proto__', { title: 'Odd', tags: ['y'] })).toBe(3);
    expect(overlay.upsert('constructor', {})).toBe(4);
    expect(overlay.upsert('__proto__', { price: 9, shelf: 'low' })).toBe(3);
    expect(['__proto__', 'constructor', 'b', 'toString'].map((id) => overlay.rowOf(id))).toEqual([3, 4, 1, -1]);
    expect(spell(overlay)).toEqual(
      Object.fromEntries([
        ['a', { price: 1, photo: 'a.jpg', shelf: 'low', sold: false, tags: ['x', 'y'], title: 'Cup' }],
        ['b', { price: 2.5, photo: null, shelf: 'new', sold: true, tags: ['z', 'x'], title: null }],
        ['c', { price: 3, photo: 'c.jpg', shelf: 'top', sold: true, tags: ['y'], title: null }],
        ['__proto__', { price: 9, photo: null, shelf: 'low', sold: null, tags: ['y'], title: 'Odd' }],
        ['constructor', { price: null, photo: null, shelf: null, sold: null, tags: [], title: null }],
      ]),
    );
    expect(JSON.stringify(base.columns, (_, value: unknown) => (ArrayBuffer.isView(value) ? [...(value as Int32Array)] : value))).toBe(
      untouched,
    );
    expect(() => overlay.idOf(5)).toThrow(RangeError);
  });

  test('null empties a field of every type', () => {
    const overlay = new OverlayTable(base);
    overlay.upsert('a', { price: null, photo: null, shelf: null, sold: null, tags: null, title: null });
    expect(spell(overlay)['a']).toEqual({ price: null, photo: null, shelf: null, sold: null, tags: [], title: null });
  });

  test('every column covers every row, and rows never written are null', () => {
    const overlay = new OverlayTable(base);
    for (let index = 0; index < 100; index++) overlay.upsert(`new ${index}`, index % 10 === 0 ? { shelf: `s${index}`, tags: ['q'] } : {});
    for (const field of base.fields) expect(columnLength(overlay.column(field) as Column)).toBeGreaterThanOrEqual(103);
    expect(columnValue(overlay.column('price') as Column, 102)).toBeNull();
    expect(columnValue(overlay.column('shelf') as Column, 93)).toBe('s90');
    expect(columnValue(overlay.column('tags') as Column, 93)).toEqual(['q']);
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ['text for a number', { price: '2' }, /"price" must be a finite number or null, not a string/],
    ['an infinite number', { price: Number.POSITIVE_INFINITY }, /not an infinite number/],
    ['a number for text', { title: 3 }, /"title" must be a text or null, not a number/],
    ['a number for a category', { shelf: 3 }, /"shelf" must be a text or null/],
    ['a number for a boolean', { sold: 1 }, /"sold" must be true, false or null/],
    ['a text for a list', { tags: 'x' }, /"tags" must be a list of texts or null/],
    ['a list of numbers', { tags: [1] }, /"tags" must be a list of texts/],
    ['a list for an image', { photo: ['x'] }, /"photo" must be a path, URI, bytes or null, not a list/],
    ['an object', { title: {} }, /not an object/],
    ['an unknown field', { titel: 'x' }, /no item field "titel"; there are: price, photo, shelf/],
    ['a field of the prototype', { constructor: 'x' }, /no item field "constructor"/],
  ])('%s is refused, and nothing of the row is written', (_, fields, why) => {
    const overlay = new OverlayTable(base);
    const message = refusal(() => overlay.upsert('a', { sold: true, ...fields } as Record<string, FieldValue>));
    expect(message).toMatch(why);
    expect(refusal(() => overlay.upsert('secret-id', { sold: true, ...fields } as Record<string, FieldValue>))).not.toContain('secret-id');
    expect([overlay.rowCount, overlay.version, spell(overlay)['a']?.['sold']]).toEqual([3, 0, false]);
  });

  test('an id must be a text', () => {
    const overlay = new OverlayTable(base, { what: 'user' });
    expect(refusal(() => overlay.upsert('', {}))).toContain('the id of a user');
    expect(refusal(() => overlay.upsert(7 as never, {}))).toContain('the id of a user');
  });

  test('the version grows with every change and only then; changedSince names the rows', () => {
    const overlay = new OverlayTable(base);
    overlay.upsert('c', { price: 4 });
    overlay.upsert('a', { title: 'Mug' });
    const between = overlay.version;
    expect(between).toBe(2);
    expect(overlay.changedSince(0)).toEqual(Int32Array.of(0, 2));
    overlay.upsert('c', { price: 4, tags: ['y'], title: null, sold: true, shelf: 'top', photo: 'c.jpg' });
    overlay.upsert('b', {});
    overlay.upsert('b', { price: Number.NaN, shelf: null });
    expect(overlay.version).toBe(between);
    overlay.upsert('d', {});
    overlay.upsert('b', { price: 5 });
    overlay.upsert('a', { price: 6 });
    expect(overlay.changedSince(between)).toEqual(Int32Array.of(0, 1, 3));
    // A title's embedding need not be computed anew because of a price; an added row needs all of them.
    expect(overlay.changedSince(between, ['title', 'tags'])).toEqual(Int32Array.of(3));
    expect(overlay.changedSince(0, ['title'])).toEqual(Int32Array.of(0, 3));
    expect(overlay.changedSince(overlay.version)).toEqual(new Int32Array(0));
    expect(overlay.changedSince(0, ['no such field'])).toEqual(Int32Array.of(3));
  });

  test('rows stay in ascending order beyond ten', () => {
    const overlay = new OverlayTable(
      createTable(
        Array.from({ length: 30 }, (_, index) => String(100 + index)),
        { price: { type: 'number', values: new Float64Array(30) } },
      ),
    );
    for (const row of [21, 3, 10, 100 - 90, 9]) overlay.upsert(String(100 + row), { price: 1 });
    expect(overlay.changedSince(0)).toEqual(Int32Array.of(3, 9, 10, 21));
  });

  test('tells which columns are read', () => {
    const reads: string[] = [];
    const overlay = new OverlayTable(base, { onRead: (field) => reads.push(field) });
    overlay.upsert('a', { price: 7 });
    overlay.rowOf('a');
    expect(reads).toEqual([]);
    overlay.column('price');
    overlay.column('nothing');
    expect(reads).toEqual(['price']);
  });

  test('any order of writes gives what a map of objects gives', () => {
    const write = fc.record({
      id: fc.constantFrom('a', 'b', 'c', 'd', 'e', '__proto__'),
      fields: fc.record(
        {
          price: fc.constantFrom(null, 0, -0, 1.5),
          photo: fc.constantFrom(null, '', 'p'),
          shelf: fc.constantFrom(null, '', 'low', 'other', '__proto__'),
          sold: fc.constantFrom(null, true, false),
          tags: fc.constantFrom(null, [], ['x'], ['y', 'y'], ['n', 'x', 'y']),
          title: fc.constantFrom(null, '', 't'),
        },
        { requiredKeys: [] },
      ),
      read: fc.boolean(),
    });
    const nothing = { price: null, photo: null, shelf: null, sold: null, tags: [], title: null };
    fc.assert(
      fc.property(fc.array(write, { maxLength: 30 }), (writes) => {
        const overlay = new OverlayTable(base);
        const model = new Map<string, Record<string, unknown>>(Object.entries(spell(new OverlayTable(base))));
        for (const { id, fields, read } of writes) {
          overlay.upsert(id, fields);
          const { tags, ...others } = fields;
          model.set(id, { ...nothing, ...model.get(id), ...others, ...(tags === undefined ? {} : { tags: tags ?? [] }) });
          if (read) overlay.column('tags');
        }
        expect(spell(overlay)).toEqual(Object.fromEntries(model));
        expect(Array.from({ length: overlay.rowCount }, (_, row) => overlay.idOf(row))).toEqual([...model.keys()]);
      }),
      { numRuns: 150 },
    );
  });

  test('a hundred thousand writes take a moment', () => {
    const ids = Array.from({ length: 100_000 }, (_, index) => String(1_000_000 + index));
    const overlay = new OverlayTable(createTable(ids, { price: { type: 'number', values: new Float64Array(100_000) } }));
    // Copying the column at each write would move 80 GB.
    for (const id of ids) overlay.upsert(id, { price: 2 });
    for (let index = 0; index < 100_000; index++) overlay.upsert(`n${index}`, { price: 3 });
    expect((overlay.column('price') as { values: Float64Array }).values.subarray(0, 200_000).reduce((sum, price) => sum + price)).toBe(
      500_000,
    );
  });
});
