import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { StoredEmbeddings } from './stored-embeddings.js';

function countingStore() {
  const values = new Map<string, Uint8Array>();
  const store = {
    values,
    writes: 0,
    get: async (key: string) => values.get(key)?.slice(),
    set: async (key: string, value: Uint8Array) => {
      store.writes++;
      values.set(key, value.slice());
    },
  };
  return store;
}
/** As `keyOf` makes them: the first 32 hex digits of the SHA-256. */
const keyOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32);
const vector = (...values: number[]): Float32Array => Float32Array.from(values);

describe('stored embeddings', () => {
  it('come back bit by bit, in one value, whatever order they were added in', async () => {
    const store = countingStore();
    const exact = vector(Math.fround(0.1), -0, 1e-45);
    const first = await StoredEmbeddings.open(store, 'k', 3);
    first.add(keyOf('red mug'), exact);
    first.add(keyOf('blue mug'), vector(1, 2, 3));
    await first.flush(true);
    expect([...store.values.keys()]).toEqual(['k']);
    const second = await StoredEmbeddings.open(store, 'k', 3);
    expect(second.size).toBe(2);
    const back = second.get(keyOf('red mug'));
    expect([Object.is(back?.[1], -0), back?.[0], back?.[2]]).toEqual([true, Math.fround(0.1), vector(1e-45)[0]]);
    expect(second.get(keyOf('Red mug'))).toBeUndefined();
    const bytes = store.values.get('k');
    const other = await StoredEmbeddings.open(countingStore(), 'k', 3);
    expect(other.get(keyOf('x'))).toBeUndefined();
    const swapped = countingStore();
    const third = await StoredEmbeddings.open(swapped, 'k', 3);
    third.add(keyOf('blue mug'), vector(1, 2, 3));
    third.add(keyOf('red mug'), vector(Math.fround(0.1), -0, 1e-45));
    await third.flush(true);
    expect(swapped.values.get('k')).toEqual(bytes);
  });

  it('name content by the first 16 bytes of its SHA-256', async () => {
    for (const text of ['', 'abc', 'é'.repeat(5000)]) expect(await StoredEmbeddings.keyOf(Buffer.from(text))).toBe(keyOf(text));
    // FIPS 180-2, appendix B.1.
    expect(await StoredEmbeddings.keyOf(Buffer.from('abc'))).toBe('ba7816bf8f01cfea414140de5dae2223');
  });

  it('writes a growing set a few times, not once per batch, and not at all when nothing is new', async () => {
    const store = countingStore();
    const stored = await StoredEmbeddings.open(store, 'k', 1);
    for (let batch = 0; batch < 40; batch++) {
      for (let row = 0; row < 10; row++) stored.add(keyOf(`${batch} ${row}`), vector(batch));
      await stored.flush(false);
    }
    expect(store.writes).toBeLessThan(12);
    await stored.flush(true);
    const { writes } = store;
    await stored.flush(true);
    expect(store.writes).toBe(writes);
    expect((await StoredEmbeddings.open(store, 'k', 1)).size).toBe(400);
  });

  it('forgets most of what a catalogue no longer has', async () => {
    const store = countingStore();
    const old = await StoredEmbeddings.open(store, 'k', 1);
    for (let row = 0; row < 100; row++) old.add(keyOf(`old ${row}`), vector(row));
    await old.flush(true);
    const next = await StoredEmbeddings.open(store, 'k', 1);
    next.get(keyOf('old 99'));
    for (let row = 0; row < 9; row++) next.add(keyOf(`new ${row}`), vector(row));
    await next.flush(true);
    const last = await StoredEmbeddings.open(store, 'k', 1);
    expect(last.size).toBe(20);
    expect(last.get(keyOf('old 99'))).toEqual(vector(99));
    expect(last.get(keyOf('new 8'))).toEqual(vector(8));
  });

  it('takes what is damaged, cut off or of another width for nothing', async () => {
    const store = countingStore();
    const stored = await StoredEmbeddings.open(store, 'k', 2);
    stored.add(keyOf('a'), vector(1, 2));
    await stored.flush(true);
    const whole = store.values.get('k') as Uint8Array;
    expect((await StoredEmbeddings.open(store, 'k', 3)).size).toBe(0);
    for (let place = 0; place < whole.length; place++) {
      const damaged = whole.slice();
      damaged[place] = (damaged[place] as number) ^ 1;
      store.values.set('k', damaged);
      expect((await StoredEmbeddings.open(store, 'k', 2)).size).toBe(0);
      store.values.set('k', whole.slice(0, place));
      expect((await StoredEmbeddings.open(store, 'k', 2)).size).toBe(0);
    }
  });
});
