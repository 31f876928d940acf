import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Answer, datasetFromArrays, openPipeline, type Pipeline } from '@recloom/core';
import { createInference, createModelFiles } from '@recloom/inference';
import { inferenceToken, modelFilesToken } from '@recloom/plugin-api';
import imageClip from '@recloom/plugin-image-clip';
import vectorSearch from '@recloom/plugin-vector-search';
import { testPicture } from '@recloom/testing';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let folder = '';
let pipeline: Pipeline;
const inference = createInference();
const ids = (answer: Answer): readonly string[] => answer.items.map((item) => item.id);
const codes = (answer: Answer): readonly string[] => answer.warnings.map((warning) => warning.code);

/** Twelve different pictures; of number 3 a smaller copy and one with another compression; a broken one; an item without any. */
const config = () => ({
  format: '1.0',
  name: 'pictures',
  data: {},
  components: {
    image: { use: 'image-clip/embedding', in: { image: 'item.photo' } },
    alike: { use: 'vector-search/nearest', in: { vectors: ['image'] }, with: { minimumSimilarity: -1 } },
    twins: { use: 'vector-search/near-duplicates', in: { vectors: 'image' } },
  },
  surfaces: {
    product: { needs: ['item'], sources: { alike: 20 } },
    distinct: { needs: ['item'], sources: { alike: 20 }, rankers: ['twins'] },
    copies: { needs: ['item'], sources: { twins: 20 } },
    known: { needs: ['image'], sources: { twins: 20 } },
    search: { needs: ['text', 'image'], sources: { alike: 20 } },
  },
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'recloom-pictures-'));
  const photos: (string | null)[] = [];
  for (let seed = 0; seed < 12; seed++) {
    await writeFile(join(folder, `${seed}.png`), testPicture(seed, { width: 320, height: 300 }));
    photos.push(`${seed}.png`);
  }
  await writeFile(join(folder, 'small.webp'), await sharp(join(folder, '3.png')).resize(260).webp({ quality: 90 }).toBuffer());
  await writeFile(join(folder, 'other.jpg'), await sharp(join(folder, '3.png')).jpeg({ quality: 90 }).toBuffer());
  await writeFile(join(folder, 'broken.jpg'), 'no picture');
  photos.push('small.webp', 'other.jpg', 'broken.jpg', 'missing.png', null);
  const dataset = datasetFromArrays({
    items: photos.map((photo, row) => ({ id: `i${row}`, photo })),
    types: { items: { photo: 'image' } },
  });
  pipeline = await openPipeline(config(), {
    dataset,
    directory: folder,
    plugins: [imageClip, vectorSearch],
    provide: [
      [inferenceToken, inference],
      [modelFilesToken, createModelFiles({ directory: import.meta.dirname })],
    ],
  });
}, 60_000);
afterAll(async () => {
  await pipeline.close();
  await inference.close();
  await rm(folder, { recursive: true, force: true });
});

describe('a catalogue of pictures, from its files to the answer', () => {
  it('builds with broken and missing pictures, and says how many', () => {
    expect(pipeline.warnings.filter(({ code }) => code.startsWith('IMAGE_CLIP')).map(({ code, count }) => [code, count])).toEqual([
      ['IMAGE_CLIP_FORMAT', 1],
      ['IMAGE_CLIP_MISSING', 1],
    ]);
  });

  it('items like this picture: the copies first; an item without one is like nothing', async () => {
    const answer = await pipeline.recommend({ surface: 'product', item: 'i3', limit: 5, explain: true });
    expect(new Set(ids(answer).slice(0, 2))).toEqual(new Set(['i12', 'i13']));
    expect(ids(answer)).not.toContain('i3');
    expect(ids(await pipeline.recommend({ surface: 'product', item: 'i14', limit: 5 }))).toEqual([]);
    const all = ids(await pipeline.recommend({ surface: 'product', item: 'i3', limit: 50 }));
    for (const absent of ['i14', 'i15', 'i16']) expect(all).not.toContain(absent);
    expect(all).toHaveLength(13);
  });

  it('near duplicates: proposed for an item, found for a picture, and one of them in a list', async () => {
    expect(new Set(ids(await pipeline.recommend({ surface: 'copies', item: 'i3', limit: 5 })))).toEqual(new Set(['i12', 'i13']));
    expect(ids(await pipeline.recommend({ surface: 'copies', item: 'i5', limit: 5 }))).toEqual([]);
    const upload = await sharp(join(folder, '7.png')).resize(290).jpeg({ quality: 95 }).toBuffer();
    expect(ids(await pipeline.recommend({ surface: 'known', image: upload, limit: 5 }))).toEqual(['i7']);
    const stranger = testPicture(99, { width: 300, height: 300 });
    expect(ids(await pipeline.recommend({ surface: 'known', image: stranger, limit: 5 }))).toEqual([]);
    const list = ids(await pipeline.recommend({ surface: 'distinct', item: 'i0', limit: 50 }));
    // Twelve pictures besides its own are there, three of them the same.
    expect(list.filter((id) => ['i3', 'i12', 'i13'].includes(id))).toHaveLength(1);
    expect(list).toHaveLength(11);
  });

  it('a search by a picture, by words, by both with weights', async () => {
    const image = await readFile(join(folder, '9.png'));
    const byPicture = await pipeline.search({ image, limit: 20 });
    expect(ids(byPicture)[0]).toBe('i9');
    const byWords = ids(await pipeline.search({ text: 'a green square', limit: 20 }));
    expect(byWords).toHaveLength(14);
    const both = { text: 'a green square', image, limit: 20 };
    expect(ids(await pipeline.search({ ...both, queryWeights: { text: 1, image: 0 } }))).toEqual(byWords);
    expect(ids(await pipeline.search({ ...both, queryWeights: { text: 0, image: 1 } }))).toEqual(ids(byPicture));
    const mixed = await pipeline.search({ ...both, explain: true });
    expect(ids(mixed)).not.toEqual(byWords);
    expect(ids(mixed)[0]).toBe('i9');
    expect(codes(mixed)).toEqual(codes(byPicture));
  });

  it('a search whose picture cannot be read: a warning in that answer, and its words alone', async () => {
    const byWords = ids(await pipeline.search({ text: 'a green square', limit: 20 }));
    const broken = await pipeline.search({ text: 'a green square', image: testPicture(1).subarray(0, 60), limit: 20 });
    expect(ids(broken)).toEqual(byWords);
    expect(codes(broken)).toContain('IMAGE_CLIP_DAMAGED');
    const alone = await pipeline.search({ image: new TextEncoder().encode('\0\0\0\u0018ftypavis\0\0\0\0avismsf1'), limit: 20 });
    expect(ids(alone)).toEqual([]);
    expect(codes(alone)).toContain('IMAGE_CLIP_ANIMATED');
  });
});
