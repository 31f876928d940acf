import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type BackgroundWork, type Inference, isRecloomError } from '@recloom/plugin-api';
import { findTokenizerLibrary } from './tokenizer.js';
import type { TokenizerFacts, TokenizerModule, TokenizerSettings } from './tokenizer-module.js';

/**
 * A model's tokenizer on the background thread of the inference service, shared by all that use the same files; on this thread
 * where the service has none.
 */
export class BackgroundTokenizer {
  /** The special tokens before and after each text. */
  readonly specialTokens: number;
  /** What `tokenizer_config.json` says is the longest text, when it says so. */
  readonly longest: number | undefined;
  readonly #work: BackgroundWork;

  private constructor(work: BackgroundWork, { specialTokens, longest }: TokenizerFacts) {
    this.#work = work;
    this.specialTokens = specialTokens;
    this.longest = longest;
  }

  /** @throws RECLOOM_PLG_LIBRARY_MISSING, IMAGE_CLIP_TOKENIZER, RECLOOM_RUN_WORKER_DIED */
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
   * Token ids of a text as `Tokenizer.encode` gives them. The caller owns them.
   *
   * @throws RECLOOM_RUN_WORKER_DIED, RECLOOM_RUN_CLOSED
   */
  async encode(text: string, maxTokens: number): Promise<Int32Array> {
    try {
      return (await this.#work.call('encode', text, maxTokens)) as Int32Array;
    } catch (error) {
      // A thread that died is replaced.
      if (!isRecloomError(error) || error.code !== 'RECLOOM_RUN_WORKER_DIED') throw error;
      return (await this.#work.call('encode', text, maxTokens)) as Int32Array;
    }
  }

  /** Gives the tokenizer back. Idempotent. */
  close(): Promise<void> {
    return this.#work.close();
  }
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
      const [text, maxTokens] = parameters as [string, number];
      return opened.encode(text, maxTokens);
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
