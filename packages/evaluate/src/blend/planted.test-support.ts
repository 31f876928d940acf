import { fileURLToPath } from 'node:url';
import { type Dataset, datasetFromArrays } from '@recloom/core';
import {
  createRandomStream,
  defineCandidateSource,
  definePlugin,
  defineScorer,
  type PluginDefinition,
  perRequest,
  type RequestView,
} from '@recloom/plugin-api';

/** First instants of the three periods: what everybody has, what the check asks, what is learned on. */
const checkCutMs = Date.UTC(2024, 1, 1);
export const cutMs = Date.UTC(2024, 2, 1);
const endMs = Date.UTC(2024, 3, 1);

const userCount = 240;
const itemCount = 40;
/** What people take in each period. */
const taken = 3;

/** The repository: `blend/scores` is found from there. */
export const repository = fileURLToPath(new URL('../../../..', import.meta.url));

/** Three independent standard normal numbers for each user and item. */
function draws(): Readonly<Record<string, Float32Array>> {
  const random = createRandomStream(5);
  const names = ['order', 'content', 'noise'];
  return Object.fromEntries(names.map((name) => [name, Float32Array.from({ length: userCount * itemCount }, () => random.normal())]));
}

/** How much a user wants an item: what decides what they take in a period. */
type Wish = (scores: (name: string) => number, user: number) => number;

export interface Planted {
  readonly dataset: Dataset;
  readonly plugin: PluginDefinition;
}

/**
 * A shop whose people take, in each of the two later periods, the three items they want most and do not have yet. Scorers `order`,
 * `content` and `noise` are the three numbers that wishes are made of; `flat` is the same for all, `gaps` lacks every third number.
 */
export function plantedShop(wishes: {
  readonly check: Wish;
  readonly learn: Wish;
  readonly startSize?: (user: number) => number;
}): Planted {
  const numbers = draws();
  const random = createRandomStream(9);
  const name = (kind: string, index: number): string => `${kind}${String(index).padStart(3, '0')}`;
  const events: { user: string; item: string; timeMs: number }[] = [];
  for (let user = 0; user < userCount; user++) {
    const has = new Set<number>();
    const take = (item: number, fromMs: number): void => {
      has.add(item);
      events.push({ user: name('u', user), item: name('i', item), timeMs: fromMs + has.size * 60_000 });
    };
    const startSize = wishes.startSize?.(user) ?? 4;
    while (has.size < startSize) {
      const item = random.integer(itemCount);
      if (!has.has(item)) take(item, Date.UTC(2024, 0, 1));
    }
    for (const [wish, fromMs] of [
      [wishes.check, checkCutMs],
      [wishes.learn, cutMs],
    ] as const) {
      const wanted = Array.from({ length: itemCount }, (_, item) => item)
        .filter((item) => !has.has(item))
        .map((item) => ({ item, value: wish((column) => numbers[column]?.[user * itemCount + item] ?? 0, user) }))
        .sort((left, right) => right.value - left.value);
      for (const { item } of wanted.slice(0, taken)) take(item, fromMs);
    }
  }
  const dataset = datasetFromArrays({
    items: Array.from({ length: itemCount }, (_, item) => ({ id: name('i', item) })),
    users: Array.from({ length: userCount }, (_, user) => ({ id: name('u', user) })),
    events,
  });
  return { dataset, plugin: plantedPlugin(numbers) };
}

/** Nothing anybody takes follows from anything. */
export function chance(): Wish {
  const random = createRandomStream(77);
  return () => random.next();
}

/** The window that is learned on, and the one of the check, as options. */
export const windows = {
  validation: { cutMs, untilMs: endMs },
  confirmation: { cutMs: checkCutMs, untilMs: cutMs },
} as const;

/** A config that orders by `value`. */
export function plantedConfig(value: string, scorers: readonly string[] = ['order', 'content', 'noise']): Record<string, unknown> {
  return {
    format: '1.0',
    name: 'planted',
    data: {},
    components: {
      all: { use: 'planted/all' },
      ...Object.fromEntries(['order', 'content', 'noise', 'flat', 'gaps'].map((name) => [name, { use: `planted/${name}` }])),
    },
    surfaces: { home: { sources: { all: 100 }, scorers, value }, other: { sources: { all: 5 } } },
  };
}

const noOptions = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value: unknown) => ({ value: value as object }),
    jsonSchema: { input: () => ({ type: 'object' }) },
  },
} as const;

function plantedPlugin(numbers: Readonly<Record<string, Float32Array>>): PluginDefinition {
  const all = defineCandidateSource({
    id: 'all',
    summary: 'Everything, in order.',
    options: noOptions,
    capabilities: { coldItem: true },
    stateVersion: 1,
    create: ({ items }) => ({
      propose: perRequest((_: RequestView) => {
        const rows = Array.from({ length: items.rowCount }, (_row, row) => row);
        return { rows, scores: rows.map((row) => -row) };
      }),
    }),
  });
  const scorer = (id: string, value: (userRow: number, row: number) => number) =>
    defineScorer({
      id,
      summary: 'Planted numbers.',
      options: noOptions,
      reads: ['history'],
      capabilities: { personal: true },
      stateVersion: 1,
      create: () => ({
        score: (batch, out) => {
          for (const [index, { userRow }] of batch.requests.entries()) {
            for (let place = batch.offsets[index] as number; place < (batch.offsets[index + 1] as number); place++)
              out[place] = value(userRow, batch.rows[place] as number);
          }
        },
      }),
    });
  const drawn = (name: string) => (userRow: number, row: number) => numbers[name]?.[userRow * itemCount + row] ?? Number.NaN;
  return definePlugin({
    apiVersion: 1,
    id: 'planted',
    components: [
      all,
      scorer('order', drawn('order')),
      scorer('content', drawn('content')),
      scorer('noise', drawn('noise')),
      scorer('flat', () => 3),
      scorer('gaps', (userRow, row) => (row % 3 === 0 ? Number.NaN : drawn('order')(userRow, row))),
    ],
  });
}
