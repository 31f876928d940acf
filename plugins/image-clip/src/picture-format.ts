import { PictureError } from './picture-fault.js';

/** The formats that are decoded. */
export type PictureFormat = 'jpeg' | 'png' | 'webp' | 'avif' | 'gif';

const pngSignature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** Names of chunks as big-endian numbers. */
const pngChunks = { acTL: 0x6163544c, IDAT: 0x49444154, IEND: 0x49454e44 } as const;
const animatedWebpFlag = 0x02;
const mostBrandBytes = 1024;

const byExtension: Readonly<Record<string, PictureFormat>> = {
  jpg: 'jpeg',
  jpeg: 'jpeg',
  jpe: 'jpeg',
  jfif: 'jpeg',
  png: 'png',
  webp: 'webp',
  avif: 'avif',
  gif: 'gif',
};
/** Names of formats that are never read, whatever the bytes are. */
const otherPictures = new Set([
  'svg',
  'svgz',
  'tif',
  'tiff',
  'bmp',
  'ico',
  'heic',
  'heif',
  'jxl',
  'jp2',
  'psd',
  'pdf',
  'svg+xml',
  'x-icon',
]);

/**
 * Tells the format by the first bytes alone, before any decoder sees them, and refuses what moves: APNG, animated WebP,
 * AVIF sequences. A GIF may move; only its first frame is read.
 *
 * @throws PictureError empty, format, animated
 */
export function sniffPicture(bytes: Uint8Array): PictureFormat {
  if (bytes.length === 0) throw new PictureError('empty');
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return 'jpeg';
  if (pngSignature.every((value, place) => bytes[place] === value)) {
    if (hasPngAnimation(bytes)) throw new PictureError('animated');
    return 'png';
  }
  if (ascii(bytes, 0, 6) === 'GIF87a' || ascii(bytes, 0, 6) === 'GIF89a') return 'gif';
  if (ascii(bytes, 0, 4) === 'RIFF' && ascii(bytes, 8, 12) === 'WEBP') {
    if (ascii(bytes, 12, 16) === 'VP8X' && ((bytes[20] ?? 0) & animatedWebpFlag) !== 0) throw new PictureError('animated');
    return 'webp';
  }
  if (ascii(bytes, 4, 8) === 'ftyp') return sniffBoxes(bytes);
  throw new PictureError('format');
}

/**
 * Refuses a picture whose path or data URI promises another format than its bytes have. References without a known
 * extension promise nothing, and neither do http(s) addresses: servers choose the format by what the client takes.
 *
 * @throws PictureError lying
 */
export function checkPromise(reference: string, format: PictureFormat): void {
  const promised = promisedFormat(reference);
  if (promised !== undefined && promised !== format) throw new PictureError('lying');
}

function promisedFormat(reference: string): PictureFormat | 'other' | undefined {
  const named = (name: string): PictureFormat | 'other' | undefined =>
    Object.hasOwn(byExtension, name) ? byExtension[name] : otherPictures.has(name) ? 'other' : undefined;
  const head = reference.slice(0, 64).toLowerCase();
  if (head.startsWith('data:')) {
    const media = /^data:image\/([a-z0-9.+-]+)[;,]/.exec(head)?.[1];
    return media === undefined ? undefined : named(media);
  }
  if (/^https?:/.test(head)) return undefined;
  const extension = /\.([A-Za-z0-9]{2,5})$/.exec(reference.slice(-16))?.[1];
  return extension === undefined ? undefined : named(extension.toLowerCase());
}

/** An `acTL` chunk before the first `IDAT` makes a PNG an APNG (PNG specification, third edition, 11.3.6). */
function hasPngAnimation(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = pngSignature.length; at + 8 <= bytes.length; ) {
    // Compared as numbers: a hostile file may have millions of empty chunks.
    const kind = view.getUint32(at + 4);
    if (kind === pngChunks.acTL) return true;
    if (kind === pngChunks.IDAT || kind === pngChunks.IEND) return false;
    at += 12 + view.getUint32(at);
  }
  return false;
}

/** The brands of an ISO base media file (ISO/IEC 14496-12, `ftyp`): AVIF stills only, not HEIC, video or AVIF sequences. */
function sniffBoxes(bytes: Uint8Array): PictureFormat {
  const size = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0);
  const end = Math.min(size, bytes.length, mostBrandBytes);
  const brands = [ascii(bytes, 8, 12)];
  for (let at = 16; at + 4 <= end; at += 4) brands.push(ascii(bytes, at, at + 4));
  if (brands[0] === 'avis') throw new PictureError('animated');
  // `mif1` alone is any HEIF; with `avif` among the compatible brands it is AV1.
  if (brands[0] === 'avif' || (brands[0] === 'mif1' && brands.includes('avif') && !brands.includes('heic'))) return 'avif';
  throw new PictureError('format');
}

function ascii(bytes: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...bytes.subarray(start, end));
}
