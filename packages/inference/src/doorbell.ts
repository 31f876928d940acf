/**
 * A word of shared memory that counts the messages to a worker thread. A thread that waits on it is woken by the system at once,
 * without the way through its event loop, which costs as much as handing a message over.
 */
export type Doorbell = Int32Array<SharedArrayBuffer>;

/** One that has not been rung. */
export function createDoorbell(): Doorbell {
  return new Int32Array(new SharedArrayBuffer(4));
}

/** Host: a message lies in the port. */
export function ringDoorbell(bell: Doorbell): void {
  Atomics.add(bell, 0, 1);
  Atomics.notify(bell, 0);
}

/** Worker: how often it was rung, to be read before the port is emptied. */
export function ringsOf(bell: Doorbell): number {
  return Atomics.load(bell, 0);
}

/** Worker: blocks this thread until it has been rung more than `rings` times. False when `timeoutMs` passed first. */
export function waitForRing(bell: Doorbell, rings: number, timeoutMs: number): boolean {
  return Atomics.wait(bell, 0, rings, timeoutMs) !== 'timed-out';
}
