import { createComputePool, kernelsOf } from '@recloom/kernels';
import { type Compute, computeToken, createRandomStream, type HistoryStore, type RandomStream, type Warning } from '@recloom/plugin-api';
import { candidateBatch, historyFrom, type RequestParts, singleThreadCompute, type TestUserEvent, tableFrom } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { CandidateFeatures } from './candidate.js';
import { fitCandidateGraph } from './candidate-graph.js';
import plugin, { candidate } from './index.js';
import { type CandidateOptions, candidateOptions } from './options.js';

const day = 86_400_000;
const signal = new AbortController().signal;

// A triangle with a tail: each edge is a person who chose both of its items. Nobody chose item 6.
const edges = [
  [0, 1],
  [0, 2],
  [1, 2],
  [1, 3],
  [2, 3],
  [3, 4],
  [4, 5],
] as const;
const itemIds = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const history = historyFrom(
  edges.flatMap(([one, other], user) => [
    { user, item: one },
    { user, item: other },
  ]),
  { itemCount: 7 },
);

interface Setup {
  readonly history?: HistoryStore;
  readonly random?: RandomStream;
  readonly compute?: Compute;
  readonly warnings?: Warning[];
}

async function fit(options: Partial<CandidateOptions>, setup: Setup = {}) {
  const store = setup.history ?? history;
  return fitCandidateGraph({
    options: candidateOptions.parse({ recencyDays: 0, ...options }),
    history: store,
    itemCount: store.itemCount,
    asOfMs: 0,
    compute: setup.compute ?? singleThreadCompute(),
    random: setup.random ?? createRandomStream(1),
    signal,
    progress: () => {},
    warn: (warning) => setup.warnings?.push(warning),
  });
}

async function open(options: Partial<CandidateOptions>, setup: Setup = {}): Promise<CandidateFeatures> {
  const parsed = candidateOptions.parse({ recencyDays: 0, ...options });
  return new CandidateFeatures(await fit(options, setup), parsed, tableFrom(itemIds), setup.compute ?? singleThreadCompute());
}

/** Values by column, for the candidates of one request after another. */
async function extract(
  features: CandidateFeatures,
  requests: readonly (RequestParts & { readonly rows: readonly number[] })[],
): Promise<Record<string, number[]>> {
  const candidates = candidateBatch({ requests, rows: requests.map((request) => request.rows) });
  const count = requests.flatMap((request) => request.rows).length;
  expect(candidates.count).toBe(count);
  const out = { values: new Float32Array(count * features.width), presence: new Uint8Array(count) };
  await features.extract({ scope: 'candidate', count, columns: {}, rows: new Int32Array(0), candidates, signal }, out);
  expect([...out.presence]).toEqual(new Array(count).fill(1));
  return Object.fromEntries(
    features.componentNames.map((name, column) => [
      name,
      Array.from({ length: count }, (_, row) => out.values[row * features.width + column] as number),
    ]),
  );
}

function expectClose(found: readonly number[] | undefined, expected: readonly number[], digits = 6): void {
  expect(found).toHaveLength(expected.length);
  for (const [place, value] of expected.entries()) expect(found?.[place]).toBeCloseTo(value, digits);
}

const all = [0, 1, 2, 3, 4, 5, 6];

describe('against networkx 3.6.1', () => {
  // len(list(common_neighbors(G, h, v))), adamic_adar_index and jaccard_coefficient of G = Graph(edges), and has_edge(h, v).
  const zeros = (count: number): number[] => new Array(count).fill(0);
  const references: readonly [number, number[], number[], number[], number[]][] = [
    [0, [1, 1, 2, 0, 0], [0.91023923, 0.91023923, 1.82047845, 0, 0], [0.25, 0.25, 0.66666667, 0, 0], [1, 1, 0, 0, 0]],
    [3, [2, 1, 1, 0, 1], [1.82047845, 0.91023923, 0.91023923, 0, 1.44269504], [0.66666667, 0.2, 0.2, 0, 0.33333333], [0, 1, 1, 1, 0]],
  ];

  it.each(references)('common neighbours, Adamic–Adar, Jaccard and edges of item %i', async (item, common, rarity, jaccard, linked) => {
    const features = await open({});
    const rows = all.filter((row) => row !== item && row !== 6);
    const found = await extract(features, [{ history: [{ item }], rows }]);
    expect(found.commonNeighbours).toEqual(common);
    expect(found.linked).toEqual(linked);
    expectClose(found.adamicAdar, rarity);
    expectClose(found.jaccard, jaccard);
    features.dispose();
  });

  it('PageRank of the graph of people and items, as a multiple of the average', async () => {
    const features = await open({});
    // p = pagerank(B, alpha=.85, personalization = dangling = {item: 1}, tol=1e-14) of the bipartite graph; log(7 p / sum of p).
    const found = await extract(features, [{ rows: all }]);
    expectClose(found.pageRank, [-0.05527142, 0.20275106, 0.20275106, 0.24915125, 0.17455022, -0.19704758, -1.17299601]);
    expectClose(found.degree, [2, 3, 3, 3, 2, 1, 0].map(Math.log1p));
    for (const name of ['linked', 'commonNeighbours', 'adamicAdar', 'jaccard', 'similarityMax', 'similarityMean'])
      expect(found[name]).toEqual(zeros(7));
    features.dispose();
  });
});

describe('a history of several items', () => {
  it('counts newer events more, sums repeated ones, and leaves the candidate itself out', async () => {
    const features = await open({ columns: ['commonNeighbours', 'linked'], historyRecencyDays: 10 });
    const events = [
      { item: 0, timeMs: 0, weight: 2 },
      { item: 4, timeMs: 5 * day },
      { item: 4, timeMs: 10 * day, weight: 3 },
    ];
    const found = await extract(features, [{ history: events, rows: [3, 0, 4, 5] }]);
    const first = 2 * Math.exp(-1);
    const fourth = Math.exp(-0.5) + 3;
    // 3 shares 1 and 2 with item 0, and is next to item 4; 0 and 4 share nothing; 5 is next to 4.
    expectClose(found.commonNeighbours, [(2 * first) / (first + fourth), 0, 0, 0]);
    expectClose(found.linked, [fourth / (first + fourth), 0, 0, fourth / (first + fourth)]);
    features.dispose();
  });

  it('looks at the last different items only', async () => {
    const features = await open({ columns: ['linked'], historyItems: 1, historyRecencyDays: 0 });
    const found = await extract(features, [{ history: [{ item: 0 }, { item: 5 }, { item: 5 }], rows: [1, 4] }]);
    expect(found.linked).toEqual([0, 1]);
    features.dispose();
  });

  it('passes over items without edges, unknown rows, and events that weigh nothing', async () => {
    const features = await open({ historyRecencyDays: 0 });
    const plain = await extract(features, [{ history: [{ item: 0 }], rows: all }]);
    const noisy = [
      { item: 0 },
      { item: 6 },
      { item: 99 },
      { item: 3, weight: 0 },
      { item: 4, weight: -2 },
      { item: 5, weight: Number.NaN },
    ];
    expect(await extract(features, [{ history: noisy, rows: all }])).toEqual(plain);
    features.dispose();
  });

  it('is silent where only such items are left, and for a history that was not granted', async () => {
    const features = await open({});
    const guest = await extract(features, [{ rows: all }]);
    expect(await extract(features, [{ history: [{ item: 6 }, { item: 99 }], rows: all }])).toEqual(guest);
    expect(await extract(features, [{ history: [{ item: 0 }], grants: [], rows: all }])).toEqual(guest);
    features.dispose();
  });

  it('gives items that came later the rank of an item without edges, and no evidence', async () => {
    const features = await open({});
    const found = await extract(features, [{ history: [{ item: 0 }], rows: [6, 7, 50] }]);
    expect(found.pageRank?.[1]).toBe(found.pageRank?.[0]);
    expect(found.pageRank?.[2]).toBeCloseTo(-1.17299601, 6);
    for (const name of features.componentNames) if (name !== 'pageRank') expect(found[name]).toEqual([0, 0, 0]);
    features.dispose();
  });
});

describe('similarity', () => {
  it('is the cosine of the stored vectors, the largest and the weighted mean', async () => {
    const state = await fit({});
    const vectors = state.vectors?.data as Float32Array;
    const width = 64;
    const cosine = (one: number, other: number): number => {
      let product = 0;
      for (let place = 0; place < width; place++)
        product += (vectors[one * width + place] as number) * (vectors[other * width + place] as number);
      return product;
    };
    expect(cosine(0, 0)).toBeCloseTo(1, 6);
    const features = await open({ historyRecencyDays: 0 });
    const found = await extract(features, [
      {
        history: [
          { item: 0, weight: 1 },
          { item: 5, weight: 3 },
        ],
        rows: [3, 0, 6],
      },
    ]);
    expectClose(found.similarityMax, [Math.max(cosine(3, 0), cosine(3, 5)), cosine(0, 5), 0], 5);
    expectClose(found.similarityMean, [(cosine(3, 0) + 3 * cosine(3, 5)) / 4, cosine(0, 5), 0], 5);
    features.dispose();
  });

  it('is 1 for items that the same people chose', async () => {
    const twins = historyFrom(
      [0, 1, 2].flatMap((user) => [
        { user, item: 0 },
        { user, item: 1 },
        { user: user + 3, item: 2 },
      ]),
      { itemCount: 3 },
    );
    const features = await open({ columns: ['similarityMax'] }, { history: twins });
    const found = await extract(features, [{ history: [{ item: 0 }], rows: [1, 2] }]);
    expect(found.similarityMax?.[0]).toBeCloseTo(1, 5);
    expect(found.similarityMax?.[1]).toBeLessThan(0.6);
    features.dispose();
  });
});

describe('columns', () => {
  it('gives those asked for, in that order, with the same values', async () => {
    const every = await open({});
    const some = await open({ columns: ['jaccard', 'degree', 'similarityMean'] });
    expect(some.componentNames).toEqual(['jaccard', 'degree', 'similarityMean']);
    expect([every.width, some.width]).toEqual([8, 3]);
    const request = { history: [{ item: 0 }, { item: 3 }], rows: all };
    const whole = await extract(every, [request]);
    const part = await extract(some, [request]);
    for (const name of some.componentNames) expect(part[name]).toEqual(whole[name]);
    every.dispose();
    some.dispose();
  });

  it('builds and stores only what they need', async () => {
    expect(Object.keys(await fit({ columns: ['degree'] })).sort()).toEqual(['degree', 'pageRank', 'unlinkedRank']);
    expect(Object.keys(await fit({ columns: ['linked'] }))).not.toContain('vectors');
    expect(Object.keys(await fit({ columns: ['similarityMax'] }))).not.toContain('neighbours');
    const features = await open({ columns: ['degree'] });
    expect((await extract(features, [{ history: [{ item: 0 }], rows: [0] }])).degree).toEqual([Math.fround(Math.log1p(2))]);
    features.dispose();
  });

  it('keeps the strongest neighbours', async () => {
    const events: TestUserEvent[] = [
      { user: 0, item: 0 },
      { user: 0, item: 1 },
      { user: 0, item: 2 },
      { user: 1, item: 0 },
      { user: 1, item: 2 },
    ];
    const features = await open({ columns: ['linked'], neighbours: 1 }, { history: historyFrom(events, { itemCount: 3 }) });
    expect((await extract(features, [{ history: [{ item: 0 }], rows: [1, 2] }])).linked).toEqual([0, 1]);
    features.dispose();
  });

  it('weighs events by age', async () => {
    const events: TestUserEvent[] = [
      { user: 0, item: 0, timeMs: -100 * day },
      { user: 0, item: 1, timeMs: -100 * day },
      { user: 1, item: 0, timeMs: 0 },
      { user: 1, item: 2, timeMs: 0 },
    ];
    const setup = { history: historyFrom(events, { itemCount: 3 }) };
    const faded = await open({ columns: ['linked'], neighbours: 1, recencyDays: 10 }, setup);
    const plain = await open({ columns: ['linked'], neighbours: 1 }, setup);
    const request = { history: [{ item: 0 }], rows: [1, 2] };
    expect((await extract(faded, [request])).linked).toEqual([0, 1]);
    // Of two equal neighbours the lower row stays.
    expect((await extract(plain, [request])).linked).toEqual([1, 0]);
    faded.dispose();
    plain.dispose();
  });
});

describe('relations', () => {
  // Five baskets of 0 and 1, later followed by 2 each; and five of 3 alone, for contrast.
  const events: TestUserEvent[] = [0, 1, 2, 3, 4].flatMap((user) => [
    { user, item: 0, timeMs: user * day, basket: user * 3 },
    { user, item: 1, timeMs: user * day, basket: user * 3 },
    { user, item: 2, timeMs: (user + 3) * day, basket: user * 3 + 1 },
    { user: user + 5, item: 3, timeMs: user * day, basket: user * 3 + 2 },
  ]);
  const store = historyFrom(events, { itemCount: 4 });
  const floors = { minimumSupport: 2, minimumUsers: 2, minimumSignificance: 0 };

  it.each([
    ['bought-together' as const, [1, 0, 0]],
    ['bought-after' as const, [0, 1, 0]],
    ['shared-people' as const, [1, 1, 0]],
  ])('%s', async (relation, linked) => {
    const features = await open({ ...floors, relation, columns: ['linked'] }, { history: store });
    expect((await extract(features, [{ history: [{ item: 0 }], rows: [1, 2, 3] }])).linked).toEqual(linked);
    features.dispose();
  });

  it('keeps to the floors', async () => {
    const features = await open({ ...floors, minimumSupport: 6, relation: 'bought-together', columns: ['linked'] }, { history: store });
    expect((await extract(features, [{ history: [{ item: 0 }], rows: [1, 2, 3] }])).linked).toEqual([0, 0, 0]);
    features.dispose();
  });
});

describe('many requests', () => {
  it('are answered as each alone', async () => {
    const features = await open({});
    const requests = [
      { history: [{ item: 0 }, { item: 3 }], rows: [1, 2, 5] },
      { rows: [6, 0] },
      { history: [{ item: 5 }], rows: [] },
      { history: [{ item: 2 }], rows: all },
    ];
    const together = await extract(features, requests);
    const alone = await Promise.all(requests.map((request) => extract(features, [request])));
    for (const name of features.componentNames) expect(together[name]).toEqual(alone.flatMap((one) => one[name]));
    features.dispose();
  });

  it('stop when they are aborted', async () => {
    const features = await open({});
    const candidates = candidateBatch({ requests: [{}], rows: [[0, 1]] });
    const out = { values: new Float32Array(16), presence: new Uint8Array(2) };
    const aborted = AbortSignal.abort(new Error('enough'));
    const batch = { scope: 'candidate' as const, count: 2, columns: {}, rows: new Int32Array(0), candidates, signal: aborted };
    expect(() => features.extract(batch, out)).toThrow('enough');
    const controller = new AbortController();
    const two = { ...batch, candidates: candidateBatch({ requests: [{}, {}], rows: [[0], [1]] }), signal: controller.signal };
    const pending = features.extract(two, out);
    controller.abort(new Error('enough of both'));
    await expect(pending).rejects.toThrow('enough of both');
    expect(() => features.extract(two, out)).toThrow('enough of both');
    features.dispose();
  });
});

describe('fit', () => {
  it('gives the same state again', async () => {
    expect(await fit({})).toEqual(await fit({}));
  });

  it('gives the same state, to the byte, on any number of threads, and nearly the same answers from plain TypeScript', async () => {
    const pools = [createComputePool({ threads: 2 }), createComputePool({ threads: 1, implementation: 'typescript' })];
    const request = { history: [{ item: 0 }, { item: 3 }], rows: all };
    const own = await open({});
    const expected = await extract(own, [request]);
    own.dispose();
    for (const [index, compute] of pools.entries()) {
      if (index === 0) expect(await fit({}, { compute })).toEqual(await fit({}));
      const features = await open({}, { compute });
      expect(kernelsOf(compute).implementation).toBe(index === 0 ? 'wasm' : 'typescript');
      for (const [name, values] of Object.entries(await extract(features, [request]))) expectClose(values, expected[name] ?? [], 5);
      features.dispose();
      await compute.close();
    }
  });

  it('of nothing gives zeros', async () => {
    for (const itemCount of [0, 2]) {
      const features = await open({}, { history: historyFrom([], { itemCount }) });
      const found = await extract(features, [{ history: [{ item: 0 }], rows: [0, 1] }]);
      for (const name of features.componentNames) expect(found[name]).toEqual([0, 0]);
      features.dispose();
    }
  });

  it('says which event types it does not know', async () => {
    const warnings: Warning[] = [];
    await fit({ types: ['gift'] }, { warnings });
    expect(warnings.map((warning) => warning.code)).toEqual(['GRAPH_UNKNOWN_TYPE']);
  });

  it('refuses a state of something else', async () => {
    const state = await fit({ columns: ['degree'] });
    const options = candidateOptions.parse({});
    expect(() => new CandidateFeatures(state, options, tableFrom(itemIds), singleThreadCompute())).toThrow(
      expect.objectContaining({ code: 'RECLOOM_DAT_SNAPSHOT_CORRUPT' }),
    );
  });
});

describe('the component', () => {
  it('is declared: options, needs, scope', () => {
    expect(plugin.components.map(({ id }) => id)).toContain('candidate');
    expect(candidate.needs).toEqual({ compute: computeToken });
    expect(candidate.capabilities).toMatchObject({ scopes: ['candidate'], modality: 'graph' });
    expect(candidateOptions.parse({}).columns).toHaveLength(8);
    for (const bad of [
      { columns: [] },
      { columns: ['degree', 'degree'] },
      { columns: ['size'] },
      { neighbours: 256 },
      { historyItems: 65 },
      { depth: 1 },
    ])
      expect(candidateOptions.safeParse(bad).success).toBe(false);
  });

  it('shows how an item is connected', async () => {
    const features = await open({});
    expect(features.inspectItem(3)).toMatchObject({ people: 3, neighbours: 3, someNeighbours: ['b', 'c', 'e'] });
    expect(features.inspectItem(99)).toMatchObject({ people: 0, neighbours: 0, someNeighbours: [] });
    features.dispose();
  });
});
