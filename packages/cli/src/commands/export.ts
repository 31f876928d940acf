import type { TrainingReport } from '@recloom/training';
import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import { addCommand, type CommandHost, dateOption, hostOptions, listOption, numberOption, takeOnlyConfig } from '../command.js';
import { formatBytes, formatCount, formatCountOf, formatDuration, formatShare } from '../render/format.js';
import type { Style } from '../render/style.js';
import { heading, renderTable } from '../render/table.js';
import { UsageError, warningLines } from '../report-error.js';

interface ExportCommandOptions {
  readonly for: 'training';
  readonly out: string;
  readonly surface?: string;
  readonly cuts?: readonly string[];
  readonly every?: number;
  readonly window: number;
  readonly until?: number;
  readonly validationCuts: number;
  readonly negatives: number | 'all';
  readonly without?: readonly string[];
  readonly column?: readonly string[];
  readonly features?: readonly string[];
  readonly history: number;
  readonly events?: readonly string[];
  readonly graded?: boolean;
  readonly allPositives?: boolean;
  readonly newUsers?: boolean;
  readonly coldItems?: boolean;
  readonly minimumItemUsers: number;
  readonly minimumUserItems: number;
  readonly unlimited?: boolean;
  readonly purpose?: readonly string[];
  readonly purposes?: readonly string[];
  readonly withIds?: boolean;
  readonly seed?: number;
}

/** `recloom export [config] --for training --out DIR`. */
export function registerExport(program: Command, host: CommandHost): void {
  addCommand<ExportCommandOptions>(program, host, {
    usage: 'export [config]',
    summary: 'write training rows for a model of your own, as Parquet',
    detail:
      'For each cut the pipeline is fitted on what was known before it and asked for every user who took something in the window after it. Each candidate becomes a row: the columns a scorer sees in serving, and whether it was taken. Nothing later than a cut reaches any column but the label. DIR gets rows.parquet, groups.parquet (histories), items.parquet and schema.json.',
    examples: [
      ['recloom export --for training --out training', 'four cuts, a month apart, the last for validation'],
      [
        'recloom export --for training --out training --cuts 6 --every 15d --window 15d --without click',
        'once the component "click" runs a model: leave it out to train the next',
      ],
      [
        'recloom export --for training --out training --column "zscore(score.habits)" --negatives 100',
        'with an expression as a column, and a sample',
      ],
    ],
    configure: (command) => {
      command.addOption(new Option('--for <use>', 'what the rows are for').choices(['training']).default('training'));
      command.requiredOption('-o, --out <folder>', 'folder to write, an earlier export in it is replaced (required)');
      command.option('-s, --surface <name>', 'surface whose candidates are exported; default: home');
      command.option('--cuts <dates>', 'instants, e.g. 2011-09-08,2011-10-09, or how many; default: 4', listOption);
      command.option('--every <days>', 'with a number of cuts: how far apart, e.g. 30d; default: one window', daysOption);
      command.option('--window <days>', 'how long after a cut takings are labels', daysOption, 30);
      command.option('--until <date>', 'use nothing from then on; default: the end of the data', dateOption);
      command.option('--validation-cuts <count>', 'how many of the last cuts are for validation', numberOption, 1);
      command.option('--negatives <count>', 'candidates not taken per training group: all, or a sample', negativesOption, 'all');
      command.option('--without <names>', 'components to leave out, such as the model under training', listOption);
      command.option(
        '--column <expression>',
        'a CEL number as a column, e.g. "zscore(score.habits)"; again for more, or @FILE with one a line',
        collectOption,
      );
      command.option('--features <names>', 'item vectors to write as safetensors', listOption);
      command.option('--history <count>', 'newest events of a history that are kept', numberOption, 50);
      command.option('--events <types>', 'event types that count as taken; default: all', listOption);
      command.option('--graded', 'label = the weight of the event instead of 1');
      command.option('--all-positives', 'add what was taken and not proposed, marked so');
      command.option('--new-users', 'ask for users without events before the cut, too');
      command.option('--cold-items', 'keep items without events before the cut');
      command.option('--minimum-item-users <count>', 'leave out items with fewer users before the cut', numberOption, 1);
      command.option('--minimum-user-items <count>', 'leave out users with fewer of those items', numberOption, 1);
      command.option('--unlimited', 'ask sources for the whole catalogue, as evaluate does');
      command.option('-p, --purpose <names>', 'what the users agreed to; default: personalisation', listOption);
      // What it was called before it was called as everywhere.
      command.addOption(new Option('--purposes <names>').argParser(listOption).hideHelp());
      command.option('--with-ids', "add the users' ids to groups.parquet");
      command.option('--seed <number>', "of the sample of negatives; default: the config's", numberOption);
    },
    run: async (call) => {
      const config = takeOnlyConfig(call);
      const { io } = call;
      const [{ exportTraining }, { createBuildRenderer }, paths] = await Promise.all([
        import('@recloom/training'),
        import('../build-renderer.js'),
        import('node:path'),
      ]);
      const { options } = call;
      const cuts = cutsOf(options);
      const purposes = [...(options.purpose ?? []), ...(options.purposes ?? [])];
      const expressions = options.column === undefined ? undefined : await expressionsOf(options.column, io.directory);
      // With --json stdout is one document and nothing else is said.
      const renderer = createBuildRenderer(call.json ? { ...io, stderr: { write: () => true } } : io);
      const report = await exportTraining(config, {
        ...hostOptions(io),
        out: paths.resolve(io.directory, options.out),
        windowDays: options.window,
        validationCuts: options.validationCuts,
        negatives: options.negatives,
        history: options.history,
        minimumItemUsers: options.minimumItemUsers,
        minimumUserItems: options.minimumUserItems,
        graded: options.graded === true,
        allPositives: options.allPositives === true,
        newUsers: options.newUsers === true,
        coldItems: options.coldItems === true,
        unlimited: options.unlimited === true,
        withIds: options.withIds === true,
        signal: io.signal,
        observer: renderer.observer,
        ...(cuts === undefined ? {} : { cuts }),
        ...(options.surface === undefined ? {} : { surface: options.surface }),
        ...(options.until === undefined ? {} : { until: options.until }),
        ...(options.without === undefined ? {} : { without: options.without }),
        ...(expressions === undefined ? {} : { expressions }),
        ...(options.features === undefined ? {} : { features: options.features }),
        ...(options.events === undefined ? {} : { eventTypes: options.events }),
        ...(purposes.length === 0 ? {} : { purposes }),
        ...(options.seed === undefined ? {} : { seed: options.seed }),
      }).finally(() => renderer.stop());
      if (call.json) {
        const { directory, files, schema, warnings, milliseconds } = report;
        call.printJson({
          directory,
          files,
          counts: schema.counts,
          cuts: schema.cuts,
          columns: schema.columns,
          leftOut: schema.leftOut,
          warnings,
          milliseconds,
        });
        return;
      }
      call.print(exportLines(report, call.style));
    },
  });
}

type CutsOption = readonly number[] | { readonly count: number; readonly everyDays: number };

/** `--cuts 4` counts back from the end; anything else is a list of dates. */
function cutsOf(options: ExportCommandOptions): CutsOption | undefined {
  const { cuts, every } = options;
  const [first, ...rest] = cuts ?? [];
  if (first !== undefined && rest.length === 0 && /^\d{1,3}$/.test(first))
    return { count: Number(first), everyDays: every ?? options.window };
  if (cuts === undefined) return every === undefined ? undefined : { count: 4, everyDays: every };
  if (every !== undefined) throw new UsageError('--every belongs to a number of cuts, and --cuts lists dates.');
  return cuts.map((text) => {
    try {
      return dateOption(text);
    } catch {
      throw new UsageError('--cuts takes a number of cuts, or dates such as 2011-09-08,2011-10-09.');
    }
  });
}

/** Expressions as they are, and those of a file (`@columns.txt`): one a line, empty lines and lines of a `#` left out. */
async function expressionsOf(texts: readonly string[], directory: string): Promise<readonly string[]> {
  const { readFile } = await import('node:fs/promises');
  const paths = await import('node:path');
  const lists = texts.map(async (text) => {
    if (!text.startsWith('@')) return [text];
    const file = paths.resolve(directory, text.slice(1));
    const content = await readFile(file, 'utf8').catch(() => {
      throw new UsageError(`There is no readable file ${text.slice(1)} of expressions.`);
    });
    return content.split('\n').flatMap((line) => (/^\s*(?:#|$)/.test(line) ? [] : [line.trim()]));
  });
  return (await Promise.all(lists)).flat();
}

/** `30d` or `30`. */
function daysOption(text: string): number {
  const value = Number(/^(\d+(?:\.\d+)?)d?$/.exec(text.trim())?.[1]);
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number of days, such as 30d.');
  return value;
}

function negativesOption(text: string): number | 'all' {
  if (text === 'all') return 'all';
  const value = numberOption(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('It must be "all" or a whole number from 1.');
  return value;
}

/** Expressions hold commas, so each stands alone. */
function collectOption(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text];
}

/** An export for a person: what each cut gave, what was dropped and why, and the files. */
function exportLines(report: TrainingReport, style: Style): string[] {
  const { schema } = report;
  const { byCut } = schema.counts;
  const sum = (
    key:
      | 'requestsWithoutPositive'
      | 'positivesNotProposed'
      | 'positivesAdded'
      | 'positivesRepeated'
      | 'positivesOfUnknownItems'
      | 'usersLeftOut'
      | 'negativesLeftOut',
  ): number => byCut.reduce((total, counts) => total + counts[key], 0);
  const reachable = schema.counts.positives + sum('positivesNotProposed') - sum('positivesAdded');
  const proposed = schema.counts.positives - sum('positivesAdded');
  const dropped: readonly (readonly [number, string, string])[] = [
    [sum('requestsWithoutPositive'), 'request none of whose candidates was taken', 'requests none of whose candidates was taken'],
    [sum('positivesNotProposed') - sum('positivesAdded'), 'taken item that no source proposed', 'taken items that no source proposed'],
    [
      sum('positivesRepeated'),
      'taken item that the user had before and that was filtered',
      'taken items that the user had before and that were filtered',
    ],
    [
      sum('positivesOfUnknownItems'),
      'taken item that was not in the catalogue of the cut',
      'taken items that were not in the catalogue of the cut',
    ],
    [sum('usersLeftOut'), 'user with too little before the cut', 'users with too little before the cut'],
    [sum('negativesLeftOut'), 'candidate not taken, beyond the sample', 'candidates not taken, beyond the sample'],
  ];
  return [
    style.bold(`Training rows of surface ${schema.surface}`),
    '',
    ...renderTable(
      [
        { header: 'cut' },
        { header: 'labels until' },
        { header: 'for' },
        { header: 'groups', align: 'right' },
        { header: 'rows', align: 'right', paint: style.bold },
        { header: 'taken', align: 'right' },
        { header: 'share', align: 'right' },
      ],
      schema.cuts.map((cut, index) => {
        const counts = byCut[index];
        const rows = counts?.rows ?? 0;
        return [
          cut.at.slice(0, 10),
          `${cut.until.slice(0, 10)}${cut.complete ? '' : ' (data end)'}`,
          cut.split,
          formatCount(counts?.groups ?? 0),
          formatCount(rows),
          formatCount(counts?.positives ?? 0),
          rows === 0 ? '–' : formatShare((counts?.positives ?? 0) / rows),
        ];
      }),
      { style },
    ),
    '',
    `  ${formatShare(reachable === 0 ? 0 : proposed / reachable)} of the items that were taken and new were proposed: the most a ranker can find`,
    ...dropped.filter(([count]) => count > 0).map(([count, one, many]) => style.dim(`  left out: ${formatCountOf(count, one, many)}`)),
    ...(schema.leftOut.implied.length === 0 ? [] : [style.dim(`  left out with --without: ${schema.leftOut.implied.join(', ')}`)]),
    ...heading('Files', style, `${formatCountOf(schema.columns.length, 'column')}, ${formatDuration(report.milliseconds)}`),
    ...renderTable(
      [
        { header: 'file', paint: style.cyan },
        { header: 'size', align: 'right' },
      ],
      report.files.map((file) => [file.name, formatBytes(file.bytes)]),
      { style },
    ),
    `  ${style.dim(report.directory)}`,
    ...(report.warnings.length === 0 ? [] : ['', ...warningLines(report.warnings, style)]),
  ];
}
