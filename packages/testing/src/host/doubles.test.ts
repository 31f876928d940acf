import { createHash } from 'node:crypto';
import { inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { fakeInference, watchInference } from './inference.js';
import { brokenPictures, pictureReader, testPicture } from './pictures.js';

const limits = { maximumBytes: 1_000_000 };
const signal = new AbortController().signal;
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe('testPicture', () => {
  it('is a PNG whose lines unpack to width × height RGB pixels', () => {
    const png = Buffer.from(testPicture(1, { width: 6, height: 4 }));
    expect(png.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n');
    expect([png.readUInt32BE(16), png.readUInt32BE(20), png[24], png[25]]).toEqual([6, 4, 8, 2]);
    const start = png.indexOf('IDAT') + 4;
    const lines = inflateSync(png.subarray(start, start + png.readUInt32BE(start - 8)));
    expect(lines.byteLength).toBe(4 * (1 + 6 * 3));
    expect([0, 19, 38, 57].map((at) => lines[at])).toEqual([0, 0, 0, 0]);
  });

  it('is the same for a seed and another for another', () => {
    expect(sha256(testPicture(3))).toBe(sha256(testPicture(3)));
    expect(new Set([1, 2, 3, 4].map((seed) => sha256(testPicture(seed)))).size).toBe(4);
  });
});

describe('pictureReader', () => {
  it('reads its own references, data URIs and what it was given', async () => {
    const reader = pictureReader({ 'shelf/1': Uint8Array.of(1, 2) });
    expect(sha256(await reader.read('picture:5', limits, signal))).toBe(sha256(testPicture(5)));
    expect([...(await reader.read('shelf/1', limits, signal))]).toEqual([1, 2]);
    expect([...(await reader.read('data:image/png;base64,AQID', limits, signal))]).toEqual([1, 2, 3]);
    expect(await reader.read('broken:truncated', limits, signal)).toEqual(brokenPictures()['truncated']);
    expect(reader.reads).toBe(4);
  });

  it.each([
    ['missing:1', 'RECLOOM_DAT_IMAGE_MISSING'],
    ['broken:toString', 'RECLOOM_DAT_IMAGE_MISSING'],
    ['refused:1', 'RECLOOM_DAT_IMAGE_REFUSED'],
    ['failing:1', undefined],
  ])('%s fails with %s', async (reference, code) => {
    await expect(pictureReader().read(reference, limits, signal)).rejects.toMatchObject(code === undefined ? { name: 'Error' } : { code });
  });

  it('keeps limits and signals', async () => {
    const reader = pictureReader();
    await expect(reader.read('picture:1', { maximumBytes: 5 }, signal)).rejects.toMatchObject({ code: 'RECLOOM_DAT_IMAGE_TOO_LARGE' });
    await expect(reader.read('picture:1', limits, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  });
});

describe('watchInference', () => {
  const double = fakeInference({
    run: ({ x }) => ({ y: { type: 'float32', dims: [1], data: Float32Array.of(2 * (x?.data[0] as number)) } }),
  });
  const x = { type: 'float32', dims: [1], data: Float32Array.of(4) } as const;

  it('counts sessions and runs, and passes results on', async () => {
    const watched = watchInference(double);
    const session = await watched.load({ file: '/models/a.onnx', sha256: 'ab', expects: { inputs: { x: { type: 'float32' } } } });
    expect(session.inputs).toEqual([{ name: 'x', type: 'float32', dims: [-1, -1] }]);
    expect((await session.run({ x }))['y']?.data[0]).toBe(8);
    await session.close();
    await session.close();
    expect([watched.opened, watched.closed, watched.runs]).toEqual([1, 1, 1]);
    expect(watched.sessions).toMatchObject([{ file: '/models/a.onnx', sha256: 'ab', provider: 'cpu' }]);
    await expect(session.run({ x })).rejects.toThrow('closed');
  });

  it('lets a test stand in between', async () => {
    const watched = watchInference(double);
    const session = await watched.load({ file: 'a' });
    watched.intercept = () => Promise.reject(new Error('dead'));
    await expect(session.run({ x })).rejects.toThrow('dead');
    watched.intercept = undefined;
    expect((await session.run({ x }))['y']?.data[0]).toBe(8);
    await expect(session.run({ x }, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
  });
});
