import { z } from 'zod';

/** The ways to make scores of unlike scale comparable within a request. */
export const normalisations = ['zscore', 'log-zscore', 'robust-zscore', 'rank', 'minmax'] as const;
/** One of `normalisations`. */
export type Normalisation = (typeof normalisations)[number];

const normalisation = z.enum(normalisations);
const weights = z.record(z.string().min(1), z.number());

const segment = z.strictObject({
  name: z.string().min(1).describe('What the segment is called, e.g. `cold`. Only for people: it changes nothing.'),
  from: z
    .int()
    .min(0)
    .default(0)
    .describe('Least number of distinct items in the history (stored and session events together), inclusive. Default 0.'),
  below: z.int().min(1).optional().describe('Number of distinct items that is too many, exclusive. Default: no bound.'),
  weights: weights.describe('Weights that differ for these users, by column; columns that are not named keep the weight of `weights`.'),
});

/** Options of `blend/scores`. */
export const blendOptions = z
  .strictObject({
    weights: weights
      .refine((named) => Object.keys(named).length > 0, 'Name at least one column, e.g. { habits: 1, recent: 0.5 }.')
      .describe(
        'How much each column counts, by its name: `habits` reads score.habits, `clicks.buy` reads score.clicks.buy, `feature.walk` reads feature.walk. Only the proportions matter for the order; a negative weight turns a column round; 0 leaves it out.',
      ),
    normalise: normalisation
      .default('zscore')
      .describe(
        'How columns are made comparable within a request. `zscore`: mean 0, standard deviation 1. `log-zscore`: the same of the logarithm, for heavy tails such as counts of purchases. `robust-zscore`: by median and median absolute deviation, so that a few extreme scores do not flatten the others. `rank`: the share of candidates that are not better. `minmax`: onto [0, 1]. Default zscore.',
      ),
    normaliseEach: z
      .record(z.string().min(1), normalisation)
      .default({})
      .describe('Columns normalised in another way, by name. Default: none.'),
    segments: z
      .array(segment)
      .default([])
      .describe(
        'Weights of their own by how much history a user has; the first segment that fits counts. Default: the same weights for all.',
      ),
    contributions: z
      .boolean()
      .default(false)
      .describe(
        'Also gives what each column added, weight × normalised score, as a column score.<this>.<column> (a dot in its name becomes _): `explain` shows them. Default false.',
      ),
  })
  .superRefine((options, context) => {
    const known = new Set(Object.keys(options.weights));
    const unknown = (name: string, path: PropertyKey[]): void => {
      context.addIssue({ code: 'custom', path, message: `"${name}" is not among the columns of \`weights\`.` });
    };
    for (const name of Object.keys(options.normaliseEach)) if (!known.has(name)) unknown(name, ['normaliseEach', name]);
    for (const [index, { from, below, weights: own }] of options.segments.entries()) {
      if (below !== undefined && below <= from)
        context.addIssue({ code: 'custom', path: ['segments', index, 'below'], message: '`below` must be larger than `from`.' });
      for (const name of Object.keys(own)) if (!known.has(name)) unknown(name, ['segments', index, 'weights', name]);
    }
    const columns = new Map<string, string>();
    for (const name of known) {
      const column = columnOf(name);
      const other = columns.get(column);
      if (other !== undefined)
        context.addIssue({ code: 'custom', path: ['weights', name], message: `It is the same column as "${other}".` });
      columns.set(column, name);
    }
  });
/** Options of `blend/scores` with their defaults filled in. */
export type BlendOptions = z.output<typeof blendOptions>;

/** The pipeline's name of a column that the options name: `habits` is `score.habits`. */
export function columnOf(name: string): string {
  return /^(?:score|feature)\../.test(name) ? name : `score.${name}`;
}

/** The part of a further column's name that stands for a column: `clicks.buy` is `clicks_buy`, and so is `score.clicks.buy`. */
export function contributionOf(name: string): string {
  return name.replace(/^score\./, '').replaceAll('.', '_');
}
