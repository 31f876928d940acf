import type { ComponentState, CreateContext, FitContext, InputsSpec } from '@recloom/plugin-api';
import { type CountRule, countedTypes, createCounter, everyUser } from './item-counts.js';
import type { TrendingOptions } from './options.js';
import { RankedItems, rankedRows, rankingState, readRanking } from './ranked-items.js';

/**
 * Scores items by log((recent + s) / (expected + s)), where `expected` is the count of the window before, scaled by how
 * much the whole shop was busier in the recent window: a product that grows only as the shop does scores 0.
 * Items with less than `minimumSupport` in the recent window score at most 0 and are never proposed.
 * Without any event in the window before, nothing is expected and the order is that of the recent counts.
 */
export function fitTrending(context: FitContext<TrendingOptions, Record<never, never>, InputsSpec>): ComponentState {
  const { history, options, signal } = context;
  const rule: Omit<CountRule, 'fromAgeDays' | 'untilAgeDays'> = {
    count: options.count,
    countedTypes: countedTypes(history, options.eventTypes, context.warn),
    asOfMs: context.asOfMs,
    decayDays: undefined,
  };
  const users = everyUser(history);
  const endOfRecent = options.windowDays;
  const recent = createCounter(history, { ...rule, fromAgeDays: 0, untilAgeDays: endOfRecent })(users, signal);
  const before = createCounter(history, { ...rule, fromAgeDays: endOfRecent, untilAgeDays: endOfRecent + options.beforeDays })(
    users,
    signal,
  );
  const growth = before.total > 0 ? recent.total / before.total : 0;
  const expected = new Float64Array(history.itemCount);
  before.rows.forEach((row, place) => {
    expected[row] = (before.counts[place] as number) * growth;
  });
  const seen = new Float64Array(history.itemCount);
  recent.rows.forEach((row, place) => {
    seen[row] = recent.counts[place] as number;
  });
  const scores = Float32Array.from(seen, (count, row) => {
    const score = Math.log((count + options.smoothing) / ((expected[row] as number) + options.smoothing));
    return count >= options.minimumSupport ? score : Math.min(0, score);
  });
  return rankingState({ scores, order: rankedRows(scores, 0), segments: [] });
}

/** Opens what `fitTrending` left. */
export function openTrending(context: CreateContext<TrendingOptions, Record<never, never>, InputsSpec>): RankedItems {
  const week = context.options.windowDays === 7;
  return new RankedItems(readRanking(context.state), {
    excludeHistory: context.options.excludeHistory,
    reason: week ? { code: 'trending-this-week', text: 'Trending this week' } : { code: 'trending', text: 'Trending now' },
  });
}
