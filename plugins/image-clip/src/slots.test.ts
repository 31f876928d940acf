import { describe, expect, it } from 'vitest';
import { Slots } from './slots.js';

const never = new AbortController().signal;

describe('slots', () => {
  it('let so many work at a time, and the others in order, whatever fails', async () => {
    const slots = new Slots(2);
    let working = 0;
    let most = 0;
    const order: number[] = [];
    const results = await Promise.allSettled(
      Array.from({ length: 9 }, (_, index) =>
        slots.run(never, async () => {
          order.push(index);
          most = Math.max(most, ++working);
          await new Promise((resolve) => setImmediate(resolve));
          working--;
          if (index % 3 === 1) throw new Error('no');
          return index;
        }),
      ),
    );
    expect(most).toBe(2);
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(results.filter((result) => result.status === 'rejected')).toHaveLength(3);
  });

  it('let go who aborts while waiting, and keep the place of nobody', async () => {
    const slots = new Slots(1);
    let finish = (): void => {};
    const first = slots.run(never, () => new Promise<void>((resolve) => (finish = resolve)));
    const controller = new AbortController();
    let ran = false;
    const second = slots.run(controller.signal, async () => {
      ran = true;
    });
    const third = slots.run(never, async () => 'third');
    controller.abort(new Error('gone'));
    await expect(second).rejects.toThrow('gone');
    finish();
    await first;
    expect(await third).toBe('third');
    expect(ran).toBe(false);
    await expect(slots.run(controller.signal, async () => 1)).rejects.toThrow('gone');
    expect(await slots.run(never, async () => 'free')).toBe('free');
  });
});
