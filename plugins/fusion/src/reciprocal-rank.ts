import type { CandidateBatch, Scorer } from '@recloom/plugin-api';
import type { ReciprocalRankOptions } from './options.js';

/**
 * score(c) = sum over sources s that proposed c of weight(s) / (k + rank(s, c)), ranks from 1.
 * Cormack, Clarke, Büttcher: Reciprocal Rank Fusion outperforms Condorcet and individual rank learning methods, SIGIR 2009.
 * A candidate that no weighted source proposed scores 0.
 */
export class ReciprocalRankFusion implements Scorer {
  readonly #k: number;
  readonly #weights: ReadonlyMap<string, number>;

  constructor(options: ReciprocalRankOptions) {
    this.#k = options.k;
    this.#weights = new Map(Object.entries(options.weights));
  }

  score(batch: CandidateBatch, out: Float32Array, signal: AbortSignal): void {
    signal.throwIfAborted();
    // Summed in float64 and rounded once, so that the order of the sources does not show.
    const sums = new Float64Array(batch.count);
    for (const { name, ranks } of batch.sources) {
      const weight = this.#weights.get(name) ?? 1;
      for (let place = 0; place < batch.count; place++) {
        const rank = ranks[place] as number;
        if (rank > 0) sums[place] = (sums[place] as number) + weight / (this.#k + rank);
      }
    }
    out.set(sums);
  }
}
