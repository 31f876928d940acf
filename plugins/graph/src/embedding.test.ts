import { transposeSparseMatrix } from '@recloom/kernels';
import { createRandomStream, type HistoryStore } from '@recloom/plugin-api';
import { historyFrom, singleThreadCompute } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { fitDegree } from './degree.js';
import { Embedding, fastRandomProjection, fitEmbedding } from './embedding.js';
import { bipartiteGraph, interactionsOf } from './interactions.js';
import { degreeOptions, type EmbeddingOptions, embeddingOptions } from './options.js';

const signal = new AbortController().signal;
const compute = singleThreadCompute();

async function embed(history: HistoryStore, options: Partial<EmbeddingOptions>, seed = 1): Promise<Embedding> {
  const parsed = embeddingOptions.parse(options);
  const state = await fitEmbedding({
    options: parsed,
    history,
    itemCount: history.itemCount,
    asOfMs: 0,
    compute,
    random: createRandomStream(seed),
    signal,
    progress: () => {},
    warn: () => {},
  });
  return new Embedding(state, parsed.dimensions);
}

function vectorsOf(extractor: Embedding, rows: readonly number[]): { vectors: Float32Array[]; presence: Uint8Array } {
  const out = { values: new Float32Array(rows.length * extractor.width), presence: new Uint8Array(rows.length) };
  extractor.extract({ scope: 'item', count: rows.length, columns: {}, rows: Int32Array.from(rows), candidates: undefined, signal }, out);
  return {
    vectors: rows.map((_, place) => out.values.subarray(place * extractor.width, (place + 1) * extractor.width)),
    presence: out.presence,
  };
}

function cosine(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, place) => sum + value * (y[place] as number), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

const pairs = (list: readonly (readonly [user: number, item: number])[], itemCount: number) =>
  historyFrom(
    list.map(([user, item]) => ({ user, item })),
    { itemCount },
  );

describe('FastRP', () => {
  it('keeps the cosines of the rows it projects', async () => {
    // Items {u0 u1}, {u1 u2}, {u3}: cosines 1 / 2 and 0. The projection's error is about 1 / sqrt(4096) = .016; three of them.
    const history = pairs(
      [
        [0, 0],
        [1, 0],
        [1, 1],
        [2, 1],
        [3, 2],
      ],
      3,
    );
    const { vectors } = vectorsOf(await embed(history, { dimensions: 4096, iterationWeights: [1], normalizationStrength: 0 }), [0, 1, 2]);
    const [first, second, third] = vectors as [Float32Array, Float32Array, Float32Array];
    expect(Math.abs(cosine(first, second) - 0.5)).toBeLessThan(0.048);
    expect(Math.abs(cosine(first, third))).toBeLessThan(0.048);
    for (const vector of vectors) expect(cosine(vector, vector)).toBeCloseTo(1, 6);
  });

  it('gives items with the same people the same vector, and others another', async () => {
    const history = pairs(
      [
        [0, 0],
        [1, 0],
        [0, 1],
        [1, 1],
        [1, 2],
        [2, 2],
        [2, 3],
      ],
      4,
    );
    const { vectors } = vectorsOf(await embed(history, {}), [0, 1, 2, 3]);
    expect(vectors[1]).toEqual(vectors[0]);
    expect(cosine(vectors[0] as Float32Array, vectors[2] as Float32Array)).toBeGreaterThan(
      cosine(vectors[0] as Float32Array, vectors[3] as Float32Array),
    );
    expect(vectors[2]).not.toEqual(vectors[0]);
  });

  it('sees further with every hop', async () => {
    // A chain: item 0 – u0 – item 1 – u1 – item 2. One hop knows nothing of items 0 and 2 together; three hops do.
    const history = pairs(
      [
        [0, 0],
        [0, 1],
        [1, 1],
        [1, 2],
      ],
      3,
    );
    const after = async (iterationWeights: number[]) => {
      const { vectors } = vectorsOf(await embed(history, { dimensions: 2048, iterationWeights, normalizationStrength: 0 }), [0, 2]);
      return cosine(vectors[0] as Float32Array, vectors[1] as Float32Array);
    };
    expect(Math.abs(await after([1]))).toBeLessThan(0.07);
    // By hand: after three hops item 0 = 3/4 u0 + 1/4 u1 and item 2 the mirror image: cosine 6 / 10.
    expect(Math.abs((await after([0, 0, 1])) - 0.6)).toBeLessThan(0.07);
  });

  it('follows the formula, written out densely', async () => {
    const history = pairs(
      [
        [0, 0],
        [1, 0],
        [1, 1],
        [2, 1],
        [2, 2],
        [0, 2],
        [2, 0],
      ],
      3,
    );
    const matrix = interactionsOf(history, 3, { recencyDays: 0 }, 0, () => {});
    const graph = bipartiteGraph(matrix, transposeSparseMatrix(matrix));
    const options = { dimensions: 4, iterationWeights: [0.5, 1], normalizationStrength: -0.5 };
    const found = await fastRandomProjection(graph, options, createRandomStream(5), { compute, signal, progress: () => {} });
    const nodes = 6;
    const adjacency = Array.from({ length: nodes }, (_, node) => {
      const row = new Array<number>(nodes).fill(0);
      for (let entry = graph.rowOffsets[node] as number; entry < (graph.rowOffsets[node + 1] as number); entry++)
        row[graph.columnIndices[entry] as number] = 1;
      return row;
    });
    const degrees = adjacency.map((row) => row.reduce((sum, value) => sum + value, 0));
    const all = degrees.reduce((sum, value) => sum + value, 0);
    const random = createRandomStream(5);
    let current = degrees.map((degree) =>
      Array.from({ length: 4 }, () => {
        const draw = random.next() * 6;
        return draw < 2 ? (draw < 1 ? 1 : -1) * Math.sqrt(3) * ((degree * nodes) / all) ** -0.5 : 0;
      }),
    );
    const unit = (row: readonly number[]) => row.map((value) => value / (Math.hypot(...row) || 1));
    const sum = Array.from({ length: nodes }, () => [0, 0, 0, 0]);
    for (const weight of options.iterationWeights) {
      current = adjacency.map((row, node) =>
        [0, 1, 2, 3].map(
          (column) =>
            row.reduce((total, edge, other) => total + edge * (current[other]?.[column] as number), 0) / (degrees[node] as number),
        ),
      );
      current.forEach((row, node) =>
        unit(row).forEach((value, column) => {
          (sum[node] as number[])[column] = (sum[node]?.[column] as number) + weight * value;
        }),
      );
    }
    sum.map(unit).forEach((row, node) =>
      row.forEach((value, column) => {
        expect(found[node * 4 + column]).toBeCloseTo(value, 5);
      }),
    );
  });

  it('is the same for the same seed, another for another', async () => {
    const history = pairs(
      [
        [0, 0],
        [0, 1],
        [1, 1],
      ],
      2,
    );
    const rows = [0, 1];
    expect(vectorsOf(await embed(history, {}), rows)).toEqual(vectorsOf(await embed(history, {}), rows));
    expect(vectorsOf(await embed(history, {}, 2), rows)).not.toEqual(vectorsOf(await embed(history, {}), rows));
  });

  it('leaves items without edges, and items of later, absent', async () => {
    const { presence, vectors } = vectorsOf(
      await embed(
        pairs(
          [
            [0, 0],
            [0, 2],
          ],
          4,
        ),
        { dimensions: 8 },
      ),
      [0, 1, 2, 3, 17],
    );
    expect([...presence]).toEqual([1, 0, 1, 0, 0]);
    expect(vectors[1]?.every((value) => value === 0)).toBe(true);
    const empty = await embed(historyFrom([], { itemCount: 2 }), {});
    expect([...vectorsOf(empty, [0, 1]).presence]).toEqual([0, 0]);
  });
});

describe('degree', () => {
  it('counts people, event weights and neighbours by hand', () => {
    const history = historyFrom(
      [
        { user: 0, item: 0, weight: 2 },
        { user: 0, item: 0, weight: 1 },
        { user: 0, item: 1 },
        { user: 1, item: 0 },
        { user: 1, item: 2 },
        { user: 2, item: 4 },
      ],
      { itemCount: 5 },
    );
    const options = degreeOptions.parse({ measures: ['users', 'events', 'neighbours'] });
    const state = fitDegree({ options, history, itemCount: 5, asOfMs: 0, signal, warn: () => {} });
    const { vectors, presence } = vectorsOf(new Embedding(state, 3), [0, 1, 2, 3, 4]);
    expect([...presence]).toEqual([1, 1, 1, 0, 1]);
    const logs = (...values: number[]) => Float32Array.from(values, Math.log1p);
    // Item 0: users 0 and 1, weights 2 + 1 + 1, neighbours 1 and 2.
    expect(vectors[0]).toEqual(logs(2, 4, 2));
    expect(vectors[1]).toEqual(logs(1, 1, 1));
    expect(vectors[2]).toEqual(logs(1, 1, 1));
    expect(vectors[4]).toEqual(logs(1, 1, 0));
  });

  it('refuses a measure twice', () => {
    expect(degreeOptions.safeParse({ measures: ['users', 'users'] }).success).toBe(false);
    expect(degreeOptions.parse({}).measures).toEqual(['users']);
  });
});
