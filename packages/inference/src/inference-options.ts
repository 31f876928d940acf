import { availableParallelism } from 'node:os';
import type { Clock, InferenceDevice, InferenceIsolation, Logger, Metrics } from '@recloom/plugin-api';

/** Bounds on what a model may take. */
export interface InferenceLimits {
  /** Most bytes of a model on disk, the tensor files beside it included. Default 2 GiB. */
  readonly maximumModelBytes?: number;
  /** Longest loading of a model in milliseconds, its warm-up included. Default 120,000. */
  readonly loadTimeoutMs?: number;
  /**
   * How long a run that nobody waits for any more (aborted, or past its deadline) may still keep a child process busy
   * before it is killed, in milliseconds. Threads cannot be killed and are used again when the run ends. Default 10,000.
   */
  readonly overdueMs?: number;
}

export interface InferenceOptions {
  /** Most workers, each with its own copy of the models it runs; they start when they are needed. Default one per core. */
  readonly workers?: number;
  /** Runs that may wait for a worker before further ones are refused. Default 1,024. */
  readonly queueLimit?: number;
  /** Where models run whose request does not say. Default `thread`. */
  readonly isolation?: InferenceIsolation;
  /** Devices of models whose request names none, in the order they are tried. Default `auto`. */
  readonly device?: InferenceDevice | readonly InferenceDevice[];
  readonly limits?: InferenceLimits;
  /** How many models stay loaded when their last session has closed, the least recently used forgotten first. Default 2. */
  readonly cacheModels?: number;
  /** Most bytes on disk of those models together. Default 512 MiB. */
  readonly cacheBytes?: number;
  /** Environment variables of child processes besides this process's own, e.g. `VK_DRIVER_FILES`; a driver reads them only at the start of a process. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Time for deadlines; default `performance.now()`. */
  readonly clock?: Pick<Clock, 'monotonic'>;
  readonly logger?: Pick<Logger, 'warn'>;
  readonly metrics?: Metrics;
}

/** Options with their defaults. */
export type InferenceSettings = Required<Omit<InferenceOptions, 'limits' | 'logger' | 'metrics' | 'device'>> & {
  readonly limits: Required<InferenceLimits>;
  readonly devices: readonly InferenceDevice[];
  readonly logger: Pick<Logger, 'warn'> | undefined;
  readonly metrics: Metrics | undefined;
};

/** @throws RangeError when a number is not what its description says. */
export function completeOptions(options: InferenceOptions): InferenceSettings {
  const { limits = {}, device = 'auto' } = options;
  const isolation = options.isolation ?? 'thread';
  if (isolation !== 'thread' && isolation !== 'process') throw new RangeError('isolation must be thread or process');
  return {
    workers: whole('workers', options.workers ?? availableParallelism(), 1),
    queueLimit: whole('queueLimit', options.queueLimit ?? 1024, 1),
    isolation,
    devices: devicesOf(device, ['auto']),
    limits: {
      maximumModelBytes: whole('limits.maximumModelBytes', limits.maximumModelBytes ?? 2 * 1024 ** 3, 1),
      loadTimeoutMs: whole('limits.loadTimeoutMs', limits.loadTimeoutMs ?? 120_000, 1),
      overdueMs: whole('limits.overdueMs', limits.overdueMs ?? 10_000, 0),
    },
    cacheModels: whole('cacheModels', options.cacheModels ?? 2, 0),
    cacheBytes: whole('cacheBytes', options.cacheBytes ?? 512 * 1024 ** 2, 0),
    environment: options.environment ?? {},
    clock: options.clock ?? { monotonic: () => performance.now() },
    logger: options.logger,
    metrics: options.metrics,
  };
}

/** A device or several as a list; `otherwise` for none. */
export function devicesOf(
  device: InferenceDevice | readonly InferenceDevice[] | undefined,
  otherwise: readonly InferenceDevice[],
): readonly InferenceDevice[] {
  if (device === undefined) return otherwise;
  if (typeof device === 'string') return [device];
  return device.length === 0 ? otherwise : [...device];
}

function whole(name: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new RangeError(`${name} must be a whole number of at least ${least}`);
}
