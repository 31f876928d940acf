import type { Ranker } from '@recloom/plugin-api';
import { featureMatrix, openComponent, rankedList } from '@recloom/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mmr } from './index.js';

const signal = new AbortController().signal;

/** Unit vectors at the given angles in degrees: their cosines are the cosines of the differences. */
function atAngles(degrees: readonly number[], presence?: readonly number[]) {
  return featureMatrix(
    'text',
    2,
    degrees.flatMap((angle) => [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)]),
    presence,
  );
}

async function rank(
  options: object,
  vectors: ReturnType<typeof featureMatrix>,
  values: readonly number[],
  more: { limit?: number; diversity?: number } = {},
): Promise<number[]> {
  const ranker = await openComponent<Ranker>(mmr, { options, inputs: { vectors } });
  const request = more.diversity === undefined ? {} : { diversity: more.diversity };
  const rows = values.map((_, row) => row);
  return [...(await ranker.rank(rankedList(rows, values, { request, limit: more.limit ?? values.length }), signal))];
}

/** The definition, written down as it stands in the paper: recomputes everything at every step. */
function plainMmr(degrees: readonly number[], values: readonly number[], lambda: number, limit: number, window: number): number[] {
  const low = Math.min(...values);
  const range = Math.max(...values) - low;
  const left = values.map((_, place) => place);
  const order: number[] = [];
  while (order.length < Math.min(limit, values.length)) {
    const marginal = left.map((place) => {
      const cosines = order.slice(-window).map((other) => Math.cos((((degrees[place] ?? 0) - (degrees[other] ?? 0)) * Math.PI) / 180));
      const relevance = range > 0 ? ((values[place] ?? 0) - low) / range : 1;
      return lambda * relevance - (1 - lambda) * (cosines.length === 0 ? 0 : Math.max(...cosines));
    });
    // Float32 cosines make near ties; take the first within their precision, as the tests below avoid closer calls.
    const best = marginal.indexOf(Math.max(...marginal));
    order.push(...left.splice(best, 1));
  }
  return [...order, ...left];
}

describe('mmr', () => {
  it('trades value against similarity; by hand', async () => {
    // Values 1, .9, .5, 0 are their own minmax. Angles 0°, 10°, 90°, 60°; lambda .5.
    // Place 1: a (.5). Then b: .45 − .5·cos 10° = −.042; c: .25 − 0 = .25; d: 0 − .5·cos 60° = −.25 → c.
    // Then b: −.042 (cos 10° > cos 80°); d: −.5·cos 30° = −.433 → b; then d.
    expect(await rank({ lambda: 0.5 }, atAngles([0, 10, 90, 60]), [1, 0.9, 0.5, 0])).toEqual([0, 2, 1, 3]);
  });

  it('lambda 1 keeps the order, lambda 0 goes for the farthest', async () => {
    const vectors = atAngles([0, 10, 90, 60]);
    expect(await rank({ lambda: 1 }, vectors, [1, 0.9, 0.5, 0])).toEqual([0, 1, 2, 3]);
    // First tie → a; then the smallest cosine to a: c (90°). Then b: max(cos 10°, cos 80°) = .985; d: max(.5, .866) = .866 → d.
    expect(await rank({ lambda: 0 }, vectors, [1, 0.9, 0.5, 0])).toEqual([0, 2, 3, 1]);
  });

  it("a request's diversity overrides lambda, within [0, 1]", async () => {
    const vectors = atAngles([0, 10, 90, 60]);
    const values = [1, 0.9, 0.5, 0];
    expect(await rank({ lambda: 0.5 }, vectors, values, { diversity: 0 })).toEqual([0, 1, 2, 3]);
    expect(await rank({ lambda: 1 }, vectors, values, { diversity: 1 })).toEqual([0, 2, 3, 1]);
    expect(await rank({ lambda: 1 }, vectors, values, { diversity: 7 })).toEqual([0, 2, 3, 1]);
    expect(await rank({ lambda: 0.5 }, vectors, values, { diversity: Number.NaN })).toEqual([0, 2, 1, 3]);
  });

  it('with a window, a theme may come back', async () => {
    // Two themes at 0° and 90°, values almost equal, lambda 0.2: with all places both are used up after two.
    const degrees = [0, 1, 90, 91];
    const values = [1, 0.99, 0.98, 0];
    // Window 1: after a (0°) the 90° theme is new: c; after c only 90° counts, so 1° is new again: b; then d.
    expect(await rank({ lambda: 0.2, window: 1 }, atAngles(degrees), values)).toEqual([0, 2, 1, 3]);
    expect(await rank({ lambda: 0.2, window: 1 }, atAngles(degrees), [1, 0.1, 0.98, 0.5])).toEqual([0, 2, 1, 3]);
    // Without a window d (value .5, cos 1° to c) beats b (value .1, cos 1° to a).
    expect(await rank({ lambda: 0.2 }, atAngles(degrees), [1, 0.1, 0.98, 0.5])).toEqual([0, 2, 3, 1]);
  });

  it('arranges the places asked for; the rest follows in its order', async () => {
    expect(await rank({ lambda: 0.5 }, atAngles([0, 1, 2, 90, 91]), [5, 4, 3, 2, 1], { limit: 2 })).toEqual([0, 3, 1, 2, 4]);
  });

  it('an item without a vector is like nothing; rows beyond the feature have none', async () => {
    // b has no vector: .45 − 0 beats c: .25 − .5·cos 30°.
    expect(await rank({ lambda: 0.5 }, atAngles([0, 0, 30], [1, 0, 1]), [1, 0.9, 0.5])).toEqual([0, 1, 2]);
    expect(await rank({ lambda: 0.5 }, atAngles([0, 0]), [1, 0.9, 0.5])).toEqual([0, 2, 1]);
  });

  it('lengths of vectors do not matter, and values that are not finite come last', async () => {
    const long = featureMatrix('text', 2, [1, 0, 900, 0, 0, 0.001]);
    expect(await rank({ lambda: 0.5 }, long, [1, 0.9, 0.5])).toEqual([0, 2, 1]);
    expect(await rank({ lambda: 0.5 }, atAngles([0, 1, 90, 45]), [1, 0.9, 0.5, Number.NEGATIVE_INFINITY])).toEqual([0, 2, 1, 3]);
    expect(await rank({ lambda: 0.5 }, atAngles([0, 1]), [Number.NaN, Number.NaN])).toEqual([0, 1]);
  });

  it('equals the definition on random lists', async () => {
    await fc.assert(
      fc.asyncProperty(
        // Whole degrees and values on a grid that no combination of cosines hits, so that no two marginals nearly tie.
        fc.uniqueArray(fc.integer({ min: 0, max: 179 }), { minLength: 1, maxLength: 14 }),
        fc.double({ min: 0.05, max: 0.95, noNaN: true }),
        fc.integer({ min: 1, max: 14 }),
        fc.integer({ min: 1, max: 14 }),
        fc.integer({ min: 0, max: 1_000_000 }),
        async (degrees, lambda, limit, window, seed) => {
          const values = degrees.map((_, place) => (degrees.length - place) * 3 + Math.sin(seed + place * place) * 1.3);
          const expected = plainMmr(degrees, values, lambda, limit, window);
          const found = await rank({ lambda, window }, atAngles(degrees), values, { limit });
          const gain = (order: readonly number[]): number[] =>
            marginals(order, degrees, values, lambda, Math.min(limit, values.length), window);
          if (expected.join() === found.join()) return;
          // A near tie decided by float32: then both orders must be greedy to float32's precision.
          gain(found).forEach((lost) => expect(lost).toBeLessThan(1e-5));
        },
      ),
      { numRuns: 150 },
    );
  });
});

/** At each arranged place: how much better the best choice would have been. 0 for a perfectly greedy order. */
function marginals(
  order: readonly number[],
  degrees: readonly number[],
  values: readonly number[],
  lambda: number,
  limit: number,
  window: number,
): number[] {
  const low = Math.min(...values);
  const range = Math.max(...values) - low;
  const marginal = (place: number, placed: readonly number[]): number => {
    const cosines = placed.slice(-window).map((other) => Math.cos((((degrees[place] ?? 0) - (degrees[other] ?? 0)) * Math.PI) / 180));
    const relevance = range > 0 ? ((values[place] ?? 0) - low) / range : 1;
    return lambda * relevance - (1 - lambda) * (cosines.length === 0 ? 0 : Math.max(...cosines));
  };
  return Array.from({ length: limit }, (_, position) => {
    const placed = order.slice(0, position);
    const best = Math.max(...order.slice(position).map((place) => marginal(place, placed)));
    return best - marginal(order[position] ?? -1, placed);
  });
}
