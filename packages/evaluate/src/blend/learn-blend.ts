import { type ConfigSource, type Dataset, type OpenPipelineOptions, openPipeline, openWorkspace, type Pipeline } from '@recloom/core';
import { recloomError, type Warning } from '@recloom/plugin-api';
import { writeConfigPatch } from '../config-patch.js';
import { type Interval, pairedBootstrap } from '../metrics/significance.js';
import { type Mean, meanOf } from '../metrics.js';
import type { Split, TestCase } from '../splits/split.js';
import { type TemporalSplitOptions, temporalSplit } from '../splits/temporal.js';
import { type AskOptions, askForColumns, type BlendCases, collectCases, historySizeOf, idealOf, sampleCases } from './blend-cases.js';
import { type BlendNormalisation, blendReference, normalisations, type ProbeConfig, probeColumn, probeConfig } from './blend-config.js';
import { BestOf } from './blend-objective.js';
import { isIn, type LearnedWeights, learnWeights, type SegmentBounds } from './learn-weights.js';

/** What weights are learned on and checked on, for which surface and columns, and how far the search may go. */
export interface LearnBlendOptions extends Omit<OpenPipelineOptions, 'dataset' | 'build' | 'snapshot'> {
  /** What the weights are learned on: a split, or how to split by time. Never the data that the result is to be judged by. */
  readonly validation: Split | TemporalSplitOptions;
  /**
   * What the gain must survive on: another split of the same data. Default: where `validation` splits by time, the window of
   * the same length before its cut; otherwise nothing is checked, and nothing recommended.
   */
  readonly confirmation?: Split | TemporalSplitOptions;
  /** Surface to learn for; default `home`, or the only one. */
  readonly surface?: string;
  /**
   * Columns to blend, as `weights` of `blend/scores` names them; components that are not among the surface's scorers become so.
   * Default: the surface's scorers, and those of its sources that can score.
   */
  readonly columns?: readonly string[];
  /** Name of the component in the patch; default `blend`. */
  readonly name?: string;
  /** Length of the lists that are judged; default 10. */
  readonly k?: number;
  /** Whether weights may be negative; default false. */
  readonly signed?: boolean;
  /** Ways to normalise to choose from; the first is kept unless another is clearly better. Default all, `zscore` first. */
  readonly normalisations?: readonly BlendNormalisation[];
  /** Users who may get weights of their own, by distinct items in their history; default 1–9, 10–49 and from 50. Empty: the same for all. */
  readonly segments?: readonly SegmentBounds[];
  /** Segments with fewer cases keep the weights of all; default 100. */
  readonly minimumSegmentCases?: number;
  /** Weights to begin from as well, by column. */
  readonly start?: Readonly<Record<string, number>>;
  /** Cases of either split beyond this number are left out by the seed; default 5,000. */
  readonly maximumCases?: number;
  /** Candidates kept per case and column for learning (figures are of all); default 100. Memory: 20 bytes per column and candidate kept. */
  readonly candidatesPerColumn?: number;
  /** Purposes every request carries; default `['personalisation']`. */
  readonly purposes?: readonly string[];
  /** Requests that run together; default 32. */
  readonly batch?: number;
  /** Default 0. */
  readonly seed?: number;
  /** Of the intervals; default 0.95. */
  readonly confidence?: number;
  /** What `base:` of the patch says; default `./shop.yaml`. */
  readonly base?: string;
  /** Fraction of a step done, in [0, 1]. */
  readonly progress?: (step: BlendStep, fraction: number) => void;
}

/** Steps of learning, in order. */
export type BlendStep = 'fit on the past' | 'ask' | 'learn weights' | 'measure' | 'fit for the check' | 'check';

/** What a split said about the surface as it is and as it would be. */
export interface BlendComparison {
  /** First instant of what was kept back, ISO 8601. */
  readonly cut: string;
  readonly cases: number;
  /** NDCG@k of the surface's present `value`, before rankers, over all candidates. */
  readonly present: Mean;
  /** The same with the learned weights. */
  readonly learned: Mean;
  /** learned − present by paired bootstrap over cases. */
  readonly gain: Interval;
}

/**
 * `recommended`: better on the validation cut, and beyond chance on the confirmation cut. `does-not-survive`: better where it was
 * learned, but not beyond chance on the confirmation cut. `no-gain`: not beyond chance where it was learned.
 * `not-checked`: no confirmation cut.
 */
export type BlendVerdict = 'recommended' | 'does-not-survive' | 'no-gain' | 'not-checked';

/** A blend as `blend/scores` takes it. */
export interface BlendSettings {
  readonly weights: Readonly<Record<string, number>>;
  readonly normalise: BlendNormalisation;
  readonly normaliseEach?: Readonly<Record<string, BlendNormalisation>>;
  readonly segments?: readonly (SegmentBounds & { readonly weights: Readonly<Record<string, number>> })[];
}

/** What was learned, how it compares with the surface's present value on both cuts, and the config that has it. */
export interface LearnedBlend {
  readonly surface: string;
  readonly k: number;
  readonly columns: readonly string[];
  /** Weight of every column, also 0; the largest is 1. */
  readonly weights: Readonly<Record<string, number>>;
  /** What a component `blend/scores` is given: columns without weight are left out. */
  readonly settings: BlendSettings;
  /** How the weights were found, and what cross-validation within the validation cut said of the ways. */
  readonly method: LearnedWeights['method'];
  readonly crossValidated: LearnedWeights['crossValidated'];
  /** What the surface orders by today. */
  readonly presentValue: string;
  readonly validation: BlendComparison;
  readonly confirmation: BlendComparison | undefined;
  readonly verdict: BlendVerdict;
  /** The verdict in words. */
  readonly summary: string;
  /** A config on top of the present one: the component, the surface's scorers and its value. */
  readonly patch: string;
  readonly warnings: readonly Warning[];
}

const defaultSegments: readonly SegmentBounds[] = [
  { name: 'cold', from: 1, below: 10 },
  { name: 'warm', from: 10, below: 50 },
  { name: 'heavy', from: 50 },
];

/**
 * Learns how much each score of a surface should count. The pipeline is fitted on the training part of `validation` and asked for
 * every case; weights, ways to normalise and weights per segment are chosen so that what people took comes first (NDCG@k). Then
 * the pipeline is fitted again on the training part of `confirmation`, and the same weights are compared with the surface's
 * present value on cases that they were not learned on. The same data, options and seed give the same weights.
 *
 * The plugin `blend` must be installed beside the config, since what it makes of each column is asked of it.
 *
 * @throws RECLOOM_CFG_INVALID; RECLOOM_CFG_DUPLICATE_COMPONENT when `name` is taken by something else than a blend;
 *   RECLOOM_RUN_UNKNOWN_SURFACE; RECLOOM_CFG_UNKNOWN_NAME for a column of a component that there is none;
 *   RECLOOM_RUN_REQUEST when there is nothing to blend; RECLOOM_DAT_EMPTY when a split leaves nothing; RECLOOM_RUN_ABORTED; the first
 *   error of a request
 */
export async function learnBlend(source: ConfigSource, dataset: Dataset, options: LearnBlendOptions): Promise<LearnedBlend> {
  const k = options.k ?? 10;
  const seed = options.seed ?? 0;
  const confidence = options.confidence ?? 0.95;
  const name = options.name ?? 'blend';
  const progress = options.progress ?? (() => undefined);
  const signal = options.signal ?? new AbortController().signal;
  const workspace = await openWorkspace(source, options);
  const plan = workspace.plan();
  const existing = plan.nodes.find((node) => node.name === name);
  if (existing !== undefined && existing.reference !== blendReference) throw recloomError('RECLOOM_CFG_DUPLICATE_COMPONENT', { name });
  const ways =
    options.normalisations === undefined || options.normalisations.length === 0 ? normalisations : [...new Set(options.normalisations)];
  const probesFor = (needed: readonly BlendNormalisation[]): ProbeConfig =>
    probeConfig(source, workspace.loaded, plan, { surface: options.surface, columns: options.columns, ways: needed });
  const probes = probesFor(ways);
  const { columns, surface } = probes;
  const validation = isSplit(options.validation) ? options.validation : temporalSplit(dataset, options.validation);
  const confirmation = confirmationOf(dataset, options);
  const limit = options.maximumCases ?? 5_000;
  const asking = (step: BlendStep): AskOptions => ({
    surface,
    columns,
    ways,
    purposes: options.purposes ?? ['personalisation'],
    batch: options.batch ?? 32,
    signal,
    progress: (fraction) => progress(step, fraction),
  });
  const warnings: Warning[] = [];

  const cases = sampleCases(validation.cases, limit, seed);
  progress('fit on the past', 0);
  const past = await openProbes(probes, validation, options);
  let learned: LearnedWeights;
  let atValidation: Measured;
  try {
    progress('fit on the past', 1);
    const collected = await collectCases(past, validation, cases, k, options.candidatesPerColumn ?? 100, asking('ask'));
    warnings.push(...warningsAbout(collected, columns));
    learned = await learnWeights(collected, {
      k,
      seed,
      signed: options.signed ?? false,
      segments: options.segments ?? defaultSegments,
      minimumSegmentCases: options.minimumSegmentCases ?? 100,
      normalisations: ways,
      ...(options.start === undefined ? {} : { start: columns.map((column) => options.start?.[column] ?? 0) }),
      pause: () => pause(signal),
      progress: (fraction) => progress('learn weights', fraction),
    });
    atValidation = await measure(past, validation, cases, k, learned, asking('measure'));
  } finally {
    await past.close();
  }
  const compare = (split: Split, { present, learned: found }: Measured): BlendComparison => ({
    cut: new Date(split.cutMs).toISOString(),
    cases: present.length,
    present: meanOf(present),
    learned: meanOf(found),
    gain: pairedBootstrap(found, present, { seed, confidence }),
  });
  const validated = compare(validation, atValidation);
  let confirmed: BlendComparison | undefined;
  if (confirmation !== undefined) {
    progress('fit for the check', 0);
    // The weights stand: only the ways to normalise that they need are worked out.
    const before = await openProbes(probesFor([...new Set(learned.normalisations)]), confirmation, options);
    try {
      progress('fit for the check', 1);
      const others = sampleCases(confirmation.cases, limit, seed);
      confirmed = compare(confirmation, await measure(before, confirmation, others, k, learned, asking('check')));
    } finally {
      await before.close();
    }
  }
  const verdict = verdictOf(validated, confirmed);
  const summary = summaryOf(verdict, validated, confirmed, k);
  const settings = settingsOf(columns, learned);
  return {
    surface,
    k,
    columns,
    weights: Object.fromEntries(columns.map((column, index) => [column, learned.weights[index] as number])),
    settings,
    method: learned.method,
    crossValidated: learned.crossValidated,
    presentValue: probes.value,
    validation: validated,
    confirmation: confirmed,
    verdict,
    summary,
    patch: patchOf(name, probes, settings, summary, options.base ?? './shop.yaml', workspace.loaded.config.components[name]?.with),
    warnings,
  };
}

function isSplit(given: Split | TemporalSplitOptions): given is Split {
  return 'train' in given;
}

function confirmationOf(dataset: Dataset, { validation, confirmation }: LearnBlendOptions): Split | undefined {
  if (confirmation !== undefined) return isSplit(confirmation) ? confirmation : temporalSplit(dataset, confirmation);
  if (isSplit(validation)) return undefined;
  const newest = dataset.history.timesMs.reduce((latest, timeMs) => Math.max(latest, timeMs), validation.cutMs);
  const length = (validation.untilMs ?? newest) - validation.cutMs;
  return temporalSplit(dataset, { ...validation, cutMs: validation.cutMs - length, untilMs: validation.cutMs });
}

async function openProbes(probes: ProbeConfig, split: Split, options: LearnBlendOptions): Promise<Pipeline> {
  const pipeline = await openPipeline(probes.source, { ...options, directory: probes.directory, dataset: split.train });
  if (split.newItems !== undefined) {
    try {
      await pipeline.upsertItems(split.newItems);
    } catch (error) {
      await pipeline.close();
      throw error;
    }
  }
  return pipeline;
}

/** NDCG per case. */
interface Measured {
  readonly present: Float64Array;
  readonly learned: Float64Array;
}

/** NDCG of the present value and of the learned weights, over all candidates; ties go to the lower item row, as in serving. */
async function measure(
  pipeline: Pipeline,
  split: Split,
  cases: readonly TestCase[],
  k: number,
  learned: LearnedWeights,
  options: AskOptions,
): Promise<Measured> {
  const wanted = options.columns.map((column, index) => probeColumn(column, learned.normalisations[index] as BlendNormalisation));
  const present = new Float64Array(cases.length);
  const found = new Float64Array(cases.length);
  const best = new BestOf(k);
  let index = 0;
  for await (const { testCase, candidates, relevant } of askForColumns(pipeline, split, cases, wanted, options)) {
    const { rows, values } = candidates;
    const order = Int32Array.from(rows, (_, place) => place).sort((left, right) => (rows[left] as number) - (rows[right] as number));
    const ideal = idealOf(testCase.relevant.length, k);
    best.clear();
    for (const place of order) best.offer(values[place] as number, relevant[place] as number);
    present[index] = best.gain() / ideal;
    const size = historySizeOf(split.train, testCase);
    const weights = learned.segments.find((segment) => isIn(size, segment))?.weights ?? learned.weights;
    const sums = new Float64Array(rows.length);
    for (const [which, name] of wanted.entries()) {
      const weight = weights[which] as number;
      if (weight === 0) continue;
      const column = candidates.columns[name] as Float32Array;
      for (let place = 0; place < sums.length; place++) sums[place] = (sums[place] as number) + weight * (column[place] as number);
    }
    best.clear();
    // Served scores are float32: what is equal there is equal here.
    for (const place of order) best.offer(Math.fround(sums[place] as number), relevant[place] as number);
    found[index] = best.gain() / ideal;
    index++;
  }
  return { present, learned: found };
}

function warningsAbout(cases: BlendCases, columns: readonly string[]): readonly Warning[] {
  const warnings: Warning[] = [];
  const [scores = []] = cases.scores.values();
  for (const [index, column] of columns.entries()) {
    if (!isSilent(cases, scores[index] as Float32Array)) continue;
    const { message } = recloomError('RECLOOM_DAT_COLUMN_SILENT', { column });
    warnings.push({ code: 'RECLOOM_DAT_COLUMN_SILENT', message });
  }
  const fewCases = 200;
  if (cases.count < fewCases) {
    const { message } = recloomError('RECLOOM_DAT_FEW_CASES', { count: cases.count });
    warnings.push({ code: 'RECLOOM_DAT_FEW_CASES', message, count: cases.count });
  }
  return warnings;
}

/** Whether a column says the same about all candidates of each case. */
function isSilent({ offsets, count }: BlendCases, scores: Float32Array): boolean {
  for (let index = 0; index < count; index++) {
    const start = offsets[index] as number;
    const end = offsets[index + 1] as number;
    for (let place = start + 1; place < end; place++) if (scores[place] !== scores[start]) return false;
  }
  return true;
}

function verdictOf(validation: BlendComparison, confirmation: BlendComparison | undefined): BlendVerdict {
  if (!(validation.gain.low > 0)) return 'no-gain';
  if (confirmation === undefined) return 'not-checked';
  return confirmation.gain.low > 0 ? 'recommended' : 'does-not-survive';
}

function summaryOf(verdict: BlendVerdict, validation: BlendComparison, confirmation: BlendComparison | undefined, k: number): string {
  const told = (comparison: BlendComparison): string => {
    const { present, learned, gain, cut, cases } = comparison;
    const signed = (value: number): string => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(4)}`;
    return `cut ${cut.slice(0, 10)}: NDCG@${k} ${present.mean.toFixed(4)} today, ${learned.mean.toFixed(4)} learned, difference ${signed(gain.mean)} (${Math.round(gain.confidence * 100)} % interval ${signed(gain.low)} to ${signed(gain.high)}, ${cases} cases)`;
  };
  const figures = `Validation, ${told(validation)}.${confirmation === undefined ? '' : ` Check, ${told(confirmation)}.`}`;
  const words: Readonly<Record<BlendVerdict, string>> = {
    recommended: 'Recommended: the gain survives on a cut that the weights were not learned on.',
    'does-not-survive': 'Not recommended: the gain does not survive on a cut that the weights were not learned on; it may be chance.',
    'no-gain': 'Not recommended: even where they were learned the weights are no clear gain over what you have.',
    'not-checked': 'Not recommended yet: the gain was not checked on a second cut.',
  };
  return `${words[verdict]} ${figures}`;
}

function settingsOf(columns: readonly string[], learned: LearnedWeights): BlendSettings {
  const used = columns.flatMap((column, index) => {
    const weights = [learned.weights, ...learned.segments.map((segment) => segment.weights)];
    return weights.some((list) => list[index] !== 0) ? [{ column, index, way: learned.normalisations[index] as BlendNormalisation }] : [];
  });
  // Nothing is worth anything: a blend must name a column, so the first stands, and stands for nothing.
  const kept = used.length > 0 ? used : [{ column: columns[0] as string, index: 0, way: learned.normalisations[0] as BlendNormalisation }];
  const counts = normalisations.map((way) => kept.filter((entry) => entry.way === way).length);
  const normalise = normalisations[counts.indexOf(Math.max(...counts))] as BlendNormalisation;
  const each = kept.filter(({ way }) => way !== normalise).map(({ column, way }) => [column, way]);
  const named = (weights: Float64Array): Record<string, number> =>
    Object.fromEntries(kept.map(({ column, index }) => [column, weights[index] as number]));
  return {
    weights: named(learned.weights),
    normalise,
    ...(each.length === 0 ? {} : { normaliseEach: Object.fromEntries(each) }),
    ...(learned.segments.length === 0
      ? {}
      : {
          segments: learned.segments.map(({ name, from, below, weights }) => ({
            name,
            from,
            ...(below === undefined ? {} : { below }),
            weights: named(weights),
          })),
        }),
  };
}

/** The blend as a config: scorers that the surface had stay, since others may read them; of the added ones those that count. */
function patchOf(name: string, probes: ProbeConfig, settings: BlendSettings, summary: string, base: string, before: unknown): string {
  const needed = new Set(
    Object.keys(settings.weights).flatMap((column) => {
      const [namespace, path] = column.split('.');
      return namespace === 'feature' ? [] : [namespace === 'score' ? path : namespace];
    }),
  );
  const scorers = probes.scorers
    .filter((use) => needed.has(use.name) || probes.present.includes(use.name))
    .map((use) => (use.onError === 'skip' ? use.name : { use: use.name, onError: use.onError }));
  return writeConfigPatch({
    base,
    comment: [`Weights learned by \`recloom blend\` for the surface ${probes.surface}.`, ...wrapped(summary, 76)],
    changes: {
      components: { [name]: { use: blendReference, with: over(before, settings) } },
      surfaces: { [probes.surface]: { scorers: [...scorers, name], value: `score.${name}` } },
    },
  });
}

/** Settings that hold alone when they are laid over those of an earlier blend: what only that one had is taken out. */
function over(before: unknown, settings: unknown): unknown {
  if (!isMapping(before) || !isMapping(settings)) return settings;
  const gone = Object.keys(before).filter((key) => !Object.hasOwn(settings, key));
  return {
    ...Object.fromEntries(Object.entries(settings).map(([key, value]) => [key, over(before[key], value)])),
    ...Object.fromEntries(gone.map((key) => [key, null])),
  };
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

/** Lets other work run. @throws RECLOOM_RUN_ABORTED */
async function pause(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resume) => setImmediate(resume));
  if (signal.aborted) throw recloomError('RECLOOM_RUN_ABORTED', {}, { cause: signal.reason });
}
