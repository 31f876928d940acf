// What the framework adds to a network of a team's own, over a whole request (G1).
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKernels } from '@recloom/kernels';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { GoalResult } from './goal.js';
import { interleave } from './measure.js';
import { answerLength, candidateCount, openModelPipeline } from './model-pipeline.js';
import { networkWidths } from './network.js';
import { type FixedLists, listCount } from './requests.js';
import type { SuiteOptions } from './suites.js';

const [width] = networkWidths;

/** G1 with a real network: source, merge, gathering of 50 columns, the run on a worker, value, best ten, answer. */
export async function benchModelRequests({ quick }: SuiteOptions): Promise<GoalResult[]> {
  const directory = await mkdtemp(join(tmpdir(), 'recloom-bench-'));
  const { pipeline, file, table, ids } = await openModelPipeline(directory);
  const kernels = createKernels();
  const bare = await InferenceSession.create(file, { intraOpNumThreads: 1, interOpNumThreads: 1 });
  try {
    const { lists } = pipeline.component<FixedLists>('near');
    const feeds = lists.map(({ rows }) => {
      const data = new Float32Array(candidateCount * width);
      for (const [place, row] of rows.entries()) data.set(table.subarray(row * width, (row + 1) * width), place * width);
      return { x: new Tensor('float32', data, [candidateCount, width]) };
    });
    let turn = 0;
    let bareTurn = 0;
    const framework = async (): Promise<readonly string[]> => {
      const answer = await pipeline.recommend({ user: 'u1', limit: answerLength, seed: turn++ % listCount });
      return answer.items.map((item) => item.id);
    };
    const run = async (): Promise<Float32Array> =>
      (await bare.run(feeds[bareTurn++ % listCount] as (typeof feeds)[0]))['y']?.data as Float32Array;
    for (const { rows } of lists) {
      const expected = Array.from(kernels.topK(await run(), answerLength).rows, (place) => ids[rows[place] as number] as string);
      const found = await framework();
      if (found.join() !== expected.join()) throw new Error(`The pipeline answers ${found.join()} and the bare run ${expected.join()}.`);
    }
    const times = await interleave({ framework, run }, { rounds: quick ? 9 : 41, warmUpRounds: 5, calls: 20 });
    const [whole, alone] = [times.framework, times.run];
    const aloneMicroseconds = alone.cpuMs.median * 1000;
    return [
      {
        goal: 'G1',
        name: 'a whole request through a network of 1,000 × 50, over the bare run of onnxruntime',
        figure: whole.cpuMs.median * 1000 - aloneMicroseconds,
        unit: 'µs CPU',
        bound: { atMost: Math.max(100, aloneMicroseconds / 10) },
        limit: { name: 'onnxruntime, one thread, ready tensors', value: aloneMicroseconds, unit: 'µs CPU' },
        note: `network ${networkWidths.join(' → ')}: ${whole.cpuMs.median.toFixed(2)} ms CPU a request, ${whole.wallMs.median.toFixed(2)} ms on the clock against ${alone.wallMs.median.toFixed(2)} ms of the bare run on this thread, which it blocks; the same ten items. Bound: 100 µs, or a tenth of a run above 1 ms`,
      },
    ];
  } finally {
    await pipeline.close();
    await bare.release();
    await rm(directory, { recursive: true, force: true });
  }
}
