import { MessageChannel } from 'node:worker_threads';
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
    // Free again once nobody waits: at the latest three turns later.
    for (let later = 0; later < 3; later++) await new Promise((resolve) => setImmediate(resolve));
    expect(turns.take()).toBeUndefined();
    counting = false;
  });

  it('lets timers in between the first two, also when both come with one message', async () => {
    const turns = new RequestTurns();
    const log: string[] = [];
    const { port1, port2 } = new MessageChannel();
    const done = new Promise<void>((resolve) => {
      port2.once('message', () => {
        setTimeout(() => log.push('timer'), 1);
        const until = performance.now() + 5;
        while (performance.now() < until) continue;
        for (const name of ['first', 'second']) {
          const waiting = turns.take();
          if (waiting === undefined) log.push(name);
          else void waiting.then(() => resolve(void log.push(name)));
        }
      });
    });
    port1.postMessage('go');
    await done;
    port1.close();
    expect(log).toEqual(['first', 'timer', 'second']);
  });
});
