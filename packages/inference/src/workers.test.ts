import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InferenceSession, InferenceTensor } from '@recloom/plugin-api';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createInferenceOn, type InferenceService } from './inference.js';
import type { InferenceOptions } from './inference-options.js';
import { busyModel, scaleModel, type TinyModel, writeOnnx } from './onnx-writer.fixture.js';
import { startThread } from './thread-host.js';

const require = createRequire(import.meta.url);
let folder = '';
const services: InferenceService[] = [];

/** A service that writes down what each of its workers is told, as `<worker>:<kind>`. */
function open(options: InferenceOptions = {}, runtimeModule?: string): { service: InferenceService; messages: string[] } {
  const messages: string[] = [];
  let started = 0;
  const service = createInferenceOn(
    {
      thread: (events) => {
        const host = startThread(events, runtimeModule === undefined ? {} : { runtimeModule });
        const worker = ++started;
        return {
          ...host,
          post: (message, transfer) => {
            messages.push(`${worker}:${message.kind}`);
            host.post(message, transfer);
          },
        };
      },
    },
    options,
  );
  services.push(service);
  return { service, messages };
}
const write = async (name: string, model: TinyModel): Promise<string> => {
  const file = join(folder, name);
  await writeFile(file, writeOnnx(model));
  return file;
};
const scaledBy = (weight: number): TinyModel => ({
  ...scaleModel,
  initializers: [{ name: 'w', dims: [3], values: Float32Array.of(weight, weight, weight) }],
});
const ones: { x: InferenceTensor } = { x: { type: 'float32', dims: [1, 3], data: Float32Array.of(1, 1, 1) } };
const square = (size: number): { x: InferenceTensor } => ({
  x: { type: 'float32', dims: [size, size], data: new Float32Array(size * size) },
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'recloom-workers-'));
});
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.close()));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('workers', () => {
  it('one serves calls that come one after the other, however many there may be', async () => {
    const { service, messages } = open({ workers: 4 });
    const session = await service.load({ file: await write('scale.onnx', scaleModel) });
    for (let call = 0; call < 20; call++) await session.run(ones);
    expect(new Set(messages)).toEqual(new Set(['1:open', '1:run']));
  });

  it('a second one is given the model when calls wait behind long runs, and then shares the work', async () => {
    const { service, messages } = open({ workers: 2 });
    const session = await service.load({ file: await write('busy.onnx', busyModel) });
    await Promise.all(Array.from({ length: 8 }, () => session.run(square(768))));
    expect(messages.filter((message) => message === '2:open')).toHaveLength(1);
    expect(messages.filter((message) => message === '2:run').length).toBeGreaterThanOrEqual(2);
    expect(messages.filter((message) => message.endsWith(':run'))).toHaveLength(8);
  });

  it('a quick model does not wait for a long run of another one', async () => {
    const { service } = open({ workers: 2 });
    const busy = await service.load({ file: await write('busy.onnx', busyModel) });
    // Both models are with the first worker, since it was idle when they came.
    const quick = await service.load({ file: await write('scale.onnx', scaleModel) });
    let finished = false;
    const long = busy.run(square(1536)).then(() => {
      finished = true;
    });
    await quick.run(ones);
    expect(finished).toBe(false);
    await long;
  });

  it('a further worker that finds another file goes without the model; the first goes on', async () => {
    const warnings: unknown[] = [];
    const { service, messages } = open({ workers: 2, logger: { warn: (_, fields) => warnings.push(fields) } });
    const file = await write('changing.onnx', busyModel);
    const session = await service.load({ file });
    await writeFile(file, writeOnnx(scaleModel));
    await Promise.all(Array.from({ length: 6 }, () => session.run(square(640))));
    expect(messages).toContain('2:open');
    expect(messages).not.toContain('2:run');
    expect(warnings).toEqual([{ reason: 'RECLOOM_DAT_MODEL_INVALID' }]);
  });

  it('100 concurrent calls on a queue of 10: refused are only those that do not fit', async () => {
    const { service } = open({ workers: 2, queueLimit: 10 });
    const session = await service.load({ file: await write('busy.onnx', busyModel) });
    const outcomes = await Promise.allSettled(Array.from({ length: 100 }, () => session.run(square(64))));
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    for (const { reason } of refused) expect(reason).toMatchObject({ code: 'RECLOOM_RUN_OVERLOADED', retryable: true });
    expect(refused).toHaveLength(89);
    await session.run(square(4));
  });

  it('closing while busy answers what was accepted and refuses the rest', async () => {
    const { service } = open({ workers: 2 });
    const session = await service.load({ file: await write('busy.onnx', busyModel) });
    const accepted = Array.from({ length: 6 }, () => session.run(square(512)));
    const closing = service.close();
    await expect(session.run(square(4))).rejects.toMatchObject({ code: 'RECLOOM_RUN_CLOSED' });
    for (const { y } of (await Promise.all(accepted)) as Record<string, InferenceTensor>[]) expect(y?.dims).toEqual([512, 512]);
    await closing;
  });
});

describe('models nobody uses any more', () => {
  async function use(service: InferenceService, weight: number): Promise<InferenceSession> {
    const session = await service.load({ file: await write(`${weight}.onnx`, scaledBy(weight)) });
    expect([...((await session.run(ones))['y']?.data ?? [])]).toEqual([weight, weight, weight]);
    return session;
  }

  it('stay loaded up to a number, the least recently used forgotten first', async () => {
    const { service, messages } = open({ workers: 1, cacheModels: 2 });
    const opened = (): number => messages.filter((message) => message === '1:open').length;
    const released = (): number => messages.filter((message) => message === '1:release').length;
    // The files are written once: a file written anew would be another one.
    const files = await Promise.all([1, 2, 3].map((weight) => write(`kept-${weight}.onnx`, scaledBy(weight))));
    const touch = async (place: number): Promise<void> => (await service.load({ file: files[place] as string })).close();
    for (const place of [0, 1, 0, 1]) await touch(place);
    expect([opened(), released()]).toEqual([2, 0]);
    await touch(2);
    expect([opened(), released()]).toEqual([3, 1]);
    await touch(1);
    await touch(2);
    expect([opened(), released()]).toEqual([3, 1]);
    await touch(0);
    expect([opened(), released()]).toEqual([4, 2]);
  });

  it('stay loaded up to a size; one in use does not count', async () => {
    const bytes = writeOnnx(scaledBy(1)).length;
    const { service, messages } = open({ workers: 1, cacheModels: 10, cacheBytes: 2 * bytes });
    const sessions = [await use(service, 1), await use(service, 2), await use(service, 3)];
    expect(messages).not.toContain('1:release');
    await sessions[0]?.close();
    await sessions[1]?.close();
    expect(messages).not.toContain('1:release');
    await sessions[2]?.close();
    expect(messages.filter((message) => message === '1:release')).toHaveLength(1);
  });

  it('are the same wherever their file lies', async () => {
    const { service, messages } = open({ workers: 1 });
    const [here, there] = await Promise.all(['here.onnx', 'there.onnx'].map((name) => write(name, scaleModel)));
    const first = await service.load({ file: here as string });
    const second = await service.load({ file: there as string });
    expect(second.sha256).toBe(first.sha256);
    // The copy is given back at once; the workers keep one.
    expect(messages.filter((message) => message === '1:release')).toHaveLength(1);
    await first.close();
    await second.close();
    await (await service.load({ file: there as string })).run(ones);
    expect(messages.filter((message) => message === '1:open')).toHaveLength(2);
  });
});

describe('warm-up', () => {
  it('takes the first run while the model is loaded, unless it is not wanted', async () => {
    // A runtime whose sessions fail their first run: who is it?
    const module = join(folder, 'first-fails.mjs');
    await writeFile(
      module,
      `import ort from ${JSON.stringify(require.resolve('onnxruntime-node'))};
       const create = async (source, options) => {
         const session = await ort.InferenceSession.create(source, options);
         const run = session.run.bind(session);
         let runs = 0;
         session.run = async (feeds, outputs) => {
           if (runs++ === 0) throw new Error('cold');
           return run(feeds, outputs);
         };
         return session;
       };
       export default { env: ort.env, Tensor: ort.Tensor, InferenceSession: { create } };`,
    );
    const { service } = open({ workers: 1 }, module);
    const cold = await service.load({ file: await write('cold.onnx', scaledBy(5)), warmUp: false });
    await expect(cold.run(ones)).rejects.toMatchObject({ code: 'RECLOOM_RUN_MODEL_FAILED' });
    const warm = await service.load({ file: await write('warm.onnx', scaledBy(6)) });
    expect([...((await warm.run(ones))['y']?.data ?? [])]).toEqual([6, 6, 6]);
  });

  it('of a graph that refuses zeros is no reason not to load it', async () => {
    const { service } = open({ workers: 1 });
    // Square of 3 × 3 only: the two rows of the warm-up do not fit, which is found when it runs.
    const picky: TinyModel = {
      inputs: [{ name: 'x', type: 'float32', dims: ['rows', 3] }],
      outputs: [{ name: 'y', type: 'float32', dims: ['rows', 3] }],
      nodes: [{ operator: 'MatMul', inputs: ['x', 'x'], outputs: ['y'] }],
    };
    const session = await service.load({ file: await write('picky.onnx', picky) });
    const { y } = await session.run({ x: { type: 'float32', dims: [3, 3], data: Float32Array.of(2, 0, 0, 0, 2, 0, 0, 0, 2) } });
    expect([...(y?.data ?? [])]).toEqual([4, 0, 0, 0, 4, 0, 0, 0, 4]);
  });
});

describe('metrics', () => {
  it('tell the queue, waits, runs, rows and refusals, by provider', async () => {
    const seen: Record<string, number[]> = {};
    const labelsOf: Record<string, unknown> = {};
    const note = (name: string, value = 1, labels?: Readonly<Record<string, string>>): void => {
      (seen[name] ??= []).push(value);
      labelsOf[name] = labels;
    };
    const { service } = open({ workers: 1, queueLimit: 4, metrics: { count: note, observe: note } });
    const session = await service.load({ file: await write('scale.onnx', scaleModel), batching: true });
    const rows = (count: number): { x: InferenceTensor } => ({
      x: { type: 'float32', dims: [count, 3], data: new Float32Array(count * 3) },
    });
    await Promise.all([1, 2, 3].map((count) => session.run(rows(count))));
    await session.run(rows(4));
    expect(seen['recloom.inference.queue.calls']).toEqual([1, 2, 3, 1]);
    expect(seen['recloom.inference.runs']).toEqual([1, 1]);
    expect(seen['recloom.inference.run.rows']).toEqual([6, 4]);
    expect(seen['recloom.inference.run.calls']).toEqual([3, 1]);
    expect(seen['recloom.inference.workers']).toEqual([1]);
    expect(seen['recloom.inference.wait.milliseconds']).toHaveLength(4);
    expect(seen['recloom.inference.run.milliseconds']?.every((value) => value > 0)).toBe(true);
    expect(labelsOf['recloom.inference.runs']).toEqual({ isolation: 'thread', provider: 'cpu' });
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => session.run(rows(1))));
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected').length;
    expect(seen['recloom.inference.refused']).toHaveLength(refused);
    expect(refused).toBeGreaterThan(0);
  });
});
