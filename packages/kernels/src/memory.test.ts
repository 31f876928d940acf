import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createKernels } from './kernels.js';
import { KernelMemory } from './memory.js';

test.each(['wasm', 'plain'] as const)('regions are aligned, zeroed, disjoint, and reused: %s', (kind) => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.record({ bytes: fc.nat({ max: 5000 }) }), fc.record({ drop: fc.nat() })), { maxLength: 40 }),
      (actions) => {
        const memory = new KernelMemory(kind, 64 * 1024 * 1024);
        const live: { address: number; bytes: number; mark: number }[] = [];
        let mark = 0;
        for (const action of actions) {
          if ('drop' in action) {
            const [region] = live.splice(action.drop % Math.max(1, live.length), 1);
            if (region !== undefined) {
              memory.release(region.address);
              memory.release(region.address);
            }
            continue;
          }
          const address = memory.allocate(action.bytes, true);
          expect(address % 64).toBe(0);
          const view = new Uint8Array(memory.buffer, address, action.bytes);
          expect(view.every((byte) => byte === 0)).toBe(true);
          mark = (mark % 250) + 1;
          view.fill(mark);
          live.push({ address, bytes: action.bytes, mark });
        }
        for (const region of live) {
          const view = new Uint8Array(memory.buffer, region.address, region.bytes);
          expect(view.every((byte) => byte === region.mark)).toBe(true);
          memory.release(region.address);
        }
        expect(memory.bytesInUse).toBe(0);
      },
    ),
    { numRuns: 30 },
  );
});

test('views stay valid when the memory grows', () => {
  const kernels = createKernels({ implementation: 'wasm' });
  const early = kernels.float32(3);
  early.set([1, 2, 3]);
  const late = kernels.float32(40 * 1024 * 1024);
  expect(late[late.length - 1]).toBe(0);
  expect(Array.from(early)).toEqual([1, 2, 3]);
  expect(kernels.isResident(early)).toBe(true);
  expect(kernels.isResident(late.subarray(5))).toBe(true);
  expect(kernels.isResident(new Float32Array(3))).toBe(false);
  expect(kernels.dot(early, early)).toBe(14);
  kernels.free(early);
  kernels.free(late);
  expect(kernels.bytesInUse).toBe(0);
});

test('arguments larger than the scratch stack are copied and freed', () => {
  const kernels = createKernels({ implementation: 'wasm' });
  const large = new Float32Array(2_000_001).fill(1);
  expect(kernels.dot(large, large)).toBe(2_000_001);
  expect(kernels.bytesInUse).toBe(0);
});
