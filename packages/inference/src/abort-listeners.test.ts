import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { AbortListeners } from './abort-listeners.js';

describe('listeners of one signal', () => {
  it('are one for the signal however many callbacks there are, and none when the last has gone', () => {
    const listeners = new AbortListeners();
    const controller = new AbortController();
    const called: number[] = [];
    const stops = Array.from({ length: 30 }, (_, index) => listeners.listen(controller.signal, () => called.push(index)));
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
    for (const stop of stops.slice(1)) stop();
    stops[1]?.();
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
    stops[0]?.();
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    const again = [
      listeners.listen(controller.signal, () => called.push(100)),
      listeners.listen(controller.signal, () => called.push(101)),
    ];
    stops[2]?.();
    again[0]?.();
    controller.abort();
    expect(called).toEqual([101]);
    again[1]?.();
  });

  it('a callback that ends another one does so in time', () => {
    const listeners = new AbortListeners();
    const controller = new AbortController();
    const called: string[] = [];
    const stop = listeners.listen(controller.signal, () => called.push('first'));
    listeners.listen(controller.signal, () => {
      called.push('second');
      stop();
    });
    controller.abort();
    expect(called).toEqual(['first', 'second']);
  });
});
