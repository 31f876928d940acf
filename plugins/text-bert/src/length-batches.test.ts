import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planRuns } from './length-batches.js';

describe('runs', () => {
  it('groups equal lengths within the token budget', () => {
    expect(planRuns([3, 5, 3, 0, 3, 5], 6, false).map((run) => [...run])).toEqual([[0, 2], [4], [1], [5]]);
    expect(planRuns([3, 5, 3], 100, true).map((run) => [...run])).toEqual([[0], [2], [1]]);
    expect(planRuns([], 6, false)).toEqual([]);
  });
  it('places each text with tokens exactly once, with equals only, and within the budget unless it is alone', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 9 })), fc.integer({ min: 1, max: 30 }), (lengths, budget) => {
        const runs = planRuns(lengths, budget, false);
        for (const run of runs) {
          const tokens = Array.from(run, (index) => lengths[index] ?? 0);
          expect(new Set(tokens).size).toBe(1);
          if (run.length > 1) expect(tokens.reduce((sum, length) => sum + length, 0)).toBeLessThanOrEqual(budget);
        }
        const placed = runs.flatMap((run) => [...run]).sort((left, right) => left - right);
        expect(placed).toEqual([...lengths.keys()].filter((index) => lengths[index] !== 0));
      }),
    );
  });
});
