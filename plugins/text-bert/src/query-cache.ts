import { recloomError } from '@recloom/plugin-api';

interface Flight {
  readonly promise: Promise<Float32Array | undefined>;
  readonly controller: AbortController;
  waiting: number;
}

/**
 * Keeps the last `size` results by key, least recently used out first, and lets callers that ask for the same key at
 * the same time share one computation. A caller that aborts is answered at once; the computation is aborted when the
 * last of its callers has gone. Failures are not kept.
 */
export class QueryCache {
  readonly #size: number;
  readonly #values = new Map<string, Float32Array | undefined>();
  readonly #flights = new Map<string, Flight>();

  constructor(size: number) {
    this.#size = size;
  }

  /** The value of a key: shared, so it must not be written to. */
  get(
    key: string,
    signal: AbortSignal,
    compute: (signal: AbortSignal) => Promise<Float32Array | undefined>,
  ): Promise<Float32Array | undefined> {
    if (this.#values.has(key)) {
      const value = this.#values.get(key);
      this.#values.delete(key);
      this.#values.set(key, value);
      return Promise.resolve(value);
    }
    const flight = this.#flights.get(key) ?? this.#start(key, compute);
    flight.waiting++;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        if (--flight.waiting === 0) {
          this.#flights.delete(key);
          flight.controller.abort(signal.reason);
        }
        reject(recloomError('RECLOOM_RUN_ABORTED', {}, { cause: signal.reason }));
      };
      signal.addEventListener('abort', onAbort, { once: true });
      flight.promise.then(
        (value) => {
          signal.removeEventListener('abort', onAbort);
          resolve(value);
        },
        (error: unknown) => {
          signal.removeEventListener('abort', onAbort);
          reject(error);
        },
      );
    });
  }

  #start(key: string, compute: (signal: AbortSignal) => Promise<Float32Array | undefined>): Flight {
    const controller = new AbortController();
    const promise = compute(controller.signal);
    const flight: Flight = { promise, controller, waiting: 0 };
    this.#flights.set(key, flight);
    const land = (): void => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    promise.then((value) => {
      land();
      if (!controller.signal.aborted) this.#keep(key, value);
    }, land);
    return flight;
  }

  #keep(key: string, value: Float32Array | undefined): void {
    if (this.#size === 0) return;
    this.#values.set(key, value);
    if (this.#values.size > this.#size) {
      const oldest = this.#values.keys().next();
      if (!oldest.done) this.#values.delete(oldest.value);
    }
  }
}
