/**
 * Many callbacks on one signal with one listener: a build runs dozens of calls with the same signal, and Node warns of a
 * leak from the eleventh listener on.
 */
export class AbortListeners {
  readonly #callbacks = new Map<AbortSignal, { readonly all: Set<() => void>; readonly onAbort: () => void }>();

  /** Calls back once when the signal aborts, unless the function that is returned was called before. */
  listen(signal: AbortSignal, callback: () => void): () => void {
    let entry = this.#callbacks.get(signal);
    if (entry === undefined) {
      const all = new Set<() => void>();
      const onAbort = (): void => {
        this.#callbacks.delete(signal);
        for (const call of all) call();
      };
      entry = { all, onAbort };
      this.#callbacks.set(signal, entry);
      signal.addEventListener('abort', onAbort, { once: true });
    }
    const { all, onAbort } = entry;
    all.add(callback);
    return () => {
      all.delete(callback);
      if (all.size > 0 || this.#callbacks.get(signal)?.all !== all) return;
      this.#callbacks.delete(signal);
      signal.removeEventListener('abort', onAbort);
    };
  }
}
