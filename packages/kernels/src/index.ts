export { AlsFoldIn, type DiagonalFactors, diagonalizeFactors, diagonalizeFactorsNow } from './als-fold-in.js';
export {
  type AlsObjective,
  type AlternatingLeastSquares,
  type AlternatingLeastSquaresOptions,
  alternatingLeastSquares,
  alternatingLeastSquaresNow,
} from './alternating-least-squares.js';
export { type Compute, kernelsOf, type WorkOptions } from './compute.js';
export { ComputePool, type ComputePoolOptions, createComputePool } from './compute-pool.js';
export {
  choleskyFactor,
  choleskyFactorNow,
  type FactorizationOptions,
  inPlaceSize,
  invertPositiveDefinite,
  invertPositiveDefiniteNow,
} from './factorization.js';
export { type GramOptions, gram, gramNow } from './gram.js';
export { HistoryEvidence, type HistoryEvidenceOptions, mostHistoryItems } from './history-evidence.js';
export { type HistoryExamples, HistoryNetwork, type HistoryNetworkOptions, type HistoryNetworkWeights } from './history-network.js';
export { KernelError, type KernelErrorCode, type KernelErrorDetails, kernelErrorCodes } from './kernel-error.js';
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
export { type PairsAboveOptions, pairsAbove } from './pairs-above.js';
export {
  buildWalkGraph,
  freeWalkGraph,
  keepWalkGraph,
  type RandomWalkOptions,
  randomWalks,
  randomWalksNow,
  type WalkGraph,
} from './random-walks.js';
export { type SparseDenseProductOptions, sparseDenseProduct, sparseDenseProductNow } from './sparse-dense-product.js';
export { type SparseMatrix, sparseMatrixFromEntries, transposeSparseMatrix } from './sparse-matrix.js';
export { type SparseProductTopKOptions, sparseProductTopK, sparseProductTopKNow } from './sparse-product.js';
export type { TreeAggregate, TreeEnsembleDescription, TreeLeafWeights, TreeNodeMode, TreeNodes } from './tree-description.js';
export { TreeEnsemble, type TreeEnsembleOptions, type TreeMethod } from './tree-ensemble.js';
export { VectorIndex, type VectorIndexOptions, type VectorSearchOptions } from './vector-index.js';
