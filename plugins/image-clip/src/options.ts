import { z } from 'zod';

const devices = ['auto', 'cpu', 'cuda', 'webgpu', 'dml', 'coreml'] as const;

/** The weights package that is used when `model` is not given. */
export const defaultModel = '@recloom/model-image-minilm-lite0';

/** Options of `image-clip/embedding`; `{}` is valid. */
export const clipOptions = z.strictObject({
  model: z
    .string()
    .min(1)
    .default(defaultModel)
    .describe(
      `The model's folder, npm package or hub id ("hub:owner/name") in CLIP's layout; default ${defaultModel} (384 wide, the text space of all-MiniLM-L6-v2).`,
    ),
  file: z
    .string()
    .min(1)
    .optional()
    .describe(
      'The vision graph inside the model folder; default the first that exists of onnx/vision_model_quantized.onnx, onnx/vision_model.onnx, vision_model.onnx, onnx/model_quantized.onnx, onnx/model.onnx and model.onnx, or what `dtype` names.',
    ),
  dtype: z
    .enum(['fp32', 'fp16', 'q8', 'int8', 'uint8', 'q4'])
    .optional()
    .describe(
      'Which of the usual graph files to take, e.g. q8 for onnx/vision_model_quantized.onnx; default whichever exists. `file` and `textFile` override it.',
    ),
  sha256: z
    .string()
    .regex(/^[0-9a-fA-F]{64}$/)
    .optional()
    .describe('Hex SHA-256 that the vision graph must have; default none is asked.'),
  textModel: z
    .union([z.string().min(1), z.literal(false)])
    .optional()
    .describe(
      "Folder, package or hub id of the text tower; false for pictures only. Default: the model's own (onnx/text_model*.onnx, or both towers in one graph), else what `recloom.textModel` in its package.json names.",
    ),
  textFile: z
    .string()
    .min(1)
    .optional()
    .describe(
      'The text graph inside the text model; default the first that exists of onnx/text_model*.onnx and, in a model of its own, onnx/model*.onnx.',
    ),
  textSha256: z
    .string()
    .regex(/^[0-9a-fA-F]{64}$/)
    .optional()
    .describe('Hex SHA-256 that the text graph must have; default none is asked.'),
  maxTokens: z
    .int()
    .min(3)
    .max(8192)
    .optional()
    .describe(
      'Longer queries are cut to this many tokens, special ones included; default what the text model takes (77 for CLIP), at most 256.',
    ),
  queryPrefix: z.string().default('').describe('Put before every query text, e.g. "a photo of " (default nothing).'),
  queryWeights: z
    .strictObject({
      text: z.number().min(0).default(0.5).describe('Share of the words (default 0.5).'),
      image: z.number().min(0).default(0.5).describe('Share of the picture (default 0.5).'),
    })
    .refine(({ text, image }) => text + image > 0, { message: 'one of them must be above 0' })
    .default({ text: 0.5, image: 0.5 })
    .describe(
      'How much words and picture count in a search that brings both, unless the request says (shares, default 0.5 each); the vector is their weighted sum, scaled to length 1.',
    ),
  maximumPixels: z
    .int()
    .min(1)
    .max(1_000_000_000)
    .default(25_000_000)
    .describe('Pictures of more pixels are left out before they are decoded (pixels, width times height; default 25000000).'),
  maximumBytes: z
    .int()
    .min(1)
    .max(1_000_000_000)
    .default(20_000_000)
    .describe('Pictures whose file is larger are left out (bytes, default 20000000).'),
  timeoutMs: z
    .int()
    .min(1)
    .max(3_600_000)
    .default(10_000)
    .describe('A picture that takes longer to decode is left out (milliseconds, default 10000).'),
  damaged: z
    .enum(['refuse', 'accept'])
    .default('refuse')
    .describe(
      'What happens to a picture whose decoder complains: left out, or used as far as it could be read unless it ends early (default refuse). Some telephones write files with harmless faults.',
    ),
  wrongExtension: z
    .enum(['refuse', 'accept'])
    .default('refuse')
    .describe(
      'What happens to a picture whose path or data URI names another format than its bytes have, e.g. a PNG called .jpg: left out, or read by its bytes (default refuse). http(s) addresses are always read by their bytes.',
    ),
  blockLoaders: z
    .boolean()
    .default(true)
    .describe(
      "Switch off sharp's loaders for everything but JPEG, PNG, WebP, AVIF and GIF, for the whole process (default true). Set it to false when the host itself reads SVG or TIFF with sharp; bytes are sniffed before sharp sees them either way.",
    ),
  parallelDecodes: z
    .int()
    .min(1)
    .max(64)
    .optional()
    .describe(
      'Pictures decoded at the same time, each up to 4 bytes per pixel (a count; default one per core, at most 3, so that one of the four threads of libuv stays free for files and DNS).',
    ),
  batchImages: z
    .int()
    .min(1)
    .max(256)
    .optional()
    .describe('Item pictures in one run of the model (a count; default 1 on the CPU, where more gains nothing, and 16 on other devices).'),
  device: z
    .union([z.enum(devices), z.array(z.enum(devices)).min(1)])
    .default('cpu')
    .describe('Where the model runs, or several to be tried in order (default cpu).'),
  cacheSize: z
    .int()
    .min(0)
    .default(1000)
    .describe('How many query embeddings, of texts and of pictures, are kept in memory (a count, default 1000; 0 keeps none).'),
  storeEmbeddings: z
    .boolean()
    .default(true)
    .describe(
      'Keep item embeddings by content between builds, so that unchanged pictures are not decoded and encoded again (default true).',
    ),
});

/** Validated options of `image-clip/embedding`. */
export type ClipOptions = z.output<typeof clipOptions>;
