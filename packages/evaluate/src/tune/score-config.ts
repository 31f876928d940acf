import {
  type Attributes,
  type ConfigSource,
  type FittedParts,
  type HostOptions,
  openPipeline,
  type Pipeline,
  type TuneMetric,
} from '@recloom/core';
import { createRandomStream, deriveSeed, recloomError } from '@recloom/plugin-api';
import { caseRequests } from '../evaluate-pipeline.js';
import { type RankingMetrics, rankingMetrics } from '../metrics/ranking.js';
import type { Split, TestCase } from '../splits/split.js';

/** What a config is worth. */
export interface Score {
  /** Mean over all cases; of one that was stopped, the best's mean plus the mean difference on the cases asked. */
  readonly value: number;
  /** Cases asked. */
  readonly cases: number;
  readonly stopped: boolean;
  /** By case, split after split; NaN where it was not asked. */
  readonly figures: Float64Array;
}

/** The questions of a search and how answers are scored; the same for all trials. */
export interface Exam {
  readonly splits: readonly Split[];
  /** Order in which the cases of each split are asked: a fixed shuffle, so that the first ones are a fair sample. */
  readonly orders: readonly Int32Array[];
  readonly cases: number;
  readonly metric: TuneMetric;
  readonly k: number;
  readonly surface: string;
  readonly purposes: readonly string[];
  /** Ask with the limits of serving, which lifted limits of sources and candidates would hide. */
  readonly servingLimits: boolean;
}

/** What scoring a config shares with the trials before it, and when it may stop. */
export interface ScoreOptions extends HostOptions {
  readonly parts: FittedParts;
  /** The best so far: a config that cannot beat it is stopped. Undefined: never. */
  readonly best?: Pick<Score, 'value' | 'figures'> | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Fraction of the cases asked. */
  readonly progress?: ((fraction: number) => void) | undefined;
}

const metricNames: Readonly<Record<TuneMetric, keyof RankingMetrics>> = {
  ndcg: 'ndcg',
  recall: 'recall',
  precision: 'precision',
  f1: 'f1',
  hitRate: 'hitRate',
  map: 'averagePrecision',
  mrr: 'reciprocalRank',
  gradedNdcg: 'gradedNdcg',
  revenue: 'revenue',
};

/** Item field that `revenue` reads. */
const priceField = 'price';
/** Fewer cases are no sample to stop by. */
const smallestSample = 200;
/** Shares of the cases after which a trial may be stopped. */
const rungs = [1 / 9, 1 / 3, 2 / 3];
/** Standard errors by which a trial must lie behind: once in 700 times chance alone does that at one rung. */
const surelyWorse = 3;

/** @throws RECLOOM_DAT_NO_LABELS when the metric needs what the data lack */
export function createExam(splits: readonly Split[], exam: Omit<Exam, 'splits' | 'orders' | 'cases'>, seed: number): Exam {
  if (exam.metric === 'revenue' && !splits.some(hasPrices))
    throw recloomError('RECLOOM_DAT_NO_LABELS', { metric: 'revenue', why: `the items have no number field "${priceField}"` });
  if (exam.metric === 'gradedNdcg' && splits.every(({ cases }) => cases.every(({ grades }) => grades === undefined)))
    throw recloomError('RECLOOM_DAT_NO_LABELS', { metric: 'gradedNdcg', why: 'the split keeps no weights of the events' });
  const orders = splits.map(({ cases }, place) => shuffled(cases.length, deriveSeed(seed, `cases ${place}`)));
  return { ...exam, splits, orders, cases: splits.reduce((sum, { cases }) => sum + cases.length, 0) };
}

/**
 * Fits a config on the training part of each split and asks it the cases. With `best`, it is stopped after a ninth, a third
 * or two thirds of the cases (at least 200) or a split when its mean lies behind the best's on the same cases by more than
 * three standard errors of the paired difference (a race as in Maron and Moore 1994 and F-Race, Birattari 2002).
 *
 * @throws what opening, fitting and asking throw; the signal's reason when aborted
 */
export async function scoreConfig(config: ConfigSource, exam: Exam, options: ScoreOptions): Promise<Score> {
  const figures = new Float64Array(exam.cases).fill(Number.NaN);
  const stops = rungs.map((share) => Math.max(smallestSample, Math.ceil(share * exam.cases)));
  let asked = 0;
  let first = 0;
  for (const [place, split] of exam.splits.entries()) {
    options.signal?.throwIfAborted();
    const order = exam.orders[place] as Int32Array;
    const { provide, plugins, directory, env, signal, parts } = options;
    const pipeline = await openPipeline(config, {
      dataset: split.train,
      parts,
      ...(provide === undefined ? {} : { provide }),
      ...(plugins === undefined ? {} : { plugins }),
      ...(directory === undefined ? {} : { directory }),
      ...(env === undefined ? {} : { env }),
      ...(signal === undefined ? {} : { signal }),
    });
    try {
      if (split.newItems !== undefined) await pipeline.upsertItems(split.newItems);
      const ends = [...stops.map((stop) => stop - first), order.length].filter((end) => end > 0 && end <= order.length);
      let from = 0;
      for (const end of [...new Set(ends)].sort((left, right) => left - right)) {
        await askInto(figures, first, order.subarray(from, end), split, pipeline, exam, signal);
        asked += end - from;
        from = end;
        options.progress?.(asked / exam.cases);
        const stopped = asked < exam.cases && options.best !== undefined ? losing(figures, options.best.figures, exam.cases) : undefined;
        if (stopped !== undefined) return { value: (options.best?.value ?? 0) + stopped, cases: asked, stopped: true, figures };
      }
    } finally {
      await pipeline.close();
    }
    first += order.length;
  }
  return { value: meanOf(figures), cases: asked, stopped: false, figures };
}

/** The mean difference to the best on the cases asked when it is surely below zero, counted over the cases there are. */
function losing(figures: Float64Array, best: Float64Array, cases: number): number | undefined {
  let count = 0;
  let mean = 0;
  let squares = 0;
  for (const [index, figure] of figures.entries()) {
    if (Number.isNaN(figure)) continue;
    const difference = figure - (best[index] as number);
    count++;
    const shift = difference - mean;
    mean += shift / count;
    squares += shift * (difference - mean);
  }
  if (count < smallestSample) return undefined;
  // All cases are asked in the end: what is left to chance is only who is among the first.
  const error = Math.sqrt((squares / (count - 1) / count) * (1 - count / cases));
  return mean < 0 && mean + surelyWorse * error < 0 ? mean : undefined;
}

async function askInto(
  figures: Float64Array,
  first: number,
  order: Int32Array,
  split: Split,
  pipeline: Pipeline<Attributes>,
  exam: Exam,
  signal: AbortSignal | undefined,
): Promise<void> {
  const cases = Array.from(order, (index) => split.cases[index] as TestCase);
  const requests = caseRequests(pipeline, split, cases, exam.k, { surface: exam.surface, purposes: exam.purposes });
  const many = pipeline.recommendMany(requests, {
    batch: 128,
    unlimited: !exam.servingLimits,
    ...(signal === undefined ? {} : { signal }),
  });
  const priceOf = pricesOf(split);
  let index = 0;
  for await (const result of many) {
    if (result.error !== undefined) throw result.error;
    const { relevant, grades } = cases[index] as TestCase;
    const numbers = new Map(relevant.map((id, place) => [id, place]));
    const ranked = result.answer.items.map(({ id }) => numbers.get(id) ?? -1);
    const scored = rankingMetrics(ranked, new Map(relevant.map((_, place) => [place, grades?.[place] ?? 1])), exam.k, {
      value: (place) => priceOf(relevant[place] as string),
    });
    figures[first + (order[index] as number)] = scored[metricNames[exam.metric]];
    index++;
  }
}

function hasPrices(split: Split): boolean {
  const column = split.train.items.column(priceField);
  return column?.type === 'number' || (split.newItems ?? []).some((item) => typeof item[priceField] === 'number');
}

function pricesOf(split: Split): (id: string) => number {
  const { items } = split.train;
  const column = items.column(priceField);
  const added = new Map((split.newItems ?? []).map((item) => [item.id, item[priceField]]));
  return (id) => {
    const price = added.get(id);
    if (typeof price === 'number') return price;
    const row = items.rowOf(id);
    return column?.type === 'number' && row >= 0 ? (column.values[row] as number) : Number.NaN;
  };
}

function shuffled(count: number, seed: number): Int32Array {
  const order = Int32Array.from({ length: count }, (_, index) => index);
  const random = createRandomStream(seed);
  for (let last = count - 1; last > 0; last--) {
    const other = random.integer(last + 1);
    const moved = order[last] as number;
    order[last] = order[other] as number;
    order[other] = moved;
  }
  return order;
}

function meanOf(figures: Float64Array): number {
  let sum = 0;
  for (const figure of figures) sum += figure;
  return sum / figures.length;
}
