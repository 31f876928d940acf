import { z } from 'zod';

/** Options of `template/newest`. */
export const newestOptions = z.strictObject({
  halfScoreDays: z
    .number()
    .positive()
    .default(30)
    .describe('Age in days at which an item scores half of what it scored when it was new. Default 30.'),
  maximumAgeDays: z.number().positive().optional().describe('Items older than this many days are not proposed. Default: no limit.'),
});

/** Options of `template/newest` with their defaults filled in. */
export type NewestOptions = z.output<typeof newestOptions>;
