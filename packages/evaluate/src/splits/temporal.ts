import { type Dataset, filterDataset } from '@recloom/core';
import { type RelevantTypesOptions, relevantMask } from './relevant-types.js';
import { checkNotEmpty, otherTypesReason, pairsWithout, type Split, type TestCase } from './split.js';

export interface TemporalSplitOptions extends RelevantTypesOptions {
  /** Everything before this instant is for training; from it on, for testing. Milliseconds since the epoch. */
  readonly cutMs: number;
  /** End (exclusive) of the test window; default: the end of the data. */
  readonly untilMs?: number;
  /** Items bought by fewer training users are left out. Default 1. */
  readonly minimumItemUsers?: number;
  /** Users with fewer kept items in training are left out (once, after the items). Default 1. */
  readonly minimumUserItems?: number;
  /**
   * What becomes of items a user takes again after having had them in training: `masked` (default): no right answers, and
   * known, so that nobody may propose them; `answers`: right answers like the others, and nothing is known; `only`: they alone
   * are right answers (what a person buys again), and nothing is known.
   */
  readonly repeats?: 'masked' | 'answers' | 'only';
}

/** A split by time: nothing of the test window is in `train`. */
export type TemporalSplit = Split;

/**
 * Splits a dataset at an instant. A (user, item) pair counts once. Items too rare in training are dropped, then users
 * with too few such items; test cases are the kept users' kept items that are new to them (protocol Q1 of the design), or
 * that they had before, as `repeats` says.
 *
 * @throws RECLOOM_DAT_SPLIT_NO_TRAINING, RECLOOM_DAT_SPLIT_NO_TEST when nothing is left to train on or to test with;
 * RECLOOM_DAT_UNKNOWN_EVENT_TYPE
 */
export function temporalSplit(dataset: Dataset, options: TemporalSplitOptions): TemporalSplit {
  const { history } = dataset;
  const until = options.untilMs ?? Number.POSITIVE_INFINITY;
  const relevantTypes = relevantMask(history, options.relevantTypes);
  const pairs = trainingPairs(dataset, options.cutMs, undefined);
  // What people have is what is asked for: with views alone nobody has an item yet.
  const owned = relevantTypes === undefined ? pairs : trainingPairs(dataset, options.cutMs, relevantTypes);
  const itemUsers = new Int32Array(history.itemCount);
  for (const rows of pairs) for (const row of rows) itemUsers[row] = (itemUsers[row] as number) + 1;
  const items = new Uint8Array(history.itemCount);
  for (let row = 0; row < items.length; row++) if ((itemUsers[row] as number) >= (options.minimumItemUsers ?? 1)) items[row] = 1;
  const users = new Uint8Array(history.userCount);
  let trainPairs = 0;
  for (const [user, rows] of pairs.entries()) {
    let kept = 0;
    for (const row of rows) kept += items[row] as number;
    if (kept < Math.max(1, options.minimumUserItems ?? 1)) continue;
    users[user] = 1;
    trainPairs += kept;
  }
  const { repeats = 'masked' } = options;
  const isAnswer = (isKnown: boolean): boolean => (repeats === 'only' ? isKnown : repeats === 'answers' || !isKnown);
  const cases: TestCase[] = [];
  let testPairs = 0;
  let otherTypes = 0;
  for (let user = 0; user < history.userCount; user++) {
    if (users[user] === 0) continue;
    const known = owned[user] as ReadonlySet<number>;
    const relevant = new Set<number>();
    const asked: number[] = [];
    const answered: number[] = [];
    for (let event = history.offsets[user] as number; event < (history.offsets[user + 1] as number); event++) {
      const time = history.timesMs[event] as number;
      const row = history.items[event] as number;
      if (time < options.cutMs || time >= until || items[row] !== 1) continue;
      asked.push(event);
      if (relevantTypes !== undefined && relevantTypes[history.types[event] as number] !== 1) continue;
      answered.push(event);
      if (isAnswer(known.has(row))) relevant.add(row);
    }
    otherTypes += pairsWithout(history.items, asked, answered);
    if (relevant.size === 0) continue;
    testPairs += relevant.size;
    cases.push({
      user: dataset.users.idOf(user),
      known: repeats === 'masked' ? [...known].filter((row) => items[row] === 1).map((row) => dataset.items.idOf(row)) : [],
      relevant: Array.from(relevant, (row) => dataset.items.idOf(row)),
    });
  }
  const count = (mask: Uint8Array): number => mask.reduce((sum, flag) => sum + flag, 0);
  const dropped = [
    {
      what: 'items' as const,
      reason: (options.minimumItemUsers ?? 1) <= 1 ? 'no user in training' : `fewer than ${options.minimumItemUsers} users in training`,
      count: items.length - count(items),
    },
    {
      what: 'users' as const,
      reason:
        (options.minimumUserItems ?? 1) <= 1
          ? 'none of the kept items in training'
          : `fewer than ${options.minimumUserItems} of the kept items in training`,
      count: users.length - count(users),
    },
    { what: 'pairs' as const, reason: otherTypesReason, count: otherTypes },
  ].filter((part) => part.count > 0);
  checkNotEmpty(dataset, {
    trainingEvents: trainPairs,
    cases: cases.length,
    dropped,
    change:
      trainPairs === 0
        ? 'Move the cut later, or lower the users an item and the items a user must have in training.'
        : 'Move the cut earlier or the end of the test later, or lower the users an item and the items a user must have in training.',
  });
  return {
    train: filterDataset(dataset, { beforeMs: options.cutMs, items, users }),
    cutMs: options.cutMs,
    cases,
    ...(options.relevantTypes === undefined ? {} : { relevantTypes: options.relevantTypes }),
    report: {
      trainUsers: count(users),
      trainItems: count(items),
      trainPairs,
      testUsers: cases.length,
      testPairs,
      droppedItems: items.length - count(items),
      droppedUsers: users.length - count(users),
      dropped,
    },
  };
}

/** By user: the distinct items before the cut, of all event types or of those of the mask. */
function trainingPairs(dataset: Dataset, cutMs: number, types: Uint8Array | undefined): readonly ReadonlySet<number>[] {
  const { history } = dataset;
  return Array.from({ length: history.userCount }, (_, user) => {
    const rows = new Set<number>();
    for (let event = history.offsets[user] as number; event < (history.offsets[user + 1] as number); event++) {
      if ((history.timesMs[event] as number) >= cutMs) continue;
      if (types === undefined || types[history.types[event] as number] === 1) rows.add(history.items[event] as number);
    }
    return rows;
  });
}
