import type { Kernels } from './kernels.js';
import type { KernelArray } from './memory.js';
import type { SparseMatrix } from './sparse-matrix.js';

/** Addresses of a sparse matrix in kernels memory (values 0: every entry is 1). */
export interface SparseAddresses {
  readonly rowOffsets: number;
  readonly columnIndices: number;
  readonly values: number;
}

/** Memory of one plan: copies of arguments that are not resident, and workspaces; freed together. */
export class Staging {
  readonly #kernels: Kernels;
  readonly #owned: number[] = [];

  constructor(kernels: Kernels) {
    this.#kernels = kernels;
  }

  /** Uninitialised or zeroed bytes. */
  take(bytes: number, zeroed = false): number {
    const address = this.#kernels.memory.allocate(bytes, zeroed);
    this.#owned.push(address);
    return address;
  }

  /** Where a kernel finds the array: in place when resident, else in a copy. Absent: 0. */
  input(array: KernelArray | undefined): number {
    if (array === undefined) return 0;
    if (this.#kernels.isResident(array)) return array.byteOffset;
    const address = this.take(array.byteLength);
    new Uint8Array(this.#kernels.memory.buffer, address, array.byteLength).set(
      new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
    );
    return address;
  }

  sparse(matrix: SparseMatrix): SparseAddresses {
    return {
      rowOffsets: this.input(matrix.rowOffsets),
      columnIndices: this.input(matrix.columnIndices),
      values: this.input(matrix.values),
    };
  }

  /** Where a kernel may write the array's new content; `deliver` brings it there afterwards. */
  output(array: Float32Array): number {
    return this.#kernels.isResident(array) ? array.byteOffset : this.take(array.byteLength);
  }

  deliver(array: Float32Array, address: number): Float32Array {
    if (!this.#kernels.isResident(array)) {
      array.set(new Float32Array(this.#kernels.memory.buffer, address, array.length));
    }
    return array;
  }

  free(): void {
    for (const address of this.#owned) this.#kernels.memory.release(address);
    this.#owned.length = 0;
  }
}
