import type { CandidateBatch, InferenceTensor } from '@recloom/plugin-api';

/** Fills one input of a graph. */
export interface InputFiller {
  /** Name of the input in the graph. */
  readonly input: string;
  /** True: a row per candidate. False: made once per request, so that a run can serve one request only. */
  readonly perCandidate: boolean;
  /** Columns (`score.*`, `feature.*`) it reads. */
  readonly reads: readonly string[];
  /**
   * The tensor for the candidates of a batch; for one that is not `perCandidate` the batch has one request. The values lie in
   * the arena and are valid until it is given back.
   */
  fill(batch: CandidateBatch, arena: Arena): InferenceTensor;
  /** The same values as columns, where the input has some: what an engine takes that has no need of rows. */
  columns?(batch: CandidateBatch, arena: Arena): ColumnValues;
  /** Gives back what it keeps. */
  dispose?(): void;
}

/** Columns with a value per candidate, NaN where it is missing; they are read only, and valid as long as the arena is held. */
export interface ColumnValues {
  readonly values: readonly Float32Array[];
  /** What stands for a missing value. */
  readonly missing: number;
}

/** Gives at least so many bytes, with values left from before. */
export type TakeMemory = (byteLength: number) => ArrayBufferLike;

/** Buffers for the tensors and temporaries of one run after the other: whoever holds it has it alone. */
export class Arena {
  readonly #floats: Float32Array[] = [];
  readonly #longs: BigInt64Array[] = [];
  readonly #words: Int32Array[] = [];
  readonly #bytes: Uint8Array[] = [];
  #floatsTaken = 0;
  #longsTaken = 0;
  #wordsTaken = 0;
  #bytesTaken = 0;
  readonly #takeMemory: TakeMemory | undefined;
  readonly #outgoing: ArrayBufferLike[] = [];

  /** @param takeMemory where the memory of large tensors comes from, when the engine takes it away with them */
  constructor(takeMemory?: TakeMemory) {
    this.#takeMemory = takeMemory;
  }

  /** Takes everything back for the next run. */
  reset(): void {
    this.#floatsTaken = 0;
    this.#longsTaken = 0;
    this.#wordsTaken = 0;
    this.#bytesTaken = 0;
    this.#outgoing.length = 0;
  }

  /** `length` floats for a tensor, with values left from before; they may be the engine's to take away. */
  outgoing(length: number): Float32Array {
    if (this.#takeMemory === undefined) return this.floats(length);
    const floats = new Float32Array(this.#takeMemory(4 * length), 0, length);
    this.#outgoing.push(floats.buffer);
    return floats;
  }

  /** Whether a tensor's values are the engine's to take away. */
  isOutgoing({ data }: InferenceTensor): boolean {
    return this.#outgoing.includes(data.buffer);
  }

  /** `length` floats with values left from before. */
  floats(length: number): Float32Array {
    const place = this.#floatsTaken++;
    const kept = this.#floats[place];
    if (kept !== undefined && kept.length >= length) return kept.length === length ? kept : kept.subarray(0, length);
    const fresh = new Float32Array(capacity(length));
    this.#floats[place] = fresh;
    return fresh.subarray(0, length);
  }

  longs(length: number): BigInt64Array {
    const place = this.#longsTaken++;
    const kept = this.#longs[place];
    if (kept !== undefined && kept.length >= length) return kept.subarray(0, length);
    const fresh = new BigInt64Array(capacity(length));
    this.#longs[place] = fresh;
    return fresh.subarray(0, length);
  }

  words(length: number): Int32Array {
    const place = this.#wordsTaken++;
    const kept = this.#words[place];
    if (kept !== undefined && kept.length >= length) return kept.subarray(0, length);
    const fresh = new Int32Array(capacity(length));
    this.#words[place] = fresh;
    return fresh.subarray(0, length);
  }

  bytes(length: number): Uint8Array {
    const place = this.#bytesTaken++;
    const kept = this.#bytes[place];
    if (kept !== undefined && kept.length >= length) return kept.subarray(0, length);
    const fresh = new Uint8Array(capacity(length));
    this.#bytes[place] = fresh;
    return fresh.subarray(0, length);
  }

  /** Bytes held. */
  get byteLength(): number {
    return [...this.#floats, ...this.#longs, ...this.#words, ...this.#bytes].reduce((sum, buffer) => sum + buffer.byteLength, 0);
  }
}

/** A quarter more than asked for, so that lists of slightly different lengths share a buffer. */
function capacity(length: number): number {
  return length + (length >> 2);
}

/** Arenas that are not in use: concurrent requests have one each, and the next ones find them again. */
export class ArenaPool {
  readonly #takeMemory: TakeMemory | undefined;
  readonly #free: Arena[] = [];

  constructor(takeMemory?: TakeMemory) {
    this.#takeMemory = takeMemory;
  }

  take(): Arena {
    return this.#free.pop() ?? new Arena(this.#takeMemory);
  }

  /** One that grew beyond 64 MiB, or a ninth, is left to the garbage collector. */
  give(arena: Arena): void {
    arena.reset();
    if (this.#free.length < 8 && arena.byteLength <= 64 * 1024 * 1024) this.#free.push(arena);
  }
}
