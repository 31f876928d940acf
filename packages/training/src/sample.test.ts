import { createRandomStream } from '@recloom/plugin-api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { samplePlaces } from './sample.js';

describe('samplePlaces', () => {
  it('gives distinct places of those there are, in order', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(1000)), fc.integer({ min: 1, max: 50 }), fc.integer(), (values, count, seed) => {
        const places = Int32Array.from(values).sort();
        const before = places.slice();
        const sample = samplePlaces(places, count, createRandomStream(seed));
        expect(sample).toHaveLength(Math.min(count, values.length));
        expect([...new Set(sample)]).toEqual([...sample].sort((left, right) => left - right));
        expect([...sample].every((place) => values.includes(place))).toBe(true);
        expect(places).toEqual(before);
      }),
    );
  });

  it('takes every place equally often', () => {
    const places = Int32Array.from({ length: 10 }, (_, place) => place);
    const times = new Int32Array(10);
    for (let seed = 0; seed < 4_000; seed++)
      for (const place of samplePlaces(places, 3, createRandomStream(seed))) times[place] = (times[place] as number) + 1;
    // 1,200 expected each; the standard deviation of a binomial of 4,000 draws at 0.3 is 29.
    for (const count of times) expect(Math.abs(count - 1_200)).toBeLessThan(5 * 29);
  });
});
