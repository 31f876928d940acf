import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { CandidateSource } from '@recloom/plugin-api';
import { createTestHost, historyFrom, requestBatch, requestView, tableFrom } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { ials } from './index.js';

// Protocol Q2 on its validation part: MovieLens-100K, a random tenth of each user, NDCG@10 over the full catalogue without the
// training items. The data are lent for comparison and lie outside the repository.
const folder = resolve(import.meta.dirname, '../../../../shared/data/ml100k-random');

function readPairs(name: string): readonly (readonly [user: number, item: number])[] {
  const lines = gunzipSync(readFileSync(resolve(folder, `${name}.csv.gz`)))
    .toString('utf8')
    .trimEnd()
    .split('\n')
    .slice(1);
  return lines.map((line) => {
    const [user, item] = line.split(',').map(Number);
    return [(user as number) - 1, (item as number) - 1];
  });
}

const people = 943;
const items = 1682;

/** Mean NDCG@10 of people folded in from their training items. */
async function ndcgOf(options: Readonly<Record<string, unknown>>): Promise<number> {
  const train = readPairs('train');
  const history = historyFrom(
    train.map(([user, item]) => ({ user, item })),
    { itemCount: items },
  );
  const shop = {
    items: tableFrom(Array.from({ length: items }, (_, row) => `i${row}`)),
    users: tableFrom(Array.from({ length: people }, (_, row) => `u${row}`)),
    history,
  };
  const component = await createTestHost().open<CandidateSource & { dispose(): void }>(ials, {
    shop,
    options: { minimumItemUsers: 1, excludeHistory: true, ...options },
  });
  const listOf = (pairs: readonly (readonly [number, number])[]): number[][] => {
    const lists = Array.from({ length: people }, (): number[] => []);
    for (const [user, item] of pairs) lists[user]?.push(item);
    return lists;
  };
  const known = listOf(train);
  const relevant = listOf(readPairs('valid'));
  let total = 0;
  let cases = 0;
  for (let user = 0; user < people; user++) {
    const wanted = new Set(relevant[user]);
    if (wanted.size === 0) continue;
    // Nobody of the fit: people are folded in whether they were there or not.
    const request = requestView({ history: (known[user] as number[]).map((item) => ({ item })) });
    const { rows } = await component.propose(requestBatch([request]), 10);
    let gain = 0;
    let ideal = 0;
    for (let rank = 0; rank < 10; rank++) {
      if (rank < rows.length && wanted.has(rows[rank] as number)) gain += 1 / Math.log2(rank + 2);
      if (rank < wanted.size) ideal += 1 / Math.log2(rank + 2);
    }
    total += gain / ideal;
    cases++;
  }
  await component.dispose();
  return total / cases;
}

describe.skipIf(!existsSync(folder))(
  `ials on ${existsSync(folder) ? 'MovieLens-100K' : `MovieLens-100K (skipped: ${folder} is not there)`}`,
  () => {
    // Figures of others on these very files: implicit 0.7.3 f=64 alpha=1 reg=10 .2692; iALS by frequency in numpy (d=32, unobs=.3,
    // reg=.01, nu=1, 8 epochs) .2684, .2635, .2639, .2664, .2671 with seeds 0 to 4; popularity .1275; implicit's item-kNN .2094.
    // Ours over five seeds: .2675 to .2706, and .2630 to .2679.
    it('reaches what implicit reaches with the same objective', async () => {
      const figure = await ndcgOf({ factors: 64, alpha: 0, unobservedWeight: 1, lambda: 10, regularizationExponent: 0, epochs: 10 });
      expect(figure).toBeGreaterThan(0.264);
      expect(figure).toBeLessThan(0.28);
    });

    it('reaches what the reference reaches with regularisation by frequency', async () => {
      const figure = await ndcgOf({ factors: 32, epochs: 8 });
      expect(figure).toBeGreaterThan(0.26);
      expect(figure).toBeLessThan(0.28);
    });
  },
);
