import { perform, type WorkOptions } from './compute.js';
import { requireShape } from './kernel-error.js';
import type { Kernels } from './kernels.js';
import { type Plan, splitRows, type Task } from './plan.js';
import { requireSparseMatrix, type SparseMatrix } from './sparse-matrix.js';
import { Staging } from './staging.js';

export interface SparseDenseProductOptions {
  /** Receives the result (rowCount x width); a resident array is written in place. */
  readonly output?: Float32Array | undefined;
}

/**
 * The dense product (rowCount x width) of a sparse matrix and a dense row-major one
 * (columnCount x width): one propagation step of FastRP or of a light graph convolution. Sums run in
 * entry order. `output` must not overlap `dense`.
 * @throws RECLOOM_KRN_SHAPE, RECLOOM_KRN_OUT_OF_MEMORY
 */
export function sparseDenseProduct(
  sparse: SparseMatrix,
  dense: Float32Array,
  width: number,
  options: SparseDenseProductOptions & WorkOptions = {},
): Promise<Float32Array> {
  return perform(options, (kernels) => sparseDensePlan(kernels, sparse, dense, width, options));
}

/** `sparseDenseProduct` on this thread. */
export function sparseDenseProductNow(
  kernels: Kernels,
  sparse: SparseMatrix,
  dense: Float32Array,
  width: number,
  options: SparseDenseProductOptions = {},
): Float32Array {
  return kernels.runPlan(sparseDensePlan(kernels, sparse, dense, width, options));
}

function* sparseDensePlan(
  kernels: Kernels,
  sparse: SparseMatrix,
  dense: Float32Array,
  width: number,
  options: SparseDenseProductOptions,
): Plan<Float32Array> {
  requireSparseMatrix(sparse, 'The sparse matrix');
  requireShape(Number.isInteger(width) && width > 0, () => `The width ${width} is not a positive whole number.`);
  requireShape(
    dense.length === sparse.columnCount * width,
    () => `The dense matrix has ${dense.length} values, not ${sparse.columnCount} x ${width}.`,
  );
  const { rowCount, rowOffsets } = sparse;
  const output = options.output ?? new Float32Array(rowCount * width);
  requireShape(output.length === rowCount * width, () => `The output has ${output.length} values, not ${rowCount * width}.`);
  const staging = new Staging(kernels);
  try {
    const addresses = staging.sparse(sparse);
    const from = staging.input(dense);
    const to = staging.output(output);
    yield splitRows(rowCount, 32, 1, (row) => (rowOffsets[row] as number) + row).map(
      ([begin, end]): Task => ({
        kernel: 'sparseDenseRows',
        parameters: [addresses.rowOffsets, addresses.columnIndices, addresses.values, from, width, begin, end, to],
      }),
    );
    return staging.deliver(output, to);
  } finally {
    staging.free();
  }
}
