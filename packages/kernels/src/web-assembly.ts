/**
 * The part of the WebAssembly JavaScript interface that this package touches. Declared here because
 * the compiler's DOM library, which carries the full declaration, would let browser globals into
 * server code.
 */
export interface SharedWasmMemory {
  readonly buffer: SharedArrayBuffer;
  /** Adds 65,536-byte pages; returns the previous page count; throws RangeError above the maximum. */
  grow(pages: number): number;
}

export interface WasmApi {
  readonly Memory: new (descriptor: { initial: number; maximum: number; shared: boolean }) => SharedWasmMemory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: Record<string, Record<string, unknown>>,
  ) => { readonly exports: Record<string, unknown> };
}

/** The engine's WebAssembly interface, or undefined where it is switched off (`--jitless`). */
export function wasmApi(): WasmApi | undefined {
  return (globalThis as { WebAssembly?: WasmApi }).WebAssembly;
}
