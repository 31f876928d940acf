import { deflateSync } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';

type Colour = readonly [number, number, number];

/** A picture by its formula. */
function paint(width: number, height: number, colourAt: (x: number, y: number) => Colour): Sharp {
  const pixels = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) pixels.set(colourAt(x, y), (y * width + x) * 3);
  return sharp(pixels, { raw: { width, height, channels: 3 } });
}

/** An apple of sorts: a red disc with a green leaf on white. */
export function apple(size = 240): Sharp {
  return paint(size, size, (x, y) => {
    const [across, down] = [x / size - 0.5, y / size - 0.55];
    if (Math.hypot(across - 0.08, down + 0.42) < 0.09) return [20, 150, 40];
    return Math.hypot(across, down) < 0.38 ? [205, 25, 30] : [255, 255, 255];
  });
}

/** Blue waves: nothing like the apple. */
export const waves = (size = 240): Sharp =>
  paint(size, size, (x, y) => (Math.sin(y / 9 + Math.sin(x / 20) * 2) > 0 ? [20, 60, 200] : [150, 200, 250]));

/** Grain that no codec can compress away. */
const grain = (size: number): Sharp => paint(size, size, (x, y) => [(x * 7919 + y * 104_729) % 251, (x * x + y) % 241, (x + y * y) % 239]);

const cut = (bytes: Buffer): Buffer => bytes.subarray(0, Math.floor(bytes.length / 2));

/** A third of the bytes in the middle overwritten, markers of JPEG among them. */
function scratched(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const from = Math.floor(copy.length / 3);
  for (let at = from; at < 2 * from; at++) copy[at] = at % 97 === 0 ? 0xff : at % 97 === 1 ? 0xd3 : (at * 31) % 251;
  return copy;
}

/** CRC-32 of the PNG specification, annex D. */
function checksum(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function bigEndian(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function pngChunk(kind: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(kind, 'latin1'), data]);
  return Buffer.concat([bigEndian(data.length), body, bigEndian(checksum(body))]);
}

/** A grey PNG whose header and content need not agree. */
function png(size: number, bits: number, content: Uint8Array, ...before: Buffer[]): Buffer {
  const header = Buffer.concat([bigEndian(size), bigEndian(size), Buffer.from([bits, 0, 0, 0, 0])]);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, pngChunk('IHDR', header), ...before, pngChunk('IDAT', content), pngChunk('IEND', new Uint8Array(0))]);
}

/** Bytes with a 16-bit number overwritten twice, behind a marker: what a header says of width and height. */
function resized(bytes: Buffer, marker: readonly number[], offset: number, write: 'writeUInt16LE' | 'writeUInt16BE'): Buffer {
  const at = bytes.indexOf(Uint8Array.from(marker));
  if (at < 0) throw new Error('the marker is not there');
  bytes[write](65_500, at + offset);
  bytes[write](65_500, at + offset + 2);
  return bytes;
}

/** The first box of an ISO media file. */
function boxes(...brands: string[]): Buffer {
  const body = Buffer.from(`ftyp${brands[0]}\0\0\0\0${brands.join('')}`, 'latin1');
  return Buffer.concat([bigEndian(body.length + 4), body, Buffer.alloc(64)]);
}

const frames = async (): Promise<Sharp> =>
  sharp(await Promise.all([apple(), waves()].map((picture) => picture.png().toBuffer())), { join: { animated: true } });
const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9" fill="red"/></svg>';

/** Hostile, broken and odd picture files by name. */
export const pictureFiles: Readonly<Record<string, () => Promise<Uint8Array> | Uint8Array | string>> = {
  'apple.png': () => apple().png().toBuffer(),
  'waves.png': () => waves().png().toBuffer(),

  'empty.png': () => new Uint8Array(0),
  'one-byte.jpg': () => Uint8Array.of(0xff),
  'header-only.png': async () => (await apple().png().toBuffer()).subarray(0, 8),
  'cut.jpg': async () => cut(await grain(240).jpeg().toBuffer()),
  'cut.png': async () => cut(await grain(240).png().toBuffer()),
  'cut.webp': async () => cut(await grain(240).webp().toBuffer()),
  'cut.avif': async () => cut(await grain(120).avif({ effort: 0 }).toBuffer()),
  'cut.gif': async () => cut(await grain(240).gif().toBuffer()),
  'scratched.jpg': async () => scratched(await grain(240).jpeg().toBuffer()),
  'scratched.png': async () => scratched(await grain(240).png().toBuffer()),
  // 144 megapixels of one bit in 18 kB.
  'bomb.png': () => png(12_000, 1, deflateSync(new Uint8Array(12_000 * 1501), { level: 9 })),
  'huge-empty.png': () => png(30_000, 8, deflateSync(new Uint8Array(9))),
  'huge-frame.gif': async () => resized(await apple().gif().toBuffer(), [0x2c, 0, 0, 0, 0], 5, 'writeUInt16LE'),
  'huge-header.jpg': async () => resized(await apple().jpeg().toBuffer(), [0xff, 0xc0], 5, 'writeUInt16BE'),
  'less-than-promised.png': () => png(400, 8, deflateSync(new Uint8Array(100))),
  'moving.webp': async () => (await frames()).webp().toBuffer(),
  'moving.png': () => png(8, 8, deflateSync(new Uint8Array(72)), pngChunk('acTL', Buffer.from([0, 0, 0, 2, 0, 0, 0, 0]))),
  'moving.avif': () => boxes('avis', 'msf1'),
  'page.jpg': () => '<!doctype html><title>404</title>',
  'vector.svg': () => svg,
  'vector.png': () => svg,
  'scan.tiff': () => apple().tiff().toBuffer(),
  'scan.jpg': () => apple().tiff().toBuffer(),
  'telephone.heic': () => boxes('heic', 'mif1'),
  'telephone.avif': () => boxes('mif1', 'heic'),
  'film.mp4': () => boxes('isom', 'mp41'),
  'paper.pdf': () => '%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj',
  'old.bmp': () => `BM${'\0'.repeat(60)}`,
  'new.jxl': () => Uint8Array.of(0xff, 0x0a, 1, 2, 3, 4, 5, 6),
  'archive.png': () => `PK\u0003\u0004${'\0'.repeat(60)}`,
  'jpeg-then-svg.jpg': () => Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), Buffer.from(svg)]),
  'start-of-webp.webp': () => `RIFF\u0010\0\0\0WEBPVP8 ${'\0'.repeat(40)}`,
  'really-png.jpg': () => apple().png().toBuffer(),
  'really-jpeg.png': () => apple().jpeg().toBuffer(),
  'heavy.png': () => Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]), Buffer.alloc(1_000_000)]),

  'print.jpg': () => apple().toColourspace('cmyk').withIccProfile('cmyk').jpeg({ quality: 95 }).toBuffer(),
  'print-plain.jpg': () => apple().toColourspace('cmyk').jpeg({ quality: 95 }).toBuffer(),
  'sixteen-bits.png': () => apple().toColourspace('rgb16').png().toBuffer(),
  'wide-gamut.png': () => apple().withIccProfile('p3').png().toBuffer(),
  'palette.png': () => apple().png({ palette: true, colours: 4 }).toBuffer(),
  'interlaced.png': () => apple().png({ progressive: true }).toBuffer(),
  // Red paint only where the apple is; transparency elsewhere.
  'transparent.png': async () => {
    const { data, info } = await apple().ensureAlpha().raw().toBuffer({ resolveWithObject: true });
    for (let at = 0; at < data.length; at += 4) if ((data[at + 1] as number) === 255) data.set([0, 0, 0, 0], at);
    return sharp(data, { raw: { width: info.width, height: info.height, channels: 4 } })
      .png()
      .toBuffer();
  },
  'turned.jpg': () => apple().rotate(-90).withMetadata({ orientation: 6 }).jpeg({ quality: 95 }).toBuffer(),
  'first-frame.gif': async () => (await frames()).gif().toBuffer(),
  'huge-screen.gif': async () => {
    const bytes = await apple().gif().toBuffer();
    bytes.writeUInt16LE(65_535, 6);
    bytes.writeUInt16LE(65_535, 8);
    return bytes;
  },
  'no-extension': () => apple().png().toBuffer(),
  'one-pixel.png': () => apple(1).png().toBuffer(),
  'narrow.png': () =>
    paint(2, 90_000, () => [0, 160, 0])
      .png()
      .toBuffer(),
};
