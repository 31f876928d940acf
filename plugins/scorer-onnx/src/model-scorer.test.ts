import { createInference, createModelFiles } from '@recloom/inference';
import { inferenceToken, modelFilesToken, type Provided, type Scorer } from '@recloom/plugin-api';
import {
  candidateBatch,
  categoryColumn,
  createTestHost,
  featureMatrix,
  numberColumn,
  shopFrom,
  type TestInputs,
  tableFrom,
} from '@recloom/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { model } from './index.js';
import type { ModelScorer } from './model-scorer.js';
import { makeFolder, makeLayers, networkModel, networkValue, type TestFolder, writeModel } from './onnx-model.fixture.js';

const inference = createInference();
let folder: TestFolder;
let provide: Provided;

beforeAll(async () => {
  folder = await makeFolder();
  provide = [
    [inferenceToken, inference],
    [modelFilesToken, createModelFiles({ directory: folder.path })],
  ];
});
afterAll(async () => {
  await inference.close();
  await folder.remove();
});

const items = tableFrom(['a', 'b', 'c', 'd'], {
  price: numberColumn([1, 2.5, null, 40]),
  category: categoryColumn(['mug', 'cup', null, 'mug']),
});
const shop = shopFrom({ items });

async function open(options: object, inputs: TestInputs = {}): Promise<ModelScorer & Scorer> {
  return createTestHost({ shop, provide }).open(model, { options, inputs, directory: folder.path }) as never;
}

async function scored(scorer: Scorer, batch: Parameters<Scorer['score']>[0]): Promise<Float32Array> {
  const out = new Float32Array(batch.count).fill(Number.NaN);
  await scorer.score(batch, out, new AbortController().signal);
  return out;
}

describe('columns', () => {
  it('runs a network over item, source, score and feature columns', async () => {
    const layers = makeLayers([5, 8, 1]);
    await folder.write('net.onnx', writeModel(networkModel(layers)));
    await folder.write('net.json', {
      format: 'recloom-scorer/1',
      inputs: { x: { columns: ['item.price', 'source.first.score', 'score.habits', 'feature.walk', 'item.price * 2'], missing: -1 } },
      outputs: { ctr: { output: 'y', kind: 'score' } },
    });
    const scorer = await open({ model: 'net.onnx', device: 'cpu', engine: 'onnx' });
    expect(scorer.readsColumns).toEqual(['feature.walk', 'score.habits']);
    expect(scorer.furtherColumns).toEqual([]);
    const batch = candidateBatch({
      rows: [
        [0, 1, 2],
        [3, 0],
      ],
      sources: { first: [3, null, 1, 5, 6] },
      columns: { 'score.habits': [0.5, 0.25, Number.NaN, 1, 2], 'feature.walk': [1, 2, 3, 4, Number.NaN] },
    });
    const rows = [
      [1, 3, 0.5, 1, 2],
      [2.5, -1, 0.25, 2, 5],
      [-1, 1, -1, 3, -1],
      [40, 5, 1, 4, 80],
      [1, 6, 2, -1, 2],
    ];
    const found = await scored(scorer, batch);
    rows.forEach((row, place) => expect(found[place]).toBeCloseTo(networkValue(layers, row)[0] as number, 4));
    await scorer.dispose?.();
  });

  it('takes categories, embeddings and features by name', async () => {
    await folder.write(
      'mixed.onnx',
      writeModel({
        inputs: [
          { name: 'kind', type: 'int64', dims: ['rows'] },
          { name: 'vector', dims: ['rows', 2] },
        ],
        outputs: [{ name: 'y', dims: ['rows', 1] }],
        nodes: [
          { operator: 'Gather', inputs: ['table', 'kind'], outputs: ['rows_'] },
          { operator: 'Mul', inputs: ['rows_', 'vector'], outputs: ['product'] },
          { operator: 'ReduceSum', inputs: ['product', 'axes'], outputs: ['y'], attributes: { keepdims: 1 } },
        ],
        constants: [
          { name: 'table', dims: [3, 2], values: Float32Array.of(100, 200, 1, 2, 3, 4) },
          { name: 'axes', dims: [1], values: BigInt64Array.of(1n) },
        ],
      }),
    );
    const scorer = await open(
      {
        model: 'mixed.onnx',
        inputs: { kind: { category: 'item.category', vocabulary: ['mug', 'cup'] }, vector: { embedding: 'text' } },
      },
      { features: [featureMatrix('text', 2, [1, 1, 10, 1, 5, 5, 2, 3], [1, 1, 1, 0])] },
    );
    // a: mug 1·1 + 2·1; b: cup 3·10 + 4·1; c: unknown 100·5 + 200·5; d: no vector.
    expect([...(await scored(scorer, candidateBatch({ rows: [[0, 1, 2, 3]] })))]).toEqual([3, 34, 1500, 0]);
    await scorer.dispose?.();
  });

  it('repeats what there is once per request beside every row, when the graph wants it so', async () => {
    await folder.write(
      'pairs.onnx',
      writeModel({
        inputs: [
          { name: 'vector', dims: ['rows', 2] },
          { name: 'query', dims: ['rows', 2] },
        ],
        outputs: [{ name: 'y', dims: ['rows', 1] }],
        nodes: [
          { operator: 'Mul', inputs: ['vector', 'query'], outputs: ['product'] },
          { operator: 'ReduceSum', inputs: ['product', 'axes'], outputs: ['y'], attributes: { keepdims: 1 } },
        ],
        constants: [{ name: 'axes', dims: [1], values: BigInt64Array.of(1n) }],
      }),
    );
    const scorer = await open(
      { model: 'pairs.onnx', inputs: { vector: { embedding: 'text' }, query: { queryEmbedding: 'text' } } },
      { features: [featureMatrix('text', 2, [1, 1, 10, 1, 5, 5, 2, 3])] },
    );
    const batch = candidateBatch({
      rows: [[0, 1], [], [2, 3, 0]],
      requests: [{ queryVectors: { text: [1, 100] } }, {}, { queryVectors: { text: [2, 0] } }],
    });
    expect([...(await scored(scorer, batch))]).toEqual([101, 110, 10, 4, 2]);
    await scorer.dispose?.();
  });
});

describe('a model that looks at all candidates of a request together', () => {
  it('sees those of one request only, when `batching` is off', async () => {
    await folder.write(
      'listwise.onnx',
      writeModel({
        inputs: [{ name: 'x', dims: ['rows', 1] }],
        outputs: [{ name: 'y', dims: ['rows', 1] }],
        nodes: [
          { operator: 'ReduceSum', inputs: ['x', 'axes'], outputs: ['sum'], attributes: { keepdims: 1 } },
          { operator: 'Div', inputs: ['x', 'sum'], outputs: ['y'] },
        ],
        constants: [{ name: 'axes', dims: [1], values: BigInt64Array.of(0n) }],
      }),
    );
    const options = { model: 'listwise.onnx', inputs: { x: { columns: ['feature.a'] } } };
    const batch = candidateBatch({
      rows: [
        [0, 1],
        [2, 3],
      ],
      columns: { 'feature.a': [1, 3, 2, 2] },
    });
    const apart = await open({ ...options, batching: false });
    const [first, second] = await Promise.all([scored(apart, batch), scored(apart, batch)]);
    expect([...first]).toEqual([0.25, 0.75, 0.5, 0.5]);
    expect([...second]).toEqual([...first]);
    const together = await open(options);
    expect([...(await scored(together, batch))]).toEqual([0.125, 0.375, 0.25, 0.25]);
    await apart.dispose?.();
    await together.dispose?.();
  });
});
