import { z } from 'zod';

/** Options of `ranker-diversity/mmr`. */
export const mmrOptions = z.strictObject({
  lambda: z
    .number()
    .min(0)
    .max(1)
    .default(0.7)
    .describe(
      'Share of relevance against novelty: 1 leaves the order as it is, 0 looks at similarity only. A request overrides it by `diversity` = 1 − lambda. Default 0.7.',
    ),
  window: z
    .int()
    .min(1)
    .optional()
    .describe(
      'Only this many places just before are compared with, so that a theme may come back further down. Default: all places so far.',
    ),
});
/** Options of `ranker-diversity/mmr` with their defaults filled in. */
export type MmrOptions = z.output<typeof mmrOptions>;

/** Options of `ranker-diversity/spread`. */
export const spreadOptions = z.strictObject({
  most: z.int().min(1).default(1).describe('How many items of one category may stand in any `within` consecutive places. Default 1.'),
  within: z.int().min(2).default(3).describe('Width of the window in places. Default 3.'),
});
/** Options of `ranker-diversity/spread` with their defaults filled in. */
export type SpreadOptions = z.output<typeof spreadOptions>;
