import { readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { isRecloomError, type ModelFiles, recloomError } from '@recloom/plugin-api';
import type { ClipOptions } from './options.js';

/** The weights packages this plugin depends on: found beside it, too, where strict package managers put them. */
const ownPackages = ['@recloom/model-image-minilm-lite0', '@recloom/model-all-minilm-l6-v2'];

const suffixes = { fp32: '', fp16: '_fp16', q8: '_quantized', int8: '_int8', uint8: '_uint8', q4: '_q4' } as const;

/** A graph and the folder of its model. */
export interface GraphFile {
  readonly directory: string;
  readonly file: string;
}

/** Finds the vision tower. @throws RECLOOM_DAT_MODEL_MISSING, RECLOOM_DAT_MODEL_INVALID */
export async function findVisionGraph(options: ClipOptions, modelFiles: ModelFiles, signal: AbortSignal): Promise<GraphFile> {
  const directory = await findModel(options.model, modelFiles, signal);
  const names = options.file === undefined ? [...graphNames('vision_model', options), ...graphNames('model', options)] : [options.file];
  const file = await firstFile(directory, names);
  if (file === undefined) throw missing(options.model, names);
  return { directory, file };
}

/**
 * Finds the text tower: beside the vision tower, in one graph with it, or in a model of its own; undefined when there is none.
 *
 * @param vision what `findVisionGraph` found
 * @param isBothTowers the vision graph takes texts as well
 * @throws RECLOOM_DAT_MODEL_MISSING, RECLOOM_DAT_MODEL_INVALID
 */
export async function findTextGraph(
  options: ClipOptions,
  vision: GraphFile,
  isBothTowers: boolean,
  modelFiles: ModelFiles,
  signal: AbortSignal,
): Promise<GraphFile | undefined> {
  if (options.textModel === false) return undefined;
  const own = options.textFile === undefined ? undefined : [options.textFile];
  if (options.textModel === undefined) {
    if (isBothTowers) return vision;
    const beside = await firstFile(vision.directory, own ?? graphNames('text_model', options));
    if (beside !== undefined) return { directory: vision.directory, file: beside };
  }
  const reference = options.textModel ?? (await namedTextModel(vision.directory));
  if (reference === undefined) {
    if (own !== undefined) throw missing(options.model, own);
    return undefined;
  }
  const directory = await findModel(reference, modelFiles, signal);
  const names = own ?? [...graphNames('text_model', options), ...graphNames('model', options)];
  const file = await firstFile(directory, names);
  if (file === undefined) throw missing(reference, names);
  return { directory, file };
}

/** The text model that the vision model's package.json names. */
async function namedTextModel(directory: string): Promise<string | undefined> {
  const text = await readFile(join(directory, 'package.json'), 'utf8').catch(() => '{}');
  let manifest: unknown;
  try {
    manifest = JSON.parse(text);
  } catch (cause) {
    throw recloomError('RECLOOM_DAT_MODEL_INVALID', { why: 'its package.json is not JSON' }, { cause });
  }
  const name = (manifest as { readonly recloom?: { readonly textModel?: unknown } } | null)?.recloom?.textModel;
  return typeof name === 'string' ? name : undefined;
}

function graphNames(stem: string, options: ClipOptions): readonly string[] {
  if (options.dtype !== undefined) return [`onnx/${stem}${suffixes[options.dtype]}.onnx`];
  return [`onnx/${stem}_quantized.onnx`, `onnx/${stem}.onnx`, `${stem}.onnx`];
}

async function findModel(reference: string, modelFiles: ModelFiles, signal: AbortSignal): Promise<string> {
  try {
    return (await modelFiles.resolve(reference, signal)).directory;
  } catch (error) {
    if (!ownPackages.includes(reference) || !isRecloomError(error) || error.code !== 'RECLOOM_DAT_MODEL_MISSING') throw error;
    try {
      return dirname(createRequire(import.meta.url).resolve(`${reference}/package.json`));
    } catch {
      throw error;
    }
  }
}

async function firstFile(directory: string, names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    const file = join(directory, name);
    if (isAbsolute(name) || relative(directory, file).startsWith('..')) {
      throw recloomError('RECLOOM_DAT_MODEL_INVALID', { why: '`file` and `textFile` must lie inside the model folder' });
    }
    if ((await stat(file).catch(() => undefined))?.isFile()) return file;
  }
  return undefined;
}

function missing(reference: string, names: readonly string[]): Error {
  return recloomError('RECLOOM_DAT_MODEL_MISSING', { reference, tried: names.join(', ') });
}
