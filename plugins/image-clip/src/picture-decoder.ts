import { importLibrary } from '@recloom/plugin-api';
import type * as SharpModule from 'sharp';
import { PictureError } from './picture-fault.js';
import { type ChannelTables, channelTables, type Preprocessing, writePlanes } from './preprocessing.js';
import { enlarge } from './resample.js';
import { Turns } from './turns.js';

type Sharp = typeof SharpModule.default;

const libraryName = 'sharp';
const libraryRange = '0.35.5';

/** Parents of the loaders that stay on, in libvips' class tree; everything else below VipsForeignLoad is switched off. */
const keptLoaders = ['VipsForeignLoadJpeg', 'VipsForeignLoadPng', 'VipsForeignLoadWebp', 'VipsForeignLoadHeif', 'VipsForeignLoadNsgif'];

/**
 * A side that is longer than so many times the other is cut down to its middle before resizing: only the middle is kept
 * in the end, and a picture of 1 × 1,000,000 pixels would otherwise grow to 256 × 256,000,000.
 */
const longestAspect = 4;
/** What is left then, as a multiple of the short side; whole, so that the scale of the resize stays the same. */
const keptAspect = 2;

/**
 * The address of the library's module, which is not loaded for it: what is missing shows before a thread is asked to load it.
 *
 * @throws RECLOOM_PLG_LIBRARY_MISSING
 */
export function findPictureLibrary(): Promise<string> {
  return importLibrary(libraryName, libraryRange, async () => import.meta.resolve(libraryName));
}

/** What may be decoded, and into what. */
export interface DecoderSettings {
  /** What `findPictureLibrary` gave. */
  readonly library: string;
  readonly maximumPixels: number;
  readonly timeoutMs: number;
  readonly damaged: 'refuse' | 'accept';
  readonly blockLoaders: boolean;
  readonly preprocessing: Preprocessing;
}

/**
 * Turns encoded pictures into the numbers a vision tower takes: decoding and resizing on libuv's threads, the rest on the thread that
 * calls. The only place that touches sharp.
 *
 * Recipe: EXIF orientation, ICC profile to sRGB, transparency over white, 8 bits, RGB; resize with the model's filter
 * without shrinking on load (the shortcut changes pixels); the middle. Metadata is dropped with the encoded bytes.
 */
export class PictureDecoder {
  readonly #sharp: Sharp;
  readonly #settings: DecoderSettings;
  readonly #tables: ChannelTables;
  readonly #turns = new Turns();

  private constructor(sharp: Sharp, settings: DecoderSettings) {
    this.#sharp = sharp;
    this.#settings = settings;
    this.#tables = channelTables(settings.preprocessing);
  }

  /** @throws RECLOOM_PLG_LIBRARY_MISSING */
  static async open(settings: DecoderSettings): Promise<PictureDecoder> {
    const load = async (): Promise<Sharp> => ((await import(settings.library)) as typeof SharpModule).default;
    const sharp = await importLibrary(libraryName, libraryRange, load);
    if (settings.blockLoaders) {
      sharp.block({ operation: ['VipsForeignLoad'] });
      sharp.unblock({ operation: keptLoaders });
    }
    return new PictureDecoder(sharp, settings);
  }

  /**
   * Writes a picture's three planes to `planes` (3 × crop height × crop width). `bytes` must not change meanwhile.
   *
   * @throws PictureError for a picture that cannot be used
   */
  async decode(bytes: Uint8Array, planes: Float32Array): Promise<void> {
    const pixels = await this.#pixels(bytes);
    await this.#turns.next();
    writePlanes(pixels, this.#tables, planes);
  }

  /** RGB bytes of the crop's size, row by row. */
  async #pixels(bytes: Uint8Array): Promise<Uint8Array> {
    const { maximumPixels, timeoutMs, damaged } = this.#settings;
    const { resize, filter, cropWidth, cropHeight } = this.#settings.preprocessing;
    try {
      const open = (): SharpModule.Sharp =>
        this.#sharp(bytes, {
          limitInputPixels: maximumPixels,
          failOn: damaged === 'refuse' ? 'warning' : 'truncated',
          // GIF: the first frame.
          animated: false,
        }).timeout({ seconds: Math.min(3600, Math.ceil(timeoutMs / 1000)) });
      // Setting up and starting a piece of native work takes up to half a millisecond of this thread each time.
      await this.#turns.next();
      const facts = await open().metadata();
      const { width, height } = facts.autoOrient;
      // AVIF and WebP say only here that they hold several pictures; a GIF may.
      if ((facts.pages ?? 1) > 1 && facts.format !== 'gif') throw new PictureError('animated');
      await this.#turns.next();
      let picture = open().autoOrient();
      let [fromWidth, fromHeight] = [width, height];
      const short = Math.min(width, height);
      if ('shortestEdge' in resize && Math.max(width, height) > longestAspect * short) {
        const long = keptAspect * short;
        if (width > height) fromWidth = long;
        else fromHeight = long;
        picture = picture.extract({
          left: Math.floor((width - fromWidth) / 2),
          top: Math.floor((height - fromHeight) / 2),
          width: fromWidth,
          height: fromHeight,
        });
      }
      picture = picture.flatten({ background: '#fff' }).toColourspace('srgb').removeAlpha();
      const [toWidth, toHeight] = targetSize(resize, fromWidth, fromHeight);
      const isEnlargedHere = filter === 'lanczos3' && (toWidth > fromWidth || toHeight > fromHeight);
      const { data, info } = await picture
        .resize(isEnlargedHere ? Math.min(fromWidth, toWidth) : toWidth, isEnlargedHere ? Math.min(fromHeight, toHeight) : toHeight, {
          fit: 'fill',
          kernel: filter,
          fastShrinkOnLoad: false,
        })
        .raw({ depth: 'uchar' })
        .toBuffer({ resolveWithObject: true });
      const pixels = threeChannels(data, info.channels);
      const part = {
        left: Math.floor((toWidth - cropWidth) / 2),
        top: Math.floor((toHeight - cropHeight) / 2),
        width: cropWidth,
        height: cropHeight,
      };
      return isEnlargedHere
        ? await enlarge(pixels, info.width, info.height, toWidth, toHeight, part, this.#turns)
        : cutOut(pixels, info.width, info.height, part);
    } catch (error) {
      throw error instanceof PictureError ? error : new PictureError(faultOf(error), error);
    }
  }
}

/** Both sides after resizing; the longer one is rounded as sharp and the model's reference round it. */
function targetSize(resize: Preprocessing['resize'], width: number, height: number): readonly [number, number] {
  if (!('shortestEdge' in resize)) return [resize.width, resize.height];
  const { shortestEdge } = resize;
  return width > height
    ? [Math.max(shortestEdge, Math.round((width * shortestEdge) / height)), shortestEdge]
    : [shortestEdge, Math.max(shortestEdge, Math.round((height * shortestEdge) / width))];
}

/** RGB of pixels of one or three channels. */
function threeChannels(data: Uint8Array, channels: number): Uint8Array {
  if (channels === 3) return data;
  if (channels !== 1) throw new PictureError('damaged');
  const pixels = new Uint8Array(data.length * 3);
  for (let place = 0, to = 0; place < data.length; place++, to += 3) {
    const grey = data[place] as number;
    pixels[to] = grey;
    pixels[to + 1] = grey;
    pixels[to + 2] = grey;
  }
  return pixels;
}

interface Part {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

function cutOut(pixels: Uint8Array, width: number, height: number, part: Part): Uint8Array {
  if (width < part.left + part.width || height < part.top + part.height) throw new PictureError('damaged');
  const result = new Uint8Array(part.width * part.height * 3);
  for (let y = 0; y < part.height; y++) {
    const from = ((part.top + y) * width + part.left) * 3;
    result.set(pixels.subarray(from, from + part.width * 3), y * part.width * 3);
  }
  return result;
}

/** libvips says only by its text what went wrong. */
function faultOf(error: unknown): 'tooManyPixels' | 'timeout' | 'damaged' {
  const message = error instanceof Error ? error.message : '';
  if (/pixel limit|too large|exceeds/i.test(message)) return 'tooManyPixels';
  if (/timeout/i.test(message)) return 'timeout';
  return 'damaged';
}
