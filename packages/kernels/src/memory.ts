import { KernelError } from './kernel-error.js';
import { type SharedWasmMemory, wasmApi } from './web-assembly.js';

/** A typed array that kernels accept. */
export type KernelArray = Float32Array | Float64Array | Int32Array | Uint32Array | Int16Array | Int8Array | Uint8Array;

export const pageBytes = 65_536;
/** The first page stays free, so that pointer 0 can mean "absent". */
const firstFreeByte = pageBytes;
const growthBytes = 16 * 1024 * 1024;
const scratchBytes = 1024 * 1024;
export const alignmentBytes = 64;

interface Hole {
  begin: number;
  end: number;
}

/** What a worker thread needs to see the same bytes. */
export type MemoryHandle = SharedWasmMemory | SharedArrayBuffer;

interface Backing {
  readonly handle: MemoryHandle;
  buffer(): SharedArrayBuffer;
  /** Makes at least this many bytes addressable, or returns false. */
  grow(bytes: number): boolean;
}

function wasmBacking(maximumBytes: number): Backing {
  const api = wasmApi();
  if (api === undefined) {
    throw new KernelError('RECLOOM_KRN_UNAVAILABLE', 'WebAssembly is switched off in this process.');
  }
  let pages = Math.floor(maximumBytes / pageBytes);
  let memory: SharedWasmMemory | undefined;
  let refused: unknown;
  // A shared memory reserves its maximum as address space; under `ulimit -v` that can be refused.
  while (memory === undefined && pages >= 256) {
    try {
      memory = new api.Memory({ initial: 2, maximum: pages, shared: true });
    } catch (error) {
      refused = error;
      pages = pages >> 1;
    }
  }
  if (memory === undefined) {
    throw new KernelError('RECLOOM_KRN_OUT_OF_MEMORY', 'No shared WebAssembly memory could be reserved.', {
      hint: 'Raise the address space limit (ulimit -v) or lower maximumBytes.',
      cause: refused,
    });
  }
  const shared = memory;
  return {
    handle: shared,
    buffer: () => shared.buffer,
    grow(bytes) {
      const missing = Math.ceil((bytes - shared.buffer.byteLength) / pageBytes);
      if (missing <= 0) return true;
      try {
        shared.grow(missing);
        return true;
      } catch {
        return false;
      }
    },
  };
}

interface GrowableSharedArrayBuffer extends SharedArrayBuffer {
  grow(bytes: number): void;
}

function plainBacking(maximumBytes: number): Backing {
  const Growable = SharedArrayBuffer as unknown as new (bytes: number, options: { maxByteLength: number }) => GrowableSharedArrayBuffer;
  let limit = maximumBytes;
  let buffer: GrowableSharedArrayBuffer | undefined;
  let refused: unknown;
  while (buffer === undefined && limit >= 256 * pageBytes) {
    try {
      buffer = new Growable(2 * pageBytes, { maxByteLength: limit });
    } catch (error) {
      refused = error;
      limit = Math.floor(limit / 2);
    }
  }
  if (buffer === undefined) {
    throw new KernelError('RECLOOM_KRN_OUT_OF_MEMORY', 'No shared memory could be reserved.', {
      hint: 'Raise the address space limit (ulimit -v) or lower maximumBytes.',
      cause: refused,
    });
  }
  const shared = buffer;
  return {
    handle: shared,
    buffer: () => shared,
    grow(bytes) {
      try {
        if (bytes > shared.byteLength) shared.grow(Math.ceil(bytes / pageBytes) * pageBytes);
        return true;
      } catch {
        return false;
      }
    },
  };
}

/**
 * One growing shared memory with a best-fit allocator (64-byte alignment) and a small scratch stack
 * for arguments that have to be copied in. Growth never detaches or moves a view. Only the thread
 * that owns the instance may allocate.
 */
export class KernelMemory {
  readonly #backing: Backing;
  readonly #known = new WeakSet<object>();
  readonly #sizes = new Map<number, number>();
  readonly #holes: Hole[] = [];
  readonly #overflow: number[] = [];
  /** Bytes from here on were never handed out, so they are still zero. */
  #frontier = firstFreeByte;
  #bytesInUse = 0;
  #lastBuffer: SharedArrayBuffer | undefined;
  #scratchBegin = 0;
  #scratchUsed = 0;

  constructor(kind: 'wasm' | 'plain', maximumBytes: number) {
    this.#backing = kind === 'wasm' ? wasmBacking(maximumBytes) : plainBacking(maximumBytes);
  }

  get handle(): MemoryHandle {
    return this.#backing.handle;
  }

  /** Bytes handed out by `allocate` and not released yet. */
  get bytesInUse(): number {
    return this.#bytesInUse;
  }

  /** The current buffer; a later one covers the same bytes and more. */
  get buffer(): SharedArrayBuffer {
    const buffer = this.#backing.buffer();
    if (buffer !== this.#lastBuffer) {
      this.#lastBuffer = buffer;
      this.#known.add(buffer);
    }
    return buffer;
  }

  isResident(view: KernelArray): boolean {
    return this.#known.has(view.buffer);
  }

  /**
   * Reserves bytes at a 64-byte boundary and returns their address.
   * @throws RECLOOM_KRN_OUT_OF_MEMORY
   */
  allocate(bytes: number, zeroed: boolean): number {
    const size = Math.max(alignmentBytes, Math.ceil(bytes / alignmentBytes) * alignmentBytes);
    let best = -1;
    let bestSize = Number.POSITIVE_INFINITY;
    for (let index = 0; index < this.#holes.length; index++) {
      const hole = this.#holes[index] as Hole;
      const available = hole.end - hole.begin;
      if (available >= size && available < bestSize) {
        best = index;
        bestSize = available;
      }
    }
    let address: number;
    if (best >= 0) {
      const hole = this.#holes[best] as Hole;
      address = hole.begin;
      hole.begin += size;
      if (hole.begin === hole.end) this.#holes.splice(best, 1);
      if (zeroed) new Uint8Array(this.buffer, address, size).fill(0);
    } else {
      address = this.#frontier;
      this.#ensure(address + size);
      this.#frontier = address + size;
    }
    this.#sizes.set(address, size);
    this.#bytesInUse += size;
    return address;
  }

  /** Gives back what `allocate` returned; unknown addresses are ignored, so it may be repeated. */
  release(address: number): void {
    const size = this.#sizes.get(address);
    if (size === undefined) return;
    this.#sizes.delete(address);
    this.#bytesInUse -= size;
    const holes = this.#holes;
    let low = 0;
    let high = holes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((holes[middle] as Hole).begin < address) low = middle + 1;
      else high = middle;
    }
    const before = holes[low - 1];
    const after = holes[low];
    const end = address + size;
    if (before?.end === address && after?.begin === end) {
      before.end = after.end;
      holes.splice(low, 1);
    } else if (before?.end === address) {
      before.end = end;
    } else if (after?.begin === end) {
      after.begin = address;
    } else {
      holes.splice(low, 0, { begin: address, end });
    }
  }

  /** The position of the scratch stack; hand it to `resetScratch` when the call is over. */
  markScratch(): number {
    return this.#scratchUsed;
  }

  /** Takes uninitialised bytes from the scratch stack (large pieces from the allocator). */
  takeScratch(bytes: number): number {
    if (this.#scratchBegin === 0) {
      this.#scratchBegin = this.allocate(scratchBytes, false);
      this.#bytesInUse -= scratchBytes;
    }
    const size = Math.ceil(bytes / alignmentBytes) * alignmentBytes;
    if (this.#scratchUsed + size <= scratchBytes) {
      const address = this.#scratchBegin + this.#scratchUsed;
      this.#scratchUsed += size;
      return address;
    }
    const address = this.allocate(bytes, false);
    this.#overflow.push(address);
    return address;
  }

  resetScratch(mark: number): void {
    this.#scratchUsed = mark;
    if (mark === 0 && this.#overflow.length > 0) {
      for (const address of this.#overflow) this.release(address);
      this.#overflow.length = 0;
    }
  }

  #ensure(bytes: number): void {
    const length = this.buffer.byteLength;
    if (bytes <= length) return;
    // Grow in large steps (untouched pages cost nothing), exactly when large steps are refused.
    const generous = Math.ceil(Math.max(bytes, length + growthBytes) / pageBytes) * pageBytes;
    if (!this.#backing.grow(generous) && !this.#backing.grow(bytes)) {
      throw new KernelError('RECLOOM_KRN_OUT_OF_MEMORY', `The kernels memory cannot grow to ${bytes} bytes.`, {
        hint: 'Free resident arrays, raise maximumBytes (at most 4 GiB), or split the work.',
      });
    }
    void this.buffer;
  }
}
