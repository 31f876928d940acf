import type { InferenceElementType, InferenceTensor } from '@recloom/plugin-api';

/** Smaller pieces are copied faster than they are shared. */
const leastBytes = 16 * 1024;
/** Larger ones are not kept. */
const mostBytes = 8 * 1024 * 1024;
/** Most bytes kept for the next calls. */
const mostKeptBytes = 32 * 1024 * 1024;

/** Makes zeroed memory. */
export type MakeBuffer = (byteLength: number) => ArrayBufferLike;

/** Memory that the host and its worker threads both see. */
export const sharedBuffer: MakeBuffer = (byteLength) => new SharedArrayBuffer(byteLength);
/** Memory of one thread, as onnxruntime wants it. */
export const ownBuffer: MakeBuffer = (byteLength) => new ArrayBuffer(byteLength);

/**
 * Memory for tensors that is used again. Fresh memory of some hundred kilobytes costs more than what is written into it: the
 * system gives it page by page, and filled with zeros.
 */
export class TensorMemory {
  readonly #make: MakeBuffer;
  readonly #free = new Map<number, ArrayBufferLike[]>();
  #keptBytes = 0;

  /** @param make makes the pieces that are large enough to be kept; small ones are this thread's own */
  constructor(make: MakeBuffer) {
    this.#make = make;
  }

  /** A buffer of at least `byteLength` bytes, with what was left in it. The caller has it alone. */
  take(byteLength: number): ArrayBufferLike {
    if (byteLength < leastBytes) return ownBuffer(byteLength);
    if (byteLength > mostBytes) return this.#make(byteLength);
    const size = 2 ** Math.ceil(Math.log2(byteLength));
    const kept = this.#free.get(size)?.pop();
    if (kept === undefined) return this.#make(size);
    this.#keptBytes -= size;
    return kept;
  }

  /** Keeps a buffer for the next calls, if it is of a size that is kept and there is room. Nobody else uses it any more. */
  give(buffer: ArrayBufferLike): void {
    const size = buffer.byteLength;
    if (size < leastBytes || size > mostBytes || (size & (size - 1)) !== 0 || this.#keptBytes + size > mostKeptBytes) return;
    const kept = this.#free.get(size);
    if (kept === undefined) this.#free.set(size, [buffer]);
    else if (kept.includes(buffer)) return;
    else kept.push(buffer);
    this.#keptBytes += size;
  }

  /** `count` values of an element type, with what was left in them. */
  values(type: InferenceElementType, count: number): InferenceTensor['data'] {
    switch (type) {
      case 'float32':
        return new Float32Array(this.take(4 * count), 0, count);
      case 'int64':
        return new BigInt64Array(this.take(8 * count), 0, count);
      case 'int32':
        return new Int32Array(this.take(4 * count), 0, count);
      case 'int8':
        return new Int8Array(this.take(count), 0, count);
      case 'uint8':
      case 'bool':
        return new Uint8Array(this.take(count), 0, count);
    }
  }

  /** A copy of values, in memory from here. */
  copyOf(type: InferenceElementType, data: InferenceTensor['data']): InferenceTensor['data'] {
    const copy = this.values(type, data.length);
    copy.set(data as never);
    return copy;
  }
}
