import type { Call } from './call.js';
import { sharingKeyOf } from './sharing.js';

/** Calls that may go through a model in one run. */
export interface Company {
  readonly calls: readonly Call[];
  /** No further call would fit. */
  readonly full: boolean;
  /** When the first of them came. */
  readonly oldestMs: number;
}

/** Waiting calls, the nearest deadline first; equal ones as they came. */
export class CallQueue {
  readonly #calls: Call[] = [];

  get size(): number {
    return this.#calls.length;
  }

  at(place: number): Call | undefined {
    return this.#calls[place];
  }

  add(call: Call): void {
    let low = 0;
    let high = this.#calls.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#calls[middle] as Call).due <= call.due) low = middle + 1;
      else high = middle;
    }
    this.#calls.splice(low, 0, call);
  }

  /** Takes calls out; those that are not in are passed over. */
  remove(calls: readonly Call[]): void {
    for (const call of calls) {
      const place = this.#calls.indexOf(call);
      if (place >= 0) this.#calls.splice(place, 1);
    }
  }

  /** The calls that may share a run with the one at a place, itself first, the nearest deadlines first, up to its budget. */
  companyOf(place: number): Company {
    const call = this.#calls[place] as Call;
    const { sharing } = call;
    if (sharing === undefined) return { calls: [call], full: true, oldestMs: call.arrivedMs };
    const calls = [call];
    let { rows, tokens } = sharing;
    let oldestMs = call.arrivedMs;
    let full = rows >= sharing.limits.rows || tokens >= sharing.limits.tokens;
    for (let next = place + 1; next < this.#calls.length && !full; next++) {
      const other = this.#calls[next] as Call;
      if (other.sharing === undefined || sharingKeyOf(other) !== sharingKeyOf(call)) continue;
      full = rows + other.sharing.rows > sharing.limits.rows || tokens + other.sharing.tokens > sharing.limits.tokens;
      if (full) break;
      calls.push(other);
      rows += other.sharing.rows;
      tokens += other.sharing.tokens;
      oldestMs = Math.min(oldestMs, other.arrivedMs);
      full = rows >= sharing.limits.rows || tokens >= sharing.limits.tokens;
    }
    return { calls, full, oldestMs };
  }

  filter(wanted: (call: Call) => boolean): Call[] {
    return this.#calls.filter(wanted);
  }

  some(wanted: (call: Call) => boolean): boolean {
    return this.#calls.some(wanted);
  }
}
