import {
  buildInteractions,
  InterestReader,
  LinkedItems,
  recencyAmounts,
  rowSums,
  typeMask,
  unknownEventType,
  usersCut,
} from '@recloom/item-models';
import {
  type Compute,
  gram,
  inPlaceSize,
  invertPositiveDefinite,
  type Kernels,
  kernelsOf,
  type SparseMatrix,
  sparseDenseProduct,
  transposeSparseMatrix,
} from '@recloom/kernels';
import type { ComponentState, CreateContext, computeToken, FitContext, InputsSpec } from '@recloom/plugin-api';
import { openLinks, sparseLinkState } from './link-state.js';
import { modelItems } from './model-items.js';
import type { NextPurchaseOptions } from './options.js';
import { Pacer } from './pacer.js';
import { type WindowSamples, windowSamples } from './window-samples.js';

interface Needs {
  readonly [name: string]: typeof computeToken;
  readonly compute: typeof computeToken;
}
type NextPurchaseFit = FitContext<NextPurchaseOptions, Needs, InputsSpec> & { readonly deps: { readonly compute: Compute } };
type NextPurchaseCreate = CreateContext<NextPurchaseOptions, Needs, InputsSpec> & { readonly deps: { readonly compute: Compute } };

/**
 * Ridge regression from what people had before earlier cuts to what they then bought for the first time, with EASE as
 * its second half. With Z the samples × items before the cuts, Y the new items of the windows after them, w the samples'
 * weights, X the users × items of the whole history with the weights u, and a = `cooccurrence`, it minimises
 * Σ w ‖y − zB‖² + a Σ u ‖x − xB‖² + lambda ‖B‖² over the B whose diagonal is 0:
 * P = (Zᵀ diag(w) Z + a Xᵀ diag(u) X + lambda I)⁻¹, Q = P Zᵀ diag(w) (Y − Z),
 * B[i, j] = Q[i, j] − P[i, j] (1 + Q[j, j]) / P[j, j]. Without samples that is EASE (Steck 2019).
 * Q is worked out in strips of columns of P, so that no second dense product of items × items × items is needed.
 *
 * @throws EASE_TOO_MANY_ITEMS above `maxItems`.
 * @throws RECLOOM_KRN_OUT_OF_MEMORY, RECLOOM_KRN_NOT_POSITIVE_DEFINITE (raise lambda).
 */
export async function fitNextPurchase(context: NextPurchaseFit): Promise<ComponentState> {
  const { history, options, signal } = context;
  const { compute } = context.deps;
  const kernels = kernelsOf(compute);
  const maskOf = (names: readonly string[] | undefined): Uint8Array | undefined =>
    typeMask(history.typeNames, names, (name) =>
      context.warn(unknownEventType('NEXT_PURCHASE_EVENT_TYPE_UNKNOWN', name, history.typeNames)),
    );
  const counted = maskOf(options.eventTypes);
  const targets = options.targetTypes === undefined ? counted : maskOf(options.targetTypes);
  const wholeRule = { ...options, recencyDays: options.cooccurrenceRecencyDays, recencyFloor: 0 };
  const interactions = buildInteractions(history, wholeRule, options, context.asOfMs, counted, signal);
  if (interactions.cutUsers > 0) context.warn(usersCut('NEXT_PURCHASE_USERS_CUT', interactions.cutUsers, options.maximumUserItems));
  const { matrix, modelRows, placeOf } = modelItems(interactions, options.maxItems);
  const size = modelRows.length;
  const samples = await windowSamples(history, options, { asOfMs: context.asOfMs, counted, targets, placeOf, size }, signal);
  warnOfEmptyCuts(context, samples);
  context.progress(0.1, 'windows');
  const shape = { itemCount: history.itemCount, modelRows };
  if (size === 0 || (samples.before.rowCount === 0 && options.cooccurrence === 0)) {
    return sparseLinkState(kernels, { ...shape, modelRows: new Int32Array(0) }, options, () => undefined, signal);
  }
  const stride = inPlaceSize(size);
  const inverse = kernels.float32(stride * stride);
  let product: Float32Array | undefined;
  try {
    const { rows, weights } = stacked(samples, matrix, options);
    await gram({ ...rows, columnCount: stride }, { weights, output: inverse, compute, signal });
    context.progress(0.25, 'co-occurrence');
    for (let place = 0; place < stride; place++) {
      inverse[place * (stride + 1)] = (inverse[place * (stride + 1)] as number) + options.lambda;
    }
    await invertPositiveDefinite(inverse, stride, { output: inverse, compute, signal });
    context.progress(0.6, 'inverse');
    product = kernels.float32(size * size);
    await changeProduct(kernels, compute, { inverse, stride }, samples, product, signal, (share) =>
      context.progress(0.6 + 0.3 * share, 'regression'),
    );
    const links = product;
    const linksTo = (place: number, out: Float32Array): void => {
      const start = place * size;
      const row = place * stride;
      const factor = (1 + (links[start + place] as number)) / (inverse[row + place] as number);
      for (let from = 0; from < size; from++) {
        out[from] = (links[start + from] as number) - (inverse[row + from] as number) * factor;
      }
    };
    return await sparseLinkState(kernels, shape, options, linksTo, signal);
  } finally {
    kernels.free(product);
    kernels.free(inverse);
  }
}

/** Opens what `fitNextPurchase` left. @throws RECLOOM_KRN_OUT_OF_MEMORY when the links do not fit. */
export function openNextPurchase(context: NextPurchaseCreate): LinkedItems {
  const { state, options } = context;
  const links = openLinks(kernelsOf(context.deps.compute), state);
  const interests = new InterestReader(state['itemCount']?.data[0] as number, {
    requestItems: options.requestItems,
    pairs: options.pairs,
    amounts: recencyAmounts({
      eventTypes: options.historyEventTypes,
      useWeights: options.useWeights,
      recencyDays: options.recencyDays,
      recencyFloor: options.recencyFloor,
    }),
  });
  return new LinkedItems(links, { interests, excludeHistory: options.excludeHistory, items: context.items });
}

function warnOfEmptyCuts({ options, warn }: NextPurchaseFit, { before, emptyCuts }: WindowSamples): void {
  const { cuts, stepDays, horizonDays, cooccurrence } = options;
  if (before.rowCount === 0) {
    const instead = cooccurrence === 0 ? 'so the model is empty' : 'so the model knows only what people have together';
    warn({
      code: 'NEXT_PURCHASE_NO_WINDOWS',
      message: `Nobody has events before one of the ${cuts} earlier cuts and new items in the ${horizonDays} days after it, ${instead}.`,
      count: cuts,
    });
  } else if (emptyCuts > 0) {
    warn({
      code: 'NEXT_PURCHASE_CUTS_EMPTY',
      message: `${emptyCuts} of ${cuts} earlier cuts, ${stepDays} days apart, have nobody with events before and new items in the ${horizonDays} days after.`,
      count: emptyCuts,
    });
  }
}

/** The samples over the users, with their weights: the rows of one Gram matrix. */
function stacked(
  { before, weights }: WindowSamples,
  users: SparseMatrix,
  { cooccurrence, userWeight }: NextPurchaseOptions,
): { readonly rows: SparseMatrix; readonly weights: Float32Array } {
  if (cooccurrence === 0) return { rows: before, weights };
  const sampleCount = before.rowCount;
  const entries = before.columnIndices.length;
  const rowOffsets = new Int32Array(sampleCount + users.rowCount + 1);
  rowOffsets.set(before.rowOffsets);
  for (let row = 0; row < users.rowCount; row++) rowOffsets[sampleCount + row + 1] = entries + (users.rowOffsets[row + 1] as number);
  const columnIndices = new Int32Array(entries + users.columnIndices.length);
  columnIndices.set(before.columnIndices);
  columnIndices.set(users.columnIndices, entries);
  const values = new Float32Array(columnIndices.length).fill(1);
  values.set(before.values as Float32Array);
  if (users.values !== undefined) values.set(users.values, entries);
  const all = new Float32Array(sampleCount + users.rowCount);
  all.set(weights);
  rowSums(users).forEach((sum, row) => {
    all[sampleCount + row] = cooccurrence * sum ** -userWeight;
  });
  return { rows: { rowCount: all.length, columnCount: users.columnCount, rowOffsets, columnIndices, values }, weights: all };
}

/** Most bytes of one strip's product over the samples. */
const stripBytes = 64 * 1024 * 1024;

/** Writes Qᵀ, row j the links Q[·, j], with Q = P Zᵀ diag(w) (Y − Z). */
async function changeProduct(
  kernels: Kernels,
  compute: Compute,
  { inverse, stride }: { readonly inverse: Float32Array; readonly stride: number },
  samples: WindowSamples,
  output: Float32Array,
  signal: AbortSignal,
  progress: (share: number) => void,
): Promise<void> {
  const size = samples.before.columnCount;
  const sampleCount = samples.before.rowCount;
  if (sampleCount === 0) return;
  const width = Math.max(8, Math.min(128, Math.floor(stripBytes / 4 / sampleCount)));
  const pacer = new Pacer(signal);
  const before = kernels.keepSparse(samples.before);
  const change = kernels.keepSparse(transposeSparseMatrix(samples.change));
  const held: Float32Array[] = [];
  const take = (length: number): Float32Array => {
    const array = kernels.float32(length);
    held.push(array);
    return array;
  };
  try {
    const columns = take(size * width);
    const overSamples = take(sampleCount * width);
    const overItems = take(size * width);
    for (let begin = 0; begin < size; begin += width) {
      const count = Math.min(width, size - begin);
      for (let row = 0; row < size; row++) {
        // P is symmetric, so a strip of its columns is read along its rows.
        const start = row * stride + begin;
        columns.set(inverse.subarray(start, start + count), row * count);
      }
      const ofSamples = overSamples.subarray(0, sampleCount * count);
      const ofItems = overItems.subarray(0, size * count);
      await sparseDenseProduct(before, columns.subarray(0, size * count), count, { output: ofSamples, compute, signal });
      await sparseDenseProduct(change, ofSamples, count, { output: ofItems, compute, signal });
      for (let row = 0; row < size; row++) output.set(ofItems.subarray(row * count, (row + 1) * count), row * size + begin);
      progress((begin + count) / size);
      if (pacer.due()) await pacer.rest();
    }
  } finally {
    for (const array of held) kernels.free(array);
    kernels.freeSparse(before);
    kernels.freeSparse(change);
  }
}
