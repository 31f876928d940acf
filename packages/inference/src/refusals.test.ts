import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModelRequest } from '@recloom/plugin-api';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createInference, createInferenceOn, type InferenceService } from './inference.js';
import type { InferenceOptions } from './inference-options.js';
import { newestIrVersion, newestOperatorSets } from './model-source.js';
import { scaleModel, type TinyModel, typesModel, writeOnnx } from './onnx-writer.fixture.js';

const require = createRequire(import.meta.url);
let folder = '';
const services: InferenceService[] = [];
const open = (options: InferenceOptions = {}): InferenceService => {
  const service = createInference({ workers: 1, ...options });
  services.push(service);
  return service;
};
const write = async (name: string, model: TinyModel): Promise<string> => {
  const file = join(folder, name);
  await writeFile(file, writeOnnx(model));
  return file;
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'recloom-refusals-'));
});
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.close()));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a graph that does not fit what it will be fed', () => {
  type Expects = NonNullable<ModelRequest['expects']>;
  const a = { type: 'int64', dims: [-1] } as const;
  const flags = { type: 'bool' } as const;
  const wrong: readonly [string, Expects, RegExp][] = [
    ['an input of another name', { inputs: { left: a, b: a, flags } }, /no input "left"; its inputs are "a" \(int64 \[n\]\)/],
    ['an input of another type', { inputs: { a: { type: 'float32' }, b: a, flags } }, /"a" is int64, not float32/],
    [
      'an input of another rank',
      { inputs: { a: { type: 'int64', dims: [-1, 8] }, b: a, flags } },
      /"a" has the shape \[n\], not \[\?, 8\]/,
    ],
    ['an input that nothing feeds', { inputs: { a, b: a } }, /asks for an input "flags" \(bool \[m\]\) that nothing feeds/],
    ['an output that it does not give', { outputs: ['ctr'] }, /no output "ctr"; its outputs are "sum"/],
  ];
  it.each(wrong)('%s is refused before a runtime is there', async (_, expects, message) => {
    const file = await write('types.onnx', typesModel);
    // A runtime that does not exist cannot have been asked.
    const { startThread } = await import('./thread-host.js');
    const service = createInferenceOn({ thread: (events) => startThread(events, { runtimeModule: 'no-such-runtime' }) }, { workers: 1 });
    services.push(service);
    await expect(service.load({ file, expects })).rejects.toMatchObject({
      code: 'RECLOOM_DAT_MODEL_MISFIT',
      message: expect.stringMatching(message),
    });
    await expect(service.load({ file })).rejects.toMatchObject({ code: 'RECLOOM_PLG_LIBRARY_MISSING' });
  });

  it('a width that differs is refused, also for a model that is loaded already; sizes that are open fit', async () => {
    const service = open();
    const file = await write('scale.onnx', scaleModel);
    const wide = { inputs: { x: { type: 'float32', dims: [-1, 50] } } } as const;
    const misfit = { code: 'RECLOOM_DAT_MODEL_MISFIT', message: expect.stringContaining('has the shape [rows, 3], not [?, 50]') };
    await expect(service.load({ file, expects: wide })).rejects.toMatchObject(misfit);
    const session = await service.load({ file, expects: { inputs: { x: { type: 'float32', dims: [16, 3] } }, outputs: ['y'] } });
    expect(session.inputs).toHaveLength(1);
    await expect(service.load({ file, expects: wide })).rejects.toMatchObject(misfit);
    await service.load({ file, expects: { inputs: { x: { type: 'float32', dims: [-1, -1] } } } });
  });
});

describe('files that must not run', () => {
  const invalid = (text: string): object => ({ code: 'RECLOOM_DAT_MODEL_INVALID', message: expect.stringContaining(text) });

  it('operators of a domain that is no part of the runtime', async () => {
    const node = { operator: 'Mul', inputs: ['x', 'w'], outputs: ['y'], domain: 'com.example.fast' };
    const file = await write('custom.onnx', { ...scaleModel, nodes: [node], operatorSets: { 'com.example.fast': 1 } });
    await expect(open().load({ file })).rejects.toMatchObject(invalid('"com.example.fast"'));
    // A domain that is only declared harms nobody.
    await open().load({ file: await write('declared.onnx', { ...scaleModel, operatorSets: { 'com.example.fast': 1 } }) });
  });

  it('a part that is compiled for a device, which may name files', async () => {
    const node = { operator: 'EPContext', inputs: ['x'], outputs: ['y'], domain: 'com.microsoft' };
    const file = await write('compiled.onnx', { ...scaleModel, nodes: [node], initializers: [], operatorSets: { 'com.microsoft': 1 } });
    await expect(open().load({ file })).rejects.toMatchObject(invalid('EPContext'));
  });

  it('an operator set or a format newer than the runtime knows, and our table is the runtime’s', async () => {
    const newest = newestOperatorSets.get('') ?? 0;
    const service = open();
    await service.load({ file: await write('newest.onnx', { ...scaleModel, operatorSet: newest, irVersion: newestIrVersion }) });
    const future = await write('future.onnx', { ...scaleModel, operatorSet: newest + 1 });
    await expect(service.load({ file: future })).rejects.toMatchObject(invalid(`operator set ${newest + 1} of ai.onnx`));
    const format = await write('format.onnx', { ...scaleModel, irVersion: newestIrVersion + 1 });
    await expect(service.load({ file: format })).rejects.toMatchObject(invalid(`IR version ${newestIrVersion + 1}`));
    const trees = await write('trees.onnx', { ...scaleModel, operatorSets: { 'ai.onnx.ml': 6 } });
    await expect(service.load({ file: trees })).rejects.toMatchObject(invalid('operator set 6 of ai.onnx.ml'));
    // The runtime itself, asked directly: it takes the newest of ours and refuses the next.
    const runtime = require('onnxruntime-node') as typeof import('onnxruntime-node');
    runtime.env.logLevel = 'fatal';
    const asks = async (model: Partial<TinyModel>): Promise<boolean> =>
      runtime.InferenceSession.create(writeOnnx({ ...scaleModel, ...model }), { logSeverityLevel: 4 }).then(
        (session) => session.release().then(() => true),
        () => false,
      );
    const ml = newestOperatorSets.get('ai.onnx.ml') ?? 0;
    expect([
      await asks({ operatorSet: newest }),
      await asks({ operatorSet: newest + 1 }),
      await asks({ irVersion: newestIrVersion }),
      await asks({ irVersion: newestIrVersion + 1 }),
      await asks({ operatorSets: { 'ai.onnx.ml': ml } }),
      await asks({ operatorSets: { 'ai.onnx.ml': ml + 1 } }),
    ]).toEqual([true, false, true, false, true, false]);
  });

  it('tensor data outside the folder: by .., by an absolute path, by a link; and data that is not there', async () => {
    const inside = join(folder, 'model');
    const outside = join(folder, 'elsewhere');
    await mkdir(inside);
    await mkdir(outside);
    const weights = new Uint8Array(Float32Array.of(5, 6, 7).buffer);
    await writeFile(join(outside, 'weights.bin'), weights);
    await symlink(join(outside, 'weights.bin'), join(inside, 'link.bin'));
    await symlink(outside, join(inside, 'linked'));
    await writeFile(join(inside, 'weights.bin'), weights);
    await symlink(join(inside, 'weights.bin'), join(inside, 'near.bin'));
    const beside = (externalLocation: string): Promise<string> =>
      write(`model/beside.onnx`, {
        ...scaleModel,
        initializers: [{ name: 'w', dims: [3], values: new Float32Array(0), externalLocation }],
      });
    const service = open();
    for (const location of [
      '../elsewhere/weights.bin',
      join(outside, 'weights.bin'),
      'link.bin',
      'linked/weights.bin',
      '../model-2/w',
      '.',
    ]) {
      await expect(service.load({ file: await beside(location) }), location).rejects.toMatchObject(invalid('outside its own folder'));
    }
    await expect(service.load({ file: await beside('absent.bin') })).rejects.toMatchObject(invalid('missing'));
    // A link that stays inside is fine, and so is a model that is reached through a link.
    await service.load({ file: await beside('near.bin') });
    await symlink(inside, join(folder, 'alias'));
    expect((await service.load({ file: join(folder, 'alias', 'beside.onnx') })).provider).toBe('cpu');
  });

  it('equal graphs with other weights beside them are other models', async () => {
    const service = open();
    const answers: unknown[] = [];
    for (const [name, weight] of [
      ['one', 1],
      ['two', 2],
    ] as const) {
      await mkdir(join(folder, name));
      await writeFile(join(folder, name, 'w.bin'), new Uint8Array(Float32Array.of(weight, weight, weight).buffer));
      const file = await write(`${name}/m.onnx`, {
        ...scaleModel,
        initializers: [{ name: 'w', dims: [3], values: new Float32Array(0), externalLocation: 'w.bin' }],
      });
      const session = await service.load({ file });
      answers.push([...((await session.run({ x: { type: 'float32', dims: [1, 3], data: Float32Array.of(1, 1, 1) } }))['y']?.data ?? [])]);
    }
    expect(answers).toEqual([
      [1, 1, 1],
      [2, 2, 2],
    ]);
  });
});

describe('limits', () => {
  it('a model that is too large, with or without the files beside it', async () => {
    const file = await write('large.onnx', scaleModel);
    const size = writeOnnx(scaleModel).length;
    const tooLarge = { code: 'RECLOOM_DAT_MODEL_TOO_LARGE', message: expect.stringContaining(`${size} bytes`) };
    await expect(open({ limits: { maximumModelBytes: size - 1 } }).load({ file })).rejects.toMatchObject(tooLarge);
    await open({ limits: { maximumModelBytes: size } }).load({ file });
    await writeFile(join(folder, 'large.bin'), new Uint8Array(4096));
    const beside = await write('beside.onnx', {
      ...scaleModel,
      initializers: [{ name: 'w', dims: [3], values: new Float32Array(0), externalLocation: 'large.bin' }],
    });
    await expect(open({ limits: { maximumModelBytes: 4000 } }).load({ file: beside })).rejects.toMatchObject({
      code: 'RECLOOM_DAT_MODEL_TOO_LARGE',
    });
  });

  it.each(['thread', 'process'] as const)('a model that takes too long to load, in a %s: the next one is served', async (isolation) => {
    // A runtime that never comes for one file, and ours for any other.
    const module = join(folder, `slow-${isolation}.mjs`);
    await writeFile(
      module,
      `import ort from ${JSON.stringify(require.resolve('onnxruntime-node'))};
       const create = async (source, options) => {
         if (source.length > 400) await new Promise((resolve) => setTimeout(resolve, ${isolation === 'thread' ? 7000 : 60_000}));
         return ort.InferenceSession.create(source, options);
       };
       export default { env: ort.env, Tensor: ort.Tensor, InferenceSession: { create } };`,
    );
    const [{ startThread }, { startProcess }] = await Promise.all([import('./thread-host.js'), import('./process-host.js')]);
    const start = isolation === 'thread' ? startThread : startProcess;
    const limits = { loadTimeoutMs: isolation === 'thread' ? 3000 : 8000 };
    const service = createInferenceOn(
      { [isolation]: (events: never) => start(events, { runtimeModule: module }) },
      { workers: 1, isolation, limits },
    );
    services.push(service);
    const quick = await service.load({ file: await write('quick.onnx', scaleModel), device: 'cpu' });
    const slow = await write('slow.onnx', {
      ...scaleModel,
      initializers: [
        { name: 'w', dims: [3], values: Float32Array.of(2, 3, 4) },
        { name: 'unused', dims: [200], values: new Float32Array(200) },
      ],
    });
    await expect(service.load({ file: slow, device: 'cpu' })).rejects.toMatchObject({ code: 'RECLOOM_RUN_LOAD_TIMEOUT', retryable: true });
    const { y } = await quick.run({ x: { type: 'float32', dims: [1, 3], data: Float32Array.of(1, 1, 1) } });
    expect([...(y?.data ?? [])]).toEqual([2, 3, 4]);
  });
});
