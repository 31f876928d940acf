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
  createTestHost,
  historyFrom,
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
import { ease } from './index.js';

type Ease = CandidateSource & Scorer & Explainer & Inspectable & { dispose(): void };
const day = 86_400_000;
const signal = new AbortController().signal;

function shopOf(events: readonly TestUserEvent[], items: number) {
  const history = historyFrom(events, { itemCount: items });
  return {
    items: tableFrom(Array.from({ length: items }, (_, row) => `i${row}`)),
    users: tableFrom(Array.from({ length: history.userCount }, (_, row) => `u${row}`)),
    history,
  };
}

function eventsOf(matrix: readonly (readonly number[])[]): TestUserEvent[] {
  return matrix.flatMap((values, user) => values.flatMap((weight, item) => (weight > 0 ? [{ user, item, weight }] : [])));
}

function links(state: ComponentState): number[][] {
  const dense = state['links'];
  if (dense !== undefined) {
    const size = dense.shape[0] as number;
    return Array.from({ length: size }, (_, row) => [...dense.data.subarray(row * size, (row + 1) * size)].map(Number));
  }
  const offsets = state['offsets']?.data as Int32Array;
  const columns = state['neighbours']?.data as Int32Array;
  const stored = state['weights']?.data as Float32Array;
  const size = offsets.length - 1;
  return Array.from({ length: size }, (_, row) => {
    const values = new Array<number>(size).fill(0);
    for (let entry = offsets[row] as number; entry < (offsets[row + 1] as number); entry++) {
      values[columns[entry] as number] = stored[entry] as number;
    }
    return values;
  });
}

function expectClose(found: readonly (readonly number[])[], expected: readonly (readonly number[])[], digits = 5): void {
  expect(found.length).toBe(expected.length);
  found.forEach((row, i) => row.forEach((value, j) => expect(value, `cell ${i}, ${j}`).toBeCloseTo(expected[i]?.[j] as number, digits)));
}

const binary = [
  [1, 1, 0, 0, 1],
  [1, 1, 1, 0, 0],
  [0, 1, 1, 0, 0],
  [1, 0, 0, 1, 0],
  [0, 1, 1, 1, 0],
  [1, 1, 0, 0, 1],
];
const weighted = [
  [1, 0.5, 0, 0, 0.25],
  [0.5, 1, 0.25, 0, 0],
  [0, 0.25, 0.5, 0, 0],
  [0.25, 0, 0, 0.5, 0],
  [0, 1, 0.5, 0.25, 0],
  [1, 0.5, 0, 0, 1],
];
// G = X.T @ X + 2 * np.eye(5); P = np.linalg.inv(G); B = P / -np.diag(P); np.fill_diagonal(B, 0)   (numpy 2.4.6, float64)
const binaryLinks = [
  [0, 0.2840909, -0.0206186, 0.1538462, 0.24],
  [0.3164557, 0, 0.4845361, 0.043956, 0.28],
  [-0.0253165, 0.5340909, 0, 0.1428571, -0.2],
  [0.1772152, 0.0454545, 0.1340206, 0, -0.08],
  [0.3417722, 0.3579545, -0.2319588, -0.0989011, 0],
];
const weightedLinks = [
  [0, 0.3143814, -0.0354679, 0.0170142, 0.2723756],
  [0.2893789, 0, 0.2053487, 0.0451777, 0.0544096],
  [-0.0512777, 0.3225336, 0, 0.032524, -0.030942],
  [0.0255416, 0.0736803, 0.0337714, 0, -0.0189326],
  [0.3491064, 0.0757627, -0.0274312, -0.0161645, 0],
];
const plain = { lambda: 2, minimumItemUsers: 1 };

describe('ease against numpy', () => {
  it('gives the closed form on binary and weighted data', async () => {
    const host = createTestHost();
    expectClose(links(await host.fit(ease, { shop: shopOf(eventsOf(binary), 5), options: plain })), binaryLinks);
    expectClose(
      links(await host.fit(ease, { shop: shopOf(eventsOf(weighted), 5), options: { ...plain, useWeights: true } })),
      weightedLinks,
    );
  });

  it('gives EDLAE with user weights', async () => {
    // common.py's ease(sp.csr_matrix(X), lam=2, drop=.3, uw=.5): G = X.T @ (X * n[:, None] ** -.5), n = np.maximum(X.sum(1), 1),
    // diag += 2 + .3 / .7 * diag
    const state = await createTestHost().fit(ease, {
      shop: shopOf(eventsOf(weighted), 5),
      options: { ...plain, useWeights: true, dropout: 0.3, userWeight: 0.5 },
    });
    expectClose(links(state), [
      [0, 0.2255307, -0.0126064, 0.0223456, 0.177665],
      [0.2058239, 0, 0.1490435, 0.0318902, 0.0496079],
      [-0.019058, 0.2468924, 0, 0.0260941, -0.0185375],
      [0.0362544, 0.0566938, 0.0280043, 0, -0.0123035],
      [0.2480315, 0.0758867, -0.0171187, -0.0105868, 0],
    ]);
  });

  it('keeps the strongest weights of each column, with or without negative ones', async () => {
    const host = createTestHost();
    const shop = shopOf(eventsOf(binary), 5);
    const strongest = await host.fit(ease, { shop, options: { ...plain, keep: 2 } });
    // From binaryLinks: the two largest magnitudes of each column.
    expectClose(links(strongest), [
      [0, 0, 0, 0.1538462, 0.24],
      [0.3164557, 0, 0.4845361, 0, 0.28],
      [0, 0.5340909, 0, 0.1428571, 0],
      [0, 0, 0, 0, 0],
      [0.3417722, 0.3579545, -0.2319588, 0, 0],
    ]);
    const positive = await host.fit(ease, { shop, options: { ...plain, keep: 2, negativeWeights: false } });
    expect(links(positive)[4]?.[2]).toBe(0);
    expect(links(positive)[3]?.[2]).toBeCloseTo(0.1340206, 5);
    const densePositive = await host.fit(ease, { shop, options: { ...plain, negativeWeights: false } });
    expectClose(
      links(densePositive),
      binaryLinks.map((row) => row.map((value) => Math.max(0, value))),
    );
  });

  it('keeps its accuracy at a size that is no multiple of a block, on one thread and on two', async () => {
    // The definition holds for any size: (G + lambda I) P = I with P[i, j] = -B[i, j] P[j, j], so each column of B solves
    // sum over i ≠ j of (G + lambda I)[k, i] B[i, j] = G[k, j] for every k ≠ j.
    const shop = syntheticShop({ users: 400, items: 301 });
    const options = { lambda: 5, minimumItemUsers: 1, eventTypes: ['purchase'] };
    const pool = createComputePool({ threads: 2 });
    try {
      const state = await createTestHost({ provide: [[computeToken, pool]] }).fit(ease, { shop, options });
      expect(await createTestHost().fit(ease, { shop, options })).toEqual(state);
      const rows = state['modelRows']?.data as Int32Array;
      const b = links(state);
      const size = rows.length;
      expect(size).toBeGreaterThan(200);
      const users = Array.from({ length: shop.history.userCount }, (_, user) => {
        const has = new Set<number>();
        for (let event = shop.history.offsets[user] as number; event < (shop.history.offsets[user + 1] as number); event++) {
          if (shop.history.typeNames[shop.history.types[event] as number] === 'purchase')
            has.add(rows.indexOf(shop.history.items[event] as number));
        }
        return has;
      });
      const g = Array.from({ length: size }, () => new Array<number>(size).fill(0));
      for (const has of users) for (const i of has) for (const j of has) (g[i] as number[])[j] = (g[i]?.[j] as number) + 1;
      let worst = 0;
      for (let j = 0; j < size; j += 7) {
        for (let k = 0; k < size; k++) {
          if (k === j) continue;
          let left = 5 * (b[k]?.[j] as number);
          for (let i = 0; i < size; i++) left += (g[k]?.[i] as number) * (b[i]?.[j] as number);
          worst = Math.max(worst, Math.abs(left - (g[k]?.[j] as number)));
        }
      }
      expect(worst).toBeLessThan(1e-3);
    } finally {
      await pool.close();
    }
  });
});

describe('ease', () => {
  const shop = shopOf(eventsOf(binary), 5);

  it.each([{ keep: undefined }, { keep: 5 }])('scores the sum of history weight x link, stored with keep $keep', async ({ keep }) => {
    const component = await openComponent<Ease>(ease, { shop, options: { ...plain, ...(keep === undefined ? {} : { keep }) } });
    const request = requestView({ userRow: 7, history: [{ item: 2 }, { item: 3 }] });
    const rows = [0, 1, 2, 3, 4, 99];
    const out = new Float32Array(6).fill(Number.NaN);
    await component.score(candidateBatch({ rows: [rows], requests: [request] }), out, signal);
    rows.forEach((row, place) => {
      expect(out[place]).toBeCloseTo((binaryLinks[2]?.[row] ?? 0) + (binaryLinks[3]?.[row] ?? 0), 5);
    });
    // Item 4 has a score below 0 and is not proposed.
    const proposals = await component.propose(requestBatch([request, requestView()]), 10);
    expect([...proposals.rows]).toEqual([1, 0, 3, 2]);
    expect([...proposals.offsets]).toEqual([0, 4, 4]);
    expect([...(await component.propose(requestBatch([request], { eligible: Uint8Array.of(1, 0, 1, 1, 1) }), 2)).rows]).toEqual([0, 3]);
    await component.dispose();
  });

  it('gives guests without a history a score of 0 and item pages what goes with the item', async () => {
    const component = await openComponent<Ease>(ease, { shop, options: plain });
    const out = new Float32Array(5).fill(Number.NaN);
    await component.score(candidateBatch({ rows: [[0, 1, 2, 3, 4]] }), out, signal);
    expect([...out]).toEqual([0, 0, 0, 0, 0]);
    const page = requestView({ items: [2] });
    expect([...(await component.propose(requestBatch([page]), 10)).rows]).toEqual([1, 3]);
    expect(component.reasons(page, Int32Array.of(1, 4))).toMatchObject([{ code: 'goes-with', items: [2] }, undefined]);
    const signedIn = requestView({ userRow: 1, history: [{ item: 0, type: 'view' }, { item: 2 }] });
    expect(component.reasons(signedIn, Int32Array.of(4))[0]).toMatchObject({ code: 'because-you-viewed', items: [0] });
    await component.dispose();
  });

  it('weighs the fit and the history by age, with their own floors', async () => {
    // By hand for two items, one user, lambda 1: G = [[a², ab], [ab, b²]] + I, B[0, 1] = ab / (1 + a²), a the weight of item 0.
    const events = [
      { user: 0, item: 0, timeMs: 70 * day },
      { user: 0, item: 1, timeMs: 100 * day },
    ];
    const pair = shopOf(events, 2);
    const options = { lambda: 1, minimumItemUsers: 1, recencyDays: 30 };
    const a = Math.exp(-1);
    const host = createTestHost();
    expect(links(await host.fit(ease, { shop: pair, options }))[0]?.[1]).toBeCloseTo(a / (1 + a * a), 6);
    const floored = a + 0.5;
    expect(links(await host.fit(ease, { shop: pair, options: { ...options, recencyFloor: 0.5 } }))[0]?.[1]).toBeCloseTo(
      (floored * 1.5) / (1 + floored * floored),
      6,
    );
    const component = await openComponent<Ease>(ease, { shop, options: { ...plain, recencyDays: 30 } });
    const out = new Float32Array(1);
    const request = requestView({
      asOfMs: 90 * day,
      history: [
        { item: 2, timeMs: 0 },
        { item: 3, timeMs: 30 * day },
      ],
    });
    await component.score(candidateBatch({ rows: [[0]], requests: [request] }), out, signal);
    // All events of this shop are equally old, so the fit is that of binaryLinks; weights e^-3 + .05 over e^-2 + .05.
    expect(out[0]).toBeCloseTo(0.1772152 - ((Math.exp(-3) + 0.05) / (Math.exp(-2) + 0.05)) * 0.0253165, 5);
    await component.dispose();
  });

  it('leaves rare items out of the matrix and scores them 0', async () => {
    const component = await openComponent<Ease>(ease, { shop, options: { lambda: 2, minimumItemUsers: 3 } });
    const state = await createTestHost().fit(ease, { shop, options: { lambda: 2, minimumItemUsers: 3 } });
    expect([...(state['modelRows']?.data ?? [])]).toEqual([0, 1, 2]);
    const out = new Float32Array(2).fill(Number.NaN);
    await component.score(
      candidateBatch({ rows: [[4, 1]], requests: [requestView({ history: [{ item: 0 }, { item: 4 }] })] }),
      out,
      signal,
    );
    expect(out[0]).toBe(0);
    expect(out[1]).toBeGreaterThan(0);
    expect(component.inspectItem(1)).toMatchObject({ recommendedAfter: [{ item: 'i2' }, { item: 'i0' }] });
    await component.dispose();
  });

  it('stops above maxItems and names what to use instead', async () => {
    await expect(createTestHost().fit(ease, { shop, options: { ...plain, maxItems: 4 } })).rejects.toSatisfy(
      (error) =>
        isRecloomError(error) &&
        error.code === 'EASE_TOO_MANY_ITEMS' &&
        error.message.includes('5 items') &&
        /item-knn.*rp3beta/.test(error.hint ?? ''),
    );
  });

  it('gives the memory of fit and instances back, also when a fit is aborted', async () => {
    const compute = singleThreadCompute();
    const host = createTestHost({ provide: [[computeToken, compute]] });
    const before = kernelsOf(compute).bytesInUse;
    for (const options of [{}, { keep: 3 }]) {
      const component = await host.open<Ease>(ease, { options });
      expect(kernelsOf(compute).bytesInUse).toBeGreaterThan(before);
      await component.dispose();
      await component.dispose();
      expect(kernelsOf(compute).bytesInUse).toBe(before);
    }
    await expect(host.fit(ease, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
    expect(kernelsOf(compute).bytesInUse).toBe(before);
  });

  it('answers a batch as it answers each request, dense and sparse, and gives the same bytes twice', async () => {
    const many = syntheticShop();
    const requests = Array.from({ length: 25 }, (_, user) => many.request(user - 1));
    for (const options of [{ recencyDays: 30 }, { recencyDays: 30, keep: 20, negativeWeights: false }]) {
      const host = createTestHost({ shop: many });
      expect(await host.fit(ease, { options })).toEqual(await host.fit(ease, { options }));
      const component = await host.open<Ease>(ease, { options });
      const together = await component.propose(requestBatch(requests), 12);
      for (const [index, request] of requests.entries()) {
        const alone = await component.propose(requestBatch([request]), 12);
        const rows = together.rows.subarray(together.offsets[index], together.offsets[index + 1]);
        expect(rows).toEqual(alone.rows);
        const out = new Float32Array(rows.length);
        await component.score(candidateBatch({ rows: [rows], requests: [request] }), out, signal);
        expect(out).toEqual(alone.scores);
      }
      expect(together.rows.length).toBeGreaterThan(200);
      await component.dispose();
    }
  });

  it('works on an empty history', async () => {
    for (const options of [{}, { keep: 3 }]) {
      const component = await openComponent<Ease>(ease, { shop: shopOf([], 3), options });
      expect((await component.propose(requestBatch([{ history: [{ item: 1 }] }]), 5)).rows.length).toBe(0);
      await component.dispose();
    }
  });

  it('refuses unknown and wrong options', async () => {
    for (const raw of [{ lamda: 3 }, { lambda: 0 }, { dropout: 1 }, { maxItems: 50_000 }]) {
      await expect(validateOptions(ease, raw)).rejects.toSatisfy((error) => isRecloomError(error) && error.code === 'RECLOOM_CFG_TYPE');
    }
  });
});
