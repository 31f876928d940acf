import { z } from 'zod';

const ease = {
  lambda: z
    .number()
    .positive()
    .default(200)
    .describe(
      'Regularisation, in people: the larger, the less is believed of rare items. Smaller with recency weights (try 100). Default 200.',
    ),
  userWeight: z
    .number()
    .min(0)
    .max(2)
    .default(0)
    .describe(
      'People count n^-userWeight, n being their number of items (sum of recency weights). Then lower lambda too. Default 0: all alike.',
    ),
  dropout: z
    .number()
    .min(0)
    .max(0.95)
    .default(0)
    .describe('EDLAE: as if this share of each history were hidden while learning; regularises popular items more. Default 0.'),
  keep: z
    .int()
    .min(1)
    .max(10_000)
    .optional()
    .describe(
      'Strongest weights kept per proposed item; the model is then stored sparsely. 200 is a good value for shops. Default: all, stored densely (items × items × 4 bytes).',
    ),
  negativeWeights: z
    .boolean()
    .default(true)
    .describe(
      'false: weights below 0 ("who has this does not want that") are dropped; with `keep` this is often better, and every score can be explained. Default true, as in the paper.',
    ),
  maxItems: z
    .int()
    .min(1)
    .max(20_000)
    .default(20_000)
    .describe(
      'Most items that the matrix may have; above it the build stops with EASE_TOO_MANY_ITEMS. A fit needs about 8 bytes × items², and time ∝ items³. Default 20000.',
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
  recencyFloor: z.number().min(0).default(0).describe('Least weight of old events in the fit, with `recencyDays`. Default 0.'),
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
  minimumItemUsers: z.int().min(1).default(2).describe('Items with fewer people are left out, which keeps the matrix small. Default 2.'),
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

/** Options of `collaborative-linear/ease`. */
export const easeOptions = z.strictObject(ease);
/** Validated options of `collaborative-linear/ease`. */
export type EaseOptions = z.output<typeof easeOptions>;

/** Options of `collaborative-linear/content-ease`; `{}` is valid. */
export const contentEaseOptions = z.strictObject({
  ...ease,
  contentShare: z
    .number()
    .min(0)
    .max(1)
    .default(0.2)
    .describe(
      'What the content counts against what people have together, which counts 1 - contentShare; 0 is EASE, 1 content alone. Default 0.2.',
    ),
  contentLambda: z
    .number()
    .positive()
    .default(3)
    .describe('Regularisation of the content, in items: the larger, the more common words and directions count. Default 3.'),
  contentWeights: z
    .record(z.string(), z.number().nonnegative())
    .default({})
    .describe(
      'How much a feature or attribute field counts among the contents, by its name (a factor; 1 unless given, 0 leaves it out), e.g. { text: 0.7, brand: 0.3 }.',
    ),
  minimumAttributeItems: z
    .int()
    .min(1)
    .default(2)
    .describe('Attributes (values of a field) that fewer items have are left out. Default 2.'),
  maximumAttributes: z
    .int()
    .min(1)
    .max(8192)
    .default(2048)
    .describe(
      'Of a field with more attributes, only those of most items count; memory grows with items × attributes × 4 bytes, requests likewise. Default 2048.',
    ),
});
/** Validated options of `collaborative-linear/content-ease`. */
export type ContentEaseOptions = z.output<typeof contentEaseOptions>;

/** Options of `collaborative-linear/next-purchase`; `{}` is valid. */
export const nextPurchaseOptions = z.strictObject({
  cuts: z
    .int()
    .min(1)
    .max(366)
    .default(12)
    .describe('Number of earlier cuts that are learned from: at each, the history before it meets what was new after it. Default 12.'),
  stepDays: z.number().positive().default(4).describe('Days between two cuts. Default 4.'),
  horizonDays: z
    .number()
    .positive()
    .default(10)
    .describe('Days after a cut in which something new counts; the newest cut lies so many days before the last event. Default 10.'),
  cutRecencyDays: z.number().positive().default(30).describe('Days after which a cut counts 1/e (37 %) of the newest. Default 30.'),
  recencyDays: z
    .number()
    .positive()
    .default(120)
    .describe(
      "Days after which an event before a cut counts 1/e of a new one: exp(-age / recencyDays) + recencyFloor; in a request the same for the person's history. Default 120.",
    ),
  recencyFloor: z.number().min(0).default(0.1).describe('Least weight of old events. Default 0.1.'),
  lambda: z
    .number()
    .positive()
    .default(100)
    .describe('Regularisation, in people: the larger, the less is believed of rare items. Default 100.'),
  userWeight: ease.userWeight
    .default(0.5)
    .describe('People count n^-userWeight, n being the sum of the weights of their items. Default 0.5.'),
  cooccurrence: z
    .number()
    .min(0)
    .default(1)
    .describe(
      'What the items that people have together (EASE) count against what came next; 0 learns from the windows alone. About 0.3 in a blend that has EASE already. Default 1.',
    ),
  cooccurrenceRecencyDays: z
    .number()
    .positive()
    .default(30)
    .describe('Days after which an event counts 1/e of a new one in that half, before the last event of the build. Default 30.'),
  keep: z.int().min(1).max(10_000).default(400).describe('Strongest links kept per proposed item. Default 400.'),
  negativeWeights: z
    .boolean()
    .default(false)
    .describe('true: links below 0 ("who has this does not want that") are kept too, the strongest by magnitude. Default false.'),
  maxItems: ease.maxItems,
  eventTypes: ease.eventTypes,
  targetTypes: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe(
      'Names of the event types that are foretold, e.g. [purchase] with views among the eventTypes; an item counts as new until then. Default: as eventTypes.',
    ),
  historyEventTypes: ease.historyEventTypes,
  useWeights: ease.useWeights,
  pairs: ease.pairs,
  minimumItemUsers: ease.minimumItemUsers,
  minimumUserItems: ease.minimumUserItems,
  maximumUserItems: ease.maximumUserItems,
  requestItems: ease.requestItems,
  excludeHistory: ease.excludeHistory,
});
/** Validated options of `collaborative-linear/next-purchase`. */
export type NextPurchaseOptions = z.output<typeof nextPurchaseOptions>;
