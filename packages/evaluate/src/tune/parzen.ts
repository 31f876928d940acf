import type { RandomStream } from '@recloom/plugin-api';

/** An axis of the search as Parzen estimators see it. */
export type Axis =
  /** A stretch of numbers; with `step` only its multiples counted from `low + step / 2` can come out (whole numbers and places in a list). */
  | { readonly kind: 'stretch'; readonly low: number; readonly high: number; readonly whole: boolean }
  /** Places 0 … size − 1 without an order. */
  | { readonly kind: 'set'; readonly size: number };

/** A density over an axis that can be drawn from. */
export interface ParzenEstimator {
  /** Natural logarithm of the density at a point; of its probability where points are whole. */
  logDensity(point: number): number;
  draw(random: RandomStream): number;
}

/** The Parzen estimator of an axis from the points seen on it. */
export function parzenEstimator(axis: Axis, points: readonly number[]): ParzenEstimator {
  return axis.kind === 'set' ? setEstimator(axis.size, points) : stretchEstimator(axis, points);
}

/**
 * A mixture with equal weights of one normal per point and one as wide as the axis at its middle (the prior), each cut off
 * at the ends. A normal is as wide as the larger distance to its neighbours among the points and the middle, but no
 * narrower than range / min(100, points + 2) and no wider than the range (Bergstra 2011, §4.1; the clipping is hyperopt's,
 * called "magic clip" in Watanabe 2023). On a whole axis a point's probability is the mass of [point − ½, point + ½].
 */
function stretchEstimator(axis: Axis & { readonly kind: 'stretch' }, points: readonly number[]): ParzenEstimator {
  const { low, high, whole } = axis;
  const range = high - low;
  const middle = low + range / 2;
  const places = [...points, middle];
  const order = places.map((_, index) => index).sort((left, right) => (places[left] as number) - (places[right] as number) || left - right);
  const narrowest = range / Math.min(100, places.length + 1);
  const widths = new Float64Array(places.length);
  for (const [rank, index] of order.entries()) {
    const here = places[index] as number;
    const before = order[rank - 1];
    const after = order[rank + 1];
    const left = before === undefined ? 0 : here - (places[before] as number);
    const right = after === undefined ? 0 : (places[after] as number) - here;
    widths[index] = Math.min(range, Math.max(narrowest, left, right));
  }
  widths[places.length - 1] = range;
  // Of each normal only the mass between the ends counts.
  const masses = places.map((place, index) => normalMass(low, high, place, widths[index] as number));
  const density = (point: number): number => {
    let sum = 0;
    for (const [index, place] of places.entries()) {
      const width = widths[index] as number;
      const part = whole
        ? normalMass(Math.max(low, point - 0.5), Math.min(high, point + 0.5), place, width)
        : Math.exp(-0.5 * ((point - place) / width) ** 2) / (width * Math.sqrt(2 * Math.PI));
      sum += part / (masses[index] as number);
    }
    return sum / places.length;
  };
  return {
    logDensity: (point) => Math.log(Math.max(density(point), Number.MIN_VALUE)),
    draw: (random) => {
      const index = random.integer(places.length);
      for (;;) {
        const point = (places[index] as number) + (widths[index] as number) * random.normal();
        if (point < low || point >= high) continue;
        return whole ? Math.min(high - 0.5, Math.max(low + 0.5, Math.round(point))) : point;
      }
    },
  };
}

/**
 * A mixture with equal weights of the uniform distribution (the prior) and, per point, a kernel that gives its own place
 * 1 + 1/m and the others 1/m, over their sum, where m is the number of kernels (Watanabe 2023, §3.3.3).
 */
function setEstimator(size: number, points: readonly number[]): ParzenEstimator {
  const kernels = points.length + 1;
  const probabilities = new Float64Array(size).fill(1 / size / kernels);
  for (const point of points) {
    for (let place = 0; place < size; place++) {
      const share = ((place === point ? 1 : 0) + 1 / kernels) / (1 + size / kernels);
      probabilities[place] = (probabilities[place] as number) + share / kernels;
    }
  }
  return {
    logDensity: (point) => Math.log(probabilities[point] as number),
    draw: (random) => {
      let left = random.next();
      for (let place = 0; place < size - 1; place++) {
        left -= probabilities[place] as number;
        if (left < 0) return place;
      }
      return size - 1;
    },
  };
}

function normalMass(from: number, to: number, mean: number, width: number): number {
  return Math.max(Number.MIN_VALUE, normalShare((to - mean) / width) - normalShare((from - mean) / width));
}

/** Share of the standard normal below z: ½ erfc(−z / √2) by the Chebyshev fit of Press et al. (Numerical Recipes, erfccheb), error below 1.2e-7. */
function normalShare(z: number): number {
  const x = Math.abs(z) / Math.SQRT2;
  const t = 1 / (1 + 0.5 * x);
  const tail =
    t *
    Math.exp(
      -x * x -
        1.26551223 +
        t *
          (1.00002368 +
            t *
              (0.37409196 +
                t *
                  (0.09678418 +
                    t * (-0.18628806 + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277)))))))),
    );
  return z > 0 ? 1 - tail / 2 : tail / 2;
}
