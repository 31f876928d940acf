import type { CandidateSource, Explainer, Scorer } from '@recloom/plugin-api';
import { candidateBatch, historyFrom, openComponent, requestBatch, requestView, type TestUserEvent, tableFrom } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { trending } from './index.js';

type Trending = CandidateSource & Scorer & Explainer;
const day = 86_400_000;

/** `recentCounts[i]` and `beforeCounts[i]` users of item i, 1 and 10 days before the last event, which belongs to item 0. */
function shopOf(recentCounts: readonly number[], beforeCounts: readonly number[]) {
  const events: TestUserEvent[] = [];
  let user = 0;
  recentCounts.forEach((count, item) => {
    for (let n = 0; n < count; n++) events.push({ user: user++, item, timeMs: (item === 0 && n === 0 ? 100 : 99) * day });
  });
  beforeCounts.forEach((count, item) => {
    for (let n = 0; n < count; n++) events.push({ user: user++, item, timeMs: 90 * day });
  });
  return {
    items: tableFrom(recentCounts.map((_, row) => `i${row}`)),
    users: tableFrom(Array.from({ length: user }, (_, row) => `u${row}`)),
    history: historyFrom(events, { itemCount: recentCounts.length }),
  };
}

async function scoresOf(component: Trending, items: number): Promise<number[]> {
  const out = new Float32Array(items).fill(Number.NaN);
  await component.score(candidateBatch({ rows: [Array.from({ length: items }, (_, row) => row)] }), out, new AbortController().signal);
  return [...out];
}

describe('trending', () => {
  it('scores the smoothed log ratio of what happened to what the growth of the shop lets expect', async () => {
    // 24 recent, 12 before: the shop doubled. Expected: 8, 8, 8, 0. Smoothing 2.
    const component = await openComponent<Trending>(trending, {
      shop: shopOf([8, 12, 1, 3], [4, 4, 4, 0]),
      options: { smoothing: 2, minimumSupport: 3 },
    });
    const scores = await scoresOf(component, 4);
    [Math.log(10 / 10), Math.log(14 / 10), Math.log(3 / 10), Math.log(5 / 2)].forEach((expected, item) =>
      expect(scores[item]).toBeCloseTo(expected, 6),
    );
    const proposals = await component.propose(requestBatch([{}]), 10);
    expect([...proposals.rows]).toEqual([3, 1]);
    expect(component.reasons(requestView(), proposals.rows)[0]?.text).toBe('Trending this week');
    expect(component.reasons(requestView(), Int32Array.of(2))[0]).toBeUndefined();
  });

  it('does not call an item trending below its support', async () => {
    const component = await openComponent<Trending>(trending, {
      shop: shopOf([8, 12, 1, 3], [4, 4, 4, 0]),
      options: { smoothing: 2, minimumSupport: 4 },
    });
    expect((await scoresOf(component, 4))[3]).toBe(0);
    expect([...(await component.propose(requestBatch([{}]), 10)).rows]).toEqual([1]);
  });

  it('orders by recent counts when there is nothing to compare with', async () => {
    const component = await openComponent<Trending>(trending, { shop: shopOf([6, 9], [0, 0]), options: { windowDays: 3 } });
    expect([...(await component.propose(requestBatch([{}]), 10)).rows]).toEqual([1, 0]);
    expect(component.reasons(requestView(), Int32Array.of(0))[0]?.text).toBe('Trending now');
  });
});
