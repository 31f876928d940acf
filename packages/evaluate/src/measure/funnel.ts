import type { Attributes, Pipeline } from '@recloom/core';
import { caseRequests, type EvaluateOptions, type SurfaceFacts } from '../evaluate-pipeline.js';
import type { FunnelStage } from '../evaluation.js';
import type { Split, TestCase } from '../splits/split.js';

/** Requests that run together: each brings the candidates of a whole request. */
const batch = 32;

/**
 * Follows cases through the surface with the limits of serving: what each source proposes, what is left of it merged, after
 * the limit of candidates and the filters, and in the list of `k` as served. At most `sample` cases, evenly spaced.
 */
export async function funnelOf(
  pipeline: Pipeline<Attributes>,
  split: Split,
  surface: SurfaceFacts,
  options: Pick<EvaluateOptions, 'surface' | 'purposes' | 'signal'> & { readonly k: number; readonly sample: number },
): Promise<readonly FunnelStage[]> {
  const { sources } = surface;
  const count = Math.min(options.sample, split.cases.length);
  const cases = Array.from({ length: count }, (_, place) => split.cases[Math.floor((place * split.cases.length) / count)] as TestCase);
  if (count === 0) return [];
  const stages = [...sources.map(({ name }) => `source ${name}`), 'candidates', 'filters', 'ranked'];
  const sums = stages.map(() => ({ candidates: 0, recall: 0 }));
  const note = (stage: number, candidates: number, hits: number, testCase: TestCase): void => {
    const sum = sums[stage] as { candidates: number; recall: number };
    sum.candidates += candidates;
    sum.recall += hits / testCase.relevant.length;
  };
  const requests = [...caseRequests(pipeline, split, cases, options.k, options)];
  const many = { batch, ...(options.signal === undefined ? {} : { signal: options.signal }) };
  const columns = sources.map(({ name }) => `source.${name}.rank`);
  const mainPlaces = sources.flatMap(({ fallback }, place) => (fallback ? [] : [place]));
  const fallbackPlaces = sources.flatMap(({ fallback }, place) => (fallback ? [place] : []));
  const right = cases.map(({ relevant }) => new Set(relevant));
  /** By case: what the main sources proposed, where fallbacks may add to it. */
  const proposed: (ReadonlySet<string> | undefined)[] = [];
  for await (const { index, candidates, error } of pipeline.scoreCandidates(requests, { ...many, columns, unfiltered: true })) {
    if (error !== undefined) throw error;
    const wanted = right[index] as ReadonlySet<string>;
    const { ids } = candidates;
    let hits = 0;
    for (const id of ids) if (wanted.has(id)) hits++;
    note(sources.length, ids.length, hits, cases[index] as TestCase);
    for (const place of mainPlaces) {
      const { count: some, hits: found } = proposedBy(ids, candidates.columns[columns[place] as string], wanted);
      note(place, some, found, cases[index] as TestCase);
    }
    proposed[index] = fallbackPlaces.length > 0 ? new Set(ids) : undefined;
  }
  for await (const { index, candidates, error } of pipeline.scoreCandidates(requests, { ...many, columns })) {
    if (error !== undefined) throw error;
    const wanted = right[index] as ReadonlySet<string>;
    const { ids } = candidates;
    let hits = 0;
    let added = 0;
    let addedHits = 0;
    for (const id of ids) {
      if (wanted.has(id)) hits++;
      if (proposed[index]?.has(id) !== false) continue;
      added++;
      if (wanted.has(id)) addedHits++;
    }
    note(sources.length, added, addedHits, cases[index] as TestCase);
    note(sources.length + 1, ids.length, hits, cases[index] as TestCase);
    for (const place of fallbackPlaces) {
      const { count: some, hits: found } = proposedBy(ids, candidates.columns[columns[place] as string], wanted);
      note(place, some, found, cases[index] as TestCase);
    }
    proposed[index] = undefined;
  }
  for await (const { index, answer, error } of pipeline.recommendMany(requests, many)) {
    if (error !== undefined) throw error;
    const wanted = right[index] as ReadonlySet<string>;
    note(sources.length + 2, answer.items.length, answer.items.filter(({ id }) => wanted.has(id)).length, cases[index] as TestCase);
  }
  return stages.map((stage, place) => {
    const sum = sums[place] as { candidates: number; recall: number };
    return { stage, candidates: sum.candidates / count, recall: sum.recall / count, cases: count };
  });
}

function proposedBy(
  ids: readonly string[],
  ranks: Float32Array | undefined,
  wanted: ReadonlySet<string>,
): { readonly count: number; readonly hits: number } {
  let count = 0;
  let hits = 0;
  for (const [place, id] of ids.entries()) {
    if (!((ranks?.[place] ?? Number.NaN) >= 1)) continue;
    count++;
    if (wanted.has(id)) hits++;
  }
  return { count, hits };
}
