// Bad models and bad manifests: every row is a row of the table in the README.
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { candidateBatch, featureMatrix, listColumn, shopFrom, tableFrom } from '@recloom/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ModelSpec, makeLayers, networkModel, writeModel } from './onnx-model.fixture.js';
import { openWorkshop, scored, type Workshop } from './test-models.fixture.js';

let workshop: Workshop;
const network = networkModel(makeLayers([2, 3, 1]));
const linear = networkModel(makeLayers([2, 1]));
const columns = ['feature.a', 'feature.b'];
const manifest = { format: 'recloom-scorer/1', inputs: { x: { columns } }, outputs: { ctr: { output: 'y' } } };
const batch = candidateBatch({ rows: [[0, 1, 2]], columns: { 'feature.a': [1, 2, 3], 'feature.b': [0, 0, 1] } });

beforeAll(async () => {
  workshop = await openWorkshop();
  await workshop.folder.write('network.onnx', writeModel(network));
  await workshop.folder.write('network.json', manifest);
  await workshop.folder.write('linear.onnx', writeModel(linear));
  await workshop.folder.write('linear.json', manifest);
});
afterAll(() => workshop.close());

/** Writes a model with the usual manifest and opens it. */
async function openModel(name: string, spec: ModelSpec | Uint8Array, options: object = {}): ReturnType<Workshop['open']> {
  await workshop.folder.write(`${name}.onnx`, spec instanceof Uint8Array ? spec : writeModel(spec));
  return workshop.open({ model: `${name}.onnx`, inputs: manifest.inputs, outputs: manifest.outputs, ...options });
}

async function refusal(opening: Promise<unknown>): Promise<{ code: string; message: string }> {
  return (await opening.then(
    () => expect.fail('it was accepted'),
    (error: unknown) => error,
  )) as { code: string; message: string };
}

describe('model files', () => {
  it('one that is not there', async () => {
    expect(await refusal(workshop.open({ model: 'nowhere.onnx' }))).toMatchObject({ code: 'RECLOOM_DAT_MODEL_MISSING' });
    expect(await refusal(workshop.open({ model: './nowhere' }))).toMatchObject({ code: 'RECLOOM_DAT_MODEL_MISSING' });
    const inside = await refusal(workshop.open({ model: '.', file: 'nowhere.onnx' }));
    expect(inside).toMatchObject({ code: 'RECLOOM_DAT_MODEL_MISSING' });
  });

  it('a folder with several graphs, none of them named', async () => {
    const error = await refusal(workshop.open({ model: '.' }));
    expect(error).toMatchObject({ code: 'RECLOOM_DAT_MODEL_MISSING', message: expect.stringContaining('name one with "file"') as string });
    await expect(workshop.open({ model: '.', file: 'network.onnx' })).resolves.toBeDefined();
  });

  it.each(['auto', 'onnx', 'kernels'])('one that is cut off, or something else (engine %s)', async (engine) => {
    const bytes = writeModel(linear);
    for (const [name, content] of [
      ['cut', bytes.subarray(0, bytes.length - 9)],
      ['text', new TextEncoder().encode('<html>not found</html>')],
      ['empty', new Uint8Array()],
    ] as const) {
      const error = await refusal(openModel(`${name}-${engine}`, content, { engine }));
      expect(error, name).toMatchObject({ code: 'RECLOOM_DAT_MODEL_INVALID' });
    }
  });

  it.each(['onnx', 'kernels'])('one with another hash than the pinned (engine %s)', async (engine) => {
    const error = await refusal(workshop.open({ model: 'linear.onnx', engine, sha256: 'a'.repeat(64) }));
    expect(error).toMatchObject({ code: 'RECLOOM_DAT_MODEL_INVALID', message: expect.stringContaining('sha256') as string });
    const [{ sha256 }] = (await workshop.open({ model: 'linear.onnx', engine })).models() as unknown as readonly [
      { readonly sha256: string },
    ];
    expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    await expect(workshop.open({ model: 'linear.onnx', engine, sha256: sha256.toUpperCase() })).resolves.toBeDefined();
  });

  it('one with an operator set nobody knows, and one with operators of its own', async () => {
    const newer = await refusal(openModel('newer', { ...linear, opsets: { '': 9999 } }));
    expect(newer).toMatchObject({ code: 'RECLOOM_DAT_MODEL_INVALID' });
    const own = { ...linear, nodes: [{ operator: 'Magic', domain: 'com.example', inputs: ['x'], outputs: ['y'] }] };
    expect(await refusal(openModel('own', { ...own, opsets: { '': 17, 'com.example': 1 } }))).toMatchObject({
      code: 'RECLOOM_DAT_MODEL_INVALID',
    });
  });

  it('one whose weights lie outside its folder', async () => {
    const outside = {
      ...linear,
      constants: linear.constants?.map((constant) => ({ ...constant, externalLocation: '../weights.bin' })) ?? [],
    };
    await writeFile(join(dirname(workshop.folder.path), 'weights.bin'), new Uint8Array(64));
    expect(await refusal(openModel('outside', outside))).toMatchObject({ code: 'RECLOOM_DAT_MODEL_INVALID' });
  });

  it('a device that is not there, and one that does not exist', async () => {
    // There is no CUDA library where the tests run; on Linux and Windows onnxruntime knows the provider all the same.
    const missing = await refusal(workshop.open({ model: 'network.onnx', device: 'coreml' }));
    expect(missing).toMatchObject({ code: 'RECLOOM_RUN_DEVICE_UNAVAILABLE' });
    expect(await refusal(workshop.open({ model: 'network.onnx', device: 'tpu' }))).toMatchObject({ code: 'RECLOOM_CFG_TYPE' });
  });

  it('a graph that the kernels do not know, when they are asked for by name', async () => {
    const error = await refusal(workshop.open({ model: 'network.onnx', engine: 'kernels' }));
    expect(error).toMatchObject({ code: 'SCORER_ONNX_ENGINE', message: 'The kernels do not know the operator Relu of network.onnx.' });
  });
});

describe('inputs', () => {
  const open = (inputs: object, features: readonly ReturnType<typeof featureMatrix>[] = []): ReturnType<Workshop['open']> =>
    workshop.open({ model: 'network.onnx', inputs, outputs: manifest.outputs }, { inputs: { features } });

  it('names that the graph does not have, and inputs that nothing feeds', async () => {
    const error = await refusal(open({ features: { columns } }));
    expect(error.code).toBe('SCORER_ONNX_INPUT');
    expect(error.message).toContain('option inputs.features: the graph has no input "features"; it has "x" (float32 [rows, 2])');
    expect(error.message).toContain('nothing feeds the input "x" (float32 [rows, 2]) of the graph');
  });

  it('another width', async () => {
    const error = await refusal(open({ x: { columns: [...columns, 'item.price'] } }));
    expect(error.code).toBe('SCORER_ONNX_INPUT');
    expect(error.message).toContain('the graph wants [rows, 2] for "x", this gives [candidates, 3]');
    expect((await refusal(open({ x: { embedding: 'text' } }, [featureMatrix('text', 3, [1, 2, 3])]))).message).toContain('[candidates, 3]');
  });

  it('another type', async () => {
    const error = await refusal(open({ x: { category: 'item.id', vocabulary: ['a'] } }));
    expect(error).toMatchObject({ code: 'SCORER_ONNX_INPUT' });
    expect(error.message).toContain('the graph wants float32 for "x", this gives int64 or int32');
  });

  it('a graph exported for one row', async () => {
    const fixed = { ...network, inputs: [{ name: 'x', dims: [1, 2] }] };
    const error = await refusal(openModel('fixed', fixed));
    expect(error.message).toContain('it was exported for 1 row; export it with a dynamic first dimension');
  });

  it('a feature that is not under `in:`', async () => {
    const error = await refusal(open({ x: { embedding: 'text' } }, [featureMatrix('image', 2, [1, 2])]));
    expect(error).toMatchObject({ code: 'SCORER_ONNX_INPUT' });
    expect(error.message).toContain('the feature "text" is not under "in: { features }" of the component; it has image');
  });

  it('a column that does not exist, with its place', async () => {
    const error = await refusal(open({ x: { columns: ['feature.a', 'item.prize'] } }));
    expect(error).toMatchObject({ code: 'RECLOOM_CFG_EXPRESSION' });
    expect(error.message).toContain('option inputs.x.columns.1: ');
  });

  it('a category that is none', async () => {
    const kinds: ModelSpec = {
      inputs: [{ name: 'kind', type: 'int64', dims: ['rows'] }],
      outputs: [{ name: 'y', dims: ['rows'] }],
      nodes: [{ operator: 'Cast', inputs: ['kind'], outputs: ['y'], attributes: { to: 1 } }],
    };
    await workshop.folder.write('kinds.onnx', writeModel(kinds));
    const shop = shopFrom({ items: tableFrom(['a'], { tags: listColumn([['x', 'y']]) }) });
    const openKind = (category: string): Promise<unknown> =>
      workshop.open({ model: 'kinds.onnx', inputs: { kind: { category, vocabulary: ['x'] } } }, { shop });
    expect((await refusal(openKind('item.tags'))).message).toContain('item.tags is a list, not one category');
    expect((await refusal(openKind('item.tagz'))).message).toContain('items have no field "tagz"; they have id, tags');
    expect(await refusal(openKind('tags'))).toMatchObject({ code: 'RECLOOM_CFG_TYPE' });
  });
});

describe('outputs', () => {
  const open = (outputs: object, more: object = {}): ReturnType<Workshop['open']> =>
    workshop.open({ model: 'network.onnx', inputs: manifest.inputs, outputs, ...more });

  it('names and columns that the graph does not have', async () => {
    const name = await refusal(open({ ctr: { output: 'z' } }));
    expect(name).toMatchObject({ code: 'SCORER_ONNX_OUTPUT' });
    expect(name.message).toContain('option outputs.ctr: the graph has no output "z"; it has "y" (float32 [rows, 1])');
    expect((await refusal(open({ ctr: { output: 'y', column: 1 } }))).message).toContain('has 1 column, not a column 1');
    expect((await refusal(open({ ctr: { output: 'y' } }, { main: 'cvr' }))).message).toContain('there is no output "cvr"; there are ctr');
  });

  it('several outputs, none of them chosen', async () => {
    const two = { ...network, outputs: [...network.outputs, { name: 'h0', dims: ['rows', 3] }] };
    const error = await refusal(openModel('two', two, { outputs: undefined }));
    expect(error).toMatchObject({
      code: 'SCORER_ONNX_OUTPUT',
      message: expect.stringContaining('say under "outputs" which to take') as string,
    });
  });

  it('another number of values than candidates', async () => {
    const mean: ModelSpec = {
      ...network,
      outputs: [{ name: 'y', dims: ['n', 1] }],
      nodes: [{ operator: 'ReduceMean', inputs: ['x'], outputs: ['y'] }],
      constants: [],
    };
    const scorer = await openModel('mean', mean);
    const error = await refusal(scored(scorer, batch));
    expect(error).toMatchObject({ code: 'SCORER_ONNX_OUTPUT', message: 'The output "y" gave float32 [1, 1] for 3 candidates.' });
  });

  it('scores that are not numbers: missing, or a failure when that was asked for', async () => {
    const quotient: ModelSpec = {
      ...network,
      nodes: [
        { operator: 'Split', inputs: ['x'], outputs: ['a', 'b'], attributes: { axis: 1 } },
        { operator: 'Div', inputs: ['b', 'b'], outputs: ['y'] },
      ],
      constants: [],
    };
    const [scores] = await scored(await openModel('quotient', quotient), batch);
    expect([...(scores as Float32Array)]).toEqual([Number.NaN, Number.NaN, 1]);
    const error = await refusal(scored(await openModel('quotient', quotient, { nan: 'fail' }), batch));
    expect(error).toMatchObject({ code: 'SCORER_ONNX_NOT_A_NUMBER', message: 'The output "y" is not a number for 2 of 3 candidates.' });
  });

  it('infinite scores are as little scores', async () => {
    const inverse: ModelSpec = {
      ...network,
      nodes: [
        { operator: 'Split', inputs: ['x'], outputs: ['a', 'b'], attributes: { axis: 1 } },
        { operator: 'Div', inputs: ['a', 'b'], outputs: ['y'] },
      ],
      constants: [],
    };
    const [scores] = await scored(await openModel('inverse', inverse), batch);
    expect([...(scores as Float32Array)]).toEqual([Number.NaN, Number.NaN, 3]);
  });
});

describe('time', () => {
  it('a model that takes too long is given up at its time limit, and when the request is aborted', async () => {
    const steps = 200;
    const size = 384;
    const slow: ModelSpec = {
      inputs: network.inputs,
      outputs: [{ name: 'y', dims: ['rows', 1] }],
      nodes: [
        { operator: 'ReduceMean', inputs: ['x'], outputs: ['mean'], attributes: { keepdims: 0 } },
        { operator: 'Mul', inputs: ['w', 'mean'], outputs: ['m0'] },
        ...Array.from({ length: steps }, (_, step) => ({ operator: 'MatMul', inputs: [`m${step}`, 'w'], outputs: [`m${step + 1}`] })),
        { operator: 'ReduceMean', inputs: [`m${steps}`], outputs: ['last'], attributes: { keepdims: 0 } },
        { operator: 'ReduceSum', inputs: ['x', 'one'], outputs: ['sums'], attributes: { keepdims: 1 } },
        { operator: 'Mul', inputs: ['sums', 'last'], outputs: ['y'] },
      ],
      constants: [
        { name: 'w', dims: [size, size], values: new Float32Array(size * size).fill(1 / size) },
        { name: 'one', dims: [1], values: BigInt64Array.of(1n) },
      ],
    };
    const limited = await openModel('slow', slow, { timeoutMs: 5 });
    expect(await refusal(scored(limited, batch))).toMatchObject({ code: 'RECLOOM_RUN_TIMEOUT', retryable: true });
    const controller = new AbortController();
    const running = scored(await openModel('slow', slow), batch, controller.signal);
    controller.abort(new Error('the request is over'));
    expect(await refusal(running)).toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });
  });
});

describe('manifests', () => {
  const openManifest = async (name: string, content: string | object, options: object = {}): Promise<unknown> => {
    await workshop.folder.write(`${name}.json`, content);
    return workshop.open({ model: 'network.onnx', schema: `${name}.json`, ...options });
  };

  it('one that is not there', async () => {
    await workshop.folder.write('bare.onnx', writeModel(network));
    const error = await refusal(workshop.open({ model: 'bare.onnx' }));
    expect(error).toMatchObject({ code: 'SCORER_ONNX_MANIFEST', message: expect.stringMatching(/bare\.json is not there/) as string });
  });

  it('one that is no JSON: its content is not quoted', async () => {
    const error = await refusal(openManifest('broken', '{\n  "format": secret-item\n}'));
    expect(error).toMatchObject({ code: 'SCORER_ONNX_MANIFEST' });
    // The engine tells the place for some faults only.
    expect(error.message).toMatch(/^broken\.json(:2:\d+)? is not valid JSON\.$/);
  });

  it('another format, unknown keys, values of the wrong kind: each with line and column', async () => {
    const text = `{
  "format": "recloom-scorer/2",
  "inputs": {
    "x": { "columns": ["feature.a"], "mising": 1 },
    "k": { "category": "item.kind" },
    "h": { "history": "ids", "length": 0, "vocabulary": ["a"] },
    "n": { "columns": ["feature.a"], "embedding": "text" }
  },
  "outputs": { "click rate": { "output": "y" }, "ctr": { "output": "y", "kind": "percent" } }
}`;
    const { code, message } = await refusal(openManifest('wrong', text));
    expect(code).toBe('SCORER_ONNX_MANIFEST');
    expect(message).toContain('wrong.json:2:3: format');
    expect(message).toContain('wrong.json:4:38: inputs.x: there is no key "mising"');
    expect(message).toContain('wrong.json:5:5: inputs.k: vocabulary: must be a list of texts');
    expect(message).toContain('wrong.json:6:30: inputs.h.length: ');
    expect(message).toContain('wrong.json:7:5: inputs.n: must have exactly one of');
    expect(message).toContain('wrong.json:9:16: outputs.click rate: must be a name of letters');
    expect(message).toContain('wrong.json:9:73: outputs.ctr.kind: ');
  });

  it('keys of another format are answered in words, not with those of a validator', async () => {
    const text =
      '{\n  "format": "recloom-scorer/1",\n  "input": { "x": ["item.price"] },\n  "outputs": { "p": { "name": "probabilities" } },\n  "main": 3\n}';
    const { message } = await refusal(openManifest('keys', text));
    expect(message).toBe(
      'The manifest is not valid: keys.json: inputs: is missing; keys.json:4:16: outputs.p.output: is missing; keys.json:4:23: outputs.p: there is no key "name"; known: output, column, kind, calibration; keys.json:5:3: main: must be a text, found a number; keys.json:3:3: there is no key "input"; known: format, inputs, outputs, main, training.',
    );
  });

  it('names its place for what does not fit the graph', async () => {
    const text = `{ "format": "recloom-scorer/1",\n  "inputs": {\n    "x": { "columns": ["feature.a"] }\n  }\n}`;
    expect((await refusal(openManifest('narrow', text))).message).toContain('narrow.json:3:5: the graph wants [rows, 2] for "x"');
    const column = text.replace('"feature.a"', '"feature.a",\n      "item.prize"');
    expect((await refusal(openManifest('column', column))).message).toContain('column.json:4:7: The expression is wrong');
  });

  it('vocabularies: outside the folder, missing, empty, twice the same, no texts', async () => {
    const kinds: ModelSpec = {
      inputs: [{ name: 'kind', type: 'int64', dims: ['rows'] }],
      outputs: [{ name: 'y', dims: ['rows'] }],
      nodes: [{ operator: 'Cast', inputs: ['kind'], outputs: ['y'], attributes: { to: 1 } }],
    };
    await workshop.folder.write('words.onnx', writeModel(kinds));
    await writeFile(join(dirname(workshop.folder.path), 'words.json'), '["a"]');
    await workshop.folder.write('empty.json', []);
    await workshop.folder.write('objects.json', [{}]);
    const openWords = (vocabulary: unknown): Promise<unknown> =>
      openManifest('words', { format: 'recloom-scorer/1', inputs: { kind: { category: 'item.id', vocabulary } } }, { model: 'words.onnx' });
    for (const [vocabulary, found] of [
      [{ file: '../words.json' }, /outside the folder/],
      [{ file: 'nowhere.json' }, /is not there/],
      [{ file: 'empty.json' }, /at least one value/],
      [{ file: 'objects.json' }, /neither a text nor a number/],
      [['a', 'b', 'a'], /value 2 of the vocabulary is there twice/],
    ] as const) {
      expect(await refusal(openWords(vocabulary))).toMatchObject({
        code: 'SCORER_ONNX_MANIFEST',
        message: expect.stringMatching(found) as string,
      });
    }
    await expect(openWords(['a', 2])).resolves.toBeDefined();
  });

  it('both a manifest and inline inputs, or outputs without inputs', async () => {
    expect(await refusal(openManifest('both', manifest, { inputs: manifest.inputs }))).toMatchObject({ code: 'RECLOOM_CFG_TYPE' });
    expect(await refusal(workshop.open({ model: 'network.onnx', outputs: manifest.outputs }))).toMatchObject({ code: 'RECLOOM_CFG_TYPE' });
  });
});
