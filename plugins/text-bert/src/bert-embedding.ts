import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, isAbsolute, join, relative } from 'node:path';
import {
  type Column,
  columnValue,
  type ExtractBatch,
  type FeatureBlock,
  type FeatureExtractor,
  type Inference,
  type InferenceSession,
  isRecloomError,
  type KeyValueStore,
  type ModelBacked,
  type ModelFiles,
  type ModelInUse,
  recloomError,
  type Warning,
} from '@recloom/plugin-api';
import { BackgroundTokenizer } from './background-tokenizer.js';
import { type BertOptions, defaultModel } from './options.js';
import { bertError } from './plugin-error.js';
import { QueryCache } from './query-cache.js';
import { StoredEmbeddings } from './stored-embeddings.js';
import { cut, TextEncoder } from './text-encoder.js';

/** The services that the extractor uses. */
export interface BertServices {
  readonly inference: Inference;
  readonly modelFiles: ModelFiles;
  readonly store: KeyValueStore;
}

/** How the extractor is stopped, and whom it warns. */
export interface BertContext {
  readonly signal: AbortSignal;
  warn(warning: Warning): void;
}

/** Fewer item texts than this are encoded without looking at the store: live changes to single items. */
const storeFromTexts = 32;

const defaultMaxTokens = 256;

const filesByDtype = {
  fp32: 'onnx/model.onnx',
  fp16: 'onnx/model_fp16.onnx',
  q8: 'onnx/model_quantized.onnx',
  int8: 'onnx/model_int8.onnx',
  uint8: 'onnx/model_uint8.onnx',
  q4: 'onnx/model_q4.onnx',
} as const;

/** Embeds item texts (with a durable store by content) and queries (with a cache in memory). */
export class BertEmbedding implements FeatureExtractor, ModelBacked {
  readonly width: number;
  readonly #options: BertOptions;
  readonly #session: InferenceSession;
  readonly #model: Pick<ModelInUse, 'file' | 'sha256'>;
  readonly #tokenizer: BackgroundTokenizer;
  readonly #encoder: TextEncoder;
  readonly #queries: QueryCache;
  readonly #store: KeyValueStore;
  readonly #storeKey: string;
  readonly #context: BertContext;
  #stored: Promise<StoredEmbeddings> | undefined;
  #warnedNotFinite = false;
  #disposing: Promise<void> | undefined;

  private constructor(
    options: BertOptions,
    services: BertServices,
    context: BertContext,
    session: InferenceSession,
    model: Pick<ModelInUse, 'file' | 'sha256'>,
    tokenizer: BackgroundTokenizer,
    encoder: TextEncoder,
    queries: QueryCache,
    storeKey: string,
  ) {
    this.#options = options;
    this.#session = session;
    this.#model = model;
    this.#tokenizer = tokenizer;
    this.#encoder = encoder;
    this.#queries = queries;
    this.#store = services.store;
    this.#storeKey = storeKey;
    this.#context = context;
    this.width = encoder.width;
  }

  /**
   * Finds the model, loads it on the inference workers and checks that it is an encoder that fits its tokenizer.
   *
   * @throws RECLOOM_DAT_MODEL_MISSING, RECLOOM_DAT_MODEL_INVALID, RECLOOM_RUN_DEVICE_UNAVAILABLE, RECLOOM_PLG_LIBRARY_MISSING,
   * TEXT_BERT_GRAPH, TEXT_BERT_MAX_TOKENS, TEXT_BERT_TOKENIZER, TEXT_BERT_WIDTH
   */
  static async open(options: BertOptions, services: BertServices, context: BertContext): Promise<BertEmbedding> {
    const { signal } = context;
    throwIfAborted(signal);
    const directory = await findModel(options.model, services.modelFiles, signal);
    const file = await findGraph(directory, options);
    const facts = await readFacts(directory);
    const maxTokens = chooseMaxTokens(options.maxTokens, facts.maxPositions);
    const loading = services.inference.load(
      {
        file,
        device: options.device,
        independentRows: true,
        // Queries of equal length that come at the same time share a run; a whole catalogue's runs are full as they are.
        batching: { tokens: options.batchTokens },
        ...(options.sha256 ? { sha256: options.sha256 } : {}),
      },
      signal,
    );
    const [opened, loaded] = await Promise.allSettled([BackgroundTokenizer.open(services.inference, directory), loading]);
    if (opened.status === 'rejected' || loaded.status === 'rejected') {
      if (opened.status === 'fulfilled') await opened.value.close();
      if (loaded.status === 'fulfilled') await loaded.value.close();
      throw opened.status === 'rejected' ? opened.reason : (loaded as PromiseRejectedResult).reason;
    }
    const [tokenizer, session] = [opened.value, loaded.value];
    try {
      if (maxTokens <= tokenizer.specialTokens) throw bertError('TEXT_BERT_MAX_TOKENS', '`maxTokens` leaves no room for a text.');
      if (facts.vocabularySize !== undefined && tokenizer.vocabularySize > facts.vocabularySize) {
        const message = `The tokenizer knows ${tokenizer.vocabularySize} tokens, the model ${facts.vocabularySize}.`;
        throw bertError('TEXT_BERT_TOKENIZER', message);
      }
      if (options.device !== 'auto') for (const warning of session.warnings) context.warn(warning);
      const settings = {
        pooling: options.pooling,
        normalize: options.normalize,
        maxTokens,
        batchTokens: options.batchTokens,
        oneByOne: session.batchDependent === true,
      };
      const encoder = await TextEncoder.open(session, tokenizer, settings, facts.width, signal);
      const queries = await QueryCache.open(options.cacheSize);
      const sha256 =
        session.sha256 ??
        createHash('sha256')
          .update(await readFile(file))
          .digest('hex');
      const identity = JSON.stringify([sha256, tokenizer.sha256, session.provider, settings]);
      const storeKey = `text-bert/embedding/2/${createHash('sha256').update(identity).digest('hex')}`;
      return new BertEmbedding(
        options,
        services,
        context,
        session,
        { file: basename(file), sha256 },
        tokenizer,
        encoder,
        queries,
        storeKey,
      );
    } catch (error) {
      await Promise.all([session.close(), tokenizer.close()]);
      throw error;
    }
  }

  async extract(batch: ExtractBatch, out: FeatureBlock): Promise<void> {
    throwIfAborted(batch.signal);
    const prefix = batch.scope === 'query' ? this.#options.queryPrefix : this.#options.itemPrefix;
    const texts = this.#texts(batch, prefix);
    const distinct = [...new Set(texts.values())];
    const embeddings =
      batch.scope === 'query' ? await this.#encodeQueries(distinct, batch.signal) : await this.#encodeItems(distinct, batch.signal);
    const byText = new Map(distinct.map((text, index) => [text, embeddings[index]]));
    for (const [row, text] of texts) {
      const embedding = byText.get(text);
      if (embedding === undefined) continue;
      out.values.set(embedding, row * this.width);
      out.presence[row] = 1;
    }
  }

  /** The encoder and the device that runs it now. */
  models(): readonly ModelInUse[] {
    return [{ ...this.#model, device: this.#session.provider }];
  }

  /** Writes what is new to the store and gives the model back. Idempotent. */
  dispose(): Promise<void> {
    this.#disposing ??= this.#end();
    return this.#disposing;
  }

  async #end(): Promise<void> {
    if (this.#stored !== undefined) await this.#flush(await this.#stored, true);
    await Promise.all([this.#session.close(), this.#tokenizer.close()]);
  }

  /** Row → text, with its prefix; rows without a text are left out. */
  #texts(batch: ExtractBatch, prefix: string): Map<number, string> {
    const columns = batch.columns['text'] ?? [];
    // What is beyond can never reach the model; it need not be copied and hashed either.
    const maximum = 64 * (this.#options.maxTokens ?? defaultMaxTokens);
    const texts = new Map<number, string>();
    for (let row = 0; row < batch.count; row++) {
      const parts: string[] = [];
      for (const column of columns) {
        const part = cut(textOf(column, row), maximum).trim();
        if (part !== '') parts.push(part);
      }
      if (parts.length > 0) texts.set(row, prefix + parts.join(this.#options.separator));
    }
    return texts;
  }

  #encodeQueries(texts: readonly string[], signal: AbortSignal): Promise<(Float32Array | undefined)[]> {
    // Many queries listen at once. Not a signal of `AbortSignal.any` for each: what refers to it weakly only a full garbage collection
    // clears, so every search would leave its objects behind until then.
    setMaxListeners(0, signal);
    return Promise.all(
      texts.map((text) =>
        this.#queries.get(text, signal, async (shared) => (await this.#encoder.encode([text], shared, this.#onNotFinite))[0]),
      ),
    );
  }

  async #encodeItems(texts: readonly string[], signal: AbortSignal): Promise<(Float32Array | undefined)[]> {
    if (!this.#options.storeEmbeddings || texts.length < storeFromTexts) return this.#encoder.encode(texts, signal, this.#onNotFinite);
    this.#stored ??= this.#openStored();
    const stored = await this.#stored;
    const keys = await StoredEmbeddings.keysOf(texts);
    const embeddings = keys.map((key) => stored.get(key));
    const missing = texts.flatMap((_, index) => (embeddings[index] === undefined ? [index] : []));
    if (missing.length === 0) return embeddings;
    const encoded = await this.#encoder.encode(
      missing.map((index) => texts[index] as string),
      signal,
      this.#onNotFinite,
    );
    for (const [place, index] of missing.entries()) {
      const embedding = encoded[place];
      if (embedding === undefined) continue;
      embeddings[index] = embedding;
      stored.add(keys[index] as string, embedding);
    }
    await this.#flush(stored, false);
    return embeddings;
  }

  async #openStored(): Promise<StoredEmbeddings> {
    try {
      return await StoredEmbeddings.open(this.#store, this.#storeKey, this.width);
    } catch {
      this.#warnStore('read');
      return StoredEmbeddings.empty(this.#store, this.#storeKey, this.width);
    }
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
      code: 'TEXT_BERT_STORE',
      message: `Stored embeddings could not be ${what}; the texts are encoded afresh, which gives the same result and takes longer.`,
    });
  }

  readonly #onNotFinite = (): void => {
    if (this.#warnedNotFinite) return;
    this.#warnedNotFinite = true;
    this.#context.warn({
      code: 'TEXT_BERT_NOT_FINITE',
      message: 'The model gave numbers that are not finite, or nothing but zeros; such texts are left without an embedding.',
    });
  };
}

function textOf(column: Column, row: number): string {
  const value = columnValue(column, row);
  if (value === null) return '';
  return typeof value === 'object' ? value.join(', ') : String(value);
}

/** The model's folder; the default model is also found beside this plugin, where strict package managers put it. */
async function findModel(reference: string, modelFiles: ModelFiles, signal: AbortSignal): Promise<string> {
  try {
    return (await modelFiles.resolve(reference, signal)).directory;
  } catch (error) {
    if (reference !== defaultModel || !isRecloomError(error) || error.code !== 'RECLOOM_DAT_MODEL_MISSING') throw error;
    try {
      return dirname(createRequire(import.meta.url).resolve(`${defaultModel}/package.json`));
    } catch {
      throw error;
    }
  }
}

async function findGraph(directory: string, options: BertOptions): Promise<string> {
  const candidates =
    options.file !== undefined
      ? [options.file]
      : options.dtype !== undefined
        ? [filesByDtype[options.dtype]]
        : ['onnx/model_quantized.onnx', 'onnx/model.onnx', 'model.onnx'];
  for (const candidate of candidates) {
    const file = join(directory, candidate);
    const inside = relative(directory, file);
    if (isAbsolute(candidate) || inside.startsWith('..')) {
      throw recloomError('RECLOOM_DAT_MODEL_INVALID', { why: '`file` must lie inside the model folder' });
    }
    if ((await stat(file).catch(() => undefined))?.isFile()) return file;
  }
  throw recloomError('RECLOOM_DAT_MODEL_MISSING', { reference: options.model, tried: candidates.join(', ') });
}

interface ModelFacts {
  readonly width: number | undefined;
  readonly vocabularySize: number | undefined;
  readonly maxPositions: number | undefined;
}

/** What config.json says of the model, where there is one. */
async function readFacts(directory: string): Promise<ModelFacts> {
  const text = await readFile(join(directory, 'config.json'), 'utf8').catch(() => '{}');
  let config: Readonly<Record<string, unknown>>;
  try {
    config = JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch (cause) {
    throw recloomError('RECLOOM_DAT_MODEL_INVALID', { why: 'its config.json is not JSON' }, { cause });
  }
  const count = (name: string): number | undefined => {
    const value = config[name];
    return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : undefined;
  };
  return {
    width: count('hidden_size') ?? count('dim'),
    vocabularySize: count('vocab_size'),
    maxPositions: count('max_position_embeddings'),
  };
}

function chooseMaxTokens(asked: number | undefined, maxPositions: number | undefined): number {
  if (asked === undefined) return Math.min(defaultMaxTokens, maxPositions ?? defaultMaxTokens);
  if (maxPositions !== undefined && asked > maxPositions) {
    throw bertError('TEXT_BERT_MAX_TOKENS', `\`maxTokens\` is ${asked}; the model takes at most ${maxPositions}.`);
  }
  return asked;
}

function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw recloomError('RECLOOM_RUN_ABORTED', {}, { cause: signal.reason });
}
