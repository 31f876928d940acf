import { recencyWeight } from '@recloom/item-models';
import type { SparseMatrix } from '@recloom/kernels';
import type { HistoryStore } from '@recloom/plugin-api';
import { Pacer } from './pacer.js';

const dayMs = 86_400_000;

/** Where the earlier cuts lie and what is taken from before and after them. */
export interface WindowRule {
  /** Number of earlier cuts, the newest `horizonDays` before `asOfMs`, each `stepDays` before the one after it. */
  readonly cuts: number;
  readonly stepDays: number;
  readonly horizonDays: number;
  /** Days after which a cut counts 1/e of the newest; undefined = all alike. */
  readonly cutRecencyDays: number | undefined;
  /** A person counts n^-userWeight, n being the sum of the weights before the cut, at least 1. */
  readonly userWeight: number;
  readonly useWeights: boolean;
  readonly pairs: 'strongest' | 'sum';
  readonly recencyDays: number | undefined;
  readonly recencyFloor: number;
  readonly minimumUserItems: number;
  readonly maximumUserItems: number;
}

/** One sample per person and cut with something before the cut and something new in the window after it. Arrays are the caller's. */
export interface WindowSamples {
  /** Samples × items: the history before the cut, weighted by its age at the cut. */
  readonly before: SparseMatrix;
  /** Samples × items: 1 for each new item of the window, minus `before`, times the sample's weight. */
  readonly change: SparseMatrix;
  /** Weight of each sample. */
  readonly weights: Float32Array;
  /** Cuts without any sample. */
  readonly emptyCuts: number;
}

/** The events and windows that samples are drawn from. */
export interface WindowScope {
  readonly asOfMs: number;
  /** One byte per type code, 1 = counts before a cut; undefined = all do. */
  readonly counted: Uint8Array | undefined;
  /** The same for what is to be foretold. An item with such an event before the cut is not new. */
  readonly targets: Uint8Array | undefined;
  /** Place of an item row in the matrices, -1 for items left out. */
  readonly placeOf: Int32Array;
  readonly size: number;
}

/** Walks every cut; a person's events are in ascending time. @throws the signal's reason */
export async function windowSamples(
  history: HistoryStore,
  rule: WindowRule,
  scope: WindowScope,
  signal: AbortSignal,
): Promise<WindowSamples> {
  const { userCount, offsets } = history;
  const sampler = new Sampler(history, rule, scope);
  const pacer = new Pacer(signal);
  let emptyCuts = 0;
  for (let cut = 0; cut < rule.cuts; cut++) {
    const end = scope.asOfMs - cut * rule.stepDays * dayMs;
    const cutWeight = rule.cutRecencyDays === undefined ? 1 : Math.exp((-cut * rule.stepDays) / rule.cutRecencyDays);
    const before = sampler.count;
    // A weight that rounds to 0 in float32 says nothing and would only cost.
    if (Math.fround(cutWeight) > 0) {
      for (let user = 0; user < userCount; user++) {
        if ((user & 0xff) === 0 && pacer.due()) await pacer.rest();
        sampler.take(offsets[user] as number, offsets[user + 1] as number, end - rule.horizonDays * dayMs, end, cutWeight);
      }
    }
    if (sampler.count === before) emptyCuts++;
  }
  return { ...sampler.finish(), emptyCuts };
}

class Sampler {
  readonly #history: HistoryStore;
  readonly #rule: WindowRule;
  readonly #scope: WindowScope;
  readonly #before: Rows;
  readonly #change: Rows;
  #weights = new Float32Array(1024);
  /** Weight before the cut of every place; 0 outside a sample. */
  readonly #amounts: Float64Array;
  /** 1 = in the person's list of places, 2 = bought before the cut, 4 = bought after it. */
  readonly #marks: Uint8Array;
  readonly #places: Int32Array;

  constructor(history: HistoryStore, rule: WindowRule, scope: WindowScope) {
    this.#history = history;
    this.#rule = rule;
    this.#scope = scope;
    this.#before = new Rows(scope.size);
    this.#change = new Rows(scope.size);
    this.#amounts = new Float64Array(scope.size);
    this.#marks = new Uint8Array(scope.size);
    this.#places = new Int32Array(scope.size);
  }

  get count(): number {
    return this.#before.count;
  }

  take(first: number, last: number, cutMs: number, endMs: number, cutWeight: number): void {
    const { timesMs } = this.#history;
    // Most people did nothing in a window: the newest event tells it without a search.
    if (first === last || !((timesMs[last - 1] as number) > cutMs) || (timesMs[first] as number) > cutMs) return;
    const split = firstAfter(timesMs, first, last, cutMs);
    const end = firstAfter(timesMs, split, last, endMs);
    if (split === end) return;
    const count = this.#collect(first, split, end, cutMs);
    this.#write(count, cutWeight);
    for (let at = 0; at < count; at++) {
      const place = this.#places[at] as number;
      this.#amounts[place] = 0;
      this.#marks[place] = 0;
    }
  }

  /** Marks and weighs the items of both sides of the cut; returns how many places it listed. */
  #collect(first: number, split: number, end: number, cutMs: number): number {
    const { items, types, weights, timesMs } = this.#history;
    const { counted, targets, placeOf } = this.#scope;
    const { recencyDays, recencyFloor, useWeights, pairs, maximumUserItems } = this.#rule;
    let listed = 0;
    let held = 0;
    const mark = (place: number, bits: number): void => {
      if (this.#marks[place] === 0) this.#places[listed++] = place;
      this.#marks[place] = (this.#marks[place] as number) | bits;
    };
    // Newest first: a person with too many items keeps the newest.
    for (let event = split - 1; event >= first; event--) {
      const place = placeOf[items[event] as number] as number;
      if (place < 0) continue;
      const type = types[event] as number;
      if (targets === undefined || targets[type] === 1) mark(place, 3);
      if (counted !== undefined && counted[type] === 0) continue;
      let amount = recencyWeight(cutMs - (timesMs[event] as number), recencyDays, recencyFloor);
      if (useWeights) amount *= weights[event] as number;
      if (!(Math.fround(amount) > 0) || amount > 3e38) continue;
      const earlier = this.#amounts[place] as number;
      if (earlier === 0) {
        if (held >= maximumUserItems) continue;
        held++;
        mark(place, 1);
        this.#amounts[place] = amount;
      } else this.#amounts[place] = pairs === 'sum' ? earlier + amount : Math.max(earlier, amount);
    }
    for (let event = split; event < end; event++) {
      const place = placeOf[items[event] as number] as number;
      if (place >= 0 && (targets === undefined || targets[types[event] as number] === 1)) mark(place, 5);
    }
    return listed;
  }

  #write(count: number, cutWeight: number): void {
    const places = this.#places.subarray(0, count).sort();
    let held = 0;
    let sum = 0;
    let fresh = 0;
    for (const place of places) {
      if ((this.#amounts[place] as number) > 0) held++;
      sum += this.#amounts[place] as number;
      if (((this.#marks[place] as number) & 6) === 4) fresh++;
    }
    if (fresh === 0 || held === 0 || held < this.#rule.minimumUserItems) return;
    const weight = cutWeight * Math.max(1, sum) ** -this.#rule.userWeight;
    for (const place of places) {
      const amount = this.#amounts[place] as number;
      const target = ((this.#marks[place] as number) & 6) === 4 ? 1 : 0;
      if (amount > 0) this.#before.add(place, amount);
      if (target !== amount) this.#change.add(place, weight * (target - amount));
    }
    this.#before.endRow();
    this.#change.endRow();
    if (this.#weights.length < this.count) this.#weights = grownFloat32(this.#weights);
    this.#weights[this.count - 1] = weight;
  }

  finish(): Omit<WindowSamples, 'emptyCuts'> {
    return { before: this.#before.finish(), change: this.#change.finish(), weights: this.#weights.slice(0, this.count) };
  }
}

/** First event of [first, last) later than `timeMs`. */
function firstAfter(timesMs: Float64Array, first: number, last: number, timeMs: number): number {
  let low = first;
  let high = last;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((timesMs[middle] as number) > timeMs) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** A sparse matrix that grows row by row. */
class Rows {
  readonly #columnCount: number;
  #offsets = new Int32Array(1024);
  #columns = new Int32Array(4096);
  #values = new Float32Array(4096);
  #length = 0;
  count = 0;

  constructor(columnCount: number) {
    this.#columnCount = columnCount;
  }

  add(column: number, value: number): void {
    if (this.#length === this.#columns.length) {
      this.#columns = grownInt32(this.#columns);
      this.#values = grownFloat32(this.#values);
    }
    this.#columns[this.#length] = column;
    this.#values[this.#length++] = value;
  }

  endRow(): void {
    if (++this.count === this.#offsets.length) this.#offsets = grownInt32(this.#offsets);
    this.#offsets[this.count] = this.#length;
  }

  finish(): SparseMatrix {
    return {
      rowCount: this.count,
      columnCount: this.#columnCount,
      rowOffsets: this.#offsets.slice(0, this.count + 1),
      columnIndices: this.#columns.slice(0, this.#length),
      values: this.#values.slice(0, this.#length),
    };
  }
}

function grownInt32(array: Int32Array): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(array.length * 2);
  grown.set(array);
  return grown;
}

function grownFloat32(array: Float32Array): Float32Array<ArrayBuffer> {
  const grown = new Float32Array(array.length * 2);
  grown.set(array);
  return grown;
}
