// Latency under load: requests that arrive at random at half of what the process can answer (G3).
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closedLoop, type LoadResult, openLoop, poissonTimes, quantileOf } from './arrivals.js';
import type { GoalResult } from './goal.js';
import { spreadOf, uniformSource } from './measure.js';
import { answerLength, openModelPipeline } from './model-pipeline.js';
import { listCount } from './requests.js';
import type { SuiteOptions } from './suites.js';
import { retailTitles } from './titles.js';

/** Calls that are always under way while the capacity is measured: enough that no worker ever waits for one. */
const atOnce = 8;

/** G3: a network alone, and a query that is encoded first. */
export async function benchLoad({ quick }: SuiteOptions): Promise<GoalResult[]> {
  const directory = await mkdtemp(join(tmpdir(), 'recloom-bench-'));
  const results: GoalResult[] = [];
  const seconds = quick ? 2 : 15;
  try {
    const network = await openModelPipeline(directory);
    try {
      const call = (turn: number): Promise<unknown> =>
        network.pipeline.recommend({ user: 'u1', limit: answerLength, seed: turn % listCount });
      results.push(await underHalfLoad('1,000 candidates through a network', 5, seconds, quick, call));
    } finally {
      await network.pipeline.close();
    }
    const titles = await retailTitles(quick ? 1_200 : 4_000);
    const search = await openModelPipeline(directory, titles);
    try {
      // Two halves of titles: the words are those of the shop, and no search comes twice.
      const uniform = uniformSource(31);
      const half = (): string => {
        const words = (titles[Math.floor(uniform() * titles.length)] as string).split(/\s+/);
        return words.slice(0, Math.max(1, Math.ceil(words.length / 2))).join(' ');
      };
      const call = async (): Promise<void> => {
        const { items, warnings } = await search.pipeline.search({ text: `${half()} ${half()}`, limit: answerLength });
        if (items.length !== answerLength)
          throw new Error(`A search found ${items.length} items (${warnings.map(({ code }) => code).join(', ')}).`);
      };
      results.push(await underHalfLoad('a query encoded, 1,000 neighbours through a network', 25, seconds, quick, call));
    } finally {
      await search.pipeline.close();
    }
    return results;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Measures what the process can answer, then the latencies at half of it, three times in turns; the 99th percentile of the middle one. */
async function underHalfLoad(
  what: string,
  boundMs: number,
  seconds: number,
  quick: boolean,
  call: (turn: number) => Promise<unknown>,
): Promise<GoalResult> {
  await closedLoop(atOnce, seconds / 3, call);
  const rounds = quick ? 1 : 3;
  const runs: (LoadResult & { readonly capacity: number; readonly busy: number; readonly closedMs: number; readonly openMs: number })[] =
    [];
  let alone = 0;
  for (let round = 0; round < rounds; round++) {
    const beforeClosed = process.cpuUsage();
    const beganMs = performance.now();
    const capacity = await closedLoop(atOnce, seconds / 3, call);
    const closedMs = cpuMsSince(beforeClosed) / ((capacity * (performance.now() - beganMs)) / 1000);
    const times = poissonTimes(capacity / 2, seconds, 100 + round);
    const beforeOpen = process.cpuUsage();
    const loop = performance.eventLoopUtilization();
    const result = await openLoop(times, call);
    const busy = performance.eventLoopUtilization(loop).utilization;
    runs.push({ capacity, busy, closedMs, openMs: cpuMsSince(beforeOpen) / times.length, ...result });
    alone = 1000 / (await closedLoop(1, seconds / 6, call));
  }
  const p99 = spreadOf(runs.map((run) => quantileOf(run.latenciesMs, 0.99)));
  const middle = runs.find((run) => quantileOf(run.latenciesMs, 0.99) === p99.median) as (typeof runs)[0];
  const show = (share: number): string => quantileOf(middle.latenciesMs, share).toFixed(1);
  return {
    goal: 'G3',
    name: `${what}, 99th percentile at half load`,
    figure: p99.median,
    unit: 'ms',
    bound: { atMost: boundMs },
    limit: { name: 'one request at a time, mean', value: alone, unit: 'ms' },
    // A request costs more when it comes alone than when eight keep the caches warm: half of the capacity is then more than half a load.
    note: `Poisson arrivals, ${(middle.capacity / 2).toFixed(0)} a second (${middle.capacity.toFixed(0)} with ${atOnce} always under way); ${middle.latenciesMs.length.toLocaleString('en-GB')} requests, each timed from the moment it was due: median ${show(0.5)}, 90 % ${show(0.9)}, 99.9 % ${show(0.999)}, longest ${show(1)} ms; at most ${middle.mostAtOnce} at once; a request costs ${middle.openMs.toFixed(1)} ms CPU, ${middle.closedMs.toFixed(1)} with ${atOnce} under way, and the event loop is busy ${(100 * middle.busy).toFixed(0)} % of the time${rounds > 1 ? `; 99 % of the ${rounds} runs ${p99.lowest.toFixed(1)} to ${p99.highest.toFixed(1)} ms` : ''}`,
  };
}

/** Milliseconds of CPU that all threads of this process have used since. */
function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
