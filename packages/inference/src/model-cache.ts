import type { PoolModel } from './pool-model.js';
import type { OpenedModel } from './protocol.js';
import type { WorkerPool } from './worker-pool.js';

/** One loaded model, shared by every session of it. */
export interface ModelEntry {
  readonly model: PoolModel;
  readonly pool: WorkerPool;
  /** What the workers said when they had loaded it. */
  readonly opened: OpenedModel;
  /** Equal for models that are the same, wherever their files lie. */
  readonly content: string;
  /** Under which files it was asked for. */
  readonly identities: Set<string>;
  /** Open sessions and runs under way. */
  references: number;
}

export interface ModelCacheLimits {
  readonly cacheModels: number;
  readonly cacheBytes: number;
}

/**
 * The models that are loaded or being loaded: one load for all who ask for a file at the same time, one entry for equal
 * content, and the last used ones kept when nobody uses them any more.
 */
export class ModelCache {
  readonly #limits: ModelCacheLimits;
  /** Loads under way and loaded models, by file and its state on disk. */
  readonly #byIdentity = new Map<string, Promise<ModelEntry>>();
  readonly #byContent = new Map<string, ModelEntry>();
  /** Models nobody uses, the least recently used first. */
  readonly #unused = new Set<ModelEntry>();

  constructor(limits: ModelCacheLimits) {
    this.#limits = limits;
  }

  /**
   * The entry of an identity with one reference more. Whoever loads first hears of a failure; everybody else tries again.
   *
   * @param check throws when the entry is not what this caller wants; it then gets no reference
   */
  async enter(
    identity: string,
    check: (entry: ModelEntry) => void,
    load: () => Promise<Omit<ModelEntry, 'identities' | 'references'>>,
  ): Promise<ModelEntry> {
    for (;;) {
      const present = this.#byIdentity.get(identity);
      if (present === undefined) break;
      const entry = await present.catch(() => undefined);
      if (entry === undefined || this.#byIdentity.get(identity) !== present) continue;
      check(entry);
      this.#use(entry);
      return entry;
    }
    const loading = load().then((loaded) => this.#admit(identity, loaded));
    this.#byIdentity.set(identity, loading);
    try {
      return await loading;
    } catch (error) {
      if (this.#byIdentity.get(identity) === loading) this.#byIdentity.delete(identity);
      throw error;
    }
  }

  /** Gives a reference back; with the last one the model becomes one that may be forgotten. */
  leave(entry: ModelEntry): void {
    if (--entry.references > 0) return;
    this.#unused.add(entry);
    let bytes = 0;
    for (const other of this.#unused) bytes += other.opened.bytes;
    for (const other of this.#unused) {
      if (this.#unused.size <= this.#limits.cacheModels && bytes <= this.#limits.cacheBytes) return;
      bytes -= other.opened.bytes;
      this.#forget(other);
    }
  }

  #use(entry: ModelEntry): void {
    entry.references++;
    this.#unused.delete(entry);
  }

  /** A model that is loaded already under another name is used instead, and the new copy given back. */
  #admit(identity: string, loaded: Omit<ModelEntry, 'identities' | 'references'>): ModelEntry {
    const known = this.#byContent.get(loaded.content);
    const entry = known ?? { ...loaded, identities: new Set<string>(), references: 0 };
    if (known === undefined) this.#byContent.set(entry.content, entry);
    else loaded.pool.release(loaded.model);
    entry.identities.add(identity);
    this.#use(entry);
    return entry;
  }

  #forget(entry: ModelEntry): void {
    this.#unused.delete(entry);
    this.#byContent.delete(entry.content);
    for (const identity of entry.identities) this.#byIdentity.delete(identity);
    entry.pool.release(entry.model);
  }
}
