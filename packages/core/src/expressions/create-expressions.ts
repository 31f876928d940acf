import { type CandidateBatch, type CompiledExpression, type Expressions, type RecloomError, recloomError } from '@recloom/plugin-api';
import { CelEnvironment } from './cel-environment.js';
import { compileTree } from './compile-expression.js';
import { ExpressionFault } from './expression-fault.js';
import type { ExpressionSchema } from './expression-schema.js';
import { BufferPool, type Frame } from './frame.js';
import { type BooleanNode, manyValues, type NumberNode, nullBoolean } from './nodes.js';

export type { ExpressionSchema, RequestFieldType } from './expression-schema.js';

/** Item rows evaluated at a time over the whole catalogue, so that temporaries stay in the processor's cache. */
const catalogueStretch = 4096;

/** Compiled expressions kept for the next time they are asked for; the least recently used goes first. */
const mostKept = 256;

/**
 * Compiles CEL expressions over the columns of a pipeline to column operations.
 *
 * All numbers are doubles and mix freely. Null is a missing value: an empty field, a score a component did not give, a
 * source that did not propose the candidate, a context key the request lacks. Arithmetic with null is null; a comparison,
 * `in`, `contains` and the like are false when a side is null; `x != y` is the negation of `x == y`; `x == null` and
 * `has(x)` ask; `coalesce(x, 0)` replaces; in `&&`, `||`, `!` and before `?` null counts as false. An empty list and null are
 * the same. `rank`, `zscore` and `minmax` compare a candidate with the others of its request (see `normalisers.ts`).
 */
export function createExpressions(schema: ExpressionSchema): PipelineExpressions {
  // Made with the first expression: it takes milliseconds, and many pipelines have none.
  let made: CelEnvironment | undefined;
  const environment = (): CelEnvironment => (made ??= new CelEnvironment(schema));
  const pool = new BufferPool();
  const undecided = new Map<string, { readonly text: string; readonly result: 'number' | 'boolean'; readonly owners: Set<string> }>();
  const noteOwner = (key: string): void => {
    const owner = schema.owner?.();
    if (owner !== undefined) undecided.get(key)?.owners.add(owner);
  };
  // Requests bring expressions of their own, mostly the same few.
  const compiled = new Map<string, CompiledExpression>();
  return {
    compile(text, result) {
      const key = `${result} ${text}`;
      const known = compiled.get(key);
      if (known !== undefined) {
        compiled.delete(key);
        compiled.set(key, known);
        noteOwner(key);
        return known;
      }
      const { expression, decided } = compileText(text, result, schema, environment(), pool);
      if (!decided) undecided.set(key, { text, result, owners: new Set() });
      noteOwner(key);
      compiled.set(key, expression);
      if (compiled.size > mostKept) compiled.delete(compiled.keys().next().value as string);
      return expression;
    },
    undecidedProblems() {
      const problems: UndecidedProblem[] = [];
      for (const { text, result, owners } of undecided.values()) {
        try {
          compileText(text, result, schema, environment(), pool);
        } catch (error) {
          problems.push({ error: error as RecloomError, owners: [...owners] });
        }
      }
      undecided.clear();
      return problems;
    },
  };
}

/** An expression that turned out to be wrong. Its cause is its `ExpressionFault`, which holds the text. */
export interface UndecidedProblem {
  readonly error: RecloomError;
  /** Names of the components that asked for it. */
  readonly owners: readonly string[];
}

/** Expressions of which some may read columns that nobody knows yet. */
export interface PipelineExpressions extends Expressions {
  /**
   * What is wrong with expressions that were compiled before the columns they read were known: to be asked once all components
   * exist.
   */
  undecidedProblems(): readonly UndecidedProblem[];
}

function compileText(
  text: string,
  result: 'number' | 'boolean',
  schema: ExpressionSchema,
  environment: CelEnvironment,
  pool: BufferPool,
): { readonly expression: CompiledExpression; readonly decided: boolean } {
  const written = bracketIndexes(text);
  try {
    const parsed = environment.parse(written.text);
    const { root, reads, comparesCandidates, decided } = compileTree(parsed.ast, schema, result);
    environment.check(parsed);
    const itemsOnly = !comparesCandidates && reads.every((name) => name.startsWith('item.'));
    return { expression: new ColumnExpression(text, result, reads, itemsOnly, root, schema, pool), decided };
  } catch (error) {
    throw asCoded(error, text, written.offsetOf);
  }
}

/** Texts and comments, which stay as they are, and the number after a feature's name. */
const indexOrLiteral =
  /\/\/[^\n]*|"""[^]*?"""|'''[^]*?'''|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|(?<![\w.])(feature\s*\.\s*[A-Za-z_]\w*\s*)\.(\d+)(?!\w)/g;

/**
 * CEL has no names that are numbers: `feature.walk.1`, as columns are called, is read as `feature.walk[1]`.
 *
 * @returns the text for CEL, and the place in the original of a place in it
 */
function bracketIndexes(text: string): { readonly text: string; readonly offsetOf: (offset: number) => number } {
  const added: number[] = [];
  const written = text.replace(indexOrLiteral, (whole: string, name: string | undefined, index: string, at: number) => {
    if (name === undefined) return whole;
    added.push(at + whole.length + added.length);
    return `${name}[${index}]`;
  });
  return { text: written, offsetOf: (offset) => offset - added.filter((place) => place < offset).length };
}

function asCoded(error: unknown, text: string, offsetOf: (offset: number) => number): RecloomError {
  if (error instanceof ExpressionFault) return new ExpressionFault(error.message, offsetOf(error.offset)).toRecloomError(text);
  if (error instanceof RangeError) return new ExpressionFault('it is nested too deeply', 0).toRecloomError(text);
  throw error;
}

class ColumnExpression implements CompiledExpression {
  readonly source: string;
  readonly resultType: 'number' | 'boolean';
  readonly reads: readonly string[];
  readonly itemsOnly: boolean;
  readonly #root: NumberNode | BooleanNode;
  readonly #schema: ExpressionSchema;
  readonly #pool: BufferPool;

  constructor(
    source: string,
    resultType: 'number' | 'boolean',
    reads: readonly string[],
    itemsOnly: boolean,
    root: NumberNode | BooleanNode,
    schema: ExpressionSchema,
    pool: BufferPool,
  ) {
    this.source = source;
    this.resultType = resultType;
    this.reads = Object.freeze(reads);
    this.itemsOnly = itemsOnly;
    this.#root = root;
    this.#schema = schema;
    this.#pool = pool;
  }

  evaluate(batch: CandidateBatch, out: Float32Array): void {
    this.#run({ count: batch.count, rows: batch.rows, items: this.#schema.items, batch, pool: this.#pool }, out, 0);
  }

  evaluateItems(out: Float32Array): void {
    if (!this.itemsOnly) {
      throw recloomError('RECLOOM_CFG_EXPRESSION', { why: 'it depends on the request, so it cannot be evaluated once for all items' });
    }
    const { items } = this.#schema;
    const total = Math.min(items.rowCount, out.length);
    const rows = new Int32Array(Math.min(catalogueStretch, total));
    for (let start = 0; start < total; start += catalogueStretch) {
      const count = Math.min(catalogueStretch, total - start);
      for (let index = 0; index < count; index++) rows[index] = start + index;
      this.#run({ count, rows, items, batch: undefined, pool: this.#pool }, out, start);
    }
  }

  #run(frame: Frame, out: Float32Array, start: number): void {
    const root = this.#root;
    if (root.type === 'number') {
      const values = root.evaluate(frame);
      if (frame.count >= manyValues) out.set(values.subarray(0, frame.count), start);
      else for (let index = 0; index < frame.count; index++) out[start + index] = values[index] as number;
      frame.pool.giveNumbers(values);
    } else {
      const values = root.evaluate(frame);
      for (let index = 0; index < frame.count; index++) {
        const value = values[index] as number;
        out[start + index] = value === nullBoolean ? Number.NaN : value;
      }
      frame.pool.giveBooleans(values);
    }
  }
}
