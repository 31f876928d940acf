/**
 * Protocol: the presets against popularity, each on the data and questions it is for (warm, cold and new)
 */
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import {
  type Dataset,
  loadConfig,
  openPipeline,
  type Pipeline,
  type PipelineConfig,
  type RecommendRequest,
  readPipelineData,
} from '@recloom/core';
import { type Interval, meanOf, pairedBootstrap, rankingMetrics, temporalSplit } from '@recloom/evaluate';
import { type PresetName, presetNames } from '@recloom/presets';
import { root } from '../bench/online-retail.js';
import { readColdItems } from './cold-data.js';
import { missingData, type Part, type ProtocolSplit, readProtocol } from './protocol-data.js';
import type { ProtocolId } from './reference-figures.js';

const help = `Usage: npm run quality -- presets [options]

  --on valid|test     the part that is asked for (default valid: choose there; test is looked at once per final preset)
  --cut MONTH         Online Retail on valid: the month to 9 October (10, default) or to 9 September (9), the check
  --data q1,q3        some of q1 … q5 and q6 (new items) only (default all that are here)
  --preset home,next  some presets only (default all)
  --against FILE      on q1 also the surface of the same name of this config, e.g. a preset before a change
  --variants          on q1 also what was compared when the presets were chosen
  --every N           every Nth case only, for a quick look; such a figure is none for a table
  --json              one JSON document instead of the table

Each preset serves as it comes, with its limits, filters and rankers: what a shop gets that tunes nothing. Where the data have no
titles, the components that need them are taken out by the config (\`name: null\`). Popularity is what most people have, without
what the person has (for \`again\`: among what the person has). N@10, mean over cases; the difference is paired, with a 95 %
bootstrap interval. "loses" is printed, and the exit code is 1, when the whole interval lies below 0.`;

const length = 10;

type Protocol = ProtocolId | 'q6';

/** One question, with what is right and what popularity may propose. */
interface Question {
  readonly request: RecommendRequest;
  readonly relevant: readonly string[];
  /** Not to be proposed by either. */
  readonly excluded: readonly string[];
  /** Popularity chooses among these alone. */
  readonly among?: readonly string[];
}

interface QuestionSet {
  readonly preset: PresetName;
  /** Who asks: the table's second column. */
  readonly who: string;
  readonly questions: readonly Question[];
}

interface Material {
  readonly train: Dataset;
  readonly titles: boolean;
  readonly after: ProtocolSplit['after'];
  readonly sets: readonly QuestionSet[];
  readonly newItems?: readonly { readonly id: string; readonly title: string }[];
}

interface Row {
  readonly data: Protocol;
  readonly preset: string;
  readonly who: string;
  readonly cases: number;
  readonly ours: number;
  readonly popularity: number;
  readonly difference: Interval;
  readonly against?: { readonly mean: number; readonly difference: Interval };
  /** Answers that held no item at all. */
  readonly empty: number;
}

/** The surface of a preset. */
const surfaceOf: Readonly<Record<PresetName, string>> = {
  shop: 'home',
  home: 'home',
  related: 'product',
  basket: 'basket',
  next: 'next',
  guest: 'guest',
  search: 'search',
  again: 'again',
};

type SurfaceConfig = PipelineConfig['surfaces'][string];

/** Plugins that need words. */
const needsWords = /^(text-|vector-search\/|keyword-search\/|ranker-diversity\/mmr)/;

type Config = Record<string, unknown>;

/** How a surface is written, from how it was read. */
function written({ needs, sources, filters, scorers, rankers, privacy, value, attributes }: SurfaceConfig): Record<string, unknown> {
  const names = (uses: readonly { readonly name: string }[]): string[] => uses.map(({ name }) => name);
  return {
    needs,
    sources: Object.fromEntries(Object.entries(sources).map(([name, { limit, fallback }]) => [name, { limit, fallback }])),
    filters: names(filters),
    scorers: names(scorers),
    rankers: names(rankers),
    privacy: names(privacy),
    ...(value === undefined ? {} : { value }),
    attributes,
  };
}

/**
 * All presets in one config, as a shop would combine them, and the variants of each as surfaces of their own. Without titles,
 * what needs them is taken out, the weights of the rest as they are, and surfaces that then have nothing to propose.
 */
async function combined(presets: readonly PresetName[], titles: boolean, withVariants: boolean): Promise<Config> {
  const tried = withVariants ? presets.flatMap((preset) => variants[preset] ?? []) : [];
  const base = {
    format: '1.0',
    name: 'presets',
    base: presets.map((preset) => `recloom:${preset}`),
    data: {},
    components: Object.assign({}, ...tried.map(({ components }) => components ?? {})) as Record<string, unknown>,
  };
  const { config } = await loadConfig(base, { directory: root });
  const surfaces: Record<string, unknown> = {};
  if (withVariants) {
    for (const preset of presets) {
      const own = written(config.surfaces[surfaceOf[preset]] as SurfaceConfig);
      for (const [index, { change }] of (variants[preset] ?? []).entries()) surfaces[variantSurface(preset, index)] = { ...own, ...change };
    }
  }
  if (titles) return { ...base, surfaces };
  const gone = Object.keys(config.components).filter((name) => needsWords.test(config.components[name]?.use ?? ''));
  const kept = (uses: readonly { readonly name: string }[]): string[] =>
    uses.map(({ name }) => name).filter((name) => !gone.includes(name));
  const none = (names: readonly string[]): Record<string, null> => Object.fromEntries(names.map((name) => [name, null]));
  for (const [name, { sources, scorers, rankers, value }] of Object.entries(config.surfaces)) {
    surfaces[name] = Object.keys(sources).every((source) => gone.includes(source))
      ? null
      : {
          sources: none(Object.keys(sources).filter((source) => gone.includes(source))),
          scorers: kept(scorers),
          rankers: kept(rankers),
          value: value === undefined ? null : termsWithout(value, gone),
          attributes: [],
        };
  }
  return { ...base, components: { ...base.components, ...none(gone) }, surfaces };
}

const variantSurface = (preset: PresetName, index: number): string => `${surfaceOf[preset]}_variant${index}`;

function termsWithout(value: string, gone: readonly string[]): string {
  return value
    .split(' + ')
    .filter((term) => !gone.some((name) => term.includes(`score.${name})`)))
    .join(' + ');
}

/** Items by number of training users who have them, most first, ties by ascending row. */
function popularityOf({ history, items }: Dataset): readonly string[] {
  const counts = new Int32Array(history.itemCount);
  for (let user = 0; user < history.userCount; user++) {
    for (const row of new Set(history.items.subarray(history.offsets[user], history.offsets[user + 1]))) {
      counts[row] = (counts[row] as number) + 1;
    }
  }
  return Array.from(counts.keys())
    .sort((left, right) => (counts[right] as number) - (counts[left] as number) || left - right)
    .map((row) => items.idOf(row));
}

function ndcgOf(list: readonly string[], relevant: readonly string[]): number {
  const rows = new Map(relevant.map((id, row) => [id, row]));
  return rankingMetrics(
    list.map((id) => rows.get(id) ?? -1),
    new Map(relevant.map((_, row) => [row, 1])),
    length,
  ).ndcg;
}

const fatal: ReadonlySet<string> = new Set(['RECLOOM_RUN_NODE_FAILED', 'RECLOOM_LAW_SHAPE', 'RECLOOM_LAW_ROWS']);

interface Answered {
  readonly ndcg: Float64Array;
  /** Answers without any item. */
  readonly empty: number;
}

/** What happened after the fit. */
async function prepare(pipeline: Pipeline, { after, newItems = [] }: Material): Promise<void> {
  if (newItems.length > 0) await pipeline.upsertItems(newItems.map((item) => ({ ...item, fresh: true })));
  if (after.length > 0) pipeline.record(after.map(({ user, item, time }) => ({ user, item, time, type: 'event' })));
}

async function ask(pipeline: Pipeline, surface: string, questions: readonly Question[]): Promise<Answered> {
  const ndcg = new Float64Array(questions.length);
  let empty = 0;
  const requests = questions.map(({ request, excluded }): RecommendRequest => ({ ...request, surface, exclude: excluded, limit: length }));
  for await (const { index, answer, error } of pipeline.recommendMany(requests, { batch: 64 })) {
    if (error !== undefined) throw error;
    const broken = answer.warnings.find(({ code }) => fatal.has(code));
    if (broken !== undefined) throw new Error(`${broken.code}: ${broken.message}`);
    if (answer.items.length === 0) empty++;
    ndcg[index] = ndcgOf(
      answer.items.map(({ id }) => id),
      (questions[index] as Question).relevant,
    );
  }
  return { ndcg, empty };
}

const known = { purposes: ['personalisation'] } as const;

/** Q1's questions of all kinds: customers of the month after the cut, and their first baskets in it. */
async function readShop(part: Part, month: number): Promise<Material> {
  const dataset = await readPipelineData(join(root, 'examples', 'online-retail', 'shop.yaml'));
  const cutMs = part === 'test' ? Date.UTC(2011, 10, 9) : Date.UTC(2011, month - 1, 9);
  const untilMs = part === 'test' ? Number.POSITIVE_INFINITY : Date.UTC(2011, month, 9);
  const window = { cutMs, ...(part === 'test' ? {} : { untilMs }), minimumItemUsers: 5, minimumUserItems: 5 };
  const { train, cases } = temporalSplit(dataset, window);
  const { cases: repeats } = temporalSplit(dataset, { ...window, repeats: 'only' });
  const customers = new Set(Array.from({ length: train.users.rowCount }, (_, row) => train.users.idOf(row)));
  const baskets = firstBaskets(dataset, train, cutMs, untilMs);
  const session = (items: readonly string[]) => items.map((item) => ({ item, type: 'purchase', time: cutMs }));
  const rest = (given: number, make: (items: readonly string[], user: string) => RecommendRequest, only = baskets): Question[] =>
    only.map(({ user, items }) => {
      const shown = items.slice(0, given === 0 ? Math.min(20, Math.ceil(items.length / 2)) : given);
      const relevant = items.slice(given === 0 ? Math.ceil(items.length / 2) : given);
      return { request: { ...make(shown, user), asOf: cutMs }, relevant, excluded: shown };
    });
  const returning = baskets.filter(({ user }) => customers.has(user));
  const home = (make: (user: string) => RecommendRequest): Question[] =>
    cases.map(({ user, known: has, relevant }) => ({ request: { ...make(user), asOf: cutMs }, relevant, excluded: has }));
  const ownOf = new Map(
    repeats.map(({ user }): [string, readonly string[]] => {
      const row = train.users.rowOf(user) as number;
      const rows = train.history.items.subarray(train.history.offsets[row], train.history.offsets[row + 1]);
      return [user, [...new Set(rows)].map((item) => train.items.idOf(item))];
    }),
  );
  const of = (preset: PresetName, who: string, questions: readonly Question[]): QuestionSet => ({ preset, who, questions });
  return {
    train,
    titles: true,
    after: [],
    sets: [
      of(
        'shop',
        'customers',
        home((user) => ({ user, ...known })),
      ),
      of(
        'home',
        'customers',
        home((user) => ({ user, ...known })),
      ),
      of(
        'home',
        'customers who refuse',
        home((user) => ({ user })),
      ),
      of(
        'home',
        'nobody known',
        home(() => ({})),
      ),
      of(
        'home',
        'guests, half a basket',
        rest(0, (items) => ({ session: session(items) })),
      ),
      of(
        'related',
        'anybody, one item',
        rest(1, (items) => ({ item: items[0] as string })),
      ),
      of(
        'related',
        'customers, one item',
        rest(1, (items, user) => ({ user, ...known, item: items[0] as string }), returning),
      ),
      of(
        'basket',
        'anybody, half a basket',
        rest(0, (items) => ({ items })),
      ),
      of(
        'basket',
        'customers, half a basket',
        rest(0, (items, user) => ({ user, ...known, items }), returning),
      ),
      of(
        'next',
        'guests, half a basket',
        rest(0, (items) => ({ session: session(items) })),
      ),
      of(
        'next',
        'customers, half a basket',
        rest(0, (items, user) => ({ user, ...known, session: session(items) }), returning),
      ),
      of(
        'guest',
        'one item',
        rest(1, (items) => ({ session: session(items) })),
      ),
      of(
        'guest',
        'half a basket',
        rest(0, (items) => ({ session: session(items) })),
      ),
      of(
        'guest',
        'nothing yet',
        home(() => ({})),
      ),
      of('search', 'two words of a title', knownItems(train)),
      of(
        'again',
        'customers',
        repeats.map(({ user, relevant }) => ({
          request: { user, ...known, asOf: cutMs },
          relevant,
          excluded: [],
          among: ownOf.get(user) as readonly string[],
        })),
      ),
    ],
  };
}

interface Basket {
  readonly user: string;
  /** Distinct, in the order of the invoice, all of them in training. */
  readonly items: readonly string[];
}

/** Of everybody, new customers too, the first basket of the window that holds four items of the training data or more. */
function firstBaskets({ history, users, items }: Dataset, train: Dataset, cutMs: number, untilMs: number): readonly Basket[] {
  const found: Basket[] = [];
  const baskets = history.baskets as Int32Array;
  for (let user = 0; user < history.userCount; user++) {
    const byBasket = new Map<number, Set<string>>();
    for (let event = history.offsets[user] as number; event < (history.offsets[user + 1] as number); event++) {
      const time = history.timesMs[event] as number;
      if (time < cutMs || time >= untilMs) continue;
      const id = items.idOf(history.items[event] as number);
      if (train.items.rowOf(id) === undefined) continue;
      const basket = baskets[event] as number;
      const held = byBasket.get(basket) ?? new Set<string>();
      byBasket.set(basket, held.add(id));
    }
    const first = [...byBasket.values()].find((held) => held.size >= 4);
    if (first !== undefined) found.push({ user: users.idOf(user), items: [...first] });
  }
  return found;
}

/** Known-item search: the two longest words of every fifth title, typed in small letters; right is that item. */
function knownItems({ items }: Dataset): readonly Question[] {
  const titles = items.column('title');
  return Array.from({ length: items.rowCount }, (_, row) => row)
    .filter((row) => row % 5 === 0)
    .flatMap((row): Question[] => {
      const title = titles?.type === 'text' ? titles.values[row] : undefined;
      const words = [...new Set((title ?? '').toLowerCase().match(/[a-z]{3,}/g))].sort((left, right) => right.length - left.length);
      if (words.length < 2) return [];
      return [{ request: { text: words.slice(0, 2).join(' ') }, relevant: [items.idOf(row)], excluded: [] }];
    });
}

/** Q2 to Q5: users of the files; where there is an order, their last events as a visit, a basket, a page. */
async function readFiles(id: Exclude<ProtocolId, 'q1'>, part: Part): Promise<Material> {
  const { train, cases, cutMs, after } = await readProtocol(id, part, 'B');
  const ordered = id === 'q3' || id === 'q4';
  const questionsOf = (make: (user: string, has: readonly string[], now: number) => RecommendRequest): Question[] =>
    cases.map(({ user, known: has, relevant, asOfMs = cutMs }) => ({
      request: { ...make(user, has, asOfMs), asOf: asOfMs },
      relevant,
      excluded: has,
    }));
  const visit = (has: readonly string[], now: number) =>
    has.slice(-10).map((item, place, all) => ({ item, type: 'event', time: now - (all.length - place) }));
  const of = (preset: PresetName, who: string, questions: readonly Question[]): QuestionSet => ({ preset, who, questions });
  const users = questionsOf((user) => ({ user, ...known }));
  const count = (least: number, most: number): Question[] =>
    users.filter(({ excluded }) => excluded.length >= least && excluded.length <= most);
  return {
    train,
    titles: false,
    after,
    sets: [
      of('home', 'all users', users),
      of('home', 'users with at most 5 items', count(0, 5)),
      of('home', 'users with 6 to 20', count(6, 20)),
      of('home', 'users with more than 20', count(21, Number.POSITIVE_INFINITY)),
      of(
        'home',
        'nobody known',
        questionsOf(() => ({})),
      ),
      of(
        'guest',
        'nothing yet',
        questionsOf(() => ({})),
      ),
      of(
        'guest',
        ordered ? 'the last ten as a visit' : 'ten items as a visit',
        questionsOf((_, has, now) => ({ session: visit(has, now) })),
      ),
      of(
        'basket',
        'everything as a basket',
        questionsOf((_, has) => ({ items: has.slice(-50) })),
      ),
      of(
        'related',
        ordered ? 'the last item' : 'an item',
        questionsOf((_, has) => ({ item: has.at(-1) as string })),
      ),
      ...(ordered
        ? [
            of(
              'next',
              'users, the last ten as a visit',
              questionsOf((user, has, now) => ({ user, ...known, session: visit(has, now) })),
            ),
          ]
        : []),
    ].filter(({ questions }) => questions.length > 0),
  };
}

/** Q6: items held out entirely, added as a shop adds them; the answer may hold nothing else. */
async function readNew(part: Part): Promise<Material> {
  const { warm, cold, cases } = (await readColdItems())[part === 'test' ? 'test' : 'validation'];
  const rows = (user: string): readonly string[] => {
    const row = warm.users.rowOf(user) as number;
    return Array.from(warm.history.items.subarray(warm.history.offsets[row], warm.history.offsets[row + 1]), (item) =>
      warm.items.idOf(item),
    );
  };
  const questionsOf = (make: (user: string) => RecommendRequest): Question[] =>
    cases.map(({ user, relevant }) => ({
      request: { ...make(user), filter: 'item.fresh' },
      relevant,
      excluded: [],
      among: cold.map(({ id }) => id),
    }));
  const of = (preset: PresetName, who: string, questions: readonly Question[]): QuestionSet => ({ preset, who, questions });
  return {
    train: warm,
    titles: true,
    after: [],
    newItems: cold,
    sets: [
      of(
        'home',
        'customers, new items alone',
        questionsOf((user) => ({ user, ...known })),
      ),
      of(
        'guest',
        'ten items as a visit, new items alone',
        questionsOf((user) => ({
          session: rows(user)
            .slice(-10)
            .map((item) => ({ item, type: 'purchase' })),
        })),
      ),
      of(
        'basket',
        'ten items, new items alone',
        questionsOf((user) => ({ items: rows(user).slice(-10) })),
      ),
      of(
        'related',
        'one item, new items alone',
        questionsOf((user) => ({ item: rows(user).at(-1) as string })),
      ),
    ],
  };
}

interface Variant {
  readonly name: string;
  /** What of the preset's surface is written otherwise. */
  readonly change: Readonly<Record<string, unknown>>;
  readonly components?: Readonly<Record<string, unknown>>;
}

const here = 'zscore(score.together) + zscore(score.habits) + 0.3 * zscore(score.similar) + 0.1 * zscore(score.recent)';

/** What was compared when the presets were chosen, on Q1: a change of the preset's surface each. */
const variants: Readonly<Partial<Record<PresetName, readonly Variant[]>>> = {
  home: [
    { name: 'next-purchase alone', change: { value: 'score.nextPurchase' } },
    {
      name: 'without similar',
      change: {
        value: 'zscore(score.nextPurchase) + 0.2 * zscore(score.habits) + 0.2 * zscore(score.recent) + 0.05 * zscore(score.trending)',
      },
    },
  ],
  related: [
    { name: 'without diversity', change: { rankers: [] } },
    { name: 'nothing personal', change: { value: here } },
    { name: 'together alone', change: { value: 'score.together' } },
  ],
  basket: [
    { name: 'without diversity', change: { rankers: [] } },
    { name: 'nothing personal', change: { value: here } },
    { name: 'together alone', change: { value: 'score.together' } },
  ],
  next: [
    { name: 'nothing personal', change: { value: here } },
    { name: 'together alone', change: { value: 'score.together' } },
  ],
  guest: [
    { name: 'together alone', change: { value: 'score.together' } },
    { name: 'habits alone', change: { value: 'score.habits' } },
  ],
  search: [
    { name: 'words alone', change: { sources: { words: 200 } } },
    { name: 'meaning alone', change: { sources: { meaning: 200 } } },
    {
      name: 'words twice',
      components: { fused: { use: 'fusion/rrf', with: { weights: { words: 2 } } } },
      change: { scorers: ['fused'], value: 'score.fused' },
    },
  ],
  again: [
    { name: 'what sells alone', change: { value: 'score.recent' } },
    { name: '+ 0.2 × what sells', change: { value: 'zscore(score.again) + 0.2 * zscore(score.recent)' } },
  ],
};

/** What popularity reaches on each question. */
function popularityFigures(popular: readonly string[], questions: readonly Question[]): Float64Array {
  const places = new Map(popular.map((id, place) => [id, place]));
  // What nobody has is equal and stands by its place in the list.
  const placeOf = (id: string): number => places.get(id) ?? popular.length;
  return Float64Array.from(questions, ({ relevant, excluded, among }) => {
    const out = new Set(excluded);
    const list: string[] = [];
    for (const id of among === undefined ? popular : among.toSorted((left, right) => placeOf(left) - placeOf(right))) {
      if (list.length === length) break;
      if (!out.has(id)) list.push(id);
    }
    return ndcgOf(list, relevant);
  });
}

async function measure(
  data: Protocol,
  material: Material,
  wanted: readonly PresetName[],
  options: { readonly every: number; readonly against?: string | undefined; readonly variants: boolean },
  tell: (row: Row) => void,
): Promise<readonly Row[]> {
  const popular = popularityOf(material.train);
  const sets = material.sets
    .filter(({ preset }) => wanted.includes(preset))
    .map((set) => ({ ...set, questions: set.questions.filter((_, index) => index % options.every === 0) }));
  const rows: Row[] = [];
  const figures = new Map<QuestionSet, { readonly own: Float64Array; readonly popularity: Float64Array }>();
  const add = (set: QuestionSet, preset: string, { ndcg, empty }: Answered): void => {
    const known = figures.get(set);
    const popularity = known?.popularity ?? popularityFigures(popular, set.questions);
    if (known === undefined) figures.set(set, { own: ndcg, popularity });
    const row: Row = {
      data,
      preset,
      who: set.who,
      cases: set.questions.length,
      ours: meanOf(ndcg).mean,
      popularity: meanOf(popularity).mean,
      difference: pairedBootstrap(ndcg, popularity, { rounds: 1000 }),
      empty,
      ...(known === undefined
        ? {}
        : { against: { mean: meanOf(known.own).mean, difference: pairedBootstrap(ndcg, known.own, { rounds: 1000 }) } }),
    };
    rows.push(row);
    tell(row);
  };
  const pipeline = await openPipeline(await combined(wanted, material.titles, options.variants), {
    dataset: material.train,
    directory: root,
  });
  try {
    await prepare(pipeline, material);
    for (const set of sets) {
      add(set, set.preset, await ask(pipeline, surfaceOf[set.preset], set.questions));
      if (!options.variants) continue;
      for (const [index, { name }] of (variants[set.preset] ?? []).entries()) {
        add(set, `… ${name}`, await ask(pipeline, variantSurface(set.preset, index), set.questions));
      }
    }
  } finally {
    await pipeline.close();
  }
  if (options.against === undefined) return rows;
  const other = await openPipeline(
    { format: '1.0', name: 'against', base: [resolve(options.against)], data: {} },
    { dataset: material.train, directory: root },
  );
  try {
    await prepare(other, material);
    for (const set of sets) {
      // A config without a surface of that name answers on its start page.
      const surface = other.surfaces.includes(surfaceOf[set.preset]) ? surfaceOf[set.preset] : 'home';
      add(set, `${set.preset} of ${basename(options.against)}`, await ask(other, surface, set.questions));
    }
  } finally {
    await other.close();
  }
  return rows;
}

const files = ['q2', 'q3', 'q4', 'q5'] as const;

function line(row: Row): string {
  const signed = (value: number): string => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(4)}`;
  const interval = ({ mean, low, high }: Interval): string => `${signed(mean)} (${signed(low)} … ${signed(high)})`;
  const empty = row.empty === 0 ? '' : `, ${row.empty} empty`;
  const verdict = row.difference.high < 0 ? ' loses' : row.difference.low > 0 ? '' : ' equal';
  const against = row.against === undefined ? '' : ` ${interval(row.against.difference)} |`;
  return `| ${row.data.toUpperCase()} | ${row.preset} | ${row.who} | ${row.cases}${empty} | ${row.ours.toFixed(4)} | ${row.popularity.toFixed(4)} | ${interval(row.difference)}${verdict} |${against}`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      on: { type: 'string', default: 'valid' },
      cut: { type: 'string', default: '10' },
      data: { type: 'string' },
      preset: { type: 'string' },
      against: { type: 'string' },
      variants: { type: 'boolean', default: false },
      every: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(help);
    return;
  }
  const part = values.on;
  if (part !== 'valid' && part !== 'test') throw new Error(`--on is valid or test, not "${part}".`);
  const month = Number(values.cut);
  if (month !== 9 && month !== 10) throw new Error(`--cut is 9 or 10, not "${values.cut}".`);
  const names = values.preset?.split(',') ?? presetNames;
  const strange = names.filter((name) => !(presetNames as readonly string[]).includes(name));
  if (strange.length > 0) throw new Error(`There is no preset "${strange.join('", "')}". There are: ${presetNames.join(', ')}.`);
  const wanted = presetNames.filter((name) => names.includes(name));
  const data = values.data?.split(',') ?? ['q1', ...files, 'q6'];
  const every = Number(values.every);
  if (!Number.isInteger(every) || every < 1) throw new Error(`--every is a whole number from 1, not "${values.every}".`);
  const tell = (row: Row): void => {
    if (!values.json) console.log(line(row));
  };
  if (!values.json) {
    console.log('| data | preset | who asks | cases | ours | popularity | difference, 95 % |\n| --- | --- | --- | --- | --- | --- | --- |');
  }
  const rows: Row[] = [];
  for (const id of data) {
    const missing = (files as readonly string[]).includes(id) ? missingData(id as ProtocolId) : undefined;
    if (missing !== undefined) {
      console.error(`${id.toUpperCase()} is left out: ${missing}`);
      continue;
    }
    const material =
      id === 'q1'
        ? await readShop(part, month)
        : id === 'q6'
          ? await readNew(part)
          : (files as readonly string[]).includes(id)
            ? await readFiles(id as Exclude<ProtocolId, 'q1'>, part)
            : undefined;
    if (material === undefined) throw new Error(`There are no data "${id}". There are: q1, ${files.join(', ')}, q6.`);
    const own = { every, variants: id === 'q1' && values.variants, against: id === 'q1' ? values.against : undefined };
    rows.push(...(await measure(id as Protocol, material, wanted, own, tell)));
  }
  if (values.json) console.log(JSON.stringify({ part, every, rows }, null, 2));
  const losing = rows.filter(({ difference, preset }) => difference.high < 0 && (presetNames as readonly string[]).includes(preset));
  const empty = rows.reduce((sum, row) => sum + row.empty, 0);
  if (!values.json) console.log(`\n${losing.length} rows below popularity, ${empty} empty answers`);
  if (losing.length > 0 || empty > 0) process.exitCode = 1;
}

await main();
