import { createToken } from './token.js';

/** Structured log; the default is silent. `fields` never hold item or user data. */
export interface Logger {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}
/** Gives a component the host's log. */
export const loggerToken = createToken<Logger>('recloom.logger', 'structured log');

/** Wall and monotonic time. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Milliseconds from an arbitrary start, never going back. */
  monotonic(): number;
}
/** Gives a component the time; tests put a clock of their own there. */
export const clockToken = createToken<Clock>('recloom.clock', 'wall and monotonic time');

/** Source of unpredictable values for ids; models draw from seeded streams (`createRandomStream`) instead. */
export interface RandomSource {
  /** Uniform in [0, 1). */
  next(): number;
  /** A unique id, e.g. a UUID. */
  id(): string;
}
/** Gives a component randomness for ids; results draw from `context.random` instead. */
export const randomToken = createToken<RandomSource>('recloom.random', 'random source for ids');

/** Counters and histograms; the default keeps them in memory. */
export interface Metrics {
  count(name: string, value?: number, labels?: Readonly<Record<string, string>>): void;
  observe(name: string, value: number, labels?: Readonly<Record<string, string>>): void;
}
/** Gives a component the host's counters and histograms. */
export const metricsToken = createToken<Metrics>('recloom.metrics', 'counters and histograms');

/** Spans around the stages of a request; the default does nothing. */
export interface Tracer {
  startSpan(name: string, attributes?: Readonly<Record<string, string | number | boolean>>): Span;
}
/** A stretch of work that a tracer follows until `end` is called. */
export interface Span {
  setAttribute(name: string, value: string | number | boolean): void;
  recordError(error: unknown): void;
  end(): void;
}
/** Gives a component the host's tracer. */
export const tracerToken = createToken<Tracer>('recloom.tracer', 'spans around the stages of a request');

/** A model's files on disk. */
export interface ModelFolder {
  /** Absolute path of the folder. */
  readonly directory: string;
  /** Where it came from: `path`, `package` or `hub`. */
  readonly origin: 'path' | 'package' | 'hub';
  /** The reference as the config wrote it. */
  readonly reference: string;
}
/** Finds the folders that models lie in. */
export interface ModelFiles {
  /**
   * Finds a model: a path (`./models/mine`, relative to the config file), a package (`@recloom/model-all-minilm-l6-v2`),
   * or a hub id (`hub:owner/name`, from the local cache; downloaded only when the host allowed it).
   *
   * @throws RECLOOM_DAT_MODEL_MISSING when it is nowhere.
   */
  resolve(reference: string, signal?: AbortSignal): Promise<ModelFolder>;
}
/** Gives a component the finder of model folders. */
export const modelFilesToken = createToken<ModelFiles>('recloom.modelFiles', 'finds model folders by path, package or hub id');

/**
 * Reads pictures for components: what stands in an image field of an item, or in a request. The default reads data URIs
 * and files below the config's folder (and `images.directories`), and asks hosts of `images.hosts` over https; a host with
 * object storage provides its own.
 */
export interface ImageReader {
  /**
   * The encoded bytes of a picture.
   *
   * @throws RECLOOM_DAT_IMAGE_MISSING, RECLOOM_DAT_IMAGE_REFUSED (outside the allowed folders and hosts), RECLOOM_DAT_IMAGE_TOO_LARGE
   */
  read(reference: string, limits: { readonly maximumBytes: number }, signal: AbortSignal): Promise<Uint8Array>;
}
/** Gives a component the reader of pictures. */
export const imageReaderToken = createToken<ImageReader>(
  'recloom.imageReader',
  "reads pictures by path, data URI or the host's own reference",
);

/** Small durable values a component wants to keep between runs, e.g. embeddings by content hash. */
export interface KeyValueStore {
  get(key: string): Promise<Uint8Array | undefined>;
  /** Writes through; a value is either wholly there or not at all. */
  set(key: string, value: Uint8Array): Promise<void>;
}
/** Gives a component a small store that lasts beyond the process. */
export const keyValueStoreToken = createToken<KeyValueStore>('recloom.keyValueStore', 'small durable values');

/** Answers which purposes a user has agreed to, for hosts that keep consent centrally. */
export interface Consent {
  /** Purposes granted for this user, e.g. `['personalisation']`; empty when none. `userId` is undefined for a guest. */
  purposes(userId: string | undefined): readonly string[] | Promise<readonly string[]>;
}
/** Gives a component the host's register of consent. */
export const consentToken = createToken<Consent>('recloom.consent', 'the purposes a user has agreed to');

/**
 * The pool of threads that WASM kernels run on; one per pipeline, owned by core.
 * Plugins hand it to the functions of `@recloom/kernels` and do not call it themselves.
 */
export interface Compute {
  readonly threads: number;
  run(kernel: string, parameters: readonly number[], signal?: AbortSignal): Promise<number>;
}
/** Gives a component the pool of threads for kernels. */
export const computeToken = createToken<Compute>('recloom.compute', 'the pool of threads for WASM kernels');
