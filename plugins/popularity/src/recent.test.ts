import type { CandidateSource, Explainer, Scorer } from '@recloom/plugin-api';
import { historyFrom, openComponent, requestBatch, requestView, type TestUserEvent, tableFrom } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { recent } from './index.js';

type Recent = CandidateSource & Scorer & Explainer;
const day = 86_400_000;

function shopOf(events: readonly TestUserEvent[], items: number) {
  const history = historyFrom(events, { itemCount: items });
  return {
    items: tableFrom(Array.from({ length: items }, (_, row) => `i${row}`)),
    users: tableFrom(Array.from({ length: history.userCount }, (_, row) => `u${row}`)),
    history,
  };
}

describe('recent', () => {
  // Ages before the last event (day 100): item 0: 0; item 1: 5 and 5 (one user); item 2: 10.
  const shop = shopOf(
    [
      { user: 0, item: 0, timeMs: 100 * day },
      { user: 1, item: 1, timeMs: 95 * day },
      { user: 1, item: 1, timeMs: 95 * day },
      { user: 2, item: 2, timeMs: 90 * day },
    ],
    3,
  );

  it('adds exp(-age / decayDays) over events', async () => {
    const source = await openComponent<Recent>(recent, { shop, options: { decayDays: 5 } });
    const proposals = await source.propose(requestBatch([{}]), 10);
    expect([...proposals.rows]).toEqual([0, 1, 2]);
    const sums = [1, 2 * Math.exp(-1), Math.exp(-2)];
    const total = sums.reduce((sum, value) => sum + value, 0);
    proposals.scores.forEach((score, place) => expect(score).toBeCloseTo((sums[place] as number) / total, 6));
  });

  it('counts a user once by the newest event when told', async () => {
    const source = await openComponent<Recent>(recent, { shop, options: { decayDays: 5, count: 'users' } });
    const scores = new Float32Array(3);
    await source.score(
      {
        requests: [requestView()],
        count: 3,
        offsets: Int32Array.of(0, 3),
        rows: Int32Array.of(0, 1, 2),
        sources: [],
        column: () => undefined,
      },
      scores,
      new AbortController().signal,
    );
    expect((scores[1] as number) / (scores[0] as number)).toBeCloseTo(Math.exp(-1), 6);
  });

  it('keeps its order on data far in the past and says so in a reason', async () => {
    const old = shopOf(
      [
        { user: 0, item: 0, timeMs: 1 * day },
        { user: 1, item: 1, timeMs: 2 * day },
      ],
      2,
    );
    const source = await openComponent<Recent>(recent, { shop: old, options: { decayDays: 1 } });
    const request = requestView({ asOfMs: 20_000 * day });
    const proposals = await source.propose(requestBatch([request]), 10);
    expect([...proposals.rows]).toEqual([1, 0]);
    expect(proposals.scores[0]).toBeGreaterThan(0.7);
    expect(source.reasons(request, Int32Array.of(1))[0]).toMatchObject({ code: 'popular-now', text: 'Popular right now' });
  });

  it('halves what an event counts in 0.69 decayDays', async () => {
    // A half-life of 4 days is a decay of 4 / ln 2. Users 0 to 2 buy item 0 at the end, 3 to 5 item 1 one half-life before it.
    const events = Array.from({ length: 6 }, (_, user) => ({ user, item: user < 3 ? 0 : 1, timeMs: (user < 3 ? 100 : 96) * day }));
    const source = await openComponent<Recent>(recent, {
      shop: shopOf(events, 2),
      options: { decayDays: 4 / Math.log(2) },
    });
    const { rows, scores } = await source.propose(requestBatch([{}]), 10);
    expect([...rows]).toEqual([0, 1]);
    expect(scores[0]).toBeCloseTo(2 / 3, 6);
    expect(scores[1]).toBeCloseTo(1 / 3, 6);
  });

  it('answers from nothing, from one item, and from events that are ages apart', async () => {
    const empty = await openComponent<Recent>(recent, { shop: shopOf([], 2) });
    expect((await empty.propose(requestBatch([{}]), 5)).rows.length).toBe(0);
    const one = await openComponent<Recent>(recent, { shop: shopOf([{ user: 0, item: 0, timeMs: 0 }], 1) });
    expect([...(await one.propose(requestBatch([{}]), 5)).rows]).toEqual([0]);
    // 300 years apart: the old event underflows to nothing and is no proposal, the new one still is.
    const far = shopOf(
      [
        { user: 0, item: 0, timeMs: 0 },
        { user: 0, item: 1, timeMs: 110_000 * day },
      ],
      2,
    );
    const source = await openComponent<Recent>(recent, { shop: far });
    const proposals = await source.propose(requestBatch([{}]), 5);
    expect([...proposals.rows]).toEqual([1]);
    expect(proposals.scores[0]).toBe(1);
  });
});
