import type { HistoryStore, Warning } from '@recloom/plugin-api';
import {
  candidateBatch,
  historyFrom,
  openComponent,
  requestBatch,
  requestView,
  shopFrom,
  type TestUserEvent,
  tableFrom,
} from '@recloom/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { related } from './index.js';
import { confidence, lift, logLikelihoodRatio, npmi } from './measures.js';
import { type RelatedOptions, relatedOptions } from './options.js';
import { fitRelated, Related } from './related.js';
import { visitsOf } from './visits.js';

const day = 86_400_000;
const hour = 3_600_000;
const signal = new AbortController().signal;
const noFloors = { minimumSupport: 1, minimumUsers: 1, minimumSignificance: 0 };

function tableOf(count: number) {
  return tableFrom(Array.from({ length: count }, (_, row) => `item${row}`));
}

async function mine(
  history: HistoryStore,
  options: Partial<RelatedOptions> = {},
  warn: (warning: Warning) => void = () => {},
): Promise<Related> {
  const parsed = relatedOptions.parse(options);
  const asOfMs = history.timesMs.reduce((latest, time) => Math.max(latest, time), 0);
  const state = await fitRelated({ options: parsed, history, itemCount: history.itemCount, asOfMs, signal, progress: () => {}, warn });
  return new Related(state, parsed, tableOf(history.itemCount));
}

/** One basket per user. */
function baskets(...lists: readonly (readonly number[])[]): HistoryStore {
  const events = lists.flatMap((items, basket) => items.map((item): TestUserEvent => ({ user: basket, item, basket, timeMs: basket })));
  return historyFrom(events);
}

// 10 baskets: 0 and 1 together in 4, 0 alone in 1, 1 alone in 2, 2 and 3 together in 3.
const ten = baskets([0, 1], [0, 1], [1, 0], [0, 1, 1], [0], [1], [1], [2, 3], [2, 3], [3, 2]);

describe('bought together', () => {
  it('counts, and gives the numbers worked out by hand', async () => {
    const graph = await mine(ten, noFloors);
    const first = graph.neighbours(0);
    expect(first.rows).toEqual(Int32Array.of(1));
    expect(first.support).toEqual(Int32Array.of(4));
    expect(first.confidence[0]).toBeCloseTo(4 / 5, 6);
    // 4 * 10 / (5 * 6), ln(4 / 3) / -ln(.4), and G² as in measures.test.ts.
    expect(first.lift[0]).toBeCloseTo(4 / 3, 6);
    expect(first.npmi[0]).toBeCloseTo(0.313963748, 6);
    expect(first.significance[0]).toBeCloseTo(1.7260924, 5);
    expect(graph.neighbours(1).confidence[0]).toBeCloseTo(4 / 6, 6);
    // Never apart: 3 * 10 / 9 and 1.
    expect(graph.neighbours(2).lift[0]).toBeCloseTo(10 / 3, 6);
    expect(graph.neighbours(2).npmi[0]).toBeCloseTo(1, 6);
  });

  it('drops what may be chance, what is rare, and what comes from one person', async () => {
    expect((await mine(ten, { ...noFloors, minimumSignificance: 2 })).neighbours(0).rows).toEqual(new Int32Array(0));
    expect((await mine(ten, { ...noFloors, minimumSupport: 4 })).neighbours(2).rows).toEqual(new Int32Array(0));
    const one = historyFrom(
      [0, 1, 2, 3].flatMap((basket) => [0, 1].map((item) => ({ user: 0, item, basket }))).concat([{ user: 1, item: 2, basket: 9 }]),
    );
    expect((await mine(one, noFloors)).neighbours(0).support).toEqual(Int32Array.of(4));
    expect((await mine(one, { ...noFloors, minimumUsers: 2 })).neighbours(0).rows).toEqual(new Int32Array(0));
  });

  it('keeps no pair that occurs together less than by chance', async () => {
    // 0 and 1 in 1 of 8 baskets, each in 4: lift 8 / 16.
    const graph = await mine(baskets([0, 1], [0], [0], [0], [1], [1], [1], [2]), noFloors);
    expect(graph.neighbours(0).rows).toEqual(new Int32Array(0));
  });

  it('makes baskets of visits when the data name none', () => {
    const history = historyFrom([
      { user: 0, item: 0, timeMs: 0 },
      { user: 0, item: 1, timeMs: 24 * hour },
      { user: 0, item: 2, timeMs: 24 * hour + 1 },
      { user: 1, item: 2, timeMs: 0 },
    ]);
    const visits = visitsOf(history, relatedOptions.parse({}), 0, () => {});
    expect([...visits.offsets]).toEqual([0, 2, 3, 4]);
    expect([...visits.items]).toEqual([0, 1, 2, 2]);
    expect([...visits.users]).toEqual([0, 0, 1]);
  });

  it('counts purchases where there are some, all events where there are none, or the types it is told', () => {
    const mixed = historyFrom([
      { user: 0, item: 0, type: 'view' },
      { user: 0, item: 1, type: 'purchase' },
    ]);
    const itemsOf = (options: Partial<RelatedOptions>, history = mixed) => [
      ...visitsOf(history, relatedOptions.parse(options), 0, () => {}).items,
    ];
    expect(itemsOf({})).toEqual([1]);
    expect(itemsOf({ types: ['view', 'purchase'] })).toEqual([0, 1]);
    expect(itemsOf({}, historyFrom([{ user: 0, item: 0, type: 'view' }]))).toEqual([0]);
  });

  it('says which types it does not know and which baskets were too large', async () => {
    const warnings: Warning[] = [];
    await mine(
      baskets([0, 1, 2], [0, 1]),
      { types: ['purchase', 'wish'], maximumBasketItems: 2 },
      (warning) => void warnings.push(warning),
    );
    expect(warnings.map(({ code, count }) => [code, count])).toEqual([
      ['GRAPH_UNKNOWN_TYPE', 1],
      ['GRAPH_LARGE_BASKETS', 1],
    ]);
  });

  it('leaves out baskets older than maximumAgeDays', async () => {
    const history = historyFrom([
      { user: 0, item: 0, basket: 0, timeMs: 0 },
      { user: 0, item: 1, basket: 0, timeMs: 0 },
      { user: 1, item: 2, basket: 1, timeMs: 50 * day },
    ]);
    expect((await mine(history, { ...noFloors })).neighbours(0).rows).toEqual(Int32Array.of(1));
    expect((await mine(history, { ...noFloors, maximumAgeDays: 10 })).neighbours(0).rows).toEqual(new Int32Array(0));
  });

  it('agrees with counting pairs one by one', async () => {
    const basket = fc.uniqueArray(fc.nat(6), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(fc.array(basket, { minLength: 1, maxLength: 14 }), async (lists) => {
        const graph = await mine({ ...baskets(...lists), itemCount: 7 }, { ...noFloors, by: 'lift' });
        for (let a = 0; a < 7; a++) {
          const expected: { row: number; support: number; lift: number; npmi: number; significance: number; confidence: number }[] = [];
          for (let b = 0; b < 7; b++) {
            const counts = {
              both: lists.filter((list) => list.includes(a) && list.includes(b)).length,
              left: lists.filter((list) => list.includes(a)).length,
              right: lists.filter((list) => list.includes(b)).length,
              total: lists.length,
            };
            if (a === b || counts.both === 0 || lift(counts) <= 1) continue;
            expected.push({
              row: b,
              support: counts.both,
              lift: lift(counts),
              npmi: npmi(counts),
              significance: logLikelihoodRatio(counts),
              confidence: confidence(counts),
            });
          }
          expected.sort((x, y) => Math.fround(y.lift) - Math.fround(x.lift) || x.row - y.row);
          const found = graph.neighbours(a);
          expect([...found.rows]).toEqual(expected.map(({ row }) => row));
          expect([...found.support]).toEqual(expected.map(({ support }) => support));
          for (const name of ['lift', 'npmi', 'significance', 'confidence'] as const) {
            expect([...found[name]]).toEqual(expected.map((edge) => Math.fround(edge[name])));
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('bought after', () => {
  // Three people buy 0 and two days later 1; one buys only 0; one buys 2 and then 1; one buys 0 and 1 at once.
  const events: TestUserEvent[] = [0, 1, 2].flatMap((user) => [
    { user, item: 0, basket: user * 2, timeMs: user * hour },
    { user, item: 1, basket: user * 2 + 1, timeMs: user * hour + 2 * day },
  ]);
  events.push({ user: 3, item: 0, basket: 10 }, { user: 4, item: 2, basket: 11 }, { user: 4, item: 1, basket: 12, timeMs: day });
  events.push({ user: 5, item: 0, basket: 13 }, { user: 5, item: 1, basket: 13 }, { user: 5, item: 1, basket: 14, timeMs: day });

  it('is directed and gives the numbers worked out by hand', async () => {
    const graph = await mine(historyFrom(events), { ...noFloors, relation: 'bought-after' });
    const found = graph.neighbours(0);
    expect([...found.rows]).toEqual([1]);
    // 11 baskets; 0 is in 5; item 1 is new in a later basket after 3 + 1 of them, after 0 in 3: lift 3 * 11 / (5 * 4).
    expect([...found.support]).toEqual([3]);
    expect(found.confidence[0]).toBeCloseTo(3 / 5, 6);
    expect(found.lift[0]).toBeCloseTo(33 / 20, 6);
    expect(graph.neighbours(1).rows).toEqual(new Int32Array(0));
  });

  it('looks no further than windowDays', async () => {
    const graph = await mine(historyFrom(events), { ...noFloors, relation: 'bought-after', windowDays: 1 });
    expect([...graph.neighbours(0).rows]).toEqual([]);
    expect([...graph.neighbours(2).rows]).toEqual([1]);
  });

  it('agrees with counting pairs one by one', async () => {
    const visit = fc.record({ user: fc.nat(2), day: fc.nat(6), items: fc.uniqueArray(fc.nat(4), { minLength: 1, maxLength: 3 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(visit, { minLength: 1, maxLength: 10 }), async (visits) => {
        const history = historyFrom(
          visits.flatMap((one, basket) => one.items.map((item) => ({ user: one.user, item, basket, timeMs: one.day * day }))),
          { itemCount: 5, userCount: 3 },
        );
        const graph = await mine(history, { ...noFloors, relation: 'bought-after', windowDays: 3 });
        const follows = visits.map((one) => {
          const later = visits.filter((other) => other.user === one.user && other.day > one.day && other.day - one.day <= 3);
          return new Set(later.flatMap((other) => other.items).filter((item) => !one.items.includes(item)));
        });
        for (let a = 0; a < 5; a++) {
          const expected = new Map<number, number>();
          for (let b = 0; b < 5; b++) {
            const counts = {
              both: visits.filter((one, place) => one.items.includes(a) && follows[place]?.has(b)).length,
              left: visits.filter((one) => one.items.includes(a)).length,
              right: follows.filter((set) => set.has(b)).length,
              total: visits.length,
            };
            if (counts.both > 0 && lift(counts) > 1) expected.set(b, counts.both);
          }
          const found = graph.neighbours(a);
          expect(new Map(Array.from(found.rows, (row, place) => [row, found.support[place]]))).toEqual(expected);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('the stored graph', () => {
  it('keeps the best k by the chosen number, ties by ascending row', async () => {
    // Lift of 0 and 1: 3 * 6 / (3 * 4); of 0 and 2: 2 * 6 / (3 * 2).
    const history = baskets([0, 1, 2, 3], [0, 1, 2, 3], [0, 1], [1], [4], [5]);
    const graph = await mine(history, { ...noFloors, by: 'support', neighbours: 2 });
    expect([...graph.neighbours(0).rows]).toEqual([1, 2]);
    expect([...graph.neighbours(0, { by: 'lift' }).rows]).toEqual([2, 1]);
    expect([...graph.neighbours(0, { limit: 1 }).rows]).toEqual([1]);
  });

  it('answers queries for further relations that were kept, and none for others and unknown rows', async () => {
    const history = historyFrom([
      { user: 0, item: 0, basket: 0, timeMs: 0 },
      { user: 0, item: 1, basket: 0, timeMs: 0 },
      { user: 0, item: 2, basket: 1, timeMs: day },
      { user: 1, item: 3, basket: 2, timeMs: 0 },
    ]);
    const graph = await mine(history, { ...noFloors, keep: ['bought-after'] });
    expect([...graph.neighbours(0).rows]).toEqual([1]);
    expect([...graph.neighbours(0, { relation: 'bought-after' }).rows]).toEqual([2]);
    const only = await mine(history, noFloors);
    expect(only.neighbours(0, { relation: 'bought-after' }).rows).toHaveLength(0);
    for (const row of [-1, 4, 1e9]) expect(graph.neighbours(row).rows).toHaveLength(0);
    expect(graph.inspectItem(0)).toMatchObject({
      'bought-together': { count: 1, neighbours: [{ item: 'item1', support: 1, lift: 3 }] },
      'bought-after': { count: 1, neighbours: [{ item: 'item2' }] },
    });
  });

  it('is the same for the same data, and empty without data', async () => {
    const context = { options: relatedOptions.parse(noFloors), itemCount: 4, asOfMs: 10, signal, progress: () => {}, warn: () => {} };
    expect(await fitRelated({ ...context, history: ten })).toEqual(await fitRelated({ ...context, history: ten }));
    const empty = await mine(historyFrom([], { itemCount: 3 }));
    expect(empty.propose(requestBatch([{ items: [0] }]), 5).rows).toHaveLength(0);
  });
});

describe('requests', () => {
  // Lifts of 8 baskets: 0–1 in 3, 0–2 in 1, 1–2 in 2, and 3–4.
  const history = baskets([0, 1], [0, 1], [0, 1, 2], [1, 2], [3, 4], [3, 4], [5], [6]);

  it('starts from the items of the request and never proposes them', async () => {
    const graph = await mine(history, { ...noFloors, by: 'confidence' });
    const one = graph.propose(requestBatch([{ items: [0] }]), 5);
    // Confidence of 0 → 1: 3 / 3. 0 → 2: 1 / 3 (lift 8 / 6).
    expect([...one.rows]).toEqual([1, 2]);
    expect([...one.scores]).toEqual([1, Math.fround(1 / 3)]);
    // A basket: the mean over its items; 1 → 2 is 2 / 4.
    const basket = graph.propose(requestBatch([{ items: [0, 1, 0] }]), 5);
    expect([...basket.rows]).toEqual([2]);
    expect(basket.scores[0]).toBeCloseTo((1 / 3 + 2 / 4) / 2, 6);
  });

  it('starts from the recent history when the request names no item, the newest first', async () => {
    const graph = await mine(history, { ...noFloors, by: 'confidence', historyItems: 2, historyDecay: 0.5 });
    const events = [
      { item: 6, timeMs: 0 },
      { item: 0, timeMs: 1 },
      { item: 3, timeMs: 2 },
      { item: 3, timeMs: 3 },
    ];
    const found = graph.propose(requestBatch([{ history: events }]), 5);
    expect([...found.rows]).toEqual([4, 1, 2]);
    // Weights 1 for item 3 and .5 for item 0, divided by 1.5.
    expect(found.scores[0]).toBeCloseTo(1 / 1.5, 6);
    expect(found.scores[1]).toBeCloseTo(0.5 / 1.5, 6);
    expect(graph.propose(requestBatch([{ history: events, grants: ['item', 'query'] }]), 5).rows).toHaveLength(0);
  });

  it('skips what the mask rules out and still fills the limit', async () => {
    const graph = await mine(history, { ...noFloors, by: 'confidence' });
    const eligible = Uint8Array.of(1, 0, 1, 1, 1, 1, 1);
    expect([...graph.propose(requestBatch([{ items: [0] }], { eligible }), 1).rows]).toEqual([2]);
  });

  it('has nothing to say about strangers and unknown items, and scores them 0', async () => {
    const graph = await mine(history, noFloors);
    for (const parts of [{}, { items: [99] }, { items: [-1] }]) {
      expect(graph.propose(requestBatch([parts]), 5).rows).toHaveLength(0);
      const out = new Float32Array(2).fill(Number.NaN);
      graph.score(candidateBatch({ rows: [[0, 99]], requests: [parts] }), out, signal);
      expect([...out]).toEqual([0, 0]);
    }
  });

  it('scores what it proposes alike, in batches and after other requests', async () => {
    const graph = await mine(history, noFloors);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uniqueArray(fc.nat(6), { maxLength: 3 }), { minLength: 1, maxLength: 4 }), async (lists) => {
        const requests = lists.map((items) => ({ items }));
        const proposals = graph.propose(requestBatch(requests), 10);
        const rows = lists.map((_, index) => proposals.rows.subarray(proposals.offsets[index], proposals.offsets[index + 1]));
        const out = new Float32Array(proposals.rows.length).fill(Number.NaN);
        graph.score(candidateBatch({ rows, requests }), out, signal);
        expect(out).toEqual(proposals.scores);
        rows.forEach((list, index) => {
          expect(new Set(list).size).toBe(list.length);
          for (const row of list) expect(lists[index]).not.toContain(row);
        });
      }),
    );
  });

  it('names the item the relation starts from', async () => {
    const graph = await mine(history, noFloors);
    const [reason, none] = graph.reasons(requestView({ items: [0, 3] }), Int32Array.of(1, 5));
    expect(reason).toMatchObject({
      code: 'bought-together',
      text: 'Often bought together with {item}',
      items: [0],
      values: { support: 3, lift: 2 },
    });
    expect(none).toBeUndefined();
  });

  it('works through its definition, on data without baskets', async () => {
    const events = [0, 1, 2].flatMap((user) => [0, 1].map((item): TestUserEvent => ({ user, item, timeMs: user * day })));
    const items = tableOf(3);
    const shop = shopFrom({ items, users: tableOf(4), history: historyFrom([...events, { user: 3, item: 2 }], { itemCount: 3 }) });
    const instance = await openComponent(related, { shop, options: { minimumSignificance: 3 } });
    expect([...(await instance.propose(requestBatch([{ items: [1] }]), 3)).rows]).toEqual([0]);
  });
});
