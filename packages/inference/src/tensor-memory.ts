import type { InferenceElementType, InferenceTensor } from '@recloom/plugin-api';

/** Smaller pieces are allocated faster than they are handed back and forth. */
const leastBytes = 16 * 1024;
/** Larger ones are not kept. */
const mostBytes = 8 * 1024 * 1024;
/** Most bytes kept for the next calls. */
const mostKeptBytes = 32 * 1024 * 1024;

/** Whether a buffer is of a size that is kept: a power of two within the limits. One that was transferred away is not. */
export function isReusable(buffer: ArrayBufferLike): buffer is ArrayBuffer {
  const { byteLength } = buffer;
  return byteLength >= leastBytes && byteLength <= mostBytes && (byteLength & (byteLength - 1)) === 0 && buffer instanceof ArrayBuffer;
}

/**
 * Memory that travels to the workers and back. Fresh memory of some hundred kilobytes costs more than what is written into
 * it: the system gives it page by page, and filled with zeros.
 */
export class TensorMemory {
  readonly #free = new Map<number, ArrayBuffer[]>();
  #keptBytes = 0;

  /** A buffer of at least `byteLength` bytes, with what was left in it. The caller has it alone. */
  take(byteLength: number): ArrayBuffer {
    if (byteLength < leastBytes || byteLength > mostBytes) return new ArrayBuffer(byteLength);
    const size = 2 ** Math.ceil(Math.log2(byteLength));
    const kept = this.#free.get(size)?.pop();
    if (kept === undefined) return new ArrayBuffer(size);
    this.#keptBytes -= size;
    return kept;
  }

  /** Keeps a buffer for the next calls, if it is of a size that is kept and there is room. The caller uses it no more. */
  give(buffer: ArrayBufferLike): void {
    const size = buffer.byteLength;
    if (!isReusable(buffer) || this.#keptBytes + size > mostKeptBytes) return;
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
}
