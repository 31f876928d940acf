import { createHash } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Answer, buildPipeline, openPipeline } from '@recloom/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { edit } from './support/bad-input.js';
import { makeShop, type ShopFolder, shopYaml, userId } from './support/shop-folder.js';

/** Every fitted kind of component: linear, neighbours, walks, transitions, a mined graph, an embedding, vectors, words. */
const yaml = edit(
  edit(
    shopYaml,
    'components:\n',
    `components:
  walks: { use: collaborative-neighbours/rp3beta }
  next: { use: sequence/transitions }
  rank: { use: graph/pagerank }
  recent: { use: popularity/recent }
  trending: { use: popularity/trending }
  text: { use: text-bert/embedding, in: { text: item.title } }
  similar: { use: vector-search/nearest, in: { vectors: text } }
  diverse: { use: ranker-diversity/mmr, in: { vectors: text } }
`,
  ),
  'sources: { habits: 20,',
  'rankers: [diverse]\n    sources: { walks: 20, next: 20, rank: 20, recent: 20, trending: 20, similar: 20, habits: 20,',
);

/** SHA-256 of every file of a snapshot, by name. */
async function bytesOf(directory: string): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  for (const name of (await readdir(directory)).sort())
    digests[name] = createHash('sha256')
      .update(await readFile(join(directory, name)))
      .digest('hex');
  return digests;
}

/**
 * What must not differ between two answers to one request: everything but times taken, the order in which stages that run side by
 * side end, and the attribution id.
 */
function comparable(answer: Answer): unknown {
  const { timings, attributionId, ...rest } = answer;
  return { ...rest, nodes: timings.map((timing) => timing.node).sort(), hasAttribution: attributionId.length > 0 };
}

let shop: ShopFolder;
let first: Record<string, string>;
let snapshotId: string;
beforeAll(async () => {
  shop = await makeShop({ 'shop.yaml': yaml }, { keep: true });
  const report = await buildPipeline(shop.config);
  snapshotId = report.snapshotId;
  first = await bytesOf(report.directory);
  expect(Object.keys(first).length).toBeGreaterThan(14);
}, 120_000);
afterAll(() => shop.remove());

describe('the same input gives the same snapshot, to the byte', () => {
  it('with a warm cache of finished components, and without', async () => {
    const warm = await buildPipeline(shop.config);
    expect(warm.changed).toBe(false);
    expect(warm.components.every((component) => component.reused)).toBe(true);
    expect(await bytesOf(warm.directory)).toEqual(first);
    await rm(warm.directory, { recursive: true });
    const rewritten = await buildPipeline(shop.config);
    expect(rewritten.components.every((component) => component.reused)).toBe(true);
    expect(await bytesOf(rewritten.directory)).toEqual(first);
    const fresh = await buildPipeline(shop.config, { fresh: true });
    expect(fresh.components.some((component) => component.reused)).toBe(false);
    expect(await bytesOf(fresh.directory)).toEqual(first);
  }, 120_000);

  it.each([1, 2])(
    'in another folder, with %i threads',
    async (threads) => {
      const other = await makeShop({ 'shop.yaml': `${yaml}compute: { threads: ${threads} }\n` });
      const report = await buildPipeline(other.config);
      expect(report.snapshotId).toBe(snapshotId);
      expect(await bytesOf(report.directory)).toEqual(first);
    },
    120_000,
  );

  it('whatever the order of the lines of users and items', async () => {
    const reversed = (csv: string): string => {
      const [header, ...rows] = csv.trimEnd().split('\n');
      return `${[header, ...rows.reverse()].join('\n')}\n`;
    };
    const text = async (name: string): Promise<string> => readFile(shop.file(name), 'utf8');
    const other = await makeShop({
      'shop.yaml': yaml,
      'items.csv': reversed(await text('items.csv')),
      'users.csv': reversed(await text('users.csv')),
    });
    const { manifest: _manifest, ...parts } = Object.fromEntries(
      Object.entries(await bytesOf((await buildPipeline(other.config)).directory)).map(([name, digest]) => [
        name.replace('.json', ''),
        digest,
      ]),
    );
    // The manifest holds the hash of the sources' bytes, which did change; nothing that was learnt from them did.
    for (const [name, digest] of Object.entries(parts)) expect([name, digest]).toEqual([name, first[name]]);
  }, 120_000);

  it('and another one when an option, the seed or the data change', async () => {
    for (const [from, to] of [
      ['lambda: 20', 'lambda: 21'],
      ['name: shop\n', 'name: shop\nseed: 8\n'],
    ] as const) {
      const other = await makeShop({ 'shop.yaml': edit(yaml, from, to) });
      expect((await buildPipeline(other.config)).snapshotId).not.toBe(snapshotId);
    }
  }, 120_000);
});

describe('the same request gives the same answer', () => {
  const requests = [
    { user: userId(1), purposes: ['personalisation'], limit: 10, explain: true },
    { user: userId(2), limit: 10, explain: true },
    {
      session: [
        { item: 'i03', type: 'view' },
        { item: 'i14', type: 'view' },
      ],
      limit: 10,
      diversity: 0.5,
    },
    { surface: 'product', item: 'i05', limit: 10, explain: true },
    { surface: 'search', text: 'tin heart', limit: 10 },
    {
      user: userId(3),
      purposes: ['personalisation'],
      limit: 5,
      filter: 'item.price < 20.0',
      boost: 'item.category == "garden" ? 1.0 : 0.0',
    },
  ];

  it('again, by another pipeline, alone or among others', async () => {
    const pipeline = await openPipeline(shop.config);
    const again = await openPipeline(shop.config);
    const answers = [];
    for (const request of requests) answers.push(comparable(await pipeline.recommend({ ...request, deadlineMs: 60_000 })));
    for (const [index, request] of requests.entries()) {
      expect(comparable(await pipeline.recommend({ ...request, deadlineMs: 60_000 }))).toEqual(answers[index]);
      expect(comparable(await again.recommend({ ...request, deadlineMs: 60_000 }))).toEqual(answers[index]);
    }
    const concurrent = await Promise.all(requests.map((request) => again.recommend({ ...request, deadlineMs: 60_000 })));
    expect(concurrent.map(comparable)).toEqual(answers);
    await pipeline.close();
    await again.close();
  }, 120_000);
});
