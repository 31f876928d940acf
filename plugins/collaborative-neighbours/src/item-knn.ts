import { mapValues, rowSums } from '@recloom/item-models';
import { sparseProductTopK, transposeSparseMatrix } from '@recloom/kernels';
import type { ComponentState } from '@recloom/plugin-api';
import { interactionsOf, linksState, type NeighboursFit } from './neighbours.js';
import type { ItemKnnOptions } from './options.js';

/**
 * Item-kNN with asymmetric cosine and shrinkage (Aiolli 2013, "Efficient top-N recommendation for very large scale
 * binary rated datasets"): with X the weighted users × items matrix and u the user weights n^-userWeight,
 * C = Xᵀ diag(u) X and link[i, j] = C[i, j] / (C[i, i]^alpha C[j, j]^(1 - alpha) + shrinkage), of which the
 * `neighbours` largest per proposed item j are kept.
 *
 * @throws RECLOOM_KRN_OUT_OF_MEMORY when the product does not fit into the kernels' memory.
 */
export async function fitItemKnn(context: NeighboursFit<ItemKnnOptions>): Promise<ComponentState> {
  const { options, signal } = context;
  const { matrix, itemUsers } = interactionsOf(context);
  context.progress(0.1, 'interactions');
  const sums = rowSums(matrix);
  const weighted = mapValues(matrix, (value, user) => value * (sums[user] as number) ** -options.userWeight);
  const diagonal = new Float64Array(matrix.columnCount);
  for (let entry = 0; entry < matrix.columnIndices.length; entry++) {
    const item = matrix.columnIndices[entry] as number;
    diagonal[item] = (diagonal[item] as number) + (matrix.values?.[entry] ?? 1) * (weighted.values?.[entry] ?? 1);
  }
  const links = await sparseProductTopK(transposeSparseMatrix(matrix), weighted, options.neighbours, {
    rowFactors: Float32Array.from(diagonal, (square) => (square + 1e-9) ** options.alpha),
    columnFactors: Float32Array.from(diagonal, (square) => (square + 1e-9) ** (1 - options.alpha)),
    shrinkage: options.shrinkage,
    keep: 'column',
    compute: context.deps.compute,
    signal,
  });
  return linksState(links, itemUsers);
}
