import {
  type ComponentState,
  type ExtractBatch,
  type FeatureBlock,
  type FeatureExtractor,
  type FieldInput,
  readTensor,
  type Table,
  tensor,
} from '@recloom/plugin-api';
import type { TokensOptions } from './options.js';
import { termOf } from './search-index.js';
import { textReader } from './text-reader.js';
import { wordsOf } from './words.js';

/** What fitting needs of its context; `fields` are the inputs under `text`, in order. */
export interface TokensFitContext {
  readonly options: TokensOptions;
  readonly fields: readonly FieldInput[];
  readonly items: Table;
  readonly signal: AbortSignal;
}

/** Counters for how many texts have a token; tokens that share one are taken for as frequent as both together. */
const counterCount = 65_536;
const itemsPerCheck = 1024;

/**
 * The tokens of a text, duplicates kept: its words, pairs of words in a row, and pieces of `grams` characters of each word
 * with its ends marked. Kinds never meet: each has a mark that no word has.
 */
export function tokensOf(text: string, options: TokensOptions): string[] {
  const words = wordsOf(text.slice(0, options.maximumLength)).map((word) => termOf(word, options.language));
  const tokens = words.slice();
  if (options.pairs) for (let place = 1; place < words.length; place++) tokens.push(`${words[place - 1]} ${words[place]}`);
  if (options.grams > 0) {
    for (const word of words) {
      const characters = Array.from(`<${word}>`);
      for (let start = 0; start + options.grams <= characters.length; start++) {
        tokens.push(`#${characters.slice(start, start + options.grams).join('')}`);
      }
    }
  }
  return tokens;
}

/** Counts in how many texts of the catalogue each token occurs. State: `counts`, and `texts`, their number. */
export function fitTokens({ options, fields, items, signal }: TokensFitContext): ComponentState {
  const readers = fields.map((field) => textReader(field.column()));
  const counts = new Int32Array(counterCount);
  let texts = 0;
  for (let row = 0; row < items.rowCount; row++) {
    if (row % itemsPerCheck === 0) signal.throwIfAborted();
    const tokens = new Set(readers.flatMap((read) => tokensOf(read(row) ?? '', options)));
    if (tokens.size === 0) continue;
    texts++;
    for (const counter of new Set(Array.from(tokens, (token) => hashOf(token) % counterCount))) {
      counts[counter] = (counts[counter] as number) + 1;
    }
  }
  return { counts: tensor(counts), texts: tensor(Int32Array.of(texts)) };
}

/**
 * Texts as vectors of length 1: each token adds ± (1 + log occurrences) × (1 + log((1 + texts) / (1 + texts with it))) to
 * the number it is hashed to. The sign, hashed as well, makes tokens that meet cancel out on average, so that a dot product
 * is that of the words (Weinberger 2009, "Feature hashing for large scale multitask learning").
 */
export class Tokens implements FeatureExtractor {
  readonly width: number;
  readonly #options: TokensOptions;
  readonly #counts: Int32Array;
  readonly #texts: number;

  /** Opens what `fitTokens` left. @throws RECLOOM_DAT_STATE_TENSOR */
  constructor(options: TokensOptions, state: ComponentState) {
    this.#options = options;
    this.width = options.width;
    this.#counts = readTensor(state, 'counts', Int32Array);
    this.#texts = readTensor(state, 'texts', Int32Array)[0] ?? 0;
  }

  extract(batch: ExtractBatch, out: FeatureBlock): void {
    batch.signal.throwIfAborted();
    const readers = (batch.columns['text'] ?? []).map((column) => textReader(column));
    for (let row = 0; row < batch.count; row++) {
      const occurrences = new Map<string, number>();
      for (const read of readers) {
        for (const token of tokensOf(read(row) ?? '', this.#options)) occurrences.set(token, (occurrences.get(token) ?? 0) + 1);
      }
      const vector = out.values.subarray(row * this.width, (row + 1) * this.width);
      for (const [token, count] of occurrences) {
        const hash = hashOf(token);
        const rarity = 1 + Math.log((1 + this.#texts) / (1 + (this.#counts[hash % counterCount] as number)));
        const column = scatter(hash) % this.width;
        // The place comes from another mix of the hash, so that it does not tell the sign.
        const sign = (hash & 0x40000000) === 0 ? 1 : -1;
        vector[column] = (vector[column] as number) + sign * (1 + Math.log(count)) * rarity;
      }
      let squares = 0;
      for (const value of vector) squares += value * value;
      // Tokens can cancel each other out: then nothing is known, as without any.
      if (!(squares > 1e-12)) {
        vector.fill(0);
        continue;
      }
      const length = Math.sqrt(squares);
      for (let column = 0; column < this.width; column++) vector[column] = (vector[column] as number) / length;
      out.presence[row] = 1;
    }
  }
}

/** FNV-1a over UTF-16 units with the last mix of MurmurHash3; 32 bits without sign. */
function hashOf(token: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < token.length; index++) hash = Math.imul(hash ^ token.charCodeAt(index), 0x01000193);
  return scatter(hash);
}

/** MurmurHash3's last mix: every bit of the result depends on every bit of the number. */
function scatter(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
