import { z } from 'zod';

/** Options of `repeat/again`. */
export const againOptions = z.strictObject({
  eventTypes: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe(
      'Names of the event types that are purchases, in the fit and in the history. Default: those of purchase, order and buy that the data have; all types when they have none of them.',
    ),
  horizonDays: z
    .number()
    .positive()
    .max(3650)
    .default(30)
    .describe('The score is the chance that the person buys the item again within so many days. Default 30.'),
  mergeHours: z
    .number()
    .min(0)
    .default(12)
    .describe(
      'Purchases of one item by one person at most so many hours apart are one (lines of an order, a corrected order). Default 12.',
    ),
  itemRecencyDays: z
    .number()
    .positive()
    .default(15)
    .describe(
      "Days after which a repeat purchase counts 1/e in its item's rate, so that seasons and articles that are no longer sold show soon. Default 15.",
    ),
  itemSmoothing: z
    .number()
    .positive()
    .default(5)
    .describe("Repeat purchases at the catalogue's rate that are added to each item's, against chance. Default 5."),
  userSmoothing: z
    .number()
    .positive()
    .default(5)
    .describe("Expected repeat purchases that are added to each person's, so that a new person counts as an average one. Default 5."),
  pairSmoothing: z
    .number()
    .positive()
    .default(1)
    .describe(
      "Expected repeat purchases that are added to a person's of one item: the less, the more a person's own frequency counts against the item's. Default 1.",
    ),
  timing: z
    .union([z.literal('learned'), z.number().min(0).max(1)])
    .default('learned')
    .describe(
      "How much the time since the last purchase, held against the usual gap, counts: 0 not at all, 1 fully (just bought: hardly; gap over: most). Default learned: what would have predicted the data's last `horizonDays` best.",
    ),
  minimumProbability: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe('The source proposes only items whose chance is at least this. Default 0: all items of the history, likeliest first.'),
});
/** Options of `repeat/again`, defaults filled in. */
export type AgainOptions = z.output<typeof againOptions>;
