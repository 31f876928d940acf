// What inference workers cost in memory: a process of its own for each number of them.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { GoalResult } from './goal.js';
import { spreadOf } from './measure.js';
import { root } from './online-retail.js';
import { runScript } from './processes.js';
import type { SuiteOptions } from './suites.js';

/** Loads the text encoder and keeps so many workers busy until each has it; prints the resident memory before, after, and the workers. */
const script = `
import { createInference } from '@recloom/inference';
const [file, count] = process.argv.slice(1);
const workers = Number(count);
const settled = async () => {
  for (let turn = 0; turn < 3; turn++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return process.memoryUsage.rss();
};
let started = 0;
const metrics = { count() {}, observe(name, value) { if (name === 'recloom.inference.workers') started = value; } };
const before = await settled();
if (workers > 0) {
  const inference = createInference({ workers, metrics });
  const session = await inference.load({ file, device: 'cpu', independentRows: true });
  const [rows, tokens] = [4, 16];
  const dims = [rows, tokens];
  const feeds = {};
  for (const { name } of session.inputs) feeds[name] = { type: 'int64', dims, data: new BigInt64Array(rows * tokens).fill(1n) };
  // A worker more is given the model when calls have waited; each is busy for some runs before it counts.
  for (let round = 0, more = 0; round < 1000 && more < 5; round++, more += started === workers ? 1 : 0)
    await Promise.all(Array.from({ length: 8 * workers }, () => session.run(feeds)));
}
console.log(JSON.stringify({ before, after: await settled(), started }));
process.exit(0);
`;

interface Reading {
  readonly before: number;
  readonly after: number;
  readonly started: number;
}

/** MEMORY: 1, 2 and 4 workers with the text encoder. */
export async function benchMemory({ quick }: SuiteOptions): Promise<GoalResult[]> {
  const folder = dirname(createRequire(join(root, 'package.json')).resolve('@recloom/model-all-minilm-l6-v2/package.json'));
  const file = join(folder, 'onnx', 'model_quantized.onnx');
  const results: GoalResult[] = [];
  let previous: { readonly workers: number; readonly bytes: number } | undefined;
  for (const workers of [1, 2, 4]) {
    const readings: Reading[] = [];
    for (let round = 0; round < (quick ? 1 : 5); round++) readings.push(await measure(file, workers));
    if (readings.some(({ started }) => started !== workers)) throw new Error(`Not all of ${workers} workers have started.`);
    const added = spreadOf(readings.map(({ before, after }) => after - before));
    const show = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);
    results.push({
      goal: 'MEMORY',
      name: `resident memory that ${workers} inference worker${workers === 1 ? '' : 's'} with the text encoder add${workers === 1 ? 's' : ''}`,
      figure: added.median / 2 ** 20,
      unit: 'MiB',
      limit: { name: 'the process before', value: spreadOf(readings.map(({ before }) => before)).median / 2 ** 20, unit: 'MiB' },
      note: `all-MiniLM-L6-v2 in int8, 23 MB on disk, after runs of 4 × 16 tokens and garbage collection; ${readings.length} processes, ${show(added.lowest)} to ${show(added.highest)} MiB${previous === undefined ? '' : `; ${show((added.median - previous.bytes) / (workers - previous.workers))} MiB for each worker more`}`,
    });
    previous = { workers, bytes: added.median };
  }
  return results;
}

async function measure(file: string, workers: number): Promise<Reading> {
  return (await runScript(script, [file, String(workers)], ['--expose-gc'])) as Reading;
}
