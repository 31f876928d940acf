import type { CandidateBatch, CompiledExpression, Expressions, Scorer } from '@recloom/plugin-api';
import type { BoostOptions } from './options.js';

interface Rule {
  readonly when: CompiledExpression;
  readonly factor: number;
}

/**
 * score(c) = expression(c) × factor × product of the factors of all rules whose condition holds for c.
 *
 * @throws RECLOOM_CFG_EXPRESSION when one of the expressions is wrong.
 */
export class Boost implements Scorer {
  readonly #expression: CompiledExpression | undefined;
  readonly #factor: number;
  readonly #otherwise: number;
  readonly #rules: readonly Rule[];
  #values = new Float32Array(0);

  constructor(options: BoostOptions, expressions: Expressions) {
    this.#expression = options.expression === undefined ? undefined : expressions.compile(options.expression, 'number');
    this.#factor = options.factor;
    this.#otherwise = options.otherwise;
    this.#rules = options.rules.map(({ when, factor }) => ({ when: expressions.compile(when, 'boolean'), factor }));
  }

  score(batch: CandidateBatch, out: Float32Array, signal: AbortSignal): void {
    signal.throwIfAborted();
    const { count } = batch;
    if (this.#expression === undefined) {
      out.fill(this.#factor, 0, count);
    } else {
      this.#expression.evaluate(batch, out);
      for (let place = 0; place < count; place++) {
        const value = out[place] as number;
        out[place] = (Number.isFinite(value) ? value : this.#otherwise) * this.#factor;
      }
    }
    if (this.#rules.length === 0) return;
    if (this.#values.length < count) this.#values = new Float32Array(count);
    for (const { when, factor } of this.#rules) {
      when.evaluate(batch, this.#values);
      for (let place = 0; place < count; place++) if (this.#values[place] === 1) out[place] = (out[place] as number) * factor;
    }
  }
}
