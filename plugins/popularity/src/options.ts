import { z } from 'zod';

const count = z
  .enum(['users', 'events', 'weights'])
  .describe(
    'What is added up: `users` counts a user once per item (by the newest event), `events` every event, `weights` the weight of every event (events of weight 0 or less count nothing).',
  );
const eventTypes = z
  .array(z.string().min(1))
  .min(1)
  .optional()
  .describe('Names of the event types that count, e.g. [purchase]. Default: all types.');
const excludeHistory = z
  .boolean()
  .default(false)
  .describe(
    'true: the source leaves out items of the history that the request grants, so that a filter of seen items finds nothing to remove. Default false: shops also sell what people buy again.',
  );
const segmentSmoothing = z
  .number()
  .positive()
  .default(50)
  .describe(
    'With a `segment` input: how many users (or events, or how much weight; the unit of `count`) of the whole shop are mixed into each segment. A segment much smaller than this ranks as the whole shop does. Default 50.',
  );
const minimumSegmentUsers = z
  .int()
  .min(1)
  .default(20)
  .describe(
    'With a `segment` input: segments with fewer users than this get the ranking of the whole shop, so that no handful of people is told apart. Default 20.',
  );

/** Options of `popularity/popular`. */
export const popularOptions = z.strictObject({
  count: count.default('users').describe(`${count.description} Default users.`),
  windowDays: z.number().positive().optional().describe('Days before the last event of the build that count. Default: the whole history.'),
  eventTypes,
  segmentSmoothing,
  minimumSegmentUsers,
  excludeHistory,
});
/** Options of `popularity/popular`, defaults filled in. */
export type PopularOptions = z.output<typeof popularOptions>;

/** Options of `popularity/recent`. */
export const recentOptions = z.strictObject({
  decayDays: z
    .number()
    .positive()
    .default(7)
    .describe('Days after which an event counts 1/e (37 %) of one at the end of the data: weight exp(-age / decayDays). Default 7.'),
  count: count.default('events').describe(`${count.description} Default events.`),
  eventTypes,
  segmentSmoothing,
  minimumSegmentUsers,
  excludeHistory,
});
/** Options of `popularity/recent`, defaults filled in. */
export type RecentOptions = z.output<typeof recentOptions>;

/** Options of `popularity/trending`. */
export const trendingOptions = z.strictObject({
  windowDays: z.number().positive().default(7).describe('Days before the last event of the build that are the recent window. Default 7.'),
  beforeDays: z.number().positive().default(28).describe('Days before the recent window that it is compared with. Default 28.'),
  smoothing: z
    .number()
    .positive()
    .default(5)
    .describe('Added to both sides of the ratio, in the unit of `count`: the more, the more events a rise must rest on. Default 5.'),
  minimumSupport: z
    .number()
    .min(0)
    .default(5)
    .describe('Least count in the recent window, in the unit of `count`, for an item to be called trending. Default 5.'),
  count: count
    .default('users')
    .describe(
      'What is added up: `users` counts a user once per item in every stretch as long as the shorter window, so that people who come back every week count every week in both; `events` every event, `weights` the weight of every event (events of weight 0 or less count nothing). Default users.',
    ),
  eventTypes,
  excludeHistory,
});
/** Options of `popularity/trending`, defaults filled in. */
export type TrendingOptions = z.output<typeof trendingOptions>;
