import { computeToken, defineComponent, definePlugin, feature, jsonTensor, readTensor, tensor } from '@recloom/plugin-api';
import { nearDuplicatesOptions, nearestOptions } from './options.js';

/** Items near to a query, to an item, or to what a user touched, over any vector features. */
export const nearest = defineComponent({
  id: 'nearest',
  summary: 'Nearest items to a query, an item or a profile, by cosine over one vector feature or a weighted mix.',
  provides: ['source', 'scorer'],
  options: nearestOptions,
  needs: { compute: computeToken },
  inputs: { vectors: feature({ many: true, description: 'The vector features to compare by, e.g. [text, image].' }) },
  // Not `history`: a search or a product page needs none. Without the grant the request's history is empty.
  reads: ['item', 'query'],
  capabilities: {
    deterministic: true,
    personal: true,
    coldUser: true,
    coldItem: true,
    incremental: true,
    explains: true,
    asks: ['user', 'item', 'text', 'image'],
    filtersInside: true,
  },
  stateVersion: 1,
  async create(context) {
    const { Nearest } = await import('./nearest.js');
    return Nearest.open(context.options, context.inputs.vectors, context.items, context.deps.compute, context.signal);
  },
});

/** Items that are nearly the same, found at build time over any vector feature. */
export const nearDuplicates = defineComponent({
  id: 'near-duplicates',
  summary: 'Finds items that are nearly the same: proposes them for an item, a picture or words, and keeps the first of them in a list.',
  provides: ['source', 'ranker'],
  options: nearDuplicatesOptions,
  needs: { compute: computeToken },
  inputs: { vectors: feature({ description: 'The vector feature to compare by, e.g. image.' }) },
  reads: ['item', 'query'],
  // No `asks`: as a ranker it has something to say on every surface.
  capabilities: { deterministic: true, coldUser: true, coldItem: true, explains: true, filtersInside: true },
  stateVersion: 1,
  async fit({ options, inputs, deps, signal, progress }) {
    const { findGroups } = await import('./find-groups.js');
    const { groups, pairs } = await findGroups(inputs.vectors, { threshold: options.threshold, compute: deps.compute, signal, progress });
    return { groups: tensor(groups), facts: jsonTensor({ pairs }) };
  },
  async create({ options, inputs, items, state }) {
    const { NearDuplicates } = await import('./near-duplicates.js');
    return new NearDuplicates(options, inputs.vectors, items, readTensor(state, 'groups', Int32Array));
  },
});

export default definePlugin({
  apiVersion: 1,
  id: 'vector-search',
  components: [nearest, nearDuplicates],
  errors: [
    {
      code: 'VECTOR_SEARCH_FEATURES',
      summary: '`weights` names a feature that is not compared, leaves none, or there are more than eight.',
      hint: 'List the features under `in: { vectors: [...] }` and give weights above 0 by the same names.',
    },
  ],
});
