import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import {
  type Clock,
  type Consent,
  clockToken,
  computeToken,
  consentToken,
  expressionsToken,
  imageReaderToken,
  inferenceToken,
  keyValueStoreToken,
  type Logger,
  loggerToken,
  type Metrics,
  metricsToken,
  modelFilesToken,
  type Provided,
  type RandomSource,
  randomToken,
  recloomError,
  type Token,
  type Tracer,
  tracerToken,
} from '@recloom/plugin-api';
import type { PipelineConfig } from '../config/types.js';

const nothing = (): void => {};
const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };
const systemClock: Clock = { now: () => Date.now(), monotonic: () => performance.now() };
const systemRandom: RandomSource = { next: () => Math.random(), id: () => randomUUID() };
const silentTracer: Tracer = { startSpan: () => ({ setAttribute: nothing, recordError: nothing, end: nothing }) };
const nobodyAgreed: Consent = { purposes: () => [] };

/** Counters and histograms in memory: the default until a host provides its own. */
export class MemoryMetrics implements Metrics {
  readonly counters = new Map<string, number>();
  readonly observations = new Map<string, { count: number; sum: number; minimum: number; maximum: number }>();

  count(name: string, value = 1): void {
    this.counters.set(name, (this.counters.get(name) ?? 0) + value);
  }

  observe(name: string, value: number): void {
    const seen = this.observations.get(name);
    if (seen === undefined) {
      this.observations.set(name, { count: 1, sum: value, minimum: value, maximum: value });
      return;
    }
    seen.count++;
    seen.sum += value;
    if (value < seen.minimum) seen.minimum = value;
    if (value > seen.maximum) seen.maximum = value;
  }
}

/** Another service of the same container, the host's own or a default. */
export type FindService = <Value>(token: Token<Value>) => Promise<Value>;

/** How a token gets its value when the host provides none; `dispose` runs when the pipeline closes. */
export interface ServiceDefault {
  readonly token: Token<unknown>;
  readonly make: (find: FindService) => unknown;
  readonly dispose?: (value: never) => void | Promise<void>;
}

export interface ServiceSettings {
  /** Absolute folder of the config. */
  readonly directory: string;
  /** Absolute folder for caches, e.g. `<snapshots>/cache`. */
  readonly cacheDirectory: string;
  readonly modelCache: string | undefined;
  readonly allowDownload: boolean;
  readonly threads: number | undefined;
  readonly inference: PipelineConfig['inference'];
  readonly images: PipelineConfig['images'];
}

/** The services every pipeline has; each can be replaced by the host. Heavy ones import and start nothing before their first use. */
export function defaultServices(settings: ServiceSettings): readonly ServiceDefault[] {
  return [
    { token: loggerToken, make: () => silentLogger },
    { token: clockToken, make: () => systemClock },
    { token: randomToken, make: () => systemRandom },
    { token: metricsToken, make: () => new MemoryMetrics() },
    { token: tracerToken, make: () => silentTracer },
    { token: consentToken, make: () => nobodyAgreed },
    {
      token: computeToken,
      make: async () => {
        const { createComputePool } = await import('@recloom/kernels');
        return createComputePool(settings.threads === undefined ? {} : { threads: settings.threads });
      },
      dispose: (pool: { close(): Promise<void> }) => pool.close(),
    },
    {
      token: inferenceToken,
      make: async (find) => {
        const { createInference } = await import('@recloom/inference');
        const { workers, isolation, queueLimit } = settings.inference;
        return createInference({
          isolation,
          logger: await find(loggerToken),
          metrics: await find(metricsToken),
          ...(workers === undefined ? {} : { workers }),
          ...(queueLimit === undefined ? {} : { queueLimit }),
        });
      },
      dispose: (inference: { close(): Promise<void> }) => inference.close(),
    },
    {
      token: modelFilesToken,
      make: async () => {
        const { createModelFiles } = await import('@recloom/inference');
        return createModelFiles({
          directory: settings.directory,
          allowDownload: settings.allowDownload,
          cacheDirectory: settings.modelCache ?? join(settings.cacheDirectory, 'models'),
        });
      },
    },
    {
      token: imageReaderToken,
      make: async () => {
        const { createImageReader } = await import('../data/image-reader.js');
        return createImageReader({ directory: settings.directory, ...settings.images });
      },
    },
    {
      token: keyValueStoreToken,
      make: async () => {
        const { createDirectoryKeyValueStore } = await import('@recloom/inference');
        return createDirectoryKeyValueStore(join(settings.cacheDirectory, 'values'));
      },
    },
  ];
}

/** Ids of the tokens that core itself serves, whether or not the host replaces them. */
export const coreTokenIds: readonly string[] = [
  loggerToken,
  clockToken,
  randomToken,
  metricsToken,
  tracerToken,
  consentToken,
  computeToken,
  inferenceToken,
  modelFilesToken,
  imageReaderToken,
  keyValueStoreToken,
  expressionsToken,
].map((token: Token<unknown>) => token.id);

/**
 * Checks what the host provides.
 *
 * @throws RECLOOM_DI_DUPLICATE when a token is provided twice.
 */
export function checkProvided(provided: Provided): void {
  const seen = new Set<string>();
  for (const [token] of provided) {
    if (seen.has(token.id)) throw recloomError('RECLOOM_DI_DUPLICATE', { token: token.id });
    seen.add(token.id);
  }
}
