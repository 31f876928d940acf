import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import {
  type ExtractBatch,
  type FeatureBlock,
  type FeatureExtractor,
  type ImageReader,
  type Inference,
  type InferenceSession,
  isRecloomError,
  type KeyValueStore,
  type ModelBacked,
  type ModelFiles,
  type ModelInUse,
  type RequestView,
  recloomError,
  type Warning,
} from '@recloom/plugin-api';
import { BackgroundDecoder } from './background-decoder.js';
import { BackgroundTokenizer } from './background-tokenizer.js';
import { findTextGraph, findVisionGraph, type GraphFile } from './model-folder.js';
import type { ClipOptions } from './options.js';
import { PictureError, type PictureFault, pictureFaults } from './picture-fault.js';
import { checkPromise, sniffPicture } from './picture-format.js';
import { clipError } from './plugin-error.js';
import { type Preprocessing, readPreprocessing } from './preprocessing.js';
import { QueryCache } from './query-cache.js';
import { StoredEmbeddings } from './stored-embeddings.js';
import { TextTower } from './text-tower.js';
import { Turns } from './turns.js';
import { mixUnits } from './unit-length.js';
import { VisionTower } from './vision-tower.js';

/** The services that the extractor uses. */
export interface ClipServices {
  readonly inference: Inference;
  readonly modelFiles: ModelFiles;
  readonly store: KeyValueStore;
  readonly images: ImageReader;
}

/** How the extractor is stopped, and whom it warns. */
export interface ClipContext {
  readonly signal: AbortSignal;
  warn(warning: Warning): void;
}

/** Fewer item pictures than this are encoded without looking at the store: live changes to single items. */
const storeFromPictures = 8;
/** Changes whenever pixels would: stored embeddings of another recipe are not taken. */
const recipeVersion = 1;
const defaultMaxTokens = 256;
/** Decoding leaves one of libuv's four threads to files and DNS. */
const mostDecodes = 3;
/** Pictures whose bytes are held beyond those that are being decoded, so that workers never wait for a file. */
const readAhead = 3;
/** Item rows that a warning lists at most. */
const rowsInWarning = 20;

/** What came of one picture. */
type Outcome = { readonly embedding: Float32Array } | { readonly fault: PictureFault };

/** A picture whose embedding is known, or its planes and how to make them again. */
type PreparedPicture =
  | { readonly key: string; readonly embedding: Float32Array }
  | { readonly key: string; readonly planes: Float32Array; readonly decode: () => Promise<Float32Array> };

/** What was opened on the way and is given back when the way ends early. */
interface Closable {
  close(): Promise<void>;
}

interface OpenedTower<Tower> {
  readonly tower: Tower;
  readonly session: InferenceSession;
  readonly file: string;
  readonly sha256: string;
}

/** Embeds item pictures (with a durable store by content) and queries of words, pictures or both (with a cache in memory). */
export class ClipEmbedding implements FeatureExtractor, ModelBacked {
  readonly width: number;
  readonly #options: ClipOptions;
  readonly #services: ClipServices;
  readonly #context: ClipContext;
  readonly #vision: OpenedTower<VisionTower>;
  readonly #text: OpenedTower<TextTower> | undefined;
  readonly #decoder: BackgroundDecoder;
  /** Vectors of query texts and pictures; of no numbers for a text without a word the model knows. */
  readonly #queries: QueryCache<Float32Array>;
  readonly #storeKey: string;
  readonly #batchImages: number;
  readonly #chunksUnderWay: number;
  /** Codes a search has been warned of where the answer could not be. */
  readonly #warned = new Set<string>();
  #stored: Promise<StoredEmbeddings> | undefined;
  #disposing: Promise<void> | undefined;

  private constructor(
    options: ClipOptions,
    services: ClipServices,
    context: ClipContext,
    vision: OpenedTower<VisionTower>,
    text: OpenedTower<TextTower> | undefined,
    decoder: BackgroundDecoder,
    queries: QueryCache<Float32Array>,
    preprocessing: Preprocessing,
  ) {
    this.#options = options;
    this.#services = services;
    this.#context = context;
    this.#vision = vision;
    this.#text = text;
    this.#decoder = decoder;
    this.#queries = queries;
    this.#batchImages = options.batchImages ?? (vision.session.provider === 'cpu' ? 1 : 16);
    this.#chunksUnderWay = this.#batchImages === 1 ? decodesOf(options) + readAhead : 2;
    // What decides whether a picture is taken at all belongs to it: a stored one is not decoded again.
    const { damaged, maximumPixels } = options;
    const identity = JSON.stringify([recipeVersion, vision.sha256, vision.session.provider, preprocessing, damaged, maximumPixels]);
    this.#storeKey = `image-clip/embedding/1/${createHash('sha256').update(identity).digest('hex')}`;
    this.width = vision.tower.width;
  }

  /**
   * Finds both towers, loads them on the inference workers and checks that they fit each other and their files.
   *
   * @throws RECLOOM_DAT_MODEL_MISSING, RECLOOM_DAT_MODEL_INVALID, RECLOOM_RUN_DEVICE_UNAVAILABLE, RECLOOM_PLG_LIBRARY_MISSING,
   * IMAGE_CLIP_GRAPH, IMAGE_CLIP_MAX_TOKENS, IMAGE_CLIP_PREPROCESSING, IMAGE_CLIP_TOKENIZER, IMAGE_CLIP_WIDTH
   */
  static async open(options: ClipOptions, services: ClipServices, context: ClipContext): Promise<ClipEmbedding> {
    const { signal } = context;
    throwIfAborted(signal);
    const graph = await findVisionGraph(options, services.modelFiles, signal);
    const preprocessing = await readPreprocessing(graph.directory);
    const turns = new Turns();
    const limits = { ...options, parallelDecodes: decodesOf(options) };
    const decoder = await BackgroundDecoder.open(services.inference, limits, preprocessing);
    const opened: Closable[] = [decoder];
    try {
      const visionSession = await services.inference.load(
        {
          file: graph.file,
          device: options.device,
          ...(options.sha256 === undefined ? {} : { sha256: options.sha256 }),
        },
        signal,
      );
      opened.push(visionSession);
      const vision: OpenedTower<VisionTower> = {
        tower: await VisionTower.open(visionSession, preprocessing, turns, signal),
        session: visionSession,
        file: basename(graph.file),
        sha256: await hashOf(visionSession, graph.file),
      };
      const isBothTowers = visionSession.inputs.some((input) => input.name === 'input_ids');
      const textGraph = await findTextGraph(options, graph, isBothTowers, services.modelFiles, signal);
      const text = textGraph === undefined ? undefined : await openText(textGraph, options, services, signal, opened);
      if (text !== undefined && text.tower.width !== vision.tower.width) {
        throw clipError(
          'IMAGE_CLIP_WIDTH',
          `The vision tower gives vectors of width ${vision.tower.width}, the text tower ${text.tower.width}.`,
        );
      }
      const sessions = text === undefined ? [visionSession] : [visionSession, text.session];
      if (options.device !== 'auto') for (const session of sessions) for (const warning of session.warnings) context.warn(warning);
      const queries = await QueryCache.open<Float32Array>(options.cacheSize);
      return new ClipEmbedding(options, services, context, vision, text, decoder, queries, preprocessing);
    } catch (error) {
      await Promise.allSettled(opened.map((one) => one.close()));
      throw error;
    }
  }

  async extract(batch: ExtractBatch, out: FeatureBlock): Promise<void> {
    throwIfAborted(batch.signal);
    // Many pictures listen at once. Not a signal of `AbortSignal.any`: what refers to it weakly only a full garbage collection clears,
    // so every search would leave its objects behind until then.
    setMaxListeners(0, batch.signal);
    try {
      if (batch.scope === 'query') await this.#extractQueries(batch, out);
      else await this.#extractItems(batch, out);
    } catch (error) {
      throwIfAborted(batch.signal);
      throw error;
    }
  }

  models(): readonly ModelInUse[] {
    return [this.#vision, ...(this.#text === undefined ? [] : [this.#text])].map(({ file, sha256, session }) => ({
      file,
      sha256,
      device: session.provider,
    }));
  }

  /** Writes what is new to the store and gives the models back. Idempotent. */
  dispose(): Promise<void> {
    this.#disposing ??= this.#end();
    return this.#disposing;
  }

  async #end(): Promise<void> {
    if (this.#stored !== undefined) await this.#flush(await this.#stored, true);
    await Promise.all([this.#vision.session.close(), this.#text?.session.close(), this.#text?.tower.close(), this.#decoder.close()]);
  }

  async #extractItems(batch: ExtractBatch, out: FeatureBlock): Promise<void> {
    const rowsOf = new Map<string, number[]>();
    const column = batch.columns['image']?.[0];
    for (let row = 0; row < batch.count; row++) {
      const reference =
        column !== undefined && (column.type === 'image' || column.type === 'text') ? column.values[row]?.trim() : undefined;
      if (reference === undefined || reference === '') continue;
      const rows = rowsOf.get(reference);
      if (rows === undefined) rowsOf.set(reference, [row]);
      else rows.push(row);
    }
    const references = [...rowsOf.keys()];
    const outcomes = await this.#embedItems(references, batch.signal);
    const left = new Map<PictureFault, number[]>();
    for (const [place, reference] of references.entries()) {
      const outcome = outcomes[place] as Outcome;
      const rows = rowsOf.get(reference) as number[];
      if ('fault' in outcome) {
        left.set(outcome.fault, [...(left.get(outcome.fault) ?? []), ...rows]);
        continue;
      }
      for (const row of rows) {
        out.values.set(outcome.embedding, row * this.width);
        out.presence[row] = 1;
      }
    }
    for (const fault of [...left.keys()].sort()) {
      const rows = (left.get(fault) as number[]).sort((a, b) => a - b);
      this.#context.warn({
        code: pictureFaults[fault].code,
        message: `${rows.length} item${rows.length === 1 ? ' has' : 's have'} no picture embedding: the picture ${pictureFaults[fault].what}.`,
        count: rows.length,
        detail: { rows: rows.slice(0, rowsInWarning).map((row) => batch.rows[row] ?? row) },
      });
    }
  }

  /** Pictures in runs of `batchImages`, whose make-up depends on the catalogue (and the store) alone: same input, same bytes. */
  async #embedItems(references: readonly string[], signal: AbortSignal): Promise<Outcome[]> {
    const stored = this.#options.storeEmbeddings && references.length >= storeFromPictures ? await this.#openStored() : undefined;
    const outcomes: Outcome[] = [];
    let next = 0;
    let failed = false;
    const lane = async (): Promise<void> => {
      while (!failed && next < references.length) {
        const start = next;
        next += this.#batchImages;
        try {
          const chunk = await this.#embedChunk(references.slice(start, start + this.#batchImages), stored, signal);
          for (const [place, outcome] of chunk.entries()) outcomes[start + place] = outcome;
        } catch (error) {
          failed = true;
          throw error;
        }
      }
    };
    const lanes = await Promise.allSettled(Array.from({ length: this.#chunksUnderWay }, lane));
    for (const outcome of lanes) if (outcome.status === 'rejected') throw outcome.reason;
    if (stored !== undefined) await this.#flush(stored, false);
    return outcomes;
  }

  async #embedChunk(references: readonly string[], stored: StoredEmbeddings | undefined, signal: AbortSignal): Promise<Outcome[]> {
    const prepared = await Promise.all(
      references.map((reference) =>
        settle(signal, async (): Promise<PreparedPicture> => {
          const bytes = await this.#read(reference, signal);
          const key = stored === undefined ? '' : await StoredEmbeddings.keyOf(bytes);
          const embedding = stored?.get(key);
          if (embedding !== undefined) return { key, embedding };
          const decode = (): Promise<Float32Array> => this.#decoder.decode(bytes, this.#vision.tower.takeMemory, signal);
          return { key, planes: await decode(), decode };
        }),
      ),
    );
    const decoded = prepared.flatMap((one) => ('planes' in one ? [one] : []));
    const again = (): Promise<Float32Array[]> => Promise.all(decoded.map(({ decode }) => decode()));
    const pictures = decoded.map(({ planes }) => planes);
    const encoded = pictures.length === 0 ? [] : await this.#vision.tower.encode(pictures, again, signal);
    let place = 0;
    return prepared.map((one): Outcome => {
      if (!('planes' in one)) return one;
      const embedding = encoded[place++];
      if (embedding === undefined) return { fault: 'notFinite' };
      stored?.add(one.key, embedding);
      return { embedding };
    });
  }

  async #extractQueries(batch: ExtractBatch, out: FeatureBlock): Promise<void> {
    const { requests, signal } = batch;
    await Promise.all(
      Array.from({ length: batch.count }, async (_, row) => {
        const column = batch.columns['image']?.[0];
        const request: Partial<Pick<RequestView, 'text' | 'image' | 'queryWeights'>> =
          requests?.[row] ?? (column?.type === 'image' || column?.type === 'text' ? { image: column.values[row] ?? undefined } : {});
        const warn = (part: 'picture' | 'text', fault: PictureFault): void => {
          const { code, what } = pictureFaults[fault];
          const message = `The ${part} of the search was not used: it ${what}.`;
          if (batch.warn !== undefined) batch.warn(row, { code, message });
          else if (!this.#warned.has(code)) this.#context.warn({ code, message });
          this.#warned.add(code);
        };
        const embedding = await this.#embedQuery(request, signal, warn);
        if (embedding === undefined) return;
        out.values.set(embedding, row * this.width);
        out.presence[row] = 1;
      }),
    );
  }

  async #embedQuery(
    request: Partial<Pick<RequestView, 'text' | 'image' | 'queryWeights'>>,
    signal: AbortSignal,
    warn: (part: 'picture' | 'text', fault: PictureFault) => void,
  ): Promise<Float32Array | undefined> {
    const weights = request.queryWeights ?? this.#options.queryWeights;
    const words = this.#text === undefined ? '' : (request.text?.trim() ?? '');
    const hasBoth = words !== '' && request.image !== undefined;
    const [text, image] = await Promise.all([
      words === '' || (hasBoth && !(weights.text > 0)) ? undefined : this.#embedText(words, signal),
      request.image === undefined || (hasBoth && !(weights.image > 0)) ? undefined : this.#embedPicture(request.image, signal),
    ]);
    if (text !== undefined && 'fault' in text) warn('text', text.fault);
    if (image !== undefined && 'fault' in image) warn('picture', image.fault);
    const textVector = vectorOf(text);
    const imageVector = vectorOf(image);
    if (textVector === undefined || imageVector === undefined) return textVector ?? imageVector;
    return mixUnits(textVector, weights.text, imageVector, weights.image);
  }

  #embedText(words: string, signal: AbortSignal): Promise<Outcome> {
    const { tower } = this.#text as OpenedTower<TextTower>;
    const text = this.#options.queryPrefix + words;
    return settle(signal, async () => {
      const embedding = await this.#queries.get(`text ${text}`, signal, async (shared) => {
        const found = await tower.encode(text, shared);
        if (found === undefined) throw new PictureError('notFinite');
        return found;
      });
      return { embedding };
    });
  }

  #embedPicture(image: Uint8Array | string, signal: AbortSignal): Promise<Outcome> {
    return settle(signal, async () => {
      const bytes = typeof image === 'string' ? await this.#read(image, signal) : image;
      if (bytes.length > this.#options.maximumBytes) throw new PictureError('tooManyBytes');
      const key = await StoredEmbeddings.keyOf(bytes);
      const embedding = await this.#queries.get(`image ${key}`, signal, async (shared) => {
        const decode = async (): Promise<Float32Array[]> => [await this.#decoder.decode(bytes, this.#vision.tower.takeMemory, shared)];
        const [found] = await this.#vision.tower.encode(await decode(), decode, shared);
        if (found === undefined) throw new PictureError('notFinite');
        return found;
      });
      return { embedding };
    });
  }

  /** The bytes behind a reference, sniffed and compared with what the reference promises. */
  async #read(reference: string, signal: AbortSignal): Promise<Uint8Array> {
    const { maximumBytes, wrongExtension } = this.#options;
    let bytes: Uint8Array;
    try {
      bytes = await this.#services.images.read(reference, { maximumBytes }, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw new PictureError(readerFault(error), error);
    }
    if (bytes.length > maximumBytes) throw new PictureError('tooManyBytes');
    const format = sniffPicture(bytes);
    if (wrongExtension === 'refuse') checkPromise(reference, format);
    return bytes;
  }

  #openStored(): Promise<StoredEmbeddings> {
    this.#stored ??= StoredEmbeddings.open(this.#services.store, this.#storeKey, this.width).catch(() => {
      this.#warnStore('read');
      return StoredEmbeddings.empty(this.#services.store, this.#storeKey, this.width);
    });
    return this.#stored;
  }

  async #flush(stored: StoredEmbeddings, everything: boolean): Promise<void> {
    try {
      await stored.flush(everything);
    } catch {
      this.#warnStore('written');
    }
  }

  #warnStore(what: 'read' | 'written'): void {
    this.#context.warn({
      code: 'IMAGE_CLIP_STORE',
      message: `Stored embeddings could not be ${what}; the pictures are encoded afresh, which gives the same result and takes longer.`,
    });
  }
}

async function openText(
  graph: GraphFile,
  options: ClipOptions,
  services: ClipServices,
  signal: AbortSignal,
  opened: Closable[],
): Promise<OpenedTower<TextTower>> {
  const tokenizer = await BackgroundTokenizer.open(services.inference, graph.directory);
  opened.push(tokenizer);
  const limit = Math.min(tokenizer.longest ?? Number.POSITIVE_INFINITY, await longestText(graph.directory));
  const { maxTokens = Math.min(defaultMaxTokens, limit) } = options;
  if (maxTokens > limit) throw clipError('IMAGE_CLIP_MAX_TOKENS', `\`maxTokens\` is ${maxTokens}; the text model takes at most ${limit}.`);
  const session = await services.inference.load(
    {
      file: graph.file,
      device: options.device,
      independentRows: true,
      batching: { tokens: defaultMaxTokens },
      ...(options.textSha256 === undefined ? {} : { sha256: options.textSha256 }),
    },
    signal,
  );
  opened.push(session);
  return {
    tower: await TextTower.open(session, tokenizer, maxTokens, signal),
    session,
    file: basename(graph.file),
    sha256: await hashOf(session, graph.file),
  };
}

/** The positions that config.json gives texts, at its top or under `text_config`; Infinity where it says nothing. */
async function longestText(directory: string): Promise<number> {
  const text = await readFile(join(directory, 'config.json'), 'utf8').catch(() => '{}');
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (cause) {
    throw recloomError('RECLOOM_DAT_MODEL_INVALID', { why: 'its config.json is not JSON' }, { cause });
  }
  interface Positions {
    readonly max_position_embeddings?: unknown;
    readonly text_config?: Positions;
  }
  const { max_position_embeddings: own, text_config: nested } = (config ?? {}) as Positions;
  const positions = nested?.max_position_embeddings ?? own;
  return typeof positions === 'number' && positions > 0 ? positions : Number.POSITIVE_INFINITY;
}

/** The vector of an outcome that has one. */
function vectorOf(outcome: Outcome | undefined): Float32Array | undefined {
  return outcome !== undefined && 'embedding' in outcome && outcome.embedding.length > 0 ? outcome.embedding : undefined;
}

/** Runs work on one picture or text: a fault of it becomes an outcome, everything else is thrown. */
async function settle<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result | { readonly fault: PictureFault }> {
  try {
    return await work();
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof PictureError) return { fault: error.fault };
    throw error;
  }
}

function readerFault(error: unknown): PictureFault {
  if (!isRecloomError(error)) return 'unreadable';
  switch (error.code) {
    case 'RECLOOM_DAT_IMAGE_MISSING':
      return 'missing';
    case 'RECLOOM_DAT_IMAGE_REFUSED':
      return 'refused';
    case 'RECLOOM_DAT_IMAGE_TOO_LARGE':
      return 'tooManyBytes';
    default:
      return 'unreadable';
  }
}

async function hashOf(session: InferenceSession, file: string): Promise<string> {
  return (
    session.sha256 ??
    createHash('sha256')
      .update(await readFile(file))
      .digest('hex')
  );
}

function decodesOf(options: ClipOptions): number {
  return options.parallelDecodes ?? Math.min(mostDecodes, availableParallelism());
}

function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw recloomError('RECLOOM_RUN_ABORTED', {}, { cause: signal.reason });
}
