import type { Scorer } from '@recloom/plugin-api';
import { candidateBatch, openComponent } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { rrf } from './index.js';

async function score(options: object, parts: Parameters<typeof candidateBatch>[0]): Promise<number[]> {
  const scorer = await openComponent<Scorer>(rrf, { options });
  const batch = candidateBatch(parts);
  const out = new Float32Array(batch.count).fill(Number.NaN);
  await scorer.score(batch, out, new AbortController().signal);
  return [...out];
}

const ranks = (...list: number[]) => ({ scores: list.map((rank) => (rank === 0 ? null : 1 / rank)), ranks: list });

describe('rrf', () => {
  it('adds 1 / (60 + rank), by hand', async () => {
    // Candidate 1: third and first: 1/63 + 1/61. Candidate 2: second only: 1/62. Candidate 3: first and second: 1/61 + 1/62. Candidate 4: nowhere.
    const found = await score({}, { rows: [[10, 11, 12, 13]], sources: { words: ranks(3, 2, 1, 0), meaning: ranks(1, 0, 2, 0) } });
    const expected = [1 / 63 + 1 / 61, 1 / 62, 1 / 61 + 1 / 62, 0];
    found.forEach((value, index) => expect(value).toBeCloseTo(expected[index] ?? Number.NaN, 8));
    expect(found[2]).toBeGreaterThan(found[0] ?? 0);
  });

  it('weighs sources by name, and takes another k', async () => {
    const found = await score(
      { k: 1, weights: { words: 3, meaning: 0 } },
      { rows: [[1, 2]], sources: { words: ranks(1, 2), meaning: ranks(2, 1), other: ranks(0, 4) } },
    );
    expect(found).toEqual([3 / 2, expect.closeTo(3 / 3 + 1 / 5, 6)]);
  });

  it('knows nothing of other requests', async () => {
    const found = await score({ k: 1 }, { rows: [[1], [1, 2]], sources: { words: ranks(1, 2, 1) } });
    expect(found).toEqual([1 / 2, expect.closeTo(1 / 3, 6), 1 / 2]);
  });

  it.each([{ k: 0 }, { weights: { words: -1 } }, { weight: {} }])('refuses %j', async (options) => {
    await expect(openComponent(rrf, { options })).rejects.toMatchObject({ code: 'RECLOOM_CFG_TYPE' });
  });
});
