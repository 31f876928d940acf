import type { Dataset } from '@recloom/core';
import { type RelevantTypesOptions, relevantMask, relevantMaskWhere } from './relevant-types.js';
import { checkNotEmpty, type DroppedPart, otherTypesReason, pairsOf, pairsWithout, type Split, usersWithEvents } from './split.js';

/**
 * Training and test data that somebody split before, e.g. published files. Users and items are matched by id; test pairs
 * of users who are not in training are left out and counted, those of items that are not in training stay (nothing can
 * find them without features) unless `onlyKnownItems`.
 *
 * @throws RECLOOM_DAT_SPLIT_NO_TRAINING, RECLOOM_DAT_SPLIT_NO_TEST when nothing is left to train on or to test with;
 * RECLOOM_DAT_UNKNOWN_EVENT_TYPE for a type that the test data lack
 */
export function predefinedSplit(
  train: Dataset,
  test: Dataset,
  options: RelevantTypesOptions & { readonly asOfMs?: number; readonly onlyKnownItems?: boolean } = {},
): Split {
  const asked = relevantMask(test.history, options.relevantTypes);
  // Training files may well hold other types than those that are asked for.
  const owned = relevantMaskWhere(train.history, options.relevantTypes);
  const cases: Split['cases'][number][] = [];
  let unknownUsers = 0;
  let unknownItems = 0;
  let repeated = 0;
  let withoutAnswer = 0;
  let testPairs = 0;
  let otherTypes = 0;
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
    const { offsets, items, types } = train.history;
    const known = new Set<string>();
    for (let place = offsets[trainRow] as number; place < (offsets[trainRow + 1] as number); place++) {
      if (owned === undefined || owned[types[place] as number] === 1) known.add(train.items.idOf(items[place] as number));
    }
    const grades = new Map<string, number>();
    const all = Array.from({ length: end - start }, (_, index) => start + index);
    const places = asked === undefined ? all : all.filter((place) => asked[test.history.types[place] as number] === 1);
    otherTypes += pairsWithout(test.history.items, all, places);
    for (const place of places) {
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
    { what: 'pairs', reason: otherTypesReason, count: otherTypes },
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
    ...(options.relevantTypes === undefined ? {} : { relevantTypes: options.relevantTypes }),
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
