import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { importLibrary } from '@recloom/plugin-api';
import { clipError } from './plugin-error.js';

/** Turns texts into token ids as the model's own `tokenizer.json` says. */
export interface Tokenizer {
  /**
   * Token ids of a text with the model's special tokens around them, at most `maxTokens` in all: what is too long loses
   * its end, not its closing token (which CLIP reads the meaning from). Empty when the text has no token of its own.
   */
  encode(text: string, maxTokens: number): Int32Array;
  /** The special tokens before and after each text. */
  readonly specialTokens: number;
  /** What `tokenizer_config.json` says is the longest text, when it says so. */
  readonly longest: number | undefined;
}

/** The part of the library's tokenizer class that is used here. */
interface LibraryTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { readonly ids: readonly number[] };
}
interface TokenizerLibrary {
  readonly Tokenizer: new (tokenizer: object, configuration: object) => LibraryTokenizer;
}

const libraryName = '@xenova/transformers';
const libraryRange = '@huggingface/transformers 4.3.1';
/** Files that know no limit say a very large number. */
const mostBelievableTokens = 100_000;

/**
 * The address of the library's module, which is not loaded for it: what is missing shows before a thread is asked to load it.
 *
 * @throws RECLOOM_PLG_LIBRARY_MISSING
 */
export function findTokenizerLibrary(): Promise<string> {
  return importLibrary(libraryName, libraryRange, async () => {
    const transformers = fileURLToPath(import.meta.resolve(libraryName));
    return pathToFileURL(createRequire(transformers).resolve('@huggingface/tokenizers')).href;
  });
}

/**
 * Opens the tokenizer in a model folder. Nothing but the two local files is read.
 *
 * @param libraryAddress what `findTokenizerLibrary` gave, when that was asked before
 * @throws RECLOOM_PLG_LIBRARY_MISSING, IMAGE_CLIP_TOKENIZER
 */
export async function openTokenizer(directory: string, libraryAddress?: string): Promise<Tokenizer> {
  const address = libraryAddress ?? (await findTokenizerLibrary());
  const library = await importLibrary(libraryName, libraryRange, () => loadLibrary(address));
  const definition = await readJson(directory, 'tokenizer.json');
  if (definition === undefined) throw clipError('IMAGE_CLIP_TOKENIZER', 'The text model has no tokenizer.json.');
  const configuration = (await readJson(directory, 'tokenizer_config.json')) ?? {};
  const longest = (configuration as Readonly<Record<string, unknown>>)['model_max_length'];
  try {
    return wrap(
      new library.Tokenizer(definition, configuration),
      typeof longest === 'number' && longest > 0 && longest <= mostBelievableTokens ? longest : undefined,
    );
  } catch (cause) {
    throw clipError('IMAGE_CLIP_TOKENIZER', 'The tokenizer.json of the text model cannot be used.', cause);
  }
}

/** Only the tokenizer classes of transformers, a package of its own: neither onnxruntime nor sharp is loaded with them. */
async function loadLibrary(address: string): Promise<TokenizerLibrary> {
  const module = (await import(address)) as TokenizerLibrary & { readonly default?: TokenizerLibrary };
  return module.default ?? module;
}

async function readJson(directory: string, name: string): Promise<object | undefined> {
  let text: string;
  try {
    text = await readFile(join(directory, name), 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw clipError('IMAGE_CLIP_TOKENIZER', `The text model's ${name} cannot be read.`, cause);
  }
  try {
    return JSON.parse(text) as object;
  } catch (cause) {
    throw clipError('IMAGE_CLIP_TOKENIZER', `The text model's ${name} is not JSON.`, cause);
  }
}

function wrap(library: LibraryTokenizer, longest: number | undefined): Tokenizer {
  const { before, after } = specialTokensOf(library);
  return {
    longest,
    specialTokens: before.length + after.length,
    encode: (text, maxTokens) => {
      const room = maxTokens - before.length - after.length;
      const own = library.encode(text, { add_special_tokens: false }).ids.slice(0, Math.max(0, room));
      return own.length === 0 ? new Int32Array(0) : Int32Array.from([...before, ...own, ...after]);
    },
  };
}

/** Learns from a known word what the post-processor puts around a text, e.g. [CLS] and [SEP]. */
function specialTokensOf(library: LibraryTokenizer): { readonly before: readonly number[]; readonly after: readonly number[] } {
  const bare = library.encode('a', { add_special_tokens: false }).ids;
  const dressed = library.encode('a', { add_special_tokens: true }).ids;
  for (let start = 0; start + bare.length <= dressed.length; start++) {
    if (bare.every((id, place) => dressed[start + place] === id)) {
      return { before: dressed.slice(0, start), after: dressed.slice(start + bare.length) };
    }
  }
  throw new RangeError('the special tokens do not surround the text');
}
