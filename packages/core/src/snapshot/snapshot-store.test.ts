import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { jsonTensor, tensor, type Warning } from '@recloom/plugin-api';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type DatasetRecord, datasetFromArrays } from '../data/dataset-from-arrays.js';
import { tableEquals } from '../data/table.js';
import { contentId, encodeManifest } from './manifest.js';
import { ownIdentity } from './process-identity.js';
import { SnapshotStore } from './snapshot-store.js';
import type { Manifest, SnapshotContents } from './types.js';

let root: string;
let store: SnapshotStore;

beforeEach(async () => {
  root = join(await mkdtemp(join(tmpdir(), 'recloom-store-')), '.recloom', 'shop');
  store = new SnapshotStore(root);
});
afterEach(async () => {
  await rm(join(root, '..', '..'), { recursive: true, force: true });
});

/** Contents that differ by `seed`, with every type of column. */
function contentsOf(seed: number, itemCount = 20): SnapshotContents {
  const items = Array.from(
    { length: itemCount },
    (_, item): DatasetRecord => ({
      id: `item-${item}`,
      title: item % 7 === 3 ? null : `Tässchen ☕ ${item * seed}`,
      price: item % 5 === 0 ? null : item + 0.99,
      shelf: `shelf ${item % 3}`,
      sold: item % 4 === 0 ? null : item % 2 === 0,
      tags: item % 3 === 0 ? [] : ['warm', `tag ${item % 4}`],
      photo: `photos/${item}.jpg`,
    }),
  );
  const events = Array.from({ length: itemCount * 10 }, (_, event) => ({
    user: `user ${(event * 7 + seed) % 13}`,
    item: `item-${(event * event + seed) % itemCount}`,
    timeMs: 1_300_000_000_000 + ((event * 104_729) % 1_000) * 60_000,
    type: event % 3 === 0 ? 'purchase' : 'view',
    weight: event % 3 === 0 ? 5 : 1,
    basket: `order ${event % 40}`,
  }));
  const dataset = datasetFromArrays({
    items,
    events,
    users: [{ id: 'user 1', country: 'DE' }],
    types: { items: { photo: 'image', shelf: 'category' } },
  });
  return {
    pipeline: 'shop',
    configHash: 'c'.repeat(64),
    dataset,
    components: [
      {
        name: 'habits',
        reference: 'collaborative-linear/ease',
        optionsHash: 'o'.repeat(64),
        stateVersion: 2,
        state: {
          weights: tensor(
            Float32Array.from({ length: 6 }, (_, index) => index * seed),
            [2, 3],
          ),
          names: jsonTensor(['ä', seed]),
        },
        feature: undefined,
      },
      {
        name: 'text',
        reference: 'text-bert/embedding',
        optionsHash: 'p'.repeat(64),
        stateVersion: 1,
        state: {},
        feature: { width: 3, values: new Float32Array(itemCount * 3).fill(seed), presence: new Uint8Array(itemCount).fill(1, 1) },
      },
    ],
  };
}

async function writeAndPublish(contents: SnapshotContents): Promise<string> {
  const { id } = await store.write(contents);
  await store.publish(id);
  return id;
}

async function filesBelow(directory: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files[path.slice(directory.length)] = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
  }
  return files;
}

async function flipBit(path: string, place: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[place] = (bytes[place] as number) ^ 4;
  await writeFile(path, bytes);
}

const corrupt = (file: string): object =>
  expect.objectContaining({
    code: 'RECLOOM_DAT_SNAPSHOT_CORRUPT',
    message: expect.stringContaining(file),
    hint: expect.stringContaining('recloom build'),
  });

describe('SnapshotStore', () => {
  test('opens what was written, value by value', async () => {
    const contents = contentsOf(3);
    const id = await writeAndPublish(contents);
    const opened = await store.open();
    expect(opened.id).toBe(id);
    expect(opened.directory).toBe(join(root, id));
    expect(tableEquals(opened.items, contents.dataset.items)).toBe(true);
    expect(tableEquals(opened.users, contents.dataset.users)).toBe(true);
    expect(opened.items.fields).toEqual(contents.dataset.items.fields);
    expect(opened.history).toEqual(contents.dataset.history);
    expect([...opened.components.values()]).toEqual(contents.components);
    expect(opened.manifest).toMatchObject({
      formatVersion: 1,
      pipeline: 'shop',
      configHash: 'c'.repeat(64),
      dataHash: contents.dataset.hash,
      lastEventMs: contents.dataset.lastEventMs,
      counts: { items: 20, users: 13, events: 200 },
    });
    expect(await store.current()).toBe(id);
  });

  test('an empty history, empty texts and no components survive', async () => {
    const dataset = datasetFromArrays({ items: [{ id: 'a', title: '', note: null }] });
    await writeAndPublish({ pipeline: 'p', configHash: '', dataset, components: [] });
    const opened = await store.open();
    expect(opened.items.columns).toEqual(dataset.items.columns);
    expect(opened.history).toEqual(dataset.history);
    expect(opened.components.size).toBe(0);
  });

  test('two builds of the same input in different folders are the same, byte for byte', async () => {
    const other = new SnapshotStore(join(root, 'elsewhere', 'deeper'));
    const { id, directory } = await store.write(contentsOf(3));
    await sleep(5);
    const second = await other.write(contentsOf(3));
    expect(second.id).toBe(id);
    const files = await filesBelow(directory);
    expect(Object.keys(files).sort()).toEqual([
      '/habits.safetensors',
      '/history.safetensors',
      '/items.safetensors',
      '/manifest.json',
      '/text.safetensors',
      '/users.safetensors',
    ]);
    expect(await filesBelow(second.directory)).toEqual(files);
    expect((await store.write(contentsOf(4))).id).not.toBe(id);
  });

  test('the id is the start of the SHA-256 of the manifest, which names the SHA-256 of every file', async () => {
    const { id, directory } = await store.write(contentsOf(3));
    const manifest = await readFile(join(directory, 'manifest.json'));
    expect(createHash('sha256').update(manifest).digest('hex').slice(0, 16)).toBe(id);
    const parsed = JSON.parse(manifest.toString()) as Manifest;
    for (const [file, { bytes, sha256 }] of Object.entries(parsed.files)) {
      const content = await readFile(join(directory, file));
      expect(content.length).toBe(bytes);
      expect(createHash('sha256').update(content).digest('hex')).toBe(sha256);
    }
    expect(manifest.toString()).not.toContain(root);
  });

  test('writing the same again changes nothing, and mends a damaged copy', async () => {
    const id = await writeAndPublish(contentsOf(3));
    const before = await stat(join(root, id, 'items.safetensors'));
    await store.write(contentsOf(3));
    expect((await stat(join(root, id, 'items.safetensors'))).ino).toBe(before.ino);
    await flipBit(join(root, id, 'items.safetensors'), 900);
    await expect(store.verify(id)).rejects.toEqual(corrupt('items.safetensors'));
    await store.write(contentsOf(3));
    await store.verify(id);
    expect((await readdir(root)).filter((name) => name.startsWith('.tmp-'))).toEqual([]);
  });

  test('nothing published is a coded error that says what to do', async () => {
    await expect(store.open()).rejects.toMatchObject({ code: 'RECLOOM_DAT_SNAPSHOT_MISSING', hint: 'Run `recloom build` first.' });
    const { id } = await store.write(contentsOf(3));
    // Written is not published: not even the fallback takes it.
    await expect(store.open(undefined, { fallback: true })).rejects.toMatchObject({ code: 'RECLOOM_DAT_SNAPSHOT_MISSING' });
    await expect(store.open('0123456789abcdef')).rejects.toMatchObject({ code: 'RECLOOM_DAT_SNAPSHOT_MISSING' });
    await store.parts.put('part', {});
    await expect(store.open('parts')).rejects.toMatchObject({ code: 'RECLOOM_DAT_SNAPSHOT_MISSING' });
    await expect(store.open('../../etc')).rejects.toMatchObject({ code: 'RECLOOM_DAT_SNAPSHOT_MISSING' });
    await expect(store.publish('0123456789abcdef')).rejects.toMatchObject({ code: 'RECLOOM_DAT_SNAPSHOT_MISSING' });
    expect(await store.current()).toBeUndefined();
    expect((await store.open(id)).id).toBe(id);
  });

  test.each(['manifest.json', 'items.safetensors', 'users.safetensors', 'history.safetensors', 'habits.safetensors', 'text.safetensors'])(
    '%s flipped, truncated, lengthened or gone is found, and the older snapshot opens instead when asked to',
    async (file) => {
      const older = await writeAndPublish(contentsOf(1));
      const id = await writeAndPublish(contentsOf(2));
      const path = join(root, id, file);
      const good = await readFile(path);
      const damages: (() => Promise<void>)[] = [
        () => flipBit(path, good.length >> 1),
        () => flipBit(path, good.length - 1),
        () => flipBit(path, 2),
        () => truncate(path, good.length >> 1),
        () => truncate(path, 0),
        () => writeFile(path, Buffer.concat([good, Buffer.from(' ')])),
        () => rm(path),
      ];
      for (const damage of damages) {
        await damage();
        await expect(store.open()).rejects.toEqual(corrupt(file));
        await expect(store.verify(id)).rejects.toEqual(corrupt(file));
        const warnings: Warning[] = [];
        const opened = await store.open(undefined, { fallback: true, warn: (warning) => warnings.push(warning) });
        expect(opened.id).toBe(older);
        expect(warnings).toEqual([
          expect.objectContaining({
            code: 'RECLOOM_DAT_SNAPSHOT_FALLBACK',
            message: expect.stringContaining(older),
            detail: { wanted: id, opened: older, cause: 'RECLOOM_DAT_SNAPSHOT_CORRUPT' },
          }),
        ]);
        await writeFile(path, good);
      }
      expect((await store.open()).id).toBe(id);
    },
  );

  test('falling back skips damaged ones, never forward and never to what was not published', async () => {
    const first = await writeAndPublish(contentsOf(1));
    const second = await writeAndPublish(contentsOf(2));
    const third = await writeAndPublish(contentsOf(3));
    await store.write(contentsOf(4));
    await rm(join(root, third, 'items.safetensors'));
    await rm(join(root, second), { recursive: true });
    expect((await store.open(undefined, { fallback: true })).id).toBe(first);
    // Rolled back to the first: what came after it is no substitute.
    await store.publish(first);
    expect((await store.list()).map(({ id, published }) => [id, published])).toEqual(
      expect.arrayContaining([
        [first, 0],
        [third, 1],
      ]),
    );
    await flipBit(join(root, first, 'manifest.json'), 40);
    await expect(store.open(undefined, { fallback: true })).rejects.toEqual(corrupt('manifest.json'));
  });

  test('a pointer that holds no id is damage, not absence', async () => {
    const id = await writeAndPublish(contentsOf(1));
    await writeFile(join(root, 'current'), '\0\0\0');
    await expect(store.open()).rejects.toEqual(corrupt('current'));
    const warnings: string[] = [];
    expect((await store.open(undefined, { fallback: true, warn: ({ code }) => warnings.push(code) })).id).toBe(id);
    expect(warnings).toEqual(['RECLOOM_DAT_SNAPSHOT_FALLBACK']);
    await store.publish(id);
    expect((await store.open()).id).toBe(id);
  });

  test('another format version is told apart from damage', async () => {
    const { id } = await store.write(contentsOf(1));
    const manifest = JSON.parse(await readFile(join(root, id, 'manifest.json'), 'utf8')) as Manifest;
    const bytes = encodeManifest({ ...manifest, formatVersion: 2 });
    const other = contentId(bytes);
    await rename(join(root, id), join(root, other));
    await writeFile(join(root, other, 'manifest.json'), bytes);
    await store.publish(other);
    await expect(store.open()).rejects.toMatchObject({
      code: 'RECLOOM_DAT_SNAPSHOT_FORMAT',
      message: 'The snapshot has format 2, this version reads 1.',
      hint: 'Build it again with this version.',
    });
  });

  test('a manifest cannot make it read other files, nor leave out what it needs', async () => {
    const { id } = await store.write(contentsOf(1));
    const manifest = JSON.parse(await readFile(join(root, id, 'manifest.json'), 'utf8')) as Manifest;
    const { ['items.safetensors']: items, ...others } = manifest.files;
    for (const files of [{ ...manifest.files, '../secret.safetensors': items }, others]) {
      const bytes = encodeManifest({ ...manifest, files } as Manifest);
      const other = contentId(bytes);
      await mkdir(join(root, other), { recursive: true });
      for (const file of Object.keys(manifest.files)) await writeFile(join(root, other, file), await readFile(join(root, id, file)));
      await writeFile(join(root, other, 'manifest.json'), bytes);
      await expect(store.open(other)).rejects.toMatchObject({ code: 'RECLOOM_DAT_SNAPSHOT_CORRUPT' });
    }
  });

  test('component names that a file system would not take, or would mix up, get files of their own', async () => {
    const base = contentsOf(1);
    const names = ['items', 'Text', 'text', 'a/b', '../up', 'con', 'ü', ''];
    const components = names.map((name, index) => ({
      ...(base.components[0] as SnapshotContents['components'][number]),
      name,
      state: { value: jsonTensor(index) },
    }));
    const { id, directory } = await store.write({ ...base, components });
    const opened = await store.open(id);
    expect([...opened.components.keys()]).toEqual(names);
    names.forEach((name, index) => {
      expect(opened.components.get(name)?.state).toEqual({ value: jsonTensor(index) });
    });
    const files = (await readdir(directory)).map((file) => file.toLowerCase());
    expect(new Set(files).size).toBe(names.length + 4);
    expect(await readdir(root)).toEqual([id]);
  });

  test('a tensor whose shape lies is refused before anything is published', async () => {
    const contents = contentsOf(1);
    const broken = {
      ...(contents.components[0] as SnapshotContents['components'][number]),
      state: { a: tensor(new Float32Array(2), [3]) },
    };
    await expect(store.write({ ...contents, components: [broken] })).rejects.toMatchObject({ code: 'RECLOOM_LAW_SHAPE' });
    expect(await readdir(root)).toEqual([]);
  });

  test('says which steps it takes, and stops between them when aborted', async () => {
    const steps: string[] = [];
    const { id } = await store.write(contentsOf(1), { onStep: (step, phase) => steps.push(`${step} ${phase}`) });
    await store.publish(id, { onStep: (step, phase) => steps.push(`${step} ${phase}`) });
    expect(steps.filter((step) => step.endsWith(' start'))).toEqual(
      [
        'clean',
        'write items.safetensors',
        'write users.safetensors',
        'write history.safetensors',
        'write habits.safetensors',
        'write text.safetensors',
        'write manifest.json',
        'sync',
        'rename',
        'publish',
        'point',
      ].map((step) => `${step} start`),
    );
    expect(steps.filter((step) => step.endsWith(' end'))).toHaveLength(11);
    for (const at of ['clean', 'write items.safetensors', 'write text.safetensors', 'write manifest.json']) {
      const controller = new AbortController();
      const onStep = (step: string): void => {
        if (step === at) controller.abort(new Error('stop'));
      };
      await expect(store.write(contentsOf(2), { signal: controller.signal, onStep })).rejects.toThrow('stop');
      expect((await readdir(root)).sort()).toEqual([id, 'current'].sort());
    }
    await expect(store.open(undefined, { signal: AbortSignal.abort(new Error('stop')) })).rejects.toThrow('stop');
  });

  test('prune keeps the newest published ones and never removes the current', async () => {
    const ids: string[] = [];
    for (const seed of [1, 2, 3, 4]) ids.push(await writeAndPublish(contentsOf(seed)));
    const { id: unpublished } = await store.write(contentsOf(5));
    expect((await store.list()).map(({ id, current, published }) => [id, current, published])).toEqual([
      [ids[3], true, 0],
      [ids[2], false, 1],
      [ids[1], false, 2],
      [ids[0], false, 3],
      [unpublished, false, undefined],
    ]);
    expect((await store.list())[0]?.bytes).toBe(
      (await Promise.all((await readdir(join(root, ids[3] as string))).map((file) => stat(join(root, ids[3] as string, file))))).reduce(
        (sum, { size }) => sum + size,
        0,
      ),
    );
    await store.publish(ids[0] as string);
    await store.prune(2);
    expect((await store.list()).map(({ id }) => id)).toEqual([ids[0], ids[3]]);
    await store.prune(0);
    expect((await store.list()).map(({ id }) => id)).toEqual([ids[0]]);
    expect((await store.open()).id).toBe(ids[0]);
    await writeFile(join(root, 'current'), 'garbage');
    await store.prune(1);
    expect(await store.list()).toHaveLength(1);
  });

  test('clears away what dead builds left, and nothing else', async () => {
    await mkdir(root, { recursive: true });
    const { machine, started } = ownIdentity();
    const dead = `.tmp-${machine}-${2 ** 22 + 77}-1-00000000-snapshot`;
    const alive = `.tmp-${machine}-${process.pid}-${started || 'x'}-00000000-snapshot`;
    const elsewhere = '.tmp-abcdef-1-1-00000000-snapshot';
    const elsewhereOld = '.tmp-abcdef-1-1-00000001-snapshot';
    for (const name of [dead, alive, elsewhere, elsewhereOld, '.tmp-mine']) await mkdir(join(root, name));
    await writeFile(join(root, dead, 'items.safetensors'), 'half');
    await utimes(join(root, elsewhereOld), 1, 1);
    const { id } = await store.write(contentsOf(1));
    expect((await readdir(root)).sort()).toEqual([id, alive, elsewhere, '.tmp-mine'].sort());
  });

  test('tells of each newly published snapshot', async () => {
    const first = await writeAndPublish(contentsOf(1));
    const seen: string[] = [];
    const stop = store.watchCurrent((id) => seen.push(id), { intervalMs: 10 });
    // Long enough for the first look, which only learns what is current.
    await sleep(200);
    const second = await writeAndPublish(contentsOf(2));
    await expect.poll(() => seen, { timeout: 20_000 }).toEqual([second]);
    await store.publish(first);
    await expect.poll(() => seen, { timeout: 20_000 }).toEqual([second, first]);
    stop();
    await store.publish(second);
    await sleep(50);
    expect(seen).toEqual([second, first]);
  });

  test('a folder that cannot be written to is a coded error', async () => {
    await mkdir(join(root, '..'), { recursive: true });
    await writeFile(root, 'a file where the folder should be');
    await expect(store.write(contentsOf(1))).rejects.toMatchObject({ code: 'RECLOOM_DAT_WRITE', message: expect.stringContaining(root) });
  });
});
