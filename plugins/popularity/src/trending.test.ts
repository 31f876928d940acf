import type { CandidateSource, Explainer, Scorer } from '@recloom/plugin-api';
import { candidateBatch, historyFrom, openComponent, requestBatch, requestView, type TestUserEvent, tableFrom } from '@recloom/testing';
import fc from 'fast-check';
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

  describe('counts people of a week against people of a week', () => {
    /** `people[item][week]` = names of those who take the item in that week, 0 = the recent one; a week lies 7 days before the next. */
    function weekly(people: readonly (readonly (readonly string[])[])[], weekDays = 7) {
      const names = [...new Set(people.flat(2))];
      const events: TestUserEvent[] = people.flatMap((weeks, item) =>
        weeks.flatMap((week, age) => week.map((name) => ({ user: names.indexOf(name), item, timeMs: (200 - age * weekDays) * day }))),
      );
      return {
        items: tableFrom(people.map((_, row) => `i${row}`)),
        users: tableFrom(names),
        history: historyFrom(events, { itemCount: people.length }),
      };
    }
    const named = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, index) => `${prefix}${index}`);
    const repeated = <T>(value: T, times: number): T[] => Array.from({ length: times }, () => value);

    it('the same people every week are neutral, more of them rise, fewer fall', async () => {
      const component = await openComponent<Trending>(trending, {
        shop: weekly([
          // The same eight every week.
          repeated(named('same', 8), 5),
          // Eight others every week.
          Array.from({ length: 5 }, (_, week) => named(`new${week}-`, 8)),
          // Two a week, the same two, now ten.
          [named('rise', 10), ...repeated(named('rise', 2), 4)],
          // Ten a week, the same ten, now two.
          [named('fall', 2), ...repeated(named('fall', 10), 4)],
        ]),
        options: { smoothing: 2, minimumSupport: 3 },
      });
      // The shop: 8 + 8 + 10 + 2 = 28 people in the recent week and 8 + 8 + 2 + 10 = 28 in each of the four before.
      // Expected: 32 / 4 = 8, 32 / 4 = 8, 8 / 4 = 2, 40 / 4 = 10.
      const scores = await scoresOf(component, 4);
      [Math.log(10 / 10), Math.log(10 / 10), Math.log(12 / 4), Math.log(4 / 12)].forEach((expected, item) =>
        expect(scores[item]).toBeCloseTo(expected, 6),
      );
      expect([...(await component.propose(requestBatch([{}]), 10)).rows]).toEqual([2]);
    });

    it('a window of a week and a half ends with a whole week that counts for a half', async () => {
      // Windows of 7 and 10.5 days: ages 7 to 14, and half of ages 10.5 to 17.5, which holds the week that is 14 days old.
      const component = await openComponent<Trending>(trending, {
        shop: weekly([
          [named('a', 6), named('a', 6), named('a', 6)],
          [named('b', 3), named('b', 1), named('b', 4)],
        ]),
        options: { smoothing: 1, minimumSupport: 0, beforeDays: 10.5 },
      });
      // Before: 6 + 3 = 9 and 1 + 2 = 3; the shop: 9 recent, 7 + 10 / 2 = 12 before. Expected: 9 * 9 / 12 = 6.75, 3 * 9 / 12 = 2.25.
      const scores = await scoresOf(component, 2);
      expect(scores[0]).toBeCloseTo(Math.log(7 / 7.75), 6);
      expect(scores[1]).toBeCloseTo(Math.log(4 / 3.25), 6);
    });

    it('a recent window longer than the one before is counted in stretches of the shorter one', async () => {
      const component = await openComponent<Trending>(trending, {
        shop: weekly([
          // Taken by the same people in every week of three: six of two recent weeks, three of the one before.
          repeated(named('a', 3), 3),
          // Others each week.
          Array.from({ length: 3 }, (_, week) => named(`b${week}-`, 3)),
        ]),
        options: { smoothing: 1, minimumSupport: 6, windowDays: 14, beforeDays: 7 },
      });
      expect(await scoresOf(component, 2)).toEqual([0, 0]);
    });

    it('holds for any shop whose weeks are alike, with the same people or with others each week', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.nat(4), fc.nat(9)), { minLength: 1, maxLength: 60 }),
          fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
          fc.integer({ min: 1, max: 6 }),
          async (pairs, returning, weeksBefore) => {
            const people = Array.from({ length: 5 }, (_, item) =>
              Array.from({ length: weeksBefore + 1 }, (_, week) => [
                ...new Set(
                  pairs.flatMap(([of, name]) => (of === item ? [`${item}-${name}${returning[item] === true ? '' : `-${week}`}`] : [])),
                ),
              ]),
            );
            const component = await openComponent<Trending>(trending, {
              shop: weekly(people),
              options: { beforeDays: 7 * weeksBefore, minimumSupport: 0 },
            });
            expect(await scoresOf(component, 5)).toEqual([0, 0, 0, 0, 0]);
            expect((await component.propose(requestBatch([{}]), 10)).rows).toHaveLength(0);
          },
        ),
        { numRuns: 40 },
      );
    });

    it('leaves events and weights as they are: each counts in both windows', async () => {
      const shop = weekly([
        [named('a', 2), named('a', 2), named('a', 2)],
        [named('b', 4), named('b', 1), named('b', 1)],
      ]);
      const component = await openComponent<Trending>(trending, { shop, options: { count: 'events', smoothing: 1, minimumSupport: 0 } });
      // Recent 2 and 4; before 4 and 2; the shop 6 and 6.
      const scores = await scoresOf(component, 2);
      expect(scores[0]).toBeCloseTo(Math.log(3 / 5), 6);
      expect(scores[1]).toBeCloseTo(Math.log(5 / 3), 6);
    });
  });
});
