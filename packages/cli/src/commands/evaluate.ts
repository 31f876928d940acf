import { constants } from 'node:fs';
import { access, mkdir, stat, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Evaluation, EvaluationOptions } from '@recloom/evaluate';
import { recloomError } from '@recloom/plugin-api';
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { addCommand, type CommandCall, type CommandHost, hostOptions, listOption, numberOption, takeOnlyConfig } from '../command.js';
import { evaluationLines } from '../render/evaluation.js';
import { formatCountOf, formatDuration, formatFigure, formatShare } from '../render/format.js';
import { printable, wrap } from '../render/text.js';
import { UsageError } from '../report-error.js';
import { addSplitOptions, nameOfConfig, readSplits, type SplitOptions, splitHelp, splitRequestOf } from '../split-options.js';

/** What `evaluate` and `compare` take besides the split. */
export interface MeasureOptions extends SplitOptions {
  readonly k: number;
  readonly at?: readonly number[];
  readonly segment?: readonly string[];
  readonly surface?: string;
  readonly purpose?: readonly string[];
  readonly examples?: number;
  readonly report?: string;
  readonly showUsers?: boolean;
}

interface EvaluateCommandOptions extends MeasureOptions {
  readonly clicks?: { readonly shown: string; readonly clicked: string };
  readonly column?: string;
}

/** `recloom evaluate [config]`. */
export function registerEvaluate(program: Command, host: CommandHost): void {
  addCommand<EvaluateCommandOptions>(program, host, {
    usage: 'evaluate [config]',
    summary: 'fit on one part, ask for the other: NDCG, recall and more, beside popularity',
    detail: `The very pipeline that serves is fitted on the training part and asked what each test user took, ranked against the whole catalogue; nothing that it is asked for is in training. Beside it stands popularity, which every recommender must beat. The published snapshot is not touched.\n\nChoose options on an earlier part (an earlier --cut with --until, --part validation) and look at the test once.\n\n${splitHelp}`,
    examples: [
      ['recloom evaluate', 'the last 15 % of the time span is the test'],
      ['recloom evaluate --cut 2011-11-09 --minimum-item-users 5 --minimum-user-items 5', 'protocol Q1 of examples/online-retail'],
      ['recloom evaluate --report report.html', 'the same as one page for a browser, with curves and examples'],
      ['recloom evaluate --cut 2011-10-09 --until 2011-11-09 --segment country', 'the month before, for choosing options; by country'],
      ['recloom evaluate --split random --seeds 1,2,3 --k 20', 'three random splits, with their spread'],
      [
        'recloom evaluate --clicks view:purchase --column score.click.taken',
        'AUC, log loss and calibration of a model of purchases after views',
      ],
      ['recloom evaluate --split predefined --test data/kept-back.csv', 'what somebody kept back'],
    ],
    configure: (command) => {
      addSplitOptions(command);
      addMeasureOptions(command);
      command.option('--clicks <shown:clicked>', 'instead: how good --column predicts clicks, e.g. view:purchase', clicksOption);
      command.option('--column <expression>', 'with --clicks: the probability, e.g. score.click.taken');
    },
    run: async (call) => {
      const config = takeOnlyConfig(call);
      const started = performance.now();
      if ((call.options.clicks === undefined) !== (call.options.column === undefined))
        throw new UsageError('--clicks and --column go together.');
      if (call.options.clicks !== undefined) {
        if (call.options.report !== undefined) throw new UsageError('--report shows rankings: it does not go with --clicks.');
        await printClicks(call, config);
        return;
      }
      const report = await reportFile(call);
      const evaluation = await measuring(call, async (observer) => {
        const { evaluatePipelines } = await import('@recloom/evaluate');
        const { dataset, described } = await readSplits(config, call.options, call.io, observer);
        return evaluatePipelines([{ source: config, file: nameOfConfig(config) }], described, {
          ...measureOptionsOf(call),
          dataset,
          observer,
        });
      });
      await showEvaluation(call, evaluation, { milliseconds: performance.now() - started, report });
    },
  });
}

/** Fits before the cut, asks at the cut, and compares the predictions with what followed what was shown. */
async function printClicks(call: CommandCall<EvaluateCommandOptions>, config: string): Promise<void> {
  const { io, options } = call;
  const { cutMs, untilMs, kind, ...others } = splitRequestOf(options);
  const { clicks, column } = options;
  if (clicks === undefined || column === undefined || kind !== 'temporal' || Object.keys(others).length > 0)
    throw new UsageError('--clicks splits by time alone: with --cut and --until, or the last 15 % of the time span.');
  const found = await measuring(call, async (observer) => {
    const [{ readPipelineData }, { evaluateClicks }] = await Promise.all([import('@recloom/core'), import('@recloom/evaluate')]);
    const host = { ...hostOptions(io), signal: io.signal };
    const dataset = await readPipelineData(config, { ...host, observer });
    observer.step('fit, ask', 'start');
    const evaluation = await evaluateClicks(config, dataset, {
      ...host,
      ...clicks,
      column,
      progress: (fraction) => observer.progress('fit, ask', fraction),
      ...(cutMs === undefined ? {} : { cutMs }),
      ...(untilMs === undefined ? {} : { untilMs }),
      ...(options.surface === undefined ? {} : { surface: options.surface }),
      ...(options.purpose === undefined ? {} : { purposes: options.purpose }),
    });
    observer.step('fit, ask', 'end');
    return evaluation;
  });
  if (call.json) {
    call.printJson(found);
    return;
  }
  const share = found.positives / found.examples;
  call.print([
    call.style.bold(`${column} as the chance of "${clicks.clicked}" after "${clicks.shown}"`) +
      call.style.dim(`  from ${found.cut.slice(0, 16).replace('T', ' ')}`),
    '',
    `  examples     ${formatCountOf(found.examples, 'pair')} of user and item, ${formatShare(share)} positive, ${formatCountOf(found.users, 'user')}`,
    `  without      ${formatCountOf(found.notScored, 'pair')} had no prediction`,
    `  AUC          ${formatFigure(found.auc)}  ${call.style.dim('.5 is a coin, 1 perfect order')}`,
    `  log loss     ${formatFigure(found.logLoss)}  ${call.style.dim(`${formatFigure(found.baseRateLogLoss)} by always saying ${formatShare(share)}`)}`,
    `  calibration  ${formatFigure(found.calibrationError)}  ${call.style.dim('mean distance of what was said from what happened')}`,
    ...(found.logLoss < found.baseRateLogLoss
      ? []
      : [
          '',
          ...wrap(
            '! As a chance this is no better than always saying the base rate: log loss and calibration say nothing of a score that is no probability. The AUC reads order alone and stands. Use a calibrated output of a model for the other two.',
            call.style.width,
            '    ',
            '  ',
          ).map(call.style.yellow),
        ]),
  ]);
}

function clicksOption(text: string): { readonly shown: string; readonly clicked: string } {
  const [shown, clicked, ...rest] = text.split(':').map((name) => name.trim());
  if (!shown || !clicked || rest.length > 0) throw new InvalidArgumentError('It must be two event types such as view:purchase.');
  return { shown, clicked };
}

/** Adds the options of measuring. */
export function addMeasureOptions(command: Command): void {
  command.option('--k <count>', 'length of the lists', wholeFromOne, 10);
  command.option('--at <counts>', 'further lengths, for curves; default: 1,2,3,5,10,20,50', lengthsOption);
  command.option('--segment <fields>', 'figures by a field: country, item.category; again for more', listOption);
  command.option('-s, --surface <name>', 'the surface to ask; default: what fits a user');
  command.option('-p, --purpose <names>', 'what the users agreed to; default: personalisation', listOption);
  command.option('--report <file.html>', 'also write all of it as one page for a browser');
  command.option('--examples <count>', 'users shown as examples; default: 6, 0 = none', wholeFromZero);
  command.option('--show-users', 'with --report: their ids instead of "Customer 1"');
}

/** What the library is told. */
export function measureOptionsOf({ options, io }: CommandCall<MeasureOptions>): EvaluationOptions {
  return {
    ...hostOptions(io),
    signal: io.signal,
    k: options.k,
    ...(options.at === undefined ? {} : { at: options.at }),
    ...(options.segment === undefined ? {} : { segments: options.segment }),
    ...(options.surface === undefined ? {} : { surface: options.surface }),
    ...(options.purpose === undefined ? {} : { purposes: options.purpose }),
    ...(options.examples === undefined ? {} : { examples: options.examples }),
  };
}

/**
 * Where the page goes, as an absolute path; undefined when none is wanted. What would make it fail after minutes of measuring
 * is refused at once.
 */
export async function reportFile({ io, options }: CommandCall<MeasureOptions>): Promise<string | undefined> {
  if (options.report === undefined) {
    if (options.showUsers === true) throw new UsageError('--show-users belongs to --report.');
    return undefined;
  }
  if (!/\.html?$/i.test(options.report)) throw new UsageError(`"${options.report}" must end in .html.`);
  const file = resolve(io.directory, options.report);
  const refuse = (error: unknown): never => {
    throw recloomError('RECLOOM_DAT_WRITE', { path: options.report as string, why: (error as NodeJS.ErrnoException).code ?? 'unknown' });
  };
  await mkdir(dirname(file), { recursive: true })
    .then(() => access(dirname(file), constants.W_OK))
    .catch(refuse);
  const found = await stat(file).catch(() => undefined);
  if (found?.isDirectory() === true) refuse({ code: 'EISDIR' });
  return file;
}

/** Writes the page; without a file it does nothing. */
async function writeReport(call: CommandCall<MeasureOptions>, evaluation: Evaluation, file: string): Promise<void> {
  const { renderReport } = await import('@recloom/evaluate');
  const page = await renderReport(evaluation, {
    command: ['recloom', ...call.argv].map(shellWord).join(' '),
    ...(call.options.showUsers === undefined ? {} : { showUsers: call.options.showUsers }),
  });
  await writeFile(file, page).catch((error: NodeJS.ErrnoException) => {
    throw recloomError('RECLOOM_DAT_WRITE', { path: call.options.report as string, why: error.code ?? 'unknown' });
  });
}

/** A word as a POSIX shell takes it. */
function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Runs with a progress bar, which is gone when it ends, however it ends. */
export async function measuring<Result>(
  call: CommandCall<MeasureOptions>,
  run: (observer: NonNullable<EvaluationOptions['observer']>) => Promise<Result>,
): Promise<Result> {
  const { createBuildRenderer } = await import('../build-renderer.js');
  // With --json stdout is one document and nothing else is said.
  const renderer = createBuildRenderer(call.json ? { ...call.io, stderr: { write: () => true } } : call.io);
  return run(renderer.observer).finally(() => renderer.stop());
}

/** The document for machines, or what it says for people; and the page, where one is wanted. */
export async function showEvaluation(
  call: CommandCall<MeasureOptions>,
  evaluation: Evaluation,
  { milliseconds, report }: { readonly milliseconds: number; readonly report: string | undefined },
): Promise<void> {
  // Should the page fail, a person has the figures; a machine gets one document, and that is the error then.
  if (!call.json) call.print([...evaluationLines(evaluation, call.style), '', call.style.dim(`  ${formatDuration(milliseconds)}`)]);
  if (report !== undefined) await writeReport(call, evaluation, report);
  if (call.json) call.printJson(evaluation);
  else if (report !== undefined) call.print(`  report  ${printable(call.options.report as string)}`);
}

function wholeFromOne(text: string): number {
  const value = numberOption(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('It must be a whole number from 1.');
  return value;
}

function wholeFromZero(text: string): number {
  const value = numberOption(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('It must be a whole number from 0.');
  return value;
}

function lengthsOption(text: string, before: readonly number[] | undefined): readonly number[] {
  return [...(before ?? []), ...listOption(text, undefined).map(wholeFromOne)];
}
