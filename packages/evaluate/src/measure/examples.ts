import type { Attributes, Pipeline } from '@recloom/core';
import { caseRequests, type EvaluateOptions } from '../evaluate-pipeline.js';
import type { ExampleCase, ExampleItem } from '../evaluation.js';
import type { Split, TestCase } from '../splits/split.js';

/** A case chosen as an example. */
export interface ChosenCase {
  readonly index: number;
  readonly why: 'typical' | 'best' | 'missed';
}

const longestHistory = 12;
const longestList = 10;

/**
 * Chooses up to `count` cases by their NDCG: two near the median of those with a hit, the two best, and two without a hit
 * whose histories are neither the shortest nor the longest. The same figures give the same cases.
 */
export function chooseExamples(ndcg: ArrayLike<number>, split: Split, count: number): readonly ChosenCase[] {
  const order = Array.from({ length: split.cases.length }, (_, index) => index);
  const hit = order
    .filter((index) => (ndcg[index] as number) > 0)
    .sort((left, right) => (ndcg[right] as number) - (ndcg[left] as number) || left - right);
  const missed = order
    .filter((index) => !((ndcg[index] as number) > 0))
    .sort((left, right) => (split.cases[left] as TestCase).known.length - (split.cases[right] as TestCase).known.length || left - right);
  const middle = Math.floor(hit.length / 2);
  const wanted: readonly (readonly [number | undefined, ChosenCase['why']])[] = [
    [hit[middle], 'typical'],
    [hit[0], 'best'],
    [missed[Math.floor(missed.length / 2)], 'missed'],
    [hit[middle - 1], 'typical'],
    [hit[1], 'best'],
    [missed[Math.floor((3 * missed.length) / 4)], 'missed'],
  ];
  const seen = new Set<number>();
  const chosen: ChosenCase[] = [];
  for (const [index, why] of wanted) {
    if (index === undefined || seen.has(index) || chosen.length === count) continue;
    seen.add(index);
    chosen.push({ index, why });
  }
  const shown: readonly ChosenCase['why'][] = ['typical', 'best', 'missed'];
  return chosen.sort((left, right) => shown.indexOf(left.why) - shown.indexOf(right.why));
}

/** What was asked and taken in the chosen cases; `lists` are to be added. */
export function exampleCases(
  chosen: readonly ChosenCase[],
  split: Split,
  titleOf: (id: string) => string | undefined,
): readonly Omit<ExampleCase, 'lists'>[] {
  const named = (id: string): ExampleItem => {
    const title = titleOf(id);
    return title === undefined ? { id } : { id, title };
  };
  return chosen.map(({ index, why }) => {
    const testCase = split.cases[index] as TestCase;
    return {
      user: testCase.user,
      why,
      history: newestOf(split, testCase).map(named),
      took: testCase.relevant.map(named),
    };
  });
}

/** Different items of the user's history, newest first. */
function newestOf({ train }: Split, testCase: TestCase): readonly string[] {
  const newest = new Set<string>();
  const { session } = testCase;
  if (session !== undefined) {
    for (let place = session.length - 1; place >= 0 && newest.size < longestHistory; place--) newest.add(session[place]?.item as string);
    return [...newest];
  }
  const { history } = train;
  const row = train.users.rowOf(testCase.user);
  if (row < 0) return [];
  for (
    let place = (history.offsets[row + 1] as number) - 1;
    place >= (history.offsets[row] as number) && newest.size < longestHistory;
    place--
  )
    newest.add(train.items.idOf(history.items[place] as number));
  return [...newest];
}

/** What a pipeline proposes in the chosen cases, and why: the beginning of the lists that were measured. */
export async function exampleLists(
  pipeline: Pipeline<Attributes>,
  split: Split,
  chosen: readonly ChosenCase[],
  k: number,
  options: Pick<EvaluateOptions, 'surface' | 'purposes' | 'signal'>,
): Promise<readonly ExampleCase['lists'][number]['items'][]> {
  const cases = chosen.map(({ index }) => split.cases[index] as TestCase);
  const requests = [...caseRequests(pipeline, split, cases, k, options)].map((request) => ({ ...request, explain: true }));
  const lists: ExampleCase['lists'][number]['items'][] = [];
  for await (const { index, answer, error } of pipeline.recommendMany(requests, {
    batch: requests.length,
    unlimited: true,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  })) {
    if (error !== undefined) throw error;
    const right = new Set(cases[index]?.relevant);
    lists[index] = answer.items.slice(0, longestList).map(({ id, reason }) => {
      const title = titleIn(pipeline, id);
      return { id, ...(title === undefined ? {} : { title }), hit: right.has(id), ...(reason === undefined ? {} : { reason }) };
    });
  }
  return lists;
}

/** The title of an item, or undefined when it has none but its id. */
export function titleIn(pipeline: Pipeline<Attributes>, id: string): string | undefined {
  const title = pipeline.title(id);
  return title === id ? undefined : title;
}
