import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { type Dataset, datasetFromArrays } from '@recloom/core';
import {
  type CandidateBatch,
  defineCandidateFilter,
  defineComponent,
  defineFeatureExtractor,
  definePlugin,
  definePrivacyFilter,
  defineScorer,
  defineSideEffect,
  type OptionsSchema,
  perRequest,
  readTensor,
  tensor,
} from '@recloom/plugin-api';
import { afterAll } from 'vitest';

export const day = 86_400_000;
/** Instant of a day of the little shop; day 0 is 2024-01-01. */
export const at = (days: number): number => Date.UTC(2024, 0, 1) + days * day;

/** `[user, item, day]`, or with a type and a weight. */
export type TestEvent = readonly [user: string, item: string, day: number, type?: string, weight?: number];

export type TestItem = {
  readonly id: string;
  readonly price?: number;
  readonly kind?: string;
  readonly live?: boolean;
  readonly title?: string;
};

/** A dataset of a few events; items that are not listed come with the events. */
export function datasetOf(events: readonly TestEvent[], items?: readonly TestItem[]): Dataset {
  return datasetFromArrays({
    events: events.map(([user, item, days, type, weight]) => ({
      user,
      item,
      timeMs: at(days),
      ...(type === undefined ? {} : { type }),
      ...(weight === undefined ? {} : { weight }),
    })),
    ...(items === undefined ? {} : { items, types: { items: { kind: 'category', title: 'text' } } }),
  });
}

const anything: OptionsSchema<Record<string, unknown>> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => ({ value: value as Record<string, unknown> }),
    jsonSchema: { input: () => ({ type: 'object' }) },
    types: { input: {}, output: {} },
  },
};
const shared = { options: anything, capabilities: {}, stateVersion: 1 } as const;

/** Proposes every item, the most often taken first, and scores by how often: fitted on all events it is given. */
const counts = defineComponent({
  ...shared,
  id: 'counts',
  summary: 'How often an item was taken.',
  provides: ['source', 'scorer'],
  fit: ({ history }) => {
    const times = new Float32Array(history.itemCount);
    for (const item of history.items) times[item] = (times[item] as number) + 1;
    return { times: tensor(times) };
  },
  create: ({ state }) => {
    const times = readTensor(state, 'times', Float32Array);
    const rows = Array.from(times.keys()).sort((left, right) => (times[right] as number) - (times[left] as number) || left - right);
    return {
      propose: perRequest(() => ({ rows, scores: rows.map((row) => times[row] as number) })),
      score: (batch: CandidateBatch, out: Float32Array) => {
        for (let index = 0; index < batch.count; index++) out[index] = times[batch.rows[index] as number] as number;
      },
    };
  },
});

/** Mixes everything a component can see of the world into its score: whatever leaks from later changes it. */
const peek = defineScorer({
  ...shared,
  id: 'peek',
  summary: 'Looks wherever it can.',
  reads: ['history'],
  fit: ({ history, items, users, asOfMs }) => {
    const last = new Float64Array(history.itemCount);
    for (let event = 0; event < history.eventCount; event++) {
      const item = history.items[event] as number;
      last[item] = Math.max(last[item] as number, history.timesMs[event] as number);
    }
    return {
      last: tensor(last),
      world: tensor(Float64Array.of(history.eventCount, history.typeNames.length, items.rowCount, users.rowCount, asOfMs / day)),
    };
  },
  create: ({ state, items }) => {
    const last = readTensor(state, 'last', Float64Array);
    const world = readTensor(state, 'world', Float64Array).reduce((sum, value) => sum * 1.5 + value, 0);
    return {
      score: (batch: CandidateBatch, out: Float32Array) => {
        for (const [index, { history, asOfMs }] of batch.requests.entries()) {
          const seen = history.length * 7 + (history.timesMs[history.length - 1] ?? 0) / day + asOfMs / day;
          for (let place = batch.offsets[index] as number; place < (batch.offsets[index + 1] as number); place++)
            out[place] = world + items.rowCount + seen + (last[batch.rows[place] as number] as number) / day;
        }
      },
    };
  },
});

const seen = defineCandidateFilter({
  ...shared,
  id: 'seen',
  summary: 'Takes out what the user had.',
  reads: ['history'],
  create: () => ({
    removalReasons: ['seen'],
    filter: (batch: CandidateBatch, removed: Uint8Array) => {
      for (const [index, { history }] of batch.requests.entries()) {
        const had = new Set(history.items.subarray(0, history.length));
        for (let place = batch.offsets[index] as number; place < (batch.offsets[index + 1] as number); place++)
          if (had.has(batch.rows[place] as number)) removed[place] = 1;
      }
    },
  }),
});

const gate = definePrivacyFilter({
  ...shared,
  id: 'gate',
  summary: 'Grants the history for personalisation.',
  create: () => ({ gate: ({ purposes }) => (purposes?.includes('personalisation') === true ? ['history', 'profile'] : []) }),
});

/** Its vectors depend on the item alone. */
const shape = defineFeatureExtractor({
  ...shared,
  id: 'shape',
  summary: 'The row of an item as a vector.',
  capabilities: { scopes: ['item'] },
  create: () => ({
    width: 2,
    extract: (batch, out) => {
      for (const [index, row] of batch.rows.entries()) {
        if (row === 1) continue;
        out.values.set([row, row * 10], index * 2);
        out.presence[index] = 1;
      }
    },
  }),
});

/** Its vectors depend on what happened. */
const taken = defineFeatureExtractor({
  ...shared,
  id: 'taken',
  summary: 'How many events there are.',
  capabilities: { scopes: ['item'] },
  fit: ({ history }) => ({ count: tensor(Float32Array.of(history.eventCount)) }),
  create: ({ state }) => {
    const [count = 0] = readTensor(state, 'count', Float32Array);
    return {
      width: 1,
      extract: (batch, out) => {
        out.values.fill(count);
        out.presence.fill(1, 0, batch.count);
      },
    };
  },
});

const pair = defineFeatureExtractor({
  ...shared,
  id: 'pair',
  summary: 'Two numbers per candidate.',
  capabilities: { scopes: ['candidate'] },
  create: () => ({
    width: 2,
    componentNames: ['row', 'missing'],
    extract: (batch, out) => {
      for (let index = 0; index < batch.count; index++) {
        const row = batch.candidates?.rows[index] as number;
        if (row === 0) continue;
        out.values.set([row, -row], index * 2);
        out.presence[index] = 1;
      }
    },
  }),
});

const broken = defineScorer({
  ...shared,
  id: 'broken',
  summary: 'Fails.',
  create: () => ({
    score: () => {
      throw new Error('canary');
    },
  }),
});

/** How often the side effect ran: an export must not run it. */
export const effectRuns = { count: 0 };
const effect = defineSideEffect({
  ...shared,
  id: 'effect',
  summary: 'Counts answers.',
  create: () => ({ onAnswer: () => void effectRuns.count++ }),
});

export const testPlugin = definePlugin({
  apiVersion: 1,
  id: 'test',
  components: [counts, peek, seen, gate, shape, taken, pair, broken, effect],
});

/** A config over it. */
export function shopConfig(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    format: '1.0',
    name: 'little-shop',
    data: {},
    components: {
      often: { use: 'test/counts' },
      peek: { use: 'test/peek' },
      seen: { use: 'test/seen' },
      gate: { use: 'test/gate' },
      effect: { use: 'test/effect' },
    },
    surfaces: {
      home: {
        sources: { often: 100 },
        filters: ['seen'],
        scorers: ['often', 'peek'],
        value: 'score.often',
        privacy: ['gate'],
        effects: ['effect'],
      },
    },
    ...changes,
  };
}

/** A folder that is gone after the tests. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'recloom-training-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The rows of a Parquet file as an independent reader of the format gives them: times as ISO text, NaN as the text `NaN`. */
export async function readParquet(path: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    const reader = await connection.runAndReadAll(`SELECT * FROM '${path.replaceAll("'", "''")}'`);
    return reader.getRowObjectsJson();
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** Every byte of a folder's files, by name. */
export function filesOf(folder: string): Readonly<Record<string, Buffer>> {
  return Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
}
