import { computeToken, defineComponent, definePlugin, feature } from '@recloom/plugin-api';
import { nearestOptions } from './options.js';

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
    return new Nearest(context.options, context.inputs.vectors, context.items, context.deps.compute);
  },
});

export default definePlugin({
  apiVersion: 1,
  id: 'vector-search',
  components: [nearest],
  errors: [
    {
      code: 'VECTOR_SEARCH_FEATURES',
      summary: '`weights` names a feature that is not compared, leaves none, or there are more than eight.',
      hint: 'List the features under `in: { vectors: [...] }` and give weights above 0 by the same names.',
    },
  ],
});
