import {
  type InferenceDevice,
  type InferenceTensor,
  type InferenceTensorInfo,
  isRecloomError,
  type ModelRequest,
  RecloomError,
  type Warning,
} from '@recloom/plugin-api';

/** What a caller feeds and asks for, checked before a model is loaded. */
export type Expectations = NonNullable<ModelRequest['expects']>;

/** Which model a worker is to open. `key` is the host's name for it and the handle of later messages. */
export interface OpenModel {
  readonly key: string;
  /** Absolute path of the file. */
  readonly file: string;
  readonly sha256: string | undefined;
  readonly devices: readonly InferenceDevice[];
  readonly independentRows: boolean;
  /** Most bytes of the file and the tensor files beside it together. */
  readonly maximumBytes: number;
  readonly expects: Expectations | undefined;
  /** Rows of the run that warms the model up; 0 for none. */
  readonly warmUpRows: number;
}

/** What a worker tells of a model it opened. */
export interface OpenedModel {
  readonly sha256: string;
  /** Equal for equal models: the file's hash, the files beside it, the devices and how it was rewritten. */
  readonly content: string;
  /** Bytes on disk, tensor files included. */
  readonly bytes: number;
  readonly inputs: readonly InferenceTensorInfo[];
  readonly outputs: readonly InferenceTensorInfo[];
  readonly provider: string;
  readonly warnings: readonly Warning[];
  readonly batchDependent: boolean;
  /** Shape of each output in the warm-up run; absent when there was none or the graph refused it. */
  readonly warmedUp: Readonly<Record<string, readonly number[]>> | undefined;
}

/** Host to worker. `open` and `run` are answered with the same `call`; tasks are done in the order they arrive. */
export type HostMessage =
  | { readonly kind: 'open'; readonly call: number; readonly model: OpenModel }
  | {
      readonly kind: 'run';
      readonly call: number;
      readonly key: string;
      readonly feeds: Readonly<Record<string, InferenceTensor>>;
      readonly outputs: readonly string[];
      /** On the machine's monotonic clock (`monotonicMs`): the run must not start later. */
      readonly startBefore: number | undefined;
    }
  /** The model's device failed elsewhere: from now on it runs on the CPU. */
  | { readonly kind: 'useCpu'; readonly key: string }
  | { readonly kind: 'cancel'; readonly call: number }
  | { readonly kind: 'release'; readonly key: string }
  | { readonly kind: 'stop' };

/** Worker to host. */
export type WorkerMessage =
  | { readonly kind: 'opened'; readonly call: number; readonly model: OpenedModel }
  | {
      readonly kind: 'ran';
      readonly call: number;
      readonly outputs: Record<string, InferenceTensor>;
      /** Time of the run itself. */
      readonly milliseconds: number;
      /** The device failed and was given up for the CPU, which gave this answer. */
      readonly fellBack: Warning | undefined;
    }
  /** The call was cancelled, or its time had passed, before it started. */
  | { readonly kind: 'skipped'; readonly call: number; readonly why: 'cancelled' | 'late' }
  | { readonly kind: 'failed'; readonly call: number; readonly error: PlainError };

/** An error as it crosses a thread or process boundary, where classes and symbols do not survive. */
export interface PlainError {
  readonly code: string | undefined;
  readonly message: string;
  readonly hint: string | undefined;
  readonly retryable: boolean;
  /** Message of the cause, one level deep. */
  readonly cause: string | undefined;
}

/** An error made plain, to be sent. */
export function toPlainError(error: unknown): PlainError {
  const cause = error instanceof Error && error.cause !== undefined ? describe(error.cause) : undefined;
  if (isRecloomError(error)) return { code: error.code, message: error.message, hint: error.hint, retryable: error.retryable, cause };
  return { code: undefined, message: describe(error), hint: undefined, retryable: false, cause };
}

/** The error a `PlainError` stands for: a `RecloomError` when it had a code. */
export function fromPlainError(plain: PlainError): Error {
  const cause = plain.cause === undefined ? undefined : new Error(plain.cause);
  if (plain.code === undefined) return new Error(plain.message, cause && { cause });
  return new RecloomError({ code: plain.code, message: plain.message, hint: plain.hint, retryable: plain.retryable, cause });
}

/** The message of anything that was thrown. */
export function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
