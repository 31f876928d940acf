import { computeToken, definePlugin, defineScorer, expressionsToken, feature, inferenceToken, modelFilesToken } from '@recloom/plugin-api';
import { modelOptions } from './options.js';
import { scorerErrors } from './plugin-error.js';

/** Scores of a team's own ONNX model: neural networks, trees and linear models. */
export const model = defineScorer({
  id: 'model',
  summary: 'Scores with a model of your own: an ONNX file (neural network, trees, linear) and a manifest that says what goes in.',
  options: modelOptions,
  needs: { inference: inferenceToken, compute: computeToken, modelFiles: modelFilesToken, expressions: expressionsToken },
  inputs: {
    features: feature({
      many: true,
      optional: true,
      description: 'Components whose vectors the manifest names under `embedding`, `queryEmbedding` and `history: embedding`, e.g. [text].',
    }),
  },
  capabilities: {
    deterministic: true,
    coldUser: true,
    coldItem: true,
    devices: ['cpu', 'cuda', 'webgpu', 'dml', 'coreml'],
  },
  stateVersion: 1,
  async create({ name, options, deps, inputs, items, directory, signal, warn }) {
    const { ModelScorer } = await import('./model-scorer.js');
    return ModelScorer.open(options, { ...deps, name, directory, items, features: inputs.features ?? [], signal, warn });
  },
});

export default definePlugin({ apiVersion: 1, id: 'scorer-onnx', components: [model], errors: scorerErrors });
