import { computeToken, definePlugin, defineRanker, feature, itemField } from '@recloom/plugin-api';
import { mmrOptions, spreadOptions } from './options.js';

/** Maximal marginal relevance over any vector feature. */
export const mmr = defineRanker({
  id: 'mmr',
  summary: 'Maximal marginal relevance: trades value against similarity to what stands above (Carbonell and Goldstein 1998).',
  options: mmrOptions,
  needs: { compute: computeToken },
  inputs: { vectors: feature({ description: 'Vectors whose cosine says how alike two items are, e.g. a text embedding.' }) },
  capabilities: { coldUser: true, coldItem: true },
  stateVersion: 1,
  async create({ options, inputs, deps }) {
    const { MaximalMarginalRelevance } = await import('./mmr.js');
    return new MaximalMarginalRelevance(options, inputs.vectors, deps.compute);
  },
});

/** Keeps items of one category apart. */
export const spread = defineRanker({
  id: 'spread',
  summary: 'Keeps items of one category apart: at most so many of them in any window of places.',
  options: spreadOptions,
  inputs: {
    category: itemField({
      description: 'What is to be spread; items without one are free.',
      types: ['category', 'text', 'number', 'boolean'],
    }),
  },
  capabilities: { coldUser: true, coldItem: true },
  stateVersion: 1,
  async create({ options, inputs }) {
    const { Spread } = await import('./spread.js');
    return new Spread(options, inputs.category);
  },
});

export default definePlugin({ apiVersion: 1, id: 'ranker-diversity', components: [mmr, spread] });
