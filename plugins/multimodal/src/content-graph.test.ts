import { type ComponentState, createRandomStream, type HistoryStore, tensor } from '@recloom/plugin-api';
import { historyFrom, singleThreadCompute, tableFrom } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { ContentGraphVectors, fitContentGraph } from './content-graph.js';
import { batchOf, cosine, extracted, featureOf, queryBatch } from './fixtures.test-support.js';
import { contentGraphOptions } from './options.js';

const compute = singleThreadCompute();
const signal = new AbortController().signal;
type Features = Parameters<typeof batchOf>[0];

const table = (count: number) => tableFrom(Array.from({ length: count }, (_, row) => `item-${row}`));

async function fit(features: Features, history: HistoryStore, given: object): Promise<ContentGraphVectors> {
  const options = contentGraphOptions.parse(given);
  const state = await fitContentGraph({
    options,
    features,
    history,
    asOfMs: 0,
    compute,
    random: createRandomStream(2),
    signal,
    progress: () => {},
    warn: () => {},
  });
  return new ContentGraphVectors(options, features, state, table(history.itemCount), compute);
}

describe('ContentGraphVectors', () => {
  it('passes on what the formula says, worked out by hand', async () => {
    // Three items with behaviour, vectors given; item 3 is new. Two neighbours each.
    const text = featureOf('text', [
      [1, 0],
      [0.8, 0.6],
      [0, 1],
      [0.6, 0.8],
    ]);
    const state: ComponentState = {
      own: tensor(Float32Array.of(1, 0, 0, 2, 3, 3, 0, 0), [4, 2]),
      base: tensor(Float32Array.of(1, 0, 0, 2, 3, 3, 0, 0), [4, 2]),
      givers: tensor(Int32Array.of(0, 1, 2)),
    };
    const options = contentGraphOptions.parse({ width: 2, neighbours: 2, strength: 0.5 });
    const graph = new ContentGraphVectors(options, [text], state, table(4), compute);
    const values = (await extracted(graph, batchOf([text], [0, 3]))) as number[][];
    // Item 0: item 1 at cosine .8, item 2 at 0, which passes nothing on: half of (0, 2) beside its own vector.
    expect(values[0]).toEqual([expect.closeTo(1, 5), expect.closeTo(1, 5)]);
    // Item 3: item 1 at cosine .96, item 2 at .8, squared: .9216 and .64 of 1.5616.
    expect(values[1]).toEqual([expect.closeTo((0.64 * 3) / 1.5616, 5), expect.closeTo((0.9216 * 2 + 0.64 * 3) / 1.5616, 5)]);
    expect(graph.inspectItem(3)).toEqual({ behaviour: false, neighbours: { text: ['item-1', 'item-2'] } });
    graph.dispose();
    // The paper's equal links.
    const equal = new ContentGraphVectors({ ...options, power: 0 }, [text], state, table(4), compute);
    expect(await extracted(equal, batchOf([text], [3]))).toEqual([[1.5, 2.5]]);
    equal.dispose();
  });

  it('mixes features by weight over those an item has', async () => {
    const text = featureOf('text', [
      [1, 0],
      [0, 1],
      [1, 0],
      [1, 0],
    ]);
    const image = featureOf('image', [[1, 0], [0, 1], [0, 1], null]);
    const state: ComponentState = {
      own: tensor(Float32Array.of(1, 0, 0, 1, 0, 0, 0, 0), [4, 2]),
      base: tensor(Float32Array.of(1, 0, 0, 1, 0, 0, 0, 0), [4, 2]),
      givers: tensor(Int32Array.of(0, 1)),
    };
    const options = contentGraphOptions.parse({ width: 2, neighbours: 1, weights: { text: 3 } });
    const graph = new ContentGraphVectors(options, [text, image], state, table(4), compute);
    const values = await extracted(graph, batchOf([text, image], [2, 3]));
    // Item 2 looks like 1 and reads like 0; item 3 has text alone, which then counts whole.
    expect(values).toEqual([
      [0.75, 0.25],
      [1, 0],
    ]);
    expect(await extracted(graph, queryBatch([text, image], [2]))).toEqual([values[0]]);
    graph.dispose();
  });

  /** Two groups of people and items; content tells the group; the last item of each group is new. */
  function twoGroups() {
    const random = createRandomStream(8);
    const rows = Array.from({ length: 20 }, (_, row) => [row % 2 === 0 ? 1 : 0, row % 2, 0.3 * random.normal(), 0.3 * random.normal()]);
    const events = Array.from({ length: 40 }, (_, user) =>
      Array.from({ length: 6 }, () => ({ user, item: (user % 2) + 2 * random.integer(9) })),
    ).flat();
    return { text: featureOf('text', rows), history: historyFrom(events, { itemCount: 20 }) };
  }

  it.each([1, 2])('places new items among those their buyers would choose (%i layers)', async (layers) => {
    const { text, history } = twoGroups();
    const graph = await fit([text], history, { width: 2, neighbours: 4, layers, minimumItemUsers: 1 });
    const values = (await extracted(graph, batchOf([text], [...Array(20).keys()]))) as number[][];
    for (const fresh of [18, 19]) {
      for (let row = 0; row < 18; row++) {
        const alike = cosine(values[fresh] as number[], values[row] as number[]);
        if (row % 2 === fresh % 2) expect(alike).toBeGreaterThan(0.5);
        else expect(alike).toBeLessThan(0.3);
      }
    }
    // An item that comes after the build, past the fitted rows.
    const later = featureOf('text', [...Array.from({ length: 20 }, () => null), [1, 0, 0, 0]], 4);
    const [late] = (await extracted(graph, batchOf([later], [20]))) as number[][];
    expect(cosine(late as number[], values[0] as number[])).toBeGreaterThan(0.5);
    graph.dispose();
  });

  it('has no vector for what has neither behaviour nor content', async () => {
    const { text, history } = twoGroups();
    const graph = await fit([text], history, { width: 4 });
    const nothing = featureOf('text', [null, null], 4);
    expect(await extracted(graph, { ...batchOf([nothing], [0, 1]), rows: Int32Array.of(50, 18) })).toEqual([null, null]);
    // Behaviour without content keeps its own vector.
    expect((await extracted(graph, batchOf([nothing], [0])))[0]).not.toBeNull();
    graph.dispose();
  });

  it('gives the same bytes again, and survives a history of nobody', async () => {
    const { text, history } = twoGroups();
    const one = await fit([text], history, { width: 4 });
    const two = await fit([text], history, { width: 4 });
    const rows = [...Array(20).keys()];
    expect(await extracted(one, batchOf([text], rows))).toEqual(await extracted(two, batchOf([text], rows)));
    const empty = await fit([text], historyFrom([], { itemCount: 20 }), { width: 4 });
    expect(await extracted(empty, batchOf([text], [0, 1]))).toEqual([null, null]);
    for (const graph of [one, two, empty]) graph.dispose();
  });
});
