import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join, relative, resolve } from 'node:path';
import type { TuneComparison, TuneReport, TuneSearch, TuneTrial } from '@recloom/evaluate';
import { recloomError, type Warning } from '@recloom/plugin-api';
import type { Command } from 'commander';
import { addCommand, type CommandCall, type CommandHost, dateOption, hostOptions, numberOption, takeOnlyConfig } from '../command.js';
import { formatCount, formatCountOf, formatDuration, formatFigure, formatP, formatSigned } from '../render/format.js';
import type { Style } from '../render/style.js';
import { heading, renderTable } from '../render/table.js';
import { pad, printable, wrap } from '../render/text.js';
import { UsageError } from '../report-error.js';

interface TuneCommandOptions {
  readonly trials?: number;
  readonly minutes?: number;
  readonly test?: number;
  readonly out?: string;
  readonly force?: boolean;
  readonly fresh?: boolean;
}

const step = 'search';

/** `recloom tune [config]`. */
export function registerTune(program: Command, host: CommandHost): void {
  addCommand<TuneCommandOptions>(program, host, {
    usage: 'tune [config]',
    summary: 'search the options under `tune:` on validation data, write the best as a patch',
    detail:
      'Every trial fits the pipeline on the past of a validation window and asks it for what came next. The test is never used. Ctrl-C keeps what is finished, and the same command goes on from there. The best is written beside the config with the changed values alone. The published snapshot is not touched.',
    examples: [
      ['recloom tune --trials 60 --minutes 10', 'searches what ./shop.yaml declares under tune:'],
      ['recloom tune shop.yaml --test 2011-11-09 --out better.yaml', 'nothing from 9 November on is used'],
    ],
    configure: (command) => {
      command.option('--trials <count>', 'trials of the whole search; default: tune.trials, or 60', numberOption);
      command.option('--minutes <minutes>', 'longest time of this run; default: tune.minutes, or none', numberOption);
      command.option('--test <date>', 'first instant of the test; the earlier of this and tune.test counts', dateOption);
      command.option('-o, --out <file>', 'where the best goes; default: <config>.tuned.yaml');
      command.option('--force', 'write over what is there');
      command.option('--fresh', 'begin anew, whatever an earlier run left');
    },
    run: async (call) => {
      const config = takeOnlyConfig(call);
      const { options, io } = call;
      if (options.trials !== undefined && (!Number.isInteger(options.trials) || options.trials < 1))
        throw new UsageError('--trials must be a whole number from 1.');
      if (options.minutes !== undefined && !(options.minutes > 0)) throw new UsageError('--minutes must be more than 0.');
      const out = resolve(io.directory, options.out ?? `${config.slice(0, -extname(config).length)}.tuned.yaml`);
      const table = join(dirname(out), `${basename(out, extname(out))}.trials.csv`);
      if (out === config) throw new UsageError('--out is the config itself: it would be based on itself.', 'Name another file.');
      // Nobody wants to learn after an hour that the result has no place.
      for (const file of [out, table]) {
        if (options.force !== true && existsSync(file))
          throw new UsageError(
            `${relative(io.directory, file) || file} is there already.`,
            'Name another with --out, or write over it with --force.',
          );
      }
      const [
        { readPipelineData, resolveTune, validatePipeline },
        { baseReference, trialsTable, tune, tunedConfig },
        { createBuildRenderer },
      ] = await Promise.all([import('@recloom/core'), import('@recloom/evaluate'), import('../build-renderer.js')]);
      // Mistakes in the config are told before the data are read.
      const { plan } = await validatePipeline(config, { ...hostOptions(io), data: false });
      const { file } = plan.loaded;
      if (plan.loaded.config.tune === undefined) throw recloomError('RECLOOM_CFG_MISSING_KEY', { key: 'tune' }, { at: { file } });
      const { problems } = resolveTune(plan, options.test === undefined ? {} : { testMs: options.test });
      if (problems.length > 0) throw recloomError('RECLOOM_CFG_INVALID', { count: problems.length, file }, { at: { file }, problems });
      const quiet = { write: () => true };
      const renderer = createBuildRenderer(call.json ? { ...io, stderr: quiet } : io);
      const { observer } = renderer;
      const warnings: Warning[] = [];
      const watch = new Watch(call);
      const search = async (): Promise<TuneReport> => {
        const dataset = await readPipelineData(config, { ...hostOptions(io), signal: io.signal, observer });
        const report = await tune(config, dataset, {
          ...hostOptions(io),
          signal: io.signal,
          fresh: options.fresh === true,
          ...(options.trials === undefined ? {} : { trials: options.trials }),
          ...(options.minutes === undefined ? {} : { minutes: options.minutes }),
          ...(options.test === undefined ? {} : { testMs: options.test }),
          warn: (warning) => {
            warnings.push(warning);
            observer.warn(warning);
          },
          onStart: (about) => {
            watch.begin(about);
            observer.step(step, 'start');
          },
          onTrial: (trial) => {
            watch.trial(trial);
            observer.progress(step, watch.fraction(0), watch.note);
          },
          progress: (work, fraction) =>
            observer.progress(
              step,
              work.startsWith('trial') ? watch.fraction(fraction) : 0.99,
              work.startsWith('trial') ? watch.note : work,
            ),
        });
        observer.step(step, 'end');
        return report;
      };
      const report = await search()
        .catch((error: unknown) => {
          renderer.stop();
          if (io.signal.aborted) watch.interrupted();
          throw error;
        })
        .finally(() => renderer.stop());
      const written = report.changes.length > 0;
      try {
        if (written) await writeFile(out, tunedConfig(report, baseReference(config, out)), { flag: options.force === true ? 'w' : 'wx' });
        await writeFile(table, trialsTable(report), { flag: options.force === true ? 'w' : 'wx' });
      } catch (error) {
        const why = (error as NodeJS.ErrnoException).code ?? 'it failed';
        throw recloomError('RECLOOM_DAT_WRITE', { path: written ? out : table, why }, { cause: error });
      }
      if (call.json) {
        call.printJson({ ...report, config, out: written ? out : undefined, table, warnings });
        return;
      }
      const here = (file: string): string => relative(io.directory, file) || file;
      call.print([
        ...reportLines(report, call.style),
        '',
        ...(written
          ? [`  ${call.style.green(here(out))}  the best, with ${formatCountOf(report.changes.length, 'change')}`]
          : ['  Nothing better was found: no config was written.']),
        `  ${here(table)}  all trials`,
        call.style.dim(`  ${formatDuration(report.milliseconds)}`),
      ]);
    },
  });
}

/** Tells a person how the search goes. */
class Watch {
  readonly #call: CommandCall<TuneCommandOptions>;
  #about: TuneSearch | undefined;
  #done = 0;
  #best: number | undefined;

  constructor(call: CommandCall<TuneCommandOptions>) {
    this.#call = call;
  }

  get note(): string {
    return this.#best === undefined ? '' : `best ${figure(this.#best)}`;
  }

  /** Of the whole search, with a part of the trial at work. */
  fraction(part: number): number {
    return (this.#done + part) / (this.#about?.trials ?? 1);
  }

  begin(about: TuneSearch): void {
    this.#about = about;
    if (!this.#call.json) this.#call.print(searchLines(about, this.#call.style));
  }

  trial(trial: TuneTrial): void {
    this.#done++;
    if (trial.isBest) this.#best = trial.value;
    const { io, json } = this.#call;
    if (json || io.stderr.isTTY === true || trial.resumed) return;
    const what =
      trial.failed ?? (trial.isBest ? 'best so far' : trial.stopped ? `cannot win, stopped after ${formatCount(trial.cases)} cases` : '');
    io.stderr.write(
      `  trial ${trial.number + 1} of ${this.#about?.trials}  ${trial.value === undefined ? '–' : figure(trial.value)}  ${what}`
        .trimEnd()
        .concat('\n'),
    );
  }

  interrupted(): void {
    if (this.#call.json || this.#about?.journal === undefined) return;
    this.#call.io.stderr.write(
      `  ${formatCountOf(this.#done, 'finished trial')} ${this.#done === 1 ? 'is' : 'are'} kept: the same command goes on from there.\n`,
    );
  }
}

function searchLines(about: TuneSearch, style: Style): readonly string[] {
  const { confirm } = about;
  const line = (label: string, text: string): readonly string[] => wrap(text, style.width, ' '.repeat(14), `  ${pad(label, 12)}`);
  return [
    ...heading('Search', style, `${about.metric}@${about.k} of ${about.surface}, ${formatCountOf(about.trials, 'trial')}`),
    ...line('validation', `${partText(about)}, ${formatCountOf(about.cases, 'case')}`),
    ...(confirm === undefined ? [] : line('confirm', partText(confirm))),
    ...line(
      'test',
      about.testFrom === undefined
        ? 'was not touched: this kind of split leaves it out'
        : `was not touched: nothing from ${instant(about.testFrom)} on is used`,
    ),
    ...(about.resumed === 0
      ? []
      : [`  ${style.cyan(`goes on where it stopped: ${formatCountOf(about.resumed, 'trial')} of the journal`)}`]),
    '',
  ];
}

/** A window says all of a temporal split; others are told in a sentence. */
function partText({ window, split }: Pick<TuneSearch, 'window' | 'split'>): string {
  return window.from === undefined ? split.summary.replace(/\.$/, '') : `${instant(window.from)} to ${instant(window.until ?? '')}`;
}

function reportLines(report: TuneReport, style: Style): readonly string[] {
  const { changes, chosenOn, confirmed } = report;
  const words = { trials: 'all trials are done', minutes: 'the time is used up', exhausted: 'every combination was tried' };
  const lines = [...heading('Result', style, `${formatCountOf(report.done.length, 'trial')}, ${words[report.ended]}`)];
  if (chosenOn === undefined) lines.push(`  The config as it is stays the best: ${report.metric}@${report.k} ${figure(report.start)}.`);
  else {
    lines.push(
      ...renderTable(
        [
          { header: `${report.metric}@${report.k}` },
          { header: 'start', align: 'right' },
          { header: 'best', align: 'right', paint: style.bold },
          { header: 'difference', align: 'right' },
          { header: '95 %', align: 'right', paint: style.dim },
          { header: 'p', align: 'right' },
        ],
        [comparisonCells('chosen on', chosenOn), ...(confirmed === undefined ? [] : [comparisonCells('confirm', confirmed)])],
        { style },
      ),
      '',
      confirmed === undefined
        ? '  Not confirmed: tune.confirm declares no second window, so part of the gain may be luck.'
        : confirmed.survives
          ? `  ${style.green('The gain survives: yes.')} It holds on cases that it was not chosen on.`
          : `  ${style.yellow('The gain survives: no.')} On cases that it was not chosen on it may be chance: keep what you have.`,
      ...heading('Changes', style),
      ...renderTable(
        [
          { header: 'option', paint: style.cyan, narrow: 'cut' },
          { header: 'was', align: 'right' },
          { header: 'now', align: 'right' },
          { header: 'gain', align: 'right' },
        ],
        changes.map(({ name, from, to, gain }) => [printable(name), value(from), value(to), gain === undefined ? '–' : figure(gain)]),
        { style },
      ),
      style.dim(`  gain: what the best loses when this option alone is put back. It comes from trial ${report.bestTrial + 1},`),
      style.dim('  where what did not pay was put back.'),
    );
  }
  const best = report.done
    .filter((trial) => trial.value !== undefined)
    .sort((left, right) => (right.value ?? 0) - (left.value ?? 0) || left.number - right.number);
  const names = Object.keys(report.done[0]?.values ?? {});
  const stopped = report.done.filter((trial) => trial.stopped).length;
  const failed = report.done.filter((trial) => trial.failed !== undefined).length;
  lines.push(
    ...heading('Trials', style, `the best 5; ${stopped} stopped early${failed === 0 ? '' : `, ${failed} failed`}`),
    ...renderTable(
      [
        { header: 'trial', align: 'right' },
        { header: `${report.metric}@${report.k}`, align: 'right' },
        { header: 'values', narrow: 'cut' },
      ],
      best
        .slice(0, 5)
        .map((trial) => [
          String(trial.number + 1),
          figure(trial.value ?? 0),
          names.map((name) => `${shortName(name)} ${value(trial.values[name])}`).join(', '),
        ]),
      { style },
    ),
  );
  if (report.importance.length > 0)
    lines.push(
      ...heading('What mattered', style, 'over the trials, one option at a time: a hint'),
      ...renderTable(
        [
          { header: 'option', paint: style.cyan, narrow: 'cut' },
          { header: 'strength', align: 'right' },
          { header: '', narrow: 'cut', paint: style.dim },
        ],
        report.importance.map(({ name, strength, measure }) => [
          printable(name),
          strength.toFixed(2),
          measure === 'rank-correlation' ? 'rank correlation' : 'correlation ratio',
        ]),
        { style },
      ),
    );
  return lines;
}

function comparisonCells(name: string, { start, best, cases, difference, pValue }: TuneComparison): readonly string[] {
  return [
    `${name} (${formatCountOf(cases, 'case')})`,
    figure(start),
    figure(best),
    formatSigned(difference.mean),
    `${formatSigned(difference.low)} … ${formatSigned(difference.high)}`,
    formatP(pValue).replace(/^p (?:= )?/, ''),
  ];
}

/** `surfaces.home.value.trending` → `trending`; `habits.lambda` stays. */
function shortName(name: string): string {
  return name.startsWith('surfaces.') ? (name.split('.').at(-1) as string) : name;
}

function value(of: string | number | boolean | null | undefined): string {
  return of === undefined || of === null ? 'not set' : printable(String(of));
}

function instant(text: string): string {
  return text.endsWith('T00:00:00.000Z') ? text.slice(0, 10) : `${text.slice(0, 16).replace('T', ' ')}`;
}

/** `.3279`, `−.0019`, as `evaluate` writes figures. */
function figure(of: number): string {
  return formatFigure(of);
}
