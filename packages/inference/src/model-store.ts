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
import { discard, invalid, readModelSource } from './model-source.js';
import type { OpenedModel, OpenModel } from './protocol.js';
import { createSession, fallbackWarning } from './providers.js';
import { ownBuffer, TensorMemory } from './tensor-memory.js';
import { zeroFeeds } from './warm-up.js';

/** The version of onnxruntime-node this package is tested with; errors about a missing library name it. */
export const runtimeRange = '1.30.0';

interface LoadedSession {
  session: onnxruntime.InferenceSession;
  opened: OpenedModel;
  readonly model: OpenModel;
  /** Keys of the host that share this session. */
  readonly keys: Set<string>;
}

/** What a run gave. */
export interface StoreAnswer {
  /** The receiver owns them; their buffers can be transferred. */
  readonly outputs: Record<string, InferenceTensor>;
  /** The model's device failed, and the CPU gave the outputs and will from now on. */
  readonly fellBack: Warning | undefined;
}

/** The models of one worker. The only file that imports onnxruntime, and only ever inside a worker. */
export class ModelStore {
  readonly #importRuntime: () => Promise<unknown>;
  readonly #memory = new TensorMemory(ownBuffer);
  #runtime: Promise<typeof onnxruntime> | undefined;
  #tensors: typeof onnxruntime.Tensor | undefined;
  /** By content. */
  readonly #sessions = new Map<string, LoadedSession>();
  readonly #byKey = new Map<string, LoadedSession>();

  /** @param runtimeModule the module to import; anything but `onnxruntime-node` is for tests. */
  constructor(runtimeModule = 'onnxruntime-node') {
    this.#importRuntime = () => import(runtimeModule);
  }

  /**
   * Reads, verifies, loads and warms up a model; equal content on equal devices is loaded once.
   *
   * @throws RECLOOM_DAT_MODEL_MISSING, RECLOOM_DAT_MODEL_INVALID, RECLOOM_DAT_MODEL_MISFIT, RECLOOM_DAT_MODEL_TOO_LARGE,
   * RECLOOM_RUN_DEVICE_UNAVAILABLE, RECLOOM_PLG_LIBRARY_MISSING
   */
  async open(model: OpenModel): Promise<OpenedModel> {
    const present = this.#byKey.get(model.key);
    if (present !== undefined) return present.opened;
    const loaded = await this.#load(model);
    loaded.keys.add(model.key);
    this.#byKey.set(model.key, loaded);
    return loaded.opened;
  }

  /**
   * Runs a model that was opened. When another device than the CPU fails, the CPU tries the same inputs: where it
   * succeeds the device was at fault and is given up, where it fails as well the inputs or the graph were.
   *
   * @throws RECLOOM_RUN_MODEL_FAILED
   */
  async run(key: string, feeds: Readonly<Record<string, InferenceTensor>>, outputs: readonly string[]): Promise<StoreAnswer> {
    const loaded = this.#byKey.get(key);
    if (loaded === undefined) throw failed('it is not loaded');
    try {
      return { outputs: await this.#compute(loaded.session, feeds, outputs), fellBack: undefined };
    } catch (cause) {
      if (loaded.opened.provider === 'cpu') throw computationFailed(cause);
      const session = await this.#onCpu(loaded);
      let results: Record<string, InferenceTensor>;
      try {
        results = await this.#compute(session, feeds, outputs);
      } catch (same) {
        await session.release();
        throw computationFailed(same);
      }
      const fellBack = fallbackWarning(loaded.opened.provider, cause);
      await this.#replace(loaded, session, fellBack);
      return { outputs: results, fellBack };
    }
  }

  /** Moves a model to the CPU, since its device failed in another worker. */
  async useCpu(key: string): Promise<void> {
    const loaded = this.#byKey.get(key);
    if (loaded === undefined || loaded.opened.provider === 'cpu') return;
    await this.#replace(loaded, await this.#onCpu(loaded), undefined);
  }

  /** Forgets a key; the session goes when no key uses it. */
  async release(key: string): Promise<void> {
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
    const { source, sha256, content, bytes, batchDependent } = await readModelSource(model);
    const shared = this.#sessions.get(content);
    if (shared !== undefined) return shared;
    const runtime = await this.#loadRuntime();
    const { session, provider, warnings } = await createSession(runtime, source, model.devices);
    // The runtime has copies of its own; a worker makes so little garbage that these would stay for a long time.
    if (typeof source !== 'string') discard(source);
    const inputs = describeTensors(session.inputMetadata);
    const unsupported = inputs.find((input) => !isElementType(input.type));
    if (unsupported !== undefined) {
      await session.release();
      throw invalid(`its input "${unsupported.name}" has the type ${unsupported.type}, which is not supported`);
    }
    const opened: OpenedModel = {
      sha256,
      content,
      bytes,
      inputs,
      outputs: describeTensors(session.outputMetadata),
      provider,
      warnings,
      batchDependent,
      warmedUp: undefined,
    };
    const loaded: LoadedSession = { session, opened, model, keys: new Set() };
    await this.#warmUp(loaded);
    this.#sessions.set(content, loaded);
    return loaded;
  }

  /** One run on zeros, so that the first call does not pay for the runtime's own preparations. What a graph refuses here, a call may still do. */
  async #warmUp(loaded: LoadedSession): Promise<void> {
    const { warmUpRows } = loaded.model;
    const feeds = warmUpRows > 0 ? zeroFeeds(loaded.opened.inputs, warmUpRows) : undefined;
    if (feeds === undefined) return;
    const outputs = loaded.opened.outputs.flatMap((info) => (isElementType(info.type) ? [info.name] : []));
    try {
      const results = await this.#compute(loaded.session, feeds, outputs);
      const warmedUp = Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensor.dims]));
      loaded.opened = { ...loaded.opened, warmedUp };
    } catch {
      // Zeros are no valid input for every graph.
    }
  }

  async #compute(
    session: onnxruntime.InferenceSession,
    feeds: Readonly<Record<string, InferenceTensor>>,
    outputs: readonly string[],
  ): Promise<Record<string, InferenceTensor>> {
    const Tensor = this.#tensors ?? (await this.#loadRuntime()).Tensor;
    this.#tensors = Tensor;
    const tensors: Record<string, onnxruntime.Tensor> = {};
    const copies: ArrayBufferLike[] = [];
    for (const name of Object.keys(feeds)) {
      const { type, dims, data } = feeds[name] as InferenceTensor;
      // The runtime takes no shared memory.
      const shared = data.buffer instanceof SharedArrayBuffer;
      const own = shared ? this.#memory.copyOf(type, data) : data;
      if (shared) copies.push(own.buffer);
      tensors[name] = new Tensor(type, own as never, dims);
    }
    const results = await session.run(tensors, [...outputs]);
    for (const buffer of copies) this.#memory.give(buffer);
    const plain: Record<string, InferenceTensor> = Object.create(null) as Record<string, InferenceTensor>;
    for (const name of outputs) {
      const result = results[name];
      if (result === undefined || !isElementType(result.type)) {
        throw failed(`the output "${name}" has the type ${result?.type ?? 'none'}, which is not supported`);
      }
      const data = result.data as InferenceTensor['data'];
      plain[name] = { type: result.type, dims: [...result.dims], data: data.byteLength === data.buffer.byteLength ? data : data.slice() };
    }
    return plain;
  }

  /** A second session of a model, on the CPU. @throws RECLOOM_RUN_MODEL_FAILED when the file is gone or another one by now. */
  async #onCpu(loaded: LoadedSession): Promise<onnxruntime.InferenceSession> {
    const devices: InferenceDevice[] = ['cpu'];
    try {
      const { source } = await readModelSource({ ...loaded.model, sha256: loaded.opened.sha256, devices });
      return (await createSession(await this.#loadRuntime(), source, devices)).session;
    } catch (cause) {
      throw failed('its device failed, and it could not be loaded on the CPU', cause);
    }
  }

  async #replace(loaded: LoadedSession, session: onnxruntime.InferenceSession, warning: Warning | undefined): Promise<void> {
    const broken = loaded.session;
    loaded.session = session;
    const { opened } = loaded;
    loaded.opened = { ...opened, provider: 'cpu', warnings: warning === undefined ? opened.warnings : [...opened.warnings, warning] };
    // A device that failed may fail at this as well.
    await broken.release().catch(() => {});
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
export const outputBuffers = buffersOf as (outputs: Readonly<Record<string, InferenceTensor>>) => ArrayBuffer[];

function describeTensors(metadata: readonly onnxruntime.InferenceSession.ValueMetadata[]): InferenceTensorInfo[] {
  return metadata.map((info) =>
    info.isTensor ? { name: info.name, type: info.type, dims: [...info.shape] } : { name: info.name, type: 'not a tensor', dims: [] },
  );
}

function failed(why: string, cause?: unknown): Error {
  return recloomError('RECLOOM_RUN_MODEL_FAILED', { why }, { cause });
}

/** The runtime's own message can quote values of the inputs, so it travels only as the cause. */
function computationFailed(cause: unknown): Error {
  const coded = (cause as { code?: unknown }).code === 'RECLOOM_RUN_MODEL_FAILED';
  return coded ? (cause as Error) : failed('the runtime refused the inputs or a computation in the graph', cause);
}
