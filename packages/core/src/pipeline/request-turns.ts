/**
 * Lets one request go on in each turn of the event loop. Queries that were encoded together are ready at the same moment; what each
 * of them does next, one after the other, would hold up everything else for as long as all of them take.
 */
export class RequestTurns {
  readonly #waiting: (() => void)[] = [];
  #taken = false;

  /** Undefined when this turn is free, and then taken; otherwise resolves in a turn of its own, in order of the calls. */
  take(): Promise<void> | undefined {
    if (this.#taken) {
      return new Promise((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    this.#taken = true;
    // Called while messages are taken, an immediate comes in the same turn still: the turn after that is the next one.
    setImmediate(() => setImmediate(this.#next));
    return undefined;
  }

  readonly #next = (): void => {
    const enter = this.#waiting.shift();
    if (enter === undefined) {
      this.#taken = false;
      return;
    }
    setImmediate(this.#next);
    enter();
  };
}
