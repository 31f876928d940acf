import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import {
  type Clock,
  type Inference,
  type InferenceDevice,
  type InferenceRunOptions,
  type InferenceSession,
  type InferenceTensor,
  type Logger,
  type ModelRequest,
  type RecloomError,
  recloomError,
} from '@recloom/plugin-api';
import { checkFeeds, checkOutputs, copyFeeds } from './feeds.js';
import { type StartModelHost, startThread } from './model-host.js';
import type { OpenedModel, OpenModel } from './protocol.js';
import { WorkerPool } from './worker-pool.js';

export interface InferenceOptions {
  /** Worker threads, each with its own copy of the models it runs. Default 1. */
  readonly threads?: number;
  /** Runs that may wait for a worker before further ones are refused. Default 1,024. */
  readonly queueLimit?: number;
  /** Time for deadlines; default `performance.now()`. */
  readonly clock?: Pick<Clock, 'monotonic'>;
  readonly logger?: Pick<Logger, 'warn'>;
}

/** What `createInference` gives: the service behind `inferenceToken`, and its end. */
export interface InferenceService extends Inference {
  /** Refuses new calls, lets those under way finish, then ends the workers. Idempotent. */
  close(): Promise<void>;
}

/** One loaded model, shared by every session of it. */
interface ModelEntry {
  readonly request: OpenModel;
  readonly opened: OpenedModel;
  /** Open sessions and runs under way; the workers forget the model when none is left. */
  references: number;
}

/**
 * Runs ONNX models on worker threads with onnxruntime-node, which is imported in the first worker and nowhere else.
 * No thread starts before the first `load`. Idle workers do not keep the process alive; calls under way do.
 * Inputs are copied before a call returns; the caller owns the results.
 *
 * @throws RangeError when `threads` or `queueLimit` is not a positive whole number.
 */
export function createInference(options: InferenceOptions = {}): InferenceService {
  return createInferenceOn(startThread, options);
}

/** `createInference` on hosts of another kind; internal, for tests and for child processes to come. */
export function createInferenceOn(start: StartModelHost, options: InferenceOptions = {}): InferenceService {
  return new WorkerInference(start, options);
}

class WorkerInference implements InferenceService {
  readonly #pool: WorkerPool;
  /** Loads under way and models in use, by file, its state on disk, and devices. */
  readonly #entries = new Map<string, Promise<ModelEntry>>();
  #nextKey = 1;
  #closing: Promise<void> | undefined;

  constructor(start: StartModelHost, options: InferenceOptions) {
    this.#pool = new WorkerPool({
      start,
      threads: positive('threads', options.threads ?? 1),
      queueLimit: positive('queueLimit', options.queueLimit ?? 1024),
      clock: options.clock ?? { monotonic: () => performance.now() },
      logger: options.logger,
    });
  }

  async load(model: ModelRequest, signal?: AbortSignal): Promise<InferenceSession> {
    this.#checkOpen();
    if (signal?.aborted) throw aborted(signal);
    const loading = this.#enter(model);
    const entry = await (signal === undefined ? loading : this.#orAborted(loading, signal));
    return new SharedSession(entry, this.#pool, () => this.#leave(entry));
  }

  close(): Promise<void> {
    this.#closing ??= this.#pool.close();
    return this.#closing;
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw recloomError('RECLOOM_RUN_CLOSED', {});
  }

  /** An entry with one reference more, loading the model when nobody has. */
  async #enter(model: ModelRequest): Promise<ModelEntry> {
    const file = resolve(model.file);
    const devices = devicesOf(model);
    const independentRows = model.independentRows === true;
    const identity = `${await fingerprint(file)} ${devices.join(' ')} ${independentRows}`;
    this.#checkOpen();
    for (;;) {
      const present = this.#entries.get(identity);
      if (present === undefined) break;
      // Whoever loads first hears of a failure; everybody else tries again, with their own hash.
      const entry = await present.catch(() => undefined);
      if (entry === undefined || this.#entries.get(identity) !== present) continue;
      checkHash(model, entry);
      entry.references++;
      return entry;
    }
    const request: OpenModel = { key: `model-${this.#nextKey++}`, file, sha256: model.sha256, devices, independentRows };
    const loading = this.#pool.open(request).then((opened) => ({
      // Another worker that opens it later must find the same bytes.
      request: { ...request, sha256: opened.sha256 },
      opened,
      references: 1,
    }));
    this.#entries.set(identity, loading);
    loading.catch(() => {
      if (this.#entries.get(identity) === loading) this.#entries.delete(identity);
    });
    return loading;
  }

  /** Gives a reference back; the last one makes the workers forget the model. */
  #leave(entry: ModelEntry): void {
    if (--entry.references > 0) return;
    for (const [identity, loading] of this.#entries) {
      void loading.then(
        (other) => {
          if (other === entry && entry.references === 0 && this.#entries.get(identity) === loading) {
            this.#entries.delete(identity);
            this.#pool.release(entry.request.key);
          }
        },
        () => {},
      );
    }
  }

  /** The caller of an aborted load is answered at once; what it would have got is given back when it arrives. */
  #orAborted(loading: Promise<ModelEntry>, signal: AbortSignal): Promise<ModelEntry> {
    return new Promise((resolvePromise, reject) => {
      const onAbort = (): void => {
        reject(aborted(signal));
        loading.then(
          (entry) => this.#leave(entry),
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

class SharedSession implements InferenceSession {
  readonly inputs: InferenceSession['inputs'];
  readonly outputs: InferenceSession['outputs'];
  readonly provider: string;
  readonly warnings: InferenceSession['warnings'];
  readonly sha256: string;
  readonly batchDependent: boolean;
  readonly #entry: ModelEntry;
  readonly #pool: WorkerPool;
  readonly #leave: () => void;
  #closed = false;

  constructor(entry: ModelEntry, pool: WorkerPool, leave: () => void) {
    this.#entry = entry;
    this.#pool = pool;
    this.#leave = leave;
    const { opened } = entry;
    this.inputs = opened.inputs;
    this.outputs = opened.outputs;
    this.provider = opened.provider;
    this.warnings = opened.warnings;
    this.sha256 = opened.sha256;
    this.batchDependent = opened.batchDependent;
  }

  async run(feeds: Readonly<Record<string, InferenceTensor>>, options: InferenceRunOptions = {}): Promise<Record<string, InferenceTensor>> {
    if (this.#closed) throw recloomError('RECLOOM_RUN_CLOSED', {});
    checkFeeds(this.inputs, feeds);
    const outputs = options.outputs ?? this.outputs.map((output) => output.name);
    checkOutputs(this.outputs, outputs);
    this.#entry.references++;
    try {
      const { signal, deadlineMs } = options;
      return await this.#pool.run({ model: this.#entry.request, feeds: () => copyFeeds(feeds), outputs, signal, deadlineMs });
    } finally {
      this.#leave();
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#leave();
  }
}

/** The file as it is on disk now, so that a file that was replaced is loaded anew. @throws RECLOOM_DAT_MODEL_MISSING */
async function fingerprint(file: string): Promise<string> {
  try {
    const { ino, size, mtimeMs } = await stat(file);
    return `${file} ${ino} ${size} ${mtimeMs}`;
  } catch (cause) {
    throw recloomError('RECLOOM_DAT_MODEL_MISSING', { reference: basename(file), tried: file }, { cause });
  }
}

function devicesOf(model: ModelRequest): readonly InferenceDevice[] {
  const { device } = model;
  if (device === undefined) return ['auto'];
  if (typeof device === 'string') return [device];
  return device.length === 0 ? ['auto'] : [...device];
}

function checkHash(model: ModelRequest, entry: ModelEntry): void {
  const { sha256 } = entry.opened;
  if (model.sha256 === undefined || model.sha256.toLowerCase() === sha256) return;
  const why = `${basename(model.file)} has the sha256 ${sha256}, not the pinned ${model.sha256}`;
  throw recloomError('RECLOOM_DAT_MODEL_INVALID', { why });
}

function positive(name: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`${name} must be a positive whole number`);
  return value;
}

function aborted(signal: AbortSignal): RecloomError {
  return recloomError('RECLOOM_RUN_ABORTED', {}, { cause: signal.reason });
}
