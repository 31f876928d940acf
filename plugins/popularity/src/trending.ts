import type { ComponentState, CreateContext, FitContext, HistoryStore, InputsSpec } from '@recloom/plugin-api';
import { type CountRule, countedTypes, createCounter, everyUser } from './item-counts.js';
import type { TrendingOptions } from './options.js';
import { RankedItems, rankedRows, rankingState, readRanking } from './ranked-items.js';

/**
 * Scores items by log((recent + s) / (expected + s)), where `expected` is the count of the window before, scaled by how
 * much the whole shop was busier in the recent window (recent total / total before): a product that grows only as the shop
 * does scores 0. With `count: users`, people are counted once per item in every stretch as long as the shorter window, so
 * that both windows are counted alike: once in a month and once in a week differ by how often people come back, and not by
 * how much more there is. Items with less than `minimumSupport` in the recent window score at most 0 and are never
 * proposed. Without any event in the window before, nothing is expected and the order is that of the recent counts.
 */
export function fitTrending(context: FitContext<TrendingOptions, Record<never, never>, InputsSpec>): ComponentState {
  const { history, options, signal } = context;
  const rule: WindowRule = {
    count: options.count,
    countedTypes: countedTypes(history, options.eventTypes, context.warn),
    asOfMs: context.asOfMs,
    decayDays: undefined,
    stretchDays: Math.min(options.windowDays, options.beforeDays),
  };
  const recent = countWindow(history, rule, 0, options.windowDays, signal);
  const before = countWindow(history, rule, options.windowDays, options.beforeDays, signal);
  const scores = Float32Array.from(recent.counts, (count, row) => {
    // In this order, whole numbers stay exact: what is as expected scores 0 and nothing near it.
    const expected = before.total > 0 ? ((before.counts[row] as number) * recent.total) / before.total : 0;
    const score = Math.log((count + options.smoothing) / (expected + options.smoothing));
    return count >= options.minimumSupport ? score : Math.min(0, score);
  });
  return rankingState({ scores, order: rankedRows(scores, 0), segments: [] });
}

interface WindowRule extends Omit<CountRule, 'fromAgeDays' | 'untilAgeDays' | 'onceInDays'> {
  /** Days in which a user counts once per item; at most the length of a window. */
  readonly stretchDays: number;
}

interface WindowCounts {
  /** One count per item row. */
  readonly counts: Float64Array;
  readonly total: number;
}

/**
 * Counts the events aged `fromAgeDays` (inclusive) to `fromAgeDays + days` (exclusive). A window of `users` that is no
 * multiple of a stretch ends with a whole stretch that reaches back into the one before and counts for the part that is
 * missing: a shorter one would hold more people per day than the others.
 */
function countWindow(history: HistoryStore, rule: WindowRule, fromAgeDays: number, days: number, signal: AbortSignal): WindowCounts {
  const counts = new Float64Array(history.itemCount);
  const users = everyUser(history);
  let total = 0;
  const add = (from: number, until: number, share: number): void => {
    const part = createCounter(history, { ...rule, fromAgeDays: from, untilAgeDays: until, onceInDays: rule.stretchDays })(users, signal);
    part.rows.forEach((row, place) => {
      counts[row] = (counts[row] as number) + share * (part.counts[place] as number);
    });
    total += share * part.total;
  };
  const endDays = fromAgeDays + days;
  if (rule.count !== 'users') {
    add(fromAgeDays, endDays, 1);
    return { counts, total };
  }
  const stretches = days / rule.stretchDays;
  // 0.3 days hold three stretches of 0.1, whatever the last bit of the quotient says.
  const whole = Math.floor(stretches + 1e-9);
  const share = stretches - whole;
  add(fromAgeDays, share > 1e-9 ? fromAgeDays + whole * rule.stretchDays : endDays, 1);
  if (share > 1e-9) add(endDays - rule.stretchDays, endDays, share);
  return { counts, total };
}

/** Opens what `fitTrending` left. */
export function openTrending(context: CreateContext<TrendingOptions, Record<never, never>, InputsSpec>): RankedItems {
  const week = context.options.windowDays === 7;
  return new RankedItems(readRanking(context.state), {
    excludeHistory: context.options.excludeHistory,
    reason: week ? { code: 'trending-this-week', text: 'Trending this week' } : { code: 'trending', text: 'Trending now' },
  });
}
