import { resolve } from 'node:path';
import type { BuildObserver } from '@recloom/core';
import type { EvaluatedPipeline } from '@recloom/evaluate';
import type { Command } from 'commander';
import { addCommand, type CommandHost, hostOptions } from '../command.js';
import { UsageError } from '../report-error.js';
import { addSplitOptions, nameOfConfig, readSplits, type SplitData, splitHelp } from '../split-options.js';
import { addMeasureOptions, type MeasureOptions, measureOptionsOf, measuring, reportFile, showEvaluation } from './evaluate.js';

/** `recloom compare <configs...>`. */
export function registerCompare(program: Command, host: CommandHost): void {
  addCommand<MeasureOptions>(program, host, {
    usage: 'compare <configs...>',
    summary: 'several configs on the same questions: is the difference more than chance',
    detail: `Each config is fitted on the same training part and asked the same questions, as \`evaluate\` does. Every config is compared with popularity, and every later one with the first: the difference per user with its interval, and a p-value corrected for the number of comparisons. Their events must be the same; item and user fields may differ.\n\n${splitHelp}`,
    examples: [
      ['recloom compare shop.yaml shop-next.yaml', 'is the next config better than the one that serves'],
      [
        'recloom compare shop.yaml a.yaml b.yaml --cut 2011-10-09 --until 2011-11-09',
        'on an earlier month, so that the test stays untouched',
      ],
      ['recloom compare shop.yaml a.yaml --report report.html', 'one page for a browser, with curves and examples'],
    ],
    configure: (command) => {
      addSplitOptions(command);
      addMeasureOptions(command);
    },
    run: async (call) => {
      const { io, options } = call;
      const files = [...(options.config === undefined ? [] : [options.config]), ...call.words];
      if (files.length < 2) throw new UsageError('There must be two configs at least.', 'One alone is for `recloom evaluate`.');
      const configs = files.map((file) => resolve(io.directory, file));
      const twice = configs.findIndex((config, place) => configs.indexOf(config) !== place);
      if (twice >= 0) throw new UsageError(`${nameOfConfig(configs[twice] as string)} is named twice.`);
      const report = await reportFile(call);
      const started = performance.now();
      const evaluation = await measuring(call, async (observer) => {
        const { evaluatePipelines } = await import('@recloom/evaluate');
        const { first, splits } = await readAll(configs, options, call.io, observer);
        const pipelines = configs.map((config, place): EvaluatedPipeline => {
          const own = splits[place];
          const name = uniqueName(config, configs, files[place] as string);
          return { name, source: config, file: files[place] as string, ...(own === undefined ? {} : { splits: own.described.splits }) };
        });
        return evaluatePipelines(pipelines, first.described, { ...measureOptionsOf(call), dataset: first.dataset, observer });
      });
      await showEvaluation(call, evaluation, { milliseconds: performance.now() - started, report });
    },
  });
}

/** A config goes by its file name, or by the path as written when two have the same. */
function uniqueName(config: string, configs: readonly string[], written: string): string {
  const name = nameOfConfig(config);
  return configs.filter((other) => nameOfConfig(other) === name).length > 1 ? written : name;
}

/** Reads and splits the first config's data; of the others, only those whose sources are not the same. */
async function readAll(
  configs: readonly string[],
  options: MeasureOptions,
  io: Parameters<typeof hostOptions>[0],
  observer: BuildObserver,
): Promise<{ readonly first: SplitData; readonly splits: readonly (SplitData | undefined)[] }> {
  const sources = await Promise.all(configs.map((config) => sourcesOf(config, io)));
  const first = await readSplits(configs[0] as string, options, io, observer);
  const known = new Map<string, SplitData | undefined>([[sources[0] as string, undefined]]);
  const splits: (SplitData | undefined)[] = [];
  for (const [place, config] of configs.entries()) {
    const key = sources[place] as string;
    if (!known.has(key)) known.set(key, await readSplits(config, options, io, observer));
    splits.push(known.get(key));
  }
  return { first, splits };
}

/** Where a config's data come from, as a key. */
async function sourcesOf(config: string, io: Parameters<typeof hostOptions>[0]): Promise<string> {
  const { loadConfig } = await import('@recloom/core');
  const { config: loaded, directory } = await loadConfig(config, { env: io.env as NodeJS.ProcessEnv });
  const { items, events, users } = loaded.data;
  return JSON.stringify([directory, items, events, users]);
}
