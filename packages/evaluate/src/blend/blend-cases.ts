import type { Attributes, Dataset, Pipeline, ScoredCandidates } from '@recloom/core';
import { createRandomStream, deriveSeed } from '@recloom/plugin-api';
import { caseRequests } from '../evaluate-pipeline.js';
import type { Split, TestCase } from '../splits/split.js';
import { type BlendNormalisation, probeColumn } from './blend-config.js';

/** Cases of a split with the normalised scores of their candidates: what weights are learned on. */
export interface BlendCases {
  /** Number of cases. */
  readonly count: number;
  /** Candidates of case `c`: `[offsets[c], offsets[c + 1])`, ascending by item row. */
  readonly offsets: Int32Array;
  /** 1 where the candidate is a right answer. */
  readonly relevant: Uint8Array;
  /** By way to normalise, by column: a number per candidate. */
  readonly scores: ReadonlyMap<BlendNormalisation, readonly Float32Array[]>;
  /** NDCG's denominator per case, which counts right answers that are no candidate too. */
  readonly ideals: Float64Array;
  /** Distinct items in the history of each case. */
  readonly historySizes: Int32Array;
}

/** What a pipeline is asked about a case, before anything is blended. */
export interface AskOptions {
  readonly surface: string;
  readonly columns: readonly string[];
  /** Ways to normalise that the pipeline has a probe for. */
  readonly ways: readonly BlendNormalisation[];
  readonly purposes: readonly string[];
  readonly batch: number;
  readonly signal: AbortSignal;
  readonly progress: (fraction: number) => void;
}

/** A case with the columns of all its candidates. */
interface AnsweredCase {
  readonly testCase: TestCase;
  readonly candidates: ScoredCandidates;
  /** 1 where the candidate is a right answer; a place per candidate. */
  readonly relevant: Uint8Array;
}

/** At most `maximum` cases of a split, drawn by the seed, in the order of the split. */
export function sampleCases(cases: readonly TestCase[], maximum: number, seed: number): readonly TestCase[] {
  if (cases.length <= maximum) return cases;
  const random = createRandomStream(deriveSeed(seed, 'blend cases'));
  const places = Int32Array.from({ length: cases.length }, (_, place) => place);
  for (let taken = 0; taken < maximum; taken++) {
    const other = taken + random.integer(places.length - taken);
    const place = places[other] as number;
    places[other] = places[taken] as number;
    places[taken] = place;
  }
  return Array.from(places.subarray(0, maximum).sort(), (place) => cases[place] as TestCase);
}

/** Asks for every case; the first error of a request ends it, since a figure with holes would be no figure. */
export async function* askForColumns(
  pipeline: Pipeline<Attributes>,
  split: Split,
  cases: readonly TestCase[],
  wanted: readonly string[],
  options: AskOptions,
): AsyncGenerator<AnsweredCase, void, undefined> {
  const requests = caseRequests(pipeline, split, cases, 1, { surface: options.surface, purposes: options.purposes });
  const stream = pipeline.scoreCandidates(requests, { columns: wanted, batch: options.batch, unlimited: true, signal: options.signal });
  for await (const { index, candidates, error } of stream) {
    if (error !== undefined) throw error;
    const testCase = cases[index] as TestCase;
    const right = new Set(testCase.relevant);
    yield { testCase, candidates, relevant: Uint8Array.from(candidates.ids, (id) => (right.has(id) ? 1 : 0)) };
    if (index % 32 === 31) options.progress((index + 1) / cases.length);
  }
  options.progress(1);
}

/**
 * Collects the columns of the cases. Of each case it keeps the right answers, and what is among the best `perColumn` of any
 * column: an item that no column ranks so high cannot be told from the rest by any weights that are worth having. What is
 * learned is measured on all candidates afterwards.
 */
export async function collectCases(
  pipeline: Pipeline<Attributes>,
  split: Split,
  cases: readonly TestCase[],
  k: number,
  perColumn: number,
  options: AskOptions,
): Promise<BlendCases> {
  const { columns, ways } = options;
  const wanted = ways.flatMap((normalisation) => columns.map((name) => probeColumn(name, normalisation)));
  const offsets = new Int32Array(cases.length + 1);
  const relevant: Uint8Array[] = [];
  const parts = wanted.map((): Float32Array[] => []);
  const ideals = new Float64Array(cases.length);
  const historySizes = new Int32Array(cases.length);
  let index = 0;
  for await (const answered of askForColumns(pipeline, split, cases, wanted, options)) {
    const { candidates, testCase } = answered;
    // Every normalisation keeps the order of a column, so the first speaks for all.
    const places = worthKeeping(
      columns.map((_, column) => candidates.columns[wanted[column] as string] as Float32Array),
      answered.relevant,
      perColumn,
    ).sort((left, right) => (candidates.rows[left] as number) - (candidates.rows[right] as number));
    const flags = new Uint8Array(places.length);
    for (let index = 0; index < places.length; index++) flags[index] = answered.relevant[places[index] as number] as number;
    relevant.push(flags);
    for (const [which, name] of wanted.entries()) {
      const column = candidates.columns[name] as Float32Array;
      const kept = new Float32Array(places.length);
      for (let index = 0; index < places.length; index++) kept[index] = column[places[index] as number] as number;
      (parts[which] as Float32Array[]).push(kept);
    }
    offsets[index + 1] = (offsets[index] as number) + places.length;
    ideals[index] = idealOf(testCase.relevant.length, k);
    historySizes[index] = historySizeOf(split.train, testCase);
    index++;
  }
  const total = offsets[index] as number;
  const join = (arrays: readonly Float32Array[]): Float32Array => {
    const whole = new Float32Array(total);
    for (const [place, array] of arrays.entries()) whole.set(array, offsets[place]);
    return whole;
  };
  const flags = new Uint8Array(total);
  for (const [place, array] of relevant.entries()) flags.set(array, offsets[place]);
  const scores = new Map<BlendNormalisation, readonly Float32Array[]>();
  for (const normalisation of ways) scores.set(normalisation, parts.splice(0, columns.length).map(join));
  return { count: index, offsets, relevant: flags, scores, ideals, historySizes };
}

/** Distinct items of what a case's history holds, as `segments` of `blend/scores` counts them. */
export function historySizeOf({ users, history }: Dataset, { user, session }: TestCase): number {
  if (session !== undefined) return new Set(session.map(({ item }) => item)).size;
  const row = users.rowOf(user);
  return row < 0 ? 0 : new Set(history.items.subarray(history.offsets[row], history.offsets[row + 1])).size;
}

/** Σ 1 / log2(place + 1) over the first min(k, number of right answers) places. */
export function idealOf(relevantCount: number, k: number): number {
  let ideal = 0;
  for (let place = 1; place <= Math.min(k, relevantCount); place++) ideal += 1 / Math.log2(place + 1);
  return ideal;
}

/** Places of the right answers and of the best `perColumn` of each column (more where they are equal to the last of them). */
function worthKeeping(columns: readonly Float32Array[], relevant: Uint8Array, perColumn: number): Int32Array {
  const kept = relevant.slice();
  for (const column of columns) {
    if (column.length <= perColumn) {
      kept.fill(1);
      break;
    }
    const ascending = column.slice().sort();
    const least = ascending[column.length - perColumn] as number;
    // Equal to the lowest of all: the column says nothing there, and would keep everything.
    const silent = ascending[0] as number;
    for (let place = 0; place < column.length; place++) {
      const score = column[place] as number;
      if (score >= least && score > silent) kept[place] = 1;
    }
  }
  let count = 0;
  for (const flag of kept) count += flag;
  const places = new Int32Array(count);
  let next = 0;
  for (let place = 0; place < kept.length; place++) if (kept[place] === 1) places[next++] = place;
  return places;
}
