import type { CandidateBatch, CandidateFilter, HistoryView, Table } from '@recloom/plugin-api';
import type { SeenOptions } from './options.js';

const dayMs = 86_400_000;

/** Removes candidates that the request's history holds: stored events and events sent along, whichever were granted. */
export class Seen implements CandidateFilter {
  readonly removalReasons = Object.freeze(['seen']);
  readonly #types: ReadonlySet<string> | undefined;
  readonly #withinMs: number;
  readonly #items: Table;
  /** By item row: number of the pass in which it was last marked, so that nothing has to be cleared. */
  #marks = new Uint32Array(0);
  #pass = 0;

  constructor(options: SeenOptions, items: Table) {
    this.#types = options.types === undefined ? undefined : new Set(options.types);
    this.#withinMs = options.withinDays === undefined ? Number.POSITIVE_INFINITY : options.withinDays * dayMs;
    this.#items = items;
  }

  filter(batch: CandidateBatch, removed: Uint8Array, signal: AbortSignal): void {
    signal.throwIfAborted();
    for (let request = 0; request < batch.requests.length; request++) {
      const view = batch.requests[request];
      if (view === undefined || view.history.length === 0) continue;
      const pass = this.#nextPass();
      this.#markHistory(view.history, view.asOfMs - this.#withinMs, pass);
      const end = batch.offsets[request + 1] as number;
      for (let place = batch.offsets[request] as number; place < end; place++) {
        if (this.#marks[batch.rows[place] as number] === pass) removed[place] = 1;
      }
    }
  }

  #markHistory(history: HistoryView, sinceMs: number, pass: number): void {
    const counts = this.#types === undefined ? undefined : history.typeNames.map((name) => this.#types?.has(name) === true);
    for (let event = 0; event < history.length; event++) {
      if (counts !== undefined && counts[history.types[event] as number] !== true) continue;
      if ((history.timesMs[event] as number) < sinceMs) continue;
      const row = history.items[event] as number;
      if (row < this.#marks.length) this.#marks[row] = pass;
    }
  }

  #nextPass(): number {
    if (this.#marks.length < this.#items.rowCount || this.#pass === 0xffff_ffff) {
      this.#marks = new Uint32Array(this.#items.rowCount);
      this.#pass = 0;
    }
    this.#pass++;
    return this.#pass;
  }
}
