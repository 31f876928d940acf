/**
 * Protocol: label to picture on the held-out emoji of the image model, against the figure in its README
 */
import { readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { createInference, createModelFiles } from '@recloom/inference';
import { type ImageReader, imageReaderToken, inferenceToken, modelFilesToken, type RequestView } from '@recloom/plugin-api';
import imageClip from '@recloom/plugin-image-clip';
import { createTestHost, imageColumn } from '@recloom/testing';
import { heldOutConcepts, laidOut } from './picture-data.js';

/** R@10 in percent of the int8 file on 300 held-out Fluent emoji, and one standard error: packages/model-image-minilm-lite0/README.md. */
export const published = { recall: 55, standardError: 2.9 } as const;

const help = `Usage: npm run quality -- picture-search [options]

  --limit N   only the first N concepts
  --json      one JSON document instead of the table

Labels of heldout.json that Fluent Emoji 3D draws, one picture a concept; each label searches among all the pictures. R@k: how
many labels have fewer than k pictures nearer than their own. "laid out": cut to what is drawn and centred, as in the evaluation
of the model; "as they are": the files of the package.`;

/** What one way of showing the pictures gives. */
export interface PictureSearchResult {
  readonly pictures: 'laid out' | 'as they are';
  readonly concepts: number;
  /** Percent of the labels. */
  readonly recallAt1: number;
  readonly recallAt10: number;
  /** Percent of the pictures that, as a search of their own, find themselves first. */
  readonly itself: number;
}

/** Embeds labels and pictures with the default model of image-clip and looks how many labels find their own. */
export async function measurePictureSearch(
  pictures: PictureSearchResult['pictures'],
  limit = Number.POSITIVE_INFINITY,
): Promise<PictureSearchResult> {
  const concepts = heldOutConcepts().slice(0, limit);
  const images: ImageReader = { read: (reference) => (pictures === 'laid out' ? laidOut(reference) : readFile(reference)) };
  const inference = createInference({ workers: 2 });
  const host = createTestHost({
    provide: [
      [inferenceToken, inference],
      [modelFilesToken, createModelFiles({ directory: import.meta.dirname })],
      [imageReaderToken, images],
    ],
  });
  const [definition] = imageClip.components;
  if (definition === undefined) throw new Error('image-clip has no component');
  // A laid-out picture is a PNG, whatever its file is called.
  const clip = await host.open(definition, { options: { wrongExtension: 'accept' }, inputs: { image: 'item.photo' } });
  const signal = new AbortController().signal;
  const count = concepts.length;
  const block = () => ({ values: new Float32Array(count * clip.width), presence: new Uint8Array(count) });
  const [items, labels] = [block(), block()];
  const columns = { image: [imageColumn(concepts.map(({ picture }) => picture))] };
  await clip.extract({ scope: 'item', count, columns, rows: Int32Array.from(concepts.keys()), candidates: undefined, signal }, items);
  const requests = concepts.map(({ label }) => ({ text: label })) as Partial<RequestView>[] as RequestView[];
  await clip.extract({ scope: 'query', count, columns: {}, requests, rows: new Int32Array(0), candidates: undefined, signal }, labels);
  await clip.dispose?.();
  await inference.close();
  if (host.warnings.length > 0 || items.presence.includes(0) || labels.presence.includes(0))
    throw new Error('a picture or label was left out');
  const ranks = ranksOf(labels.values, items.values, clip.width);
  const itself = ranksOf(items.values, items.values, clip.width);
  const share = (list: readonly number[], below: number): number => (100 * list.filter((rank) => rank < below).length) / count;
  return { pictures, concepts: count, recallAt1: share(ranks, 1), recallAt10: share(ranks, 10), itself: share(itself, 1) };
}

/** Per row of the queries: how many items are nearer to it than the item of the same row. */
function ranksOf(queries: Float32Array, items: Float32Array, width: number): number[] {
  const count = queries.length / width;
  const dot = (query: number, item: number): number => {
    let sum = 0;
    for (let place = 0; place < width; place++) sum += (queries[query * width + place] ?? 0) * (items[item * width + place] ?? 0);
    return sum;
  };
  return Array.from({ length: count }, (_, row) => {
    const own = dot(row, row);
    return Array.from({ length: count }, (__, other) => dot(row, other)).filter((similarity) => similarity > own).length;
  });
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { limit: { type: 'string' }, json: { type: 'boolean' }, help: { type: 'boolean' } } });
  if (values.help) {
    console.log(help);
    return;
  }
  const limit = values.limit === undefined ? undefined : Number(values.limit);
  const results = [await measurePictureSearch('laid out', limit), await measurePictureSearch('as they are', limit)];
  if (values.json) {
    console.log(JSON.stringify({ published, results }, undefined, 2));
    return;
  }
  console.log(
    `pictures      concepts    R@1   R@10   itself first   (model's README: R@10 ${published.recall.toFixed(1)} ± ${published.standardError})`,
  );
  for (const { pictures, concepts, recallAt1, recallAt10, itself } of results) {
    const numbers = [
      concepts.toFixed(0).padStart(9),
      recallAt1.toFixed(1).padStart(6),
      recallAt10.toFixed(1).padStart(6),
      itself.toFixed(1).padStart(14),
    ];
    console.log(`${pictures.padEnd(12)} ${numbers.join(' ')}`);
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
