import { InterestReader, LinkedItems, recencyAmounts } from '@recloom/item-models';
import { gram, invertPositiveDefinite, kernelsOf } from '@recloom/kernels';
import {
  type ComponentState,
  type Compute,
  type CreateContext,
  type computeToken,
  type FeatureMatrix,
  type FieldInput,
  type FitContext,
  type InputsSpec,
  jsonTensor,
  RecloomError,
  readJsonTensor,
  readTensor,
  tensor,
} from '@recloom/plugin-api';
import { ContentLinks } from './content-links.js';
import { type AttributeField, attributeField, ContentSpace } from './content-space.js';
import { fitEase } from './ease.js';
import { openLinks } from './link-state.js';
import type { ContentEaseOptions } from './options.js';
import { Pacer } from './pacer.js';

interface Needs {
  readonly [name: string]: typeof computeToken;
  readonly compute: typeof computeToken;
}
interface Contents {
  readonly content: readonly FeatureMatrix[] | undefined;
  readonly attributes: readonly FieldInput[] | undefined;
}
type ContentEaseFit = Omit<FitContext<ContentEaseOptions, Needs, InputsSpec>, 'inputs'> & {
  readonly deps: { readonly compute: Compute };
  readonly inputs: Contents;
};
type ContentEaseCreate = Omit<CreateContext<ContentEaseOptions, Needs, InputsSpec>, 'inputs'> & {
  readonly deps: { readonly compute: Compute };
  readonly inputs: Contents;
};

/**
 * add-EASE (Jeunen, Van Balen, Goethals 2020, "Closed-form models for collaborative filtering with side-information"):
 * (1 - contentShare) × EASE of the interactions + contentShare × EASE of the contents. With F the items × width content
 * vectors, EASE over Fᵀ has the matrix (F Fᵀ + lambda I)⁻¹, which by the identity of Woodbury needs only the width × width
 * S = (Fᵀ F + lambda I)⁻¹: with h[j] = f[j]ᵀ S f[j], content link[i, j] = f[i]ᵀ S f[j] / (1 - h[j]), 0 on the diagonal.
 * 1 / (1 - h[j]) takes item j out of S; so an item that was not there has f[i]ᵀ S f[j], the same quantity, without a fit.
 *
 * @throws CONTENT_EASE_NO_INPUT without any input; EASE_TOO_MANY_ITEMS above `maxItems`.
 * @throws RECLOOM_KRN_OUT_OF_MEMORY, RECLOOM_KRN_NOT_POSITIVE_DEFINITE (raise lambda or contentLambda).
 */
export async function fitContentEase(context: ContentEaseFit): Promise<ComponentState> {
  const { options, inputs, items, signal } = context;
  const { compute } = context.deps;
  const fields = inputs.attributes ?? [];
  if (fields.length === 0 && (inputs.content ?? []).length === 0) throw noInput();
  const rule = { minimumItems: options.minimumAttributeItems, maximumValues: options.maximumAttributes };
  const attributes = fields.map((field) => attributeField(field, items.rowCount, rule));
  const space = contentSpace(context, attributes);
  const { width } = space;
  const contents = space.matrix(items.rowCount);
  const { rowOffsets, columnIndices, values } = contents;
  if (columnIndices.length === 0) {
    context.warn({
      code: 'CONTENT_EASE_EMPTY',
      message: 'No item has anything in the contents that tells it from others, so the model is EASE alone.',
    });
  }
  const kernels = kernelsOf(compute);
  const similarity = kernels.float32(width * width);
  const leverage = new Float32Array(items.rowCount);
  try {
    await gram(contents, { output: similarity, compute, signal });
    for (let place = 0; place < width; place++) {
      similarity[place * (width + 1)] = (similarity[place * (width + 1)] as number) + options.contentLambda;
    }
    if (width > 0) await invertPositiveDefinite(similarity, width, { output: similarity, compute, signal });
    const pacer = new Pacer(signal);
    const product = kernels.float32(width);
    try {
      for (let row = 0; row < items.rowCount; row++) {
        if (pacer.due()) await pacer.rest();
        const begin = rowOffsets[row] as number;
        const end = rowOffsets[row + 1] as number;
        const columns = columnIndices.subarray(begin, end);
        const weights = (values as Float32Array).subarray(begin, end);
        if (begin === end) continue;
        product.fill(0);
        kernels.accumulateRows(product, similarity, columns, weights);
        leverage[row] = kernels.sparseDenseDot(columns, weights, product);
      }
    } finally {
      kernels.free(product);
    }
    context.progress(0.1, 'contents');
    const ease = await fitEase({ ...context, inputs: {}, progress: (share, note) => context.progress(0.1 + 0.9 * share, note) });
    return {
      ...ease,
      similarity: tensor(similarity.slice(), [width, width]),
      leverage: tensor(leverage),
      attributes: jsonTensor(attributes),
    };
  } finally {
    kernels.free(similarity);
  }
}

/**
 * Opens what `fitContentEase` left, over the contents as they are now.
 *
 * @throws CONTENT_EASE_WIDTH when the contents have another width than at the build.
 * @throws RECLOOM_KRN_OUT_OF_MEMORY when links and contents do not fit.
 */
export function openContentEase(context: ContentEaseCreate): LinkedItems {
  const { state, options, inputs, items } = context;
  const kernels = kernelsOf(context.deps.compute);
  const space = contentSpace(context, readJsonTensor(state['attributes']) as readonly AttributeField[]);
  const similarity = readTensor(state, 'similarity', Float32Array);
  if (similarity.length !== space.width ** 2) throw otherWidth(space.width, state['similarity']?.shape[0] as number);
  const links = new ContentLinks(kernels, openLinks(kernels, state), {
    space,
    similarity,
    leverage: readTensor(state, 'leverage', Float32Array),
    share: options.contentShare,
    fittedItems: readTensor(state, 'itemCount', Int32Array)[0] as number,
    items,
    features: inputs.content ?? [],
    readsFields: (inputs.attributes ?? []).length > 0,
  });
  const interests = new InterestReader(() => items.rowCount, {
    requestItems: options.requestItems,
    pairs: options.pairs,
    amounts: recencyAmounts({
      eventTypes: options.historyEventTypes,
      useWeights: options.useWeights,
      recencyDays: options.historyRecencyDays ?? options.recencyDays,
      recencyFloor: options.historyRecencyFloor,
    }),
  });
  return new LinkedItems(links, { interests, excludeHistory: options.excludeHistory, items });
}

function contentSpace(
  { inputs, options }: Pick<ContentEaseFit, 'inputs' | 'options'>,
  attributes: readonly AttributeField[],
): ContentSpace {
  return new ContentSpace({
    features: inputs.content ?? [],
    fields: inputs.attributes ?? [],
    attributes,
    weights: options.contentWeights,
  });
}

function noInput(): RecloomError {
  return new RecloomError({
    code: 'CONTENT_EASE_NO_INPUT',
    message: 'collaborative-linear/content-ease was given no contents.',
    hint: 'Give it features (`in: { content: [text] }`) or fields (`in: { attributes: [item.brand] }`), or use collaborative-linear/ease.',
  });
}

function otherWidth(found: number, expected: number): RecloomError {
  return new RecloomError({
    code: 'CONTENT_EASE_WIDTH',
    message: `The contents have ${found} numbers an item, and had ${expected} when the model was built.`,
    hint: 'Build anew: a feature among the inputs has another width than before.',
  });
}
