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
import { gram, inPlaceSize, invertPositiveDefinite, kernelsOf } from '@recloom/kernels';
import type { ComponentState, Compute, CreateContext, computeToken, FitContext, InputsSpec } from '@recloom/plugin-api';
import { denseLinkState, openLinks, sparseLinkState } from './link-state.js';
import { modelItems } from './model-items.js';
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
 * overfit towards the identity"). G and P share one float32 matrix in the kernels' memory,
 * filled up with items that nobody has to a size that is inverted in place.
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
  const { matrix, modelRows } = modelItems(interactions, options.maxItems);
  const size = modelRows.length;
  context.progress(0.05, 'interactions');
  const sums = rowSums(matrix);
  const weights = options.userWeight === 0 ? undefined : Float32Array.from(sums, (sum) => sum ** -options.userWeight);
  const kernels = kernelsOf(compute);
  const stride = inPlaceSize(size);
  const shared = kernels.float32(stride * stride);
  try {
    await gram({ ...matrix, columnCount: stride }, { weights, output: shared, compute, signal });
    context.progress(0.25, 'co-occurrence');
    const factor = options.dropout / (1 - options.dropout);
    for (let place = 0; place < stride; place++) {
      const diagonal = place * (stride + 1);
      shared[diagonal] = (shared[diagonal] as number) * (1 + factor) + options.lambda;
    }
    if (size > 0) await invertPositiveDefinite(shared, stride, { output: shared, compute, signal });
    context.progress(0.9, 'inverse');
    const shape = { itemCount: history.itemCount, modelRows };
    // The inverse is symmetric: row `place` holds the column of links to that item.
    const linksTo = (place: number, out: Float32Array): void => {
      const row = shared.subarray(place * stride, place * stride + size);
      const diagonal = row[place] as number;
      for (let from = 0; from < size; from++) {
        const link = -(row[from] as number) / diagonal;
        out[from] = link < 0 && !options.negativeWeights ? 0 : link;
      }
    };
    return options.keep === undefined
      ? await denseLinkState(shape, linksTo, signal)
      : await sparseLinkState(kernels, shape, { keep: options.keep, negativeWeights: options.negativeWeights }, linksTo, signal);
  } finally {
    kernels.free(shared);
  }
}

/** Opens what `fitEase` left. @throws RECLOOM_KRN_OUT_OF_MEMORY when a dense model does not fit. */
export function openEase(context: EaseCreate): LinkedItems {
  const { state, options } = context;
  const links = openLinks(kernelsOf(context.deps.compute), state);
  const interests = new InterestReader(state['itemCount']?.data[0] as number, {
    requestItems: options.requestItems,
    pairs: options.pairs,
    amounts: recencyAmounts({
      eventTypes: options.historyEventTypes,
      useWeights: options.useWeights,
      recencyDays: options.historyRecencyDays ?? options.recencyDays,
      recencyFloor: options.historyRecencyFloor,
    }),
  });
  return new LinkedItems(links, { interests, excludeHistory: options.excludeHistory, items: context.items });
}
