import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type InferenceTensor, recloomError } from '@recloom/plugin-api';
import { clipError } from './plugin-error.js';
import type { Turns } from './turns.js';

/** How a picture becomes the numbers a vision tower takes: what `preprocessor_config.json` says. */
export interface Preprocessing {
  /** The short side after resizing, or both sides. */
  readonly resize: { readonly shortestEdge: number } | { readonly width: number; readonly height: number };
  readonly filter: 'nearest' | 'lanczos3' | 'linear' | 'cubic';
  /** The part in the middle that is kept, in pixels. */
  readonly cropWidth: number;
  readonly cropHeight: number;
  /** A channel's value becomes (value × rescale − mean) / deviation. */
  readonly rescale: number;
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
}

/** PIL's numbers for its filters, as the files of Hugging Face write them. */
const filters: Readonly<Record<number, Preprocessing['filter']>> = { 0: 'nearest', 1: 'lanczos3', 2: 'linear', 3: 'cubic' };
const mostPixelsPerSide = 2048;

/** CLIP's own (Radford et al. 2021), for what a file leaves out. */
const clipMean = [0.48145466, 0.4578275, 0.40821073];
const clipDeviation = [0.26862954, 0.26130258, 0.27577711];

/**
 * Reads `preprocessor_config.json` of a model folder.
 *
 * @throws IMAGE_CLIP_PREPROCESSING when it is missing or asks for something a CLIP processor does not do.
 */
export async function readPreprocessing(directory: string): Promise<Preprocessing> {
  let text: string;
  try {
    text = await readFile(join(directory, 'preprocessor_config.json'), 'utf8');
  } catch (cause) {
    throw clipError('IMAGE_CLIP_PREPROCESSING', 'The model folder has no preprocessor_config.json that can be read.', cause);
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw recloomError('RECLOOM_DAT_MODEL_INVALID', { why: 'its preprocessor_config.json is not JSON' }, { cause });
  }
  if (typeof parsed !== 'object' || parsed === null) throw unfit('it is not an object');
  return parsePreprocessing(parsed as Readonly<Record<string, unknown>>);
}

/** The settings of a parsed `preprocessor_config.json`. @throws IMAGE_CLIP_PREPROCESSING */
export function parsePreprocessing(config: Readonly<Record<string, unknown>>): Preprocessing {
  const on = (name: string): boolean => config[name] !== false;
  if (!on('do_resize')) throw unfit('do_resize is off');
  if (config['do_pad'] === true) throw unfit('it pads');
  const filter = filters[Number(config['resample'] ?? 3)];
  if (filter === undefined) throw unfit('resample must be 0 (nearest), 1 (Lanczos), 2 (bilinear) or 3 (bicubic)');
  const resize = sizeOf(config['size'] ?? 224, 'size');
  // Processors that fix both sides do not mention a crop; CLIP's crops unless told not to.
  const crops = on('do_center_crop') && (config['crop_size'] !== undefined || 'shortestEdge' in resize);
  // Without a crop pictures of different shapes would give tensors of different shapes.
  if (!crops && 'shortestEdge' in resize) throw unfit('it neither crops nor fixes both sides');
  const crop = crops ? sizeOf(config['crop_size'] ?? 224, 'crop_size') : resize;
  const [cropWidth, cropHeight] = 'shortestEdge' in crop ? [crop.shortestEdge, crop.shortestEdge] : [crop.width, crop.height];
  const [smallestWidth, smallestHeight] =
    'shortestEdge' in resize ? [resize.shortestEdge, resize.shortestEdge] : [resize.width, resize.height];
  if (cropWidth > smallestWidth || cropHeight > smallestHeight) throw unfit('the crop is larger than the resized picture');
  return {
    resize,
    filter,
    cropWidth,
    cropHeight,
    rescale: on('do_rescale') ? positiveNumber(config['rescale_factor'] ?? 1 / 255, 'rescale_factor') : 1,
    mean: on('do_normalize') ? threeNumbers(config['image_mean'] ?? clipMean, 'image_mean') : [0, 0, 0],
    deviation: on('do_normalize') ? threeNumbers(config['image_std'] ?? clipDeviation, 'image_std') : [1, 1, 1],
  };
}

/** What each of a channel's 256 values becomes: red, green, blue. */
export type ChannelTables = readonly [Float32Array, Float32Array, Float32Array];

/** By channel: the number that a byte becomes, (byte × rescale − mean) / deviation; 256 entries each, the caller's. */
export function channelTables({ rescale, mean, deviation }: Preprocessing): ChannelTables {
  const table = (channel: number): Float32Array =>
    Float32Array.from({ length: 256 }, (_, value) => (value * rescale - (mean[channel] as number)) / (deviation[channel] as number));
  return [table(0), table(1), table(2)];
}

/**
 * Pictures as one tensor [pictures, 3, height, width]. One alone stays where it is; several are copied, each in a turn of its own.
 *
 * @param pictures three planes each, as `writePlanes` writes them
 * @param takeMemory gives at least so many bytes
 */
export async function pixelTensor(
  pictures: readonly Float32Array[],
  { cropWidth, cropHeight }: Preprocessing,
  turns: Turns,
  takeMemory: (byteLength: number) => ArrayBufferLike,
): Promise<InferenceTensor> {
  const dims = [pictures.length, 3, cropHeight, cropWidth];
  const [alone] = pictures;
  if (pictures.length === 1 && alone !== undefined) return { type: 'float32', dims, data: alone };
  const size = 3 * cropWidth * cropHeight;
  const data = new Float32Array(takeMemory(4 * pictures.length * size), 0, pictures.length * size);
  for (const [index, planes] of pictures.entries()) {
    await turns.next();
    data.set(planes, index * size);
  }
  return { type: 'float32', dims, data };
}

/** A picture's three planes, from one pass over its pixels: RGB bytes, row by row. */
export function writePlanes(pixels: Uint8Array, [reds, greens, blues]: ChannelTables, out: Float32Array): void {
  const plane = out.length / 3;
  for (let place = 0, from = 0, red = 0, green = plane, blue = 2 * plane; place < plane; place++, from += 3) {
    out[red++] = reds[pixels[from] as number] as number;
    out[green++] = greens[pixels[from + 1] as number] as number;
    out[blue++] = blues[pixels[from + 2] as number] as number;
  }
}

function sizeOf(value: unknown, name: string): Preprocessing['resize'] {
  const side = (given: unknown): number => {
    if (typeof given !== 'number' || !Number.isInteger(given) || given < 1 || given > mostPixelsPerSide) {
      throw unfit(`${name} must be whole numbers from 1 to ${mostPixelsPerSide}`);
    }
    return given;
  };
  if (typeof value === 'number') return { shortestEdge: side(value) };
  if (typeof value !== 'object' || value === null) throw unfit(`${name} is neither a number nor an object`);
  const { shortest_edge: shortestEdge, width, height } = value as Readonly<Record<string, unknown>>;
  if (shortestEdge !== undefined) return { shortestEdge: side(shortestEdge) };
  return { width: side(width), height: side(height) };
}

function positiveNumber(value: unknown, name: string): number {
  if (typeof value !== 'number' || !(value > 0) || !Number.isFinite(value)) throw unfit(`${name} must be a number above 0`);
  return value;
}

function threeNumbers(value: unknown, name: string): readonly number[] {
  if (!Array.isArray(value) || value.length !== 3 || !value.every((entry) => typeof entry === 'number' && Number.isFinite(entry))) {
    throw unfit(`${name} must be three numbers`);
  }
  if (name === 'image_std' && value.includes(0)) throw unfit('image_std must not be 0');
  return value as readonly number[];
}

function unfit(why: string): Error {
  return clipError('IMAGE_CLIP_PREPROCESSING', `The preprocessor_config.json of the model cannot be followed: ${why}.`);
}
