import { z } from 'zod';

const weights = z
  .record(z.string(), z.number().nonnegative())
  .default({})
  .describe('How much a feature counts, by its name (a factor; 1 unless given, 0 leaves it out), e.g. { text: 0.7, image: 0.3 }.');

const eventTypes = z
  .array(z.string().min(1))
  .min(1)
  .optional()
  .describe('Names of the event types that are learned from, e.g. [purchase]. Default: all types.');

const recencyDays = z
  .number()
  .positive()
  .optional()
  .describe('Days after which an event counts 1/e (37 %) of a new one in the fit. Default: age does not matter.');

const useWeights = z.boolean().default(false).describe('true: an event counts as much as its weight in the fit. Default false: all alike.');

const minimumItemUsers = z
  .int()
  .min(1)
  .default(2)
  .describe('Items with fewer people count as new: what is known of them comes from their content. Default 2.');

/** Options of `multimodal/concat`; `{}` is valid. */
export const concatOptions = z.strictObject({
  weights,
  widths: z
    .record(z.string(), z.int().min(1).max(2048))
    .default({})
    .describe(
      "Numbers kept of a feature, by its name: its strongest directions. Default: `width`, or the feature's own width when that is smaller.",
    ),
  width: z.int().min(1).max(2048).default(128).describe('Numbers kept of each feature that `widths` does not name. Default 128.'),
  whitening: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe(
      'How far directions are evened out: each is divided by (its variance)^(whitening / 2). 0 only centres and rotates, 1 gives every direction the same variance. Default 1.',
    ),
  shrinkage: z
    .union([z.literal('auto'), z.number().min(0).max(1)])
    .default('auto')
    .describe(
      'How far the covariance is pulled towards equal variances before it is inverted, 0 to 1; `auto` is the estimate of Ledoit and Wolf (2004). Default auto.',
    ),
  maximumRows: z
    .int()
    .min(2)
    .default(50_000)
    .describe('Items that mean and covariance are estimated from; of a larger catalogue a sample of so many. Default 50000.'),
});
/** Validated options of `multimodal/concat`. */
export type ConcatOptions = z.output<typeof concatOptions>;

/** Options of `multimodal/weighted`; `{}` is valid. */
export const weightedOptions = z.strictObject({ weights });
/** Validated options of `multimodal/weighted`. */
export type WeightedOptions = z.output<typeof weightedOptions>;

/** Options of `multimodal/attention`; `{}` is valid. */
export const attentionOptions = z.strictObject({
  weights,
  eventTypes,
  minimumPeople: z
    .int()
    .min(2)
    .default(100)
    .describe(
      'People with two items or more that the fit needs; with fewer it gives every item the same weights, and a warning. Default 100.',
    ),
  steps: z
    .int()
    .min(1)
    .max(100_000)
    .default(2000)
    .describe('Most steps of the fit; it ends earlier when the held-out pairs say so. Default 2000.'),
  batch: z.int().min(2).max(4096).default(64).describe('Pairs of items per step. Default 64.'),
  negatives: z.int().min(1).max(4096).default(64).describe('Items drawn against them per step. Default 64.'),
  temperature: z
    .number()
    .positive()
    .default(0.1)
    .describe('Divides the cosines in the loss: the smaller, the more the hardest negatives count. Default 0.1.'),
  learningRate: z.number().positive().default(0.02).describe('Step size of Adam. Default 0.02.'),
  decay: z.number().nonnegative().default(0.001).describe('Pull of the gates towards equal weights (L2). Default 0.001.'),
  patience: z
    .int()
    .min(1)
    .default(5)
    .describe('Checks on the held-out pairs, one every 50 steps, without a gain after which the fit ends. Default 5.'),
});
/** Validated options of `multimodal/attention`. */
export type AttentionOptions = z.output<typeof attentionOptions>;

/** Options of `multimodal/content-graph`; `{}` is valid. */
export const contentGraphOptions = z.strictObject({
  weights,
  width: z.int().min(1).max(2048).default(64).describe('Numbers per item: factors of who chose what. Default 64.'),
  neighbours: z.int().min(1).max(500).default(10).describe('Most similar items per feature that content is passed on from. Default 10.'),
  power: z.number().min(0).max(16).default(2).describe('A neighbour counts cos^power; 0 = all alike, as in the paper. Default 2.'),
  strength: z
    .number()
    .min(0)
    .default(1)
    .describe(
      'How much the propagated part counts beside what is known of the item itself. 0 leaves items with behaviour as they are. Default 1.',
    ),
  layers: z
    .int()
    .min(1)
    .max(4)
    .default(1)
    .describe('How often content is passed on: 1 = from neighbours, 2 = also from theirs. Default 1.'),
  eventTypes,
  recencyDays,
  useWeights,
  minimumItemUsers,
});
/** Validated options of `multimodal/content-graph`. */
export type ContentGraphOptions = z.output<typeof contentGraphOptions>;

/** Options of `multimodal/cold-map`; `{}` is valid. */
export const coldMapOptions = z.strictObject({
  weights,
  powers: z
    .record(z.string(), z.int().min(1).max(8))
    .default({})
    .describe(
      'Exponent of the cosine of a feature, by its name: 1 is plain ridge regression, 2 makes combinations of its numbers count. Default 2.',
    ),
  width: z
    .int()
    .min(1)
    .max(2048)
    .default(256)
    .describe('Numbers per item: directions of who chose what. More keep more of rare tastes and cost memory and build time. Default 256.'),
  lambda: z
    .union([z.literal('auto'), z.number().positive()])
    .default('auto')
    .describe(
      'Ridge penalty against a kernel of diagonal 1; `auto` takes the one of .03, .1, .3, 1, 3 with the smallest leave-one-out error. Default auto.',
    ),
  popularityWeight: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe(
      'The penalty of an item shrinks with (its people)^popularityWeight: popular items are fitted more closely. Default 0: all alike.',
    ),
  evidence: z
    .number()
    .min(0)
    .default(10)
    .describe("People at which an item's own vector and the one its content suggests count the same: own n / (n + evidence). Default 10."),
  missingSimilarity: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe('How alike two items are for both lacking a feature, against 1 for having the same one. Default 0.1.'),
  maximumItems: z
    .int()
    .min(2)
    .max(8192)
    .default(4096)
    .describe('Items the map is fitted on, those with the most people first; memory grows with its square. Default 4096.'),
  eventTypes,
  recencyDays,
  useWeights,
  minimumItemUsers,
});
/** Validated options of `multimodal/cold-map`. */
export type ColdMapOptions = z.output<typeof coldMapOptions>;

/** Options of `multimodal/factor-profile`; `{}` is valid. */
export const factorProfileOptions = z.strictObject({
  recencyDays: z
    .number()
    .positive()
    .optional()
    .describe('Days after which an event of the history counts 1/e (37 %) of its newest. Default: age does not matter.'),
  eventTypes: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe("Names of the event types of a person's history that count. Default: all types."),
  useWeights: z.boolean().default(false).describe('true: an event of the history counts as much as its weight. Default false: all alike.'),
  requestItems: z
    .enum(['fallback', 'instead', 'ignore'])
    .default('fallback')
    .describe(
      'When the items a request names (a product page) are taken for the history: `fallback` when there is none, `instead` whenever there are any, `ignore` never. Default fallback. They are never proposed.',
    ),
  excludeHistory: z
    .boolean()
    .default(false)
    .describe('true: the source leaves out items of the history. Default false: shops also sell what people buy again.'),
});
/** Validated options of `multimodal/factor-profile`. */
export type FactorProfileOptions = z.output<typeof factorProfileOptions>;
