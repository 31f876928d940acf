// Bad models, and more load than they can take, from the config file to the answer: one row of the table, one test.
import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type Answer, buildPipeline, type Dataset, openPipeline, type Pipeline, readPipelineData, validatePipeline } from '@recloom/core';
import { loggerToken, type RecloomError, type Warning } from '@recloom/plugin-api';
import { recordingLogger } from '@recloom/testing';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { badInput, codesOf, expectReadableWarning, failureOf, placeIn, problemOf } from './support/bad-input.js';
import { failingModel, meanModel, patientModel, quotientModel, type SmallModel, smallModel } from './support/onnx-models.js';
import { dataYaml, makeShop, type ShopFolder, userId } from './support/shop-folder.js';

const textModel = join(import.meta.dirname, '..', '..', 'packages', 'model-all-minilm-l6-v2');

/** Columns that fit the small models. */
const columns = 'columns: [item.price, source.popular.rank]';
const inputs = `inputs: { x: { ${columns} } }`;
/** `patient.onnx` computes as many turns as the request says. */
const patient = 'model: patient.onnx, inputs: { x: { columns: [source.popular.rank, request.turns] } }';
const endless = { turns: 1e15 };
const quick = { turns: 0 };

interface Variant {
  readonly scorers?: string;
  /** Further components, one a line. */
  readonly components?: string;
  /** Further sections of the config. */
  readonly sections?: string;
  readonly timeoutMs?: number;
}

const yamlOf = (options: string, { scorers = '[click]', components = '', sections = '', timeoutMs = 30_000 }: Variant = {}): string =>
  `format: "1.0"
name: shop
${sections}
${dataYaml}
components:
  popular: { use: popularity/popular }
  habits: { use: collaborative-linear/ease, with: { lambda: 20 } }
  click: { use: scorer-onnx/model, with: { ${options} } }
${components}
surfaces:
  home:
    sources: { popular: 25 }
    scorers: ${scorers}
    limits: { timeoutMs: ${timeoutMs} }
`;

let shop: ShopFolder;
let dataset: Dataset;
beforeAll(async () => {
  shop = await makeShop({}, { keep: true });
  await shop.write('data.yaml', yamlOf('model: sum.onnx', { scorers: '[popular]' }));
  dataset = await readPipelineData(shop.file('data.yaml'));
  await shop.write('sum.onnx', smallModel());
  await shop.write('patient.onnx', patientModel());
});
afterAll(() => shop.remove());

let count = 0;
async function open(options: string, variant?: Variant): Promise<Pipeline & { readonly logs: () => string }> {
  const config = `models-${++count}.yaml`;
  await shop.write(config, yamlOf(options, variant));
  const logger = recordingLogger();
  const pipeline = await openPipeline(shop.file(config), { dataset, provide: [[loggerToken, logger]] });
  return Object.assign(pipeline, { logs: () => JSON.stringify(logger.records) });
}

/** Why a pipeline is not opened: the one problem, which stands at the component in the config file. */
async function refusal(code: string, options: string, variant?: Variant, at = 'click: {'): Promise<RecloomError> {
  const error = await failureOf(open(options, variant).then((pipeline) => pipeline.close()));
  const problem = problemOf(error, code);
  const yaml = yamlOf(options, variant);
  expect(problem.at).toMatchObject({ file: shop.file(`models-${count}.yaml`), ...placeIn(yaml, at) });
  return problem;
}

const ids = (answer: Answer): string[] => answer.items.map((item) => item.id);

/** A warning of a component that was left out, with the code of what it failed with. */
function leftOut(warnings: readonly Warning[], code: string, cause: string): void {
  expect(codesOf(warnings)).toEqual([code]);
  expectReadableWarning(warnings[0] as Warning);
  expect(warnings[0]).toMatchObject({
    message: `"click" failed while scoring and was left out (${cause}).`,
    at: { node: 'click', component: 'scorer-onnx/model' },
    detail: { cause },
  });
}

/** One request to a pipeline that is closed again. */
async function ask(options: string, variant?: Variant): Promise<{ readonly answer: Answer; readonly logs: string }> {
  const pipeline = await open(options, variant);
  try {
    return { answer: await pipeline.recommend({ user: userId(1), limit: 24 }), logs: pipeline.logs() };
  } finally {
    await pipeline.close();
  }
}

/** What is answered without the model. */
async function withoutModel(): Promise<string[]> {
  return ids((await ask('model: sum.onnx, inputs: { x: { columns: ["0.0", "0.0"] } }')).answer);
}

async function write(name: string, model: SmallModel): Promise<void> {
  await shop.write(name, smallModel(model));
}

describe('models', () => {
  badInput('model-missing', async (code) => {
    const file = await refusal(code, `model: absent.onnx, ${inputs}`);
    expect(file.message).toBe(`The model absent.onnx was not found (tried ${shop.file('absent.onnx')}).`);
    // A package that is not installed, and a folder without a graph.
    expect((await refusal(code, `model: "@recloom/model-absent", ${inputs}`)).message).toContain('@recloom/model-absent was not found');
    await mkdir(shop.file('empty-folder'));
    await refusal(code, `model: ./empty-folder, ${inputs}`);
    // A build does not publish what could not be opened, and `validate` says so without one.
    const config = shop.file(`models-${count}.yaml`);
    problemOf(await failureOf(validatePipeline(config, { data: true })), code);
    problemOf(await failureOf(buildPipeline(config)), code);
    expect(await failureOf(openPipeline(config))).toMatchObject({ code: 'RECLOOM_DAT_SNAPSHOT_MISSING' });
  });

  badInput('model-not-downloaded', async (code) => {
    const error = await refusal(code, `model: "hub:nobody/nothing", ${inputs}`);
    expect(error.hint).toContain('models.allowDownload');
  });

  badInput('model-truncated', async (code) => {
    const whole = smallModel();
    for (const [name, bytes] of [
      ['cut', whole.subarray(0, whole.length - 9)],
      ['empty', new Uint8Array(0)],
      ['page', new TextEncoder().encode('<!doctype html><title>404</title>')],
    ] as const) {
      await shop.write(`${name}.onnx`, bytes);
      expect((await refusal(code, `model: ${name}.onnx, ${inputs}`)).message).toContain(`${name}.onnx`);
    }
  });

  badInput('model-wrong-hash', async (code) => {
    const { message } = await refusal(code, `model: sum.onnx, sha256: ${'a'.repeat(64)}, ${inputs}`);
    const [found] = /[0-9a-f]{64}/.exec(message) ?? [];
    expect(message).toContain(`the pinned ${'a'.repeat(64)}`);
    // The hash in the message is the one to pin.
    const { answer } = await ask(`model: sum.onnx, sha256: ${found}, ${inputs}`);
    expect(answer.warnings).toEqual([]);
  });

  badInput('model-newer-operators', async (code) => {
    await write('newer.onnx', { operatorSet: 99 });
    const { message } = await refusal(code, `model: newer.onnx, ${inputs}`);
    expect(message).toMatch(/operator set 99 of ai\.onnx, and the runtime knows those up to \d\d; export it with an older one\.$/);
  });

  badInput('model-own-operators', async (code) => {
    await write('own.onnx', {
      nodes: [{ operator: 'Fast', domain: 'com.example', inputs: ['x'], outputs: ['y'] }],
      operatorSets: { 'com.example': 1 },
    });
    expect((await refusal(code, `model: own.onnx, ${inputs}`)).message).toContain('"com.example"');
  });

  badInput('model-outside-its-folder', async (code) => {
    await mkdir(shop.file('nested'));
    await shop.write('weights.bin', new Uint8Array(Float32Array.of(1, 1).buffer));
    await symlink(shop.file('weights.bin'), shop.file('nested/link.bin'));
    for (const externalLocation of ['../weights.bin', shop.file('weights.bin'), 'link.bin']) {
      await write('nested/outside.onnx', { externalLocation });
      expect((await refusal(code, `model: nested/outside.onnx, ${inputs}`)).message).toContain('tensor data outside its own folder');
    }
    // Beside the model they are read.
    await write('beside.onnx', { externalLocation: 'weights.bin' });
    expect((await ask(`model: beside.onnx, ${inputs}`)).answer.warnings).toEqual([]);
  });

  badInput('model-input-names', async (code) => {
    const { message } = await refusal(code, `model: sum.onnx, inputs: { features: { ${columns} } }`);
    expect(message).toContain('the graph has no input "features"; it has "x" (float32 [rows, 2])');
    expect(message).toContain('nothing feeds the input "x" (float32 [rows, 2]) of the graph');
  });

  badInput('model-input-widths', async (code) => {
    const narrow = await refusal(code, 'model: sum.onnx, inputs: { x: { columns: [item.price] } }');
    expect(narrow.message).toContain('the graph wants [rows, 2] for "x", this gives [candidates, 1]');
    // A feature of another width than the model was made for.
    const components =
      '  degrees: { use: graph/degree }\n  vector: { use: scorer-onnx/model, in: { features: [degrees] }, with: { model: sum.onnx, inputs: { x: { embedding: degrees } } } }';
    const wide = await refusal(code, `model: sum.onnx, ${inputs}`, { components, scorers: '[click, vector]' }, 'vector: {');
    expect(wide.message).toMatch(/the graph wants \[rows, 2\] for "x", this gives \[candidates, [^2]\]/);
  });

  badInput('model-output-names', async (code) => {
    const { message } = await refusal(code, `model: sum.onnx, ${inputs}, outputs: { ctr: { output: click } }`);
    expect(message).toContain('the graph has no output "click"; it has "y" (float32 [rows, 1])');
  });

  badInput('model-manifest', async (code) => {
    await write('bare.onnx', {});
    expect((await refusal(code, 'model: bare.onnx')).message).toContain('bare.json is not there');
    await shop.write('bare.json', '{ "format": "recloom-scorer/1",\n  "inputs": {\n    "x": { "colums": ["item.price"] }\n  } }');
    expect((await refusal(code, 'model: bare.onnx')).message).toContain('bare.json:3:');
    await shop.write('bare.json', '{ "format": ');
    expect((await refusal(code, 'model: bare.onnx')).message).toMatch(/bare\.json(:\d+:\d+)? is not valid JSON\.$/);
  });

  badInput('model-column', async (code) => {
    const { message } = await refusal(code, 'model: sum.onnx, inputs: { x: { columns: [item.price, item.prise] } }');
    expect(message).toContain('option inputs.x.columns.1');
    expect(message).toContain('did you mean "item.price"');
  });

  badInput('model-reads-too-early', async (code) => {
    const options = 'model: sum.onnx, inputs: { x: { columns: [item.price, score.habits] } }';
    expect((await refusal(code, options, { scorers: '[click, habits]' }, 'click, habits')).message).toContain('reads score.habits');
    expect((await ask(options, { scorers: '[habits, click]' })).answer.items).toHaveLength(24);
  });

  badInput('model-no-encoder', async (code) => {
    await mkdir(shop.file('encoder'));
    for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json'])
      await copyFile(join(textModel, name), shop.file(`encoder/${name}`));
    await write('encoder/model.onnx', {});
    const components = '  text: { use: text-bert/embedding, in: { text: item.title }, with: { model: ./encoder } }';
    const variant = { components, scorers: '[popular]' };
    await refusal(code, `model: sum.onnx, ${inputs}`, variant, 'text: {');
  });

  badInput('model-device-unknown', async (code) => {
    const options = `model: sum.onnx, device: tpu, ${inputs}`;
    const { message } = await refusal(code, options, {}, 'tpu');
    expect(message).toBe('"device" has a wrong value: expected "auto", "cpu", "cuda", "webgpu", "dml", "coreml" or a list of these.');
  });

  badInput('model-device-missing', async (code) => {
    // No machine has both.
    const absent = process.platform === 'darwin' ? 'cuda' : 'coreml';
    expect((await refusal(code, `model: sum.onnx, device: ${absent}, ${inputs}`)).message).toMatch(
      new RegExp(`^The device "${absent}" cannot run the model: .*onnxruntime-node`),
    );
    const pipeline = await open(`model: sum.onnx, device: [${absent}, cpu], ${inputs}`);
    expect(codesOf(pipeline.warnings)).toEqual([code]);
    expectReadableWarning(pipeline.warnings[0] as Warning);
    expect(pipeline.warnings[0]).toMatchObject({ at: { node: 'click' }, detail: { device: absent } });
    expect(pipeline.models).toMatchObject([{ component: 'click', file: 'sum.onnx', device: 'cpu' }]);
    const { timings, warnings } = await pipeline.recommend({ limit: 5 });
    await pipeline.close();
    expect(warnings).toEqual([]);
    expect(timings.find(({ node }) => node === 'click')).toMatchObject({ device: 'cpu' });
  });

  badInput('model-nan', async (code) => {
    await shop.write('quotient.onnx', quotientModel());
    // 0 / 0 for all items of the kitchen, i01 to i12; 1 + 1 for the others.
    const kitchen = '\'item.category == "kitchen" ? 0.0 : 1.0\'';
    const options = `model: quotient.onnx, inputs: { x: { columns: [${kitchen}, ${kitchen}] } }`;
    const { answer } = await ask(options);
    const unknown = ids(answer).filter((id) => id <= 'i12').length;
    expect(unknown).toBeGreaterThan(5);
    expect(codesOf(answer.warnings)).toEqual([code]);
    expect(answer.warnings[0]).toMatchObject({ count: unknown, at: { node: 'click' } });
    expectReadableWarning(answer.warnings[0] as Warning);
    // All that have a score stand before all that have none.
    expect(ids(answer).map((id) => id <= 'i12')).toEqual(ids(answer).map((_, place) => place >= answer.items.length - unknown));
    const strict = await ask(`${options}, nan: fail`);
    leftOut(strict.answer.warnings, 'RECLOOM_RUN_NODE_FAILED', 'SCORER_ONNX_NOT_A_NUMBER');
  });

  badInput('model-wrong-length', async (code, row) => {
    await shop.write('mean.onnx', meanModel());
    const { answer, logs } = await ask(`model: mean.onnx, ${inputs}`);
    leftOut(answer.warnings, code, row.codes[1] as string);
    expect(logs).toContain('gave float32 [1, 1] for');
    expect(ids(answer)).toEqual(await withoutModel());
  });

  badInput('model-fails', async (code, row) => {
    await shop.write('fails.onnx', failingModel());
    const { answer } = await ask(`model: fails.onnx, ${inputs}`);
    leftOut(answer.warnings, code, row.codes[1] as string);
    expect(ids(answer)).toEqual(await withoutModel());
  });

  badInput('model-slow', async (code) => {
    // It would go on for years: that this test ends shows that nobody waits for it.
    const pipeline = await open(patient, { sections: 'inference: { workers: 2, isolation: process }' });
    const late = await pipeline.recommend({ limit: 24, context: endless, deadlineMs: 300 });
    expect(codesOf(late.warnings)).toEqual([code]);
    expect(late.warnings[0]?.message).toMatch(/^"click" did not answer within \d+ ms and was left out\.$/);
    expect(ids(late)).toEqual(await withoutModel());
    // While it computes, the other worker answers.
    const next = await pipeline.recommend({ limit: 24, context: quick });
    expect(next.warnings).toEqual([]);
    expect(ids(next)).not.toEqual(ids(late));
    await pipeline.close();
    expect(children()).toEqual([]);
  });

  badInput('model-killed', async (code, row) => {
    const pipeline = await open(patient, { sections: 'inference: { workers: 1, isolation: process }' });
    const [child, ...others] = children();
    expect(others).toEqual([]);
    const running = pipeline.recommend({ limit: 24, context: endless });
    setTimeout(() => process.kill(child as number, 'SIGKILL'), 100);
    const answer = await running;
    leftOut(answer.warnings, code, row.codes[1] as string);
    expect(ids(answer)).toEqual(await withoutModel());
    expect((await pipeline.recommend({ limit: 24, context: quick })).warnings).toEqual([]);
    await pipeline.close();
    expect(children()).toEqual([]);
  });
});

/** Child processes of this one that run models. */
function children(): number[] {
  return execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes('process-entry') && Number(line.trim().split(/\s+/)[1]) === process.pid)
    .map((line) => Number(line.trim().split(/\s+/)[0]));
}

describe('load', () => {
  badInput('load-queue-full', async (code, row) => {
    const pipeline = await open(patient, { sections: 'inference: { workers: 1, queueLimit: 10 }' });
    const answers = await Promise.all(Array.from({ length: 100 }, () => pipeline.recommend({ limit: 24, context: { turns: 4000 } })));
    const refused = answers.filter((answer) => answer.warnings.length > 0);
    for (const answer of refused) leftOut(answer.warnings, code, row.codes[1] as string);
    const plain = await withoutModel();
    for (const answer of refused) expect(ids(answer)).toEqual(plain);
    // One runs and ten wait, at least; more when one was done before the last request came.
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThanOrEqual(89);
    const [first, ...others] = answers.filter((answer) => answer.warnings.length === 0);
    expect(ids(first as Answer)).not.toEqual(plain);
    for (const answer of others) expect(ids(answer)).toEqual(ids(first as Answer));
    expect((await pipeline.recommend({ limit: 24, context: quick })).warnings).toEqual([]);
    await pipeline.close();
  });

  badInput('load-late-in-queue', async (code) => {
    const pipeline = await open(patient, { sections: 'inference: { workers: 1, isolation: process }' });
    const controller = new AbortController();
    const before = pipeline.recommend({ limit: 5, context: endless, signal: controller.signal });
    const waiting = await pipeline.recommend({ limit: 24, context: quick, deadlineMs: 300 });
    expect(codesOf(waiting.warnings)).toEqual([code]);
    expect(ids(waiting)).toEqual(await withoutModel());
    controller.abort();
    await failureOf(before);
    await pipeline.close();
  });

  badInput('load-abort-queued', async (code) => {
    const pipeline = await open(patient, { sections: 'inference: { workers: 1 }' });
    const done: string[] = [];
    const running = pipeline.recommend({ limit: 24, context: { turns: 20_000 } }).then((answer) => (done.push('running'), answer));
    const controller = new AbortController();
    const reason = new Error('the page was left');
    const waiting = failureOf(pipeline.recommend({ limit: 24, context: quick, signal: controller.signal })).finally(() =>
      done.push('waiting'),
    );
    setTimeout(() => controller.abort(reason), 20);
    expect(await waiting).toMatchObject({ code, cause: reason });
    expect((await running).warnings).toEqual([]);
    expect(done).toEqual(['waiting', 'running']);
    await pipeline.close();
  });

  badInput('load-abort-running', async (code) => {
    const pipeline = await open(patient, { sections: 'inference: { workers: 2, isolation: process }' });
    const controller = new AbortController();
    const reason = new Error('the page was left');
    setTimeout(() => controller.abort(reason), 100);
    const error = await failureOf(pipeline.recommend({ limit: 24, context: endless, signal: controller.signal }));
    expect(error).toMatchObject({ code, cause: reason });
    expect((await pipeline.recommend({ limit: 24, context: quick })).warnings).toEqual([]);
    await pipeline.close();
    expect(children()).toEqual([]);
  });

  badInput('load-close-busy', async (code) => {
    const pipeline = await open(patient, { sections: 'inference: { workers: 1 }' });
    const accepted = [1, 2, 3].map(() => pipeline.recommend({ limit: 24, context: { turns: 4000 } }));
    const closing = pipeline.close();
    expect(await failureOf(pipeline.recommend({ limit: 24, context: quick }))).toMatchObject({ code });
    const answers = await Promise.all(accepted);
    await closing;
    const plain = await withoutModel();
    for (const answer of answers) {
      expect(answer.warnings).toEqual([]);
      expect(ids(answer)).not.toEqual(plain);
    }
  });
});
