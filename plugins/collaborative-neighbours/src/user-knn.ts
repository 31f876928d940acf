import { kernelsOf, type SparseMatrix } from '@recloom/kernels';
import { type ComponentState, readTensor, tensor } from '@recloom/plugin-api';
import { interactionsOf, interestsOf, type NeighboursCreate, type NeighboursFit } from './neighbours.js';
import type { UserKnnOptions } from './options.js';
import { UserNeighbours } from './user-neighbours.js';

/**
 * User-kNN (Resnick et al. 1994; cosine over implicit feedback, Sarwar et al. 2000; asymmetric, Aiolli 2013; rare items
 * count more, Breese, Heckerman, Kadie 1998). With x the weights of users and items, w = n^-itemWeight and q the history,
 * similarity[u] = Σ w q x[u] / ((Σ w q²)^alpha (Σ w x[u]²)^(1 - alpha) + shrinkage), and item j scores
 * Σ similarity[u]^amplification x[u, j] over the `neighbours` most similar people u.
 *
 * There is nothing to learn but who has what: users × items (`offsets`, `items`, `weights`; the last is empty when every pair
 * counts 1), `itemWeights` w, `norms` Σ w x² per user, and `itemUsers`. Neighbours are found at request time. User rows are
 * those of the user table; no id is stored.
 */
export function fitUserKnn(context: NeighboursFit<UserKnnOptions>): ComponentState {
  const { options } = context;
  const { matrix, itemUsers } = interactionsOf(context);
  context.progress(0.5, 'interactions');
  const { rowOffsets, columnIndices, values } = matrix;
  const empty = new Float32Array(0);
  const itemSums = new Float64Array(matrix.columnCount);
  for (let entry = 0; entry < columnIndices.length; entry++) {
    const item = columnIndices[entry] as number;
    itemSums[item] = (itemSums[item] as number) + (values?.[entry] ?? 1);
  }
  const itemWeights = Float32Array.from(itemSums, (sum) => Math.max(1, sum) ** -options.itemWeight);
  const norms = new Float32Array(matrix.rowCount);
  for (let user = 0; user < matrix.rowCount; user++) {
    let norm = 0;
    for (let entry = rowOffsets[user] as number; entry < (rowOffsets[user + 1] as number); entry++) {
      norm += (itemWeights[columnIndices[entry] as number] as number) * (values?.[entry] ?? 1) ** 2;
    }
    norms[user] = norm;
  }
  return {
    offsets: tensor(rowOffsets),
    items: tensor(columnIndices),
    weights: tensor(values ?? empty),
    itemWeights: tensor(itemWeights),
    norms: tensor(norms),
    itemUsers: tensor(itemUsers),
  };
}

/** Opens what `fitUserKnn` left. */
export function openUserKnn(context: NeighboursCreate<UserKnnOptions>): UserNeighbours {
  const { state, options } = context;
  const itemUsers = readTensor(state, 'itemUsers', Float32Array);
  const offsets = readTensor(state, 'offsets', Int32Array);
  const items = readTensor(state, 'items', Int32Array);
  const weights = readTensor(state, 'weights', Float32Array);
  const people: SparseMatrix = {
    rowCount: offsets.length - 1,
    columnCount: itemUsers.length,
    rowOffsets: offsets,
    columnIndices: items,
    values: weights.length === 0 ? undefined : weights,
  };
  return new UserNeighbours({
    kernels: kernelsOf(context.deps.compute),
    people,
    itemWeights: readTensor(state, 'itemWeights', Float32Array),
    norms: readTensor(state, 'norms', Float32Array),
    itemUsers,
    interests: interestsOf(itemUsers.length, options),
    options,
  });
}
