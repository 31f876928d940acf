import type { Kernels } from '@recloom/kernels';
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
import { ItemRows } from './item-rows.js';

/** One column of a batch, NaN where it is missing, a value per candidate: as it lies, or written into the arena. */
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
export function columnsInput(settings: ColumnsSettings, expressions: Expressions, items: Table, kernels: Kernels): InputFiller {
  const { input, texts, missing, rank } = settings;
  const compiled = texts.map((text, index) => compile(text, expressions, () => settings.place(index)));
  const readers = compiled.map((expression) => readerOf(expression, items));
  const width = readers.length;
  const fields = compiled.map((expression) => itemFieldOf(expression, items));
  const itemFields = fields.filter((field) => field !== undefined);
  const itemRows = new ItemRows(items, itemFields, missing, kernels);
  return {
    input,
    perCandidate: true,
    reads: [...new Set(compiled.flatMap((expression) => expression.reads))],
    columns: (batch, arena) => ({ values: readers.map((read) => read(batch, arena)), missing }),
    fill(batch: CandidateBatch, arena: Arena): InferenceTensor {
      const { count, rows } = batch;
      const known = itemFields.length < 2 ? undefined : itemRows.values();
      const data = arena.outgoing(count * width);
      if (known !== undefined && itemFields.length === width) kernels.gatherRows(known, width, rows, data);
      else {
        const columns: Float32Array[] = new Array<Float32Array>(width);
        const apart = known === undefined ? undefined : columnsOfRows(known, rows, itemFields.length, arena);
        for (let place = 0, field = 0; place < width; place++) {
          const ready = apart !== undefined && fields[place] !== undefined;
          columns[place] = ready ? (apart[field++] as Float32Array) : (readers[place] as ColumnReader)(batch, arena);
        }
        kernels.interleaveColumns(columns, missing, data);
      }
      return { type: 'float32', dims: rank === 1 ? [count] : [count, width], data };
    },
    dispose: () => itemRows.dispose(),
  };
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

/** The number field of the items that an expression is, and nothing else. */
function itemFieldOf({ source, resultType, reads }: CompiledExpression, items: Table): string | undefined {
  const text = source.trim();
  const [namespace, name = '', part] = text.split('.');
  if (resultType !== 'number' || reads.length !== 1 || reads[0] !== text || namespace !== 'item' || part !== undefined) return undefined;
  return items.column(name)?.type === 'number' ? name : undefined;
}

/** The numbers of listed rows, `width` of each, as columns. The first one fetches the rows into the cache for all. */
function columnsOfRows(table: Float32Array, rows: Int32Array, width: number, arena: Arena): Float32Array[] {
  return Array.from({ length: width }, (_, field) => {
    const out = arena.floats(rows.length);
    gatherEach(table, rows, width, field, out);
    return out;
  });
}

/** Columns that are there already are taken as they lie; only what has to be computed goes through the expression. */
function readerOf(expression: CompiledExpression, items: Table): ColumnReader {
  const text = expression.source.trim();
  const [namespace, name = '', part] = text.split('.');
  if (expression.resultType === 'number' && expression.reads.length === 1 && expression.reads[0] === text) {
    if (namespace === 'score' || namespace === 'feature') return (batch, arena) => asItLies(batch.column(text), batch.count, arena);
    if (namespace === 'source' && part === 'score') {
      return (batch, arena) => asItLies(batch.sources.find((source) => source.name === name)?.scores, batch.count, arena);
    }
    if (itemFieldOf(expression, items) !== undefined) {
      return (batch, arena) => {
        const column = items.column(name);
        if (column?.type !== 'number') return asItLies(undefined, batch.count, arena);
        const out = arena.floats(batch.count);
        gather(column.values, batch.rows, out);
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

/** The values of rows, NaN past the end. Four at a time: this loop is the largest part of gathering, and takes half the time so. */
function gather(values: ArrayLike<number>, rows: Int32Array, out: Float32Array): void {
  const count = out.length;
  let place = 0;
  for (; place + 3 < count; place += 4) {
    out[place] = values[rows[place] as number] ?? Number.NaN;
    out[place + 1] = values[rows[place + 1] as number] ?? Number.NaN;
    out[place + 2] = values[rows[place + 2] as number] ?? Number.NaN;
    out[place + 3] = values[rows[place + 3] as number] ?? Number.NaN;
  }
  for (; place < count; place++) out[place] = values[rows[place] as number] ?? Number.NaN;
}

/** Number `field` of every listed row. */
function gatherEach(table: Float32Array, rows: Int32Array, width: number, field: number, out: Float32Array): void {
  const count = out.length;
  let place = 0;
  for (; place + 3 < count; place += 4) {
    out[place] = table[(rows[place] as number) * width + field] as number;
    out[place + 1] = table[(rows[place + 1] as number) * width + field] as number;
    out[place + 2] = table[(rows[place + 2] as number) * width + field] as number;
    out[place + 3] = table[(rows[place + 3] as number) * width + field] as number;
  }
  for (; place < count; place++) out[place] = table[(rows[place] as number) * width + field] as number;
}

function asItLies(column: Float32Array | undefined, count: number, arena: Arena): Float32Array {
  if (column === undefined) return arena.floats(count).fill(Number.NaN);
  return column.length === count ? column : column.subarray(0, count);
}
