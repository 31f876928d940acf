import { createInference } from '@recloom/inference';
import { type Inference, recloomError } from '@recloom/plugin-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BackgroundDecoder, type DecoderLimits, type TakeMemory } from './background-decoder.js';
import { parsePreprocessing } from './preprocessing.js';
import { paint, running } from './test-clip.test-support.js';

const inference = createInference();
afterAll(() => inference.close());
/** A service without a background thread. */
const without: Inference = { load: (request, signal) => inference.load(request, signal) };

const preprocessing = parsePreprocessing({ size: 8, crop_size: 4, image_mean: [0, 0, 0], image_std: [1, 1, 1] });
const limits: DecoderLimits = {
  maximumPixels: 1_000_000,
  maximumBytes: 1_000_000,
  timeoutMs: 10_000,
  damaged: 'refuse',
  parallelDecodes: 2,
  blockLoaders: true,
};
const shared: TakeMemory = (byteLength) => new SharedArrayBuffer(byteLength + 64);
const own: TakeMemory = (byteLength) => new ArrayBuffer(byteLength + 64);

let orange = Buffer.alloc(0);
/** Grain that no codec can compress away: more bytes than a message copies. */
let large = Buffer.alloc(0);
beforeAll(async () => {
  orange = await paint(16, 8, () => [255, 102, 0])
    .png()
    .toBuffer();
  large = await paint(300, 300, (x, y) => [(x * 7919 + y * 104_729) % 251, (x * x + y) % 241, (x + y * y) % 239])
    .png()
    .toBuffer();
});

describe('a decoder in the background', () => {
  it.each([
    ['on a thread, in memory that both see', inference, shared],
    ['on a thread, in memory of its own', inference, own],
    ['here, where the service has no thread', without, own],
  ])('gives %s the planes of a picture', async (_, service, takeMemory) => {
    const decoder = await BackgroundDecoder.open(service, limits, preprocessing);
    const planes = await decoder.decode(orange, takeMemory, running);
    expect(planes).toHaveLength(3 * 4 * 4);
    expect([...planes].map((value) => Math.round(255 * value))).toEqual(
      [255, 102, 0].flatMap((value) => Array.from({ length: 16 }, () => value)),
    );
    await decoder.close();
  });

  it('gives the same for many bytes, which travel in shared memory, and leaves them as they are', async () => {
    expect(large.length).toBeGreaterThan(1 << 16);
    const before = Buffer.from(large);
    const [there, here] = await Promise.all([inference, without].map((service) => BackgroundDecoder.open(service, limits, preprocessing)));
    const expected = await here?.decode(large, own, running);
    // More at once than may be decoded at once, so that memory is used again.
    const found = await Promise.all(Array.from({ length: 6 }, () => there?.decode(large, shared, running)));
    for (const planes of found) expect([...(planes ?? [])]).toEqual([...(expected ?? [])]);
    expect(large.equals(before)).toBe(true);
    await Promise.all([there?.close(), here?.close()]);
  });

  it('says what is wrong with a picture, and goes on with the next', async () => {
    const decoder = await BackgroundDecoder.open(inference, limits, preprocessing);
    const cut = large.subarray(0, large.length / 2);
    const outcomes = await Promise.allSettled([
      decoder.decode(cut, shared, running),
      decoder.decode(new Uint8Array(0), shared, running),
      decoder.decode(new Uint8Array(1_000_001), shared, running),
      decoder.decode(orange, shared, running),
    ]);
    expect(outcomes.map((outcome) => (outcome.status === 'rejected' ? (outcome.reason as { fault?: string }).fault : 'fine'))).toEqual([
      'damaged',
      'empty',
      'tooManyBytes',
      'fine',
    ]);
    await decoder.close();
  });

  it('answers an aborted caller at once and one that waits too long with a fault', async () => {
    const hanging: Inference = {
      ...without,
      background: async () => ({ call: () => new Promise(() => {}), close: async () => {} }),
    };
    const decoder = await BackgroundDecoder.open(hanging, { ...limits, timeoutMs: 5 }, preprocessing);
    const controller = new AbortController();
    const aborted = decoder.decode(orange, shared, controller.signal);
    controller.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    await expect(decoder.decode(orange, shared, running)).rejects.toMatchObject({ fault: 'timeout' });
  });

  it('tries once more when the thread died, and only then', async () => {
    for (const [code, attempts] of [
      ['RECLOOM_RUN_WORKER_DIED', 2],
      ['RECLOOM_RUN_CLOSED', 1],
    ] as const) {
      let calls = 0;
      const service: Inference = {
        ...without,
        background: async () => ({
          call: () => {
            calls++;
            return Promise.reject(code === 'RECLOOM_RUN_CLOSED' ? recloomError(code, {}) : recloomError(code, { what: 'a test' }));
          },
          close: async () => {},
        }),
      };
      const decoder = await BackgroundDecoder.open(service, limits, preprocessing);
      await expect(decoder.decode(orange, shared, running)).rejects.toMatchObject({ code });
      expect(calls).toBe(attempts);
    }
  });
});
