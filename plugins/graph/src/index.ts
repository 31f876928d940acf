import { computeToken, defineComponent, defineFeatureExtractor, definePlugin } from '@recloom/plugin-api';
import { candidateOptions, degreeOptions, embeddingOptions, pageRankOptions, relatedOptions } from './options.js';

/** Items bought together, or bought after: relations mined from baskets, with support, confidence, lift and NPMI. */
export const related = defineComponent({
  id: 'related',
  summary: 'What is bought together with an item, or after it: relations mined from baskets that are unlikely to be chance.',
  provides: ['source', 'scorer'],
  options: relatedOptions,
  reads: ['history'],
  capabilities: {
    deterministic: true,
    modality: 'graph',
    personal: true,
    coldUser: true,
    coldItem: false,
    incremental: true,
    explains: true,
    asks: ['item', 'user'],
    filtersInside: true,
  },
  stateVersion: 1,
  async fit(context) {
    const { fitRelated } = await import('./related.js');
    return fitRelated({
      options: context.options,
      history: context.history,
      itemCount: context.items.rowCount,
      asOfMs: context.asOfMs,
      signal: context.signal,
      progress: (fraction, note) => context.progress(fraction, note),
      warn: (warning) => context.warn(warning),
    });
  },
  async create(context) {
    const { Related } = await import('./related.js');
    return new Related(context.state, context.options, context.items);
  },
});

/** Personalised PageRank on who chose what. */
export const pagerank = defineComponent({
  id: 'pagerank',
  summary: 'Items a random surfer reaches from the items of a request or its history (personalised PageRank).',
  provides: ['source', 'scorer'],
  options: pageRankOptions,
  needs: { compute: computeToken },
  reads: ['history'],
  capabilities: {
    deterministic: true,
    modality: 'graph',
    personal: true,
    coldUser: true,
    coldItem: false,
    incremental: true,
    explains: true,
    asks: ['item', 'user'],
    filtersInside: true,
  },
  stateVersion: 1,
  async fit(context) {
    const { fitPageRank } = await import('./page-rank.js');
    return fitPageRank({
      options: context.options,
      history: context.history,
      itemCount: context.items.rowCount,
      asOfMs: context.asOfMs,
      compute: context.deps.compute,
      signal: context.signal,
      warn: (warning) => context.warn(warning),
    });
  },
  async create(context) {
    const { PageRank } = await import('./page-rank.js');
    return new PageRank(context.state, context.options, context.items, context.deps.compute);
  },
});

/** FastRP vectors of items. */
export const embedding = defineFeatureExtractor({
  id: 'embedding',
  summary: 'A vector per item from who chose it (FastRP): items chosen by the same people lie close together.',
  options: embeddingOptions,
  needs: { compute: computeToken },
  capabilities: { deterministic: true, scopes: ['item'], modality: 'graph', personal: false, coldUser: true, coldItem: false },
  stateVersion: 1,
  async fit(context) {
    const { fitEmbedding } = await import('./embedding.js');
    return fitEmbedding({
      options: context.options,
      history: context.history,
      itemCount: context.items.rowCount,
      asOfMs: context.asOfMs,
      compute: context.deps.compute,
      random: context.random,
      signal: context.signal,
      progress: (fraction, note) => context.progress(fraction, note),
      warn: (warning) => context.warn(warning),
    });
  },
  async create(context) {
    const { Embedding } = await import('./embedding.js');
    return new Embedding(context.state, context.options.dimensions);
  },
});

/** How well each item is connected. */
export const degree = defineFeatureExtractor({
  id: 'degree',
  summary: 'How many people, events and neighbouring items an item has, as logarithms.',
  options: degreeOptions,
  capabilities: { deterministic: true, scopes: ['item'], modality: 'graph', personal: false, coldUser: true, coldItem: false },
  stateVersion: 1,
  async fit(context) {
    const { fitDegree } = await import('./degree.js');
    return fitDegree({
      options: context.options,
      history: context.history,
      itemCount: context.items.rowCount,
      asOfMs: context.asOfMs,
      signal: context.signal,
      warn: (warning) => context.warn(warning),
    });
  },
  async create(context) {
    const { Embedding } = await import('./embedding.js');
    return new Embedding(context.state, context.options.measures.length);
  },
});

/** How well each candidate is connected, and how near it is to what the user touched. */
export const candidate = defineFeatureExtractor({
  id: 'candidate',
  summary: 'Numbers for scorers: how well a candidate is connected, and how near it is to the history in the graph.',
  options: candidateOptions,
  needs: { compute: computeToken },
  reads: ['history'],
  capabilities: {
    deterministic: true,
    scopes: ['candidate'],
    modality: 'graph',
    personal: true,
    coldUser: true,
    coldItem: false,
    incremental: true,
  },
  stateVersion: 1,
  async fit(context) {
    const { fitCandidateGraph } = await import('./candidate-graph.js');
    return fitCandidateGraph({
      options: context.options,
      history: context.history,
      itemCount: context.items.rowCount,
      asOfMs: context.asOfMs,
      compute: context.deps.compute,
      random: context.random,
      signal: context.signal,
      progress: (fraction, note) => context.progress(fraction, note),
      warn: (warning) => context.warn(warning),
    });
  },
  async create(context) {
    const { CandidateFeatures } = await import('./candidate.js');
    return new CandidateFeatures(context.state, context.options, context.items, context.deps.compute);
  },
});

export default definePlugin({
  apiVersion: 1,
  id: 'graph',
  components: [related, pagerank, embedding, degree, candidate],
  errors: [
    {
      code: 'GRAPH_UNKNOWN_TYPE',
      summary: 'Warning: `types` names an event type that the data do not have.',
      hint: 'Correct the name; event types come from the `type` of the events source.',
    },
    {
      code: 'GRAPH_LARGE_BASKETS',
      summary: 'Warning: baskets with more different items than `maximumBasketItems` were left out.',
      hint: 'Raise `maximumBasketItems` if such baskets are real orders.',
    },
  ],
});
