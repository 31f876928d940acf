/** Fewer bytes are copied into a message as quickly as they are shared. */
const leastBytes = 1 << 16;
/** Bytes copied between two turns of the event loop: a tenth of a millisecond, fresh pages included. */
const copiedAtOnce = 1 << 18;
/** Most bytes kept for the next pictures. */
const mostKeptBytes = 1 << 25;

/**
 * Copies of bytes that another thread sees without copying them again, in memory that is used again: V8 does not count such memory,
 * so what is not used again could pile up before its garbage is collected.
 */
export class SharedBytes {
  /** By size, a power of two. */
  readonly #free = new Map<number, SharedArrayBuffer[]>();
  #keptBytes = 0;

  /** A shared copy, made in stretches; undefined when the bytes are few, or shared already. They must not change meanwhile. */
  async lend(bytes: Uint8Array): Promise<Uint8Array | undefined> {
    if (bytes.length < leastBytes || bytes.buffer instanceof SharedArrayBuffer) return undefined;
    const copy = this.take(bytes.length);
    for (let start = 0; start < bytes.length; start += copiedAtOnce) {
      if (start > 0) await new Promise<void>((resolve) => setImmediate(resolve));
      copy.set(bytes.subarray(start, start + copiedAtOnce), start);
    }
    return copy;
  }

  /** So many bytes, with what was left in them. The caller has them alone until they are taken back. */
  take(byteLength: number): Uint8Array {
    const size = 2 ** Math.ceil(Math.log2(Math.max(leastBytes, byteLength)));
    const kept = this.#free.get(size)?.pop();
    if (kept !== undefined) this.#keptBytes -= size;
    return new Uint8Array(kept ?? new SharedArrayBuffer(size), 0, byteLength);
  }

  /** Keeps what was taken or lent for the next ones; nobody reads or writes it any more. */
  takeBack({ buffer }: Uint8Array): void {
    if (!(buffer instanceof SharedArrayBuffer) || this.#keptBytes + buffer.byteLength > mostKeptBytes) return;
    const kept = this.#free.get(buffer.byteLength);
    if (kept === undefined) this.#free.set(buffer.byteLength, [buffer]);
    else kept.push(buffer);
    this.#keptBytes += buffer.byteLength;
  }
}
