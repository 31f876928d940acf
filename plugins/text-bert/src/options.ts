import { z } from 'zod';

const devices = ['auto', 'cpu', 'cuda', 'webgpu', 'dml', 'coreml'] as const;

/** The weights package that is used when `model` is not given. */
export const defaultModel = '@recloom/model-all-minilm-l6-v2';

/** Options of `text-bert/embedding`; `{}` is valid. */
export const bertOptions = z.strictObject({
  model: z
    .string()
    .min(1)
    .default(defaultModel)
    .describe(`The model's folder, npm package or hub id ("hub:owner/name"); default ${defaultModel} (English, 384 wide).`),
  file: z
    .string()
    .min(1)
    .optional()
    .describe(
      'The graph inside the model folder; default the first that exists of onnx/model_quantized.onnx, onnx/model.onnx and model.onnx, or what `dtype` names.',
    ),
  dtype: z
    .enum(['fp32', 'fp16', 'q8', 'int8', 'uint8', 'q4'])
    .optional()
    .describe(
      'Which of the usual graph files to take, e.g. q8 for onnx/model_quantized.onnx; default whichever exists. `file` overrides it.',
    ),
  sha256: z
    .string()
    .regex(/^[0-9a-fA-F]{64}$/)
    .optional()
    .describe('Hex SHA-256 that the graph file must have; default none is asked.'),
  pooling: z
    .enum(['mean', 'cls'])
    .default('mean')
    .describe("How token vectors become one: the mean over all tokens, or the first token's (default mean)."),
  normalize: z.boolean().default(true).describe('Scale every embedding to length 1, so that a dot product is a cosine (default true).'),
  maxTokens: z
    .int()
    .min(3)
    .max(8192)
    .optional()
    .describe('Longer texts are cut to this many tokens, special ones included; default 256, or less where the model takes less.'),
  queryPrefix: z.string().default('').describe('Put before every query, for models that ask for it, e.g. "query: " (default nothing).'),
  itemPrefix: z.string().default('').describe('Put before every item text, e.g. "passage: " (default nothing).'),
  separator: z.string().default('. ').describe('Stands between several fields of one item (default a full stop and a space).'),
  batchTokens: z
    .int()
    .min(1)
    .max(65_536)
    .default(256)
    .describe(
      'Most tokens in one run of the model (a query waits for at most a few runs of a catalogue); only texts of equal length share a run (default 256). Graphs whose rows influence each other take one text at a time.',
    ),
  device: z
    .union([z.enum(devices), z.array(z.enum(devices)).min(1)])
    .default('cpu')
    .describe('Where the model runs, or several to be tried in order (default cpu).'),
  cacheSize: z.int().min(0).default(1000).describe('How many query embeddings are kept in memory (default 1000; 0 keeps none).'),
  storeEmbeddings: z
    .boolean()
    .default(true)
    .describe('Keep item embeddings by content between builds, so that unchanged texts are not encoded again (default true).'),
});

/** Validated options of `text-bert/embedding`. */
export type BertOptions = z.output<typeof bertOptions>;
