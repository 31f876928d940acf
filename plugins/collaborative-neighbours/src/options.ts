import { z } from 'zod';

/** What item-knn and rp3beta share: which events count, how much, and how a request is read. */
const shared = {
  neighbours: z.int().min(1).max(10_000),
  eventTypes: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('Names of the event types that the fit learns from, e.g. [purchase]. Default: all types.'),
  historyEventTypes: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe("Names of the event types of a person's history that count in a request. Default: all types, so that a guest's views count."),
  useWeights: z
    .boolean()
    .default(false)
    .describe('true: an event counts as much as its weight, in the fit and in the history. Default false: all alike.'),
  pairs: z
    .enum(['strongest', 'sum'])
    .default('strongest')
    .describe(
      'What several events of a person with one item make: `strongest` the largest weight × recency (without weights the newest event), `sum` all of them. Default strongest.',
    ),
  recencyDays: z
    .number()
    .positive()
    .optional()
    .describe(
      'Days after which an event counts 1/e (37 %) of a new one in the fit: exp(-age / recencyDays) + recencyFloor, age before the last event of the build. Default: age does not matter.',
    ),
  recencyFloor: z.number().min(0).default(0.03).describe('Least weight of old events in the fit, with `recencyDays`. Default 0.03.'),
  historyRecencyDays: z
    .number()
    .positive()
    .optional()
    .describe("The same for a person's history, age before the request's time. Default: as `recencyDays`."),
  historyRecencyFloor: z
    .number()
    .min(0)
    .default(0.05)
    .describe("Least weight of old events in a person's history, with `historyRecencyDays` (or `recencyDays`). Default 0.05."),
  minimumItemUsers: z.int().min(1).default(2).describe('Items with fewer people are left out of the fit. Default 2.'),
  minimumUserItems: z.int().min(1).default(1).describe('People with fewer items are left out of the fit. Default 1.'),
  maximumUserItems: z
    .int()
    .min(1)
    .default(5000)
    .describe('Of a person with more items (a crawler, a reseller), only the newest so many are learned from. Default 5000.'),
  requestItems: z
    .enum(['fallback', 'instead', 'ignore'])
    .default('fallback')
    .describe(
      'When the items a request names (a product page) are taken for the history, each with weight 1: `fallback` when there is no history, `instead` whenever there are any, `ignore` never. Default fallback. They are never proposed.',
    ),
  excludeHistory: z
    .boolean()
    .default(false)
    .describe(
      'true: the source leaves out items of the history, so that a filter of seen items finds nothing to remove. Default false: shops also sell what people buy again.',
    ),
};

/** Options of `collaborative-neighbours/item-knn`. */
export const itemKnnOptions = z.strictObject({
  ...shared,
  neighbours: shared.neighbours.default(100).describe('Strongest neighbours kept per proposed item. Default 100.'),
  alpha: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe(
      'Share of the history item in the normalisation: together / (history^alpha × proposed^(1 - alpha) + shrinkage). 0.5 is the cosine, more favours popular items, less rare ones. Default 0.5.',
    ),
  shrinkage: z.number().min(0).default(10).describe('Added to the divisor, against chance among rare items; in people. Default 10.'),
  userWeight: z
    .number()
    .min(0)
    .max(2)
    .default(0.5)
    .describe(
      'People count n^-userWeight, n being their number of items (sum of recency weights): 0 all alike, 1 each in total 1. Default 0.5.',
    ),
});
/** Options of `collaborative-neighbours/item-knn`, defaults filled in. */
export type ItemKnnOptions = z.output<typeof itemKnnOptions>;

/** Options of `collaborative-neighbours/rp3beta`. */
export const rp3betaOptions = z.strictObject({
  ...shared,
  neighbours: shared.neighbours.default(200).describe('Strongest links kept per history item. Default 200.'),
  alpha: z
    .number()
    .positive()
    .max(3)
    .default(0.7)
    .describe('Power of each step of the walk: below 1 flattens the differences between steps, above 1 sharpens them. Default 0.7.'),
  beta: z
    .number()
    .min(0)
    .max(2)
    .default(0.6)
    .describe('How strongly popular items are damped: a link is divided by popularity^beta. Default 0.6.'),
});
/** Options of `collaborative-neighbours/rp3beta`, defaults filled in. */
export type Rp3betaOptions = z.output<typeof rp3betaOptions>;

/** Options of `collaborative-neighbours/user-knn`. */
export const userKnnOptions = z.strictObject({
  ...shared,
  neighbours: shared.neighbours.default(200).describe('Most similar people whose items are counted. Default 200.'),
  alpha: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe(
      'Share of the asking person in the normalisation: in common / (asking^alpha × other^(1 - alpha) + shrinkage). 0.5 is the cosine, more favours people with many items, less people with few. Default 0.5.',
    ),
  shrinkage: z
    .number()
    .min(0)
    .default(0)
    .describe('Added to the divisor, against chance among people with few items; in items. Default 0.'),
  itemWeight: z
    .number()
    .min(0)
    .max(2)
    .default(0.5)
    .describe(
      'An item in common counts n^-itemWeight, n being the people who have it (sum of recency weights): 0 all alike, more lets rare tastes decide. Default 0.5.',
    ),
  amplification: z
    .number()
    .positive()
    .max(10)
    .default(1)
    .describe('Power of the similarity when votes are counted: above 1 the most similar people count more. Default 1.'),
  minimumPeople: z
    .int()
    .min(1)
    .max(1000)
    .default(2)
    .describe(
      'Items that fewer of the neighbours have are neither proposed nor explained, so that no single person shows through. Default 2.',
    ),
  maximumHistoryItems: z
    .int()
    .min(1)
    .default(1000)
    .describe('Of a longer history only the newest so many items are compared, which bounds the time of a request. Default 1000.'),
});
/** Options of `collaborative-neighbours/user-knn`, defaults filled in. */
export type UserKnnOptions = z.output<typeof userKnnOptions>;

/** What all components' options have in common. */
export type SharedOptions = Omit<ItemKnnOptions, 'alpha' | 'shrinkage' | 'userWeight'>;
