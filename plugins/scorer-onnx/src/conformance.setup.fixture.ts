import { fileURLToPath } from 'node:url';
import { createInference, createModelFiles } from '@recloom/inference';
import { inferenceToken, modelFilesToken, type Provided } from '@recloom/plugin-api';

/** Models made by fixtures/make.fixture.py: this file is also loaded where onnx-proto is hidden, so it cannot write its own. */
const directory = fileURLToPath(new URL('./fixtures/', import.meta.url));

/** Real services for the conformance kit, here and in its child processes. */
const provide: Provided = [
  [inferenceToken, createInference()],
  [modelFilesToken, createModelFiles({ directory })],
];

const columns = ['source.first.score', 'score.second', 'feature.first', 'item.price / 10.0'];

/** A network on the workers, with two outputs. */
export const network = {
  directory,
  options: {
    model: 'conformance-network.fixture.onnx',
    inputs: { x: { columns, missing: -1 } },
    outputs: { click: { output: 'y', column: 0, kind: 'logit' }, buy: { output: 'y', column: 1 } },
  },
};

/** A linear model on the kernels. */
export const linear = { directory, options: { model: 'conformance-linear.fixture.onnx', inputs: { x: { columns } } } };

/** Inputs per request: the query's vector and the history's. */
export const personal = {
  directory,
  options: {
    model: 'conformance-personal.fixture.onnx',
    inputs: {
      x: { columns: ['source.second.score'] },
      vector: { embedding: 'features' },
      query: { queryEmbedding: 'features' },
      events: { history: 'embedding', feature: 'features', length: 6 },
      mask: { history: 'mask', length: 6 },
    },
  },
};

export default { provide, fixtures: { model: network } };
