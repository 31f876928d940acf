import {
  type CandidateSource,
  type Explainer,
  type FeatureMatrix,
  type Inspectable,
  joinProposals,
  type Proposals,
  type RankedList,
  type Ranker,
  type Reason,
  type RequestBatch,
  type RequestProposals,
  type RequestView,
  type Table,
} from '@recloom/plugin-api';
import { roundingSlack } from './find-groups.js';
import type { NearDuplicatesOptions } from './options.js';
import { bestOf } from './vector-space.js';

/** Numbers compared with one vector between two turns of the event loop: about half a millisecond of work. */
const numbersPerTurn = 1 << 18;

/** A direction to compare with, and the item row it comes from, -1 for a search. */
interface Direction {
  readonly row: number;
  /** Of length 1. */
  readonly vector: Float32Array;
}

/**
 * Serves the groups that `findGroups` left behind. Whether two items are near duplicates is always settled by the cosine
 * of their vectors as they are now; the groups say which pairs are worth looking at. Items added or changed since the
 * build are in no group and are compared with everything.
 */
export class NearDuplicates implements CandidateSource, Ranker, Explainer, Inspectable {
  readonly #options: NearDuplicatesOptions;
  readonly #feature: FeatureMatrix;
  readonly #items: Table;
  readonly #groups: Int32Array;
  /** Rows of each group by its smallest row, ascending. */
  readonly #members = new Map<number, number[]>();
  readonly #openedAt: number;
  #seenVersion: number;
  /** Rows that are new or have another vector than at the build. */
  #changed: ReadonlySet<number> = new Set();

  constructor(options: NearDuplicatesOptions, feature: FeatureMatrix, items: Table, groups: Int32Array) {
    this.#options = options;
    this.#feature = feature;
    this.#items = items;
    this.#groups = groups;
    groups.forEach((group, row) => {
      if (group < 0) return;
      const members = this.#members.get(group);
      if (members === undefined) this.#members.set(group, [row]);
      else members.push(row);
    });
    this.#openedAt = feature.version;
    this.#seenVersion = feature.version;
    this.#takeRowsBeyond();
  }

  async propose(batch: RequestBatch, limit: number): Promise<Proposals> {
    batch.signal.throwIfAborted();
    this.#synchronise();
    const lists: RequestProposals[] = [];
    for (const request of batch.requests) lists.push(await this.#proposeOne(request, batch, limit));
    return joinProposals(lists, limit);
  }

  rank(list: RankedList, signal: AbortSignal): Int32Array {
    signal.throwIfAborted();
    this.#synchronise();
    const kept: number[] = [];
    const repeated: number[] = [];
    /** Vectors of those kept, by group; -1: changed items. */
    const keptOf = new Map<number, Float32Array[]>();
    const all: Float32Array[] = [];
    const hasChanged = list.rows.some((row) => this.#changed.has(row));
    for (let place = 0; place < list.count; place++) {
      const row = list.rows[place] as number;
      const changed = this.#changed.has(row);
      const group = changed ? -1 : (this.#groups[row] ?? -1);
      const vector = group < 0 && !hasChanged ? undefined : this.#unitOf(row);
      if (vector === undefined) {
        kept.push(place);
        continue;
      }
      // A changed item may be like any of those above it; the others only like the changed ones and those of their group.
      const above = changed ? [all] : [keptOf.get(group) ?? [], keptOf.get(-1) ?? []];
      if (above.some((others) => others.some((other) => this.#isNear(vector, other)))) {
        repeated.push(place);
        continue;
      }
      kept.push(place);
      all.push(vector);
      if (!changed && group < 0) continue;
      const same = keptOf.get(group);
      if (same === undefined) keptOf.set(group, [vector]);
      else same.push(vector);
    }
    return Int32Array.from(this.#options.duplicates === 'last' ? [...kept, ...repeated] : kept);
  }

  reasons(request: RequestView, rows: Int32Array): readonly (Reason | undefined)[] {
    const directions = this.#directionsOf(request);
    return Array.from(rows, (row) => {
      const vector = this.#unitOf(row);
      if (vector === undefined) return undefined;
      let best: { readonly row: number; readonly similarity: number } | undefined;
      for (const direction of directions) {
        const similarity = dot(direction.vector, vector);
        if (direction.row !== row && similarity > (best?.similarity ?? -1)) best = { row: direction.row, similarity };
      }
      if (best === undefined || best.similarity < this.#options.threshold - roundingSlack) return undefined;
      const strength = Math.min(1, best.similarity);
      return best.row < 0
        ? { code: 'near-duplicate-of-query', text: 'Nearly the same as what you searched for', strength }
        : { code: 'near-duplicate-of-item', text: 'Nearly the same as {item}', items: [best.row], strength };
    });
  }

  /** The near duplicates of an item, nearest first, and how large the group is that pairs connect. */
  inspectItem(row: number): Readonly<Record<string, unknown>> {
    this.#synchronise();
    const vector = this.#unitOf(row);
    if (vector === undefined) return { present: false, groupSize: 0, nearDuplicates: [] };
    const group = this.#changed.has(row) ? -1 : (this.#groups[row] ?? -1);
    const others = new Set([...(this.#members.get(group) ?? []), ...this.#changed]);
    others.delete(row);
    const found = this.#reaching({ row, vector }, Int32Array.from(others));
    const { rows, scores } = bestOf(Int32Array.from(found.rows), Float32Array.from(found.scores), 20);
    return {
      present: true,
      groupSize: this.#members.get(group)?.length ?? 0,
      nearDuplicates: Array.from(rows, (other, place) => ({ item: this.#items.idOf(other), similarity: scores[place] })),
    };
  }

  async #proposeOne(request: RequestView, { eligible, signal }: RequestBatch, limit: number): Promise<RequestProposals> {
    const best = new Map<number, number>();
    const asked = new Set(request.items);
    for (const direction of this.#directionsOf(request)) {
      const known = direction.row >= 0 && !this.#changed.has(direction.row);
      const rows = known
        ? Int32Array.from(new Set([...(this.#members.get(this.#groups[direction.row] ?? -1) ?? []), ...this.#changed]))
        : undefined;
      const found = await this.#scan(direction, rows, signal);
      found.rows.forEach((row, place) => {
        if (asked.has(row) || (eligible !== undefined && eligible[row] !== 1)) return;
        best.set(row, Math.max(best.get(row) ?? -1, found.scores[place] as number));
      });
    }
    return bestOf(Int32Array.from(best.keys()), Float32Array.from(best.values()), limit);
  }

  /** The items of the request; without any that is known, its words or picture. */
  #directionsOf(request: RequestView): readonly Direction[] {
    if (request.items.length > 0) {
      return [...new Set(request.items)].flatMap((row) => {
        const vector = this.#unitOf(row);
        return vector === undefined ? [] : [{ row, vector }];
      });
    }
    const query = request.queryVector(this.#feature.name);
    const vector = query === undefined || query.length !== this.#feature.width ? undefined : unit(query, 0, query.length);
    return vector === undefined ? [] : [{ row: -1, vector }];
  }

  /** Compares one direction with some rows, or with the whole catalogue, in turns. */
  async #scan(
    direction: Direction,
    rows: Int32Array | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly rows: number[]; readonly scores: number[] }> {
    const all = { rows: [] as number[], scores: [] as number[] };
    const perTurn = Math.max(1, Math.floor(numbersPerTurn / this.#feature.width));
    const count = rows?.length ?? this.#feature.rowCount;
    for (let start = 0; start < count; start += perTurn) {
      if (start > 0) await new Promise((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
      const end = Math.min(count, start + perTurn);
      const some = rows?.subarray(start, end) ?? Int32Array.from({ length: end - start }, (_, index) => start + index);
      const found = this.#reaching(direction, some);
      all.rows.push(...found.rows);
      all.scores.push(...found.scores);
    }
    return all;
  }

  /** Those of the rows that are near duplicates of a direction, with the cosine. */
  #reaching({ vector }: Direction, rows: Int32Array): { readonly rows: number[]; readonly scores: number[] } {
    const { rowCount, width, values, presence } = this.#feature;
    const found = { rows: [] as number[], scores: [] as number[] };
    for (const row of rows) {
      if (row < 0 || row >= rowCount || presence[row] !== 1) continue;
      const similarity = cosine(vector, values, row * width);
      if (!(similarity >= this.#options.threshold - roundingSlack)) continue;
      found.rows.push(row);
      found.scores.push(Math.min(1, similarity));
    }
    return found;
  }

  #isNear(left: Float32Array, right: Float32Array): boolean {
    return dot(left, right) >= this.#options.threshold - roundingSlack;
  }

  #unitOf(row: number): Float32Array | undefined {
    const { rowCount, width, values, presence } = this.#feature;
    return row < 0 || row >= rowCount || presence[row] !== 1 ? undefined : unit(values, row * width, width);
  }

  /** Takes over what the overlay has changed since the last time. */
  #synchronise(): void {
    if (this.#feature.version === this.#seenVersion) return;
    this.#seenVersion = this.#feature.version;
    this.#takeRowsBeyond();
  }

  #takeRowsBeyond(): void {
    const changed = new Set<number>(this.#feature.version === this.#openedAt ? [] : this.#feature.changedSince(this.#openedAt));
    for (let row = this.#groups.length; row < this.#feature.rowCount; row++) changed.add(row);
    this.#changed = changed;
  }
}

/** A vector scaled to length 1; undefined when it has no direction. */
function unit(values: Float32Array, start: number, width: number): Float32Array | undefined {
  let squares = 0;
  for (let at = start; at < start + width; at++) squares += (values[at] as number) ** 2;
  if (!(squares > 0 && squares < Number.POSITIVE_INFINITY)) return undefined;
  const length = Math.sqrt(squares);
  const scaled = values.slice(start, start + width);
  for (let place = 0; place < width; place++) scaled[place] = (scaled[place] as number) / length;
  return scaled;
}

/** The cosine of a vector of length 1 and one of any length that begins at `start`; NaN when that has no direction. */
function cosine(vector: Float32Array, values: Float32Array, start: number): number {
  let product = 0;
  let squares = 0;
  for (let place = 0; place < vector.length; place++) {
    const value = values[start + place] as number;
    product += (vector[place] as number) * value;
    squares += value * value;
  }
  return product / Math.sqrt(squares);
}

function dot(left: Float32Array, right: Float32Array): number {
  // Four sums side by side: one alone would wait for itself.
  let [first, second, third, fourth] = [0, 0, 0, 0];
  let place = 0;
  for (; place + 4 <= left.length; place += 4) {
    first += (left[place] as number) * (right[place] as number);
    second += (left[place + 1] as number) * (right[place + 1] as number);
    third += (left[place + 2] as number) * (right[place + 2] as number);
    fourth += (left[place + 3] as number) * (right[place + 3] as number);
  }
  for (; place < left.length; place++) first += (left[place] as number) * (right[place] as number);
  return first + second + (third + fourth);
}
