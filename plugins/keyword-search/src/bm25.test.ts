import { type Column, type FieldInput, type RequestBatch, type RequestView, readJsonTensor, type Table } from '@recloom/plugin-api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bm25, fitBm25 } from './bm25.js';
import plugin, { bm25, tokens } from './index.js';
import { type Bm25Options, bm25Options } from './options.js';

interface Catalogue {
  readonly table: Table;
  readonly fields: readonly FieldInput[];
  set(id: string, texts: Readonly<Record<string, string | null>>): number;
}

/** A live table of text fields, as the overlay of a pipeline would be. */
function catalogue(names: readonly string[]): Catalogue {
  const ids: string[] = [];
  const values = new Map(names.map((name) => [name, [] as (string | null)[]]));
  let version = 1;
  const column = (field: string): Column | undefined => {
    const found = values.get(field);
    return found === undefined ? undefined : { type: 'text', values: found };
  };
  return {
    table: {
      get rowCount() {
        return ids.length;
      },
      get version() {
        return version;
      },
      fields: names,
      idOf: (row) => ids[row] ?? '',
      rowOf: (id) => ids.indexOf(id),
      column,
    },
    fields: names.map((field) => ({ field, column: () => column(field) })),
    set(id, texts) {
      let row = ids.indexOf(id);
      if (row < 0) row = ids.push(id) - 1;
      for (const name of names) (values.get(name) as (string | null)[])[row] = texts[name] ?? values.get(name)?.[row] ?? null;
      version++;
      return row;
    },
  };
}

function titles(...texts: readonly (string | null)[]): Catalogue {
  const shop = catalogue(['title']);
  texts.forEach((title, row) => {
    shop.set(`ID${row}`, { title });
  });
  return shop;
}

const signal = new AbortController().signal;

async function open(shop: Catalogue, options: Partial<Bm25Options> = {}): Promise<Bm25> {
  const context = { options: bm25Options.parse(options), fields: shop.fields, items: shop.table };
  const state = await fitBm25({ ...context, signal, progress: () => {} });
  return Bm25.open(state, context);
}

function requestFor(text: string | undefined): RequestView {
  return { text } as RequestView;
}

async function find(
  search: Bm25,
  text: string | undefined,
  limit = 10,
  eligible?: Uint8Array,
): Promise<{ rows: number[]; scores: number[] }> {
  const batch: RequestBatch = { requests: [requestFor(text)], eligible, signal };
  const proposals = await search.propose(batch, limit);
  expect(proposals.offsets).toEqual(Int32Array.of(0, proposals.rows.length));
  return { rows: [...proposals.rows], scores: [...proposals.scores] };
}

async function scoresOf(search: Bm25, text: string | undefined, rows: readonly number[]): Promise<number[]> {
  const out = new Float32Array(rows.length).fill(Number.NaN);
  await search.score(
    {
      requests: [requestFor(text)],
      count: rows.length,
      offsets: Int32Array.of(0, rows.length),
      rows: Int32Array.from(rows),
      sources: [],
      column: () => undefined,
    },
    out,
    signal,
  );
  return [...out];
}

describe('order and scores', () => {
  // By hand (and by a few lines of Python), BM25+ (Lv and Zhai 2011) with k 1.2, b 0.7, d 0.5 over N = 3 texts:
  // score = idf * (d + n (k + 1) / (n + k (1 - b + b length / average))); idf = ln(1 + (3 - 2 + .5) / (2 + .5)) = .4700036 for
  // both words. Minisearch takes the number of different words for the length: 3, 2 and 3, on average 8 / 3.
  // Row 0: red and mug once, .6835953 each; times 2 because 2 words of the search match: 4 * .6835953 = 2.7343812.
  // Row 1: red once, length factor .825: .7546038. Row 2: mug twice, length factor 1.0875: .8607253.
  it('follows BM25+ worked out by hand', async () => {
    const search = await open(titles('red tea mug', 'red plate', 'mug mug tree set'), { language: 'none', prefix: 'none' });
    const found = await find(search, 'red mug');
    expect(found.rows).toEqual([0, 2, 1]);
    [2.7343812, 0.8607253, 0.7546038].forEach((score, place) => {
      expect(found.scores[place]).toBeCloseTo(score, 5);
    });
  });

  it('breaks ties by ascending row and cuts at the limit', async () => {
    const search = await open(titles('blue cup', 'red cup', 'green cup', 'pink cup'));
    expect((await find(search, 'cup')).rows).toEqual([0, 1, 2, 3]);
    expect((await find(search, 'cup', 2)).rows).toEqual([0, 1]);
  });

  it('weighs fields by boosts', async () => {
    const shop = catalogue(['title', 'category']);
    shop.set('A', { title: 'garden lamp', category: 'christmas things' });
    shop.set('B', { title: 'christmas lamp', category: 'garden things' });
    const byTitle = await open(shop, { boosts: { title: 3 } });
    expect((await find(byTitle, 'christmas')).rows).toEqual([1, 0]);
    const byCategory = await open(shop, { boosts: { category: 3 } });
    expect((await find(byCategory, 'christmas')).rows).toEqual([0, 1]);
  });

  it('refuses a boost for a field it does not search', async () => {
    await expect(open(titles('mug'), { boosts: { titel: 2 } })).rejects.toMatchObject({ code: 'KEYWORD_SEARCH_UNKNOWN_FIELD' });
  });

  it('puts the wish before the words around it', async () => {
    const search = await open(
      titles(
        'SOMETHING TO MY TASTE SIGN',
        'HAND WARMER OWL DESIGN',
        'KEEP CALM MUG',
        'TO MY LOVE CARD',
        'SET OF 4 PLACE MATS',
        'HOT WATER BOTTLE',
      ),
    );
    const { rows } = await find(search, 'something to keep my hands warm');
    expect(rows).toEqual([1, 2]);
  });

  it('falls back to stop words when a search holds nothing else', async () => {
    const search = await open(titles('to my love', 'mug'));
    expect((await find(search, 'to my')).rows).toEqual([0]);
  });

  it('asks for every word when told', async () => {
    const search = await open(titles('red mug', 'red plate', 'blue mug'), { match: 'all' });
    expect((await find(search, 'a red mug')).rows).toEqual([0]);
  });
});

describe('tolerance', () => {
  it('matches longer words by their beginning, after exact ones', async () => {
    const search = await open(titles('chocolate bar', 'choc ice', 'tea'));
    expect((await find(search, 'choc')).rows).toEqual([1, 0]);
    expect((await find(await open(titles('chocolate bar'), { prefix: 'none', typos: 'never' }), 'choc')).rows).toEqual([]);
    const last = await open(titles('chocolate', 'teapot'), { prefix: 'last' });
    expect((await find(last, 'choc tea')).rows).toEqual([1]);
  });

  it('forgives one typo from 5 letters and two from 9, in words it does not know', async () => {
    const search = await open(titles('heart', 'chocolate', 'lamp', 'hearty meal'));
    expect((await find(search, 'haert')).rows).toEqual([]);
    expect((await find(search, 'heert')).rows).toEqual([0]);
    expect((await find(search, 'chcolat')).rows).toEqual([]);
    expect((await find(search, 'chokolade')).rows).toEqual([1]);
    expect((await find(search, 'lamb')).rows).toEqual([]);
    // A known word is taken at its word.
    const known = await open(titles('candle', 'handle'));
    expect((await find(known, 'candle')).rows).toEqual([0]);
    expect((await find(await open(titles('candle', 'handle'), { typos: 'always' }), 'candle')).rows).toEqual([0, 1]);
    expect((await find(await open(titles('candle'), { typos: 'never' }), 'kandle')).rows).toEqual([]);
  });

  it('finds items by accents, plurals and compounds written in another way', async () => {
    const search = await open(titles('Crème brûlée dish', 'T-LIGHT holder', 'Christmas trees'));
    expect((await find(search, 'creme BRULEE')).rows).toEqual([0]);
    expect((await find(search, 'tlight')).rows).toEqual([1]);
    expect((await find(search, 'tree')).rows).toEqual([2]);
    expect((await find(search, 'dishes')).rows).toEqual([0]);
  });
});

describe('compounds', () => {
  it('finds what is written in one word by two, and the other way round', async () => {
    const search = await open(titles('REGENCY CAKESTAND 3 TIER', 'REGENCY CAKE FORK', 'HAND WARMER OWL', 'HAND SOAP'));
    expect((await find(search, 'regency cake stand')).rows).toEqual([0, 1]);
    expect((await find(search, 'handwarmer')).rows).toEqual([2, 3]);
  });
});

describe('codes', () => {
  function shop(): Catalogue {
    const made = catalogue(['title']);
    made.set('85123A', { title: 'white hanging heart' });
    made.set('85123B', { title: 'red hanging heart' });
    made.set('22423', { title: 'regency cakestand 3 tier' });
    made.set('100', { title: 'pack of 85123A refills' });
    made.set('__proto__', { title: null });
    return made;
  }

  it('finds an item by its code, whole, begun, or with separators', async () => {
    const search = await open(shop());
    expect((await find(search, '85123a')).rows).toEqual([0, 3]);
    expect((await find(search, '85123-A')).rows[0]).toBe(0);
    expect((await find(search, '8512')).rows.slice(0, 2).sort()).toEqual([0, 1]);
    expect((await find(search, '__proto__')).rows).toEqual([4]);
  });

  it('takes one wrong character for another item, not for a typo', async () => {
    expect((await find(await open(shop()), '22424')).rows).toEqual([]);
  });

  it('searches no ids when told', async () => {
    const search = await open(shop(), { codes: false });
    expect((await find(search, '22423')).rows).toEqual([]);
    expect(search.inspectItem(4)).toMatchObject({ indexed: false });
  });
});

describe('requests', () => {
  it('has nothing to say without text, to blank text, or about unknown words', async () => {
    const search = await open(titles('mug', 'cup'));
    for (const text of [undefined, '', '   ', '!?', 'zzzzqqqq']) {
      expect((await find(search, text)).rows).toEqual([]);
      expect(await scoresOf(search, text, [0, 1])).toEqual([0, 0]);
    }
  });

  it('works on an empty catalogue', async () => {
    expect((await find(await open(catalogue(['title'])), 'mug')).rows).toEqual([]);
  });

  it('applies the mask inside, so that the limit is filled with what may be shown', async () => {
    const search = await open(titles('cup one', 'cup two', 'cup three'));
    expect((await find(search, 'cup', 1, Uint8Array.of(0, 0, 1))).rows).toEqual([2]);
    expect((await find(search, 'cup', 5, Uint8Array.of(1, 0, 1))).rows).toEqual([0, 2]);
  });

  it('scores as it proposes, whatever the order of the candidates', async () => {
    const search = await open(titles('red tea mug', 'red plate', 'mug tree', 'vase'));
    const { rows, scores } = await find(search, 'red mug');
    const byRow = new Map(rows.map((row, place) => [row, scores[place]]));
    expect(await scoresOf(search, 'red mug', [3, 2, 1, 0])).toEqual([3, 2, 1, 0].map((row) => byRow.get(row) ?? 0));
  });

  it('reads no more of a 1 MB search than maximumQueryLength', async () => {
    const search = await open(titles('mug', 'plate'), { maximumQueryLength: 20 });
    const { rows } = await find(search, `mug ${'x'.repeat(1_000_000)} plate`);
    expect(rows).toEqual([0]);
  });

  it('rejects a request that was aborted', async () => {
    const search = await open(titles('mug'));
    const batch: RequestBatch = { requests: [requestFor('mug')], eligible: undefined, signal: AbortSignal.abort() };
    await expect(async () => search.propose(batch, 5)).rejects.toThrow(/abort/i);
  });

  it('gives a reason for what matches only', async () => {
    const search = await open(titles('mug', 'plate'));
    expect(search.reasons(requestFor('mug'), Int32Array.of(1, 0))).toEqual([
      undefined,
      { code: 'matches-search', text: 'Matches your search', strength: 0.6 },
    ]);
  });

  it('answers a batch as it answers one request at a time', async () => {
    const search = await open(titles('red mug', 'blue mug', 'red plate'));
    const texts = ['red', undefined, 'mug', 'plate'];
    const together = await search.propose({ requests: texts.map(requestFor), eligible: undefined, signal }, 10);
    for (let index = 0; index < texts.length; index++) {
      const alone = await find(search, texts[index]);
      expect([...together.rows.subarray(together.offsets[index], together.offsets[index + 1])]).toEqual(alone.rows);
      expect([...together.scores.subarray(together.offsets[index], together.offsets[index + 1])]).toEqual(alone.scores);
    }
  });
});

describe('items that come and change later', () => {
  it('sees a new and a changed item on the next search', async () => {
    const shop = titles('red mug', 'blue plate');
    const search = await open(shop);
    shop.set('NEW', { title: 'purple mug' });
    expect((await find(search, 'purple')).rows).toEqual([2]);
    shop.set('ID1', { title: 'purple vase' });
    expect((await find(search, 'purple')).rows.sort()).toEqual([1, 2]);
    expect((await find(search, 'plate')).rows).toEqual([]);
    // A new word is a known word.
    expect((await find(search, 'purplo')).rows.sort()).toEqual([1, 2]);
  });

  it('sees what changed between the build and the opening', async () => {
    const shop = titles('red mug', 'blue plate');
    const context = { options: bm25Options.parse({}), fields: shop.fields, items: shop.table };
    const state = await fitBm25({ ...context, signal, progress: () => {} });
    shop.set('ID0', { title: 'green bowl' });
    const search = await Bm25.open(state, context);
    expect((await find(search, 'bowl')).rows).toEqual([0]);
    expect((await find(search, 'mug')).rows).toEqual([]);
  });

  it('answers concurrent searches after a change alike', async () => {
    const shop = titles('red mug', 'blue plate');
    const search = await open(shop);
    shop.set('ID1', { title: 'blue mug' });
    const answers = await Promise.all([find(search, 'mug'), find(search, 'mug'), find(search, 'mug')]);
    expect(answers[0]?.rows).toEqual([0, 1]);
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
  });

  it('scores, after any changes, as an index built afresh', async () => {
    const word = fc.constantFrom('red', 'blue', 'mug', 'plate', 'tea', 'choc', 'chocolate');
    const title = fc.array(word, { minLength: 0, maxLength: 4 }).map((words) => words.join(' '));
    await fc.assert(
      fc.asyncProperty(
        fc.array(title, { minLength: 1, maxLength: 6 }),
        fc.array(fc.tuple(fc.nat(8), title), { maxLength: 6 }),
        fc.array(word, { minLength: 1, maxLength: 3 }),
        async (before, changes, words) => {
          const live = titles(...before);
          const search = await open(live);
          await find(search, words.join(' '));
          for (const [place, text] of changes) live.set(`ID${Math.min(place, live.table.rowCount)}`, { title: text });
          const after = await find(search, words.join(' '), 100);
          const fresh = await find(await open(live), words.join(' '), 100);
          const sorted = (found: typeof after) =>
            found.rows.map((row, place) => [row, found.scores[place]] as const).sort((a, b) => a[0] - b[0]);
          expect(sorted(after).map(([row]) => row)).toEqual(sorted(fresh).map(([row]) => row));
          sorted(after).forEach(([, score], place) => {
            expect(score).toBeCloseTo(sorted(fresh)[place]?.[1] as number, 4);
          });
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('state', () => {
  it('is the same for the same catalogue, and opens without indexing again', async () => {
    const shop = titles('red mug', 'Crème brûlée', null, 'mug tree');
    const context = { options: bm25Options.parse({}), fields: shop.fields, items: shop.table };
    const one = await fitBm25({ ...context, signal, progress: () => {} });
    const two = await fitBm25({ ...context, signal, progress: () => {} });
    expect(one).toEqual(two);
    expect(readJsonTensor(one.index)).toMatchObject({ documentCount: 4 });
    // Opened over a catalogue whose texts cannot be read: what it finds came from the state.
    const blind = await Bm25.open(one, { ...context, items: { ...shop.table, rowCount: 0 } });
    expect((await find(blind, 'brulee')).rows).toEqual([1]);
  });

  it('stops fitting when aborted', async () => {
    const shop = titles('red mug');
    const context = { options: bm25Options.parse({}), fields: shop.fields, items: shop.table };
    await expect(fitBm25({ ...context, signal: AbortSignal.abort(), progress: () => {} })).rejects.toThrow(/abort/i);
  });
});

describe('definition', () => {
  it('is a plugin with two components whose defaults are valid and whose unknown keys are not', () => {
    expect(plugin.components).toEqual([bm25, tokens]);
    expect(bm25Options.parse({})).toMatchObject({ codes: true, maximumQueryLength: 256 });
    expect(bm25Options.safeParse({ boost: {} }).success).toBe(false);
    for (const [name, schema] of Object.entries(bm25Options.shape)) expect(schema.description, name).toMatch(/default/);
  });
});
