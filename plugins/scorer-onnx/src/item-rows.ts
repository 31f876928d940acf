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
  #values = new Float32Array(0);
  #version = -1;
  #filled = 0;

  /** @param missing what stands for a missing value */
  constructor(items: Table, fields: readonly string[], missing: number) {
    this.#items = items;
    this.#fields = fields;
    this.#missing = missing;
  }

  /** Numbers [rows of the table, fields] as the items are now, read only; undefined while they are being made, or are too many. */
  values(): Float32Array | undefined {
    const { rowCount, version } = this.#items;
    const width = this.#fields.length;
    if (rowCount * width > mostNumbers) return undefined;
    if (version !== this.#version) {
      this.#version = version;
      this.#filled = 0;
      if (this.#values.length < rowCount * width) this.#values = new Float32Array((rowCount + (rowCount >> 3)) * width);
    }
    if (this.#filled < rowCount) this.#fill(Math.min(rowCount, this.#filled + Math.ceil(numbersPerCall / width)));
    return this.#filled < rowCount ? undefined : this.#values;
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
