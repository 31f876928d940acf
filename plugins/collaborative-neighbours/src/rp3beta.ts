import { mapValues, rowSums } from '@recloom/item-models';
import { sparseProductTopK, transposeSparseMatrix } from '@recloom/kernels';
import type { ComponentState } from '@recloom/plugin-api';
import { interactionsOf, linksState, type NeighboursFit } from './neighbours.js';
import type { Rp3betaOptions } from './options.js';

/**
 * RP3beta (Paudel, Christoffel, Newell, Bernstein 2017, "Updatable, accurate, diverse, and scalable recommendations for
 * interactive applications"): the walk item → user → item, link[i, j] = sum over users of p(u | i)^alpha p(j | u)^alpha,
 * divided by popularity[j]^beta; the `neighbours` largest per history item i are kept. With recency weights the
 * probabilities and the popularity are weighted too.
 *
 * @throws RECLOOM_KRN_OUT_OF_MEMORY when the product does not fit into the kernels' memory.
 */
export async function fitRp3beta(context: NeighboursFit<Rp3betaOptions>): Promise<ComponentState> {
  const { options, signal } = context;
  const { matrix, itemUsers } = interactionsOf(context);
  context.progress(0.1, 'interactions');
  const transposed = transposeSparseMatrix(matrix);
  const userSums = rowSums(matrix);
  const itemSums = rowSums(transposed);
  const toUsers = mapValues(transposed, (value, item) => (value / (itemSums[item] as number)) ** options.alpha);
  const toItems = mapValues(matrix, (value, user) => (value / (userSums[user] as number)) ** options.alpha);
  const links = await sparseProductTopK(toUsers, toItems, options.neighbours, {
    columnFactors: Float32Array.from(itemSums, (popularity) => popularity ** options.beta),
    keep: 'row',
    compute: context.deps.compute,
    signal,
  });
  return linksState(links, itemUsers);
}
