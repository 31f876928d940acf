import { readTensor, tensor } from '@recloom/plugin-api';
import { describe, expect, it } from 'vitest';
import { PartCache } from './part-cache.js';

describe('PartCache', () => {
  it('gives and keeps copies: a pipeline may empty its own', async () => {
    const cache = new PartCache();
    const weights = Float32Array.of(1, 2, 3, 4);
    const state = { weights: tensor(weights, [2, 2]) };
    await cache.put('a', state);
    weights.fill(0);
    const first = await cache.get('a');
    expect(first).toEqual({ weights: { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) } });
    if (first !== undefined) readTensor(first, 'weights', Float32Array).fill(9);
    expect((await cache.get('a'))?.['weights']?.data).toEqual(Float32Array.of(1, 2, 3, 4));
    expect(await cache.get('b')).toBeUndefined();
  });

  it('drops what was longest unused, and keeps nothing that is too large', async () => {
    const cache = new PartCache(100);
    const part = (bytes: number) => ({ bytes: tensor(new Uint8Array(bytes)) });
    await cache.put('a', part(40));
    await cache.put('b', part(40));
    await cache.get('a');
    await cache.put('c', part(40));
    await cache.put('huge', part(101));
    const kept = await Promise.all(['a', 'b', 'c', 'huge'].map(async (key) => (await cache.get(key)) !== undefined));
    expect(kept).toEqual([true, false, true, false]);
  });
});
