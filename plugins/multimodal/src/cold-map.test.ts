import { createRandomStream, type HistoryStore, type Warning } from '@recloom/plugin-api';
import { historyFrom, singleThreadCompute, tableFrom } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { ColdMap, fitColdMap, kernelRidge, lambdaGrid } from './cold-map.js';
import { batchOf, cosine, dot, extracted, featureOf, queryBatch } from './fixtures.test-support.js';
import { coldMapOptions } from './options.js';

const compute = singleThreadCompute();
const signal = new AbortController().signal;
const work = { compute, signal };
type Features = Parameters<typeof batchOf>[0];

async function fit(features: Features, history: HistoryStore, given: object = {}) {
  const options = coldMapOptions.parse(given);
  const warnings: Warning[] = [];
  const state = await fitColdMap({
    options,
    features,
    history,
    asOfMs: 0,
    compute,
    random: createRandomStream(6),
    signal,
    progress: () => {},
    warn: (warning) => warnings.push(warning),
  });
  const items = tableFrom(Array.from({ length: history.itemCount + 5 }, (_, row) => `item-${row}`));
  return { map: new ColdMap(options, features, state, items, compute), warnings, state };
}

describe('kernelRidge', () => {
  it('solves a system that is known by hand', async () => {
    // K = [[1, .5], [.5, 1]], λ = 1: (K + I)⁻¹ = [[2, −.5], [−.5, 2]] / 3.75. Targets (1, 0).
    const ridge = await kernelRidge(Float32Array.of(1, 0.5, 0.5, 1), 2, Float32Array.of(1, 0), 1, [1], [1, 1], [1], work);
    expect([...ridge.coefficients]).toEqual([expect.closeTo(2 / 3.75, 6), expect.closeTo(-0.5 / 3.75, 6)]);
    // Without row 0, row 1 predicts .5 × 0 / 2 = 0 for it: off by 1. Without row 1, row 0 predicts .5 × 1 / 2 for it: off by .25.
    expect(ridge.errors.get(1)).toBeCloseTo(1 + 0.25 ** 2, 5);
  });

  it('has the leave-one-out error that leaving each row out gives, and takes the penalty of the least', async () => {
    const random = createRandomStream(9);
    const size = 12;
    const points = Array.from({ length: size }, () => [random.normal(), random.normal(), random.normal()]);
    const kernelOf = (a: readonly number[], b: readonly number[]): number => cosine(a, b) ** 2;
    const kernel = Float32Array.from({ length: size * size }, (_, at) =>
      kernelOf(points[Math.floor(at / size)] as number[], points[at % size] as number[]),
    );
    const targets = Float32Array.from({ length: size * 2 }, () => random.normal());
    const noise = Float64Array.from({ length: size }, (_, row) => 0.5 + row / size);
    const weights = [3, 1];
    const ridge = await kernelRidge(kernel, size, targets, 2, lambdaGrid, noise, weights, work);
    for (const lambda of lambdaGrid) {
      let wrong = 0;
      let all = 0;
      for (let out = 0; out < size; out++) {
        const kept = [...Array(size).keys()].filter((row) => row !== out);
        const small = Float32Array.from(kept.flatMap((row) => kept.map((column) => kernel[row * size + column] as number)));
        const own = Float32Array.from(kept.flatMap((row) => [targets[row * 2] as number, targets[row * 2 + 1] as number]));
        const { coefficients } = await kernelRidge(
          small,
          size - 1,
          own,
          2,
          [lambda],
          kept.map((row) => noise[row] as number),
          weights,
          work,
        );
        for (let column = 0; column < 2; column++) {
          const predicted = kept.reduce(
            (sum, row, place) => sum + (kernel[out * size + row] as number) * (coefficients[place * 2 + column] as number),
            0,
          );
          const truth = targets[out * 2 + column] as number;
          wrong += (weights[column] as number) * (truth - predicted) ** 2;
          all += (weights[column] as number) * truth ** 2;
        }
      }
      expect(ridge.errors.get(lambda)).toBeCloseTo(wrong / all, 3);
    }
    const least = [...ridge.errors].sort(([, one], [, other]) => one - other)[0]?.[0];
    expect(ridge.lambda).toBe(least);
  });
});

/**
 * Three kinds of items, and people who stay with one kind; text and picture each tell the kind, imperfectly. Items 60 to 65
 * have nobody.
 */
function threeKinds() {
  const random = createRandomStream(21);
  const told = (row: number): number[] => Array.from({ length: 6 }, (_, at) => (at === row % 3 ? 1 : 0) + 0.25 * random.normal());
  const rows = [...Array(66).keys()];
  const text = featureOf('text', rows.map(told));
  const image = featureOf(
    'image',
    rows.map((row) => (row % 5 === 0 ? null : told(row))),
    6,
  );
  const events = Array.from({ length: 150 }, (_, user) =>
    Array.from({ length: 5 }, () => ({ user, item: (user % 3) + 3 * random.integer(20) })),
  ).flat();
  return { text, image, history: historyFrom(events, { itemCount: 66 }) };
}

describe('ColdMap', () => {
  it('places an item nobody has chosen where the people are who would choose it', async () => {
    const { text, image, history } = threeKinds();
    const features = [text, image];
    const { map, warnings } = await fit(features, history, { width: 3 });
    expect(warnings).toEqual([]);
    const values = (await extracted(map, batchOf(features, [...Array(66).keys()]))) as number[][];
    for (let fresh = 60; fresh < 66; fresh++) {
      const toKind = [0, 1, 2].map((kind) => {
        let sum = 0;
        for (let row = kind; row < 60; row += 3) sum += dot(values[fresh] as number[], values[row] as number[]);
        return sum;
      });
      expect(toKind.indexOf(Math.max(...toKind))).toBe(fresh % 3);
    }
    // An item that is not even a row of the build, with text alone; and the same words as a search.
    const later = [featureOf('text', [...Array.from({ length: 70 }, () => null), [0, 1, 0, 0, 0, 0]], 6), featureOf('image', [null], 6)];
    const [late] = (await extracted(map, batchOf(later, [70]))) as number[][];
    expect(cosine(late as number[], values[1] as number[])).toBeGreaterThan(0.9);
    expect(await extracted(map, queryBatch(later, [70]))).toEqual([late]);
    map.dispose();
    map.dispose();
  });

  it('gives an item its own vector the more people speak for it', async () => {
    const { text, image, history } = threeKinds();
    const features = [text, image];
    const own = (await fit(features, history, { width: 3, evidence: 0 })).map;
    const half = (await fit(features, history, { width: 3, evidence: 7 })).map;
    const mapped = (await fit(features, history, { width: 3, evidence: 1e9 })).map;
    const batch = batchOf(features, [4]);
    const [[alone], [mixed], [content]] = (await Promise.all([own, half, mapped].map((map) => extracted(map, batch)))) as [
      number[][],
      number[][],
      number[][],
    ];
    const { people, ownShare } = half.inspectItem(4) as { people: number; ownShare: number };
    expect(ownShare).toBeCloseTo(people / (people + 7), 12);
    mixed?.forEach((value, at) => {
      expect(value).toBeCloseTo(ownShare * (alone?.[at] as number) + (1 - ownShare) * (content?.[at] as number), 5);
    });
    expect(Math.abs(cosine(alone as number[], content as number[]))).toBeLessThan(0.99999);
    for (const map of [own, half, mapped]) map.dispose();
  });

  it('keeps own vectors where content is missing, and marks absent what has neither', async () => {
    const { text, image, history } = threeKinds();
    const { map } = await fit([text, image], history, { width: 3 });
    const nothing = [featureOf('text', [null], 6), featureOf('image', [null], 6)];
    const bare = (await fit([text, image], history, { width: 3, evidence: 0 })).map;
    expect(await extracted(map, batchOf(nothing, [4]))).toEqual(await extracted(bare, batchOf(nothing, [4])));
    expect(await extracted(map, batchOf(nothing, [61]))).toEqual([null]);
    expect(await extracted(map, batchOf(nothing, [9999]))).toEqual([null]);
    map.dispose();
    bare.dispose();
  });

  it('has numbers past the rank of the behaviour that are zero', async () => {
    const { text, image, history } = threeKinds();
    const { map } = await fit([text, image], history, { width: 200 });
    const [vector] = (await extracted(map, batchOf([text, image], [62]))) as number[][];
    expect(vector).toHaveLength(200);
    expect((vector as number[]).slice(66).every((value) => value === 0)).toBe(true);
    expect((vector as number[]).some((value) => value !== 0)).toBe(true);
    map.dispose();
  });

  it('fits the items with the most people when there are too many, and says so', async () => {
    const { text, image, history } = threeKinds();
    const { warnings, state, map } = await fit([text, image], history, { width: 3, maximumItems: 30 });
    expect(warnings).toEqual([expect.objectContaining({ code: 'MULTIMODAL_ITEMS_LEFT_OUT', count: 30 })]);
    expect(state['coefficients']?.shape).toEqual([30, 3]);
    map.dispose();
  });

  it('warns of too little behaviour, and then knows nothing of new items', async () => {
    const { text } = threeKinds();
    const { map, warnings } = await fit([text], historyFrom([], { itemCount: 66 }), { width: 3 });
    expect(warnings).toEqual([expect.objectContaining({ code: 'MULTIMODAL_LITTLE_BEHAVIOUR', count: 0 })]);
    expect(await extracted(map, batchOf([text], [0, 61]))).toEqual([null, null]);
    map.dispose();
  });

  it('gives the same state again', async () => {
    const { text, image, history } = threeKinds();
    const one = await fit([text, image], history, { width: 4, popularityWeight: 0.5 });
    const two = await fit([text, image], history, { width: 4, popularityWeight: 0.5 });
    expect(one.state).toEqual(two.state);
    one.map.dispose();
    two.map.dispose();
  });

  it('refuses options for features that are not given', async () => {
    const { text, history } = threeKinds();
    await expect(fit([text], history, { powers: { picture: 2 } })).rejects.toMatchObject({ code: 'MULTIMODAL_FEATURES' });
  });
});
