import { importLibrary, recloomError } from '@recloom/plugin-api';
import type { LRUCache } from 'lru-cache';

/** A result; one that has no embedding is remembered as well. */
interface Kept {
  readonly embedding: Float32Array | undefined;
}

type Compute = (signal: AbortSignal) => Promise<Float32Array | undefined>;

interface Flight {
  readonly controller: AbortController;
  readonly promise: Promise<Float32Array | undefined>;
  waiting: number;
}

/**
 * Keeps the last `size` results by key, least recently used out first, and lets callers that ask for the same key at
 * the same time share one computation. A caller that aborts is answered at once; the computation is aborted when the
 * last of its callers has gone. Failures are not kept.
 */
export class QueryCache {
  readonly #values: LRUCache<string, Kept> | undefined;
  readonly #flights = new Map<string, Flight>();

  private constructor(values: LRUCache<string, Kept> | undefined) {
    this.#values = values;
  }

  /** A cache of `size` values; with 0 nothing is kept, and calls are shared all the same. @throws RECLOOM_PLG_LIBRARY_MISSING */
  static async open(size: number): Promise<QueryCache> {
    const library = await importLibrary('lru-cache', '11.5.3', () => import('lru-cache'));
    return new QueryCache(size === 0 ? undefined : new library.LRUCache<string, Kept>({ max: size }));
  }

  /** The value of a key: shared, so it must not be written to. */
  get(key: string, signal: AbortSignal, compute: Compute): Promise<Float32Array | undefined> {
    const kept = this.#values?.get(key);
    if (kept !== undefined) return Promise.resolve(kept.embedding);
    const flight = this.#flights.get(key) ?? this.#start(key, compute);
    flight.waiting++;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        if (--flight.waiting === 0) {
          // Whoever asks from now on gets a computation of their own.
          this.#land(key, flight);
          flight.controller.abort(signal.reason);
        }
        reject(recloomError('RECLOOM_RUN_ABORTED', {}, { cause: signal.reason }));
      };
      signal.addEventListener('abort', onAbort, { once: true });
      flight.promise.finally(() => signal.removeEventListener('abort', onAbort)).then(resolve, reject);
    });
  }

  #start(key: string, compute: Compute): Flight {
    const controller = new AbortController();
    const flight: Flight = { controller, promise: compute(controller.signal), waiting: 0 };
    this.#flights.set(key, flight);
    flight.promise.then(
      (embedding) => {
        this.#land(key, flight);
        if (!controller.signal.aborted) this.#values?.set(key, { embedding });
      },
      () => this.#land(key, flight),
    );
    return flight;
  }

  #land(key: string, flight: Flight): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }
}
