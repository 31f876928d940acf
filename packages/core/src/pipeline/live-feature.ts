import type { FeatureMatrix } from '@recloom/plugin-api';
import type { StoredFeature } from '../snapshot/types.js';

/** Numbers copied between two turns of the event loop: a quarter of a megabyte, whose pages the system has to find first. */
const copiedAtOnce = 1 << 16;

/** A stored item feature that rows can be added to. The stored arrays are copied on the first change and never written. */
export class LiveFeature implements FeatureMatrix {
  readonly name: string;
  readonly width: number;
  #values: Float32Array;
  #presence: Uint8Array;
  #rowCount: number;
  #version = 0;
  #copied = false;
  /** Row → version of its last change. */
  readonly #changes = new Map<number, number>();

  constructor(name: string, stored: StoredFeature) {
    this.name = name;
    this.width = stored.width;
    this.#values = stored.values;
    this.#presence = stored.presence;
    this.#rowCount = stored.presence.length;
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  get values(): Float32Array {
    return this.#values.length === this.#rowCount * this.width ? this.#values : this.#values.subarray(0, this.#rowCount * this.width);
  }

  get presence(): Uint8Array {
    return this.#presence.length === this.#rowCount ? this.#presence : this.#presence.subarray(0, this.#rowCount);
  }

  get version(): number {
    return this.#version;
  }

  changedSince(version: number): Int32Array {
    const rows: number[] = [];
    for (const [row, changed] of this.#changes) if (changed > version) rows.push(row);
    return Int32Array.from(rows).sort();
  }

  /**
   * Makes room for rows up to `rowCount`, so that `update` copies nothing. The first time, and whenever the room is used up, that
   * is the whole matrix: it is copied in stretches, and requests in between read the old one. Not to be called while another call
   * or an `update` is under way.
   */
  async reserve(rowCount: number): Promise<void> {
    const capacity = this.#presence.length;
    if (this.#copied && rowCount <= capacity) return;
    // Room that is not used costs addresses only.
    const grown = Math.max(rowCount, Math.ceil(capacity * 1.5) + 16);
    const values = new Float32Array(grown * this.width);
    for (let start = 0; start < this.#values.length; start += copiedAtOnce) {
      if (start > 0) await new Promise<void>((resolve) => setImmediate(resolve));
      values.set(this.#values.subarray(start, start + copiedAtOnce), start);
    }
    const presence = new Uint8Array(grown);
    presence.set(this.#presence);
    this.#values = values;
    this.#presence = presence;
    this.#copied = true;
  }

  /**
   * Sets rows from a block of the same order, for which there is room (see `reserve`); rows between the old end and a new row are
   * absent until they are set.
   */
  update(rows: Int32Array, values: Float32Array, presence: Uint8Array): void {
    if (rows.length === 0) return;
    let highest = this.#rowCount - 1;
    for (const row of rows) if (row > highest) highest = row;
    if (!this.#copied || highest >= this.#presence.length) throw new RangeError('There is no room for these rows: call reserve() first.');
    this.#version++;
    for (let index = 0; index < rows.length; index++) {
      const row = rows[index] as number;
      this.#values.set(values.subarray(index * this.width, (index + 1) * this.width), row * this.width);
      this.#presence[row] = presence[index] ?? 0;
      this.#changes.set(row, this.#version);
    }
    this.#rowCount = highest + 1;
  }
}
