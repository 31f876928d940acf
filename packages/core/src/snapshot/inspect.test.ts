import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jsonTensor, tensor } from '@recloom/plugin-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type DatasetArrays, datasetFromArrays } from '../data/dataset-from-arrays.js';
import { diffSnapshots, inspectSnapshot } from './inspect.js';
import { SnapshotStore } from './snapshot-store.js';
import type { OpenedSnapshot, SnapshotComponent } from './types.js';

const start = Date.UTC(2024, 0, 1);
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'recloom-inspect-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

function component(name: string, changes: Partial<SnapshotComponent> = {}): SnapshotComponent {
  const state = { weights: tensor(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]), names: jsonTensor('x') };
  return { name, reference: `plugin/${name}`, optionsHash: 'o', stateVersion: 1, state, feature: undefined, ...changes };
}

async function write(arrays: DatasetArrays, components: readonly SnapshotComponent[], configHash = 'c'): Promise<OpenedSnapshot> {
  const store = new SnapshotStore(folder);
  const { id } = await store.write({ pipeline: 'shop', configHash, dataset: datasetFromArrays(arrays), components });
  return store.open(id);
}

const types = { items: { shelf: 'category' as const } };
const arrays: DatasetArrays = {
  items: [
    { id: 'a', price: 1, shelf: 'low', tags: ['x'], sold: true, title: 'secret title' },
    { id: 'b', price: null, shelf: null, tags: [], sold: null, title: null },
    { id: 'c', price: 3, shelf: 'top', tags: ['x', 'y'], sold: false, title: 'Cup' },
  ],
  events: [
    { user: 'secret user', item: 'a', timeMs: start, type: 'view', basket: 'o1' },
    { user: 'secret user', item: 'c', timeMs: start + 86_400_000, type: 'buy', basket: 'o2' },
    { user: 'v', item: 'c', timeMs: start + 1, type: 'view' },
  ],
  types,
};

describe('inspectSnapshot', () => {
  test("counts what is there and shows no one's data", async () => {
    const feature = { width: 2, values: new Float32Array(6), presence: Uint8Array.of(1, 0, 1) };
    const snapshot = await write(arrays, [component('habits'), component('text', { state: {}, feature, stateVersion: 3 })]);
    const inspection = inspectSnapshot(snapshot);
    expect(inspection).toMatchObject({
      id: snapshot.id,
      formatVersion: 1,
      pipeline: 'shop',
      firstEvent: '2024-01-01T00:00:00.000Z',
      lastEvent: '2024-01-02T00:00:00.000Z',
      counts: { items: 3, users: 2, events: 3 },
      itemFields: [
        { name: 'price', type: 'number', filled: 2 },
        { name: 'shelf', type: 'category', filled: 2 },
        { name: 'sold', type: 'boolean', filled: 2 },
        { name: 'tags', type: 'list', filled: 2 },
        { name: 'title', type: 'text', filled: 2 },
      ],
      userFields: [],
      eventTypes: [
        { name: 'buy', count: 1 },
        { name: 'view', count: 2 },
      ],
      baskets: 2,
      components: [
        {
          name: 'habits',
          reference: 'plugin/habits',
          stateVersion: 1,
          feature: null,
          tensors: [
            { name: 'state.names', dtype: 'U8', shape: [3], bytes: 3 },
            { name: 'state.weights', dtype: 'F32', shape: [2, 3], bytes: 24 },
          ],
        },
        {
          name: 'text',
          stateVersion: 3,
          feature: { width: 2, items: 2 },
          tensors: [
            { name: 'feature.presence', shape: [3] },
            { name: 'feature.values', dtype: 'F32', shape: [3, 2], bytes: 24 },
          ],
        },
      ],
    });
    expect(inspection.bytes).toBe(inspection.files.reduce((sum, { bytes }) => sum + bytes, 0));
    expect(inspection.files.map(({ name }) => name)).toEqual([
      'habits.safetensors',
      'history.safetensors',
      'items.safetensors',
      'text.safetensors',
      'users.safetensors',
    ]);
    const json = JSON.stringify(inspection);
    expect(json).not.toContain('secret');
    expect(JSON.parse(json)).toEqual(inspection);
  });

  test('a catalogue without events', async () => {
    const inspection = inspectSnapshot(await write({ items: [{ id: 'a' }] }, []));
    expect(inspection).toMatchObject({ firstEvent: null, lastEvent: null, eventTypes: [], baskets: null, components: [] });
  });
});

describe('diffSnapshots', () => {
  test('a snapshot does not differ from itself', async () => {
    const snapshot = await write(arrays, [component('habits')]);
    expect(diffSnapshots(snapshot, snapshot)).toMatchObject({
      same: true,
      configChanged: false,
      dataChanged: false,
      items: { added: 0, removed: 0, changedFields: [], addedFields: [], removedFields: [] },
      users: { added: 0, removed: 0 },
      components: [{ name: 'habits', change: 'same', what: [] }],
    });
  });

  test('names what was added, removed and changed', async () => {
    const feature = { width: 1, values: new Float32Array(3), presence: new Uint8Array(3) };
    const before = await write(
      arrays,
      ['gone', 'options', 'plugin', 'same', 'state', 'version', 'feature'].map((name) => component(name)),
    );
    const after = await write(
      {
        items: [
          { id: 'A', price: 9, shelf: 'x', colour: 'red' },
          { id: 'a', price: 1, shelf: 'high', tags: ['x'], sold: true },
          { id: 'c', price: 4, shelf: 'top', tags: ['x', 'z'], sold: false },
        ],
        events: [...(arrays.events ?? []), { user: 'w', item: 'A', timeMs: start + 172_800_000, type: 'rate' }],
        types,
      },
      [
        component('new'),
        component('options', { optionsHash: 'other' }),
        component('plugin', { reference: 'other/plugin' }),
        component('same'),
        component('state', { state: { weights: tensor(Float32Array.of(1, 2, 3, 4, 5, 7), [2, 3]), names: jsonTensor('x') } }),
        component('version', { stateVersion: 2 }),
        component('feature', { feature }),
      ],
      'other config',
    );
    const difference = diffSnapshots(before, after);
    expect(difference).toEqual({
      before: before.id,
      after: after.id,
      same: false,
      pipelineChanged: false,
      configChanged: true,
      dataChanged: true,
      items: {
        before: 3,
        after: 3,
        added: 1,
        removed: 1,
        addedIds: ['A'],
        removedIds: ['b'],
        addedFields: ['colour'],
        removedFields: ['title'],
        // a: shelf; c: price and tags.
        changedFields: [
          { field: 'price', items: 1 },
          { field: 'shelf', items: 1 },
          { field: 'tags', items: 1 },
        ],
      },
      users: { before: 2, after: 3, added: 1, removed: 0 },
      events: {
        before: 3,
        after: 4,
        lastEventBefore: '2024-01-02T00:00:00.000Z',
        lastEventAfter: '2024-01-03T00:00:00.000Z',
        byType: [
          { name: 'buy', before: 1, after: 1 },
          { name: 'rate', before: 0, after: 1 },
          { name: 'view', before: 2, after: 2 },
        ],
      },
      components: [
        { name: 'feature', change: 'changed', what: ['feature'] },
        { name: 'gone', change: 'removed', what: [] },
        { name: 'new', change: 'added', what: [] },
        { name: 'options', change: 'changed', what: ['options'] },
        { name: 'plugin', change: 'changed', what: ['component'] },
        { name: 'same', change: 'same', what: [] },
        { name: 'state', change: 'changed', what: ['state'] },
        { name: 'version', change: 'changed', what: ['stateVersion'] },
      ],
    });
    expect(JSON.stringify(difference)).not.toContain('secret');
  });

  test('compares items by id, not by row', async () => {
    const before = await write(
      {
        items: [
          { id: 'b', price: 1 },
          { id: 'c', price: 2 },
        ],
      },
      [],
    );
    // Row by row the prices are the same; c moved to the first row and its price changed, d is new.
    const after = await write(
      {
        items: [
          { id: 'c', price: 1 },
          { id: 'd', price: 2 },
        ],
      },
      [],
    );
    expect(diffSnapshots(before, after).items.changedFields).toEqual([{ field: 'price', items: 1 }]);
  });

  test('shows ten ids at most', async () => {
    const many = await write({ items: Array.from({ length: 30 }, (_, item) => ({ id: String(100 + item) })) }, []);
    const one = await write({ items: [{ id: '115' }] }, []);
    const { items } = diffSnapshots(one, many);
    expect([items.added, items.addedIds]).toEqual([29, Array.from({ length: 10 }, (_, item) => String(100 + item))]);
    expect(diffSnapshots(many, one).items.removedIds).toEqual(items.addedIds);
  });
});
