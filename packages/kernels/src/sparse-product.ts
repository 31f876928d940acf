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
  /** Gives the result transposed, at no more cost; default false. */
  readonly transpose?: boolean | undefined;
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
  return yield* rowPlan(kernels, slots, transposeSparseMatrix(right), transposeSparseMatrix(left), k, {
    ...options,
    rowFactors: columnFactors,
    columnFactors: rowFactors,
    transpose: options.transpose !== true,
  });
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
  const { shrinkage = 0, excludeDiagonal = true, transpose = false } = options;
  if (kept === 0 || rowCount === 0) {
    return {
      rowCount: transpose ? columnCount : rowCount,
      columnCount: transpose ? rowCount : columnCount,
      rowOffsets: new Int32Array((transpose ? columnCount : rowCount) + 1),
      columnIndices: new Int32Array(0),
      values: new Float32Array(0),
    };
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
    const found: PaddedRows = {
      rowCount,
      columnCount,
      kept,
      counts: new Int32Array(buffer, counts, rowCount),
      columns: new Int32Array(buffer, indices, rowCount * kept),
      values: new Float32Array(buffer, values, rowCount * kept),
    };
    return transpose ? transposed(found) : compressed(found);
  } finally {
    staging.free();
  }
}

/** Rows with room for `kept` entries each, of which the first `counts[row]` are there. */
interface PaddedRows {
  readonly rowCount: number;
  readonly columnCount: number;
  readonly kept: number;
  readonly counts: Int32Array;
  readonly columns: Int32Array;
  readonly values: Float32Array;
}

function compressed({ rowCount, columnCount, kept, counts, columns, values }: PaddedRows): SparseMatrix {
  const rowOffsets = new Int32Array(rowCount + 1);
  for (let row = 0; row < rowCount; row++) rowOffsets[row + 1] = (rowOffsets[row] as number) + (counts[row] as number);
  const length = rowOffsets[rowCount] as number;
  const columnIndices = new Int32Array(length);
  const cells = new Float32Array(length);
  let to = 0;
  for (let row = 0; row < rowCount; row++) {
    const end = row * kept + (counts[row] as number);
    // Rows are short: copying entry by entry costs less than a view of each.
    for (let from = row * kept; from < end; from++) {
      columnIndices[to] = columns[from] as number;
      cells[to++] = values[from] as number;
    }
  }
  return { rowCount, columnCount, rowOffsets, columnIndices, values: cells };
}

function transposed({ rowCount, columnCount, kept, counts, columns, values }: PaddedRows): SparseMatrix {
  const rowOffsets = new Int32Array(columnCount + 1);
  for (let row = 0; row < rowCount; row++) {
    const end = row * kept + (counts[row] as number);
    for (let from = row * kept; from < end; from++) {
      const column = (columns[from] as number) + 1;
      rowOffsets[column] = (rowOffsets[column] as number) + 1;
    }
  }
  for (let column = 0; column < columnCount; column++) {
    rowOffsets[column + 1] = (rowOffsets[column + 1] as number) + (rowOffsets[column] as number);
  }
  const next = rowOffsets.slice(0, columnCount);
  const columnIndices = new Int32Array(rowOffsets[columnCount] as number);
  const cells = new Float32Array(columnIndices.length);
  for (let row = 0; row < rowCount; row++) {
    const end = row * kept + (counts[row] as number);
    for (let from = row * kept; from < end; from++) {
      const column = columns[from] as number;
      const to = next[column] as number;
      next[column] = to + 1;
      columnIndices[to] = row;
      cells[to] = values[from] as number;
    }
  }
  return { rowCount: columnCount, columnCount: rowCount, rowOffsets, columnIndices, values: cells };
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
