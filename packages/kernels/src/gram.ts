import { perform, type WorkOptions } from './compute.js';
import { requireShape } from './kernel-error.js';
import type { Kernels } from './kernels.js';
import { type Plan, splitRows, type Task } from './plan.js';
import { requireSparseMatrix, type SparseMatrix, transposeSparseMatrix } from './sparse-matrix.js';
import { Staging } from './staging.js';

export interface GramOptions {
  /** One weight per row of the matrix (a user, a session); absent: 1. */
  readonly weights?: Float32Array | undefined;
  /** Receives the result (columnCount x columnCount); a resident array is written in place. */
  readonly output?: Float32Array | undefined;
}

/**
 * The dense Gram matrix X^T diag(weights) X (columnCount x columnCount, symmetric, float32) of sparse
 * rows: with X users by items and no values, entry (i, j) counts the users who have both.
 * Sums run over rows in ascending order, so the result never depends on the thread count.
 * @throws RECLOOM_KRN_SHAPE, RECLOOM_KRN_OUT_OF_MEMORY
 */
export function gram(matrix: SparseMatrix, options: GramOptions & WorkOptions = {}): Promise<Float32Array> {
  return perform(options, (kernels) => gramPlan(kernels, matrix, options));
}

/** `gram` on this thread. */
export function gramNow(kernels: Kernels, matrix: SparseMatrix, options: GramOptions = {}): Float32Array {
  return kernels.runPlan(gramPlan(kernels, matrix, options));
}

function* gramPlan(kernels: Kernels, matrix: SparseMatrix, options: GramOptions): Plan<Float32Array> {
  requireSparseMatrix(matrix, 'The matrix', true);
  const size = matrix.columnCount;
  const { weights } = options;
  requireShape(
    weights === undefined || weights.length === matrix.rowCount,
    () => `There are ${weights?.length} weights for ${matrix.rowCount} rows.`,
  );
  const output = options.output ?? new Float32Array(size * size);
  requireShape(output.length === size * size, () => `The output has ${output.length} values, not ${size * size}.`);
  if (size === 0) return output;
  const staging = new Staging(kernels);
  try {
    const byRow = staging.sparse(matrix);
    const transposed = transposeSparseMatrix(matrix);
    const byColumn = staging.sparse(transposed);
    const weightAddress = staging.input(weights);
    const to = staging.output(output);
    const work = gramWork(matrix, transposed);
    const ranges = splitRows(size, 64, 1, (row) => work[row] as number);
    yield ranges.map(
      ([begin, end]): Task => ({
        kernel: 'gramRows',
        parameters: [
          byRow.rowOffsets,
          byRow.columnIndices,
          byRow.values,
          byColumn.rowOffsets,
          byColumn.columnIndices,
          byColumn.values,
          weightAddress,
          size,
          begin,
          end,
          to,
        ],
      }),
    );
    yield splitRows(size, 16, 1, (row) => row).map(
      ([begin, end]): Task => ({ kernel: 'mirrorLower', parameters: [to, size, to, size, size, begin, end, 1] }),
    );
    return staging.deliver(output, to);
  } finally {
    staging.free();
  }
}

/** Cumulative multiply-adds up to each output row, for shards of equal work. */
function gramWork(matrix: SparseMatrix, transposed: SparseMatrix): Float64Array {
  const { rowOffsets } = matrix;
  const work = new Float64Array(transposed.rowCount + 1);
  for (let column = 0; column < transposed.rowCount; column++) {
    let sum = 1;
    const end = transposed.rowOffsets[column + 1] as number;
    for (let entry = transposed.rowOffsets[column] as number; entry < end; entry++) {
      const row = transposed.columnIndices[entry] as number;
      sum += (rowOffsets[row + 1] as number) - (rowOffsets[row] as number);
    }
    work[column + 1] = (work[column] as number) + sum;
  }
  return work;
}
