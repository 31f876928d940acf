import { type InferenceRunOptions, type InferenceSession, type InferenceTensor, recloomError } from '@recloom/plugin-api';
import { checkFeeds, checkOutputs } from './feeds.js';
import type { ModelEntry } from './model-cache.js';
import type { SharingLimits } from './sharing.js';
import type { TensorMemory } from './tensor-memory.js';

/** One caller's use of a loaded model. */
export class SharedSession implements InferenceSession {
  readonly inputs: InferenceSession['inputs'];
  readonly outputs: InferenceSession['outputs'];
  readonly sha256: string;
  readonly batchDependent: boolean;
  readonly #entry: ModelEntry;
  readonly #sharing: SharingLimits | undefined;
  readonly #memory: TensorMemory;
  readonly #allOutputs: readonly string[];
  readonly #keep: () => void;
  readonly #leave: () => void;
  #closed = false;

  /**
   * @param memory where inputs are copied to
   * @param keep takes one more reference to the entry
   * @param leave gives one back; the session has one from the start
   */
  constructor(entry: ModelEntry, sharing: SharingLimits | undefined, memory: TensorMemory, keep: () => void, leave: () => void) {
    this.#entry = entry;
    this.#sharing = sharing;
    this.#memory = memory;
    this.#keep = keep;
    this.#leave = leave;
    const { opened } = entry;
    this.inputs = opened.inputs;
    this.outputs = opened.outputs;
    this.#allOutputs = opened.outputs.map((output) => output.name);
    this.sha256 = opened.sha256;
    this.batchDependent = opened.batchDependent;
  }

  get provider(): string {
    return (this.#entry.model.opened ?? this.#entry.opened).provider;
  }

  get warnings(): InferenceSession['warnings'] {
    return (this.#entry.model.opened ?? this.#entry.opened).warnings;
  }

  get parallelRuns(): number {
    return this.#entry.pool.parallelRunsOf(this.#entry.model);
  }

  memory(byteLength: number): ArrayBufferLike {
    return this.#memory.take(byteLength);
  }

  run(feeds: Readonly<Record<string, InferenceTensor>>, options: InferenceRunOptions = {}): Promise<Record<string, InferenceTensor>> {
    try {
      if (this.#closed) throw recloomError('RECLOOM_RUN_CLOSED', {});
      checkFeeds(this.inputs, feeds);
      const { outputs = this.#allOutputs, signal, deadlineMs, give } = options;
      if (outputs !== this.#allOutputs) checkOutputs(this.outputs, outputs);
      const { model, pool } = this.#entry;
      this.#keep();
      // The pool gives the reference back, whatever comes of the call.
      return pool.run({ model, feeds, give, outputs, sharing: this.#sharing, signal, deadlineMs, ended: this.#leave });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#leave();
  }
}
