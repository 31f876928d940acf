import { z } from 'zod';

/** Options of `keyword-search/bm25`; `{}` is valid. */
export const bm25Options = z.strictObject({
  boosts: z
    .record(z.string(), z.number().positive())
    .default({})
    .describe('How much a field counts, by field name (a factor; default 1 each), e.g. { title: 3 }.'),
  codes: z
    .boolean()
    .default(true)
    .describe('Search item ids as well, so that a typed item code such as 85123A finds its item (default true).'),
  codeBoost: z.number().positive().default(5).describe('How much a match of an item id counts (a factor; default 5).'),
  prefix: z
    .enum(['all', 'last', 'none'])
    .default('all')
    .describe('Which words of the search also match longer words that begin with them: all, the last one only, or none (default all).'),
  minimumPrefixLength: z
    .int()
    .min(1)
    .default(3)
    .describe('Shortest word, in characters, that matches longer words by its beginning; item ids need one character more (default 3).'),
  typos: z
    .enum(['unknown-words', 'always', 'never'])
    .default('unknown-words')
    .describe('Tolerate misspelling: only in words the catalogue does not have, in every word, or never (default unknown-words).'),
  oneTypoLength: z.int().min(2).default(5).describe('Shortest word, in characters, in which one typo is tolerated (default 5).'),
  twoTyposLength: z.int().min(3).default(9).describe('Shortest word, in characters, in which two typos are tolerated (default 9).'),
  language: z
    .enum(['english', 'none'])
    .default('english')
    .describe('Stop words and plural folding: english, or none for shops in another language (default english).'),
  match: z
    .enum(['any', 'all'])
    .default('any')
    .describe(
      'Whether an item must match any or all words of the search, stop words apart (default any; items with more of them come first).',
    ),
  maximumQueryLength: z.int().min(1).default(256).describe('Characters of the search that are read; the rest is cut off (default 256).'),
  saturation: z.number().min(0).default(1.2).describe('BM25 k: how soon further occurrences of a word stop counting (default 1.2).'),
  lengthNormalization: z.number().min(0).max(1).default(0.7).describe('BM25 b: how much long texts are held back, 0 to 1 (default 0.7).'),
  occurrenceBonus: z
    .number()
    .min(0)
    .default(0.5)
    .describe('BM25+ delta: what an occurrence counts at least, however long the text (default 0.5).'),
});

/** Validated options of `keyword-search/bm25`. */
export type Bm25Options = z.output<typeof bm25Options>;

/** Options of `keyword-search/tokens`; `{}` is valid. */
export const tokensOptions = z.strictObject({
  width: z
    .int()
    .min(16)
    .max(8192)
    .default(512)
    .describe('Numbers per item: buckets that words are hashed into. More let fewer words share one (default 512).'),
  pairs: z
    .boolean()
    .default(true)
    .describe('Two words in a row count as a word too, so that `tea towel` is more than both (default true).'),
  grams: z
    .int()
    .min(0)
    .max(8)
    .default(4)
    .describe('Characters of the pieces that words are cut into, so that `colour` and `colouring` share some; 0 for none (default 4).'),
  language: z
    .enum(['english', 'none'])
    .default('english')
    .describe('Plural folding: english, or none for shops in another language (default english).'),
  maximumLength: z.int().min(1).default(4096).describe('Characters of a text that are read; the rest is cut off (default 4096).'),
});

/** Validated options of `keyword-search/tokens`. */
export type TokensOptions = z.output<typeof tokensOptions>;
