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

/** Candidates whose rows are written together, so that what is written stays in the processor's nearest cache. */
const tile = 64;

/** Reads one column of a batch: its values, NaN where it is missing. The array is the batch's own, or lies in the arena. */
type ColumnReader = (batch: CandidateBatch, arena: Arena) => Float32Array;

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
  const columns: Float32Array[] = [];
  return {
    input,
    perCandidate: true,
    reads: [...new Set(compiled.flatMap((expression) => expression.reads))],
    fill(batch: CandidateBatch, arena: Arena): InferenceTensor {
      const { count } = batch;
      const data = arena.floats(count * width);
      for (let index = 0; index < width; index++) columns[index] = (readers[index] as ColumnReader)(batch, arena);
      interleave(columns, count, missing, data);
      return { type: 'float32', dims: rank === 1 ? [count] : [count, width], data };
    },
  };
}

/** Columns side by side as rows; NaN becomes `missing`. Each column holds at least `count` values, `out` count × columns. */
export function interleave(columns: readonly Float32Array[], count: number, missing: number, out: Float32Array): void {
  const width = columns.length;
  for (let first = 0; first < count; first += tile) {
    const end = Math.min(first + tile, count);
    for (let index = 0; index < width; index++) {
      const column = columns[index] as Float32Array;
      let to = first * width + index;
      for (let row = first; row < end; row++) {
        const value = column[row] as number;
        // Only NaN differs from itself.
        out[to] = value === value ? value : missing;
        to += width;
      }
    }
  }
}

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

/** Columns that are there already are read where they lie; only what has to be computed goes through the expression. */
function readerOf(expression: CompiledExpression, items: Table): ColumnReader {
  const text = expression.source.trim();
  const [namespace, name = '', part] = text.split('.');
  if (expression.resultType === 'number' && expression.reads.length === 1 && expression.reads[0] === text) {
    if (namespace === 'score' || namespace === 'feature') {
      return (batch, arena) => batch.column(text) ?? arena.floats(batch.count).fill(Number.NaN);
    }
    if (namespace === 'source' && part === 'score') {
      return (batch, arena) => batch.sources.find((source) => source.name === name)?.scores ?? arena.floats(batch.count).fill(Number.NaN);
    }
    if (namespace === 'item' && part === undefined && items.column(name)?.type === 'number') {
      return (batch, arena) => {
        const out = arena.floats(batch.count);
        const column = items.column(name);
        if (column?.type !== 'number') return out.fill(Number.NaN);
        const { values } = column;
        for (let place = 0; place < batch.count; place++) out[place] = values[batch.rows[place] as number] ?? Number.NaN;
        return out;
      };
    }
  }
  return (batch, arena) => {
    const out = arena.floats(batch.count);
    expression.evaluate(batch, out);
    return out;
  };
}
