import { createHash } from 'node:crypto';
import { dirname, join, resolve } from 'node:path';
import {
  type ConfigSource,
  type Dataset,
  filterDataset,
  type HostOptions,
  openWorkspace,
  type PipelineConfig,
  type ResolvedTune,
  type ResolvedTuneSplit,
  resolveTune,
  SnapshotStore,
  type TuneMetric,
  type TuneParameter,
  type TuneValue,
} from '@recloom/core';
import { isRecloomError, recloomError, type Warning } from '@recloom/plugin-api';
import type { ConfigChanges } from '../config-patch.js';
import type { SplitDescription } from '../evaluation.js';
import { type Interval, pairedBootstrap, pairedRandomisationTest } from '../metrics/significance.js';
import { makeSplits, type SplitRequest, splitOptionsOf } from '../splits/make-splits.js';
import { readKeptBack } from '../splits/read-kept-back.js';
import { type ParameterImportance, parameterImportance } from './importance.js';
import { decodeFigures, encodeFigures, Journal, type JournalKey, type JournalRecord } from './journal.js';
import { PartCache } from './part-cache.js';
import { keepsSources, patchOf, trialConfig } from './patch.js';
import { createExam, type Exam, type Score, scoreConfig } from './score-config.js';
import { keyOf, type Point, proposePoint, type TriedPoint } from './search.js';

/** To be raised when the same history leads to other points, so that a journal of before is not gone on with. */
const searchVersion = 1;

/** Version of the document that `recloom tune --json` prints. */
export const tuneFormat = 'recloom-tune/1';

/** How far a search may go, where it keeps its journal, and who is told of it. */
export interface TuneOptions extends HostOptions {
  /** Trials of the whole search, the start included; default: `tune.trials` of the config (60). */
  readonly trials?: number;
  /** Longest time of this run in minutes; default: `tune.minutes`, or none. What the last checks need is set aside. */
  readonly minutes?: number;
  /** First instant of the test in milliseconds; the earlier of this and `tune.test` counts: nothing from then on is used. */
  readonly testMs?: number;
  /** Begin anew, whatever an earlier run left. Default false. */
  readonly fresh?: boolean;
  /** Folder of the journal; `false` keeps none. Default: `tune` among the snapshots for a config file, none for an object. */
  readonly journalDirectory?: string | false;
  readonly signal?: AbortSignal;
  /** Told before the first trial. */
  readonly onStart?: (search: TuneSearch) => void;
  /** Told of each trial in order, those of the journal too. */
  readonly onTrial?: (trial: TuneTrial) => void;
  /** What is at work, and the fraction of its cases asked. */
  readonly progress?: (work: string, fraction: number) => void;
  readonly warn?: (warning: Warning) => void;
}

/** What a search is going to do. */
export interface TuneSearch {
  readonly metric: TuneMetric;
  readonly k: number;
  readonly surface: string;
  readonly trials: number;
  readonly split: SplitDescription;
  /** Cases that a whole trial is asked. */
  readonly cases: number;
  readonly window: TuneWindow;
  readonly confirm: { readonly split: SplitDescription; readonly window: TuneWindow } | undefined;
  /** First instant whose data are out of the search's sight, ISO 8601; undefined when the kind of split leaves its test part out. */
  readonly testFrom: string | undefined;
  /** Finished trials of the journal that need not be repeated. */
  readonly resumed: number;
  readonly journal: string | undefined;
}

/** First and last (exclusive) instant of a temporal validation window, ISO 8601; both undefined for other splits. */
export interface TuneWindow {
  readonly from: string | undefined;
  readonly until: string | undefined;
}

/** One point of a search and what became of it. */
export interface TuneTrial {
  /** 0 is the config as it is. */
  readonly number: number;
  /** By parameter; undefined = not set. */
  readonly values: Readonly<Record<string, TuneValue | undefined>>;
  /** The figure; an estimate when the trial was stopped; undefined when it failed. */
  readonly value: number | undefined;
  readonly cases: number;
  /** It could not win any more. */
  readonly stopped: boolean;
  /** Code of the error that this point ran into. */
  readonly failed: string | undefined;
  /** Better than all before it. */
  readonly isBest: boolean;
  /** Found in the journal. */
  readonly resumed: boolean;
  readonly milliseconds: number;
}

/** One option that the best has otherwise than the config. */
export interface TuneChange {
  readonly name: string;
  readonly from: TuneValue | undefined;
  readonly to: TuneValue | undefined;
  /** What the best loses when this option alone is put back; undefined when there was no time to measure it. */
  readonly gain: number | undefined;
}

/** Start and best on the same cases. */
export interface TuneComparison {
  readonly start: number;
  readonly best: number;
  readonly cases: number;
  /** best − start, 95 % by paired bootstrap. */
  readonly difference: Interval;
  /** Two-sided paired randomisation test. */
  readonly pValue: number;
}

/** What a search found: every trial, the best, what its changes gain, and whether the gain survives. */
export interface TuneReport extends TuneSearch {
  readonly format: typeof tuneFormat;
  /** Why it ended: all trials done, no time left, or every point tried. */
  readonly ended: 'trials' | 'minutes' | 'exhausted';
  readonly done: readonly TuneTrial[];
  readonly start: number;
  readonly best: number;
  /** Number of the trial the best comes from; options that did not pay were put back afterwards. */
  readonly bestTrial: number;
  readonly bestValues: Readonly<Record<string, TuneValue | undefined>>;
  /** Options of the best that differ from the config; empty when nothing better was found. */
  readonly changes: readonly TuneChange[];
  /** The changes as plain data to be laid over the config. */
  readonly patch: ConfigChanges;
  /** On the cases that the best was chosen on, and so too good to be true by a little; undefined without changes. */
  readonly chosenOn: TuneComparison | undefined;
  /** On the second validation part; undefined without one or without changes. */
  readonly confirmed: (TuneComparison & { readonly survives: boolean }) | undefined;
  readonly importance: readonly ParameterImportance[];
  readonly milliseconds: number;
}

/**
 * Searches the options that `tune:` of a config declares, on a validation part of the data only: what is at or after the
 * test's first instant is taken out of `dataset` first. TPE (Bergstra 2011) proposes; trials that cannot win are stopped
 * early; components that a trial does not touch are not fitted again; the published snapshot is not touched. The best's
 * options that do not pay are put back, and where the config has a second validation part (`confirm`), the rest must prove
 * itself on it. The same config, data and number of trials give the same best, however often the run was interrupted.
 *
 * @throws RECLOOM_CFG_INVALID with all problems; RECLOOM_DAT_NO_LABELS, RECLOOM_DAT_SPLIT_*; RECLOOM_DAT_TUNE_JOURNAL,
 * RECLOOM_DAT_LOCKED, RECLOOM_DAT_WRITE; what the config as it is throws when it is fitted; the signal's reason when aborted
 */
export async function tune(source: ConfigSource, dataset: Dataset, options: TuneOptions = {}): Promise<TuneReport> {
  const started = performance.now();
  const host = hostOf(source, options);
  const absolute = typeof source === 'string' ? resolve(source) : source;
  const workspace = await openWorkspace(absolute, host);
  const { plan, problems } = workspace.tryPlan();
  const { config } = workspace.loaded;
  if (config.tune === undefined) problems.add('RECLOOM_CFG_MISSING_KEY', { key: 'tune' }, []);
  const resolved = resolveTune(plan, options.testMs === undefined ? {} : { testMs: options.testMs });
  for (const problem of resolved.problems) problems.addFound(problem);
  problems.throwIfAny();
  const search = resolved.tune as ResolvedTune;
  const visible = search.testMs === undefined ? dataset : filterDataset(dataset, { beforeMs: search.testMs });
  const parts = new PartCache();
  const keptBack = async (split: ResolvedTuneSplit): Promise<Dataset | undefined> => {
    if (split.kind !== 'predefined' || split.file === undefined) return undefined;
    const { signal } = options;
    const read = await readKeptBack(absolute, resolve(workspace.loaded.directory, split.file), {
      ...host,
      ...(signal === undefined ? {} : { signal }),
    });
    return search.testMs === undefined ? read : filterDataset(read, { beforeMs: search.testMs });
  };
  const asked = await keptBack(search.split);
  const askedAgain = search.confirm === undefined ? undefined : await keptBack(search.confirm);
  const { splits, description } = makeSplits(visible, splitRequest(search.split, search.testMs, asked));
  const servingLimits = search.parameters.some(({ path }) => path[2] === 'sources' || path[2] === 'limits');
  const { metric, k, purposes, seed } = search.config;
  const shared = { metric, k, surface: search.surface, purposes, servingLimits };
  const exam = createExam(splits, shared, seed);
  const confirm = search.confirm === undefined ? undefined : makeSplits(visible, splitRequest(search.confirm, search.testMs, askedAgain));
  const journalDirectory = options.journalDirectory ?? (typeof source === 'string' ? join(workspace.store.root, 'tune') : false);
  const lock = journalDirectory === false ? undefined : await new SnapshotStore(journalDirectory).acquireLock(options.signal);
  let journal: Journal | undefined;
  try {
    const key = journalKey(workspace.loaded.hash, [visible, asked, askedAgain], search);
    if (journalDirectory !== false)
      journal = await Journal.open(journalDirectory, key, hash(key), { fresh: options.fresh === true, warn: options.warn ?? (() => {}) });
    const wholeSources = await needsWholeSources(absolute, host, search, config);
    const runner = new Runner({ source: absolute, host, search, config, exam, parts, journal, wholeSources, options, started });
    const about: TuneSearch = {
      metric,
      k,
      surface: search.surface,
      trials: runner.trials,
      split: description,
      cases: exam.cases,
      window: windowOf(search.split),
      confirm:
        confirm === undefined || search.confirm === undefined
          ? undefined
          : { split: confirm.description, window: windowOf(search.confirm) },
      testFrom: search.testMs === undefined ? undefined : new Date(search.testMs).toISOString(),
      resumed: runner.resumable,
      journal: journal?.path,
    };
    options.onStart?.(about);
    const found = await runner.run(confirm && createExam(confirm.splits, shared, seed));
    return { format: tuneFormat, ...about, ...found, milliseconds: performance.now() - started };
  } finally {
    await journal?.close();
    await lock?.release();
  }
}

type Found = Omit<TuneReport, keyof TuneSearch | 'format' | 'milliseconds'>;

interface Best extends Pick<Score, 'value' | 'figures'> {
  readonly number: number;
  readonly point: Point;
}

interface RunnerOptions {
  readonly source: ConfigSource;
  readonly host: HostOptions;
  readonly search: ResolvedTune;
  readonly config: PipelineConfig;
  readonly exam: Exam;
  readonly parts: PartCache;
  readonly journal: Journal | undefined;
  readonly wholeSources: boolean;
  readonly options: TuneOptions;
  readonly started: number;
}

class Runner {
  readonly trials: number;
  readonly #given: RunnerOptions;
  readonly #parameters: readonly TuneParameter[];
  readonly #start: Point;
  readonly #deadlineMs: number;
  readonly #trialRecords = new Map<number, JournalRecord>();
  /** Reverts and confirmations by purpose and point. */
  readonly #otherRecords = new Map<string, JournalRecord>();
  /** What whole scorings of this run took, in milliseconds. */
  readonly #durations: number[] = [];

  constructor(given: RunnerOptions) {
    const { search, options, started, journal } = given;
    this.#given = given;
    this.trials = options.trials ?? search.config.trials;
    this.#parameters = search.parameters;
    this.#start = search.parameters.map(({ start }) => start);
    const minutes = options.minutes ?? search.config.minutes;
    this.#deadlineMs = minutes === undefined ? Number.POSITIVE_INFINITY : started + minutes * 60_000;
    for (const record of journal?.records ?? []) {
      if (record.purpose === 'trial') this.#trialRecords.set(record.number, record);
      else this.#otherRecords.set(`${record.purpose} ${JSON.stringify(record.values)}`, record);
    }
  }

  /** Finished trials of the journal that this run will use. */
  get resumable(): number {
    let count = 0;
    while (count < this.trials && this.#trialRecords.has(count)) count++;
    return count;
  }

  async run(confirm: Exam | undefined): Promise<Found> {
    const { search, config, options } = this.#given;
    const done: TuneTrial[] = [];
    const tried: TriedPoint[] = [];
    const domains = this.#parameters.map(({ domain }) => domain);
    let best: Best | undefined;
    let start: Best | undefined;
    let ended: Found['ended'] = 'trials';
    for (let number = 0; number < this.trials; number++) {
      const point = number === 0 ? this.#start : proposePoint(domains, tried, search.config.seed, { start: this.#start });
      if (point === undefined) {
        ended = 'exhausted';
        break;
      }
      const record = this.#trialRecords.get(number);
      if (record === undefined && number > 0 && this.#isLate(best, start, confirm)) {
        ended = 'minutes';
        break;
      }
      const outcome =
        record === undefined ? await this.#score('trial', number, point, this.#given.exam, best) : this.#reread(record, point);
      const { value } = outcome.record;
      const isBest = outcome.figures !== undefined && value !== undefined && (best === undefined || value > best.value);
      if (isBest) best = { number, point, value, figures: outcome.figures };
      start ??= best;
      tried.push({ point, value });
      const trial: TuneTrial = {
        number,
        values: this.#values(point),
        value,
        cases: outcome.record.cases,
        stopped: outcome.record.stopped === true,
        failed: outcome.record.failed,
        isBest,
        resumed: record !== undefined,
        milliseconds: outcome.record.milliseconds,
      };
      done.push(trial);
      options.onTrial?.(trial);
    }
    const first = start as Best;
    const { best: chosen, gains } = await this.#withoutIdleChanges(best as Best, first);
    const changed = this.#changedPlaces(chosen, first);
    const confirmed = confirm === undefined || changed.length === 0 ? undefined : await this.#confirm(chosen, first, confirm);
    const patch = patchOf(this.#parameters, chosen.point, config, { base: this.#start, wholeSources: this.#given.wholeSources });
    return {
      ended,
      done,
      start: first.value,
      best: chosen.value,
      bestTrial: chosen.number,
      bestValues: this.#values(chosen.point),
      changes: changed.map((place) => ({
        name: (this.#parameters[place] as TuneParameter).name,
        from: first.point[place],
        to: chosen.point[place],
        gain: gains.get(place),
      })),
      patch,
      chosenOn: changed.length === 0 ? undefined : compare(chosen, first, search.config.seed),
      confirmed,
      importance: parameterImportance(this.#parameters, tried),
    };
  }

  /**
   * Puts options back one by one, in their order: one that the best loses nothing without stays as it was, so that a
   * person reads no change that did not pay. Repeats until a pass over the changes finds no more.
   */
  async #withoutIdleChanges(found: Best, start: Best): Promise<{ readonly best: Best; readonly gains: ReadonlyMap<number, number> }> {
    let best = found;
    let gains = new Map<number, number>();
    for (let dropped = true; dropped; ) {
      dropped = false;
      gains = new Map();
      const places = this.#changedPlaces(best, start);
      for (const place of places) {
        // The only change is the whole gain, and the start was scored.
        const point = best.point.with(place, start.point[place]);
        const isStart = keyOf(point) === keyOf(start.point);
        const known = this.#otherRecords.get(`revert ${JSON.stringify(this.#values(point))}`);
        if (!isStart && known === undefined && performance.now() > this.#deadlineMs) continue;
        const outcome = isStart
          ? { record: { value: start.value }, figures: start.figures }
          : known === undefined
            ? await this.#score('revert', 0, point, this.#given.exam, undefined)
            : this.#reread(known, point);
        const { value } = outcome.record;
        if (value === undefined) continue;
        if (value >= best.value && outcome.figures !== undefined) {
          best = { number: best.number, point, value, figures: outcome.figures };
          dropped = true;
        } else {
          gains.set(place, best.value - value);
        }
      }
    }
    return { best, gains };
  }

  async #confirm(best: Best, start: Best, exam: Exam): Promise<TuneComparison & { readonly survives: boolean }> {
    const scored: Best[] = [];
    for (const { number, point } of [start, best]) {
      const known = this.#otherRecords.get(`confirm ${JSON.stringify(this.#values(point))}`);
      const outcome = known === undefined ? await this.#score('confirm', 0, point, exam, undefined) : this.#reread(known, point);
      scored.push({ number, point, value: outcome.record.value as number, figures: outcome.figures as Float64Array });
    }
    const [before, after] = scored as [Best, Best];
    const comparison = compare(after, before, this.#given.search.config.seed);
    return { ...comparison, survives: comparison.difference.mean > 0 && comparison.pValue < 0.05 };
  }

  /** Scores a point and writes it down. A point that a coded error keeps from being scored is a failed trial, except the start. */
  async #score(
    purpose: JournalRecord['purpose'],
    number: number,
    point: Point,
    exam: Exam,
    best: Best | undefined,
  ): Promise<{ readonly record: JournalRecord; readonly figures: Float64Array | undefined }> {
    const { source, search, config, host, parts, journal, options, wholeSources } = this.#given;
    const work =
      purpose === 'trial' ? `trial ${number + 1} of ${this.trials}` : purpose === 'revert' ? 'what each change gains' : 'confirm';
    const started = performance.now();
    const values = this.#values(point);
    let record: JournalRecord;
    let figures: Float64Array | undefined;
    options.progress?.(work, 0);
    try {
      const patch = patchOf(this.#parameters, point, config, { base: this.#start, wholeSources });
      const score = await scoreConfig(trialConfig(source, search, config, patch, exam.servingLimits), exam, {
        ...host,
        parts,
        best,
        signal: options.signal,
        progress: (fraction) => options.progress?.(work, fraction),
      });
      const milliseconds = performance.now() - started;
      // Only a scoring that others are compared with needs its figures again.
      const isKept = !score.stopped && (purpose !== 'trial' || best === undefined || score.value > best.value);
      if (!score.stopped) this.#durations.push(milliseconds);
      if (!score.stopped) figures = score.figures;
      record = {
        purpose,
        number,
        values,
        value: score.value,
        cases: score.cases,
        ...(score.stopped ? { stopped: true } : {}),
        milliseconds: Math.round(milliseconds),
        ...(isKept ? { figures: encodeFigures(score.figures) } : {}),
      };
    } catch (error) {
      options.signal?.throwIfAborted();
      const isStart = keyOf(point) === keyOf(this.#start);
      if (isStart || purpose === 'confirm' || !isRecloomError(error)) throw error;
      const failed = (error.problems[0] ?? error).code;
      record = { purpose, number, values, cases: 0, failed, milliseconds: Math.round(performance.now() - started) };
    }
    await journal?.append(record);
    return { record, figures };
  }

  /** A record of the journal in place of a scoring. */
  #reread(record: JournalRecord, point: Point): { readonly record: JournalRecord; readonly figures: Float64Array | undefined } {
    const file = this.#given.journal?.path ?? '';
    const damaged = (why: string): Error => recloomError('RECLOOM_DAT_TUNE_JOURNAL', { file, why });
    if (JSON.stringify(record.values) !== JSON.stringify(this.#values(point)))
      throw damaged(`its trial ${record.number} is not the one that this search makes`);
    const figures = record.figures === undefined ? undefined : decodeFigures(record.figures);
    if (figures !== undefined && record.purpose !== 'confirm' && figures.length !== this.#given.exam.cases)
      throw damaged(`its trial ${record.number} has figures of another number of cases`);
    return { record, figures };
  }

  /** Whether another trial and the checks at the end would go beyond the time that was given. */
  #isLate(best: Best | undefined, start: Best | undefined, confirm: Exam | undefined): boolean {
    if (this.#deadlineMs === Number.POSITIVE_INFINITY) return false;
    const mean = this.#durations.length === 0 ? 0 : this.#durations.reduce((sum, time) => sum + time, 0) / this.#durations.length;
    const changes = best === undefined || start === undefined ? 0 : this.#changedPlaces(best, start).length;
    const checks = (changes > 1 ? changes : 0) + (confirm === undefined || changes === 0 ? 0 : 2);
    return performance.now() + mean * (checks + 1) > this.#deadlineMs;
  }

  #changedPlaces(best: Best, start: Best): readonly number[] {
    return this.#parameters.flatMap((_, place) => (best.point[place] === start.point[place] ? [] : [place]));
  }

  #values(point: Point): Record<string, TuneValue | undefined> {
    return Object.fromEntries(this.#parameters.map(({ name }, place) => [name, point[place]]));
  }
}

function compare(best: Best, start: Best, seed: number): TuneComparison {
  return {
    start: start.value,
    best: best.value,
    cases: best.figures.length,
    difference: pairedBootstrap(best.figures, start.figures, { seed }),
    pValue: pairedRandomisationTest(best.figures, start.figures, { seed }),
  };
}

/** Relative paths of an object start where its host says, those of a file beside it. */
function hostOf(source: ConfigSource, { provide, plugins, directory, env }: TuneOptions): HostOptions {
  const folder = directory ?? (typeof source === 'string' ? dirname(resolve(source)) : undefined);
  return {
    ...(provide === undefined ? {} : { provide }),
    ...(plugins === undefined ? {} : { plugins }),
    ...(folder === undefined ? {} : { directory: folder }),
    ...(env === undefined ? {} : { env }),
  };
}

/** With the data from the test on taken out, all that is left is for validation; otherwise the split leaves its test part out. */
function splitRequest(split: ResolvedTuneSplit, testMs: number | undefined, test: Dataset | undefined): SplitRequest {
  const { kind, cutMs, untilMs, minimumItemUsers, minimumUserItems, repeats, relevantTypes, count, fraction, foldIn, folds, seeds } = split;
  const hasPart = kind === 'leave-last-out' || kind === 'leave-n-out' || kind === 'random';
  const given = {
    cutMs,
    untilMs,
    minimumItemUsers,
    minimumUserItems,
    repeats,
    relevantTypes,
    count,
    fraction,
    foldIn,
    folds,
    seeds,
    test,
  };
  // A second part of another kind inherits what only the first one takes.
  const taken = splitOptionsOf(kind);
  const written = Object.fromEntries(
    (Object.entries(given) as [keyof SplitRequest, unknown][]).filter(([name, value]) => value !== undefined && taken.includes(name)),
  ) as Partial<SplitRequest>;
  return { kind, ...written, ...(hasPart && testMs === undefined ? { part: 'validation' as const } : {}) };
}

function windowOf({ kind, cutMs, untilMs }: ResolvedTuneSplit): TuneWindow {
  if (kind !== 'temporal') return { from: undefined, until: undefined };
  const text = (timeMs: number | undefined): string | undefined => (timeMs === undefined ? undefined : new Date(timeMs).toISOString());
  return { from: text(cutMs), until: text(untilMs) };
}

/** A config that lists its sources loses the others when one of them is laid over it as a mapping. */
async function needsWholeSources(source: ConfigSource, host: HostOptions, search: ResolvedTune, config: PipelineConfig): Promise<boolean> {
  if (!search.parameters.some(({ path }) => path[2] === 'sources')) return false;
  const start = search.parameters.map(({ start: value }) => value);
  const { loaded } = await openWorkspace(trialConfig(source, search, config, patchOf(search.parameters, start, config), true), host);
  return !keepsSources(config, loaded.config, search.surface);
}

function journalKey(
  config: string,
  [visible, ...keptBack]: readonly [Dataset, ...(Dataset | undefined)[]],
  { config: written, surface, split, confirm, testMs, parameters }: ResolvedTune,
): JournalKey {
  const { metric, k, purposes, seed } = written;
  return {
    config,
    data: [visible, ...keptBack].flatMap((data) => (data === undefined ? [] : [data.hash])).join(' '),
    measure: hash([metric, k, surface, purposes, split, confirm ?? null, testMs ?? null]),
    space: hash([searchVersion, seed, parameters.map(({ name, domain, expression }) => [name, domain, expression?.template ?? null])]),
  };
}

function hash(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}
