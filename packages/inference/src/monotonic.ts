/**
 * Milliseconds on the monotonic clock of this machine, which all its threads and processes share. `performance.timeOrigin`
 * is no such bridge: a worker that starts after the wall clock was set, or the machine slept, has another one.
 */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}
