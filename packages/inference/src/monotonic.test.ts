import { execFileSync } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { monotonicMs } from './monotonic.js';

it('is one clock for threads and processes', async () => {
  const code = 'Number(process.hrtime.bigint() / 1000n) / 1000';
  const before = monotonicMs();
  const thread = await new Promise<number>((resolve, reject) => {
    const worker = new Worker(`require('node:worker_threads').parentPort.postMessage(${code})`, { eval: true, execArgv: [] });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  const between = monotonicMs();
  const child = Number(execFileSync(process.execPath, ['-p', code], { encoding: 'utf8' }));
  const after = monotonicMs();
  expect([before, thread, between, child, after].toSorted((one, other) => one - other)).toEqual([before, thread, between, child, after]);
});
