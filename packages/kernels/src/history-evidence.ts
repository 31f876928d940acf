import { KernelError, requireShape } from './kernel-error.js';
import { asKernelError, type Kernels } from './kernels.js';
import type { KernelArray } from './memory.js';

/** Lists of neighbours, and a vector, for every row. */
export interface HistoryEvidenceOptions {
  /** One more than there are rows, ascending from 0; row r's neighbours lie in [offsets[r], offsets[r + 1]), at most 255. */
  readonly offsets: Int32Array;
  /** Rows; different ones within a list, and never the row itself. */
  readonly neighbours: Int32Array;
  /** Row-major vectors of length 1 (zeros: none), as wide as `width`; absent: no similarities. */
  readonly vectors?: Float32Array | undefined;
  /** Values per vector; default 0. */
  readonly width?: number | undefined;
}

/** Items of a history that can be compared at once. */
export const mostHistoryItems = 64;
/** Neighbours are counted in bytes. */
const mostNeighbours = 255;
/** Bytes of a row of the kernel's table, and of what comes before it. */
const tableRowBytes = 80;
const tableHeadBytes = 576;

/**
 * How near candidates are to the items of a history: by the neighbours they share, and by their vectors. The work of a
 * call is bounded by candidates × (neighbours per list + history items × width), whatever the size of the graph. Free it
 * with `dispose`.
 */
export class HistoryEvidence {
  /** Rows the lists cover. */
  readonly rowCount: number;
  readonly width: number;
  readonly #kernels: Kernels;
  readonly #offsets: Int32Array;
  readonly #neighbours: Int32Array;
  /** 1 / ln(lists that a row is in), as Adamic and Adar (2003) weigh shared neighbours. */
  readonly #rarities: Float32Array;
  readonly #vectors: Float32Array | undefined;
  /** All 0 between calls. */
  readonly #slots: Int32Array;
  #disposed = false;

  /** The arrays are copied. @throws RECLOOM_KRN_SHAPE, RECLOOM_KRN_OUT_OF_MEMORY */
  constructor(kernels: Kernels, options: HistoryEvidenceOptions) {
    const { offsets, neighbours, vectors, width = 0 } = options;
    const rowCount = offsets.length - 1;
    requireShape(rowCount >= 0 && offsets[0] === 0 && offsets[rowCount] === neighbours.length, 'The offsets do not cover the neighbours.');
    const lists = new Int32Array(Math.max(0, rowCount));
    const lastSeen = new Int32Array(lists.length).fill(-1);
    for (let row = 0; row < rowCount; row++) {
      const begin = offsets[row] as number;
      const end = offsets[row + 1] as number;
      requireShape(
        begin <= end && end - begin <= mostNeighbours,
        () => `Row ${row} has ${end - begin} neighbours, not 0 to ${mostNeighbours}.`,
      );
      for (let entry = begin; entry < end; entry++) {
        const neighbour = neighbours[entry] as number;
        requireShape(neighbour >>> 0 < rowCount, () => `Neighbour ${neighbour} is not below ${rowCount}.`);
        requireShape(neighbour !== row && lastSeen[neighbour] !== row, () => `Row ${row} names itself, or a neighbour twice.`);
        lastSeen[neighbour] = row;
        lists[neighbour] = (lists[neighbour] as number) + 1;
      }
    }
    requireShape(
      vectors === undefined || (Number.isInteger(width) && width > 0 && vectors.length === rowCount * width),
      () => `${vectors?.length} values are not ${rowCount} vectors of ${width}.`,
    );
    this.rowCount = rowCount;
    this.width = vectors === undefined ? 0 : width;
    this.#kernels = kernels;
    this.#offsets = kernels.keepInt32(offsets);
    this.#neighbours = kernels.keepInt32(neighbours);
    // What is in one list only is shared by nobody.
    this.#rarities = kernels.keepFloat32(Float32Array.from(lists, (count) => (count > 1 ? 1 / Math.log(count) : 0)));
    this.#vectors = vectors === undefined ? undefined : kernels.keepFloat32(vectors);
    this.#slots = kernels.int32(lists.length);
  }

  /**
   * Per row four numbers, each the weighted mean over the items of the history other than the row itself: 1 where the row
   * is among the item's neighbours, else 0; how many neighbours both have; the sum of 1 / ln(lists a shared neighbour is
   * in) (Adamic and Adar 2003); shared neighbours by all neighbours of either (Jaccard 1901). Zeros for rows that are not
   * covered (-1, or added later) and without a history. Fills and returns `output` (rows × 4).
   *
   * `history` holds different covered rows, at most 64; `weights` one positive number each.
   * @throws RECLOOM_KRN_SHAPE, RECLOOM_KRN_CLOSED
   */
  neighbours(rows: Int32Array, history: Int32Array, weights: ArrayLike<number>, output: Float32Array): Float32Array {
    return this.#compare(rows, history, weights, output, 4, (stage) => {
      let entries = 1;
      for (const row of history) entries += (this.#offsets[row + 1] as number) - (this.#offsets[row] as number);
      const workspace = this.#kernels.memory.takeScratch(tableHeadBytes + entries * tableRowBytes);
      this.#kernels.table.neighbourEvidence(
        this.#offsets.byteOffset,
        this.#neighbours.byteOffset,
        this.#rarities.byteOffset,
        stage.rows,
        rows.length,
        stage.history,
        stage.weights,
        history.length,
        this.#slots.byteOffset,
        workspace,
        stage.output,
      );
    });
  }

  /**
   * Per row two numbers over the items of the history other than the row itself: the largest dot product of its vector with
   * theirs, and the weighted mean of all. Zeros as in `neighbours`. Fills and returns `output` (rows × 2).
   * @throws RECLOOM_KRN_SHAPE when there are no vectors either, RECLOOM_KRN_CLOSED
   */
  similarities(rows: Int32Array, history: Int32Array, weights: ArrayLike<number>, output: Float32Array): Float32Array {
    const vectors = this.#vectors;
    requireShape(vectors !== undefined, 'There are no vectors to compare.');
    return this.#compare(rows, history, weights, output, 2, (stage) => {
      const workspace = this.#kernels.memory.takeScratch(mostHistoryItems * 4 * (1 + this.width));
      this.#kernels.table.historySimilarity(
        vectors.byteOffset,
        this.width,
        stage.rows,
        rows.length,
        stage.history,
        stage.weights,
        history.length,
        workspace,
        stage.output,
      );
    });
  }

  /** Frees the memory; later calls throw RECLOOM_KRN_CLOSED. May be repeated. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const arrays: (KernelArray | undefined)[] = [this.#offsets, this.#neighbours, this.#rarities, this.#vectors, this.#slots];
    for (const array of arrays) this.#kernels.free(array);
  }

  #compare(
    rows: Int32Array,
    history: Int32Array,
    weights: ArrayLike<number>,
    output: Float32Array,
    columns: number,
    run: (stage: { readonly rows: number; readonly history: number; readonly weights: number; readonly output: number }) => void,
  ): Float32Array {
    if (this.#disposed) throw new KernelError('RECLOOM_KRN_CLOSED', 'The evidence was disposed.');
    requireShape(output.length === rows.length * columns, () => `The output has ${output.length} values, not ${rows.length * columns}.`);
    const shares = this.#sharesOf(history, weights);
    const { memory } = this.#kernels;
    const mark = memory.markScratch();
    try {
      const stage = {
        rows: memory.takeScratch(rows.byteLength),
        history: memory.takeScratch(history.byteLength),
        weights: memory.takeScratch(shares.byteLength),
        output: memory.takeScratch(output.byteLength),
      };
      const { buffer } = memory;
      const staged = new Int32Array(buffer, stage.rows, rows.length);
      for (let index = 0; index < rows.length; index++) {
        const row = rows[index] as number;
        staged[index] = row >>> 0 < this.rowCount ? row : -1;
      }
      new Int32Array(buffer, stage.history, history.length).set(history);
      new Float32Array(buffer, stage.weights, shares.length).set(shares);
      run(stage);
      output.set(new Float32Array(memory.buffer, stage.output, output.length));
      return output;
    } catch (error) {
      throw asKernelError(error);
    } finally {
      memory.resetScratch(mark);
    }
  }

  /** The weights as shares of their sum. */
  #sharesOf(history: Int32Array, weights: ArrayLike<number>): Float32Array {
    requireShape(history.length <= mostHistoryItems, () => `A history of ${history.length} items has more than ${mostHistoryItems}.`);
    requireShape(weights.length === history.length, 'There must be one weight per item of the history.');
    let total = 0;
    for (let place = 0; place < history.length; place++) {
      const row = history[place] as number;
      const weight = weights[place] as number;
      requireShape(row >>> 0 < this.rowCount, () => `Row ${row} is not below ${this.rowCount}.`);
      requireShape(history.indexOf(row) === place, () => `The history names row ${row} twice.`);
      requireShape(weight > 0 && weight < Number.POSITIVE_INFINITY, () => `The weight ${weight} is not a positive number.`);
      total += weight;
    }
    return Float32Array.from({ length: history.length }, (_, place) => (weights[place] as number) / total);
  }
}
