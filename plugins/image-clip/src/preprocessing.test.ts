import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { channelTables, parsePreprocessing, pixelTensor, readPreprocessing, writePlanes } from './preprocessing.js';
import { imageModel } from './test-clip.test-support.js';
import { Turns } from './turns.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'recloom-preprocessing-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('preprocessor_config.json', () => {
  it('of the default model: short side 256 by Lanczos, the middle 224, from -1 to 1', async () => {
    expect(await readPreprocessing(imageModel)).toEqual({
      resize: { shortestEdge: 256 },
      filter: 'lanczos3',
      cropWidth: 224,
      cropHeight: 224,
      rescale: 1 / 255,
      mean: [0.5, 0.5, 0.5],
      deviation: [0.5, 0.5, 0.5],
    });
  });

  it("leaves CLIP's own where it says nothing (openai/clip-vit-base-patch32)", () => {
    const settings = parsePreprocessing({});
    expect(settings).toMatchObject({ resize: { shortestEdge: 224 }, filter: 'cubic', cropWidth: 224, cropHeight: 224 });
    expect(settings.mean).toEqual([0.48145466, 0.4578275, 0.40821073]);
    expect(settings.deviation).toEqual([0.26862954, 0.26130258, 0.27577711]);
  });

  it('in every form that is about: numbers, edges, both sides, without a crop', () => {
    expect(parsePreprocessing({ size: 336, crop_size: 336, resample: 2 })).toMatchObject({
      resize: { shortestEdge: 336 },
      cropWidth: 336,
      filter: 'linear',
    });
    expect(parsePreprocessing({ size: { shortest_edge: 256 }, crop_size: { height: 224, width: 200 } })).toMatchObject({
      resize: { shortestEdge: 256 },
      cropWidth: 200,
      cropHeight: 224,
    });
    // SigLIP: both sides, no word of a crop.
    expect(parsePreprocessing({ size: { height: 384, width: 384 }, do_normalize: false, do_rescale: false, resample: 0 })).toEqual({
      resize: { width: 384, height: 384 },
      filter: 'nearest',
      cropWidth: 384,
      cropHeight: 384,
      rescale: 1,
      mean: [0, 0, 0],
      deviation: [1, 1, 1],
    });
  });

  it.each([
    ['no resize', { do_resize: false }],
    ['padding', { do_pad: true }],
    ['a filter that sharp lacks', { resample: 5 }],
    ['a crop beyond the picture', { size: 224, crop_size: 256 }],
    ['neither crop nor both sides', { size: { shortest_edge: 224 }, do_center_crop: false }],
    ['a size of zero', { size: 0 }],
    ['an immense size', { size: 100_000 }],
    ['one side only', { size: { width: 224 } }],
    ['a size that is a text', { size: '224' }],
    ['two means', { image_mean: [0.5, 0.5] }],
    ['a deviation of zero', { image_std: [0.5, 0, 0.5] }],
    ['a factor below zero', { rescale_factor: -1 }],
  ])('is refused when it asks for %s', (_, config) => {
    expect(() => parsePreprocessing(config)).toThrow(expect.objectContaining({ code: 'IMAGE_CLIP_PREPROCESSING' }) as Error);
  });

  it('is refused when it is missing, no JSON, or no object', async () => {
    await expect(readPreprocessing(folder)).rejects.toMatchObject({ code: 'IMAGE_CLIP_PREPROCESSING' });
    await writeFile(join(folder, 'preprocessor_config.json'), 'no JSON');
    await expect(readPreprocessing(folder)).rejects.toMatchObject({ code: 'RECLOOM_DAT_MODEL_INVALID' });
    await writeFile(join(folder, 'preprocessor_config.json'), 'null');
    await expect(readPreprocessing(folder)).rejects.toMatchObject({ code: 'IMAGE_CLIP_PREPROCESSING' });
  });
});

describe('the tensor', () => {
  it('holds planes of one channel each: (value × rescale − mean) / deviation', async () => {
    const settings = { ...parsePreprocessing({ image_mean: [0.5, 0, 1], image_std: [0.5, 1, 2] }), cropWidth: 2, cropHeight: 1 };
    const pictures = [Uint8Array.of(0, 51, 255, 255, 102, 0), Uint8Array.of(255, 255, 255, 0, 0, 0)].map((pixels) => {
      const planes = new Float32Array(6);
      writePlanes(pixels, channelTables(settings), planes);
      return planes;
    });
    const memory = (bytes: number): ArrayBuffer => new ArrayBuffer(bytes + 64);
    const { type, dims, data } = await pixelTensor(pictures, settings, new Turns(), memory);
    expect([type, dims]).toEqual(['float32', [2, 3, 1, 2]]);
    const expected = [-1, 1, 0.2, 0.4, 0, -0.5, 1, -1, 1, 0, 0, -0.5];
    expect(data).toHaveLength(expected.length);
    expected.forEach((value, place) => expect(Number(data[place])).toBeCloseTo(value, 6));
  });

  it('of one picture is that picture, not copied', async () => {
    const settings = { ...parsePreprocessing({}), cropWidth: 2, cropHeight: 1 };
    const planes = Float32Array.of(1, 2, 3, 4, 5, 6);
    const memory = (): never => {
      throw new Error('no memory is needed');
    };
    expect(await pixelTensor([planes], settings, new Turns(), memory)).toEqual({ type: 'float32', dims: [1, 3, 1, 2], data: planes });
  });
});
