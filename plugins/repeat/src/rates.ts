import type { PurchaseLog } from './purchase-log.js';

/** How rates are smoothed. */
export interface RateRule {
  readonly itemRecencyDays: number;
  readonly itemSmoothing: number;
  readonly userSmoothing: number;
  readonly pairSmoothing: number;
}

/** What a fit learns of items; nothing of people. */
export interface Rates {
  /** Repeat purchases per owner and day, of late, smoothed towards the catalogue's; one per item row. */
  readonly itemRates: Float32Array;
  /** The catalogue's own. */
  readonly catalogueRate: number;
  /** Mean ln(gap in days) of each item less the catalogue's, smoothed towards 0. */
  readonly itemLogGaps: Float32Array;
  /** Mean ln(gap in days) of the catalogue. */
  readonly meanLogGap: number;
  /** Hazard relative to a constant one, by time since the last purchase over the usual gap: one per interval of `ratioEdges`. */
  readonly curve: Float64Array;
}

/** Ends of the intervals of time over gap that the curve tells apart: half steps of 2 from 1/16 to 8, then all the rest. */
export const ratioEdges: readonly number[] = Object.freeze([
  0,
  ...Array.from({ length: 15 }, (_, step) => 2 ** (step / 2 - 4)),
  Number.POSITIVE_INFINITY,
]);

/** Expected purchases that are added to both sides of each interval of the curve, so that little data leave it flat. */
const curveSmoothing = 20;
/** Gaps at the catalogue's mean that are added to an item's, to a person's, and to a pair's. */
const itemGapSmoothing = 20;
const userGapSmoothing = 5;
const pairGapSmoothing = 2;

/** The same for one pair, worked out from all pairs of its person. */
export interface PairRates {
  /** Repeat purchases per day, before the curve. */
  readonly rates: Float64Array;
  /** The usual gap in days. */
  readonly gaps: Float64Array;
}

/** Sums over each item's owners up to `asOfDay`: repeat purchases and days of exposure, both decayed (undefined: not). */
function itemRates(log: PurchaseLog, itemCount: number, asOfDay: number, recencyDays: number | undefined, smoothing: number) {
  const repeats = new Float64Array(itemCount);
  const exposure = new Float64Array(itemCount);
  let allRepeats = 0;
  let allExposure = 0;
  for (let repeat = 0; repeat < log.repeatCount; repeat++) {
    const item = log.items[log.repeatPairs[repeat] as number] as number;
    const weight = recencyDays === undefined ? 1 : Math.exp(-(asOfDay - (log.repeatDays[repeat] as number)) / recencyDays);
    repeats[item] = (repeats[item] as number) + weight;
    allRepeats += weight;
  }
  for (let pair = 0; pair < log.pairCount; pair++) {
    const item = log.items[pair] as number;
    const days = asOfDay - (log.firstDays[pair] as number);
    const exposed = recencyDays === undefined ? days : recencyDays * (1 - Math.exp(-days / recencyDays));
    exposure[item] = (exposure[item] as number) + exposed;
    allExposure += exposed;
  }
  const catalogueRate = allExposure > 0 ? allRepeats / allExposure : 0;
  const rates = new Float32Array(itemCount);
  // Without a single repeat purchase every rate is 0, and nothing is proposed.
  if (catalogueRate > 0) {
    for (let item = 0; item < itemCount; item++) {
      rates[item] = ((repeats[item] as number) + smoothing) / ((exposure[item] as number) + smoothing / catalogueRate);
    }
  }
  return { rates, catalogueRate };
}

/**
 * Rates and gaps of the items up to `asOfDay`, the log's end.
 *
 * - item i: r = (Σ decayed repeat purchases + a) / (Σ decayed days of its owners + a / catalogue's rate);
 * - gaps: mean ln(gap), shrunk to the catalogue's;
 * - curve: Σ repeat purchases / Σ expected ones by time since the last purchase over the gap usual until then, a piecewise
 *   exponential model (Friedman 1982), expected at the constant rate of the pair. Purchases still to come are censored.
 */
export function learnRates(log: PurchaseLog, itemCount: number, asOfDay: number, rule: RateRule): Rates {
  const { rates, catalogueRate } = itemRates(log, itemCount, asOfDay, rule.itemRecencyDays, rule.itemSmoothing);
  const sums = new Float64Array(itemCount);
  const counts = new Float64Array(itemCount);
  let sum = 0;
  for (let pair = 0; pair < log.pairCount; pair++) {
    const item = log.items[pair] as number;
    sum += log.logGaps[pair] as number;
    sums[item] = (sums[item] as number) + (log.logGaps[pair] as number);
    counts[item] = (counts[item] as number) + (log.repeats[pair] as number);
  }
  const meanLogGap = log.repeatCount > 0 ? sum / log.repeatCount : 0;
  const itemLogGaps = Float32Array.from(
    counts,
    (count, item) => ((sums[item] as number) - count * meanLogGap) / (count + itemGapSmoothing),
  );
  const lasting = itemRates(log, itemCount, asOfDay, undefined, rule.itemSmoothing);
  const flat = { itemRates: lasting.rates, catalogueRate: lasting.catalogueRate, itemLogGaps, meanLogGap, curve: new Float64Array(0) };
  return { itemRates: rates, catalogueRate, itemLogGaps, meanLogGap, curve: learnCurve(log, asOfDay, flat, rule) };
}

function learnCurve(log: PurchaseLog, asOfDay: number, rates: Rates, rule: RateRule): Float64Array {
  const count = ratioEdges.length - 1;
  const happened = new Float64Array(count).fill(curveSmoothing);
  const expected = new Float64Array(count).fill(curveSmoothing);
  const pairs = pairRates(log, asOfDay, rates, rule);
  const { userLogGaps } = userSums(log, rates);
  // The usual gap as it was known before each purchase: the gap itself must not tell what it is held against.
  const logGapsBefore = new Float64Array(log.pairCount);
  const gapsBefore = new Int32Array(log.pairCount);
  const add = (pair: number, days: number, again: boolean): void => {
    const prior =
      rates.meanLogGap + (rates.itemLogGaps[log.items[pair] as number] as number) + (userLogGaps[log.users[pair] as number] as number);
    const gap = Math.exp(((logGapsBefore[pair] as number) + pairGapSmoothing * prior) / ((gapsBefore[pair] as number) + pairGapSmoothing));
    const ratio = days / gap;
    const perRatio = (pairs.rates[pair] as number) * gap;
    for (let step = 0; step < count; step++) {
      const begin = ratioEdges[step] as number;
      const end = ratioEdges[step + 1] as number;
      expected[step] = (expected[step] as number) + perRatio * (Math.min(ratio, end) - begin);
      if (ratio <= end) {
        if (again) happened[step] = (happened[step] as number) + 1;
        break;
      }
    }
  };
  for (let repeat = 0; repeat < log.repeatCount; repeat++) {
    const pair = log.repeatPairs[repeat] as number;
    const gap = log.repeatGaps[repeat] as number;
    add(pair, gap, true);
    logGapsBefore[pair] = (logGapsBefore[pair] as number) + Math.log(gap);
    gapsBefore[pair] = (gapsBefore[pair] as number) + 1;
  }
  for (let pair = 0; pair < log.pairCount; pair++) add(pair, Math.max(0, asOfDay - (log.lastDays[pair] as number)), false);
  return happened.map((purchases, step) => purchases / (expected[step] as number));
}

/** How much more often a person buys again than the items let expect, and how much longer the gaps are (ln). */
function userSums(log: PurchaseLog, rates: Rates) {
  const userCount = log.pairCount === 0 ? 0 : (log.users[log.pairCount - 1] as number) + 1;
  const repeats = new Float64Array(userCount);
  const logGaps = new Float64Array(userCount);
  for (let pair = 0; pair < log.pairCount; pair++) {
    const user = log.users[pair] as number;
    repeats[user] = (repeats[user] as number) + (log.repeats[pair] as number);
    logGaps[user] = (logGaps[user] as number) + (log.logGaps[pair] as number);
  }
  const userLogGaps = repeats.map((count, user) => ((logGaps[user] as number) - count * rates.meanLogGap) / (count + userGapSmoothing));
  return { userCount, repeats, userLogGaps };
}

/**
 * Rates and usual gaps of all pairs of a log at `asOfDay`:
 *
 * - person u: f = (repeat purchases + b) / (Σ r × days since the first purchase + b);
 * - pair: rate = r f (repeat purchases + c) / (r f days + c), the mean of a gamma posterior (the Poisson-gamma model of
 *   Bhagat, Muralidharan, Lobzhanidze, Vishwanath 2018, "Buy It Again: Modeling Repeat Purchase Recommendations");
 * - gap: exp of the mean ln(gap), shrunk to the person's and the item's.
 */
export function pairRates(log: PurchaseLog, asOfDay: number, rates: Rates, rule: RateRule): PairRates {
  const { userCount, repeats, userLogGaps } = userSums(log, rates);
  const expected = new Float64Array(userCount);
  const rateOf = (item: number): number => rates.itemRates[item] ?? rates.catalogueRate;
  const daysOf = (pair: number): number => Math.max(0, asOfDay - (log.firstDays[pair] as number));
  for (let pair = 0; pair < log.pairCount; pair++) {
    const user = log.users[pair] as number;
    expected[user] = (expected[user] as number) + rateOf(log.items[pair] as number) * daysOf(pair);
  }
  const result = { rates: new Float64Array(log.pairCount), gaps: new Float64Array(log.pairCount) };
  for (let pair = 0; pair < log.pairCount; pair++) {
    const user = log.users[pair] as number;
    const item = log.items[pair] as number;
    const factor = ((repeats[user] as number) + rule.userSmoothing) / ((expected[user] as number) + rule.userSmoothing);
    const usual = rateOf(item) * factor;
    const own = log.repeats[pair] as number;
    result.rates[pair] = (usual * (own + rule.pairSmoothing)) / (usual * daysOf(pair) + rule.pairSmoothing);
    const prior = rates.meanLogGap + (rates.itemLogGaps[item] ?? 0) + (userLogGaps[user] as number);
    result.gaps[pair] = Math.exp(((log.logGaps[pair] as number) + pairGapSmoothing * prior) / (own + pairGapSmoothing));
  }
  return result;
}

/** Mean of the curve from `days` to `days + horizonDays` after the last purchase. */
export function timingFactor(curve: Float64Array, days: number, horizonDays: number, gap: number): number {
  const begin = days / gap;
  const end = (days + horizonDays) / gap;
  let area = 0;
  for (let step = 0; step < curve.length; step++) {
    const from = Math.max(begin, ratioEdges[step] as number);
    const to = Math.min(end, ratioEdges[step + 1] as number);
    if (to > from) area += (curve[step] as number) * (to - from);
  }
  return area / (end - begin);
}
