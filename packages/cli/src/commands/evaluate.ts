import type { QualityReport } from '@recloom/evaluate';
import type { Command } from 'commander';
import { addCommand, type CommandHost, dateOption, hostOptions, listOption, numberOption, takeOnlyConfig } from '../command.js';
import { formatCount, formatDuration, formatInstant, formatShare } from '../render/format.js';
import type { Style } from '../render/style.js';
import { renderTable } from '../render/table.js';
import { UsageError } from '../report-error.js';

interface EvaluateCommandOptions {
  readonly cut: number;
  readonly until?: number;
  readonly minimumItemUsers: number;
  readonly minimumUserItems: number;
  readonly k: number;
  readonly surface?: string;
  readonly purpose?: readonly string[];
}

/** `recloom evaluate [config] --cut DATE`. */
export function registerEvaluate(program: Command, host: CommandHost): void {
  addCommand<EvaluateCommandOptions>(program, host, {
    usage: 'evaluate [config]',
    summary: 'fit on the past, ask for the future: NDCG, recall and coverage beside popularity',
    detail:
      'Everything before --cut is for training. The test: for each user, the items that are new to them from then on, ranked against the whole catalogue by the very pipeline that serves. The published snapshot is not touched.',
    examples: [
      ['recloom evaluate --cut 2011-11-09 --minimum-item-users 5 --minimum-user-items 5', 'protocol Q1 of examples/online-retail'],
    ],
    configure: (command) => {
      command.requiredOption('--cut <date>', 'first instant of the test, e.g. 2011-11-09', dateOption);
      command.option('--until <date>', 'end of the test; default: the end of the data', dateOption);
      command.option('--minimum-item-users <count>', 'leave out items with fewer users in training', numberOption, 1);
      command.option('--minimum-user-items <count>', 'leave out users with fewer of those items in training', numberOption, 1);
      command.option('--k <count>', 'length of the lists', numberOption, 10);
      command.option('-s, --surface <name>', 'the surface to ask; default: what fits a user');
      command.option('-p, --purpose <names>', 'what the users agreed to; default: personalisation', listOption);
    },
    run: async (call) => {
      const config = takeOnlyConfig(call);
      const { options, io } = call;
      if (!Number.isInteger(options.k) || options.k < 1) throw new UsageError('--k must be a whole number from 1.');
      const started = performance.now();
      const [{ readPipelineData }, { evaluatePipeline, evaluateRecommender, popularityRecommender, temporalSplit }] = await Promise.all([
        import('@recloom/core'),
        import('@recloom/evaluate'),
      ]);
      const { createBuildRenderer } = await import('../build-renderer.js');
      // With --json stdout is one document and nothing else is said.
      const renderer = createBuildRenderer(call.json ? { ...io, stderr: { write: () => true } } : io);
      const { observer } = renderer;
      const measure = async () => {
        const dataset = await readPipelineData(config, { ...hostOptions(io), signal: io.signal, observer });
        const split = temporalSplit(dataset, {
          cutMs: options.cut,
          ...(options.until === undefined ? {} : { untilMs: options.until }),
          minimumItemUsers: options.minimumItemUsers,
          minimumUserItems: options.minimumUserItems,
        });
        const popularity = await evaluateRecommender(popularityRecommender(split), split, { k: options.k });
        observer.step('fit on the past, ask', 'start');
        const pipeline = await evaluatePipeline(config, split, {
          ...hostOptions(io),
          signal: io.signal,
          k: options.k,
          progress: (fraction) => observer.progress('fit on the past, ask', fraction),
          ...(options.surface === undefined ? {} : { surface: options.surface }),
          ...(options.purpose === undefined ? {} : { purposes: options.purpose }),
        });
        observer.step('fit on the past, ask', 'end');
        return { split, popularity, pipeline };
      };
      const { split, popularity, pipeline } = await measure().finally(() => renderer.stop());
      const milliseconds = performance.now() - started;
      if (call.json) {
        call.printJson({
          cut: new Date(options.cut).toISOString(),
          split: split.report,
          pipeline: figuresOf(pipeline),
          popularity: figuresOf(popularity),
          ratio: pipeline.ndcg.mean / popularity.ndcg.mean,
          milliseconds,
        });
        return;
      }
      const { report } = split;
      call.print([
        call.style.bold(`Quality at ${options.k}`) + call.style.dim(`  cut ${formatInstant(options.cut)}`),
        '',
        `  training  ${formatCount(report.trainUsers)} users × ${formatCount(report.trainItems)} items, ${formatCount(report.trainPairs)} pairs`,
        `  test      ${formatCount(report.testUsers)} users, ${formatCount(report.testPairs)} pairs that are new to them`,
        '',
        ...qualityLines({ 'this pipeline': pipeline, popularity }, call.style),
        '',
        call.style.dim(`  ± is one standard error · ${formatDuration(milliseconds)}`),
      ]);
    },
  });
}

function figuresOf(report: QualityReport): Record<string, unknown> {
  const { k, cases, ndcg, recall, hitRate, coverage } = report;
  return { k, cases, ndcg, recall, hitRate, coverage };
}

/** Figures of several recommenders on one split as a table; the last is what the others are compared with. */
export function qualityLines(reports: Readonly<Record<string, QualityReport>>, style: Style): string[] {
  const entries = Object.entries(reports);
  const base = entries.at(-1)?.[1];
  const k = base?.k ?? 10;
  return renderTable(
    [
      { header: '' },
      { header: `NDCG@${k}`, align: 'right', paint: style.bold },
      { header: '±', align: 'right', paint: style.dim },
      { header: `recall@${k}`, align: 'right' },
      { header: 'any hit', align: 'right' },
      { header: 'coverage', align: 'right' },
      { header: 'NDCG ratio', align: 'right', paint: style.green },
    ],
    entries.map(([name, report]) => [
      name,
      report.ndcg.mean.toFixed(4),
      report.ndcg.standardError.toFixed(4),
      report.recall.mean.toFixed(4),
      formatShare(report.hitRate.mean),
      formatShare(report.coverage),
      report === base || base === undefined ? '' : `${(report.ndcg.mean / base.ndcg.mean).toFixed(2)} ×`,
    ]),
    { style },
  );
}
