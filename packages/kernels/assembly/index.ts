// Entry of the WebAssembly module: the kernels of ../src/kernel-table.ts, by the same names.
export { alsBasis, alsGramRows, alsSolveRows, alsTransformRows } from './als';
export { boundedTopKMany, multiplyRowsMany } from './batch';
export {
  accumulateRows,
  accumulateSparseRows,
  combineColumns,
  dot,
  gatherDot,
  gatherRows,
  interleaveColumns,
  multiplyRows,
  normalizeRows,
  sparseDenseDot,
  sparseDot,
  streamRead,
} from './dense';
export {
  choleskyPanel,
  choleskyPivot,
  choleskySolve,
  rankUpdate,
  sweepPanel,
  sweepPivot,
  sweepStore,
  sweepStorePivot,
} from './factorization';
export { quantizedTopK, quantizedTopKMany, quantizeRows, rerankTopK, scanTopK, scanTopKMany } from './scan';
export { topK, topKAbove } from './selection';
export { gramRows, mirrorLower, sparseDenseRows, sparseProductTopKRows } from './sparse';
export { maskedTrees, rankFeatures, spreadFeatures, walkedTrees } from './trees';
export { historySimilarity, neighbourEvidence } from './evidence';
export { randomWalks } from './walks';
export { networkAttributeRows, networkExampleRows, networkItemGradients, networkItemRows } from './network';
