import { computeToken, defineComponent, definePlugin } from '@recloom/plugin-api';
import { itemKnnOptions, rp3betaOptions, userKnnOptions } from './options.js';

const capabilities = {
  deterministic: true,
  personal: true,
  coldUser: true,
  coldItem: false,
  incremental: true,
  explains: true,
  asks: ['user', 'item'],
  filtersInside: true,
} as const;

/** Items that the same people chose, by asymmetric cosine with shrinkage. */
export const itemKnn = defineComponent({
  id: 'item-knn',
  summary: 'Items that the people who chose the same items chose too (asymmetric cosine, shrinkage, user weights, recency).',
  provides: ['source', 'scorer'],
  options: itemKnnOptions,
  needs: { compute: computeToken },
  reads: ['history'],
  capabilities,
  stateVersion: 1,
  async fit(context) {
    const { fitItemKnn } = await import('./item-knn.js');
    return fitItemKnn(context);
  },
  async create(context) {
    const { openLinks } = await import('./neighbours.js');
    return openLinks(context);
  },
});

/** Items that a three-step walk over the same people reaches, popular ones damped. */
export const rp3beta = defineComponent({
  id: 'rp3beta',
  summary: 'Items a random walk item → person → item reaches, popular ones damped (RP3beta); light on memory.',
  provides: ['source', 'scorer'],
  options: rp3betaOptions,
  needs: { compute: computeToken },
  reads: ['history'],
  capabilities,
  stateVersion: 1,
  async fit(context) {
    const { fitRp3beta } = await import('./rp3beta.js');
    return fitRp3beta(context);
  },
  async create(context) {
    const { openLinks } = await import('./neighbours.js');
    return openLinks(context);
  },
});

/** What people with a similar history chose, by cosine over the items in common. */
export const userKnn = defineComponent({
  id: 'user-knn',
  summary: 'Items of the people most like the one who asks (asymmetric cosine, shrinkage, item weights, recency), found at request time.',
  provides: ['source', 'scorer'],
  options: userKnnOptions,
  needs: { compute: computeToken },
  reads: ['history'],
  capabilities,
  stateVersion: 1,
  async fit(context) {
    const { fitUserKnn } = await import('./user-knn.js');
    return fitUserKnn(context);
  },
  async create(context) {
    const { openUserKnn } = await import('./user-knn.js');
    return openUserKnn(context);
  },
});

export default definePlugin({
  apiVersion: 1,
  id: 'collaborative-neighbours',
  components: [itemKnn, rp3beta, userKnn],
  errors: [
    {
      code: 'NEIGHBOURS_EVENT_TYPE_UNKNOWN',
      summary: 'Warning of the build: a name under eventTypes is the type of no event, so nothing is learned from it.',
      hint: 'Correct the name; the message lists the types in the data.',
    },
    {
      code: 'NEIGHBOURS_USERS_CUT',
      summary: 'Warning of the build: some users have more than maximumUserItems items, and only their newest were learned from.',
      hint: 'Crawlers and resellers are the usual cause; raise maximumUserItems if these are real customers.',
    },
  ],
});
