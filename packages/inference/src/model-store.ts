import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename, dirname, isAbsolute, resolve, sep } from 'node:path';
import {
  type InferenceDevice,
  type InferenceTensor,
  type InferenceTensorInfo,
  importLibrary,
  recloomError,
  type Warning,
} from '@recloom/plugin-api';
import type * as onnxruntime from 'onnxruntime-node';
import { buffersOf, isElementType } from './feeds.js';
import { type OnnxFacts, readOnnxFacts } from './onnx-facts.js';
import { describe, type OpenedModel, type OpenModel } from './protocol.js';
import { quantiseByRow } from './row-quantisation.js';

/** The version of onnxruntime-node this package is tested with; errors about a missing library name it. */
export const runtimeRange = '1.30.0';

interface LoadedSession {
  readonly session: onnxruntime.InferenceSession;
  readonly opened: OpenedModel;
  /** Keys of the host that share this session. */
  readonly keys: Set<string>;
}

/** The models of one worker. The only file that touches onnxruntime, and only ever inside a worker. */
export class ModelStore {
  readonly #importRuntime: () => Promise<unknown>;
  #runtime: Promise<typeof onnxruntime> | undefined;
  /** By content hash and devices. */
  readonly #sessions = new Map<string, LoadedSession>();
  readonly #byKey = new Map<string, LoadedSession>();
  /** Why a key could not be opened, for runs that were queued behind its opening. */
  readonly #failed = new Map<string, unknown>();

  /** @param runtimeModule the module to import; anything but `onnxruntime-node` is for tests. */
  constructor(runtimeModule = 'onnxruntime-node') {
    this.#importRuntime = () => import(runtimeModule);
  }

  /**
   * Reads, verifies and loads a model; equal content on equal devices is loaded once.
   *
   * @throws RECLOOM_DAT_MODEL_MISSING, RECLOOM_DAT_MODEL_INVALID, RECLOOM_RUN_DEVICE_UNAVAILABLE, RECLOOM_PLG_LIBRARY_MISSING
   */
  async open(model: OpenModel): Promise<OpenedModel> {
    const present = this.#byKey.get(model.key);
    if (present !== undefined) return present.opened;
    try {
      const loaded = await this.#load(model);
      loaded.keys.add(model.key);
      this.#byKey.set(model.key, loaded);
      this.#failed.delete(model.key);
      return loaded.opened;
    } catch (error) {
      this.#failed.set(model.key, error);
      throw error;
    }
  }

  /**
   * Runs a model that was opened. The caller owns the outputs; their buffers can be transferred.
   *
   * @throws RECLOOM_RUN_MODEL_FAILED, and whatever opening the model threw.
   */
  async run(
    key: string,
    feeds: Readonly<Record<string, InferenceTensor>>,
    outputs: readonly string[],
  ): Promise<Record<string, InferenceTensor>> {
    const loaded = this.#byKey.get(key);
    if (loaded === undefined) throw this.#failed.get(key) ?? recloomError('RECLOOM_RUN_MODEL_FAILED', { why: 'it is not loaded' });
    const { Tensor } = await this.#loadRuntime();
    const tensors: Record<string, onnxruntime.Tensor> = {};
    for (const [name, feed] of Object.entries(feeds)) tensors[name] = new Tensor(feed.type, feed.data as never, feed.dims);
    let results: onnxruntime.InferenceSession.OnnxValueMapType;
    try {
      results = await loaded.session.run(tensors, [...outputs]);
    } catch (cause) {
      // The runtime's own message can quote values of the inputs, so it travels only as the cause.
      throw recloomError('RECLOOM_RUN_MODEL_FAILED', { why: 'the runtime refused the inputs or a computation in the graph' }, { cause });
    }
    const plain: Record<string, InferenceTensor> = Object.create(null) as Record<string, InferenceTensor>;
    for (const name of outputs) {
      const result = results[name];
      if (result === undefined || !isElementType(result.type)) {
        throw recloomError('RECLOOM_RUN_MODEL_FAILED', {
          why: `the output "${name}" has the type ${result?.type ?? 'none'}, which is not supported`,
        });
      }
      const data = result.data as InferenceTensor['data'];
      plain[name] = { type: result.type, dims: [...result.dims], data: data.byteLength === data.buffer.byteLength ? data : data.slice() };
    }
    return plain;
  }

  /** Forgets a key; the session goes when no key uses it. */
  async release(key: string): Promise<void> {
    this.#failed.delete(key);
    const loaded = this.#byKey.get(key);
    if (loaded === undefined) return;
    this.#byKey.delete(key);
    loaded.keys.delete(key);
    if (loaded.keys.size > 0) return;
    for (const [name, other] of this.#sessions) if (other === loaded) this.#sessions.delete(name);
    await loaded.session.release();
  }

  /** Releases every session. */
  async close(): Promise<void> {
    for (const key of this.#byKey.keys()) await this.release(key);
  }

  /** How many sessions are loaded. */
  get size(): number {
    return this.#sessions.size;
  }

  async #load(model: OpenModel): Promise<LoadedSession> {
    const bytes = await readModel(model.file);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    if (model.sha256 !== undefined && model.sha256.toLowerCase() !== sha256) {
      throw invalid(`${basename(model.file)} has the sha256 ${sha256}, not the pinned ${model.sha256}`);
    }
    const identity = `${sha256} ${model.devices.join(' ')} ${model.independentRows}`;
    const shared = this.#sessions.get(identity);
    if (shared !== undefined) return shared;
    const facts = readFacts(bytes, model.file);
    checkExternalData(facts.externalData, model.file);
    const external = facts.externalData.length > 0;
    const rewritten = model.independentRows && facts.batchDependent && !external ? quantiseByRow(bytes) : undefined;
    const batchDependent = rewritten === undefined ? facts.batchDependent : readOnnxFacts(rewritten).batchDependent;
    const runtime = await this.#loadRuntime();
    // Tensors beside the file are found by the runtime only when it is given a path; otherwise the very bytes that were hashed are loaded.
    const source = external ? model.file : (rewritten ?? bytes);
    const { session, provider, warnings } = await createSession(runtime, source, model);
    const inputs = describeTensors(session.inputMetadata);
    const unsupported = inputs.find((input) => !isElementType(input.type));
    if (unsupported !== undefined) {
      await session.release();
      throw invalid(`its input "${unsupported.name}" has the type ${unsupported.type}, which is not supported`);
    }
    const loaded: LoadedSession = {
      session,
      keys: new Set(),
      opened: {
        sha256,
        inputs,
        outputs: describeTensors(session.outputMetadata),
        provider,
        warnings,
        batchDependent,
      },
    };
    this.#sessions.set(identity, loaded);
    return loaded;
  }

  #loadRuntime(): Promise<typeof onnxruntime> {
    this.#runtime ??= importLibrary('onnxruntime-node', runtimeRange, async () => {
      const module = (await this.#importRuntime()) as typeof onnxruntime & { default?: typeof onnxruntime };
      const runtime = module.default ?? module;
      // What fails is thrown and coded; the runtime's own lines on stderr would only say it twice.
      runtime.env.logLevel = 'fatal';
      return runtime;
    });
    // A failure is not kept: the library may be there at the next try.
    this.#runtime.catch(() => {
      this.#runtime = undefined;
    });
    return this.#runtime;
  }
}

/** Transferable buffers of a run's outputs. */
export const outputBuffers: (outputs: Readonly<Record<string, InferenceTensor>>) => ArrayBuffer[] = buffersOf;

/**
 * The devices to try, in order: `auto` stands for CUDA, DirectML on Windows, Core ML on macOS, and the CPU last.
 * WebGPU is tried only when it is named, since a software driver would be taken for a GPU.
 */
export function expandDevices(devices: readonly InferenceDevice[], platform: NodeJS.Platform = process.platform): readonly string[] {
  const expanded: string[] = [];
  for (const device of devices) {
    if (device !== 'auto') expanded.push(device);
    else if (platform === 'win32') expanded.push('cuda', 'dml', 'cpu');
    else if (platform === 'darwin') expanded.push('coreml', 'cpu');
    else expanded.push('cuda', 'cpu');
  }
  return [...new Set(expanded)];
}

async function createSession(
  runtime: typeof onnxruntime,
  source: Uint8Array | string,
  model: OpenModel,
): Promise<{ session: onnxruntime.InferenceSession; provider: string; warnings: readonly Warning[] }> {
  const warnings: Warning[] = [];
  const problems: ReturnType<typeof recloomError>[] = [];
  for (const provider of expandDevices(model.devices)) {
    try {
      const options: onnxruntime.InferenceSession.SessionOptions = {
        executionProviders: [provider],
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
        logSeverityLevel: 4,
      };
      const session =
        typeof source === 'string'
          ? await runtime.InferenceSession.create(source, options)
          : await runtime.InferenceSession.create(source, options);
      return { session, provider, warnings };
    } catch (cause) {
      // The CPU takes every model the runtime can read at all: its refusal is about the model.
      if (provider === 'cpu') throw invalid(describe(cause).replace(/\.$/, ''), cause);
      const problem = recloomError('RECLOOM_RUN_DEVICE_UNAVAILABLE', { device: provider, why: firstLine(describe(cause)) }, { cause });
      problems.push(problem);
      warnings.push({ code: problem.code, message: problem.message, detail: { device: provider } });
    }
  }
  const [only] = problems;
  if (problems.length === 1 && only !== undefined) throw only;
  throw recloomError(
    'RECLOOM_RUN_DEVICE_UNAVAILABLE',
    { device: model.devices.join(', '), why: 'none of them is available' },
    { problems },
  );
}

async function readModel(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw recloomError('RECLOOM_DAT_MODEL_MISSING', { reference: basename(file), tried: file }, { cause });
    }
    throw invalid(`${basename(file)} cannot be read (${code ?? describe(cause)})`, cause);
  }
}

function readFacts(bytes: Uint8Array, file: string): OnnxFacts {
  try {
    return readOnnxFacts(bytes);
  } catch (cause) {
    throw invalid(`${basename(file)} is not a complete ONNX file: ${describe(cause)}`, cause);
  }
}

/** External tensors must lie in the model's own folder: a model must not be able to read other files. */
function checkExternalData(locations: readonly string[], file: string): void {
  const folder = dirname(file);
  for (const location of locations) {
    if (isAbsolute(location) || !resolve(folder, location).startsWith(folder.endsWith(sep) ? folder : folder + sep)) {
      throw invalid('it refers to tensor data outside its own folder');
    }
  }
}

function describeTensors(metadata: readonly onnxruntime.InferenceSession.ValueMetadata[]): InferenceTensorInfo[] {
  return metadata.map((info) =>
    info.isTensor ? { name: info.name, type: info.type, dims: [...info.shape] } : { name: info.name, type: 'not a tensor', dims: [] },
  );
}

function firstLine(text: string): string {
  const line = text.split('\n', 1)[0] ?? '';
  return (line.length > 300 ? `${line.slice(0, 300)}…` : line).replace(/\.$/, '');
}

function invalid(why: string, cause?: unknown): Error {
  return recloomError('RECLOOM_DAT_MODEL_INVALID', { why }, { cause });
}
