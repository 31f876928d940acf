import type { Split, TestCase } from './splits/split.js';

/** Ranks the items of one case, best first; ids in `case.known` must not be in the list. */
export type Recommender = (cases: readonly TestCase[], k: number) => AsyncIterable<readonly string[]> | Iterable<readonly string[]>;

/**
 * Asks a recommender every case of a split, in order, and hands each list (at most `k` ids, best first) to `visit` as it
 * comes: no list is kept. `progress` is told the fraction of the cases done.
 *
 * @throws RangeError when the recommender answers fewer or more cases than it was asked
 */
export async function askCases(
  recommend: Recommender,
  { cases }: Pick<Split, 'cases'>,
  k: number,
  visit: (index: number, list: readonly string[]) => void,
  progress?: (fraction: number) => void,
): Promise<void> {
  let index = 0;
  for await (const list of recommend(cases, k)) {
    if (index < cases.length) visit(index, list.length > k ? list.slice(0, k) : list);
    index++;
    if (index % 64 === 0) progress?.(index / cases.length);
  }
  if (index !== cases.length) throw new RangeError(`the recommender answered ${index} of ${cases.length} cases`);
  progress?.(1);
}
