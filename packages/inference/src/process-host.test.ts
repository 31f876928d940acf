import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InferenceTensor } from '@recloom/plugin-api';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createInferenceOn, type InferenceService } from './inference.js';
import type { InferenceOptions } from './inference-options.js';
import { busyModel, scaleModel, typesModel, writeOnnx } from './onnx-writer.fixture.js';
import { type ProcessSettings, startProcess } from './process-host.js';

const require = createRequire(import.meta.url);
let folder = '';
let scale = '';
let busy = '';
const services: InferenceService[] = [];

/** A service in child processes; `children` are the ids of those that were started. */
async function open(
  options: InferenceOptions = {},
  settings: ProcessSettings = {},
): Promise<{ service: InferenceService; children: () => number[] }> {
  const before = new Set(childrenOf(process.pid));
  const service = createInferenceOn(
    { process: (events) => startProcess(events, settings) },
    { workers: 1, isolation: 'process', ...options },
  );
  services.push(service);
  return { service, children: () => childrenOf(process.pid).filter((id) => !before.has(id)) };
}

const rows = (...values: number[]): { x: InferenceTensor } => ({
  x: { type: 'float32', dims: [values.length / 3, 3], data: Float32Array.from(values) },
});
const square = (size: number): { x: InferenceTensor } => ({
  x: { type: 'float32', dims: [size, size], data: new Float32Array(size * size) },
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'recloom-process-'));
  scale = join(folder, 'scale.onnx');
  busy = join(folder, 'busy.onnx');
  await writeFile(scale, writeOnnx(scaleModel));
  await writeFile(busy, writeOnnx(busyModel));
});
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.close()));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('models in a child process', () => {
  it('gives what a thread gives, for every element type, and ends with close', async () => {
    const { service, children } = await open();
    const types = join(folder, 'types.onnx');
    await writeFile(types, writeOnnx(typesModel));
    const session = await service.load({ file: types });
    const feeds = {
      a: { type: 'int64' as const, dims: [2], data: BigInt64Array.of(9n, 1n, 2n).subarray(1) },
      b: { type: 'int64' as const, dims: [2], data: BigInt64Array.of(40n, 2n ** 60n) },
      flags: { type: 'bool' as const, dims: [3], data: Uint8Array.of(1, 0, 1) },
    };
    const answer = await session.run(feeds);
    expect(answer).toEqual({
      sum: { type: 'int64', dims: [2], data: BigInt64Array.of(41n, 2n ** 60n + 2n) },
      same: { type: 'bool', dims: [3], data: Uint8Array.of(1, 0, 1) },
    });
    const other = await service.load({ file: scale });
    expect([...((await other.run(rows(1, 2, 3)))['y']?.data ?? [])]).toEqual([2, 6, 12]);
    expect(children()).toHaveLength(1);
    await service.close();
    expect(children()).toEqual([]);
  });

  it('shares runs as threads do', async () => {
    const { service } = await open();
    const session = await service.load({ file: scale, batching: true });
    const answers = await Promise.all([1, 2, 3].map((value) => session.run(rows(value, value, value))));
    expect(answers.map(({ y }) => [...(y?.data ?? [])])).toEqual([1, 2, 3].map((value) => [2 * value, 3 * value, 4 * value]));
  });

  it('refuses a model, and survives it', async () => {
    const { service } = await open();
    await writeFile(join(folder, 'text.onnx'), 'this is no model');
    await expect(service.load({ file: join(folder, 'text.onnx') })).rejects.toMatchObject({ code: 'RECLOOM_DAT_MODEL_INVALID' });
    await expect(service.load({ file: scale, sha256: '0'.repeat(64) })).rejects.toMatchObject({ code: 'RECLOOM_DAT_MODEL_INVALID' });
    expect((await service.load({ file: scale })).provider).toBe('cpu');
  });

  it('survives SIGKILL in the middle of a run, as an out-of-memory kill is one: its calls fail, the next ones are answered', async () => {
    const { service, children } = await open();
    const session = await service.load({ file: busy });
    const [child] = children();
    const running = session.run(square(1024));
    const waiting = session.run(square(4));
    setTimeout(() => process.kill(child as number, 'SIGKILL'), 100);
    await expect(running).rejects.toMatchObject({
      code: 'RECLOOM_RUN_WORKER_DIED',
      retryable: true,
      cause: { message: expect.stringContaining('SIGKILL') },
    });
    expect((await waiting)['y']?.dims).toEqual([4, 4]);
    expect(children()).not.toContain(child);
    // An idle child that is killed is replaced by the next call, too.
    const [second] = children();
    process.kill(second as number, 'SIGKILL');
    // Gone from the table of processes: then the host has heard of it.
    await until(() => !existsSync(`/proc/${second}`));
    expect((await session.run(square(4)))['y']?.dims).toEqual([4, 4]);
  });

  it('survives a native crash while a model runs, and while it is loaded, and tells what it can', async () => {
    // A runtime whose every third run, and whose second session, ends as native code does that fails a check.
    const module = join(folder, 'crashing.mjs');
    await writeFile(
      module,
      `import ort from ${JSON.stringify(require.resolve('onnxruntime-node'))};
       const create = async (source, options) => {
         const session = await ort.InferenceSession.create(source, options);
         const run = session.run.bind(session);
         session.run = async (feeds, outputs) => {
           if (Object.values(feeds)[0].data[0] === 13) { process.stderr.write('assertion failed in a kernel'); process.abort(); }
           return run(feeds, outputs);
         };
         if (source.length > 400) process.abort();
         return session;
       };
       export default { env: ort.env, Tensor: ort.Tensor, InferenceSession: { create } };`,
    );
    const { service } = await open({}, { runtimeModule: module });
    const session = await service.load({ file: scale });
    await expect(session.run(rows(13, 1, 1))).rejects.toMatchObject({
      code: 'RECLOOM_RUN_WORKER_DIED',
      cause: { message: expect.stringMatching(/SIGABRT|code 134/) },
    });
    expect([...((await session.run(rows(1, 1, 1)))['y']?.data ?? [])]).toEqual([2, 3, 4]);
    const deadly = join(folder, 'deadly.onnx');
    await writeFile(
      deadly,
      writeOnnx({
        ...scaleModel,
        initializers: [...(scaleModel.initializers ?? []), { name: 'unused', dims: [200], values: new Float32Array(200) }],
      }),
    );
    await expect(service.load({ file: deadly })).rejects.toMatchObject({ code: 'RECLOOM_RUN_WORKER_DIED' });
    expect([...((await session.run(rows(1, 1, 1)))['y']?.data ?? [])]).toEqual([2, 3, 4]);
  });

  it('kills a child whose overdue run does not end, and answers the caller long before', async () => {
    const { service, children } = await open({ limits: { overdueMs: 50 } });
    const session = await service.load({ file: busy });
    const [child] = children();
    const late = { code: 'RECLOOM_RUN_TIMEOUT' };
    const isAlive = (): boolean => children().includes(child as number);
    // Until a run has begun before its deadline: on a busy machine 16 MB take longer to the child than 50 ms, and a run that has not
    // begun is left undone without a kill.
    for (let timeMs = 50; isAlive() && timeMs <= 800; timeMs *= 2) {
      await expect(session.run(square(2048), { deadlineMs: performance.now() + timeMs })).rejects.toMatchObject(late);
      const waitedUntilMs = performance.now() + 2_000;
      await until(() => !isAlive() || performance.now() > waitedUntilMs);
    }
    expect(isAlive()).toBe(false);
    expect((await session.run(square(4)))['y']?.dims).toEqual([4, 4]);
  });

  it('does not kill a child for a run that waits behind one that is wanted', async () => {
    const { service, children } = await open({ limits: { overdueMs: 0 } });
    const session = await service.load({ file: busy });
    // Quick runs first, so that a second run may be handed to the busy child.
    for (let run = 0; run < 3; run++) await session.run(square(4));
    const [child] = children();
    const wanted = session.run(square(1024));
    await expect(session.run(square(4), { deadlineMs: performance.now() + 20 })).rejects.toMatchObject({ code: 'RECLOOM_RUN_TIMEOUT' });
    expect((await wanted)['y']?.dims).toEqual([1024, 1024]);
    expect(children()).toContain(child);
  });

  it('kills a child at once when the service is closed and nobody waits for its run', async () => {
    const said: unknown[] = [];
    let kills = 0;
    const service = createInferenceOn(
      {
        process: (events) => {
          const host = startProcess(events);
          return { ...host, kill: () => (kills++, host.kill?.()) };
        },
      },
      { workers: 1, isolation: 'process', limits: { overdueMs: 3_600_000 }, logger: { warn: (...words) => said.push(words) } },
    );
    const session = await service.load({ file: busy });
    const late = { code: 'RECLOOM_RUN_TIMEOUT' };
    await expect(session.run(square(2048), { deadlineMs: performance.now() + 50 })).rejects.toMatchObject(late);
    await service.close();
    expect(kills).toBe(1);
    // That was meant: nobody is told of a worker that died.
    expect(said).toEqual([]);
  });

  it('leaves no orphan when the host is killed in the middle of a run', async () => {
    const script = `
      const { createInference } = await import(${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)});
      const session = await createInference({ isolation: 'process' }).load({ file: ${JSON.stringify(busy)} });
      session.run({ x: { type: 'float32', dims: [2048, 2048], data: new Float32Array(2048 * 2048) } }).catch(() => {});
      setTimeout(() => process.stdout.write('running'), 50);
    `;
    const host = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'ignore'] });
    await new Promise((resolve) => host.stdout.once('data', resolve));
    const orphans = childrenOf(host.pid as number);
    expect(orphans).toHaveLength(1);
    host.kill('SIGKILL');
    // A run of this size takes far longer than the child may outlive its host.
    await until(() => orphans.every((id) => !isAlive(id)));
  });

  it('lets a host end by itself with an idle child', async () => {
    const script = `
      const { createInference } = await import(${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)});
      const session = await createInference({ isolation: 'process' }).load({ file: ${JSON.stringify(scale)} });
      const { y } = await session.run({ x: { type: 'float32', dims: [1, 3], data: new Float32Array(3) } });
      process.exitCode = y.dims[1];
    `;
    const host = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: 'ignore' });
    expect(await new Promise((resolve) => host.on('exit', (code, signal) => resolve(signal ?? code)))).toBe(3);
  });
});

/** Ids of the living child processes of a process, from /proc. */
function childrenOf(parent: number): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const [state, parentId] = readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      return Number(parentId) === parent && state !== 'Z' ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

function isAlive(id: number): boolean {
  try {
    return readFileSync(`/proc/${id}/stat`, 'utf8').split(') ')[1]?.startsWith('Z') === false;
  } catch {
    return false;
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}
