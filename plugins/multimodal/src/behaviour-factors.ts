import { buildInteractions, typeMask } from '@recloom/item-models';
import { type SparseMatrix, sparseDenseProduct, transposeSparseMatrix } from '@recloom/kernels';
import { createRandomStream, type HistoryStore, type RandomStream, type Warning } from '@recloom/plugin-api';
import { denseProduct, gramOf, orthonormalise, type Work } from './dense.js';
import { symmetricEigen } from './symmetric-eigen.js';

/** Which events make the users × items matrix. */
export interface BehaviourRule {
  readonly eventTypes?: readonly string[] | undefined;
  readonly recencyDays?: number | undefined;
  readonly useWeights: boolean;
  readonly minimumItemUsers: number;
}

/** What people did, as a matrix. */
export interface Behaviour {
  /** Users × items; rare items have empty columns. */
  readonly matrix: SparseMatrix;
  /** Different users per item row, 0 for rare items. */
  readonly itemUsers: Float32Array;
}

/** Directions of the item space that explain most of the matrix. */
export interface BehaviourFactors {
  readonly width: number;
  /**
   * Items × width, orthonormal columns (V of X = U S Vᵀ), strongest first. Columns past the rank of the matrix are zero, and
   * so are rows of items without behaviour.
   */
  readonly values: Float32Array;
  /** S: how much of the matrix each column explains, descending. */
  readonly singular: Float64Array;
}

/** Rounds of subspace iteration; four bring the strongest directions of shop data to about 1e-4. */
const rounds = 4;
/** Of a person with more items, the newest so many count: crawlers and resellers say little about tastes. */
const maximumUserItems = 5000;

/** Builds the matrix; `warn` hears of names under `eventTypes` that no event has. */
export function behaviourOf(
  history: HistoryStore,
  rule: BehaviourRule,
  asOfMs: number,
  signal: AbortSignal,
  warn: (warning: Warning) => void,
): Behaviour {
  const counted = typeMask(history.typeNames, rule.eventTypes, () => warn(unknownType()));
  const { matrix, itemUsers } = buildInteractions(
    history,
    { useWeights: rule.useWeights, pairs: 'strongest', recencyDays: rule.recencyDays, recencyFloor: 0 },
    { minimumItemUsers: rule.minimumItemUsers, minimumUserItems: 1, maximumUserItems },
    asOfMs,
    counted,
    signal,
  );
  return { matrix, itemUsers };
}

/** The warning for a name under `eventTypes` that no event has. */
export function unknownType(): Warning {
  return {
    code: 'MULTIMODAL_EVENT_TYPE_UNKNOWN',
    message: 'A name under eventTypes is the type of no event, so nothing is learned from it.',
  };
}

/**
 * Truncated singular value decomposition of a sparse matrix by randomised subspace iteration (Halko, Martinsson and Tropp
 * 2011, "Finding structure with randomness"), its item side. `random` decides the start alone: the directions agree
 * whatever it draws as far as the singular values lie apart.
 */
export async function behaviourFactors(matrix: SparseMatrix, width: number, random: RandomStream, work: Work): Promise<BehaviourFactors> {
  const itemCount = matrix.columnCount;
  const values = new Float32Array(itemCount * width);
  const singular = new Float64Array(width);
  const rank = Math.min(width, itemCount, matrix.rowCount);
  if (rank === 0 || matrix.columnIndices.length === 0) return { width, values, singular };
  const size = Math.min(itemCount, rank + Math.max(8, Math.ceil(rank / 8)));
  const transposed = transposeSparseMatrix(matrix);
  const draws = createRandomStream(random.integer(2 ** 31));
  let basis: Float32Array = Float32Array.from({ length: itemCount * size }, () => draws.normal());
  for (let round = 0; round < rounds; round++) {
    const image = await sparseDenseProduct(matrix, basis, size, work);
    basis = await sparseDenseProduct(transposed, image, size, work);
    await orthonormalise(basis, size, work.signal);
  }
  // Rayleigh and Ritz: the best directions within the subspace.
  const image = await sparseDenseProduct(matrix, basis, size, work);
  const eigen = await symmetricEigen(await gramOf(image, size, work.signal), size, work.signal);
  const rotation = new Float32Array(size * rank);
  const largest = eigen.values[0] as number;
  for (let column = 0; column < rank; column++) {
    const value = eigen.values[column] as number;
    if (!(value > 1e-9 * largest)) continue;
    singular[column] = Math.sqrt(value);
    for (let row = 0; row < size; row++) rotation[row * rank + column] = eigen.vectors[column * size + row] as number;
  }
  const rotated = await denseProduct(basis, size, rotation, rank, work);
  for (let item = 0; item < itemCount; item++) values.set(rotated.subarray(item * rank, (item + 1) * rank), item * width);
  return { width, values, singular };
}
