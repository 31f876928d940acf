import { definePlugin, defineScorer } from '@recloom/plugin-api';
import { reciprocalRankOptions, weightedOptions } from './options.js';

/** Reciprocal rank fusion: adds `weight / (k + rank)` over the sources; needs no comparable scores. */
export const rrf = defineScorer({
  id: 'rrf',
  summary: "Reciprocal rank fusion of the sources' rankings (Cormack, Clarke and Büttcher 2009).",
  options: reciprocalRankOptions,
  capabilities: { coldUser: true, coldItem: true },
  stateVersion: 1,
  async create({ options }) {
    const { ReciprocalRankFusion } = await import('./reciprocal-rank.js');
    return new ReciprocalRankFusion(options);
  },
});

/** Weighted mean of the sources' scores, each normalised within the request. */
export const weighted = defineScorer({
  id: 'weighted',
  summary: "Weighted mean of the sources' scores, normalised within the request by minmax, zscore or rank.",
  options: weightedOptions,
  capabilities: { coldUser: true, coldItem: true },
  stateVersion: 1,
  async create({ options }) {
    const { WeightedFusion } = await import('./weighted.js');
    return new WeightedFusion(options);
  },
});

export default definePlugin({ apiVersion: 1, id: 'fusion', components: [rrf, weighted] });
