/**
 * Two words of shared memory between a host and its worker thread. onnxruntime-node cannot bear that its thread is ended
 * inside a native call (the whole process aborts), which is what `process.exit()` does to busy threads. Before the process
 * ends, the host therefore shuts the gate and waits for the task under way.
 */
export interface ExitGate {
  readonly words: Int32Array<SharedArrayBuffer>;
}

const shut = 0;
const working = 1;

/** An open gate. */
export function createExitGate(): ExitGate {
  return { words: new Int32Array(new SharedArrayBuffer(8)) };
}

/** Worker: announces a task. False when the gate is shut: then no task may start any more. */
export function enterGate(gate: ExitGate): boolean {
  // Announce first, look second: the host does it the other way round, so one of the two always sees the other.
  Atomics.store(gate.words, working, 1);
  if (Atomics.load(gate.words, shut) === 0) return true;
  leaveGate(gate);
  return false;
}

/** Worker: the task is done. */
export function leaveGate({ words }: ExitGate): void {
  Atomics.store(words, working, 0);
  Atomics.notify(words, working);
}

/** Host: lets no further task start and blocks this thread until the one under way is done. False when `timeoutMs` passed first. */
export function shutGate({ words }: ExitGate, timeoutMs: number): boolean {
  Atomics.store(words, shut, 1);
  return Atomics.wait(words, working, 1, timeoutMs) !== 'timed-out';
}
