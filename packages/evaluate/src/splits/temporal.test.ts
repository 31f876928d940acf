import { datasetFromArrays } from '@recloom/core';
import { describe, expect, it } from 'vitest';
import { evaluateRecommender, popularityRecommender } from '../evaluate-pipeline.js';
import { temporalSplit } from './temporal.js';

const day = 86_400_000;
const start = Date.UTC(2024, 0, 1);

/** Worked out by hand: the cut is on day 10. */
const dataset = datasetFromArrays({
  events: [
    // Before the cut: a by u1 u2 u3 (twice by u1), b by u1 u2, c by u1 only.
    ...[
      ['u1', 'a', 1],
      ['u1', 'a', 2],
      ['u2', 'a', 3],
      ['u3', 'a', 4],
      ['u1', 'b', 5],
      ['u2', 'b', 6],
      ['u1', 'c', 7],
    ].map(event),
    // From the cut on: u1 takes a again (known) and b again; u2 takes c (too rare in training) and d (not in training);
    // u3 takes b twice (new, once); u4 comes only now.
    ...[
      ['u1', 'a', 10],
      ['u1', 'b', 11],
      ['u2', 'c', 11],
      ['u2', 'd', 12],
      ['u3', 'b', 13],
      ['u3', 'b', 14],
      ['u4', 'a', 15],
    ].map(event),
  ],
});

function event([user, item, onDay]: (string | number)[]): { user: string; item: string; timeMs: number } {
  return { user: user as string, item: item as string, timeMs: start + (onDay as number) * day };
}

describe('temporalSplit', () => {
  const split = temporalSplit(dataset, { cutMs: start + 10 * day, minimumItemUsers: 2, minimumUserItems: 1 });

  it('keeps what the protocol keeps', () => {
    expect(split.report).toEqual({
      trainUsers: 3,
      trainItems: 2,
      trainPairs: 5,
      testUsers: 1,
      testPairs: 1,
      droppedItems: 2,
      droppedUsers: 1,
      dropped: [
        { what: 'items', reason: 'fewer than 2 users in training', count: 2 },
        { what: 'users', reason: 'none of the kept items in training', count: 1 },
      ],
    });
    expect(split.cases).toEqual([{ user: 'u3', known: ['a'], relevant: ['b'] }]);
  });

  it('asks for purchases alone, of what was not bought before, and leaves views to history', () => {
    const shop = datasetFromArrays({
      events: (
        [
          // u1 bought a and looked at b and c; u2 bought b.
          ['u1', 'a', 1, 'purchase'],
          ['u1', 'b', 2, 'view'],
          ['u1', 'c', 3, 'view'],
          ['u2', 'b', 4, 'purchase'],
          ['u2', 'c', 5, 'view'],
          // From day 10 on u1 buys a again and b, and looks at c; u2 looks at a.
          ['u1', 'a', 10, 'purchase'],
          ['u1', 'b', 11, 'view'],
          ['u1', 'b', 12, 'purchase'],
          ['u1', 'c', 13, 'view'],
          ['u2', 'a', 14, 'view'],
        ] as const
      ).map(([user, item, onDay, type]) => ({ user, item, timeMs: start + onDay * day, type })),
    });
    const asked = temporalSplit(shop, { cutMs: start + 10 * day, relevantTypes: ['purchase'] });
    // b was looked at before, which is no purchase: it is an answer, and may be proposed.
    expect(asked.cases).toEqual([{ user: 'u1', known: ['a'], relevant: ['b'] }]);
    expect(asked.train.history.eventCount).toBe(5);
    // u1's c and u2's a were looked at alone.
    expect(asked.report.dropped).toEqual([{ what: 'pairs', reason: 'of other event types', count: 2 }]);
    const again = temporalSplit(shop, { cutMs: start + 10 * day, relevantTypes: ['purchase'], repeats: 'only' });
    expect(again.cases).toEqual([{ user: 'u1', known: [], relevant: ['a'] }]);
    const all = temporalSplit(shop, { cutMs: start + 10 * day });
    expect(all.cases).toEqual([{ user: 'u2', known: ['b', 'c'], relevant: ['a'] }]);
    const looked = temporalSplit(shop, { cutMs: start + 10 * day, relevantTypes: ['view', 'purchase'] });
    expect(looked.cases).toEqual(all.cases);
    // Nothing of this type after the cut.
    expect(() => temporalSplit(shop, { cutMs: start + 14 * day, relevantTypes: ['purchase'] })).toThrow(
      expect.objectContaining({ code: 'RECLOOM_DAT_SPLIT_NO_TEST', message: expect.stringContaining('1 pair (of other event types)') }),
    );
  });

  it('puts beside it what most people bought, where purchases are asked for', async () => {
    const events = (type: string, item: string, users: number, onDay: number) =>
      Array.from({ length: users }, (_, user) => ({ user: `u${user}`, item, timeMs: start + onDay * day, type }));
    const shop = datasetFromArrays({
      events: [
        ...events('view', 'a', 9, 1),
        ...events('purchase', 'b', 5, 2),
        ...events('purchase', 'c', 3, 3),
        ...events('purchase', 'd', 1, 12),
        ...events('purchase', 'b', 9, 12),
      ],
    });
    const first = async (split: ReturnType<typeof temporalSplit>): Promise<readonly string[]> => {
      for await (const list of popularityRecommender(split)(
        split.cases.map((testCase) => ({ ...testCase, known: [] })),
        3,
      ))
        return list;
      return [];
    };
    expect(await first(temporalSplit(shop, { cutMs: start + 10 * day, relevantTypes: ['purchase'] }))).toEqual(['b', 'c', 'a']);
    expect(await first(temporalSplit(shop, { cutMs: start + 10 * day }))).toEqual(['a', 'b', 'c']);
  });

  it('takes what people take again for answers when told', () => {
    const options = { cutMs: start + 10 * day, minimumItemUsers: 2, minimumUserItems: 1 };
    // u1 takes a and b again, u3 takes b for the first time; nothing is known, or nobody could propose it.
    expect(temporalSplit(dataset, { ...options, repeats: 'answers' }).cases).toEqual([
      { user: 'u1', known: [], relevant: ['a', 'b'] },
      { user: 'u3', known: [], relevant: ['b'] },
    ]);
    const only = temporalSplit(dataset, { ...options, repeats: 'only' });
    expect(only.cases).toEqual([{ user: 'u1', known: [], relevant: ['a', 'b'] }]);
    expect(only.report).toMatchObject({ testUsers: 1, testPairs: 2, trainPairs: 5 });
    expect(only.train.history.eventCount).toBe(split.train.history.eventCount);
  });

  it('leaves nothing of the test window in training', () => {
    expect(Math.max(...split.train.history.timesMs)).toBeLessThan(split.cutMs);
    expect(split.train.items.ids).toEqual(['a', 'b']);
    expect(split.train.users.ids).toEqual(['u1', 'u2', 'u3']);
    expect(split.train.lastEventMs).toBe(start + 6 * day);
  });

  it('drops users with too few kept items', () => {
    // Before day 8: u1 has a, b, c; u2 has a, b; u3 has a.
    const strict = temporalSplit(dataset, { cutMs: start + 8 * day, minimumItemUsers: 1, minimumUserItems: 2 });
    expect(strict.train.users.ids).toEqual(['u1', 'u2']);
    expect(strict.report).toMatchObject({ trainUsers: 2, trainItems: 3, trainPairs: 5, droppedUsers: 2 });
  });

  it('ends the test window where it is told', () => {
    expect(() => temporalSplit(dataset, { cutMs: start + 10 * day, untilMs: start + 12 * day, minimumItemUsers: 2 })).toThrow(
      expect.objectContaining({ code: 'RECLOOM_DAT_SPLIT_NO_TEST' }),
    );
  });

  it('refuses a cut with nothing before it', () => {
    expect(() => temporalSplit(dataset, { cutMs: start })).toThrow(expect.objectContaining({ code: 'RECLOOM_DAT_SPLIT_NO_TRAINING' }));
  });

  it('popularity leaves out what a user has and breaks ties by id', async () => {
    const recommend = popularityRecommender(split);
    expect([...(recommend(split.cases, 10) as Iterable<readonly string[]>)]).toEqual([['b']]);
    const report = await evaluateRecommender(recommend, split, { k: 10 });
    expect(report.ndcg.mean).toBe(1);
    expect(report.coverage).toBe(0.5);
  });
});
