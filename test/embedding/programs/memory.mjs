// Opens and closes a pipeline of 20,000 items many times. Run with --expose-gc; ends by itself only when nothing is left open.
import { openPipeline } from '@recloom/core';
import { config, options } from './shop.mjs';

const shared = options(20_000);
async function cycle() {
  const pipeline = await openPipeline(config, shared);
  await pipeline.recommend({ limit: 3 });
  if (process.argv[2] === 'leak') globalThis.leaked = [...(globalThis.leaked ?? []), pipeline];
  else await pipeline.close();
}
async function used() {
  for (let turn = 0; turn < 3; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    globalThis.gc();
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
for (let warm = 0; warm < 10; warm++) await cycle();
const before = await used();
const handlesBefore = process.getActiveResourcesInfo().length;
const cycles = 50;
for (let turn = 0; turn < cycles; turn++) await cycle();
const after = await used();
console.log(
  JSON.stringify({
    bytesPerCycle: Math.round((after - before) / cycles),
    handles: process.getActiveResourcesInfo().length - handlesBefore,
  }),
);
if (process.argv[2] === 'leak') process.exit(0);
