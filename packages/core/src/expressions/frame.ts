import type { CandidateBatch, Table } from '@recloom/plugin-api';

export type TextValues = (string | null)[];

/** Larger buffers are given back to the garbage collector rather than kept for the next evaluation. */
const largestKept = 262_144;

/**
 * Temporaries of one evaluation after the other: an expression needs as many as it is deep, and no request allocates
 * once they exist. Evaluation is synchronous, so one pool serves all expressions of a pipeline.
 */
export class BufferPool {
  readonly #numbers: Float64Array[] = [];
  readonly #booleans: Uint8Array[] = [];
  readonly #texts: TextValues[] = [];

  /** A buffer of at least `count` numbers; what it holds is left from before. Float64: prices and times in milliseconds do not fit 24 bits. */
  takeNumbers(count: number): Float64Array {
    return take(this.#numbers, count) ?? new Float64Array(capacity(count));
  }

  /** A buffer of at least `count` booleans: 0 false, 1 true, 255 null. */
  takeBooleans(count: number): Uint8Array {
    return take(this.#booleans, count) ?? new Uint8Array(capacity(count));
  }

  takeTexts(): TextValues {
    return this.#texts.pop() ?? [];
  }

  giveNumbers(buffer: Float64Array): void {
    if (buffer.length <= largestKept) this.#numbers.push(buffer);
  }

  giveBooleans(buffer: Uint8Array): void {
    if (buffer.length <= largestKept) this.#booleans.push(buffer);
  }

  /** Empties the list, so that no text of a request outlives it. */
  giveTexts(buffer: TextValues): void {
    const small = buffer.length <= largestKept;
    buffer.length = 0;
    if (small) this.#texts.push(buffer);
  }
}

function take<Buffer extends { readonly length: number }>(kept: Buffer[], count: number): Buffer | undefined {
  while (kept.length > 0) {
    const buffer = kept.pop() as Buffer;
    // One that is too small now will be too small again: let it go.
    if (buffer.length >= count) return buffer;
  }
  return undefined;
}

function capacity(count: number): number {
  return Math.max(1024, 2 ** Math.ceil(Math.log2(Math.max(count, 1))));
}

/** What one evaluation runs over: the candidates of a batch, or a stretch of the catalogue. */
export interface Frame {
  /** Number of values per column. */
  readonly count: number;
  /** Item row of each value. */
  readonly rows: Int32Array;
  readonly items: Table;
  /** Undefined when the catalogue is evaluated. */
  readonly batch: CandidateBatch | undefined;
  readonly pool: BufferPool;
}
