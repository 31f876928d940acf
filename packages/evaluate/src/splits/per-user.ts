import type { Dataset } from '@recloom/core';
import { createRandomStream, type RandomStream, recloomError } from '@recloom/plugin-api';
import { type RelevantTypesOptions, relevantMask } from './relevant-types.js';
import { type DroppedPart, type HeldOut, type Split, splitFrom } from './split.js';

export interface LeaveLastOutOptions extends RelevantTypesOptions {
  /** How many of each user's last items are kept back; default 1. */
  readonly count?: number;
  /**
   * `test`: the last `count`. `validation`: the `count` before them, and the last ones are in neither part, so that
   * options can be chosen without a look at the test. Default `test`.
   */
  readonly part?: 'test' | 'validation';
  /** Users with fewer different items stay in training whole and are not asked. Default `count` + 2 (for both parts). */
  readonly minimumUserItems?: number;
}

/**
 * Keeps back each user's last items (leave-last-out, leave-n-out). An item's time is its first event's; events of a kept-back
 * item go with it, so that a later repeat cannot give it away. Users are asked at the time of their first kept-back event.
 * Other users' later events stay in training, as everywhere in the literature: for a leak-free clock use `temporalSplit`.
 * With `relevantTypes` items and times are those of these types, and what the user did later is in neither part.
 *
 * @throws RECLOOM_DAT_SPLIT_NO_TEST when no user has enough items; RECLOOM_RUN_EVALUATION for a count below 1;
 * RECLOOM_DAT_UNKNOWN_EVENT_TYPE
 */
export function leaveLastOut(dataset: Dataset, options: LeaveLastOutOptions = {}): Split {
  const { history } = dataset;
  const count = wholeNumber('count', options.count ?? 1);
  const minimum = Math.max(options.minimumUserItems ?? count + 2, options.part === 'validation' ? 2 * count + 1 : count + 1);
  const held = holdBack(dataset, options, minimum, (order) => {
    const end = options.part === 'validation' ? order.length - count : order.length;
    return { kept: order.slice(end - count, end), neither: order.slice(end) };
  });
  if (options.relevantTypes !== undefined) leaveOutLater(dataset, held, relevantMask(history, options.relevantTypes) as Uint8Array);
  return splitFrom(dataset, { ...held, asOfMs: (_, places) => history.timesMs[places[0] as number] as number });
}

/** What a user looked at after what is asked for tells of it: it is in neither part. */
function leaveOutLater({ history }: Dataset, { training, byUser }: Pick<HeldOut, 'training' | 'byUser'>, types: Uint8Array): void {
  for (const [user, places] of byUser) {
    const first = places.find((place) => types[history.types[place] as number] === 1) as number;
    const askedMs = history.timesMs[first] as number;
    for (let place = history.offsets[user] as number; place < (history.offsets[user + 1] as number); place++) {
      if ((history.timesMs[place] as number) > askedMs) training[place] = 0;
    }
  }
}

export interface RandomSplitOptions extends RelevantTypesOptions {
  /** Share of each user's items that is kept back, at least one of them; default .1. */
  readonly fraction?: number;
  /** `validation` keeps back a second, disjoint share while the first one is in neither part. Default `test`. */
  readonly part?: 'test' | 'validation';
  /** Users with fewer different items stay in training whole and are not asked. Default 3. */
  readonly minimumUserItems?: number;
  readonly seed?: number;
}

/**
 * Keeps back a random share of each user's items. It knows nothing of time, so models that use it look better than they
 * are: for comparison with published figures. A user's draw depends on the seed and the user's row alone.
 *
 * @throws RECLOOM_DAT_SPLIT_NO_TEST when no user has enough items; RECLOOM_RUN_EVALUATION for a share outside (0, 1)
 */
export function randomSplit(dataset: Dataset, options: RandomSplitOptions = {}): Split {
  const fraction = share('fraction', options.fraction ?? 0.1);
  return byShuffledItems(dataset, options, (count) => {
    const size = Math.max(1, Math.floor(count * fraction));
    return options.part === 'validation' ? { from: size, to: 2 * size, later: size } : { from: 0, to: size, later: 0 };
  });
}

/**
 * `folds` splits, each of which keeps back another part of every user's items: every pair is asked for exactly once.
 *
 * @throws RECLOOM_DAT_SPLIT_NO_TEST when no user has enough items; RECLOOM_RUN_EVALUATION for fewer than two folds
 */
export function kFold(
  dataset: Dataset,
  options: RelevantTypesOptions & { readonly folds?: number; readonly minimumUserItems?: number; readonly seed?: number } = {},
): readonly Split[] {
  const folds = wholeNumber('folds', options.folds ?? 5);
  if (folds < 2) throw recloomError('RECLOOM_RUN_EVALUATION', { why: 'there must be at least two folds' });
  const minimumUserItems = Math.max(folds, options.minimumUserItems ?? folds);
  return Array.from({ length: folds }, (_, fold) =>
    byShuffledItems(dataset, { ...options, minimumUserItems }, (count) => ({
      from: Math.floor((count * fold) / folds),
      to: Math.floor((count * (fold + 1)) / folds),
      later: 0,
    })),
  );
}

/** Keeps back places `[from, to)` of each user's shuffled items; the first `later` are in neither part. */
function byShuffledItems(
  dataset: Dataset,
  options: RelevantTypesOptions & { readonly minimumUserItems?: number; readonly seed?: number },
  range: (count: number) => { readonly from: number; readonly to: number; readonly later: number },
): Split {
  const held = holdBack(dataset, options, options.minimumUserItems ?? 3, (order, user) => {
    shuffle(order, createRandomStream(((options.seed ?? 0) ^ Math.imul(user + 1, 0x9e3779b1)) >>> 0));
    const { from, to, later } = range(order.length);
    return { kept: order.slice(from, to), neither: order.slice(0, later) };
  });
  return splitFrom(dataset, held);
}

/** Takes what is chosen of each user's items (by their first event) out of training, with all of its events. Users with fewer than `minimum` items are left whole. */
function holdBack(
  dataset: Dataset,
  { relevantTypes: names }: RelevantTypesOptions,
  minimum: number,
  choose: (order: number[], user: number) => { readonly kept: readonly number[]; readonly neither: readonly number[] },
): Pick<HeldOut, 'training' | 'byUser' | 'cutMs' | 'dropped' | 'change' | 'relevantTypes'> {
  const { history } = dataset;
  const relevantTypes = relevantMask(history, names);
  const training = new Uint8Array(history.eventCount).fill(1);
  const byUser = new Map<number, number[]>();
  let few = 0;
  for (let user = 0; user < history.userCount; user++) {
    const order = itemsByFirstEvent(dataset, user, relevantTypes);
    if (order.length === 0) continue;
    if (order.length < minimum) {
      few++;
      continue;
    }
    const chosen = choose(order, user);
    const kept = new Set(chosen.kept);
    const neither = new Set(chosen.neither);
    const places: number[] = [];
    for (let place = history.offsets[user] as number; place < (history.offsets[user + 1] as number); place++) {
      const row = history.items[place] as number;
      if (kept.has(row)) places.push(place);
      if (kept.has(row) || neither.has(row)) training[place] = 0;
    }
    if (places.length > 0) byUser.set(user, places);
  }
  return {
    training,
    byUser,
    cutMs: dataset.lastEventMs,
    dropped: droppedUsers(minimum === 1 ? 'no item' : `fewer than ${minimum} items`, few),
    change: `Keep back fewer items, or lower the items a user must have (${minimum} now).`,
    ...(names === undefined ? {} : { relevantTypes: names }),
  };
}

export interface UserHoldoutOptions extends RelevantTypesOptions {
  /** Share of the users that is kept out of training; default .1. */
  readonly fraction?: number;
  /** Share of such a user's items, the oldest, that comes along with the question; the others are to be found. Default .8. */
  readonly foldIn?: number;
  /** Users with fewer different items are not asked; default 5. */
  readonly minimumUserItems?: number;
  readonly seed?: number;
}

/**
 * Keeps whole users out of training and asks for them as for guests: with the older part of their events as a session
 * (strong generalisation, Marlin 2004; Liang 2018).
 *
 * @throws RECLOOM_DAT_SPLIT_NO_TEST when nobody has enough items; RECLOOM_RUN_EVALUATION for a share outside (0, 1)
 */
export function userHoldout(dataset: Dataset, options: UserHoldoutOptions = {}): Split {
  const { history } = dataset;
  const fraction = share('fraction', options.fraction ?? 0.1);
  const foldIn = share('foldIn', options.foldIn ?? 0.8);
  const minimum = Math.max(2, options.minimumUserItems ?? 5);
  const relevantTypes = relevantMask(history, options.relevantTypes);
  const random = createRandomStream(options.seed ?? 0);
  const training = new Uint8Array(history.eventCount).fill(1);
  const users = new Uint8Array(history.userCount).fill(1);
  const byUser = new Map<number, number[]>();
  const sessions = new Map<number, number[]>();
  let few = 0;
  for (let user = 0; user < history.userCount; user++) {
    if (random.next() >= fraction) continue;
    users[user] = 0;
    training.fill(0, history.offsets[user], history.offsets[user + 1]);
    const order = itemsByFirstEvent(dataset, user, relevantTypes);
    if (order.length < minimum) {
      few++;
      continue;
    }
    const asked = new Set(order.slice(Math.min(order.length - 1, Math.max(1, Math.floor(order.length * foldIn)))));
    const places: number[] = [];
    const session: number[] = [];
    for (let place = history.offsets[user] as number; place < (history.offsets[user + 1] as number); place++) {
      if (!asked.has(history.items[place] as number)) continue;
      if (relevantTypes === undefined || relevantTypes[history.types[place] as number] === 1) places.push(place);
    }
    const firstMs = history.timesMs[places[0] as number] as number;
    for (let place = history.offsets[user] as number; place < (history.offsets[user + 1] as number); place++) {
      // What happened later tells of the future even when it is about an old item.
      if (!asked.has(history.items[place] as number) && (history.timesMs[place] as number) <= firstMs) session.push(place);
    }
    byUser.set(user, places);
    sessions.set(user, session);
  }
  return splitFrom(dataset, {
    training,
    users,
    byUser,
    sessions,
    asOfMs: (_, places) => history.timesMs[places[0] as number] as number,
    cutMs: dataset.lastEventMs,
    ...(options.relevantTypes === undefined ? {} : { relevantTypes: options.relevantTypes }),
    dropped: droppedUsers(minimum === 1 ? 'no item' : `fewer than ${minimum} items`, few),
    change: `Change the share of users that is kept out (${fraction} now), or lower the items a user must have (${minimum} now).`,
  });
}

/** A user's different items, by their first event of the types of the mask. */
function itemsByFirstEvent({ history }: Dataset, user: number, types: Uint8Array | undefined): number[] {
  const start = history.offsets[user] as number;
  const rows = history.items.subarray(start, history.offsets[user + 1]);
  return [...new Set(types === undefined ? rows : rows.filter((_, place) => types[history.types[start + place] as number] === 1))];
}

/** Fisher–Yates, in place. */
function shuffle(rows: number[], random: RandomStream): void {
  for (let place = rows.length - 1; place > 0; place--) {
    const other = random.integer(place + 1);
    const row = rows[place] as number;
    rows[place] = rows[other] as number;
    rows[other] = row;
  }
}

function droppedUsers(reason: string, count: number): readonly DroppedPart[] {
  return [{ what: 'users', reason, count }];
}

function share(name: string, value: number): number {
  if (!(value > 0 && value < 1)) throw recloomError('RECLOOM_RUN_EVALUATION', { why: `"${name}" must lie between 0 and 1` });
  return value;
}

function wholeNumber(name: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 1)
    throw recloomError('RECLOOM_RUN_EVALUATION', { why: `"${name}" must be a whole number from 1` });
  return value;
}
