import type { VectorSpace } from './vector-space.js';

/** Room for items added later, before a row has to be worked out anew. */
const spareRows = 1.125;
/** A memory for fewer rows is used up by one history, so none is kept. */
const fewestKept = 64;
/** When more than one of so many rows has changed, all are worked out anew. */
const mostChanged = 4;

/** So many changes are worked into what is kept in next to no time. */
const fewChanges = 16;

interface KeptRow {
  readonly values: Float32Array;
  /** The space's `changeCount` when the values were right. */
  changeCount: number;
}

/**
 * The similarities of items to all items. They are the same for everybody, so those of items that histories hold are kept, the least
 * recently used ones dropped first; items that are added or changed are worked out into what is kept.
 */
export class KeptSimilarities {
  readonly #space: VectorSpace;
  readonly #mostBytes: number;
  readonly #kept = new Map<number, KeptRow>();
  #bytes = 0;

  /** @param mostBytes memory for all that is kept; 0 keeps nothing. */
  constructor(space: VectorSpace, mostBytes: number) {
    this.#space = space;
    this.#mostBytes = mostBytes;
  }

  /** Whether `of` has little to do. */
  has(row: number): boolean {
    const kept = this.#kept.get(row);
    return kept !== undefined && this.#space.changeCount - kept.changeCount <= fewChanges;
  }

  /** The similarities of an item, as it is now, to all items, NaN where there is none. Read only, and valid until the next call. */
  of(row: number): Float32Array {
    return this.peek(row) ?? this.#work(row);
  }

  /** `of`, when it is kept. */
  peek(row: number): Float32Array | undefined {
    const kept = this.#kept.get(row);
    if (kept === undefined) return undefined;
    this.#kept.delete(row);
    if (!this.#update(row, kept)) {
      this.#bytes -= kept.values.byteLength;
      return undefined;
    }
    this.#kept.set(row, kept);
    return kept.values.subarray(0, this.#space.rowCount);
  }

  #work(row: number): Float32Array {
    const { rowCount, changeCount } = this.#space;
    const capacity = Math.ceil(rowCount * spareRows);
    const keeps = 4 * capacity * fewestKept <= this.#mostBytes;
    const values = new Float32Array(keeps ? capacity : rowCount);
    const all = values.subarray(0, rowCount);
    this.#space.allSimilarities(this.#space.pointOf(row), all);
    if (!keeps) return all;
    this.#kept.set(row, { values, changeCount });
    this.#bytes += values.byteLength;
    for (const [oldest, { values: dropped }] of this.#kept) {
      if (this.#bytes <= this.#mostBytes) break;
      this.#kept.delete(oldest);
      this.#bytes -= dropped.byteLength;
    }
    return all;
  }

  /** False when the row has to be worked out anew. */
  #update(row: number, kept: KeptRow): boolean {
    const { rowCount, changeCount } = this.#space;
    if (kept.changeCount === changeCount) return true;
    const changed = this.#space.changedSince(kept.changeCount);
    if (changed === undefined || mostChanged * changed.length > rowCount || rowCount > kept.values.length) return false;
    if (changed.includes(row)) return false;
    const similarities = new Float32Array(changed.length);
    this.#space.similarities(this.#space.pointOf(row), changed, similarities);
    for (let place = 0; place < changed.length; place++) kept.values[changed[place] as number] = similarities[place] as number;
    kept.changeCount = changeCount;
    return true;
  }
}
