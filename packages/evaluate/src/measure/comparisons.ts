import type { Comparison } from '../evaluation.js';
import { holmCorrection, pairedBootstrap, pairedRandomisationTest } from '../metrics/significance.js';
import { roundsFor } from './figures.js';

/** A pipeline's figures per user, in the same order of users for all. */
export interface PerUser {
  readonly name: string;
  readonly values: Readonly<Record<'ndcg' | 'recall', Float64Array>>;
}

const metrics = ['ndcg', 'recall'] as const;
const significanceLevel = 0.05;

/**
 * Every pipeline against the baseline, then every later pipeline against the first, for NDCG and recall: the difference with
 * its interval, and a p-value that is corrected over all of them (Holm). `pause` is awaited between two.
 */
export async function comparisonsOf(
  pipelines: readonly PerUser[],
  baseline: PerUser,
  pause: () => Promise<void>,
): Promise<readonly Comparison[]> {
  const [first, ...later] = pipelines;
  const pairs = [
    ...pipelines.map((challenger) => ({ challenger, against: baseline })),
    ...(first === undefined ? [] : later.map((challenger) => ({ challenger, against: first }))),
  ];
  const found: Omit<Comparison, 'adjustedPValue' | 'significant'>[] = [];
  for (const { challenger, against } of pairs) {
    for (const metric of metrics) {
      const ours = challenger.values[metric];
      const theirs = against.values[metric];
      const rounds = roundsFor(ours.length);
      let wins = 0;
      let losses = 0;
      for (let user = 0; user < ours.length; user++) {
        const difference = (ours[user] as number) - (theirs[user] as number);
        if (difference > 0) wins++;
        else if (difference < 0) losses++;
      }
      found.push({
        metric,
        baseline: against.name,
        challenger: challenger.name,
        difference: pairedBootstrap(ours, theirs, { rounds }),
        pValue: pairedRandomisationTest(ours, theirs),
        wins,
        losses,
        ties: ours.length - wins - losses,
      });
      await pause();
    }
  }
  const adjusted = holmCorrection(found.map(({ pValue }) => pValue));
  return found.map((comparison, index) => {
    const adjustedPValue = adjusted[index] as number;
    return { ...comparison, adjustedPValue, significant: adjustedPValue < significanceLevel };
  });
}
