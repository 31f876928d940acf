import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import type { BlendComparison, BlendStep, LearnedBlend, TemporalSplitOptions } from '@recloom/evaluate';
import { recloomError } from '@recloom/plugin-api';
import type { Command } from 'commander';
import { addCommand, type CommandHost, dateOption, hostOptions, listOption, numberOption, takeOnlyConfig } from '../command.js';
import { formatCount, formatDuration, formatFigure, formatSigned } from '../render/format.js';
import type { Style } from '../render/style.js';
import { heading, renderTable } from '../render/table.js';
import { wrap } from '../render/text.js';
import { UsageError, warningLines } from '../report-error.js';

interface BlendCommandOptions {
  readonly cut: number;
  readonly until?: number;
  readonly confirmCut?: number;
  readonly confirmUntil?: number;
  readonly columns?: readonly string[];
  readonly surface?: string;
  readonly purpose?: readonly string[];
  readonly name: string;
  readonly minimumItemUsers: number;
  readonly minimumUserItems: number;
  readonly relevant?: readonly string[];
  readonly k: number;
  readonly signed?: boolean;
  /** False with `--no-segments`. */
  readonly segments: boolean;
  readonly seed: number;
  readonly out?: string;
  readonly force?: boolean;
  readonly anyway?: boolean;
}

/** `recloom blend [config] --cut DATE`. */
export function registerBlend(program: Command, host: CommandHost): void {
  addCommand<BlendCommandOptions>(program, host, {
    usage: 'blend [config]',
    summary: 'learn how much each score should count, and check the gain on a second cut',
    detail:
      'The pipeline is fitted on what was known before --cut and asked for everybody who took something new until --until. Weights of its scores are learned so that those things come first. Then everything is fitted again on the past of --confirm-cut, and the same weights are compared with the value you have: only a gain that survives there is recommended.\n\nKeep the time that you will judge the result by out of it: end --until before it. The published snapshot is not touched.',
    examples: [
      ['recloom blend shop.yaml --cut 2011-10-09 --until 2011-11-09', 'learned on one month, checked on the one before'],
      [
        'recloom blend --cut 2011-10-09 --until 2011-11-09 --columns habits,next,recent --out blended.yaml',
        'of these scores alone; the config to write lies on top of shop.yaml',
      ],
      ['recloom compare shop.yaml blended.yaml --cut 2011-11-09', 'afterwards, once: what it is worth on the test'],
    ],
    configure: (command) => {
      command.requiredOption('--cut <date>', 'first instant of what is learned on, e.g. 2011-10-09 (required)', dateOption);
      command.option('--until <date>', 'its end; default: the end of the data', dateOption);
      command.option('--confirm-cut <date>', 'first instant of the check; default: the window of the same length before --cut', dateOption);
      command.option('--confirm-until <date>', 'its end; default: --cut where that is later, else the end of the data', dateOption);
      command.option(
        '--columns <names>',
        "what to blend; default: the surface's scorers, and those of its sources that can score",
        listOption,
      );
      command.option('-s, --surface <name>', 'the surface to learn for; default: home');
      command.option('-p, --purpose <names>', 'what the users agreed to; default: personalisation', listOption);
      command.option('--name <name>', 'what the component is to be called', 'blend');
      command.option('--minimum-item-users <count>', 'leave out items with fewer users in training', numberOption, 1);
      command.option('--minimum-user-items <count>', 'leave out users with fewer of those items in training', numberOption, 1);
      command.option('--relevant <types>', 'event types that are right answers, e.g. purchase; default: all', listOption);
      command.option('--k <count>', 'length of the lists that are judged', numberOption, 10);
      command.option('--signed', 'weights may be negative');
      command.option('--no-segments', 'the same weights for all users, however much they have');
      command.option('--seed <number>', 'of what is drawn at random', numberOption, 0);
      command.option('-o, --out <file>', 'config to write, on top of the present one; only a recommended blend is written');
      command.option('--force', 'write over what is there');
      command.option('--anyway', 'write it also when it is not recommended');
    },
    run: async (call) => {
      const config = takeOnlyConfig(call);
      const { io, options } = call;
      if (!Number.isInteger(options.k) || options.k < 1) throw new UsageError('--k must be a whole number from 1.');
      if (options.confirmUntil !== undefined && options.confirmCut === undefined)
        throw new UsageError('--confirm-until belongs to --confirm-cut.');
      const validation = windowOf(options, options.cut, options.until, '--until');
      const confirmation =
        options.confirmCut === undefined
          ? undefined
          : windowOf(
              options,
              options.confirmCut,
              options.confirmUntil ?? (options.confirmCut < options.cut ? options.cut : undefined),
              '--confirm-until',
            );
      const out = options.out === undefined ? undefined : resolve(io.directory, options.out);
      if (out === config) throw new UsageError('--out is the config itself: it would be based on itself.', 'Name another file.');
      // Nobody wants to learn after some minutes that the result has no place.
      if (out !== undefined && options.force !== true && existsSync(out))
        throw new UsageError(
          `${relative(io.directory, out) || out} is there already.`,
          'Name another with --out, or write over it with --force.',
        );
      const started = performance.now();
      const [{ readPipelineData }, { baseReference, learnBlend }, { createBuildRenderer }] = await Promise.all([
        import('@recloom/core'),
        import('@recloom/evaluate'),
        import('../build-renderer.js'),
      ]);
      // With --json stdout is one document and nothing else is said.
      const renderer = createBuildRenderer(call.json ? { ...io, stderr: { write: () => true } } : io);
      const { observer } = renderer;
      let at: BlendStep | undefined;
      const progress = (step: BlendStep, fraction: number): void => {
        if (step !== at) {
          if (at !== undefined) observer.step(at, 'end');
          observer.step(step, 'start');
          at = step;
        }
        observer.progress(step, fraction);
      };
      const learn = async (): Promise<LearnedBlend> => {
        const dataset = await readPipelineData(config, { ...hostOptions(io), signal: io.signal, observer });
        const learned = await learnBlend(config, dataset, {
          ...hostOptions(io),
          signal: io.signal,
          validation,
          k: options.k,
          seed: options.seed,
          name: options.name,
          signed: options.signed === true,
          progress,
          ...(confirmation === undefined ? {} : { confirmation }),
          ...(options.segments ? {} : { segments: [] }),
          ...(options.columns === undefined ? {} : { columns: options.columns }),
          ...(options.surface === undefined ? {} : { surface: options.surface }),
          ...(options.purpose === undefined ? {} : { purposes: options.purpose }),
          ...(out === undefined ? {} : { base: baseReference(config, out) }),
        });
        if (at !== undefined) observer.step(at, 'end');
        return learned;
      };
      const learned = await learn().finally(() => renderer.stop());
      const written = out !== undefined && (learned.verdict === 'recommended' || options.anyway === true);
      if (written) {
        try {
          await writeFile(out, learned.patch, { flag: options.force === true ? 'w' : 'wx' });
        } catch (error) {
          throw recloomError(
            'RECLOOM_DAT_WRITE',
            { path: out, why: (error as NodeJS.ErrnoException).code ?? 'it failed' },
            { cause: error },
          );
        }
      }
      const milliseconds = performance.now() - started;
      if (call.json) {
        call.printJson({ ...learned, config, out: written ? out : undefined, milliseconds });
        return;
      }
      const shown = out === undefined ? undefined : relative(io.directory, out) || out;
      call.print([
        ...blendLines(learned, call.style),
        '',
        ...(written
          ? [`  written to ${call.style.cyan(shown ?? '')}`]
          : out === undefined
            ? [
                ...heading('As a config', call.style, '--out FILE writes it'),
                ...learned.patch
                  .trimEnd()
                  .split('\n')
                  .map((line) => `  ${line}`),
              ]
            : [call.style.dim(`  nothing written to ${shown}: it is not recommended; --anyway writes it all the same`)]),
        '',
        call.style.dim(`  ${formatDuration(milliseconds)}`),
      ]);
    },
  });
}

function windowOf(options: BlendCommandOptions, cutMs: number, untilMs: number | undefined, name: string): TemporalSplitOptions {
  if (untilMs !== undefined && untilMs <= cutMs) throw new UsageError(`${name} must be later than its cut.`);
  const { minimumItemUsers, minimumUserItems, relevant } = options;
  return {
    cutMs,
    minimumItemUsers,
    minimumUserItems,
    ...(untilMs === undefined ? {} : { untilMs }),
    ...(relevant === undefined ? {} : { relevantTypes: relevant }),
  };
}

/** Weights, figures and verdict for a person. */
function blendLines(learned: LearnedBlend, style: Style): string[] {
  const { settings, k } = learned;
  const segments = settings.segments ?? [];
  const comparisons: readonly (readonly [string, BlendComparison | undefined])[] = [
    ['learned on', learned.validation],
    ['checked on', learned.confirmation],
  ];
  // The figures of the summary stand in the table.
  const [verdict = ''] = learned.summary.split(' Validation, ');
  return [
    style.bold(`A blend for surface ${learned.surface}`),
    ...wrap(learned.presentValue, style.width, '         ', '  today: ').map(style.dim),
    '',
    ...renderTable(
      [
        { header: 'column', paint: style.cyan },
        { header: 'weight', align: 'right', paint: style.bold },
        ...segments.map(({ name }) => ({ header: name, align: 'right' as const })),
        { header: 'normalised' },
      ],
      learned.columns.map((column) => [
        column,
        String(learned.weights[column] ?? 0),
        ...segments.map(({ weights }) => String(weights[column] ?? 0)),
        Object.hasOwn(settings.weights, column) ? (settings.normaliseEach?.[column] ?? settings.normalise) : '',
      ]),
      { style },
    ),
    '',
    ...renderTable(
      [
        { header: `NDCG@${k}` },
        { header: 'cut' },
        { header: 'users', align: 'right' },
        { header: 'today', align: 'right' },
        { header: 'blended', align: 'right', paint: style.bold },
        { header: 'difference', align: 'right' },
        { header: `${Math.round(learned.validation.gain.confidence * 100)} % interval`, align: 'right' },
      ],
      comparisons.flatMap(([what, found]) =>
        found === undefined
          ? []
          : [
              [
                what,
                found.cut.slice(0, 10),
                formatCount(found.cases),
                formatFigure(found.present.mean),
                formatFigure(found.learned.mean),
                formatSigned(found.gain.mean),
                `${formatSigned(found.gain.low)} … ${formatSigned(found.gain.high)}`,
              ],
            ],
      ),
      { style },
    ),
    '',
    ...wrap(verdict, style.width, '  ').map((line) => (learned.verdict === 'recommended' ? style.green(line) : style.yellow(line))),
    ...(learned.warnings.length === 0 ? [] : ['', ...warningLines(learned.warnings, style)]),
  ];
}
