import { z } from 'zod';

const label = z.string().min(1);

/** Options of `privacy-consent/purpose`. */
export const purposeOptions = z.strictObject({
  grants: z
    .record(z.string().min(1), z.array(label))
    .default({ personalisation: ['history', 'profile', 'location'] })
    .describe(
      'By purpose, the labels that agreeing to it opens: history, profile, location, or labels the config gave user fields. Default { personalisation: [history, profile, location] }.',
    ),
  withhold: z
    .array(z.string().min(1))
    .default([])
    .describe('Values of the `category` input whose items are taken out of answers, e.g. [health]. Default none.'),
  withholdUnless: label
    .default('sensitive')
    .describe('Label that lets the withheld categories through; let a purpose grant it. Default sensitive.'),
});
/** Options of `privacy-consent/purpose` with their defaults filled in. */
export type PurposeOptions = z.output<typeof purposeOptions>;
