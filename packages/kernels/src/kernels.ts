import { KernelError, requireShape } from './kernel-error.js';
import { batchWorkspaceBytes, type KernelTable, quantizedBatchBytes, selectionBytes } from './kernel-table.js';
import { compileModule, instantiateModule } from './load-module.js';
import { type KernelArray, KernelMemory, type MemoryHandle } from './memory.js';
import type { Plan } from './plan.js';
import type { SparseMatrix } from './sparse-matrix.js';
import { createTwin } from './twin/create-twin.js';

export type Implementation = 'wasm' | 'typescript';

export interface KernelsOptions {
  /** `auto` (the default) takes WebAssembly where SIMD and shared memory work, else TypeScript. */
  readonly implementation?: 'auto' | Implementation;
  /** Most bytes the memory may grow to (default and ceiling: just below 4 GiB). Only touched bytes cost memory. */
  readonly maximumBytes?: number;
}

/** Rows with their scores, best first; equal scores by ascending row. Both arrays are the caller's. */
export interface TopRows {
  readonly rows: Int32Array;
  readonly scores: Float32Array;
}

/** Rows quantised to int8, each with its own scale: value is about code * scale. */
export interface QuantizedRows {
  /**
   * Codes from -127 to 127 of rowCount rounded up to a multiple of 4 rows, in groups of four rows as
   * `KernelTable.quantizeRows` describes.
   */
  readonly codes: Int8Array;
  /** One scale per row, as many as `codes` has rows; NaN: not finite, so never selected. */
  readonly scales: Float32Array;
  /** Codes per row: the width rounded up to a multiple of 16. */
  readonly stride: number;
}

/** One page below 4 GiB, so that the address after the last byte does not wrap around to 0. */
const maximumWasmBytes = 65_535 * 65_536;

/** What a worker thread needs to work in the same memory. */
export interface KernelsHandle {
  readonly implementation: Implementation;
  readonly memory: MemoryHandle;
  readonly module: object | undefined;
}

/**
 * Makes an instance with a memory of its own; nothing is shared between instances.
 * @throws RECLOOM_KRN_UNAVAILABLE when `wasm` was demanded and cannot be had.
 * @throws RECLOOM_KRN_OUT_OF_MEMORY when no memory can be reserved.
 */
export function createKernels(options: KernelsOptions = {}): Kernels {
  const { implementation = 'auto', maximumBytes = maximumWasmBytes } = options;
  const limit = Math.min(maximumBytes, maximumWasmBytes);
  if (implementation !== 'typescript') {
    try {
      const module = compileModule();
      const memory = new KernelMemory('wasm', limit);
      return new Kernels('wasm', memory, instantiateModule(module, memory.handle), module);
    } catch (error) {
      if (implementation === 'wasm') throw error;
    }
  }
  const memory = new KernelMemory('plain', limit);
  return new Kernels(
    'typescript',
    memory,
    createTwin(() => memory.buffer),
    undefined,
  );
}

/**
 * Numeric kernels over one memory. Arrays made by `float32(n)` and its siblings are resident: kernels
 * use them in place. Any other typed array is copied in (and out) by each call. Results are ordinary
 * arrays owned by the caller, unless an `output` is passed. Not thread-safe: one thread owns it.
 */
export class Kernels {
  readonly implementation: Implementation;
  /** The pointer-level kernels, for plans and measurements; shapes are not checked there. */
  readonly table: KernelTable;
  readonly memory: KernelMemory;
  readonly #module: object | undefined;

  /** Use `createKernels`. */
  constructor(implementation: Implementation, memory: KernelMemory, table: KernelTable, module: object | undefined) {
    this.implementation = implementation;
    this.memory = memory;
    this.table = table;
    this.#module = module;
  }

  get handle(): KernelsHandle {
    return { implementation: this.implementation, memory: this.memory.handle, module: this.#module };
  }

  /** Bytes of resident arrays that were not freed yet. */
  get bytesInUse(): number {
    return this.memory.bytesInUse;
  }

  /** A zeroed resident array; valid until `free`. @throws RECLOOM_KRN_OUT_OF_MEMORY */
  float32(length: number): Float32Array {
    const address = this.#allocate(length * 4);
    return new Float32Array(this.memory.buffer, address, length);
  }

  /** A zeroed resident array; valid until `free`. @throws RECLOOM_KRN_OUT_OF_MEMORY */
  float64(length: number): Float64Array {
    const address = this.#allocate(length * 8);
    return new Float64Array(this.memory.buffer, address, length);
  }

  /** A zeroed resident array; valid until `free`. @throws RECLOOM_KRN_OUT_OF_MEMORY */
  int32(length: number): Int32Array {
    const address = this.#allocate(length * 4);
    return new Int32Array(this.memory.buffer, address, length);
  }

  /** A zeroed resident array; valid until `free`. @throws RECLOOM_KRN_OUT_OF_MEMORY */
  uint32(length: number): Uint32Array {
    const address = this.#allocate(length * 4);
    return new Uint32Array(this.memory.buffer, address, length);
  }

  /** A zeroed resident array; valid until `free`. @throws RECLOOM_KRN_OUT_OF_MEMORY */
  int8(length: number): Int8Array {
    const address = this.#allocate(length);
    return new Int8Array(this.memory.buffer, address, length);
  }

  /** A zeroed resident array; valid until `free`. @throws RECLOOM_KRN_OUT_OF_MEMORY */
  uint8(length: number): Uint8Array {
    const address = this.#allocate(length);
    return new Uint8Array(this.memory.buffer, address, length);
  }

  #allocate(bytes: number): number {
    requireShape(Number.isSafeInteger(bytes) && bytes >= 0, () => `An array cannot have ${bytes} bytes.`);
    return this.memory.allocate(bytes, true);
  }

  /** True when kernels use the array in place. */
  isResident(array: KernelArray): boolean {
    return this.memory.isResident(array);
  }

  /** A resident copy of a float array (to `free` when done). @throws RECLOOM_KRN_OUT_OF_MEMORY */
  keepFloat32(array: Float32Array): Float32Array {
    const copy = this.float32(array.length);
    copy.set(array);
    return copy;
  }

  /** A resident copy of an integer array (to `free` when done). @throws RECLOOM_KRN_OUT_OF_MEMORY */
  keepInt32(array: Int32Array): Int32Array {
    const copy = this.int32(array.length);
    copy.set(array);
    return copy;
  }

  /** A resident copy of a sparse matrix (to `freeSparse` when done). @throws RECLOOM_KRN_OUT_OF_MEMORY */
  keepSparse(matrix: SparseMatrix): SparseMatrix {
    return {
      rowCount: matrix.rowCount,
      columnCount: matrix.columnCount,
      rowOffsets: this.keepInt32(matrix.rowOffsets),
      columnIndices: this.keepInt32(matrix.columnIndices),
      values: matrix.values === undefined ? undefined : this.keepFloat32(matrix.values),
    };
  }

  /** Gives a resident array's memory back; the view must not be used again. Others are ignored. */
  free(array: KernelArray | undefined): void {
    if (array !== undefined && this.memory.isResident(array)) this.memory.release(array.byteOffset);
  }

  /** Frees the three arrays of a resident sparse matrix. */
  freeSparse(matrix: SparseMatrix): void {
    this.free(matrix.rowOffsets);
    this.free(matrix.columnIndices);
    this.free(matrix.values);
  }

  /** Dot product of two vectors of one length. @throws RECLOOM_KRN_SHAPE */
  dot(left: Float32Array, right: Float32Array): number {
    requireShape(left.length === right.length, () => `Vectors of ${left.length} and ${right.length} have no dot product.`);
    const mark = this.memory.markScratch();
    try {
      return this.table.dot(this.#input(left), this.#input(right), left.length);
    } finally {
      this.memory.resetScratch(mark);
    }
  }

  /** Dot product of two sparse vectors with strictly ascending indices. @throws RECLOOM_KRN_SHAPE */
  sparseDot(leftIndices: Int32Array, leftValues: Float32Array, rightIndices: Int32Array, rightValues: Float32Array): number {
    requireShape(leftIndices.length === leftValues.length, 'Left indices and values differ in length.');
    requireShape(rightIndices.length === rightValues.length, 'Right indices and values differ in length.');
    const mark = this.memory.markScratch();
    try {
      return this.table.sparseDot(
        this.#input(leftIndices),
        this.#input(leftValues),
        leftIndices.length,
        this.#input(rightIndices),
        this.#input(rightValues),
        rightIndices.length,
      );
    } finally {
      this.memory.resetScratch(mark);
    }
  }

  /** Dot product of a sparse vector with a dense one. @throws RECLOOM_KRN_SHAPE */
  sparseDenseDot(indices: Int32Array, values: Float32Array, dense: Float32Array): number {
    requireShape(indices.length === values.length, 'Indices and values differ in length.');
    requireRows(indices, dense.length);
    const mark = this.memory.markScratch();
    try {
      return this.table.sparseDenseDot(this.#input(indices), this.#input(values), indices.length, this.#input(dense));
    } finally {
      this.memory.resetScratch(mark);
    }
  }

  /** Dot product of every matrix row with a vector: rowCount scores. @throws RECLOOM_KRN_SHAPE */
  multiplyRows(matrix: Float32Array, width: number, vector: Float32Array, output?: Float32Array): Float32Array {
    const rowCount = rowsOf(matrix, width);
    requireShape(vector.length === width, () => `The vector has ${vector.length} values, not ${width}.`);
    const result = requireOutput(output, rowCount);
    return this.#write(result, (to) => {
      this.table.multiplyRows(this.#input(matrix), rowCount, width, this.#input(vector), to);
    });
  }

  /**
   * Columns of equal length side by side as rows (`output`: rows × columns), with `missing` for what is not a number.
   * @throws RECLOOM_KRN_SHAPE
   */
  interleaveColumns(columns: readonly Float32Array[], missing: number, output: Float32Array): Float32Array {
    return this.#fromColumns(columns, output, output.length / columns.length, (from, count, to) => {
      this.table.interleaveColumns(from, count, columns.length, missing, to);
    });
  }

  /**
   * Sum of weights[c] * columns[c], row by row, with `missing` for what is not a number: one value per row, as many as
   * `output` has. Added in float32, in the order of the columns. @throws RECLOOM_KRN_SHAPE
   */
  combineColumns(columns: readonly Float32Array[], weights: Float32Array, missing: number, output: Float32Array): Float32Array {
    requireShape(columns.length === weights.length, () => `There are ${weights.length} weights for ${columns.length} columns.`);
    return this.#fromColumns(columns, output, output.length, (from, count, to) => {
      this.table.combineColumns(from, count, columns.length, this.#input(weights), missing, to);
    });
  }

  /** The listed rows of a matrix, in list order. @throws RECLOOM_KRN_SHAPE */
  gatherRows(matrix: Float32Array, width: number, rows: Int32Array, output?: Float32Array): Float32Array {
    requireRows(rows, rowsOf(matrix, width));
    const result = requireOutput(output, rows.length * width);
    if (!this.isResident(matrix)) {
      copyRows(matrix, width, rows, result);
      return result;
    }
    return this.#write(result, (to) => {
      this.table.gatherRows(this.#input(matrix), width, this.#input(rows), rows.length, to);
    });
  }

  /** Dot product of the listed rows with a vector, in list order. @throws RECLOOM_KRN_SHAPE */
  gatherDot(matrix: Float32Array, width: number, rows: Int32Array, vector: Float32Array, output?: Float32Array): Float32Array {
    requireRows(rows, rowsOf(matrix, width));
    requireShape(vector.length === width, () => `The vector has ${vector.length} values, not ${width}.`);
    const result = requireOutput(output, rows.length);
    if (!this.isResident(matrix)) {
      const gathered = copyRows(matrix, width, rows, new Float32Array(rows.length * width));
      return this.multiplyRows(gathered, width, vector, result);
    }
    return this.#write(result, (to) => {
      this.table.gatherDot(this.#input(matrix), width, this.#input(rows), rows.length, this.#input(vector), to);
    });
  }

  /**
   * Adds weights[i] * matrix row rows[i] to `output` (width values) for all i, in list order; weights
   * absent: 1. Returns `output`. @throws RECLOOM_KRN_SHAPE
   */
  accumulateRows(output: Float32Array, matrix: Float32Array, rows: Int32Array, weights?: Float32Array): Float32Array {
    const width = output.length;
    requireRows(rows, rowsOf(matrix, width));
    requireShape(weights === undefined || weights.length === rows.length, 'There must be one weight per row.');
    const resident = this.isResident(matrix);
    const source = resident ? matrix : copyRows(matrix, width, rows, new Float32Array(rows.length * width));
    const list = resident ? rows : rows.map((_, index) => index);
    return this.#update(output, (to) => {
      this.table.accumulateRows(to, this.#input(source), width, this.#input(list), this.#input(weights), rows.length);
    });
  }

  /**
   * Adds weights[i] * sparse row rows[i] to the dense `output` (columnCount values) for all i, in list
   * order; weights absent: 1. Returns `output`. @throws RECLOOM_KRN_SHAPE
   */
  accumulateSparseRows(output: Float32Array, matrix: SparseMatrix, rows: Int32Array, weights?: Float32Array): Float32Array {
    requireShape(output.length === matrix.columnCount, () => `The output has ${output.length} values, not ${matrix.columnCount}.`);
    requireRows(rows, matrix.rowCount);
    requireShape(weights === undefined || weights.length === rows.length, 'There must be one weight per row.');
    if (!this.isResident(matrix.columnIndices) || !this.isResident(matrix.rowOffsets)) {
      addSparseRows(output, matrix, rows, weights);
      return output;
    }
    return this.#update(output, (to) => {
      this.table.accumulateSparseRows(
        to,
        this.#input(matrix.rowOffsets),
        this.#input(matrix.columnIndices),
        this.#input(matrix.values),
        this.#input(rows),
        this.#input(weights),
        rows.length,
      );
    });
  }

  /** Scales each row to Euclidean length 1 in place; non-finite rows, and rows shorter than 1e-15, whose float32 squares have lost their digits, become zero. */
  normalizeRows(matrix: Float32Array, width: number): Float32Array {
    const rowCount = rowsOf(matrix, width);
    return this.#update(matrix, (to) => {
      this.table.normalizeRows(to, rowCount, width);
    });
  }

  /**
   * The `k` highest scores. Rows whose mask is 0 and scores that are not finite are never selected;
   * ties go to the lower row. @throws RECLOOM_KRN_SHAPE
   */
  topK(scores: Float32Array, k: number, mask?: Uint8Array): TopRows {
    requireMask(mask, scores.length);
    return this.#select(k, scores.length, (kept, rows, values, workspace) =>
      this.table.topK(this.#input(scores), scores.length, kept, this.#input(mask), rows, values, workspace),
    );
  }

  /**
   * `topK` over the rows whose score is above their floor, one floor per score; a floor that is not a number lets nothing
   * pass. @throws RECLOOM_KRN_SHAPE
   */
  topKAbove(scores: Float32Array, floors: Float32Array, k: number, mask?: Uint8Array): TopRows {
    requireShape(floors.length === scores.length, () => `There are ${floors.length} floors for ${scores.length} scores.`);
    requireMask(mask, scores.length);
    return this.#select(k, scores.length, (kept, rows, values, workspace) =>
      this.table.topKAbove(this.#input(scores), this.#input(floors), scores.length, kept, this.#input(mask), rows, values, workspace),
    );
  }

  /**
   * The `k` rows of a matrix with the highest dot product with the query, exactly: one sequential
   * float32 pass. Mask and ties as in `topK`. @throws RECLOOM_KRN_SHAPE
   */
  scanTopK(matrix: Float32Array, width: number, query: Float32Array, k: number, mask?: Uint8Array): TopRows {
    const rowCount = rowsOf(matrix, width);
    requireShape(query.length === width, () => `The query has ${query.length} values, not ${width}.`);
    requireMask(mask, rowCount);
    return this.#select(k, rowCount, (kept, rows, values, workspace) =>
      this.table.scanTopK(this.#input(matrix), rowCount, width, this.#input(query), kept, this.#input(mask), rows, values, workspace),
    );
  }

  /**
   * `scanTopK` for several consecutive queries in one pass over the matrix; one answer per query.
   * @throws RECLOOM_KRN_SHAPE
   */
  scanTopKMany(matrix: Float32Array, width: number, queries: Float32Array, k: number, mask?: Uint8Array): TopRows[] {
    const rowCount = rowsOf(matrix, width);
    const queryCount = rowsOf(queries, width);
    requireMask(mask, rowCount);
    const kept = requireK(k, rowCount);
    if (kept === 0 || queryCount === 0) {
      return Array.from({ length: queryCount }, () => ({ rows: new Int32Array(0), scores: new Float32Array(0) }));
    }
    const memory = this.memory;
    const mark = memory.markScratch();
    try {
      const rows = memory.takeScratch(queryCount * kept * 4);
      const scores = memory.takeScratch(queryCount * kept * 4);
      const counts = memory.takeScratch(queryCount * 4);
      const workspace = memory.takeScratch(batchWorkspaceBytes(width, queryCount, kept));
      this.table.scanTopKMany(
        this.#input(matrix),
        rowCount,
        width,
        this.#input(queries),
        queryCount,
        kept,
        this.#input(mask),
        rows,
        scores,
        counts,
        workspace,
      );
      const countView = new Int32Array(memory.buffer, counts, queryCount);
      return Array.from(countView, (count, query) => ({
        rows: new Int32Array(memory.buffer, rows + query * kept * 4, count).slice(),
        scores: new Float32Array(memory.buffer, scores + query * kept * 4, count).slice(),
      }));
    } finally {
      memory.resetScratch(mark);
    }
  }

  /**
   * Quantises rows to int8 (symmetric, one scale per row) for `quantizedTopK`. With `output` the rows
   * are stored there from row `firstRow` on (resident arrays in place). @throws RECLOOM_KRN_SHAPE
   */
  quantizeRows(matrix: Float32Array, width: number, output?: QuantizedRows, firstRow = 0): QuantizedRows {
    const rowCount = rowsOf(matrix, width);
    const stride = quantizedStride(width);
    const capacity = quantizedCapacity(firstRow + rowCount);
    const result = output ?? {
      codes: new Int8Array(capacity * stride),
      scales: new Float32Array(capacity),
      stride,
    };
    requireShape(
      result.stride === stride && result.codes.length >= capacity * stride && result.scales.length >= capacity,
      'The quantised output does not fit the matrix.',
    );
    if (rowCount === 0) return result;
    this.#update(result.codes, (codes) => {
      this.#update(result.scales, (scales) => {
        this.table.quantizeRows(this.#input(matrix), firstRow, rowCount, width, stride, codes, scales);
      });
    });
    return result;
  }

  /**
   * The `k` best rows by an int8 pass that proposes `candidates` rows (default 2k + 64) and an exact
   * float32 re-ranking of those; scores are exact dot products. Mask and ties as in `topK`.
   * @throws RECLOOM_KRN_SHAPE
   */
  quantizedTopK(
    quantized: QuantizedRows,
    matrix: Float32Array,
    width: number,
    query: Float32Array,
    k: number,
    options: { readonly mask?: Uint8Array | undefined; readonly candidates?: number | undefined } = {},
  ): TopRows {
    const rowCount = rowsOf(matrix, width);
    const { stride } = quantized;
    requireShape(query.length === width, () => `The query has ${query.length} values, not ${width}.`);
    requireQuantized(quantized, rowCount, width);
    requireMask(options.mask, rowCount);
    const memory = this.memory;
    return this.#select(k, rowCount, (kept, rows, scores, workspace) => {
      const proposed = Math.min(rowCount, Math.max(kept, options.candidates ?? 2 * kept + 64));
      const queryCodes = memory.takeScratch(stride * 2);
      const queryScale = quantizeQuery(query, new Int16Array(memory.buffer, queryCodes, stride));
      const candidateRows = memory.takeScratch(proposed * 4);
      const candidateScores = memory.takeScratch(proposed * 4);
      const found = this.table.quantizedTopK(
        this.#input(quantized.codes),
        this.#input(quantized.scales),
        rowCount,
        stride,
        queryCodes,
        queryScale,
        proposed,
        this.#input(options.mask),
        candidateRows,
        candidateScores,
        memory.takeScratch(selectionBytes(proposed)),
      );
      // The rows that the int8 pass proposed, re-ranked by their exact score.
      return this.table.rerankTopK(this.#input(matrix), width, this.#input(query), candidateRows, found, kept, rows, scores, workspace);
    });
  }

  /**
   * `quantizedTopK` for several consecutive queries in one pass over the codes: for each query the rows and scores that it
   * would get alone. @throws RECLOOM_KRN_SHAPE
   */
  quantizedTopKMany(
    quantized: QuantizedRows,
    matrix: Float32Array,
    width: number,
    queries: Float32Array,
    k: number,
    options: { readonly mask?: Uint8Array | undefined; readonly candidates?: number | undefined } = {},
  ): TopRows[] {
    const rowCount = rowsOf(matrix, width);
    const queryCount = rowsOf(queries, width);
    const { stride } = quantized;
    requireQuantized(quantized, rowCount, width);
    requireMask(options.mask, rowCount);
    const kept = requireK(k, rowCount);
    if (kept === 0 || queryCount === 0) {
      return Array.from({ length: queryCount }, () => ({ rows: new Int32Array(0), scores: new Float32Array(0) }));
    }
    const memory = this.memory;
    const mark = memory.markScratch();
    try {
      const proposed = Math.min(rowCount, Math.max(kept, options.candidates ?? 2 * kept + 64));
      const queryCodes = memory.takeScratch(queryCount * stride * 2);
      const queryScales = memory.takeScratch(queryCount * 4);
      const candidateRows = memory.takeScratch(queryCount * proposed * 4);
      const candidateScores = memory.takeScratch(queryCount * proposed * 4);
      const counts = memory.takeScratch(queryCount * 4);
      const rows = memory.takeScratch(kept * 4);
      const scores = memory.takeScratch(kept * 4);
      const state = memory.takeScratch(selectionBytes(kept));
      const matrixAt = this.#input(matrix);
      const queriesAt = this.#input(queries);
      const workspace = memory.takeScratch(quantizedBatchBytes(stride, queryCount, proposed));
      for (let query = 0; query < queryCount; query++) {
        const codes = new Int16Array(memory.buffer, queryCodes + query * stride * 2, stride);
        const scale = quantizeQuery(queries.subarray(query * width, (query + 1) * width), codes);
        new Float32Array(memory.buffer, queryScales, queryCount)[query] = scale;
      }
      this.table.quantizedTopKMany(
        this.#input(quantized.codes),
        this.#input(quantized.scales),
        rowCount,
        stride,
        queryCodes,
        queryScales,
        queryCount,
        proposed,
        this.#input(options.mask),
        candidateRows,
        candidateScores,
        counts,
        workspace,
      );
      return Array.from(new Int32Array(memory.buffer, counts, queryCount).slice(), (found, query) => {
        const from = candidateRows + query * proposed * 4;
        const count = this.table.rerankTopK(matrixAt, width, queriesAt + query * width * 4, from, found, kept, rows, scores, state);
        return {
          rows: new Int32Array(memory.buffer, rows, count).slice(),
          scores: new Float32Array(memory.buffer, scores, count).slice(),
        };
      });
    } finally {
      memory.resetScratch(mark);
    }
  }

  /**
   * Solves L L^T x = b for each consecutive right-hand side, given the lower Cholesky factor L
   * (size x size). Returns new solutions. @throws RECLOOM_KRN_SHAPE
   */
  choleskySolve(factor: Float32Array, size: number, rightHandSides: Float32Array): Float32Array {
    requireShape(factor.length === size * size, () => `The factor has ${factor.length} values, not ${size * size}.`);
    const count = size === 0 ? 0 : rowsOf(rightHandSides, size);
    const result = rightHandSides.slice();
    return this.#update(result, (to) => {
      this.table.choleskySolve(this.#input(factor), size, size, to, count);
    });
  }

  /** Runs a plan on this thread, to its end. */
  runPlan<Result>(plan: Plan<Result>): Result {
    let step = plan.next();
    while (step.done !== true) {
      const answers: number[] = [];
      try {
        for (const task of step.value) {
          const parameters = typeof task.parameters === 'function' ? task.parameters(0) : task.parameters;
          answers.push((this.table[task.kernel] as (...parameters: readonly number[]) => number)(...parameters));
        }
      } catch (error) {
        plan.throw(asKernelError(error));
        throw asKernelError(error);
      }
      step = plan.next(answers);
    }
    return step.value;
  }

  #select(k: number, rowCount: number, select: (k: number, rows: number, scores: number, workspace: number) => number): TopRows {
    const kept = requireK(k, rowCount);
    if (kept === 0) return { rows: new Int32Array(0), scores: new Float32Array(0) };
    const memory = this.memory;
    const mark = memory.markScratch();
    try {
      const rows = memory.takeScratch(kept * 4);
      const scores = memory.takeScratch(kept * 4);
      const workspace = memory.takeScratch(selectionBytes(kept));
      const count = select(kept, rows, scores, workspace);
      return {
        rows: new Int32Array(memory.buffer, rows, count).slice(),
        scores: new Float32Array(memory.buffer, scores, count).slice(),
      };
    } finally {
      memory.resetScratch(mark);
    }
  }

  /** Lays columns one after the other, and runs a kernel on them that overwrites `output`. */
  #fromColumns(
    columns: readonly Float32Array[],
    output: Float32Array,
    count: number,
    run: (columns: number, count: number, output: number) => void,
  ): Float32Array {
    requireShape(
      columns.length > 0 && Number.isInteger(count),
      () => `The output has ${output.length} values for ${columns.length} columns.`,
    );
    for (const column of columns) {
      requireShape(column.length === count, () => `A column has ${column.length} values, not ${count}.`);
    }
    return this.#write(output, (to) => {
      const { memory } = this;
      const address = memory.takeScratch(columns.length * count * 4);
      const all = new Float32Array(memory.buffer, address, columns.length * count);
      for (let index = 0, place = 0; index < columns.length; index++, place += count) all.set(columns[index] as Float32Array, place);
      run(address, count, to);
    });
  }

  #input(array: KernelArray | undefined): number {
    if (array === undefined) return 0;
    const memory = this.memory;
    if (memory.isResident(array)) return array.byteOffset;
    const address = memory.takeScratch(array.byteLength);
    copyInto(memory.buffer, address, array);
    return address;
  }

  /** Runs a kernel that overwrites `array` completely. */
  #write<Output extends KernelArray>(array: Output, run: (address: number) => void): Output {
    return this.#output(array, false, run);
  }

  /** Runs a kernel that changes `array`. */
  #update<Output extends KernelArray>(array: Output, run: (address: number) => void): Output {
    return this.#output(array, true, run);
  }

  #output<Output extends KernelArray>(array: Output, copyIn: boolean, run: (address: number) => void): Output {
    const memory = this.memory;
    const mark = memory.markScratch();
    try {
      if (memory.isResident(array)) {
        run(array.byteOffset);
        return array;
      }
      const address = memory.takeScratch(array.byteLength);
      if (copyIn) copyInto(memory.buffer, address, array);
      run(address);
      bytesOf(array).set(new Uint8Array(memory.buffer, address, array.byteLength));
      return array;
    } finally {
      memory.resetScratch(mark);
    }
  }
}

function bytesOf(array: KernelArray): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function copyInto(buffer: SharedArrayBuffer, address: number, array: KernelArray): void {
  new Uint8Array(buffer, address, array.byteLength).set(bytesOf(array));
}

function rowsOf(matrix: Float32Array, width: number): number {
  requireShape(Number.isInteger(width) && width > 0, () => `The width ${width} is not a positive whole number.`);
  requireShape(matrix.length % width === 0, () => `${matrix.length} values are no whole number of rows of ${width}.`);
  return matrix.length / width;
}

function requireK(k: number, available: number): number {
  requireShape(Number.isInteger(k) && k >= 0, () => `k is ${k}, not a whole number of at least 0.`);
  return Math.min(k, available);
}

function requireQuantized({ codes, scales, stride }: QuantizedRows, rowCount: number, width: number): void {
  const capacity = quantizedCapacity(rowCount);
  requireShape(
    stride === quantizedStride(width) && codes.length >= capacity * stride && scales.length >= capacity,
    'The quantised rows do not belong to this matrix.',
  );
}

function requireMask(mask: Uint8Array | undefined, rowCount: number): void {
  requireShape(mask === undefined || mask.length === rowCount, () => `The mask has ${mask?.length} values for ${rowCount} rows.`);
}

function requireOutput(output: Float32Array | undefined, length: number): Float32Array {
  requireShape(output === undefined || output.length === length, () => `The output has ${output?.length} values, not ${length}.`);
  return output ?? new Float32Array(length);
}

function requireRows(rows: Int32Array, bound: number): void {
  for (let index = 0; index < rows.length; index++) {
    if ((rows[index] as number) >>> 0 >= bound) requireShape(false, `Row ${rows[index]} is not below ${bound}.`);
  }
}

/** The listed rows only: copying a whole matrix in would cost more than the work itself. */
function copyRows(matrix: Float32Array, width: number, rows: Int32Array, output: Float32Array): Float32Array {
  for (let index = 0; index < rows.length; index++) {
    const row = rows[index] as number;
    output.set(matrix.subarray(row * width, (row + 1) * width), index * width);
  }
  return output;
}

function addSparseRows(output: Float32Array, matrix: SparseMatrix, rows: Int32Array, weights: Float32Array | undefined): void {
  const { rowOffsets, columnIndices, values } = matrix;
  for (let index = 0; index < rows.length; index++) {
    const row = rows[index] as number;
    const weight = weights === undefined ? 1 : (weights[index] as number);
    const end = rowOffsets[row + 1] as number;
    for (let entry = rowOffsets[row] as number; entry < end; entry++) {
      const column = columnIndices[entry] as number;
      const value = values === undefined ? 1 : (values[entry] as number);
      output[column] = (output[column] as number) + Math.fround(weight * value);
    }
  }
}

/** Codes per quantised row. */
export function quantizedStride(width: number): number {
  return Math.ceil(width / 16) * 16;
}

/** Rows for which quantised codes and scales have room. */
export function quantizedCapacity(rowCount: number): number {
  return Math.ceil(rowCount / 4) * 4;
}

/**
 * Quantises a query to int16, as finely as the 32-bit sums of the kernel allow; returns its scale.
 * Codes of a query that is not finite are zero with a NaN scale, so that nothing is selected.
 */
export function quantizeQuery(query: Float32Array, codes: Int16Array): number {
  let largest = 0;
  for (let index = 0; index < query.length; index++) {
    const magnitude = Math.abs(query[index] as number);
    if (!(magnitude <= largest)) largest = magnitude;
  }
  codes.fill(0);
  if (!Number.isFinite(largest)) return Number.NaN;
  if (largest === 0) return 0;
  const range = Math.min(32_767, Math.floor(2_147_483_647 / (127 * codes.length)));
  const factor = range / largest;
  for (let index = 0; index < query.length; index++) {
    codes[index] = Math.round((query[index] as number) * factor);
  }
  return largest / range;
}

/** Wraps what a kernel threw; a trap is a defect of ours or memory corruption, never retryable. */
export function asKernelError(error: unknown): unknown {
  if (error instanceof KernelError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new KernelError('RECLOOM_KRN_TRAP', `A kernel stopped abnormally: ${message}.`, {
    hint: 'Report this with the shapes of the arguments.',
    cause: error,
  });
}
