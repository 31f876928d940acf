import { InterestReader, type Interests, reasonFor, recencyAmounts } from '@recloom/item-models';
import { AlsFoldIn, type Kernels, kernelsOf } from '@recloom/kernels';
import {
  type CandidateBatch,
  type CandidateSource,
  type Compute,
  type CreateContext,
  type computeToken,
  type Explainer,
  type ExtractBatch,
  type FeatureBlock,
  type FeatureExtractor,
  type InputsSpec,
  type Inspectable,
  joinProposals,
  type Proposals,
  type Reason,
  type RequestBatch,
  type RequestProposals,
  type RequestView,
  readTensor,
  type Scorer,
  type Table,
} from '@recloom/plugin-api';
import { contributions } from './contributions.js';
import { objectiveOf } from './fit-ials.js';
import type { IalsOptions } from './options.js';

interface Needs {
  readonly [name: string]: typeof computeToken;
  readonly compute: typeof computeToken;
}
type IalsCreate = CreateContext<IalsOptions, Needs, InputsSpec> & { readonly deps: { readonly compute: Compute } };

/** Scores of a batch that are worked out together at most: 64 MB. */
const mostProducts = 16_777_216;
/** Items that `inspectItem` lists. */
const inspectedItems = 10;

/** Opens what `fitIals` left. @throws RECLOOM_KRN_OUT_OF_MEMORY, RECLOOM_DAT_STATE_TENSOR */
export function openIals(context: IalsCreate): Ials {
  const { state, options } = context;
  return new Ials(kernelsOf(context.deps.compute), options, context.items, {
    itemCount: readTensor(state, 'itemCount', Int32Array)[0] as number,
    modelRows: readTensor(state, 'modelRows', Int32Array),
    factors: readTensor(state, 'factors', Float32Array),
    spectrum: readTensor(state, 'spectrum', Float32Array),
  });
}

interface Learned {
  readonly itemCount: number;
  /** Item rows that have factors, ascending. */
  readonly modelRows: Int32Array;
  readonly factors: Float32Array;
  readonly spectrum: Float32Array;
}

/**
 * Source, scorer, explainer and item vectors of iALS. Each request is folded in: its history is a row of the matrix that is
 * solved as the fit solves rows. Synchronous, so that its scratch never serves two requests at once.
 */
export class Ials implements CandidateSource, Scorer, Explainer, Inspectable, FeatureExtractor {
  readonly width: number;
  readonly #options: IalsOptions;
  readonly #items: Table;
  readonly #modelRows: Int32Array;
  /** Place of an item row among the factors, -1 outside. */
  readonly #placeOf: Int32Array;
  readonly #foldIn: AlsFoldIn;
  readonly #open: Uint8Array;
  readonly #interests: InterestReader;
  readonly #kernels: Kernels;
  #disposed = false;

  /** Copies the factors into the kernels' memory; `dispose` frees them. @throws RECLOOM_KRN_OUT_OF_MEMORY */
  constructor(kernels: Kernels, options: IalsOptions, items: Table, { itemCount, modelRows, factors, spectrum }: Learned) {
    this.width = options.factors;
    this.#options = options;
    this.#items = items;
    this.#modelRows = modelRows;
    this.#placeOf = new Int32Array(itemCount).fill(-1);
    modelRows.forEach((row, place) => {
      this.#placeOf[row] = place;
    });
    this.#kernels = kernels;
    this.#foldIn = new AlsFoldIn(kernels, { factors, spectrum }, objectiveOf(options));
    this.#open = kernels.uint8(modelRows.length);
    this.#interests = new InterestReader(itemCount, {
      requestItems: options.requestItems,
      pairs: options.pairs,
      amounts: recencyAmounts({
        eventTypes: options.historyEventTypes,
        useWeights: options.useWeights,
        recencyDays: options.historyRecencyDays ?? options.recencyDays,
        recencyFloor: options.historyRecencyFloor ?? options.recencyFloor,
      }),
    });
  }

  propose(batch: RequestBatch, limit: number): Proposals {
    const { eligible } = batch;
    if (eligible === undefined) this.#open.fill(1);
    else
      for (let place = 0; place < this.#open.length; place++) this.#open[place] = eligible[this.#modelRows[place] as number] === 0 ? 0 : 1;
    batch.signal.throwIfAborted();
    const [first] = batch.requests;
    return batch.requests.length === 1 && first !== undefined
      ? joinProposals([this.#proposeOne(first, limit)], limit)
      : this.#proposeMany(batch.requests, limit);
  }

  score(batch: CandidateBatch, out: Float32Array, signal: AbortSignal): void {
    signal.throwIfAborted();
    const { requests, offsets, rows } = batch;
    const known = this.#modelRows.length;
    // Where most items of the catalogue are asked for, all of them are scored in one pass that reads the factors once.
    const products = requests.length * known;
    if (requests.length > 1 && 2 * batch.count >= products && products <= mostProducts) {
      const solved = this.#solveMany(requests);
      const { scores, free } = this.#foldIn.scoresOfMany();
      for (let index = 0; index < requests.length; index++) {
        const own = index * known;
        const end = offsets[index + 1] as number;
        for (let at = offsets[index] as number; at < end; at++) {
          const row = rows[at] as number;
          const place = row < this.#placeOf.length ? (this.#placeOf[row] as number) : -1;
          out[at] = solved[index] === 1 && place >= 0 ? (scores[own + place] as number) : 0;
        }
      }
      free();
      return;
    }
    requests.forEach((request, index) => {
      signal.throwIfAborted();
      const begin = offsets[index] as number;
      const end = offsets[index + 1] as number;
      out.fill(0, begin, end);
      if (this.#solve(request) === undefined) return;
      const places = new Int32Array(end - begin);
      const targets = new Int32Array(end - begin);
      let count = 0;
      for (let at = begin; at < end; at++) {
        const place = this.#placeOf[rows[at] as number] ?? -1;
        if (place < 0) continue;
        places[count] = place;
        targets[count++] = at;
      }
      const scores = this.#foldIn.scores(places.subarray(0, count));
      for (let known = 0; known < count; known++) out[targets[known] as number] = scores[known] as number;
    });
  }

  /**
   * The item of the history that adds most to each row's score (Hu et al. 2008, section 5: the score is a sum over the
   * history, each item's part the similarity in this person's eyes times its confidence); none where nothing adds to it.
   */
  reasons(request: RequestView, rows: Int32Array): readonly (Reason | undefined)[] {
    const solved = this.#solve(request);
    if (solved === undefined) return Array.from(rows, () => undefined);
    const { interests, places, values, sources } = solved;
    const known = Array.from(rows, (row) => this.#placeOf[row] ?? -1);
    const parts = contributions(this.#foldIn, this.#options.unobservedWeight, places, values, known);
    return known.map((place, index) => {
      const part = parts[index];
      if (place < 0 || part === undefined) return undefined;
      let best = -1;
      let total = 0;
      for (let at = 0; at < places.length; at++) {
        const value = part[at] as number;
        if (!(value > 0) || places[at] === place) continue;
        total += value;
        if (best < 0 || value > (part[best] as number)) best = at;
      }
      if (best < 0) return undefined;
      const source = sources[best] as number;
      return {
        ...reasonFor(request, interests.types[source] as number),
        items: [interests.rows[source] as number],
        strength: 0.5 + (0.4 * (part[best] as number)) / total,
      };
    });
  }

  inspectItem(row: number): Readonly<Record<string, unknown>> {
    const place = this.#placeOf[row] ?? -1;
    if (place < 0) return { learned: false };
    const own = this.#foldIn.factorOf(place);
    const similar = Array.from(this.#modelRows, (other, at) => ({ row: other, similarity: cosine(own, this.#foldIn.factorOf(at)) }))
      .filter((entry) => entry.row !== row)
      .sort((one, other) => other.similarity - one.similarity || one.row - other.row)
      .slice(0, inspectedItems);
    return {
      learned: true,
      length: Math.hypot(...own),
      similarItems: similar.map((entry) => ({ item: this.#items.idOf(entry.row), similarity: entry.similarity })),
    };
  }

  /** The items' factors; absent for items without. */
  extract(batch: ExtractBatch, out: FeatureBlock): void {
    batch.signal.throwIfAborted();
    for (let index = 0; index < batch.count; index++) {
      const place = this.#placeOf[batch.rows[index] as number] ?? -1;
      if (place < 0) continue;
      out.values.set(this.#foldIn.factorOf(place), index * this.width);
      out.presence[index] = 1;
    }
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#foldIn.dispose();
    this.#kernels.free(this.#open);
  }

  /** Folds the request in; undefined when it says nothing that the model knows. */
  #solve(
    request: RequestView,
  ):
    | { readonly interests: Interests; readonly places: Int32Array; readonly values: Float32Array; readonly sources: Int32Array }
    | undefined {
    const interests = this.#interests.read(request);
    const places = new Int32Array(interests.count);
    const values = new Float32Array(interests.count);
    const sources = new Int32Array(interests.count);
    let count = 0;
    for (let at = 0; at < interests.count; at++) {
      const place = this.#placeOf[interests.rows[at] as number] as number;
      if (place < 0) continue;
      places[count] = place;
      values[count] = this.#options.alpha * interests.largest * (interests.weights[at] as number);
      sources[count++] = at;
    }
    const solved = { interests, places: places.subarray(0, count), values: values.subarray(0, count), sources };
    return count > 0 && this.#foldIn.solve(solved.places, solved.values) ? solved : undefined;
  }

  /** Folds requests in together: one byte each, 0 where a request says nothing that the model knows. */
  #solveMany(requests: readonly RequestView[]): Uint8Array {
    const offsets = new Int32Array(requests.length + 1);
    let places = new Int32Array(16 * requests.length);
    let values = new Float32Array(places.length);
    let count = 0;
    for (let index = 0; index < requests.length; index++) {
      const { count: interests, rows, weights, largest } = this.#interests.read(requests[index] as RequestView);
      if (count + interests > places.length) {
        const [fewerPlaces, fewerValues] = [places, values];
        places = new Int32Array(2 * (count + interests));
        values = new Float32Array(places.length);
        places.set(fewerPlaces);
        values.set(fewerValues);
      }
      for (let at = 0; at < interests; at++) {
        const place = this.#placeOf[rows[at] as number] as number;
        if (place < 0) continue;
        places[count] = place;
        values[count++] = this.#options.alpha * largest * (weights[at] as number);
      }
      offsets[index + 1] = count;
    }
    const solved = this.#foldIn.solveMany(offsets, places.subarray(0, count), values.subarray(0, count));
    for (let index = 0; index < requests.length; index++) if (offsets[index] === offsets[index + 1]) solved[index] = 0;
    return solved;
  }

  /** What `#proposeOne` gives for each. */
  #proposeMany(requests: readonly RequestView[], limit: number): Proposals {
    const solved = this.#solveMany(requests);
    // What a request hides may be among its best, so as many more are asked for.
    const hidden = requests.map((request, index) => (solved[index] === 1 ? this.#openPlacesOf(request) : []));
    const most = this.#modelRows.length;
    const limits = Int32Array.from(hidden, (places, index) => (solved[index] === 1 ? Math.min(most, limit + places.length) : 0));
    const lists = this.#foldIn.bestOfMany(limits, this.#open);
    const offsets = new Int32Array(requests.length + 1);
    const room = lists.reduce((sum, list) => sum + Math.min(limit, list.rows.length), 0);
    const rows = new Int32Array(room);
    const scores = new Float32Array(room);
    let count = 0;
    for (const [index, list] of lists.entries()) {
      const closed = hidden[index] as readonly number[];
      for (const place of closed) this.#open[place] = 0;
      const end = count + limit;
      for (let at = 0; at < list.rows.length && count < end; at++) {
        const place = list.rows[at] as number;
        if (this.#open[place] === 0) continue;
        rows[count] = this.#modelRows[place] as number;
        scores[count++] = list.scores[at] as number;
      }
      for (const place of closed) this.#open[place] = 1;
      offsets[index + 1] = count;
    }
    return count === room ? { offsets, rows, scores } : { offsets, rows: rows.slice(0, count), scores: scores.slice(0, count) };
  }

  #proposeOne(request: RequestView, limit: number): RequestProposals | undefined {
    if (this.#solve(request) === undefined) return undefined;
    const closed = this.#openPlacesOf(request);
    for (const place of closed) this.#open[place] = 0;
    const { rows, scores } = this.#foldIn.best(limit, this.#open);
    for (const place of closed) this.#open[place] = 1;
    // Not wanted more than by chance: no proposal. Such items can only stand at the end.
    let count = rows.length;
    while (count > 0 && !((scores[count - 1] as number) > 0)) count--;
    return { rows: rows.subarray(0, count).map((place) => this.#modelRows[place] as number), scores: scores.subarray(0, count) };
  }

  /** Places that are open but hidden from this request, each once. */
  #openPlacesOf(request: RequestView): readonly number[] {
    const places: number[] = [];
    const close = (row: number): void => {
      const place = this.#placeOf[row] ?? -1;
      if (place < 0 || this.#open[place] === 0) return;
      this.#open[place] = 0;
      places.push(place);
    };
    for (const row of request.items) close(row);
    if (this.#options.excludeHistory) {
      const { items, length } = request.history;
      for (let event = 0; event < length; event++) close(items[event] as number);
    }
    for (const place of places) this.#open[place] = 1;
    return places;
  }
}

function cosine(one: Float32Array, other: Float32Array): number {
  let product = 0;
  let squares = 0;
  let otherSquares = 0;
  for (let index = 0; index < one.length; index++) {
    const left = one[index] as number;
    const right = other[index] as number;
    product += left * right;
    squares += left * left;
    otherSquares += right * right;
  }
  return squares > 0 && otherSquares > 0 ? product / Math.sqrt(squares * otherSquares) : 0;
}
