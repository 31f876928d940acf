import { afterEach, expect, test } from 'vitest';
import { type Compute, kernelsOf } from './compute.js';
import { type ComputePool, createComputePool } from './compute-pool.js';
import { gram } from './gram.js';
import { sparseMatrixFromEntries } from './sparse-matrix.js';

let pool: ComputePool | undefined;

afterEach(async () => {
  await pool?.close();
  pool = undefined;
});

function open(threads: number, implementation: 'wasm' | 'typescript' = 'wasm'): ComputePool {
  pool = createComputePool({ threads, implementation });
  return pool;
}

test.each(['wasm', 'typescript'] as const)('kernels run on workers that start when needed: %s', async (implementation) => {
  const compute = open(2, implementation);
  expect(compute.startedThreads).toBe(0);
  const vector = compute.kernels.float32(100);
  vector.fill(2);
  expect(compute.startedThreads).toBe(0);
  const address = vector.byteOffset;
  const answers = await Promise.all(Array.from({ length: 9 }, () => compute.run('dot', [address, address, 100])));
  expect(answers).toEqual(new Array(9).fill(400));
  expect(compute.startedThreads).toBe(2);
  // Memory that is reserved after the workers started is seen by them too.
  const later = compute.kernels.float32(10_000_000);
  later[9_999_999] = 3;
  expect(await compute.run('streamRead', [later.byteOffset, later.length])).toBe(3);
});

test('the kernels of a pool are its own; another compute gets one of its own, always the same', async () => {
  const compute = open(1);
  expect(kernelsOf(compute)).toBe(compute.kernels);
  const foreign: Compute = { threads: 4, run: () => Promise.reject(new Error('not for us')) };
  expect(kernelsOf(foreign)).toBe(kernelsOf(foreign));
  expect(kernelsOf(foreign)).not.toBe(compute.kernels);
  const matrix = sparseMatrixFromEntries(1, 2, Int32Array.of(0, 0), Int32Array.of(0, 1));
  expect(Array.from(await gram(matrix, { compute: foreign }))).toEqual([1, 1, 1, 1]);
});

test('an unknown kernel, a trap, and a closed pool', async () => {
  const compute = open(1);
  await expect(compute.run('constructor', [])).rejects.toMatchObject({ code: 'RECLOOM_KRN_UNAVAILABLE' });
  await expect(compute.run('streamRead', [65_536, 2 ** 30])).rejects.toMatchObject({ code: 'RECLOOM_KRN_TRAP' });
  expect(await compute.run('dot', [65_536, 65_536, 0])).toBe(0);
  await compute.close();
  await compute.close();
  await expect(compute.run('dot', [65_536, 65_536, 0])).rejects.toMatchObject({ code: 'RECLOOM_KRN_CLOSED' });
});

test('closing rejects what runs and waits', async () => {
  const compute = open(1);
  const numbers = compute.kernels.float32(2_000_000);
  const calls = Array.from({ length: 6 }, () => compute.run('streamRead', [numbers.byteOffset, numbers.length]));
  const settled = Promise.allSettled(calls);
  await compute.close();
  for (const result of await settled) {
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'RECLOOM_KRN_CLOSED' });
  }
  expect((await settled).some((result) => result.status === 'rejected')).toBe(true);
});

test('an aborted call rejects with the reason and leaves the pool usable', async () => {
  const compute = open(1);
  const reason = new Error('changed my mind');
  await expect(compute.run('dot', [0, 0, 0], AbortSignal.abort(reason))).rejects.toBe(reason);
  const controller = new AbortController();
  const numbers = compute.kernels.float32(1_000_000);
  const calls = Array.from({ length: 5 }, () => compute.run('streamRead', [numbers.byteOffset, numbers.length], controller.signal));
  const settled = Promise.allSettled(calls);
  controller.abort(reason);
  for (const result of await settled) expect(result).toEqual({ status: 'rejected', reason });
  expect(await compute.run('dot', [0, 0, 0])).toBe(0);
});

test('an aborted computation frees its memory', async () => {
  const compute = open(2);
  const controller = new AbortController();
  const matrix = sparseMatrixFromEntries(
    1,
    1500,
    new Int32Array(1500),
    Int32Array.from({ length: 1500 }, (_, column) => column),
  );
  const running = gram(matrix, { compute, signal: controller.signal });
  controller.abort();
  await expect(running).rejects.toMatchObject({ name: 'AbortError' });
  expect(compute.kernels.bytesInUse).toBe(0);
  await expect(gram(matrix, { compute, signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
});

test('a worker that dies rejects its calls as retryable and is replaced', async () => {
  const compute = open(1);
  expect(await compute.run('dot', [0, 0, 0])).toBe(0);
  const numbers = compute.kernels.float32(20_000_000);
  const call = compute.run('streamRead', [numbers.byteOffset, numbers.length]);
  const lost = expect(call).rejects.toMatchObject({ code: 'RECLOOM_KRN_WORKER_LOST', retryable: true });
  await compute.stopOneWorker();
  await lost;
  expect(await compute.run('dot', [0, 0, 0])).toBe(0);
  expect(compute.startedThreads).toBe(1);
});

test('the calling thread is not blocked while the pool works', async () => {
  const compute = open(1);
  const size = 1200;
  const matrix = sparseMatrixFromEntries(
    200,
    size,
    Int32Array.from({ length: 200 * size }, (_, entry) => Math.floor(entry / size)),
    Int32Array.from({ length: 200 * size }, (_, entry) => entry % size),
  );
  let done = false;
  let turns = 0;
  const running = gram(matrix, { compute }).then(() => {
    done = true;
  });
  while (!done) {
    turns++;
    await new Promise((resolve) => setImmediate(resolve));
  }
  await running;
  expect(turns).toBeGreaterThan(10);
});

test('a pool needs a positive number of threads', () => {
  for (const threads of [0, -1, 1.5]) {
    expect(() => createComputePool({ threads })).toThrow(expect.objectContaining({ code: 'RECLOOM_KRN_SHAPE' }));
  }
});
