import { computeToken, defineComponent, defineFeatureExtractor, definePlugin, feature } from '@recloom/plugin-api';
import { attentionOptions, coldMapOptions, concatOptions, contentGraphOptions, factorProfileOptions, weightedOptions } from './options.js';

/** Features of any widths side by side, whitened. */
export const concat = defineFeatureExtractor({
  id: 'concat',
  summary: 'Features side by side as one vector, whitened and scaled so that none drowns another.',
  options: concatOptions,
  needs: { compute: computeToken },
  inputs: { vectors: feature({ many: true, description: 'The features to fuse, e.g. [text, image].' }) },
  capabilities: { deterministic: true, scopes: ['item', 'query'], modality: 'mixed', personal: false, coldUser: true, coldItem: true },
  stateVersion: 1,
  async fit(context) {
    const { fitConcat } = await import('./concat.js');
    return fitConcat({
      options: context.options,
      features: context.inputs.vectors,
      compute: context.deps.compute,
      random: context.random,
      signal: context.signal,
      progress: (fraction, note) => context.progress(fraction, note),
    });
  },
  async create(context) {
    const { Concat } = await import('./concat.js');
    return new Concat(context.options, context.inputs.vectors, context.state, context.deps.compute);
  },
});

/** The weighted mean of features of one space. */
export const weighted = defineFeatureExtractor({
  id: 'weighted',
  summary: 'The weighted mean of features that share a space, over those an item has.',
  options: weightedOptions,
  inputs: { vectors: feature({ many: true, description: 'The features to fuse, all of one width, e.g. [text, image].' }) },
  capabilities: { deterministic: true, scopes: ['item', 'query'], modality: 'mixed', personal: false, coldUser: true, coldItem: true },
  stateVersion: 1,
  async create(context) {
    const { Weighted } = await import('./weighted.js');
    return new Weighted(context.options, context.inputs.vectors);
  },
});

/** The mean of features of one space, weighted per item by what the item's own features say. */
export const attention = defineFeatureExtractor({
  id: 'attention',
  summary: 'The mean of features that share a space, with weights per item, learned from what people chose together.',
  options: attentionOptions,
  inputs: { vectors: feature({ many: true, description: 'The features to fuse, all of one width, e.g. [text, image].' }) },
  capabilities: { deterministic: true, scopes: ['item', 'query'], modality: 'mixed', personal: false, coldUser: true, coldItem: true },
  stateVersion: 1,
  async fit(context) {
    const { fitAttention } = await import('./attention.js');
    return fitAttention({
      options: context.options,
      features: context.inputs.vectors,
      history: context.history,
      random: context.random,
      signal: context.signal,
      progress: (fraction, note) => context.progress(fraction, note),
      warn: (warning) => context.warn(warning),
    });
  },
  async create(context) {
    const { Attention } = await import('./attention.js');
    return new Attention(context.options, context.inputs.vectors, context.state);
  },
});

/** Behaviour factors passed on along a graph of similar content. */
export const contentGraph = defineFeatureExtractor({
  id: 'content-graph',
  summary: 'Vectors of who chose what, passed on to items of similar content: new items get those of their neighbours.',
  options: contentGraphOptions,
  needs: { compute: computeToken },
  inputs: { vectors: feature({ many: true, description: 'The features that say which items are alike, e.g. [text, image].' }) },
  capabilities: { deterministic: true, scopes: ['item', 'query'], modality: 'mixed', personal: false, coldUser: true, coldItem: true },
  stateVersion: 1,
  async fit(context) {
    const { fitContentGraph } = await import('./content-graph.js');
    return fitContentGraph({
      options: context.options,
      features: context.inputs.vectors,
      history: context.history,
      asOfMs: context.asOfMs,
      compute: context.deps.compute,
      random: context.random,
      signal: context.signal,
      progress: (fraction, note) => context.progress(fraction, note),
      warn: (warning) => context.warn(warning),
    });
  },
  async create(context) {
    const { ContentGraphVectors } = await import('./content-graph.js');
    return new ContentGraphVectors(context.options, context.inputs.vectors, context.state, context.items, context.deps.compute);
  },
});

/** Where an item's content leads in the space of who chose what. */
export const coldMap = defineFeatureExtractor({
  id: 'cold-map',
  summary: 'Places new items in the space of who chose what by their content (kernel ridge regression), others by what people did.',
  options: coldMapOptions,
  needs: { compute: computeToken },
  inputs: { vectors: feature({ many: true, description: 'The features that describe an item, e.g. [text, words, image].' }) },
  capabilities: { deterministic: true, scopes: ['item', 'query'], modality: 'mixed', personal: false, coldUser: true, coldItem: true },
  stateVersion: 1,
  async fit(context) {
    const { fitColdMap } = await import('./cold-map.js');
    return fitColdMap({
      options: context.options,
      features: context.inputs.vectors,
      history: context.history,
      asOfMs: context.asOfMs,
      compute: context.deps.compute,
      random: context.random,
      signal: context.signal,
      progress: (fraction, note) => context.progress(fraction, note),
      warn: (warning) => context.warn(warning),
    });
  },
  async create(context) {
    const { ColdMap } = await import('./cold-map.js');
    return new ColdMap(context.options, context.inputs.vectors, context.state, context.items, context.deps.compute);
  },
});

/** Items whose vectors point where the vectors of a history point, lengths included. */
export const factorProfile = defineComponent({
  id: 'factor-profile',
  summary: "Items by the dot product with the sum of a history's vectors: for vectors of multimodal/cold-map and multimodal/content-graph.",
  provides: ['source', 'scorer'],
  options: factorProfileOptions,
  needs: { compute: computeToken },
  inputs: { vectors: feature({ description: 'The feature of items, e.g. one of multimodal/cold-map.' }) },
  reads: ['history'],
  capabilities: {
    deterministic: true,
    personal: true,
    coldUser: true,
    coldItem: true,
    incremental: true,
    explains: true,
    asks: ['user', 'item'],
    filtersInside: true,
  },
  stateVersion: 1,
  async create(context) {
    const { FactorProfile } = await import('./factor-profile.js');
    return new FactorProfile(context.options, context.inputs.vectors, context.items, context.deps.compute);
  },
});

export default definePlugin({
  apiVersion: 1,
  id: 'multimodal',
  components: [concat, weighted, attention, contentGraph, coldMap, factorProfile],
  errors: [
    {
      code: 'MULTIMODAL_EVENT_TYPE_UNKNOWN',
      summary: 'Warning of the build: a name under eventTypes is the type of no event, so nothing is learned from it.',
      hint: 'Correct the name; event types come from the `type` of the events source.',
    },
    {
      code: 'MULTIMODAL_FEATURES',
      summary: 'A feature is given twice, an option names one that is not given, or none is left to fuse.',
      hint: 'List each feature once under `in: { vectors: [...] }`, and give options by the same names.',
    },
    {
      code: 'MULTIMODAL_ITEMS_LEFT_OUT',
      summary: 'Warning of the build: `multimodal/cold-map` was fitted on the items with the most people only.',
      hint: 'Raise `maximumItems`; memory grows with its square, build time with its cube.',
    },
    {
      code: 'MULTIMODAL_LITTLE_BEHAVIOUR',
      summary:
        'Warning of the build: too few people or items to learn from; `attention` weighs all items alike, `cold-map` places no new ones.',
      hint: 'Nothing to do in a young shop; the next build learns from what has come in.',
    },
    {
      code: 'MULTIMODAL_NOTHING_LEARNED',
      summary: 'Warning of the build: weights per item were no better than the same weights for all, which are used.',
      hint: 'Use `multimodal/weighted`, which says the same for less.',
    },
    {
      code: 'MULTIMODAL_WIDTHS',
      summary: '`weighted` and `attention` fuse features of one space, and these have different widths.',
      hint: 'Use encoders made for one space, or `multimodal/concat`.',
    },
  ],
});
