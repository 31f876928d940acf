import { z } from 'zod';

/** Names of components and surfaces are used in expressions (`score.habits`), so they are CEL identifiers. */
export const namePattern = /^[a-zA-Z][a-zA-Z0-9_]*$/;
/** CEL reads these words as values or operators, even after a dot. */
export const reservedNames: readonly string[] = ['in', 'true', 'false', 'null'];
/** The pipeline's name becomes a folder. */
const pipelineNamePattern = /^[a-zA-Z0-9_-]{1,100}$/;
const referencePattern = /^[a-zA-Z0-9_][a-zA-Z0-9_-]*\/[a-zA-Z0-9_][a-zA-Z0-9_-]*$/;

/** A host name, an address, or `*.` and a name; with a port where it is not 443. */
const hostPattern =
  /^(?:\*\.)?[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[0-9]{1,5})?$|^\[[0-9a-fA-F:.]+\](?::[0-9]{1,5})?$|^[0-9a-fA-F]*:[0-9a-fA-F:.]+$/;

/** What the patterns ask for, in the words of messages. */
export const patternWords: Readonly<Record<string, string>> = {
  [String(pipelineNamePattern)]: 'a name of at most 100 letters, digits, "-" and "_" (it becomes a folder)',
  [String(hostPattern)]: 'a host without "https://" and path, such as images.example.com, images.example.com:8443 or *.example.com',
  [String(referencePattern)]: 'a component as "<plugin>/<component>", such as popularity/recent',
};

/** How many candidates a source is asked for when the config does not say. */
export const defaultSourceLimit = 200;

const componentName = z.string().meta({ description: 'Name of a component under `components:`.' });
const onError = z
  .enum(['skip', 'fail'])
  .describe('When the component fails: leave it out with a warning (skip), or fail the request (fail).');
const positiveInteger = z.number().int().min(1);

const componentNode = z
  .strictObject({
    use: z.string().regex(referencePattern).describe('Which component of which plugin: <plugin>/<component>.'),
    in: z
      .record(z.string(), z.union([z.string(), z.array(z.string())]))
      .optional()
      .describe('Inputs by name: item.<field>, user.<field>, the name of another component, or a list of these.'),
    with: z.record(z.string(), z.unknown()).optional().describe('Options of the component.'),
  })
  .describe('One component: defined and fitted once, used by name in the surfaces.');

const sourceOptions = {
  limit: positiveInteger.max(1_000_000).optional().describe(`How many candidates the source is asked for. Default ${defaultSourceLimit}.`),
  fallback: z.boolean().optional().describe('Ask it only when the other sources left too few. Default false.'),
  required: z.boolean().optional().describe('Its failure fails the request. Default false.'),
  timeoutMs: positiveInteger.optional().describe("Time it has, in milliseconds. Default: what is left of the surface's deadline."),
};
const sourceUse = z.union([
  positiveInteger.max(1_000_000).describe('How many candidates the source is asked for.'),
  z.strictObject(sourceOptions),
]);
const sourceEntry = z.union([componentName, z.strictObject({ use: componentName, ...sourceOptions })]);
const stage = (what: string) =>
  z
    .array(z.union([componentName, z.strictObject({ use: componentName, onError: onError.optional() })]))
    .optional()
    .describe(what);

const surface = z
  .strictObject({
    needs: z
      .array(z.enum(['user', 'session', 'item', 'text', 'image']))
      .optional()
      .describe('What a request must bring; any request may bring more. Default: nothing.'),
    sources: z
      .union([z.record(z.string(), sourceUse), z.array(sourceEntry)])
      .optional()
      .describe(
        `Components that propose candidates: a list of names (${defaultSourceLimit} each), or a mapping of name to number or options.`,
      ),
    filters: stage('Components that take candidates out, in order. A failure fails the request unless onError is skip.'),
    features: stage('Components that compute features of the candidates, in order.'),
    scorers: stage('Components that score the candidates; each gives the column score.<name>.'),
    value: z
      .string()
      .min(1)
      .optional()
      .describe(
        'CEL expression that ranks the candidates. Default: the sum of rank() of the scorers, or the reciprocal rank fusion of the sources.',
      ),
    rankers: stage('Components that order and cut the list, in order.'),
    privacy: stage('Privacy filters, in order; a failure always closes.'),
    effects: stage('Components that see the finished answer, such as an event log.'),
    limits: z
      .strictObject({
        timeoutMs: positiveInteger.optional().describe('Deadline of a whole request in milliseconds. Default 1000.'),
        candidates: positiveInteger
          .max(1_000_000)
          .optional()
          .describe('Candidates that are filtered and scored; the rest waits as overflow. Default 1000.'),
        items: positiveInteger.max(100_000).optional().describe('Largest `limit` a request may ask for. Default 200.'),
      })
      .optional()
      .describe('Bounds of one request.'),
    limit: positiveInteger.max(100_000).optional().describe('Items per answer when the request does not say. Default 10.'),
    attributes: z.array(z.string()).optional().describe('Item fields that every answer carries. Default: none.'),
  })
  .describe('How one page or use asks: its sources, filters, scorers and rankers.');

/** Figures that a search can aim at: those of `RankingFigures` in @recloom/evaluate. */
export const tuneMetrics = ['ndcg', 'recall', 'precision', 'f1', 'hitRate', 'map', 'mrr', 'gradedNdcg', 'revenue'] as const;

/** Kinds of splits that a search can be scored on. */
export const tuneSplitKinds = [
  'temporal',
  'leave-last-out',
  'leave-n-out',
  'random',
  'k-fold',
  'user-holdout',
  'cold-items',
  'predefined',
] as const;

const instant = z.string().min(1);

const splitKeys = {
  kind: z
    .enum(tuneSplitKinds)
    .optional()
    .describe(
      'How the data are split. temporal, leave-last-out, leave-n-out and random know a validation part, predefined brings it in a file; the others need `test`. Default temporal.',
    ),
  cut: instant
    .optional()
    .describe(
      'temporal: first instant of the validation window; everything before is for fitting. predefined: "now" of the questions. Default there: the last event.',
    ),
  until: instant.optional().describe('temporal: end (exclusive) of the validation window. Default: `test`.'),
  minimumItemUsers: positiveInteger.optional().describe('temporal: leave out items with fewer users in training. Default 1.'),
  minimumUserItems: positiveInteger.optional().describe('Leave out users with fewer different items. Default: that of the kind.'),
  repeats: z
    .enum(['masked', 'answers', 'only'])
    .optional()
    .describe('temporal: what users take again is no answer (masked), an answer, or all that is asked (only). Default masked.'),
  relevantTypes: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('Event types that are right answers, e.g. [purchase]; the others stay history. Default: all.'),
  file: z
    .string()
    .min(1)
    .optional()
    .describe(
      "predefined: what was kept back, relative to this config: a data file like the config's events, or a config with its own data.",
    ),
  count: positiveInteger.optional().describe("leave-n-out: how many of each user's items are kept back. Default 2."),
  fraction: z
    .number()
    .gt(0)
    .lt(1)
    .optional()
    .describe('random, user-holdout, cold-items: share of items or users kept back, between 0 and 1. Default: that of the kind.'),
  foldIn: z.number().gt(0).lt(1).optional().describe("user-holdout: share of a held-out user's events that is told, oldest first."),
  folds: z.number().int().min(2).max(100).optional().describe('k-fold: how many folds. Default 5.'),
  seeds: z
    .array(z.number().int().min(0).max(4_294_967_295))
    .min(1)
    .optional()
    .describe('random, user-holdout, cold-items: one repetition per seed; k-fold: of the draw, one seed. Default [0].'),
};

const tuneValue = z.union([z.string(), z.number(), z.boolean(), z.null()]);

const tuneRange = {
  from: z.number().optional().describe('Smallest value of a number.'),
  to: z.number().optional().describe('Largest value of a number.'),
  scale: z.enum(['linear', 'log']).optional().describe('Whether steps or ratios count; log needs `from` above 0. Default linear.'),
  values: z.array(tuneValue).min(1).optional().describe('Values to choose from; null leaves the option out.'),
};

const tune = z
  .strictObject({
    metric: z.enum(tuneMetrics).optional().describe('The figure to make large. Default ndcg.'),
    k: positiveInteger.max(1000).optional().describe('Length of the lists that are scored. Default 10.'),
    surface: z.string().optional().describe('The surface that is asked. Default home, or the only one.'),
    purposes: z.array(z.string()).optional().describe('Purposes that every request carries. Default [personalisation].'),
    seed: z.number().int().min(0).max(4_294_967_295).optional().describe('Seed of the search. Default: that of the config.'),
    trials: positiveInteger.max(100_000).optional().describe('Trials of one search, the start included. Default 60.'),
    minutes: z.number().gt(0).optional().describe('Longest time of one run in minutes. Default: none.'),
    test: instant
      .optional()
      .describe('First instant of the data kept for the final test: a search never sees them. Default: the end of the validation window.'),
    split: z.strictObject(splitKeys).describe('The validation part that trials are scored on.'),
    confirm: z
      .strictObject(splitKeys)
      .optional()
      .describe('A second validation part: the best is compared with the start on it. What it does not say is that of `split`.'),
    options: z
      .record(
        z.string(),
        z.strictObject({
          ...tuneRange,
          expression: z
            .string()
            .min(1)
            .optional()
            .describe("Of surfaces.<name>.value: the surface's `value` with names such as {{weight}} for numbers."),
          numbers: z.record(z.string(), z.strictObject(tuneRange)).optional().describe('What each name in the expression may be.'),
        }),
      )
      .describe(
        'What may change: <component>.<option>, surfaces.<name>.sources.<source> (its limit), surfaces.<name>.limits.candidates or surfaces.<name>.value.',
      ),
  })
  .describe('What `recloom tune` searches. It changes neither what is served nor the hash of the config.');

/** The config file as its author writes it, after `base` was merged. Described key by key for editors. */
export const configSchema = z.strictObject({
  $schema: z.string().optional().describe('Where an editor finds the schema of this file; not read otherwise.'),
  format: z.union([z.literal('1.0'), z.literal(1)]).describe('Version of this file format: "1.0".'),
  name: z.string().regex(pipelineNamePattern).describe('Name of the pipeline: letters, digits, "-" and "_"; it becomes a folder.'),
  base: z
    .union([z.string(), z.array(z.string())])
    .optional()
    .describe(
      'A config this one is laid over: a file relative to this one, a preset such as recloom:shop, or a list; null takes an entry out.',
    ),
  plugins: z.array(z.string()).optional().describe('Extra plugin packages, or paths relative to this file.'),
  data: z
    .strictObject({
      items: componentNode.optional().describe('Where the items come from.'),
      events: componentNode.optional().describe('Where the events come from.'),
      users: componentNode.optional().describe('Where the users come from.'),
      now: z
        .enum(['clock', 'data'])
        .optional()
        .describe('When requests happen: now (clock), or at the last event of the snapshot (data, for old data). Default clock.'),
      labels: z
        .record(z.string(), z.string())
        .optional()
        .describe('Privacy labels of user fields that are not plain `profile`, e.g. country: location.'),
      title: z.string().min(1).optional().describe('Item field that names an item in sentences. Default title.'),
    })
    .describe('The data the pipeline learns from.'),
  components: z.record(z.string(), componentNode).describe('All components by name: a letter, then letters, digits and "_".'),
  surfaces: z.record(z.string(), surface).describe('All surfaces by name: a letter, then letters, digits and "_".'),
  texts: z.record(z.string(), z.string()).optional().describe('Sentences by reason code, replacing the English ones.'),
  models: z
    .strictObject({
      allowDownload: z.boolean().optional().describe('Whether models may be downloaded from the hub. Default false.'),
      cache: z.string().min(1).optional().describe('Folder that downloaded models are kept in.'),
    })
    .optional()
    .describe('Where models come from.'),
  inference: z
    .strictObject({
      workers: positiveInteger
        .max(1024)
        .optional()
        .describe('Most workers that run models; each holds the models it runs. Default: one per core.'),
      isolation: z
        .enum(['thread', 'process'])
        .optional()
        .describe(
          'Where models run: in worker threads, or in child processes that this one survives whatever happens to them. Default thread.',
        ),
      queueLimit: positiveInteger
        .max(1_000_000)
        .optional()
        .describe('Runs that may wait for a worker before further ones are refused as overloaded. Default 1024.'),
    })
    .optional()
    .describe('How models run; it never changes a result.'),
  images: z
    .strictObject({
      directories: z
        .array(z.string().min(1))
        .optional()
        .describe("Folders besides this file's own that pictures may be read from, relative to it. Default: none."),
      hosts: z
        .array(z.string().regex(hostPattern))
        .optional()
        .describe(
          'Hosts that pictures may be asked of over https: images.example.com, with a port images.example.com:8443, or all below one *.example.com. A host in a private network needs its address listed too. Default: none.',
        ),
      timeoutMs: positiveInteger
        .max(600_000)
        .optional()
        .describe('Longest time for one picture from a host, in milliseconds. Default 10000.'),
    })
    .optional()
    .describe('Where pictures may be read from. Files below the folder of this file and data URIs always may.'),
  snapshot: z
    .strictObject({
      directory: z.string().min(1).optional().describe('Folder of the snapshots. Default .recloom/<name> beside this file.'),
      keep: positiveInteger.max(1000).optional().describe('How many old snapshots are kept. Default 3.'),
    })
    .optional()
    .describe('Where snapshots go.'),
  compute: z
    .strictObject({ threads: positiveInteger.max(1024).optional().describe('Threads of the kernels. Default: one per core.') })
    .optional()
    .describe('What the pipeline may use of the machine; it never changes a result.'),
  seed: z.number().int().min(0).max(4_294_967_295).optional().describe('Seed of everything random, 0 to 4294967295. Default 42.'),
  tune: tune.optional(),
});

/** A config of the right shape, shorthands not yet written out. */
export type WrittenConfig = z.output<typeof configSchema>;
