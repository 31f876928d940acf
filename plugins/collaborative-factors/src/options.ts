import { z } from 'zod';

/** Options of `collaborative-factors/ials`. */
export const ialsOptions = z.strictObject({
  factors: z
    .int()
    .min(1)
    .max(512)
    .default(64)
    .describe(
      'Numbers per item that stand for its taste; the snapshot has items × factors × 4 bytes, a request costs about as much. Default 64.',
    ),
  epochs: z
    .int()
    .min(1)
    .max(100)
    .default(8)
    .describe('Times that people and items are solved for in turns; with recency weights fewer are often better. Default 8.'),
  alpha: z
    .number()
    .min(0)
    .max(1e6)
    .default(1)
    .describe(
      'Weight of a chosen pair (times its recency or event weight) on top of unobservedWeight. 0: all pairs count alike, and recency has no effect. Default 1.',
    ),
  unobservedWeight: z
    .number()
    .positive()
    .max(1000)
    .default(0.3)
    .describe(
      'Weight with which each pair of a person and an item pulls towards 0 (alpha0 of Rendle et al. 2022); smaller for large, sparse catalogues (try 0.1). Default 0.3.',
    ),
  lambda: z
    .number()
    .positive()
    .max(1e6)
    .default(0.01)
    .describe(
      'Regularisation; a factor is held back by lambda × (pairs + unobservedWeight × other side)^regularizationExponent. Default 0.01.',
    ),
  regularizationExponent: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe(
      'How regularisation grows with the number of pairs (nu of Rendle et al. 2022). 0: the same lambda for all, as in Hu et al. 2008; then try lambda 10 with unobservedWeight 1. Default 1.',
    ),
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
  recencyFloor: z.number().min(0).default(0.1).describe('Least weight of old events in the fit, with `recencyDays`. Default 0.1.'),
  historyRecencyDays: z
    .number()
    .positive()
    .optional()
    .describe("The same for a person's history, age before the request's time. Default: as `recencyDays`."),
  historyRecencyFloor: z
    .number()
    .min(0)
    .optional()
    .describe(
      "Least weight of old events in a person's history, with `historyRecencyDays` (or `recencyDays`). Default: as `recencyFloor`.",
    ),
  minimumItemUsers: z
    .int()
    .min(1)
    .default(2)
    .describe('Items with fewer people are left out: nothing can be learned from one person. Default 2.'),
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
});
/** Options of `collaborative-factors/ials`, defaults filled in. */
export type IalsOptions = z.output<typeof ialsOptions>;
