import {
  type CandidateBatch,
  type CandidateSource,
  type Explainer,
  type Inspectable,
  joinProposals,
  type Proposals,
  type Reason,
  type RequestBatch,
  type RequestProposals,
  type RequestView,
  type Scorer,
  type Table,
} from '@recloom/plugin-api';
import { type InterestReader, type Interests, reasonFor } from './interests.js';

/** Links from items of a history to items worth proposing, and the scores of the interests added last. */
export interface LinkScores {
  /** One byte per item row, 1 = may be proposed; the caller writes it before `best`. */
  readonly open: Uint8Array;
  /** Forgets the last scores and adds weight × link over all interests. */
  add(interests: Interests): void;
  /** Score of an item row; 0 for rows it does not know. */
  scoreOf(row: number): number;
  /** `scoreOf` of many rows at once, into `out[from]` and on; absent: they are asked for one by one. */
  scoresOf?(rows: Int32Array, out: Float32Array, from: number): void;
  /** The best `limit` open rows that links raised above 0, best first, ties by ascending row. */
  best(limit: number): RequestProposals;
  /** The link from one item to another; 0 when there is none. */
  linkOf(from: number, to: number): number;
  /** The strongest links to an item, strongest first. */
  strongest(to: number, limit: number): readonly { readonly row: number; readonly link: number }[];
  dispose?(): void;
}

/** How an item model proposes, scores and explains by its links. */
export interface LinkedItemsOptions {
  readonly interests: InterestReader;
  /** Leave out what the history holds. */
  readonly excludeHistory: boolean;
  readonly items: Table;
}

/**
 * Source, scorer and explainer of every model that scores item j as the sum of weight × link[i, j] over the items i of
 * a history. Synchronous, so that its scratch never serves two requests at once.
 */
export class LinkedItems implements CandidateSource, Scorer, Explainer, Inspectable {
  readonly #scores: LinkScores;
  readonly #options: LinkedItemsOptions;

  constructor(scores: LinkScores, options: LinkedItemsOptions) {
    this.#scores = scores;
    this.#options = options;
  }

  propose(batch: RequestBatch, limit: number): Proposals {
    const { eligible } = batch;
    const { open } = this.#scores;
    if (eligible === undefined) open.fill(1);
    else for (let row = 0; row < open.length; row++) open[row] = eligible[row] === 0 ? 0 : 1;
    const lists = batch.requests.map((request) => {
      batch.signal.throwIfAborted();
      return this.#proposeOne(request, limit, eligible);
    });
    return joinProposals(lists, limit);
  }

  score(batch: CandidateBatch, out: Float32Array, signal: AbortSignal): void {
    batch.requests.forEach((request, index) => {
      signal.throwIfAborted();
      this.#scores.add(this.#options.interests.read(request));
      const start = batch.offsets[index] as number;
      const end = batch.offsets[index + 1] as number;
      if (this.#scores.scoresOf !== undefined) this.#scores.scoresOf(batch.rows.subarray(start, end), out, start);
      else for (let place = start; place < end; place++) out[place] = this.#scores.scoreOf(batch.rows[place] as number);
    });
  }

  /** The item of the history that adds most to each row's score; none where nothing adds to it. */
  reasons(request: RequestView, rows: Int32Array): readonly (Reason | undefined)[] {
    const interests = this.#options.interests.read(request);
    return Array.from(rows, (row) => {
      let best = -1;
      let most = 0;
      let total = 0;
      for (let place = 0; place < interests.count; place++) {
        const from = interests.rows[place] as number;
        const part = (interests.weights[place] as number) * this.#scores.linkOf(from, row);
        if (!(part > 0) || from === row) continue;
        total += part;
        if (part > most) {
          most = part;
          best = place;
        }
      }
      if (best < 0) return undefined;
      const wording = reasonFor(request, interests.types[best] as number);
      return { ...wording, items: [interests.rows[best] as number], strength: 0.5 + (0.4 * most) / total };
    });
  }

  inspectItem(row: number): Readonly<Record<string, unknown>> {
    const links = this.#scores.strongest(row, 10);
    return { recommendedAfter: links.map((entry) => ({ item: this.#options.items.idOf(entry.row), link: entry.link })) };
  }

  dispose(): void {
    this.#scores.dispose?.();
  }

  #proposeOne(request: RequestView, limit: number, eligible: Uint8Array | undefined): RequestProposals | undefined {
    const interests = this.#options.interests.read(request);
    if (interests.count === 0) return undefined;
    this.#scores.add(interests);
    const { open } = this.#scores;
    const hidden = this.#hidden(request);
    for (const row of hidden) if (row < open.length) open[row] = 0;
    const best = this.#scores.best(limit);
    for (const row of hidden) if (row < open.length) open[row] = eligible?.[row] === 0 ? 0 : 1;
    return best;
  }

  /** Rows this request is never proposed: the items it names, and its history when told. */
  #hidden(request: RequestView): Iterable<number> {
    if (!this.#options.excludeHistory) return request.items;
    return [...request.items, ...request.history.items.subarray(0, request.history.length)];
  }
}
