import { definePlugin, defineScorer } from '@recloom/plugin-api';
import { blendOptions } from './options.js';

/** Weighted sum of other scorers' columns, each normalised within the request. */
export const scores = defineScorer({
  id: 'scores',
  summary: "Weighted sum of other scorers' columns, normalised within the request; `recloom blend` learns the weights.",
  options: blendOptions,
  capabilities: { deterministic: true, coldUser: true, coldItem: true },
  stateVersion: 1,
  async create({ options }) {
    const { BlendedScores } = await import('./scores.js');
    return new BlendedScores(options);
  },
});

export default definePlugin({ apiVersion: 1, id: 'blend', components: [scores] });
