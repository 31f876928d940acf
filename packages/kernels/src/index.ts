export { type Compute, kernelsOf, type WorkOptions } from './compute.js';
export { ComputePool, type ComputePoolOptions, createComputePool } from './compute-pool.js';
export {
  choleskyFactor,
  choleskyFactorNow,
  type FactorizationOptions,
  invertPositiveDefinite,
  invertPositiveDefiniteNow,
} from './factorization.js';
export { gram, gramNow, type GramOptions } from './gram.js';
export { KernelError, type KernelErrorCode, kernelErrorCodes, type KernelErrorDetails } from './kernel-error.js';
export type { KernelName, KernelTable } from './kernel-table.js';
export {
  createKernels,
  type Implementation,
  Kernels,
  type KernelsOptions,
  type QuantizedRows,
  type TopRows,
} from './kernels.js';
export type { KernelArray } from './memory.js';
export {
  buildWalkGraph,
  freeWalkGraph,
  keepWalkGraph,
  randomWalks,
  randomWalksNow,
  type RandomWalkOptions,
  type WalkGraph,
} from './random-walks.js';
export { sparseDenseProduct, sparseDenseProductNow, type SparseDenseProductOptions } from './sparse-dense-product.js';
export { type SparseMatrix, sparseMatrixFromEntries, transposeSparseMatrix } from './sparse-matrix.js';
export { sparseProductTopK, sparseProductTopKNow, type SparseProductTopKOptions } from './sparse-product.js';
export { VectorIndex, type VectorIndexOptions, type VectorSearchOptions } from './vector-index.js';
