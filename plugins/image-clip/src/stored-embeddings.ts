import { webcrypto } from 'node:crypto';
import { endianness } from 'node:os';
import type { KeyValueStore } from '@recloom/plugin-api';

const magic = 0x314d4552; // "REM1", little-endian
const headerBytes = 16;
const hashBytes = 16;
const checksumBytes = 32;

/** Rows copied before other work of the host gets its turn. */
const rowsPerTurn = 256;

/** Rows that must be new before everything is written again, as a share of the rows that are stored. */
const growthBeforeWriting = 0.5;

/**
 * Item embeddings by content, all of one model and one set of options in one value of the key-value store: a build of
 * thousands of pictures costs one read and one or a few writes. Rows that were asked for since the store was opened are
 * kept; of the others, at most as many again, so that a catalogue that changes does not grow the store without end.
 *
 * Layout: "REM1", width, count and 0 as uint32; count × 16 bytes of SHA-256 of the content, ascending; count × width
 * float32; SHA-256 of all that. All little-endian.
 */
export class StoredEmbeddings {
  readonly #store: KeyValueStore;
  readonly #key: string;
  readonly #width: number;
  /** By content hash in hex; values are shared and never written to. */
  readonly #rows = new Map<string, Float32Array>();
  readonly #used = new Set<string>();
  #storedRows = 0;
  #newRows = 0;

  private constructor(store: KeyValueStore, key: string, width: number) {
    this.#store = store;
    this.#key = key;
    this.#width = width;
  }

  /** Reads what is stored under a key; a value that is damaged or of another width counts as nothing. @throws what the store throws */
  static async open(store: KeyValueStore, key: string, width: number): Promise<StoredEmbeddings> {
    const stored = new StoredEmbeddings(store, key, width);
    const bytes = await store.get(key);
    if (bytes !== undefined) await stored.#read(bytes);
    return stored;
  }

  /** An empty set, for when the store cannot be read. */
  static empty(store: KeyValueStore, key: string, width: number): StoredEmbeddings {
    return new StoredEmbeddings(store, key, width);
  }

  get size(): number {
    return this.#rows.size;
  }

  /** The key of content: hex of its SHA-256, cut to 16 bytes. Computed off this thread. */
  static async keyOf(bytes: Uint8Array): Promise<string> {
    return Buffer.from((await checksum(bytes)).subarray(0, hashBytes)).toString('hex');
  }

  /** An embedding by its key, or undefined; shared, so it must not be written to. */
  get(key: string): Float32Array | undefined {
    const row = this.#rows.get(key);
    if (row !== undefined) this.#used.add(key);
    return row;
  }

  /** Adds an embedding, which must not be written to afterwards. */
  add(key: string, embedding: Float32Array): void {
    if (!this.#rows.has(key)) this.#newRows++;
    this.#rows.set(key, embedding);
    this.#used.add(key);
  }

  /**
   * Writes when there is much that is new, or anything new with `everything`; over a build the bytes written stay
   * within three times the bytes stored. @throws what the store throws
   */
  async flush(everything: boolean): Promise<void> {
    if (this.#newRows === 0) return;
    if (!everything && this.#newRows < Math.max(1, this.#storedRows * growthBeforeWriting)) return;
    const kept = this.#kept();
    // What is added while this is written counts for the next time.
    this.#newRows = 0;
    const bytes = await this.#write(kept);
    await this.#store.set(this.#key, bytes);
    this.#storedRows = kept.length;
  }

  #kept(): readonly string[] {
    const kept = [...this.#used];
    let others = kept.length;
    for (const hash of this.#rows.keys()) {
      if (this.#used.has(hash)) continue;
      if (others-- <= 0) break;
      kept.push(hash);
    }
    return kept.sort();
  }

  async #write(hashes: readonly string[]): Promise<Uint8Array> {
    const count = hashes.length;
    const bytes = new Uint8Array(headerBytes + count * (hashBytes + this.#width * 4) + checksumBytes);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, magic, true);
    view.setUint32(4, this.#width, true);
    view.setUint32(8, count, true);
    const valuesStart = headerBytes + count * hashBytes;
    const values = new Float32Array(bytes.buffer, valuesStart, count * this.#width);
    for (const [row, hash] of hashes.entries()) {
      bytes.set(Buffer.from(hash, 'hex'), headerBytes + row * hashBytes);
      values.set(this.#rows.get(hash) ?? [], row * this.#width);
      if (row % rowsPerTurn === rowsPerTurn - 1) await otherWork();
    }
    toLittleEndian(values);
    const end = valuesStart + values.byteLength;
    bytes.set(await checksum(bytes.subarray(0, end)), end);
    return bytes;
  }

  async #read(bytes: Uint8Array): Promise<void> {
    if (bytes.byteLength < headerBytes + checksumBytes) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const count = view.getUint32(8, true);
    const valuesStart = headerBytes + count * hashBytes;
    const end = valuesStart + count * this.#width * 4;
    if (view.getUint32(0, true) !== magic || view.getUint32(4, true) !== this.#width || end + checksumBytes !== bytes.byteLength) return;
    const found = await checksum(bytes.subarray(0, end));
    if (!found.every((byte, place) => byte === bytes[end + place])) return;
    // A copy: the store's bytes may start anywhere, numbers must be aligned.
    const values = new Float32Array(new Uint8Array(bytes.subarray(valuesStart, end)).buffer);
    toLittleEndian(values);
    for (let row = 0; row < count; row++) {
      const start = headerBytes + row * hashBytes;
      const hash = Buffer.from(bytes.buffer, bytes.byteOffset + start, hashBytes).toString('hex');
      this.#rows.set(hash, values.subarray(row * this.#width, (row + 1) * this.#width));
      if (row % rowsPerTurn === rowsPerTurn - 1) await otherWork();
    }
    this.#storedRows = count;
  }
}

/** Lets other work of the host have its turn. */
function otherWork(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** SHA-256, computed off this thread: it would hold the event loop for 10 ms and more at a few thousand rows. */
async function checksum(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await webcrypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
}

/** Swaps the bytes of numbers in place where this machine is not little-endian; the same swap leads back. */
function toLittleEndian(values: Float32Array): void {
  if (endianness() === 'BE') Buffer.from(values.buffer, values.byteOffset, values.byteLength).swap32();
}
