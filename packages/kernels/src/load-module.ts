import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { KernelError } from './kernel-error.js';
import { type KernelName, type KernelTable, kernelNames } from './kernel-table.js';
import type { MemoryHandle } from './memory.js';
import { wasmApi } from './web-assembly.js';

/**
 * The path of a file that the build writes to `dist`. Found beside the compiled code, and from the
 * TypeScript sources (tests run them directly) in the neighbouring `dist`.
 */
export function builtFile(name: string): string {
  const beside = fileURLToPath(new URL(`./${name}`, import.meta.url));
  return existsSync(beside) ? beside : fileURLToPath(new URL(`../dist/${name}`, import.meta.url));
}

/**
 * Compiles the kernels module (about a millisecond; the engine optimises it in the background).
 * @throws RECLOOM_KRN_UNAVAILABLE when WebAssembly, SIMD, threads or the file is missing.
 */
export function compileModule(): object {
  const api = wasmApi();
  if (api === undefined) {
    throw new KernelError('RECLOOM_KRN_UNAVAILABLE', 'WebAssembly is switched off in this process.');
  }
  try {
    return new api.Module(readFileSync(builtFile('kernels.wasm')));
  } catch (error) {
    throw new KernelError('RECLOOM_KRN_UNAVAILABLE', 'The WebAssembly kernels could not be loaded.', {
      hint: 'Build the package (node packages/kernels/scripts/build-wasm.mjs) or use implementation "typescript".',
      cause: error,
    });
  }
}

/**
 * Binds the module to a memory.
 * @throws RECLOOM_KRN_UNAVAILABLE when the module does not export every kernel.
 */
export function instantiateModule(module: object, memory: MemoryHandle): KernelTable {
  const api = wasmApi();
  if (api === undefined) {
    throw new KernelError('RECLOOM_KRN_UNAVAILABLE', 'WebAssembly is switched off in this process.');
  }
  const { exports } = new api.Instance(module, { env: { memory } });
  const table: Partial<Record<KernelName, unknown>> = {};
  for (const name of kernelNames) {
    if (typeof exports[name] !== 'function') {
      throw new KernelError('RECLOOM_KRN_UNAVAILABLE', `The WebAssembly module has no kernel "${name}".`, {
        hint: 'It was built from other sources; build the package again.',
      });
    }
    table[name] = exports[name];
  }
  return table as KernelTable;
}
