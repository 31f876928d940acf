import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type CandidateSource,
  defineCandidateSource,
  defineComponent,
  defineDataSource,
  definePlugin,
  type PluginDefinition,
  perRequest,
  tensor,
} from '@recloom/plugin-api';
import { z } from 'zod';

/** A purchase of the small shop: who and what, in order of time, a day apart. */
export type Purchase = readonly [user: string, item: string];

/** A host's own shop: its data can change between builds, and its components do what a test says. */
export interface SmallShop {
  purchases: Purchase[];
  /** Awaited by `shop/gated` in every request; tests use it to hold requests. */
  gate: () => Promise<void> | void;
  /** How many requests `shop/gated` was asked to answer. */
  asked: number;
  /** Names of components that were disposed, with the number of items they knew. */
  disposed: string[];
  readonly plugin: PluginDefinition;
}

export const dayMs = 86_400_000;
export const firstDayMs = Date.UTC(2024, 0, 1);
export const itemIds = ['a', 'b', 'c', 'd', 'e', 'f'] as const;

/** a is bought by four, b by three, c by two, d, e and f by one. */
export const purchases: readonly Purchase[] = [
  ['u1', 'a'],
  ['u2', 'a'],
  ['u3', 'a'],
  ['u4', 'a'],
  ['u1', 'b'],
  ['u2', 'b'],
  ['u3', 'b'],
  ['u1', 'c'],
  ['u4', 'c'],
  ['u2', 'd'],
  ['u3', 'e'],
  ['u4', 'f'],
];

const noOptions = z.strictObject({});

/** A shop with a plugin of its own, handed in by the host: no two share anything. */
export function smallShop(): SmallShop {
  const dispose = (name: string, count: number) => () => {
    shop.disposed.push(`${name}:${count}`);
  };
  const report = (rows: number) => ({ rowsRead: rows, rowsKept: rows, dropped: [], warnings: [] });
  const shop: SmallShop = {
    purchases: [...purchases],
    gate: () => undefined,
    asked: 0,
    disposed: [],
    plugin: definePlugin({
      apiVersion: 1,
      id: 'shop',
      components: [
        defineDataSource({
          id: 'items',
          summary: 'The six items.',
          options: noOptions,
          capabilities: { data: 'items' },
          stateVersion: 1,
          create: () => ({
            async *read() {
              yield {
                rowCount: itemIds.length,
                columns: {
                  id: { type: 'text' as const, values: [...itemIds] },
                  title: { type: 'text' as const, values: itemIds.map((id) => `Item ${id.toUpperCase()}`) },
                  price: { type: 'number' as const, values: Float64Array.from(itemIds, (_, index) => index + 1) },
                },
              };
            },
            report: () => report(itemIds.length),
            fingerprint: async () => 'items',
          }),
        }),
        defineDataSource({
          id: 'events',
          summary: 'What was bought so far.',
          options: noOptions,
          capabilities: { data: 'events' },
          stateVersion: 1,
          create: () => ({
            async *read() {
              yield {
                rowCount: shop.purchases.length,
                columns: {
                  user: { type: 'text' as const, values: shop.purchases.map(([user]) => user) },
                  item: { type: 'text' as const, values: shop.purchases.map(([, item]) => item) },
                  timeMs: { type: 'number' as const, values: Float64Array.from(shop.purchases, (_, index) => firstDayMs + index * dayMs) },
                },
              };
            },
            report: () => report(shop.purchases.length),
            fingerprint: async () => JSON.stringify(shop.purchases),
          }),
        }),
        defineComponent({
          id: 'popular',
          summary: 'Items by number of purchases.',
          provides: ['source', 'scorer'],
          options: noOptions,
          capabilities: { coldUser: true },
          stateVersion: 1,
          fit({ history }) {
            const counts = new Float32Array(history.itemCount);
            for (const row of history.items) counts[row] = (counts[row] ?? 0) + 1;
            return { counts: tensor(counts) };
          },
          create({ state }) {
            const counts = state['counts']?.data as Float32Array;
            const order = Array.from(counts.keys()).sort((left, right) => (counts[right] ?? 0) - (counts[left] ?? 0) || left - right);
            return {
              propose: perRequest((_request, limit) => ({
                rows: order.slice(0, limit),
                scores: order.slice(0, limit).map((row) => counts[row] ?? 0),
              })),
              score(batch, out) {
                for (let index = 0; index < batch.count; index++) out[index] = counts[batch.rows[index] ?? -1] ?? 0;
              },
              dispose: dispose(
                'popular',
                counts.reduce((sum, count) => sum + count, 0),
              ),
            };
          },
        }),
        defineCandidateSource({
          id: 'bought',
          summary: 'What the user has, newest first.',
          options: noOptions,
          reads: ['history'],
          capabilities: { personal: true, coldUser: true },
          stateVersion: 1,
          create: () => ({
            propose: perRequest((request, limit) => {
              const rows = [...new Set(Array.from(request.history.items).reverse())].slice(0, limit);
              return { rows, scores: rows.map((_, index) => 1 / (index + 1)) };
            }),
          }),
        }),
        defineCandidateSource({
          id: 'gated',
          summary: 'Proposes the first item as soon as the test lets it.',
          options: noOptions,
          capabilities: { coldUser: true },
          stateVersion: 1,
          create: (): CandidateSource => ({
            async propose(batch) {
              const { length } = batch.requests;
              shop.asked += length;
              await shop.gate();
              return {
                offsets: Int32Array.from({ length: length + 1 }, (_, index) => index),
                rows: new Int32Array(length),
                scores: new Float32Array(length).fill(1),
              };
            },
          }),
        }),
      ],
    }),
  };
  return shop;
}

/** A config of the small shop: `home` by purchases, `mine` by history, `held` waits for the gate. */
export function shopConfig(name = 'small'): Record<string, unknown> {
  return {
    format: '1.0',
    name,
    data: { items: { use: 'shop/items' }, events: { use: 'shop/events' }, now: 'data' },
    components: { popular: { use: 'shop/popular' }, bought: { use: 'shop/bought' }, gated: { use: 'shop/gated' } },
    surfaces: {
      home: { sources: { popular: 10 }, scorers: ['popular'], value: 'score.popular', attributes: ['title', 'price'] },
      mine: { sources: { bought: 10 } },
      held: { sources: { gated: 10, popular: 10 }, limits: { timeoutMs: 20_000 } },
    },
  };
}

/** Runs `use` with a folder that is gone afterwards. */
export async function inTemporaryFolder<Result>(use: (directory: string) => Promise<Result>): Promise<Result> {
  const directory = await mkdtemp(join(tmpdir(), 'recloom-embedding-'));
  try {
    return await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Ids of an answer in one word: single-letter ids, best first. */
export const idsOf = (answer: { readonly items: readonly { readonly id: string }[] }): string =>
  answer.items.map((item) => item.id).join('');

/** A promise and the function that resolves it. */
export function latch(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** Lets everything that is ready run. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}
