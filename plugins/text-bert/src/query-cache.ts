import { importLibrary, recloomError } from '@recloom/plugin-api';
import type { LRUCache } from 'lru-cache';

/** A result; one that has no embedding is remembered as well. */
interface Kept {
  readonly embedding: Float32Array | undefined;
}

type Compute = (signal: AbortSignal) => Promise<Float32Array | undefined>;

interface Flight {
  readonly controller: AbortController;
  readonly compute: Compute;
  waiting: number;
}

/**
 * Keeps the last `size` results by key, least recently used out first, and lets callers that ask for the same key at
 * the same time share one computation. A caller that aborts is answered at once; the computation is aborted when the
 * last of its callers has gone. Failures are not kept.
 */
export class QueryCache {
  readonly #size: number;
  readonly #cache: LRUCache<string, Kept, Flight>;
  /** Who waits for a computation: the library shares it, and knows one signal for all. */
  readonly #flights = new Map<string, Flight>();

  private constructor(size: number, cache: LRUCache<string, Kept, Flight>) {
    this.#size = size;
    this.#cache = cache;
  }

  /** An empty cache. @throws RECLOOM_PLG_LIBRARY_MISSING */
  static async open(size: number): Promise<QueryCache> {
    const library = await importLibrary('lru-cache', '11.5.3', () => import('lru-cache'));
    const cache = new library.LRUCache<string, Kept, Flight>({
      max: Math.max(1, size),
      // Computations under way count as entries; one that is pushed out by others is still to be answered.
      ignoreFetchAbort: true,
      fetchMethod: async (_key, _stale, { context }) => ({ embedding: await context.compute(context.controller.signal) }),
    });
    return new QueryCache(size, cache);
  }

  /** The value of a key: shared, so it must not be written to. */
  async get(key: string, caller: AbortSignal, compute: Compute): Promise<Float32Array | undefined> {
    const kept = this.#cache.get(key);
    if (kept !== undefined) return kept.embedding;
    // A signal of its own: a batch asks for many queries with one, and Node warns of more than ten listeners on it.
    const signal = AbortSignal.any([caller]);
    const flight = this.#flights.get(key) ?? this.#start(key, compute);
    flight.waiting++;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        if (--flight.waiting === 0) {
          this.#land(key, flight);
          // Whoever asks from now on gets a computation of their own.
          this.#cache.delete(key);
          flight.controller.abort(signal.reason);
        }
        reject(recloomError('RECLOOM_RUN_ABORTED', {}, { cause: signal.reason }));
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#cache.fetch(key, { context: flight }).then(
        (value) => {
          signal.removeEventListener('abort', onAbort);
          this.#land(key, flight);
          if (this.#size === 0) this.#cache.delete(key);
          resolve(value?.embedding);
        },
        (error: unknown) => {
          signal.removeEventListener('abort', onAbort);
          this.#land(key, flight);
          reject(error);
        },
      );
    });
  }

  #start(key: string, compute: Compute): Flight {
    const flight: Flight = { controller: new AbortController(), compute, waiting: 0 };
    this.#flights.set(key, flight);
    return flight;
  }

  #land(key: string, flight: Flight): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }
}
