import { z } from 'zod';

/** Options of `sequence/transitions`. */
export const transitionsOptions = z.strictObject({
  window: z.int().min(1).max(100).default(10).describe('How many events ahead an item is linked to. Default 10.'),
  gamma: z
    .number()
    .positive()
    .max(1)
    .default(0.9)
    .describe('A link over a gap of g events counts gamma^(g - 1): 1 all alike, small only the next event. Default 0.9.'),
  back: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe('Share of each link that is counted in the other direction too, from the later event to the earlier. Default 0.5.'),
  sourcePower: z
    .number()
    .min(0)
    .max(2)
    .default(0.5)
    .describe('Links are divided by (all that leaves the history item + smoothing)^sourcePower. Default 0.5.'),
  targetPower: z
    .number()
    .min(0)
    .max(2)
    .default(0.5)
    .describe('Links are divided by (all that reaches the proposed item + smoothing)^targetPower: more damps popular items. Default 0.5.'),
  smoothing: z.number().positive().default(10).describe('Added to both totals, in transitions: damps what rests on few. Default 10.'),
  historyDecay: z
    .number()
    .positive()
    .max(1)
    .default(0.8)
    .describe(
      "An event of a person's history counts historyDecay^age, its age in events after it: 1 all alike, small only the last. Default 0.8.",
    ),
  historyHours: z
    .number()
    .positive()
    .optional()
    .describe(
      "Hours before the newest event of a person's history after which an event counts 1/e (37 %) of it: historyDecay^age is multiplied by exp(-hours / historyHours) + historyFloor. Small: what was chosen in the same sitting counts most. Default: only the order matters.",
    ),
  historyFloor: z
    .number()
    .min(0)
    .max(10)
    .default(0.2)
    .describe('Added to the weight by hours, so that older events keep a say, with `historyHours`. Default 0.2.'),
  maxGapHours: z
    .number()
    .positive()
    .optional()
    .describe(
      'Hours without an event after which a new visit begins; links stay within one visit. Default: a person has one endless visit.',
    ),
  recencyDays: z
    .number()
    .positive()
    .optional()
    .describe(
      'Days after which a transition counts 1/e (37 %) of a new one: exp(-age / recencyDays) + recencyFloor, age of its later event before the last event of the build. Default: age does not matter.',
    ),
  recencyFloor: z.number().min(0).default(0.03).describe('Least weight of old transitions, with `recencyDays`. Default 0.03.'),
  eventTypes: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('Names of the event types that the fit learns from, e.g. [view]. Default: all types.'),
  historyEventTypes: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe("Names of the event types of a person's history that count in a request. Default: all types, so that a guest's views count."),
  useWeights: z
    .boolean()
    .default(false)
    .describe(
      'true: a transition counts as much as the event it leads to weighs, and an event of the history as much as its own weight. Default false: all alike.',
    ),
  neighbours: z.int().min(1).max(10_000).default(1000).describe('Strongest links kept per history item. Default 1000.'),
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
/** Options of `sequence/transitions`, defaults filled in. */
export type TransitionsOptions = z.output<typeof transitionsOptions>;

/** Options of `sequence/network`. */
export const networkOptions = z.strictObject({
  width: z.int().min(8).max(512).multipleOf(8).default(64).describe('Numbers per vector, a multiple of 8. Default 64.'),
  positions: z.int().min(1).max(200).default(20).describe('Newest events of a history that count. Default 20.'),
  epochs: z
    .int()
    .min(0)
    .max(500)
    .default(20)
    .describe(
      'Most passes over the data. 0 learns nothing: with `attributeShare: 1` the scores are then cosines of the attributes, by random projection to `width` numbers. Default 20.',
    ),
  validationUsers: z
    .int()
    .min(0)
    .max(100_000)
    .default(1000)
    .describe(
      'People (at most one in ten of those with three events) whose last event the fit does without, to keep the epoch that foretells it best (NDCG@10). 0: none; all epochs are run and the last is kept. Default 1000.',
    ),
  patience: z.int().min(1).max(100).default(3).describe('Epochs without a better one after which the fit ends. Default 3.'),
  negatives: z
    .int()
    .min(1)
    .max(16_384)
    .default(1024)
    .describe('Items that the next one is told from, drawn anew for each step; all, when the shop has no more. Default 1024.'),
  batchSize: z
    .int()
    .min(1)
    .max(8192)
    .default(1024)
    .describe('Most examples per step; a shop with few events gets smaller steps, so that an epoch has about 64. Default 1024.'),
  learningRate: z.number().positive().max(1).default(0.003).describe('Step size of Adam. Default 0.003.'),
  eventDropout: z
    .number()
    .min(0)
    .max(0.95)
    .default(0.2)
    .describe('Share of the events that each example does without while learning. Default 0.2.'),
  dropout: z.number().min(0).max(0.95).default(0.3).describe("Share of the history's numbers that each example does without. Default 0.3."),
  attributeShare: z
    .number()
    .min(0)
    .max(1)
    .default(0.8)
    .describe(
      "With attributes: the share of an item's first vector (by squared length) that they make up; what it turns into is learned. Default 0.8.",
    ),
  initialDecay: z
    .number()
    .positive()
    .max(1)
    .default(0.7)
    .describe('Where the weights of the ages start: initialDecay^age for the event of age 0, 1, … They are learned. Default 0.7.'),
  initialScale: z.number().positive().max(200).default(20).describe('Where the factor of the cosines starts; it is learned. Default 20.'),
  eventTypes: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('Names of the event types that the fit learns from, e.g. [view]. Default: all types.'),
  historyEventTypes: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe("Names of the event types of a person's history that count in a request. Default: all types, so that a guest's views count."),
  requestItems: z
    .enum(['fallback', 'instead', 'ignore'])
    .default('fallback')
    .describe(
      'When the items a request names (a product page) are taken for the history, the first as the newest: `fallback` when there is no history, `instead` whenever there are any, `ignore` never. Default fallback. They are never proposed.',
    ),
  excludeHistory: z
    .boolean()
    .default(false)
    .describe(
      'true: the source leaves out items of the history, so that a filter of seen items finds nothing to remove. Default false: shops also sell what people buy again.',
    ),
});
/** Options of `sequence/network`, defaults filled in. */
export type NetworkOptions = z.output<typeof networkOptions>;
