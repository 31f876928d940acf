import type { CandidateBatch } from '../contracts/candidates.js';
import { createToken } from './token.js';

/** A CEL expression compiled to column operations. */
export interface CompiledExpression {
  readonly source: string;
  readonly resultType: 'number' | 'boolean';
  /** Names of the columns it reads, e.g. `['item.stock', 'request.country']`, sorted. */
  readonly reads: readonly string[];
  /** True when it reads `item.*` columns only, so that it can be evaluated once for the whole catalogue. */
  readonly itemsOnly: boolean;
  /** One value per candidate into `out` (length ≥ batch.count); booleans are 0 and 1, a null result is NaN. */
  evaluate(batch: CandidateBatch, out: Float32Array): void;
  /** One value per item row for an `itemsOnly` expression. `out` has one slot per item. */
  evaluateItems(out: Float32Array): void;
}

/** Compiles expressions against the pipeline's own columns; type errors are found at assembly, with their position. */
export interface Expressions {
  /** @throws RECLOOM_CFG_EXPRESSION with the position inside the text. */
  compile(text: string, result: 'number' | 'boolean'): CompiledExpression;
}

/** Gives a component the compiler of CEL expressions. */
export const expressionsToken = createToken<Expressions>('recloom.expressions', 'compiles CEL expressions to column operations');
