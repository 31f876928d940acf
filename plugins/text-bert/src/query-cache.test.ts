import { setMaxListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { QueryCache } from './query-cache.js';

const never = new AbortController().signal;
setMaxListeners(0, never);

describe('the query cache', () => {
  it('computes a key once for all who ask at the same time, and keeps the most recently used', async () => {
    const cache = await QueryCache.open(2);
    const computed: string[] = [];
    const get = (key: string): Promise<Float32Array | undefined> =>
      cache.get(key, never, async () => {
        computed.push(key);
        await Promise.resolve();
        return Float32Array.of(computed.length);
      });
    const [first, second] = await Promise.all([get('a'), get('a')]);
    expect(first).toBe(second);
    await get('b');
    await get('a');
    await get('c');
    await get('a');
    await get('b');
    expect(computed).toEqual(['a', 'b', 'c', 'b']);
  });

  it('keeps nothing with size 0, and no failures', async () => {
    let computed = 0;
    const none = await QueryCache.open(0);
    for (let turn = 0; turn < 2; turn++) await none.get('a', never, async () => Float32Array.of(++computed));
    expect(computed).toBe(2);
    const cache = await QueryCache.open(5);
    await expect(cache.get('a', never, () => Promise.reject(new Error('once')))).rejects.toThrow('once');
    expect(await cache.get('a', never, async () => Float32Array.of(1))).toEqual(Float32Array.of(1));
  });

  it('remembers that a text has no embedding', async () => {
    const cache = await QueryCache.open(2);
    let computed = 0;
    const nothing = async (): Promise<undefined> => {
      computed++;
    };
    expect([await cache.get('a', never, nothing), await cache.get('a', never, nothing)]).toEqual([undefined, undefined]);
    expect(computed).toBe(1);
  });

  it('answers everybody when more ask at the same time than it can keep', async () => {
    for (const size of [0, 1, 3]) {
      const cache = await QueryCache.open(size);
      const answers = Array.from({ length: 20 }, (_, place) =>
        cache.get(`query ${place % 10}`, never, async () => {
          await new Promise((resolve) => setImmediate(resolve));
          return Float32Array.of(place % 10);
        }),
      );
      expect((await Promise.all(answers)).map((answer) => answer?.[0])).toEqual(Array.from({ length: 20 }, (_, place) => place % 10));
    }
  });

  it('answers one who aborts at once, goes on for the others, and stops with the last', async () => {
    const cache = await QueryCache.open(5);
    const controllers = [new AbortController(), new AbortController()];
    let stopped = false;
    let finish = (_: Float32Array): void => {};
    const compute = (signal: AbortSignal): Promise<Float32Array> =>
      new Promise((resolve, reject) => {
        finish = resolve;
        signal.addEventListener('abort', () => {
          stopped = true;
          reject(new Error('stopped'));
        });
      });
    const calls = controllers.map(({ signal }) => cache.get('a', signal, compute));
    controllers[0]?.abort();
    await expect(calls[0]).rejects.toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });
    expect(stopped).toBe(false);
    finish(Float32Array.of(7));
    expect(await calls[1]).toEqual(Float32Array.of(7));
    const last = new AbortController();
    const call = cache.get('b', last.signal, compute);
    last.abort();
    await expect(call).rejects.toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });
    expect(stopped).toBe(true);
    expect(await cache.get('b', never, async () => Float32Array.of(3))).toEqual(Float32Array.of(3));
  });
});
