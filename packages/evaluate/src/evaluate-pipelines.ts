import { createRequire } from 'node:module';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  type Attributes,
  type BuildObserver,
  type ConfigSource,
  type Dataset,
  loadConfig,
  openPipeline,
  type Pipeline,
  silentObserver,
} from '@recloom/core';
import { recloomError, type Warning } from '@recloom/plugin-api';
import { askCases, type Recommender } from './ask-cases.js';
import { type EvaluateOptions, pipelineRecommender, popularityRecommender, type SurfaceFacts, surfaceFacts } from './evaluate-pipeline.js';
import {
  type Evaluation,
  type EvaluationWarning,
  type ExampleCase,
  evaluationFormat,
  type FunnelStage,
  type PipelineEvaluation,
} from './evaluation.js';
import { CaseMeasures } from './measure/case-measures.js';
import { comparisonsOf, type PerUser } from './measure/comparisons.js';
import { type ChosenCase, chooseExamples, exampleCases, exampleLists, titleIn } from './measure/examples.js';
import { rankingFigures, segmentFigures } from './measure/figures.js';
import { funnelOf } from './measure/funnel.js';
import { type Questions, questionsOf, type Units, unitsOf } from './measure/questions.js';
import { byField, byHistory, type Segmenting, SegmentMeasures } from './measure/segments.js';
import type { DescribedSplits } from './splits/make-splits.js';
import type { Split } from './splits/split.js';

/** A config to be measured. */
export interface EvaluatedPipeline {
  /** What the document calls it; default: the config's name. Made unique by numbers. */
  readonly name?: string;
  readonly source: ConfigSource;
  /** As a person wrote it, for the document. */
  readonly file?: string;
  /**
   * The same splits of this config's own data, when its data have other fields; default: those of the evaluation. Users,
   * right answers and histories must be the same.
   */
  readonly splits?: readonly Split[];
}

/** How pipelines are asked, and what the document says besides the figures. */
export interface EvaluationOptions extends Omit<EvaluateOptions, 'progress'> {
  /** Lengths of the curves, ascending; default 1, 2, 3, 5, 10, 20, 50 and k. Those beyond the surface's `limits.items` are left out. */
  readonly at?: readonly number[];
  /** Fields whose values divide the cases, e.g. `country`, `item.category`. Whether users are cold, warm or heavy is always told. */
  readonly segments?: readonly string[];
  /** Users with fewer known items than the first are cold, than the second warm, else heavy; default [5, 20]. */
  readonly historyBounds?: readonly [number, number];
  /** The data before the split: its users' fields are those of users who are kept out of training, too. Default: the training part. */
  readonly dataset?: Pick<Dataset, 'users'>;
  /** Number field of the items that is their price; default `price`. */
  readonly priceField?: string;
  /** Field of the items whose values make a list diverse; default `category`. */
  readonly categoryField?: string;
  /** Most cases that are followed through the stages of serving; default 500, 0 = none. */
  readonly funnelCases?: number;
  /** Most examples; default 6, 0 = none. */
  readonly examples?: number;
  /** Told what is fitted and asked, how far it is, and warnings. */
  readonly observer?: BuildObserver;
}

const defaultLengths = [1, 2, 3, 5, 10, 20, 50];
/** Below so many users a figure is said to be an anecdote. */
const fewUsers = 30;

/** What all pipelines are measured by. */
interface Measurement {
  readonly k: number;
  readonly questions: readonly Questions[];
  readonly units: Units;
  readonly segmentings: readonly Segmenting[];
  /** By split: numbers of popularity's first k per case, −1 where there are fewer. */
  readonly popular: readonly Int32Array[];
  readonly options: EvaluationOptions;
  readonly observer: BuildObserver;
  readonly warnings: WarningTable;
}

/**
 * Fits each config on the training part of each split, asks the very pipeline that serves (with the full catalogue ranked)
 * and popularity the same questions, and says everything that there is to say about the answers. The pipelines are fitted
 * one after the other, and no list outlives its case, so memory does not grow with users times items.
 *
 * Figures are means over users: one who is asked in several repetitions counts once, with the mean of their cases. Intervals
 * are bootstraps over users, comparisons are paired by user.
 *
 * @throws RECLOOM_RUN_EVALUATION for options that make no sense; RECLOOM_DAT_NOT_COMPARABLE when a pipeline's own splits ask
 * something else; RECLOOM_CFG_UNKNOWN_FIELD for a segment that is no field; RECLOOM_RUN_LIMIT when k is beyond a surface's
 * `limits.items`; RECLOOM_CFG_*, RECLOOM_PLG_*; the first error of a request, since a figure with holes would be no figure
 */
export async function evaluatePipelines(
  pipelines: readonly EvaluatedPipeline[],
  described: DescribedSplits,
  options: EvaluationOptions = {},
): Promise<Evaluation> {
  const k = options.k ?? 10;
  checkOptions(pipelines, described, k, options);
  const { splits } = described;
  const configs = await readConfigs(pipelines, k, options);
  for (const [place, { splits: own }] of pipelines.entries())
    if (own !== undefined) checkSameQuestions(own, splits, configs[place]?.name as string, configs[0]?.name as string);
  const questions = questionsOf(splits, { price: options.priceField ?? 'price', category: options.categoryField ?? 'category' });
  const warnings = new WarningTable();
  const units = unitsOf(splits);
  const { facts } = questions[0] as Questions;
  const proposable = facts.itemCount - facts.from;
  if (proposable < k) warnings.add(recloomError('RECLOOM_RUN_SHORT_CATALOGUE', { items: proposable, k }));
  if (units.count < fewUsers) warnings.add(recloomError('RECLOOM_RUN_FEW_CASES', { count: units.count }));
  const observer = options.observer ?? silentObserver;
  const base = {
    k,
    questions,
    units,
    segmentings: [
      byHistory(questions, options.historyBounds ?? [5, 20]),
      ...[...new Set(options.segments ?? [])].map((field) => byField(questions, field, options.dataset)),
    ],
    options,
    observer,
    warnings,
  };
  const baseline = await measurePopularity(base);
  const measurement: Measurement = { ...base, popular: baseline.popular };
  const measured: { readonly evaluation: PipelineEvaluation; readonly perUser: PerUser }[] = [];
  let examples: Examples | undefined;
  for (const [place, pipeline] of pipelines.entries()) {
    const { name } = configs[place] as { name: string };
    const result = await measurePipeline(pipeline, name, measurement, examples);
    measured.push(result);
    examples = result.examples;
  }
  observer.step('compare', 'start');
  const comparisons = await comparisonsOf(
    measured.map(({ perUser }) => perUser),
    baseline.perUser,
    () => breathe(options.signal),
  );
  observer.step('compare', 'end');
  return {
    format: evaluationFormat,
    createdAt: new Date().toISOString(),
    software: softwareVersions(),
    shop: configs[0]?.shop as string,
    k,
    split: described.description,
    pipelines: [...measured.map(({ evaluation }) => evaluation), baseline.evaluation],
    comparisons,
    examples: (examples?.cases ?? []).map((example, place) => ({
      ...example,
      lists: [
        ...(examples?.lists ?? []).map(({ pipeline, lists }) => ({ pipeline, items: lists[place] ?? [] })),
        { pipeline: baselineName, items: popularExample(measurement, examples?.chosen[place], examples?.titles) },
      ],
    })),
    ...(warnings.size === 0 ? {} : { warnings: warnings.list() }),
  };
}

const baselineName = 'popularity';

function softwareVersions(): Readonly<Record<string, string>> {
  const require = createRequire(import.meta.url);
  const versionOf = (name: string): string => (require(`${name}/package.json`) as { readonly version: string }).version;
  return {
    '@recloom/core': versionOf('@recloom/core'),
    '@recloom/evaluate': versionOf('@recloom/evaluate'),
    node: process.versions.node,
  };
}

function checkOptions(pipelines: readonly EvaluatedPipeline[], { splits }: DescribedSplits, k: number, options: EvaluationOptions): void {
  const refuse = (why: string): never => {
    throw recloomError('RECLOOM_RUN_EVALUATION', { why });
  };
  const whole = (value: number): boolean => Number.isSafeInteger(value) && value >= 1;
  if (pipelines.length === 0) refuse('there is no pipeline to evaluate');
  if (splits.length === 0 || splits.some(({ cases }) => cases.length === 0)) refuse('there is a split without anybody to ask');
  if (!whole(k)) refuse('k must be a whole number from 1');
  if (options.at?.every(whole) === false) refuse('the lengths of the curves must be whole numbers from 1');
  const [cold, warm] = options.historyBounds ?? [5, 20];
  if (!whole(cold) || !whole(warm) || warm <= cold) refuse('the bounds of cold and warm must be two ascending whole numbers');
}

/** Names and limits of the configs, read before anything is fitted: a mistake in the last one need not wait for the others. */
async function readConfigs(
  pipelines: readonly EvaluatedPipeline[],
  k: number,
  options: EvaluationOptions,
): Promise<readonly { readonly name: string; readonly shop: string }[]> {
  const taken = new Set([baselineName]);
  const configs: { name: string; shop: string }[] = [];
  for (const { name, source } of pipelines) {
    const { config } = await loadConfig(source as string, {
      ...(options.directory === undefined ? {} : { directory: options.directory }),
      ...(options.env === undefined ? {} : { env: options.env as NodeJS.ProcessEnv }),
    });
    const names = Object.keys(config.surfaces);
    const surface = config.surfaces[options.surface ?? (names.includes('home') ? 'home' : (names[0] ?? ''))];
    if (surface !== undefined && k > surface.limits.items)
      throw recloomError('RECLOOM_RUN_LIMIT', { found: String(k), maximum: surface.limits.items });
    const wanted = name ?? config.name;
    let unique = wanted;
    for (let number = 2; taken.has(unique); number++) unique = `${wanted} ${number}`;
    taken.add(unique);
    configs.push({ name: unique, shop: config.name });
  }
  return configs;
}

/** @throws RECLOOM_DAT_NOT_COMPARABLE */
function checkSameQuestions(own: readonly Split[], splits: readonly Split[], name: string, first: string): void {
  const refuse = (why: string): never => {
    throw recloomError('RECLOOM_DAT_NOT_COMPARABLE', { name, first, why });
  };
  if (own.length !== splits.length) refuse(`its data are split ${own.length} times and not ${splits.length} times`);
  for (const [index, split] of splits.entries()) {
    const other = own[index] as Split;
    if (other.cases.length !== split.cases.length) refuse(`its data give ${other.cases.length} test users and not ${split.cases.length}`);
    if (other.train.items.rowCount !== split.train.items.rowCount || other.report.trainPairs !== split.report.trainPairs)
      refuse(
        `its data give ${other.report.trainPairs} training pairs over ${other.train.items.rowCount} items and not ${split.report.trainPairs} over ${split.train.items.rowCount}`,
      );
    const differs = split.cases.findIndex((testCase, place) => {
      const their = other.cases[place];
      return their?.user !== testCase.user || !sameIds(their.relevant, testCase.relevant) || !sameIds(their.known, testCase.known);
    });
    if (differs >= 0) refuse('its data give other test users, histories or right answers');
  }
}

function sameIds(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((id, place) => id === right[place]);
}

type Base = Omit<Measurement, 'popular'>;

async function measurePopularity(
  base: Base,
): Promise<{ readonly evaluation: PipelineEvaluation; readonly perUser: PerUser; readonly popular: readonly Int32Array[] }> {
  const { k, questions, units, options, observer } = base;
  const lengths = lengthsOf(base, Number.POSITIVE_INFINITY);
  const started = performance.now();
  const popular: Int32Array[] = [];
  const measures = new CaseMeasures(units, k, lengths);
  const segments = base.segmentings.map((segmenting) => new SegmentMeasures(segmenting));
  observer.step('ask popularity', 'start');
  for (const [place, own] of questions.entries()) {
    const { cases } = own.split;
    const first = new Int32Array(cases.length * k).fill(-1);
    popular.push(first);
    const catalogue = measures.catalogueOf(own, first);
    const visit = (index: number, list: readonly string[]): void => {
      const numbers = list.map((id) => own.facts.indexOf(id));
      const top = numbers.slice(0, k);
      first.set(top, index * k);
      measures.noteCase(own, index, top);
      measures.noteCurves(own, index, numbers);
      catalogue.note(index, top);
      for (const segment of segments) segment.noteList(own, place, index, top, k);
    };
    await askCases(popularityRecommender(own.split), own.split, Math.max(k, ...lengths), visit, (fraction) =>
      observer.progress('ask popularity', (place + fraction) / questions.length),
    );
    catalogue.end();
    await breathe(options.signal);
  }
  const ask = performance.now() - started;
  const { figures, perUnit } = rankingFigures(measures.columns, questions, units);
  observer.step('ask popularity', 'end');
  return {
    popular,
    perUser: { name: baselineName, values: perUnit },
    evaluation: {
      name: baselineName,
      ...casesOf(units),
      figures,
      catalogue: measures.catalogue(),
      curves: measures.curves(),
      segments: segments.flatMap((segment) => segmentFigures(segment, measures.columns, units)),
      funnel: [],
      milliseconds: { fit: 0, ask },
    },
  };
}

/** Examples of the first split: chosen by the first pipeline, answered by all. */
interface Examples {
  readonly chosen: readonly ChosenCase[];
  readonly cases: readonly Omit<ExampleCase, 'lists'>[];
  readonly titles: ReadonlyMap<string, string>;
  readonly lists: readonly { readonly pipeline: string; readonly lists: readonly ExampleCase['lists'][number]['items'][] }[];
}

async function measurePipeline(
  { source, file, splits }: EvaluatedPipeline,
  name: string,
  measurement: Measurement,
  before: Examples | undefined,
): Promise<{ readonly evaluation: PipelineEvaluation; readonly perUser: PerUser; readonly examples: Examples }> {
  const { k, questions, units, options, observer, warnings } = measurement;
  const segments = measurement.segmentings.map((segmenting) => new SegmentMeasures(segmenting));
  let measures: CaseMeasures | undefined;
  let funnel: readonly FunnelStage[] = [];
  let examples = before;
  let facts: SurfaceFacts | undefined;
  let configHash = '';
  let fit = 0;
  let ask = 0;
  for (const [place, own] of questions.entries()) {
    const split = splits?.[place] ?? own.split;
    const step = questions.length === 1 ? name : `${name} (${place + 1} of ${questions.length})`;
    observer.step(`fit ${step}`, 'start');
    let started = performance.now();
    const pipeline = await openPipeline(source, { ...options, dataset: split.train });
    try {
      if (split.newItems !== undefined) await pipeline.upsertItems(split.newItems);
      fit += performance.now() - started;
      observer.step(`fit ${step}`, 'end');
      for (const warning of pipeline.warnings) warnings.add(warning, name);
      facts = surfaceFacts(pipeline, options.surface);
      configHash = pipeline.engine.configHash;
      measures ??= new CaseMeasures(units, k, lengthsOf(measurement, facts?.maximumLimit ?? Number.POSITIVE_INFINITY));
      observer.step(`ask ${step}`, 'start');
      started = performance.now();
      await askPipeline(pipeline, split, own, place, { measures, segments, measurement, name, facts }, (fraction) =>
        observer.progress(`ask ${step}`, fraction),
      );
      ask += performance.now() - started;
      observer.step(`ask ${step}`, 'end');
      if (place > 0) continue;
      const { ndcg } = measures.columns;
      const chosen = before?.chosen ?? chooseExamples(ndcg.subarray(0, split.cases.length), split, options.examples ?? 6);
      if (facts !== undefined) funnel = await funnelOf(pipeline, split, facts, { ...options, k, sample: options.funnelCases ?? 500 });
      const lists = chosen.length === 0 ? [] : await exampleLists(pipeline, split, chosen, k, options);
      examples = {
        chosen,
        cases: before?.cases ?? exampleCases(chosen, split, (id) => titleIn(pipeline, id)),
        titles: before?.titles ?? popularTitles(pipeline, measurement, chosen),
        lists: [...(before?.lists ?? []), { pipeline: name, lists }],
      };
    } finally {
      await pipeline.close();
    }
  }
  const done = measures as CaseMeasures;
  observer.step(`intervals of ${name}`, 'start');
  const { figures, perUnit } = rankingFigures(done.columns, questions, units);
  await breathe(options.signal);
  const divided = segments.flatMap((segment) => segmentFigures(segment, done.columns, units));
  observer.step(`intervals of ${name}`, 'end');
  return {
    examples: examples as Examples,
    perUser: { name, values: perUnit },
    evaluation: {
      name,
      ...(file === undefined ? {} : { file }),
      configHash,
      ...(facts === undefined ? {} : { surface: facts.name }),
      ...casesOf(units),
      figures,
      catalogue: done.catalogue(),
      curves: done.curves(),
      segments: divided,
      funnel,
      milliseconds: { fit, ask },
    },
  };
}

/** Asks one split's cases: once where a longer list begins like a short one, else once for the figures and once for the curves. */
async function askPipeline(
  pipeline: Pipeline<Attributes>,
  split: Split,
  own: Questions,
  place: number,
  sinks: {
    readonly measures: CaseMeasures;
    readonly segments: readonly SegmentMeasures[];
    readonly measurement: Measurement;
    readonly name: string;
    readonly facts: SurfaceFacts | undefined;
  },
  progress: (fraction: number) => void,
): Promise<void> {
  const { measures, segments, measurement, facts } = sinks;
  const { k, options, warnings } = measurement;
  const lengths = lengthsOf(measurement, facts?.maximumLimit ?? Number.POSITIVE_INFINITY);
  const longest = Math.max(k, ...lengths);
  const recommend: Recommender = pipelineRecommender(pipeline, split, { ...options, warn: (warning) => warnings.add(warning, sinks.name) });
  const catalogue = measures.catalogueOf(own, measurement.popular[place] as Int32Array);
  const numbersOf = (list: readonly string[]): number[] => list.map((id) => own.facts.indexOf(id));
  const note = (index: number, top: readonly number[]): void => {
    measures.noteCase(own, index, top);
    catalogue.note(index, top);
    for (const segment of segments) segment.noteList(own, place, index, top, k);
  };
  if (longest > k && facts?.ordersByLength === true) {
    await askCases(
      recommend,
      split,
      k,
      (index, list) => note(index, numbersOf(list)),
      (fraction) => progress(fraction / 2),
    );
    await askCases(
      recommend,
      split,
      longest,
      (index, list) => measures.noteCurves(own, index, numbersOf(list)),
      (fraction) => progress(0.5 + fraction / 2),
    );
  } else {
    const visit = (index: number, list: readonly string[]): void => {
      const numbers = numbersOf(list);
      note(index, numbers.slice(0, k));
      measures.noteCurves(own, index, numbers);
    };
    await askCases(recommend, split, longest, visit, progress);
  }
  catalogue.end();
}

/** Lengths of the curves that a surface can answer; without a wish, none beyond the catalogue, where nothing changes any more. */
function lengthsOf({ k, options, questions }: Base, maximum: number): readonly number[] {
  const { facts } = questions[0] as Questions;
  const usual = defaultLengths.filter((length) => length <= facts.itemCount - facts.from);
  return [...new Set([...(options.at ?? usual), k])].filter((length) => length <= maximum).sort((left, right) => left - right);
}

function casesOf({ unitOf, count }: Units): { readonly cases: number; readonly users?: number } {
  return unitOf.length === count ? { cases: count } : { cases: unitOf.length, users: count };
}

/** Titles of what popularity shows in the chosen cases. */
function popularTitles(
  pipeline: Pipeline<Attributes>,
  measurement: Measurement,
  chosen: readonly ChosenCase[],
): ReadonlyMap<string, string> {
  const titles = new Map<string, string>();
  for (const { index } of chosen)
    for (const id of popularIds(measurement, index)) {
      const title = titleIn(pipeline, id);
      if (title !== undefined) titles.set(id, title);
    }
  return titles;
}

/** Popularity's list of a case of the first split. */
function popularIds({ popular, questions, k }: Measurement, index: number): readonly string[] {
  const { split } = questions[0] as Questions;
  const { items } = split.train;
  return Array.from((popular[0] as Int32Array).subarray(index * k, (index + 1) * k))
    .filter((number) => number >= 0)
    .map((number) => (number < items.rowCount ? items.idOf(number) : (split.newItems?.[number - items.rowCount]?.id as string)));
}

function popularExample(
  measurement: Measurement,
  chosen: ChosenCase | undefined,
  titles: ReadonlyMap<string, string> | undefined,
): ExampleCase['lists'][number]['items'] {
  if (chosen === undefined) return [];
  const { split, facts } = measurement.questions[0] as Questions;
  const right = new Set(split.cases[chosen.index]?.relevant);
  return popularIds(measurement, chosen.index)
    .slice(0, 10)
    .map((id) => {
      const title = titles?.get(id);
      const buyers = facts.usersPerItem[facts.indexOf(id)] ?? 0;
      return {
        id,
        ...(title === undefined ? {} : { title }),
        hit: right.has(id),
        reason: buyers === 1 ? 'Taken by 1 user' : `Taken by ${buyers} users`,
      };
    });
}

/** Warnings by what they say, with how often. */
class WarningTable {
  readonly #byKey = new Map<string, { -readonly [Key in keyof EvaluationWarning]: EvaluationWarning[Key] }>();

  get size(): number {
    return this.#byKey.size;
  }

  add({ code, message, at }: Pick<Warning, 'code' | 'message' | 'at'>, pipeline?: string): void {
    // That nothing guards personal data is the config's business and changes no figure.
    if (code === 'RECLOOM_PRV_NO_GATE') return;
    const key = JSON.stringify([code, pipeline, at?.node, message]);
    const known = this.#byKey.get(key);
    if (known !== undefined) known.times++;
    else
      this.#byKey.set(key, {
        code,
        message,
        ...(pipeline === undefined ? {} : { pipeline }),
        ...(at?.node === undefined ? {} : { node: at.node }),
        times: 1,
      });
  }

  list(): readonly EvaluationWarning[] {
    return [...this.#byKey.values()];
  }
}

/** Lets others have a turn. @throws the signal's reason when aborted */
async function breathe(signal: AbortSignal | undefined): Promise<void> {
  await nextTurn();
  signal?.throwIfAborted();
}
