import type { Dataset } from '@recloom/core';
import { checkNotEmpty, type DroppedPart, pairsOf, type Split, usersWithEvents } from './split.js';

/**
 * Training and test data that somebody split before, e.g. published files. Users and items are matched by id; test pairs
 * of users who are not in training are left out and counted, those of items that are not in training stay (nothing can
 * find them without features) unless `onlyKnownItems`.
 *
 * @throws RECLOOM_DAT_SPLIT_NO_TRAINING, RECLOOM_DAT_SPLIT_NO_TEST when nothing is left to train on or to test with
 */
export function predefinedSplit(
  train: Dataset,
  test: Dataset,
  options: { readonly asOfMs?: number; readonly onlyKnownItems?: boolean } = {},
): Split {
  const cases: Split['cases'][number][] = [];
  let unknownUsers = 0;
  let unknownItems = 0;
  let repeated = 0;
  let withoutAnswer = 0;
  let testPairs = 0;
  for (let row = 0; row < test.users.rowCount; row++) {
    const start = test.history.offsets[row] as number;
    const end = test.history.offsets[row + 1] as number;
    if (start === end) continue;
    const user = test.users.idOf(row);
    const trainRow = train.users.rowOf(user);
    if (trainRow < 0) {
      unknownUsers++;
      continue;
    }
    const { offsets, items } = train.history;
    const known = new Set(Array.from(items.subarray(offsets[trainRow], offsets[trainRow + 1]), (item) => train.items.idOf(item)));
    const grades = new Map<string, number>();
    for (let place = start; place < end; place++) {
      const item = test.items.idOf(test.history.items[place] as number);
      if (known.has(item)) repeated++;
      else if (options.onlyKnownItems === true && train.items.rowOf(item) < 0) unknownItems++;
      else grades.set(item, (grades.get(item) ?? 0) + (test.history.weights[place] as number));
    }
    if (grades.size === 0) {
      withoutAnswer++;
      continue;
    }
    testPairs += grades.size;
    cases.push({ user, known: [...known], relevant: [...grades.keys()], grades: [...grades.values()] });
  }
  const dropped: DroppedPart[] = [
    { what: 'users', reason: 'not in training', count: unknownUsers },
    { what: 'pairs', reason: 'the item is not in training', count: unknownItems },
    { what: 'pairs', reason: 'the user has the item already', count: repeated },
    { what: 'users', reason: 'nothing new to find', count: withoutAnswer },
  ];
  checkNotEmpty(train, {
    trainingEvents: train.history.eventCount,
    cases: cases.length,
    dropped,
    change: 'Test users and items must go by the same ids as in training.',
  });
  return {
    train,
    cutMs: options.asOfMs ?? train.lastEventMs,
    cases,
    report: {
      trainUsers: usersWithEvents(train),
      trainItems: train.items.rowCount,
      trainPairs: pairsOf(train),
      testUsers: cases.length,
      testPairs,
      droppedItems: 0,
      droppedUsers: unknownUsers + withoutAnswer,
      dropped: dropped.filter(({ count }) => count > 0),
    },
  };
}
