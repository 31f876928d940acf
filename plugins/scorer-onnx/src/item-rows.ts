import type { Kernels } from '@recloom/kernels';
import type { Table } from '@recloom/plugin-api';

/** Numbers copied at a call while the rows are made: about a tenth of a millisecond. */
const numbersPerCall = 65_536;
/** Beyond 64 MiB the columns are read where they lie. */
const mostNumbers = 16 * 1024 * 1024;

/**
 * Number fields of the items row by row, as a model wants them: candidates lie anywhere in the catalogue, and fifty columns
 * make fifty cache misses of each where a row makes three or four. The rows are made anew, a piece at each call, when an item
 * changes; until they are complete there are none.
 */
export class ItemRows {
  readonly #items: Table;
  readonly #fields: readonly string[];
  readonly #missing: number;
  readonly #kernels: Kernels;
  #values: Float32Array = new Float32Array(0);
  #version = -1;
  #filled = 0;
  #disposed = false;

  /**
   * @param missing what stands for a missing value
   * @param kernels in whose memory the rows lie, so that they gather them in place
   */
  constructor(items: Table, fields: readonly string[], missing: number, kernels: Kernels) {
    this.#items = items;
    this.#fields = fields;
    this.#missing = missing;
    this.#kernels = kernels;
  }

  /** Numbers [rows of the table, fields] as the items are now, read only; undefined while they are being made, or are too many. */
  values(): Float32Array | undefined {
    const { rowCount, version } = this.#items;
    const width = this.#fields.length;
    if (this.#disposed || rowCount * width > mostNumbers) return undefined;
    if (version !== this.#version) {
      this.#version = version;
      this.#filled = 0;
      if (this.#values.length < rowCount * width) this.#grow((rowCount + (rowCount >> 3)) * width);
    }
    if (this.#filled < rowCount) this.#fill(Math.min(rowCount, this.#filled + Math.ceil(numbersPerCall / width)));
    return this.#filled < rowCount ? undefined : this.#values.subarray(0, rowCount * width);
  }

  /** Gives the memory back; there are no rows any more. Idempotent. */
  dispose(): void {
    this.#disposed = true;
    this.#free();
  }

  #free(): void {
    if (this.#kernels.isResident(this.#values)) this.#kernels.free(this.#values);
    this.#values = new Float32Array(0);
  }

  #grow(length: number): void {
    this.#free();
    try {
      this.#values = this.#kernels.float32(length);
    } catch {
      // The kernels' memory is full: they copy what they gather from another one.
      this.#values = new Float32Array(length);
    }
  }

  #fill(end: number): void {
    const width = this.#fields.length;
    this.#fields.forEach((field, place) => {
      const column = this.#items.column(field);
      const numbers = column?.type === 'number' ? column.values : undefined;
      for (let row = this.#filled; row < end; row++) {
        const value = numbers?.[row] ?? Number.NaN;
        this.#values[row * width + place] = Number.isNaN(value) ? this.#missing : value;
      }
    });
    this.#filled = end;
  }
}
