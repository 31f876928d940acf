import { type ErrorCode, type ErrorParameters, errorCodes } from './codes.js';

/** Where an error or warning happened, as far as it is known; every field is optional. */
export interface ErrorLocation {
  readonly pipeline?: string;
  /** Name of the component in the config, e.g. `habits`. */
  readonly node?: string;
  /** Component ref, e.g. `collaborative-linear/ease`. */
  readonly component?: string;
  readonly surface?: string;
  readonly file?: string;
  /** 1-based. */
  readonly line?: number;
  /** 1-based. */
  readonly column?: number;
}

/** What a `RecloomError` is made of. Messages and hints hold no data of items or users. */
export interface RecloomErrorInit {
  readonly code: string;
  readonly message: string;
  readonly hint?: string | undefined;
  readonly at?: ErrorLocation | undefined;
  readonly retryable?: boolean | undefined;
  readonly cause?: unknown;
  /** When several problems were found at once, all of them, in file order. */
  readonly problems?: readonly RecloomError[] | undefined;
}

const mark: unique symbol = Symbol.for('recloom.error') as never;

/**
 * The one error class of Recloom. Recognise it with `isRecloomError`, which is safe across copies of this package.
 * Messages say what happened and what to do and never contain item or user data.
 */
export class RecloomError extends Error {
  readonly code: string;
  readonly at: ErrorLocation;
  readonly hint: string | undefined;
  readonly retryable: boolean;
  readonly problems: readonly RecloomError[];

  constructor(init: RecloomErrorInit) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.name = 'RecloomError';
    this.code = init.code;
    this.at = init.at ?? {};
    this.hint = init.hint;
    this.retryable = init.retryable ?? false;
    this.problems = init.problems ?? [];
    Object.defineProperty(this, mark, { value: true });
  }

  toJSON(): Record<string, unknown> {
    return {
      code: this.code,
      message: this.message,
      hint: this.hint,
      at: this.at,
      retryable: this.retryable,
      // What others threw may quote data; only errors of ours are passed on.
      ...(isRecloomError(this.cause)
        ? { cause: { code: this.cause.code, message: this.cause.message, hint: this.cause.hint, at: this.cause.at } }
        : {}),
      ...(this.problems.length > 0 ? { problems: this.problems.map((problem) => problem.toJSON()) } : {}),
    };
  }
}

/** True for every `RecloomError`, whichever copy of this package made it. */
export function isRecloomError(value: unknown): value is RecloomError {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[mark] === true;
}

/**
 * Makes an error from the table of codes; `parameters` are the values its message needs.
 *
 * @example throw recloomError('RECLOOM_RUN_ABORTED', {});
 */
export function recloomError<Code extends ErrorCode>(
  code: Code,
  parameters: ErrorParameters<Code>,
  options: { readonly at?: ErrorLocation | undefined; readonly cause?: unknown; readonly problems?: readonly RecloomError[] } = {},
): RecloomError {
  const entry = errorCodes[code];
  return new RecloomError({
    code,
    // A reason that asks something ("did you mean …?") has ended the sentence already.
    message: (entry.message as (values: never) => string)(parameters as never).replace(/([?!])\.$/, '$1'),
    hint: entry.hint,
    retryable: 'retryable' in entry ? entry.retryable : false,
    at: options.at,
    cause: options.cause,
    problems: options.problems,
  });
}
