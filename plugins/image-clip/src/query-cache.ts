import { importLibrary, recloomError } from '@recloom/plugin-api';
import type { LRUCache } from 'lru-cache';

interface Flight<Value> {
  readonly promise: Promise<Value>;
  readonly controller: AbortController;
  waiting: number;
}

/**
 * Keeps the last `size` results by key, least recently used out first, and lets callers that ask for the same key at
 * the same time share one computation. A caller that aborts is answered at once; the computation is aborted when the
 * last of its callers has gone. Failures are not kept.
 */
export class QueryCache<Value extends object> {
  readonly #values: LRUCache<string, Value> | undefined;
  readonly #flights = new Map<string, Flight<Value>>();

  private constructor(values: LRUCache<string, Value> | undefined) {
    this.#values = values;
  }

  /** A cache of `size` values; with 0 nothing is kept, and calls are shared all the same. @throws RECLOOM_PLG_LIBRARY_MISSING */
  static async open<Value extends object>(size: number): Promise<QueryCache<Value>> {
    const library = await importLibrary('lru-cache', '11.5.3', () => import('lru-cache'));
    return new QueryCache<Value>(size === 0 ? undefined : new library.LRUCache<string, Value>({ max: size }));
  }

  /** The value of a key: shared, so it must not be written to. */
  get(key: string, signal: AbortSignal, compute: (signal: AbortSignal) => Promise<Value>): Promise<Value> {
    const known = this.#values?.get(key);
    if (known !== undefined) return Promise.resolve(known);
    const flight = this.#flights.get(key) ?? this.#start(key, compute);
    flight.waiting++;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        if (--flight.waiting === 0) {
          if (this.#flights.get(key) === flight) this.#flights.delete(key);
          flight.controller.abort(signal.reason);
        }
        reject(recloomError('RECLOOM_RUN_ABORTED', {}, { cause: signal.reason }));
      };
      signal.addEventListener('abort', onAbort, { once: true });
      flight.promise.finally(() => signal.removeEventListener('abort', onAbort)).then(resolve, reject);
    });
  }

  #start(key: string, compute: (signal: AbortSignal) => Promise<Value>): Flight<Value> {
    const controller = new AbortController();
    const promise = compute(controller.signal);
    const flight: Flight<Value> = { promise, controller, waiting: 0 };
    this.#flights.set(key, flight);
    const land = (): void => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    promise.then((value) => {
      land();
      if (!controller.signal.aborted) this.#values?.set(key, value);
    }, land);
    return flight;
  }
}
