import { recloomError } from '@recloom/plugin-api';
import type { Cuts } from './options.js';

/** Milliseconds of a day. */
export const dayMs = 86_400_000;

/** What a cut's rows are for. */
export type CutSplit = 'train' | 'validation';

/** One instant that rows are made at. */
export interface Cut {
  /** Ascending in time from 0. */
  readonly index: number;
  /** Features see events before this instant only. Milliseconds since the epoch. */
  readonly atMs: number;
  /** Labels are events in `[atMs, untilMs)`. */
  readonly untilMs: number;
  readonly split: CutSplit;
  /** False when the label window reaches past the end of the data. */
  readonly complete: boolean;
}

/** Where the cuts of an export lie, and how many of them are for validation. */
export interface CutOptions {
  readonly cuts: Cuts | undefined;
  readonly windowDays: number;
  readonly validationCuts: number;
  /** Times of the first and last event that may be used. */
  readonly firstEventMs: number;
  readonly lastEventMs: number;
  /** First instant that may not be used; undefined = just after the last event. */
  readonly untilMs: number | undefined;
}

/**
 * The cuts in order of time, the last `validationCuts` of them for validation.
 *
 * @throws RECLOOM_RUN_EXPORT when one has nothing before or after it, two are the same, or the labels of a training cut would be
 * those of a validation cut
 */
export function planCuts(options: CutOptions): readonly Cut[] {
  const { windowDays, validationCuts, firstEventMs } = options;
  if (!(windowDays > 0)) throw refuse('the window must be longer than 0 days');
  const windowMs = windowDays * dayMs;
  const endMs = Math.min(options.untilMs ?? Number.POSITIVE_INFINITY, options.lastEventMs + 1);
  const times = cutTimes(options.cuts ?? { count: 4, everyDays: windowDays }, endMs, windowMs);
  if (!Number.isInteger(validationCuts) || validationCuts < 0 || validationCuts > times.length) {
    throw refuse(`of ${times.length} cuts, 0 to ${times.length} can be for validation`);
  }
  const firstValidation = times.length - validationCuts;
  const validationMs = times[firstValidation] ?? Number.POSITIVE_INFINITY;
  return times.map((atMs, index) => {
    const name = instant(atMs);
    if (atMs <= firstEventMs) throw refuse(`there is no event before the cut ${name} (the first is at ${instant(firstEventMs)})`);
    if (atMs >= endMs) throw refuse(`there is no event after the cut ${name} that may be used (the end is ${instant(endMs)})`);
    const untilMs = Math.min(atMs + windowMs, endMs);
    const split: CutSplit = index < firstValidation ? 'train' : 'validation';
    if (split === 'train' && untilMs > validationMs) {
      throw refuse(
        `the window of the training cut ${name} ends after the validation cut ${instant(validationMs)}, so both would have the same labels`,
      );
    }
    return { index, atMs, untilMs, split, complete: atMs + windowMs <= endMs };
  });
}

function cutTimes(cuts: Cuts, endMs: number, windowMs: number): number[] {
  if (!('count' in cuts)) {
    const times = Array.from(cuts, (cut) => (cut instanceof Date ? cut.getTime() : cut));
    if (times.length === 0) throw refuse('there must be at least one cut');
    if (!times.every(Number.isFinite)) throw refuse('a cut is neither a valid date nor a number of milliseconds');
    times.sort((left, right) => left - right);
    const twice = times.find((time, index) => index > 0 && time === times[index - 1]);
    if (twice !== undefined) throw refuse(`the cut ${instant(twice)} stands there twice`);
    return times;
  }
  const { count, everyDays } = cuts;
  if (!Number.isInteger(count) || count < 1) throw refuse('the number of cuts must be a whole number from 1');
  if (!(everyDays > 0)) throw refuse('cuts must be more than 0 days apart');
  return Array.from({ length: count }, (_, index) => endMs - windowMs - (count - 1 - index) * everyDays * dayMs);
}

function refuse(why: string): Error {
  return recloomError('RECLOOM_RUN_EXPORT', { why });
}

/** ISO 8601 in UTC; a day alone at midnight. */
export function instant(timeMs: number): string {
  const text = new Date(timeMs).toISOString();
  return text.endsWith('T00:00:00.000Z') ? text.slice(0, 10) : text;
}
