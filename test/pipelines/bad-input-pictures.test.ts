// Hostile, broken and odd pictures, from files on disk to the answer: one row of the table, one test. All of them are items
// of one shop, which is built once.
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { type BuildReport, buildPipeline, openPipeline, type Pipeline } from '@recloom/core';
import type { Warning } from '@recloom/plugin-api';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { badInput, codesOf, expectReadableWarning } from './support/bad-input.js';
import { apple, pictureFiles } from './support/hostile-pictures.js';
import { canary, makeShop, type ShopFolder } from './support/shop-folder.js';

const yaml = `format: "1.0"
name: shop
data:
  events: { use: data-duckdb/events, with: { path: events.csv, user: user, item: item, time: time, type: kind } }
  items: { use: data-duckdb/items, with: { path: items.csv, id: sku, fields: { title: text, photo: image } } }
  now: data
components:
  popular: { use: popularity/popular }
  words: { use: keyword-search/bm25, in: { text: item.title } }
  image: { use: image-clip/embedding, in: { image: item.photo }, with: { maximumBytes: 1000000 } }
  alike: { use: vector-search/nearest, in: { vectors: image }, with: { mode: query } }
surfaces:
  home: { sources: { popular: 200 } }
  search: { needs: [text, image], sources: { alike: 200, words: 20 } }
`;

/** References that are no plain file of the shop's folder. */
const references = [
  'nowhere.png',
  '../outside.png',
  '/etc/hostname',
  'link.png',
  'folder.png',
  'https://pictures.example/apple.png',
  'http://localhost/apple.png',
  'file:///etc/hostname',
  'data:image/jpeg;base64,PNG',
  'data:image/png;base64,PNG',
];

let shop: ShopFolder;
let report: BuildReport;
let pipeline: Pipeline;
/** Item id by name of file or reference. */
const idOf = new Map<string, string>();

beforeAll(async () => {
  const outside = await makeShop({ 'apple.png': await apple().png().toBuffer() }, { keep: true });
  shop = await makeShop({ 'shop.yaml': yaml }, { keep: true });
  for (const [name, make] of Object.entries(pictureFiles)) await shop.write(name, await make());
  await mkdir(shop.file('folder.png'));
  await symlink(outside.file('apple.png'), shop.file('link.png'));
  const base64 = (await apple().png().toBuffer()).toString('base64');
  const rows = [...Object.keys(pictureFiles), ...references].map((reference, index) => {
    // A thing's title has the canary: no warning about its picture may quote it.
    const id = `p${String(index).padStart(2, '0')}`;
    idOf.set(reference, id);
    return `${id},${canary} thing ${index},"${reference.replace('base64,PNG', `base64,${base64}`)}"`;
  });
  await writeFile(shop.file('items.csv'), `sku,title,photo\n${rows.join('\n')}\n`);
  const events = [...idOf.values()].map((id, index) => `u${index % 5},${id},2024-01-0${(index % 7) + 1}T00:00:00,purchase`);
  await writeFile(shop.file('events.csv'), `user,item,time,kind\n${events.join('\n')}\n`);
  report = await buildPipeline(shop.config);
  pipeline = await openPipeline(shop.config);
  await outside.remove();
}, 120_000);
afterAll(async () => {
  await pipeline.close();
  await shop.remove();
});

/** The vector of an item's picture; undefined when it has none. */
function vectorOf(name: string): Float32Array | undefined {
  const row = pipeline.engine.items.rowOf(idOf.get(name) as string);
  expect(row).toBeGreaterThanOrEqual(0);
  const { values, presence, width } = pipeline.engine.features.get('image') as NonNullable<
    ReturnType<Pipeline['engine']['features']['get']>
  >;
  const vector = values.subarray(row * width, (row + 1) * width);
  if (presence[row] === 1) return vector;
  // What is missing is no picture that is like nothing: it is told by the mask alone.
  expect(vector.every((value) => value === 0)).toBe(true);
  return undefined;
}

/** They have no picture, the build's one warning of this reason counts them, and the items are there all the same. */
async function leftOut(code: string, ...names: string[]): Promise<void> {
  const warnings = report.warnings.filter((warning) => warning.code === code);
  expect(warnings).toHaveLength(1);
  const [warning] = warnings as [Warning];
  expectReadableWarning(warning);
  expect(warning.at).toMatchObject({ node: 'image', component: 'image-clip/embedding' });
  const rows = (warning.detail as { rows: readonly number[] }).rows;
  for (const name of names) {
    expect([name, vectorOf(name)]).toEqual([name, undefined]);
    expect([name, rows.includes(pipeline.engine.items.rowOf(idOf.get(name) as string))]).toEqual([name, true]);
    expect(JSON.stringify(warning)).not.toContain(name);
  }
  expect(warning.count).toBeGreaterThanOrEqual(names.length);
  const { items } = await pipeline.recommend({ limit: 100 });
  const shown = new Set(items.map((item) => item.id));
  for (const name of names) expect([name, shown.has(idOf.get(name) as string)]).toEqual([name, true]);
}

function cosine(left: Float32Array | undefined, right: Float32Array | undefined): number {
  return (left as Float32Array).reduce((sum, value, place) => sum + value * ((right as Float32Array)[place] as number), 0);
}

/** It looks like the apple, and not like the waves. */
function seenAsApple(least: number, ...names: string[]): void {
  const wanted = vectorOf('apple.png');
  expect(cosine(wanted, vectorOf('waves.png'))).toBeLessThan(0.7);
  for (const name of names) expect([name, cosine(vectorOf(name), wanted) > least]).toEqual([name, true]);
}

describe('pictures', () => {
  badInput('picture-missing', (code) => leftOut(code, 'nowhere.png'));
  badInput('picture-outside', (code) => leftOut(code, '../outside.png', '/etc/hostname', 'link.png'));
  badInput('picture-remote', (code) =>
    leftOut(code, 'https://pictures.example/apple.png', 'http://localhost/apple.png', 'file:///etc/hostname'),
  );
  badInput('picture-folder', (code) => leftOut(code, 'folder.png'));
  badInput('picture-empty', (code) => leftOut(code, 'empty.png'));
  badInput('picture-one-byte', (code) => leftOut(code, 'one-byte.jpg'));
  badInput('picture-header-only', (code) => leftOut(code, 'header-only.png', 'start-of-webp.webp'));
  badInput('picture-cut-jpeg', (code) => leftOut(code, 'cut.jpg'));
  badInput('picture-cut-png', (code) => leftOut(code, 'cut.png'));
  badInput('picture-cut-webp', (code) => leftOut(code, 'cut.webp'));
  badInput('picture-cut-avif', (code) => leftOut(code, 'cut.avif'));
  badInput('picture-cut-gif', (code) => leftOut(code, 'cut.gif'));
  badInput('picture-scratched', (code) => leftOut(code, 'scratched.jpg', 'scratched.png'));
  badInput('picture-bomb', (code) => leftOut(code, 'bomb.png'));
  badInput('picture-huge-without-content', (code) => leftOut(code, 'huge-empty.png'));
  badInput('picture-huge-frame', (code) => leftOut(code, 'huge-frame.gif'));
  badInput('picture-huge-header', (code) => leftOut(code, 'huge-header.jpg'));
  badInput('picture-less-than-promised', (code) => leftOut(code, 'less-than-promised.png'));
  badInput('picture-animated-webp', (code) => leftOut(code, 'moving.webp'));
  badInput('picture-animated-png', (code) => leftOut(code, 'moving.png'));
  badInput('picture-animated-avif', (code) => leftOut(code, 'moving.avif'));
  badInput('picture-web-page', (code) => leftOut(code, 'page.jpg'));
  badInput('picture-svg', (code) => leftOut(code, 'vector.svg', 'vector.png'));
  badInput('picture-tiff', (code) => leftOut(code, 'scan.tiff', 'scan.jpg'));
  badInput('picture-heic', (code) => leftOut(code, 'telephone.heic', 'telephone.avif', 'film.mp4'));
  badInput('picture-other-files', (code) => leftOut(code, 'paper.pdf', 'old.bmp', 'new.jxl', 'archive.png'));
  badInput('picture-two-in-one', (code) => leftOut(code, 'jpeg-then-svg.jpg'));
  badInput('picture-lying-name', (code) => leftOut(code, 'really-png.jpg', 'really-jpeg.png'));
  badInput('picture-lying-media-type', async (code) => {
    await leftOut(code, 'data:image/jpeg;base64,PNG');
    seenAsApple(0.999, 'data:image/png;base64,PNG');
  });
  badInput('picture-too-many-bytes', (code) => leftOut(code, 'heavy.png'));

  badInput('picture-print', () => seenAsApple(0.9, 'print.jpg', 'print-plain.jpg'));
  badInput('picture-many-colours', () => seenAsApple(0.99, 'sixteen-bits.png', 'wide-gamut.png'));
  badInput('picture-few-colours', () => seenAsApple(0.97, 'palette.png', 'interlaced.png'));
  badInput('picture-transparent', () => seenAsApple(0.97, 'transparent.png'));
  badInput('picture-turned', () => seenAsApple(0.97, 'turned.jpg'));
  badInput('picture-animated-gif', () => seenAsApple(0.9, 'first-frame.gif', 'huge-screen.gif'));
  badInput('picture-without-extension', () => seenAsApple(0.999, 'no-extension'));
  badInput('picture-odd-sizes', () => {
    for (const name of ['one-pixel.png', 'narrow.png'])
      expect([name, cosine(vectorOf(name), vectorOf(name)).toFixed(3)]).toEqual([name, '1.000']);
  });

  badInput('picture-in-a-search', async (code) => {
    const broken = (await pictureFiles['cut.jpg']?.()) as Uint8Array;
    const words = await pipeline.search({ text: 'thing', limit: 10 });
    const both = await pipeline.search({ text: 'thing', image: broken, limit: 10 });
    expect(both.items.map(({ id }) => id)).toEqual(words.items.map(({ id }) => id));
    expect(codesOf(both.warnings)).toEqual([code]);
    expectReadableWarning(both.warnings[0] as Warning);
    const alone = await pipeline.search({ image: broken, limit: 10 });
    expect(alone.items).toEqual([]);
    expect(codesOf(alone.warnings)).toContain(code);
    // A whole one is understood, and says nothing.
    const whole = await pipeline.search({ image: await apple().webp({ lossless: true }).toBuffer(), limit: 3 });
    expect(whole.warnings).toEqual([]);
    expect(whole.items.map(({ id }) => id)).toContain(idOf.get('apple.png'));
  });

  badInput('picture-in-a-search-refused', async (code) => {
    const { items, warnings } = await pipeline.search({ text: 'thing', image: '/etc/hostname', limit: 10 });
    expect(items).toHaveLength(10);
    expect(codesOf(warnings)).toEqual([code]);
  });

  badInput('picture-of-a-new-item', async (code) => {
    const broken = (await pictureFiles['cut.png']?.()) as Uint8Array;
    await pipeline.upsertItems([
      { id: 'new', title: 'marzipan', photo: broken },
      { id: 'newer', title: 'marzipan', photo: await apple().png().toBuffer() },
    ]);
    const row = pipeline.engine.items.rowOf('new');
    expect(pipeline.warnings).toMatchObject([{ code, count: 1, detail: { rows: [row] }, at: { node: 'image' } }]);
    expectReadableWarning(pipeline.warnings[0] as Warning);
    idOf.set('new', 'new').set('newer', 'newer');
    expect(vectorOf('new')).toBeUndefined();
    seenAsApple(0.999, 'newer');
    idOf.delete('new');
    idOf.delete('newer');
    expect((await pipeline.search({ text: 'marzipan', limit: 3 })).items.map(({ id }) => id)).toEqual(
      expect.arrayContaining(['new', 'newer']),
    );
  });

  badInput('picture-all-at-once', () => {
    // One warning for each reason, however many pictures there are; the numbers add up to what has no vector.
    const warnings = report.warnings.filter((warning) => warning.code.startsWith('IMAGE_CLIP_'));
    expect(new Set(codesOf(warnings)).size).toBe(warnings.length);
    const missing = [...idOf.keys()].filter((name) => vectorOf(name) === undefined).length;
    expect(missing).toBeGreaterThan(40);
    expect(warnings.reduce((sum, { count }) => sum + (count as number), 0)).toBe(missing);
    expect(JSON.stringify(report.warnings)).not.toContain(canary);
  });
});
