import { type RecloomError, recloomError } from '@recloom/plugin-api';

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
    const before = text.slice(0, this.offset).split('\n');
    const column = (before.at(-1) as string).length + 1;
    const position = text.includes('\n') ? `line ${before.length}, column ${column}` : `column ${column}`;
    return recloomError('RECLOOM_CFG_EXPRESSION', { why: this.message, position }, { cause: this });
  }
}
