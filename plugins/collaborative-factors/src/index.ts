import { computeToken, defineComponent, definePlugin } from '@recloom/plugin-api';
import { ialsOptions } from './options.js';

/** Implicit alternating least squares: people and items as short vectors, people solved for at the moment they ask. */
export const ials = defineComponent({
  id: 'ials',
  summary:
    'iALS: matrix factorisation of implicit feedback with frequency-scaled regularisation, recency weights and fold-in of anybody at request time.',
  provides: ['source', 'scorer', 'extractor'],
  options: ialsOptions,
  needs: { compute: computeToken },
  reads: ['history'],
  capabilities: {
    deterministic: true,
    personal: true,
    coldUser: true,
    coldItem: false,
    incremental: true,
    explains: true,
    asks: ['user', 'item'],
    filtersInside: true,
    scopes: ['item'],
    modality: 'behaviour',
  },
  stateVersion: 1,
  async fit(context) {
    const { fitIals } = await import('./fit-ials.js');
    return fitIals(context);
  },
  async create(context) {
    const { openIals } = await import('./ials.js');
    return openIals(context);
  },
});

export default definePlugin({
  apiVersion: 1,
  id: 'collaborative-factors',
  components: [ials],
  errors: [
    {
      code: 'IALS_DIVERGED',
      summary: 'The factors became infinite or not a number while fitting; nothing was kept.',
      hint: 'Raise lambda, or lower alpha; with useWeights look for extreme event weights.',
    },
    {
      code: 'IALS_EVENT_TYPE_UNKNOWN',
      summary: 'Warning of the build: a name under eventTypes is the type of no event, so nothing is learned from it.',
      hint: 'Correct the name; the message lists the types in the data.',
    },
    {
      code: 'IALS_USERS_CUT',
      summary: 'Warning of the build: some users have more than maximumUserItems items, and only their newest were learned from.',
      hint: 'Crawlers and resellers are the usual cause; raise maximumUserItems if these are real customers.',
    },
  ],
});
