import { basename, resolve } from 'node:path';
import type { BuildObserver, Dataset } from '@recloom/core';
import type { DescribedSplits, SplitKind, SplitRequest } from '@recloom/evaluate';
import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import { dateOption, hostOptions, listOption, numberOption } from './command.js';
import type { CliIo } from './io.js';
import { UsageError } from './report-error.js';

/** What `evaluate` and `compare` let a person say about the split. */
export interface SplitOptions {
  readonly split?: SplitKind;
  readonly cut?: number;
  readonly until?: number;
  readonly minimumItemUsers?: number;
  readonly minimumUserItems?: number;
  readonly repeats?: 'masked' | 'answers' | 'only';
  readonly relevant?: readonly string[];
  readonly n?: number;
  readonly fraction?: number;
  readonly foldIn?: number;
  readonly folds?: number;
  readonly part?: 'test' | 'validation';
  readonly seed?: number;
  readonly seeds?: readonly number[];
  readonly test?: string;
}

/** The kinds of splits; typed so that a kind that the library gains or loses is noticed here. */
const kinds: Readonly<Record<SplitKind, true>> = {
  temporal: true,
  'leave-last-out': true,
  'leave-n-out': true,
  random: true,
  'k-fold': true,
  'user-holdout': true,
  'cold-items': true,
  predefined: true,
};

/** What the kinds are, for `--help`. */
export const splitHelp = `Splits (--split) and what each takes:
  temporal        before --cut is for training, what comes after is asked; no
                  --cut: the last 15 % of the time span. --until,
                  --minimum-item-users, --minimum-user-items, --repeats
  leave-last-out  each user's last new item is asked. --part,
                  --minimum-user-items
  leave-n-out     each user's last --n new items. The same
  random          a --fraction of each user's items. --seeds, --part,
                  --minimum-user-items
  k-fold          each user's items in --folds parts, each asked once. --seed,
                  --minimum-user-items
  user-holdout    a --fraction of the users is asked as guests who bring
                  the older part (--fold-in) of their items. --seeds,
                  --minimum-user-items
  cold-items      a --fraction of the items is new: added with its fields
                  alone, and asked for. --seeds, --minimum-user-items
  predefined      --test FILE holds what was kept back: a data file like the
                  config's events, or a config with its own data.
                  --cut is "now"

With --relevant purchase, what users bought is asked for and is what they have;
all other events are history, in each kind of split.`;

/** Adds the options of a split. */
export function addSplitOptions(command: Command): void {
  command.addOption(new Option('--split <kind>', 'how the data are split (below); default: temporal').choices(Object.keys(kinds)));
  command.option('--cut <date>', 'first instant of the test, e.g. 2011-11-09', dateOption);
  command.option('--until <date>', 'end of the test; default: the end of the data', dateOption);
  command.option('--minimum-item-users <count>', 'leave out items with fewer users in training', wholeOption);
  command.option('--minimum-user-items <count>', 'leave out, or do not ask, users with fewer items', wholeOption);
  command.addOption(
    new Option('--repeats <what>', 'what users take again: no answer, an answer, all that is asked; default: masked').choices([
      'masked',
      'answers',
      'only',
    ]),
  );
  command.option('--relevant <types>', 'event types that are right answers, e.g. purchase; default: all', listOption);
  command.option('--n <count>', 'items kept back per user; default: 2', wholeOption);
  command.option('--fraction <share>', 'share kept back; default: 0.1, of items 0.2', numberOption);
  command.option('--fold-in <share>', 'share of the items that guests bring along; default: 0.8', numberOption);
  command.option('--folds <count>', 'default: 5', wholeOption);
  command.addOption(new Option('--part <part>', 'what is kept back; default: test').choices(['test', 'validation']));
  command.option('--seed <number>', 'of a random split; default: 0', wholeOption);
  command.option('--seeds <numbers>', 'several, e.g. 1,2,3: the split is repeated', seedsOption);
  command.option('--test <file>', 'what was kept back, for a predefined split');
}

function wholeOption(text: string): number {
  const value = numberOption(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('It must be a whole number.');
  return value;
}

function seedsOption(text: string, before: readonly number[] | undefined): readonly number[] {
  return [...(before ?? []), ...listOption(text, undefined).map(wholeOption)];
}

/**
 * The split that the options ask for; `test` is still to be read.
 *
 * @throws UsageError when options exclude each other
 */
export function splitRequestOf(options: SplitOptions): SplitRequest {
  if (options.seed !== undefined && options.seeds !== undefined) throw new UsageError('--seed and --seeds exclude each other.');
  if (options.test !== undefined && options.split !== undefined && options.split !== 'predefined')
    throw new UsageError('--test belongs to --split predefined.');
  const kind = options.split ?? (options.test === undefined ? 'temporal' : 'predefined');
  if (kind === 'predefined' && options.test === undefined) throw new UsageError('--split predefined needs --test FILE.');
  const given: Partial<Record<keyof SplitRequest, unknown>> = {
    cutMs: options.cut,
    untilMs: options.until,
    minimumItemUsers: options.minimumItemUsers,
    minimumUserItems: options.minimumUserItems,
    repeats: options.repeats,
    relevantTypes: options.relevant,
    count: options.n,
    fraction: options.fraction,
    foldIn: options.foldIn,
    folds: options.folds,
    part: options.part,
    seeds: options.seeds ?? (options.seed === undefined ? undefined : [options.seed]),
  };
  return { kind, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) };
}

/** What an option of a split is called on the command line. */
const flags: Readonly<Record<Exclude<keyof SplitRequest, 'kind'>, string>> = {
  cutMs: '--cut',
  untilMs: '--until',
  minimumItemUsers: '--minimum-item-users',
  minimumUserItems: '--minimum-user-items',
  repeats: '--repeats',
  relevantTypes: '--relevant',
  count: '--n',
  fraction: '--fraction',
  foldIn: '--fold-in',
  folds: '--folds',
  part: '--part',
  seeds: '--seeds',
  test: '--test',
};

/** Refuses what the kind of split does not take, before anything is read. @throws UsageError */
async function checkTaken(request: SplitRequest): Promise<void> {
  const { splitOptionsOf } = await import('@recloom/evaluate');
  const { kind = 'temporal', ...given } = request;
  const taken = splitOptionsOf(kind);
  const wrong = (Object.keys(given) as (keyof typeof flags)[]).find((name) => !taken.includes(name));
  if (wrong === undefined) return;
  const own = taken.flatMap((name) => (name === 'kind' ? [] : [flags[name]]));
  throw new UsageError(`--split ${kind} takes no ${flags[wrong]}.`, `It takes ${own.join(', ')}.`);
}

/** A config's data, and their splits. */
export interface SplitData {
  readonly dataset: Dataset;
  readonly described: DescribedSplits;
}

/**
 * Reads a config's data and splits them as the options say.
 *
 * @throws RECLOOM_CFG_*, RECLOOM_DAT_*, RECLOOM_RUN_EVALUATION; UsageError
 */
export async function readSplits(config: string, options: SplitOptions, io: CliIo, observer: BuildObserver): Promise<SplitData> {
  const request = splitRequestOf(options);
  await checkTaken(request);
  const [{ readPipelineData }, { makeSplits, readKeptBack }] = await Promise.all([import('@recloom/core'), import('@recloom/evaluate')]);
  const reading = { ...hostOptions(io), signal: io.signal, observer };
  const dataset = await readPipelineData(config, reading);
  const test = options.test === undefined ? undefined : await readKeptBack(config, resolve(io.directory, options.test), reading);
  return { dataset, described: makeSplits(dataset, test === undefined ? request : { ...request, test }) };
}

/** What a person reads of a config: its file name alone. */
export function nameOfConfig(config: string): string {
  return basename(config);
}
