/**
 * Work on the host's thread in pieces, one piece in each turn of its event loop, however many pictures are under way: what
 * each of them would do in the same turn would hold up everything else for as long as all of them take.
 */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #isScheduled = false;

  /** Waits for a turn that nobody else has; the caller's piece follows at once. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      const enter = this.#waiting.shift();
      if (this.#waiting.length > 0) this.#schedule();
      enter?.();
    });
  }
}
