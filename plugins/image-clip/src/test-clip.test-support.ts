import { fileURLToPath } from 'node:url';
import { createMemoryKeyValueStore, type InferenceService } from '@recloom/inference';
import {
  type Column,
  type ExtractBatch,
  type ImageReader,
  type Inference,
  type KeyValueStore,
  type ModelFiles,
  type RequestView,
  recloomError,
  type Warning,
} from '@recloom/plugin-api';
import sharp, { type Sharp } from 'sharp';
import { ClipEmbedding } from './clip-embedding.js';
import { clipOptions } from './options.js';

export const running: AbortSignal = new AbortController().signal;
export const imageModel: string = fileURLToPath(new URL('../../../packages/model-image-minilm-lite0', import.meta.url));
export const textModel: string = fileURLToPath(new URL('../../../packages/model-all-minilm-l6-v2', import.meta.url));

/** Model files of this repository by package name; absolute paths as they are. */
export const modelFiles: ModelFiles = {
  resolve: async (reference) => {
    const directory = reference.startsWith('/') ? reference : reference.includes('image') ? imageModel : textModel;
    return { directory, origin: 'path', reference };
  },
};

/** A reader of pictures by name; what it lacks is missing. */
export function readerOf(pictures: Readonly<Record<string, Uint8Array>>): ImageReader & { readonly reads: string[] } {
  const reads: string[] = [];
  return {
    reads,
    read: async (reference, { maximumBytes }) => {
      reads.push(reference);
      const bytes = Object.hasOwn(pictures, reference) ? pictures[reference] : undefined;
      if (bytes === undefined) throw recloomError('RECLOOM_DAT_IMAGE_MISSING', {});
      if (bytes.length > maximumBytes) throw recloomError('RECLOOM_DAT_IMAGE_TOO_LARGE', { maximumBytes });
      return bytes;
    },
  };
}

export interface OpenParts {
  readonly inference: Inference | InferenceService;
  readonly images?: ImageReader;
  readonly store?: KeyValueStore;
  readonly warnings?: Warning[];
  readonly signal?: AbortSignal;
  readonly modelFiles?: ModelFiles;
}

export function openClip(options: object, parts: OpenParts): Promise<ClipEmbedding> {
  const services = {
    inference: parts.inference,
    modelFiles: parts.modelFiles ?? modelFiles,
    store: parts.store ?? createMemoryKeyValueStore(),
    images: parts.images ?? readerOf({}),
  };
  return ClipEmbedding.open(clipOptions.parse(options), services, {
    signal: parts.signal ?? running,
    warn: (warning) => parts.warnings?.push(warning),
  });
}

export interface Embedded {
  readonly rows: readonly (readonly number[])[];
  readonly presence: readonly number[];
}

async function extract(embedding: ClipEmbedding, batch: ExtractBatch): Promise<Embedded> {
  const { width } = embedding;
  const out = { values: new Float32Array(batch.count * width), presence: new Uint8Array(batch.count) };
  await embedding.extract(batch, out);
  return {
    rows: Array.from({ length: batch.count }, (_, row) => [...out.values.subarray(row * width, (row + 1) * width)]),
    presence: [...out.presence],
  };
}

/** Item rows 100, 101, … with the given references. */
export function embedItems(embedding: ClipEmbedding, references: readonly (string | null)[], signal = running): Promise<Embedded> {
  const columns: readonly Column[] = [{ type: 'image', values: references }];
  const rows = Int32Array.from(references, (_, index) => 100 + index);
  return extract(embedding, { scope: 'item', count: references.length, columns: { image: columns }, rows, candidates: undefined, signal });
}

export type Query = Partial<Pick<RequestView, 'text' | 'image' | 'queryWeights'>>;

/** Requests at query scope, as core asks. */
export function embedQueries(
  embedding: ClipEmbedding,
  queries: readonly Query[],
  warn?: (index: number, warning: Warning) => void,
  signal = running,
): Promise<Embedded> {
  const values = queries.map(({ image }) => (typeof image === 'string' ? image : null));
  return extract(embedding, {
    scope: 'query',
    count: queries.length,
    columns: { image: [{ type: 'text', values }] },
    requests: queries as readonly RequestView[],
    rows: new Int32Array(0),
    candidates: undefined,
    signal,
    ...(warn === undefined ? {} : { warn }),
  });
}

export const dot = (left: readonly number[] = [], right: readonly number[] = []): number =>
  left.reduce((sum, value, place) => sum + value * (right[place] ?? 0), 0);

/** A picture by its formula: colours by column and row. */
export function paint(width: number, height: number, colourAt: (x: number, y: number) => readonly [number, number, number]): Sharp {
  const pixels = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) pixels.set(colourAt(x, y), (y * width + x) * 3);
  return sharp(pixels, { raw: { width, height, channels: 3 } });
}
