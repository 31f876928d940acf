import { type BackgroundWork, type Inference, isRecloomError } from '@recloom/plugin-api';
import { findPictureLibrary } from './picture-decoder.js';
import { PictureError } from './picture-fault.js';
import { sniffPicture } from './picture-format.js';
import type { DecodedPicture, PictureSettings } from './picture-module.js';
import type { Preprocessing } from './preprocessing.js';
import { SharedBytes } from './shared-bytes.js';
import { Slots } from './slots.js';

/** What one picture may cost before it is given up. */
export interface DecoderLimits {
  readonly maximumPixels: number;
  readonly maximumBytes: number;
  readonly timeoutMs: number;
  readonly damaged: 'refuse' | 'accept';
  readonly parallelDecodes: number;
  readonly blockLoaders: boolean;
}

/** Gives at least so many bytes. */
export type TakeMemory = (byteLength: number) => ArrayBufferLike;

/**
 * Turns encoded pictures into the numbers a vision tower takes, on the background thread of the inference service; on this thread
 * where the service has none.
 */
export class BackgroundDecoder {
  readonly #work: BackgroundWork;
  readonly #limits: DecoderLimits;
  /** Numbers of a picture. */
  readonly #length: number;
  readonly #slots: Slots;
  readonly #memory: SharedBytes | undefined;

  private constructor(
    work: BackgroundWork,
    limits: DecoderLimits,
    { cropWidth, cropHeight }: Preprocessing,
    memory: SharedBytes | undefined,
  ) {
    this.#work = work;
    this.#limits = limits;
    this.#length = 3 * cropWidth * cropHeight;
    this.#slots = new Slots(limits.parallelDecodes);
    this.#memory = memory;
  }

  /** @throws RECLOOM_PLG_LIBRARY_MISSING, RECLOOM_RUN_WORKER_DIED */
  static async open(inference: Inference, limits: DecoderLimits, preprocessing: Preprocessing): Promise<BackgroundDecoder> {
    const { maximumPixels, timeoutMs, damaged, blockLoaders } = limits;
    const settings = {
      library: await findPictureLibrary(),
      maximumPixels,
      timeoutMs,
      damaged,
      blockLoaders,
      preprocessing: JSON.stringify(preprocessing),
    } satisfies PictureSettings;
    if (inference.background === undefined) return new BackgroundDecoder(await openHere(settings), limits, preprocessing, undefined);
    const work = await inference.background({ module: moduleUrl(), settings, overlapping: true });
    return new BackgroundDecoder(work, limits, preprocessing, new SharedBytes());
  }

  /**
   * The three planes of a picture, one after the other, in memory from `takeMemory` or from here: 3 × crop height × crop width. The
   * caller owns them; `bytes` must not change meanwhile.
   *
   * @throws PictureError for a picture that cannot be used, and the signal's reason
   */
  async decode(bytes: Uint8Array, takeMemory: TakeMemory, signal: AbortSignal): Promise<Float32Array> {
    if (bytes.length > this.#limits.maximumBytes) throw new PictureError('tooManyBytes');
    sniffPicture(bytes);
    return new Promise((resolve, reject) => {
      // Native work cannot be stopped at once: the caller is answered, the slot is held until it has ended.
      let timer: NodeJS.Timeout | undefined;
      const onAbort = (): void => reject(signal.reason as Error);
      const settle = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#slots
        .run(signal, () => {
          timer = setTimeout(() => reject(new PictureError('timeout')), this.#limits.timeoutMs);
          return this.#decode(bytes, takeMemory);
        })
        .then(resolve, reject)
        .finally(settle);
    });
  }

  /** Gives the decoder back. Idempotent. */
  close(): Promise<void> {
    return this.#work.close();
  }

  async #decode(bytes: Uint8Array, takeMemory: TakeMemory): Promise<Float32Array> {
    const planes = new Float32Array(takeMemory(4 * this.#length), 0, this.#length);
    const seenByBoth = this.#memory === undefined || planes.buffer instanceof SharedArrayBuffer ? planes : undefined;
    const lent = await this.#memory?.lend(bytes);
    try {
      const found = await this.#call(lent ?? bytes, seenByBoth);
      if ('fault' in found) throw new PictureError(found.fault);
      return found.planes ?? planes;
    } finally {
      if (lent !== undefined) this.#memory?.takeBack(lent);
    }
  }

  async #call(...parameters: [bytes: Uint8Array, planes: Float32Array | undefined]): Promise<DecodedPicture> {
    try {
      return (await this.#work.call('decode', ...parameters)) as DecodedPicture;
    } catch (error) {
      // A thread that died is replaced: one more try saves a build of minutes.
      if (!isRecloomError(error) || error.code !== 'RECLOOM_RUN_WORKER_DIED') throw error;
      return (await this.#work.call('decode', ...parameters)) as DecodedPicture;
    }
  }
}

/** Under vitest this file runs from `src`, and a worker thread takes JavaScript only: `dist` has it. */
function moduleUrl(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? '../dist/picture-module.js' : './picture-module.js', import.meta.url);
}

/** The decoder on this thread. */
async function openHere(settings: PictureSettings): Promise<BackgroundWork> {
  const { open } = await import('./picture-module.js');
  const opened = await open(settings);
  return {
    call: (_, ...parameters) => opened.decode(...(parameters as Parameters<typeof opened.decode>)),
    close: async () => {},
  };
}
