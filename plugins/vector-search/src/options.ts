import { z } from 'zod';

/** Options of `vector-search/nearest`; `{}` is valid. */
export const nearestOptions = z.strictObject({
  mode: z
    .enum(['auto', 'item', 'query', 'profile'])
    .default('auto')
    .describe(
      'What items must be near to: the items of the request, its text or picture, or what the user touched; auto takes the query if its vector is there, else the items, else the profile (default auto).',
    ),
  weights: z
    .record(z.string(), z.number().min(0))
    .default({})
    .describe('How much each feature counts in a mix, by feature name, e.g. { text: 0.7, image: 0.3 } (a share; default 1 each).'),
  profile: z
    .enum(['sum-power', 'max', 'mean'])
    .default('sum-power')
    .describe(
      'How several items (a history, a basket) make one score: the power mean of their cosines, the best of them, or the cosine to their mean (default sum-power).',
    ),
  power: z
    .number()
    .min(1)
    .max(64)
    .default(8)
    .describe('Exponent of sum-power: 1 weighs all items alike, a high one nears the best of them (default 8).'),
  recencyDays: z
    .number()
    .min(0)
    .default(30)
    .describe('Profile: weighs events by exp(-age / recencyDays), the newest as 1, in days; 0 switches it off (default 30).'),
  historyItems: z
    .int()
    .min(1)
    .default(50)
    .describe('Profile: how many of the last different items of the history are used, a count (default 50).'),
  cacheMegabytes: z
    .number()
    .min(0)
    .max(4096)
    .default(64)
    .describe(
      'Memory for the similarities of items that histories and baskets hold, which are the same for everybody: about 4.5 bytes × items of the catalogue for each; the least recently used go first, in MB; 0 keeps none (default 64).',
    ),
  minimumSimilarity: z.number().min(-1).max(1).default(0).describe('Items below this score are not proposed, from -1 to 1 (default 0).'),
});

/** Validated options of `vector-search/nearest`. */
export type NearestOptions = z.output<typeof nearestOptions>;

/** Options of `vector-search/near-duplicates`; `{}` is valid. */
export const nearDuplicatesOptions = z.strictObject({
  threshold: z
    .number()
    .min(0.5)
    .max(1)
    .default(0.97)
    .describe(
      'Two items are near duplicates when the cosine of their vectors is at least this, from 0.5 to 1 (default 0.97, which suits pictures; 1 finds what is equal).',
    ),
  duplicates: z
    .enum(['drop', 'last'])
    .default('drop')
    .describe(
      'As a ranker: what happens to a near duplicate of an item that stands above it: it goes, even when the answer gets shorter, or it follows after all others (default drop).',
    ),
});

/** Validated options of `vector-search/near-duplicates`. */
export type NearDuplicatesOptions = z.output<typeof nearDuplicatesOptions>;
