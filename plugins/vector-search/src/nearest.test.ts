import { createKernels } from '@recloom/kernels';
import { createRandomStream, type FeatureMatrix } from '@recloom/plugin-api';
import {
  candidateBatch,
  featureMatrix,
  type RequestParts,
  requestBatch,
  requestView,
  singleThreadCompute,
  tableFrom,
} from '@recloom/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Nearest } from './nearest.js';
import { type NearestOptions, nearestOptions } from './options.js';
import { VectorSpace } from './vector-space.js';

const day = 86_400_000;
const signal = new AbortController().signal;

async function open(features: readonly FeatureMatrix[], options: Partial<NearestOptions> = {}): Promise<Nearest> {
  const rowCount = Math.max(...features.map((feature) => feature.rowCount));
  const items = tableFrom(Array.from({ length: rowCount }, (_, row) => `item${row}`));
  return Nearest.open(nearestOptions.parse(options), features, items, singleThreadCompute(), signal);
}

async function find(
  search: Nearest,
  parts: RequestParts,
  limit = 10,
  eligible?: Uint8Array,
): Promise<{ rows: number[]; scores: number[] }> {
  const { rows, scores, offsets } = await search.propose(requestBatch([parts], { eligible }), limit);
  expect([...offsets]).toEqual([0, rows.length]);
  return { rows: [...rows], scores: [...scores] };
}

async function scoresOf(search: Nearest, parts: RequestParts, rows: readonly number[]): Promise<number[]> {
  const out = new Float32Array(rows.length).fill(Number.NaN);
  await search.score(candidateBatch({ rows: [rows], requests: [parts] }), out, signal);
  return [...out];
}

function close(found: readonly number[], expected: readonly number[], digits = 5): void {
  expect(found).toHaveLength(expected.length);
  expected.forEach((value, place) => {
    expect(found[place]).toBeCloseTo(value, digits);
  });
}

// Directions at 0°, 60°, 90°, 180° and (absent) of any length, so that cosines are known: 1, .5, 0, -1.
const half = Math.sqrt(3) / 2;
const compass = featureMatrix('text', 2, [2, 0, 0.5, half, 0, 3, -1, 0, 9, 9], [1, 1, 1, 1, 0]);

describe('near to an item', () => {
  it('gives cosines, best first, without the item itself and without items that lack the feature', async () => {
    const search = await open([compass], { minimumSimilarity: -1 });
    const { rows, scores } = await find(search, { items: [0] });
    expect(rows).toEqual([1, 2, 3]);
    close(scores, [0.5, 0, -1]);
  });

  it('drops what is less similar than told', async () => {
    expect((await find(await open([compass]), { items: [0] })).rows).toEqual([1, 2]);
    expect((await find(await open([compass], { minimumSimilarity: 0.3 }), { items: [0] })).rows).toEqual([1]);
  });

  it('breaks ties by ascending row and cuts at the limit', async () => {
    const search = await open([featureMatrix('text', 2, [1, 0, 2, 0, 3, 0, 4, 0])]);
    expect((await find(search, { items: [2] }, 2)).rows).toEqual([0, 1]);
  });

  it('searches only what the mask allows, and fills the limit from it', async () => {
    expect((await find(await open([compass]), { items: [0] }, 1, Uint8Array.of(1, 0, 1, 1, 1))).rows).toEqual([2]);
    // A mask that is shorter than the catalogue allows nothing beyond its end.
    expect((await find(await open([compass]), { items: [0] }, 5, Uint8Array.of(1, 1))).rows).toEqual([1]);
  });

  it('combines several items as told, and proposes none of them', async () => {
    // Items 0 (0°) and 2 (90°): item 1 at 60° has cosines .5 and .866; item 3 has -1 and 0.
    const parts = { items: [0, 2] };
    close((await find(await open([compass], { profile: 'max' }), parts)).scores, [half, 0]);
    // (( .5^8 + .8660254^8 ) / 2 )^(1 / 8), by a pocket calculator .79520.
    close((await find(await open([compass]), parts)).scores, [((0.5 ** 8 + half ** 8) / 2) ** (1 / 8), 0]);
    expect(((0.5 ** 8 + half ** 8) / 2) ** (1 / 8)).toBeCloseTo(0.7952, 3);
    // The mean points to 45°: cos 15° = .9659.
    close((await find(await open([compass], { profile: 'mean' }), parts)).scores, [0.9659258]);
  });

  it('has nothing to say about an item without the feature, nor about unknown ones', async () => {
    for (const items of [[4], [99], [-1]]) {
      expect((await find(await open([compass]), { items })).rows).toEqual([]);
      expect(await scoresOf(await open([compass]), { items }, [0, 1])).toEqual([0, 0]);
    }
  });
});

describe('near to a query', () => {
  it('takes the query before the items before the profile, or what it is told', async () => {
    const parts: RequestParts = { text: 'up', queryVectors: { text: [0, 7] }, items: [3], history: [{ item: 0 }] };
    expect((await find(await open([compass]), parts)).rows[0]).toBe(2);
    expect((await find(await open([compass], { mode: 'item', minimumSimilarity: -1 }), parts)).rows).toEqual([2, 1, 0]);
    expect((await find(await open([compass], { mode: 'profile' }), parts)).rows).toEqual([1, 2]);
    expect((await find(await open([compass], { mode: 'query' }), { items: [0] })).rows).toEqual([]);
  });

  it('does not answer a search it cannot encode with what the person liked before', async () => {
    expect((await find(await open([compass]), { text: 'up', history: [{ item: 0 }] })).rows).toEqual([]);
  });

  it('passes over a query vector of another width or without a direction', async () => {
    for (const vector of [
      [1, 2, 3],
      [0, 0],
      [Number.NaN, 1],
      [Number.POSITIVE_INFINITY, 1],
    ]) {
      expect((await find(await open([compass]), { text: 'up', queryVectors: { text: vector } })).rows).toEqual([]);
    }
  });
});

describe('near to a profile', () => {
  const now = 1000 * day;

  it('weighs the history by recency and event weight', async () => {
    // Item 0 (0°) thirty days before item 2 (90°), which weighs e times less by event: together they point to 45°.
    const history = [
      { item: 0, timeMs: now - 30 * day, weight: Math.E },
      { item: 2, timeMs: now, weight: 1 },
    ];
    const mean = await open([compass], { profile: 'mean' });
    close((await find(mean, { history })).scores, [0.9659258]);
    // Without recency the older one is e times heavier: atan(1 / e) = 20.197°, and cos(60° - 20.197°) = .76823.
    close((await find(await open([compass], { profile: 'mean', recencyDays: 0 }), { history })).scores, [0.76823], 4);
  });

  it('fades against the newest event, so that an old history counts as much as a new one', async () => {
    const history = [
      { item: 0, timeMs: 0 },
      { item: 2, timeMs: day },
    ];
    const old = await find(await open([compass]), { history, asOfMs: 1e6 * day });
    expect(old).toEqual(await find(await open([compass]), { history, asOfMs: day }));
    expect(old.rows).toEqual([1, 3]);
  });

  it('uses the last historyItems different items', async () => {
    const history = [
      { item: 2, timeMs: 1 },
      { item: 0, timeMs: 2 },
      { item: 0, timeMs: 3 },
    ];
    close((await find(await open([compass], { historyItems: 1 }), { history })).scores, [0.5, 0]);
  });

  it('has nothing to say without a history, or when it is not granted', async () => {
    expect((await find(await open([compass]), {})).rows).toEqual([]);
    expect((await find(await open([compass]), { history: [{ item: 0 }], grants: ['item', 'query'] })).rows).toEqual([]);
    expect((await find(await open([compass]), { history: [{ item: 4 }] })).rows).toEqual([]);
  });
});

describe('a mix of features', () => {
  // text as above for rows 0 to 3; image for rows 0, 1 and 4 only.
  const image = featureMatrix('image', 3, [1, 0, 0, 0, 1, 0, 9, 9, 9, 9, 9, 9, 1, 1, 0], [1, 1, 0, 0, 1]);
  const weights = { text: 0.7, image: 0.3 };

  it('weighs cosines, and renormalises over the features both have', async () => {
    const search = await open([compass, image], { weights, minimumSimilarity: -1 });
    const { rows, scores } = await find(search, { items: [0] });
    // Row 4 has only the image: cosine sqrt(.5). Row 1: .7 * .5 + .3 * 0. Rows 2 and 3 only the text: 0 and -1.
    expect(rows).toEqual([4, 1, 2, 3]);
    close(scores, [Math.SQRT1_2, 0.35, 0, -1]);
    close(await scoresOf(search, { items: [0] }, [3, 1, 4, 2, 0]), [-1, 0.35, Math.SQRT1_2, 0, 1]);
  });

  it('compares a query of one modality by that one alone', async () => {
    const search = await open([compass, image], { weights });
    const { rows, scores } = await find(search, { text: 'x', queryVectors: { text: [1, 0] } });
    expect(rows).toEqual([0, 1, 2]);
    close(scores, [1, 0.5, 0]);
  });

  it('does not compare items without a common feature', async () => {
    expect((await find(await open([compass, image], { minimumSimilarity: -1 }), { items: [4] })).rows).toEqual([0, 1]);
    expect(await scoresOf(await open([compass, image]), { items: [4] }, [2])).toEqual([0]);
  });

  it('leaves out a feature of weight 0, and refuses weights that do not fit', async () => {
    expect((await find(await open([compass, image], { weights: { image: 0 } }), { items: [0] })).rows).toEqual([1, 2]);
    for (const wrong of [{ txt: 1 }, { text: 0, image: 0 }]) {
      await expect(open([compass, image], { weights: wrong as never })).rejects.toMatchObject({ code: 'VECTOR_SEARCH_FEATURES' });
    }
    const nine = Array.from({ length: 9 }, (_, place) => featureMatrix(`f${place}`, 1, [1]));
    await expect(open(nine)).rejects.toMatchObject({ code: 'VECTOR_SEARCH_FEATURES' });
  });
});

describe('against comparing one by one in double precision', () => {
  const cell = fc.integer({ min: -3, max: 3 });
  const space = fc.record({
    text: fc.array(fc.tuple(cell, cell, cell), { minLength: 7, maxLength: 7 }),
    image: fc.array(fc.tuple(cell, cell), { minLength: 7, maxLength: 7 }),
    presence: fc.array(fc.tuple(fc.boolean(), fc.boolean()), { minLength: 7, maxLength: 7 }),
    anchors: fc.uniqueArray(fc.nat(6), { minLength: 1, maxLength: 3 }),
    textWeight: fc.constantFrom(0.25, 1, 3),
    profile: fc.constantFrom('sum-power' as const, 'max' as const, 'mean' as const),
    eligible: fc.array(fc.boolean(), { minLength: 7, maxLength: 7 }),
  });

  it('agrees, for proposals and scores', async () => {
    await fc.assert(
      fc.asyncProperty(space, async ({ text, image, presence, anchors, textWeight, profile, eligible }) => {
        const has = (row: number, modality: 0 | 1) =>
          presence[row]?.[modality] === true && vectorOf(row, modality).some((value) => value !== 0);
        const vectorOf = (row: number, modality: 0 | 1): readonly number[] => (modality === 0 ? text : image)[row] as readonly number[];
        const unit = (vector: readonly number[]) => vector.map((value) => value / Math.hypot(...vector));
        const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, place) => sum + value * (b[place] as number), 0);
        const weight = [textWeight, 1] as const;
        const similarity = (own: readonly (readonly number[] | undefined)[], row: number): number => {
          let sum = 0;
          let total = 0;
          for (const modality of [0, 1] as const) {
            const mine = own[modality];
            if (mine === undefined || !has(row, modality)) continue;
            sum += weight[modality] * dot(mine, unit(vectorOf(row, modality)));
            total += weight[modality];
          }
          return sum / total;
        };
        const points = anchors
          .filter((row) => has(row, 0) || has(row, 1))
          .map((row) => ([0, 1] as const).map((modality) => (has(row, modality) ? unit(vectorOf(row, modality)) : undefined)));
        const expected = (row: number): number => {
          if (points.length === 0) return Number.NaN;
          if (points.length === 1) return similarity(points[0] as never, row);
          if (profile === 'mean') {
            const mean = ([0, 1] as const).map((modality) => {
              const own = points.map((point) => point[modality]).filter((vector) => vector !== undefined);
              const sum = own[0]?.map((_, column) => own.reduce((total, vector) => total + (vector[column] as number), 0));
              // Opposite directions cancel out: no direction is left (to the float32 precision that is compared with).
              return sum !== undefined && Math.hypot(...sum) > 1e-5 ? unit(sum) : undefined;
            });
            return similarity(mean, row);
          }
          const all = points.map((point) => similarity(point, row)).filter((value) => !Number.isNaN(value));
          if (all.length === 0) return Number.NaN;
          if (profile === 'max') return Math.max(...all);
          return (all.reduce((sum, value) => sum + Math.max(0, value) ** 8, 0) / points.length) ** (1 / 8);
        };
        fc.pre(profile !== 'mean' || !nearlyCancels(points));
        const search = await open(
          [
            featureMatrix(
              'text',
              3,
              text.flat(),
              presence.map(([there]) => Number(there)),
            ),
            featureMatrix(
              'image',
              2,
              image.flat(),
              presence.map(([, there]) => Number(there)),
            ),
          ],
          { weights: { text: textWeight }, profile, minimumSimilarity: -1 },
        );
        const rows = [0, 1, 2, 3, 4, 5, 6];
        const truth = rows.map(expected);
        close(
          await scoresOf(search, { items: anchors }, rows),
          truth.map((value) => (Number.isNaN(value) ? 0 : value)),
          4,
        );
        const found = await find(search, { items: anchors }, 7, Uint8Array.from(eligible, Number));
        const allowed = rows.filter((row) => eligible[row] && !anchors.includes(row) && !Number.isNaN(truth[row]));
        expect([...found.rows].sort()).toEqual(allowed);
        found.rows.forEach((row, place) => {
          expect(found.scores[place]).toBeCloseTo(truth[row] as number, 4);
          if (place > 0) expect(found.scores[place]).toBeLessThanOrEqual(found.scores[place - 1] as number);
          expect(Math.abs(found.scores[place] as number)).toBeLessThanOrEqual(1);
        });
        search.dispose();
        search.dispose();
      }),
      { numRuns: 200 },
    );
  });

  /** Whether some modality's vectors sum to almost nothing, where float32 and double precision may disagree about a direction. */
  function nearlyCancels(points: readonly (readonly (readonly number[] | undefined)[])[]): boolean {
    return [0, 1].some((modality) => {
      const own = points.map((point) => point[modality]).filter((vector) => vector !== undefined);
      const sum = own[0]?.map((_, column) => own.reduce((total, vector) => total + (vector[column] as number), 0));
      return sum !== undefined && Math.hypot(...sum) < 1e-3;
    });
  }

  it('finds the same in a catalogue large enough for int8 and for pooling', async () => {
    const random = createRandomStream(3);
    const rowCount = 9000;
    const width = 24;
    const values = Float32Array.from({ length: rowCount * width }, () => random.normal());
    const feature = featureMatrix('text', width, values);
    const cosine = (a: number, b: number) => {
      let [dot, left, right] = [0, 0, 0];
      for (let column = 0; column < width; column++) {
        const x = values[a * width + column] as number;
        const y = values[b * width + column] as number;
        dot += x * y;
        left += x * x;
        right += y * y;
      }
      return dot / Math.sqrt(left * right);
    };
    const best = (score: (row: number) => number, excluded: readonly number[], limit: number) =>
      Array.from({ length: rowCount }, (_, row) => row)
        .filter((row) => !excluded.includes(row))
        .map((row) => ({ row, score: score(row) }))
        .sort((a, b) => b.score - a.score || a.row - b.row)
        .slice(0, limit)
        .map(({ row }) => row);
    const one = await find(await open([feature]), { items: [17] }, 50);
    expect(one.rows).toEqual(best((row) => cosine(17, row), [17], 50));
    // 600 anchors × 9000 × 24 is above the limit for comparing all with all.
    const anchors = Array.from({ length: 600 }, (_, place) => place * 3);
    const many = await find(await open([feature], { profile: 'max' }), { items: anchors }, 20);
    const excluded = new Set(anchors);
    const truth = Array.from({ length: rowCount }, (_, row) => row)
      .filter((row) => !excluded.has(row))
      .map((row) => ({ row, score: Math.max(...anchors.map((anchor) => cosine(anchor, row))) }))
      .sort((a, b) => b.score - a.score)
      .slice(0, 20);
    expect(many.rows).toEqual(truth.map(({ row }) => row));
  });
});

describe('items that come and change later', () => {
  function live(width: number, rows: readonly (readonly number[] | null)[]) {
    let values = new Float32Array(rows.flatMap((row) => row ?? new Array<number>(width).fill(0)));
    let presence = Uint8Array.from(rows, (row) => (row === null ? 0 : 1));
    let version = 0;
    const changes = new Map<number, number>();
    const matrix: FeatureMatrix = {
      name: 'text',
      width,
      get rowCount() {
        return presence.length;
      },
      get values() {
        return values;
      },
      get presence() {
        return presence;
      },
      get version() {
        return version;
      },
      changedSince: (since) => Int32Array.from([...changes].filter(([, at]) => at > since).map(([row]) => row)).sort(),
    };
    return {
      matrix,
      set(row: number, vector: readonly number[] | null) {
        if (row >= presence.length) {
          const grownValues = new Float32Array((row + 1) * width);
          grownValues.set(values);
          const grownPresence = new Uint8Array(row + 1);
          grownPresence.set(presence);
          values = grownValues;
          presence = grownPresence;
        }
        values.set(vector ?? new Array<number>(width).fill(0), row * width);
        presence[row] = vector === null ? 0 : 1;
        version++;
        changes.set(row, version);
      },
    };
  }

  it('is filled in several turns of the event loop, as a whole would be, with rows that come meanwhile; an abort ends it', async () => {
    const width = 400;
    const vectors = (count: number): number[][] =>
      Array.from({ length: count }, (_, row) => Array.from({ length: width }, (__, column) => ((row * 31 + column * 17) % 23) - 11));
    const feature = live(width, vectors(700));
    const whole = new VectorSpace(createKernels(), [feature.matrix], {});
    const filled = new VectorSpace(createKernels(), [feature.matrix], {});
    let turns = 0;
    const counting = setInterval(() => turns++, 0);
    const immediately = (): void => {
      turns++;
      if (filled.rowCount < 700) setImmediate(immediately);
    };
    setImmediate(immediately);
    const filling = filled.fill(signal);
    feature.set(3, vectors(9)[8] as number[]);
    feature.set(700, vectors(2)[1] as number[]);
    await filling;
    clearInterval(counting);
    expect(turns).toBeGreaterThan(2);
    whole.synchronise();
    expect(filled.rowCount).toBe(701);
    for (const row of [0, 3, 163, 164, 699, 700]) expect(filled.pointOf(row)).toEqual(whole.pointOf(row));
    const controller = new AbortController();
    const ended = new VectorSpace(createKernels(), [feature.matrix], {}).fill(controller.signal);
    controller.abort(new Error('enough'));
    await expect(ended).rejects.toThrow('enough');
  });

  it('sees new, changed and withdrawn vectors at the next request', async () => {
    const feature = live(2, [
      [1, 0],
      [0, 1],
      [1, 1],
    ]);
    const search = await open([feature.matrix]);
    expect((await find(search, { items: [0] })).rows).toEqual([2, 1]);
    feature.set(4, [1, 0.1]);
    expect((await find(search, { items: [0] })).rows).toEqual([4, 2, 1]);
    feature.set(1, [5, 0]);
    feature.set(2, null);
    expect((await find(search, { items: [0] })).rows).toEqual([1, 4]);
    feature.set(3, [1, -0.01]);
    expect((await find(search, { items: [4] })).rows).toEqual([0, 1, 3]);
    expect(await scoresOf(search, { items: [0] }, [1, 2])).toEqual([1, 0]);
  });

  it('is, after any changes, as if opened afresh', async () => {
    const vector = fc.option(fc.tuple(fc.integer({ min: -2, max: 2 }), fc.integer({ min: -2, max: 2 })), { nil: null });
    await fc.assert(
      fc.asyncProperty(
        fc.array(vector, { minLength: 1, maxLength: 5 }),
        fc.array(fc.tuple(fc.nat(8), vector, fc.boolean()), { maxLength: 8 }),
        async (before, changes) => {
          const feature = live(2, before);
          const search = await open([feature.matrix], { minimumSimilarity: -1 });
          for (const [row, changed, ask] of changes) {
            feature.set(row, changed);
            if (ask) await find(search, { items: [0] });
          }
          const fresh = await open([feature.matrix], { minimumSimilarity: -1 });
          for (let row = 0; row < feature.matrix.rowCount; row++) {
            expect(await find(search, { items: [row] })).toEqual(await find(fresh, { items: [row] }));
          }
          search.dispose();
          fresh.dispose();
        },
      ),
      { numRuns: 60 },
    );
  });

  it('is, with similarities kept, with few of them and with none, the very same', async () => {
    const random = createRandomStream(11);
    const pick = (bound: number): number => random.integer(bound);
    const vector = (): number[] | null => (pick(12) === 0 ? null : Array.from({ length: 6 }, () => pick(7) - 3));
    for (const profile of ['sum-power', 'max'] as const) {
      for (const power of [8, 3]) {
        const feature = live(6, Array.from({ length: 100 }, vector));
        // Of a hundred items, room for all, for 64, and for none.
        const searches = await Promise.all(
          [64, 0.028, 0].map((cacheMegabytes) => open([feature.matrix], { cacheMegabytes, profile, power, minimumSimilarity: -1 })),
        );
        for (let step = 0; step < 120; step++) {
          for (let change = pick(3); change > 0; change--) feature.set(pick(feature.matrix.rowCount + (step % 10 === 0 ? 1 : 0)), vector());
          // Many changes at once, more than are worth working into what is kept.
          if (step === 60) for (let row = 0; row < 50; row++) feature.set(row, vector());
          const items = Array.from({ length: 1 + pick(12) }, () => pick(feature.matrix.rowCount));
          const rows = Int32Array.from({ length: 1 + pick(30) }, () => pick(feature.matrix.rowCount + 2));
          const eligible = Uint8Array.from({ length: feature.matrix.rowCount }, () => (pick(4) > step % 4 ? 1 : 0));
          const [all, few, none] = await Promise.all(
            searches.map(async (search) => [
              await find(search, { items }, 20),
              await find(search, { items }, 20, eligible),
              await scoresOf(search, { items }, [...rows]),
            ]),
          );
          expect(all).toEqual(none);
          expect(few).toEqual(none);
        }
        for (const search of searches) search.dispose();
      }
    }
  });

  it('takes over items that come while a long profile is being compared', async () => {
    const random = createRandomStream(5);
    const width = 24;
    const feature = live(
      width,
      Array.from({ length: 9000 }, () => Array.from({ length: width }, () => random.normal())),
    );
    for (const count of [100, 600]) {
      const search = await open([feature.matrix], { profile: 'max' });
      const items = Array.from({ length: count }, (_, place) => place * 3);
      const pending = find(search, { items }, 5);
      feature.set(feature.matrix.rowCount, [...feature.matrix.values.subarray(0, width)]);
      feature.set(
        items.at(-1) as number,
        Array.from({ length: width }, () => random.normal()),
      );
      expect((await find(search, { items: [0] }, 1)).rows).toEqual([9000]);
      expect((await pending).rows).toHaveLength(5);
      // What was kept meanwhile is not of the vector that an item had before.
      const fresh = await open([feature.matrix], { profile: 'max' });
      expect(await find(search, { items }, 9001)).toEqual(await find(fresh, { items }, 9001));
      search.dispose();
      fresh.dispose();
    }
  });
});

describe('batches, reasons, memory', () => {
  it('answers a batch as it answers one request at a time', async () => {
    const search = await open([compass]);
    const requests: RequestParts[] = [
      { items: [0] },
      {},
      { text: 'x', queryVectors: { text: [0, 1] } },
      { history: [{ item: 3 }, { item: 1 }] },
    ];
    const together = await search.propose(requestBatch(requests), 3);
    const lists = requests.map((_, index) => [...together.rows.subarray(together.offsets[index], together.offsets[index + 1])]);
    for (const [index, parts] of requests.entries()) expect(lists[index]).toEqual((await find(search, parts, 3)).rows);
    const out = new Float32Array(requests.length * 5).fill(Number.NaN);
    await search.score(candidateBatch({ rows: requests.map(() => [0, 1, 2, 3, 4]), requests }), out, signal);
    for (const [index, parts] of requests.entries()) {
      expect([...out.subarray(index * 5, index * 5 + 5)]).toEqual(await scoresOf(search, parts, [0, 1, 2, 3, 4]));
    }
  });

  it('names the item it was near to, or the search', async () => {
    const search = await open([compass]);
    const reasonOf = (parts: RequestParts, row: number) => search.reasons(requestView(parts), Int32Array.of(row))[0];
    expect(reasonOf({ items: [0, 2] }, 1)).toMatchObject({ code: 'similar-to-item', text: 'Similar to {item}', items: [2, 0] });
    expect(reasonOf({ history: [{ item: 2 }] }, 1)).toMatchObject({ code: 'similar-to-history', items: [2] });
    expect(reasonOf({ text: 'x', queryVectors: { text: [1, 0] } }, 1)).toMatchObject({ code: 'matches-meaning' });
    expect(reasonOf({ image: 'a.png', queryVectors: { text: [1, 0] } }, 1)).toMatchObject({ code: 'similar-to-picture' });
    expect(reasonOf({ text: 'x', image: 'a.png', queryVectors: { text: [1, 0] } }, 1)).toMatchObject({ code: 'matches-words-and-picture' });
    expect(reasonOf({ items: [0] }, 3)).toBeUndefined();
    expect(reasonOf({ items: [0] }, 0)).toBeUndefined();
    expect(reasonOf({}, 0)).toBeUndefined();
    expect(search.inspectItem(0)).toMatchObject({ features: ['text'], nearest: [{ item: 'item1' }, { item: 'item2' }, { item: 'item3' }] });
    expect(search.inspectItem(4)).toEqual({ features: [], nearest: [] });
  });

  it('gives its memory back', () => {
    const kernels = createKernels({ implementation: 'typescript' });
    const before = kernels.bytesInUse;
    const space = new VectorSpace(kernels, [compass], {});
    space.synchronise();
    expect(kernels.bytesInUse).toBeGreaterThan(before);
    space.dispose();
    space.dispose();
    expect(kernels.bytesInUse).toBe(before);
  });

  it('describes every option with its default', () => {
    for (const [name, schema] of Object.entries(nearestOptions.shape)) expect(schema.description, name).toMatch(/default/);
    expect(nearestOptions.parse({})).toMatchObject({ mode: 'auto', profile: 'sum-power', power: 8 });
    expect(nearestOptions.safeParse({ power: 0 }).success).toBe(false);
  });
});
