import type { Proposals } from '@recloom/plugin-api';

const noPlaces = new Int32Array(0);
/** Candidates that lie together are moved as bytes when there are so many of them. */
const fewTogether = 32;

/** Largest number of a place in `MergeScratch`. */
const mostPlaces = 0x7fffffff;

/** Marks item rows while lists are merged: one integer per item, cleared by counting up instead of filling. And a few numbers per source. */
export class MergeScratch {
  /** Most places taken of each source's list; set by the caller. */
  limits = new Int32Array(0);
  /** Rows of each source that were out of range or stood twice, after merging. */
  badRows = new Int32Array(0);
  starts = new Int32Array(0);
  lengths = new Int32Array(0);
  /** By row, its place plus what `#first` was when it was put. */
  #places = new Int32Array(0);
  /** What place 0 is stored as; anything below is left from before. */
  #first = 1;
  #room = 0;

  ensureItems(itemCount: number): void {
    if (this.#places.length >= itemCount) return;
    this.#places = new Int32Array(Math.ceil(itemCount * 1.25) + 64);
    this.#first = 1;
    this.#room = 0;
  }

  /** Room for so many sources, whose bad rows are counted from 0. */
  ensureSources(sourceCount: number): void {
    if (this.limits.length < sourceCount) {
      this.limits = new Int32Array(sourceCount);
      this.badRows = new Int32Array(sourceCount);
      this.starts = new Int32Array(sourceCount);
      this.lengths = new Int32Array(sourceCount);
    }
    this.badRows.fill(0);
  }

  /** Forgets all rows; places put from now on are below `room`. */
  begin(room: number): void {
    this.#first += this.#room;
    this.#room = room;
    if (this.#first + room <= mostPlaces) return;
    this.#places.fill(0);
    this.#first = 1;
  }

  /** Where a row was put since `begin`, or below 0. */
  placeOf(row: number): number {
    return (this.#places[row] as number) - this.#first;
  }

  put(row: number, place: number): void {
    this.#places[row] = this.#first + place;
  }
}

/** Merged candidates as growable columns, kept from request to request so that serving allocates nothing per candidate. */
export class CandidateSet {
  count = 0;
  requestCount = 0;
  sourceCount = 0;
  rows = new Int32Array(0);
  offsets = new Int32Array(2);
  removed = new Uint8Array(0);
  value = new Float32Array(0);
  /** Where the rows named to `merge` came to stand, ascending; undefined once candidates have moved. */
  named: Int32Array | undefined;
  readonly sourceScores: Float32Array[] = [];
  readonly sourceRanks: Int32Array[] = [];
  readonly columns: Float32Array[] = [];
  #capacity = 0;

  reset(sourceCount: number): void {
    this.count = 0;
    this.requestCount = 0;
    this.sourceCount = sourceCount;
    this.named = undefined;
    while (this.sourceScores.length < sourceCount) {
      this.sourceScores.push(new Float32Array(this.#capacity));
      this.sourceRanks.push(new Int32Array(this.#capacity));
    }
  }

  /** A score or feature column of this set; its content is whatever was there. */
  columnAt(index: number): Float32Array {
    while (this.columns.length <= index) this.columns.push(new Float32Array(this.#capacity));
    const column = this.columns[index] as Float32Array;
    if (column.length >= this.count) return column;
    const grown = new Float32Array(this.#capacity);
    this.columns[index] = grown;
    return grown;
  }

  ensure(capacity: number, requestCount: number): void {
    if (this.offsets.length < requestCount + 1) this.offsets = new Int32Array(Math.max(requestCount + 1, this.offsets.length * 2));
    if (capacity <= this.#capacity) return;
    const size = Math.max(capacity, Math.ceil(this.#capacity * 1.5), 256);
    this.#capacity = size;
    this.rows = grow(this.rows, new Int32Array(size));
    this.removed = new Uint8Array(size);
    this.value = grow(this.value, new Float32Array(size));
    for (let source = 0; source < this.sourceScores.length; source++) {
      this.sourceScores[source] = grow(this.sourceScores[source] as Float32Array, new Float32Array(size));
      this.sourceRanks[source] = grow(this.sourceRanks[source] as Int32Array, new Int32Array(size));
    }
  }

  /**
   * Merges the lists of several sources: place by place in turn, so that a later cut takes the best of each. A row two
   * sources propose stands once, with the score and rank of each. `lists[s]` undefined = that source has nothing. `named`:
   * rows of each request, whose places are noted in `this.named`.
   */
  merge(
    lists: readonly (Proposals | undefined)[],
    requestCount: number,
    itemCount: number,
    scratch: MergeScratch,
    named?: readonly Int32Array[],
  ): void {
    let total = 0;
    const present: number[] = [];
    for (let source = 0; source < lists.length; source++) {
      const length = lists[source]?.rows.length ?? 0;
      total += length;
      if (length > 0) present.push(source);
    }
    this.ensure(total, requestCount);
    this.requestCount = requestCount;
    for (let source = 0; source < lists.length; source++) {
      (this.sourceScores[source] as Float32Array).fill(Number.NaN, 0, total);
      (this.sourceRanks[source] as Int32Array).fill(0, 0, total);
    }
    const { offsets } = this;
    const { starts, lengths, limits } = scratch;
    const places: number[] = [];
    let count = 0;
    offsets[0] = 0;
    for (let request = 0; request < requestCount; request++) {
      scratch.begin(total);
      let longest = 0;
      let second = 0;
      for (let at = 0; at < present.length; at++) {
        const source = present[at] as number;
        const list = lists[source] as Proposals;
        const start = list.offsets[request] as number;
        starts[at] = start;
        const length = Math.min((list.offsets[request + 1] as number) - start, limits[source] as number);
        lengths[at] = length;
        second = Math.max(second, Math.min(length, longest));
        longest = Math.max(longest, length);
      }
      // In turns for as long as two lists last; then there is nothing to take turns with, and the rest is walked in one go.
      for (let place = 0; place < longest; ) {
        const next = place < second ? place + 1 : longest;
        for (let at = 0; at < present.length; at++) {
          const end = Math.min(next, lengths[at] as number);
          if (place >= end) continue;
          const source = present[at] as number;
          count = this.#takePlaces(lists[source] as Proposals, starts[at] as number, place, end, source, count, itemCount, scratch);
        }
        place = next;
      }
      if (named !== undefined)
        for (const row of named[request] ?? noPlaces) {
          const place = scratch.placeOf(row);
          if (place >= 0) places.push(place);
        }
      offsets[request + 1] = count;
    }
    this.count = count;
    this.named = named === undefined ? undefined : Int32Array.from(new Set(places)).sort();
  }

  /** Takes the places `[from, to)` of one list; returns the new number of candidates. */
  #takePlaces(
    list: Proposals,
    start: number,
    from: number,
    to: number,
    source: number,
    count: number,
    itemCount: number,
    scratch: MergeScratch,
  ): number {
    const { rows } = this;
    const scores = this.sourceScores[source] as Float32Array;
    const ranks = this.sourceRanks[source] as Int32Array;
    const listRows = list.rows;
    const listScores = list.scores;
    let known = count;
    for (let place = from; place < to; place++) {
      const row = listRows[start + place] as number;
      if (!(row >= 0 && row < itemCount)) {
        scratch.badRows[source] = (scratch.badRows[source] as number) + 1;
        continue;
      }
      let position = scratch.placeOf(row);
      if (position < 0) {
        position = known++;
        rows[position] = row;
        scratch.put(row, position);
      } else if (ranks[position] !== 0) {
        scratch.badRows[source] = (scratch.badRows[source] as number) + 1;
        continue;
      }
      scores[position] = listScores[start + place] as number;
      ranks[position] = place + 1;
    }
    return known;
  }

  /** Drops the candidates whose `removed` byte is not zero; order is kept. */
  compact(): void {
    const { removed, offsets } = this;
    this.named = undefined;
    let kept = 0;
    let start = 0;
    for (let request = 0; request < this.requestCount; request++) {
      const end = offsets[request + 1] as number;
      let index = start;
      while (index < end) {
        while (index < end && removed[index] !== 0) index++;
        const from = index;
        while (index < end && removed[index] === 0) index++;
        this.#move(from, index, kept);
        kept += index - from;
      }
      start = end;
      offsets[request + 1] = kept;
    }
    this.count = kept;
  }

  /** Drops the candidates at these places (ascending, each once); order is kept. */
  drop(places: Int32Array): void {
    if (places.length === 0) return;
    const { offsets } = this;
    this.named = undefined;
    let kept = places[0] as number;
    for (let at = 0; at < places.length; at++) {
      const from = (places[at] as number) + 1;
      const end = at + 1 < places.length ? (places[at + 1] as number) : this.count;
      this.#move(from, end, kept);
      kept += end - from;
    }
    let dropped = 0;
    for (let request = 1; request <= this.requestCount; request++) {
      const end = offsets[request] as number;
      while (dropped < places.length && (places[dropped] as number) < end) dropped++;
      offsets[request] = end - dropped;
    }
    this.count = kept;
  }

  /** Moves the candidates `[from, end)` down to place `to`. */
  #move(from: number, end: number, to: number): void {
    if (from === to || from === end) return;
    move(this.rows, from, end, to);
    for (let source = 0; source < this.sourceCount; source++) {
      move(this.sourceScores[source] as Float32Array, from, end, to);
      move(this.sourceRanks[source] as Int32Array, from, end, to);
    }
  }

  /** Becomes the part `[from[r], to[r])` of each request of another set. */
  takeSlice(other: CandidateSet, from: Int32Array, to: Int32Array): void {
    let total = 0;
    for (let request = 0; request < other.requestCount; request++) total += (to[request] as number) - (from[request] as number);
    this.ensure(total, other.requestCount);
    this.named = undefined;
    this.requestCount = other.requestCount;
    this.offsets[0] = 0;
    let count = 0;
    for (let request = 0; request < other.requestCount; request++) {
      const start = from[request] as number;
      const end = to[request] as number;
      this.#copyRange(other, start, end, count);
      count += end - start;
      this.offsets[request + 1] = count;
    }
    this.count = count;
  }

  /** Becomes, per request, the candidates of `first` followed by those of `second`. */
  takeBoth(first: CandidateSet, second: CandidateSet): void {
    this.ensure(first.count + second.count, first.requestCount);
    this.named = undefined;
    this.requestCount = first.requestCount;
    this.offsets[0] = 0;
    let count = 0;
    for (let request = 0; request < first.requestCount; request++) {
      for (const part of [first, second]) {
        const start = part.offsets[request] as number;
        const end = part.offsets[request + 1] as number;
        this.#copyRange(part, start, end, count);
        count += end - start;
      }
      this.offsets[request + 1] = count;
    }
    this.count = count;
  }

  #copyRange(other: CandidateSet, start: number, end: number, at: number): void {
    this.rows.set(other.rows.subarray(start, end), at);
    for (let source = 0; source < this.sourceCount; source++) {
      (this.sourceScores[source] as Float32Array).set((other.sourceScores[source] as Float32Array).subarray(start, end), at);
      (this.sourceRanks[source] as Int32Array).set((other.sourceRanks[source] as Int32Array).subarray(start, end), at);
    }
  }
}

function move(column: Int32Array | Float32Array, from: number, end: number, to: number): void {
  if (end - from >= fewTogether) column.copyWithin(to, from, end);
  else for (let index = from, at = to; index < end; index++, at++) column[at] = column[index] as number;
}

function grow<Data extends Int32Array | Float32Array>(from: Data, to: Data): Data {
  to.set(from as never);
  return to;
}

/**
 * The best `size` candidates of `[start, end)` by value, best first; equal values by ascending row (the evaluation's tie
 * rule). Values are never NaN. A heap of `size` over one pass: for ten of a thousand nearly every candidate costs one
 * comparison, and at worst (values that rise) a few more within two small arrays.
 */
export function selectBest(values: Float32Array, rows: Int32Array, start: number, end: number, size: number): Int32Array {
  const wanted = Math.min(size, end - start);
  const heap = new Int32Array(wanted);
  if (wanted === 0) return heap;
  // The values of the heap's entries beside them, so that sifting does not go through the candidates again.
  const keys = new Float32Array(wanted);
  /** Puts an entry in the place of the top one, below whatever is worse than it. */
  const sink = (index: number, key: number, from: number, length: number): void => {
    const row = rows[index] as number;
    let place = from;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= length) break;
      let childKey = keys[child] as number;
      const right = child + 1;
      if (right < length) {
        const rightKey = keys[right] as number;
        // Compared, not subtracted: candidates that sank are all at minus infinity, and their difference would be NaN.
        if (
          rightKey < childKey ||
          (rightKey === childKey && (rows[heap[right] as number] as number) > (rows[heap[child] as number] as number))
        ) {
          child = right;
          childKey = rightKey;
        }
      }
      if (childKey > key || (childKey === key && (rows[heap[child] as number] as number) < row)) break;
      keys[place] = childKey;
      heap[place] = heap[child] as number;
      place = child;
    }
    keys[place] = key;
    heap[place] = index;
  };
  for (let place = 0; place < wanted; place++) {
    heap[place] = start + place;
    keys[place] = values[start + place] as number;
  }
  for (let place = (wanted >> 1) - 1; place >= 0; place--) sink(heap[place] as number, keys[place] as number, place, wanted);
  for (let index = start + wanted; index < end; index++) {
    const key = values[index] as number;
    const worst = keys[0] as number;
    if (key > worst || (key === worst && (rows[index] as number) < (rows[heap[0] as number] as number))) sink(index, key, 0, wanted);
  }
  for (let length = wanted - 1; length > 0; length--) {
    const index = heap[length] as number;
    const key = keys[length] as number;
    heap[length] = heap[0] as number;
    sink(index, key, 0, length);
  }
  return heap;
}

/** Whether all of `[start, end)` are finite numbers. */
export function allFinite(values: Float32Array, start: number, end: number): boolean {
  let first = 0;
  let second = 0;
  let index = start;
  // x - x is 0 for finite numbers only; two sums, so that one addition need not wait for the other.
  for (; index + 1 < end; index += 2) {
    const one = values[index] as number;
    const other = values[index + 1] as number;
    first += one - one;
    second += other - other;
  }
  if (index < end) first += (values[index] as number) - (values[index] as number);
  return first + second === 0;
}
