import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InferenceSession, InferenceTensor } from '@recloom/plugin-api';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createInferenceOn, type InferenceService } from './inference.js';
import type { InferenceOptions } from './inference-options.js';
import { busyModel, dynamicModel, mlpModel, scaleModel, type TinyModel, writeOnnx } from './onnx-writer.fixture.js';
import type { HostMessage } from './protocol.js';
import { startThread } from './thread-host.js';

type Run = Extract<HostMessage, { kind: 'run' }>;

let folder = '';
const services: InferenceService[] = [];

/** A service that writes down what its workers are asked to run. */
function open(options: InferenceOptions = {}): { service: InferenceService; runs: Run[] } {
  const runs: Run[] = [];
  const service = createInferenceOn(
    {
      thread: (events) => {
        const host = startThread(events);
        return {
          ...host,
          post: (message, transfer) => {
            if (message.kind === 'run') runs.push(message);
            host.post(message, transfer);
          },
        };
      },
    },
    { workers: 1, ...options },
  );
  services.push(service);
  return { service, runs };
}

const write = async (name: string, model: TinyModel): Promise<string> => {
  const file = join(folder, name);
  await writeFile(file, writeOnnx(model));
  return file;
};
const rowsOf = (run: Run): number | undefined => run.feeds['x']?.dims[0];
const tensor = (rows: number, width: number, fill: (index: number) => number): { x: InferenceTensor } => ({
  x: { type: 'float32', dims: [rows, width], data: Float32Array.from({ length: rows * width }, (_, index) => fill(index)) },
});
const valuesOf = async (answer: Promise<Record<string, InferenceTensor>>): Promise<number[]> =>
  [...((await answer)['y']?.data ?? [])].map(Number);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'recloom-sharing-'));
});
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.close()));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('shared runs', () => {
  let mlp = '';
  beforeAll(async () => {
    mlp = await write('mlp.onnx', mlpModel([50, 32, 1]));
  });

  it('calls of one turn share one run, and each gets its own rows', async () => {
    const { service, runs } = open();
    const session = await service.load({ file: await write('scale.onnx', scaleModel), batching: true });
    const answers = await Promise.all(Array.from({ length: 16 }, (_, index) => session.run(tensor((index % 3) + 1, 3, () => index))));
    expect(runs.map(rowsOf)).toEqual([31]);
    answers.forEach(({ y }, index) => {
      const row = [2 * index, 3 * index, 4 * index];
      expect(y?.dims).toEqual([(index % 3) + 1, 3]);
      expect([...(y?.data ?? [])]).toEqual(Array.from({ length: (index % 3) + 1 }, () => row).flat());
      // Memory of its own: what one caller writes the others do not see.
      expect(y?.data.byteLength).toBe(y?.data.buffer.byteLength);
    });
  });

  it('gives what unshared runs give, for any mix of sizes', async () => {
    const { service } = open();
    const [alone, shared] = await Promise.all([service.load({ file: mlp }), service.load({ file: mlp, batching: { rows: 24 } })]);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 12 }), fc.integer(), async (sizes, seed) => {
        const feeds = sizes.map((rows, call) => tensor(rows, 50, (index) => Math.sin(seed + call * 31 + index)));
        const together = await Promise.all(feeds.map((feed) => valuesOf(shared.run(feed))));
        for (const [call, feed] of feeds.entries()) {
          const own = await valuesOf(alone.run(feed));
          expect(together[call]).toHaveLength(own.length);
          // Products of other shapes may be summed in another order: equal to float32 rounding.
          own.forEach((value, row) => expect(together[call]?.[row]).toBeCloseTo(value, 5));
        }
      }),
      { numRuns: 25 },
    );
  });

  it('an answer that is its own input stays what it is when the memory of inputs is used again', async () => {
    const { service } = open();
    const echo: TinyModel = {
      inputs: [{ name: 'x', type: 'float32', dims: ['rows', 'columns'] }],
      outputs: [{ name: 'y', type: 'float32', dims: ['rows', 'columns'] }],
      nodes: [{ operator: 'Identity', inputs: ['x'], outputs: ['y'] }],
    };
    const session = await service.load({ file: await write('echo.onnx', echo), batching: true });
    const kept: (readonly [number, InferenceTensor['data'] | undefined])[] = [];
    for (const value of [1, 2, 3, 4, 5]) {
      const both = await Promise.all([value, value + 10].map((each) => session.run(tensor(2, 4096, () => each))));
      kept.push([value, both[0]?.['y']?.data], [value + 10, both[1]?.['y']?.data]);
      const alone = await session.run(tensor(4, 4096, () => value + 20));
      kept.push([value + 20, alone['y']?.data]);
    }
    for (const [value, data] of kept) expect(new Set(data as Float32Array)).toEqual(new Set([value]));
  });

  it('keeps NaN and infinity with the caller they came from', async () => {
    const { service, runs } = open();
    const session = await service.load({ file: mlp, batching: true });
    const good = await valuesOf(session.run(tensor(2, 50, Math.cos)));
    const answers = await Promise.all([
      valuesOf(session.run(tensor(2, 50, Math.cos))),
      valuesOf(session.run(tensor(2, 50, () => Number.NaN))),
      valuesOf(session.run(tensor(2, 50, Math.cos))),
      valuesOf(session.run(tensor(1, 50, () => Number.POSITIVE_INFINITY))),
    ]);
    expect(runs.map(rowsOf)).toEqual([2, 7]);
    expect(answers[1]?.every(Number.isNaN)).toBe(true);
    expect(answers[3]?.every(Number.isFinite)).toBe(false);
    for (const answer of [answers[0], answers[2]]) answer?.forEach((value, row) => expect(value).toBeCloseTo(good[row] ?? 0, 5));
  });

  it('stays within the row budget; a call above it runs alone and as it is', async () => {
    const { service, runs } = open();
    const session = await service.load({ file: mlp, batching: { rows: 10 } });
    await Promise.all([4, 4, 4, 11, 10, 1].map((rows) => session.run(tensor(rows, 50, () => 1))));
    const sizes = runs.map((run) => rowsOf(run) ?? 0);
    expect(sizes.filter((rows) => rows > 10)).toEqual([11]);
    expect([...sizes].sort((left, right) => left - right)).toEqual([1, 4, 8, 10, 11]);
  });

  it('counts tokens for encoders, and puts other lengths into other runs', async () => {
    const { service, runs } = open();
    const encoder: TinyModel = {
      inputs: [{ name: 'x', type: 'float32', dims: ['texts', 'tokens'] }],
      outputs: [{ name: 'y', type: 'float32', dims: ['texts', 'tokens'] }],
      nodes: [{ operator: 'Neg', inputs: ['x'], outputs: ['y'] }],
    };
    const session = await service.load({ file: await write('encoder.onnx', encoder), batching: { tokens: 16 } });
    const lengths = [8, 4, 8, 4, 4, 8, 17];
    const answers = await Promise.all(lengths.map((length, call) => valuesOf(session.run(tensor(1, length, () => call)))));
    expect(answers).toEqual(lengths.map((length, call) => Array.from({ length }, () => -call)));
    expect(runs.map((run) => run.feeds['x']?.dims).sort()).toEqual(
      [
        [1, 17],
        [1, 8],
        [2, 8],
        [3, 4],
      ].sort(),
    );
  });

  it('waits for company while the worker is busy: runs gather up to the budget, and the wait is bounded', async () => {
    const { service, runs } = open();
    const busy = await service.load({ file: await write('busy.onnx', busyModel) });
    const session = await service.load({ file: mlp, batching: { rows: 8, waitMs: 5 } });
    await session.run(tensor(1, 50, () => 1));
    runs.length = 0;
    const blocker = busy.run({ x: { type: 'float32', dims: [512, 512], data: new Float32Array(512 * 512) } });
    const calls: Promise<unknown>[] = [];
    for (let call = 0; call < 12; call++) {
      calls.push(session.run(tensor(1, 50, () => call)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all([blocker, ...calls]);
    // Twelve turns, two runs: eight rows fill the budget, four are what is left.
    expect(runs.slice(1).map(rowsOf)).toEqual([8, 4]);
  });

  it('calls that wait for company hold up no other calls of their model', async () => {
    const { service, runs } = open();
    const session = await service.load({ file: mlp, batching: { rows: 8, waitMs: 10_000 } });
    // Known to be quick, so that a second run may be handed to the busy worker.
    for (let call = 0; call < 3; call++) await session.run(tensor(9, 50, () => 1));
    runs.length = 0;
    const first = session.run(tensor(9, 50, () => 1));
    const patient = [session.run(tensor(1, 50, () => 1)), session.run(tensor(1, 50, () => 1))];
    const large = session.run(tensor(10, 50, () => 1));
    await Promise.all([first, large, ...patient]);
    expect(runs.map(rowsOf)).toEqual([9, 10, 2]);
  });

  it('a call that is aborted or late leaves the run before it starts; the others are answered', async () => {
    const { service, runs } = open();
    const busy = await service.load({ file: await write('busy.onnx', busyModel) });
    const session = await service.load({ file: mlp, batching: true });
    const blocker = busy.run({ x: { type: 'float32', dims: [768, 768], data: new Float32Array(768 * 768) } });
    const controller = new AbortController();
    const aborted = session.run(
      tensor(3, 50, () => 1),
      { signal: controller.signal },
    );
    const late = session.run(
      tensor(5, 50, () => 1),
      { deadlineMs: performance.now() + 15 },
    );
    const served = session.run(
      tensor(2, 50, () => 1),
      { deadlineMs: performance.now() + 60_000 },
    );
    const patient = session.run(tensor(1, 50, () => 1));
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });
    await expect(late).rejects.toMatchObject({ code: 'RECLOOM_RUN_TIMEOUT' });
    await Promise.all([blocker, served, patient]);
    expect(runs.slice(1).map(rowsOf)).toEqual([3]);
  });

  it('one whose caller goes while the run is under way costs the others nothing', async () => {
    const { service, runs } = open();
    const session = await service.load({ file: await write('deep.onnx', mlpModel([50, 1024, 1024, 1024, 1])), batching: true });
    const controller = new AbortController();
    const calls = [
      session.run(
        tensor(60, 50, () => 1),
        { signal: controller.signal },
      ),
      session.run(tensor(60, 50, () => 1)),
    ];
    setImmediate(() => setImmediate(() => controller.abort()));
    await expect(calls[0]).rejects.toMatchObject({ code: 'RECLOOM_RUN_ABORTED' });
    expect(await valuesOf(calls[1] as Promise<Record<string, InferenceTensor>>)).toHaveLength(60);
    expect(runs.map(rowsOf)).toEqual([120]);
  });

  it('the nearest deadline goes first', async () => {
    const { service, runs } = open();
    const busy = await service.load({ file: await write('busy.onnx', busyModel) });
    const session = await service.load({ file: mlp });
    const blocker = busy.run({ x: { type: 'float32', dims: [512, 512], data: new Float32Array(512 * 512) } });
    const now = performance.now();
    const order = [50_000, undefined, 20_000, 30_000].map((after, place) =>
      session.run(
        tensor(place + 1, 50, () => 1),
        after === undefined ? {} : { deadlineMs: now + after },
      ),
    );
    await Promise.all([blocker, ...order]);
    // Without a deadline: as if it were a second away, so that it yields to the urgent and never starves.
    expect(runs.slice(1).map(rowsOf)).toEqual([2, 3, 4, 1]);
  });

  it('100 concurrent small calls on a queue of 10: what fits is answered, the rest refused as overloaded', async () => {
    const { service } = open({ queueLimit: 10 });
    const session = await service.load({ file: mlp, batching: true });
    const outcomes = await Promise.allSettled(Array.from({ length: 100 }, () => session.run(tensor(1, 50, () => 1))));
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    for (const { reason } of refused) expect(reason).toMatchObject({ code: 'RECLOOM_RUN_OVERLOADED', retryable: true });
    // Ten leave together for the idle worker, ten wait behind them.
    expect(refused).toHaveLength(80);
    await session.run(tensor(1, 50, () => 1));
  });

  describe('are not made', () => {
    const concurrent = async (session: InferenceSession, feeds: Record<string, InferenceTensor>): Promise<unknown> =>
      Promise.all([session.run(feeds), session.run(feeds), session.run(feeds)]);

    it('for graphs whose rows influence each other, of a fixed first dimension, or whose batch shows elsewhere', async () => {
      const { service, runs } = open();
      const fixed: TinyModel = { ...scaleModel, inputs: [{ name: 'x', type: 'float32', dims: [1, 3] }] };
      const square: TinyModel = { ...scaleModel, outputs: [{ name: 'y', type: 'float32', dims: ['rows', 'rows'] }] };
      for (const [name, model] of Object.entries({ dynamicModel, fixed })) {
        const session = await service.load({ file: await write(`${name}.onnx`, model), batching: true });
        await concurrent(
          session,
          tensor(1, 3, () => 1),
        );
        expect(runs.splice(0).map(rowsOf), name).toEqual([1, 1, 1]);
      }
      const similar: TinyModel = {
        ...square,
        nodes: [
          { operator: 'Transpose', inputs: ['x'], outputs: ['t'] },
          { operator: 'MatMul', inputs: ['x', 't'], outputs: ['y'] },
        ],
        initializers: [],
      };
      const session = await service.load({ file: await write('similar.onnx', similar), batching: true });
      await concurrent(
        session,
        tensor(2, 3, () => 1),
      );
      expect(runs.splice(0).map(rowsOf)).toEqual([2, 2, 2]);
    });

    // The graph says rows, and gives one number for all: seen by the warm-up, or else by the first shared run.
    it.each([true, false])('when an output does not follow the rows although the graph says so (warm-up %s)', async (warmUp) => {
      const { service, runs } = open();
      // Keeps the first row only, which no shape inference can tell.
      const first: TinyModel = {
        inputs: [{ name: 'x', type: 'float32', dims: ['rows', 'columns'] }],
        outputs: [{ name: 'y', type: 'float32', dims: ['kept', 'columns'] }],
        nodes: [{ operator: 'Compress', inputs: ['x', 'condition'], outputs: ['y'], numbers: { axis: 0 } }],
        initializers: [{ name: 'condition', dims: [1], values: Uint8Array.of(1) }],
      };
      const session = await service.load({ file: await write('first.onnx', first), batching: true, warmUp });
      const feeds = [1, 2, 3].map((value) => tensor(2, 3, () => value));
      const answers = await Promise.all(feeds.map((feed) => valuesOf(session.run(feed))));
      expect(answers).toEqual([1, 2, 3].map((value) => [value, value, value]));
      expect(runs.map(rowsOf)).toEqual(warmUp ? [2, 2, 2] : [6, 2, 2, 2]);
      runs.length = 0;
      await concurrent(
        session,
        tensor(2, 3, () => 1),
      );
      expect(runs.map(rowsOf)).toEqual([2, 2, 2]);
    });

    // Large enough for memory that is used again: what waits for a run of its own must not be in what others take meanwhile.
    it('and then runs each call on what it brought, whatever others bring meanwhile', async () => {
      const { service } = open();
      const first: TinyModel = {
        inputs: [{ name: 'x', type: 'float32', dims: ['rows', 'columns'] }],
        outputs: [{ name: 'y', type: 'float32', dims: ['kept', 'columns'] }],
        nodes: [{ operator: 'Compress', inputs: ['x', 'condition'], outputs: ['y'], numbers: { axis: 0 } }],
        initializers: [{ name: 'condition', dims: [1], values: Uint8Array.of(1) }],
      };
      const session = await service.load({ file: await write('first-wide.onnx', first), batching: true, warmUp: false });
      const answerTo = async (value: number): Promise<readonly number[]> => {
        const answer = await valuesOf(session.run(tensor(2, 4096, () => value)));
        return [...new Set(answer), answer.length];
      };
      const early = [1, 2, 3, 4].map(answerTo);
      const [one] = await Promise.all(early.slice(0, 1));
      const later = [5, 6, 7, 8].map(answerTo);
      expect(one).toEqual([1, 4096]);
      expect(await Promise.all([...early, ...later])).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((value) => [value, 4096]));
    });

    it('for calls of other outputs, and one caller’s bad input fails only that caller', async () => {
      const { service, runs } = open();
      const lookup: TinyModel = {
        inputs: [{ name: 'x', type: 'int64', dims: ['rows'] }],
        outputs: [
          { name: 'y', type: 'float32', dims: ['rows', 1] },
          { name: 'z', type: 'int64', dims: ['rows'] },
        ],
        nodes: [
          { operator: 'Gather', inputs: ['table', 'x'], outputs: ['y'] },
          { operator: 'Identity', inputs: ['x'], outputs: ['z'] },
        ],
        initializers: [{ name: 'table', dims: [4, 1], values: Float32Array.of(10, 11, 12, 13) }],
      };
      const session = await service.load({ file: await write('lookup.onnx', lookup), batching: true });
      const ids = (...values: bigint[]): { x: InferenceTensor } => ({
        x: { type: 'int64', dims: [values.length], data: BigInt64Array.from(values) },
      });
      const outcomes = await Promise.allSettled([
        valuesOf(session.run(ids(1n, 2n), { outputs: ['y'] })),
        valuesOf(session.run(ids(99n), { outputs: ['y'] })),
        valuesOf(session.run(ids(3n), { outputs: ['y'] })),
        session.run(ids(0n), { outputs: ['z'] }),
      ]);
      expect(outcomes[0]).toMatchObject({ value: [11, 12] });
      expect(outcomes[1]).toMatchObject({ reason: { code: 'RECLOOM_RUN_MODEL_FAILED' } });
      expect(outcomes[2]).toMatchObject({ value: [13] });
      expect(outcomes[3]).toMatchObject({ value: { z: { data: BigInt64Array.of(0n) } } });
      // Four rows together; they fail, so each runs on its own; the other outputs were never part of it.
      expect(runs.map(rowsOf).sort()).toEqual([1, 1, 1, 2, 4].sort());
    });
  });

  it('refuses budgets that are none', async () => {
    const { service } = open();
    for (const batching of [{ rows: 0 }, { rows: 1.5 }, { tokens: -1 }, { waitMs: Number.NaN }]) {
      await expect(service.load({ file: mlp, batching })).rejects.toThrow(RangeError);
    }
  });
});
