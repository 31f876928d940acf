import { describe, expect, it } from 'vitest';
import { RequestTurns } from './request-turns.js';

describe('turns of requests', () => {
  it('lets the first go on at once, and each of the others in a turn of its own, in order', async () => {
    const turns = new RequestTurns();
    let turn = 0;
    let counting = true;
    const count = (): void => {
      turn++;
      if (counting) setImmediate(count);
    };
    setImmediate(count);
    const log: (readonly [name: number, turn: number])[] = [];
    const request = async (name: number): Promise<void> => {
      const waiting = turns.take();
      if (waiting !== undefined) await waiting;
      log.push([name, turn]);
    };
    await Promise.all([0, 1, 2, 3].map(request));
    expect(log.map(([name]) => name)).toEqual([0, 1, 2, 3]);
    expect(log[0]?.[1]).toBe(0);
    expect(new Set(log.map(([, at]) => at)).size).toBe(4);
    // Free again once nobody waits: at the latest two turns later.
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    expect(turns.take()).toBeUndefined();
    counting = false;
  });
});
