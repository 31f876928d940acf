// How long a fresh process takes to its first answer: the two examples, from their published snapshots.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GoalResult } from './goal.js';
import { spreadOf } from './measure.js';
import { root } from './online-retail.js';
import { runScript } from './processes.js';
import type { SuiteOptions } from './suites.js';

/** Builds an example's snapshot in a folder of its own. */
const buildScript = `
import { writeFileSync } from 'node:fs';
import { buildPipeline } from '@recloom/core';
const [directory, folder, pictures] = process.argv.slice(1);
const config = { format: '1.0', name: 'bench-start', base: './shop.yaml', snapshot: { directory: folder } };
if (Number(pictures) > 0) {
  const { readItems } = await import(directory + '/prepare.mjs');
  const path = folder + '/items.json';
  writeFileSync(path, JSON.stringify(readItems().slice(0, Number(pictures))));
  config.data = { items: { with: { path } } };
}
const { counts } = await buildPipeline(config, { directory });
console.log(JSON.stringify({ config, counts }));
`;

/** Opens it and asks once; milliseconds since the process started. */
const answerScript = `
const startedMs = performance.now();
const [directory, config, request] = process.argv.slice(1);
const { openPipeline } = await import('@recloom/core');
const importedMs = performance.now();
const shop = await openPipeline(JSON.parse(config), { directory });
const openedMs = performance.now();
const { items } = await shop.recommend(JSON.parse(request));
const answeredMs = performance.now();
const { user, system } = process.cpuUsage();
console.log(JSON.stringify({ startedMs, importedMs, openedMs, answeredMs, cpuMs: (user + system) / 1000, items: items.length, rss: process.memoryUsage.rss() }));
process.exit(0);
`;

interface Built {
  readonly config: object;
  readonly counts: { readonly items: number };
}

interface Started {
  readonly startedMs: number;
  readonly importedMs: number;
  readonly openedMs: number;
  readonly answeredMs: number;
  readonly cpuMs: number;
  readonly items: number;
  readonly rss: number;
}

/** START: the gift-ware shop, and the pictures, whose first answer waits for two encoders. */
export async function benchStartUp({ quick }: SuiteOptions): Promise<GoalResult[]> {
  return [
    await startUp(
      'the gift-ware shop (examples/online-retail)',
      'online-retail',
      0,
      { user: '17850', purposes: ['personalisation'], limit: 10 },
      quick,
    ),
    await startUp(
      'the picture shop (examples/pictures), a search by words',
      'pictures',
      quick ? 60 : 10_000,
      { surface: 'search', text: 'something to drink when it is cold', limit: 10 },
      quick,
    ),
  ];
}

async function startUp(what: string, example: string, pictures: number, request: object, quick: boolean): Promise<GoalResult> {
  const directory = join(root, 'examples', example);
  const folder = await mkdtemp(join(tmpdir(), 'recloom-bench-'));
  try {
    const { config, counts } = (await runScript(buildScript, [directory, folder, String(pictures)])) as Built;
    const runs: Started[] = [];
    for (let round = quick ? 1 : -1; round < (quick ? 2 : 9); round++) {
      const run = (await runScript(answerScript, [directory, JSON.stringify(config), JSON.stringify(request)])) as Started;
      if (run.items !== 10) throw new Error(`The first answer of ${example} has ${run.items} items.`);
      if (round >= 0) runs.push(run);
    }
    const median = (value: (run: Started) => number): number => spreadOf(runs.map(value)).median;
    const { lowest, highest } = spreadOf(runs.map((run) => run.answeredMs));
    return {
      goal: 'START',
      name: `from the start of a process to the first answer of ${what}`,
      figure: median((run) => run.answeredMs),
      unit: 'ms',
      limit: { name: 'Node itself, to its first line', value: median((run) => run.startedMs), unit: 'ms' },
      note: `${counts.items.toLocaleString('en-GB')} items, snapshot on disk; to the library imported ${median((run) => run.importedMs).toFixed(0)}, to the pipeline open ${median((run) => run.openedMs).toFixed(0)}, answer ${median((run) => run.answeredMs - run.openedMs).toFixed(0)} ms; CPU ${median((run) => run.cpuMs).toFixed(0)} ms, resident ${(median((run) => run.rss) / 2 ** 20).toFixed(0)} MiB; ${runs.length} processes, ${lowest.toFixed(0)} to ${highest.toFixed(0)} ms`,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
