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
    const scores = async (turn: number): Promise<Float32Array> => {
      const { rows } = lists[turn % listCount] as (typeof lists)[0];
      const data = new Float32Array(candidateCount * width);
      for (let place = 0; place < rows.length; place++) {
        const from = (rows[place] as number) * width;
        data.set(table.subarray(from, from + width), place * width);
      }
      return (await bare.run({ x: new Tensor('float32', data, [candidateCount, width]) }))['y']?.data as Float32Array;
    };
    let turn = 0;
    let handTurn = 0;
    const framework = async (): Promise<readonly string[]> => {
      const answer = await pipeline.recommend({ user: 'u1', limit: answerLength, seed: turn++ % listCount });
      return answer.items.map((item) => item.id);
    };
    const byHand = async (): Promise<readonly string[]> => {
      const { rows } = lists[handTurn % listCount] as (typeof lists)[0];
      const { rows: best } = kernels.topK(await scores(handTurn++), answerLength);
      return Array.from(best, (place) => ids[rows[place] as number] as string);
    };
    const ready = { x: new Tensor('float32', new Float32Array(candidateCount * width).fill(0.5), [candidateCount, width]) };
    const run = (): Promise<unknown> => bare.run(ready);
    for (let list = 0; list < listCount; list++) {
      const [found, expected] = [(await framework()).join(), (await byHand()).join()];
      if (found !== expected) throw new Error(`The pipeline answers ${found} and the bare run ${expected}.`);
    }
    const times = await interleave({ framework, byHand, run }, { rounds: quick ? 9 : 41, warmUpRounds: 5, calls: 20 });
    const microseconds = (name: keyof typeof times): number => times[name].cpuMs.median * 1000;
    return [
      {
        goal: 'G1',
        name: 'added to a network of 1,000 candidates × 50 item fields, over a whole request',
        figure: microseconds('framework') - microseconds('byHand'),
        unit: 'µs CPU',
        bound: { atMost: Math.max(100, microseconds('byHand') / 10) },
        limit: {
          name: 'rows of a ready table, onnxruntime and top ten by hand, on this thread',
          value: microseconds('byHand'),
          unit: 'µs CPU',
        },
        note: `network ${networkWidths.join(' → ')}; the run alone ${microseconds('run').toFixed(0)} µs; a request ${microseconds('framework').toFixed(0)} µs CPU, ${times.framework.wallMs.median.toFixed(2)} ms on the clock, of which the event loop is free while the worker computes, against ${times.byHand.wallMs.median.toFixed(2)} ms by hand, which hold it; the same ten items. Bound: 100 µs, or a tenth of a scorer above 1 ms`,
      },
    ];
  } finally {
    await pipeline.close();
    await bare.release();
    await rm(directory, { recursive: true, force: true });
  }
}
