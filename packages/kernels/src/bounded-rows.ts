import { requireShape } from './kernel-error.js';
import { boundedWorkspaceBytes } from './kernel-table.js';
import type { Kernels, TopRows } from './kernels.js';

/** Rows of a block, as `assembly/batch.ts` lays them out. */
const blockRows = 32;
/** Rows per query above which keeping them in order costs more than it saves. */
export const mostBounded = 256;

/**
 * The rows of a matrix once more, longest first and in blocks by component, so that the best dot products with many queries
 * are found without multiplying most rows out. The matrix must stay as it is, in the kernels' memory; free with `dispose`.
 */
export class BoundedRows {
  readonly #kernels: Kernels;
  readonly #matrix: Float32Array;
  readonly #width: number;
  readonly #rowCount: number;
  readonly #blocks: Float32Array;
  readonly #lengths: Float32Array;
  readonly #order: Int32Array;
  readonly #scales: Float32Array;

  private constructor(
    kernels: Kernels,
    matrix: Float32Array,
    width: number,
    parts: Readonly<Record<'blocks' | 'lengths' | 'scales', Float32Array>> & { readonly order: Int32Array },
  ) {
    this.#kernels = kernels;
    this.#matrix = matrix;
    this.#width = width;
    this.#rowCount = matrix.length / width;
    this.#blocks = parts.blocks;
    this.#lengths = parts.lengths;
    this.#scales = parts.scales;
    this.#order = parts.order;
  }

  /**
   * Lays out the rows (resident, `width` values each). `scales`, one positive number per component: what queries are multiplied
   * by and rows divided by before both are bounded; the square roots of the diagonal of a norm in which queries are combinations
   * of rows keep bounds close. Undefined when a row's length is not finite.
   * @throws RECLOOM_KRN_SHAPE, RECLOOM_KRN_OUT_OF_MEMORY
   */
  static of(kernels: Kernels, matrix: Float32Array, width: number, scales: Float32Array): BoundedRows | undefined {
    requireShape(kernels.isResident(matrix), 'The rows must lie in the memory of the kernels.');
    requireShape(width > 0 && matrix.length % width === 0 && scales.length === width, 'The scales do not fit the rows.');
    const rowCount = matrix.length / width;
    const norms = new Float64Array(rowCount);
    for (let row = 0; row < rowCount; row++) {
      let squares = 0;
      for (let column = 0; column < width; column++) {
        const value = Math.fround((matrix[row * width + column] as number) / (scales[column] as number));
        squares += value * value;
      }
      norms[row] = Math.fround(Math.sqrt(squares));
      if (!Number.isFinite(norms[row])) return undefined;
    }
    const sorted = Int32Array.from({ length: rowCount }, (_, row) => row).sort(
      (one, other) => (norms[other] as number) - (norms[one] as number) || one - other,
    );
    const padded = Math.ceil(rowCount / blockRows) * blockRows;
    const taken: (Float32Array | Int32Array)[] = [];
    try {
      const blocks = kernels.float32(padded * width);
      taken.push(blocks);
      const lengths = kernels.float32(padded);
      taken.push(lengths);
      const order = kernels.keepInt32(sorted);
      taken.push(order);
      const kept = kernels.keepFloat32(scales);
      for (let place = 0; place < rowCount; place++) {
        const row = sorted[place] as number;
        lengths[place] = norms[row] as number;
        const to = Math.floor(place / blockRows) * blockRows * width + (place % blockRows);
        for (let column = 0; column < width; column++) {
          blocks[to + column * blockRows] = (matrix[row * width + column] as number) / (scales[column] as number);
        }
      }
      return new BoundedRows(kernels, matrix, width, { blocks, lengths, order, scales: kept });
    } catch (error) {
      for (const array of taken) kernels.free(array);
      throw error;
    }
  }

  /**
   * For each of the consecutive `queries` (resident) the rows with the highest dot products above 0 that `open` allows (one byte
   * per row), as many as its entry of `limits` (at most `mostBounded`): the very rows and scores of `scanTopK`. Undefined for a
   * query whose length is not finite.
   * @throws RECLOOM_KRN_SHAPE
   */
  best(queries: Float32Array, limits: Int32Array, open: Uint8Array): (TopRows | undefined)[] {
    const queryCount = limits.length;
    requireShape(this.#kernels.isResident(queries) && queries.length === queryCount * this.#width, 'There must be one limit per query.');
    requireShape(open.length === this.#rowCount, () => `The mask has ${open.length} values for ${this.#rowCount} rows.`);
    let most = 0;
    for (const limit of limits) {
      requireShape(limit >= 0 && limit <= mostBounded, () => `The limit ${limit} is not 0 to ${mostBounded}.`);
      most = Math.max(most, limit);
    }
    if (queryCount === 0) return [];
    const { memory, table } = this.#kernels;
    const mark = memory.markScratch();
    try {
      const limitsAt = memory.takeScratch(queryCount * 4);
      const mask = this.#kernels.isResident(open) ? open.byteOffset : memory.takeScratch(open.length);
      const rows = memory.takeScratch(Math.max(1, queryCount * most) * 4);
      const scores = memory.takeScratch(Math.max(1, queryCount * most) * 4);
      const counts = memory.takeScratch(queryCount * 4);
      const workspace = memory.takeScratch(boundedWorkspaceBytes(this.#width, queryCount, most));
      const { buffer } = memory;
      new Int32Array(buffer, limitsAt, queryCount).set(limits);
      if (!this.#kernels.isResident(open)) new Uint8Array(buffer, mask, open.length).set(open);
      table.boundedTopKMany(
        this.#blocks.byteOffset,
        this.#lengths.byteOffset,
        this.#order.byteOffset,
        this.#rowCount,
        this.#matrix.byteOffset,
        this.#width,
        queries.byteOffset,
        this.#scales.byteOffset,
        queryCount,
        limitsAt,
        most,
        mask,
        rows,
        scores,
        counts,
        workspace,
      );
      const found = new Int32Array(buffer, counts, queryCount);
      return Array.from(found, (count, query) =>
        count < 0
          ? undefined
          : {
              rows: new Int32Array(buffer, rows + query * most * 4, count).slice(),
              scores: new Float32Array(buffer, scores + query * most * 4, count).slice(),
            },
      );
    } finally {
      memory.resetScratch(mark);
    }
  }

  /** Frees the memory; not the matrix. */
  dispose(): void {
    for (const array of [this.#blocks, this.#lengths, this.#order, this.#scales]) this.#kernels.free(array);
  }
}
