import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { createMemoryKeyValueStore } from '@recloom/inference';
import { type ImageReader, recloomError, type Warning } from '@recloom/plugin-api';
import sharp, { type Sharp } from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { embedItems, embedQueries, openClip, paint } from './test-clip.test-support.js';
import { colours, fakeInference } from './test-inference.test-support.js';

let folder = '';
const files: ImageReader = {
  read: async (reference) => {
    if (reference.startsWith('data:')) return Buffer.from(reference.slice(reference.indexOf(',') + 1), 'base64');
    try {
      return await readFile(join(folder, reference));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw recloomError('RECLOOM_DAT_IMAGE_MISSING', {});
      throw error;
    }
  },
};

type Colour = readonly [number, number, number];
const red: Colour = [255, 0, 0];
const green: Colour = [0, 160, 0];
const blue: Colour = [0, 0, 255];
const white: Colour = [255, 255, 255];

/** Red, green / blue, white: each quadrant tells where it ended up. */
const flag = (width = 320, height = 240): Sharp =>
  paint(width, height, (x, y) => (y < height / 2 ? (x < width / 2 ? red : green) : x < width / 2 ? blue : white));
/** Grain that no codec can compress away. */
const noise = (width: number, height: number): Sharp =>
  paint(width, height, (x, y) => [(x * 7919 + y * 104_729) % 251, (x * x + y) % 241, (x + y * y) % 239]);

/** CRC-32 of the PNG specification, annex D; zlib's own came with Node 20.15. */
function checksum(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
function pngChunk(kind: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(kind, 'latin1'), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const check = Buffer.alloc(4);
  check.writeUInt32BE(checksum(body));
  return Buffer.concat([length, body, check]);
}
function pngOf(width: number, height: number, bits: number, content: Uint8Array, ...before: Buffer[]): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = bits;
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, pngChunk('IHDR', header), ...before, pngChunk('IDAT', content), pngChunk('IEND', new Uint8Array(0))]);
}
const frames = async (): Promise<Sharp> => {
  const shades = await Promise.all([flag(), paint(320, 240, () => blue)].map((picture) => picture.png().toBuffer()));
  return sharp(shades, { join: { animated: true } });
};
const boxes = (brand: string, ...compatible: string[]): Buffer => {
  const body = Buffer.from(`ftyp${brand}\0\0\0\0${compatible.join('')}`, 'latin1');
  const size = Buffer.alloc(4);
  size.writeUInt32BE(body.length + 4);
  return Buffer.concat([size, body, Buffer.alloc(64)]);
};
const half = (bytes: Buffer): Buffer => bytes.subarray(0, Math.floor(bytes.length / 2));
/** Overwrites a third, in the middle unless told, with bytes that hold markers of JPEG, too. */
const scratched = (bytes: Buffer, from = Math.floor(bytes.length / 3)): Buffer => {
  const copy = Buffer.from(bytes);
  for (let at = from; at < from + copy.length / 3; at++) copy[at] = at % 97 === 0 ? 0xff : at % 97 === 1 ? 0xd3 : (at * 31) % 251;
  return copy;
};
const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9" fill="red"/></svg>';

/** File name → bytes, and the code of the warning it must lead to. One row, one hostile file. */
const hostile: readonly (readonly [string, () => Promise<Uint8Array | string> | Uint8Array | string, string])[] = [
  ['empty.png', () => new Uint8Array(0), 'IMAGE_CLIP_EMPTY'],
  ['one-byte.jpg', () => Uint8Array.of(0xff), 'IMAGE_CLIP_FORMAT'],
  ['signature-only.png', async () => (await flag().png().toBuffer()).subarray(0, 8), 'IMAGE_CLIP_DAMAGED'],
  ['cut-short.jpg', async () => half(await noise(320, 240).jpeg().toBuffer()), 'IMAGE_CLIP_DAMAGED'],
  ['cut-short.png', async () => half(await noise(320, 240).png().toBuffer()), 'IMAGE_CLIP_DAMAGED'],
  ['cut-short.webp', async () => half(await noise(320, 240).webp().toBuffer()), 'IMAGE_CLIP_DAMAGED'],
  ['cut-short.avif', async () => half(await noise(160, 120).avif({ effort: 0 }).toBuffer()), 'IMAGE_CLIP_DAMAGED'],
  ['cut-short.gif', async () => half(await noise(320, 240).gif().toBuffer()), 'IMAGE_CLIP_DAMAGED'],
  ['scratched.jpg', async () => scratched(await noise(320, 240).jpeg().toBuffer()), 'IMAGE_CLIP_DAMAGED'],
  ['scratched.png', async () => scratched(await noise(320, 240).png().toBuffer()), 'IMAGE_CLIP_DAMAGED'],
  // WebP has no checks within its data; its headers do.
  ['scratched.webp', async () => scratched(await noise(320, 240).webp().toBuffer(), 20), 'IMAGE_CLIP_DAMAGED'],
  // 18 MB of zeros in 18 kB: 144 megapixels.
  ['bomb.png', () => pngOf(12_000, 12_000, 1, deflateSync(new Uint8Array(12_000 * 1501), { level: 9 })), 'IMAGE_CLIP_TOO_MANY_PIXELS'],
  ['bomb-without-content.png', () => pngOf(30_000, 30_000, 8, deflateSync(new Uint8Array(9))), 'IMAGE_CLIP_TOO_MANY_PIXELS'],
  ['less-than-promised.png', () => pngOf(400, 400, 8, deflateSync(new Uint8Array(100))), 'IMAGE_CLIP_DAMAGED'],
  [
    'huge-frame.gif',
    async () => {
      const bytes = await flag().gif().toBuffer();
      const frame = bytes.indexOf(Uint8Array.of(0x2c, 0, 0, 0, 0));
      bytes.writeUInt16LE(65_535, frame + 5);
      bytes.writeUInt16LE(65_535, frame + 7);
      return bytes;
    },
    'IMAGE_CLIP_TOO_MANY_PIXELS',
  ],
  [
    'huge-header.jpg',
    async () => {
      const bytes = await flag().jpeg().toBuffer();
      const frame = bytes.indexOf(Uint8Array.of(0xff, 0xc0));
      bytes.writeUInt16BE(65_500, frame + 5);
      bytes.writeUInt16BE(65_500, frame + 7);
      return bytes;
    },
    'IMAGE_CLIP_TOO_MANY_PIXELS',
  ],
  ['moving.webp', async () => (await frames()).webp().toBuffer(), 'IMAGE_CLIP_ANIMATED'],
  [
    'moving.png',
    () => pngOf(8, 8, 8, deflateSync(new Uint8Array(72)), pngChunk('acTL', Buffer.from([0, 0, 0, 2, 0, 0, 0, 0]))),
    'IMAGE_CLIP_ANIMATED',
  ],
  ['moving.avif', () => boxes('avis', 'avis', 'msf1'), 'IMAGE_CLIP_ANIMATED'],
  ['page.jpg', () => '<!doctype html><title>404</title>', 'IMAGE_CLIP_FORMAT'],
  ['vector.svg', () => svg, 'IMAGE_CLIP_FORMAT'],
  ['vector.png', () => svg, 'IMAGE_CLIP_FORMAT'],
  ['scan.tiff', async () => flag().tiff().toBuffer(), 'IMAGE_CLIP_FORMAT'],
  ['scan.jpg', async () => flag().tiff().toBuffer(), 'IMAGE_CLIP_FORMAT'],
  ['paper.pdf', () => '%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj', 'IMAGE_CLIP_FORMAT'],
  ['telephone.heic', () => boxes('heic', 'mif1', 'heic'), 'IMAGE_CLIP_FORMAT'],
  ['telephone.avif', () => boxes('mif1', 'mif1', 'heic'), 'IMAGE_CLIP_FORMAT'],
  ['film.mp4', () => boxes('isom', 'isom', 'mp41'), 'IMAGE_CLIP_FORMAT'],
  ['new.jxl', () => Uint8Array.of(0xff, 0x0a, 1, 2, 3, 4, 5, 6), 'IMAGE_CLIP_FORMAT'],
  ['old.bmp', () => `BM${'\0'.repeat(60)}`, 'IMAGE_CLIP_FORMAT'],
  ['archive.png', () => `PK\u0003\u0004${'\0'.repeat(60)}`, 'IMAGE_CLIP_FORMAT'],
  ['start-of-jpeg-then-svg.jpg', () => Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), Buffer.from(svg)]), 'IMAGE_CLIP_DAMAGED'],
  ['start-of-avif.avif', () => boxes('avif', 'avif', 'mif1'), 'IMAGE_CLIP_DAMAGED'],
  ['start-of-webp.webp', () => `RIFF\u0010\0\0\0WEBPVP8 ${'\0'.repeat(40)}`, 'IMAGE_CLIP_DAMAGED'],
  ['really-png.jpg', async () => flag().png().toBuffer(), 'IMAGE_CLIP_LYING'],
  ['really-jpeg.HEIC', async () => flag().jpeg().toBuffer(), 'IMAGE_CLIP_LYING'],
  ['heavy.png', () => new Uint8Array(1_100_000).fill(0x89), 'IMAGE_CLIP_TOO_MANY_BYTES'],
];

/** Pictures that are odd but fine: file name → bytes and the four colours that must come out (within `within`). */
const odd: readonly (readonly [string, () => Promise<Uint8Array>, readonly Colour[], number])[] = [
  ['plain.png', () => flag().png().toBuffer(), [red, green, blue, white], 2],
  ['progressive.jpg', () => flag().jpeg({ progressive: true, quality: 95 }).toBuffer(), [red, green, blue, white], 4],
  ['still.webp', () => flag().webp({ lossless: true }).toBuffer(), [red, green, blue, white], 2],
  ['still.avif', () => flag(160, 120).avif({ quality: 90, effort: 0 }).toBuffer(), [red, green, blue, white], 6],
  ['interlaced.png', () => flag().png({ progressive: true }).toBuffer(), [red, green, blue, white], 2],
  ['palette.png', () => flag().png({ palette: true, colours: 4 }).toBuffer(), [red, green, blue, white], 2],
  ['first-frame.gif', async () => (await frames()).gif().toBuffer(), [red, green, blue, white], 4],
  ['sixteen-bits.png', () => flag().toColourspace('rgb16').png().toBuffer(), [red, green, blue, white], 2],
  ['no-extension', () => flag().png().toBuffer(), [red, green, blue, white], 2],
  // Lying on its side, and the orientation tag (6: turn right) says so. The metadata of the file would tell a place, too.
  ['turned.jpg', () => flag().rotate(-90).withMetadata({ orientation: 6 }).jpeg({ quality: 95 }).toBuffer(), [red, green, blue, white], 4],
  [
    'half-transparent.png',
    () =>
      sharp({ create: { width: 300, height: 300, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 0.5 } } })
        .png()
        .toBuffer(),
    // Black at one half over white (alpha 128 of 255).
    [
      [127, 127, 127],
      [127, 127, 127],
      [127, 127, 127],
      [127, 127, 127],
    ],
    2,
  ],
  [
    'grey.jpg',
    () =>
      paint(300, 300, () => [90, 90, 90])
        .greyscale()
        .jpeg()
        .toBuffer(),
    [
      [90, 90, 90],
      [90, 90, 90],
      [90, 90, 90],
      [90, 90, 90],
    ],
    2,
  ],
  [
    'grey-transparent.png',
    () =>
      sharp(Buffer.alloc(300 * 300 * 2), { raw: { width: 300, height: 300, channels: 2 } })
        .toColourspace('b-w')
        .png()
        .toBuffer(),
    [white, white, white, white],
    1,
  ],
  // What the press of this profile can print of the four colours, by LittleCMS 2.19; as plain CMYK they would be other numbers.
  [
    'print.jpg',
    () => flag().toColourspace('cmyk').withIccProfile('cmyk').jpeg({ quality: 95 }).toBuffer(),
    [[223, 31, 28], [51, 146, 46], [33, 63, 122], white],
    4,
  ],
  [
    'print-without-profile.jpg',
    () => flag().toColourspace('cmyk').jpeg({ quality: 95 }).toBuffer(),
    [[232, 0, 0], [26, 159, 34], [28, 60, 139], white],
    4,
  ],
  // Its screen is said to be 65,535 pixels wide and high, its only frame is not.
  [
    'huge-screen.gif',
    async () => {
      const bytes = await flag().gif().toBuffer();
      bytes.writeUInt16LE(65_535, 6);
      bytes.writeUInt16LE(65_535, 8);
      return bytes;
    },
    [red, green, blue, white],
    4,
  ],
  // Display P3 spans more than sRGB: its numbers for this red are other numbers, and must be turned back.
  ['wide-gamut.png', () => flag().withIccProfile('p3').png().toBuffer(), [red, green, blue, white], 4],
  [
    'one-pixel.png',
    () =>
      paint(1, 1, () => red)
        .png()
        .toBuffer(),
    [red, red, red, red],
    1,
  ],
  [
    'narrow.png',
    () =>
      paint(2, 90_000, () => green)
        .png()
        .toBuffer(),
    [green, green, green, green],
    1,
  ],
  [
    'flat.png',
    () =>
      paint(90_000, 3, () => blue)
        .png()
        .toBuffer(),
    [blue, blue, blue, blue],
    1,
  ],
  // Its content could fill fifty pictures; only what the header promises is unpacked.
  [
    'more-than-promised.png',
    async () => pngOf(300, 300, 8, deflateSync(new Uint8Array(20_000_000), { level: 9 })),
    [
      [0, 0, 0],
      [0, 0, 0],
      [0, 0, 0],
      [0, 0, 0],
    ],
    0,
  ],
];

const limits = { textModel: false, maximumBytes: 1_000_000, storeEmbeddings: false } as const;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'recloom-pictures-'));
  await mkdir(join(folder, 'directory.png'));
  for (const [name, make] of hostile) await writeFile(join(folder, name), await make());
  for (const [name, make] of odd) await writeFile(join(folder, name), await make());
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('hostile pictures', () => {
  it.each(hostile.map(([name, , code]) => ({ name, code })))(
    '$name: $code, the item has no picture, its neighbour has',
    async ({ name, code }) => {
      const warnings: Warning[] = [];
      const clip = await openClip(limits, { inference: fakeInference(), images: files, warnings });
      const { presence, rows } = await embedItems(clip, [name, 'plain.png']);
      expect(presence).toEqual([0, 1]);
      expect(rows[0]?.every((value) => value === 0)).toBe(true);
      expect(warnings.map((warning) => [warning.code, warning.count, warning.detail])).toEqual([[code, 1, { rows: [100] }]]);
      expect(warnings[0]?.message).not.toContain(name);
      await clip.dispose();
    },
  );

  it('a missing file and a folder', async () => {
    const warnings: Warning[] = [];
    const clip = await openClip(limits, { inference: fakeInference(), images: files, warnings });
    expect((await embedItems(clip, ['nowhere.jpg', 'directory.png', 'plain.png'])).presence).toEqual([0, 0, 1]);
    expect(warnings.map((warning) => warning.code)).toEqual(['IMAGE_CLIP_MISSING', 'IMAGE_CLIP_UNREADABLE']);
    await clip.dispose();
  });

  it('all at once: one warning for each reason, with its count and rows; never a failed build', async () => {
    const warnings: Warning[] = [];
    const clip = await openClip(limits, { inference: fakeInference(), images: files, warnings });
    const references = [...hostile.map(([name]) => name), ...odd.map(([name]) => name)];
    const { presence } = await embedItems(clip, references);
    expect(presence).toEqual([...hostile.map(() => 0), ...odd.map(() => 1)]);
    const counts = new Map<string, number>();
    for (const [, , code] of hostile) counts.set(code, (counts.get(code) ?? 0) + 1);
    expect(new Map(warnings.map((warning) => [warning.code, warning.count]))).toEqual(counts);
    expect(warnings).toHaveLength(counts.size);
    const format = warnings.find((warning) => warning.code === 'IMAGE_CLIP_FORMAT');
    expect(format?.detail).toEqual({ rows: hostile.flatMap(([, , code], row) => (code === 'IMAGE_CLIP_FORMAT' ? [100 + row] : [])) });
    await clip.dispose();
  });

  it('a picture that takes too long to decode', async () => {
    await writeFile(join(folder, 'slow.png'), await noise(2500, 2500).png({ compressionLevel: 1 }).toBuffer());
    const warnings: Warning[] = [];
    const clip = await openClip(
      { ...limits, maximumBytes: 1e8, timeoutMs: 1, parallelDecodes: 1 },
      { inference: fakeInference(), images: files, warnings },
    );
    expect((await embedItems(clip, ['slow.png'])).presence).toEqual([0]);
    expect(warnings.map((warning) => warning.code)).toEqual(['IMAGE_CLIP_TIMEOUT']);
    await clip.dispose();
  });

  it('in a search: the answer is warned, the words are searched for alone', async () => {
    const clip = await openClip({ maximumBytes: 1_000_000 }, { inference: fakeInference(), images: files });
    const warnings: [number, string][] = [];
    const broken = await readFile(join(folder, 'cut-short.jpg'));
    const { presence, rows } = await embedQueries(
      clip,
      [
        { text: 'red', image: broken },
        { text: 'red' },
        { image: broken },
        { image: 'really-png.jpg' },
        { image: new Uint8Array(1_000_001) },
      ],
      (index, warning) => warnings.push([index, warning.code]),
    );
    expect(presence).toEqual([1, 1, 0, 0, 0]);
    expect(rows[0]).toEqual(rows[1]);
    expect(warnings.sort()).toEqual([
      [0, 'IMAGE_CLIP_DAMAGED'],
      [2, 'IMAGE_CLIP_DAMAGED'],
      [3, 'IMAGE_CLIP_LYING'],
      [4, 'IMAGE_CLIP_TOO_MANY_BYTES'],
    ]);
    await clip.dispose();
  });

  it('what may be told to accept: faults that do not end a file early, and names that lie', async () => {
    const warnings: Warning[] = [];
    const clip = await openClip(
      { ...limits, damaged: 'accept', wrongExtension: 'accept' },
      { inference: fakeInference(), images: files, warnings },
    );
    expect((await embedItems(clip, ['scratched.jpg', 'really-png.jpg', 'cut-short.jpg'])).presence).toEqual([1, 1, 0]);
    expect(warnings.map((warning) => warning.code)).toEqual(['IMAGE_CLIP_DAMAGED']);
    await clip.dispose();
  });

  it('what was once accepted, for the store, is not when it is told to refuse again', async () => {
    const store = createMemoryKeyValueStore();
    // As many as the store is asked for.
    const references = ['scratched.jpg', ...Array.from({ length: 9 }, (_, index) => `other${index}`)];
    const images: ImageReader = {
      read: async (reference) => readFile(join(folder, reference.startsWith('other') ? 'plain.png' : reference)),
    };
    for (const [damaged, maximumPixels, expected] of [
      ['accept', 76_800, [1, 1]],
      ['refuse', 76_800, [0, 1]],
      ['accept', 76_799, [0, 0]],
    ] as const) {
      const clip = await openClip(
        { ...limits, storeEmbeddings: true, damaged, maximumPixels },
        { inference: fakeInference(), images, store },
      );
      expect((await embedItems(clip, references)).presence.slice(0, 2), `${damaged} ${maximumPixels}`).toEqual(expected);
      await clip.dispose();
    }
  });

  it('data URIs whose media type lies', async () => {
    const base64 = (await flag().png().toBuffer()).toString('base64');
    const warnings: Warning[] = [];
    const clip = await openClip(limits, { inference: fakeInference(), images: files, warnings });
    const references = ['image/png', 'image/jpeg', 'application/octet-stream'].map((media) => `data:${media};base64,${base64}`);
    expect((await embedItems(clip, references)).presence).toEqual([1, 0, 1]);
    expect(warnings.map((warning) => warning.code)).toEqual(['IMAGE_CLIP_LYING']);
    await clip.dispose();
  });
});

describe('odd pictures', () => {
  it.each(odd.map(([name, , expected, within]) => ({ name, expected, within })))(
    '$name is seen as it looks',
    async ({ name, expected, within }) => {
      const warnings: Warning[] = [];
      const clip = await openClip(limits, { inference: fakeInference(), images: files, warnings });
      const { presence, rows } = await embedItems(clip, [name]);
      expect(warnings).toEqual([]);
      expect(presence).toEqual([1]);
      const found = colours(rows[0]);
      expected.forEach((colour, quadrant) => {
        colour.forEach((value, channel) => expect(Math.abs((found[quadrant]?.[channel] ?? -999) - value)).toBeLessThanOrEqual(within));
      });
      await clip.dispose();
    },
  );
});

describe('loaders', () => {
  it('other formats are switched off in this process, those of ours stay on for the host, files included', async () => {
    const clip = await openClip(limits, { inference: fakeInference(), images: files });
    await clip.dispose();
    await expect(sharp(Buffer.from(svg)).metadata()).rejects.toThrow();
    await expect(sharp(await flag().tiff().toBuffer()).metadata()).rejects.toThrow();
    expect((await sharp(join(folder, 'plain.png')).metadata()).width).toBe(320);
  });
});
