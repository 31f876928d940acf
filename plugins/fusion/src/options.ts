import { z } from 'zod';

const weights = z
  .record(z.string().min(1), z.number().min(0))
  .default({})
  .describe('How much each source counts, by its name in the config, from 0; a source that is not named counts 1. Default: all count 1.');

/** Options of `fusion/rrf`. */
export const reciprocalRankOptions = z.strictObject({
  k: z
    .number()
    .positive()
    .default(60)
    .describe('Added to every rank: the larger, the less the first places stand out. Default 60, the value of the paper.'),
  weights,
});
/** Options of `fusion/rrf` with their defaults filled in. */
export type ReciprocalRankOptions = z.output<typeof reciprocalRankOptions>;

/** Options of `fusion/weighted`. */
export const weightedOptions = z.strictObject({
  normalise: z
    .enum(['minmax', 'zscore', 'rank'])
    .default('minmax')
    .describe(
      "How a source's scores are made comparable within a request: `minmax` onto [0, 1], `zscore` to mean 0 and standard deviation 1, `rank` to the share of candidates that do not beat it. Default minmax.",
    ),
  weights,
});
/** Options of `fusion/weighted` with their defaults filled in. */
export type WeightedOptions = z.output<typeof weightedOptions>;
