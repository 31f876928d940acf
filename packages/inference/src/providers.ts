import { accessSync, constants } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { type InferenceDevice, recloomError, type Warning } from '@recloom/plugin-api';
import type * as onnxruntime from 'onnxruntime-node';
import { invalid } from './model-source.js';
import { describe } from './protocol.js';

/** Devices a model may ask for. */
export const knownDevices: readonly InferenceDevice[] = ['auto', 'cpu', 'cuda', 'webgpu', 'dml', 'coreml'];

/** A session and what runs it. */
export interface CreatedSession {
  readonly session: onnxruntime.InferenceSession;
  readonly provider: string;
  /** One for each provider that was tried before. */
  readonly warnings: readonly Warning[];
}

/** Refuses names of devices that do not exist, which are mistakes and never a reason to fall back. @throws RECLOOM_RUN_DEVICE_UNAVAILABLE */
export function checkDevices(devices: readonly string[]): void {
  const unknown = devices.find((device) => !(knownDevices as readonly string[]).includes(device));
  if (unknown === undefined) return;
  throw recloomError('RECLOOM_RUN_DEVICE_UNAVAILABLE', {
    device: unknown,
    why: `there is no such device; there are ${knownDevices.join(', ')}`,
  });
}

/**
 * The devices to try, in order: `auto` stands for CUDA, DirectML on Windows, Core ML on macOS, and the CPU last.
 * WebGPU is tried only when it is named, since a software driver would be taken for a GPU.
 */
export function expandDevices(devices: readonly InferenceDevice[], platform: NodeJS.Platform = process.platform): readonly string[] {
  const expanded: string[] = [];
  for (const device of devices) {
    if (device !== 'auto') expanded.push(device);
    else if (platform === 'win32') expanded.push('dml', 'cpu');
    else if (platform === 'darwin') expanded.push('coreml', 'cpu');
    else expanded.push('cuda', 'cpu');
  }
  return [...new Set(expanded)];
}

/**
 * A session on the first device that takes the model. Devices are tried one by one, since the runtime throws for a list
 * of which the first is missing.
 *
 * @throws RECLOOM_RUN_DEVICE_UNAVAILABLE when none does, RECLOOM_DAT_MODEL_INVALID when the CPU refuses the model.
 */
export async function createSession(
  runtime: typeof onnxruntime,
  source: Uint8Array | string,
  devices: readonly InferenceDevice[],
): Promise<CreatedSession> {
  const warnings: Warning[] = [];
  const problems: ReturnType<typeof recloomError>[] = [];
  for (const provider of expandDevices(devices)) {
    const options: onnxruntime.InferenceSession.SessionOptions = {
      executionProviders: [provider],
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      logSeverityLevel: 4,
    };
    try {
      const session =
        typeof source === 'string'
          ? await runtime.InferenceSession.create(source, options)
          : await runtime.InferenceSession.create(source, options);
      return { session, provider, warnings };
    } catch (cause) {
      // The CPU takes every model the runtime can read at all: its refusal is about the model.
      if (provider === 'cpu') throw invalid(describe(cause).replace(/\.$/, ''), cause);
      const problem = recloomError('RECLOOM_RUN_DEVICE_UNAVAILABLE', { device: provider, why: explain(provider, cause) }, { cause });
      problems.push(problem);
      warnings.push({ code: problem.code, message: problem.message, detail: { device: provider } });
    }
  }
  const [only] = problems;
  if (problems.length === 1 && only !== undefined) throw only;
  throw recloomError('RECLOOM_RUN_DEVICE_UNAVAILABLE', { device: devices.join(', '), why: 'none of them is available' }, { problems });
}

/** The warning that a device failed while it ran and the CPU took over. */
export function fallbackWarning(provider: string, cause: unknown): Warning {
  const why = `it failed while it ran, and the CPU has taken over (${firstLine(describe(cause))})`;
  const { code, message } = recloomError('RECLOOM_RUN_DEVICE_UNAVAILABLE', { device: provider, why });
  return { code, message, detail: { device: provider, fellBackTo: 'cpu' } };
}

/** What the runtime says of a device in words that tell what to do. */
function explain(provider: string, cause: unknown): string {
  const text = describe(cause);
  if (provider === 'cuda' && /Failed to load shared library/i.test(text)) return explainCuda(runtimeLibraries());
  if (/backend not found/i.test(text)) return `this build of onnxruntime-node has none for ${process.platform} ${process.arch}`;
  if (provider === 'webgpu' && /adapter/i.test(text)) {
    return 'no graphics adapter was found (a Vulkan, Metal or Direct3D 12 driver is needed; VK_DRIVER_FILES and LD_LIBRARY_PATH must be set before the process starts)';
  }
  return firstLine(text);
}

/** onnxruntime says of CUDA only that a library could not be loaded, and names the missing one on stderr at best. */
export function explainCuda(folder: string | undefined): string {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'onnxruntime-node has CUDA for Linux x64 only';
  const libraries = ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'];
  const absent = libraries.find((library) => folder === undefined || !isReadable(join(folder, library)));
  if (absent !== undefined) {
    return `${absent} is not beside onnxruntime-node: its install script, which fetches the CUDA libraries, has not run (ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install.js)`;
  }
  for (const library of libraries) {
    const missing = /(\S+\.so[\d.]*): cannot open shared object file/.exec(loadError(join(folder as string, library)) ?? '')?.[1];
    if (missing !== undefined) {
      return `${missing} was not found: CUDA 12 and cuDNN 9 must be installed, and on LD_LIBRARY_PATH before the process starts`;
    }
  }
  return 'its libraries were found but could not be loaded: CUDA 12, cuDNN 9 and a driver for them are needed';
}

/** Where onnxruntime-node keeps its native libraries. */
function runtimeLibraries(): string | undefined {
  try {
    const main = createRequire(import.meta.url).resolve('onnxruntime-node/package.json');
    return join(dirname(main), 'bin', 'napi-v6', process.platform, process.arch);
  } catch {
    return undefined;
  }
}

/** What the dynamic linker says of a library; it is no addon of Node, so that even a library that loads gives an error. */
function loadError(library: string): string | undefined {
  try {
    process.dlopen({ exports: {} }, library, 1);
    return undefined;
  } catch (error) {
    return describe(error);
  }
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/** The first line of a message, at most 300 characters, without source paths of the runtime or a full stop. */
function firstLine(text: string): string {
  const line = (text.split('\n', 1)[0] ?? '')
    .replace(/^\/onnxruntime_src\S*(?: .*?(?= (?:was false|Failed|CUDA failure|Unsupported)))?/, '')
    .trim();
  return (line.length > 300 ? `${line.slice(0, 300)}…` : line).replace(/\.$/, '');
}
