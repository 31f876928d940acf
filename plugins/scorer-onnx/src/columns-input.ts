import {
  type CandidateBatch,
  type CompiledExpression,
  type Expressions,
  type InferenceTensor,
  isRecloomError,
  RecloomError,
  type Table,
} from '@recloom/plugin-api';
import type { Arena, InputFiller } from './input-filler.js';

/** Writes one column of a batch, NaN where it is missing; `out` has one place per candidate. */
type ColumnReader = (batch: CandidateBatch, out: Float32Array) => void;

/** What a columns input needs to know. */
export interface ColumnsSettings {
  /** Name in the graph. */
  readonly input: string;
  /** CEL texts, in the order of the columns. */
  readonly texts: readonly string[];
  /** What a missing value becomes. */
  readonly missing: number;
  /** The shape the graph wants: [rows, columns] or, of one column, [rows]. */
  readonly rank: 1 | 2;
  /** Names the place of column `index` in messages. */
  place(index: number): string;
}

/**
 * A float32 input [rows, columns] from expressions over the columns of the pipeline.
 *
 * @throws RECLOOM_CFG_EXPRESSION with the place of the expression that is wrong.
 */
export function columnsInput(settings: ColumnsSettings, expressions: Expressions, items: Table): InputFiller {
  const { input, texts, missing, rank } = settings;
  const compiled = texts.map((text, index) => compile(text, expressions, () => settings.place(index)));
  const readers = compiled.map((expression) => readerOf(expression, items));
  const width = readers.length;
  return {
    input,
    perCandidate: true,
    reads: [...new Set(compiled.flatMap((expression) => expression.reads))],
    fill(batch: CandidateBatch, arena: Arena): InferenceTensor {
      const { count } = batch;
      const columns = arena.floatsAndBits(count * width);
      const rows = arena.floatsAndBits(count * width);
      for (let index = 0; index < width; index++) {
        (readers[index] as ColumnReader)(batch, columns.floats.subarray(index * count, (index + 1) * count));
      }
      interleave(columns.bits, count, width, missing, rows.bits);
      return { type: 'float32', dims: rank === 1 ? [count] : [count, width], data: rows.floats };
    },
  };
}

/**
 * Columns one after the other (`width` × `count`, as the bits of float32) become rows (`count` × `width`); NaN becomes `missing`.
 * Bits, because no value is widened to a double and narrowed again then, which takes half the time.
 */
export function interleave(columns: Int32Array, count: number, width: number, missing: number, out: Int32Array): void {
  const filler = new Int32Array(Float32Array.of(missing).buffer)[0] as number;
  let index = 0;
  for (; index + 4 <= width; index += 4) {
    let first = index * count;
    let second = first + count;
    let third = second + count;
    let fourth = third + count;
    for (let row = 0, to = index; row < count; row++, to += width) {
      const a = columns[first++] as number;
      const b = columns[second++] as number;
      const c = columns[third++] as number;
      const d = columns[fourth++] as number;
      out[to] = (a & magnitude) > infinity ? filler : a;
      out[to + 1] = (b & magnitude) > infinity ? filler : b;
      out[to + 2] = (c & magnitude) > infinity ? filler : c;
      out[to + 3] = (d & magnitude) > infinity ? filler : d;
    }
  }
  for (; index < width; index++) {
    let from = index * count;
    for (let row = 0, to = index; row < count; row++, to += width) {
      const value = columns[from++] as number;
      out[to] = (value & magnitude) > infinity ? filler : value;
    }
  }
}

/** All bits of a float32 but its sign; beyond the pattern of infinity lie those of NaN. */
const magnitude = 0x7fffffff;
const infinity = 0x7f800000;

/** A number expression, or a truth value as 0 and 1. */
function compile(text: string, expressions: Expressions, place: () => string): CompiledExpression {
  try {
    return expressions.compile(text, 'number');
  } catch (error) {
    try {
      return expressions.compile(text, 'boolean');
    } catch {
      if (!isRecloomError(error)) throw error;
      const { code, message, hint, cause } = error;
      throw new RecloomError({ code, message: `${place()}: ${message}`, hint, cause });
    }
  }
}

/** Columns that are there already are copied; only what has to be computed goes through the expression. */
function readerOf(expression: CompiledExpression, items: Table): ColumnReader {
  const text = expression.source.trim();
  const [namespace, name = '', part] = text.split('.');
  if (expression.resultType === 'number' && expression.reads.length === 1 && expression.reads[0] === text) {
    if (namespace === 'score' || namespace === 'feature') return (batch, out) => copy(batch.column(text), out);
    if (namespace === 'source' && part === 'score') {
      return (batch, out) => copy(batch.sources.find((source) => source.name === name)?.scores, out);
    }
    if (namespace === 'item' && part === undefined && items.column(name)?.type === 'number') {
      return (batch, out) => {
        const column = items.column(name);
        if (column?.type !== 'number') return copy(undefined, out);
        const { values } = column;
        const { rows } = batch;
        for (let place = 0; place < out.length; place++) out[place] = values[rows[place] as number] ?? Number.NaN;
      };
    }
  }
  return (batch, out) => expression.evaluate(batch, out);
}

function copy(column: Float32Array | undefined, out: Float32Array): void {
  if (column === undefined) out.fill(Number.NaN);
  else out.set(column.length === out.length ? column : column.subarray(0, out.length));
}
