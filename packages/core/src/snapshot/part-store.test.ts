import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jsonTensor, tensor } from '@recloom/plugin-api';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PartStore } from './part-store.js';

let root: string;
let parts: PartStore;
const tensors = {
  weights: tensor(Float32Array.of(1, 2, 3, 4), [2, 2]),
  names: jsonTensor({ a: 'ü' }),
  none: tensor(new Int32Array(0), [0, 5]),
};

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'recloom-parts-'));
  parts = new PartStore(root);
});
afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

describe('PartStore', () => {
  test('gives back what was put, and undefined for what was not', async () => {
    expect(await parts.get('ab12')).toBeUndefined();
    await parts.put('ab12', tensors);
    expect(await parts.get('ab12')).toEqual(tensors);
    await parts.put('ab12', {});
    expect(await parts.get('ab12')).toEqual({});
    expect(await parts.get('other')).toBeUndefined();
  });

  test('every single flipped byte makes it a miss', async () => {
    await parts.put('k', tensors);
    const path = join(parts.directory, 'k.safetensors');
    const good = await readFile(path);
    for (let place = 0; place < good.length; place++) {
      const bad = Buffer.from(good);
      bad[place] = (bad[place] as number) ^ 1;
      await writeFile(path, bad);
      const found = await parts.get('k');
      // Spaces of the header's padding and its JSON stand for nothing: flipped, they may leave everything as it was.
      if (found !== undefined) expect(found).toEqual(tensors);
      if (place >= good.length - 16) expect(found).toBeUndefined();
    }
  });

  test('a truncated part is a miss', async () => {
    await parts.put('k', tensors);
    const path = join(parts.directory, 'k.safetensors');
    const { length } = await readFile(path);
    for (const size of [length - 1, length >> 1, 8, 0]) {
      await truncate(path, size);
      expect(await parts.get('k')).toBeUndefined();
    }
  });

  test('prune keeps what it is told to', async () => {
    await parts.prune([]);
    for (const key of ['a', 'b', 'c']) await parts.put(key, tensors);
    await parts.prune(new Set(['b', 'missing']));
    expect(await readdir(parts.directory)).toEqual(['b.safetensors']);
  });

  test('a key cannot leave the folder', async () => {
    for (const key of ['../x', '', 'a/b', '.', 'a b']) {
      await expect(parts.put(key, tensors)).rejects.toMatchObject({ code: 'RECLOOM_LAW_SHAPE' });
      await expect(parts.get(key)).rejects.toMatchObject({ code: 'RECLOOM_LAW_SHAPE' });
    }
    expect(await readdir(root)).toEqual([]);
  });
});
