import { z } from 'zod';
import { plainIssue } from './plain-issue.js';

const longestHistory = 10_000;

const vocabulary = z
  .union(
    [
      z.array(z.union([z.string(), z.number()])).min(1),
      z.strictObject({ file: z.string().min(1).describe('A JSON array of texts, below the folder of the manifest.') }),
    ],
    'must be a list of texts, or { "file": … } with the name of one',
  )
  .describe('The values the model knows, in its order: value k becomes the number k + 1. Inline, or in a file beside the manifest.');
const unknown = z.int().min(0).default(0).describe('The number of a value that is missing or not in the vocabulary. Default 0.');
const length = z
  .int()
  .min(1)
  .max(longestHistory)
  .describe('How many of the newest events; shorter histories are padded with 0 at the front.');

const columnsInput = z.strictObject({
  columns: z
    .array(z.string().trim().min(1))
    .min(1)
    .describe('CEL expressions that give a number (or a truth value, 0 and 1) per candidate, in the order of the model’s features.'),
  missing: z
    .union([z.number(), z.literal('nan')])
    .default(0)
    .describe('What a missing value becomes: a number, or "nan" for trees that were fitted with gaps. Default 0.'),
});
const categoryInput = z.strictObject({
  category: z
    .string()
    .regex(/^(item|user|request)\..+$/, 'must be item.<field>, user.<field> or request.<key>')
    .describe('Where the value comes from: item.<field>, item.id, user.<field> or request.<key>.'),
  vocabulary,
  unknown,
});
const embeddingInput = z.strictObject({
  embedding: z
    .string()
    .min(1)
    .describe('A component named under `in: { features }`: the vector of each candidate, zeros where there is none.'),
});
const queryEmbeddingInput = z.strictObject({
  queryEmbedding: z
    .string()
    .min(1)
    .describe('A component named under `in: { features }`: the vector of the request’s words or picture, zeros where there is none.'),
});
const historyIdsInput = z.strictObject({ history: z.literal('ids'), length, vocabulary, unknown });
const historyEmbeddingInput = z.strictObject({
  history: z.literal('embedding'),
  feature: z.string().min(1).describe('A component named under `in: { features }`: the vectors of the items of the history.'),
  length,
});
const historyNumberInput = z.strictObject({
  history: z
    .enum(['ageDays', 'weight', 'mask'])
    .describe('The age of each event in days, its weight, or 1 where there is an event and 0 where there is padding.'),
  length,
});

const kinds = {
  columns: columnsInput,
  category: categoryInput,
  embedding: embeddingInput,
  queryEmbedding: queryEmbeddingInput,
} as const;
const histories = { ids: historyIdsInput, embedding: historyEmbeddingInput } as const;

/** The schema of the kind an input says it is; undefined when it says none, or several. */
function kindOf(input: unknown): z.ZodType | undefined {
  if (typeof input !== 'object' || input === null) return undefined;
  const named = [...Object.keys(kinds), 'history'].filter((key) => Object.hasOwn(input, key));
  if (named.length !== 1) return undefined;
  if (named[0] !== 'history') return kinds[named[0] as keyof typeof kinds];
  const value = (input as { readonly history: unknown }).history;
  return typeof value === 'string' && Object.hasOwn(histories, value) ? histories[value as keyof typeof histories] : historyNumberInput;
}

/** One input of a graph: what fills it. */
export const inputSchema = z.union(
  [columnsInput, categoryInput, embeddingInput, queryEmbeddingInput, historyIdsInput, historyEmbeddingInput, historyNumberInput],
  {
    // Seven alternatives that all fail say nothing; the one that was meant says what is wrong.
    error: (issue) => {
      const schema = kindOf(issue.input);
      const first = schema?.safeParse(issue.input).error?.issues[0];
      if (first === undefined) return 'must have exactly one of "columns", "category", "embedding", "queryEmbedding" and "history"';
      const why = plainIssue(first);
      return first.path.length === 0 ? why : `${first.path.join('.')}: ${why}`;
    },
  },
);
/** One input of a graph, with its defaults. */
export type InputDescription = z.output<typeof inputSchema>;

const knots = z.array(z.number()).min(1).max(100_000);

/** What turns a raw output into a probability that can be believed. */
export const calibrationSchema = z.discriminatedUnion('method', [
  z.strictObject({
    method: z.literal('platt'),
    a: z.number().describe('Slope.'),
    b: z.number().describe('Intercept.'),
  }),
  z
    .strictObject({
      method: z.literal('isotonic'),
      x: knots.describe('Raw values, strictly ascending.'),
      y: knots.describe('The probability at each of them, from 0 to 1, never descending.'),
    })
    .refine(({ x, y }) => x.length === y.length, 'x and y must be of one length')
    .refine(({ x }) => x.every((value, place) => place === 0 || value > (x[place - 1] as number)), 'x must ascend strictly')
    .refine(({ y }) => y.every((value, place) => value >= (y[place - 1] ?? 0) && value <= 1), 'y must lie in 0 … 1 and never descend'),
]);
/** A calibration: Platt's sigmoid, or isotonic knots. */
export type Calibration = z.output<typeof calibrationSchema>;

/** One number that a model gives per candidate. */
export const outputSchema = z.strictObject({
  output: z.string().min(1).describe('Name of the output in the graph.'),
  column: z.int().min(0).default(0).describe('Which of its columns, from 0; of a classifier’s probabilities usually 1. Default 0.'),
  kind: z
    .enum(['probability', 'logit', 'score'])
    .default('score')
    .describe('A logit becomes a probability by the sigmoid; a probability and a score are passed on as they are. Default score.'),
  calibration: calibrationSchema.optional().describe('Applied to the raw output. Default none.'),
});
/** One output of a model, with its defaults. */
export type OutputDescription = z.output<typeof outputSchema>;

/** What fills the inputs of a graph, by their names in the graph. */
export const inputsSchema = z
  .record(z.string().min(1), inputSchema)
  .refine((inputs) => Object.keys(inputs).length > 0, 'must name at least one input');

/** What is taken from a model, by the name it gets in `score.<component>.<name>`. */
export const outputsSchema = z
  .record(z.string().regex(/^[A-Za-z_]\w*$/, 'must be a name of letters, digits and _'), outputSchema)
  .refine((outputs) => Object.keys(outputs).length > 0, 'must name at least one output');

/** A scorer manifest: the JSON file beside a model that says what goes in and what comes out. */
export const manifestSchema = z.strictObject({
  format: z.literal('recloom-scorer/1'),
  inputs: inputsSchema,
  outputs: outputsSchema.optional(),
  main: z.string().min(1).optional(),
  training: z.unknown().optional(),
});
