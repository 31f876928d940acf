import { importLibrary } from '@recloom/plugin-api';
import type { AsPlainObject, default as MiniSearch, Options, Query } from 'minisearch';
import type { Bm25Options } from './options.js';
import { codeWordsOf, isStopWord, singular, wordsOf } from './words.js';

/** One item as it is indexed: its row, the text of each field in order, and its id for the code field. */
export interface SearchDocument {
  readonly row: number;
  readonly texts: readonly (string | null)[];
  readonly code: string;
}

/** Items that match, best first; equal scores by ascending row. Do not write. */
export interface SearchMatches {
  readonly rows: Int32Array;
  readonly scores: Float32Array;
}

const rowField = 'row';
const codeField = 'code';
/** Names for minisearch that cannot clash with anything a config may call a field. */
const textField = (index: number): string => `text${index}`;
/** Longer words are machine noise, and comparing by edit distance costs their square. */
const longestTypoLength = 32;
const shortestPart = 3;
const documentsPerSlice = 500;

/**
 * The words of a search that count, folded and unique, in order: stop words go unless nothing else is left. Text beyond
 * `maximumQueryLength` is not looked at.
 */
export function queryWords(text: string, options: Pick<Bm25Options, 'language' | 'maximumQueryLength'>): string[] {
  const words = [...new Set(wordsOf(text.slice(0, options.maximumQueryLength)))];
  if (options.language === 'none') return words;
  const telling = words.filter((word) => !isStopWord(word));
  return telling.length > 0 ? telling : words;
}

/** A BM25+ index over item texts and ids: the only file that touches minisearch. */
export class SearchIndex {
  readonly #options: Bm25Options;
  readonly #fieldCount: number;
  readonly #index: MiniSearch<SearchDocument>;
  readonly #boost: Readonly<Record<string, number>>;
  /** Words of the texts, sorted, for telling a misspelt word from a known one. */
  readonly #vocabulary: readonly string[];
  readonly #addedWords = new Set<string>();

  private constructor(
    index: MiniSearch<SearchDocument>,
    fields: readonly string[],
    options: Bm25Options,
    vocabulary: readonly string[],
    addedWords: Set<string>,
  ) {
    this.#index = index;
    this.#options = options;
    this.#fieldCount = fields.length;
    this.#vocabulary = vocabulary;
    this.#addedWords = addedWords;
    this.#boost = {
      ...Object.fromEntries(fields.map((field, place) => [textField(place), options.boosts[field] ?? 1])),
      [codeField]: options.codeBoost,
    };
  }

  /** An index with nothing in it. @throws RECLOOM_PLG_LIBRARY_MISSING */
  static async empty(fields: readonly string[], options: Bm25Options): Promise<SearchIndex> {
    const Library = await library();
    const words = new Set<string>();
    return new SearchIndex(new Library(libraryOptions(fields.length, options, words)), fields, options, [], words);
  }

  /** The index that `toState` wrote; nothing is indexed again. @throws RECLOOM_PLG_LIBRARY_MISSING */
  static async open(state: unknown, fields: readonly string[], options: Bm25Options): Promise<SearchIndex> {
    const Library = await library();
    const words = new Set<string>();
    const plain = state as AsPlainObject;
    const codeId = plain.fieldIds[codeField];
    const vocabulary = plain.index
      .filter(([, fieldsOfTerm]) => Object.keys(fieldsOfTerm).some((id) => Number(id) !== codeId))
      .map(([term]) => term)
      .sort();
    return new SearchIndex(Library.loadJS(plain, libraryOptions(fields.length, options, words)), fields, options, vocabulary, words);
  }

  /** The index as plain JSON for `open`; the same documents in the same order give the same text. */
  toState(): unknown {
    return this.#index.toJSON();
  }

  /** How many items have something to search in. */
  get documentCount(): number {
    return this.#index.documentCount;
  }

  has(row: number): boolean {
    return this.#index.has(row);
  }

  /** Indexes items, letting the event loop turn; `progress` hears the fraction done. */
  async addAll(documents: readonly SearchDocument[], signal: AbortSignal, progress: (fraction: number) => void): Promise<void> {
    for (let start = 0; start < documents.length; start += documentsPerSlice) {
      signal.throwIfAborted();
      for (const document of documents.slice(start, start + documentsPerSlice)) this.set(document);
      progress(Math.min(1, (start + documentsPerSlice) / documents.length));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Indexes an item that is new or has changed. After the last of a series call `settle`. */
  set(document: SearchDocument): void {
    const searchable = (this.#options.codes && document.code !== '') || document.texts.some((text) => text !== null && text !== '');
    if (this.#index.has(document.row)) this.#index.discard(document.row);
    if (searchable) this.#index.add(document);
  }

  /**
   * Clears what replaced items left behind. Minisearch would do so while it searches, and its scores would then depend
   * on which searches came before.
   */
  async settle(): Promise<void> {
    if (this.#index.dirtCount > 0) await this.#index.vacuum({ batchSize: Number.MAX_SAFE_INTEGER, batchWait: 0 });
  }

  /**
   * Every item that matches. Score: the sum of BM25+ over matching words and fields (beginnings and misspellings count less),
   * times the number of different words of the search that match.
   */
  search(text: string): SearchMatches {
    const words = this.#withCompounds(queryWords(text, this.#options));
    if (words.length === 0) return { rows: new Int32Array(0), scores: new Float32Array(0) };
    const results = this.#index.search(this.#query(words), {
      boost: this.#boost,
      bm25: { k: this.#options.saturation, b: this.#options.lengthNormalization, d: this.#options.occurrenceBonus },
      tokenize: (term) => [term],
      processTerm: (term) => term,
    });
    const scores = Float32Array.from(results, (result) => result.score);
    const order = Uint32Array.from(scores, (_, place) => place).sort((a, b) => {
      return (scores[b] ?? 0) - (scores[a] ?? 0) || (results[a]?.id as number) - (results[b]?.id as number);
    });
    return {
      rows: Int32Array.from(order, (place) => results[place]?.id as number),
      scores: Float32Array.from(order, (place) => scores[place] ?? 0),
    };
  }

  #query(words: readonly string[]): Query {
    const { match, prefix, minimumPrefixLength, codes } = this.#options;
    const textFields = Array.from({ length: this.#fieldCount }, (_, place) => textField(place));
    return {
      combineWith: match === 'all' ? 'AND' : 'OR',
      queries: words.map((word, place) => {
        const begins = (prefix === 'all' || (prefix === 'last' && place === words.length - 1)) && word.length >= minimumPrefixLength;
        const term = termOf(word, this.#options.language);
        const inText: Query = { queries: [term], fields: textFields, prefix: begins, fuzzy: this.#typos(term, begins) };
        if (!codes) return inText;
        // Few characters begin many codes, and one wrong character is another item: codes are matched more strictly.
        const inCodes: Query = { queries: [word], fields: [codeField], prefix: begins && word.length > minimumPrefixLength, fuzzy: false };
        return { combineWith: 'OR', queries: [inText, inCodes] };
      }),
    };
  }

  /**
   * Adds what the catalogue writes in one word and the search in two (`cake stand`), or the other way round
   * (`handwarmer`). Not for `match: all`, where each added word would be one more to match.
   */
  #withCompounds(words: readonly string[]): readonly string[] {
    if (this.#options.match === 'all') return words;
    const { language } = this.#options;
    const all = new Set(words);
    for (let place = 0; place < words.length; place++) {
      const word = words[place] as string;
      const joined = word + (words[place + 1] ?? '');
      if (place + 1 < words.length && this.#knows(termOf(joined, language), false)) all.add(joined);
      if (word.length > longestTypoLength || this.#knows(termOf(word, language), true)) continue;
      for (let cut = word.length - shortestPart; cut >= shortestPart; cut--) {
        const parts = [word.slice(0, cut), word.slice(cut)];
        if (!parts.every((part) => this.#knows(termOf(part, language), false))) continue;
        for (const part of parts) all.add(part);
        break;
      }
    }
    return [...all];
  }

  #typos(term: string, begins: boolean): number | false {
    const { typos, oneTypoLength, twoTyposLength } = this.#options;
    if (typos === 'never' || term.length < oneTypoLength || term.length > longestTypoLength || /\p{N}/u.test(term)) return false;
    if (typos === 'unknown-words' && this.#knows(term, begins)) return false;
    return term.length >= twoTyposLength ? 2 : 1;
  }

  /** Whether a word of the catalogue is this one or, with `begins`, begins with it. */
  #knows(term: string, begins: boolean): boolean {
    let low = 0;
    let high = this.#vocabulary.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#vocabulary[middle] as string) < term) low = middle + 1;
      else high = middle;
    }
    const next = this.#vocabulary[low];
    if (next === term || this.#addedWords.has(term)) return true;
    if (!begins) return false;
    if (next?.startsWith(term)) return true;
    for (const word of this.#addedWords) if (word.startsWith(term)) return true;
    return false;
  }
}

/** The form of a word that the text fields of the index hold. */
export function termOf(word: string, language: Bm25Options['language']): string {
  return language === 'english' ? singular(word) : word;
}

async function library(): Promise<typeof MiniSearch> {
  const module = await importLibrary('minisearch', '7.2.0', () => import('minisearch'));
  return module.default;
}

function libraryOptions(fieldCount: number, options: Bm25Options, words: Set<string>): Options<SearchDocument> {
  const fields = Array.from({ length: fieldCount }, (_, place) => textField(place));
  return {
    idField: rowField,
    fields: options.codes ? [...fields, codeField] : fields,
    extractField: (document, name) => {
      if (name === rowField) return document.row;
      if (name === codeField) return document.code;
      return document.texts[Number(name.slice(4))];
    },
    tokenize: (text, name) => (name === codeField ? codeWordsOf(text) : wordsOf(text)),
    processTerm: (word, name) => {
      if (name === codeField) return word;
      const term = termOf(word, options.language);
      words.add(term);
      return term;
    },
    autoVacuum: false,
    // Its default logger is the console; what it would say cannot happen with `discard` and `add`.
    logger: () => {},
  };
}
