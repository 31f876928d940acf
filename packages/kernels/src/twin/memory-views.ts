/** Typed views over the whole kernels memory, renewed when it has grown. */
export class MemoryViews {
  readonly #buffer: () => SharedArrayBuffer;
  #length = -1;
  float64: Float64Array = new Float64Array(0);
  float32: Float32Array = new Float32Array(0);
  int32: Int32Array = new Int32Array(0);
  uint32: Uint32Array = new Uint32Array(0);
  int16: Int16Array = new Int16Array(0);
  int8: Int8Array = new Int8Array(0);
  uint8: Uint8Array = new Uint8Array(0);

  constructor(buffer: () => SharedArrayBuffer) {
    this.#buffer = buffer;
  }

  /** Must be called at the start of each kernel. */
  refresh(): this {
    const buffer = this.#buffer();
    const length = buffer.byteLength;
    if (length !== this.#length) {
      this.#length = length;
      this.float64 = new Float64Array(buffer, 0, length >>> 3);
      this.float32 = new Float32Array(buffer, 0, length >>> 2);
      this.int32 = new Int32Array(buffer, 0, length >>> 2);
      this.uint32 = new Uint32Array(buffer, 0, length >>> 2);
      this.int16 = new Int16Array(buffer, 0, length >>> 1);
      this.int8 = new Int8Array(buffer, 0, length);
      this.uint8 = new Uint8Array(buffer, 0, length);
    }
    return this;
  }
}
