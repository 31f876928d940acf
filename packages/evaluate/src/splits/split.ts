import { type Dataset, filterDataset } from '@recloom/core';
import { recloomError } from '@recloom/plugin-api';
import { type RelevantTypesOptions, relevantMask } from './relevant-types.js';

/** A user to recommend for, and what they took afterwards. */
export interface TestCase {
  readonly user: string;
  /** Ids of items in training that this user already has; they are never right answers. */
  readonly known: readonly string[];
  /** Ids of the items the user took in the test part and had not before. */
  readonly relevant: readonly string[];
  /** Σ of event weights per item of `relevant`, in its order: grades for graded NDCG. Absent = 1 each. */
  readonly grades?: readonly number[];
  /** "Now" of this case in milliseconds; default: the split's `cutMs`. */
  readonly asOfMs?: number;
  /** Events a user who is not in training brings along (fold-in), oldest first. */
  readonly session?: readonly { readonly item: string; readonly type: string; readonly time: number }[];
}

/** Something that was left out, and why. */
export interface DroppedPart {
  readonly what: 'users' | 'items' | 'pairs';
  readonly reason: string;
  readonly count: number;
}

/** Counts of both parts of a split, and what is in neither. */
export interface SplitReport {
  readonly trainUsers: number;
  readonly trainItems: number;
  /** Distinct (user, item) pairs in training. */
  readonly trainPairs: number;
  readonly testUsers: number;
  readonly testPairs: number;
  readonly droppedItems: number;
  readonly droppedUsers: number;
  /** Everything that is in neither part, by reason. */
  readonly dropped: readonly DroppedPart[];
}

/** Data to learn from and questions about what was kept back. Nothing that answers a question is in `train`. */
export interface Split {
  readonly train: Dataset;
  /** "Now" of the questions that do not say their own, in milliseconds. */
  readonly cutMs: number;
  readonly cases: readonly TestCase[];
  readonly report: SplitReport;
  /** Names of the event types that are right answers; absent = all. */
  readonly relevantTypes?: readonly string[];
  /** Items that are not in `train`, to be added to the opened pipeline before it is asked (cold start); only they can be right answers. */
  readonly newItems?: readonly (Readonly<Record<string, string | number | boolean | readonly string[] | null>> & { readonly id: string })[];
}

/** What a split keeps back: events by place in the history, with the case each belongs to. */
export interface HeldOut extends RelevantTypesOptions {
  /** One byte per event: 1 = training, 0 = kept back or left out. */
  readonly training: Uint8Array;
  /** Places of the events kept back, by user row, in ascending order. Those of other types than `relevantTypes` are no answers. */
  readonly byUser: ReadonlyMap<number, readonly number[]>;
  /** "Now" of a user's case. */
  readonly asOfMs?: (user: number, places: readonly number[]) => number;
  /** Items that may be right answers; default all. One byte per row. */
  readonly answers?: Uint8Array;
  /** Users whose events are not in training but who bring them along: places of what they bring. */
  readonly sessions?: ReadonlyMap<number, readonly number[]>;
  /** Items taken out of training. One byte per row, 1 = keep. */
  readonly items?: Uint8Array;
  /** Users taken out of training. One byte per row, 1 = keep. */
  readonly users?: Uint8Array;
  readonly cutMs: number;
  readonly dropped: readonly DroppedPart[];
  /** What a person can change when nothing is left, as a sentence. */
  readonly change: string;
}

/**
 * Makes training data and cases from what is kept back. Pairs that the user has in training (or brings along) too are no
 * answers; what is left out for that is counted.
 *
 * @throws RECLOOM_DAT_SPLIT_NO_TRAINING, RECLOOM_DAT_SPLIT_NO_TEST when nothing is left to train on or to test with;
 * RECLOOM_DAT_UNKNOWN_EVENT_TYPE
 */
export function splitFrom(dataset: Dataset, held: HeldOut): Split {
  const { history, items, users } = dataset;
  const relevantTypes = relevantMask(history, held.relevantTypes);
  const isRelevant = (place: number): boolean => relevantTypes === undefined || relevantTypes[history.types[place] as number] === 1;
  const train = filterDataset(dataset, { events: held.training, items: held.items, users: held.users });
  const cases: TestCase[] = [];
  let testPairs = 0;
  let repeated = 0;
  let withoutAnswer = 0;
  let otherTypes = 0;
  for (const [user, all] of [...held.byUser].sort(([left], [right]) => left - right)) {
    const brought = held.sessions?.get(user);
    const places = all.filter(isRelevant);
    const known = new Set<number>();
    for (let place = history.offsets[user] as number; place < (history.offsets[user + 1] as number); place++) {
      if (held.training[place] === 1 && held.users?.[user] !== 0 && isRelevant(place)) known.add(history.items[place] as number);
    }
    for (const place of brought ?? []) if (isRelevant(place)) known.add(history.items[place] as number);
    const grades = new Map<number, number>();
    for (const place of places) {
      const row = history.items[place] as number;
      if (known.has(row)) repeated++;
      else if (held.answers === undefined || held.answers[row] === 1)
        grades.set(row, (grades.get(row) ?? 0) + (history.weights[place] as number));
    }
    otherTypes += pairsWithout(history.items, all, places);
    if (grades.size === 0) {
      withoutAnswer++;
      continue;
    }
    testPairs += grades.size;
    cases.push({
      user: users.idOf(user),
      known: Array.from(known, (row) => items.idOf(row)),
      relevant: Array.from(grades.keys(), (row) => items.idOf(row)),
      grades: [...grades.values()],
      ...(held.asOfMs === undefined ? {} : { asOfMs: held.asOfMs(user, places) }),
      ...(brought === undefined
        ? {}
        : {
            session: brought.map((place) => ({
              item: items.idOf(history.items[place] as number),
              type: history.typeNames[history.types[place] as number] as string,
              time: history.timesMs[place] as number,
            })),
          }),
    });
  }
  const dropped = [
    ...held.dropped,
    { what: 'pairs' as const, reason: otherTypesReason, count: otherTypes },
    { what: 'pairs' as const, reason: 'the user has the item already', count: repeated },
    { what: 'users' as const, reason: 'nothing new to find', count: withoutAnswer },
  ].filter(({ count }) => count > 0);
  checkNotEmpty(dataset, { trainingEvents: train.history.eventCount, cases: cases.length, dropped, change: held.change });
  const total = (what: DroppedPart['what']): number => dropped.reduce((sum, part) => sum + (part.what === what ? part.count : 0), 0);
  return {
    train,
    cutMs: held.cutMs,
    cases,
    ...(held.relevantTypes === undefined ? {} : { relevantTypes: held.relevantTypes }),
    report: {
      trainUsers: usersWithEvents(train),
      trainItems: train.items.rowCount,
      trainPairs: pairsOf(train),
      testUsers: cases.length,
      testPairs,
      droppedItems: total('items'),
      droppedUsers: total('users'),
      dropped,
    },
  };
}

/** Why a kept-back pair is no question under `relevantTypes`. */
export const otherTypesReason = 'of other event types';

/** Distinct items of the places `all` that none of the places `kept` has. */
export function pairsWithout(items: ArrayLike<number>, all: readonly number[], kept: readonly number[]): number {
  if (all.length === kept.length) return 0;
  const rows = new Set(kept.map((place) => items[place]));
  return new Set(all.map((place) => items[place]).filter((row) => !rows.has(row))).size;
}

/**
 * Refuses a split that leaves nothing to train on or nobody to ask, with the counts and what to change.
 *
 * @throws RECLOOM_DAT_SPLIT_NO_TRAINING, RECLOOM_DAT_SPLIT_NO_TEST
 */
export function checkNotEmpty(
  dataset: Dataset,
  left: { readonly trainingEvents: number; readonly cases: number; readonly dropped: readonly DroppedPart[]; readonly change: string },
): void {
  if (left.trainingEvents > 0 && left.cases > 0) return;
  const counts = [
    `the data have ${counted(dataset.history.eventCount, 'event')} of ${counted(usersWithEvents(dataset), 'user')} and ${counted(dataset.history.itemCount, 'item')}`,
    ...(left.trainingEvents === 0 ? [] : [`${left.trainingEvents} left for training`]),
    ...left.dropped
      .filter(({ count }) => count > 0)
      .map(({ what, reason, count }) => `left out: ${counted(count, what.slice(0, -1))} (${reason})`),
  ].join('; ');
  throw recloomError(left.trainingEvents === 0 ? 'RECLOOM_DAT_SPLIT_NO_TRAINING' : 'RECLOOM_DAT_SPLIT_NO_TEST', {
    counts,
    change: left.change,
  });
}

function counted(count: number, singular: string): string {
  return `${count} ${singular}${count === 1 ? '' : 's'}`;
}

/** Users who have an event. */
export function usersWithEvents({ history }: Dataset): number {
  let count = 0;
  for (let user = 0; user < history.userCount; user++) if (history.offsets[user] !== history.offsets[user + 1]) count++;
  return count;
}

/** Distinct (user, item) pairs. */
export function pairsOf({ history }: Dataset): number {
  let pairs = 0;
  for (let user = 0; user < history.userCount; user++) {
    pairs += new Set(history.items.subarray(history.offsets[user], history.offsets[user + 1])).size;
  }
  return pairs;
}
