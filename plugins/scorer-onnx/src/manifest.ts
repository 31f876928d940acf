import { readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, relative, resolve, sep } from 'node:path';
import type { z } from 'zod';
import { findInJson, type JsonPosition } from './json-position.js';
import { type InputDescription, manifestSchema, type OutputDescription, outputSchema } from './manifest-schema.js';
import type { ModelOptions } from './options.js';
import { plainIssue } from './plain-issue.js';
import { scorerError } from './plugin-error.js';

/** A manifest beyond this size is no manifest. */
const mostBytes = 64 * 1024 * 1024;

/** What a model is fed and what is taken from it, whether a file or the config says so. */
export interface Manifest {
  /** How messages name the place of an entry, e.g. `click.json:7:5, input "price"`. */
  place(...path: readonly (string | number)[]): string;
  readonly inputs: Readonly<Record<string, InputDescription>>;
  /** Undefined: the only output of the graph, as it is. */
  readonly outputs: Readonly<Record<string, OutputDescription>> | undefined;
  readonly main: string | undefined;
  /** The values of a vocabulary in their order, each once. */
  vocabulary(given: Vocabulary, ...path: readonly (string | number)[]): Promise<readonly string[]>;
}

/** A vocabulary as it stands in a manifest: the values, or the file that holds them. */
export type Vocabulary = readonly (string | number)[] | { readonly file: string };

/**
 * The manifest of the options: `inputs`/`outputs`, else the file of `schema`, else the JSON file beside the model.
 *
 * @throws SCORER_ONNX_MANIFEST with the file and, where the text says so, line and column.
 */
export async function readManifest(
  options: Pick<ModelOptions, 'inputs' | 'outputs' | 'main' | 'schema'>,
  modelFile: string,
  directory: string,
): Promise<Manifest> {
  if (options.inputs !== undefined) {
    return {
      place: (...path) => `option ${path.join('.')}`,
      inputs: options.inputs,
      outputs: options.outputs,
      main: options.main,
      vocabulary: (given, ...path) => readVocabulary(given, directory, `option ${path.join('.')}`),
    };
  }
  const file = options.schema === undefined ? modelFile.replace(/\.[^./\\]*$/, '') + '.json' : resolve(directory, options.schema);
  const text = await readText(file, 'The manifest');
  const parsed = manifestSchema.safeParse(parseJson(text, file));
  if (!parsed.success) throw refused(parsed.error.issues, text, file);
  const { inputs, outputs, main } = parsed.data;
  const place = (...path: readonly (string | number)[]): string => positioned(file, text, path);
  return {
    place,
    inputs,
    outputs,
    main: options.main ?? main,
    vocabulary: (given, ...path) => readVocabulary(given, dirname(file), place(...path)),
  };
}

/** `click.json:7:5`, or the place of the nearest entry above that the text has. */
function positioned(file: string, text: string, path: readonly (string | number)[]): string {
  let found: JsonPosition | undefined;
  for (let depth = path.length; depth > 0 && found === undefined; depth--) found = findInJson(text, path.slice(0, depth));
  return found === undefined ? basename(file) : `${basename(file)}:${found.line}:${found.column}`;
}

function refused(issues: readonly z.core.$ZodIssue[], text: string, file: string): Error {
  const lines = issues.slice(0, 10).map((issue) => {
    const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
    // The place of a key that is too much is the key itself, not the object around it.
    const extra = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
    const at = positioned(file, text, extra === undefined ? path : [...path, extra]);
    return `${at}: ${path.length === 0 ? '' : `${path.join('.')}: `}${plainIssue(issue, keysAt(path))}`;
  });
  const more = issues.length > lines.length ? `; and ${issues.length - lines.length} more` : '';
  return scorerError('SCORER_ONNX_MANIFEST', `The manifest is not valid: ${lines.join('; ')}${more}.`);
}

/** The keys that may stand at a path of a manifest; none where that depends on what stands beside them. */
function keysAt(path: readonly (string | number)[]): readonly string[] {
  if (path.length === 0) return Object.keys(manifestSchema.shape);
  return path.length === 2 && path[0] === 'outputs' ? Object.keys(outputSchema.shape) : [];
}

async function readText(file: string, what: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > mostBytes) throw scorerError('SCORER_ONNX_MANIFEST', `${what} ${file} has ${size} bytes; ${mostBytes} are the most.`);
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = (error as { readonly code?: unknown }).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw scorerError('SCORER_ONNX_MANIFEST', `${what} ${file} is not there.`, error);
    if (code === 'EISDIR' || code === 'EACCES') throw scorerError('SCORER_ONNX_MANIFEST', `${what} ${file} cannot be read.`, error);
    throw error;
  }
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text.startsWith('\uFEFF') ? text.slice(1) : text);
  } catch (cause) {
    // The engine's own words quote the text, which may hold ids of items.
    const offset = /position (\d+)/.exec((cause as Error).message)?.[1];
    const before = text.slice(0, Number(offset ?? 0)).split('\n');
    const at = offset === undefined ? '' : `:${before.length}:${(before.at(-1) as string).length + 1}`;
    throw scorerError('SCORER_ONNX_MANIFEST', `${basename(file)}${at} is not valid JSON.`);
  }
}

/** The values in their order. A file must lie below `directory`, whichever links lead there. */
async function readVocabulary(given: Vocabulary, directory: string, place: string): Promise<readonly string[]> {
  let values: readonly unknown[];
  if ('file' in given) {
    const file = resolve(directory, given.file);
    const text = await readText(file, `${place}: the vocabulary`);
    const inside = relative(await realpath(directory), await realpath(file));
    if (isAbsolute(inside) || inside === '..' || inside.startsWith(`..${sep}`)) {
      throw scorerError('SCORER_ONNX_MANIFEST', `${place}: the vocabulary ${given.file} lies outside the folder of the manifest.`);
    }
    const parsed = parseJson(text, file);
    if (!Array.isArray(parsed) || parsed.length === 0) {
      throw scorerError('SCORER_ONNX_MANIFEST', `${place}: the vocabulary ${given.file} must be a JSON array with at least one value.`);
    }
    values = parsed;
  } else {
    values = given;
  }
  const seen = new Set<string>();
  for (const [index, value] of values.entries()) {
    if (typeof value !== 'string' && typeof value !== 'number') {
      throw scorerError('SCORER_ONNX_MANIFEST', `${place}: value ${index} of the vocabulary is neither a text nor a number.`);
    }
    if (seen.has(String(value))) throw scorerError('SCORER_ONNX_MANIFEST', `${place}: value ${index} of the vocabulary is there twice.`);
    seen.add(String(value));
  }
  return [...seen];
}
