// Shared runs: what concurrent small scorings gain by going through the model together (G10), and that large ones lose nothing.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInference } from '@recloom/inference';
import type { InferenceSession, InferenceTensor } from '@recloom/plugin-api';
import type { GoalResult } from './goal.js';
import { interleave, type Measured, normalSource, uniformSource } from './measure.js';
import { encodeNetwork, networkWidths } from './network.js';
import type { SuiteOptions } from './suites.js';

const [features] = networkWidths;
const concurrent = 16;

/** G10: sixteen calls at the same time, on one worker thread, of one and the same MLP. */
export async function benchSharedRuns({ quick }: SuiteOptions): Promise<GoalResult[]> {
  const folder = await mkdtemp(join(tmpdir(), 'recloom-bench-'));
  const inference = createInference({ workers: 1 });
  try {
    const file = join(folder, 'mlp.onnx');
    await writeFile(file, encodeNetwork());
    const shared = await inference.load({ file, device: 'cpu', batching: true });
    const separate = await inference.load({ file, device: 'cpu' });
    const results: GoalResult[] = [];
    for (const rows of [1, 10, 100, 1000]) {
      const feeds = Array.from({ length: concurrent }, (_, call) => table(rows, call));
      const difference = await largestDifference(shared, separate, feeds);
      if (!(difference < 1e-5)) throw new Error(`Shared runs differ from separate ones by ${difference}.`);
      const all = (session: InferenceSession) => (): Promise<unknown> => Promise.all(feeds.map((feed) => session.run(feed)));
      const times = await interleave(
        {
          shared: all(shared),
          separate: all(separate),
          alone: () => shared.run(feeds[0] as Feeds),
          aloneSeparate: () => separate.run(feeds[0] as Feeds),
        },
        { rounds: quick ? 9 : 61, warmUpRounds: 5, calls: rows >= 100 ? 2 : 10 },
      );
      const ratio = (over: Measured, under: Measured): number => over.cpuMs.median / under.cpuMs.median;
      const wall = times.separate.wallMs.median / times.shared.wallMs.median;
      results.push({
        goal: 'G10',
        name: `${concurrent} concurrent scorings of ${rows.toLocaleString('en-GB')} row${rows === 1 ? '' : 's'}, shared runs against separate ones`,
        figure: ratio(times.separate, times.shared),
        unit: '×',
        bound: { atLeast: rows <= 10 ? 3 : 1 },
        limit: { name: 'separate runs on the same worker', value: times.separate.cpuMs.median, unit: 'ms CPU' },
        note: `MLP ${networkWidths.join('→')}; ${times.shared.cpuMs.median.toFixed(2)} ms CPU, wall ${times.shared.wallMs.median.toFixed(2)} against ${times.separate.wallMs.median.toFixed(2)} ms (${wall.toFixed(1)}×); largest difference of a score ${difference.toExponential(1)}`,
      });
      if (rows !== 10) continue;
      results.push({
        goal: 'G10',
        name: `one scoring of ${rows} rows without company, with batching on against off`,
        figure: ratio(times.aloneSeparate, times.alone),
        unit: '×',
        limit: { name: 'the same without batching', value: times.aloneSeparate.cpuMs.median, unit: 'ms CPU' },
        note: `wall ${(times.alone.wallMs.median * 1000).toFixed(0)} against ${(times.aloneSeparate.wallMs.median * 1000).toFixed(0)} µs`,
      });
    }
    return results;
  } finally {
    await inference.close();
    await rm(folder, { recursive: true, force: true });
  }
}

type Feeds = Readonly<Record<'x', InferenceTensor>>;

function table(rows: number, seed: number): Feeds {
  const normal = normalSource(uniformSource(seed + 1));
  return { x: { type: 'float32', dims: [rows, features], data: Float32Array.from({ length: rows * features }, normal) } };
}

async function largestDifference(one: InferenceSession, other: InferenceSession, feeds: readonly Feeds[]): Promise<number> {
  const scores = (session: InferenceSession): Promise<number[][]> =>
    Promise.all(feeds.map(async (feed) => Array.from((await session.run(feed))['y']?.data ?? [], Number)));
  const [found, expected] = [(await scores(one)).flat(), (await scores(other)).flat()];
  if (found.length !== expected.length) return Number.NaN;
  return found.reduce((largest, value, row) => Math.max(largest, Math.abs(value - (expected[row] as number))), 0);
}
