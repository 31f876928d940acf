import { perform, type WorkOptions } from './compute.js';
import { requireShape } from './kernel-error.js';
import { productWorkspaceBytes } from './kernel-table.js';
import type { Kernels } from './kernels.js';
import { type Plan, splitRows, type Task } from './plan.js';
import { requireSparseMatrix, type SparseMatrix, transposeSparseMatrix } from './sparse-matrix.js';
import { Staging } from './staging.js';

export interface SparseProductTopKOptions {
  /** One divisor factor per result row; absent: 1. */
  readonly rowFactors?: Float32Array | undefined;
  /** One divisor factor per result column; absent: 1. */
  readonly columnFactors?: Float32Array | undefined;
  /** Added to each divisor; default 0. */
  readonly shrinkage?: number | undefined;
  /** Leaves out cells (i, i); default true. */
  readonly excludeDiagonal?: boolean | undefined;
  /** Keeps the k largest of each row (default) or of each column. */
  readonly keep?: 'row' | 'column' | undefined;
}

/**
 * The sparse product of two sparse matrices with each cell divided by
 * rowFactors[i] * columnFactors[j] + shrinkage, of which the `k` largest finite cells per row (or per
 * column) are kept; ties go to the lower index. Columns ascend within each result row.
 *
 * With X users by items, left X^T and right X it gives the item-kNN similarities with asymmetric
 * cosine (factors: counts to the powers a and 1 - a) and shrinkage (Aiolli 2013); with left and right
 * as transition probabilities, RP3beta (Paudel et al. 2017: columnFactors popularity^beta).
 * @throws RECLOOM_KRN_SHAPE, RECLOOM_KRN_OUT_OF_MEMORY
 */
export function sparseProductTopK(
  left: SparseMatrix,
  right: SparseMatrix,
  k: number,
  options: SparseProductTopKOptions & WorkOptions = {},
): Promise<SparseMatrix> {
  return perform(options, (kernels, slots) => productPlan(kernels, slots, left, right, k, options));
}

/** `sparseProductTopK` on this thread. */
export function sparseProductTopKNow(
  kernels: Kernels,
  left: SparseMatrix,
  right: SparseMatrix,
  k: number,
  options: SparseProductTopKOptions = {},
): SparseMatrix {
  return kernels.runPlan(productPlan(kernels, 1, left, right, k, options));
}

function* productPlan(
  kernels: Kernels,
  slots: number,
  left: SparseMatrix,
  right: SparseMatrix,
  k: number,
  options: SparseProductTopKOptions,
): Plan<SparseMatrix> {
  requireSparseMatrix(left, 'The left matrix');
  requireSparseMatrix(right, 'The right matrix');
  requireShape(
    left.columnCount === right.rowCount,
    () => `The left matrix has ${left.columnCount} columns but the right one ${right.rowCount} rows.`,
  );
  requireShape(Number.isInteger(k) && k >= 0, () => `k is ${k}, not a whole number of at least 0.`);
  const { rowFactors, columnFactors, keep = 'row' } = options;
  requireShape(
    rowFactors === undefined || rowFactors.length === left.rowCount,
    () => `There are ${rowFactors?.length} row factors for ${left.rowCount} rows.`,
  );
  requireShape(
    columnFactors === undefined || columnFactors.length === right.columnCount,
    () => `There are ${columnFactors?.length} column factors for ${right.columnCount} columns.`,
  );
  if (keep === 'row') return yield* rowPlan(kernels, slots, left, right, k, options);
  // The columns of a product are the rows of the transposed product.
  const transposed = yield* rowPlan(kernels, slots, transposeSparseMatrix(right), transposeSparseMatrix(left), k, {
    ...options,
    rowFactors: columnFactors,
    columnFactors: rowFactors,
  });
  return transposeSparseMatrix(transposed);
}

function* rowPlan(
  kernels: Kernels,
  slots: number,
  left: SparseMatrix,
  right: SparseMatrix,
  k: number,
  options: SparseProductTopKOptions,
): Plan<SparseMatrix> {
  const rowCount = left.rowCount;
  const columnCount = right.columnCount;
  const kept = Math.min(k, columnCount);
  const rowOffsets = new Int32Array(rowCount + 1);
  const { shrinkage = 0, excludeDiagonal = true } = options;
  const empty = new Float32Array(0);
  if (kept === 0 || rowCount === 0) {
    return { rowCount, columnCount, rowOffsets, columnIndices: new Int32Array(0), values: empty };
  }
  const staging = new Staging(kernels);
  try {
    const leftAddresses = staging.sparse(left);
    const rightAddresses = staging.sparse(right);
    const rowFactorAddress = staging.input(options.rowFactors);
    const columnFactorAddress = staging.input(options.columnFactors);
    const workspaces = Array.from({ length: slots }, () => staging.take(productWorkspaceBytes(columnCount, kept), true));
    const indices = staging.take(rowCount * kept * 4);
    const values = staging.take(rowCount * kept * 4);
    const counts = staging.take(rowCount * 4);
    const work = productWork(left, right);
    const ranges = splitRows(rowCount, 64, 1, (row) => work[row] as number);
    yield ranges.map(
      ([begin, end]): Task => ({
        kernel: 'sparseProductTopKRows',
        parameters: (slot) => [
          leftAddresses.rowOffsets,
          leftAddresses.columnIndices,
          leftAddresses.values,
          rightAddresses.rowOffsets,
          rightAddresses.columnIndices,
          rightAddresses.values,
          columnCount,
          rowFactorAddress,
          columnFactorAddress,
          shrinkage,
          excludeDiagonal ? 1 : 0,
          kept,
          begin,
          end,
          indices + begin * kept * 4,
          values + begin * kept * 4,
          counts + begin * 4,
          workspaces[slot] as number,
        ],
      }),
    );
    const buffer = kernels.memory.buffer;
    const countView = new Int32Array(buffer, counts, rowCount);
    for (let row = 0; row < rowCount; row++) {
      rowOffsets[row + 1] = (rowOffsets[row] as number) + (countView[row] as number);
    }
    const length = rowOffsets[rowCount] as number;
    const result = { columnIndices: new Int32Array(length), values: new Float32Array(length) };
    for (let row = 0; row < rowCount; row++) {
      const count = countView[row] as number;
      const at = rowOffsets[row] as number;
      result.columnIndices.set(new Int32Array(buffer, indices + row * kept * 4, count), at);
      result.values.set(new Float32Array(buffer, values + row * kept * 4, count), at);
    }
    return { rowCount, columnCount, rowOffsets, ...result };
  } finally {
    staging.free();
  }
}

function productWork(left: SparseMatrix, right: SparseMatrix): Float64Array {
  const work = new Float64Array(left.rowCount + 1);
  for (let row = 0; row < left.rowCount; row++) {
    let sum = 1;
    const end = left.rowOffsets[row + 1] as number;
    for (let entry = left.rowOffsets[row] as number; entry < end; entry++) {
      const inner = left.columnIndices[entry] as number;
      sum += (right.rowOffsets[inner + 1] as number) - (right.rowOffsets[inner] as number);
    }
    work[row + 1] = (work[row] as number) + sum;
  }
  return work;
}
