import { z } from 'zod';

/** The relations that can be mined. */
export const relationNames = ['bought-together', 'bought-after'] as const;
/** A relation between items: bought in one basket, or bought later by the same person. */
export type RelationName = (typeof relationNames)[number];

/** The numbers of an edge by which neighbours can be ranked. */
export const measureNames = ['npmi', 'lift', 'confidence', 'support', 'significance'] as const;
/** A number of an edge. */
export type MeasureName = (typeof measureNames)[number];

const typesOption = z
  .array(z.string())
  .min(1)
  .optional()
  .describe('Event types that count, by name (default: purchase where the data have purchases, else all types).');

const historyItemsOption = z
  .int()
  .min(1)
  .default(5)
  .describe('Without items in the request: how many of the last different items of the history to start from (default 5).');

const historyDecayOption = z
  .number()
  .gt(0)
  .max(1)
  .default(0.8)
  .describe('How much each earlier item of the history counts against the one after it, a factor in (0, 1] (default 0.8).');

/** Options of `graph/related`; `{}` is valid. */
export const relatedOptions = z.strictObject({
  relation: z
    .enum(relationNames)
    .default('bought-together')
    .describe('The relation that is proposed and scored by: bought-together or bought-after (default bought-together).'),
  keep: z
    .array(z.enum(relationNames))
    .default([])
    .describe('Further relations to mine and store, for queries with neighbours() and `recloom inspect` (default none).'),
  by: z
    .enum(measureNames)
    .optional()
    .describe(
      'The number that ranks neighbours and is the score: npmi, lift, confidence, support or significance (default npmi for bought-together, significance for bought-after, whose pairs are rarer).',
    ),
  neighbours: z.int().min(1).default(100).describe('Edges kept per item and relation, the best by `by` (default 100).'),
  minimumSupport: z.int().min(1).default(3).describe('Baskets an edge must occur in, a count (default 3).'),
  minimumUsers: z.int().min(1).default(2).describe('Different people an edge must come from, a count (default 2).'),
  minimumSignificance: z
    .number()
    .min(0)
    .default(10.83)
    .describe(
      "Dunning's G², the log-likelihood ratio against chance, that an edge must reach (default 10.83: p < .001 with 1 degree of freedom).",
    ),
  windowHours: z
    .number()
    .positive()
    .default(24)
    .describe('Events without a basket: how long after its first event a visit still counts as one basket, in hours (default 24).'),
  windowDays: z.number().positive().default(30).describe('bought-after: how much later a follow-up may be, in days (default 30).'),
  maximumAgeDays: z
    .number()
    .positive()
    .optional()
    .describe('Only baskets of that many days before the last event, in days (default: all).'),
  maximumBasketItems: z
    .int()
    .min(2)
    .default(1000)
    .describe('Baskets with more different items are left out, with a warning, a count (default 1000).'),
  types: typesOption,
  historyItems: historyItemsOption,
  historyDecay: historyDecayOption,
});
/** Validated options of `graph/related`. */
export type RelatedOptions = z.output<typeof relatedOptions>;

/** The number that ranks the edges of a relation. */
export function measureOf(relation: RelationName, options: Pick<RelatedOptions, 'by'>): MeasureName {
  return options.by ?? (relation === 'bought-together' ? 'npmi' : 'significance');
}

const recencyDaysOption = (what: string, standard: number) =>
  z.number().min(0).default(standard).describe(`${what} by exp(-age / recencyDays), in days; 0 switches it off (default ${standard}).`);

/** Options of `graph/pagerank`; `{}` is valid. */
export const pageRankOptions = z.strictObject({
  graph: z
    .enum(['user-item', 'item-item'])
    .default('user-item')
    .describe('What is walked on: people and items, or items joined by the people they share (default user-item).'),
  method: z
    .enum(['auto', 'iteration', 'walks'])
    .default('auto')
    .describe(
      'Exact power iteration, seeded random walks, or iteration up to 1,000,000 edges, each counted in both directions (default auto).',
    ),
  restart: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.5)
    .describe('Chance of a step to return to the start, 0 to 1: low values wander towards what is popular (default 0.5).'),
  iterations: z.int().min(1).default(30).describe('Iteration: most rounds, a count (default 30).'),
  tolerance: z.number().min(0).default(1e-4).describe('Iteration: stops when all probabilities together change by less (default 0.0001).'),
  steps: z.int().min(1000).max(100_000_000).default(100_000).describe('Walks: steps per request, a count (default 100000).'),
  recencyDays: recencyDaysOption('Weighs events', 30),
  neighbours: z.int().min(1).default(200).describe('item-item: strongest edges kept per item, a count (default 200).'),
  popularityDiscount: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe(
      'Divides each probability by the item’s share of all events to this power: 0 favours popular items most, 1 least (default 0).',
    ),
  types: typesOption,
  historyItems: historyItemsOption
    .default(50)
    .describe('Without items in the request: how many of the last different items of the history to start from (default 50).'),
  historyDecay: historyDecayOption
    .default(0.9)
    .describe('How much each earlier item of the history counts against the one after it, a factor in (0, 1] (default 0.9).'),
});
/** Validated options of `graph/pagerank`. */
export type PageRankOptions = z.output<typeof pageRankOptions>;

/** Options of `graph/embedding`; `{}` is valid. */
export const embeddingOptions = z.strictObject({
  dimensions: z.int().min(2).max(4096).default(128).describe('Width of the vectors, a count (default 128).'),
  iterationWeights: z
    .array(z.number())
    .min(1)
    .max(16)
    .default([1, 1, 1, 1])
    .refine((weights) => weights.some((weight) => weight !== 0), 'at least one weight must differ from 0')
    .describe('What the 1st, 2nd, … hop counts; an odd hop from an item ends at people, an even one at items (default [1, 1, 1, 1]).'),
  normalizationStrength: z
    .number()
    .min(-2)
    .max(2)
    .default(-0.5)
    .describe('Power of the degree that scales each node at the start; below 0 popular nodes say less (default -0.5).'),
  recencyDays: recencyDaysOption('Weighs events', 30),
  types: typesOption,
});
/** Validated options of `graph/embedding`. */
export type EmbeddingOptions = z.output<typeof embeddingOptions>;

/** The numbers `graph/degree` can give. */
export const degreeMeasures = ['users', 'events', 'neighbours'] as const;
/** Options of `graph/degree`; `{}` is valid. */
export const degreeOptions = z.strictObject({
  measures: z
    .array(z.enum(degreeMeasures))
    .min(1)
    .refine((measures) => new Set(measures).size === measures.length, 'each measure once')
    .default(['users'])
    .describe(
      'One number each, as log(1 + x): users (different people), events (their weights), neighbours (different items that share a person) (default [users]).',
    ),
  recencyDays: recencyDaysOption('Weighs the events of `events`', 0),
  types: typesOption,
});
/** Validated options of `graph/degree`. */
export type DegreeOptions = z.output<typeof degreeOptions>;

/** The columns `graph/candidate` can give. */
export const candidateColumns = [
  'degree',
  'pageRank',
  'linked',
  'commonNeighbours',
  'adamicAdar',
  'jaccard',
  'similarityMax',
  'similarityMean',
] as const;
/** A column of `graph/candidate`. */
export type CandidateColumn = (typeof candidateColumns)[number];

/** Options of `graph/candidate`; `{}` is valid. */
export const candidateOptions = z.strictObject({
  columns: z
    .array(z.enum(candidateColumns))
    .min(1)
    .refine((columns) => new Set(columns).size === columns.length, 'each column once')
    .default([...candidateColumns])
    .describe(
      'The numbers to give, in the order in which they are listed: degree, pageRank (of the candidate), linked, commonNeighbours, adamicAdar, jaccard, similarityMax, similarityMean (between it and the history); default all.',
    ),
  relation: z
    .enum(['shared-people', ...relationNames])
    .default('shared-people')
    .describe(
      'What makes items neighbours: people they share, baskets they share, or that one is bought after the other (default shared-people).',
    ),
  neighbours: z
    .int()
    .min(1)
    .max(255)
    .default(100)
    .describe('Strongest neighbours kept per item, a count; the time of a request grows with it (default 100).'),
  dimensions: z.int().min(2).max(1024).default(64).describe('Width of the vectors that are compared, a count (default 64).'),
  restart: z.number().gt(0).lt(1).default(0.15).describe('pageRank: chance of a step to start again anywhere, 0 to 1 (default 0.15).'),
  recencyDays: recencyDaysOption('Weighs the events that the graph is made of', 30),
  types: typesOption,
  historyItems: z
    .int()
    .min(1)
    .max(64)
    .default(50)
    .describe('How many of the last different items of the history are compared with, a count (default 50).'),
  historyRecencyDays: recencyDaysOption('Weighs the events of the history', 30),
  minimumSupport: relatedOptions.shape.minimumSupport.describe('bought-*: baskets an edge must occur in, a count (default 3).'),
  minimumUsers: relatedOptions.shape.minimumUsers.describe('bought-*: different people an edge must come from, a count (default 2).'),
  minimumSignificance: relatedOptions.shape.minimumSignificance.describe(
    "bought-*: Dunning's G² against chance that an edge must reach (default 10.83).",
  ),
  windowHours: relatedOptions.shape.windowHours.describe(
    'bought-*: how long a visit without a basket lasts after its first event, in hours (default 24).',
  ),
  windowDays: relatedOptions.shape.windowDays.describe('bought-after: how much later a follow-up may be, in days (default 30).'),
  maximumBasketItems: relatedOptions.shape.maximumBasketItems.describe(
    'bought-*: larger baskets are left out, with a warning, a count of items (default 1000).',
  ),
});
/** Validated options of `graph/candidate`. */
export type CandidateOptions = z.output<typeof candidateOptions>;
