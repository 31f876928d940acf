import { defineComponent, defineFeatureExtractor, definePlugin, itemField } from '@recloom/plugin-api';
import { bm25Options, tokensOptions } from './options.js';

/** Keyword search: BM25+ over item texts and ids, with prefix and typo tolerance. */
export const bm25 = defineComponent({
  id: 'bm25',
  summary: 'Finds items by the words of a search (BM25+), by the beginning of words, despite typos, and by item code.',
  provides: ['source', 'scorer'],
  options: bm25Options,
  inputs: {
    text: itemField({
      many: true,
      types: ['text', 'category', 'list'],
      description: 'The item fields that are searched, e.g. [item.title, item.category].',
    }),
  },
  reads: ['query'],
  capabilities: {
    deterministic: true,
    personal: false,
    coldUser: true,
    coldItem: true,
    incremental: false,
    explains: true,
    asks: ['text'],
    filtersInside: true,
  },
  stateVersion: 1,
  async fit(context) {
    const { fitBm25 } = await import('./bm25.js');
    return fitBm25({
      options: context.options,
      fields: context.inputs.text,
      items: context.items,
      signal: context.signal,
      progress: (fraction, note) => context.progress(fraction, note),
    });
  },
  async create(context) {
    const { Bm25 } = await import('./bm25.js');
    return Bm25.open(context.state, { options: context.options, fields: context.inputs.text, items: context.items });
  },
});

/** The words of texts as a vector. */
export const tokens = defineFeatureExtractor({
  id: 'tokens',
  summary: 'The words of item texts and queries as a vector (hashed TF-IDF of words, word pairs and pieces of words): no model needed.',
  options: tokensOptions,
  inputs: {
    text: itemField({
      many: true,
      types: ['text', 'category', 'list'],
      description: 'The item fields whose words count, e.g. [item.title, item.category].',
    }),
  },
  reads: ['query'],
  capabilities: { deterministic: true, modality: 'text', scopes: ['item', 'query'], coldUser: true, coldItem: true, asks: ['text'] },
  stateVersion: 1,
  async fit(context) {
    const { fitTokens } = await import('./tokens.js');
    return fitTokens({ options: context.options, fields: context.inputs.text, items: context.items, signal: context.signal });
  },
  async create(context) {
    const { Tokens } = await import('./tokens.js');
    return new Tokens(context.options, context.state);
  },
});

export default definePlugin({
  apiVersion: 1,
  id: 'keyword-search',
  components: [bm25, tokens],
  errors: [
    {
      code: 'KEYWORD_SEARCH_UNKNOWN_FIELD',
      summary: '`boosts` names a field that the component does not search.',
      hint: 'Write field names without "item." and list every boosted field under `in: { text: [...] }`.',
    },
  ],
});
