import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import {
  type BackgroundRequest,
  type BackgroundWork,
  type Inference,
  type InferenceIsolation,
  type InferenceSession,
  type ModelRequest,
  recloomError,
} from '@recloom/plugin-api';
import { BackgroundThread } from './background.js';
import { aborted } from './call.js';
import { findMisfit } from './expectations.js';
import { completeOptions, devicesOf, type InferenceOptions, type InferenceSettings } from './inference-options.js';
import { ModelCache, type ModelEntry } from './model-cache.js';
import type { StartModelHost } from './model-host.js';
import { checkModelSize } from './model-source.js';
import { createPoolModel } from './pool-model.js';
import { startProcess } from './process-host.js';
import type { OpenModel } from './protocol.js';
import { checkDevices } from './providers.js';
import { SharedSession } from './shared-session.js';
import { probeRows, sharingLimitsOf } from './sharing.js';
import { sharedBuffer, TensorMemory } from './tensor-memory.js';
import { startThread } from './thread-host.js';
import { WorkerPool } from './worker-pool.js';

/** What `createInference` gives: the service behind `inferenceToken`, and its end. */
export interface InferenceService extends Inference {
  background(request: BackgroundRequest): Promise<BackgroundWork>;
  /** Refuses new calls, lets those under way finish, then ends the workers. Idempotent. */
  close(): Promise<void>;
}

/** How workers of each kind are started. */
export type StartHosts = Readonly<Record<InferenceIsolation, StartModelHost>>;

/**
 * Runs ONNX models with onnxruntime-node on worker threads or in child processes; it is imported in the first of them
 * and nowhere else. No worker starts before the first `load`. Idle workers do not keep the process alive; calls under
 * way do. Inputs are copied before a call returns; the caller owns the results.
 *
 * @throws RangeError when an option is not what its description says.
 */
export function createInference(options: InferenceOptions = {}): InferenceService {
  return createInferenceOn({}, options);
}

/** `createInference` on hosts of another kind; internal, for tests. */
export function createInferenceOn(start: Partial<StartHosts>, options: InferenceOptions = {}): InferenceService {
  const settings = completeOptions(options);
  const { environment } = settings;
  return new WorkerInference({ thread: startThread, process: (events) => startProcess(events, { environment }), ...start }, settings);
}

class WorkerInference implements InferenceService {
  readonly #start: StartHosts;
  readonly #settings: InferenceSettings;
  readonly #pools = new Map<InferenceIsolation, WorkerPool>();
  readonly #cache: ModelCache;
  readonly #memory = new TensorMemory(sharedBuffer);
  readonly #background = new BackgroundThread();
  #nextKey = 1;
  #closing: Promise<void> | undefined;

  constructor(start: StartHosts, settings: InferenceSettings) {
    this.#start = start;
    this.#settings = settings;
    this.#cache = new ModelCache(settings);
  }

  async load(model: ModelRequest, signal?: AbortSignal): Promise<InferenceSession> {
    this.#checkOpen();
    if (signal?.aborted) throw aborted(signal);
    const sharing = sharingLimitsOf(model.batching);
    const loading = this.#enter(model);
    const entry = await (signal === undefined ? loading : this.#orAborted(loading, signal));
    const leave = (): void => this.#cache.leave(entry);
    return new SharedSession(entry, sharing, this.#memory, () => entry.references++, leave);
  }

  async background(request: BackgroundRequest): Promise<BackgroundWork> {
    this.#checkOpen();
    return this.#background.open(request);
  }

  close(): Promise<void> {
    this.#closing ??= Promise.all([this.#background.close(), ...[...this.#pools.values()].map((pool) => pool.close())]).then(() => {});
    return this.#closing;
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw recloomError('RECLOOM_RUN_CLOSED', {});
  }

  /** An entry with one reference more, loading the model when nobody has. */
  async #enter(model: ModelRequest): Promise<ModelEntry> {
    const { limits } = this.#settings;
    const file = resolve(model.file);
    const isolation = model.isolation ?? this.#settings.isolation;
    const devices = devicesOf(model.device, this.#settings.devices);
    checkDevices(devices);
    const independentRows = model.independentRows === true;
    const warmUpRows = model.warmUp === false ? 0 : probeRows;
    const onDisk = await fingerprint(file, limits.maximumModelBytes);
    this.#checkOpen();
    const identity = [onDisk, devices.join(' '), independentRows, isolation].join('|');
    return this.#cache.enter(
      identity,
      (entry) => checkEntry(model, entry),
      async () => {
        const request: OpenModel = {
          key: `model-${this.#nextKey++}`,
          file,
          sha256: model.sha256,
          devices,
          independentRows,
          maximumBytes: limits.maximumModelBytes,
          expects: model.expects,
          warmUpRows,
        };
        const pool = this.#poolOf(isolation);
        const poolModel = createPoolModel(request);
        const opened = await pool.open(poolModel);
        // What one caller expects is not to fail the model on a further worker.
        poolModel.request = { ...poolModel.request, expects: undefined };
        return { model: poolModel, pool, opened, content: `${opened.content}|${isolation}` };
      },
    );
  }

  #poolOf(isolation: InferenceIsolation): WorkerPool {
    let pool = this.#pools.get(isolation);
    if (pool === undefined) {
      const { workers, queueLimit, limits, clock, logger, metrics } = this.#settings;
      const start = this.#start[isolation];
      const { loadTimeoutMs, overdueMs } = limits;
      pool = new WorkerPool({
        workers,
        queueLimit,
        loadTimeoutMs,
        overdueMs,
        start,
        clock,
        logger,
        metrics,
        isolation,
        memory: this.#memory,
      });
      this.#pools.set(isolation, pool);
    }
    return pool;
  }

  /** The caller of an aborted load is answered at once; what it would have got is given back when it arrives. */
  #orAborted(loading: Promise<ModelEntry>, signal: AbortSignal): Promise<ModelEntry> {
    return new Promise((resolvePromise, reject) => {
      const onAbort = (): void => {
        reject(aborted(signal));
        loading.then(
          (entry) => this.#cache.leave(entry),
          () => {},
        );
      };
      signal.addEventListener('abort', onAbort, { once: true });
      loading.then(
        (entry) => {
          signal.removeEventListener('abort', onAbort);
          resolvePromise(entry);
        },
        (error: unknown) => {
          signal.removeEventListener('abort', onAbort);
          reject(error);
        },
      );
    });
  }
}

/** The file as it is on disk now, so that a file that was replaced is loaded anew. @throws RECLOOM_DAT_MODEL_MISSING, RECLOOM_DAT_MODEL_TOO_LARGE */
async function fingerprint(file: string, maximumBytes: number): Promise<string> {
  let info: Awaited<ReturnType<typeof stat>>;
  try {
    info = await stat(file);
  } catch (cause) {
    throw recloomError('RECLOOM_DAT_MODEL_MISSING', { reference: basename(file), tried: file }, { cause });
  }
  checkModelSize(file, Number(info.size), maximumBytes);
  return `${file} ${info.ino} ${info.size} ${info.mtimeMs}`;
}

/** What a worker checks at the first load, for those who find the model loaded. @throws RECLOOM_DAT_MODEL_INVALID, RECLOOM_DAT_MODEL_MISFIT */
function checkEntry(model: ModelRequest, { opened }: ModelEntry): void {
  const { sha256 } = opened;
  const file = basename(model.file);
  if (model.sha256 !== undefined && model.sha256.toLowerCase() !== sha256) {
    throw recloomError('RECLOOM_DAT_MODEL_INVALID', { why: `${file} has the sha256 ${sha256}, not the pinned ${model.sha256}` });
  }
  const misfit = model.expects && findMisfit(opened, model.expects);
  if (misfit !== undefined) throw recloomError('RECLOOM_DAT_MODEL_MISFIT', { file, why: misfit });
}
