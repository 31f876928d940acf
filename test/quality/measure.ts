// Asks a pipeline the questions of a protocol, the full catalogue ranked, and keeps the figures of every case. Used by run-protocol.ts.
import { type Attributes, openPipeline, type Pipeline, type RecommendRequest } from '@recloom/core';
import { popularityRecommender, rankingMetrics, type Split, type TestCase } from '@recloom/evaluate';
import type { ProtocolSplit } from './protocol-data.js';
import { surfaceAlone } from './surface-alone.js';

/** The figures of each case, in the order of the split. */
export interface CaseFigures {
  readonly ndcg: Float64Array;
  readonly recall: Float64Array;
  readonly hitRate: Float64Array;
}

export interface Measured extends CaseFigures {
  readonly fitMs: number;
  readonly askMs: number;
  /** Processor time of both, all threads. */
  readonly cpuMs: number;
  /** With the limits of serving: the share of all right answers that are among the candidates, the ceiling of any ranking. */
  readonly ceiling?: number;
  /** Fewest and mean number of candidates that were ranked for a case. */
  readonly candidates: { readonly least: number; readonly mean: number };
  /** How often each warning came, the expected ones left out. */
  readonly warnings: Readonly<Record<string, number>>;
}

export interface MeasureOptions {
  readonly k: number;
  readonly surface?: string;
  /** With the limits of serving; default: every source is asked for the whole catalogue. */
  readonly served?: boolean;
  /** Overrides the config's. */
  readonly seed?: number;
  readonly progress?: (fraction: number, what: string) => void;
}

/** A component that failed or was left out would make another pipeline of it. */
const fatal: ReadonlySet<string> = new Set(['RECLOOM_RUN_NODE_FAILED', 'RECLOOM_PRV_NOT_GRANTED', 'RECLOOM_LAW_SHAPE', 'RECLOOM_LAW_ROWS']);

/** These pipelines have no consent to ask for: every request carries the purpose. */
const expected: ReadonlySet<string> = new Set(['RECLOOM_PRV_NO_GATE']);

/** @throws the first error of a request, and Error for a warning by which the pipeline is no longer the one asked for */
export async function measurePipeline(file: string, split: ProtocolSplit, options: MeasureOptions): Promise<Measured> {
  const surface = options.surface ?? 'home';
  const { config, directory } = await surfaceAlone(file, surface);
  const started = performance.now();
  const startedCpu = process.cpuUsage();
  const pipeline = await openPipeline(
    { ...config, ...(options.seed === undefined ? {} : { seed: options.seed }) },
    { dataset: split.train, directory },
  );
  const fitMs = performance.now() - started;
  try {
    const warnings: Record<string, number> = {};
    const count = (code: string): void => {
      if (!expected.has(code)) warnings[code] = (warnings[code] ?? 0) + 1;
    };
    for (const { code } of pipeline.warnings) count(code);
    if (split.after.length > 0) pipeline.record(split.after.map(({ user, item, time }) => ({ user, item, time, type: 'event' })));
    const figures = emptyFigures(split.cases.length);
    const requests = split.cases.map(
      ({ user, known, asOfMs }): RecommendRequest => ({
        user,
        surface,
        purposes: ['personalisation'],
        limit: options.k,
        exclude: known,
        asOf: asOfMs ?? split.cutMs,
      }),
    );
    const asked = performance.now();
    let least = Number.POSITIVE_INFINITY;
    let total = 0;
    for await (const { index, answer, error } of pipeline.recommendMany(requests, { batch: 64, unlimited: options.served !== true })) {
      if (error !== undefined) throw error;
      for (const { code, message } of answer.warnings) {
        if (fatal.has(code)) throw new Error(`${code}: ${message}`);
        count(code);
      }
      least = Math.min(least, answer.ledger.scored);
      total += answer.ledger.scored;
      const testCase = split.cases[index] as TestCase;
      keep(
        figures,
        index,
        testCase,
        answer.items.map(({ id }) => id),
        options.k,
      );
      if (index % 512 === 0) options.progress?.(index / requests.length, 'asked');
    }
    const askMs = performance.now() - asked;
    const { user, system } = process.cpuUsage(startedCpu);
    return {
      ...figures,
      fitMs,
      askMs,
      cpuMs: (user + system) / 1000,
      candidates: { least, mean: total / requests.length },
      warnings,
      ...(options.served === true ? { ceiling: await ceilingOf(pipeline, requests, split) } : {}),
    };
  } finally {
    await pipeline.close();
  }
}

async function ceilingOf(pipeline: Pipeline<Attributes>, requests: readonly RecommendRequest[], { cases }: ProtocolSplit): Promise<number> {
  let [right, found] = [0, 0];
  for await (const { index, candidates, error } of pipeline.scoreCandidates(requests, { columns: [], batch: 64 })) {
    if (error !== undefined) throw error;
    const proposed = new Set(candidates.ids);
    const { relevant } = cases[index] as TestCase;
    right += relevant.length;
    found += relevant.filter((id) => proposed.has(id)).length;
  }
  return found / right;
}

/** What most training users have and the case's user does not: the figures every pipeline must beat. */
export async function measurePopularity(split: Split, k: number): Promise<CaseFigures> {
  const figures = emptyFigures(split.cases.length);
  let index = 0;
  for await (const list of popularityRecommender(split)(split.cases, k)) {
    keep(figures, index, split.cases[index] as TestCase, list, k);
    index++;
  }
  return figures;
}

function emptyFigures(count: number): CaseFigures {
  return { ndcg: new Float64Array(count), recall: new Float64Array(count), hitRate: new Float64Array(count) };
}

function keep(figures: CaseFigures, index: number, { relevant }: TestCase, list: readonly string[], k: number): void {
  const rows = new Map(relevant.map((id, row) => [id, row]));
  const grades = new Map(relevant.map((_, row) => [row, 1]));
  const scored = rankingMetrics(
    list.map((id) => rows.get(id) ?? -1),
    grades,
    k,
  );
  figures.ndcg[index] = scored.ndcg;
  figures.recall[index] = scored.recall;
  figures.hitRate[index] = scored.hitRate;
}
