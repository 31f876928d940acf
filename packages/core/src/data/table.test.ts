import { describe, expect, test } from 'vitest';
import { createTable, selectRows, tableEquals } from './table.js';

const shelf = { type: 'category' as const, codes: Int32Array.of(0, -1, 1), categories: ['low', 'top'] };
const tags = { type: 'list' as const, offsets: Int32Array.of(0, 2, 2, 3), codes: Int32Array.of(0, 1, 1), categories: ['a', 'b'] };
const price = { type: 'number' as const, values: Float64Array.of(1, Number.NaN, 3) };

describe('createTable', () => {
  test('finds rows by id and ids by row, whatever the ids are called', () => {
    const table = createTable(['__proto__', 'constructor', 'x'], { price });
    expect(['__proto__', 'constructor', 'x', 'toString', ''].map((id) => table.rowOf(id))).toEqual([0, 1, 2, -1, -1]);
    expect([0, 1, 2].map((row) => table.idOf(row))).toEqual(['__proto__', 'constructor', 'x']);
    expect(() => table.idOf(3)).toThrow(RangeError);
    expect([table.rowCount, table.version, table.fields]).toEqual([3, 0, ['price']]);
    expect(table.column('price')).toBe(price);
    expect(['constructor', '__proto__', 'toString'].map((field) => table.column(field))).toEqual([undefined, undefined, undefined]);
  });

  test('fields may be called like anything', () => {
    const table = createTable(['a', 'b', 'c'], new Map([['__proto__', price]]));
    expect(table.fields).toEqual(['__proto__']);
    expect(table.column('__proto__')).toBe(price);
  });

  test.each([
    ['descend', ['b', 'a']],
    ['occur twice', ['a', 'a']],
    // "ﬀ" (U+FB00) comes after the surrogates of an emoji by code unit, before it by code point.
    ['ascend by code point only', ['\ufb00', '\u{1f600}']],
  ])('ids that %s are refused', (_, ids) => {
    expect(() => createTable(ids)).toThrow(expect.objectContaining({ code: 'RECLOOM_LAW_SHAPE' }));
  });

  test('columns of another length are refused', () => {
    for (const column of [price, shelf, tags]) {
      expect(() => createTable(['a', 'b'], { x: column })).toThrow(expect.objectContaining({ code: 'RECLOOM_LAW_SHAPE' }));
    }
  });
});

describe('tableEquals', () => {
  const table = createTable(['a', 'b', 'c'], { price, shelf, tags });

  test('sees values, not how they are coded or ordered', () => {
    const coded = {
      tags: { type: 'list' as const, offsets: Int32Array.of(0, 2, 2, 3), codes: Int32Array.of(2, 0, 0), categories: ['b', 'unused', 'a'] },
      shelf: { type: 'category' as const, codes: Int32Array.of(1, -1, 0), categories: ['top', 'low'] },
      price: { type: 'number' as const, values: Float64Array.of(1, Number.NaN, 3) },
    };
    expect(tableEquals(table, createTable(['a', 'b', 'c'], coded))).toBe(true);
  });

  test.each([
    ['an id', createTable(['a', 'b', 'd'], { price, shelf, tags })],
    ['a missing row', selectRows(table, Int32Array.of(0, 1))],
    ['a missing field', createTable(['a', 'b', 'c'], { price, shelf })],
    ['another field', createTable(['a', 'b', 'c'], { price, shelf, labels: tags })],
    ['a number', createTable(['a', 'b', 'c'], { price: { type: 'number', values: Float64Array.of(1, 0, 3) }, shelf, tags })],
    ['a category', createTable(['a', 'b', 'c'], { price, shelf: { ...shelf, codes: Int32Array.of(0, 0, 1) }, tags })],
    ['a list', createTable(['a', 'b', 'c'], { price, shelf, tags: { ...tags, codes: Int32Array.of(0, 1, 0) } })],
    ['the length of a list', createTable(['a', 'b', 'c'], { price, shelf, tags: { ...tags, offsets: Int32Array.of(0, 1, 2, 3) } })],
    ['a type', createTable(['a', 'b', 'c'], { price: { type: 'text', values: ['1', null, '3'] }, shelf, tags })],
  ])('sees %s', (_, other) => {
    expect(tableEquals(table, other)).toBe(false);
    expect(tableEquals(other, table)).toBe(false);
    expect(tableEquals(table, table)).toBe(true);
  });
});

test('selectRows takes whole rows and only the categories they use', () => {
  const photo = { type: 'image' as const, values: ['x.jpg', null, 'z.jpg'] };
  const sold = { type: 'boolean' as const, values: Uint8Array.of(0, 255, 1) };
  const selected = selectRows(createTable(['a', 'b', 'c'], { photo, price, shelf, sold, tags }), Int32Array.of(1, 2));
  expect(selected.ids).toEqual(['b', 'c']);
  expect(selected.columns).toEqual({
    photo: { type: 'image', values: [null, 'z.jpg'] },
    price: { type: 'number', values: Float64Array.of(Number.NaN, 3) },
    shelf: { type: 'category', codes: Int32Array.of(-1, 0), categories: ['top'] },
    sold: { type: 'boolean', values: Uint8Array.of(255, 1) },
    tags: { type: 'list', offsets: Int32Array.of(0, 0, 1), codes: Int32Array.of(0), categories: ['b'] },
  });
});
