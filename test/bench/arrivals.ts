// Calls that arrive when they arrive, whatever the answers take (an open loop): a clock of its own thread sends them, and what
// waits behind a slow one is counted from the moment it should have begun (no coordinated omission).
import { Worker } from 'node:worker_threads';
import { uniformSource } from './measure.js';

/** A thread that sleeps until each moment and tells the other one; every thread of a process has the same `process.hrtime`. */
const pacer = `
const { parentPort, workerData } = require('node:worker_threads');
const { beginMs, atMs } = workerData;
const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
const sleeper = new Int32Array(new SharedArrayBuffer(4));
for (let turn = 0; turn < atMs.length; turn++) {
  for (let left = beginMs + atMs[turn] - nowMs(); left > 0; left = beginMs + atMs[turn] - nowMs()) Atomics.wait(sleeper, 0, 0, left);
  parentPort.postMessage({ turn, sentMs: nowMs() });
}
`;

/** Milliseconds of the clock that all threads share. */
export function sharedNowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Moments of a Poisson process in milliseconds from its beginning: exponential gaps, so many a second, for so long. */
export function poissonTimes(perSecond: number, seconds: number, seed: number): Float64Array {
  const uniform = uniformSource(seed);
  const times: number[] = [];
  for (let atMs = 0; ; ) {
    atMs -= (1000 / perSecond) * Math.log(1 - uniform());
    if (atMs >= 1000 * seconds) return Float64Array.from(times);
    times.push(atMs);
  }
}

/**
 * Calls `arrive` at each of the moments, from a message of another thread: as a host hears of a request from a socket. The message
 * comes late when this thread is busy.
 *
 * @param arrive is told which one it is, when it was due and when it was sent, on the clock of `sharedNowMs`
 * @param signal ends it early
 */
export function atTimes(
  times: Float64Array,
  arrive: (turn: number, dueMs: number, sentMs: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const beginMs = sharedNowMs() + 100;
  const thread = new Worker(pacer, { eval: true, execArgv: [], workerData: { beginMs, atMs: times } });
  signal?.addEventListener('abort', () => void thread.terminate(), { once: true });
  return new Promise((resolve, reject) => {
    thread.on('message', ({ turn, sentMs }: { readonly turn: number; readonly sentMs: number }) =>
      arrive(turn, beginMs + (times[turn] as number), sentMs),
    );
    thread.once('error', reject);
    thread.once('exit', () => resolve());
  });
}

/** The value that `share` of the sorted values do not exceed (nearest rank). @throws RangeError without values */
export function quantileOf(values: ArrayLike<number>, share: number): number {
  const sorted = Float64Array.from(values).sort();
  const found = sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))];
  if (found === undefined) throw new RangeError('There is no quantile of nothing.');
  return found;
}

/** What an open loop saw. */
export interface LoadResult {
  /** Milliseconds from the moment a call was due to its answer, in the order of the calls. */
  readonly latenciesMs: readonly number[];
  /** Most calls under way at once. */
  readonly mostAtOnce: number;
}

/** Makes a call at each of the moments and waits for all answers. @throws what a call throws, once all have ended */
export async function openLoop(times: Float64Array, call: (turn: number) => Promise<unknown>): Promise<LoadResult> {
  const latenciesMs: number[] = [];
  const failures: unknown[] = [];
  const answers: Promise<void>[] = [];
  let atOnce = 0;
  let mostAtOnce = 0;
  const answerOf = async (turn: number, dueMs: number): Promise<void> => {
    try {
      await call(turn);
      latenciesMs[turn] = sharedNowMs() - dueMs;
    } catch (error) {
      failures.push(error);
    } finally {
      atOnce--;
    }
  };
  await atTimes(times, (turn, dueMs) => {
    mostAtOnce = Math.max(mostAtOnce, ++atOnce);
    answers.push(answerOf(turn, dueMs));
  });
  await Promise.all(answers);
  if (failures.length > 0) throw failures[0];
  return { latenciesMs, mostAtOnce };
}

/** Calls answered per second when `atOnce` of them are always under way. */
export async function closedLoop(atOnce: number, seconds: number, call: (turn: number) => Promise<unknown>): Promise<number> {
  const beginMs = sharedNowMs();
  let turn = 0;
  const lane = async (): Promise<void> => {
    while (sharedNowMs() - beginMs < 1000 * seconds) await call(turn++);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return (1000 * turn) / (sharedNowMs() - beginMs);
}
