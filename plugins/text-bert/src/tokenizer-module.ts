import { openTokenizer, tokenizerHash } from './tokenizer.js';

/** Which tokenizer is opened, as it crosses to another thread. */
export interface TokenizerSettings {
  /** Absolute folder of the model. */
  readonly directory: string;
  /** What `findTokenizerLibrary` gave. */
  readonly library: string;
  /** What the tokenizer's files are now, so that files that were replaced are opened anew. */
  readonly state: string;
}

/** What callers ask of a tokenizer before its first text. */
export interface TokenizerFacts {
  readonly vocabularySize: number;
  readonly specialTokens: number;
  /** Hex SHA-256 of the tokenizer's files. */
  readonly sha256: string;
}

/** Token ids of several texts, one after the other, and how many each has. */
export interface EncodedTexts {
  readonly ids: Int32Array;
  readonly lengths: Int32Array;
}

/** What `open` gives: functions whose arguments and results cross to another thread. */
export interface TokenizerModule {
  facts(): TokenizerFacts;
  encode(texts: readonly string[], maxTokens: number): EncodedTexts;
}

/**
 * Opens a tokenizer; run by the inference service on its background thread: reading a vocabulary takes a tenth of a second or more.
 *
 * @throws RECLOOM_PLG_LIBRARY_MISSING, TEXT_BERT_TOKENIZER
 */
export async function open({ directory, library }: TokenizerSettings): Promise<TokenizerModule> {
  const [tokenizer, sha256] = [await openTokenizer(directory, library), await tokenizerHash(directory)];
  const { vocabularySize, specialTokens } = tokenizer;
  return {
    facts: () => ({ vocabularySize, specialTokens, sha256 }),
    encode: (texts, maxTokens) => {
      const encoded = texts.map((text) => tokenizer.encode(text, maxTokens));
      const lengths = Int32Array.from(encoded, (ids) => ids.length);
      const all = new Int32Array(lengths.reduce((sum, length) => sum + length, 0));
      let place = 0;
      for (const ids of encoded) {
        all.set(ids, place);
        place += ids.length;
      }
      return { ids: all, lengths };
    },
  };
}
