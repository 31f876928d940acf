import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { createDoorbell, ringDoorbell, ringsOf, waitForRing } from './doorbell.js';

describe('a doorbell', () => {
  it('counts rings; one that was rung meanwhile is not waited for, another one is until the time has passed', () => {
    const bell = createDoorbell();
    const before = ringsOf(bell);
    expect(waitForRing(bell, before, 5)).toBe(false);
    ringDoorbell(bell);
    ringDoorbell(bell);
    expect(ringsOf(bell)).toBe(before + 2);
    expect(waitForRing(bell, before, 60_000)).toBe(true);
    expect(waitForRing(bell, ringsOf(bell), 5)).toBe(false);
  });

  it('wakes a thread that waits', async () => {
    const bell = createDoorbell();
    const script = `
      import { parentPort, workerData } from 'node:worker_threads';
      import { ringsOf, waitForRing } from ${JSON.stringify(new URL('../dist/doorbell.js', import.meta.url).href)};
      parentPort.postMessage('ready');
      parentPort.postMessage(waitForRing(workerData, 0, 60_000) && ringsOf(workerData));
    `;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`), { workerData: bell, execArgv: [] });
    const messages: unknown[] = [];
    await new Promise<void>((resolve) => {
      worker.on('message', (message) => {
        messages.push(message);
        if (message === 'ready') setTimeout(() => ringDoorbell(bell), 20);
      });
      worker.on('exit', () => resolve());
    });
    expect(messages).toEqual(['ready', 1]);
  });
});
