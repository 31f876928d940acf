import { kernelsOf } from '@recloom/kernels';
import {
  type CandidateSource,
  computeToken,
  type Explainer,
  type FeatureMatrix,
  type Inspectable,
  isRecloomError,
  type Scorer,
  type Table,
} from '@recloom/plugin-api';
import {
  candidateBatch,
  categoryColumn,
  createTestHost,
  listColumn,
  requestBatch,
  requestView,
  singleThreadCompute,
  type TestUserEvent,
  tableFrom,
  validateOptions,
} from '@recloom/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { linksOf, shopOf, solve } from './definition.test-support.js';
import { contentEase, ease } from './index.js';

type ContentEase = CandidateSource & Scorer & Explainer & Inspectable & { dispose(): void };
const signal = new AbortController().signal;

const events: TestUserEvent[] = [
  [0, 0],
  [0, 1],
  [1, 1],
  [1, 2],
  [2, 0],
  [2, 2],
  [3, 0],
  [3, 1],
].map(([user, item]) => ({ user: user as number, item: item as number }));

function featureOf(name: string, vectors: readonly (readonly number[] | undefined)[]): FeatureMatrix {
  const width = vectors.find((vector) => vector !== undefined)?.length ?? 2;
  return {
    name,
    width,
    rowCount: vectors.length,
    values: Float32Array.from(vectors.flatMap((vector) => vector ?? new Array<number>(width).fill(0))),
    presence: Uint8Array.from(vectors, (vector) => (vector === undefined ? 0 : 1)),
    version: 1,
    changedSince: () => new Int32Array(0),
  };
}

function unit(vector: readonly number[] | undefined, width = 2): number[] {
  const length = Math.hypot(...(vector ?? []));
  return length > 0 ? (vector as number[]).map((value) => value / length) : new Array<number>(width).fill(0);
}

const dot = (left: readonly number[], right: readonly number[]): number =>
  left.reduce((sum, value, at) => sum + value * (right[at] as number), 0);

/**
 * Content links by their definition: the ridge of an item's content on the contents of the `fitted` items but itself, with
 * the kernel matrix and no identity of Woodbury.
 */
function contentLinks(vectors: readonly (readonly number[])[], fitted: number, lambda: number): number[][] {
  const links = vectors.map(() => new Array<number>(vectors.length).fill(0));
  vectors.forEach((target, to) => {
    const others = Array.from({ length: fitted }, (_, item) => item).filter((item) => item !== to);
    const matrix = others.map((row) =>
      others.map((column) => dot(vectors[row] as number[], vectors[column] as number[]) + (row === column ? lambda : 0)),
    );
    const solution = solve(
      matrix,
      others.map((row) => dot(vectors[row] as number[], target)),
    );
    others.forEach((from, place) => {
      (links[from] as number[])[to] = solution[place] as number;
    });
  });
  return links;
}

/** Scores of all rows for a history of one item. */
async function scoresAfter(component: ContentEase, item: number, rows: number): Promise<number[]> {
  const out = new Float32Array(rows).fill(Number.NaN);
  const requests = [requestView({ history: [{ item }] })];
  await component.score(candidateBatch({ rows: [Array.from({ length: rows }, (_, row) => row)], requests }), out, signal);
  return [...out];
}

function expectRow(found: readonly number[], expected: readonly number[], digits = 5): void {
  expect(found.length).toBe(expected.length);
  found.forEach((value, at) => expect(value, `item ${at}`).toBeCloseTo(expected[at] as number, digits));
}

const vectors = [[1, 0.2], [0.9, 0.4], [-0.3, 1], undefined];
const options = { lambda: 2, minimumItemUsers: 1, contentLambda: 0.7, contentShare: 0.4 };

describe('content-ease', () => {
  it('is the share of EASE plus the share of the ridge of the contents', async () => {
    const shop = shopOf(events, 4);
    const host = createTestHost();
    const collaborative = linksOf(await host.fit(ease, { shop, options: { lambda: 2, minimumItemUsers: 1, keep: 10 } }));
    const contents = contentLinks(
      vectors.map((vector) => unit(vector)),
      4,
      0.7,
    );
    for (const keep of [undefined, 10]) {
      const component = await host.open<ContentEase>(contentEase, {
        shop,
        options: { ...options, ...(keep === undefined ? {} : { keep }) },
        inputs: { content: [featureOf('text', vectors)] },
      });
      for (let item = 0; item < 4; item++) {
        const expected = [0, 1, 2, 3].map((to) => 0.6 * (collaborative[item]?.[to] as number) + 0.4 * (contents[item]?.[to] as number));
        expectRow(await scoresAfter(component, item, 4), expected);
      }
      await component.dispose();
    }
  });

  it('is the definition for any contents, of several features with weights', async () => {
    const vector = fc.option(fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 3, maxLength: 3 }), { nil: undefined });
    const host = createTestHost();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(vector, vector), { minLength: 2, maxLength: 7 }),
        fc.constantFrom(0.3, 1, 3),
        async (pairs, weight) => {
          const component = await host.open<ContentEase>(contentEase, {
            shop: shopOf([], pairs.length),
            options: { contentShare: 1, contentLambda: 0.5, contentWeights: { picture: weight } },
            inputs: {
              content: [
                featureOf('text', [...pairs.map(([text]) => text), [0, 0, 0]]),
                featureOf('picture', [...pairs.map(([, picture]) => picture), [0, 0, 0]]),
              ],
            },
          });
          const whole = pairs.map(([text, picture]) => [
            ...unit(text, 3).map((value) => value * Math.sqrt(1 / (1 + weight))),
            ...unit(picture, 3).map((value) => value * Math.sqrt(weight / (1 + weight))),
          ]);
          const expected = contentLinks(whole, pairs.length, 0.5);
          for (let item = 0; item < pairs.length; item++)
            expectRow(await scoresAfter(component, item, pairs.length), expected[item] as number[], 4);
          await component.dispose();
        },
      ),
      { numRuns: 40 },
    );
  });

  it('weighs attributes by how rare they are and leaves out what all or too few items have', async () => {
    // Five items: "red" has two of five, "small" three of five, "rare" one, "all" every one.
    const tags = [['red', 'all'], ['red', 'small', 'all'], ['small', 'all'], ['small', 'rare', 'all'], ['all']];
    const shop = { ...shopOf([], 5), items: tableFrom(['a', 'b', 'c', 'd', 'e'], { tags: listColumn(tags) }) };
    const host = createTestHost();
    const component = await host.open<ContentEase>(contentEase, {
      shop,
      options: { contentShare: 1, contentLambda: 0.5 },
      inputs: { attributes: ['item.tags'] },
    });
    const red = Math.log(5 / 2);
    const small = Math.log(5 / 3);
    const expected = contentLinks([unit([red, 0]), unit([red, small]), unit([0, small]), unit([0, small]), [0, 0]], 5, 0.5);
    for (let item = 0; item < 5; item++) expectRow(await scoresAfter(component, item, 5), expected[item] as number[]);
    await component.dispose();
    // Only the most common value of a field, and a category beside a list.
    const two = await host.open<ContentEase>(contentEase, {
      shop: {
        ...shop,
        items: tableFrom(['a', 'b', 'c', 'd', 'e'], { tags: listColumn(tags), brand: categoryColumn(['X', 'Y', 'X', null, 'Y']) }),
      },
      options: { contentShare: 1, contentLambda: 0.5, maximumAttributes: 1, minimumAttributeItems: 1 },
      inputs: { attributes: ['item.tags', 'item.brand'] },
    });
    // log(5/3) for small; of the brands, equally common, X by name: log(4/2). Each block has length 1 times √½.
    const half = Math.SQRT1_2;
    const blocks = [
      [0, half],
      [half, 0],
      [half, half],
      [half, 0],
      [0, 0],
    ];
    const both = contentLinks(blocks, 5, 0.5);
    for (let item = 0; item < 5; item++) expectRow(await scoresAfter(two, item, 5), both[item] as number[]);
    await two.dispose();
  });

  it('proposes by both and explains by both', async () => {
    const component = await createTestHost().open<ContentEase>(contentEase, {
      shop: shopOf(events, 4),
      options,
      inputs: {
        content: [
          featureOf('text', [
            [1, 0.2],
            [0.9, 0.4],
            [-0.3, 1],
            [1, 0.1],
          ]),
        ],
      },
    });
    // Nobody bought item 3; it is like item 0.
    const request = requestView({ userRow: 8, history: [{ item: 0, type: 'purchase' }] });
    const scores = await scoresAfter(component, 0, 4);
    const order = [1, 2, 3]
      .filter((row) => (scores[row] as number) > 0)
      .sort((one, other) => (scores[other] as number) - (scores[one] as number));
    expect(order).toContain(3);
    const proposals = await component.propose(requestBatch([request]), 10);
    expect([...proposals.rows]).toEqual(order);
    expect([...proposals.scores]).toEqual(order.map((row) => scores[row]));
    expect([...(await component.propose(requestBatch([request], { eligible: Uint8Array.of(1, 0, 1, 1) }), 1)).rows]).toEqual([3]);
    expect(component.reasons(request, Int32Array.of(3, 0))).toMatchObject([{ code: 'because-you-bought', items: [0] }, undefined]);
    expect(component.inspectItem(3)).toMatchObject({ recommendedAfter: [{ item: 'i0' }, { item: 'i1' }, { item: 'i2' }] });
    await component.dispose();
  });
});

describe('items added or changed since the build', () => {
  const now = [
    [1, 0.2],
    [0.9, 0.4],
    [-0.3, 1],
    [0.2, 0.3],
    [0.8, 0.1],
    [-0.2, 0.9],
  ];

  async function grown(share: number) {
    const host = createTestHost();
    const shop = shopOf(events, 4);
    const setup = { shop, options: { ...options, contentShare: share, keep: 10 } };
    const state = await host.fit(contentEase, { ...setup, inputs: { content: [featureOf('text', now.slice(0, 4))] } });
    let rows = 4;
    let version = 1;
    const live = featureOf('text', now);
    const feature: FeatureMatrix = {
      ...live,
      get rowCount() {
        return rows;
      },
      get version() {
        return version;
      },
      changedSince: (since) => (since < 2 && version === 2 ? Int32Array.of(0, 4, 5) : new Int32Array(0)),
    };
    const table = tableFrom(now.map((_, row) => `i${row}`));
    const items: Table = {
      get rowCount() {
        return rows;
      },
      get version() {
        return version;
      },
      fields: [],
      idOf: (row) => table.idOf(row),
      rowOf: (id) => table.rowOf(id),
      column: () => undefined,
    };
    const component = await host.open<ContentEase>(contentEase, {
      ...setup,
      shop: { ...shop, items: items as typeof shop.items },
      state,
      inputs: { content: [feature] },
    });
    return {
      component,
      grow: () => {
        rows = 6;
        version = 2;
      },
      values: live.values,
      state,
    };
  }

  it('a new item has the links that a fit with it would have given it', async () => {
    const { component, grow } = await grown(1);
    const expected = contentLinks(
      now.map((vector) => unit(vector)),
      4,
      0.7,
    );
    const before = await scoresAfter(component, 0, 6);
    expect(before.slice(4)).toEqual([0, 0]);
    grow();
    for (let item = 0; item < 4; item++) expectRow(await scoresAfter(component, item, 6), expected[item] as number[]);
    const request = requestView({ history: [{ item: 0 }] });
    expect([...(await component.propose(requestBatch([request]), 10)).rows]).toContain(4);
    // As the history it speaks too: for what is like it.
    const after = await scoresAfter(component, 4, 6);
    expect(after[4]).toBeCloseTo(0, 6);
    expect(after[0]).toBeGreaterThan(after[2] as number);
    expect(after[0]).toBeGreaterThan(0);
    expect(component.reasons(requestView({ history: [{ item: 4 }] }), Int32Array.of(0))[0]).toMatchObject({ items: [4] });
    await component.dispose();
  });

  it('with both shares, a new item has the content share alone', async () => {
    const [whole, part] = [await grown(1), await grown(0.4)];
    whole.grow();
    part.grow();
    expect((await scoresAfter(part.component, 1, 6))[5]).toBeCloseTo(0.4 * ((await scoresAfter(whole.component, 1, 6))[5] as number), 6);
    await whole.component.dispose();
    await part.component.dispose();
  });

  it('a changed item is scored by what it is now, as one that was not there', async () => {
    const { component, grow, values } = await grown(1);
    values.set([-0.3, 1], 0);
    grow();
    const changed = now.map((vector, row) => unit(row === 0 ? [-0.3, 1] : vector));
    // S still holds the item as it was: f[2]ᵀ S f[0], where item 2 is one of the fitted.
    const old = now.slice(0, 4).map((vector) => unit(vector));
    const size = 2;
    const gram = Array.from({ length: size }, (_, row) =>
      Array.from(
        { length: size },
        (__, column) =>
          old.reduce((sum, vector) => sum + (vector[row] as number) * (vector[column] as number), 0) + (row === column ? 0.7 : 0),
      ),
    );
    const expected = dot(changed[2] as number[], solve(gram, changed[0] as number[]));
    expect((await scoresAfter(component, 2, 6))[0]).toBeCloseTo(expected, 5);
    expect(expected).toBeGreaterThan(0.2);
    await component.dispose();
  });
});

describe('bad input', () => {
  it('no contents at all is refused; contents that say nothing leave EASE, with a warning', async () => {
    const shop = shopOf(events, 4);
    const host = createTestHost();
    await expect(host.fit(contentEase, { shop, options, inputs: {} })).rejects.toMatchObject({ code: 'CONTENT_EASE_NO_INPUT' });
    const same = { ...shop, items: tableFrom(['a', 'b', 'c', 'd'], { brand: categoryColumn(['X', 'X', 'X', 'X']) }) };
    const collaborative = linksOf(await host.fit(ease, { shop, options: { lambda: 2, minimumItemUsers: 1, keep: 10 } }));
    for (const [data, inputs] of [
      [same, { attributes: ['item.brand'] }],
      [shop, { content: [featureOf('text', [undefined, undefined, undefined, undefined])] }],
      [
        shop,
        {
          content: [
            featureOf('text', [
              [0, 0],
              [Number.NaN, 1],
              [Number.POSITIVE_INFINITY, 0],
              [1e-30, 0],
            ]),
          ],
        },
      ],
    ] as const) {
      const own = createTestHost();
      const component = await own.open<ContentEase>(contentEase, { shop: data, options, inputs });
      expect(own.warnings.map(({ code }) => code)).toEqual(['CONTENT_EASE_EMPTY']);
      expectRow(
        await scoresAfter(component, 1, 4),
        (collaborative[1] as number[]).map((value) => 0.6 * value),
      );
      await component.dispose();
    }
  });

  it('another width than at the build is refused', async () => {
    const shop = shopOf(events, 4);
    const host = createTestHost();
    const state = await host.fit(contentEase, { shop, options, inputs: { content: [featureOf('text', vectors)] } });
    const wider = featureOf('text', [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
      [1, 1, 1],
    ]);
    await expect(host.open(contentEase, { shop, options, state, inputs: { content: [wider] } })).rejects.toMatchObject({
      code: 'CONTENT_EASE_WIDTH',
    });
  });

  it('one item, items all alike, more numbers than items', async () => {
    const host = createTestHost();
    for (const contents of [[[1, 2]], new Array<number[]>(4).fill([1, 2]), [[1, 0, 0, 0, 0, 0, 0, 2]]]) {
      const component = await host.open<ContentEase>(contentEase, {
        shop: shopOf([{ user: 0, item: 0 }], contents.length),
        options: { contentShare: 0.5, contentLambda: 1e-3, minimumItemUsers: 1 },
        inputs: { content: [featureOf('text', contents)] },
      });
      const scores = await scoresAfter(component, 0, contents.length);
      expect(scores[0]).toBeCloseTo(0, 4);
      for (const score of scores.slice(1)) expect(score).toBeCloseTo(scores[1] as number, 5);
      expect(scores.every(Number.isFinite)).toBe(true);
      await component.dispose();
    }
  });

  it('unknown and wrong options', async () => {
    for (const raw of [
      { contentShares: 1 },
      { contentShare: 1.1 },
      { contentLambda: 0 },
      { maximumAttributes: 0 },
      { contentWeights: { a: -1 } },
    ]) {
      await expect(validateOptions(contentEase, raw)).rejects.toSatisfy(
        (error) => isRecloomError(error) && error.code === 'RECLOOM_CFG_TYPE',
      );
    }
  });

  it('memory is given back', async () => {
    const compute = singleThreadCompute();
    const host = createTestHost({ provide: [[computeToken, compute]] });
    const before = kernelsOf(compute).bytesInUse;
    const setup = { shop: shopOf(events, 4), options, inputs: { content: [featureOf('text', vectors)] } };
    const component = await host.open<ContentEase>(contentEase, setup);
    await component.dispose();
    await component.dispose();
    expect(kernelsOf(compute).bytesInUse).toBe(before);
    await expect(host.fit(contentEase, { ...setup, signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
    expect(kernelsOf(compute).bytesInUse).toBe(before);
  });
});
