import type { Scorer } from '@recloom/plugin-api';
import { candidateBatch, openComponent } from '@recloom/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { weighted } from './index.js';

async function score(options: object, parts: Parameters<typeof candidateBatch>[0]): Promise<number[]> {
  const scorer = await openComponent<Scorer>(weighted, { options });
  const batch = candidateBatch(parts);
  const out = new Float32Array(batch.count).fill(Number.NaN);
  await scorer.score(batch, out, new AbortController().signal);
  return [...out];
}

const close = (values: readonly number[]) => values.map((value) => expect.closeTo(value, 5));

describe('weighted', () => {
  const rows = [[1, 2, 3, 4]];

  it('minmax: onto [0, 1], missing counts as the lowest; by hand', async () => {
    // words 2, 6, 4, – → 0, 1, 1/2, 0; meaning –, 10, 30, 20 → 0, 0, 1, 1/2; weights 3 : 1.
    const found = await score({ weights: { words: 3 } }, { rows, sources: { words: [2, 6, 4, null], meaning: [null, 10, 30, 20] } });
    expect(found).toEqual(close([0, 3 / 4, (3 * 0.5 + 1) / 4, 0.5 / 4]));
  });

  it('zscore: by the population deviation, missing as the smallest; by hand', async () => {
    // 1, 3, 5: mean 3, variance 8/3; z = −1.224745, 0, 1.224745; the missing one takes −1.224745.
    const found = await score({ normalise: 'zscore' }, { rows, sources: { words: [1, 3, 5, null] } });
    expect(found).toEqual(close([-1.224745, 0, 1.224745, -1.224745]));
  });

  it('rank: the share that is not better, equals alike, missing 0; by hand', async () => {
    // 7, 7, 9, – : 7 is not beaten by 2 of 3, 9 by none.
    const found = await score({ normalise: 'rank' }, { rows, sources: { words: [7, 7, 9, null] } });
    expect(found).toEqual(close([2 / 3, 2 / 3, 1, 0]));
  });

  it('equal scores say only that they were proposed', async () => {
    const sources = { words: [5, 5, null, 5] };
    expect(await score({}, { rows, sources })).toEqual([1, 1, 0, 1]);
    expect(await score({ normalise: 'rank' }, { rows, sources })).toEqual([1, 1, 0, 1]);
    expect(await score({ normalise: 'zscore' }, { rows, sources })).toEqual([0, 0, 0, 0]);
  });

  it('normalises within each request', async () => {
    expect(
      await score(
        {},
        {
          rows: [
            [1, 2],
            [1, 2, 3],
          ],
          sources: { words: [10, 20, 1, 2, 3] },
        },
      ),
    ).toEqual([0, 1, 0, 0.5, 1]);
  });

  it('is 0 where nothing counts', async () => {
    expect(await score({ weights: { words: 0 } }, { rows, sources: { words: [1, 2, 3, 4] } })).toEqual([0, 0, 0, 0]);
    expect(await score({}, { rows, sources: { words: [null, null, null, null] } })).toEqual([0, 0, 0, 0]);
    expect(await score({}, { rows })).toEqual([0, 0, 0, 0]);
  });

  it.each(['minmax', 'zscore', 'rank'])('%s: scaling and shifting a source changes nothing', async (normalise) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: -500, max: 500 }),
        async (scores, factor, shift) => {
          const list = [scores.map((_, index) => index)];
          const before = await score({ normalise }, { rows: list, sources: { words: scores } });
          const after = await score({ normalise }, { rows: list, sources: { words: scores.map((value) => value * factor + shift) } });
          before.forEach((value, index) => expect(after[index]).toBeCloseTo(value, 4));
        },
      ),
      { numRuns: 40 },
    );
  });
});
