import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KeyValueStore } from '@recloom/plugin-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDirectoryKeyValueStore, createMemoryKeyValueStore } from './key-value-store.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'recloom-store-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const stores: readonly [string, () => KeyValueStore][] = [
  ['memory', createMemoryKeyValueStore],
  ['directory', () => createDirectoryKeyValueStore(join(folder, 'deep', 'store'))],
];

describe.each(stores)('%s', (_, make) => {
  it('gives back what was set, keeps keys apart, and replaces whole values', async () => {
    const store = make();
    expect(await store.get('a')).toBeUndefined();
    const value = Uint8Array.of(1, 2, 3);
    await store.set('a', value);
    value[0] = 9;
    await store.set('../../escape/\0', Uint8Array.of(4));
    await store.set('__proto__', new Uint8Array(0));
    expect(await store.get('a')).toEqual(Uint8Array.of(1, 2, 3));
    expect(await store.get('../../escape/\0')).toEqual(Uint8Array.of(4));
    expect(await store.get('__proto__')).toEqual(new Uint8Array(0));
    expect(await store.get('constructor')).toBeUndefined();
    await store.set('a', Uint8Array.of(7));
    const read = await store.get('a');
    expect(read).toEqual(Uint8Array.of(7));
    read?.fill(0);
    expect(await store.get('a')).toEqual(Uint8Array.of(7));
  });
});

describe('directory', () => {
  it('makes no folder for reading, and another store on the same folder sees the values', async () => {
    const directory = join(folder, 'lazy');
    const store = createDirectoryKeyValueStore(directory);
    expect(await store.get('a')).toBeUndefined();
    expect(existsSync(directory)).toBe(false);
    await store.set('a', Uint8Array.of(1));
    expect(await createDirectoryKeyValueStore(directory).get('a')).toEqual(Uint8Array.of(1));
  });

  it('many writers of one key leave one whole value and no rubbish', async () => {
    const directory = join(folder, 'busy');
    const writers = [createDirectoryKeyValueStore(directory), createDirectoryKeyValueStore(directory)];
    const values = Array.from({ length: 20 }, (_, index) => new Uint8Array(100_000).fill(index));
    await Promise.all(values.map((value, index) => writers[index % 2]?.set('key', value)));
    const read = (await writers[0]?.get('key')) ?? new Uint8Array(0);
    expect(read).toHaveLength(100_000);
    expect(new Set(read).size).toBe(1);
    expect(await readdir(directory)).toHaveLength(1);
  });

  it('sweeps what a killed writer left, but not what another is writing', async () => {
    const directory = join(folder, 'sweep');
    await createDirectoryKeyValueStore(directory).set('a', Uint8Array.of(1));
    await writeFile(join(directory, 'old.tmp'), 'x');
    await utimes(join(directory, 'old.tmp'), new Date(0), new Date(0));
    await writeFile(join(directory, 'new.tmp'), 'x');
    await createDirectoryKeyValueStore(directory).set('b', Uint8Array.of(1));
    const names = await readdir(directory);
    expect(names).toContain('new.tmp');
    expect(names).not.toContain('old.tmp');
  });

  it('says with a code that the disk refuses', async () => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    const store = createDirectoryKeyValueStore(file);
    await expect(store.set('a', Uint8Array.of(1))).rejects.toMatchObject({ code: 'RECLOOM_DAT_WRITE', retryable: true });
    expect(await store.get('a')).toBeUndefined();
  });
});
