import { describe, expect, test } from 'vitest';
import { datasetFromArrays } from './dataset-from-arrays.js';

const start = Date.UTC(2024, 0, 1);

describe('datasetFromArrays', () => {
  test('infers the types of fields from their values', () => {
    const { items } = datasetFromArrays({
      items: [
        { id: 'b', price: 2, sold: true, tags: ['x'], title: 'Pot', shelf: 'low', nothing: null },
        { id: 'a', price: null, sold: null, title: 'Cup', shelf: 'low' },
        { id: 'd', shelf: 'top', title: null },
        { id: 'c', shelf: 'top', title: 'Mug', tags: ['w', 'x'] },
      ],
    });
    expect(items.ids).toEqual(['a', 'b', 'c', 'd']);
    expect(items.columns).toEqual({
      nothing: { type: 'text', values: [null, null, null, null] },
      price: { type: 'number', values: Float64Array.of(Number.NaN, 2, Number.NaN, Number.NaN) },
      shelf: { type: 'category', codes: Int32Array.of(0, 0, 1, 1), categories: ['low', 'top'] },
      sold: { type: 'boolean', values: Uint8Array.of(255, 1, 255, 255) },
      tags: { type: 'list', offsets: Int32Array.of(0, 0, 1, 3, 3), codes: Int32Array.of(1, 0, 1), categories: ['w', 'x'] },
      title: { type: 'text', values: ['Cup', 'Pot', 'Mug', null] },
    });
  });

  test('takes declared types instead', () => {
    const { items, users } = datasetFromArrays({
      items: [{ id: 'a', photo: 'a.jpg', shelf: 'low', later: undefined }],
      users: [{ id: 'u', country: 'DE' }],
      types: { items: { photo: 'image', shelf: 'category', later: 'list', absent: 'number' }, users: { country: 'category' } },
    });
    expect(Object.entries(items.columns).map(([field, { type }]) => [field, type])).toEqual([
      ['absent', 'number'],
      ['later', 'list'],
      ['photo', 'image'],
      ['shelf', 'category'],
    ]);
    expect(users.column('country')).toEqual({ type: 'category', codes: Int32Array.of(0), categories: ['DE'] });
  });

  test.each([
    [
      'mixed types',
      {
        items: [
          { id: 'a', x: 1 },
          { id: 'b', x: 'secret' },
        ],
      },
      /field "x" of the items mixes number and string/,
    ],
    [
      'values of another type than declared',
      { items: [{ id: 'a', x: 'secret' }], types: { items: { x: 'number' as const } } },
      /field "x" of the items has values that are no number/,
    ],
    ['numbers in a list', { users: [{ id: 'a', x: [1] as never }] }, /field "x" of the users has values that are no list/],
  ])('%s are refused without giving the value away', (_, arrays, why) => {
    expect(() => datasetFromArrays(arrays)).toThrow(
      expect.objectContaining({ code: 'RECLOOM_RUN_REQUEST', message: expect.stringMatching(why) }),
    );
    expect(() => datasetFromArrays(arrays)).not.toThrow(/secret/);
  });

  test('follows the laws of readDataset: counts what it leaves out, sorts, fills in', () => {
    const dataset = datasetFromArrays({
      items: [{ id: 'a' }, { id: 'a' }, { id: '' }],
      events: [
        { user: 'u', item: 'a', timeMs: start + 2, basket: 'o' },
        { user: 'u', item: 'a', timeMs: start + 1, type: 'buy', weight: 4 },
        { user: null, item: 'a', timeMs: start },
        { user: 'u', item: 'b', timeMs: start },
        { user: 'u', item: 'a', timeMs: 5 },
        { user: 'u', item: 'a', timeMs: start + 86_400_004 },
      ],
      nowMs: start + 3,
    });
    expect(dataset.reports.items?.dropped.map(({ count }) => count)).toEqual([1, 1]);
    expect(dataset.reports.events).toMatchObject({ rowsRead: 6, rowsKept: 2 });
    expect(dataset.history).toMatchObject({
      timesMs: Float64Array.of(start + 1, start + 2),
      weights: Float32Array.of(4, 1),
      types: Uint8Array.of(0, 1),
      typeNames: ['buy', 'event'],
      baskets: Int32Array.of(-1, 0),
    });
    expect(dataset.lastEventMs).toBe(start + 2);
    expect(() => datasetFromArrays({})).toThrow(expect.objectContaining({ code: 'RECLOOM_DAT_EMPTY' }));
    expect(() => datasetFromArrays({ items: [{ id: 'a' }], events: [] })).toThrow(expect.objectContaining({ code: 'RECLOOM_DAT_EMPTY' }));
  });

  test('fields and ids called like parts of the prototype are ordinary', () => {
    const odd = JSON.parse('{"id":"constructor","__proto__":"x","toString":"y"}') as { id: string };
    const { items } = datasetFromArrays({ items: [odd, { id: '__proto__' }] });
    expect(items.ids).toEqual(['__proto__', 'constructor']);
    expect(items.column('__proto__')).toEqual({ type: 'text', values: [null, 'x'] });
    expect(items.column('toString')).toEqual({ type: 'text', values: [null, 'y'] });
  });

  test('half a surrogate pair becomes the replacement character, as it would in a file', () => {
    const { items } = datasetFromArrays({ items: [{ id: 'a', title: 'x\ud800y', tags: ['\udc00'] }] });
    expect(items.column('title')).toEqual({ type: 'text', values: ['x\ufffdy'] });
    expect(items.column('tags')).toMatchObject({ categories: ['\ufffd'] });
  });

  test('the hash stands for the content, not for how it was given', () => {
    const one = {
      items: [
        { id: 'a', x: 1, y: 'p' },
        { id: 'b', x: 2 },
      ],
      events: [{ user: 'u', item: 'a', timeMs: start }],
    };
    const same = {
      items: [
        { id: 'b', y: null, x: 2 },
        { y: 'p', id: 'a', x: 1 },
      ],
      events: one.events,
    };
    const { hash } = datasetFromArrays(one);
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
    expect(datasetFromArrays(same).hash).toBe(hash);
    for (const other of [
      {
        ...one,
        items: [
          { id: 'a', x: 1, y: 'q' },
          { id: 'b', x: 2 },
        ],
      },
      {
        ...one,
        items: [
          { id: 'a', x: 1, z: 'p' },
          { id: 'b', x: 2 },
        ],
      },
      { ...one, events: [{ user: 'u', item: 'a', timeMs: start + 1 }] },
      { ...one, events: [{ user: 'v', item: 'a', timeMs: start }] },
      { ...one, events: [{ user: 'u', item: 'a', timeMs: start, weight: 2 }] },
      { ...one, events: [{ user: 'u', item: 'a', timeMs: start, type: 'buy' }] },
      { ...one, events: [{ user: 'u', item: 'a', timeMs: start, basket: 'o' }] },
    ]) {
      expect(datasetFromArrays(other).hash).not.toBe(hash);
    }
  });

  test('keeps pictures handed in as bytes as data URIs', () => {
    const items = [
      { id: 'a', photo: Uint8Array.of(102, 111, 111) },
      { id: 'b', photo: null },
    ];
    expect(datasetFromArrays({ items }).items.columns['photo']).toEqual({
      type: 'image',
      values: ['data:application/octet-stream;base64,Zm9v', null],
    });
    const mixed = [...items, { id: 'c', photo: 'c.png' }];
    expect(datasetFromArrays({ items: mixed, types: { items: { photo: 'image' } } }).items.columns['photo']).toEqual({
      type: 'image',
      values: ['data:application/octet-stream;base64,Zm9v', null, 'c.png'],
    });
    expect(() => datasetFromArrays({ items: mixed })).toThrow('mixes image and string values');
  });
});
