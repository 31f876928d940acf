import { InterestReader, type Interests, reasonFor, typeMask, unknownEventType } from '@recloom/item-models';
import { HistoryNetwork, type Kernels, kernelsOf, type SparseMatrix, sparseMatrixFromEntries } from '@recloom/kernels';
import {
  type CandidateBatch,
  type CandidateSource,
  type Column,
  type ComponentState,
  type Compute,
  type CreateContext,
  type Explainer,
  type FieldInput,
  type FitContext,
  type HistoryView,
  type InputsSpec,
  type Inspectable,
  joinProposals,
  type NeedsSpec,
  type Proposals,
  type Reason,
  type RequestBatch,
  type RequestProposals,
  type RequestView,
  readTensor,
  type Scorer,
  type Table,
  tensor,
} from '@recloom/plugin-api';
import type { NetworkOptions } from './options.js';
import { readSequences, type Sequences } from './sequences.js';

interface NetworkContext {
  readonly options: NetworkOptions;
  readonly deps: { readonly compute: Compute };
  readonly inputs: { readonly attributes: readonly FieldInput[] | undefined };
}
type NetworkFit = NetworkContext & Omit<FitContext<NetworkOptions, NeedsSpec, InputsSpec>, keyof NetworkContext>;
type NetworkCreate = NetworkContext & Omit<CreateContext<NetworkOptions, NeedsSpec, InputsSpec>, keyof NetworkContext>;

/** Added to a score of 0 per event of the item, so that people of whom nothing is known see what is popular first. */
const popularityTieBreak = 1e-9;
/** Fewest examples of a step, and steps of an epoch that a small shop gets by smaller steps. */
const leastBatch = 32;
const wantedSteps = 64;

/**
 * Learns vectors of items and a filter over the ages of events, so that the filtered sum of a history's vectors points to the
 * vector of what came next (`HistoryNetwork` of the kernels: tied cosine space, softmax loss over shared negatives). With
 * `validationUsers`, the last event of some people is held out, and the epoch that foretells it best is kept.
 *
 * @throws what the signal was aborted with; RECLOOM_KRN_OUT_OF_MEMORY.
 */
export async function fitNetwork(context: NetworkFit): Promise<ComponentState> {
  const { history, options, signal, random } = context;
  const counted = typeMask(history.typeNames, options.eventTypes, (name) =>
    context.warn(unknownEventType('SEQUENCE_EVENT_TYPE_UNKNOWN', name, history.typeNames)),
  );
  const sequences = readSequences(history, { recencyFloor: 0, useWeights: false }, counted, context.asOfMs, signal);
  const itemEvents = new Float32Array(history.itemCount);
  for (let place = 0; place < sequences.length; place++) {
    const item = sequences.items[place] as number;
    itemEvents[item] = (itemEvents[item] as number) + 1;
  }
  const held = heldOut(sequences, options.validationUsers, random);
  const examples = examplesOf(sequences, new Set(held.map(({ place }) => place)));
  const attributes = attributesOf(context.inputs.attributes, history.itemCount);
  if (examples.places.length === 0) {
    if (sequences.length > 0) context.warn(nothingFollows);
    return stateOf(new Float32Array(history.itemCount * options.width), new Float32Array(options.positions * options.width), 1, itemEvents);
  }
  const kernels = kernelsOf(context.deps.compute);
  const network = new HistoryNetwork(kernels, {
    itemCount: history.itemCount,
    width: options.width,
    positions: options.positions,
    attributes,
    negatives: options.negatives,
    pool: Int32Array.from(itemEvents.keys()).filter((row) => (itemEvents[row] as number) > 0),
    batchSize: Math.min(options.batchSize, Math.max(leastBatch, Math.ceil(examples.places.length / wantedSteps))),
    learningRate: options.learningRate,
    eventDropout: options.eventDropout,
    dropout: options.dropout,
    attributeShare: options.attributeShare,
    initialDecay: options.initialDecay,
    initialScale: options.initialScale,
    random,
  });
  try {
    let best: { readonly quality: number; readonly epoch: number; readonly weights: ReturnType<HistoryNetwork['save']> } | undefined;
    for (let epoch = 0; epoch < options.epochs; epoch++) {
      const done = epoch / options.epochs;
      const loss = await network.epoch(examples, {
        compute: context.deps.compute,
        signal,
        onStep: (share) => context.progress(done + share / options.epochs, 'learning'),
      });
      const note = `epoch ${epoch + 1}: loss ${loss.toFixed(3)}`;
      if (held.length === 0) {
        context.progress(done + 1 / options.epochs, note);
        continue;
      }
      const quality = await foretold(kernels, network, sequences, held, options, itemEvents, signal);
      context.progress(done + 1 / options.epochs, `${note}, NDCG@10 of ${held.length} people's last events ${quality.toFixed(4)}`);
      if (best === undefined || quality > best.quality) best = { quality, epoch, weights: network.save() };
      else if (epoch - best.epoch >= options.patience) break;
    }
    if (best !== undefined) network.restore(best.weights);
    return stateOf(network.vectors(), network.filter, network.scale, itemEvents);
  } finally {
    network.dispose();
  }
}

const nothingFollows = {
  code: 'SEQUENCE_NOTHING_FOLLOWS',
  message: 'Nobody has two different items one after the other, so the network learned nothing.',
};

function stateOf(vectors: Float32Array, filter: Float32Array, scale: number, itemEvents: Float32Array): ComponentState {
  return {
    vectors: tensor(vectors),
    filter: tensor(filter),
    scale: tensor(Float32Array.of(scale)),
    itemEvents: tensor(itemEvents),
  };
}

/** A last event that is kept from the fit: its place, and the place of the person's first event. */
interface HeldOut {
  readonly place: number;
  readonly first: number;
}

/** The last events of at most `count` people, and of at most one in ten, who have two events before it. */
function heldOut({ length, visits }: Sequences, count: number, random: { integer(bound: number): number }): readonly HeldOut[] {
  if (count === 0) return [];
  const people: HeldOut[] = [];
  let first = 0;
  for (let place = 1; place <= length; place++) {
    if (place < length && visits[place] === visits[first]) continue;
    if (place - first >= 3) people.push({ place: place - 1, first });
    first = place;
  }
  const kept = Math.min(count, Math.floor(people.length / 10));
  for (let index = 0; index < kept; index++) {
    const other = index + random.integer(people.length - index);
    [people[index], people[other]] = [people[other] as HeldOut, people[index] as HeldOut];
  }
  return people.slice(0, kept);
}

/** Every event that follows another of the same person, but for those left out. */
function examplesOf({ length, items, visits }: Sequences, without: ReadonlySet<number>) {
  const places: number[] = [];
  const lengths: number[] = [];
  let first = 0;
  for (let place = 1; place < length; place++) {
    if (visits[place] !== visits[first]) first = place;
    else if (!without.has(place)) {
      places.push(place);
      lengths.push(place - first);
    }
  }
  return { items: items.subarray(0, length), places: Int32Array.from(places), lengths: Int32Array.from(lengths) };
}

/** Items x values of all fields, a value counting by its rarity log(items / items that have it), each item's to length 1; undefined without values. */
function attributesOf(fields: readonly FieldInput[] | undefined, itemCount: number): SparseMatrix | undefined {
  const rows: number[] = [];
  const columns: number[] = [];
  let width = 0;
  for (const field of fields ?? []) {
    const column: Column | undefined = field.column();
    if (column?.type !== 'category' && column?.type !== 'list') continue;
    for (let row = 0; row < itemCount; row++) {
      const codes =
        column.type === 'category'
          ? column.codes.subarray(row, row + 1)
          : column.codes.subarray(column.offsets[row], column.offsets[row + 1]);
      for (const code of new Set(codes)) {
        if (code < 0) continue;
        rows.push(row);
        columns.push(width + code);
      }
    }
    width += column.categories.length;
  }
  if (rows.length === 0) return undefined;
  const items = new Float64Array(width);
  for (const column of columns) items[column] = (items[column] as number) + 1;
  // A value that all items have says next to nothing, but an item that has no other keeps a direction.
  const rarity = items.map((count) => Math.log(itemCount / count) + 0.01);
  const squares = new Float64Array(itemCount);
  rows.forEach((row, entry) => {
    squares[row] = (squares[row] as number) + (rarity[columns[entry] as number] as number) ** 2;
  });
  const weights = Float32Array.from(rows, (row, entry) => (rarity[columns[entry] as number] as number) / Math.sqrt(squares[row] as number));
  return sparseMatrixFromEntries(itemCount, width, Int32Array.from(rows), Int32Array.from(columns), weights);
}

/** Mean NDCG@10 of the held-out events among all items with events that the person did not have before. */
async function foretold(
  kernels: Kernels,
  network: HistoryNetwork,
  { items }: Sequences,
  held: readonly HeldOut[],
  { width, positions }: NetworkOptions,
  itemEvents: Float32Array,
  signal: AbortSignal,
): Promise<number> {
  const vectors = kernels.keepFloat32(network.vectors());
  const { filter } = network;
  const scores = kernels.float32(itemEvents.length);
  try {
    let sum = 0;
    for (const [index, { place, first }] of held.entries()) {
      if (index % 16 === 0) {
        await new Promise((resolve) => setImmediate(resolve));
        signal.throwIfAborted();
      }
      const newest = items
        .subarray(Math.max(first, place - positions), place)
        .slice()
        .reverse();
      kernels.multiplyRows(vectors, width, hiddenOf(vectors, filter, width, newest), scores);
      for (let before = first; before < place; before++) scores[items[before] as number] = Number.NEGATIVE_INFINITY;
      const target = items[place] as number;
      const score = scores[target] as number;
      if (score === Number.NEGATIVE_INFINITY) continue;
      let rank = 0;
      for (let row = 0; row < scores.length && rank < 10; row++) {
        if ((itemEvents[row] as number) > 0 && ((scores[row] as number) > score || (scores[row] === score && row < target))) rank++;
      }
      if (rank < 10) sum += 1 / Math.log2(rank + 2);
    }
    return sum / held.length;
  } finally {
    kernels.free(vectors);
    kernels.free(scores);
  }
}

/** The vector of length 1 of a history, newest item first; zero when nothing is known of any item. */
function hiddenOf(vectors: Float32Array, filter: Float32Array, width: number, newest: Int32Array): Float32Array {
  const hidden = new Float32Array(width);
  newest.forEach((row, age) => {
    for (let column = 0; column < width; column++) {
      hidden[column] = (hidden[column] as number) + (filter[age * width + column] as number) * (vectors[row * width + column] as number);
    }
  });
  let squares = 0;
  for (const value of hidden) squares += value * value;
  const length = Math.sqrt(squares);
  return length > 1e-12 ? hidden.map((value) => value / length) : hidden.fill(0);
}

/** Opens what `fitNetwork` left. */
export function openNetwork(context: NetworkCreate): NetworkRanker {
  const { state, options } = context;
  const itemEvents = readTensor(state, 'itemEvents', Float32Array);
  return new NetworkRanker(kernelsOf(context.deps.compute), {
    vectors: readTensor(state, 'vectors', Float32Array),
    filter: readTensor(state, 'filter', Float32Array),
    scale: readTensor(state, 'scale', Float32Array)[0] as number,
    itemEvents,
    width: options.width,
    positions: options.positions,
    excludeHistory: options.excludeHistory,
    items: context.items,
    interests: new InterestReader(itemEvents.length, {
      requestItems: options.requestItems,
      pairs: 'strongest',
      amounts: (history) => countedAmounts(history, options),
    }),
  });
}

/** 1 for each event that counts: only the order matters. */
function countedAmounts(history: HistoryView, options: NetworkOptions): Float64Array {
  const counted = typeMask(history.typeNames, options.historyEventTypes);
  const amounts = new Float64Array(history.length);
  for (let event = 0; event < history.length; event++) {
    if (counted === undefined || counted[history.types[event] as number] !== 0) amounts[event] = 1;
  }
  return amounts;
}

interface Trained {
  readonly vectors: Float32Array;
  readonly filter: Float32Array;
  readonly scale: number;
  readonly itemEvents: Float32Array;
  readonly width: number;
  readonly positions: number;
  readonly excludeHistory: boolean;
  readonly items: Table;
  readonly interests: InterestReader;
}

/** Serves the network: score = scale × cosine of the history's vector and the item's. Its memory is freed by `dispose`. */
export class NetworkRanker implements CandidateSource, Scorer, Explainer, Inspectable {
  readonly #kernels: Kernels;
  readonly #trained: Trained;
  readonly #vectors: Float32Array;
  /** 1 = has a vector. */
  readonly #known: Uint8Array;
  #disposed = false;

  constructor(kernels: Kernels, trained: Trained) {
    const { vectors, itemEvents, width } = trained;
    this.#kernels = kernels;
    this.#trained = trained;
    this.#vectors = kernels.keepFloat32(vectors);
    this.#known = Uint8Array.from(itemEvents, (_, row) =>
      vectors.subarray(row * width, (row + 1) * width).some((value) => value !== 0) ? 1 : 0,
    );
  }

  propose(batch: RequestBatch, limit: number): Proposals {
    const { eligible, requests, signal } = batch;
    signal.throwIfAborted();
    const open = eligible === undefined ? this.#known : this.#known.map((known, row) => (eligible[row] === 0 ? 0 : known));
    const hidden = requests.map((request) => this.#hidden(request));
    const lists: (RequestProposals | undefined)[] = requests.map(() => undefined);
    const asked: number[] = [];
    const queries: Float32Array[] = [];
    requests.forEach((request, index) => {
      const query = this.#query(this.#trained.interests.read(request));
      if (query === undefined) return;
      asked.push(index);
      queries.push(query);
    });
    const most = Math.max(0, ...asked.map((index) => (hidden[index] as ReadonlySet<number>).size));
    const { width, scale } = this.#trained;
    const joined = new Float32Array(queries.length * width);
    queries.forEach((query, index) => joined.set(query, index * width));
    const wanted = Math.min(limit + most, this.#known.length);
    this.#kernels.scanTopKMany(this.#vectors, width, joined, wanted, open).forEach(({ rows, scores }, index) => {
      const hides = hidden[asked[index] as number] as ReadonlySet<number>;
      const kept = rows.map((_, place) => place).filter((place) => !hides.has(rows[place] as number));
      lists[asked[index] as number] = {
        rows: kept.map((place) => rows[place] as number),
        scores: Float32Array.from(kept, (place) => scale * (scores[place] as number)),
      };
    });
    return joinProposals(lists, limit);
  }

  score(batch: CandidateBatch, out: Float32Array, signal: AbortSignal): void {
    const { width, scale, itemEvents, interests } = this.#trained;
    batch.requests.forEach((request, index) => {
      signal.throwIfAborted();
      const begin = batch.offsets[index] as number;
      const end = batch.offsets[index + 1] as number;
      const query = this.#query(interests.read(request));
      if (query === undefined) {
        for (let place = begin; place < end; place++) out[place] = popularityTieBreak * (itemEvents[batch.rows[place] as number] ?? 0);
        return;
      }
      const rows = batch.rows.slice(begin, end);
      const cosines = this.#kernels.gatherDot(
        this.#vectors,
        width,
        rows.map((row) => (this.#known[row] === 1 ? row : 0)),
        query,
      );
      // An item without a vector never followed anything: it comes last.
      for (let place = begin; place < end; place++) {
        out[place] = this.#known[batch.rows[place] as number] === 1 ? scale * (cosines[place - begin] as number) : -scale;
      }
    });
  }

  /** The item of the history whose part of the dot product is largest; none where all parts point away. */
  reasons(request: RequestView, rows: Int32Array): readonly (Reason | undefined)[] {
    const { interests, positions } = this.#trained;
    const read = interests.read(request);
    const count = Math.min(positions, read.count);
    return Array.from(rows, (row) => {
      if (this.#known[row] !== 1) return undefined;
      let best = -1;
      let most = 0;
      let total = 0;
      for (let age = 0; age < count; age++) {
        const from = read.rows[age] as number;
        const part = this.#part(from, row, age);
        if (!(part > 0) || from === row) continue;
        total += part;
        if (part > most) {
          most = part;
          best = age;
        }
      }
      if (best < 0) return undefined;
      const wording = reasonFor(request, read.types[best] as number);
      return { ...wording, items: [read.rows[best] as number], strength: 0.5 + (0.4 * most) / total };
    });
  }

  /** What leads to the item when it is the last event, and how strongly in [-1, 1]. */
  inspectItem(row: number): Readonly<Record<string, unknown>> {
    if (this.#known[row] !== 1) return { recommendedAfter: [] };
    const { itemEvents, width, vectors, filter, items } = this.#trained;
    const found: { readonly row: number; readonly cosine: number }[] = [];
    for (let from = 0; from < itemEvents.length; from++) {
      if (from === row || this.#known[from] !== 1) continue;
      const hidden = hiddenOf(vectors, filter, width, Int32Array.of(from));
      found.push({ row: from, cosine: this.#kernels.dot(hidden, vectors.subarray(row * width, (row + 1) * width)) });
    }
    found.sort((one, other) => other.cosine - one.cosine || one.row - other.row);
    return { recommendedAfter: found.slice(0, 10).map((entry) => ({ item: items.idOf(entry.row), cosine: entry.cosine })) };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#kernels.free(this.#vectors);
  }

  /** Undefined when nothing is known of the history. */
  #query(interests: Interests): Float32Array | undefined {
    const { width, filter, positions } = this.#trained;
    const newest = interests.rows.subarray(0, Math.min(positions, interests.count));
    const hidden = hiddenOf(this.#vectors, filter, width, newest);
    return hidden.some((value) => value !== 0) ? hidden : undefined;
  }

  #part(from: number, to: number, age: number): number {
    const { width, filter } = this.#trained;
    let sum = 0;
    for (let column = 0; column < width; column++) {
      const weight = filter[age * width + column] as number;
      sum += weight * (this.#vectors[from * width + column] as number) * (this.#vectors[to * width + column] as number);
    }
    return sum;
  }

  /** Rows this request is never proposed: the items it names, and its history when told. */
  #hidden(request: RequestView): ReadonlySet<number> {
    return new Set(
      this.#trained.excludeHistory ? [...request.items, ...request.history.items.subarray(0, request.history.length)] : request.items,
    );
  }
}
