import type { CandidateBatch, CandidateFilter, CompiledExpression, Expressions } from '@recloom/plugin-api';
import type { WhereOptions } from './options.js';

/**
 * Compiles the condition. When it reads item fields only, the filter can decide for the whole catalogue at once.
 *
 * @throws RECLOOM_CFG_EXPRESSION when the expression is wrong.
 */
export function openWhere(options: WhereOptions, expressions: Expressions): CandidateFilter {
  const condition = expressions.compile(options.expression, 'boolean');
  const filter = new Where(options, condition);
  if (!condition.itemsOnly) return filter;
  return {
    removalReasons: filter.removalReasons,
    filter: (batch, removed, signal) => filter.filter(batch, removed, signal),
    filterItems: (removed) => filter.filterAllItems(removed),
  };
}

class Where implements CandidateFilter {
  readonly removalReasons: readonly string[];
  readonly #condition: CompiledExpression;
  #values = new Float32Array(0);

  constructor(options: WhereOptions, condition: CompiledExpression) {
    this.removalReasons = Object.freeze([options.reason]);
    this.#condition = condition;
  }

  filter(batch: CandidateBatch, removed: Uint8Array, signal: AbortSignal): void {
    signal.throwIfAborted();
    this.#condition.evaluate(batch, this.#room(batch.count));
    this.#writeRemoved(removed, batch.count);
  }

  filterAllItems(removed: Uint8Array): void {
    this.#condition.evaluateItems(this.#room(removed.length));
    this.#writeRemoved(removed, removed.length);
  }

  #room(count: number): Float32Array {
    if (this.#values.length < count) this.#values = new Float32Array(count);
    return this.#values;
  }

  #writeRemoved(removed: Uint8Array, count: number): void {
    // 1 is true; 0 is false and NaN is null, and both go.
    for (let place = 0; place < count; place++) if (this.#values[place] !== 1) removed[place] = 1;
  }
}
