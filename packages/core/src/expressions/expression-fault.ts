import { isRecloomError, type RecloomError, recloomError } from '@recloom/plugin-api';

/**
 * What is wrong with an expression, and where in its text. It is the `cause` of the RECLOOM_CFG_EXPRESSION that a caller
 * sees, so that a config file's line and column can be worked out from `offset`.
 */
export class ExpressionFault extends Error {
  /** 0-based index into the text. */
  readonly offset: number;
  /** The whole expression; empty until `toRecloomError` was called. */
  text = '';

  constructor(why: string, offset: number) {
    super(why);
    this.name = 'ExpressionFault';
    this.offset = offset;
  }

  /** The coded error: names the place as a column, and as line and column when the text has several lines. */
  toRecloomError(text: string): RecloomError {
    this.text = text;
    return recloomError('RECLOOM_CFG_EXPRESSION', { why: this.message, position: this.#position() }, { cause: this });
  }

  /** What is wrong and where, as a part of another sentence. */
  get reason(): string {
    return `${this.message.replace(/\.$/, '')} (at ${this.#position()})`;
  }

  #position(): string {
    const before = this.text.slice(0, this.offset).split('\n');
    const column = (before.at(-1) as string).length + 1;
    return this.text.includes('\n') ? `line ${before.length}, column ${column}` : `column ${column}`;
  }
}

/** Why an expression of a request does not compile, without the sentence that a config's author would read. */
export function reasonOf(error: unknown): string {
  const fault = isRecloomError(error) && error.cause instanceof Error ? error.cause : error;
  if (fault instanceof ExpressionFault) return fault.reason;
  return (fault instanceof Error ? fault.message : String(fault)).replace(/\.$/, '');
}
