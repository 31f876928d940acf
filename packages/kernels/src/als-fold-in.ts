import { type AlsObjective, alsRegularization, alsStride, requireObjective } from './alternating-least-squares.js';
import { perform, type WorkOptions } from './compute.js';
import { KernelError, requireShape } from './kernel-error.js';
import { alsBasisBytes, alsWorkspaceBytes } from './kernel-table.js';
import { asKernelError, type Kernels, type TopRows } from './kernels.js';
import { type Plan, splitRows, type Task } from './plan.js';
import { Staging } from './staging.js';

/** Factors in the basis in which their Gram matrix is diagonal: every score and every distance is what it was. */
export interface DiagonalFactors {
  /** As many rows as there were, `width` values each. */
  readonly factors: Float32Array;
  /** The diagonal of the Gram matrix, `width` values of at least 0. */
  readonly spectrum: Float32Array;
}

const gramTasks = 32;

/**
 * Rotates factors (rows of `width`) into the basis in which their Gram matrix is diagonal, so that a fold-in costs
 * nothing of the order width^2.
 * @throws RECLOOM_KRN_NOT_POSITIVE_DEFINITE when a factor is not finite, RECLOOM_KRN_SHAPE, RECLOOM_KRN_OUT_OF_MEMORY
 */
export function diagonalizeFactors(factors: Float32Array, width: number, options: WorkOptions = {}): Promise<DiagonalFactors> {
  return perform(options, (kernels) => diagonalPlan(kernels, factors, width));
}

/** `diagonalizeFactors` on this thread. */
export function diagonalizeFactorsNow(kernels: Kernels, factors: Float32Array, width: number): DiagonalFactors {
  return kernels.runPlan(diagonalPlan(kernels, factors, width));
}

function* diagonalPlan(kernels: Kernels, factors: Float32Array, width: number): Plan<DiagonalFactors> {
  requireShape(Number.isInteger(width) && width > 0, () => `The width ${width} is not a positive whole number.`);
  requireShape(factors.length % width === 0, () => `${factors.length} values are no whole number of rows of ${width}.`);
  const count = factors.length / width;
  const stride = alsStride(width);
  const square = stride * stride * 4;
  const staging = new Staging(kernels);
  try {
    const from = staging.take(count * stride * 4, true);
    const to = staging.take(count * stride * 4);
    const padded = new Float32Array(kernels.memory.buffer, from, count * stride);
    for (let row = 0; row < count; row++) padded.set(factors.subarray(row * width, (row + 1) * width), row * stride);
    const ranges = splitRows(count, Math.max(1, Math.min(gramTasks, count >>> 10)), 1, (row) => row);
    const parts = staging.take(Math.max(1, ranges.length) * square);
    const [into, base] = [staging.take(square), staging.take(stride * 4)];
    yield ranges.map(
      ([begin, end], place): Task => ({ kernel: 'alsGramRows', parameters: [from, stride, begin, end, parts + place * square] }),
    );
    const [failure] = yield [
      {
        kernel: 'alsBasis',
        parameters: [parts, ranges.length, width, stride, 1, 0, 1, staging.take(alsBasisBytes(width)), into, base, 0, 0],
      },
    ];
    if (failure !== 0) {
      throw new KernelError('RECLOOM_KRN_NOT_POSITIVE_DEFINITE', 'The factors are not finite.', { hint: 'Raise the regularisation.' });
    }
    yield ranges.map(([begin, end]): Task => ({ kernel: 'alsTransformRows', parameters: [from, stride, into, 0, begin, end, to] }));
    const turned = new Float32Array(kernels.memory.buffer, to, count * stride);
    const result = new Float32Array(count * width);
    for (let row = 0; row < count; row++) result.set(turned.subarray(row * stride, row * stride + width), row * width);
    return { factors: result, spectrum: new Float32Array(kernels.memory.buffer, base, width).slice() };
  } finally {
    staging.free();
  }
}

/** A fold-in's relative error; a request's one system costs little. */
const foldInTolerance = 1e-5;
const foldInSteps = 128;

/**
 * Factors of people who were not there at the fit, or have done something since: the system of alternating least squares
 * for one row, and scores with its solution. Free it with `dispose`. Not thread-safe: one thread owns it.
 */
export class AlsFoldIn {
  readonly rowCount: number;
  readonly width: number;
  readonly #kernels: Kernels;
  readonly #objective: AlsObjective;
  readonly #stride: number;
  readonly #factors: Float32Array;
  readonly #base: Float32Array;
  /** The solution of the last `solve`, padded. */
  readonly #solution: Float32Array;
  #disposed = false;

  /** `source` comes from `diagonalizeFactors` and is copied. @throws RECLOOM_KRN_SHAPE, RECLOOM_KRN_OUT_OF_MEMORY */
  constructor(kernels: Kernels, source: DiagonalFactors, objective: AlsObjective) {
    requireObjective(objective);
    const width = source.spectrum.length;
    requireShape(width > 0 && source.factors.length % width === 0, 'The factors are no whole number of rows.');
    this.#kernels = kernels;
    this.#objective = objective;
    this.width = width;
    this.rowCount = source.factors.length / width;
    this.#stride = alsStride(width);
    this.#factors = kernels.float32(this.rowCount * this.#stride);
    for (let row = 0; row < this.rowCount; row++) {
      this.#factors.set(source.factors.subarray(row * width, (row + 1) * width), row * this.#stride);
    }
    this.#base = kernels.float32(this.#stride).fill(1);
    for (let index = 0; index < width; index++) this.#base[index] = objective.unobservedWeight * (source.spectrum[index] as number);
    this.#solution = kernels.float32(this.#stride);
  }

  /**
   * Solves for the entries `rows` (different rows of the factors) with their `values`, as the fit does, to 1e-5. False when
   * there is no finite solution; scores are 0 then.
   * @throws RECLOOM_KRN_SHAPE, RECLOOM_KRN_CLOSED
   */
  solve(rows: Int32Array, values: Float32Array): boolean {
    this.#requireOpen();
    requireShape(rows.length === values.length, 'There must be one value per row.');
    for (const row of rows) if (row >>> 0 >= this.rowCount) requireShape(false, `Row ${row} is not below ${this.rowCount}.`);
    const { memory, table } = this.#kernels;
    const mark = memory.markScratch();
    try {
      const offsets = memory.takeScratch(8);
      const indices = memory.takeScratch(rows.byteLength);
      const weights = memory.takeScratch(values.byteLength);
      const regularization = memory.takeScratch(4);
      const workspace = memory.takeScratch(alsWorkspaceBytes(this.#stride));
      const { buffer } = memory;
      new Int32Array(buffer, offsets, 2).set([0, rows.length]);
      new Int32Array(buffer, indices, rows.length).set(rows);
      new Float32Array(buffer, weights, values.length).set(values);
      new Float32Array(buffer, regularization, 1)[0] = this.regularizationOf(rows.length);
      const steps = table.alsSolveRows(
        offsets,
        indices,
        weights,
        0,
        this.#objective.targetOffset,
        this.#factors.byteOffset,
        this.#stride,
        this.#base.byteOffset,
        regularization,
        foldInTolerance,
        foldInSteps,
        0,
        1,
        workspace,
        this.#solution.byteOffset,
        0,
      );
      if (steps < 0) this.#solution.fill(0);
      return steps >= 0;
    } catch (error) {
      throw asKernelError(error);
    } finally {
      memory.resetScratch(mark);
    }
  }

  /** The regularisation of a system with so many entries. */
  regularizationOf(entries: number): number {
    return alsRegularization(this.#objective, entries, this.rowCount);
  }

  /** The last solution, `width` values; valid until the next `solve`. */
  get solution(): Float32Array {
    return this.#solution.subarray(0, this.width);
  }

  /** One row's factor; read only, valid until `dispose`. */
  factorOf(row: number): Float32Array {
    return this.#factors.subarray(row * this.#stride, row * this.#stride + this.width);
  }

  /** The shared diagonal, `unobservedWeight` times the spectrum; read only. */
  get diagonal(): Float32Array {
    return this.#base.subarray(0, this.width);
  }

  /** Scores of `rows` by the last solution. @throws RECLOOM_KRN_SHAPE, RECLOOM_KRN_CLOSED */
  scores(rows: Int32Array): Float32Array {
    this.#requireOpen();
    return this.#kernels.gatherDot(this.#factors, this.#stride, rows, this.#solution);
  }

  /** The best `limit` rows that `open` allows (one byte per row) by the last solution. @throws RECLOOM_KRN_SHAPE, RECLOOM_KRN_CLOSED */
  best(limit: number, open: Uint8Array): TopRows {
    this.#requireOpen();
    return this.#kernels.scanTopK(this.#factors, this.#stride, this.#solution, limit, open);
  }

  /** Frees the memory; later calls throw RECLOOM_KRN_CLOSED. May be repeated. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const array of [this.#factors, this.#base, this.#solution]) this.#kernels.free(array);
  }

  #requireOpen(): void {
    if (this.#disposed) throw new KernelError('RECLOOM_KRN_CLOSED', 'The fold-in was disposed.');
  }
}
