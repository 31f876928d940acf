import { defineComponent, definePlugin, userField } from '@recloom/plugin-api';
import { popularOptions, recentOptions, trendingOptions } from './options.js';

const segment = userField({
  description: 'The user field that people are grouped by, e.g. user.country. Requests without it get the ranking of the whole shop.',
  types: ['category', 'text', 'boolean'],
  optional: true,
});
const capabilities = {
  deterministic: true,
  personal: false,
  coldUser: true,
  coldItem: false,
  incremental: false,
  explains: true,
  filtersInside: true,
};

/** What most people bought (or viewed, or spent weight on), in the whole shop or in the user's segment. */
export const popular = defineComponent({
  id: 'popular',
  summary: 'Items by how many people chose them, per segment such as country when told.',
  provides: ['source', 'scorer'],
  options: popularOptions,
  inputs: { segment },
  capabilities,
  stateVersion: 1,
  async fit(context) {
    const { fitPopular } = await import('./popular.js');
    return fitPopular(context);
  },
  async create(context) {
    const { openPopular } = await import('./popular.js');
    return openPopular(context);
  },
});

/** What sells at the end of the data: every event counts less the older it is. */
export const recent = defineComponent({
  id: 'recent',
  summary: 'Items by their events, which count less with every day of age (exponential decay).',
  provides: ['source', 'scorer'],
  options: recentOptions,
  inputs: { segment },
  capabilities,
  stateVersion: 1,
  async fit(context) {
    const { fitRecent } = await import('./recent.js');
    return fitRecent(context);
  },
  async create(context) {
    const { openRecent } = await import('./recent.js');
    return openRecent(context);
  },
});

/** What is rising: the recent window against the one before. */
export const trending = defineComponent({
  id: 'trending',
  summary: 'Items that gain: the recent days against the days before, as a smoothed log ratio with a minimum support.',
  provides: ['source', 'scorer'],
  options: trendingOptions,
  capabilities,
  stateVersion: 2,
  async fit(context) {
    const { fitTrending } = await import('./trending.js');
    return fitTrending(context);
  },
  async create(context) {
    const { openTrending } = await import('./trending.js');
    return openTrending(context);
  },
});

export default definePlugin({
  apiVersion: 1,
  id: 'popularity',
  components: [popular, recent, trending],
  errors: [
    {
      code: 'POPULARITY_EVENT_TYPE_UNKNOWN',
      summary: 'Warning of the build: a name under eventTypes is the type of no event, so it counts nothing.',
      hint: 'Correct the name; the message lists the types in the data.',
    },
  ],
});
