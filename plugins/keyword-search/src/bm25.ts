import {
  type CandidateBatch,
  type CandidateSource,
  type ComponentState,
  type FieldInput,
  type Inspectable,
  joinProposals,
  jsonTensor,
  type Proposals,
  type Reason,
  RecloomError,
  type RequestBatch,
  type RequestProposals,
  type RequestView,
  readJsonTensor,
  type Scorer,
  type Table,
  tensor,
} from '@recloom/plugin-api';
import type { Bm25Options } from './options.js';
import { type SearchDocument, SearchIndex, type SearchMatches, termOf } from './search-index.js';
import { textReader } from './text-reader.js';
import { wordsOf } from './words.js';

/** What `Bm25` is made from; `fields` are the inputs under `text`, in order. */
export interface Bm25Context {
  readonly options: Bm25Options;
  readonly fields: readonly FieldInput[];
  readonly items: Table;
}

/** What fitting needs beyond that. */
export interface Bm25FitContext extends Bm25Context {
  readonly signal: AbortSignal;
  progress(fraction: number, note?: string): void;
}

const reason: Reason = Object.freeze({ code: 'matches-search', text: 'Matches your search', strength: 0.6 });

/**
 * Indexes the catalogue. The state holds the index as JSON and a digest of each item's searchable text, by which `Bm25`
 * recognises what has changed since.
 *
 * @throws KEYWORD_SEARCH_UNKNOWN_FIELD when `boosts` names a field that is not an input.
 */
export async function fitBm25(context: Bm25FitContext): Promise<ComponentState> {
  const { options, fields, items } = context;
  const names = fieldNames(context);
  const index = await SearchIndex.empty(names, options);
  const readers = fields.map((field) => textReader(field.column()));
  const documents = Array.from({ length: items.rowCount }, (_, row) => documentOf(row, readers, items));
  await index.addAll(documents, context.signal, (fraction) => context.progress(fraction, 'indexing texts'));
  return {
    index: jsonTensor(index.toState()),
    digests: tensor(Float64Array.from(documents, digestOf)),
  };
}

/** BM25+ over item texts and ids: proposes and scores by the words of a search. */
export class Bm25 implements CandidateSource, Scorer, Inspectable {
  readonly #options: Bm25Options;
  readonly #fields: readonly FieldInput[];
  readonly #items: Table;
  readonly #index: SearchIndex;
  /** Digest of the text each row was indexed with; NaN for a row that is not indexed. */
  #digests: Float64Array;
  /** The texts behind the digests, field by field, so that a scan for changes compares references. */
  readonly #seen: (string | null)[][];
  #seenRows = 0;
  #version = -1;
  #synchronising: Promise<void> | undefined;
  /** Matches per request: the source, the scorer and the reasons ask for the same ones. */
  readonly #matches = new WeakMap<RequestView, { readonly version: number; readonly matches: SearchMatches }>();

  private constructor(context: Bm25Context, index: SearchIndex, digests: Float64Array) {
    this.#options = context.options;
    this.#fields = context.fields;
    this.#items = context.items;
    this.#index = index;
    this.#digests = digests;
    this.#seen = context.fields.map(() => []);
  }

  /**
   * Opens the index that `fitBm25` left.
   *
   * @throws KEYWORD_SEARCH_UNKNOWN_FIELD when `boosts` names a field that is not an input.
   */
  static async open(state: ComponentState, context: Bm25Context): Promise<Bm25> {
    const names = fieldNames(context);
    const index = await SearchIndex.open(readJsonTensor(state.index), names, context.options);
    const digests = state.digests?.data;
    return new Bm25(context, index, digests instanceof Float64Array ? digests.slice() : new Float64Array(0));
  }

  propose(batch: RequestBatch, limit: number): Proposals | Promise<Proposals> {
    batch.signal.throwIfAborted();
    const pending = this.#synchronise();
    return pending === undefined ? this.#proposeNow(batch, limit) : pending.then(() => this.#proposeNow(batch, limit));
  }

  score(batch: CandidateBatch, out: Float32Array, signal: AbortSignal): void | Promise<void> {
    signal.throwIfAborted();
    const pending = this.#synchronise();
    return pending === undefined ? this.#scoreNow(batch, out) : pending.then(() => this.#scoreNow(batch, out));
  }

  reasons(request: RequestView, rows: Int32Array): readonly (Reason | undefined)[] {
    const matching = new Set(this.#matchesOf(request)?.rows);
    return Array.from(rows, (row) => (matching.has(row) ? reason : undefined));
  }

  /** The words under which an item is found, by field. */
  inspectItem(row: number): Readonly<Record<string, unknown>> {
    const terms: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
    this.#fields.forEach((field) => {
      const text = textReader(field.column())(row);
      terms[field.field] = wordsOf(text ?? '').map((word) => termOf(word, this.#options.language));
    });
    return { indexed: this.#index.has(row), terms: { ...terms } };
  }

  #proposeNow(batch: RequestBatch, limit: number): Proposals {
    return joinProposals(
      batch.requests.map((request) => {
        const matches = this.#matchesOf(request);
        return matches === undefined ? undefined : firstEligible(matches, batch.eligible, limit);
      }),
      limit,
    );
  }

  #scoreNow(batch: CandidateBatch, out: Float32Array): void {
    for (let index = 0; index < batch.requests.length; index++) {
      const start = batch.offsets[index] ?? 0;
      const end = batch.offsets[index + 1] ?? start;
      out.fill(0, start, end);
      const matches = this.#matchesOf(batch.requests[index] as RequestView);
      if (matches === undefined || end === start) continue;
      const places = new Map<number, number>();
      for (let place = start; place < end; place++) places.set(batch.rows[place] ?? -1, place);
      for (let match = 0; match < matches.rows.length; match++) {
        const place = places.get(matches.rows[match] ?? -1);
        if (place !== undefined) out[place] = matches.scores[match] ?? 0;
      }
    }
  }

  #matchesOf(request: RequestView): SearchMatches | undefined {
    if (request.text === undefined || request.text === '') return undefined;
    const known = this.#matches.get(request);
    if (known !== undefined && known.version === this.#version) return known.matches;
    const matches = this.#index.search(request.text);
    this.#matches.set(request, { version: this.#version, matches });
    return matches;
  }

  /** Indexes items that were added or changed since the last search; undefined when there is nothing to wait for. */
  #synchronise(): Promise<void> | undefined {
    if (this.#synchronising !== undefined) return this.#synchronising;
    if (this.#items.version === this.#version) return undefined;
    const version = this.#items.version;
    const changed = this.#changedRows();
    if (changed.length === 0) {
      this.#version = version;
      return undefined;
    }
    for (const document of changed) this.#index.set(document);
    this.#synchronising = this.#index.settle().finally(() => {
      this.#version = version;
      this.#synchronising = undefined;
    });
    return this.#synchronising;
  }

  #changedRows(): readonly SearchDocument[] {
    const { rowCount } = this.#items;
    if (this.#digests.length < rowCount) {
      const grown = new Float64Array(Math.max(rowCount, this.#digests.length * 2)).fill(Number.NaN);
      grown.set(this.#digests);
      this.#digests = grown;
    }
    const readers = this.#fields.map((field) => textReader(field.column()));
    const changed: SearchDocument[] = [];
    for (let row = 0; row < rowCount; row++) {
      let same = true;
      for (let place = 0; place < readers.length; place++) {
        const text = readers[place]?.(row) ?? null;
        const seen = this.#seen[place] as (string | null)[];
        if (seen[row] === text) continue;
        seen[row] = text;
        same = false;
      }
      if (same && row < this.#seenRows) continue;
      const document = documentOf(row, readers, this.#items);
      const digest = digestOf(document);
      if (digest === this.#digests[row]) continue;
      this.#digests[row] = digest;
      changed.push(document);
    }
    this.#seenRows = rowCount;
    return changed;
  }
}

function firstEligible(matches: SearchMatches, eligible: Uint8Array | undefined, limit: number): RequestProposals {
  if (eligible === undefined) return { rows: matches.rows.subarray(0, limit), scores: matches.scores.subarray(0, limit) };
  const size = Math.min(limit, matches.rows.length);
  const rows = new Int32Array(size);
  const scores = new Float32Array(size);
  let count = 0;
  for (let match = 0; match < matches.rows.length && count < size; match++) {
    const row = matches.rows[match] ?? -1;
    if (eligible[row] !== 1) continue;
    rows[count] = row;
    scores[count] = matches.scores[match] ?? 0;
    count++;
  }
  return { rows: rows.subarray(0, count), scores: scores.subarray(0, count) };
}

function fieldNames({ options, fields }: Bm25Context): readonly string[] {
  const names = fields.map((field) => field.field);
  const unknown = Object.keys(options.boosts).filter((name) => !names.includes(name));
  if (unknown.length > 0) {
    throw new RecloomError({
      code: 'KEYWORD_SEARCH_UNKNOWN_FIELD',
      message: `"boosts" names ${unknown.map((name) => `"${name}"`).join(', ')}, but the component searches ${names.join(', ')}.`,
      hint: 'Write field names without "item." and list every boosted field under `in: { text: [...] }`.',
    });
  }
  return names;
}

function documentOf(row: number, readers: readonly ((row: number) => string | null)[], items: Table): SearchDocument {
  return { row, texts: readers.map((read) => read(row)), code: items.idOf(row) };
}

/** A 53-bit digest of an item's searchable text (cyrb53 by bryc, public domain). */
function digestOf(document: SearchDocument): number {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (const text of document.texts) {
    const value = text ?? '';
    for (let index = 0; index <= value.length; index++) {
      // The end of a field counts as a character no text has, so that fields cannot run into each other.
      const code = index < value.length ? value.charCodeAt(index) : 0x10000;
      high = Math.imul(high ^ code, 2654435761);
      low = Math.imul(low ^ code, 1597334677);
    }
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return 4294967296 * (2097151 & low) + (high >>> 0);
}
