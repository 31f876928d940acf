import { type ComponentState, createRandomStream } from '@recloom/plugin-api';
import { singleThreadCompute } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { Concat, fitConcat, ledoitWolf } from './concat.js';
import { gramOf } from './dense.js';
import { batchOf, cosine, extracted, featureOf, queryBatch } from './fixtures.test-support.js';
import { type ConcatOptions, concatOptions } from './options.js';

const compute = singleThreadCompute();
const signal = new AbortController().signal;

type Features = Parameters<typeof batchOf>[0];

async function open(features: Features, given: object = {}): Promise<{ readonly concat: Concat; readonly state: ComponentState }> {
  const options: ConcatOptions = concatOptions.parse(given);
  const state = await fitConcat({ options, features, compute, signal, random: createRandomStream(4), progress: () => {} });
  return { concat: new Concat(options, features, state, compute), state };
}

/** Correlated numbers around a mean, of a given size. */
function cloud(count: number, width: number, scale: number, seed: number): number[][] {
  const random = createRandomStream(seed);
  return Array.from({ length: count }, () => {
    const common = random.normal();
    return Array.from({ length: width }, (_, at) => scale * (5 + (at + 1) * common + random.normal()));
  });
}

describe('Concat', () => {
  it('gives uncorrelated numbers of equal variance, and every feature the length its weight says', async () => {
    const text = featureOf('text', cloud(400, 4, 1, 1));
    // A feature of other scale and width: a thousand times as large.
    const image = featureOf('image', cloud(400, 6, 1000, 2));
    const { concat } = await open([text, image], { shrinkage: 0, weights: { text: 3 } });
    expect(concat.width).toBe(10);
    const rows = (await extracted(concat, batchOf([text, image], [...Array(400).keys()]))) as number[][];
    const covariance = await gramOf(Float32Array.from(rows.flat()), 10, signal);
    covariance.forEach((value, at) => {
      const [row, column] = [Math.floor(at / 10), at % 10];
      if (row < 4 === column < 4) {
        // Shares 3/4 over 4 numbers and 1/4 over 6.
        expect(value / 400).toBeCloseTo(row === column ? (row < 4 ? 0.75 / 4 : 0.25 / 6) : 0, 4);
      }
    });
  });

  it('only centres and turns without whitening', async () => {
    const text = featureOf('text', cloud(200, 3, 1, 3));
    const { concat } = await open([text], { whitening: 0 });
    const rows = (await extracted(concat, batchOf([text], [0, 1, 2]))) as number[][];
    const distance = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
      Math.hypot(...Array.from(a, (value, at) => value - (b[at] as number)));
    const input = (row: number): Float32Array => text.values.subarray(row * 3, row * 3 + 3);
    // Distances keep their proportions.
    const first = distance(rows[0] as number[], rows[1] as number[]) / distance(input(0), input(1));
    const second = distance(rows[0] as number[], rows[2] as number[]) / distance(input(0), input(2));
    expect(first).toBeCloseTo(second, 4);
  });

  it('keeps the strongest directions when told so', async () => {
    const text = featureOf('text', cloud(300, 5, 1, 6));
    const { concat } = await open([text], { widths: { text: 1 } });
    expect(concat.width).toBe(1);
    const rows = (await extracted(concat, batchOf([text], [...Array(300).keys()]))) as number[][];
    // The common part is in every number, (at + 1) strong: the first direction is the weighted sum of them.
    const sums = [...Array(300).keys()].map((row) =>
      [1, 2, 3, 4, 5].reduce((sum, weight, at) => sum + weight * (text.values[row * 5 + at] as number), 0),
    );
    const mean = sums.reduce((sum, value) => sum + value, 0) / 300;
    expect(
      Math.abs(
        cosine(
          rows.flat(),
          sums.map((value) => value - mean),
        ),
      ),
    ).toBeGreaterThan(0.99);
  });

  it('gives the mean direction for what is missing, and leaves the other features alone', async () => {
    const text = featureOf('text', cloud(50, 3, 1, 7));
    const image = featureOf(
      'image',
      cloud(50, 2, 1, 8).map((row, place) => (place % 2 === 0 ? null : row)),
    );
    const { concat } = await open([text, image]);
    const [lacking, whole] = (await extracted(concat, batchOf([text, image], [0, 1]))) as number[][];
    expect(lacking?.slice(3)).toEqual([0, 0]);
    const bare = featureOf(
      'image',
      cloud(50, 2, 1, 8).map(() => null),
      2,
    );
    const [again] = (await extracted(concat, batchOf([text, bare], [1]))) as number[][];
    expect(again?.slice(0, 3)).toEqual(whole?.slice(0, 3));
    const none = featureOf('text', [null], 3);
    expect(await extracted(concat, batchOf([none, bare], [0]))).toEqual([null]);
    // The same map at query scope.
    expect(await extracted(concat, queryBatch([text, image], [1]))).toEqual([whole]);
  });

  it('marks an item absent whose only feature is the same for everybody', async () => {
    const text = featureOf('text', [
      [1, 2],
      [1, 2],
      [1, 2],
    ]);
    const { concat } = await open([text]);
    expect(await extracted(concat, batchOf([text], [0]))).toEqual([null]);
  });

  it('fits a catalogue that lacks a feature altogether, and a sample of a large one', async () => {
    const text = featureOf('text', cloud(60, 3, 1, 9));
    const image = featureOf(
      'image',
      cloud(60, 3, 1, 9).map(() => null),
      2,
    );
    const { concat } = await open([text, image], { maximumRows: 20 });
    expect((await extracted(concat, batchOf([text, image], [0])))[0]?.slice(3)).toEqual([0, 0]);
    const { state } = await open([text, image], { maximumRows: 20 });
    const { state: again } = await open([text, image], { maximumRows: 20 });
    expect(state).toEqual(again);
  });

  it('refuses widths of a feature that is not given', async () => {
    await expect(open([featureOf('text', [[1, 2]])], { widths: { picture: 2 } })).rejects.toMatchObject({ code: 'MULTIMODAL_FEATURES' });
  });
});

describe('ledoitWolf', () => {
  it('is near 1 where only noise tells directions apart, and near 0 where the data speak', async () => {
    const draw = async (count: number, scales: readonly number[]): Promise<number> => {
      const random = createRandomStream(count);
      const rows = Float32Array.from(
        { length: count * scales.length },
        (_, at) => random.normal() * (scales[at % scales.length] as number),
      );
      const covariance = (await gramOf(rows, scales.length, signal)).map((value) => value / count);
      return ledoitWolf(rows, scales.length, covariance);
    };
    expect(await draw(2000, [1, 1, 1, 1])).toBeGreaterThan(0.5);
    expect(await draw(2000, [1, 2, 4, 8])).toBeLessThan(0.01);
    expect(await draw(6, [1, 2, 4, 8])).toBeGreaterThan(await draw(2000, [1, 2, 4, 8]));
  });

  it('is what the formula gives by hand', () => {
    // Rows (1, 0), (−1, 0), (0, 2), (0, −2): S = diag(.5, 2), m = 1.25, d² = (.25 + 4) / 2 − 1.5625 = .5625;
    // |x|⁴: 1, 1, 16, 16, mean 8.5; b̄² = (8.5 − 4.25) / 4 / 2 = .53125; .53125 / .5625.
    const rows = Float32Array.of(1, 0, -1, 0, 0, 2, 0, -2);
    expect(ledoitWolf(rows, 2, Float64Array.of(0.5, 0, 0, 2))).toBeCloseTo(0.53125 / 0.5625, 12);
  });
});
