import { z } from 'zod';

const expressionText = z.string().trim().min(1);
const reasonName = z.string().regex(/^[a-z][a-z0-9-]*$/, 'must be in kebab case, e.g. out-of-season');

/** Options of `rules/seen`. */
export const seenOptions = z.strictObject({
  types: z.array(z.string().min(1)).min(1).optional().describe('Event types that make an item seen, e.g. [purchase]. Default: every type.'),
  withinDays: z
    .number()
    .positive()
    .optional()
    .describe('Only events of this many days before the request count, so that what people buy again comes back. Default: no limit.'),
});
/** Options of `rules/seen` with their defaults filled in. */
export type SeenOptions = z.output<typeof seenOptions>;

/** Options of `rules/where`. */
export const whereOptions = z.strictObject({
  expression: expressionText.describe(
    'CEL expression that says which candidates stay, e.g. `item.price < 100.0`. Where it is null the candidate goes.',
  ),
  reason: reasonName.default('where').describe('Name under which removals are counted in the answer, in kebab case. Default where.'),
});
/** Options of `rules/where` with their defaults filled in. */
export type WhereOptions = z.output<typeof whereOptions>;

/** Options of `rules/availability`. */
export const availabilityOptions = z.strictObject({
  minimumStock: z.number().default(1).describe('Smallest stock, in units, at which an item may be shown. Default 1.'),
  unknown: z
    .enum(['keep', 'remove'])
    .default('keep')
    .describe('What becomes of an item whose stock or availability is not known. Times that are not known never remove it. Default keep.'),
});
/** Options of `rules/availability` with their defaults filled in. */
export type AvailabilityOptions = z.output<typeof availabilityOptions>;

/** Options of `rules/boost`. */
export const boostOptions = z.strictObject({
  expression: expressionText
    .optional()
    .describe('CEL expression that gives a number per candidate, e.g. `item.margin`. Default: 1 for every candidate.'),
  factor: z.number().default(1).describe('What the expression is multiplied by. Default 1.'),
  otherwise: z
    .number()
    .default(1)
    .describe('Value of the expression where it is null or not finite (before `factor`). Default 1: neither boosted nor buried.'),
  rules: z
    .array(
      z.strictObject({
        when: expressionText.describe('CEL condition, e.g. `item.brand == "Alder"`; null counts as false.'),
        factor: z.number().min(0).describe('What the column is multiplied by where the condition holds: above 1 boosts, below 1 buries.'),
      }),
    )
    .default([])
    .describe('Conditions with factors; the factors of all that hold are multiplied. Default none.'),
});
/** Options of `rules/boost` with their defaults filled in. */
export type BoostOptions = z.output<typeof boostOptions>;

/** Options of `rules/pin`. */
export const pinOptions = z.strictObject({
  items: z
    .array(
      z.strictObject({
        item: z.string().min(1).describe('Id of the item.'),
        slot: z.int().min(1).describe('Place in the answer, from 1.'),
      }),
    )
    .default([])
    .refine((pins) => new Set(pins.map((pin) => pin.item)).size === pins.length, 'an item is pinned twice')
    .refine((pins) => new Set(pins.map((pin) => pin.slot)).size === pins.length, 'a slot is taken twice')
    .describe('Items with the place each is to have. Default none.'),
});
/** Options of `rules/pin` with their defaults filled in. */
export type PinOptions = z.output<typeof pinOptions>;

/** Options of `rules/group-limit`. */
export const groupLimitOptions = z.strictObject({
  most: z
    .int()
    .min(1)
    .default(3)
    .describe('How many items of one group come before all others of that group have to wait at the end. Default 3.'),
});
/** Options of `rules/group-limit` with their defaults filled in. */
export type GroupLimitOptions = z.output<typeof groupLimitOptions>;
