// Compiles assembly/ into dist/kernels.wasm. Run by the root build before the TypeScript compiler.
// With --text it also writes dist/kernels.wat, to read what the compiler made of a kernel.
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const root = fileURLToPath(new URL('..', import.meta.url));
mkdirSync(`${root}/dist`, { recursive: true });

const { error, stderr } = await asc.main([
  'assembly/index.ts',
  '--baseDir',
  root,
  '--outFile',
  'dist/kernels.wasm',
  ...(process.argv.includes('--text') ? ['--textFile', 'dist/kernels.wat'] : []),
  '--enable',
  'simd,threads,bulk-memory',
  '--runtime',
  'stub',
  '--importMemory',
  '--sharedMemory',
  '--initialMemory',
  '1',
  '--maximumMemory',
  '65536',
  '--noExportMemory',
  '--use',
  'abort=',
  '-O3',
  '--converge',
  '--noAssert',
]);
if (error !== null && error !== undefined) {
  process.stderr.write(`${String(stderr)}\n${error.message}\n`);
  process.exitCode = 1;
} else if (process.argv.includes('--verbose')) {
  const { size } = statSync(`${root}/dist/kernels.wasm`);
  process.stdout.write(`kernels.wasm: ${size} bytes, magic ${readFileSync(`${root}/dist/kernels.wasm`).subarray(0, 4).toString('hex')}\n`);
}
