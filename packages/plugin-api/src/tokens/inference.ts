import type { Warning } from '../errors/warning.js';
import { createToken } from './token.js';

/** Element types of the tensors that go into a model or come out of it. */
export type InferenceElementType = 'float32' | 'int64' | 'int32' | 'uint8' | 'int8' | 'bool';

/** A dense tensor, row-major. int64 data are `BigInt64Array`. The receiver of a result owns it; inputs stay the caller's and are copied. */
export interface InferenceTensor {
  readonly type: InferenceElementType;
  readonly dims: readonly number[];
  readonly data: Float32Array | BigInt64Array | Int32Array | Uint8Array | Int8Array;
}

/** What a graph declares about one input or output; a dynamic dimension is its name or -1. */
export interface InferenceTensorInfo {
  readonly name: string;
  readonly type: string;
  readonly dims: readonly (number | string)[];
}

/** Where a model may run; `auto` leaves the choice to the host. */
export type InferenceDevice = 'auto' | 'cpu' | 'cuda' | 'webgpu' | 'dml' | 'coreml';

/** Which model is to be loaded, what for, and how it may run. */
export interface ModelRequest {
  /** Absolute path of the `.onnx` file. */
  readonly file: string;
  /** Hex SHA-256 the file must have; a wrong one is refused before anything runs. */
  readonly sha256?: string;
  /** Providers in the order they are tried; default `['auto']`. */
  readonly device?: InferenceDevice | readonly InferenceDevice[];
  /**
   * Asks for results that do not depend on the other rows of a batch: a graph that quantises activations with one range
   * per tensor is rewritten on loading to use one per row, where that can be done. `batchDependent` tells what came of it.
   */
  readonly independentRows?: boolean;
  /** What the caller will feed and ask for; a graph that does not fit is refused at `load`. A dimension of -1 fits any. */
  readonly expects?: {
    readonly inputs?: Readonly<Record<string, { readonly type: InferenceElementType; readonly dims?: readonly number[] }>>;
    readonly outputs?: readonly string[];
  };
  /** Lets concurrent calls share runs. Only for graphs whose rows are independent and whose first dimensions are all dynamic; others run call by call. Default off. */
  readonly batching?: boolean | BatchingOptions;
  /** One run on zeros while the model is loaded, so that the first call is not slow; a graph that refuses zeros is loaded all the same. Default true. */
  readonly warmUp?: boolean;
  /** Default: what the host or the config's `inference.isolation` says, `thread` at first. */
  readonly isolation?: InferenceIsolation;
}

/** When small concurrent calls share a run. A call larger than the budget runs alone, at once. */
export interface BatchingOptions {
  /** Most rows (first dimension of every input) in one shared run. Default 256. */
  readonly rows?: number;
  /** Most tokens (rows × second dimension) in one shared run, for encoders; calls of another length go into other runs. No limit when absent. */
  readonly tokens?: number;
  /** Longest wait for company in milliseconds while the workers are busy; an idle worker is given what there is at once. Default 1. */
  readonly waitMs?: number;
}

/** `thread`: a worker thread; survives errors, not a native crash. `process`: a child process; the host survives whatever happens to it. */
export type InferenceIsolation = 'thread' | 'process';

/** What one run is to give, and how long it is wanted. */
export interface InferenceRunOptions {
  /** Names of the outputs wanted; all when absent. */
  readonly outputs?: readonly string[];
  readonly signal?: AbortSignal;
  /** A call not started by then is not run and fails as retryable. Milliseconds on the monotonic clock of this process (`performance.now()`). */
  readonly deadlineMs?: number;
  /**
   * Inputs whose memory is given to the service instead of being copied, by name. Their arrays must not be used any more once
   * `run` was called, whatever comes of it. Meant for memory from `InferenceSession.memory`.
   */
  readonly give?: readonly string[];
}

/** One loaded model. Safe to call concurrently: calls queue for the worker. */
export interface InferenceSession {
  readonly inputs: readonly InferenceTensorInfo[];
  readonly outputs: readonly InferenceTensorInfo[];
  /** The provider in use, e.g. `cpu`. A device that fails while it runs is given up for the CPU once, and `provider` and `warnings` say so from then on. */
  readonly provider: string;
  /** Providers that were tried and failed before it. */
  readonly warnings: readonly Warning[];
  /** Hex SHA-256 of the model file that is loaded, for caches keyed by content. */
  readonly sha256?: string;
  /**
   * True when a row's result depends on the other rows of its batch, because the graph quantises activations with one
   * range per tensor. Such a model gives the same result for the same row only when every run holds one row.
   */
  readonly batchDependent?: boolean;
  /** How many runs of this model the service may have under way at once, for callers that have much to run: twice as many calls keep its workers busy. */
  readonly parallelRuns?: number;
  /**
   * Memory for the values of an input of a later `run` that is told to take it (`give`): at least `byteLength` bytes, with
   * what an earlier call left in them, shared with the worker where it can be. It spares a copy and fresh pages for large inputs. What
   * is not given is left to the garbage collector.
   */
  memory?(byteLength: number): ArrayBufferLike;
  run(feeds: Readonly<Record<string, InferenceTensor>>, options?: InferenceRunOptions): Promise<Record<string, InferenceTensor>>;
  /** Gives the session back; the worker forgets the model when nobody uses it. Idempotent. */
  close(): Promise<void>;
}

/** A plugin's own JavaScript that is to compute beside the host's event loop, such as a tokenizer. */
export interface BackgroundRequest {
  /**
   * An ES module in JavaScript (never TypeScript) that ships with the plugin. Its export `open(settings)` gives an object of
   * functions, or a promise of one. It is code of the process like any other, with all its rights, in a thread of its own.
   */
  readonly module: URL;
  /** Handed to `open`. Requests of equal module and settings share what it gives. */
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  /**
   * Whether its calls may overlap: each is begun when it comes and answered when it is done, whatever came before it. For functions
   * that mostly wait, for native threads say. Default false: one after the other.
   */
  readonly overlapping?: boolean;
}

/** What a `BackgroundRequest` opened. */
export interface BackgroundWork {
  /**
   * Calls a function of the object; arguments and result are copied as `structuredClone` does (a `SharedArrayBuffer` is the same
   * memory on both sides). Calls of one turn of the event loop travel together, and are done in order unless they may overlap.
   *
   * @throws what the function throws (code, message and hint of a `RecloomError` survive), RECLOOM_RUN_WORKER_DIED (retryable: the
   * next call opens it again) and RECLOOM_RUN_CLOSED
   */
  call(name: string, ...parameters: readonly unknown[]): Promise<unknown>;
  /** Gives it back; it is forgotten when nobody uses it. Idempotent. */
  close(): Promise<void>;
}

/** Runs ONNX models off the host's event loop. Sessions are shared by content hash. */
export interface Inference {
  load(model: ModelRequest, signal?: AbortSignal): Promise<InferenceSession>;
  /**
   * Runs a plugin's own JavaScript off the host's event loop, on one thread for all that ask. Absent from services that have no such
   * thread: the caller then does the work where it is.
   *
   * @throws what the module or its `open` throws, RECLOOM_RUN_WORKER_DIED and RECLOOM_RUN_CLOSED
   */
  background?(request: BackgroundRequest): Promise<BackgroundWork>;
}

/** Gives a component the service that runs models. */
export const inferenceToken = createToken<Inference>('recloom.inference', 'runs ONNX models off the event loop');
