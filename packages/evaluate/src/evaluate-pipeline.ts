import {
  type Attributes,
  type ConfigSource,
  type OpenPipelineOptions,
  openPipeline,
  type Pipeline,
  type RecommendRequest,
} from '@recloom/core';
import { type Mean, meanOf, scoreList } from './metrics.js';
import type { Split, TestCase } from './splits/split.js';

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

/** Ranks the items of one case, best first; ids in `case.known` must not be in the list. */
export type Recommender = (cases: readonly TestCase[], k: number) => AsyncIterable<readonly string[]> | Iterable<readonly string[]>;

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

/** A recommender that asks an opened pipeline. */
export function pipelineRecommender(pipeline: Pipeline<Attributes>, split: Split, options: EvaluateOptions): Recommender {
  return async function* (cases, k) {
    // Where only new items can be right, the others stand in nobody's list.
    const old = split.newItems === undefined ? undefined : split.train.items.ids;
    const requests = cases.map(
      (testCase): RecommendRequest => ({
        ...(testCase.session === undefined ? { user: testCase.user } : { session: testCase.session }),
        purposes: options.purposes ?? ['personalisation'],
        limit: k,
        exclude: old ?? testCase.known,
        asOf: testCase.asOfMs ?? split.cutMs,
        ...(options.surface === undefined ? {} : { surface: options.surface }),
      }),
    );
    const many = pipeline.recommendMany(requests, {
      batch: options.batch ?? 128,
      unlimited: true,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    for await (const result of many) {
      if (result.error !== undefined) throw result.error;
      yield result.answer.items.map((item) => item.id);
    }
  };
}

/** The most bought training items that are new to the user: what every recommender must beat. Ties by ascending id. */
export function popularityRecommender(split: Split): Recommender {
  const { history, items } = split.train;
  const buyers = new Int32Array(items.rowCount);
  for (let user = 0; user < history.userCount; user++) {
    const rows = new Set(history.items.subarray(history.offsets[user], history.offsets[user + 1]));
    for (const row of rows) buyers[row] = (buyers[row] as number) + 1;
  }
  const order = Int32Array.from({ length: items.rowCount }, (_, row) => row).sort(
    (left, right) => (buyers[right] as number) - (buyers[left] as number) || left - right,
  );
  return function* (cases, k) {
    for (const testCase of cases) {
      const known = new Set(testCase.known);
      const list: string[] = [];
      for (const row of order) {
        const id = items.idOf(row);
        if (known.has(id)) continue;
        list.push(id);
        if (list.length === k) break;
      }
      yield list;
    }
  };
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
  let index = 0;
  for await (const list of recommend(cases, k)) {
    const testCase = cases[index] as TestCase;
    const rows = new Map(testCase.relevant.map((id, row) => [id, row]));
    const scored = scoreList(
      list.map((id) => rows.get(id) ?? -1),
      new Set(rows.values()),
      k,
    );
    for (const id of list) shown.add(id);
    ndcg[index] = scored.ndcg;
    recall[index] = scored.recall;
    hitRate[index] = scored.hitRate;
    index++;
    if (index % 64 === 0) options.progress?.(index / cases.length);
  }
  options.progress?.(1);
  if (index !== cases.length) throw new RangeError(`the recommender answered ${index} of ${cases.length} cases`);
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
