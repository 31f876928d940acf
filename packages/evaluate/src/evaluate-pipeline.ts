import {
  type Attributes,
  type ConfigSource,
  type Dataset,
  type OpenPipelineOptions,
  openPipeline,
  type Pipeline,
  type RecommendRequest,
} from '@recloom/core';
import type { Warning } from '@recloom/plugin-api';
import { askCases, type Recommender } from './ask-cases.js';
import { usersPerItem } from './measure/catalogue-facts.js';
import { type Mean, meanOf, scoreList } from './metrics.js';
import { relevantMaskWhere } from './splits/relevant-types.js';
import type { Split, TestCase } from './splits/split.js';

/** How a pipeline is opened and asked for one figure. */
export interface EvaluateOptions extends Omit<OpenPipelineOptions, 'dataset' | 'build' | 'snapshot'> {
  /** Length of the lists; default 10. */
  readonly k?: number;
  /** Surface to ask; default: the pipeline's own choice for a user. */
  readonly surface?: string;
  /** Purposes every request carries; default `['personalisation']`. */
  readonly purposes?: readonly string[];
  /** Requests that run together; default 128. */
  readonly batch?: number;
  /** Fraction of the cases done, in [0, 1]. */
  readonly progress?: (fraction: number) => void;
  /** Told every warning of every answer. */
  readonly warn?: (warning: Warning) => void;
}

/** The quality of ranked lists over all test cases. */
export interface QualityReport {
  readonly k: number;
  readonly cases: number;
  readonly ndcg: Mean;
  readonly recall: Mean;
  readonly hitRate: Mean;
  /** Share of the training catalogue (of the new items, where only they are asked for) that stands in at least one list. */
  readonly coverage: number;
  /** NDCG per case, in the order of the split: for paired tests. */
  readonly ndcgPerCase: Float64Array;
}

/**
 * Fits a config on the training part and asks the very pipeline that serves, with the full catalogue ranked and "now"
 * at the cut or at the case's own time. The split's training part is all it ever sees, and the fields of the split's new
 * items, which are then all that may be proposed.
 *
 * @throws RECLOOM_CFG_INVALID, RECLOOM_PLG_*; the first error of a request, since a figure with holes would be no figure
 */
export async function evaluatePipeline(source: ConfigSource, split: Split, options: EvaluateOptions = {}): Promise<QualityReport> {
  const pipeline = await openPipeline(source, { ...options, dataset: split.train });
  try {
    if (split.newItems !== undefined) await pipeline.upsertItems(split.newItems);
    return await evaluateRecommender(pipelineRecommender(pipeline, split, options), split, options);
  } finally {
    await pipeline.close();
  }
}

/**
 * A recommender that asks an opened pipeline, in batches, with nothing run ahead of the consumer. A surface that needs an
 * item is given the newest that the user has.
 */
export function pipelineRecommender(pipeline: Pipeline<Attributes>, split: Split, options: EvaluateOptions): Recommender {
  return async function* (cases, k) {
    const many = pipeline.recommendMany(caseRequests(pipeline, split, cases, k, options), {
      batch: options.batch ?? 128,
      unlimited: true,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    for await (const result of many) {
      if (result.error !== undefined) throw result.error;
      if (options.warn !== undefined) for (const warning of result.answer.warnings) options.warn(warning);
      yield result.answer.items.map((item) => item.id);
    }
  };
}

/** The request of each case: the user (or the guest with what they bring), at the case's time, without what they have. */
export function* caseRequests(
  pipeline: Pipeline<Attributes>,
  split: Split,
  cases: readonly TestCase[],
  limit: number,
  options: Pick<EvaluateOptions, 'surface' | 'purposes'>,
): Generator<RecommendRequest, void, undefined> {
  // Where only new items can be right, the others stand in nobody's list.
  const old = split.newItems === undefined ? undefined : split.train.items.ids;
  const purposes = options.purposes ?? ['personalisation'];
  const needsItem = surfaceFacts(pipeline, options.surface)?.needsItem === true;
  for (const testCase of cases) {
    const newest = needsItem ? testCase.known.at(-1) : undefined;
    yield {
      ...(testCase.session === undefined ? { user: testCase.user } : { session: testCase.session }),
      ...(newest === undefined ? {} : { item: newest }),
      purposes,
      limit,
      exclude: old ?? testCase.known,
      asOf: testCase.asOfMs ?? split.cutMs,
      ...(options.surface === undefined ? {} : { surface: options.surface }),
    };
  }
}

/** What an evaluation has to know of a surface. */
export interface SurfaceFacts {
  readonly name: string;
  readonly needsItem: boolean;
  /** True when the first k of a longer list may be others than a list of k: rankers choose among as many as the list is long. */
  readonly ordersByLength: boolean;
  /** Longest list that a request may ask for. */
  readonly maximumLimit: number;
  readonly sources: readonly { readonly name: string; readonly fallback: boolean }[];
}

/** Facts of the surface that cases are asked on: the named one, `home`, or the only one; undefined when there is none such (the request will say so). */
export function surfaceFacts(pipeline: Pipeline<Attributes>, wanted: string | undefined): SurfaceFacts | undefined {
  const { surfaces } = pipeline.engine.assembly;
  const surface =
    wanted === undefined ? (surfaces.get('home') ?? (surfaces.size === 1 ? [...surfaces.values()][0] : undefined)) : surfaces.get(wanted);
  if (surface === undefined) return undefined;
  const { config } = surface.planned;
  return {
    name: surface.name,
    needsItem: config.needs.includes('item'),
    ordersByLength: surface.rankers.length + surface.resultFilters.length > 0,
    maximumLimit: config.limits.items,
    sources: surface.allSources.map(({ name, planned }) => ({ name, fallback: planned.use.fallback })),
  };
}

/**
 * The most bought training items that are new to the user: what every recommender must beat. Ties by ascending id; where
 * only new items can be right nobody has bought any, so they come by ascending id. Only events count that could be answers.
 */
export function popularityRecommender(split: Split): Recommender {
  const order = split.newItems === undefined ? byPopularity(split.train, split.relevantTypes) : split.newItems.map(({ id }) => id).sort();
  return function* (cases, k) {
    for (const testCase of cases) {
      const known = new Set(testCase.known);
      const list: string[] = [];
      for (const id of order) {
        if (known.has(id)) continue;
        list.push(id);
        if (list.length === k) break;
      }
      yield list;
    }
  };
}

function byPopularity({ history, items }: Dataset, types: readonly string[] | undefined): readonly string[] {
  const buyers = usersPerItem(history, relevantMaskWhere(history, types));
  return Array.from({ length: items.rowCount }, (_, row) => row)
    .sort((left, right) => (buyers[right] as number) - (buyers[left] as number) || left - right)
    .map((row) => items.idOf(row));
}

/** Scores a recommender on every case of a split. */
export async function evaluateRecommender(
  recommend: Recommender,
  split: Split,
  options: Pick<EvaluateOptions, 'k' | 'progress'> = {},
): Promise<QualityReport> {
  const k = options.k ?? 10;
  const { cases } = split;
  const ndcg = new Float64Array(cases.length);
  const recall = new Float64Array(cases.length);
  const hitRate = new Float64Array(cases.length);
  const shown = new Set<string>();
  const visit = (index: number, list: readonly string[]): void => {
    const rows = new Map((cases[index] as TestCase).relevant.map((id, row) => [id, row]));
    const scored = scoreList(
      list.map((id) => rows.get(id) ?? -1),
      new Set(rows.values()),
      k,
    );
    for (const id of list) shown.add(id);
    ndcg[index] = scored.ndcg;
    recall[index] = scored.recall;
    hitRate[index] = scored.hitRate;
  };
  await askCases(recommend, split, k, visit, options.progress);
  return {
    k,
    cases: cases.length,
    ndcg: meanOf(ndcg),
    recall: meanOf(recall),
    hitRate: meanOf(hitRate),
    coverage: shown.size / (split.newItems?.length ?? split.train.items.rowCount),
    ndcgPerCase: ndcg,
  };
}
