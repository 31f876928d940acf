import { z } from 'zod';
import { inputsSchema, outputsSchema } from './manifest-schema.js';

const devices = ['auto', 'cpu', 'cuda', 'webgpu', 'dml', 'coreml'] as const;

/** Options of `scorer-onnx/model`. Only `model` must be given. */
export const modelOptions = z
  .strictObject({
    model: z
      .string()
      .trim()
      .min(1)
      .describe(
        'The model: path of an .onnx file from the folder of the config, or a folder, npm package or hub id ("hub:owner/name") that holds one.',
      ),
    file: z
      .string()
      .min(1)
      .optional()
      .describe('The graph inside the folder or package that `model` names. Default model.onnx, or the only .onnx file there is.'),
    schema: z
      .string()
      .trim()
      .min(1)
      .optional()
      .describe(
        'The manifest that says what goes in and what comes out, from the folder of the config. Default the name of the model with .json.',
      ),
    inputs: inputsSchema
      .optional()
      .describe('What fills the inputs of the graph, by name; in place of a manifest. Default the manifest’s.'),
    outputs: outputsSchema
      .optional()
      .describe('What is taken from the outputs of the graph, by name; together with `inputs`. Default the only output, as it is.'),
    main: z
      .string()
      .min(1)
      .optional()
      .describe(
        'The output that becomes `score.<component>`; the others become `score.<component>.<name>`. Default the manifest’s, or the first.',
      ),
    sha256: z
      .string()
      .regex(/^[0-9a-fA-F]{64}$/)
      .optional()
      .describe('Hex SHA-256 that the model file must have. Default none is asked.'),
    device: z
      .union([z.enum(devices), z.array(z.enum(devices)).min(1)])
      .default('auto')
      .describe(
        'Where onnxruntime runs the model, or several to be tried in order. Default auto: a GPU where there is one, else the CPU. A small model is often faster on cpu.',
      ),
    engine: z
      .enum(['auto', 'onnx', 'kernels'])
      .default('auto')
      .describe(
        'What computes the model: onnxruntime on the workers, or our own kernels, which know trees and linear models. Default auto: the kernels when they know the whole graph and `device` is auto or cpu.',
      ),
    batching: z
      .boolean()
      .default(true)
      .describe(
        'Candidates of several requests may share a run. Default true; false for a model that looks at all candidates of a request together.',
      ),
    isolation: z
      .enum(['thread', 'process'])
      .optional()
      .describe(
        'Run the model on a worker thread, or in a process of its own that may crash alone. Default what the config’s `inference` says.',
      ),
    nan: z
      .enum(['missing', 'fail'])
      .default('missing')
      .describe('What becomes of a score that is not a number: it counts as missing and sinks, or the scorer fails. Default missing.'),
    timeoutMs: z
      .number()
      .positive()
      .max(600_000)
      .optional()
      .describe('Longest time in milliseconds for the runs of one request. Default none but that of the request.'),
  })
  .refine(({ schema, inputs }) => schema === undefined || inputs === undefined, {
    path: ['inputs'],
    error: 'stands in the place of `schema`; give one of the two',
  })
  .refine(({ inputs, outputs }) => outputs === undefined || inputs !== undefined, {
    path: ['outputs'],
    error: 'needs `inputs` beside it; otherwise the manifest says what comes out',
  });

/** Options of `scorer-onnx/model` with their defaults filled in. */
export type ModelOptions = z.output<typeof modelOptions>;
