import { type AlsObjective, alsRegularization, alsStride, requireObjective } from './alternating-least-squares.js';
import { BoundedRows, mostBounded } from './bounded-rows.js';
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
/** Below as many queries, or rows, laying the factors out once more is not worth it. */
const fewestBounded = 8;
const fewestRows = 1024;

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
  /** Those of the last `solveMany`, one after the other, and how many there are. */
  #solutions: Float32Array | undefined;
  #solved = 0;
  /** The factors laid out for many queries, when they were first asked for; null: they cannot be. */
  #bounded: BoundedRows | null | undefined;
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
    const solved = new Uint8Array(1);
    this.#solve(Int32Array.of(0, rows.length), rows, values, this.#solution, solved);
    return solved[0] === 1;
  }

  /**
   * Solves several systems: number s has the entries `[offsets[s], offsets[s + 1])` of `rows` and `values`, and the very
   * solution that `solve` finds. One byte per system, 0 where there is no finite solution (all zeros then). The solutions
   * stay for `scoresOfMany` and `bestOfMany` until the next call.
   * @throws RECLOOM_KRN_SHAPE, RECLOOM_KRN_OUT_OF_MEMORY, RECLOOM_KRN_CLOSED
   */
  solveMany(offsets: Int32Array, rows: Int32Array, values: Float32Array): Uint8Array {
    this.#requireOpen();
    const count = offsets.length - 1;
    requireShape(count >= 0 && offsets[0] === 0 && offsets[count] === rows.length, 'The offsets do not cover the rows.');
    const solved = new Uint8Array(count);
    if (this.#solutions === undefined || this.#solutions.length < count * this.#stride) {
      this.#kernels.free(this.#solutions);
      this.#solutions = undefined;
      this.#solutions = this.#kernels.float32(count * this.#stride);
    }
    this.#solved = count;
    this.#solve(offsets, rows, values, this.#solutions, solved);
    return solved;
  }

  /**
   * Scores of all rows by each of the last `solveMany`'s solutions: the score of row r by solution s at s × rowCount + r. Read
   * only, valid until the next call of anything. Free it with the function that comes with it.
   * @throws RECLOOM_KRN_OUT_OF_MEMORY, RECLOOM_KRN_CLOSED
   */
  scoresOfMany(): { readonly scores: Float32Array; readonly free: () => void } {
    this.#requireOpen();
    const scores = this.#kernels.float32(this.#solved * this.rowCount);
    if (this.#solutions !== undefined && this.#solved > 0) {
      this.#kernels.table.multiplyRowsMany(
        this.#factors.byteOffset,
        this.rowCount,
        this.#stride,
        this.#solutions.byteOffset,
        this.#solved,
        scores.byteOffset,
      );
    }
    return { scores, free: () => this.#kernels.free(scores) };
  }

  /**
   * For each of the last `solveMany`'s solutions the best rows that `open` allows (one byte per row) and that score above 0, as
   * many as its entry of `limits`: those of `best`.
   * @throws RECLOOM_KRN_SHAPE, RECLOOM_KRN_OUT_OF_MEMORY, RECLOOM_KRN_CLOSED
   */
  bestOfMany(limits: Int32Array, open: Uint8Array): TopRows[] {
    this.#requireOpen();
    const count = this.#solved;
    requireShape(limits.length === count, () => `There are ${limits.length} limits for ${count} solutions.`);
    const solutions = this.#solutions?.subarray(0, count * this.#stride);
    if (solutions === undefined) return [];
    // Long lists are most of the rows, so bounds would leave out little.
    const bounded = (limit: number): boolean => limit <= mostBounded && 8 * limit <= this.rowCount;
    const wanted = limits.filter(bounded).length;
    const laidOut = wanted >= fewestBounded && this.rowCount >= fewestRows ? this.#layOut() : undefined;
    const lists = laidOut?.best(
      solutions,
      limits.map((limit) => (bounded(limit) ? limit : 0)),
      open,
    );
    return Array.from(limits, (limit, index) => {
      const list = lists?.[index];
      if (list !== undefined && bounded(limit)) return list;
      const solution = solutions.subarray(index * this.#stride, (index + 1) * this.#stride);
      const { rows, scores } = this.#kernels.scanTopK(this.#factors, this.#stride, solution, limit, open);
      let kept = rows.length;
      while (kept > 0 && !((scores[kept - 1] as number) > 0)) kept--;
      return { rows: rows.subarray(0, kept), scores: scores.subarray(0, kept) };
    });
  }

  #solve(offsets: Int32Array, rows: Int32Array, values: Float32Array, solutions: Float32Array, solved: Uint8Array): void {
    requireShape(rows.length === values.length, 'There must be one value per row.');
    for (const row of rows) if (row >>> 0 >= this.rowCount) requireShape(false, `Row ${row} is not below ${this.rowCount}.`);
    const count = offsets.length - 1;
    const { memory, table } = this.#kernels;
    const mark = memory.markScratch();
    try {
      const starts = memory.takeScratch(offsets.byteLength);
      const indices = memory.takeScratch(rows.byteLength);
      const weights = memory.takeScratch(values.byteLength);
      const regularizations = memory.takeScratch(count * 4);
      const workspace = memory.takeScratch(alsWorkspaceBytes(this.#stride));
      const { buffer } = memory;
      new Int32Array(buffer, starts, offsets.length).set(offsets);
      new Int32Array(buffer, indices, rows.length).set(rows);
      new Float32Array(buffer, weights, values.length).set(values);
      const held = new Float32Array(buffer, regularizations, count);
      for (let system = 0; system < count; system++)
        held[system] = this.regularizationOf((offsets[system + 1] as number) - (offsets[system] as number));
      const run = (begin: number, end: number): boolean =>
        table.alsSolveRows(
          starts,
          indices,
          weights,
          0,
          this.#objective.targetOffset,
          this.#factors.byteOffset,
          this.#stride,
          this.#base.byteOffset,
          regularizations,
          foldInTolerance,
          foldInSteps,
          begin,
          end,
          workspace,
          solutions.byteOffset,
          0,
        ) >= 0;
      solved.fill(1);
      if (run(0, count)) return;
      // One of them has no finite solution: which one it is, they tell one by one.
      for (let system = 0; system < count; system++) {
        if (count > 1 && run(system, system + 1)) continue;
        solved[system] = 0;
        solutions.fill(0, system * this.#stride, (system + 1) * this.#stride);
      }
    } catch (error) {
      throw asKernelError(error);
    } finally {
      memory.resetScratch(mark);
    }
  }

  /** In the norm of what all systems share, in which a solution is a combination of rows. */
  #layOut(): BoundedRows | undefined {
    if (this.#bounded === undefined) {
      const regularization = this.regularizationOf(1);
      const scales = Float32Array.from(this.#base, (value) => Math.sqrt(value + regularization));
      this.#bounded = BoundedRows.of(this.#kernels, this.#factors, this.#stride, scales) ?? null;
    }
    return this.#bounded ?? undefined;
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
    this.#bounded?.dispose();
    for (const array of [this.#factors, this.#base, this.#solution, this.#solutions]) this.#kernels.free(array);
  }

  #requireOpen(): void {
    if (this.#disposed) throw new KernelError('RECLOOM_KRN_CLOSED', 'The fold-in was disposed.');
  }
}
