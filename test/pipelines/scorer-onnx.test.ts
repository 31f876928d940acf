// A team's own model in a whole pipeline: build, serve, explain, and what becomes of it when it is slow or does not fit.
import { copyFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { buildPipeline, openPipeline } from '@recloom/core';
import { isRecloomError, type RecloomError } from '@recloom/plugin-api';
import onnxProto from 'onnx-proto';
import { expect, test } from 'vitest';
import { dataYaml, itemId, makeShop, type ShopFolder, userId } from './support/shop-folder.js';

const lambdaMart = fileURLToPath(new URL('../../plugins/scorer-onnx/src/fixtures/lightgbm-lambdarank.fixture.onnx', import.meta.url));
const columns = ['source.popular.score', 'source.popular.rank', 'score.habits', 'item.price', 'zscore(item.price)', 'request.hour'];

const yaml = (click: string, timeoutMs = 5000, scorers = '[habits, click]'): string => `format: "1.0"
name: shop
${dataYaml}
components:
  popular: { use: popularity/popular }
  habits: { use: collaborative-linear/ease, with: { lambda: 20 } }
  click: ${click}
surfaces:
  home:
    sources: { popular: 25 }
    scorers: ${scorers}
    value: "score.click"
    limits: { timeoutMs: ${timeoutMs} }
`;

/** Weights 1: y = the sum of the columns; w × the sum after many products of a 384 × 384 matrix when it is to be slow. */
function sumModel(slow: boolean): Uint8Array {
  const value = (name: string, width: number): object => ({
    name,
    type: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: 'rows' }, { dimValue: width }] } } },
  });
  const size = 384;
  const steps = 400;
  const ones = new Uint8Array(new Float32Array(2).fill(1).buffer);
  const square = new Uint8Array(new Float32Array(size * size).fill(1 / size).buffer);
  const number = (name: string, i: number): object => ({ name, type: 2, i });
  const slowly = [
    { opType: 'ReduceMean', input: ['x'], output: ['m'], attribute: [number('keepdims', 0)] },
    { opType: 'Mul', input: ['q', 'm'], output: ['s0'] },
    ...Array.from({ length: steps }, (_, step) => ({ opType: 'MatMul', input: [`s${step}`, 'q'], output: [`s${step + 1}`] })),
    { opType: 'ReduceMean', input: [`s${steps}`], output: ['last'], attribute: [number('keepdims', 0)] },
    { opType: 'MatMul', input: ['x', 'w'], output: ['p'] },
    { opType: 'Mul', input: ['p', 'last'], output: ['y'] },
  ];
  return onnxProto.onnx.ModelProto.encode(
    onnxProto.onnx.ModelProto.fromObject({
      irVersion: 8,
      opsetImport: [{ domain: '', version: 17 }],
      graph: {
        name: 'sum',
        input: [value('x', 2)],
        output: [value('y', 1)],
        node: slow ? slowly : [{ opType: 'MatMul', input: ['x', 'w'], output: ['y'] }],
        initializer: [
          { name: 'w', dims: [2, 1], dataType: 1, rawData: ones },
          ...(slow ? [{ name: 'q', dims: [size, size], dataType: 1, rawData: square }] : []),
        ],
      },
    }),
  ).finish();
}

async function makeModels(): Promise<ShopFolder> {
  const shop = await makeShop();
  await copyFile(lambdaMart, shop.file('trees.onnx'));
  await writeFile(shop.file('sum.onnx'), sumModel(false));
  await writeFile(shop.file('slow.onnx'), sumModel(true));
  await shop.write(
    'trees.json',
    JSON.stringify({
      format: 'recloom-scorer/1',
      inputs: { features: { columns, missing: 'nan' } },
      outputs: { relevance: { output: 'variable' } },
      training: { by: 'LightGBM' },
    }),
  );
  return shop;
}

async function failure(opening: Promise<unknown>): Promise<RecloomError> {
  const error = await opening.then(
    () => expect.fail('it was accepted'),
    (cause: unknown) => cause,
  );
  if (!isRecloomError(error)) throw error;
  expect(error.problems.length).toBeLessThan(2);
  return error.problems[0] ?? error;
}

test('trees rank what the sources propose; the answer says what ran them', async () => {
  const shop = await makeModels();
  await shop.write('shop.yaml', yaml('{ use: scorer-onnx/model, with: { model: trees.onnx } }'));
  await buildPipeline(shop.file('shop.yaml'));
  const pipeline = await openPipeline(shop.file('shop.yaml'));
  try {
    const request = { user: userId(1), purposes: ['personalisation'], limit: 10, explain: true };
    const answer = await pipeline.recommend(request);
    expect(answer.items).toHaveLength(10);
    expect(answer.warnings).toEqual([]);
    expect(JSON.stringify(answer.timings)).toContain('"device":"kernels"');
    expect((await pipeline.recommend(request)).items).toEqual(answer.items);
    expect(new Set(answer.items.map((item) => item.id)).size).toBe(10);
  } finally {
    await pipeline.close();
  }
});

test('inline inputs: the score is the sum of the columns, to the last place', async () => {
  const shop = await makeModels();
  const inputs = 'inputs: { x: { columns: [item.price, "source.popular.rank * 1000"] } }';
  await shop.write('shop.yaml', yaml(`{ use: scorer-onnx/model, with: { model: sum.onnx, ${inputs} } }`));
  await buildPipeline(shop.file('shop.yaml'));
  const pipeline = await openPipeline(shop.file('shop.yaml'));
  try {
    const { items } = await pipeline.recommend({ user: userId(1), purposes: ['personalisation'], limit: 25 });
    // The least popular first: rank × 1000 outweighs every price. Prices are 1.5 × the number of the item.
    const popular = await pipeline.recommend({ user: userId(1), purposes: ['personalisation'], limit: 25, boost: '-2.0 * score.click' });
    expect(items.map((item) => item.id)).toEqual(popular.items.map((item) => item.id).reverse());
    const numbers = items.map(({ id, value }) => value - 1.5 * Number(id.slice(1)));
    numbers.forEach((rest, place) => expect(rest).toBeCloseTo(1000 * (items.length - place), 2));
    expect(items[0]?.id).not.toBe(itemId(1));
  } finally {
    await pipeline.close();
  }
});

test('a model that is too slow leaves the answer in time, with a warning', async () => {
  const shop = await makeModels();
  const inputs = 'inputs: { x: { columns: [item.price, source.popular.score] } }';
  await shop.write('shop.yaml', yaml(`{ use: scorer-onnx/model, with: { model: slow.onnx, ${inputs} } }`, 150, '[click]'));
  await buildPipeline(shop.file('shop.yaml'));
  const pipeline = await openPipeline(shop.file('shop.yaml'));
  try {
    const answer = await pipeline.recommend({ limit: 5 });
    expect(answer.items).toHaveLength(5);
    expect(answer.warnings.map((warning) => warning.code)).toContain('RECLOOM_RUN_TIMEOUT');
  } finally {
    await pipeline.close();
  }
});

test('what does not fit is refused at the line of the component', async () => {
  const shop = await makeModels();
  const open = async (click: string, scorers?: string): Promise<RecloomError> => {
    await shop.write('shop.yaml', yaml(click, 5000, scorers));
    return failure(
      (async () => {
        await buildPipeline(shop.file('shop.yaml'));
        const pipeline = await openPipeline(shop.file('shop.yaml'));
        await pipeline.close();
      })(),
    );
  };
  const line = yaml('x')
    .split('\n')
    .findIndex((text) => text.startsWith('  click:'));
  const at = { node: 'click', component: 'scorer-onnx/model', file: shop.file('shop.yaml'), line: line + 1 };

  const width = await open('{ use: scorer-onnx/model, with: { model: sum.onnx, inputs: { x: { columns: [item.price] } } } }');
  expect(width).toMatchObject({ code: 'SCORER_ONNX_INPUT', at });
  expect(width.message).toContain('option inputs.x: the graph wants [rows, 2] for "x", this gives [candidates, 1]');

  const column = await open('{ use: scorer-onnx/model, with: { model: sum.onnx, inputs: { x: { columns: [item.price, score.habit] } } } }');
  expect(column).toMatchObject({ code: 'RECLOOM_CFG_EXPRESSION', at: { node: 'click' } });
  expect(column.message).toContain('option inputs.x.columns.1');
  expect(column.message).toContain('did you mean "score.habits"');

  await shop.write('sum.json', '{ "format": "recloom-scorer/1",\n  "inputs": { "z": { "columns": ["item.price"] } } }');
  const name = await open('{ use: scorer-onnx/model, with: { model: sum.onnx } }');
  expect(name).toMatchObject({ code: 'SCORER_ONNX_INPUT', at });
  expect(name.message).toContain('sum.json:2:15: the graph has no input "z"');

  // trees.json reads score.habits: it has to come before.
  const order = await open('{ use: scorer-onnx/model, with: { model: trees.onnx } }', '[click, habits]');
  expect(order.code).toMatch(/^RECLOOM_CFG_/);
  expect(order.message).toContain('score.habits');
});
