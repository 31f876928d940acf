/**
 * Protocol: keyword search by what is meant (Q7: emoji tags whose words occur in no relevant label)
 */
import { parseArgs } from 'node:util';
import { datasetFromArrays, openPipeline } from '@recloom/core';
import { type Mean, meanOf, scoreList } from '@recloom/evaluate';
import { type EmojiSearch, heldOutLabels, readEmojiSearch, root } from './emoji-data.js';

const help = `Usage: npm run quality -- emoji-search [options]

  --only NAME,NAME        rows of the tables, by name
  --grid                  the variants that were compared as well
  --part words|pictures   one of the two tables only
  --json                  one JSON document instead of the tables

emojibase-data 17.0.0, English: 1,914 labels, searched with the 2,553 tags (in lower case) that share no word with any label
they stand for. NDCG@10 over the full catalogue, mean and standard error over queries, tags never indexed. Options were chosen
on the validation half (the first byte of sha256(tag) is even); the test half and all queries stand beside it. The second table
has pictures, and only the labels of heldout.json, which the image model was not trained on.`;

/** One way to search. */
interface Row {
  readonly name: string;
  readonly what: string;
  readonly sources: readonly string[];
  /** Default: the score of the one source. */
  readonly value?: string;
  /** Shown with --grid only. */
  readonly grid?: boolean;
}

interface Result {
  readonly row: Row;
  readonly perQuery: Float64Array;
}

const listLength = 10;
/** Everything may be proposed: the full catalogue is ranked. */
const whole = { mode: 'query', minimumSimilarity: -1 } as const;
const near = (vectors: readonly string[], weights: Readonly<Record<string, number>> = {}): object => ({
  use: 'vector-search/nearest',
  in: { vectors },
  with: { ...whole, weights },
});

/** Everything that is built, by name. */
const components: Readonly<Record<string, object>> = {
  words: { use: 'keyword-search/bm25', in: { text: 'item.label' } },
  grams: { use: 'keyword-search/tokens', in: { text: 'item.label' }, with: { width: 4096, grams: 4 } },
  plain: { use: 'text-bert/embedding', in: { text: 'item.label' } },
  phrased: {
    use: 'text-bert/embedding',
    in: { text: 'item.label' },
    with: { queryPrefix: 'the meaning of ', itemPrefix: 'a picture of ' },
  },
  placed: {
    use: 'text-bert/embedding',
    in: { text: ['item.label', 'item.subgroup', 'item.group'] },
    with: { queryPrefix: 'something about ', itemPrefix: 'the word ' },
  },
  worded: {
    use: 'text-bert/embedding',
    in: { text: 'item.label' },
    with: { queryPrefix: 'something about ', itemPrefix: 'the word ' },
  },
  image: { use: 'image-clip/embedding', in: { image: 'item.photo' } },
  even: { use: 'multimodal/concat', in: { vectors: ['phrased'] }, with: { width: 384, whitening: 0.25 } },
  centred: { use: 'multimodal/concat', in: { vectors: ['phrased', 'placed'] }, with: { width: 384, whitening: 0 } },
  evened: { use: 'multimodal/concat', in: { vectors: ['phrased', 'placed'] }, with: { width: 384, whitening: 0.25 } },
  gramsNear: near(['grams']),
  plainNear: near(['plain']),
  phrasedNear: near(['phrased']),
  placedNear: near(['placed']),
  bothNear: near(['phrased', 'placed']),
  mixNear20: near(['phrased', 'placed', 'grams'], { grams: 0.2 }),
  mixNear40: near(['phrased', 'placed', 'grams'], { grams: 0.4 }),
  mixNear80: near(['phrased', 'placed', 'grams'], { grams: 0.8 }),
  labelNear: near(['phrased', 'worded']),
  labelMix: near(['phrased', 'worded', 'grams'], { grams: 0.4 }),
  evenNear: near(['even']),
  centredNear: near(['centred']),
  evenedNear: near(['evened']),
  evenedMix: near(['evened', 'grams'], { grams: 0.15 }),
  imageNear: near(['image']),
  seenNear10: near(['phrased', 'placed', 'image'], { image: 0.2 }),
  seenNear20: near(['phrased', 'placed', 'image'], { image: 0.5 }),
  seenNear33: near(['phrased', 'placed', 'image'], { image: 1 }),
};

const textRows: readonly Row[] = [
  { name: 'bm25', what: 'keyword-search/bm25: words, their beginnings, typos', sources: ['words'] },
  { name: 'grams', what: 'keyword-search/tokens: words and pieces of 4 characters, TF-IDF cosine', sources: ['gramsNear'] },
  { name: 'plain', what: 'text-bert/embedding, MiniLM cosine, as it comes', sources: ['plainNear'] },
  { name: 'phrased', what: 'the same, with a phrase before query and label', sources: ['phrasedNear'] },
  { name: 'placed', what: 'the same over label, subgroup and group, another phrase', sources: ['placedNear'], grid: true },
  { name: 'both', what: '`phrased`, and label, subgroup and group under another phrase: mean of two cosines', sources: ['bothNear'] },
  { name: 'even', what: '`phrased` through multimodal/concat, whitening 0.25', sources: ['evenNear'], grid: true },
  { name: 'centred', what: '`both` through multimodal/concat, whitening 0', sources: ['centredNear'], grid: true },
  { name: 'evened', what: '`both` through multimodal/concat, whitening 0.25', sources: ['evenedNear'], grid: true },
  { name: 'mix-20', what: '`both` and `grams`, weight 0.2', sources: ['mixNear20'], grid: true },
  { name: 'mix', what: '`both` and `grams`, weight 0.4', sources: ['mixNear40'] },
  { name: 'mix-80', what: '`both` and `grams`, weight 0.8', sources: ['mixNear80'], grid: true },
  { name: 'label-both', what: 'label only: `phrased` and another phrase', sources: ['labelNear'], grid: true },
  { name: 'label-mix', what: 'label only: `label-both` and `grams`, weight 0.4', sources: ['labelMix'] },
  { name: 'evened-mix', what: '`evened` and `grams`, weight 0.15', sources: ['evenedMix'], grid: true },
  {
    name: 'hybrid',
    what: '`both` and bm25: 0.8 and 0.2 of each within [0, 1]',
    sources: ['bothNear', 'words'],
    value: '0.8 * minmax(source.bothNear.score) + 0.2 * minmax(source.words.score)',
    grid: true,
  },
];

const pictureRows: readonly Row[] = [
  { name: 'bm25', what: 'words alone: keyword-search/bm25', sources: ['words'] },
  { name: 'plain', what: 'words alone: MiniLM cosine, as it comes', sources: ['plainNear'] },
  { name: 'both', what: 'words alone: `both` of the table above', sources: ['bothNear'] },
  { name: 'image', what: 'pictures alone, no label: image-clip/embedding', sources: ['imageNear'] },
  { name: 'seen-10', what: '`both` and `image`, a tenth of the cosine', sources: ['seenNear10'], grid: true },
  { name: 'seen', what: '`both` and `image`, a fifth of the cosine', sources: ['seenNear20'] },
  { name: 'seen-33', what: '`both` and `image`, a third of the cosine', sources: ['seenNear33'], grid: true },
];

/** What the rows need, and what that needs. */
function neededBy(rows: readonly Row[]): Readonly<Record<string, object>> {
  const names = new Set<string>();
  const add = (name: string): void => {
    if (names.has(name)) return;
    names.add(name);
    const { in: given } = components[name] as { readonly in: Readonly<Record<string, string | readonly string[]>> };
    for (const input of Object.values(given).flat()) if (!input.startsWith('item.')) add(input);
  };
  for (const { sources } of rows) for (const name of sources) add(name);
  return Object.fromEntries(Object.entries(components).filter(([name]) => names.has(name)));
}

/** Surfaces have no dashes in their names. */
const surfaceOf = ({ name }: Row): string => name.replaceAll('-', '_');

async function run({ documents, queries }: EmojiSearch, rows: readonly Row[], say: (line: string) => void): Promise<readonly Result[]> {
  const rowOf = new Map(documents.map(({ id }, row) => [id, row]));
  const started = performance.now();
  const pipeline = await openPipeline(
    {
      format: '1.0',
      name: 'emoji-search',
      data: {},
      components: neededBy(rows),
      surfaces: Object.fromEntries(
        rows.map((row) => [
          surfaceOf(row),
          {
            needs: ['text'],
            sources: row.sources,
            value: row.value ?? `source.${row.sources[0]}.score`,
            limits: { candidates: documents.length, timeoutMs: 600_000 },
          },
        ]),
      ),
    },
    {
      dataset: datasetFromArrays({
        items: documents,
        types: { items: { label: 'text', group: 'category', subgroup: 'category', photo: 'image' } },
      }),
      directory: root,
    },
  );
  try {
    say(`${documents.length} documents built in ${((performance.now() - started) / 1000).toFixed(0)} s`);
    const results: Result[] = [];
    for (const row of rows) {
      const requests = queries.map(({ text }) => ({ surface: surfaceOf(row), text, limit: listLength }));
      const perQuery = new Float64Array(queries.length);
      let place = 0;
      for await (const result of pipeline.recommendMany(requests, { batch: 32, unlimited: true })) {
        if (result.error !== undefined) throw result.error;
        const found = result.answer.items.map(({ id }) => rowOf.get(id) ?? -1);
        perQuery[place] = scoreList(found, queries[place]?.relevant ?? new Set(), listLength).ndcg;
        place++;
      }
      results.push({ row, perQuery });
      say(`${row.name}: ${meanOf(perQuery).mean.toFixed(4)}`);
    }
    return results;
  } finally {
    await pipeline.close();
  }
}

function figuresOf(
  { row, perQuery }: Result,
  { queries }: EmojiSearch,
): { name: string; what: string; validation: Mean; test: Mean; all: Mean } {
  const half = (which: string): Mean => meanOf(perQuery.filter((_, place) => queries[place]?.half === which));
  return { name: row.name, what: row.what, validation: half('validation'), test: half('test'), all: meanOf(perQuery) };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      grid: { type: 'boolean', default: false },
      part: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(help);
    return;
  }
  if (values.part !== undefined && values.part !== 'words' && values.part !== 'pictures')
    throw new Error(`--part is words or pictures, not "${values.part}".`);
  const names = values.only?.split(',');
  const unknown = names?.find((name) => ![...textRows, ...pictureRows].some((row) => row.name === name));
  if (unknown !== undefined) throw new Error(`There is no row "${unknown}". There are: ${textRows.map(({ name }) => name).join(', ')}.`);
  const wanted = (rows: readonly Row[]): readonly Row[] =>
    rows.filter(({ name, grid }) => (names === undefined ? values.grid || grid !== true : names.includes(name)));
  const say = (line: string): void => {
    if (!values.json) console.error(line);
  };
  const heldOut = heldOutLabels();
  const protocols = [
    { title: 'Words only', search: readEmojiSearch(), rows: values.part === 'pictures' ? [] : wanted(textRows) },
    {
      title: 'Held-out labels with their pictures',
      search: readEmojiSearch(({ label, photo }) => photo !== null && heldOut.has(label)),
      rows: values.part === 'words' ? [] : wanted(pictureRows),
    },
  ];
  const tables: object[] = [];
  for (const { title, search, rows } of protocols) {
    if (rows.length === 0) continue;
    const results = await run(search, rows, say);
    const table = results.map((result) => figuresOf(result, search));
    tables.push({ title, documents: search.documents.length, queries: search.queries.length, k: listLength, rows: table });
    if (values.json) continue;
    const figure = ({ mean, standardError }: Mean): string => `${mean.toFixed(4)} ± ${standardError.toFixed(4)}`;
    console.log(`\n${title}: ${search.documents.length} documents, ${search.queries.length} queries\n`);
    console.log('| row | validation half | test half | all | what |\n| --- | --- | --- | --- | --- |');
    for (const { name, what, validation, test, all } of table) {
      console.log(`| \`${name}\` | ${figure(validation)} | ${figure(test)} | ${figure(all)} | ${what} |`);
    }
  }
  if (values.json) console.log(JSON.stringify({ protocol: 'Q7', tables }, null, 2));
}

await main();
