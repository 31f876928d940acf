import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type BackgroundWork, type Inference, isRecloomError, recloomError } from '@recloom/plugin-api';
import { findTokenizerLibrary } from './tokenizer.js';
import type { EncodedTexts, TokenizerFacts, TokenizerModule, TokenizerSettings } from './tokenizer-module.js';

/**
 * Most texts and characters that are tokenised at a stretch: a millisecond's work. Where it is done on the host's thread, others get
 * their turn then; on the background thread, a query that comes between the texts of a catalogue waits for no longer.
 */
const textsPerStretch = 32;
const charactersPerStretch = 8_192;

/**
 * A model's tokenizer on the background thread of the inference service, shared by all that use the same files; on this thread
 * where the service has none.
 */
export class BackgroundTokenizer {
  /** The largest token id plus one. */
  readonly vocabularySize: number;
  /** The special tokens before and after each text. */
  readonly specialTokens: number;
  /** Hex SHA-256 of the tokenizer's files. */
  readonly sha256: string;
  readonly #work: BackgroundWork;

  private constructor(work: BackgroundWork, { vocabularySize, specialTokens, sha256 }: TokenizerFacts) {
    this.#work = work;
    this.vocabularySize = vocabularySize;
    this.specialTokens = specialTokens;
    this.sha256 = sha256;
  }

  /** @throws RECLOOM_PLG_LIBRARY_MISSING, TEXT_BERT_TOKENIZER, RECLOOM_RUN_WORKER_DIED */
  static async open(inference: Inference, directory: string): Promise<BackgroundTokenizer> {
    const settings = { directory, library: await findTokenizerLibrary(), state: await stateOf(directory) } satisfies TokenizerSettings;
    const work =
      inference.background === undefined ? await openHere(settings) : await inference.background({ module: moduleUrl(), settings });
    try {
      return new BackgroundTokenizer(work, (await work.call('facts')) as TokenizerFacts);
    } catch (error) {
      await work.close();
      throw error;
    }
  }

  /**
   * Token ids of texts, in order, as `Tokenizer.encode` gives them. The caller owns them; they share memory.
   *
   * @throws RECLOOM_RUN_ABORTED, RECLOOM_RUN_WORKER_DIED, RECLOOM_RUN_CLOSED
   */
  async encode(texts: readonly string[], maxTokens: number, signal: AbortSignal): Promise<Int32Array[]> {
    const tokens: Int32Array[] = [];
    for (let start = 0; start < texts.length; ) {
      if (start > 0) await new Promise((resolve) => setImmediate(resolve));
      if (signal.aborted) throw recloomError('RECLOOM_RUN_ABORTED', {}, { cause: signal.reason });
      const end = endOfStretch(texts, start);
      const { ids, lengths } = await this.#encode(texts.slice(start, end), maxTokens);
      let place = 0;
      for (const length of lengths) tokens.push(ids.subarray(place, (place += length)));
      start = end;
    }
    return tokens;
  }

  /** Gives the tokenizer back. Idempotent. */
  close(): Promise<void> {
    return this.#work.close();
  }

  async #encode(texts: readonly string[], maxTokens: number): Promise<EncodedTexts> {
    try {
      return (await this.#work.call('encode', texts, maxTokens)) as EncodedTexts;
    } catch (error) {
      // A thread that died is replaced: one more try saves a build of minutes.
      if (!isRecloomError(error) || error.code !== 'RECLOOM_RUN_WORKER_DIED') throw error;
      return (await this.#work.call('encode', texts, maxTokens)) as EncodedTexts;
    }
  }
}

function endOfStretch(texts: readonly string[], start: number): number {
  let characters = 0;
  let end = start;
  while (end < texts.length && end - start < textsPerStretch) {
    characters += (texts[end] as string).length;
    if (end > start && characters > charactersPerStretch) break;
    end++;
  }
  return end;
}

/** Under vitest this file runs from `src`, and a worker thread takes JavaScript only: `dist` has it. */
function moduleUrl(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? '../dist/tokenizer-module.js' : './tokenizer-module.js', import.meta.url);
}

/** The tokenizer on this thread. */
async function openHere(settings: TokenizerSettings): Promise<BackgroundWork> {
  const { open } = await import('./tokenizer-module.js');
  const opened: TokenizerModule = await open(settings);
  return {
    call: async (name, ...parameters) => {
      if (name === 'facts') return opened.facts();
      const [texts, maxTokens] = parameters as [readonly string[], number];
      return opened.encode(texts, maxTokens);
    },
    close: async () => {},
  };
}

/** Differs when the tokenizer's files were replaced. */
async function stateOf(directory: string): Promise<string> {
  const states = ['tokenizer.json', 'tokenizer_config.json'].map(async (name) => {
    const info = await stat(join(directory, name)).catch(() => undefined);
    return info === undefined ? '' : `${info.ino} ${info.size} ${info.mtimeMs}`;
  });
  return (await Promise.all(states)).join('|');
}
