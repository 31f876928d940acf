import { datasetFromArrays } from '@recloom/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { coldItems } from './cold-items.js';
import { kFold, leaveLastOut, randomSplit, userHoldout } from './per-user.js';
import { predefinedSplit } from './predefined.js';
import type { Split } from './split.js';

const day = 86_400_000;
const start = Date.UTC(2024, 0, 1);
type Row = readonly [user: string, item: string, day: number];
const events = (rows: readonly Row[]) => rows.map(([user, item, onDay]) => ({ user, item, timeMs: start + onDay * day }));
const dataset = datasetFromArrays({
  items: ['a', 'b', 'c', 'd', 'e'].map((id) => ({ id, title: `the ${id}` })),
  // u1: a b c d, with a again at the end; u2: b c a; u3: e only.
  events: events([
    ['u1', 'a', 1],
    ['u1', 'b', 2],
    ['u1', 'c', 3],
    ['u1', 'd', 4],
    ['u1', 'a', 5],
    ['u2', 'b', 1],
    ['u2', 'c', 2],
    ['u2', 'a', 3],
    ['u2', 'a', 6],
    ['u3', 'e', 2],
  ]),
});

const trainPairs = ({ train }: Split): string[] => {
  const pairs: string[] = [];
  for (let user = 0; user < train.history.userCount; user++) {
    for (const row of new Set(train.history.items.subarray(train.history.offsets[user], train.history.offsets[user + 1]))) {
      pairs.push(`${train.users.idOf(user)} ${train.items.idOf(row)}`);
    }
  }
  return pairs;
};
const testPairs = ({ cases }: Split): string[] => cases.flatMap(({ user, relevant }) => relevant.map((item) => `${user} ${item}`));

describe('leaveLastOut', () => {
  it('keeps back the item that was new last, with its repeats, and asks at its first event', () => {
    const split = leaveLastOut(dataset);
    expect(testPairs(split)).toEqual(['u1 d', 'u2 a']);
    expect(split.cases.map(({ known }) => known)).toEqual([
      ['a', 'b', 'c'],
      ['b', 'c'],
    ]);
    expect(split.cases.map(({ asOfMs }) => asOfMs)).toEqual([start + 4 * day, start + 3 * day]);
    // u2's second purchase of a on day 6 went with it; u1's second purchase of a is of another item and stays.
    expect(split.train.history.eventCount).toBe(4 + 2 + 1);
    expect(split.report).toEqual({
      trainUsers: 3,
      trainItems: 5,
      trainPairs: 6,
      testUsers: 2,
      testPairs: 2,
      droppedItems: 0,
      droppedUsers: 1,
      dropped: [{ what: 'users', reason: 'fewer than 3 items', count: 1 }],
    });
  });

  it('leaves the test out of the validation part', () => {
    const split = leaveLastOut(dataset, { part: 'validation' });
    expect(testPairs(split)).toEqual(['u1 c', 'u2 c']);
    expect(trainPairs(split)).toEqual(['u1 a', 'u1 b', 'u2 b', 'u3 e']);
  });

  it('keeps back several', () => {
    expect(testPairs(leaveLastOut(dataset, { count: 2 }))).toEqual(['u1 c', 'u1 d']);
    expect(testPairs(leaveLastOut(dataset, { count: 2, minimumUserItems: 3 }))).toEqual(['u1 c', 'u1 d', 'u2 c', 'u2 a']);
  });

  it('keeps back the last purchase; what was looked at before stays, later looks are in neither part', () => {
    const shop = datasetFromArrays({
      events: (
        [
          ['u1', 'a', 1, 'purchase'],
          ['u1', 'b', 2, 'view'],
          ['u1', 'c', 3, 'view'],
          ['u1', 'b', 4, 'purchase'],
          ['u1', 'd', 5, 'purchase'],
          // Told of d by what it was compared with, and by a look at it again.
          ['u1', 'e', 6, 'view'],
          ['u1', 'd', 7, 'view'],
          // u2 bought two things alone.
          ['u2', 'a', 1, 'purchase'],
          ['u2', 'c', 2, 'view'],
          ['u2', 'd', 3, 'purchase'],
        ] as const
      ).map(([user, item, onDay, type]) => ({ user, item, timeMs: start + onDay * day, type })),
    });
    const split = leaveLastOut(shop, { relevantTypes: ['purchase'] });
    expect(split.cases).toEqual([{ user: 'u1', known: ['a', 'b'], relevant: ['d'], grades: [1], asOfMs: start + 5 * day }]);
    expect(trainPairs(split)).toEqual(['u1 a', 'u1 b', 'u1 c', 'u2 a', 'u2 c', 'u2 d']);
    expect(split.train.history.eventCount).toBe(7);
    const validation = leaveLastOut(shop, { relevantTypes: ['purchase'], part: 'validation' });
    // b goes with the look at it before it was bought; d is the test, and e came after.
    expect(validation.cases).toEqual([{ user: 'u1', known: ['a'], relevant: ['b'], grades: [1], asOfMs: start + 4 * day }]);
    expect(trainPairs(validation)).toEqual(['u1 a', 'u1 c', 'u2 a', 'u2 c', 'u2 d']);
    // A guest brings looks along, those before what is asked.
    const guests = userHoldout(shop, { relevantTypes: ['purchase'], fraction: 0.5, foldIn: 0.7, minimumUserItems: 3, seed: 3 });
    expect(guests.cases).toMatchObject([{ user: 'u1', known: ['a', 'b'], relevant: ['d'], asOfMs: start + 5 * day }]);
    expect(guests.cases[0]?.session?.map(({ item, type }) => `${item} ${type}`)).toEqual(['a purchase', 'b view', 'c view', 'b purchase']);
  });

  it('refuses data in which nobody can be asked', () => {
    expect(() => leaveLastOut(dataset, { minimumUserItems: 9 })).toThrow(expect.objectContaining({ code: 'RECLOOM_DAT_SPLIT_NO_TEST' }));
    expect(() => leaveLastOut(dataset, { count: 0 })).toThrow(expect.objectContaining({ code: 'RECLOOM_RUN_EVALUATION' }));
  });
});

/** A shop of random histories. */
const shops = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 40 })), {
    minLength: 30,
    maxLength: 80,
  })
  .map((rows) => datasetFromArrays({ events: events(rows.map(([user, item, onDay]) => [`u${user}`, `i${item}`, onDay] as const)) }));

describe('splits of random shops', () => {
  it('share no pair between training and test, and lose none', () => {
    fc.assert(
      fc.property(shops, fc.integer({ min: 0, max: 99 }), (shop, seed) => {
        const whole = new Set(trainPairs({ train: shop } as Split));
        for (const split of [leaveLastOut(shop), randomSplit(shop, { fraction: 0.3, seed }), ...kFold(shop, { folds: 3, seed })]) {
          const train = trainPairs(split);
          const test = testPairs(split);
          expect(test.filter((pair) => train.includes(pair))).toEqual([]);
          expect(new Set([...train, ...test])).toEqual(whole);
          for (const testCase of split.cases) {
            expect(testCase.relevant.filter((item) => testCase.known.includes(item))).toEqual([]);
            expect([...testCase.known].sort()).toEqual(
              train
                .filter((pair) => pair.startsWith(`${testCase.user} `))
                .map((pair) => pair.split(' ')[1])
                .sort(),
            );
          }
        }
      }),
      { numRuns: 25 },
    );
  });

  it('kFold asks for every pair of an asked user exactly once', () => {
    fc.assert(
      fc.property(shops, (shop) => {
        const asked = kFold(shop, { folds: 3 }).flatMap(testPairs);
        const users = new Set(asked.map((pair) => pair.split(' ')[0] as string));
        const whole = trainPairs({ train: shop } as Split).filter((pair) => users.has(pair.split(' ')[0] as string));
        expect([...asked].sort()).toEqual([...whole].sort());
      }),
      { numRuns: 25 },
    );
  });

  it('randomSplit keeps its test out of its validation, and draws the same for the same seed', () => {
    fc.assert(
      fc.property(shops, (shop) => {
        const test = testPairs(randomSplit(shop, { fraction: 0.3, seed: 5 }));
        const validation = randomSplit(shop, { fraction: 0.3, seed: 5, part: 'validation' });
        const seen = new Set([...trainPairs(validation), ...testPairs(validation)]);
        expect(test.filter((pair) => seen.has(pair))).toEqual([]);
        expect(testPairs(randomSplit(shop, { fraction: 0.3, seed: 5 }))).toEqual(test);
      }),
      { numRuns: 25 },
    );
  });

  it('userHoldout keeps people out, and what they bring is no later than what is asked', () => {
    fc.assert(
      fc.property(shops, fc.integer({ min: 0, max: 99 }), (shop, seed) => {
        const split = ((): Split | undefined => {
          try {
            return userHoldout(shop, { fraction: 0.4, seed, minimumUserItems: 3 });
          } catch {
            return undefined;
          }
        })();
        fc.pre(split !== undefined);
        for (const { user, session = [], relevant, asOfMs } of (split as Split).cases) {
          expect((split as Split).train.users.rowOf(user)).toBe(-1);
          expect(session.length).toBeGreaterThan(0);
          for (const event of session) {
            expect(event.time).toBeLessThanOrEqual(asOfMs as number);
            expect(relevant).not.toContain(event.item);
          }
        }
      }),
      { numRuns: 25 },
    );
  });
});

describe('coldItems', () => {
  it('takes items out of table and events, and hands them on with their fields', () => {
    const split = coldItems(dataset, { isCold: (id) => id === 'b' || id === 'e', minimumUserItems: 2 });
    expect(split.train.items.ids).toEqual(['a', 'c', 'd']);
    expect(testPairs(split)).toEqual(['u1 b', 'u2 b']);
    expect(split.newItems).toEqual([
      { id: 'b', title: 'the b' },
      { id: 'e', title: 'the e' },
    ]);
    // u3 took only e, and has nothing that stays.
    expect(split.report.dropped).toEqual([{ what: 'users', reason: 'fewer than 2 items that stay', count: 1 }]);
  });

  it('draws by id, so that another order of the data draws the same', () => {
    const cold = (shop: typeof dataset): string[] =>
      (coldItems(shop, { fraction: 0.5, minimumUserItems: 1 }).newItems ?? []).map(({ id }) => id);
    const reversed = datasetFromArrays({
      items: ['e', 'd', 'c', 'b', 'a'].map((id) => ({ id, title: `the ${id}` })),
      events: events([
        ['u2', 'a', 3],
        ['u2', 'b', 4],
        ['u1', 'a', 1],
        ['u1', 'b', 2],
        ['u1', 'c', 3],
        ['u1', 'd', 4],
      ]),
    });
    expect(cold(reversed)).toEqual(cold(dataset));
  });
});

describe('predefinedSplit', () => {
  it('matches by id and counts what cannot be asked', () => {
    const train = datasetFromArrays({
      events: events([
        ['u1', 'a', 1],
        ['u2', 'b', 1],
      ]),
    });
    const test = datasetFromArrays({
      events: events([
        ['u1', 'a', 2],
        ['u1', 'b', 2],
        ['u1', 'z', 3],
        ['u9', 'a', 2],
        ['u2', 'b', 9],
      ]),
    });
    const split = predefinedSplit(train, test);
    expect(split.cases).toEqual([{ user: 'u1', known: ['a'], relevant: ['b', 'z'], grades: [1, 1] }]);
    expect(split.report.dropped).toEqual([
      { what: 'users', reason: 'not in training', count: 1 },
      { what: 'pairs', reason: 'the user has the item already', count: 2 },
      { what: 'users', reason: 'nothing new to find', count: 1 },
    ]);
    expect(predefinedSplit(train, test, { onlyKnownItems: true }).cases[0]?.relevant).toEqual(['b']);
    expect(() => predefinedSplit(test, train, { onlyKnownItems: true })).toThrow(
      expect.objectContaining({ code: 'RECLOOM_DAT_SPLIT_NO_TEST' }),
    );
  });
});
