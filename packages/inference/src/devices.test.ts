import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { InferenceSession, InferenceTensor } from '@recloom/plugin-api';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createInference, createInferenceOn, type InferenceService } from './inference.js';
import type { InferenceOptions } from './inference-options.js';
import { mlpModel, scaleModel, writeOnnx } from './onnx-writer.fixture.js';
import { explainCuda } from './providers.js';
import { startThread } from './thread-host.js';

const require = createRequire(import.meta.url);
let folder = '';
let scale = '';
const services: InferenceService[] = [];
const open = (options: InferenceOptions = {}): InferenceService => {
  const service = createInference({ workers: 1, ...options });
  services.push(service);
  return service;
};
const rows = (...values: number[]): { x: InferenceTensor } => ({
  x: { type: 'float32', dims: [values.length / 3, 3], data: Float32Array.from(values) },
});
const scaled = async (session: InferenceSession, ...values: number[]): Promise<number[]> =>
  [...((await session.run(rows(...values)))['y']?.data ?? [])].map(Number);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'recloom-devices-'));
  scale = join(folder, 'scale.onnx');
  await writeFile(scale, writeOnnx(scaleModel));
});
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.close()));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('devices that do not exist', () => {
  it('a name that is none is refused, whatever stands beside it', async () => {
    for (const device of ['rocm', ['tpu', 'cpu']]) {
      await expect(open().load({ file: scale, device: device as never })).rejects.toMatchObject({
        code: 'RECLOOM_RUN_DEVICE_UNAVAILABLE',
        message: expect.stringContaining('there is no such device; there are auto, cpu, cuda'),
      });
    }
  });

  const elsewhere = process.platform === 'win32' ? 'coreml' : 'dml';
  it('one of another platform says so', async () => {
    await expect(open().load({ file: scale, device: elsewhere })).rejects.toMatchObject({
      code: 'RECLOOM_RUN_DEVICE_UNAVAILABLE',
      message: expect.stringContaining(`this build of onnxruntime-node has none for ${process.platform}`),
    });
  });

  it('the service’s own device holds for models that name none', async () => {
    await expect(open({ device: elsewhere }).load({ file: scale })).rejects.toMatchObject({ code: 'RECLOOM_RUN_DEVICE_UNAVAILABLE' });
    expect((await open({ device: elsewhere }).load({ file: scale, device: 'cpu' })).provider).toBe('cpu');
  });
});

describe('CUDA', () => {
  const libraries = join(require.resolve('onnxruntime-node/package.json'), '..', 'bin', 'napi-v6', process.platform, process.arch);
  const here = process.platform === 'linux' && process.arch === 'x64';
  const absent = here && !existsSync(join(libraries, 'libonnxruntime_providers_cuda.so'));

  it.skipIf(!absent)('without its libraries, as after an install without scripts, the real runtime’s refusal says what to do', async () => {
    const session = await open().load({ file: scale, device: ['cuda', 'cpu'] });
    expect(session.provider).toBe('cpu');
    expect(session.warnings).toMatchObject([
      {
        code: 'RECLOOM_RUN_DEVICE_UNAVAILABLE',
        message: expect.stringMatching(/"?cuda"?.*libonnxruntime_providers_shared\.so is not beside onnxruntime-node: its install script/s),
        detail: { device: 'cuda' },
      },
    ]);
    expect(await scaled(session, 1, 1, 1)).toEqual([2, 3, 4]);
    await expect(open().load({ file: scale, device: 'cuda' })).rejects.toMatchObject({ code: 'RECLOOM_RUN_DEVICE_UNAVAILABLE' });
  });

  it.skipIf(!here)('with its libraries but not those of NVIDIA, names the one that is missing', async () => {
    // A shared object without code that needs libcudnn.so.9, linked by hand (ELF64: one dynamic segment).
    const bin = join(folder, 'bin');
    await import('node:fs/promises').then(({ mkdir }) => mkdir(bin));
    await writeFile(join(bin, 'libonnxruntime_providers_shared.so'), needing('libc.so.6'));
    await writeFile(join(bin, 'libonnxruntime_providers_cuda.so'), needing('libcudnn.so.9'));
    expect(explainCuda(bin)).toMatch(/libcudnn\.so\.9 was not found: CUDA 12 and cuDNN 9/);
    await writeFile(join(bin, 'libonnxruntime_providers_cuda.so'), needing('libc.so.6'));
    expect(explainCuda(bin)).toContain('could not be loaded');
    await rm(join(bin, 'libonnxruntime_providers_cuda.so'));
    expect(explainCuda(bin)).toContain('libonnxruntime_providers_cuda.so is not beside onnxruntime-node');
    expect(explainCuda(undefined)).toContain('libonnxruntime_providers_shared.so is not beside');
  });
});

describe('a device that fails while it runs', () => {
  /** onnxruntime with a `cuda` that computes on the CPU until a run is fed 13; inputs with 99 fail on every device. */
  async function withBrokenGpu(options: InferenceOptions = {}): Promise<{ service: InferenceService; messages: string[] }> {
    const module = join(folder, 'broken-gpu.mjs');
    await writeFile(
      module,
      `import ort from ${JSON.stringify(require.resolve('onnxruntime-node'))};
       const create = async (source, options) => {
         const [provider] = options.executionProviders;
         const session = await ort.InferenceSession.create(source, { ...options, executionProviders: ['cpu'] });
         const run = session.run.bind(session);
         let lost = false;
         session.run = async (feeds, outputs) => {
           const data = [...feeds.x.data];
           if (data.includes(99)) throw new Error('the value 99 is not in the table');
           lost ||= data.includes(13);
           if (provider === 'cuda' && lost) throw new Error('CUDA failure 719: unspecified launch failure');
           return run(feeds, outputs);
         };
         return session;
       };
       export default { env: ort.env, Tensor: ort.Tensor, InferenceSession: { create } };`,
    );
    const messages: string[] = [];
    const thread = (events: Parameters<typeof startThread>[0]) => {
      const host = startThread(events, { runtimeModule: module });
      return {
        ...host,
        post: (message: Parameters<typeof host.post>[0], transfer?: readonly ArrayBuffer[]) => {
          messages.push(message.kind);
          host.post(message, transfer);
        },
      };
    };
    const service = createInferenceOn({ thread }, { workers: 1, ...options });
    services.push(service);
    return { service, messages };
  }

  it('is given up for the CPU once: that call is answered, and provider, warnings and metrics say so', async () => {
    const counted: [string, Readonly<Record<string, string>> | undefined][] = [];
    const metrics = {
      count: (name: string, _?: number, labels?: Readonly<Record<string, string>>) => counted.push([name, labels]),
      observe: () => {},
    };
    const { service } = await withBrokenGpu({ metrics });
    const session = await service.load({ file: scale, device: ['cuda', 'cpu'] });
    const sibling = await service.load({ file: scale, device: ['cuda', 'cpu'] });
    expect([session.provider, session.warnings]).toEqual(['cuda', []]);
    expect(await scaled(session, 1, 1, 1)).toEqual([2, 3, 4]);
    // By hand: times 2, 3, 4.
    expect(await scaled(session, 13, 13, 13)).toEqual([26, 39, 52]);
    for (const one of [session, sibling]) {
      expect(one.provider).toBe('cpu');
      expect(one.warnings).toMatchObject([
        {
          code: 'RECLOOM_RUN_DEVICE_UNAVAILABLE',
          message: expect.stringMatching(/cuda.*the CPU has taken over \(CUDA failure 719/),
          detail: { device: 'cuda', fellBackTo: 'cpu' },
        },
      ]);
    }
    expect(await scaled(sibling, 1, 1, 1)).toEqual([2, 3, 4]);
    expect(session.warnings).toHaveLength(1);
    expect(counted.filter(([name]) => name === 'recloom.inference.fallbacks')).toEqual([
      ['recloom.inference.fallbacks', { isolation: 'thread', provider: 'cuda' }],
    ]);
    const providers = counted.flatMap(([name, labels]) => (name === 'recloom.inference.runs' ? [labels?.['provider']] : []));
    expect(providers).toEqual(['cuda', 'cpu', 'cpu']);
  });

  it('is kept when the CPU fails at the same inputs', async () => {
    const { service } = await withBrokenGpu();
    const session = await service.load({ file: scale, device: 'cuda' });
    const error = await session.run(rows(99, 1, 1)).catch((thrown: unknown) => thrown as Error);
    expect(error).toMatchObject({ code: 'RECLOOM_RUN_MODEL_FAILED' });
    expect((error as Error).message).not.toContain('99');
    expect([session.provider, session.warnings]).toEqual(['cuda', []]);
  });

  it('holds a model in one worker only: a device is one, however many workers there are', async () => {
    const { service, messages } = await withBrokenGpu({ workers: 2 });
    const session = await service.load({ file: scale, device: 'cuda' });
    const until = performance.now() + 60;
    const lane = async (): Promise<void> => {
      while (performance.now() < until) await scaled(session, 1, 1, 1);
    };
    await Promise.all(Array.from({ length: 12 }, lane));
    expect(messages.filter((kind) => kind === 'open')).toHaveLength(1);
  });
});

describe('WebGPU over SwiftShader', () => {
  const driver = '/usr/lib/chromium/vk_swiftshader_icd.json';
  const miniLm = fileURLToPath(new URL('../../model-all-minilm-l6-v2/onnx/model_quantized.onnx', import.meta.url));
  const missing = !existsSync(driver);
  const why = missing ? ` (SKIPPED: there is no ${driver}; install Debian's chromium)` : '';
  // A Vulkan driver is read when a process starts, so the models run in child processes that are given it.
  const environment = { VK_DRIVER_FILES: driver, LD_LIBRARY_PATH: '/usr/lib/chromium' };

  it.skipIf(missing)(`gives an MLP's scores to 1e-3 of the CPU's${why}`, { timeout: 180_000 }, async () => {
    const file = join(folder, 'mlp.onnx');
    await writeFile(file, writeOnnx(mlpModel([50, 64, 32, 1])));
    const service = open({ isolation: 'process', environment });
    const [gpu, cpu] = [await service.load({ file, device: 'webgpu' }), await service.load({ file, device: 'cpu' })];
    expect([gpu.provider, gpu.warnings, cpu.provider]).toEqual(['webgpu', [], 'cpu']);
    const feeds = {
      x: { type: 'float32' as const, dims: [64, 50], data: Float32Array.from({ length: 3200 }, (_, index) => Math.sin(index)) },
    };
    const [computed, expected] = [(await gpu.run(feeds))['y']?.data as Float32Array, (await cpu.run(feeds))['y']?.data as Float32Array];
    expect(computed).toHaveLength(64);
    expect(Math.max(...computed) - Math.min(...computed)).toBeGreaterThan(0.1);
    computed.forEach((value, row) => expect(Math.abs(value - (expected[row] ?? Number.NaN))).toBeLessThan(1e-3));
    // Once more, with shared runs.
    const shared = await service.load({ file, device: 'webgpu', batching: true });
    const parts = await Promise.all(
      [0, 1].map((part) => shared.run({ x: { ...feeds.x, dims: [32, 50], data: feeds.x.data.slice(part * 1600, (part + 1) * 1600) } })),
    );
    const values = parts.flatMap(({ y }) => [...((y?.data ?? []) as Float32Array)]);
    expect(values).toHaveLength(64);
    values.forEach((value, row) => expect(Math.abs(value - (expected[row] ?? Number.NaN))).toBeLessThan(1e-3));
  });

  it.skipIf(missing)(`gives a real encoder's hidden states to 1e-3 of the CPU's${why}`, { timeout: 180_000 }, async () => {
    const service = open({ isolation: 'process', environment });
    const load = (device: 'webgpu' | 'cpu'): Promise<InferenceSession> => service.load({ file: miniLm, device, independentRows: true });
    const [gpu, cpu] = [await load('webgpu'), await load('cpu')];
    expect([gpu.provider, cpu.provider]).toEqual(['webgpu', 'cpu']);
    const tokens = (values: bigint[]): InferenceTensor => ({ type: 'int64', dims: [1, values.length], data: BigInt64Array.from(values) });
    // "hello world"
    const feeds = {
      input_ids: tokens([101n, 7592n, 2088n, 102n]),
      attention_mask: tokens([1n, 1n, 1n, 1n]),
      token_type_ids: tokens([0n, 0n, 0n, 0n]),
    };
    const outputs = ['last_hidden_state'];
    const [computed, expected] = [
      (await gpu.run(feeds, { outputs }))['last_hidden_state']?.data as Float32Array,
      (await cpu.run(feeds, { outputs }))['last_hidden_state']?.data as Float32Array,
    ];
    expect(computed).toHaveLength(4 * 384);
    computed.forEach((value, place) => expect(Math.abs(value - (expected[place] ?? Number.NaN))).toBeLessThan(1e-3));
  });

  it('without a driver, says what a device needs and falls back', async () => {
    // Whatever this machine has, the child is shown none.
    const script = `
      const { createInference } = await import(${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)});
      const session = await createInference({ workers: 1 }).load({ file: ${JSON.stringify(scale)}, device: ['webgpu', 'cpu'] });
      console.log(JSON.stringify([session.provider, session.warnings]));
    `;
    const env = { ...process.env, VK_DRIVER_FILES: '/nowhere.json', LD_LIBRARY_PATH: '' };
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], { env });
    expect(JSON.parse(stdout)).toMatchObject([
      'cpu',
      [
        {
          code: 'RECLOOM_RUN_DEVICE_UNAVAILABLE',
          message: expect.stringContaining('no graphics adapter was found'),
          detail: { device: 'webgpu' },
        },
      ],
    ]);
  });
});

/** The smallest ELF64 shared object that needs another: a header, a loaded segment, a dynamic section with DT_NEEDED. */
function needing(library: string): Uint8Array {
  const strings = new TextEncoder().encode(`\0${library}\0`);
  const [headers, dynamic] = [64 + 2 * 56, 7 * 16];
  const symbols = headers + dynamic;
  const text = symbols + 24;
  const hash = Math.ceil((text + strings.length) / 8) * 8;
  const size = hash + 16;
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 3, true); // ET_DYN
  view.setUint16(18, 62, true); // x86-64
  view.setUint32(20, 1, true);
  view.setBigUint64(32, 64n, true); // program headers
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 2, true);
  const segment = (at: number, type: number, flags: number, from: number, length: number): void => {
    view.setUint32(at, type, true);
    view.setUint32(at + 4, flags, true);
    for (const [place, value] of [from, from, from, length, length, type === 1 ? 4096 : 8].entries())
      view.setBigUint64(at + 8 + place * 8, BigInt(value), true);
  };
  segment(64, 1, 6, 0, size); // PT_LOAD
  segment(120, 2, 6, headers, dynamic); // PT_DYNAMIC
  const entries = [
    [1, 1], // DT_NEEDED
    [5, text], // DT_STRTAB
    [10, strings.length], // DT_STRSZ
    [6, symbols], // DT_SYMTAB
    [11, 24], // DT_SYMENT
    [4, hash], // DT_HASH
    [0, 0],
  ];
  for (const [place, [tag = 0, value = 0]] of entries.entries()) {
    view.setBigUint64(headers + place * 16, BigInt(tag), true);
    view.setBigUint64(headers + place * 16 + 8, BigInt(value), true);
  }
  bytes.set(strings, text);
  view.setUint32(hash, 1, true);
  view.setUint32(hash + 4, 1, true);
  return bytes;
}
