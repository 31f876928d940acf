import { createComputePool, kernelsOf } from '@recloom/kernels';
import {
  type CandidateSource,
  type ComponentState,
  computeToken,
  type Explainer,
  type Inspectable,
  isRecloomError,
  type Scorer,
} from '@recloom/plugin-api';
import {
  candidateBatch,
  categoryColumn,
  createTestHost,
  historyFrom,
  listColumn,
  openComponent,
  requestBatch,
  requestView,
  singleThreadCompute,
  syntheticShop,
  type TestUserEvent,
  tableFrom,
  validateOptions,
} from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { network } from './index.js';

type Network = CandidateSource & Scorer & Explainer & Inspectable & { dispose(): void };
const hour = 3_600_000;
const signal = new AbortController().signal;
const quick = { width: 16, epochs: 30, validationUsers: 0, learningRate: 0.02, eventDropout: 0, dropout: 0 };

function shopOf(lists: readonly (readonly number[])[], items: number, columns: Parameters<typeof tableFrom>[1] = {}) {
  const events: TestUserEvent[] = lists.flatMap((list, user) => list.map((item, place) => ({ user, item, timeMs: place * hour })));
  const history = historyFrom(events, { itemCount: items });
  return {
    items: tableFrom(
      Array.from({ length: items }, (_, row) => `i${row}`),
      columns,
    ),
    users: tableFrom(Array.from({ length: history.userCount }, (_, row) => `u${row}`)),
    history,
  };
}

/** 0 1 2 3 4, 5 6 7 8 9 and so on: people walk along one shelf of five, from any place. */
const shelves = (people: number, shelf = 5, count = 4): number[][] =>
  Array.from({ length: people }, (_, person) => {
    const first = (person % count) * shelf;
    return Array.from({ length: 4 }, (_event, place) => first + ((person + place) % shelf));
  });

function floats(state: ComponentState, name: string): Float32Array {
  return state[name]?.data as Float32Array;
}

describe('network', () => {
  it('scores by the cosine of the filtered history, proposes the same and explains it by the largest part', async () => {
    const shop = shopOf(shelves(80), 20);
    const state = await createTestHost().fit(network, { shop, options: { ...quick, positions: 3 } });
    const component = await openComponent<Network>(network, { shop, state, options: { ...quick, positions: 3 } });
    const request = requestView({ userRow: 0, history: [5, 11, 2, 3].map((item, place) => ({ item, timeMs: place })) });
    const [vectors, filter] = [floats(state, 'vectors'), floats(state, 'filter')];
    const scale = floats(state, 'scale')[0] as number;
    // The definition once more: the newest three events, newest first.
    const parts = [3, 2, 11].map((row, age) =>
      Array.from({ length: 16 }, (_, at) => (filter[age * 16 + at] as number) * (vectors[row * 16 + at] as number)),
    );
    const sum = parts[0]?.map((_, at) => parts.reduce((total, part) => total + (part[at] as number), 0)) as number[];
    const length = Math.hypot(...sum);
    const against = (part: readonly number[], row: number): number =>
      part.reduce((total, value, at) => total + value * (vectors[row * 16 + at] as number), 0);
    const expected = Array.from({ length: 20 }, (_, row) => (scale * against(sum, row)) / length);
    const rows = Int32Array.from({ length: 20 }, (_, row) => row);
    const out = new Float32Array(20);
    await component.score(candidateBatch({ rows: [rows], requests: [request] }), out, signal);
    expected.forEach((value, row) => expect(out[row]).toBeCloseTo(value, 4));
    const proposals = await component.propose(requestBatch([request]), 20);
    const order = [...rows].sort((one, other) => (out[other] as number) - (out[one] as number) || one - other);
    expect([...proposals.rows]).toEqual(order);
    [...proposals.scores].forEach((score, place) => expect(score).toBeCloseTo(out[order[place] as number] as number, 4));
    const reasons = component.reasons(request, rows);
    for (const row of rows) {
      const shares = parts.map((part, age) => ([3, 2, 11][age] === row ? 0 : against(part, row)));
      const most = Math.max(...shares);
      expect(reasons[row]?.items).toEqual(most > 0 ? [[3, 2, 11][shares.indexOf(most)]] : undefined);
    }
    expect(new Set(reasons.map((reason) => reason?.items?.[0])).size).toBeGreaterThan(1);
    const inspected = component.inspectItem(3)['recommendedAfter'] as { item: string; cosine: number }[];
    expect(['i0', 'i1', 'i2', 'i4']).toContain(inspected[0]?.item);
    await component.dispose();
  });

  it('learns what follows what, for guests and item pages too', async () => {
    const shop = shopOf(shelves(200), 20);
    const component = await openComponent<Network>(network, { shop, options: quick });
    let right = 0;
    for (let item = 0; item < 20; item++) {
      const guest = requestView({ history: [{ item, timeMs: 1 }] });
      const page = requestView({ items: [item] });
      const { rows } = await component.propose(requestBatch([guest, page]), 3);
      for (const row of rows.subarray(0, 6)) if (Math.floor(row / 5) === Math.floor(item / 5)) right++;
      // An item page never proposes its item.
      expect([...rows.subarray(3, 6)]).not.toContain(item);
    }
    expect(right / 120).toBeGreaterThan(0.95);
    await component.dispose();
  });

  it('gives an item without events the vector of its attributes', async () => {
    const brands = Array.from({ length: 24 }, (_, row) =>
      row < 20 ? [`shelf ${Math.floor(row / 5)}`, 'all'] : [`shelf ${row - 20}`, 'all'],
    );
    const kinds = categoryColumn(Array.from({ length: 24 }, (_, row) => (row % 2 === 0 ? 'even' : null)));
    const shop = shopOf(shelves(200), 24, { brands: listColumn(brands), kinds });
    const inputs = { attributes: ['item.brands', 'item.kinds'] };
    const component = await openComponent<Network>(network, { shop, options: quick, inputs });
    for (let shelf = 0; shelf < 4; shelf++) {
      const request = requestView({ history: [{ item: shelf * 5, timeMs: 1 }] });
      const out = new Float32Array(4);
      await component.score(candidateBatch({ rows: [[20, 21, 22, 23]], requests: [request] }), out, signal);
      expect(out.indexOf(Math.max(...out))).toBe(shelf);
    }
    await component.dispose();
    // Without attributes nothing is known of them: last, and never proposed.
    const blind = await openComponent<Network>(network, { shop, options: quick });
    const request = requestView({ history: [{ item: 0, timeMs: 1 }] });
    expect([...(await blind.propose(requestBatch([request]), 24)).rows].filter((row) => row >= 20)).toEqual([]);
    const out = new Float32Array(3);
    await blind.score(candidateBatch({ rows: [[20, 1, 99]], requests: [request] }), out, signal);
    expect(out[0]).toBe(out[2]);
    expect(out[0]).toBeLessThan(out[1] as number);
    await blind.dispose();
  });

  it('without epochs, compares attributes by their rarity', async () => {
    // Item 0 has the rare a and the frequent z; 1 shares the rare one, 2 the frequent one, 3 nothing.
    const tags = [['a', 'z'], ['a'], ['z'], ['b'], ['z'], ['z']];
    const shop = shopOf([[0, 1, 2, 3, 4, 5]], 6, { tags: listColumn(tags) });
    const options = { epochs: 0, attributeShare: 1, width: 512, initialDecay: 0.5, initialScale: 1 };
    const component = await openComponent<Network>(network, { shop, options, inputs: { attributes: ['item.tags'] } });
    const out = new Float32Array(5);
    const batch = candidateBatch({ rows: [[1, 2, 3, 4, 5]], requests: [requestView({ history: [{ item: 0, timeMs: 1 }] })] });
    await component.score(batch, out, signal);
    // Rarity log(items / items that have it) + 0.01, the vector of item 0 to length 1; projections of 512 numbers err by about 1 / 22.
    const [a, z] = [Math.log(6 / 2) + 0.01, Math.log(6 / 4) + 0.01];
    const expected = [a / Math.hypot(a, z), z / Math.hypot(a, z), 0];
    expected.forEach((value, place) => expect(Math.abs((out[place] as number) - value)).toBeLessThan(0.15));
    expect(out[1]).toBe(out[3]);
    await component.dispose();
  });

  it('keeps the epoch that foretells held-out last events best, and stops when none comes after it', async () => {
    const shop = syntheticShop();
    const host = createTestHost({ shop });
    const options = { ...quick, epochs: 40, validationUsers: 1000, patience: 2, learningRate: 0.05 };
    const state = await host.fit(network, { options });
    const run = Math.round((host.progress.at(-1) as number) * options.epochs);
    expect(run).toBeLessThan(options.epochs);
    expect(run).toBeGreaterThan(options.patience);
    // As many epochs as the best one had give the weights that were kept; one more does not replace them.
    const best = run - options.patience;
    expect(await host.fit(network, { options: { ...options, epochs: best } })).toEqual(state);
    expect(await host.fit(network, { options: { ...options, epochs: best + 1 } })).toEqual(state);
    if (best > 1) expect(await host.fit(network, { options: { ...options, epochs: best - 1 } })).not.toEqual(state);
    // Without held-out events the last epoch stands.
    const open = { ...options, validationUsers: 0 };
    const last = await host.fit(network, { options: { ...open, epochs: 2 } });
    expect(await host.fit(network, { options: { ...open, epochs: 3 } })).not.toEqual(last);
  });

  it('gives the same bytes on any number of threads and its memory back', async () => {
    const shop = syntheticShop();
    const options = { ...quick, epochs: 3, eventDropout: 0.3, dropout: 0.3, validationUsers: 50 };
    const single = singleThreadCompute();
    const before = kernelsOf(single).bytesInUse;
    const state = await createTestHost({ shop, provide: [[computeToken, single]] }).fit(network, { options });
    expect(kernelsOf(single).bytesInUse).toBe(before);
    const pool = createComputePool({ threads: 3 });
    expect(await createTestHost({ shop, provide: [[computeToken, pool]] }).fit(network, { options })).toEqual(state);
    expect(pool.kernels.bytesInUse).toBe(0);
    await pool.close();
    const host = createTestHost({ shop, provide: [[computeToken, single]] });
    const component = await host.open<Network>(network, { options: { ...options, excludeHistory: true }, state });
    const requests = Array.from({ length: 25 }, (_, user) => shop.request(user - 1));
    const together = await component.propose(requestBatch(requests), 12);
    for (const [index, request] of requests.entries()) {
      const alone = await component.propose(requestBatch([request]), 12);
      const rows = together.rows.subarray(together.offsets[index], together.offsets[index + 1]);
      expect(rows).toEqual(alone.rows);
      for (const row of rows) expect(request.history.items).not.toContain(row);
    }
    expect(together.rows.length).toBeGreaterThan(200);
    await component.dispose();
    expect(kernelsOf(single).bytesInUse).toBe(before);
  });

  it('counts only the types it is told to', async () => {
    const events: TestUserEvent[] = shelves(200).flatMap((list, user) =>
      list.flatMap((item, place) => [
        { user, item, timeMs: place * hour, type: 'buy' },
        { user, item: (item + 10) % 20, timeMs: place * hour + 1, type: 'view' },
      ]),
    );
    const shop = {
      ...shopOf([], 20),
      history: historyFrom(events, { itemCount: 20 }),
      users: tableFrom(Array.from({ length: 200 }, (_, row) => `u${row}`)),
    };
    const options = { ...quick, eventTypes: ['buy'], historyEventTypes: ['buy'] };
    const component = await openComponent<Network>(network, { shop, options });
    const history = [
      { item: 0, type: 'buy', timeMs: 1 },
      { item: 12, type: 'view', timeMs: 2 },
    ];
    const { rows } = await component.propose(requestBatch([{ history }]), 4);
    expect([...rows].every((row) => row < 5)).toBe(true);
    await component.dispose();
    const host = createTestHost();
    await host.fit(network, { shop, options: { ...quick, eventTypes: ['lent', 'buy'], epochs: 1 } });
    expect(host.warnings.map((warning) => warning.code)).toEqual(['SEQUENCE_EVENT_TYPE_UNKNOWN']);
  });

  it.each([
    ['no events', [], 3, []],
    ['one item', [[0, 0, 0]], 1, ['SEQUENCE_NOTHING_FOLLOWS']],
    ['one event each', [[0], [1], [2]], 3, ['SEQUENCE_NOTHING_FOLLOWS']],
    ['one person', [[0, 1, 2, 0, 1]], 3, []],
    ['all alike', Array.from({ length: 40 }, () => [0, 1, 2]), 3, []],
    ['an item that everybody has', Array.from({ length: 40 }, (_, user) => [0, 1 + (user % 5), 0]), 6, []],
    [
      'fewer items than numbers per vector',
      [
        [0, 1],
        [1, 0],
      ],
      2,
      [],
    ],
  ] as const)('bears %s', async (_name, lists, items, warnings) => {
    const host = createTestHost();
    const shop = shopOf(lists, items);
    const state = await host.fit(network, { shop, options: { width: 64, epochs: 3 } });
    expect(host.warnings.map((warning) => warning.code)).toEqual(warnings);
    for (const { data } of Object.values(state)) expect([...(data as Float32Array)].every(Number.isFinite)).toBe(true);
    const component = await host.open<Network>(network, { shop, state, options: { width: 64 } });
    const request = requestView({ history: [{ item: 0, timeMs: 1 }] });
    const out = new Float32Array(items);
    await component.score(candidateBatch({ rows: [Array.from({ length: items }, (_, row) => row)], requests: [request] }), out, signal);
    expect([...out].every(Number.isFinite)).toBe(true);
    const { rows } = await component.propose(requestBatch([request]), 5);
    expect(rows.length).toBe(warnings.length > 0 || lists.length === 0 ? 0 : Math.min(5, items));
    await component.dispose();
  });

  it('stops when told and refuses unknown and wrong options', async () => {
    const controller = new AbortController();
    const compute = singleThreadCompute();
    const host = createTestHost({ shop: syntheticShop(), provide: [[computeToken, compute]] });
    const before = kernelsOf(compute).bytesInUse;
    setTimeout(() => controller.abort(new Error('enough')), 30);
    const stopped = host.fit(network, { signal: controller.signal, options: { epochs: 500, validationUsers: 0, width: 128 } });
    await expect(stopped).rejects.toThrow('enough');
    expect(kernelsOf(compute).bytesInUse).toBe(before);
    for (const raw of [{ factors: 8 }, { width: 12 }, { epochs: -1 }, { dropout: 1 }]) {
      await expect(validateOptions(network, raw)).rejects.toSatisfy((error) => isRecloomError(error) && error.code === 'RECLOOM_CFG_TYPE');
    }
  });
});
