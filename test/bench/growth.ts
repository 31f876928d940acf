// Fit and request time as a shop grows: users to 8×, items to 4× for EASE, on made-up shops with the skew of Online Retail.
import { type Dataset, openPipeline, type Pipeline } from '@recloom/core';
import { summarise, type Timing, timed, uniformSource } from './measure.js';
import { readOnlineRetail, root } from './online-retail.js';
import type { SuiteOptions } from './suites.js';
import { fitSkew, type Inequality, inequalityOf, makeShop, type Skew } from './synthetic.js';

/** One size and the median of what it took there. */
export interface GrowthPoint {
  readonly size: number;
  readonly value: number;
}

/** What one component took, by size. */
export interface GrowthSeries {
  readonly name: string;
  readonly points: readonly GrowthPoint[];
}

/** The growth of a shop. */
export interface Growth {
  readonly skew: Skew;
  readonly real: Inequality;
  /** The made-up shops of growing numbers of users. */
  readonly users: readonly Inequality[];
  /** The made-up shops of growing numbers of items. */
  readonly items: readonly Inequality[];
  /** Seconds of CPU time of a fit (from a dataset in memory to an open component), by users. */
  readonly fits: readonly GrowthSeries[];
  /** Milliseconds of CPU time of a request (300 candidates, the best ten), by users. */
  readonly requests: readonly GrowthSeries[];
  /** Seconds of CPU time of EASE's fit, by items. */
  readonly itemFits: readonly GrowthSeries[];
  readonly rounds: number;
}

interface Contender {
  readonly name: string;
  readonly use: string;
  readonly with: Readonly<Record<string, unknown>>;
  /** Requests that are timed at each size and round; half as many go before them. */
  readonly requests: number;
  /** Fitted in the first counted round alone, and not to warm up: a fit takes minutes. */
  readonly once?: boolean;
}

const ease: Contender = {
  name: 'EASE',
  use: 'collaborative-linear/ease',
  with: { lambda: 100, recencyDays: 30, keep: 200, negativeWeights: false },
  requests: 1_000,
};

/** The components that learn from behaviour. */
const contenders: readonly Contender[] = [
  ease,
  { name: 'item-kNN', use: 'collaborative-neighbours/item-knn', with: { recencyDays: 30 }, requests: 1_000 },
  {
    name: 'transitions',
    use: 'sequence/transitions',
    with: { recencyDays: 30, window: 20, gamma: 0.95, historyDecay: 0.98 },
    requests: 1_000,
  },
  { name: 'user-kNN', use: 'collaborative-neighbours/user-knn', with: {}, requests: 200 },
  { name: 'iALS', use: 'collaborative-factors/ials', with: {}, requests: 200 },
  { name: 'next purchase', use: 'collaborative-linear/next-purchase', with: {}, requests: 1_000 },
  { name: 'sequence network', use: 'sequence/network', with: { epochs: 2, validationUsers: 0 }, requests: 200, once: true },
  { name: 'buying again', use: 'repeat/again', with: {}, requests: 1_000 },
  { name: 'bought together', use: 'graph/related', with: { relation: 'bought-together', by: 'npmi' }, requests: 1_000 },
  { name: 'PageRank', use: 'graph/pagerank', with: {}, requests: 50 },
  { name: 'recent', use: 'popularity/recent', with: { decayDays: 5 }, requests: 1_000 },
];

function open(contender: Contender, dataset: Dataset): Promise<Pipeline> {
  return openPipeline(
    {
      format: '1.0',
      name: 'bench-growth',
      data: { now: 'data' },
      components: { model: { use: contender.use, with: contender.with } },
      surfaces: { home: { sources: { model: 300 }, limits: { timeoutMs: 600_000 } } },
    },
    { dataset, directory: root },
  );
}

/** Measures it all: sizes take turns, round after round. */
export async function benchGrowth({ quick }: SuiteOptions): Promise<Growth> {
  const real = await readOnlineRetail(['events']);
  const skew = fitSkew(real.history);
  const realInequality = inequalityOf(real.history);
  const factors = quick ? [1, 2] : [1, 2, 4, 8];
  const itemSizes = quick ? [500, 1_000] : [1_000, 2_000, 4_000];
  const rounds = quick ? 1 : 3;
  const byUsers: Dataset[] = [];
  for (const factor of factors)
    byUsers.push(await makeShop(skew, { users: realInequality.users * factor, items: realInequality.items }, factor));
  const byItems: Dataset[] = [];
  for (const items of itemSizes) byItems.push(await makeShop(skew, { users: realInequality.users, items }, items));

  const fits = new Tally(contenders, byUsers.length);
  const requests = new Tally(contenders, byUsers.length);
  for (let round = -1; round < rounds; round++) {
    // The round that warms the code up needs the smallest shop only.
    for (const [place, dataset] of (round < 0 ? byUsers.slice(0, 1) : byUsers).entries()) {
      for (const contender of contenders) {
        if (contender.once === true && round !== 0) continue;
        let pipeline: Pipeline | undefined;
        const fit = await timed(async () => {
          pipeline = await open(contender, dataset);
        });
        const asked = await timeRequests(pipeline as unknown as Pipeline, dataset, contender.requests, round);
        await (pipeline as unknown as Pipeline).close();
        if (round < 0) continue;
        fits.add(contender, place, fit);
        requests.add(contender, place, asked);
      }
    }
  }
  const itemFits = new Tally([ease], byItems.length);
  for (let round = 0; round < rounds; round++)
    for (const [place, dataset] of byItems.entries())
      itemFits.add(ease, place, await timed(async () => (await open(ease, dataset)).close()));

  const userShops = byUsers.map((dataset) => inequalityOf(dataset.history));
  const itemShops = byItems.map((dataset) => inequalityOf(dataset.history));
  const userCounts = userShops.map((shop) => shop.users);
  return {
    skew,
    real: realInequality,
    users: userShops,
    items: itemShops,
    fits: fits.series(userCounts, 1e-3),
    requests: requests.series(userCounts, 1),
    itemFits: itemFits.series(
      itemShops.map((shop) => shop.items),
      1e-3,
    ),
    rounds,
  };
}

/** CPU time per request of people drawn at random, after half as many that are not counted. */
async function timeRequests(pipeline: Pipeline, dataset: Dataset, count: number, round: number): Promise<Timing> {
  const uniform = uniformSource(1_000 + round);
  const ask = (): Promise<unknown> =>
    pipeline.recommend({ user: dataset.users.idOf(Math.floor(uniform() * dataset.users.rowCount)), limit: 10 });
  await timed(ask, Math.ceil(count / 2));
  return timed(ask, count);
}

/** Timings by contender and size. */
class Tally {
  readonly #timings: ReadonlyMap<string, readonly Timing[][]>;

  constructor(names: readonly Contender[], sizes: number) {
    this.#timings = new Map(names.map(({ name }) => [name, Array.from({ length: sizes }, () => [])]));
  }

  add({ name }: Contender, place: number, timing: Timing): void {
    this.#timings.get(name)?.[place]?.push(timing);
  }

  /** Medians of CPU milliseconds, times `scale`. */
  series(sizes: readonly number[], scale: number): GrowthSeries[] {
    return Array.from(this.#timings, ([name, bySize]) => ({
      name,
      points: bySize.map((timings, place) => ({ size: sizes[place] as number, value: summarise(timings).cpuMs.median * scale })),
    }));
  }
}
