/** Every code this package throws, with what it means. */
export const kernelErrorCodes = {
  RECLOOM_KRN_ABORTED: 'The caller aborted the computation.',
  RECLOOM_KRN_CLOSED: 'The compute pool, kernels instance or index was already closed.',
  RECLOOM_KRN_NOT_POSITIVE_DEFINITE: 'The matrix to factor or invert is not positive definite.',
  RECLOOM_KRN_OUT_OF_MEMORY: 'The kernels memory cannot hold the requested array.',
  RECLOOM_KRN_SHAPE: 'An argument has the wrong length, range or order.',
  RECLOOM_KRN_TRAP: 'A kernel stopped abnormally.',
  RECLOOM_KRN_UNAVAILABLE: 'The requested implementation or kernel is not available here.',
  RECLOOM_KRN_WORKER_LOST: 'A worker thread stopped while it computed.',
} as const;

export type KernelErrorCode = keyof typeof kernelErrorCodes;

export interface KernelErrorDetails {
  /** What to do about it, in one sentence. */
  readonly hint?: string;
  /** True when the same call may succeed if it is simply repeated. */
  readonly retryable?: boolean;
  readonly cause?: unknown;
}

/**
 * The one error class of this package. Hosts recognise it by the global symbol mark, which also
 * holds when two copies of the package are installed.
 */
export class KernelError extends Error {
  readonly code: KernelErrorCode;
  readonly hint: string | undefined;
  readonly retryable: boolean;
  /** Kernels know no pipeline: whoever calls them adds the place. */
  readonly at: Readonly<Record<never, never>> = {};
  /** Always empty; there for readers of errors that gather several problems. */
  readonly problems: readonly never[] = [];

  constructor(code: KernelErrorCode, message: string, details: KernelErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'KernelError';
    this.code = code;
    this.hint = details.hint;
    this.retryable = details.retryable ?? false;
    Object.defineProperty(this, Symbol.for('recloom.error'), { value: true });
  }

  toJSON(): Record<string, unknown> {
    return { code: this.code, message: this.message, hint: this.hint, at: this.at, retryable: this.retryable };
  }
}

/**
 * Checks an argument; a message with values in it is a function, so that it costs nothing when all is
 * well. @throws RECLOOM_KRN_SHAPE unless the condition holds.
 */
export function requireShape(condition: boolean, message: string | (() => string)): asserts condition {
  if (!condition) throw new KernelError('RECLOOM_KRN_SHAPE', typeof message === 'string' ? message : message());
}
