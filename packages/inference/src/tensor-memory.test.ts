import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InferenceElementType } from '@recloom/plugin-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createInference, createInferenceOn, type InferenceService } from './inference.js';
import type { ModelHost } from './model-host.js';
import { busyModel, scaleModel, writeOnnx } from './onnx-writer.fixture.js';
import type { HostMessage } from './protocol.js';
import { ownBuffer, sharedBuffer, TensorMemory } from './tensor-memory.js';
import { startThread } from './thread-host.js';

describe('TensorMemory', () => {
  it('gives every holder memory alone, and the same to the next', () => {
    const memory = new TensorMemory(sharedBuffer);
    const first = memory.take(100_000);
    const second = memory.take(100_000);
    expect(first).toBeInstanceOf(SharedArrayBuffer);
    expect(first.byteLength).toBe(131_072);
    expect(second).not.toBe(first);
    memory.give(first);
    // Given twice by mistake, it must not come to two holders.
    memory.give(first);
    expect(memory.take(70_000)).toBe(first);
    expect(memory.take(70_000)).not.toBe(first);
    expect(memory.take(60_000).byteLength).toBe(65_536);
  });

  it('keeps nothing small, nothing huge, nothing of an odd size, and no more than 32 MiB', () => {
    const memory = new TensorMemory(ownBuffer);
    for (const bytes of [0, 16_383, 20_000, 16 * 1024 * 1024]) {
      const buffer = new ArrayBuffer(bytes);
      memory.give(buffer);
      expect(memory.take(bytes)).not.toBe(buffer);
    }
    const size = 8 * 1024 * 1024;
    const buffers = Array.from({ length: 5 }, () => memory.take(size));
    for (const buffer of buffers) memory.give(buffer);
    const again = new Set(Array.from({ length: 5 }, () => memory.take(size)));
    expect(buffers.filter((buffer) => again.has(buffer))).toHaveLength(4);
  });

  it('holds values of every type', () => {
    const memory = new TensorMemory(ownBuffer);
    const cases: readonly [InferenceElementType, unknown, number][] = [
      ['float32', Float32Array, 4],
      ['int64', BigInt64Array, 8],
      ['int32', Int32Array, 4],
      ['int8', Int8Array, 1],
      ['uint8', Uint8Array, 1],
      ['bool', Uint8Array, 1],
    ];
    for (const [type, constructor, bytes] of cases) {
      const values = memory.values(type, 5000);
      expect(values).toBeInstanceOf(constructor);
      expect(values.byteLength).toBe(5000 * bytes);
    }
    expect([...memory.copyOf('int64', BigInt64Array.of(1n, -2n))]).toEqual([1n, -2n]);
  });
});

describe('the memory of inputs', () => {
  let folder = '';
  let scale = '';
  let busy = '';
  const services: InferenceService[] = [];
  const rows = 4096;
  const ramp = (first: number): Float32Array => Float32Array.from({ length: rows * 3 }, (_, place) => first + place);
  const scaled = (first: number): Float32Array => ramp(first).map((value, place) => value * (2 + (place % 3)));
  const feed = (data: Float32Array, count = rows) => ({ x: { type: 'float32' as const, dims: [count, 3], data } });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'recloom-memory-'));
    scale = join(folder, 'scale.onnx');
    busy = join(folder, 'busy.onnx');
    await writeFile(scale, writeOnnx(scaleModel));
    await writeFile(busy, writeOnnx(busyModel));
  });
  afterAll(async () => {
    await Promise.all(services.map((service) => service.close()));
    await rm(folder, { recursive: true, force: true });
  });

  /** A service on one thread, and the memory of the runs it was sent. */
  function watched(): { service: InferenceService; buffers: ArrayBufferLike[] } {
    const buffers: ArrayBufferLike[] = [];
    const thread = (...events: Parameters<typeof startThread>): ModelHost => {
      const host = startThread(...events);
      const post = (message: HostMessage, transfer?: readonly ArrayBuffer[]): void => {
        if (message.kind === 'run') buffers.push(...Object.values(message.feeds).map(({ data }) => data.buffer));
        host.post(message, transfer);
      };
      return { ...host, post };
    };
    const service = createInferenceOn({ thread }, { workers: 1 });
    services.push(service);
    return { service, buffers };
  }

  it('is used again, leaves the caller’s alone, and is read before the call returns', async () => {
    const { service, buffers } = watched();
    const session = await service.load({ file: scale, device: 'cpu' });
    for (let call = 0; call < 3; call++) {
      const data = ramp(call);
      const answer = session.run(feed(data));
      data.fill(Number.NaN);
      expect((await answer)['y']?.data).toEqual(scaled(call));
      expect(data).toHaveLength(rows * 3);
    }
    expect(buffers).toHaveLength(3);
    expect(new Set(buffers).size).toBe(1);
    expect(buffers[0]).toBeInstanceOf(SharedArrayBuffer);
  });

  it('of runs that are under way at the same time is never the same', async () => {
    const { service } = watched();
    const session = await service.load({ file: scale, device: 'cpu', batching: { rows: 3 * rows } });
    for (let round = 0; round < 5; round++) {
      const calls = Array.from({ length: 8 }, (_, call) => session.run(feed(ramp(100 * round + call))));
      for (const [call, answer] of (await Promise.all(calls)).entries()) {
        expect(answer['y']?.data).toEqual(scaled(100 * round + call));
      }
    }
  });

  it.each(['thread', 'process'] as const)('can be filled by the caller and given away: %s', async (isolation) => {
    const service = createInference({ workers: 1, isolation });
    services.push(service);
    const session = await service.load({ file: scale, device: 'cpu' });
    const seen = new Set<ArrayBufferLike>();
    for (let call = 0; call < 3; call++) {
      const memory = session.memory?.(rows * 12) as ArrayBufferLike;
      seen.add(memory);
      const data = new Float32Array(memory, 0, rows * 3);
      data.set(ramp(call));
      expect((await session.run(feed(data), { give: ['x'] }))['y']?.data).toEqual(scaled(call));
    }
    expect(seen.size).toBe(1);
    // Memory of another origin works as well.
    expect((await session.run(feed(ramp(7)), { give: ['x'] }))['y']?.data).toEqual(scaled(7));
  });

  it('of a run that nobody waits for any more is not used again before the worker has read it', async () => {
    const { service, buffers } = watched();
    const session = await service.load({ file: busy, device: 'cpu' });
    const size = 256;
    const square = { x: { type: 'float32' as const, dims: [size, size], data: new Float32Array(size * size) } };
    await session.run(square);
    buffers.length = 0;
    const control = new AbortController();
    const first = session.run(square, { signal: control.signal });
    control.abort();
    await expect(first).rejects.toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });
    await session.run(square);
    expect(buffers).toHaveLength(2);
    expect(buffers[0]).not.toBe(buffers[1]);
  });
});
