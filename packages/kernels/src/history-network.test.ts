import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import {
  createComputePool,
  createKernels,
  type HistoryExamples,
  HistoryNetwork,
  type HistoryNetworkOptions,
  KernelError,
  sparseMatrixFromEntries,
} from './index.js';

const wasm = createKernels({ implementation: 'wasm' });
const twin = createKernels({ implementation: 'typescript' });
const both = [
  { name: 'wasm', kernels: wasm },
  { name: 'typescript', kernels: twin },
];
afterAll(() => {
  expect(wasm.bytesInUse).toBe(0);
  expect(twin.bytesInUse).toBe(0);
});

/** Numbers that look random and are the same everywhere (a linear congruential generator, Numerical Recipes). */
function numbers(seed: number): HistoryNetworkOptions['random'] {
  let state = seed >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return { next, integer: (bound) => Math.floor(next() * bound) };
}

const plain = { batchSize: 16, eventDropout: 0, dropout: 0, initialDecay: 0.6, initialScale: 10, learningRate: 0.01 };

function examplesOf(lists: readonly (readonly number[])[]): HistoryExamples {
  const places: number[] = [];
  const lengths: number[] = [];
  let first = 0;
  for (const list of lists) {
    for (let place = 1; place < list.length; place++) {
      places.push(first + place);
      lengths.push(place);
    }
    first += list.length;
  }
  return { items: Int32Array.from(lists.flat()), places: Int32Array.from(places), lengths: Int32Array.from(lengths) };
}

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe.each(both)('a step of the history network in $name', ({ kernels }) => {
  // The same step in torch 2.15 (float64, autograd, torch.optim.Adam(lr=.01)): 6 items, 3 attributes, width 8, 3 positions,
  //   V = E + M A, v = normalize(V), h = normalize(sum of w[p] v[x_p]), logits exp(t) h.v (+ log(6/4) for the negatives
  //   3, 0, 4, 1, the target among them masked), mean cross entropy. E[i][k] = ((7i + 5k) % 11 - 5) / 5,
  //   A[a][k] = ((3a + 4k) % 7 - 3) / 6, w[p] = .6^p, t = log 10.
  it('has the loss, the gradients and the new weights of torch', async () => {
    const attributes = sparseMatrixFromEntries(
      6,
      3,
      Int32Array.of(0, 1, 1, 2, 4, 5, 5),
      Int32Array.of(0, 0, 1, 1, 2, 0, 2),
      Float32Array.of(1, Math.SQRT1_2, Math.SQRT1_2, 1, 1, Math.SQRT1_2, Math.SQRT1_2),
    );
    // No exchange of the three examples; negatives 3, 0, 4, 1 by the draws 3, 2, 2, 0; then a seed.
    const draws = [2, 1, 3, 2, 2, 0, 0];
    const random = { next: () => 0, integer: () => draws.shift() as number };
    const network = new HistoryNetwork(kernels, { ...plain, itemCount: 6, width: 8, positions: 3, attributes, negatives: 4, random });
    network.restore({
      embeddings: Float32Array.from({ length: 48 }, (_, at) => (((Math.floor(at / 8) * 7 + (at % 8) * 5) % 11) - 5) / 5),
      attributeVectors: Float32Array.from({ length: 24 }, (_, at) => (((Math.floor(at / 8) * 3 + (at % 8) * 4) % 7) - 3) / 6),
      filter: network.filter,
      scale: 10,
    });
    // Histories, newest first: 1 0 | 3 | 4 2 1; what follows: 2, 5, 0.
    const examples = {
      items: Int32Array.of(0, 1, 2, 3, 5, 1, 2, 4, 0),
      places: Int32Array.of(2, 4, 8),
      lengths: Int32Array.of(2, 1, 3),
    };
    expect(await network.epoch(examples)).toBeCloseTo(14.055156, 4);
    const { rows, items, filter, scale } = network.lastGradients;
    const gradientOf = (item: number): number[] => [...items.subarray(rows.indexOf(item) * 8, rows.indexOf(item) * 8 + 8)];
    const close = (found: ArrayLike<number>, expected: readonly number[]): void => {
      expect(found.length).toBe(expected.length);
      expected.forEach((value, at) => expect(found[at], `value ${at}`).toBeCloseTo(value, 4));
    };
    close(gradientOf(0), [0.952243, 0.404871, 0.649428, -0.499962, 0.726229, -0.830394, 0.80303, -0.12352]);
    close(gradientOf(5), [-0.544341, -0.028211, -0.122189, 0.109702, 0.015724, 0.247615, -0.604372, 0.669767]);
    close(filter.subarray(0, 8), [0.548369, 0.2558, 0.500316, 0.32073, 0.453264, -0.38964, -0.289126, 0.132561]);
    close(filter.subarray(16, 24), [0.053898, -0.07425, -0.002461, -0.077761, 0.001057, -0.470108, 0.007356, 0.225927]);
    expect(scale).toBeCloseTo(13.603983, 4);
    const after = network.save();
    close(after.embeddings.subarray(0, 8), [-1.01, -0.01, 0.99, -0.19, 0.79, -0.39, 0.59, -0.59]);
    close(after.filter.subarray(16, 24), [0.35, 0.37, 0.37, 0.37, 0.35, 0.37, 0.35, 0.35]);
    expect(Math.log(after.scale)).toBeCloseTo(2.292585, 5);
    // dA of attribute 1 in torch: signs of the first step of Adam, one learning rate each.
    const slopes = [3.61651, 1.65098, -0.200938, 1.679336, -0.128205, -2.904993, -0.055472, 0.989503];
    close(
      after.attributeVectors.subarray(8, 16),
      slopes.map((slope, at) => (((3 + at * 4) % 7) - 3) / 6 - 0.01 * Math.sign(slope)),
    );
    network.dispose();
    network.dispose();
    expect(codeOf(() => network.vectors())).toBe('RECLOOM_KRN_SHAPE');
  });

  it('has the slope that finite differences have, with dropout', async () => {
    const lists = [
      [0, 1, 2, 3, 4],
      [5, 6, 7, 0, 2, 8],
      [8, 3],
      [1, 9, 9, 1],
    ];
    const step = 1e-2;
    const open = (): HistoryNetwork =>
      new HistoryNetwork(kernels, {
        ...plain,
        itemCount: 10,
        width: 16,
        positions: 4,
        negatives: 6,
        eventDropout: 0.3,
        dropout: 0.25,
        random: numbers(5),
      });
    const lossAt = async (change: (weights: { embeddings: Float32Array; filter: Float32Array }) => void): Promise<number> => {
      const network = open();
      const weights = network.save();
      change(weights);
      network.restore(weights);
      const loss = await network.epoch(examplesOf(lists));
      network.dispose();
      return loss;
    };
    const network = open();
    await network.epoch(examplesOf(lists));
    const { rows, items, filter } = network.lastGradients;
    network.dispose();
    let largest = 0;
    for (const [item, column] of [
      [0, 0],
      [2, 5],
      [8, 15],
      [9, 7],
      [3, 2],
    ] as const) {
      const at = item * 16 + column;
      const more = await lossAt((weights) => weights.embeddings.set([(weights.embeddings[at] as number) + step], at));
      const less = await lossAt((weights) => weights.embeddings.set([(weights.embeddings[at] as number) - step], at));
      const slope = items[rows.indexOf(item) * 16 + column] as number;
      expect(slope, `item ${item}, value ${column}`).toBeCloseTo((more - less) / (2 * step), 2);
      largest = Math.max(largest, Math.abs(slope));
    }
    for (const at of [0, 17, 35]) {
      const more = await lossAt((weights) => weights.filter.set([(weights.filter[at] as number) + step], at));
      const less = await lossAt((weights) => weights.filter.set([(weights.filter[at] as number) - step], at));
      expect(filter[at], `filter ${at}`).toBeCloseTo((more - less) / (2 * step), 2);
    }
    expect(largest).toBeGreaterThan(0.1);
  });
});

describe('the history network', () => {
  const walks = (people: number, items: number, length: number): number[][] =>
    Array.from({ length: people }, (_, person) => Array.from({ length }, (_event, at) => (person * 7 + at * (1 + (person % 2))) % items));
  const run = async (
    kernels: typeof wasm,
    options: Partial<HistoryNetworkOptions>,
    lists: readonly (readonly number[])[],
    epochs: number,
    compute?: ReturnType<typeof createComputePool>,
  ) => {
    const network = new HistoryNetwork(kernels, {
      ...plain,
      itemCount: 60,
      width: 24,
      positions: 5,
      negatives: 37,
      batchSize: 300,
      eventDropout: 0.2,
      dropout: 0.2,
      ...options,
      random: numbers(9),
    });
    const losses: number[] = [];
    for (let epoch = 0; epoch < epochs; epoch++) losses.push(await network.epoch(examplesOf(lists), { compute }));
    const result = { losses, weights: network.save(), vectors: network.vectors(), gradients: network.lastGradients };
    network.dispose();
    return result;
  };

  it('is the same in both implementations', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          width: fc.constantFrom(8, 24),
          positions: fc.integer({ min: 1, max: 4 }),
          negatives: fc.integer({ min: 1, max: 70 }),
          dropout: fc.constantFrom(0, 0.4),
          eventDropout: fc.constantFrom(0, 0.4),
        }),
        fc.array(fc.array(fc.integer({ min: 0, max: 59 }), { minLength: 1, maxLength: 9 }), { minLength: 1, maxLength: 40 }),
        async (options, lists) => {
          // One step: later ones start from weights that Adam moved by the sign of slopes that may be next to nothing.
          const one = await run(wasm, { ...options, batchSize: 400 }, lists, 1);
          const other = await run(twin, { ...options, batchSize: 400 }, lists, 1);
          expect(one.losses[0]).toBeCloseTo(other.losses[0] as number, 4);
          expect(one.gradients.rows).toEqual(other.gradients.rows);
          expect(one.gradients.scale).toBeCloseTo(other.gradients.scale, 4);
          one.gradients.items.forEach((value, at) => expect(value).toBeCloseTo(other.gradients.items[at] as number, 4));
          one.gradients.filter.forEach((value, at) => expect(value).toBeCloseTo(other.gradients.filter[at] as number, 4));
        },
      ),
      { numRuns: 40 },
    );
  });

  it('gives the same bits on one thread, on two and on four', async () => {
    const lists = walks(70, 60, 9);
    const attributes = sparseMatrixFromEntries(
      60,
      9,
      Int32Array.from({ length: 90 }, (_, at) => at % 60),
      Int32Array.from({ length: 90 }, (_, at) => (at < 60 ? at % 5 : 5 + (at % 4))),
    );
    const alone = await run(wasm, { attributes }, lists, 2);
    for (const threads of [2, 4]) {
      const compute = createComputePool({ threads });
      expect(await run(compute.kernels, { attributes }, lists, 2, compute)).toEqual(alone);
      expect(compute.kernels.bytesInUse).toBe(0);
      await compute.close();
    }
  });

  it('learns a cycle, with sampled negatives and with all', async () => {
    const lists = Array.from({ length: 60 }, (_, person) => Array.from({ length: 12 }, (_event, at) => (person + at) % 60));
    for (const negatives of [20, 100]) {
      const { losses, weights, vectors } = await run(wasm, { negatives, eventDropout: 0, learningRate: 0.02, width: 32 }, lists, 60);
      expect(losses.at(-1)).toBeLessThan((losses[0] as number) / 3);
      let right = 0;
      for (let item = 0; item < 60; item++) {
        const query = Float32Array.from(
          { length: 32 },
          (_, column) => (weights.filter[column] as number) * (vectors[item * 32 + column] as number),
        );
        const best = wasm.scanTopK(vectors, 32, query, 3).rows.filter((row) => row !== item)[0];
        // The last events alone: neighbours on the cycle on either side look alike to a symmetric similarity.
        if (best === (item + 1) % 60 || best === (item + 59) % 60) right++;
      }
      expect(right).toBeGreaterThan(50);
    }
  });

  it('bears what is lopsided: one item, all alike, vectors of zero', async () => {
    const one = await run(wasm, { itemCount: 1, negatives: 5 }, [[0, 0, 0]], 3);
    expect(one.losses).toEqual([0, 0, 0]);
    const alike = await run(
      wasm,
      {},
      Array.from({ length: 50 }, () => [3, 3, 3]),
      3,
    );
    expect(alike.vectors.every(Number.isFinite)).toBe(true);
    const network = new HistoryNetwork(wasm, { ...plain, itemCount: 4, width: 8, positions: 2, negatives: 4, random: numbers(1) });
    network.restore({ embeddings: new Float32Array(32), attributeVectors: new Float32Array(0), filter: network.filter, scale: 10 });
    expect(await network.epoch(examplesOf([[0, 1, 2]]))).toBe(0);
    expect(await network.epoch(examplesOf([[0]]))).toBe(0);
    expect([...network.vectors()].every((value) => value === 0)).toBe(true);
    network.dispose();
  });

  it('stops when told and refuses what does not fit', async () => {
    const controller = new AbortController();
    const network = new HistoryNetwork(wasm, { ...plain, itemCount: 60, width: 8, positions: 2, negatives: 9, random: numbers(1) });
    const stopped = network.epoch(examplesOf(walks(50, 60, 9)), {
      signal: controller.signal,
      onStep: (share) => {
        if (share > 0.3) controller.abort(new Error('enough'));
      },
    });
    await expect(stopped).rejects.toThrow('enough');
    const items = Int32Array.of(1, 2);
    for (const examples of [
      { items: Int32Array.of(1, 60), places: Int32Array.of(1), lengths: Int32Array.of(1) },
      { items, places: Int32Array.of(2), lengths: Int32Array.of(1) },
      { items, places: Int32Array.of(1), lengths: Int32Array.of(2) },
      { items, places: Int32Array.of(1), lengths: Int32Array.of(0) },
      { items, places: Int32Array.of(1), lengths: Int32Array.of(1, 1) },
    ]) {
      expect(codeOf(() => network.epoch(examples))).toBe('RECLOOM_KRN_SHAPE');
    }
    const pool = createComputePool({ threads: 1 });
    expect(codeOf(() => network.epoch(examplesOf([[0, 1]]), { compute: pool }))).toBe('RECLOOM_KRN_SHAPE');
    await pool.close();
    network.dispose();
    const right = { ...plain, itemCount: 60, width: 8, positions: 2, negatives: 9, random: numbers(1) };
    for (const wrong of [
      { width: 12 },
      { positions: 0 },
      { dropout: 1 },
      { pool: Int32Array.of(1, 1) },
      { pool: Int32Array.of(60) },
      { learningRate: 0 },
      { attributes: sparseMatrixFromEntries(2, 1, Int32Array.of(0), Int32Array.of(0)) },
    ]) {
      expect(codeOf(() => new HistoryNetwork(wasm, { ...right, ...wrong }))).toBe('RECLOOM_KRN_SHAPE');
    }
  });
});
