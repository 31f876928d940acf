import { type Kernels, kernelsOf } from '@recloom/kernels';
import {
  type CandidateBatch,
  type CandidateSource,
  type Compute,
  type Explainer,
  type FeatureMatrix,
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
import { CombinedScores } from './combined-scores.js';
import { KeptSimilarities } from './kept-similarities.js';
import type { NearestOptions } from './options.js';
import { bestOf, type NearestRows, type Point, VectorSpace } from './vector-space.js';

const dayMs = 86_400_000;
/** Multiplications up to which all items are compared with all items of a profile; beyond, only the nearest of each. */
const mostProducts = 120_000_000;
/** Items whose similarities are worked out without a turn of the event loop. */
const mostAtOnce = 2;
/** How often a profile is begun again because items changed meanwhile; then it is worked out in one go. */
const mostAttempts = 3;
/** Beyond `mostProducts`, each item contributes at least so many rows. */
const leastPool = 100;
/** Rows compared with all items of a profile between two turns of the event loop. */
const rowsPerSlice = 512;
/** Long work lets the event loop turn after so long. */
const turnAfterMs = 2;
const bytesPerMegabyte = 2 ** 20;

type EventLoopTurn = () => Promise<void> | undefined;

/** What a request asks to be near to. */
interface Aim {
  readonly kind: 'query' | 'item' | 'profile';
  readonly points: readonly Point[];
  /** One per point, with a positive sum. */
  readonly weights: Float64Array;
  /** Item row of each point, -1 for a query. */
  readonly rows: Int32Array;
  /** Rows that are never proposed. */
  readonly excluded: ArrayLike<number>;
}

/** Proposes and scores the items nearest to a query, to the items of the request, or to a profile. */
export class Nearest implements CandidateSource, Scorer, Explainer, Inspectable {
  readonly #options: NearestOptions;
  readonly #items: Table;
  readonly #kernels: Kernels;
  readonly #space: VectorSpace;
  readonly #kept: KeptSimilarities;

  private constructor(options: NearestOptions, items: Table, kernels: Kernels, space: VectorSpace) {
    this.#options = options;
    this.#items = items;
    this.#kernels = kernels;
    this.#space = space;
    this.#kept = new KeptSimilarities(space, options.cacheMegabytes * bytesPerMegabyte);
  }

  /**
   * Copies the vectors of all items to where they are compared; other work of the host gets its turns in between.
   *
   * @throws VECTOR_SEARCH_FEATURES when the weights do not fit the features, and the signal's reason
   */
  static async open(
    options: NearestOptions,
    features: readonly FeatureMatrix[],
    items: Table,
    compute: Compute,
    signal: AbortSignal,
  ): Promise<Nearest> {
    const kernels = kernelsOf(compute);
    const space = new VectorSpace(kernels, features, options.weights);
    try {
      await space.fill(signal);
    } catch (error) {
      space.dispose();
      throw error;
    }
    return new Nearest(options, items, kernels, space);
  }

  propose(batch: RequestBatch, limit: number): Proposals | Promise<Proposals> {
    batch.signal.throwIfAborted();
    this.#space.synchronise();
    const { requests } = batch;
    if (requests.length !== 1) return this.#proposeMany(batch, limit);
    const list = this.#proposeOne(requests[0] as RequestView, batch, limit, eventLoopTurns());
    return list instanceof Promise ? list.then((found) => joinProposals([found], limit)) : joinProposals([list], limit);
  }

  score(batch: CandidateBatch, out: Float32Array, signal: AbortSignal): void | Promise<void> {
    signal.throwIfAborted();
    this.#space.synchronise();
    if (batch.requests.length === 1) {
      this.#scoreOne(batch, 0, out);
      return undefined;
    }
    return this.#scoreMany(batch, out, signal);
  }

  reasons(request: RequestView, rows: Int32Array): readonly (Reason | undefined)[] {
    const aim = this.#aimOf(request);
    if (aim === undefined) return Array.from(rows, () => undefined);
    const similarities = aim.points.map((point) => {
      const values = new Float32Array(rows.length);
      this.#space.similarities(point, rows, values);
      return values;
    });
    return Array.from(rows, (row, place) => {
      const found = similarities
        .map((values, index) => ({ row: aim.rows[index] as number, value: values[place] as number, weight: aim.weights[index] as number }))
        .filter((near) => near.value > 0 && near.row !== row)
        .sort((a, b) => b.value * b.weight - a.value * a.weight || a.row - b.row);
      const best = found[0];
      if (best === undefined) return undefined;
      const strength = best.value;
      if (aim.kind === 'query') {
        if (request.image === undefined) return { code: 'matches-meaning', text: 'Matches the meaning of your search', strength };
        return request.text === undefined
          ? { code: 'similar-to-picture', text: 'Similar to your picture', strength }
          : { code: 'matches-words-and-picture', text: 'Matches your words and your picture', strength };
      }
      const code = aim.kind === 'item' ? 'similar-to-item' : 'similar-to-history';
      return { code, text: 'Similar to {item}', items: found.slice(0, 3).map((near) => near.row), strength };
    });
  }

  /** Which features an item has, and its five nearest items. */
  inspectItem(row: number): Readonly<Record<string, unknown>> {
    this.#space.synchronise();
    const point = this.#space.pointOf(row);
    const features = this.#space.featureNames.filter((_, bit) => (point.pattern & (1 << bit)) !== 0);
    if (point.pattern === 0) return { features, nearest: [] };
    const { rows, scores } = this.#space.nearest(point, 5, this.#space.maskOf(undefined, [row]));
    return { features, nearest: Array.from(rows, (other, place) => ({ item: this.#items.idOf(other), similarity: scores[place] })) };
  }

  dispose(): void {
    this.#space.dispose();
  }

  async #proposeMany(batch: RequestBatch, limit: number): Promise<Proposals> {
    const lists: (RequestProposals | undefined)[] = [];
    const turn = eventLoopTurns();
    for (const request of batch.requests) {
      await turn();
      batch.signal.throwIfAborted();
      lists.push(await this.#proposeOne(request, batch, limit, turn));
    }
    return joinProposals(lists, limit);
  }

  async #scoreMany(batch: CandidateBatch, out: Float32Array, signal: AbortSignal): Promise<void> {
    const turn = eventLoopTurns();
    for (let index = 0; index < batch.requests.length; index++) {
      await turn();
      signal.throwIfAborted();
      this.#scoreOne(batch, index, out);
    }
  }

  #proposeOne(
    request: RequestView,
    batch: RequestBatch,
    limit: number,
    turn: EventLoopTurn,
  ): RequestProposals | undefined | Promise<RequestProposals | undefined> {
    const aim = this.#aimOf(request);
    if (aim === undefined) return undefined;
    const single = this.#singlePoint(aim);
    if (single !== undefined)
      return this.#similarEnough(this.#space.nearest(single, limit, this.#space.maskOf(batch.eligible, aim.excluded)));
    const maskNow = (): Uint8Array => this.#space.maskOf(batch.eligible, aim.excluded);
    const mask = maskNow();
    const open = mask.reduce((sum, allowed) => sum + allowed, 0);
    if (open * this.#space.width * aim.points.length > mostProducts) {
      return this.#nearestInPool(aim, limit, maskNow, batch.signal, turn).then((found) => this.#similarEnough(found));
    }
    if (open * 2 < mask.length) {
      // Most rows may not be proposed: only the others are compared.
      const rows = rowsOf(mask, open);
      const scores = new Float32Array(open);
      this.#combine(aim, rows, scores);
      return this.#similarEnough(bestOf(rows, scores, limit));
    }
    const missing = aim.rows.filter((row) => !this.#kept.has(row)).length;
    return missing > mostAtOnce
      ? this.#proposeInTurns(request, aim, batch, limit, turn)
      : this.#bestOfAll(this.#scoresNow(aim), batch, aim, limit);
  }

  /** All rows compared with an aim's items, letting the event loop turn in between; begun again when items change meanwhile. */
  async #proposeInTurns(
    request: RequestView,
    first: Aim,
    batch: RequestBatch,
    limit: number,
    turn: EventLoopTurn,
  ): Promise<RequestProposals | undefined> {
    let aim: Aim | undefined = first;
    for (let attempt = 0; attempt < mostAttempts && aim !== undefined; attempt++) {
      const { changeCount, rowCount } = this.#space;
      const sum = new CombinedScores(this.#options, rowCount);
      let isUndisturbed = true;
      for (let place = 0; isUndisturbed && place < aim.points.length; place++) {
        await turn();
        batch.signal.throwIfAborted();
        isUndisturbed = this.#space.changeCount === changeCount;
        if (isUndisturbed) sum.add(this.#kept.of(aim.rows[place] as number), aim.weights[place] as number);
      }
      if (isUndisturbed) {
        const scores = new Float32Array(rowCount);
        this.#finish(aim, sum, undefined, scores);
        return this.#bestOfAll(scores, batch, aim, limit);
      }
      aim = this.#aimOf(request);
    }
    return aim && this.#bestOfAll(this.#scoresNow(aim), batch, aim, limit);
  }

  #scoresNow(aim: Aim): Float32Array {
    const scores = new Float32Array(this.#space.rowCount);
    this.#combine(aim, undefined, scores);
    return scores;
  }

  #bestOfAll(scores: Float32Array, batch: RequestBatch, aim: Aim, limit: number): RequestProposals {
    return this.#similarEnough(this.#kernels.topK(scores, limit, this.#space.maskOf(batch.eligible, aim.excluded)));
  }

  #similarEnough(found: NearestRows): RequestProposals {
    let count = 0;
    while (count < found.rows.length && (found.scores[count] as number) >= this.#options.minimumSimilarity) count++;
    return { rows: found.rows.subarray(0, count), scores: found.scores.subarray(0, count) };
  }

  #scoreOne(batch: CandidateBatch, index: number, out: Float32Array): void {
    const start = batch.offsets[index] ?? 0;
    const end = batch.offsets[index + 1] ?? start;
    const scores = out.subarray(start, end);
    const aim = this.#aimOf(batch.requests[index] as RequestView);
    if (aim === undefined) {
      scores.fill(0);
      return;
    }
    const rows = batch.rows.subarray(start, end);
    const single = this.#singlePoint(aim);
    if (single === undefined) this.#combine(aim, rows, scores);
    else this.#space.similarities(single, rows, scores);
    // Without a common feature nothing is known: as unrelated as at a right angle.
    for (let place = 0; place < scores.length; place++) if (Number.isNaN(scores[place])) scores[place] = 0;
  }

  /** One point that answers the aim, or undefined when each point has to be compared. */
  #singlePoint(aim: Aim): Point | undefined {
    if (aim.points.length === 1) return aim.points[0];
    return this.#options.profile === 'mean' ? this.#space.meanOf(aim.points, aim.weights) : undefined;
  }

  /**
   * Compares only the nearest of each point: all that `max` can give, and nearly always what a high power gives. The event
   * loop turns between the scans.
   */
  async #nearestInPool(aim: Aim, limit: number, maskNow: () => Uint8Array, signal: AbortSignal, turn: EventLoopTurn): Promise<NearestRows> {
    const pool = new Set<number>();
    const perPoint = this.#options.profile === 'max' ? limit : Math.max(limit, leastPool);
    let mask = maskNow();
    for (const point of aim.points) {
      await turn();
      signal.throwIfAborted();
      // Another request may have taken over new items meanwhile.
      if (mask.length !== this.#space.rowCount) mask = maskNow();
      for (const row of this.#space.nearest(point, perPoint, mask).rows) pool.add(row);
    }
    const rows = Int32Array.from(pool).sort();
    const scores = new Float32Array(rows.length);
    for (let start = 0; start < rows.length; start += rowsPerSlice) {
      await turn();
      signal.throwIfAborted();
      this.#combine(aim, rows.subarray(start, start + rowsPerSlice), scores.subarray(start, start + rowsPerSlice), false);
    }
    return bestOf(rows, scores, limit);
  }

  /**
   * The combined score of rows (all rows when undefined): the best cosine, or the weighted power mean of those above 0. With `kept`,
   * similarities that are kept are taken from there: those of the items as they are now.
   */
  #combine(aim: Aim, rows: Int32Array | undefined, out: Float32Array, kept = true): void {
    const sum = new CombinedScores(this.#options, out.length);
    const own = new Float32Array(rows === undefined ? 0 : rows.length);
    for (let index = 0; index < aim.points.length; index++) {
      const row = aim.rows[index] as number;
      const weight = aim.weights[index] as number;
      if (rows === undefined) {
        sum.add(this.#kept.of(row), weight);
        continue;
      }
      const known = kept ? this.#kept.peek(row) : undefined;
      if (known === undefined) this.#space.similarities(aim.points[index] as Point, rows, own);
      else for (let place = 0; place < rows.length; place++) own[place] = known[rows[place] as number] ?? Number.NaN;
      sum.add(own, weight);
    }
    this.#finish(aim, sum, rows, out);
  }

  /** NaN for rows that have no feature of the aim's items. */
  #finish(aim: Aim, sum: CombinedScores, rows: Int32Array | undefined, out: Float32Array): void {
    sum.finish(out);
    const meeting = this.#space.meeting(aim.points);
    for (let place = 0; place < out.length; place++) {
      if (meeting[this.#space.patternOf(rows === undefined ? place : (rows[place] as number))] === 0) out[place] = Number.NaN;
    }
  }

  #aimOf(request: RequestView): Aim | undefined {
    const { mode } = this.#options;
    if (mode === 'auto' || mode === 'query') {
      const point = this.#space.pointFrom((feature) => request.queryVector(feature));
      if (point.pattern !== 0)
        return { kind: 'query', points: [point], weights: Float64Array.of(1), rows: Int32Array.of(-1), excluded: [] };
      if (mode === 'query') return undefined;
    }
    if (mode === 'item' || (mode === 'auto' && request.items.length > 0)) {
      const rows = [...new Set(request.items)];
      return this.#aimAt('item', rows, new Float64Array(rows.length).fill(1));
    }
    // A search whose query could not be encoded is not answered with what the person liked before.
    if (mode === 'auto' && (request.text !== undefined || request.image !== undefined)) return undefined;
    return this.#profileOf(request);
  }

  /** The last different items of the history, each with the sum of its events' weights, faded by age. */
  #profileOf(request: RequestView): Aim | undefined {
    const { history } = request;
    const { recencyDays, historyItems } = this.#options;
    const weights = new Map<number, number>();
    // Faded against the newest event, not against now: on old data every weight would be 0.
    const newestMs = history.timesMs[history.length - 1] ?? 0;
    for (let event = history.length - 1; event >= 0; event--) {
      const row = history.items[event] as number;
      const known = weights.get(row);
      if (known === undefined && weights.size >= historyItems) continue;
      const ageDays = Math.max(0, newestMs - (history.timesMs[event] as number)) / dayMs;
      const weight = (history.weights[event] as number) * (recencyDays > 0 ? Math.exp(-ageDays / recencyDays) : 1);
      weights.set(row, (known ?? 0) + (weight > 0 && weight < Number.POSITIVE_INFINITY ? weight : 0));
    }
    return this.#aimAt('profile', [...weights.keys()], Float64Array.from(weights.values()));
  }

  #aimAt(kind: 'item' | 'profile', rows: readonly number[], weights: Float64Array): Aim | undefined {
    const points = rows.map((row) => this.#space.pointOf(row));
    const usable = points
      .map((point, place) => (point.pattern !== 0 && (weights[place] as number) > 0 ? place : -1))
      .filter((place) => place >= 0);
    if (usable.length === 0) return undefined;
    return {
      kind,
      points: usable.map((place) => points[place] as Point),
      weights: Float64Array.from(usable, (place) => weights[place] as number),
      rows: Int32Array.from(usable, (place) => rows[place] as number),
      excluded: rows,
    };
  }
}

/** The `count` rows that a mask leaves, ascending. */
function rowsOf(mask: Uint8Array, count: number): Int32Array {
  const rows = new Int32Array(count);
  let place = 0;
  for (let row = 0; row < mask.length; row++) if (mask[row] === 1) rows[place++] = row;
  return rows;
}

/** Resolves at once, or after the event loop has turned when this thread was busy for a while. */
function eventLoopTurns(): EventLoopTurn {
  let last = performance.now();
  return () => {
    if (performance.now() - last < turnAfterMs) return undefined;
    return new Promise((resolve) => {
      setImmediate(() => {
        last = performance.now();
        resolve();
      });
    });
  };
}
