import type { Dataset } from '@recloom/core';
import { recloomError } from '@recloom/plugin-api';
import type { SplitDescription } from '../evaluation.js';
import { coldItems } from './cold-items.js';
import { kFold, leaveLastOut, randomSplit, userHoldout } from './per-user.js';
import { predefinedSplit } from './predefined.js';
import type { RelevantTypesOptions } from './relevant-types.js';
import type { Split } from './split.js';
import { temporalSplit } from './temporal.js';

/** The kinds of splits that can be asked for by name. */
export const splitKinds = Object.freeze([
  'temporal',
  'leave-last-out',
  'leave-n-out',
  'random',
  'k-fold',
  'user-holdout',
  'cold-items',
  'predefined',
] as const);

export type SplitKind = (typeof splitKinds)[number];

/**
 * How data are to be split, by name: what `recloom evaluate`, `compare` and `tune` share. An option that the kind does not
 * take is refused rather than ignored.
 */
export interface SplitRequest extends RelevantTypesOptions {
  /** Default `temporal`. */
  readonly kind?: SplitKind;
  /** `temporal`: first instant of the test, in milliseconds; default: such that the last 15 % of the time span are the test, at midnight UTC where the span is long enough. `predefined`: "now" of the questions. */
  readonly cutMs?: number;
  /** `temporal`: end (exclusive) of the test, in milliseconds; default: the end of the data. */
  readonly untilMs?: number;
  /** `temporal`: items with fewer users in training are left out; default 1. */
  readonly minimumItemUsers?: number;
  /** Users with fewer items are not asked (`temporal`: left out); the default depends on the kind. */
  readonly minimumUserItems?: number;
  /** `temporal`: whether what users take again is no answer (`masked`, the default), one like the others (`answers`), or all that is asked (`only`). */
  readonly repeats?: 'masked' | 'answers' | 'only';
  /** `leave-n-out`: how many of each user's last items are kept back; default 2. */
  readonly count?: number;
  /** `random`: share of each user's items that is kept back, default .1; `user-holdout`: of the users, default .1; `cold-items`: of the items, default .2. */
  readonly fraction?: number;
  /** `user-holdout`: share of such a user's items that they bring along; default .8. */
  readonly foldIn?: number;
  /** `k-fold`: how many; default 5. */
  readonly folds?: number;
  /** `leave-last-out`, `leave-n-out`, `random`: `validation` keeps back what comes before the test and leaves the test out; default `test`. */
  readonly part?: 'test' | 'validation';
  /** `random`, `user-holdout`, `cold-items`: one repetition per seed; `k-fold`: of the draw, one seed. Default [0]. */
  readonly seeds?: readonly number[];
  /** `predefined`: the part that somebody kept back. */
  readonly test?: Dataset;
}

/** Splits with what a document says about them. */
export interface DescribedSplits {
  readonly splits: readonly Split[];
  readonly description: SplitDescription;
}

/** What each kind takes besides `kind`. */
const taken: Readonly<Record<SplitKind, readonly (keyof SplitRequest)[]>> = Object.freeze({
  temporal: ['cutMs', 'untilMs', 'minimumItemUsers', 'minimumUserItems', 'repeats', 'relevantTypes'],
  'leave-last-out': ['minimumUserItems', 'part', 'relevantTypes'],
  'leave-n-out': ['count', 'minimumUserItems', 'part', 'relevantTypes'],
  random: ['fraction', 'minimumUserItems', 'part', 'seeds', 'relevantTypes'],
  'k-fold': ['folds', 'minimumUserItems', 'seeds', 'relevantTypes'],
  'user-holdout': ['fraction', 'foldIn', 'minimumUserItems', 'seeds', 'relevantTypes'],
  'cold-items': ['fraction', 'minimumUserItems', 'seeds', 'relevantTypes'],
  predefined: ['test', 'cutMs', 'relevantTypes'],
});

/** The options that a kind of split takes, besides `kind`. */
export function splitOptionsOf(kind: SplitKind): readonly (keyof SplitRequest)[] {
  return taken[kind];
}

/** The end of the sentence about a temporal split. */
const whatIsAsked = Object.freeze({ masked: ' that was new to them', answers: '', only: ' again' });

const dayMs = 86_400_000;
/** Share of the time span that a temporal split without a cut keeps for the test. */
const testShare = 0.15;

/**
 * Splits a dataset as asked and says in a sentence what was done.
 *
 * @throws RECLOOM_RUN_EVALUATION for options that do not fit the kind or each other; RECLOOM_DAT_SPLIT_NO_TEST and
 * RECLOOM_DAT_SPLIT_NO_TRAINING when nothing is left; RECLOOM_DAT_UNKNOWN_EVENT_TYPE
 */
export function makeSplits(dataset: Dataset, request: SplitRequest = {}): DescribedSplits {
  const kind = request.kind ?? 'temporal';
  checkRequest(kind, request);
  const seeds = request.seeds ?? [0];
  const shared = {
    ...(request.minimumUserItems === undefined ? {} : { minimumUserItems: request.minimumUserItems }),
    ...(request.relevantTypes === undefined ? {} : { relevantTypes: request.relevantTypes }),
  };
  const part = request.part === undefined ? {} : { part: request.part };
  const fraction = request.fraction === undefined ? {} : { fraction: request.fraction };
  const ofPart = request.part === 'validation' ? ' (validation: the test is in neither part)' : '';
  const described = (splits: readonly Split[], summary: string, further: Partial<SplitDescription> = {}): DescribedSplits => ({
    splits,
    description: { kind, summary: `${summary}${ofTypes(request.relevantTypes)}`, reports: splits.map(({ report }) => report), ...further },
  });
  const repeated = (): Partial<SplitDescription> => ({ seeds });
  const times = seeds.length === 1 ? '' : `, ${seeds.length} times`;
  const coldDescribed = (splits: readonly Split[]): DescribedSplits => {
    const counts = splits.map(({ newItems }) => newItems?.length ?? 0).join(', ');
    return described(
      splits,
      `${counts} of ${dataset.items.rowCount} items${times} are taken out of the data (each with a chance of ${percent(request.fraction ?? 0.2)}) and added as new products; only they are asked for.`,
      repeated(),
    );
  };
  switch (kind) {
    case 'temporal': {
      const cutMs = request.cutMs ?? defaultCutMs(dataset);
      const split = temporalSplit(dataset, {
        cutMs,
        ...(request.untilMs === undefined ? {} : { untilMs: request.untilMs }),
        ...(request.minimumItemUsers === undefined ? {} : { minimumItemUsers: request.minimumItemUsers }),
        ...(request.repeats === undefined ? {} : { repeats: request.repeats }),
        ...shared,
      });
      const until = request.untilMs === undefined ? '' : `, to ${instant(request.untilMs)}`;
      const chosen = request.cutMs === undefined ? ' (no cut was given: the last 15 % of the time span)' : '';
      return described(
        [split],
        `Everything before ${instant(cutMs)} is for training; asked is what each user took from then on${until}${whatIsAsked[request.repeats ?? 'masked']}${chosen}.`,
        { cut: new Date(cutMs).toISOString() },
      );
    }
    case 'leave-last-out':
    case 'leave-n-out': {
      const count = kind === 'leave-last-out' ? 1 : (request.count ?? 2);
      return described(
        [leaveLastOut(dataset, { count, ...part, ...shared })],
        `Each user's ${count === 1 ? 'last new item is' : `last ${count} new items are`} kept back; other users' later events stay in training${ofPart}.`,
      );
    }
    case 'random':
      return described(
        seeds.map((seed) => randomSplit(dataset, { seed, ...fraction, ...part, ...shared })),
        `A random ${percent(request.fraction ?? 0.1)} of each user's items is kept back${times}; time plays no part${ofPart}.`,
        repeated(),
      );
    case 'k-fold': {
      const folds = request.folds ?? 5;
      if (seeds.length > 1) throw refused('a k-fold split takes one seed: its folds are the repetitions');
      return described(
        kFold(dataset, { folds, seed: seeds[0] ?? 0, ...shared }),
        `Each user's items are drawn into ${folds} parts, and each part is kept back once; time plays no part.`,
        repeated(),
      );
    }
    case 'user-holdout':
      return described(
        seeds.map((seed) =>
          userHoldout(dataset, { seed, ...fraction, ...(request.foldIn === undefined ? {} : { foldIn: request.foldIn }), ...shared }),
        ),
        `${percent(request.fraction ?? 0.1)} of the users are kept out of training${times} and asked as guests who bring the older ${percent(request.foldIn ?? 0.8)} of their items along.`,
        repeated(),
      );
    case 'cold-items':
      return coldDescribed(seeds.map((seed) => coldItems(dataset, { seed, ...fraction, ...shared })));
    case 'predefined': {
      if (request.test === undefined) throw refused('a predefined split needs the part that was kept back');
      const split = predefinedSplit(dataset, request.test, {
        ...shared,
        ...(request.cutMs === undefined ? {} : { asOfMs: request.cutMs }),
      });
      return described([split], 'Training and test were split before, by whoever made the files.');
    }
  }
}

function ofTypes(names: readonly string[] | undefined): string {
  return names === undefined ? '' : ` Right answers are events of type ${names.join(', ')} alone; all others are history.`;
}

/** @throws RECLOOM_RUN_EVALUATION */
function checkRequest(kind: SplitKind, request: SplitRequest): void {
  if (!splitKinds.includes(kind)) throw refused(`there is no split of this kind; there are ${splitKinds.join(', ')}`);
  const allowed = taken[kind];
  for (const [name, value] of Object.entries(request)) {
    if (name === 'kind' || value === undefined || allowed.includes(name as keyof SplitRequest)) continue;
    throw refused(`a ${kind} split takes no "${name}"; it takes ${allowed.map((option) => `"${option}"`).join(', ')}`);
  }
  const { cutMs, untilMs, seeds } = request;
  for (const [name, value] of [
    ['minimumItemUsers', request.minimumItemUsers],
    ['minimumUserItems', request.minimumUserItems],
  ] as const)
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 0)) throw refused(`"${name}" must be a whole number from 0`);
  for (const value of [cutMs, untilMs]) if (value !== undefined && !Number.isFinite(value)) throw refused('a time is not a number');
  if (kind === 'temporal' && cutMs !== undefined && untilMs !== undefined && untilMs <= cutMs)
    throw refused('the test ends before it begins: "untilMs" must be later than "cutMs"');
  if (seeds === undefined) return;
  if (seeds.length === 0 || !seeds.every((seed) => Number.isSafeInteger(seed) && seed >= 0))
    throw refused('seeds are whole numbers from 0, at least one');
  if (new Set(seeds).size < seeds.length) throw refused('the same seed stands twice, which would count the same draw twice');
}

/**
 * The instant that leaves the last 15 % of the time span for the test; at midnight UTC when the test is longer than two days.
 *
 * @throws RECLOOM_DAT_SPLIT_NO_TEST when all events have the same time
 */
export function defaultCutMs({ history, lastEventMs }: Dataset): number {
  let firstMs = Number.POSITIVE_INFINITY;
  for (const timeMs of history.timesMs) if (timeMs < firstMs) firstMs = timeMs;
  const span = lastEventMs - firstMs;
  if (!(span > 0))
    throw recloomError('RECLOOM_DAT_SPLIT_NO_TEST', {
      counts: `${history.eventCount} events, all of one time`,
      change: 'A split by time needs times; use "random" or "leave-last-out" for data without.',
    });
  const cut = lastEventMs - testShare * span;
  return span * testShare > 2 * dayMs ? Math.floor(cut / dayMs) * dayMs : Math.ceil(cut);
}

function refused(why: string): ReturnType<typeof recloomError> {
  return recloomError('RECLOOM_RUN_EVALUATION', { why });
}

function instant(timeMs: number): string {
  const text = new Date(timeMs).toISOString();
  return text.endsWith('T00:00:00.000Z') ? text.slice(0, 10) : text.slice(0, 16).replace('T', ' ');
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(3))} %`;
}
