import {
  buildInteractions,
  type Interactions,
  InterestReader,
  LinkedItems,
  recencyAmounts,
  rowSums,
  SparseLinks,
  typeMask,
  unknownEventType,
  usersCut,
} from '@recloom/item-models';
import { gram, invertPositiveDefinite, type Kernels, kernelsOf, type SparseMatrix, transposeSparseMatrix } from '@recloom/kernels';
import {
  type ComponentState,
  type Compute,
  type CreateContext,
  type computeToken,
  type FitContext,
  type InputsSpec,
  RecloomError,
  tensor,
} from '@recloom/plugin-api';
import { DenseLinks } from './dense-links.js';
import type { EaseOptions } from './options.js';

interface Needs {
  readonly [name: string]: typeof computeToken;
  readonly compute: typeof computeToken;
}
type EaseFit = FitContext<EaseOptions, Needs, InputsSpec> & { readonly deps: { readonly compute: Compute } };
type EaseCreate = CreateContext<EaseOptions, Needs, InputsSpec> & { readonly deps: { readonly compute: Compute } };

/**
 * EASE (Steck 2019, "Embarrassingly shallow autoencoders for sparse data"): with X the weighted users × items matrix and
 * u the user weights n^-userWeight, G = Xᵀ diag(u) X, P = (G + diag(lambda + dropout / (1 - dropout) G[i, i]))⁻¹ and
 * link[i, j] = -P[i, j] / P[j, j], 0 on the diagonal. The dropout term is EDLAE's (Steck 2020, "Autoencoders that don't
 * overfit towards the identity"). G and P share one float32 matrix in the kernels' memory.
 *
 * @throws EASE_TOO_MANY_ITEMS above `maxItems`.
 * @throws RECLOOM_KRN_OUT_OF_MEMORY, RECLOOM_KRN_NOT_POSITIVE_DEFINITE (raise lambda).
 */
export async function fitEase(context: EaseFit): Promise<ComponentState> {
  const { history, options, signal } = context;
  const { compute } = context.deps;
  const counted = typeMask(history.typeNames, options.eventTypes, (name) =>
    context.warn(unknownEventType('EASE_EVENT_TYPE_UNKNOWN', name, history.typeNames)),
  );
  const interactions = buildInteractions(history, options, options, context.asOfMs, counted, signal);
  if (interactions.cutUsers > 0) context.warn(usersCut('EASE_USERS_CUT', interactions.cutUsers, options.maximumUserItems));
  const { matrix, modelRows } = compact(interactions);
  const size = modelRows.length;
  if (size > options.maxItems) throw tooManyItems(size, options.maxItems);
  context.progress(0.05, 'interactions');
  const sums = rowSums(matrix);
  const weights = options.userWeight === 0 ? undefined : Float32Array.from(sums, (sum) => sum ** -options.userWeight);
  const kernels = kernelsOf(compute);
  const shared = kernels.float32(size * size);
  try {
    await gram(matrix, { weights, output: shared, compute, signal });
    context.progress(0.25, 'co-occurrence');
    const factor = options.dropout / (1 - options.dropout);
    for (let place = 0; place < size; place++) {
      const diagonal = place * size + place;
      shared[diagonal] = (shared[diagonal] as number) * (1 + factor) + options.lambda;
    }
    if (size > 0) await invertPositiveDefinite(shared, size, { output: shared, compute, signal });
    context.progress(0.9, 'inverse');
    const shape = { itemCount: history.itemCount, modelRows, size };
    return options.keep === undefined ? denseState(shared, shape, options) : sparseState(kernels, shared, shape, options, options.keep);
  } finally {
    kernels.free(shared);
  }
}

/** Opens what `fitEase` left. @throws RECLOOM_KRN_OUT_OF_MEMORY when a dense model does not fit. */
export function openEase(context: EaseCreate): LinkedItems {
  const { state, options } = context;
  const kernels = kernelsOf(context.deps.compute);
  const itemCount = state['itemCount']?.data[0] as number;
  const scores =
    state['links'] === undefined
      ? new SparseLinks(kernels, {
          rowCount: itemCount,
          columnCount: itemCount,
          rowOffsets: state['offsets']?.data as Int32Array,
          columnIndices: state['neighbours']?.data as Int32Array,
          values: state['weights']?.data as Float32Array,
        })
      : new DenseLinks(kernels, itemCount, state['modelRows']?.data as Int32Array, state['links'].data as Float32Array);
  const interests = new InterestReader(itemCount, {
    requestItems: options.requestItems,
    pairs: options.pairs,
    amounts: recencyAmounts({
      eventTypes: options.historyEventTypes,
      useWeights: options.useWeights,
      recencyDays: options.historyRecencyDays ?? options.recencyDays,
      recencyFloor: options.historyRecencyFloor,
    }),
  });
  return new LinkedItems(scores, { interests, excludeHistory: options.excludeHistory, items: context.items });
}

/** The same matrix over the items that have users, and their rows in ascending order. */
function compact({ matrix, itemUsers }: Interactions): { readonly matrix: SparseMatrix; readonly modelRows: Int32Array } {
  const modelRows = Int32Array.from(itemUsers.keys()).filter((row) => (itemUsers[row] as number) > 0);
  const placeOf = new Int32Array(itemUsers.length);
  modelRows.forEach((row, place) => {
    placeOf[row] = place;
  });
  return {
    matrix: { ...matrix, columnCount: modelRows.length, columnIndices: matrix.columnIndices.map((row) => placeOf[row] as number) },
    modelRows,
  };
}

interface Shape {
  readonly itemCount: number;
  readonly modelRows: Int32Array;
  readonly size: number;
}

function denseState(inverse: Float32Array, { itemCount, modelRows, size }: Shape, options: EaseOptions): ComponentState {
  const links = new Float32Array(size * size);
  const diagonal = Float32Array.from(modelRows, (_, place) => inverse[place * size + place] as number);
  for (let from = 0; from < size; from++) {
    const start = from * size;
    for (let to = 0; to < size; to++) {
      const link = -(inverse[start + to] as number) / (diagonal[to] as number);
      links[start + to] = link < 0 && !options.negativeWeights ? 0 : link;
    }
    links[start + from] = 0;
  }
  return { itemCount: tensor(Int32Array.of(itemCount)), modelRows: tensor(modelRows), links: tensor(links, [size, size]) };
}

/** Keeps the strongest links of each column: largest magnitude, or largest positive. Ties go to the lower row. */
function sparseState(
  kernels: Kernels,
  inverse: Float32Array,
  { itemCount, modelRows, size }: Shape,
  options: EaseOptions,
  keep: number,
): ComponentState {
  const offsets = new Int32Array(itemCount + 1);
  const columns: Int32Array[] = [];
  const values: Float32Array[] = [];
  const strength = new Float32Array(size);
  const open = new Uint8Array(size);
  let total = 0;
  let row = 0;
  modelRows.forEach((to, place) => {
    // The inverse is symmetric: row `place` holds the column of links to this item.
    const start = place * size;
    const diagonal = inverse[start + place] as number;
    for (let from = 0; from < size; from++) {
      const link = -(inverse[start + from] as number) / diagonal;
      strength[from] = options.negativeWeights ? Math.abs(link) : link;
      open[from] = from !== place && (strength[from] as number) > 0 ? 1 : 0;
    }
    const kept = kernels.topK(strength, keep, open).rows.sort();
    columns.push(kept.map((from) => modelRows[from] as number));
    values.push(Float32Array.from(kept, (from) => -(inverse[start + from] as number) / diagonal));
    for (; row < to; row++) offsets[row + 1] = total;
    total += kept.length;
    offsets[++row] = total;
  });
  for (; row < itemCount; row++) offsets[row + 1] = total;
  const byTarget = {
    rowCount: itemCount,
    columnCount: itemCount,
    rowOffsets: offsets,
    columnIndices: joinInt32(columns, total),
    values: joinFloat32(values, total),
  };
  const links = transposeSparseMatrix(byTarget);
  return {
    itemCount: tensor(Int32Array.of(itemCount)),
    offsets: tensor(links.rowOffsets),
    neighbours: tensor(links.columnIndices),
    weights: tensor(links.values ?? new Float32Array(0)),
  };
}

function joinInt32(parts: readonly Int32Array[], length: number): Int32Array {
  const joined = new Int32Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function joinFloat32(parts: readonly Float32Array[], length: number): Float32Array {
  const joined = new Float32Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function tooManyItems(found: number, maximum: number): RecloomError {
  return new RecloomError({
    code: 'EASE_TOO_MANY_ITEMS',
    message: `EASE was given ${found} items and may use ${maximum}: its memory grows with the square of the items, its time with the cube.`,
    hint: 'Use collaborative-neighbours/item-knn or collaborative-neighbours/rp3beta, which stay sparse; or raise minimumItemUsers (fewer items) or maxItems.',
  });
}
