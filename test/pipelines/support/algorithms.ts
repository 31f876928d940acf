import { join } from 'node:path';
import {
  type Dataset,
  datasetFromArrays,
  type FittedParts,
  type OpenPipelineOptions,
  openPipeline,
  type Pipeline,
  type RecommendRequest,
} from '@recloom/core';
import {
  type ComponentDefinition,
  type ComponentState,
  createRandomStream,
  defineCandidateSource,
  definePlugin,
  joinProposals,
} from '@recloom/plugin-api';
import { testPicture } from '@recloom/testing';
import { z } from 'zod';
import { allPlugins } from '../../../scripts/docs-reference.mjs';

/** Folder that plugins are found from. */
export const root = join(import.meta.dirname, '..', '..', '..');

/** How one component stands in a config of its own. */
export interface Algorithm {
  /** Under `with:`. */
  readonly with?: Readonly<Record<string, unknown>>;
  /** Under `in:`. */
  readonly in?: Readonly<Record<string, unknown>>;
  /** What it is fed by: components, or scorers that run before it. */
  readonly scorers?: readonly string[];
  /** What a request says besides the user; a component that does not look at people needs it. */
  readonly ask?: Pick<RecommendRequest, 'text' | 'item'>;
  /** Numbers per text of the vectors it is fed; default 512. Fewer are quicker, and let words be taken for each other. */
  readonly wordsWidth?: number;
  /** Its own state, measured for the table, costs less to fit with these options and has the same size. */
  readonly measuredWith?: Readonly<Record<string, unknown>>;
}

const onnx = join(root, 'plugins', 'scorer-onnx', 'src', 'fixtures', 'conformance-linear.fixture.onnx');
const floors = { minimumSupport: 2, minimumUsers: 2, minimumSignificance: 0 };
const columns = ['source.everything.score', 'source.everything.rank', 'item.price', '1.0'];

/**
 * Every component that proposes, scores or gives features, and how it is set up here: without options, but where it must be told
 * something or the shop of the tests is too small for its floors. A component that is missing here fails the tests.
 */
export const algorithms: Readonly<Record<string, Algorithm>> = {
  'blend/scores': { with: { weights: { known: 1 } }, scorers: ['known'] },
  'collaborative-factors/ials': {},
  'collaborative-linear/content-ease': { in: { content: ['words'], attributes: ['item.brand'] } },
  'collaborative-linear/ease': {},
  'collaborative-linear/next-purchase': {},
  'collaborative-neighbours/item-knn': {},
  'collaborative-neighbours/rp3beta': {},
  'collaborative-neighbours/user-knn': {},
  'fusion/rrf': {},
  'fusion/weighted': {},
  'graph/candidate': { with: { columns: ['adamicAdar'] } },
  'graph/degree': {},
  'graph/embedding': {},
  'graph/pagerank': {},
  'graph/related': { with: floors },
  'image-clip/embedding': { in: { image: 'item.photo' } },
  'keyword-search/bm25': { in: { text: 'item.title' }, ask: { text: 'kettle teapot cosy mug saucer' } },
  'keyword-search/tokens': { in: { text: 'item.title' } },
  'multimodal/attention': { in: { vectors: ['words', 'pieces'] }, with: { steps: 50 }, measuredWith: { steps: 1 } },
  'multimodal/cold-map': { in: { vectors: ['words'] } },
  'multimodal/concat': { in: { vectors: ['words', 'pieces'] } },
  'multimodal/content-graph': { in: { vectors: ['words'] } },
  'multimodal/factor-profile': { in: { vectors: 'space' } },
  'multimodal/weighted': { in: { vectors: ['words', 'pieces'] } },
  'popularity/popular': {},
  'popularity/recent': {},
  'popularity/trending': { with: { count: 'events' } },
  'repeat/again': {},
  'rules/boost': { with: { expression: 'item.price' } },
  'rules/pin': {
    with: {
      items: [
        { item: 'k0-1', slot: 1 },
        { item: 'new-own', slot: 2 },
      ],
    },
  },
  'scorer-onnx/model': { with: { model: onnx, inputs: { x: { columns } } } },
  'sequence/network': { measuredWith: { epochs: 1 } },
  'sequence/transitions': {},
  'text-bert/embedding': { in: { text: 'item.title' } },
  'vector-search/near-duplicates': { in: { vectors: 'words' }, with: { threshold: 0.5 }, ask: { item: 'k0-1' } },
  'vector-search/nearest': { in: { vectors: 'words' } },
};

/** References of the components of all published plugins that propose, score or give features, with their definitions. */
export async function declaredAlgorithms(): Promise<ReadonlyMap<string, ComponentDefinition>> {
  const found = new Map<string, ComponentDefinition>();
  for (const { definition } of await allPlugins()) {
    if (definition.id === 'template') continue;
    for (const component of definition.components)
      if (component.provides.some((contract) => ['source', 'scorer', 'extractor'].includes(contract)))
        found.set(`${definition.id}/${component.id}`, component);
  }
  return found;
}

/** A source that proposes the whole catalogue as it is now, by row, so that a scorer is asked about everything. */
const everything = definePlugin({
  apiVersion: 1,
  id: 'everything',
  components: [
    defineCandidateSource({
      id: 'all',
      summary: 'Everything.',
      options: z.strictObject({}),
      capabilities: { coldUser: true, coldItem: true },
      stateVersion: 1,
      create: ({ items }) => ({
        propose: (batch, limit) =>
          joinProposals(
            batch.requests.map(() => {
              const rows = Int32Array.from({ length: items.rowCount }, (_, row) => row);
              return { rows, scores: Float32Array.from(rows, (row) => 1 / (1 + row)) };
            }),
            limit,
          ),
      }),
    }),
  ],
});

/** The config of one algorithm: `it`, through one surface for each contract it provides. */
export function configOf(
  reference: string,
  definition: ComponentDefinition,
  own: Algorithm = algorithms[reference] ?? {},
  threads = 2,
): Readonly<Record<string, unknown>> {
  const provides = (contract: string): boolean => definition.provides.includes(contract as never);
  const isVector = provides('extractor') && definition.capabilities.scopes?.includes('item') === true;
  const width = own.wordsWidth ?? 512;
  const needs = own.ask === undefined ? {} : { needs: Object.keys(own.ask) };
  const upstream = {
    everything: { use: 'everything/all' },
    ...(own.scorers === undefined ? {} : { known: { use: 'popularity/popular' } }),
    ...(uses(own, 'words') || uses(own, 'space')
      ? { words: { use: 'keyword-search/tokens', in: { text: 'item.title' }, with: { width } } }
      : {}),
    ...(uses(own, 'pieces') ? { pieces: { use: 'keyword-search/tokens', in: { text: 'item.title' }, with: { width, pairs: false } } } : {}),
    ...(uses(own, 'space') ? { space: { use: 'multimodal/cold-map', in: { vectors: ['words'] } } } : {}),
  };
  return {
    format: '1.0',
    name: 'algorithm',
    data: { now: 'data' },
    compute: { threads },
    components: {
      ...upstream,
      it: {
        use: reference,
        ...(own.in === undefined ? {} : { in: own.in }),
        ...(own.with === undefined ? {} : { with: own.with }),
      },
      ...(isVector ? { near: { use: 'vector-search/nearest', in: { vectors: 'it' } } } : {}),
    },
    surfaces: {
      ...(provides('source') ? { propose: { ...needs, sources: { it: catalogue }, limits: { candidates: catalogue } } } : {}),
      ...(provides('scorer')
        ? {
            score: {
              ...needs,
              sources: { everything: catalogue },
              scorers: [...(own.scorers ?? []), 'it'],
              value: 'score.it',
              limits: { candidates: catalogue },
            },
          }
        : {}),
      ...(definition.capabilities.scopes?.includes('candidate') === true
        ? { feature: { sources: { everything: catalogue }, features: ['it'], value: 'feature.it', limits: { candidates: catalogue } } }
        : {}),
      ...(isVector ? { vectors: { sources: { near: catalogue }, limits: { candidates: catalogue } } } : {}),
    },
  };
}

/** More than any shop of these tests has. */
const catalogue = 4000;

const uses = (own: Algorithm, name: string): boolean => JSON.stringify(own.in ?? {}).includes(`"${name}"`);

/** Opens the pipeline of one algorithm, fitted in memory. */
export function openAlgorithm(
  reference: string,
  definition: ComponentDefinition,
  dataset: Dataset,
  { own, threads, ...options }: OpenPipelineOptions & { readonly own?: Algorithm; readonly threads?: number } = {},
): Promise<Pipeline> {
  return openPipeline(configOf(reference, definition, own, threads), { directory: root, plugins: [everything], dataset, ...options });
}

/** Which column of which surface shows what a component says. */
const shows: Readonly<Record<string, string>> = {
  propose: 'source.it.score',
  score: 'score.it',
  feature: 'feature.it',
  vectors: 'source.near.score',
};

/** What a component says of each item; items it says nothing about are left out. Fails when the answer has a warning: a score that is not finite has one. */
export async function viewOf(pipeline: Pipeline, surface: string, request: RecommendRequest): Promise<ReadonlyMap<string, number>> {
  const column = shows[surface] as string;
  for await (const { candidates, error } of pipeline.scoreCandidates([{ surface, purposes: ['personalisation'], ...request }], {
    columns: [column],
  })) {
    if (error !== undefined) throw error;
    const [unexpected] = candidates.warnings.filter(({ code }) => code !== 'RECLOOM_RUN_TOO_FEW');
    if (unexpected !== undefined) throw new Error(`${unexpected.code} of ${unexpected.at?.component}: ${unexpected.message}`);
    const values = candidates.columns[column] as Float32Array;
    return new Map(candidates.ids.flatMap((id, at) => (Number.isNaN(values[at]) ? [] : [[id, values[at] as number] as const])));
  }
  throw new Error('no answer');
}

/** A store of fitted parts that remembers nothing for the next build and lets the test look at what was learned. */
export function watchParts(): FittedParts & { readonly states: ComponentState[] } {
  const states: ComponentState[] = [];
  return {
    states,
    get: () => Promise.resolve(undefined),
    put: (_key, state) => {
      states.push(state);
      return Promise.resolve();
    },
  };
}

/** How large a made-up shop is. */
export interface ShopShape {
  readonly items: number;
  readonly users: number;
  /** Default 14. */
  readonly eventsPerUser?: number;
  readonly pictures?: boolean;
}

/** Words of each kind of item, five a kind: titles hold two of their kind. */
export const kinds = [
  ['kettle', 'teapot', 'cosy', 'mug', 'saucer'],
  ['spade', 'lantern', 'gloves', 'hose', 'seeds'],
  ['racket', 'whistle', 'tennis', 'ball', 'shuttlecock'],
  ['notebook', 'pencil', 'stapler', 'folder', 'calendar'],
] as const;
const colours = ['red', 'blue', 'large', 'small', 'striped'];
const dayMs = 86_400_000;
const startMs = Date.UTC(2024, 0, 1);

/**
 * A made-up shop with what algorithms live on. Items `k<kind>-<number>` of four kinds, with a title of the words of their kind;
 * users `p<number>`, who stay with one kind (`number % 4`) but for one event in eight, go from one item to its neighbour,
 * buy in baskets of two and buy a third of it again. The same shape gives the same bytes.
 */
export function madeUpShop({ items: itemCount, users: userCount, eventsPerUser = 14, pictures = false }: ShopShape): Dataset {
  const random = createRandomStream(23);
  const pick = <T>(values: readonly T[]): T => values[random.integer(values.length)] as T;
  const perKind = Math.ceil(itemCount / kinds.length);
  const items = Array.from({ length: itemCount }, (_, row) => {
    const kind = row % kinds.length;
    const words = kinds[kind] as readonly string[];
    const first = random.integer(words.length);
    return {
      id: `k${kind}-${Math.floor(row / kinds.length)}`,
      title: `${pick(colours)} ${words[first]} ${words[(first + 1 + random.integer(words.length - 1)) % words.length]}`,
      brand: `brand ${kind}`,
      price: 1 + random.integer(40),
      ...(pictures ? { photo: testPicture(row, { width: 24, height: 24 }) } : {}),
    };
  });
  const events = Array.from({ length: userCount }, (_, user) => {
    const own: string[] = [];
    let place = random.integer(perKind);
    return Array.from({ length: eventsPerUser }, (_event, step) => {
      const kind = random.integer(8) === 0 ? random.integer(kinds.length) : user % kinds.length;
      place = (place + 1 + (random.integer(4) === 0 ? random.integer(perKind) : 0)) % perKind;
      const again = own.length > 3 && random.integer(3) === 0;
      const item = again ? pick(own.slice(0, 3)) : `k${kind}-${place}`;
      own.push(item);
      return {
        user: `p${user}`,
        item: Number(item.split('-')[1]) * kinds.length + Number(item[1]) < itemCount ? item : `k${kind}-0`,
        timeMs: startMs + Math.floor(step / 2) * 9 * dayMs + random.integer(dayMs),
        type: 'purchase',
        weight: 1 + random.integer(3),
        basket: `${user}-${Math.floor(step / 2)}`,
      };
    });
  }).flat();
  return datasetFromArrays({ items, events, types: { items: { title: 'text', brand: 'category' } } });
}
