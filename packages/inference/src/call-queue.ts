import type { Call } from './call.js';

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

  filter(wanted: (call: Call) => boolean): Call[] {
    return this.#calls.filter(wanted);
  }

  some(wanted: (call: Call) => boolean): boolean {
    return this.#calls.some(wanted);
  }
}
