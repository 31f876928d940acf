/**
 * Protocol: new items by what they are called (Q6: 621 items of Online Retail held out entirely)
 */
import { parseArgs } from 'node:util';
import { openPipeline } from '@recloom/core';
import { type Mean, meanOf, scoreList } from '@recloom/evaluate';
import { createRandomStream } from '@recloom/plugin-api';
import { type ColdSplit, type Part, readColdItems, root } from './cold-data.js';

const help = `Usage: npm run quality -- cold-items [options]

  --part validation|test   the items held out (default test; choose options on validation alone)
  --only NAME,NAME         rows of the table, by name
  --grid                   the variants that were compared on validation as well
  --every N                every Nth person only, to choose options quickly (default 1)
  --json                   one JSON document instead of the table

621 items (validation: 642) are taken out of the data, the pipeline is built without them, and then they are added with
upsertItems, as a shop would add them. Each person with five other items or more is asked for ten of them. NDCG@10 over the
full list of held-out items, mean and standard error over people; "against" is the paired difference to content only.`;

/** One row of the table. */
interface Row {
  readonly name: string;
  readonly what: string;
  /** The surface; undefined for rows that need no pipeline. */
  readonly surface?: Readonly<Record<string, unknown>>;
  /** Shown with --grid only. */
  readonly grid?: boolean;
}

/** Everything that is built, by name. */
const components: Readonly<Record<string, object>> = {
  text: { use: 'text-bert/embedding', in: { text: 'item.title' } },
  words: { use: 'keyword-search/tokens', in: { text: 'item.title' } },
  narrow: { use: 'keyword-search/tokens', in: { text: 'item.title' }, with: { width: 384 } },
  fresh: { use: 'rules/where', with: { expression: 'item.fresh' } },
  textMean: {
    use: 'vector-search/nearest',
    in: { vectors: ['text'] },
    with: { profile: 'mean', recencyDays: 0, historyItems: 1000, minimumSimilarity: -1 },
  },
  textNear: { use: 'vector-search/nearest', in: { vectors: ['text'] }, with: nearest(8) },
  wordsNear: { use: 'vector-search/nearest', in: { vectors: ['words'] }, with: nearest(4) },
  bothNear: { use: 'vector-search/nearest', in: { vectors: ['text', 'words'] }, with: nearest(4) },
  bothNear6: { use: 'vector-search/nearest', in: { vectors: ['text', 'words'] }, with: nearest(6) },
  bothNear8: { use: 'vector-search/nearest', in: { vectors: ['text', 'words'] }, with: nearest(8) },
  joined: { use: 'multimodal/concat', in: { vectors: ['text', 'words'] }, with: { width: 512 } },
  joinedNear: { use: 'vector-search/nearest', in: { vectors: ['joined'] }, with: nearest(2) },
  mixed: { use: 'multimodal/weighted', in: { vectors: ['text', 'narrow'] } },
  mixedNear: { use: 'vector-search/nearest', in: { vectors: ['mixed'] }, with: nearest(4) },
  gated: { use: 'multimodal/attention', in: { vectors: ['text', 'narrow'] } },
  gatedNear: { use: 'vector-search/nearest', in: { vectors: ['gated'] }, with: nearest(4) },
  graph: { use: 'multimodal/content-graph', in: { vectors: ['text', 'words'] }, with: { width: 256 } },
  graphNear: { use: 'vector-search/nearest', in: { vectors: ['graph'] }, with: nearest(8) },
  graphDot: { use: 'multimodal/factor-profile', in: { vectors: 'graph' } },
  map256: { use: 'multimodal/cold-map', in: { vectors: ['text', 'words'] } },
  map512: { use: 'multimodal/cold-map', in: { vectors: ['text', 'words'] }, with: { width: 512 } },
  map1024: { use: 'multimodal/cold-map', in: { vectors: ['text', 'words'] }, with: { width: 1024 } },
  textMap: { use: 'multimodal/cold-map', in: { vectors: ['text'] }, with: { width: 512 } },
  lineMap: { use: 'multimodal/cold-map', in: { vectors: ['text', 'words'] }, with: { width: 512, powers: { text: 1, words: 1 } } },
  cubeMap: { use: 'multimodal/cold-map', in: { vectors: ['text', 'words'] }, with: { width: 512, powers: { text: 3, words: 2 } } },
  mapNear: { use: 'vector-search/nearest', in: { vectors: ['map512'] }, with: nearest(4) },
  map256Dot: { use: 'multimodal/factor-profile', in: { vectors: 'map256' } },
  map512Dot: { use: 'multimodal/factor-profile', in: { vectors: 'map512' } },
  map1024Dot: { use: 'multimodal/factor-profile', in: { vectors: 'map1024' } },
  textMapDot: { use: 'multimodal/factor-profile', in: { vectors: 'textMap' } },
  lineMapDot: { use: 'multimodal/factor-profile', in: { vectors: 'lineMap' } },
  cubeMapDot: { use: 'multimodal/factor-profile', in: { vectors: 'cubeMap' } },
};

function nearest(power: number): object {
  // No fading: the protocol has no time, and a history is all of it.
  return { mode: 'profile', profile: 'sum-power', power, recencyDays: 0, historyItems: 1000 };
}

const alone = (source: string): Readonly<Record<string, unknown>> => ({ sources: { [source]: 700 } });
const blend = (first: string, second: string, share: number): Readonly<Record<string, unknown>> => ({
  sources: { [first]: 700, [second]: 700 },
  scorers: [first, second],
  value: `zscore(score.${first}) + ${share} * zscore(score.${second})`,
});

const rows: readonly Row[] = [
  { name: 'random', what: 'any order' },
  { name: 'popular', what: 'by buyers: nobody has bought a new item, so all are equal and stand by item number' },
  { name: 'popular-words', what: 'by the buyers of other items with the same words' },
  { name: 'content-mean', what: 'text, cosine to the mean of the history', surface: alone('textMean') },
  { name: 'content', what: 'text, sum of cosine^8 over the history', surface: alone('textNear') },
  { name: 'content-words', what: 'words, sum of cosine^4', surface: alone('wordsNear') },
  { name: 'content-both', what: 'text and words, sum of mean cosine^4', surface: alone('bothNear') },
  { name: 'content-both-6', what: 'the same to the 6th power', surface: alone('bothNear6'), grid: true },
  { name: 'content-both-8', what: 'the same to the 8th power', surface: alone('bothNear8'), grid: true },
  { name: 'concat', what: 'text and words by multimodal/concat (512 each), sum of cosine^2', surface: alone('joinedNear') },
  { name: 'weighted', what: 'text and words by multimodal/weighted, sum of cosine^4', surface: alone('mixedNear') },
  { name: 'attention', what: 'text and words by multimodal/attention, sum of cosine^4', surface: alone('gatedNear') },
  { name: 'graph', what: 'multimodal/content-graph (256), dot products', surface: alone('graphDot') },
  { name: 'graph-cosine', what: 'multimodal/content-graph (256), sum of cosine^8', surface: alone('graphNear'), grid: true },
  { name: 'map-cosine', what: 'multimodal/cold-map (512), sum of cosine^4 by vector-search/nearest', surface: alone('mapNear') },
  { name: 'map-text', what: 'multimodal/cold-map (512) from text alone, multimodal/factor-profile', surface: alone('textMapDot') },
  { name: 'map-linear', what: 'multimodal/cold-map (512) with linear kernels, multimodal/factor-profile', surface: alone('lineMapDot') },
  { name: 'map-cubic', what: 'multimodal/cold-map (512), text to the 3rd power', surface: alone('cubeMapDot'), grid: true },
  { name: 'map-256', what: 'multimodal/cold-map (256, the default), multimodal/factor-profile', surface: alone('map256Dot') },
  { name: 'map-512', what: 'multimodal/cold-map (512), multimodal/factor-profile', surface: alone('map512Dot') },
  { name: 'map-1024', what: 'multimodal/cold-map (1024), multimodal/factor-profile', surface: alone('map1024Dot') },
  { name: 'hybrid-256', what: 'map-256 and 0.5 × content-both, both standardised', surface: blend('map256Dot', 'bothNear', 0.5) },
  { name: 'hybrid-512', what: 'map-512 and 0.2 × content-both, both standardised', surface: blend('map512Dot', 'bothNear', 0.2) },
  { name: 'hybrid-1024', what: 'map-1024 and 0.2 × content-both', surface: blend('map1024Dot', 'bothNear', 0.2), grid: true },
];

/** The row that the others are compared with. */
const baseline = 'content';
const listLength = 10;

interface Result {
  readonly name: string;
  readonly what: string;
  readonly ndcg: Mean;
  readonly recall: Mean;
  readonly perCase: Float64Array;
}

type Lists = AsyncIterable<readonly string[]> | Iterable<readonly string[]>;

async function measure(row: Row, split: ColdSplit, lists: Lists): Promise<Result> {
  const ndcg = new Float64Array(split.cases.length);
  const recall = new Float64Array(split.cases.length);
  let index = 0;
  for await (const list of lists) {
    const { relevant } = split.cases[index] as ColdSplit['cases'][number];
    const places = new Map(relevant.map((id, place) => [id, place]));
    const scored = scoreList(
      list.map((id) => places.get(id) ?? -1),
      new Set(places.values()),
      listLength,
    );
    ndcg[index] = scored.ndcg;
    recall[index++] = scored.recall;
  }
  if (index !== split.cases.length) throw new Error(`"${row.name}" answered ${index} of ${split.cases.length} people.`);
  return { name: row.name, what: row.what, ndcg: meanOf(ndcg), recall: meanOf(recall), perCase: ndcg };
}

/** Rows that need no pipeline. */
function* plainLists(name: string, split: ColdSplit): Iterable<readonly string[]> {
  const random = createRandomStream(1);
  const ids = split.cold.map(({ id }) => id);
  const popular = name === 'popular-words' ? byWords(split) : ids;
  for (const _ of split.cases) {
    if (name !== 'random') yield popular.slice(0, listLength);
    else
      yield Array.from({ length: listLength }, (_unused, place) => {
        const other = place + random.integer(ids.length - place);
        [ids[place], ids[other]] = [ids[other] as string, ids[place] as string];
        return ids[place] as string;
      });
  }
}

const wordsOf = (title: string): readonly string[] => [...new Set(title.toLowerCase().match(/[a-z0-9]+/g))];

/** Cold items by the mean, over their words, of the mean buyers of warm items with the word. */
function byWords(split: ColdSplit): readonly string[] {
  const sums = new Map<string, { buyers: number; items: number }>();
  for (const [id, title] of split.warmTitles) {
    for (const word of wordsOf(title)) {
      const sum = sums.get(word) ?? { buyers: 0, items: 0 };
      sum.buyers += split.buyers.get(id) ?? 0;
      sum.items++;
      sums.set(word, sum);
    }
  }
  const score = (title: string): number => {
    const known = wordsOf(title).flatMap((word) => sums.get(word) ?? []);
    return known.length === 0 ? 0 : known.reduce((sum, { buyers, items }) => sum + buyers / items, 0) / known.length;
  };
  const scores = new Map(split.cold.map(({ id, title }) => [id, score(title)]));
  return split.cold
    .map(({ id }) => id)
    .sort((one, other) => (scores.get(other) as number) - (scores.get(one) as number) || (one < other ? -1 : 1));
}

/** What the surfaces need of the components, and what those need. */
function neededBy(surfaces: readonly Readonly<Record<string, unknown>>[]): Readonly<Record<string, object>> {
  const names = new Set<string>(['fresh']);
  const add = (name: string): void => {
    if (names.has(name)) return;
    names.add(name);
    const { in: given } = components[name] as { readonly in?: Readonly<Record<string, string | readonly string[]>> };
    for (const input of Object.values(given ?? {}).flat()) if (!input.startsWith('item.')) add(input);
  };
  for (const { sources } of surfaces) for (const name of Object.keys(sources as object)) add(name);
  return Object.fromEntries(Object.entries(components).filter(([name]) => names.has(name)));
}

async function run(part: Part, split: ColdSplit, wanted: readonly Row[], say: (line: string) => void): Promise<readonly Result[]> {
  const results: Result[] = [];
  const plain = wanted.filter(({ surface }) => surface === undefined);
  for (const row of plain) results.push(await measure(row, split, plainLists(row.name, split)));
  const asked = wanted.filter(({ surface }) => surface !== undefined);
  if (asked.length === 0) return results;
  const started = performance.now();
  const pipeline = await openPipeline(
    {
      format: '1.0',
      name: `cold-items-${part}`,
      data: {},
      components: neededBy(asked.map(({ surface }) => surface as Readonly<Record<string, unknown>>)),
      surfaces: Object.fromEntries(asked.map(({ name, surface }) => [surfaceOf(name), { ...surface, filters: ['fresh'] }])),
    },
    { dataset: split.warm, directory: root },
  );
  try {
    say(`built without the ${split.cold.length} new items in ${((performance.now() - started) / 1000).toFixed(0)} s`);
    const adding = performance.now();
    await pipeline.upsertItems(split.cold.map((item) => ({ ...item, fresh: true })));
    say(`added them in ${((performance.now() - adding) / 1000).toFixed(1)} s`);
    for (const row of asked) {
      const requests = split.cases.map(({ user }) => ({
        user,
        purposes: ['personalisation'],
        limit: listLength,
        surface: surfaceOf(row.name),
      }));
      const lists = async function* (): AsyncIterable<readonly string[]> {
        for await (const result of pipeline.recommendMany(requests, { batch: 128, unlimited: true })) {
          if (result.error !== undefined) throw result.error;
          yield result.answer.items.map((item) => item.id);
        }
      };
      const result = await measure(row, split, lists());
      say(`${row.name}: ${result.ndcg.mean.toFixed(4)}`);
      results.push(result);
    }
  } finally {
    await pipeline.close();
  }
  return results;
}

/** Names of surfaces have no dashes. */
function surfaceOf(name: string): string {
  return name.replaceAll('-', '_');
}

function pairedDifference(result: Result, base: Result | undefined): Mean | undefined {
  if (base === undefined || base === result) return undefined;
  return meanOf(result.perCase.map((value, place) => value - (base.perCase[place] as number)));
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      part: { type: 'string', default: 'test' },
      only: { type: 'string' },
      every: { type: 'string', default: '1' },
      grid: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(help);
    return;
  }
  const { part } = values;
  if (part !== 'validation' && part !== 'test') throw new Error(`--part is validation or test, not "${part}".`);
  const names = values.only?.split(',');
  const unknown = names?.find((name) => rows.every((row) => row.name !== name));
  if (unknown !== undefined) throw new Error(`There is no row "${unknown}". There are: ${rows.map(({ name }) => name).join(', ')}.`);
  const wanted = rows.filter(({ name, grid }) => (names === undefined ? values.grid || grid !== true : names.includes(name)));
  const every = Number(values.every);
  if (!Number.isInteger(every) || every < 1) throw new Error(`--every is a whole number from 1, not "${values.every}".`);
  const whole = (await readColdItems())[part];
  const split = { ...whole, cases: whole.cases.filter((_, place) => place % every === 0) };
  const results = await run(part, split, wanted, (line) => {
    if (!values.json) console.error(line);
  });
  const base = results.find(({ name }) => name === baseline);
  const table = results.map((result) => {
    const against = pairedDifference(result, base);
    return {
      name: result.name,
      what: result.what,
      ndcg: result.ndcg,
      recall: result.recall,
      ...(against === undefined ? {} : { against }),
    };
  });
  if (values.json) {
    console.log(
      JSON.stringify({ protocol: 'Q6', part, items: split.cold.length, people: split.cases.length, k: listLength, rows: table }, null, 2),
    );
    return;
  }
  const figure = ({ mean, standardError }: Mean): string => `${mean.toFixed(4)} ± ${standardError.toFixed(4)}`;
  console.log(`| row | N@10 | R@10 | against \`${baseline}\` | what |\n| --- | --- | --- | --- | --- |`);
  for (const { name, what, ndcg, recall, against } of table) {
    const difference =
      against === undefined
        ? ''
        : `${against.mean >= 0 ? '+' : '−'}${Math.abs(against.mean).toFixed(4)} ± ${against.standardError.toFixed(4)}`;
    console.log(`| \`${name}\` | ${figure(ndcg)} | ${figure(recall)} | ${difference} | ${what} |`);
  }
}

await main();
