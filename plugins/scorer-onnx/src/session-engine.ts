import type { Inference, InferenceRunOptions, InferenceSession } from '@recloom/plugin-api';
import type { Engine, EngineFeeds, RunLimits, Tensors } from './engine.js';
import type { ModelOptions } from './options.js';

/**
 * A model on the workers of the host's inference service.
 *
 * @throws RECLOOM_DAT_MODEL_MISSING, RECLOOM_DAT_MODEL_INVALID, RECLOOM_RUN_DEVICE_UNAVAILABLE
 */
export async function openSession(
  inference: Inference,
  file: string,
  { device, sha256, batching, isolation }: Pick<ModelOptions, 'device' | 'sha256' | 'batching' | 'isolation'>,
  signal: AbortSignal,
): Promise<Engine> {
  const request = {
    file,
    device,
    batching,
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(isolation === undefined ? {} : { isolation }),
  };
  return new SessionEngine(await inference.load(request, signal));
}

class SessionEngine implements Engine {
  readonly copiesInputs = true;
  readonly columnInputs: ReadonlySet<string> = new Set();
  readonly takeMemory: Engine['takeMemory'];
  readonly #session: InferenceSession;

  constructor(session: InferenceSession) {
    this.#session = session;
    this.takeMemory = session.memory && ((byteLength) => session.memory?.(byteLength) ?? new ArrayBuffer(byteLength));
  }

  get device(): string {
    return this.#session.provider;
  }

  get sha256(): string {
    return this.#session.sha256 ?? '';
  }

  get inputs(): Engine['inputs'] {
    return this.#session.inputs;
  }

  get outputs(): Engine['outputs'] {
    return this.#session.outputs;
  }

  get warnings(): Engine['warnings'] {
    return this.#session.warnings;
  }

  run({ tensors, given }: EngineFeeds, _rows: number, outputs: readonly string[], { signal, deadlineMs }: RunLimits): Promise<Tensors> {
    const options: InferenceRunOptions = { outputs, signal, give: given, ...(deadlineMs === undefined ? {} : { deadlineMs }) };
    return this.#session.run(tensors, options);
  }

  close(): Promise<void> {
    return this.#session.close();
  }
}
