import { type ComponentState, jsonTensor, tensor } from '@recloom/plugin-api';
import { describe, expect, test } from 'vitest';
import { datasetFromArrays } from '../data/dataset-from-arrays.js';
import { decodeHistory, decodeTable, encodeHistory, encodeTable } from './encode-tables.js';

const dataset = datasetFromArrays({
  items: [
    { id: 'b', price: 2, title: 'ß', tags: ['x', 'y'], shelf: 'low', sold: true },
    { id: 'ä', price: null, title: null, tags: [], shelf: null, sold: null },
  ],
  events: [
    { user: 'u', item: 'b', timeMs: 1.3e12, type: 'view', basket: 'o' },
    { user: 'v', item: 'ä', timeMs: 1.4e12, type: 'buy' },
  ],
  types: { items: { shelf: 'category' } },
});
const table = encodeTable(dataset.items);
const history = encodeHistory(dataset.history);

test('a table lies in the tensors that Python would expect', () => {
  expect(table).toMatchObject({
    'ids.bytes': tensor(Uint8Array.of(0x62, 0xc3, 0xa4)),
    'ids.offsets': tensor(Int32Array.of(0, 1, 3)),
    'column.title.values.bytes': tensor(Uint8Array.of(0xc3, 0x9f)),
    'column.title.values.offsets': tensor(Int32Array.of(0, 2, 2)),
    'column.title.present': tensor(Uint8Array.of(1, 0)),
    'column.price.values': tensor(Float64Array.of(2, Number.NaN)),
    'column.sold.values': tensor(Uint8Array.of(1, 255)),
    'column.shelf.codes': tensor(Int32Array.of(0, -1)),
    'column.tags.offsets': tensor(Int32Array.of(0, 2, 2)),
  });
  expect(decodeTable(table, 'f').columns).toEqual(dataset.items.columns);
  expect(decodeHistory(history, 2, 2, 'f')).toEqual(dataset.history);
});

// The SHA-256 of a file says that it is what was written; these are files that some other program wrote wrongly.
describe('tensors that are no table or history are refused', () => {
  test.each<[string, ComponentState, RegExp]>([
    ['no ids', { 'ids.bytes': tensor(new Float32Array(3)) }, /ids.bytes has another element type/],
    [
      'ids that do not ascend',
      { 'ids.bytes': tensor(Uint8Array.of(0x62, 0x61)), 'ids.offsets': tensor(Int32Array.of(0, 1, 2)) },
      /out of order/,
    ],
    ['offsets that start late', { 'ids.offsets': tensor(Int32Array.of(1, 1, 3)) }, /offsets in tensor ids.offsets/],
    ['offsets that end early', { 'ids.offsets': tensor(Int32Array.of(0, 1, 2)) }, /offsets in tensor ids.offsets/],
    ['offsets that descend', { 'column.tags.offsets': tensor(Int32Array.of(0, 3, 2)) }, /offsets in tensor column.tags.offsets/],
    ['a code without a category', { 'column.shelf.codes': tensor(Int32Array.of(0, 1)) }, /column.shelf.codes has a number out of range/],
    ['a code below null', { 'column.shelf.codes': tensor(Int32Array.of(0, -2)) }, /out of range/],
    ['a null in a list', { 'column.tags.codes': tensor(Int32Array.of(0, -1)) }, /column.tags.codes has a number out of range/],
    ['a short column', { 'column.price.values': tensor(new Float64Array(1)) }, /has 1 elements, not 2/],
    ['fields that are no JSON', { fields: tensor(Uint8Array.of(0x7b)) }, /fields is no JSON/],
    ['fields that are no list', { fields: jsonTensor({}) }, /fields is no list/],
    ['a field without a name', { fields: jsonTensor([{}]) }, /names no field/],
    ['a field without tensors', { fields: jsonTensor([{ name: 'x', type: 'number' }]) }, /column.x.values is missing/],
    ['a field of an unknown type', { fields: jsonTensor([{ name: 'price', type: 'toString' }]) }, /unknown type/],
  ])('%s', (_, changes, why) => {
    expect(() => decodeTable({ ...table, ...changes }, 'items.safetensors')).toThrow(
      expect.objectContaining({ code: 'RECLOOM_DAT_SNAPSHOT_CORRUPT', message: expect.stringMatching(why) }),
    );
  });

  test.each<[string, ComponentState, RegExp]>([
    ['an item that is not there', { items: tensor(Int32Array.of(0, 2)) }, /items has a number out of range/],
    ['a negative item', { items: tensor(Int32Array.of(-1, 0)) }, /items has a number out of range/],
    ['a type without a name', { types: tensor(Uint8Array.of(0, 2)) }, /types has a number out of range/],
    ['fewer times than events', { timesMs: tensor(new Float64Array(1)) }, /timesMs has 1 elements, not 2/],
    ['fewer baskets than events', { baskets: tensor(new Int32Array(1)) }, /baskets has 1 elements, not 2/],
    ['offsets of other users', { offsets: tensor(Int32Array.of(0, 1, 2, 2)) }, /offsets has 4 elements, not 3/],
    ['offsets beyond the events', { offsets: tensor(Int32Array.of(0, 1, 3)) }, /offsets in tensor offsets/],
  ])('%s', (_, changes, why) => {
    expect(() => decodeHistory({ ...history, ...changes }, 2, 2, 'history.safetensors')).toThrow(
      expect.objectContaining({ code: 'RECLOOM_DAT_SNAPSHOT_CORRUPT', message: expect.stringMatching(why) }),
    );
  });
});
