// Shops of any size with the skew of a real one: what sells and who buys are drawn from distributions fitted to a history.

import type { Dataset } from '@recloom/core';
import { readPipelineData } from '@recloom/core';
import { type DataBatch, type DataSource, defineDataSource, definePlugin, type HistoryStore } from '@recloom/plugin-api';
import { z } from 'zod';
import { uniformSource } from './measure.js';

/** How unequal items and users are. */
export interface Skew {
  /**
   * Zipf with an exponential cut-off: the item of rank r (from 1) of n has a share of all (user, item) pairs
   * ∝ r^-exponent · e^(-r / (cutoff · n)). The cut-off is relative to the catalogue, so that a larger one is as unequal.
   */
  readonly popularity: { readonly exponent: number; readonly cutoff: number };
  /** Events of a user, less one: negative binomial with this mean and dispersion (variance = mean + mean² / dispersion). */
  readonly activity: { readonly mean: number; readonly dispersion: number };
  /** Chance that an event after a user's first is of an item that the user had before. */
  readonly repeat: number;
  /** Events per order: geometric with this mean. */
  readonly basketEvents: number;
  readonly days: number;
}

/** A shop to make. */
export interface ShopSize {
  readonly users: number;
  readonly items: number;
}

const dayMs = 86_400_000;

/**
 * Fits the skew of a history: popularity (by people) and activity by maximum likelihood, the others by their means.
 *
 * @throws RangeError when there is nothing to fit to
 */
export function fitSkew(history: HistoryStore): Skew {
  const people = new Float64Array(history.itemCount);
  const activity: number[] = [];
  const baskets = new Set<number>();
  let pairs = 0;
  let first = Number.POSITIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  for (let user = 0; user < history.userCount; user++) {
    const start = history.offsets[user] as number;
    const end = history.offsets[user + 1] as number;
    if (end === start) continue;
    activity.push(end - start - 1);
    const items = new Set(history.items.subarray(start, end));
    pairs += items.size;
    for (const item of items) people[item] = (people[item] as number) + 1;
    for (let event = start; event < end; event++) {
      const time = history.timesMs[event] as number;
      if (time < first) first = time;
      if (time > last) last = time;
      if (history.baskets !== undefined) baskets.add(history.baskets[event] as number);
    }
  }
  const users = activity.length;
  const events = history.eventCount;
  if (users === 0 || events <= users) throw new RangeError('There is too little history to fit a skew to.');
  const counts = Array.from(people).filter((count) => count > 0);
  return {
    popularity: fitPopularity(counts),
    activity: fitActivity(activity),
    repeat: 1 - (pairs - users) / (events - users),
    basketEvents: baskets.size === 0 ? 1 : events / baskets.size,
    days: (last - first) / dayMs,
  };
}

/** Maximum likelihood of exponent and cut-off over counts by falling rank; it has one top, for the family is exponential in both. */
function fitPopularity(counts: readonly number[]): Skew['popularity'] {
  const sorted = [...counts].sort((one, other) => other - one);
  const total = sorted.reduce((sum, count) => sum + count, 0);
  const likelihood = (exponent: number, rate: number): number => {
    let weights = 0;
    let sum = 0;
    for (let place = 0; place < sorted.length; place++) {
      const logWeight = -exponent * Math.log(place + 1) - (rate * (place + 1)) / sorted.length;
      weights += Math.exp(logWeight);
      sum += (sorted[place] as number) * logWeight;
    }
    return sum - total * Math.log(weights);
  };
  const bestExponent = (rate: number): number => highest((exponent) => likelihood(exponent, rate), 0, 5, 1e-5);
  const rate = highest((value) => likelihood(bestExponent(value), value), 1e-3, 100, 1e-4);
  return { exponent: bestExponent(rate), cutoff: 1 / rate };
}

/** Shares of the pairs by rank. */
function popularityShares({ exponent, cutoff }: Skew['popularity'], items: number): Float64Array {
  const shares = Float64Array.from({ length: items }, (_, place) => (place + 1) ** -exponent * Math.exp(-(place + 1) / (cutoff * items)));
  const total = shares.reduce((sum, share) => sum + share, 0);
  return shares.map((share) => share / total);
}

/**
 * Weights for drawing without replacement such that the items end up with the wanted shares of the pairs: the most popular
 * are drawn again and again by heavy users and can be had once only. Drawing in turn is a race of clocks with the weights
 * as rates, so a user who has drawn d items has item i with a chance 1 - e^(-λ w[i]), λ such that these chances add up to d.
 */
function drawWeights(shares: Float64Array, distinct: readonly number[]): Float64Array {
  const groups = quantileMeans(distinct, 24).map((count) => Math.min(count, shares.length * 0.95));
  const pairs = groups.reduce((sum, count) => sum + count, 0);
  const weights = shares.slice();
  for (let pass = 0; pass < 8; pass++) {
    const taken = new Float64Array(weights.length);
    for (const count of groups) {
      const held = (rate: number): number => {
        let sum = weights.length;
        for (let item = 0; item < weights.length; item++) sum -= Math.exp(-rate * (weights[item] as number));
        return sum;
      };
      let [low, high] = [0, 2 * count];
      while (held(high) < count) [low, high] = [high, 2 * high];
      for (let step = 0; step < 16; step++) {
        const middle = (low + high) / 2;
        if (held(middle) < count) low = middle;
        else high = middle;
      }
      for (let item = 0; item < taken.length; item++)
        taken[item] = (taken[item] as number) + 1 - Math.exp(-high * (weights[item] as number));
    }
    for (let item = 0; item < weights.length; item++) {
      const wanted = Math.min((shares[item] as number) * pairs, 0.95 * groups.length);
      weights[item] = (weights[item] as number) * (wanted / (taken[item] as number));
    }
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (let item = 0; item < weights.length; item++) weights[item] = (weights[item] as number) / total;
  }
  return weights;
}

/** Means of so many groups of the sorted values, as equal in number as can be. */
function quantileMeans(values: readonly number[], groups: number): number[] {
  const sorted = [...values].sort((one, other) => one - other);
  const count = Math.min(groups, sorted.length);
  return Array.from({ length: count }, (_, group) => {
    const part = sorted.slice(Math.floor((group * sorted.length) / count), Math.floor(((group + 1) * sorted.length) / count));
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
}

/** Maximum likelihood of the dispersion, given the mean (which is its own maximum). */
function fitActivity(counts: readonly number[]): Skew['activity'] {
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  const likelihood = (dispersion: number): number => {
    const base = dispersion * Math.log(dispersion / (dispersion + mean)) - logGamma(dispersion);
    const factor = Math.log(mean / (dispersion + mean));
    let sum = 0;
    for (const count of counts) sum += base + logGamma(count + dispersion) + count * factor;
    return sum;
  };
  return { mean, dispersion: Math.exp(highest((value) => likelihood(Math.exp(value)), Math.log(0.01), Math.log(1000), 1e-4)) };
}

/** Where a function with one top is highest (golden section). */
function highest(value: (at: number) => number, from: number, to: number, precision: number): number {
  const ratio = (Math.sqrt(5) - 1) / 2;
  let [low, high] = [from, to];
  let [left, right] = [high - ratio * (high - low), low + ratio * (high - low)];
  let [leftValue, rightValue] = [value(left), value(right)];
  while (high - low > precision) {
    if (leftValue > rightValue) {
      [high, right, rightValue] = [right, left, leftValue];
      left = high - ratio * (high - low);
      leftValue = value(left);
    } else {
      [low, left, leftValue] = [left, right, rightValue];
      right = low + ratio * (high - low);
      rightValue = value(right);
    }
  }
  return (low + high) / 2;
}

/** ln Γ(x) for x > 0 (Stirling's series after shifting x above 7). */
export function logGamma(x: number): number {
  let shifted = x;
  let product = 1;
  while (shifted < 7) product *= shifted++;
  const inverse = 1 / (shifted * shifted);
  const series = (1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse / 1680))) / shifted;
  return (shifted - 0.5) * Math.log(shifted) - shifted + 0.5 * Math.log(2 * Math.PI) + series - Math.log(product);
}

/** Draws an index with a chance in proportion to its weight. */
function weightedDraw(weights: Float64Array, uniform: () => number): () => number {
  const sums = new Float64Array(weights.length);
  let total = 0;
  for (let index = 0; index < weights.length; index++) {
    total += weights[index] as number;
    sums[index] = total;
  }
  return () => {
    const wanted = uniform() * total;
    let [low, high] = [0, sums.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) > wanted) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}

/** Chances of a negative binomial from 0 to where hardly anything is left. */
function negativeBinomial({ mean, dispersion }: Skew['activity']): Float64Array {
  const chances: number[] = [];
  let chance = (dispersion / (dispersion + mean)) ** dispersion;
  let left = 1;
  for (let count = 0; left > 1e-9 && count < 100_000; count++) {
    chances.push(chance);
    left -= chance;
    chance *= ((count + dispersion) / (count + 1)) * (mean / (dispersion + mean));
  }
  return Float64Array.from(chances);
}

/** The events of a made-up shop as columns: users one after the other, items by popularity under shuffled numbers. */
export function makeEvents(skew: Skew, size: ShopSize, seed: number): DataBatch {
  const uniform = uniformSource(seed);
  const numbers = Int32Array.from({ length: size.items }, (_, place) => place);
  for (let place = size.items - 1; place > 0; place--) {
    const other = Math.floor(uniform() * (place + 1));
    const moved = numbers[place] as number;
    numbers[place] = numbers[other] as number;
    numbers[other] = moved;
  }
  const activity = weightedDraw(negativeBinomial(skew.activity), uniform);
  const lengths = Int32Array.from({ length: size.users }, () => 1 + activity());
  const distinct = Array.from(lengths, (length) => 1 + (1 - skew.repeat) * (length - 1));
  const item = weightedDraw(drawWeights(popularityShares(skew.popularity, size.items), distinct), uniform);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const users = new Int32Array(total);
  const items = new Int32Array(total);
  const timesMs = new Float64Array(total);
  const baskets = new Int32Array(total);
  let at = 0;
  let basket = -1;
  for (let user = 0; user < size.users; user++) {
    const had: number[] = [];
    const seen = new Set<number>();
    let timeMs = 0;
    let left = 0;
    for (let event = 0; event < (lengths[user] as number); event++) {
      if (left === 0) {
        basket++;
        timeMs = firstDayMs + Math.floor(uniform() * skew.days * dayMs);
        left = 1 + Math.floor(Math.log(1 - uniform()) / Math.log(1 - 1 / Math.max(1.001, skew.basketEvents)));
      }
      left--;
      let taken = had.length > 0 && uniform() < skew.repeat ? (had[Math.floor(uniform() * had.length)] as number) : -1;
      if (taken < 0) {
        taken = item();
        // Somebody who has nearly everything takes what is left more than once.
        for (let attempt = 0; attempt < 100 && seen.has(taken); attempt++) taken = item();
      }
      if (!seen.has(taken)) {
        seen.add(taken);
        had.push(taken);
      }
      users[at] = user;
      items[at] = numbers[taken] as number;
      timesMs[at] = timeMs;
      baskets[at] = basket;
      at++;
    }
  }
  const names = (prefix: string, count: number): string[] =>
    Array.from({ length: count }, (_, index) => `${prefix}${String(index).padStart(7, '0')}`);
  return {
    rowCount: total,
    columns: {
      user: { type: 'category', codes: users, categories: names('u', size.users) },
      item: { type: 'category', codes: items, categories: names('i', size.items) },
      timeMs: { type: 'number', values: timesMs },
      basket: { type: 'category', codes: baskets, categories: names('b', basket + 1) },
    },
  };
}

const firstDayMs = Date.UTC(2024, 0, 1);

/** A made-up shop as a dataset, read as any other data. */
export async function makeShop(skew: Skew, size: ShopSize, seed: number): Promise<Dataset> {
  let rows = 0;
  const source: DataSource = {
    async *read() {
      const batch = makeEvents(skew, size, seed);
      rows = batch.rowCount;
      yield batch;
    },
    report: () => ({ rowsRead: rows, rowsKept: rows, dropped: [], warnings: [] }),
    fingerprint: async () => JSON.stringify([skew, size, seed]),
  };
  const plugin = definePlugin({
    apiVersion: 1,
    id: 'synthetic',
    components: [
      defineDataSource({
        id: 'events',
        summary: 'A made-up shop.',
        options: z.strictObject({}),
        capabilities: { data: 'events' },
        stateVersion: 1,
        create: () => source,
      }),
    ],
  });
  return readPipelineData(
    { format: '1.0', name: 'bench-synthetic', data: { events: { use: 'synthetic/events' } }, components: {}, surfaces: {} },
    { plugins: [plugin] },
  );
}

/** How unequal a history is, to hold a made-up one against a real one. */
export interface Inequality {
  readonly users: number;
  readonly items: number;
  readonly events: number;
  readonly pairs: number;
  /** Share of all (user, item) pairs that the most popular 1 % and 10 % of the items hold. */
  readonly top1Percent: number;
  readonly top10Percent: number;
  /** Different items of the median user, and of the one that 99 of 100 do not exceed. */
  readonly medianItems: number;
  readonly items99: number;
}

/** Counts how unequal a history is. */
export function inequalityOf(history: HistoryStore): Inequality {
  const people = new Int32Array(history.itemCount);
  const perUser: number[] = [];
  let pairs = 0;
  for (let user = 0; user < history.userCount; user++) {
    const items = new Set(history.items.subarray(history.offsets[user], history.offsets[user + 1]));
    if (items.size === 0) continue;
    perUser.push(items.size);
    pairs += items.size;
    for (const item of items) people[item] = (people[item] as number) + 1;
  }
  const falling = Array.from(people)
    .filter((count) => count > 0)
    .sort((one, other) => other - one);
  const topShare = (share: number): number =>
    falling.slice(0, Math.max(1, Math.round(falling.length * share))).reduce((sum, count) => sum + count, 0) / pairs;
  perUser.sort((one, other) => one - other);
  return {
    users: perUser.length,
    items: falling.length,
    events: history.eventCount,
    pairs,
    top1Percent: topShare(0.01),
    top10Percent: topShare(0.1),
    medianItems: perUser[perUser.length >> 1] ?? 0,
    items99: perUser[Math.floor(perUser.length * 0.99)] ?? 0,
  };
}
