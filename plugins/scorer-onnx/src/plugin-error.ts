import { RecloomError } from '@recloom/plugin-api';

/** This plugin's own codes: what they mean and what to do. */
export const scorerErrors = [
  {
    code: 'SCORER_ONNX_MANIFEST',
    summary: 'The manifest of the model is missing, unreadable or not valid.',
    hint: 'A JSON file beside the model (or `inputs:` in the config) says what goes in and what comes out; the README of the plugin shows one.',
  },
  {
    code: 'SCORER_ONNX_INPUT',
    summary: 'What the manifest feeds does not fit the inputs of the graph: names, types or widths.',
    hint: 'Compare the inputs of the manifest with those of the graph; the message lists both.',
  },
  {
    code: 'SCORER_ONNX_OUTPUT',
    summary: 'What the manifest takes does not fit the outputs of the graph, or the model gave another number of values than candidates.',
    hint: 'An output gives one row per candidate: [rows], [rows, 1] or [rows, columns].',
  },
  {
    code: 'SCORER_ONNX_NOT_A_NUMBER',
    summary: 'The model gave scores that are not numbers, and `nan: fail` asks to fail then.',
    hint: 'Look at what goes in: missing values, logarithms of 0, a history without events under a softmax. With `nan: missing` such candidates sink.',
  },
  {
    code: 'SCORER_ONNX_ENGINE',
    summary: '`engine: kernels` was asked for, and the kernels do not know the graph.',
    hint: 'They know tree ensembles and linear models with the small operators converters put around them; `engine: auto` leaves the rest to onnxruntime.',
  },
] as const;

/** A code of this plugin. */
export type ScorerErrorCode = (typeof scorerErrors)[number]['code'];

/** An error with one of this plugin's own codes. */
export function scorerError(code: ScorerErrorCode, message: string, cause?: unknown): RecloomError {
  return new RecloomError({ code, message, hint: scorerErrors.find((entry) => entry.code === code)?.hint, cause });
}
