import {
  type CandidateSource,
  type Explainer,
  type FieldInput,
  perRequest,
  type Reason,
  type RequestProposals,
  type RequestView,
  type Table,
} from '@recloom/plugin-api';
import type { NewestOptions } from './options.js';

const dayMs = 86_400_000;

/**
 * Items by age, youngest first, ties by ascending row. The score is `1 / (1 + age / halfScoreDays)`: 1 for a new item,
 * and never so small that float32 loses it. Items without a date, and those dated after the request's "now", are not proposed.
 */
export class Newest implements CandidateSource, Explainer {
  readonly #options: NewestOptions;
  readonly #added: FieldInput;
  readonly #items: Table;
  #sortedRows = new Int32Array(0);
  #sortedVersion: number | undefined;

  constructor(options: NewestOptions, added: FieldInput, items: Table) {
    this.#options = options;
    this.#added = added;
    this.#items = items;
  }

  readonly propose: CandidateSource['propose'] = perRequest((request, limit, { eligible }) => this.#proposeOne(request, limit, eligible));

  reasons(request: RequestView, rows: Int32Array): readonly (Reason | undefined)[] {
    const times = this.#times();
    return Array.from(rows, (row) => {
      const ageDays = Math.floor((request.asOfMs - (times[row] ?? Number.NaN)) / dayMs);
      if (!(ageDays >= 0)) return undefined;
      return { code: 'newly-added', text: 'New here since {days} days', values: { days: ageDays }, strength: 0.3 };
    });
  }

  #proposeOne(request: RequestView, limit: number, eligible: Uint8Array | undefined): RequestProposals {
    const times = this.#times();
    const oldestMs = request.asOfMs - (this.#options.maximumAgeDays ?? Number.POSITIVE_INFINITY) * dayMs;
    const rows: number[] = [];
    const scores: number[] = [];
    for (const row of this.#rowsByTime(times)) {
      if (rows.length === limit) break;
      const time = times[row] ?? Number.NaN;
      if (time > request.asOfMs) continue;
      if (time < oldestMs) break;
      if (eligible !== undefined && eligible[row] !== 1) continue;
      rows.push(row);
      scores.push(1 / (1 + (request.asOfMs - time) / (this.#options.halfScoreDays * dayMs)));
    }
    return { rows, scores };
  }

  #times(): Float64Array {
    const column = this.#added.column();
    return column?.type === 'number' ? column.values : new Float64Array(0);
  }

  /** Rows that have a time, latest first. The catalogue is live, so the order is kept until the table says it changed. */
  #rowsByTime(times: Float64Array): Int32Array {
    if (this.#sortedVersion !== this.#items.version) {
      const dated: number[] = [];
      for (let row = 0; row < this.#items.rowCount; row++) if (!Number.isNaN(times[row] ?? Number.NaN)) dated.push(row);
      this.#sortedRows = Int32Array.from(dated).sort((a, b) => (times[b] ?? 0) - (times[a] ?? 0) || a - b);
      this.#sortedVersion = this.#items.version;
    }
    return this.#sortedRows;
  }
}
