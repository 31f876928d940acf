import type { TuneDomain } from '@recloom/core';
import { deriveSeed } from '@recloom/plugin-api';
import { type Point, proposePoint, type TriedPoint } from './search.js';

/** A function to make small, with its optimum from the literature. */
export interface TestFunction {
  readonly domains: readonly TuneDomain[];
  readonly minimum: number;
  at(point: Point): number;
}

const number = (from: number, to: number, scale: 'linear' | 'log' = 'linear', integer = false): TuneDomain => ({
  kind: 'number',
  from,
  to,
  integer,
  scale,
});

/** Branin 1972 as in Dixon and Szegö 1978; minimum 0.397887 at (−π, 12.275), (π, 2.275) and (9.42478, 2.475). */
export const branin: TestFunction = {
  domains: [number(-5, 10), number(0, 15)],
  minimum: 0.397887,
  at: ([x, y]) => braninAt(x as number, y as number),
};

export function braninAt(x: number, y: number): number {
  const bend = y - (5.1 / (4 * Math.PI ** 2)) * x ** 2 + (5 / Math.PI) * x - 6;
  return bend ** 2 + 10 * (1 - 1 / (8 * Math.PI)) * Math.cos(x) + 10;
}

const hartmannA = [
  [10, 3, 17, 3.5, 1.7, 8],
  [0.05, 10, 17, 0.1, 8, 14],
  [3, 3.5, 1.7, 10, 17, 8],
  [17, 8, 0.05, 10, 0.1, 14],
];
const hartmannP = [
  [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
  [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
  [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.665],
  [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
];
const hartmannWeights = [1, 1.2, 3, 3.2];

/** Hartmann's six-dimensional function (Dixon and Szegö 1978); minimum −3.32237 at (.20169, .150011, .476874, .275332, .311652, .6573). */
export const hartmann6: TestFunction = {
  domains: Array.from({ length: 6 }, () => number(0, 1)),
  minimum: -3.32237,
  at: (point) =>
    -hartmannWeights.reduce((sum, weight, row) => {
      const distance = point.reduce<number>(
        (total, x, place) => total + (hartmannA[row]?.[place] as number) * ((x as number) - (hartmannP[row]?.[place] as number)) ** 2,
        0,
      );
      return sum + weight * Math.exp(-distance);
    }, 0),
};

/**
 * A mix like that of a pipeline's options: Branin over a broken and a whole number, a log scale with its best at 0.01, and a
 * choice that adds 0, 5 or 10; the minimum 0.43234 lies at y = 12 (worked out on a grid of steps of .001).
 */
export const mixed: TestFunction = {
  domains: [number(-5, 10), number(0, 15, 'linear', true), number(1e-4, 1, 'log'), { kind: 'choice', values: ['a', 'b', 'c', null] }],
  minimum: 0.43234,
  at: ([x, y, rate, choice]) =>
    braninAt(x as number, y as number) +
    3 * (Math.log10(rate as number) + 2) ** 2 +
    { a: 5, b: 0, c: 10 }[(choice ?? 'c') as 'a' | 'b' | 'c'],
};

/** The smallest value after some trials, by TPE or with points that are all random. */
export function searchMinimum(test: TestFunction, seed: number, trials: number, kind: 'tpe' | 'random'): number {
  const tried: TriedPoint[] = [];
  let best = Number.POSITIVE_INFINITY;
  for (let trial = 0; trial < trials; trial++) {
    const options = kind === 'random' ? { randomPoints: trials } : {};
    const point = proposePoint(test.domains, tried, kind === 'random' ? deriveSeed(seed, 'random') : seed, options) as Point;
    const value = test.at(point);
    best = Math.min(best, value);
    tried.push({ point, value: -value });
  }
  return best;
}

/** Mean gap to the optimum over seeds 0 … seeds − 1. */
export function meanGap(test: TestFunction, seeds: number, trials: number, kind: 'tpe' | 'random'): number {
  let sum = 0;
  for (let seed = 0; seed < seeds; seed++) sum += searchMinimum(test, seed * 7919, trials, kind) - test.minimum;
  return sum / seeds;
}
