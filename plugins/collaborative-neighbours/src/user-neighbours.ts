import { type InterestReader, type Interests, reasonFor } from '@recloom/item-models';
import { type Kernels, type SparseMatrix, transposeSparseMatrix } from '@recloom/kernels';
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
} from '@recloom/plugin-api';
import { popularityTieBreak } from './neighbours.js';
import type { UserKnnOptions } from './options.js';

/** What an instance works on; arrays are read and never written. */
export interface UserNeighboursParts {
  readonly kernels: Kernels;
  /** Users × items. */
  readonly people: SparseMatrix;
  readonly itemWeights: Float32Array;
  /** Σ itemWeight × weight² per user. */
  readonly norms: Float32Array;
  readonly itemUsers: Float32Array;
  readonly interests: InterestReader;
  readonly options: Pick<
    UserKnnOptions,
    'neighbours' | 'alpha' | 'shrinkage' | 'amplification' | 'minimumPeople' | 'maximumHistoryItems' | 'excludeHistory'
  >;
}

/** The people most like the one who asks. Scratch: valid until the next call. */
interface Neighbours {
  /** User rows, most similar first, ties by ascending row. */
  readonly rows: Int32Array;
  /** Above 0, amplified. */
  readonly weights: Float32Array;
}

/**
 * Source, scorer and explainer that finds the people most like a history through an index item → people, and lets them
 * vote. A request costs the sum of the people of its items, the items of its neighbours, and one pass over users and items.
 * Synchronous, so that its scratch never serves two requests at once.
 */
export class UserNeighbours implements CandidateSource, Scorer, Explainer, Inspectable {
  readonly #parts: UserNeighboursParts;
  /** Item → users, the transposed `people`. */
  readonly #byItem: SparseMatrix;
  /** norm^(1 - alpha) per user, the part of the divisor that does not depend on the request. */
  readonly #divisors: Float32Array;
  readonly #tieBreaks: Float32Array;
  /** In the kernels' memory, for they are searched for the best. */
  readonly #similarities: Float32Array;
  readonly #scores: Float32Array;
  readonly #open: Uint8Array;
  readonly #voters: Uint16Array;
  #disposed = false;

  constructor(parts: UserNeighboursParts) {
    const { kernels, people, norms, itemUsers, options } = parts;
    this.#parts = parts;
    this.#byItem = transposeSparseMatrix(people);
    this.#divisors = norms.map((norm) => norm ** (1 - options.alpha));
    this.#tieBreaks = itemUsers.map((users) => users * popularityTieBreak);
    this.#similarities = kernels.float32(people.rowCount);
    this.#scores = kernels.float32(people.columnCount);
    this.#open = kernels.uint8(people.columnCount);
    this.#voters = new Uint16Array(people.columnCount);
  }

  propose(batch: RequestBatch, limit: number): Proposals {
    const { eligible } = batch;
    const open = this.#open;
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
      this.#vote(request);
      const end = batch.offsets[index + 1] as number;
      for (let place = batch.offsets[index] as number; place < end; place++) {
        out[place] = this.#scores[batch.rows[place] as number] ?? 0;
      }
    });
  }

  /**
   * The item of the history through which the neighbours who have a row are most like the person. None for a row that
   * fewer than `minimumPeople` of them have: a reason speaks of people, never of a person.
   */
  reasons(request: RequestView, rows: Int32Array): readonly (Reason | undefined)[] {
    const { people, itemWeights, options } = this.#parts;
    const interests = this.#interestsOf(request);
    const neighbours = this.#neighboursOf(interests, request.userRow);
    const placeOf = new Map<number, number>();
    for (let place = 0; place < interests.count; place++) placeOf.set(interests.rows[place] as number, place);
    const common = (entry: number): number => {
      const item = people.columnIndices[entry] as number;
      const place = placeOf.get(item);
      return place === undefined ? 0 : (interests.weights[place] as number) * (itemWeights[item] as number) * (people.values?.[entry] ?? 1);
    };
    return Array.from(rows, (row) => {
      const shares = new Float64Array(interests.count);
      let voters = 0;
      for (let index = 0; index < neighbours.rows.length; index++) {
        const user = neighbours.rows[index] as number;
        const cell = cellOf(people, user, row);
        if (cell < 0) continue;
        const vote = people.values?.[cell] ?? 1;
        voters++;
        // A neighbour's vote is shared out among the items that make the two alike.
        const begin = people.rowOffsets[user] as number;
        const end = people.rowOffsets[user + 1] as number;
        let together = 0;
        for (let entry = begin; entry < end; entry++) together += common(entry);
        for (let entry = begin; entry < end; entry++) {
          const place = placeOf.get(people.columnIndices[entry] as number);
          if (place === undefined || people.columnIndices[entry] === row) continue;
          shares[place] = (shares[place] as number) + ((neighbours.weights[index] as number) * vote * common(entry)) / together;
        }
      }
      if (voters < options.minimumPeople) return undefined;
      let best = -1;
      let total = 0;
      for (let place = 0; place < shares.length; place++) {
        const share = shares[place] as number;
        total += share;
        if (share > 0 && (best < 0 || share > (shares[best] as number))) best = place;
      }
      if (best < 0) return undefined;
      return {
        ...wordingFor(request, interests.types[best] as number),
        items: [interests.rows[best] as number],
        strength: 0.5 + (0.4 * (shares[best] as number)) / total,
      };
    });
  }

  /** How many people have the item; never who. */
  inspectItem(row: number): Readonly<Record<string, unknown>> {
    return { people: this.#parts.itemUsers[row] ?? 0 };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const array of [this.#similarities, this.#scores, this.#open]) this.#parts.kernels.free(array);
  }

  #proposeOne(request: RequestView, limit: number, eligible: Uint8Array | undefined): RequestProposals | undefined {
    if (!this.#vote(request)) return undefined;
    const open = this.#open;
    const hidden = this.#parts.options.excludeHistory
      ? [...request.items, ...request.history.items.subarray(0, request.history.length)]
      : request.items;
    for (const row of hidden) if (row < open.length) open[row] = 0;
    const { rows, scores } = this.#parts.kernels.topK(this.#scores, limit, open);
    for (const row of hidden) if (row < open.length) open[row] = eligible?.[row] === 0 ? 0 : 1;
    // What nobody voted for is no proposal; it can only stand at the end.
    let count = rows.length;
    while (count > 0 && !((scores[count - 1] as number) > (this.#tieBreaks[rows[count - 1] as number] as number))) count--;
    return { rows: rows.subarray(0, count), scores: scores.subarray(0, count) };
  }

  /** Newest first, at most `maximumHistoryItems`. */
  #interestsOf(request: RequestView): Interests {
    const interests = this.#parts.interests.read(request);
    const { maximumHistoryItems } = this.#parts.options;
    return interests.count <= maximumHistoryItems ? interests : { ...interests, count: maximumHistoryItems };
  }

  /** Fills the scores of one request; false when there is nothing to go by. */
  #vote(request: RequestView): boolean {
    const { people, options } = this.#parts;
    const scores = this.#scores;
    const voters = this.#voters;
    const tieBreaks = this.#tieBreaks;
    scores.set(tieBreaks);
    const interests = this.#interestsOf(request);
    if (interests.count === 0) return false;
    const { rowOffsets, columnIndices, values } = people;
    const neighbours = this.#neighboursOf(interests, request.userRow);
    for (let index = 0; index < neighbours.rows.length; index++) {
      const user = neighbours.rows[index] as number;
      const weight = neighbours.weights[index] as number;
      const end = rowOffsets[user + 1] as number;
      for (let entry = rowOffsets[user] as number; entry < end; entry++) {
        const item = columnIndices[entry] as number;
        scores[item] = (scores[item] as number) + (values === undefined ? weight : weight * (values[entry] as number));
        voters[item] = (voters[item] as number) + 1;
      }
    }
    for (let item = 0; item < voters.length; item++) {
      if ((voters[item] as number) < options.minimumPeople) scores[item] = tieBreaks[item] as number;
      voters[item] = 0;
    }
    return true;
  }

  /** The most similar people; the one who asks is none of them. */
  #neighboursOf(interests: Interests, ownRow: number): Neighbours {
    const { kernels, itemWeights, options } = this.#parts;
    const { rowOffsets, columnIndices, values } = this.#byItem;
    const similarities = this.#similarities.fill(0);
    let norm = 0;
    for (let place = 0; place < interests.count; place++) {
      const item = interests.rows[place] as number;
      const interest = interests.weights[place] as number;
      const weight = interest * (itemWeights[item] as number);
      norm += weight * interest;
      const end = rowOffsets[item + 1] as number;
      for (let entry = rowOffsets[item] as number; entry < end; entry++) {
        const user = columnIndices[entry] as number;
        const value = values === undefined ? weight : weight * (values[entry] as number);
        similarities[user] = (similarities[user] as number) + value;
      }
    }
    const own = norm ** options.alpha;
    const divisors = this.#divisors;
    for (let user = 0; user < similarities.length; user++) {
      const common = similarities[user] as number;
      if (common > 0) similarities[user] = common / (own * (divisors[user] as number) + options.shrinkage);
    }
    if (ownRow >= 0 && ownRow < similarities.length) similarities[ownRow] = 0;
    const { rows, scores } = kernels.topK(similarities, options.neighbours);
    let count = rows.length;
    while (count > 0 && !((scores[count - 1] as number) > 0)) count--;
    const weights = scores.subarray(0, count);
    return {
      rows: rows.subarray(0, count),
      weights: options.amplification === 1 ? weights : weights.map((similarity) => similarity ** options.amplification),
    };
  }
}

/** Place of a user's item among the entries; -1 when the user has it not. */
function cellOf({ rowOffsets, columnIndices }: SparseMatrix, user: number, item: number): number {
  let low = rowOffsets[user] as number;
  const end = rowOffsets[user + 1] as number;
  let high = end;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((columnIndices[middle] as number) < item) low = middle + 1;
    else high = middle;
  }
  return low < end && columnIndices[low] === item ? low : -1;
}

/** "People who …", by what the person did with the item the likeness rests on. */
function wordingFor(request: RequestView, type: number): Pick<Reason, 'code' | 'text'> {
  switch (reasonFor(request, type).code) {
    case 'because-you-bought':
      return { code: 'people-who-bought', text: 'People who bought {item}, as you did, chose this too' };
    case 'because-you-viewed':
      return { code: 'people-who-viewed', text: 'People who took {item}, which you looked at, chose this too' };
    default:
      return { code: 'people-who-chose', text: 'People who chose {item} chose this too' };
  }
}
