// PRESETS: what it takes to build each preset on Online Retail: a fresh process for each, from the files to a pipeline that answers.
import { loadConfig } from '@recloom/core';
import { presetNames } from '@recloom/presets';
import type { GoalResult } from './goal.js';
import { spreadOf } from './measure.js';
import { root } from './online-retail.js';
import { runScript } from './processes.js';
import type { SuiteOptions } from './suites.js';

/** Reads the data first, so that time and memory of the fits stand apart from those of reading. */
const script = `
import { openPipeline, readPipelineData } from '@recloom/core';
const { preset, data, directory } = JSON.parse(process.argv[1]);
const dataset = await readPipelineData({ format: '1.0', name: 'bench-data', data, components: {}, surfaces: {} }, { directory });
const before = process.resourceUsage().maxRSS;
const cpu = process.cpuUsage(), wall = performance.now();
const pipeline = await openPipeline({ format: '1.0', base: 'recloom:' + preset, name: 'bench-' + preset, data: { now: 'data' } }, { dataset, directory });
const used = process.cpuUsage(cpu);
const wallSeconds = (performance.now() - wall) / 1e3;
console.log(JSON.stringify({ cpuSeconds: (used.user + used.system) / 1e6, wallSeconds, peakBytes: process.resourceUsage().maxRSS * 1024, beforeBytes: before * 1024 }));
await pipeline.close();
process.exit(0);
`;

interface Build {
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
  readonly peakBytes: number;
  readonly beforeBytes: number;
}

/** CPU time of the build and the peak of the resident memory, preset by preset. */
export async function benchPresets({ quick }: SuiteOptions): Promise<GoalResult[]> {
  const { config, directory } = await loadConfig(`${root}/examples/online-retail/shop.yaml`);
  const data = Object.fromEntries(
    (['items', 'events', 'users'] as const).flatMap((kind) => {
      const node = config.data[kind];
      return node === undefined ? [] : [[kind, { use: node.use, with: node.with }]];
    }),
  );
  const results: GoalResult[] = [];
  for (const preset of presetNames) {
    const builds: Build[] = [];
    for (let round = 0; round < (quick ? 1 : 3); round++)
      builds.push((await runScript(script, [JSON.stringify({ preset, data, directory })])) as Build);
    const median = (read: (build: Build) => number): number => spreadOf(builds.map(read)).median;
    const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
    results.push({
      goal: 'PRESETS',
      name: `recloom:${preset}, built on Online Retail`,
      figure: median((build) => build.cpuSeconds),
      unit: 's CPU',
      limit: { name: 'peak of the resident memory', value: median((build) => build.peakBytes) / 2 ** 20, unit: 'MiB' },
      note: `all fits and encodings, nothing taken from a snapshot: ${median((build) => build.wallSeconds).toFixed(1)} s on the clock; the peak with the data alone was ${mebibytes(median((build) => build.beforeBytes))}`,
    });
  }
  return results;
}
