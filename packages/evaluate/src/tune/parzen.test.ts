import { createRandomStream } from '@recloom/plugin-api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parzenEstimator } from './parzen.js';

/** Density of the standard normal. */
const normal = (z: number): number => Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);

describe('parzenEstimator', () => {
  it('gives the density worked out by hand', () => {
    // Points .2 and .6 on [0, 1], prior at .5: in order .2, .5, .6. Widths: .2 → its only gap .3; .6 → its only gap .1, but no
    // less than 1 / (3 + 1) = .25; the prior as wide as the axis, 1.
    const estimator = parzenEstimator({ kind: 'stretch', low: 0, high: 1, whole: false }, [0.2, 0.6]);
    // Mass of each between 0 and 1: Φ(2.666667) − Φ(−.666667) = .99616962 − .25249254; Φ(1.6) − Φ(−2.4) = .94520071 − .00819754;
    // Φ(.5) − Φ(−.5) = .38292492 (tables of the normal distribution).
    const at = (x: number): number =>
      (normal((x - 0.2) / 0.3) / 0.3 / 0.74367708 + normal((x - 0.6) / 0.25) / 0.25 / 0.93700317 + normal(x - 0.5) / 0.38292492) / 3;
    // At .4: (1.43184 + 1.23668 + 1.03663) / 3.
    expect(Math.exp(estimator.logDensity(0.4))).toBeCloseTo(1.23505, 4);
    for (const x of [0, 0.2, 0.4, 0.6, 0.99]) expect(estimator.logDensity(x)).toBeCloseTo(Math.log(at(x)), 5);
  });

  it('gives the probabilities of a set worked out by hand', () => {
    // Three kernels: uniform, and one per point with shares (1 + 1/3) / 2 of its own and (1/3) / 2 of each other place.
    const estimator = parzenEstimator({ kind: 'set', size: 3 }, [0, 0]);
    expect(Math.exp(estimator.logDensity(0))).toBeCloseTo((1 / 3 + 2 * (2 / 3)) / 3, 12);
    expect(Math.exp(estimator.logDensity(1))).toBeCloseTo((1 / 3 + 2 * (1 / 6)) / 3, 12);
    expect(Math.exp(estimator.logDensity(2))).toBeCloseTo((1 / 3 + 2 * (1 / 6)) / 3, 12);
  });

  it('integrates to one and draws inside, whatever the points', () => {
    const points = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 30 });
    fc.assert(
      fc.property(
        points,
        fc.double({ min: -50, max: 50, noNaN: true }),
        fc.double({ min: 0.01, max: 100, noNaN: true }),
        fc.nat(),
        (shares, low, range, seed) => {
          const axis = { kind: 'stretch', low, high: low + range, whole: false } as const;
          const estimator = parzenEstimator(
            axis,
            shares.map((share) => low + share * range),
          );
          const steps = 2000;
          let sum = 0;
          for (let step = 0; step < steps; step++) sum += Math.exp(estimator.logDensity(low + ((step + 0.5) / steps) * range));
          expect((sum * range) / steps).toBeCloseTo(1, 3);
          const random = createRandomStream(seed);
          for (let draw = 0; draw < 20; draw++) {
            const point = estimator.draw(random);
            expect(point >= low && point < low + range).toBe(true);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('gives whole points whose probabilities add up to one, and draws nothing else', () => {
    const axis = { kind: 'stretch', low: 2.5, high: 9.5, whole: true } as const;
    const estimator = parzenEstimator(axis, [3, 3, 9, 7]);
    const places = [3, 4, 5, 6, 7, 8, 9];
    expect(places.reduce((sum, place) => sum + Math.exp(estimator.logDensity(place)), 0)).toBeCloseTo(1, 6);
    const random = createRandomStream(1);
    const drawn = new Set(Array.from({ length: 500 }, () => estimator.draw(random)));
    expect([...drawn].sort((left, right) => left - right)).toEqual(places);
  });

  it('draws as often as the density says', () => {
    const estimator = parzenEstimator({ kind: 'set', size: 4 }, [1, 1, 1, 2]);
    const random = createRandomStream(7);
    const counts = new Float64Array(4);
    for (let draw = 0; draw < 20_000; draw++) {
      const place = estimator.draw(random);
      counts[place] = (counts[place] as number) + 1 / 20_000;
    }
    for (let place = 0; place < 4; place++) expect(counts[place]).toBeCloseTo(Math.exp(estimator.logDensity(place)), 1);
  });
});
