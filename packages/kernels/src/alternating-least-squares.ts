import { perform, type WorkOptions } from './compute.js';
import { KernelError, requireShape } from './kernel-error.js';
import { alsBasisBytes, alsWorkspaceBytes } from './kernel-table.js';
import type { Kernels } from './kernels.js';
import { type Plan, splitRows, type Task } from './plan.js';
import { requireSparseMatrix, type SparseMatrix, transposeSparseMatrix } from './sparse-matrix.js';
import { Staging } from './staging.js';

/** How pairs are weighed and factors regularised: the same in the fit and in a fold-in. */
export interface AlsObjective {
  /** Weight of every pair, observed or not, in the squared error; observed pairs count their value in addition. */
  readonly unobservedWeight: number;
  /**
   * What an observed pair pulls towards 1 with, beside its value: `unobservedWeight` for Hu, Koren and Volinsky (2008),
   * whose unobserved pairs are the ones without a value; 0 for Rendle et al. (2022), whose implicit part covers all pairs.
   */
  readonly targetOffset: number;
  /** lambda, above 0. */
  readonly regularization: number;
  /**
   * nu: a row's regularisation is lambda * (entries + unobservedWeight * rows on the other side)^nu (Rendle et al. 2022);
   * 0: lambda for all.
   */
  readonly regularizationExponent: number;
}

export interface AlternatingLeastSquaresOptions {
  /** Values per factor. */
  readonly width: number;
  /** Times that both sides are solved, at least 1. */
  readonly epochs: number;
  /** What the columns' factors start from (columnCount x width). Read only. */
  readonly columnFactors: Float32Array;
  /** Solves the rows once more at the end, so that they are exactly what a fold-in of them gives. Default false. */
  readonly rowsLast?: boolean | undefined;
  /** Largest relative error of a row solved in steps, in the norm of what all rows share. Default 2e-4. */
  readonly tolerance?: number | undefined;
  /** Told after every half of an epoch; halves count from 1. */
  readonly onHalf?: ((half: number, halves: number) => void) | undefined;
}

export interface AlternatingLeastSquares {
  /** rowCount x width. */
  readonly rowFactors: Float32Array;
  /** columnCount x width. */
  readonly columnFactors: Float32Array;
}

/** Most conjugate gradient steps of a row. */
const mostSteps = 64;
const defaultTolerance = 2e-4;
/** Multiply-adds that are worth a task of their own. */
const taskWork = 6_000_000;
const mostTasks = 64;

/**
 * Factorises rows by columns (users by items) of non-negative values by alternating least squares on implicit feedback:
 * minimises the sum over observed pairs of value * (1 - x . y)^2, plus `unobservedWeight` times the squared error of all
 * pairs, plus the regularisation, over the rows' factors x and then the columns' factors y, in turns. No values: each
 * observed pair counts `uniformValue` (default 1). Rows without entries get zeros. Hu, Koren and Volinsky (2008),
 * "Collaborative filtering for implicit feedback datasets"; Rendle, Krichene, Zhang and Koren (2022), "Revisiting the
 * performance of iALS on item recommendation benchmarks". Rows of few entries are solved directly, others to
 * `tolerance` by preconditioned conjugate gradients (see `assembly/als.ts` and `als-direct.ts`). The result never depends on the thread count.
 *
 * @throws RECLOOM_KRN_NOT_POSITIVE_DEFINITE when the factors are no longer finite or the regularisation is too small for
 *   float32, RECLOOM_KRN_SHAPE, RECLOOM_KRN_OUT_OF_MEMORY
 */
export function alternatingLeastSquares(
  matrix: SparseMatrix,
  objective: AlsObjective & { readonly uniformValue?: number | undefined },
  options: AlternatingLeastSquaresOptions & WorkOptions,
): Promise<AlternatingLeastSquares> {
  return perform(options, (kernels, slots) => alsPlan(kernels, slots, matrix, objective, options));
}

/** `alternatingLeastSquares` on this thread. */
export function alternatingLeastSquaresNow(
  kernels: Kernels,
  matrix: SparseMatrix,
  objective: AlsObjective & { readonly uniformValue?: number | undefined },
  options: AlternatingLeastSquaresOptions,
): AlternatingLeastSquares {
  return kernels.runPlan(alsPlan(kernels, 1, matrix, objective, options));
}

/** Floats per row of factors in the kernels' memory. */
export function alsStride(width: number): number {
  return Math.ceil(width / 8) * 8;
}

/** The regularisation of a row with so many entries. */
export function alsRegularization(objective: AlsObjective, entries: number, others: number): number {
  const { regularization, regularizationExponent, unobservedWeight } = objective;
  return regularization * (entries + unobservedWeight * others) ** regularizationExponent;
}

export function requireObjective(objective: AlsObjective): void {
  const { unobservedWeight, targetOffset, regularization, regularizationExponent } = objective;
  requireShape(unobservedWeight >= 0 && Number.isFinite(unobservedWeight), () => `The unobserved weight ${unobservedWeight} is below 0.`);
  requireShape(targetOffset >= 0 && Number.isFinite(targetOffset), () => `The target offset ${targetOffset} is below 0.`);
  requireShape(regularization > 0 && Number.isFinite(regularization), () => `The regularisation ${regularization} is not above 0.`);
  requireShape(
    regularizationExponent >= 0 && regularizationExponent <= 2,
    () => `The regularisation's exponent ${regularizationExponent} is not 0 to 2.`,
  );
}

/** One side of the factorisation, in kernels memory. */
interface Side {
  readonly count: number;
  readonly rowOffsets: number;
  readonly columnIndices: number;
  readonly values: number;
  /** In the basis in which they were solved last. */
  readonly factors: number;
  /** That basis; see `KernelTable.alsBasis`. */
  readonly basis: number;
  /** Its regularisations per row, or 0. */
  readonly regularizations: number;
  readonly ranges: readonly (readonly [number, number])[];
  readonly parts: number;
}

function* alsPlan(
  kernels: Kernels,
  slots: number,
  matrix: SparseMatrix,
  objective: AlsObjective & { readonly uniformValue?: number | undefined },
  options: AlternatingLeastSquaresOptions,
): Plan<AlternatingLeastSquares> {
  requireSparseMatrix(matrix, 'The matrix', true);
  requireObjective(objective);
  const { width, epochs, tolerance = defaultTolerance } = options;
  requireShape(Number.isInteger(width) && width > 0, () => `The width ${width} is not a positive whole number.`);
  requireShape(Number.isInteger(epochs) && epochs > 0, () => `${epochs} epochs are not a positive whole number.`);
  requireShape(tolerance > 0, () => `The tolerance ${tolerance} is not above 0.`);
  requireShape(
    options.columnFactors.length === matrix.columnCount * width,
    () => `There are ${options.columnFactors.length} column factors, not ${matrix.columnCount} times ${width}.`,
  );
  const uniform = objective.uniformValue ?? 1;
  requireShape(uniform >= 0 && Number.isFinite(uniform), () => `The value ${uniform} is below 0.`);
  const entries = matrix.rowOffsets[matrix.rowCount] as number;
  for (let entry = 0; matrix.values !== undefined && entry < entries; entry++) {
    const value = matrix.values[entry] as number;
    if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) requireShape(false, 'A value is below 0 or not finite.');
  }

  const stride = alsStride(width);
  const staging = new Staging(kernels);
  try {
    const square = stride * stride * 4;
    const openSide = (own: SparseMatrix, start?: Float32Array): Side => {
      const addresses = staging.sparse(own);
      const factors = staging.take(own.rowCount * stride * 4, true);
      if (start !== undefined) spread(kernels, start, width, stride, factors);
      // A row costs its passes over the entries, the way into the basis, and its part of the Gram matrix.
      const cost = (row: number): number => (own.rowOffsets[row] as number) * stride * 10 + row * stride * (stride + 40);
      const tasks = Math.max(1, Math.min(mostTasks, Math.floor(cost(own.rowCount) / taskWork)));
      const ranges = splitRows(own.rowCount, tasks, 1, cost);
      return {
        count: own.rowCount,
        ...addresses,
        factors,
        basis: staging.input(unitBasis(width)),
        regularizations: objective.regularizationExponent === 0 ? 0 : staging.input(regularizationsOf(own, objective)),
        ranges,
        parts: staging.take(Math.max(1, ranges.length) * square, true),
      };
    };
    const rows = openSide(matrix);
    const columns = openSide(transposeSparseMatrix(matrix), options.columnFactors);
    const sources = staging.take(Math.max(rows.count, columns.count) * stride * 4);
    const basisWorkspace = staging.take(alsBasisBytes(width));
    const into = staging.take(square);
    const base = staging.take(stride * 4);
    const workspaceBytes = Math.ceil(alsWorkspaceBytes(stride) / 64) * 64;
    const workspaces = staging.take(slots * workspaceBytes);
    const eigen = objective.regularizationExponent === 0 ? 0 : 1;

    yield columns.ranges.map(
      ([begin, end], place): Task => ({
        kernel: 'alsGramRows',
        parameters: [columns.factors, stride, begin, end, columns.parts + place * square],
      }),
    );
    const halves = options.epochs * 2 + (options.rowsLast === true ? 1 : 0);
    for (let half = 1; half <= halves; half++) {
      const [own, other] = half % 2 === 1 ? [rows, columns] : [columns, rows];
      const [failure] = yield [
        {
          kernel: 'alsBasis',
          parameters: [
            other.parts,
            other.ranges.length,
            width,
            stride,
            objective.unobservedWeight,
            objective.regularization,
            eigen,
            basisWorkspace,
            into,
            base,
            other.basis,
            own.basis,
          ],
        },
      ];
      if (failure !== 0) throw diverged();
      yield other.ranges.map(
        ([begin, end]): Task => ({
          kernel: 'alsTransformRows',
          parameters: [other.factors, stride, into, eigen === 0 ? 1 : 0, begin, end, sources],
        }),
      );
      const answers = yield own.ranges.map(
        ([begin, end], place): Task => ({
          kernel: 'alsSolveRows',
          parameters: (slot) => [
            own.rowOffsets,
            own.columnIndices,
            own.values,
            uniform,
            objective.targetOffset,
            sources,
            stride,
            base,
            own.regularizations,
            tolerance,
            mostSteps,
            begin,
            end,
            workspaces + slot * workspaceBytes,
            own.factors,
            own.parts + place * square,
          ],
        }),
      );
      if (answers.some((answer) => answer < 0)) throw diverged();
      options.onHalf?.(half, halves);
    }
    // Factors stay in the basis in which they were solved until here: no epoch pays for the way out of it.
    const found: Float32Array[] = [];
    for (const side of [rows, columns]) {
      packBasis(kernels, side.basis, width, stride, into);
      yield side.ranges.map(
        ([begin, end]): Task => ({
          kernel: 'alsTransformRows',
          parameters: [side.factors, stride, into, 0, begin, end, sources],
        }),
      );
      found.push(gather(kernels, sources, side.count, width, stride));
    }
    const [rowFactors, columnFactors] = found as [Float32Array, Float32Array];
    return { rowFactors, columnFactors };
  } finally {
    staging.free();
  }
}

function regularizationsOf(matrix: SparseMatrix, objective: AlsObjective): Float32Array {
  const regularizations = new Float32Array(matrix.rowCount);
  for (let row = 0; row < matrix.rowCount; row++) {
    const entries = (matrix.rowOffsets[row + 1] as number) - (matrix.rowOffsets[row] as number);
    regularizations[row] = alsRegularization(objective, entries, matrix.columnCount);
  }
  return regularizations;
}

/** The basis of factors as they are. */
function unitBasis(width: number): Float64Array {
  const matrices = new Float64Array(2 * width * width);
  for (let index = 0; index < width; index++) {
    matrices[index * (width + 1)] = 1;
    matrices[width * width + index * (width + 1)] = 1;
  }
  return matrices;
}

/** Packs a basis for `alsTransformRows`: strips of eight columns, zero-padded to the stride. */
function packBasis(kernels: Kernels, basis: number, width: number, stride: number, packed: number): void {
  const { buffer } = kernels.memory;
  const from = new Float64Array(buffer, basis, width * width);
  const to = new Float32Array(buffer, packed, stride * stride).fill(0);
  for (let row = 0; row < width; row++) {
    for (let column = 0; column < width; column++) {
      to[((column >>> 3) * stride + row) * 8 + (column & 7)] = from[row * width + column] as number;
    }
  }
}

/** Copies rows of `width` to rows of `stride`. */
function spread(kernels: Kernels, factors: Float32Array, width: number, stride: number, address: number): void {
  const to = new Float32Array(kernels.memory.buffer, address, (factors.length / width) * stride);
  for (let from = 0, at = 0; from < factors.length; from += width, at += stride) to.set(factors.subarray(from, from + width), at);
}

function gather(kernels: Kernels, address: number, count: number, width: number, stride: number): Float32Array {
  const from = new Float32Array(kernels.memory.buffer, address, count * stride);
  const factors = new Float32Array(count * width);
  for (let row = 0; row < count; row++) factors.set(from.subarray(row * stride, row * stride + width), row * width);
  return factors;
}

function diverged(): KernelError {
  return new KernelError(
    'RECLOOM_KRN_NOT_POSITIVE_DEFINITE',
    'The factors are no longer finite, or their Gram matrix is not positive definite.',
    {
      hint: 'Raise the regularisation, and look for extreme values.',
    },
  );
}
