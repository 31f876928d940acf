import { KernelError, requireShape } from './kernel-error.js';
import { type Kernels, type QuantizedRows, quantizedCapacity, quantizedStride, type TopRows } from './kernels.js';

export interface VectorIndexOptions {
  /** Values per vector. */
  readonly width: number;
  /** Scales each vector and query to length 1, so that scores are cosines; default false. */
  readonly normalize?: boolean;
  /** Rows to reserve at once; the index grows by doubling. */
  readonly capacity?: number;
}

export interface VectorSearchOptions {
  /** One value per row; rows with 0 are never returned. */
  readonly mask?: Uint8Array | undefined;
  /** Scans the float32 rows instead of proposing by int8; default false for `search`, true for `searchMany`. */
  readonly exact?: boolean | undefined;
  /** Rows that the int8 pass proposes for exact re-ranking; default 2k + 64. */
  readonly candidates?: number | undefined;
}

/**
 * Nearest rows by dot product (or cosine) over vectors in resident memory: float32 rows and an int8
 * copy. Appended and replaced rows are seen by the next search. Free it with `dispose`.
 */
export class VectorIndex {
  readonly width: number;
  readonly normalize: boolean;
  readonly #kernels: Kernels;
  readonly #stride: number;
  #rowCount = 0;
  #capacity: number;
  #vectors: Float32Array;
  #codes: Int8Array;
  #scales: Float32Array;
  #disposed = false;

  /** @throws RECLOOM_KRN_SHAPE, RECLOOM_KRN_OUT_OF_MEMORY */
  constructor(kernels: Kernels, options: VectorIndexOptions) {
    const { width, normalize = false, capacity = 0 } = options;
    requireShape(Number.isInteger(width) && width > 0, () => `The width ${width} is not a positive whole number.`);
    this.#kernels = kernels;
    this.width = width;
    this.normalize = normalize;
    this.#stride = quantizedStride(width);
    requireShape(Number.isInteger(capacity) && capacity >= 0, () => `A capacity of ${capacity} rows is impossible.`);
    this.#capacity = quantizedCapacity(capacity);
    this.#vectors = kernels.float32(this.#capacity * width);
    this.#codes = kernels.int8(this.#capacity * this.#stride);
    this.#scales = kernels.float32(this.#capacity);
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  /** The stored float32 rows (rowCount x width), in place: read them, and not after a change or `dispose`. */
  get vectors(): Float32Array {
    this.#requireOpen();
    return this.#vectors.subarray(0, this.#rowCount * this.width);
  }

  /** Adds consecutive vectors and returns the row of the first. @throws RECLOOM_KRN_SHAPE, RECLOOM_KRN_OUT_OF_MEMORY */
  append(vectors: Float32Array): number {
    this.#requireOpen();
    requireShape(vectors.length % this.width === 0, () => `${vectors.length} values are no whole number of vectors of ${this.width}.`);
    const first = this.#rowCount;
    const count = vectors.length / this.width;
    this.#reserve(first + count);
    this.#rowCount = first + count;
    this.#store(first, vectors);
    return first;
  }

  /** Replaces one row, or appends it when `row` is `rowCount`. @throws RECLOOM_KRN_SHAPE */
  upsert(row: number, vector: Float32Array): void {
    this.#requireOpen();
    requireShape(vector.length === this.width, () => `The vector has ${vector.length} values, not ${this.width}.`);
    requireShape(Number.isInteger(row) && row >= 0 && row <= this.#rowCount, () => `Row ${row} is not between 0 and ${this.#rowCount}.`);
    if (row === this.#rowCount) this.append(vector);
    else this.#store(row, vector);
  }

  /**
   * The `k` rows with the highest dot product (cosine when normalised), best first, ties by row; the
   * scores are exact float32. A zero query under cosine scores every row 0.
   * @throws RECLOOM_KRN_SHAPE
   */
  search(query: Float32Array, k: number, options: VectorSearchOptions = {}): TopRows {
    const vectors = this.vectors;
    requireShape(query.length === this.width, () => `The query has ${query.length} values, not ${this.width}.`);
    const prepared = this.#prepare(query);
    if (options.exact === true) return this.#kernels.scanTopK(vectors, this.width, prepared, k, options.mask);
    return this.#kernels.quantizedTopK(this.#quantized(), vectors, this.width, prepared, k, options);
  }

  /**
   * Answers to several consecutive queries in one pass: exact ones, or with `exact: false` those that `search` would give to
   * each, in a third of the time. @throws RECLOOM_KRN_SHAPE
   */
  searchMany(queries: Float32Array, k: number, options: VectorSearchOptions = {}): TopRows[] {
    const prepared = this.#prepare(queries);
    if (options.exact === false) return this.#kernels.quantizedTopKMany(this.#quantized(), this.vectors, this.width, prepared, k, options);
    return this.#kernels.scanTopKMany(this.vectors, this.width, prepared, k, options.mask);
  }

  /** Frees the memory; later calls throw RECLOOM_KRN_CLOSED. May be repeated. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#release();
  }

  #prepare(queries: Float32Array): Float32Array {
    return this.normalize ? this.#kernels.normalizeRows(queries.slice(), this.width) : queries;
  }

  #quantized(): QuantizedRows {
    return { codes: this.#codes, scales: this.#scales, stride: this.#stride };
  }

  #store(row: number, vectors: Float32Array): void {
    const { width } = this;
    const count = vectors.length / width;
    const target = this.#vectors.subarray(row * width, (row + count) * width);
    target.set(vectors);
    if (count === 0) return;
    if (this.normalize) this.#kernels.normalizeRows(target, width);
    this.#kernels.quantizeRows(target, width, this.#quantized(), row);
  }

  #reserve(rows: number): void {
    if (rows <= this.#capacity) return;
    const capacity = quantizedCapacity(Math.max(rows, this.#capacity * 2));
    const kernels = this.#kernels;
    const vectors = kernels.float32(capacity * this.width);
    const codes = kernels.int8(capacity * this.#stride);
    const scales = kernels.float32(capacity);
    vectors.set(this.#vectors);
    codes.set(this.#codes);
    scales.set(this.#scales);
    this.#release();
    this.#vectors = vectors;
    this.#codes = codes;
    this.#scales = scales;
    this.#capacity = capacity;
  }

  #release(): void {
    this.#kernels.free(this.#vectors);
    this.#kernels.free(this.#codes);
    this.#kernels.free(this.#scales);
  }

  #requireOpen(): void {
    if (this.#disposed) throw new KernelError('RECLOOM_KRN_CLOSED', 'The vector index was disposed.');
  }
}
