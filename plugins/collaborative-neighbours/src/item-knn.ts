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
  const userFactors = rowSums(matrix).map((sum) => sum ** -options.userWeight);
  const weighted = mapValues(matrix, (value, user) => value * (userFactors[user] as number));
  const diagonal = new Float64Array(matrix.columnCount);
  for (let entry = 0; entry < matrix.columnIndices.length; entry++) {
    const item = matrix.columnIndices[entry] as number;
    diagonal[item] = (diagonal[item] as number) + (matrix.values?.[entry] ?? 1) * (weighted.values?.[entry] ?? 1);
  }
  // The product transposed: its rows are the proposed items.
  const links = await sparseProductTopK(transposeSparseMatrix(weighted), matrix, options.neighbours, {
    rowFactors: new Float32Array(diagonal.map((square) => (square + 1e-9) ** (1 - options.alpha))),
    columnFactors: new Float32Array(diagonal.map((square) => (square + 1e-9) ** options.alpha)),
    shrinkage: options.shrinkage,
    transpose: true,
    compute: context.deps.compute,
    signal,
  });
  return linksState(links, itemUsers);
}
