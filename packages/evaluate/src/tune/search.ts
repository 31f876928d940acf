import type { TuneDomain, TuneValue } from '@recloom/core';
import { createRandomStream, deriveSeed, type RandomStream } from '@recloom/plugin-api';
import { type Axis, parzenEstimator } from './parzen.js';

/** A value for each parameter, in their order; undefined = not set (only a start config has such). */
export type Point = readonly (TuneValue | undefined)[];

/** A point that was tried. Undefined value: it could not be scored, which counts as bad. */
export interface TriedPoint {
  readonly point: Point;
  readonly value: number | undefined;
}

/** Where a search begins, and when its model takes over from chance. */
export interface SearchOptions {
  /** A point that is good already: every other of the random points is drawn near it. */
  readonly start?: Point;
  /** Points drawn at random before the model begins; default 10. */
  readonly randomPoints?: number;
  /** Draws of which the most promising is proposed, per parameter; default 24. */
  readonly candidates?: number;
}

/** How often another point is drawn in place of one that was tried. */
const redraws = 100;

/**
 * The next point of a search for large values: TPE (Bergstra 2011), each parameter by itself. The tried points are parted
 * into the best tenth (rounded up, at most 25) and the others; candidates are drawn from the Parzen estimator of the best,
 * and the one most likely among the best and least among the others is taken. A pure function of its arguments: the
 * randomness of point `tried.length` comes from the seed and that number alone.
 *
 * @returns undefined when every point of a finite space was tried
 */
export function proposePoint(
  domains: readonly TuneDomain[],
  tried: readonly TriedPoint[],
  seed: number,
  options: SearchOptions = {},
): Point | undefined {
  const random = createRandomStream(deriveSeed(seed, `trial ${tried.length}`));
  const known = new Set(tried.map(({ point }) => keyOf(point)));
  if (sizeOf(domains) <= countInside(domains, tried)) return undefined;
  const scales = domains.map(scaleOf);
  const uniform = (): Point => scales.map((scale) => scale.fromAxis(drawUniform(scale.axis, random)));
  if (tried.length < (options.randomPoints ?? 10)) {
    const { start } = options;
    const near = (): Point => scales.map((scale, place) => scale.fromAxis(drawNear(scale.axis, scale.toAxis(start?.[place]), random)));
    const draw = start !== undefined && tried.length % 2 === 0 ? near : uniform;
    return firstNew(draw, known) ?? firstNew(uniform, known) ?? firstUntried(domains, known);
  }
  const { good, bad } = part(tried);
  const axes = scales.map((scale, place) => {
    const on = (points: readonly TriedPoint[]): number[] =>
      points.flatMap(({ point }) => {
        const at = scale.toAxis(point[place]);
        return at === undefined ? [] : [at];
      });
    return { scale, good: parzenEstimator(scale.axis, on(good)), bad: parzenEstimator(scale.axis, on(bad)) };
  });
  const modelled = (): Point =>
    axes.map((axis) => {
      let best = 0;
      let bestGain = Number.NEGATIVE_INFINITY;
      for (let draw = 0; draw < (options.candidates ?? 24); draw++) {
        const at = axis.good.draw(random);
        const gain = axis.good.logDensity(at) - axis.bad.logDensity(at);
        if (gain > bestGain) {
          bestGain = gain;
          best = at;
        }
      }
      return axis.scale.fromAxis(best);
    });
  return firstNew(modelled, known) ?? firstNew(uniform, known) ?? firstUntried(domains, known);
}

/** A text that is the same for the same point. */
export function keyOf(point: Point): string {
  return JSON.stringify(point.map((value) => (value === undefined ? { unset: true } : value)));
}

/** Good are the best ⌈n / 10⌉, at most 25; ties go to the earlier point. */
function part(tried: readonly TriedPoint[]): { readonly good: readonly TriedPoint[]; readonly bad: readonly TriedPoint[] } {
  const worst = Number.NEGATIVE_INFINITY;
  const order = tried.map((_, index) => index);
  order.sort((left, right) => (tried[right]?.value ?? worst) - (tried[left]?.value ?? worst) || left - right);
  const count = Math.min(25, Math.ceil(tried.length / 10));
  const chosen = new Set(order.slice(0, count));
  return { good: tried.filter((_, index) => chosen.has(index)), bad: tried.filter((_, index) => !chosen.has(index)) };
}

function firstNew(draw: () => Point, known: ReadonlySet<string>): Point | undefined {
  for (let round = 0; round < redraws; round++) {
    const point = draw();
    if (!known.has(keyOf(point))) return point;
  }
  return undefined;
}

/** How many points there are; infinite with a broken number among the parameters. */
function sizeOf(domains: readonly TuneDomain[]): number {
  let size = 1;
  for (const domain of domains) {
    if (domain.kind === 'choice') size *= domain.values.length;
    else size *= domain.integer ? Math.floor(domain.to) - Math.ceil(domain.from) + 1 : Number.POSITIVE_INFINITY;
  }
  return size;
}

/** Different tried points that are points of the space: a start config need not be one. */
function countInside(domains: readonly TuneDomain[], tried: readonly TriedPoint[]): number {
  const inside = tried.filter(({ point }) => domains.every((domain, place) => isInside(domain, point[place])));
  return new Set(inside.map(({ point }) => keyOf(point))).size;
}

function isInside(domain: TuneDomain, value: TuneValue | undefined): boolean {
  if (domain.kind === 'choice') return value !== undefined && domain.values.includes(value);
  return typeof value === 'number' && value >= domain.from && value <= domain.to && (!domain.integer || Number.isInteger(value));
}

/** In a finite space that is nearly used up draws hardly find what is left: it is looked up. */
function firstUntried(domains: readonly TuneDomain[], known: ReadonlySet<string>): Point | undefined {
  const lists = domains.map((domain): readonly TuneValue[] | undefined => {
    if (domain.kind === 'choice') return domain.values;
    if (!domain.integer) return undefined;
    const first = Math.ceil(domain.from);
    return Array.from({ length: Math.floor(domain.to) - first + 1 }, (_, step) => first + step);
  });
  const point: TuneValue[] = [];
  const visit = (place: number): Point | undefined => {
    const list = lists[place];
    if (place === domains.length) return known.has(keyOf(point)) ? undefined : [...point];
    for (const value of list ?? []) {
      point[place] = value;
      const found = visit(place + 1);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return visit(0);
}

interface Scale {
  readonly axis: Axis;
  /** Undefined for what is no point of the axis. */
  toAxis(value: TuneValue | undefined): number | undefined;
  fromAxis(at: number): TuneValue;
}

/** A parameter as an axis: a log scale by its logarithm, a sorted list of three or more numbers by its places, other lists as a set. */
function scaleOf(domain: TuneDomain): Scale {
  if (domain.kind === 'choice') {
    const { values } = domain;
    const ordered =
      values.length >= 3 &&
      values.every((value, place) => typeof value === 'number' && (place === 0 || value > (values[place - 1] as number)));
    const axis: Axis = ordered
      ? { kind: 'stretch', low: -0.5, high: values.length - 0.5, whole: true }
      : { kind: 'set', size: values.length };
    return {
      axis,
      toAxis: (value) => {
        const place = value === undefined ? -1 : values.indexOf(value);
        return place < 0 ? undefined : place;
      },
      fromAxis: (at) => values[at] as TuneValue,
    };
  }
  const { from, to, integer, scale } = domain;
  const log = scale === 'log';
  if (integer && !log) {
    return {
      axis: { kind: 'stretch', low: from - 0.5, high: to + 0.5, whole: true },
      toAxis: (value) => (isInside(domain, value) ? (value as number) : undefined),
      fromAxis: (at) => at,
    };
  }
  // A whole number on a log scale stands for all that rounds to it.
  const low = log ? Math.log(integer ? from - 0.5 : from) : from;
  const high = log ? Math.log(integer ? to + 0.5 : to) : to;
  return {
    axis: { kind: 'stretch', low, high, whole: false },
    toAxis: (value) => {
      if (typeof value !== 'number' || value < from || value > to) return undefined;
      return log ? Math.log(value) : value;
    },
    fromAxis: (at) => {
      const value = log ? Math.exp(at) : at;
      return Math.min(to, Math.max(from, integer ? Math.round(value) : rounded(value, to - from, log)));
    },
  };
}

/** Numbers are tried as they will be written: four digits of the value on a log scale, of the range on a linear one. */
function rounded(value: number, range: number, log: boolean): number {
  if (log) return Number(value.toPrecision(4));
  const digits = Math.max(0, Math.min(15, 4 - Math.ceil(Math.log10(range))));
  return Number(value.toFixed(digits));
}

/** Share of a range that is the standard deviation of draws near a start. */
const nearWidth = 1 / 8;

/** A place near another: a normal an eighth of the range wide, cut off at the ends; of a set, the same place two times in three. */
function drawNear(axis: Axis, at: number | undefined, random: RandomStream): number {
  if (at === undefined) return drawUniform(axis, random);
  if (axis.kind === 'set') return random.next() < 2 / 3 ? at : random.integer(axis.size);
  for (;;) {
    const place = at + (axis.high - axis.low) * nearWidth * random.normal();
    if (place >= axis.low && place < axis.high)
      return axis.whole ? Math.min(axis.high - 0.5, Math.max(axis.low + 0.5, Math.round(place))) : place;
  }
}

function drawUniform(axis: Axis, random: RandomStream): number {
  if (axis.kind === 'set') return random.integer(axis.size);
  if (!axis.whole) return axis.low + (axis.high - axis.low) * random.next();
  return axis.low + 0.5 + random.integer(Math.round(axis.high - axis.low));
}
