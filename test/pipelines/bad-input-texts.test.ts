// Odd texts, as titles of items and as searches, through the encoder that ships: one row of the table, one test.
import { writeFile } from 'node:fs/promises';
import { type Answer, type BuildReport, buildPipeline, openPipeline, type Pipeline } from '@recloom/core';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { badInput, codesOf } from './support/bad-input.js';
import { makeShop, type ShopFolder } from './support/shop-folder.js';

const yaml = `format: "1.0"
name: shop
data:
  events: { use: data-duckdb/events, with: { path: events.csv, user: user, item: item, time: time, type: kind } }
  items: { use: data-duckdb/items, with: { path: items.json, id: id, fields: { title: text } } }
  now: data
components:
  popular: { use: popularity/popular }
  text: { use: text-bert/embedding, in: { text: item.title } }
  alike: { use: vector-search/nearest, in: { vectors: text } }
surfaces:
  home: { sources: { popular: 200 } }
  search: { needs: [text], sources: { alike: 20 } }
`;

const megabyte = 'a red woollen scarf '.repeat(55_000);
const titles: Readonly<Record<string, string | null>> = {
  scarf: 'a red woollen scarf',
  mug: 'a tea mug',
  long: megabyte,
  word: 'x'.repeat(1_000_000),
  empty: '',
  blank: ' \t\n \u00a0\u3000 ',
  none: null,
  emoji: '🧣',
  rainbow: '🏳️‍🌈👩‍👩‍👧‍👦',
  chinese: '红色羊毛围巾',
  mixed: '茶 mug',
  arabic: 'وشاح أحمر',
  controls: 'a red\u0000 wool\u0007len \u001bscarf\u007f',
  onlyControls: '\u0001\u0002\u0007\u001b\u200b',
  backwards: 'a tea mug \u202efracs\u202c',
  markup: '<script>alert(1)</script> {"$ne": null}; DROP TABLE items; --',
};

let shop: ShopFolder;
let report: BuildReport;
let pipeline: Pipeline;
beforeAll(async () => {
  shop = await makeShop({ 'shop.yaml': yaml }, { keep: true });
  const items = Object.entries(titles).map(([id, title]) => JSON.stringify({ id, title }));
  await writeFile(shop.file('items.json'), `${items.join('\n')}\n`);
  const events = Object.keys(titles).map((id, index) => `u${index % 3},${id},2024-01-0${(index % 7) + 1}T00:00:00,purchase`);
  await writeFile(shop.file('events.csv'), `user,item,time,kind\n${events.join('\n')}\n`);
  report = await buildPipeline(shop.config);
  pipeline = await openPipeline(shop.config);
}, 120_000);
afterAll(async () => {
  await pipeline.close();
  await shop.remove();
});

const ids = (answer: Answer): string[] => answer.items.map((item) => item.id);

/** The vector of an item's title, of length 1; undefined when it has none. */
function vectorOf(id: string): Float32Array | undefined {
  const row = pipeline.engine.items.rowOf(id);
  expect(row).toBeGreaterThanOrEqual(0);
  const { values, presence, width } = pipeline.engine.features.get('text') as NonNullable<
    ReturnType<Pipeline['engine']['features']['get']>
  >;
  const vector = values.subarray(row * width, (row + 1) * width);
  const length = Math.hypot(...vector);
  expect([id, length.toFixed(3)]).toEqual([id, presence[row] === 1 ? '1.000' : '0.000']);
  return presence[row] === 1 ? vector : undefined;
}

function cosine(left: string, right: string): number {
  const other = vectorOf(right) as Float32Array;
  return (vectorOf(left) as Float32Array).reduce((sum, value, place) => sum + value * (other[place] as number), 0);
}

/** Whether a search by words answers, and how it begins. */
async function search(text: string): Promise<Answer> {
  const answer = await pipeline.search({ text, limit: 10 });
  for (const { value } of answer.items) expect(Number.isFinite(value)).toBe(true);
  return answer;
}

describe('texts', () => {
  badInput('text-megabyte', async (code) => {
    // It is cut at 256 tokens: fifty times the same sentence, which is still about scarves.
    expect(cosine('long', 'scarf')).toBeGreaterThan(cosine('long', 'mug') + 0.2);
    expect(vectorOf('word')).toBeDefined();
    const answer = await search(megabyte);
    expect(codesOf(answer.warnings)).toEqual([code]);
    expect(ids(answer).slice(0, 3)).toEqual(expect.arrayContaining(['long', 'scarf']));
  });

  badInput('text-empty', async (code) => {
    expect(['empty', 'blank', 'none'].map(vectorOf)).toEqual([undefined, undefined, undefined]);
    // They are items like any other, for everything that does not read titles.
    const all = ids(await pipeline.recommend({ surface: 'home', limit: 50 }));
    expect(all).toEqual(expect.arrayContaining(['empty', 'blank', 'none']));
    expect(ids(await search('scarf'))).not.toEqual(expect.arrayContaining(['empty']));
    for (const text of ['', '   ']) {
      const { items, warnings } = await search(text);
      expect(items).toEqual([]);
      expect(codesOf(warnings)).toEqual([code]);
    }
  });

  badInput('text-emoji', async () => {
    for (const id of ['emoji', 'rainbow']) expect(vectorOf(id)).toBeDefined();
    const { warnings, items } = await search('🧣🏳️‍🌈');
    expect(warnings).toEqual([]);
    expect(items).toHaveLength(10);
  });

  badInput('text-other-scripts', async () => {
    for (const id of ['chinese', 'arabic']) expect(vectorOf(id)).toBeDefined();
    // What the model knows of a mixed text still counts.
    expect(cosine('mixed', 'mug')).toBeGreaterThan(cosine('mixed', 'scarf'));
    expect(ids(await search('红色羊毛围巾'))[0]).toBe('chinese');
  });

  badInput('text-control-characters', async () => {
    // The vocabulary of BERT drops them: what is left is the title itself.
    expect(cosine('controls', 'scarf')).toBeGreaterThan(0.999);
    expect(vectorOf('onlyControls')).toBeUndefined();
    expect(ids(await search('a red\u0000 wool\u0007len scarf'))).toEqual(ids(await search('a red woollen scarf')));
    expect((await search('\u0001\u0007')).items).toEqual([]);
  });

  badInput('text-half-a-character', async () => {
    // No file can hold it; a program can hand it in.
    await pipeline.upsertItems([{ id: 'half', title: 'a tea mug \ud83e' }]);
    expect(cosine('half', 'mug')).toBeGreaterThan(0.7);
    expect(ids(await search('a tea mug \ud83e'))[0]).toMatch(/^(half|mug)$/);
    expect(vectorOf('backwards')).toBeDefined();
  });

  badInput('text-markup', async () => {
    expect(vectorOf('markup')).toBeDefined();
    expect(ids(await search(titles['markup'] as string))[0]).toBe('markup');
  });

  badInput('text-all-at-once', () => {
    expect(report.warnings.filter((warning) => warning.at?.node === 'text')).toEqual([]);
    expect(report.counts.items).toBe(Object.keys(titles).length);
  });
});
