import { describe, expect, it } from 'vitest';
import { SharedBytes } from './shared-bytes.js';

const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, place) => (place * 31) % 251);

describe('shared bytes', () => {
  it('are a copy of what was given, of whatever length', async () => {
    const memory = new SharedBytes();
    for (const length of [1 << 16, (1 << 18) + 1, 1_000_003]) {
      const given = bytes(length);
      const lent = await memory.lend(given);
      expect(lent?.buffer).toBeInstanceOf(SharedArrayBuffer);
      expect(Buffer.from(lent ?? []).equals(given)).toBe(true);
    }
  });

  it('are not made of few bytes, nor of shared ones', async () => {
    const memory = new SharedBytes();
    expect(await memory.lend(bytes((1 << 16) - 1))).toBeUndefined();
    expect(await memory.lend(new Uint8Array(new SharedArrayBuffer(1 << 17)))).toBeUndefined();
  });

  it('use memory again that was taken back, and no other', () => {
    const memory = new SharedBytes();
    const first = memory.take(100_000);
    const second = memory.take(100_000);
    expect(second.buffer).not.toBe(first.buffer);
    memory.takeBack(first);
    memory.takeBack(bytes(100_000));
    expect(memory.take(70_000).buffer).toBe(first.buffer);
    expect(memory.take(70_000).buffer).not.toBe(first.buffer);
  });

  it('keep no more than 32 MiB', () => {
    const memory = new SharedBytes();
    const taken = Array.from({ length: 5 }, () => memory.take(1 << 23));
    for (const one of taken) memory.takeBack(one);
    const buffers = new Set(taken.map(({ buffer }) => buffer));
    const again = Array.from({ length: 5 }, () => memory.take(1 << 23));
    expect(again.filter(({ buffer }) => buffers.has(buffer))).toHaveLength(4);
  });
});
