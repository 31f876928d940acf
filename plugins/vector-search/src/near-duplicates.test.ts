import { createRandomStream, type FeatureMatrix } from '@recloom/plugin-api';
import { featureMatrix, type RequestParts, rankedList, requestBatch, requestView, singleThreadCompute, tableFrom } from '@recloom/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findGroups } from './find-groups.js';
import { NearDuplicates } from './near-duplicates.js';
import { type NearDuplicatesOptions, nearDuplicatesOptions } from './options.js';

const signal = new AbortController().signal;

const groupsIn = async (feature: FeatureMatrix, threshold = 0.97) =>
  findGroups(feature, { threshold, compute: singleThreadCompute(), signal, progress: () => {} });

async function open(feature: FeatureMatrix, options: Partial<NearDuplicatesOptions> = {}, builtFrom = feature): Promise<NearDuplicates> {
  const parsed = nearDuplicatesOptions.parse(options);
  const items = tableFrom(Array.from({ length: feature.rowCount }, (_, row) => `item${row}`));
  return new NearDuplicates(parsed, feature, items, (await groupsIn(builtFrom, parsed.threshold)).groups);
}

async function find(component: NearDuplicates, parts: RequestParts, limit = 10, eligible?: Uint8Array) {
  const { rows, scores } = await component.propose(requestBatch([parts], { eligible }), limit);
  return { rows: [...rows], scores: [...scores] };
}

/** Directions in degrees; cos 14.07° = .97. NaN: absent. */
const compass = (degrees: readonly number[], name = 'image'): FeatureMatrix =>
  featureMatrix(
    name,
    2,
    degrees.flatMap((degree) =>
      Number.isNaN(degree) ? [0, 0] : [3 * Math.cos((degree * Math.PI) / 180), 3 * Math.sin((degree * Math.PI) / 180)],
    ),
    degrees.map((degree) => (Number.isNaN(degree) ? 0 : 1)),
  );

describe('finding groups', () => {
  it('joins what pairs connect, by their smallest row; absent rows are in none', async () => {
    // 0, 10 and 20 degrees: 0–10 and 10–20 are pairs (cos .985), 0–20 is none (.94). 90 and 93 are a pair, 200 is alone.
    const { groups, pairs } = await groupsIn(compass([90, 0, 20, Number.NaN, 10, 93, 200]));
    expect([...groups]).toEqual([0, 1, 1, -1, 1, 0, -1]);
    expect(pairs).toBe(3);
  });

  it('finds equal vectors at a threshold of 1, and passes over vectors without a direction', async () => {
    const feature = featureMatrix('image', 3, [0.1, 0.2, 0.3, 0, 0, 0, 0.2, 0.4, 0.6, 0, 0, 0, Number.NaN, 1, 1, 0.1, 0.2, 0.31]);
    expect([...(await groupsIn(feature, 1)).groups]).toEqual([0, -1, 0, -1, -1, -1]);
    expect([...(await groupsIn(featureMatrix('image', 2, []))).groups]).toEqual([]);
  });

  it('finds all of a large clique: more than one pass looks for at first', async () => {
    const { groups, pairs } = await groupsIn(compass(Array.from({ length: 200 }, (_, row) => (row % 2 === 0 ? 45 : 180))));
    expect([...groups]).toEqual(Array.from({ length: 200 }, (_, row) => row % 2));
    expect(pairs).toBe(2 * ((100 * 99) / 2));
  });

  it('over several passes and slices finds what comparing every pair finds', async () => {
    const random = createRandomStream(3);
    const count = 4500;
    const values = new Float32Array(count * 3).map(() => random.normal());
    const feature = featureMatrix('image', 3, values);
    const threshold = 0.99999;
    const { groups, pairs } = await groupsIn(feature, threshold);
    // The plain way: double precision, every pair.
    const unit = Array.from({ length: count }, (_, row) => {
      const vector = [0, 1, 2].map((place) => values[row * 3 + place] ?? 0);
      return vector.map((value) => value / Math.hypot(...vector));
    });
    const expected = Array.from({ length: count }, (_, row) => row);
    const root = (row: number): number => (expected[row] === row ? row : root(expected[row] ?? row));
    let found = 0;
    for (let a = 0; a < count; a++) {
      for (let b = a + 1; b < count; b++) {
        const [left, right] = [unit[a] ?? [], unit[b] ?? []];
        if ((left[0] ?? 0) * (right[0] ?? 0) + (left[1] ?? 0) * (right[1] ?? 0) + (left[2] ?? 0) * (right[2] ?? 0) < threshold - 1e-6)
          continue;
        found++;
        const [one, other] = [root(a), root(b)];
        expected[Math.max(one, other)] = Math.min(one, other);
      }
    }
    expect(found).toBeGreaterThan(20);
    // A pair within float32's rounding of the threshold may fall on either side.
    expect(Math.abs(pairs - found)).toBeLessThanOrEqual(2);
    const together = (a: number, b: number): boolean => groups[a] !== -1 && groups[a] === groups[b];
    let differences = 0;
    for (let row = 0; row < count; row++) if (root(row) !== row && !together(row, root(row))) differences++;
    expect(differences).toBeLessThanOrEqual(2);
  });

  it('stops when it is aborted, and tells how far it is', async () => {
    const feature = compass(Array.from({ length: 300 }, (_, row) => row));
    await expect(
      findGroups(feature, {
        threshold: 0.97,
        compute: singleThreadCompute(),
        signal: AbortSignal.abort(new Error('enough')),
        progress: () => {},
      }),
    ).rejects.toThrow('enough');
    const seen: number[] = [];
    await findGroups(feature, { threshold: 0.97, compute: singleThreadCompute(), signal, progress: (fraction) => seen.push(fraction) });
    expect(seen.at(-1)).toBe(1);
    expect([...seen].sort((a, b) => a - b)).toEqual(seen);
  });
});

describe('as a source', () => {
  const feature = compass([0, 10, 20, 100, 101, 5, Number.NaN]);

  it('proposes near duplicates of the items, nearest first, and nothing that only a chain leads to', async () => {
    const component = await open(feature);
    const { rows, scores } = await find(component, { items: [0] });
    // 5° and 10° away; 20° is in the group by way of them, but is no near duplicate.
    expect(rows).toEqual([5, 1]);
    expect(scores[0]).toBeCloseTo(Math.cos((5 * Math.PI) / 180), 5);
    expect((await find(component, { items: [0, 3] })).rows).toEqual([4, 5, 1]);
    expect((await find(component, { items: [6] })).rows).toEqual([]);
    expect((await find(component, { items: [99, -1] })).rows).toEqual([]);
    expect((await find(component, {})).rows).toEqual([]);
  });

  it('keeps to the limit and to what is eligible', async () => {
    const component = await open(feature);
    expect((await find(component, { items: [0] }, 1)).rows).toEqual([5]);
    expect((await find(component, { items: [0] }, 1, Uint8Array.of(1, 1, 1, 1, 1, 0, 1))).rows).toEqual([1]);
  });

  it('answers whether a picture is in the catalogue already', async () => {
    const component = await open(feature);
    const search = { image: new Uint8Array(1), queryVectors: { image: [Math.cos(1.75), Math.sin(1.75)] } };
    // 1.75 rad = 100.27°.
    expect((await find(component, search)).rows).toEqual([3, 4]);
    expect((await find(component, { ...search, queryVectors: { image: [1, 0, 0] } })).rows).toEqual([]);
    expect((await find(component, { ...search, queryVectors: { text: [1, 0] } })).rows).toEqual([]);
  });

  it('sees items that were added or changed since the build', async () => {
    const built = compass([0, 100, 50]);
    let version = 1;
    const now = compass([0, 2, 50, 51, 1]);
    const live: FeatureMatrix = {
      ...now,
      get version() {
        return version;
      },
      changedSince: (since) => (since < 2 ? Int32Array.of(1, 3, 4) : new Int32Array(0)),
    };
    const component = await open(live, {}, built);
    version = 2;
    expect((await find(component, { items: [0] })).rows).toEqual([4, 1]);
    expect((await find(component, { items: [3] })).rows).toEqual([2]);
    expect([...component.rank(rankedList([3, 0, 1, 2, 4], [5, 4, 3, 2, 1]), signal)]).toEqual([0, 1]);
  });

  it('tells why, and what it knows of an item', async () => {
    const component = await open(feature);
    const reasons = component.reasons(requestView({ items: [0] }), Int32Array.of(5, 2, 0));
    expect(reasons.map((reason) => [reason?.code, reason?.items])).toEqual([
      ['near-duplicate-of-item', [0]],
      [undefined, undefined],
      [undefined, undefined],
    ]);
    const [query] = component.reasons(requestView({ text: 'x', queryVectors: { image: [1, 0] } }), Int32Array.of(0));
    expect(query?.code).toBe('near-duplicate-of-query');
    expect(component.inspectItem(0)).toMatchObject({ present: true, groupSize: 4, nearDuplicates: [{ item: 'item5' }, { item: 'item1' }] });
    expect(component.inspectItem(6)).toEqual({ present: false, groupSize: 0, nearDuplicates: [] });
  });
});

describe('as a ranker', () => {
  const feature = compass([0, 10, 20, 100, 101, Number.NaN, 5]);

  it('keeps the first of those that are nearly the same; a chain does not swallow what differs', async () => {
    const component = await open(feature);
    // 20° (place 0) stays; 10° is near it, goes; 0° is near nothing that was kept, stays; 5° goes; 101° after 100° goes; no picture: stays.
    const list = rankedList([2, 1, 0, 6, 3, 4, 5], [7, 6, 5, 4, 3, 2, 1]);
    expect([...component.rank(list, signal)]).toEqual([0, 2, 4, 6]);
  });

  it('puts the others last when it is told so', async () => {
    const component = await open(feature, { duplicates: 'last' });
    expect([...component.rank(rankedList([2, 1, 0, 6, 3, 4, 5], [7, 6, 5, 4, 3, 2, 1]), signal)]).toEqual([0, 2, 4, 6, 1, 3, 5]);
  });

  it('of any list keeps no two near duplicates, and drops none without one above it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 90 }), { minLength: 1, maxLength: 25 }), async (degrees) => {
        const component = await open(compass(degrees));
        const rows = degrees.map((_, row) => degrees.length - 1 - row);
        const kept = [
          ...component.rank(
            rankedList(
              rows,
              rows.map((_, place) => -place),
            ),
            signal,
          ),
        ];
        const degreeAt = (place: number): number => degrees[rows[place] ?? 0] ?? 0;
        // 14.07° is the border; whole degrees never lie on it.
        const near = (a: number, b: number): boolean => Math.abs(degreeAt(a) - degreeAt(b)) <= 14;
        for (const place of rows.keys()) {
          const above = kept.filter((other) => other < place);
          expect(kept.includes(place)).toBe(!above.some((other) => near(other, place)));
        }
      }),
      { numRuns: 60 },
    );
  });
});
