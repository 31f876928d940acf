/** Lets the event loop turn during a long loop on this thread, and ends it when the signal aborts. */
export class Pacer {
  readonly #signal: AbortSignal;
  #lastRest = performance.now();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** Whether some milliseconds were spent since the last rest: time to `await rest()`. @throws the signal's reason */
  due(): boolean {
    this.#signal.throwIfAborted();
    return performance.now() - this.#lastRest > 4;
  }

  async rest(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#signal.throwIfAborted();
    this.#lastRest = performance.now();
  }
}
