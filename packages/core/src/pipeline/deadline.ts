import { recloomError } from '@recloom/plugin-api';

/** True for promises and anything else with a `then`. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

/**
 * The end of a request: the host's signal and the time left, as one lazily made signal. Nothing is allocated for a
 * request whose components all answer synchronously.
 */
export class Deadline {
  readonly #monotonic: () => number;
  /** On the monotonic clock, in milliseconds; Infinity = none. */
  readonly endsAtMs: number;
  readonly #outer: AbortSignal | undefined;
  #controller: AbortController | undefined;
  #onAbort: (() => void) | undefined;
  /** True once a component was waited for: it may have left listeners on the signal. */
  #waited = false;
  /** Components that were waited for and have not ended. */
  #atWork = 0;
  readonly #spare: AbortController[];

  /** `spare` holds controllers that were never aborted, to be used again. */
  constructor(monotonic: () => number, timeoutMs: number, outer: AbortSignal | undefined, spare: AbortController[] = []) {
    this.#spare = spare;
    this.#monotonic = monotonic;
    this.endsAtMs = timeoutMs === Number.POSITIVE_INFINITY ? timeoutMs : monotonic() + timeoutMs;
    this.#outer = outer;
  }

  remainingMs(): number {
    return this.endsAtMs === Number.POSITIVE_INFINITY ? this.endsAtMs : this.endsAtMs - this.#monotonic();
  }

  /** Whether it is over at an instant of the monotonic clock, in milliseconds. */
  passedAt(nowMs: number): boolean {
    return nowMs >= this.endsAtMs;
  }

  /** @throws RECLOOM_RUN_ABORTED when the host gave up. */
  throwIfAborted(): void {
    if (this.#outer?.aborted === true) throw recloomError('RECLOOM_RUN_ABORTED', {}, { cause: this.#outer.reason });
  }

  /** Aborts when the host aborts, or when a call that waited for a component gave it up. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = (this.#outer === undefined ? this.#spare.pop() : undefined) ?? new AbortController();
      this.#controller = controller;
      if (this.#outer !== undefined) {
        const outer = this.#outer;
        if (outer.aborted) controller.abort(outer.reason);
        else {
          this.#onAbort = () => controller.abort(outer.reason);
          outer.addEventListener('abort', this.#onAbort, { once: true });
        }
      }
    }
    return this.#controller.signal;
  }

  /** Waits for a component, at most until the deadline or `limitMs`. @throws RECLOOM_RUN_TIMEOUT, RECLOOM_RUN_ABORTED */
  async wait<Value>(pending: PromiseLike<Value>, name: string, limitMs: number | undefined): Promise<Value> {
    this.#waited = true;
    this.#atWork++;
    const ended = (): void => {
      this.#atWork--;
    };
    pending.then(ended, ended);
    const remaining = Math.min(this.remainingMs(), limitMs ?? Number.POSITIVE_INFINITY);
    if (remaining === Number.POSITIVE_INFINITY && this.#outer === undefined) return pending;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let onAbort: (() => void) | undefined;
    try {
      return await new Promise<Value>((resolve, reject) => {
        pending.then(resolve, reject);
        if (remaining !== Number.POSITIVE_INFINITY) {
          timer = setTimeout(
            () => reject(recloomError('RECLOOM_RUN_TIMEOUT', { name, timeoutMs: Math.max(0, Math.round(remaining)) })),
            Math.max(0, remaining),
          );
        }
        if (this.#outer !== undefined) {
          const outer = this.#outer;
          onAbort = () => reject(recloomError('RECLOOM_RUN_ABORTED', {}, { cause: outer.reason }));
          if (outer.aborted) onAbort();
          else outer.addEventListener('abort', onAbort, { once: true });
        }
      });
    } finally {
      if (timer !== undefined) clearTimeout(timer);
      if (onAbort !== undefined) this.#outer?.removeEventListener('abort', onAbort);
    }
  }

  /**
   * Ends the request: components still at work learn that nobody waits.
   *
   * @param answered every component that was asked had its say, or was given up after a wait; without it all are told
   */
  close(answered: boolean): void {
    if (this.#onAbort !== undefined) this.#outer?.removeEventListener('abort', this.#onAbort);
    if (this.#controller === undefined) return;
    // An abort costs as much as a whole stage: it makes an error with its stack, and an event.
    if (!answered || this.#atWork > 0) this.#controller.abort();
    else if (!this.#waited && this.#outer === undefined) this.#spare.push(this.#controller);
  }
}
