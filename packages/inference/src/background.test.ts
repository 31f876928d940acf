import { threadId } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { createInference, type InferenceService } from './inference.js';

/** What is opened: a sum that starts somewhere, and functions that do what the tests ask. */
const source = `
const coded = (facts) => Object.assign(new Error(facts.message), { [Symbol.for('recloom.error')]: true, retryable: false, ...facts });
export async function open({ start, fail }) {
  if (fail === 'coded') throw coded({ code: 'TEST_BROKEN', message: 'it is broken', hint: 'mend it' });
  if (fail === 'plain') throw new TypeError('a plain error');
  let sum = start;
  const order = [];
  const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  return {
    add: (value) => (sum += value),
    note: async (name, milliseconds) => {
      await wait(milliseconds);
      order.push(name);
      return [...order];
    },
    fill: (values, value) => void values.fill(value),
    double: (values) => values.map((value) => 2 * value),
    thread: async () => (await import('node:worker_threads')).threadId,
    fail: () => {
      throw coded({ code: 'TEST_REFUSED', message: 'it is refused', hint: 'ask for less', retryable: true });
    },
    uncopiable: () => () => 1,
    die: () => process.exit(3),
    hang: async (milliseconds) => {
      await wait(milliseconds);
      return 'awake';
    },
  };
}`;
const module = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
const services: InferenceService[] = [];
function service(): InferenceService {
  const made = createInference();
  services.push(made);
  return made;
}
afterEach(async () => {
  await Promise.all(services.splice(0).map((one) => one.close()));
});

describe('work in the background', () => {
  it('is done on another thread, one for all, and results keep their types', async () => {
    const inference = service();
    const [one, other] = await Promise.all([
      inference.background({ module, settings: { start: 0 } }),
      inference.background({ module, settings: { start: 100 } }),
    ]);
    expect(await one.call('thread')).not.toBe(threadId);
    expect(await one.call('thread')).toBe(await other.call('thread'));
    expect(await one.call('double', Int32Array.of(1, 2, 3))).toEqual(Int32Array.of(2, 4, 6));
  });

  it('leaves the arrays of the caller as they are', async () => {
    const work = await service().background({ module, settings: { start: 0 } });
    const values = Int32Array.of(1, 2);
    const doubled = work.call('double', values);
    expect([...values]).toEqual([1, 2]);
    await doubled;
    expect([...values]).toEqual([1, 2]);
  });

  it('is shared by equal requests, and forgotten when all have given it back', async () => {
    const inference = service();
    const first = await inference.background({ module, settings: { start: 1 } });
    const second = await inference.background({ module, settings: { start: 1 } });
    const other = await inference.background({ module, settings: { start: 2 } });
    expect([await first.call('add', 10), await second.call('add', 10), await other.call('add', 10)]).toEqual([11, 21, 12]);
    await first.close();
    await first.close();
    expect(await second.call('add', 10)).toBe(31);
    await expect(first.call('add', 1)).rejects.toMatchObject({ code: 'RECLOOM_RUN_CLOSED' });
    await second.close();
    const third = await inference.background({ module, settings: { start: 1 } });
    expect(await third.call('add', 10)).toBe(11);
  });

  it('is done in the order it was asked for', async () => {
    const work = await service().background({ module, settings: { start: 0 } });
    const slow = work.call('note', 'slow', 20);
    const quick = work.call('note', 'quick', 0);
    const later = new Promise((resolve) => setImmediate(resolve)).then(() => work.call('note', 'later', 0));
    expect(await slow).toEqual(['slow']);
    expect(await quick).toEqual(['slow', 'quick']);
    expect(await later).toEqual(['slow', 'quick', 'later']);
  });

  it('may overlap: then each call is begun when it comes, beside those of others that wait for each other', async () => {
    const inference = service();
    const work = await inference.background({ module, settings: { start: 0 }, overlapping: true });
    const other = await inference.background({ module, settings: { start: 0 } });
    const slow = work.call('note', 'slow', 30);
    const waiting = other.call('note', 'waiting', 60);
    const quick = work.call('note', 'quick', 0);
    const behind = other.call('note', 'behind', 0);
    expect(await quick).toEqual(['quick']);
    expect(await slow).toEqual(['quick', 'slow']);
    expect(await waiting).toEqual(['waiting']);
    expect(await behind).toEqual(['waiting', 'behind']);
    const [failed, unknown, uncopiable, fine] = await Promise.allSettled([
      work.call('fail'),
      work.call('nothing'),
      work.call('uncopiable'),
      work.call('add', 1),
    ]);
    expect(failed).toMatchObject({ reason: { code: 'TEST_REFUSED', retryable: true } });
    expect(unknown).toMatchObject({ reason: { message: 'there is no function nothing' } });
    expect(uncopiable).toMatchObject({ reason: { message: expect.stringContaining('could not be cloned') } });
    expect(fine).toEqual({ status: 'fulfilled', value: 1 });
  });

  it('that overlaps is finished as well when the service closes', async () => {
    const inference = service();
    const work = await inference.background({ module, settings: { start: 0 }, overlapping: true });
    const under = [work.call('hang', 50), work.call('hang', 20)];
    await new Promise((resolve) => setImmediate(resolve));
    const closing = inference.close();
    expect(await Promise.all(under)).toEqual(['awake', 'awake']);
    await closing;
  });

  it('sees the memory of a SharedArrayBuffer that it was given', async () => {
    const work = await service().background({ module, settings: { start: 0 }, overlapping: true });
    const memory = new Int32Array(new SharedArrayBuffer(8));
    await work.call('fill', memory, 7);
    expect([...memory]).toEqual([7, 7]);
  });

  it('is answered at once for all calls of one turn, so that what follows from them meets', async () => {
    const work = await service().background({ module, settings: { start: 0 } });
    let answered = 0;
    let withTheFirst = 0;
    const calls = Array.from({ length: 50 }, async (_, value) => {
      await work.call('add', value);
      // Between two messages Node runs what was put off to the next tick.
      if (answered++ === 0) process.nextTick(() => (withTheFirst = answered));
    });
    await Promise.all(calls);
    await new Promise((resolve) => setImmediate(resolve));
    expect(withTheFirst).toBe(50);
  });

  it('errors keep code, message, hint and whether to retry; one call does not fail its neighbours', async () => {
    const work = await service().background({ module, settings: { start: 0 } });
    const [before, failed, unknown, inherited, uncopiable, unsendable, after] = await Promise.allSettled([
      work.call('add', 1),
      work.call('fail'),
      work.call('nothing'),
      work.call('toString'),
      work.call('uncopiable'),
      work.call('add', () => 1),
      work.call('add', 1),
    ]);
    expect([before, after]).toEqual([
      { status: 'fulfilled', value: 1 },
      { status: 'fulfilled', value: 2 },
    ]);
    expect(failed).toMatchObject({
      reason: { code: 'TEST_REFUSED', message: expect.stringContaining('it is refused'), hint: 'ask for less', retryable: true },
    });
    expect(unknown).toMatchObject({ reason: { message: 'there is no function nothing' } });
    expect(inherited).toMatchObject({ reason: { message: 'there is no function toString' } });
    expect(uncopiable).toMatchObject({ reason: { message: expect.stringContaining('could not be cloned') } });
    expect(unsendable).toMatchObject({ reason: { message: expect.stringContaining('could not be cloned') } });
  });

  it('that cannot be opened says why, and can be asked for again', async () => {
    const inference = service();
    await expect(inference.background({ module, settings: { start: 0, fail: 'coded' } })).rejects.toMatchObject({ code: 'TEST_BROKEN' });
    await expect(inference.background({ module, settings: { start: 0, fail: 'coded' } })).rejects.toMatchObject({ code: 'TEST_BROKEN' });
    await expect(inference.background({ module, settings: { start: 0, fail: 'plain' } })).rejects.toThrow('a plain error');
    const missing = new URL('./no-such-module.js', import.meta.url);
    await expect(inference.background({ module: missing, settings: {} })).rejects.toThrow('no-such-module.js');
    expect(await (await inference.background({ module, settings: { start: 0 } })).call('add', 1)).toBe(1);
  });

  it('that ends its thread fails what was under way as retryable; the next call opens it anew', async () => {
    const work = await service().background({ module, settings: { start: 5 } });
    await work.call('add', 1);
    const [died, under] = await Promise.allSettled([work.call('die'), work.call('add', 1)]);
    expect(died).toMatchObject({ reason: { code: 'RECLOOM_RUN_WORKER_DIED', retryable: true } });
    expect(under).toMatchObject({ reason: { code: 'RECLOOM_RUN_WORKER_DIED', retryable: true } });
    expect(await work.call('add', 1)).toBe(6);
  });

  it('under way when the service closes is finished first; nothing new is begun', async () => {
    const inference = service();
    const work = await inference.background({ module, settings: { start: 0 } });
    const under = work.call('hang', 50);
    // The call is handed over in this turn.
    await new Promise((resolve) => setImmediate(resolve));
    const closing = inference.close();
    await expect(work.call('add', 1)).rejects.toMatchObject({ code: 'RECLOOM_RUN_CLOSED' });
    await expect(inference.background({ module, settings: { start: 0 } })).rejects.toMatchObject({ code: 'RECLOOM_RUN_CLOSED' });
    expect(await under).toBe('awake');
    await closing;
    await work.close();
  });
});
