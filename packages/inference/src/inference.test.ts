import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { InferenceTensor } from '@recloom/plugin-api';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createDoorbell, ringDoorbell } from './doorbell.js';
import { createExitGate, shutGate } from './exit-gate.js';
import { createInference, createInferenceOn, type InferenceService } from './inference.js';
import type { InferenceOptions } from './inference-options.js';
import type { ModelHost, StartModelHost } from './model-host.js';
import {
  busyModel,
  dynamicModel,
  quantisedProductModel,
  scaleModel,
  type TinyModel,
  typesModel,
  writeOnnx,
} from './onnx-writer.fixture.js';
import type { WorkerMessage } from './protocol.js';
import { startThread } from './thread-host.js';

const miniLm = fileURLToPath(new URL('../../model-all-minilm-l6-v2/onnx/model_quantized.onnx', import.meta.url));
/** From the model card. */
const miniLmSha256 = '29033adb18428df270123251d6a7ebfd7ab3bc05ea11cc0a3b4c6e6b6d5c5736';

let folder = '';
let scale = '';
let busy = '';
const services: InferenceService[] = [];

function open(options?: InferenceOptions): InferenceService {
  const service = createInference({ workers: 1, ...options });
  services.push(service);
  return service;
}

async function write(name: string, model: TinyModel): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, writeOnnx(model));
  return file;
}

const rows = (...values: number[]): { x: InferenceTensor } => ({
  x: { type: 'float32', dims: [values.length / 3, 3], data: Float32Array.from(values) },
});
const square = (size: number): { x: InferenceTensor } => ({
  x: { type: 'float32', dims: [size, size], data: new Float32Array(size * size) },
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'recloom-inference-'));
  scale = await write('scale.onnx', scaleModel);
  busy = await write('busy.onnx', busyModel);
});
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.close()));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('runs', () => {
  it('gives what the graph says, tells its shape, hash and provider, and leaves the inputs alone', async () => {
    const session = await open().load({ file: scale, device: 'cpu' });
    expect(session.inputs).toEqual([{ name: 'x', type: 'float32', dims: ['rows', 3] }]);
    expect(session.outputs).toEqual([{ name: 'y', type: 'float32', dims: ['rows', 3] }]);
    expect(session.provider).toBe('cpu');
    expect(session.warnings).toEqual([]);
    expect(session.batchDependent).toBe(false);
    expect(session.sha256).toBe(createHash('sha256').update(writeOnnx(scaleModel)).digest('hex'));
    const feeds = rows(1, 2, 3, 10, 20, 30);
    const { y } = await session.run(feeds);
    // By hand: each column times 2, 3, 4.
    expect(y).toEqual({ type: 'float32', dims: [2, 3], data: Float32Array.of(2, 6, 12, 20, 60, 120) });
    expect([...feeds.x.data]).toEqual([1, 2, 3, 10, 20, 30]);
    expect((await session.run({ x: { type: 'float32', dims: [0, 3], data: new Float32Array(0) } }))['y']?.data).toEqual(
      new Float32Array(0),
    );
  });

  it('takes views and shared memory, int64 and bool, and gives only the outputs that were asked for', async () => {
    const service = open();
    const session = await service.load({ file: await write('types.onnx', typesModel) });
    const feeds = {
      a: { type: 'int64' as const, dims: [2], data: BigInt64Array.of(9n, 1n, 2n).subarray(1) },
      b: { type: 'int64' as const, dims: [2], data: BigInt64Array.of(40n, 2n ** 60n) },
      flags: { type: 'bool' as const, dims: [3], data: Uint8Array.of(1, 0, 1) },
    };
    expect(await session.run(feeds)).toEqual({
      sum: { type: 'int64', dims: [2], data: BigInt64Array.of(41n, 2n ** 60n + 2n) },
      same: { type: 'bool', dims: [3], data: Uint8Array.of(1, 0, 1) },
    });
    expect(Object.keys(await session.run(feeds, { outputs: ['same'] }))).toEqual(['same']);
    const shared = new Float32Array(new SharedArrayBuffer(12));
    shared.set([1, 1, 1]);
    const scaled = await (await service.load({ file: scale })).run({ x: { type: 'float32', dims: [1, 3], data: shared } });
    expect([...(scaled['y']?.data ?? [])]).toEqual([2, 3, 4]);
  });

  it('answers concurrent runs each with its own result', async () => {
    const session = await open({ workers: 2 }).load({ file: scale });
    const answers = await Promise.all(Array.from({ length: 200 }, (_, index) => session.run(rows(index, index, index))));
    answers.forEach((answer, index) => {
      expect([...(answer['y']?.data ?? [])]).toEqual([2 * index, 3 * index, 4 * index]);
    });
  });

  it('knows a graph whose rows influence each other', async () => {
    const service = open();
    expect((await service.load({ file: await write('dynamic.onnx', dynamicModel) })).batchDependent).toBe(true);
    expect((await service.load({ file: miniLm })).batchDependent).toBe(true);
  });

  it('makes rows independent when asked: exact values by hand, and the same alone and in any company', async () => {
    const service = open();
    const file = await write('product.onnx', quantisedProductModel);
    const [asPublished, byRow] = await Promise.all([service.load({ file }), service.load({ file, independentRows: true })]);
    expect([asPublished.batchDependent, byRow.batchDependent]).toEqual([true, false]);
    expect(byRow.sha256).toBe(asPublished.sha256);
    // Row 1: range 127, so 127, 0, -64 are exact; times w / 8: (127 - 320) / 8 and (254 - 384) / 8. Row 2 has range 1.27: the
    // same numbers / 100. With one range for both rows, row 2 would come out in steps of about 0.75 of its input.
    const { y } = await byRow.run(rows(127, 0, -64, 1.27, 0, -0.64));
    const expected = [-24.125, -16.25, -0.24125, -0.1625];
    [...((y?.data ?? []) as Float32Array)].forEach((value, place) => expect(value).toBeCloseTo(expected[place] ?? 0, 5));
    const coarse = (await asPublished.run(rows(127, 0, -64, 1.27, 0, -0.64)))['y']?.data[2] as number;
    expect(Math.abs(coarse + 0.24125)).toBeGreaterThan(0.01);
    // The second column with a scale of its own, 1/4: twice as much.
    const [weights] = quantisedProductModel.initializers ?? [];
    const scales = { name: 'w_scale', dims: [2], values: Float32Array.of(0.125, 0.25) };
    const byColumn = await write('columns.onnx', {
      ...quantisedProductModel,
      initializers: weights === undefined ? [] : [weights, scales],
    });
    const { y: wide } = await (await service.load({ file: byColumn, independentRows: true })).run(rows(127, 0, -64, 1.27, 0, -0.64));
    [-24.125, -32.5, -0.24125, -0.325].forEach((value, place) => expect(Number(wide?.data[place])).toBeCloseTo(value, 5));
    const zero = await byRow.run(rows(0, 0, 0));
    expect([...(zero['y']?.data ?? [])].map((value) => Math.abs(Number(value)))).toEqual([0, 0]);

    const encoder = await service.load({ file: miniLm, independentRows: true });
    expect(encoder.batchDependent).toBe(false);
    const tokens = (count: number, values: readonly bigint[]): InferenceTensor => ({
      type: 'int64',
      dims: [count, values.length / count],
      data: BigInt64Array.from(values),
    });
    const hidden = async (...texts: bigint[][]): Promise<Float32Array> => {
      const flat = texts.flat();
      const feeds = {
        input_ids: tokens(texts.length, flat),
        attention_mask: tokens(
          texts.length,
          flat.map(() => 1n),
        ),
        token_type_ids: tokens(
          texts.length,
          flat.map(() => 0n),
        ),
      };
      return (await encoder.run(feeds, { outputs: ['last_hidden_state'] }))['last_hidden_state']?.data as Float32Array;
    };
    const text = [101n, 7592n, 2088n, 102n];
    const alone = await hidden(text);
    const together = await hidden([101n, 15647n, 22619n, 102n], text, [101n, 100n, 100n, 102n]);
    const place = text.length * 384;
    alone.forEach((value, index) => expect(together[place + index]).toBeCloseTo(value, 4));
  });

  it('keeps the event loop of the host free while a model computes', async () => {
    const session = await open().load({ file: busy });
    const delay = monitorEventLoopDelay({ resolution: 2 });
    const feeds = square(1024);
    delay.enable();
    const started = performance.now();
    await session.run(feeds);
    delay.disable();
    expect(performance.now() - started).toBeGreaterThan(100);
    // A run on this thread would show as one stall as long as the run. Shared cores make single stalls noisy, hence the half.
    expect(delay.max / 1e6).toBeLessThan((performance.now() - started) / 2);
  });
});

describe('loading', () => {
  it('shares a model by content, and forgets it with its last session', async () => {
    const messages: string[] = [];
    const service = createInferenceOn({ thread: (events) => watched(startThread(events), messages) }, { workers: 1, cacheModels: 0 });
    services.push(service);
    const copy = join(folder, 'copy.onnx');
    await copyFile(scale, copy);
    const [first, second, third] = await Promise.all([
      service.load({ file: scale }),
      service.load({ file: scale }),
      service.load({ file: copy }),
    ]);
    // The copy was found to be the same model, and given back.
    expect(messages).toEqual(['open', 'open', 'release']);
    expect(third.sha256).toBe(first.sha256);
    await first.close();
    await first.close();
    await expect(first.run(rows(1, 1, 1))).rejects.toMatchObject({ code: 'RECLOOM_RUN_CLOSED' });
    expect([...((await second.run(rows(1, 1, 1)))['y']?.data ?? [])]).toEqual([2, 3, 4]);
    const running = second.run(rows(1, 1, 1));
    await second.close();
    await running;
    expect([...((await third.run(rows(1, 1, 1)))['y']?.data ?? [])]).toEqual([2, 3, 4]);
    await third.close();
    await settled();
    expect(messages).toEqual(['open', 'open', 'release', 'run', 'run', 'run', 'release']);
    await (await service.load({ file: scale })).run(rows(1, 1, 1));
  });

  it('checks the sha256 before anything else, also for a model that is loaded already', async () => {
    const service = open();
    const real = await service.load({ file: miniLm, sha256: miniLmSha256.toUpperCase() });
    expect(real.inputs.map((input) => input.name)).toEqual(['input_ids', 'attention_mask', 'token_type_ids']);
    const wrong = { code: 'RECLOOM_DAT_MODEL_INVALID', message: expect.stringContaining('not the pinned') };
    await expect(service.load({ file: miniLm, sha256: '0'.repeat(64) })).rejects.toMatchObject(wrong);
    await expect(open().load({ file: miniLm, sha256: '0'.repeat(64) })).rejects.toMatchObject(wrong);
  });

  it('says what is wrong with a file that is missing, cut off, no model, or names tensors elsewhere', async () => {
    const service = open();
    const refused = async (name: string, content: Uint8Array | string): Promise<unknown> => {
      await writeFile(join(folder, name), content);
      return service.load({ file: join(folder, name) }).catch((error: unknown) => error);
    };
    await expect(service.load({ file: join(folder, 'nowhere.onnx') })).rejects.toMatchObject({ code: 'RECLOOM_DAT_MODEL_MISSING' });
    const invalid = { code: 'RECLOOM_DAT_MODEL_INVALID' };
    expect(await refused('cut.onnx', (await readFile(miniLm)).subarray(0, 1_000_000))).toMatchObject(invalid);
    expect(await refused('text.onnx', 'this is no model')).toMatchObject(invalid);
    expect(await refused('empty.onnx', '')).toMatchObject(invalid);
    expect(await service.load({ file: folder }).catch((error: unknown) => error)).toMatchObject(invalid);
    const outside = await write('outside.onnx', {
      ...scaleModel,
      initializers: [{ name: 'w', dims: [3], values: Float32Array.of(2, 3, 4), externalLocation: '../../etc/passwd' }],
    });
    await expect(service.load({ file: outside })).rejects.toMatchObject({
      ...invalid,
      message: expect.stringContaining('outside its own folder'),
    });
    const half = await write('half.onnx', {
      ...typesModel,
      inputs: [{ name: 'a', type: 'float16', dims: ['n'] }, ...typesModel.inputs.slice(1)],
    });
    await expect(service.load({ file: half })).rejects.toMatchObject(invalid);
    // And goes on working.
    expect((await service.load({ file: scale })).provider).toBe('cpu');
  });

  it('loads tensors that lie beside the model', async () => {
    await writeFile(join(folder, 'weights.bin'), new Uint8Array(Float32Array.of(5, 6, 7).buffer));
    const file = await write('beside.onnx', {
      ...scaleModel,
      initializers: [{ name: 'w', dims: [3], values: new Float32Array(0), externalLocation: 'weights.bin' }],
    });
    const session = await open().load({ file });
    expect([...((await session.run(rows(1, 1, 1)))['y']?.data ?? [])]).toEqual([5, 6, 7]);
  });

  it('tries devices in order, keeps each failure as a warning, and refuses when none is left', async () => {
    const service = open();
    // DirectML and Core ML exist on other platforms only, so one of them is missing wherever this runs.
    const absent = process.platform === 'win32' ? 'coreml' : 'dml';
    const session = await service.load({ file: scale, device: [absent, 'cpu'] });
    expect(session.provider).toBe('cpu');
    expect(session.warnings).toMatchObject([{ code: 'RECLOOM_RUN_DEVICE_UNAVAILABLE', detail: { device: absent } }]);
    await expect(service.load({ file: scale, device: absent })).rejects.toMatchObject({ code: 'RECLOOM_RUN_DEVICE_UNAVAILABLE' });
    expect(['cpu', 'cuda', 'coreml', 'dml']).toContain((await service.load({ file: scale, device: 'auto' })).provider);
  });

  it('names package and range when onnxruntime-node is not installed', async () => {
    const service = createInferenceOn({
      thread: (events) => startThread(events, { runtimeModule: 'onnxruntime-node-that-is-not-installed' }),
    });
    services.push(service);
    await expect(service.load({ file: scale })).rejects.toMatchObject({
      code: 'RECLOOM_PLG_LIBRARY_MISSING',
      message: expect.stringMatching(/onnxruntime-node \(1\.30\.0\)/),
    });
  });

  it('loads a file anew that was replaced on disk', async () => {
    const service = open();
    const file = await write('changing.onnx', scaleModel);
    const before = await service.load({ file });
    await write('changing.onnx', { ...scaleModel, initializers: [{ name: 'w', dims: [3], values: Float32Array.of(1, 1, 1.5) }] });
    const after = await service.load({ file });
    expect(after.sha256).not.toBe(before.sha256);
    expect([...((await after.run(rows(2, 2, 2)))['y']?.data ?? [])]).toEqual([2, 2, 3]);
    expect([...((await before.run(rows(2, 2, 2)))['y']?.data ?? [])]).toEqual([4, 6, 8]);
  });
});

describe('feeds that do not fit', () => {
  const x = (
    dims: number[],
    data: InferenceTensor['data'],
    type: InferenceTensor['type'] = 'float32',
  ): Record<string, InferenceTensor> => ({
    x: { type, dims, data },
  });
  const wrong: readonly [string, Record<string, InferenceTensor>, RegExp][] = [
    ['a missing input', {}, /"x" is missing/],
    ['an unknown input', { ...x([1, 3], new Float32Array(3)), z: rows(1, 1, 1).x }, /no input "z"/],
    ['another type', x([1, 3], new Int32Array(3), 'int32'), /is float32, not int32/],
    ['another array', x([1, 3], new Int32Array(3)), /must be a Float32Array/],
    ['another rank', x([3], new Float32Array(3)), /has 2 dimensions/],
    ['another width', x([1, 4], new Float32Array(4)), /is 3, not 4/],
    ['too few values', x([2, 3], new Float32Array(3)), /has 3 values .* needs 6/],
    ['a negative size', x([-1, 3], new Float32Array(3)), /is no size/],
    ['a fractional size', x([0.5, 3], new Float32Array(3)), /is no size/],
    ['a name of the prototype', { constructor: rows(1, 1, 1).x }, /no input "constructor"/],
  ];
  it.each(wrong)('%s', async (_, feeds, message) => {
    const session = await open().load({ file: scale });
    await expect(session.run(feeds)).rejects.toMatchObject({ code: 'RECLOOM_RUN_MODEL_INPUT', message: expect.stringMatching(message) });
  });

  it('no two inputs because their unnamed dimensions have different sizes', async () => {
    const value = (name: string) => ({ name, type: 'float32' as const, dims: [''] });
    const nodes = [{ operator: 'Mul', inputs: ['rows', 'scale'], outputs: ['y'] }];
    const file = await write('unnamed.onnx', { inputs: [value('rows'), value('scale')], outputs: [value('y')], nodes });
    const session = await open().load({ file });
    expect(session.inputs.map(({ dims }) => dims)).toEqual([[''], ['']]);
    const vector = (...values: number[]): InferenceTensor => ({ type: 'float32', dims: [values.length], data: Float32Array.from(values) });
    const { y } = await session.run({ rows: vector(1, 2, 3), scale: vector(10) });
    expect(y?.data).toEqual(Float32Array.of(10, 20, 30));
  });

  it('two sizes for one dimension, and an output that does not exist', async () => {
    const session = await open().load({ file: await write('types.onnx', typesModel) });
    const row = (size: number): InferenceTensor => ({ type: 'int64', dims: [size], data: new BigInt64Array(size) });
    const flags: InferenceTensor = { type: 'bool', dims: [0], data: new Uint8Array(0) };
    await expect(session.run({ a: row(2), b: row(3), flags })).rejects.toMatchObject({ code: 'RECLOOM_RUN_MODEL_INPUT' });
    await expect(session.run({ a: row(2), b: row(2), flags }, { outputs: ['total'] })).rejects.toMatchObject({
      code: 'RECLOOM_RUN_MODEL_INPUT',
    });
  });

  it('what only the runtime can refuse keeps its words in the cause', async () => {
    const session = await open().load({ file: miniLm });
    const one = (value: bigint): InferenceTensor => ({ type: 'int64', dims: [1, 1], data: BigInt64Array.of(value) });
    const error = await session
      .run({ input_ids: one(987_654n), attention_mask: one(1n), token_type_ids: one(0n) })
      .catch((thrown: unknown) => thrown as Error);
    expect(error).toMatchObject({ code: 'RECLOOM_RUN_MODEL_FAILED' });
    expect((error as Error).message).not.toContain('987654');
    expect(((error as Error).cause as Error).message.length).toBeGreaterThan(10);
    await session.run({ input_ids: one(101n), attention_mask: one(1n), token_type_ids: one(0n) });
  });
});

describe('abort, deadline, overload, death, close', () => {
  it('answers an aborted call at once, before it is queued, while it waits and while it runs', async () => {
    const service = open();
    const session = await service.load({ file: busy });
    const small = await service.load({ file: scale });
    await expect(small.run(rows(1, 1, 1), { signal: AbortSignal.abort(new Error('gone')) })).rejects.toMatchObject({
      code: 'RECLOOM_RUN_ABORTED',
      cause: { message: 'gone' },
    });
    await expect(service.load({ file: scale }, AbortSignal.abort())).rejects.toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });

    let finished = false;
    const blocker = session.run(square(1024)).then(() => {
      finished = true;
    });
    const controller = new AbortController();
    const running = session.run(square(1024), { signal: controller.signal });
    const waiting = Array.from({ length: 6 }, () => session.run(square(1024), { signal: controller.signal }));
    const codes = codesOf([running, ...waiting]);
    await settled();
    controller.abort();
    expect(await codes).toEqual(Array(7).fill('RECLOOM_RUN_ABORTED'));
    expect(finished).toBe(false);
    await blocker;
    // The seven aborted runs were not started: this one comes next. They would have taken seven times the blocker's time.
    const started = performance.now();
    await small.run(rows(1, 1, 1));
    const afterwards = performance.now() - started;
    const again = performance.now();
    await session.run(square(1024));
    expect(afterwards).toBeLessThan((performance.now() - again) * 2);

    const last = new AbortController();
    const started2 = session.run(square(1024), { signal: last.signal });
    setTimeout(() => last.abort(), 20);
    const began = performance.now();
    await expect(started2).rejects.toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });
    const answered = performance.now() - began;
    await small.run(rows(1, 1, 1));
    expect(answered).toBeLessThan((performance.now() - began) / 2);
  });

  it('an aborted load is answered at once and leaves nothing loaded', async () => {
    const messages: string[] = [];
    const service = createInferenceOn({ thread: (events) => watched(startThread(events), messages) }, { workers: 1, cacheModels: 0 });
    services.push(service);
    const controller = new AbortController();
    const loading = service.load({ file: miniLm }, controller.signal);
    setTimeout(() => controller.abort(), 5);
    await expect(loading).rejects.toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });
    await (await service.load({ file: scale })).run(rows(1, 1, 1));
    await settled();
    expect(messages.filter((kind) => kind === 'release')).toHaveLength(1);
  });

  it('answers a call at its deadline, whether it waits or runs, and runs none whose deadline has passed', async () => {
    const session = await open().load({ file: busy });
    await expect(session.run(square(4), { deadlineMs: performance.now() - 1 })).rejects.toMatchObject({
      code: 'RECLOOM_RUN_TIMEOUT',
      retryable: true,
    });
    let finished = false;
    const blocker = session.run(square(1024)).then(() => {
      finished = true;
    });
    const waiting = Array.from({ length: 9 }, () => session.run(square(1024), { deadlineMs: performance.now() + 20 }));
    expect(await codesOf(waiting)).toEqual(Array(9).fill('RECLOOM_RUN_TIMEOUT'));
    expect(finished).toBe(false);
    await blocker;
    let answered = false;
    const running = session.run(square(1024), { deadlineMs: performance.now() + 20 }).catch((error: unknown) => {
      answered = true;
      return error;
    });
    // The worker is still computing when the caller hears of it: the next run, which waits for it, comes later.
    const next = session.run(square(4)).then(() => answered);
    expect(await running).toMatchObject({ code: 'RECLOOM_RUN_TIMEOUT', retryable: true });
    expect(await next).toBe(true);
    await session.run(square(4), { deadlineMs: performance.now() + 10_000 });
  });

  it('refuses what does not fit into the queue, and serves the rest', async () => {
    const session = await open({ queueLimit: 10 }).load({ file: scale });
    const calls = await Promise.allSettled(Array.from({ length: 100 }, () => session.run(rows(1, 1, 1))));
    const refused = calls.filter((call) => call.status === 'rejected');
    // One is with the worker (nothing is known yet of how long it takes), ten wait.
    expect(refused).toHaveLength(89);
    for (const call of refused) expect(call.reason).toMatchObject({ code: 'RECLOOM_RUN_OVERLOADED', retryable: true });
    await session.run(rows(1, 1, 1));
  });

  it('replaces a worker that died: its calls fail as retryable, later ones are answered', async () => {
    const { start, workers } = mortalHosts();
    const warnings: string[] = [];
    const service = createInferenceOn({ thread: start }, { workers: 1, logger: { warn: (message) => warnings.push(message) } });
    services.push(service);
    const session = await service.load({ file: busy });
    const calls = codesOf(Array.from({ length: 12 }, () => session.run(square(384))));
    workers[0]?.die();
    // A few runs are answered before the thread comes to die; at most the four it was handed fail; the rest go to its successor.
    const codes = await calls;
    const died = codes.filter((code) => code === 'RECLOOM_RUN_WORKER_DIED');
    expect(died.length).toBeGreaterThanOrEqual(1);
    expect(died.length).toBeLessThanOrEqual(4);
    expect(codes.filter((code) => code === 'answered')).toHaveLength(12 - died.length);
    expect(codes.at(-1)).toBe('answered');
    expect(workers).toHaveLength(2);
    expect(warnings).toHaveLength(1);
    workers[1]?.die();
    await workers[1]?.ended;
    // Idle deaths are healed by the next call.
    expect((await session.run(square(4)))['y']?.dims).toEqual([4, 4]);
    expect(workers).toHaveLength(3);
  });

  it('a replaced worker refuses a file that is no longer the one that was loaded', async () => {
    const { start, workers } = mortalHosts();
    const service = createInferenceOn({ thread: start }, { workers: 1 });
    services.push(service);
    const file = await write('swapped.onnx', scaleModel);
    const session = await service.load({ file });
    workers[0]?.die();
    await workers[0]?.ended;
    await writeFile(file, writeOnnx(busyModel));
    await expect(session.run(rows(1, 1, 1))).rejects.toMatchObject({ code: 'RECLOOM_DAT_MODEL_INVALID' });
    await writeFile(file, writeOnnx(scaleModel));
    expect([...((await session.run(rows(1, 1, 1)))['y']?.data ?? [])]).toEqual([2, 3, 4]);
  });

  it('a worker that cannot even start fails its calls and takes nothing else down', async () => {
    let starts = 0;
    const service = createInferenceOn({
      thread: (events) => {
        starts++;
        setImmediate(() => events.exit(new Error('no such entry')));
        return { post: () => {}, keepAlive: () => {}, quiesce: () => {} };
      },
    });
    services.push(service);
    await expect(service.load({ file: scale })).rejects.toMatchObject({
      code: 'RECLOOM_RUN_WORKER_DIED',
      cause: { message: 'no such entry' },
    });
    expect(starts).toBe(1);
  });

  it('closes gracefully: calls under way are answered, new ones refused', async () => {
    const service = open();
    const session = await service.load({ file: scale });
    const calls = Array.from({ length: 20 }, () => session.run(rows(1, 1, 1)));
    const closing = service.close();
    await expect(session.run(rows(1, 1, 1))).rejects.toMatchObject({ code: 'RECLOOM_RUN_CLOSED' });
    await expect(service.load({ file: scale })).rejects.toMatchObject({ code: 'RECLOOM_RUN_CLOSED' });
    expect(await Promise.all(calls)).toHaveLength(20);
    await closing;
    await service.close();
    await open().close();
  });

  it('refuses settings that are no counts', () => {
    expect(() => createInference({ workers: 0 })).toThrow(RangeError);
    expect(() => createInference({ queueLimit: 1.5 })).toThrow(RangeError);
  });
});

describe('the process', () => {
  it('ends by itself with a loaded model and no close, but not before a call under way is answered', async () => {
    const entry = new URL('../dist/index.js', import.meta.url).href;
    const script = `
      const { createInference } = await import(${JSON.stringify(entry)});
      const { parentPort } = await import('node:worker_threads');
      const session = await createInference().load({ file: ${JSON.stringify(busy)} });
      session.run({ x: { type: 'float32', dims: [512, 512], data: new Float32Array(512 * 512) } }).then(({ y }) => parentPort.postMessage(y.dims));
    `;
    // A thread whose loop ends is the same question as a process whose loop ends, at a tenth of the cost.
    const host = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`), { execArgv: [] });
    const answers: unknown[] = [];
    host.on('message', (answer) => answers.push(answer));
    expect(await new Promise((resolve) => host.on('exit', resolve))).toBe(0);
    expect(answers).toEqual([[512, 512]]);
  });

  it('can be ended in the middle of a run', async () => {
    const entry = new URL('../dist/index.js', import.meta.url).href;
    const script = `
      const { createInference } = await import(${JSON.stringify(entry)});
      const session = await createInference({ workers: 2 }).load({ file: ${JSON.stringify(busy)} });
      const feeds = { x: { type: 'float32', dims: [768, 768], data: new Float32Array(768 * 768) } };
      for (let call = 0; call < 6; call++) session.run(feeds).catch(() => {});
      setTimeout(() => process.exit(7), 40);
    `;
    // Without the gate the process aborts (SIGABRT) in the native code of a thread that is torn down.
    const host = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: 'ignore' });
    expect(await new Promise((resolve) => host.on('exit', (code, signal) => resolve(signal ?? code)))).toBe(7);
  });

  it('starts no thread before the first load', async () => {
    let started = 0;
    const service = createInferenceOn({
      thread: (events) => {
        started++;
        return startThread(events);
      },
    });
    services.push(service);
    expect(started).toBe(0);
    await service.load({ file: scale });
    expect(started).toBe(1);
  });
});

/** Real worker threads that can be made to die, between two runs, as an uncaught error would. */
function mortalHosts(): { readonly start: StartModelHost; readonly workers: { die: () => void; readonly ended: Promise<void> }[] } {
  const workers: { die: () => void; readonly ended: Promise<void> }[] = [];
  const entry = new URL('../dist/thread-entry.js', import.meta.url).href;
  const script = `
    import { workerData } from 'node:worker_threads';
    const flag = new Int32Array(workerData.death);
    setInterval(() => { if (Atomics.load(flag, 0) === 1) throw new Error('killed by the test'); }, 1);
    await import(${JSON.stringify(entry)});
  `;
  const start: StartModelHost = (events) => {
    const death = new SharedArrayBuffer(4);
    const gate = createExitGate();
    const bell = createDoorbell();
    const url = new URL(`data:text/javascript,${encodeURIComponent(script)}`);
    const worker = new Worker(url, { workerData: { gate, bell, death }, execArgv: [] });
    let failure: unknown;
    let end = (): void => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    worker.on('message', (message: WorkerMessage) => events.message(message));
    worker.on('error', (error) => {
      failure = error;
    });
    worker.on('exit', () => {
      events.exit(failure);
      end();
    });
    workers.push({ die: () => Atomics.store(new Int32Array(death), 0, 1), ended });
    return {
      post: (message, transfer = []) => {
        worker.postMessage(message, transfer);
        ringDoorbell(bell);
        // The timer of the script would keep the thread from ending by itself.
        if (message.kind === 'stop') Atomics.store(new Int32Array(death), 0, 1);
      },
      keepAlive: () => {},
      quiesce: () => shutGate(gate, 30_000),
    };
  };
  return { start, workers };
}

/** A host that writes down the kinds of messages it is sent. */
function watched(host: ModelHost, messages: string[]): ModelHost {
  return {
    ...host,
    post: (message, transfer) => {
      messages.push(message.kind);
      host.post(message, transfer);
    },
  };
}

/** The error code of each call, in order; `answered` for one that succeeded. */
async function codesOf(calls: readonly Promise<unknown>[]): Promise<unknown[]> {
  const outcomes = await Promise.allSettled(calls);
  return outcomes.map((outcome) => (outcome.status === 'rejected' ? (outcome.reason as { code?: unknown }).code : 'answered'));
}

/** Lets messages and microtasks pass. */
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));
