import { computeToken, defineComponent, definePlugin, feature, itemField } from '@recloom/plugin-api';
import { contentEaseOptions, easeOptions, nextPurchaseOptions } from './options.js';

/** The closed-form linear autoencoder, with recency weights in the fit and in the history. */
export const ease = defineComponent({
  id: 'ease',
  summary: 'EASE: the closed-form linear autoencoder over items, with recency weights, optional EDLAE dropout and sparse storage.',
  provides: ['source', 'scorer'],
  options: easeOptions,
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
  },
  stateVersion: 1,
  async fit(context) {
    const { fitEase } = await import('./ease.js');
    return fitEase(context);
  },
  async create(context) {
    const { openEase } = await import('./ease.js');
    return openEase(context);
  },
});

/** EASE with item side information, which also scores items that nobody has bought yet. */
export const contentEase = defineComponent({
  id: 'content-ease',
  summary: 'EASE with the contents of items (features, brands, categories) as a second, additive closed form; scores new items by content.',
  provides: ['source', 'scorer'],
  options: contentEaseOptions,
  needs: { compute: computeToken },
  inputs: {
    content: feature({ many: true, optional: true, description: 'Features of the items, e.g. [text, image].' }),
    attributes: itemField({
      many: true,
      optional: true,
      types: ['category', 'list'],
      description: 'Fields whose values items share, e.g. [item.brand, item.categories].',
    }),
  },
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
  async fit(context) {
    const { fitContentEase } = await import('./content-ease.js');
    return fitContentEase(context);
  },
  async create(context) {
    const { openContentEase } = await import('./content-ease.js');
    return openContentEase(context);
  },
});

/** Ridge regression from what people had before earlier cuts to what was new after them, joined with EASE. */
export const nextPurchase = defineComponent({
  id: 'next-purchase',
  summary: 'Next purchase: a linear model that learns what came next after earlier cuts, and what people have together (EASE), at once.',
  provides: ['source', 'scorer'],
  options: nextPurchaseOptions,
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
  },
  stateVersion: 1,
  async fit(context) {
    const { fitNextPurchase } = await import('./next-purchase.js');
    return fitNextPurchase(context);
  },
  async create(context) {
    const { openNextPurchase } = await import('./next-purchase.js');
    return openNextPurchase(context);
  },
});

export default definePlugin({
  apiVersion: 1,
  id: 'collaborative-linear',
  components: [ease, contentEase, nextPurchase],
  errors: [
    {
      code: 'CONTENT_EASE_EMPTY',
      summary: 'Warning of the build: no item has anything in the contents that tells it from others, so the model is EASE alone.',
      hint: 'Look at the features and fields under `in:`; values that all items share, or that fewer than minimumAttributeItems have, say nothing.',
    },
    {
      code: 'CONTENT_EASE_NO_INPUT',
      summary: 'content-ease was given neither features nor fields.',
      hint: 'Give it `in: { content: [text] }` or `in: { attributes: [item.brand] }`, or use collaborative-linear/ease.',
    },
    {
      code: 'CONTENT_EASE_WIDTH',
      summary: 'The contents have another width than when the model was built.',
      hint: 'Build anew: a feature among the inputs has another width than before.',
    },
    {
      code: 'EASE_EVENT_TYPE_UNKNOWN',
      summary: 'Warning of the build: a name under eventTypes is the type of no event, so nothing is learned from it.',
      hint: 'Correct the name; the message lists the types in the data.',
    },
    {
      code: 'EASE_TOO_MANY_ITEMS',
      summary: 'The fit has more items than maxItems; the matrix would not fit into memory or time.',
      hint: 'Use collaborative-neighbours/item-knn or rp3beta, or raise minimumItemUsers or maxItems.',
    },
    {
      code: 'EASE_USERS_CUT',
      summary: 'Warning of the build: some users have more than maximumUserItems items, and only their newest were learned from.',
      hint: 'Crawlers and resellers are the usual cause; raise maximumUserItems if these are real customers.',
    },
    {
      code: 'NEXT_PURCHASE_CUTS_EMPTY',
      summary: 'Warning of the build: at some of the earlier cuts nobody has events before and new items after, so they teach nothing.',
      hint: 'The data are shorter than the cuts reach: lower cuts, stepDays or horizonDays; or ignore it, the other cuts count.',
    },
    {
      code: 'NEXT_PURCHASE_EVENT_TYPE_UNKNOWN',
      summary: 'Warning of the build: a name under eventTypes or targetTypes is the type of no event, so nothing is learned from it.',
      hint: 'Correct the name; the message lists the types in the data.',
    },
    {
      code: 'NEXT_PURCHASE_NO_WINDOWS',
      summary:
        'Warning of the build: at none of the earlier cuts has anybody events before and new items after, so only what people have together is learned (nothing with cooccurrence 0).',
      hint: 'The data have no times or reach back less than horizonDays: lower horizonDays, or use collaborative-linear/ease.',
    },
    {
      code: 'NEXT_PURCHASE_USERS_CUT',
      summary: 'Warning of the build: some users have more than maximumUserItems items, and only their newest were learned from.',
      hint: 'Crawlers and resellers are the usual cause; raise maximumUserItems if these are real customers.',
    },
  ],
});
