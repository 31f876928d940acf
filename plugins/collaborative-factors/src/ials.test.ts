import { createComputePool, kernelsOf } from '@recloom/kernels';
import {
  type CandidateSource,
  type ComponentState,
  computeToken,
  type Explainer,
  type FeatureExtractor,
  type Inspectable,
  isRecloomError,
  readTensor,
  type Scorer,
  type Tensor,
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
import { ials } from './index.js';

type Ials = CandidateSource & Scorer & Explainer & Inspectable & FeatureExtractor & { dispose(): void };
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

/** Two tastes (items 0 to 3, items 4 to 6), one item that everybody has (7) and one that one person has (8). */
const tastes = [
  [1, 1, 1, 0, 0, 0, 0, 1, 0],
  [1, 1, 0, 1, 0, 0, 0, 1, 0],
  [0, 1, 1, 1, 0, 0, 0, 1, 0],
  [1, 0, 1, 1, 0, 0, 0, 1, 0],
  [0, 0, 0, 0, 1, 1, 0, 1, 0],
  [0, 0, 0, 0, 1, 0, 1, 1, 0],
  [0, 0, 0, 0, 0, 1, 1, 1, 1],
];
const plain = { factors: 4, minimumItemUsers: 1, epochs: 12 };

interface Model {
  readonly rows: readonly number[];
  readonly factors: readonly (readonly number[])[];
}

function modelOf(state: ComponentState): Model {
  const [, width] = (state['factors'] as Tensor).shape as [number, number];
  const data = readTensor(state, 'factors', Float32Array);
  return {
    rows: [...readTensor(state, 'modelRows', Int32Array)],
    factors: Array.from({ length: data.length / width }, (_, row) => [...data.subarray(row * width, (row + 1) * width)]),
  };
}

/** The person's normal equations of the paper, in float64 by Gauss and Seidel's sweeps (the system is positive definite). */
function personOf(
  { rows, factors }: Model,
  interests: ReadonlyMap<number, number>,
  options: { readonly unobservedWeight: number; readonly lambda: number; readonly exponent: number },
): number[] {
  const width = factors[0]?.length as number;
  const matrix = Array.from({ length: width }, () => new Array<number>(width).fill(0));
  const right = new Array<number>(width).fill(0);
  const known = [...interests].filter(([item]) => rows.includes(item));
  const regularization = options.lambda * (known.length + options.unobservedWeight * rows.length) ** options.exponent;
  factors.forEach((factor, place) => {
    const value = interests.get(rows[place] as number);
    for (let i = 0; i < width; i++) {
      if (value !== undefined) right[i] = (right[i] as number) + (options.unobservedWeight + value) * (factor[i] as number);
      for (let j = 0; j < width; j++) {
        const line = matrix[i] as number[];
        line[j] = (line[j] as number) + (options.unobservedWeight + (value ?? 0)) * (factor[i] as number) * (factor[j] as number);
      }
    }
  });
  const person = new Array<number>(width).fill(0);
  for (let sweep = 0; sweep < 20_000; sweep++) {
    for (let i = 0; i < width; i++) {
      let value = right[i] as number;
      for (let j = 0; j < width; j++) if (j !== i) value -= (matrix[i]?.[j] as number) * (person[j] as number);
      person[i] = value / ((matrix[i]?.[i] as number) + regularization);
    }
  }
  return person;
}

function product(one: readonly number[], other: readonly number[]): number {
  return one.reduce((sum, value, index) => sum + value * (other[index] as number), 0);
}

async function scoresOf(component: Ials, request: Parameters<typeof requestView>[0], rows: readonly number[]): Promise<number[]> {
  const out = new Float32Array(rows.length).fill(Number.NaN);
  await component.score(candidateBatch({ rows: [[...rows]], requests: [requestView(request)] }), out, signal);
  return [...out];
}

describe('ials', () => {
  const shop = shopOf(eventsOf(tastes), 9);
  const all = [0, 1, 2, 3, 4, 5, 6, 7, 8];

  it.each([
    { alpha: 1, unobservedWeight: 0.3, lambda: 0.01, regularizationExponent: 1 },
    { alpha: 9, unobservedWeight: 1, lambda: 2, regularizationExponent: 0 },
    { alpha: 0, unobservedWeight: 1, lambda: 1, regularizationExponent: 0.5 },
  ])('scores a new person by their own normal equations: alpha $alpha, exponent $regularizationExponent', async (given) => {
    const options = { ...plain, ...given };
    const state = await createTestHost().fit(ials, { shop, options });
    const component = await openComponent<Ials>(ials, { shop, options });
    const person = personOf(
      modelOf(state),
      new Map([
        [0, given.alpha],
        [5, given.alpha],
      ]),
      {
        ...given,
        exponent: given.regularizationExponent,
      },
    );
    const scores = await scoresOf(component, { history: [{ item: 0 }, { item: 5 }, { item: 0 }] }, [...all, 99]);
    modelOf(state).factors.forEach((factor, row) => expect(scores[row], `item ${row}`).toBeCloseTo(product(person, factor), 3));
    expect(scores[9]).toBe(0);
    await component.dispose();
  });

  it('tells two tastes apart, for people, guests and item pages', async () => {
    const component = await openComponent<Ials>(ials, { shop, options: { ...plain, factors: 2 } });
    const liked = await component.propose(requestBatch([{ history: [{ item: 0 }, { item: 1 }] }, {}, { items: [5] }]), 5);
    const listOf = (request: number): number[] => [...liked.rows.subarray(liked.offsets[request], liked.offsets[request + 1])];
    const mean = (rows: readonly number[], scores: readonly number[]): number =>
      rows.reduce((sum, row) => sum + (scores[row] as number), 0) / rows.length;
    const scores = await scoresOf(component, { history: [{ item: 0 }, { item: 1 }] }, all);
    expect(mean([2, 3], scores)).toBeGreaterThan(mean([4, 5, 6], scores) + 0.1);
    expect(listOf(0)).toEqual(expect.arrayContaining([0, 1, 2, 3, 7]));
    expect(listOf(1)).toEqual([]);
    expect(listOf(2)).not.toContain(5);
    expect(listOf(2).slice(0, 3)).toEqual(expect.arrayContaining([4, 6]));
    await component.dispose();
  });

  it('weighs the history by age as the fit does, in its true scale', async () => {
    const options = { ...plain, recencyDays: 30, recencyFloor: 0.2 };
    const state = await createTestHost().fit(ials, { shop, options });
    const component = await openComponent<Ials>(ials, { shop, options });
    const request = {
      asOfMs: 90 * day,
      history: [
        { item: 2, timeMs: 0 },
        { item: 4, timeMs: 60 * day },
      ],
    };
    const person = personOf(
      modelOf(state),
      new Map([
        [2, Math.exp(-3) + 0.2],
        [4, Math.exp(-1) + 0.2],
      ]),
      {
        unobservedWeight: 0.3,
        lambda: 0.01,
        exponent: 1,
      },
    );
    const scores = await scoresOf(component, request, all);
    modelOf(state).factors.forEach((factor, row) => expect(scores[row]).toBeCloseTo(product(person, factor), 3));
    await component.dispose();
    const own = await openComponent<Ials>(ials, { shop, options: { ...options, historyRecencyDays: 1e9, historyRecencyFloor: 0 } });
    const ageless = personOf(
      modelOf(state),
      new Map([
        [2, 1],
        [4, 1],
      ]),
      { unobservedWeight: 0.3, lambda: 0.01, exponent: 1 },
    );
    (await scoresOf(own, request, all)).forEach((score, row) =>
      expect(score).toBeCloseTo(product(ageless, modelOf(state).factors[row] as number[]), 3),
    );
    await own.dispose();
  });

  it('learns what weights, sums and recency say', async () => {
    const host = createTestHost();
    const doubled = [...eventsOf(tastes), ...eventsOf(tastes)];
    const fit = (events: readonly TestUserEvent[], options: object) =>
      host.fit(ials, { shop: shopOf(events, 9), options: { ...plain, ...options } });
    const base = await fit(eventsOf(tastes), {});
    expect(await fit(doubled, {})).toEqual(base);
    expect(await fit(doubled, { pairs: 'sum' })).not.toEqual(base);
    const heavy = eventsOf(tastes).map((event) => ({ ...event, weight: 2 }));
    expect(await fit(heavy, {})).toEqual(base);
    // Twice the weight of every event is twice alpha, and two events that add up are one of twice the weight.
    const twice = await fit(eventsOf(tastes), { alpha: 2 });
    const same = (state: ComponentState): void =>
      expect(modelOf(state).factors.flat()).toEqual(
        modelOf(twice)
          .factors.flat()
          .map((value) => expect.closeTo(value, 3)),
      );
    same(await fit(heavy, { useWeights: true }));
    same(await fit(doubled, { pairs: 'sum' }));
  });

  it('splits a score into what each item of the history adds, and names the largest', async () => {
    const component = await openComponent<Ials>(ials, { shop, options: { ...plain, factors: 2 } });
    const request = requestView({
      userRow: 1,
      history: [
        { item: 5, type: 'view' },
        { item: 0, type: 'purchase' },
        { item: 1, type: 'purchase' },
      ],
    });
    const [forTwo, forSix, unknown] = component.reasons(request, Int32Array.of(2, 6, 99));
    expect(forTwo).toMatchObject({ code: 'because-you-bought' });
    expect([0, 1]).toContain(forTwo?.items?.[0]);
    expect(forSix).toMatchObject({ code: 'because-you-viewed', items: [5] });
    expect(forTwo?.strength).toBeGreaterThan(0.5);
    expect(forTwo?.strength).toBeLessThanOrEqual(0.9);
    expect(unknown).toBeUndefined();
    expect(component.reasons(requestView(), Int32Array.of(2))).toEqual([undefined]);
    // An item is no reason for itself.
    expect(component.reasons(requestView({ items: [4] }), Int32Array.of(4))).toEqual([undefined]);
    await component.dispose();
  });

  it('hides what the request names, what is not eligible and, when told, the history', async () => {
    const component = await openComponent<Ials>(ials, { shop, options: { ...plain, excludeHistory: true } });
    const request = { history: [{ item: 0 }, { item: 1 }], items: [2] };
    const free = await component.propose(requestBatch([request]), 9);
    expect(free.rows).not.toContain(0);
    expect(free.rows).not.toContain(1);
    expect(free.rows).not.toContain(2);
    expect(free.rows).toContain(3);
    const eligible = new Uint8Array(9).fill(1);
    eligible[3] = 0;
    expect((await component.propose(requestBatch([request], { eligible }), 9)).rows).not.toContain(3);
    expect(await component.propose(requestBatch([request]), 9)).toEqual(free);
    await component.dispose();
  });

  it('gives items vectors whose products are those of the factors, none to items it does not know', async () => {
    const component = await openComponent<Ials>(ials, { shop, options: { ...plain, minimumItemUsers: 2 } });
    const out = { values: new Float32Array(40), presence: new Uint8Array(10) };
    const rows = Int32Array.of(...all, 99);
    await component.extract({ scope: 'item', count: 10, columns: {}, rows, candidates: undefined, signal }, out);
    expect([...out.presence]).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 0, 0]);
    const vector = (row: number): number[] => [...out.values.subarray(row * 4, row * 4 + 4)];
    const cosine = (one: number, other: number): number =>
      product(vector(one), vector(other)) / Math.sqrt(product(vector(one), vector(one)) * product(vector(other), vector(other)));
    expect(cosine(0, 1)).toBeGreaterThan(cosine(0, 5));
    expect(vector(8)).toEqual([0, 0, 0, 0]);
    const inspected = component.inspectItem(0) as { readonly similarItems: readonly { readonly item: string }[] };
    expect(['i1', 'i2', 'i3', 'i7']).toContain(inspected.similarItems[0]?.item);
    expect(component.inspectItem(8)).toEqual({ learned: false });
    await component.dispose();
  });

  it('gives a batch what it gives each request, scores what it proposes, and the same bytes on two threads', async () => {
    const many = syntheticShop({ users: 150, items: 120 });
    const requests = Array.from({ length: 25 }, (_, user) => many.request(user - 1));
    const pool = createComputePool({ threads: 2 });
    try {
      for (const options of [{ recencyDays: 30 }, { factors: 13, regularizationExponent: 0, lambda: 5, unobservedWeight: 1 }]) {
        const host = createTestHost({ shop: many });
        expect(await createTestHost({ shop: many, provide: [[computeToken, pool]] }).fit(ials, { options })).toEqual(
          await host.fit(ials, { options }),
        );
        const component = await host.open<Ials>(ials, { options });
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
    } finally {
      await pool.close();
    }
  });

  it('gives a batch over a large catalogue what it gives each request, to the bit: short lists and long ones, hidden items, all items scored', async () => {
    const large = syntheticShop({ users: 300, items: 1600 });
    const eligible = Uint8Array.from({ length: 1600 }, (_, row) => (row % 11 === 3 ? 0 : 1));
    const requests = Array.from({ length: 40 }, (_, user) =>
      user % 10 === 7 ? requestView({ items: [user, 3 * user] }) : large.request(user - 1),
    );
    const everything = Int32Array.from({ length: 1600 }, (_, row) => (row * 7) % 1600);
    for (const excludeHistory of [true, false]) {
      const component = await createTestHost({ shop: large }).open<Ials>(ials, {
        options: { factors: 24, epochs: 3, minimumItemUsers: 1, excludeHistory },
      });
      for (const limit of [1, 10, 150, 1600]) {
        const together = await component.propose(requestBatch(requests, { eligible }), limit);
        for (const [index, request] of requests.entries()) {
          const alone = await component.propose(requestBatch([request], { eligible }), limit);
          const [begin, end] = [together.offsets[index] as number, together.offsets[index + 1] as number];
          expect(together.rows.slice(begin, end)).toEqual(alone.rows);
          expect(together.scores.slice(begin, end)).toEqual(alone.scores);
        }
        expect(together.rows.length).toBeGreaterThan(20 * Math.min(limit, 100));
      }
      const all = new Float32Array(requests.length * 1600);
      await component.score(candidateBatch({ rows: requests.map(() => everything), requests }), all, signal);
      for (const [index, request] of requests.entries()) {
        const out = new Float32Array(1600);
        await component.score(candidateBatch({ rows: [everything], requests: [request] }), out, signal);
        expect(all.subarray(index * 1600, (index + 1) * 1600)).toEqual(out);
      }
      await component.dispose();
    }
  });

  it.each([
    ['nothing', []],
    ['one event', [{ user: 0, item: 1 }]],
    ['one person', [0, 1, 2].map((item) => ({ user: 0, item }))],
    ['one item', [0, 1, 2].map((user) => ({ user, item: 1 }))],
    ['people all alike', [0, 1, 2, 3].flatMap((user) => [0, 1, 2].map((item) => ({ user, item })))],
    ['the same event a thousand times', Array.from({ length: 1000 }, () => ({ user: 0, item: 1 }))],
    ['weights of 0 and below', [0, 1, 2].map((user) => ({ user, item: 1, weight: user - 2 }))],
    ['counts from 1e-30 to 1e6', [0, 1, 2, 3].map((user) => ({ user, item: user % 3, weight: 10 ** (user * 12 - 30) }))],
  ] as const)('holds on %s, with more factors than people and items', async (_, events) => {
    for (const extra of [{}, { useWeights: true, pairs: 'sum' }, { regularizationExponent: 0 }, { alpha: 0 }]) {
      const component = await openComponent<Ials>(ials, {
        shop: shopOf(events, 3),
        options: { minimumItemUsers: 1, factors: 10, ...extra },
      });
      const request = { history: [{ item: 1 }, { item: 2 }] };
      const scores = await scoresOf(component, request, [0, 1, 2]);
      expect(scores.every(Number.isFinite)).toBe(true);
      const { rows } = await component.propose(requestBatch([request]), 3);
      const seen = new Set<number>(events.filter((event) => !('weight' in event) || event.weight > 0).map(({ item }) => item));
      for (const row of rows) expect(seen.size === 0 || [0, 1, 2].includes(row)).toBe(true);
      if (events.length === 0) expect(rows.length).toBe(0);
      await component.dispose();
    }
  });

  it('puts an item that everybody has first for a stranger to all tastes', async () => {
    const component = await openComponent<Ials>(ials, { shop, options: plain });
    const { rows } = await component.propose(requestBatch([{ items: [7] }, { history: [{ item: 7 }] }]), 1);
    expect(rows[1]).toBe(7);
    await component.dispose();
  });

  it('keeps nothing when the factors run away', async () => {
    const events = eventsOf(tastes).map((event) => ({ ...event, weight: 2e38 }));
    for (const alpha of [1, 1000]) {
      const fit = createTestHost().fit(ials, { shop: shopOf(events, 9), options: { ...plain, useWeights: true, alpha } });
      await expect(fit).rejects.toSatisfy((error) => isRecloomError(error) && error.code === 'IALS_DIVERGED');
    }
    // A history that float32 cannot hold says nothing.
    const component = await openComponent<Ials>(ials, { shop, options: { ...plain, useWeights: true, alpha: 1000 } });
    expect(await scoresOf(component, { history: [{ item: 1, weight: 2e38 }] }, [0, 1])).toEqual([0, 0]);
    await component.dispose();
  });

  it('warns of unknown event types and of people cut short', async () => {
    const host = createTestHost();
    await host.fit(ials, {
      shop,
      options: { ...plain, eventTypes: [shop.history.typeNames[0] as string, 'purhcase'], maximumUserItems: 3 },
    });
    expect(host.warnings.map(({ code }) => code).sort()).toEqual(['IALS_EVENT_TYPE_UNKNOWN', 'IALS_USERS_CUT']);
  });

  it('tells its progress by halves of epochs', async () => {
    const host = createTestHost();
    await host.fit(ials, { shop, options: { ...plain, epochs: 2 } });
    expect(host.progress).toEqual([0.05, 0.275, 0.5, 0.725, 0.95].map((fraction) => expect.closeTo(fraction, 6)));
  });

  it('gives the memory of fit and instances back, also when a fit is aborted', async () => {
    const compute = singleThreadCompute();
    const host = createTestHost({ provide: [[computeToken, compute]] });
    const before = kernelsOf(compute).bytesInUse;
    const component = await host.open<Ials>(ials, {});
    expect(kernelsOf(compute).bytesInUse).toBeGreaterThan(before);
    await component.dispose();
    await component.dispose();
    expect(kernelsOf(compute).bytesInUse).toBe(before);
    await expect(host.fit(ials, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
    expect(kernelsOf(compute).bytesInUse).toBe(before);
  });

  it('refuses unknown and wrong options', async () => {
    for (const raw of [
      { factor: 3 },
      { factors: 0 },
      { factors: 1000 },
      { lambda: 0 },
      { alpha: -1 },
      { unobservedWeight: 0 },
      { epochs: 0 },
    ]) {
      await expect(validateOptions(ials, raw)).rejects.toSatisfy((error) => isRecloomError(error) && error.code === 'RECLOOM_CFG_TYPE');
    }
  });
});
