import { describe, expect, it } from 'vitest';
import { Deadline } from './deadline.js';

const clock = (): number => performance.now();

describe('the end of a request', () => {
  it('is told to a component that was given up, and to nobody when all have answered', async () => {
    const left = new Deadline(clock, 1, undefined);
    const leftSignal = left.signal;
    await expect(left.wait(new Promise(() => {}), 'slow', undefined)).rejects.toMatchObject({ code: 'RECLOOM_RUN_TIMEOUT' });
    left.close(true);
    expect(leftSignal.aborted).toBe(true);

    for (const timeoutMs of [10_000, Number.POSITIVE_INFINITY]) {
      const done = new Deadline(clock, timeoutMs, undefined);
      const { signal } = done;
      expect(await done.wait(Promise.resolve(7), 'quick', undefined)).toBe(7);
      await expect(done.wait(Promise.reject(new Error('no')), 'broken', undefined)).rejects.toThrow('no');
      done.close(true);
      expect(signal.aborted).toBe(false);
    }
  });

  it('is told to all when the request failed: some may never have been waited for', () => {
    const failed = new Deadline(clock, 10_000, undefined);
    const { signal } = failed;
    failed.close(false);
    expect(signal.aborted).toBe(true);
  });

  it('leaves a signal nobody was waited for with to the next request, and no other', async () => {
    const spare: AbortController[] = [];
    const first = new Deadline(clock, 10_000, undefined, spare);
    const { signal } = first;
    first.close(true);
    const second = new Deadline(clock, 10_000, undefined, spare);
    expect(second.signal).toBe(signal);
    await second.wait(Promise.resolve(), 'quick', undefined);
    second.close(true);
    expect(spare).toEqual([]);
  });
});
