import type { InferenceTensor, InferenceTensorInfo, Warning } from '@recloom/plugin-api';
import type { ColumnValues, TakeMemory } from './input-filler.js';

/** The tensors of a run by their names in the graph. */
export type Tensors = Readonly<Record<string, InferenceTensor>>;

/** What a run is fed. */
export interface EngineFeeds {
  readonly tensors: Tensors;
  /** Those of `tensors` whose memory the engine may take away: all from its `takeMemory`. */
  readonly given: readonly string[];
  /** Inputs of `columnInputs`; they are not among the tensors. */
  readonly columns: Readonly<Record<string, ColumnValues>>;
}

/** What computes a model. */
export interface Engine {
  /** `kernels`, or the provider of onnxruntime in use. */
  readonly device: string;
  /** Hex SHA-256 of the model file. */
  readonly sha256: string;
  readonly inputs: readonly InferenceTensorInfo[];
  readonly outputs: readonly InferenceTensorInfo[];
  /** Devices that were tried and failed. */
  readonly warnings: readonly Warning[];
  /**
   * True: what `run` was given is not read any more once it has returned, be its answer there or not. False: not before its
   * answer is there.
   */
  readonly copiesInputs: boolean;
  /** Inputs that it takes as columns. */
  readonly columnInputs: ReadonlySet<string>;
  /** Memory for inputs that it then need not copy; absent when it copies none. */
  readonly takeMemory?: TakeMemory | undefined;
  /** Runs the model over `rows` candidates; the answer holds the wanted outputs. A plain answer when it took next to no time. */
  run(feeds: EngineFeeds, rows: number, outputs: readonly string[], limits: RunLimits): Tensors | Promise<Tensors>;
  close(): Promise<void>;
}

/** When a run is given up. */
export interface RunLimits {
  readonly signal: AbortSignal;
  /** On the monotonic clock of the process. */
  readonly deadlineMs: number | undefined;
  /** What is thrown when that time has come. */
  late(): Error;
}
