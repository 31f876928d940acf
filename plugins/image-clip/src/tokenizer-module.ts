import { openTokenizer } from './tokenizer.js';

/** Which tokenizer is opened, as it crosses to another thread. */
export interface TokenizerSettings {
  /** Absolute folder of the text model. */
  readonly directory: string;
  /** What `findTokenizerLibrary` gave. */
  readonly library: string;
  /** What the tokenizer's files are now, so that files that were replaced are opened anew. */
  readonly state: string;
}

/** What callers ask of a tokenizer before its first text. */
export interface TokenizerFacts {
  readonly specialTokens: number;
  readonly longest: number | undefined;
}

/** What `open` gives: functions whose arguments and results cross to another thread. */
export interface TokenizerModule {
  facts(): TokenizerFacts;
  encode(text: string, maxTokens: number): Int32Array;
}

/**
 * Opens a tokenizer; run by the inference service on its background thread: reading a vocabulary takes a tenth of a second or more.
 *
 * @throws RECLOOM_PLG_LIBRARY_MISSING, IMAGE_CLIP_TOKENIZER
 */
export async function open({ directory, library }: TokenizerSettings): Promise<TokenizerModule> {
  const tokenizer = await openTokenizer(directory, library);
  const { specialTokens, longest } = tokenizer;
  return {
    facts: () => ({ specialTokens, longest }),
    encode: (text, maxTokens) => tokenizer.encode(text, maxTokens),
  };
}
