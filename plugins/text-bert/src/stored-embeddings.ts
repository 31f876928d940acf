import { createHash } from 'node:crypto';
import type { KeyValueStore } from '@recloom/plugin-api';

const magic = 0x314d4552; // "REM1", little-endian
const headerBytes = 16;
const hashBytes = 16;
const checksumBytes = 32;

/** Rows that must be new before everything is written again, as a share of the rows that are stored. */
const growthBeforeWriting = 0.5;

/**
 * Item embeddings by content, all of one model and one set of options in one value of the key-value store: a build of
 * thousands of texts costs one read and one or a few writes. Rows that were asked for since the store was opened are
 * kept; of the others, at most as many again, so that a catalogue that changes does not grow the store without end.
 *
 * Layout: "REM1", width, count and 0 as uint32; count × 16 bytes of SHA-256 of the text, ascending; count × width
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
    if (bytes !== undefined) stored.#read(bytes);
    return stored;
  }

  /** An empty set, for when the store cannot be read. */
  static empty(store: KeyValueStore, key: string, width: number): StoredEmbeddings {
    return new StoredEmbeddings(store, key, width);
  }

  get size(): number {
    return this.#rows.size;
  }

  /** The embedding of a text, or undefined. */
  get(text: string): Float32Array | undefined {
    const hash = hashOf(text);
    const row = this.#rows.get(hash);
    if (row !== undefined) this.#used.add(hash);
    return row;
  }

  /** Adds an embedding; it is copied. */
  add(text: string, embedding: Float32Array): void {
    const hash = hashOf(text);
    if (!this.#rows.has(hash)) this.#newRows++;
    this.#rows.set(hash, embedding.slice());
    this.#used.add(hash);
  }

  /**
   * Writes when there is much that is new, or anything new with `everything`; over a build the bytes written stay
   * within three times the bytes stored. @throws what the store throws
   */
  async flush(everything: boolean): Promise<void> {
    if (this.#newRows === 0) return;
    if (!everything && this.#newRows < Math.max(1, this.#storedRows * growthBeforeWriting)) return;
    const kept = this.#kept();
    const bytes = this.#write(kept);
    this.#storedRows = kept.length;
    this.#newRows = 0;
    await this.#store.set(this.#key, bytes);
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

  #write(hashes: readonly string[]): Uint8Array {
    const count = hashes.length;
    const bytes = new Uint8Array(headerBytes + count * (hashBytes + this.#width * 4) + checksumBytes);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, magic, true);
    view.setUint32(4, this.#width, true);
    view.setUint32(8, count, true);
    let place = headerBytes;
    for (const hash of hashes) {
      bytes.set(Buffer.from(hash, 'hex'), place);
      place += hashBytes;
    }
    for (const hash of hashes) {
      for (const value of this.#rows.get(hash) ?? []) {
        view.setFloat32(place, value, true);
        place += 4;
      }
    }
    bytes.set(createHash('sha256').update(bytes.subarray(0, place)).digest(), place);
    return bytes;
  }

  #read(bytes: Uint8Array): void {
    if (bytes.byteLength < headerBytes + checksumBytes) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const count = view.getUint32(8, true);
    const end = headerBytes + count * (hashBytes + this.#width * 4);
    if (view.getUint32(0, true) !== magic || view.getUint32(4, true) !== this.#width || end + checksumBytes !== bytes.byteLength) return;
    const checksum = createHash('sha256').update(bytes.subarray(0, end)).digest();
    if (!checksum.equals(bytes.subarray(end))) return;
    for (let row = 0; row < count; row++) {
      const hash = Buffer.from(bytes.subarray(headerBytes + row * hashBytes, headerBytes + (row + 1) * hashBytes)).toString('hex');
      const values = new Float32Array(this.#width);
      const start = headerBytes + count * hashBytes + row * this.#width * 4;
      for (let column = 0; column < this.#width; column++) values[column] = view.getFloat32(start + column * 4, true);
      this.#rows.set(hash, values);
    }
    this.#storedRows = count;
  }
}

function hashOf(text: string): string {
  return createHash('sha256')
    .update(text)
    .digest('hex')
    .slice(0, hashBytes * 2);
}
