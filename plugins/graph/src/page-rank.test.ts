import { createComputePool, type SparseMatrix, transposeSparseMatrix } from '@recloom/kernels';
import { computeToken } from '@recloom/plugin-api';
import { candidateBatch, historyFrom, requestBatch, requestView, singleThreadCompute, tableFrom } from '@recloom/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import plugin, { pagerank } from './index.js';
import { bipartiteGraph, interactionsOf, rowSums } from './interactions.js';
import { type PageRankOptions, pageRankOptions } from './options.js';
import { fitPageRank, PageRank } from './page-rank.js';
import { bipartitePageRank, personalizedPageRank } from './power-iteration.js';

const day = 86_400_000;
const signal = new AbortController().signal;

// Users 0, 1, 2 and items 0 to 4; nobody touches item 4.
const history = historyFrom(
  [
    { user: 0, item: 0, weight: 1 },
    { user: 0, item: 1, weight: 2 },
    { user: 1, item: 1, weight: 1 },
    { user: 1, item: 2, weight: 3 },
    { user: 2, item: 2, weight: 1 },
    { user: 2, item: 3, weight: 1 },
    { user: 2, item: 0, weight: 0.5 },
  ],
  { itemCount: 5 },
);

function graphOf(): SparseMatrix {
  const itemsByUsers = interactionsOf(history, 5, { recencyDays: 0 }, 0, () => {});
  return bipartiteGraph(itemsByUsers, transposeSparseMatrix(itemsByUsers));
}

async function open(options: Partial<PageRankOptions> = {}, compute = singleThreadCompute()): Promise<PageRank> {
  const parsed = pageRankOptions.parse(options);
  const state = await fitPageRank({ options: parsed, history, itemCount: 5, asOfMs: 0, compute, signal, warn: () => {} });
  return new PageRank(state, parsed, tableFrom(['a', 'b', 'c', 'd', 'e']), compute);
}

const exact = { restart: 0.15, recencyDays: 0, iterations: 1000, tolerance: 1e-13 };

// By networkx 3.6: G is the undirected graph of the edges above (nodes 0 to 4, then the users),
// pagerank(G, alpha=.85, personalization=start, tol=1e-14, max_iter=1000, weight='weight').
const references: readonly [rows: number[], weights: number[], ranks: number[]][] = [
  [[0], [1], [0.23262675, 0.14654838, 0.11786926, 0.04349615, 0, 0.21486591, 0.11666369, 0.12792986]],
  [
    [0, 3],
    [1, 0.5],
    [0.17683258, 0.12123572, 0.13452014, 0.10795211, 0, 0.16890537, 0.12010671, 0.17044739],
  ],
  [[4], [1], [0, 0, 0, 0, 1, 0, 0, 0]],
];

describe('power iteration', () => {
  it.each(references)('gives networkx’s values from %j', (rows, weights, ranks) => {
    const graph = graphOf();
    const found = personalizedPageRank(graph, rowSums(graph), { rows: Int32Array.from(rows), weights: Float64Array.from(weights) }, exact);
    ranks.forEach((rank, node) => {
      expect(found[node]).toBeCloseTo(rank, 7);
    });
  });

  it.each(references)('gives the same on both sides of a bipartite graph in turn, from %j', (rows, weights, ranks) => {
    const graph = graphOf();
    const found = bipartitePageRank(graph, 5, rowSums(graph), { rows: Int32Array.from(rows), weights: Float64Array.from(weights) }, exact);
    ranks.forEach((rank, node) => {
      expect(found[node]).toBeCloseTo(rank, 7);
    });
  });

  it('is a probability, and a fixed point of its own equation', () => {
    const edges = fc.array(fc.tuple(fc.nat(5), fc.nat(5), fc.integer({ min: 1, max: 9 })), { maxLength: 20 });
    fc.assert(
      fc.property(edges, fc.nat(5), fc.double({ min: 0.05, max: 0.95, noNaN: true }), (list, start, restart) => {
        const weights = Array.from({ length: 6 }, () => new Float32Array(6));
        for (const [from, to, weight] of list) (weights[from] as Float32Array)[to] = weight;
        const cells = weights
          .flatMap((row, from) => Array.from(row, (value, to) => ({ from, to, value })))
          .filter(({ value }) => value > 0);
        const graph: SparseMatrix = {
          rowCount: 6,
          columnCount: 6,
          rowOffsets: Int32Array.from({ length: 7 }, (_, row) => cells.filter(({ from }) => from < row).length),
          columnIndices: Int32Array.from(cells, ({ to }) => to),
          values: Float32Array.from(cells, ({ value }) => value),
        };
        const strengths = rowSums(graph);
        const ranks = personalizedPageRank(
          graph,
          strengths,
          { rows: Int32Array.of(start), weights: Float64Array.of(2) },
          { restart, iterations: 2000, tolerance: 1e-14 },
        );
        expect(ranks.reduce((sum, rank) => sum + rank, 0)).toBeCloseTo(1, 10);
        const dangling = ranks.reduce((sum, rank, node) => (strengths[node] === 0 ? sum + rank : sum), 0);
        for (let node = 0; node < 6; node++) {
          const inflow = cells
            .filter(({ to }) => to === node)
            .reduce((sum, { from, value }) => sum + ((ranks[from] as number) * value) / (strengths[from] as number), 0);
          const back = node === start ? restart + (1 - restart) * dangling : 0;
          expect(ranks[node]).toBeCloseTo((1 - restart) * inflow + back, 9);
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('pagerank', () => {
  it('proposes by networkx’s values, without the start', async () => {
    const rank = await open(exact);
    const found = await rank.propose(requestBatch([{ items: [0] }]), 10);
    expect([...found.rows]).toEqual([1, 2, 3]);
    [0.14654838, 0.11786926, 0.04349615].forEach((score, place) => {
      expect(found.scores[place]).toBeCloseTo(score, 6);
    });
  });

  it('starts from the history with decaying weights', async () => {
    const rank = await open({ ...exact, historyDecay: 0.5 });
    const found = await rank.propose(
      requestBatch([
        {
          history: [
            { item: 3, timeMs: 0 },
            { item: 0, timeMs: 1 },
          ],
        },
      ]),
      10,
    );
    // The second reference: weights 1 and .5.
    expect([...found.rows]).toEqual([2, 1]);
    expect(found.scores[0]).toBeCloseTo(0.13452014, 6);
  });

  it('comes close by walking at random, the same for the same seed', async () => {
    const rank = await open({ method: 'walks', restart: 0.15, recencyDays: 0, steps: 400_000 });
    const ask = async (seed: number) => rank.propose(requestBatch([{ items: [0], seed }]), 10);
    const found = await ask(7);
    expect([...found.rows]).toEqual([1, 2, 3]);
    // The standard error of a share p over n nearly independent steps is about sqrt(p / n) = .0006; 5 of them.
    [0.14654838, 0.11786926, 0.04349615].forEach((score, place) => {
      expect(Math.abs((found.scores[place] as number) - score)).toBeLessThan(0.003);
    });
    expect(await ask(7)).toEqual(found);
    expect((await ask(8)).scores).not.toEqual(found.scores);
    rank.dispose();
    rank.dispose();
  });

  it('walks alike on a pool of threads', async () => {
    const pool = createComputePool({ threads: 2 });
    try {
      const alone = await open({ method: 'walks', steps: 60_000 });
      const pooled = await open({ method: 'walks', steps: 60_000 }, pool as never);
      const batch = requestBatch([
        { items: [0], seed: 3 },
        { items: [2], seed: 4 },
      ]);
      expect(await pooled.propose(batch, 5)).toEqual(await alone.propose(batch, 5));
      alone.dispose();
      pooled.dispose();
    } finally {
      await pool.close();
    }
  });

  it('weighs recent events more', () => {
    const timed = historyFrom([
      { user: 0, item: 0, weight: 2, timeMs: 0 },
      { user: 0, item: 1, timeMs: 10 * day },
    ]);
    const matrix = interactionsOf(timed, 2, { recencyDays: 10 }, 10 * day, () => {});
    expect(matrix.values?.[0]).toBeCloseTo(2 * Math.exp(-1), 6);
    expect(matrix.values?.[1]).toBe(1);
  });

  it('holds popular items back when told', async () => {
    // Shares of all 9.5 event weight: items 1 and 2 have 3 and 4. By networkx's numbers .14654838 / (3 / 9.5) against
    // .11786926 / (4 / 9.5) and .04349615 / (1 / 9.5).
    const rank = await open({ ...exact, popularityDiscount: 1 });
    const found = await rank.propose(requestBatch([{ items: [0] }]), 10);
    expect([...found.rows]).toEqual([1, 3, 2]);
    expect(found.scores[1]).toBeCloseTo((0.04349615 * 9.5) / 1, 5);
  });

  it('walks on the items alone when told', async () => {
    const rank = await open({ graph: 'item-item', ...exact });
    const found = await rank.propose(requestBatch([{ items: [3] }]), 10);
    // Item 3 shares a person with 0 (1 * .5) and 2 (1 * 1); the rest lies behind them.
    expect(found.rows[0]).toBe(2);
    expect([...found.rows].sort()).toEqual([0, 1, 2]);
  });

  it('respects the mask, and has nothing to say about strangers', async () => {
    const rank = await open(exact);
    expect([...(await rank.propose(requestBatch([{ items: [0] }], { eligible: Uint8Array.of(1, 0, 1, 1, 1) }), 1)).rows]).toEqual([2]);
    for (const parts of [{}, { items: [17] }, { items: [4] }]) {
      expect((await rank.propose(requestBatch([parts]), 5)).rows).toHaveLength(0);
    }
  });

  it('scores what it proposes alike, and unknown rows 0', async () => {
    const rank = await open();
    const proposals = await rank.propose(requestBatch([{ items: [1] }]), 10);
    const out = new Float32Array(proposals.rows.length + 1).fill(Number.NaN);
    await rank.score(candidateBatch({ rows: [[...proposals.rows, 99]], requests: [{ items: [1] }] }), out, signal);
    expect(out.subarray(0, -1)).toEqual(proposals.scores);
    expect(out.at(-1)).toBe(0);
  });

  it('names the start that shares most people', async () => {
    const rank = await open();
    // Item 2 is reached from item 1 through user 1 and from item 0 through user 2.
    const [reason, none] = rank.reasons(requestView({ items: [0, 1] }), Int32Array.of(2, 4));
    expect(reason).toMatchObject({ code: 'liked-by-same-people', items: [1, 0] });
    expect(none).toBeUndefined();
  });

  it('declares the service it uses', () => {
    expect(pagerank.needs).toEqual({ compute: computeToken });
    expect(plugin.components.map(({ id }) => id)).toEqual(['related', 'pagerank', 'embedding', 'degree', 'candidate']);
  });
});
