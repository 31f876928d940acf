import { type CandidateSource, type Explainer, isRecloomError, type Scorer } from '@recloom/plugin-api';
import {
  candidateBatch,
  categoryColumn,
  createTestHost,
  historyFrom,
  openComponent,
  requestBatch,
  requestView,
  syntheticShop,
  type TestUserEvent,
  tableFrom,
  validateOptions,
} from '@recloom/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { popular } from './index.js';

type Popular = CandidateSource & Scorer & Explainer;
const day = 86_400_000;

function shopOf(events: readonly TestUserEvent[], users: number, items: number, countries?: readonly (string | null)[]) {
  return {
    items: tableFrom(Array.from({ length: items }, (_, row) => `i${row}`)),
    users: tableFrom(
      Array.from({ length: users }, (_, row) => `u${row}`),
      countries === undefined ? {} : { country: categoryColumn(countries) },
    ),
    history: historyFrom(events, { userCount: users, itemCount: items }),
  };
}

function proposed(source: CandidateSource, request: Parameters<typeof requestBatch>[0][number], limit = 10, eligible?: Uint8Array) {
  const proposals = source.propose(requestBatch([request], { eligible }), limit);
  if (proposals instanceof Promise) throw new Error('expected a synchronous source');
  return { rows: [...proposals.rows], scores: [...proposals.scores] };
}

describe('popular', () => {
  // By hand: item 2 has users {0, 1, 2}, item 0 users {0, 1} (user 0 twice), item 1 user {2}; 3 users are active.
  const events: TestUserEvent[] = [
    { user: 0, item: 0, timeMs: 1 * day, weight: 5 },
    { user: 0, item: 0, timeMs: 2 * day, weight: 5 },
    { user: 0, item: 2, timeMs: 3 * day },
    { user: 1, item: 0, timeMs: 9 * day, type: 'view' },
    { user: 1, item: 2, timeMs: 4 * day },
    { user: 2, item: 2, timeMs: 5 * day },
    { user: 2, item: 1, timeMs: 10 * day },
  ];
  const shop = shopOf(events, 4, 4);

  it('scores the share of active users and proposes nothing nobody chose', async () => {
    const source = await openComponent<Popular>(popular, { shop });
    const { rows, scores } = proposed(source, {});
    expect(rows).toEqual([2, 0, 1]);
    expect(scores).toEqual([1, Math.fround(2 / 3), Math.fround(1 / 3)]);
  });

  it('counts events, weights, windows and types as told', async () => {
    const byEvents = await openComponent<Popular>(popular, { shop, options: { count: 'events' } });
    expect(proposed(byEvents, {})).toEqual({ rows: [0, 2, 1], scores: [3 / 7, 3 / 7, 1 / 7].map(Math.fround) });
    // Weights: item 0 has 5 + 5 + 1, item 2 has 3, item 1 has 1; the sum is 15.
    const byWeights = await openComponent<Popular>(popular, { shop, options: { count: 'weights' } });
    expect(proposed(byWeights, {})).toEqual({ rows: [0, 2, 1], scores: [11 / 15, 3 / 15, 1 / 15].map(Math.fround) });
    // The last 5.5 days before day 10 hold user 2 on items 2 and 1, and user 1 on item 0; ties by ascending row.
    const windowed = await openComponent<Popular>(popular, { shop, options: { windowDays: 5.5 } });
    expect(proposed(windowed, {})).toEqual({ rows: [0, 1, 2], scores: [0.5, 0.5, 0.5] });
    const purchases = await openComponent<Popular>(popular, { shop, options: { eventTypes: ['purchase'] } });
    expect(proposed(purchases, {}).scores).toEqual([1, 1 / 3, 1 / 3].map(Math.fround));
  });

  it('warns about an event type that no event has', async () => {
    const host = createTestHost();
    await host.fit(popular, { shop, options: { eventTypes: ['purchase', 'purchased'] } });
    expect(host.warnings.map((warning) => warning.code)).toEqual(['POPULARITY_EVENT_TYPE_UNKNOWN']);
  });

  it('smooths each segment towards the whole shop and falls back where a segment is unknown, small or not granted', async () => {
    // 5 users, A: 0 1 2, B: 3, none: 4. Everybody of A has item 1, user 3 has item 0, user 4 items 0 and 2.
    const segmented = shopOf(
      [
        { user: 0, item: 1 },
        { user: 1, item: 1 },
        { user: 2, item: 1 },
        { user: 0, item: 2 },
        { user: 3, item: 0 },
        { user: 4, item: 0 },
        { user: 4, item: 2 },
      ],
      5,
      3,
      ['A', 'A', 'A', 'B', null],
    );
    const options = { segmentSmoothing: 2, minimumSegmentUsers: 1 };
    const source = await openComponent<Popular>(popular, { shop: segmented, options, inputs: { segment: 'user.country' } });
    // Shares of the shop: item 1 3/5, items 0 and 2 2/5.
    const whole = { rows: [1, 0, 2], scores: [0.6, 0.4, 0.4].map(Math.fround) };
    expect(proposed(source, {})).toEqual(whole);
    expect(proposed(source, { userFields: { country: 'C' } })).toEqual(whole);
    expect(proposed(source, { userFields: { country: 'B' }, grants: ['item'] })).toEqual(whole);
    // A: item 1 (3 + 2*3/5) / 5 = .84, item 2 (1 + 2*2/5) / 5 = .36, item 0 (0 + 2*2/5) / 5 = .16.
    const inA = proposed(source, { userFields: { country: 'A' } });
    expect(inA.rows).toEqual([1, 2, 0]);
    inA.scores.forEach((score, place) => expect(score).toBeCloseTo([0.84, 0.36, 0.16][place] as number, 6));
    // B: item 0 (1 + .8) / 3 = .6, item 1 (0 + 1.2) / 3 = .4, item 2 .8 / 3.
    const inB = proposed(source, { userFields: { country: 'B' } });
    expect(inB.rows).toEqual([0, 1, 2]);
    inB.scores.forEach((score, place) => expect(score).toBeCloseTo([0.6, 0.4, 0.8 / 3][place] as number, 6));

    const reasons = source.reasons(requestView({ userFields: { country: 'B' } }), Int32Array.of(0, 1));
    expect(reasons.map((reason) => reason?.text)).toEqual(['Popular in {name}', 'Popular with other customers']);
    expect(reasons[0]?.values).toEqual({ name: 'B' });

    const larger = await openComponent<Popular>(popular, {
      shop: segmented,
      options: { segmentSmoothing: 2, minimumSegmentUsers: 2 },
      inputs: { segment: 'user.country' },
    });
    expect(proposed(larger, { userFields: { country: 'B' } })).toEqual(whole);
  });

  it('leaves out ineligible rows, the items the request names, and the history when told', async () => {
    const source = await openComponent<Popular>(popular, { shop });
    expect(proposed(source, {}, 10, Uint8Array.of(1, 1, 0, 1)).rows).toEqual([0, 1]);
    expect(proposed(source, { items: [0] }).rows).toEqual([2, 1]);
    expect(proposed(source, { history: [{ item: 2 }] }).rows).toEqual([2, 0, 1]);
    const fresh = await openComponent<Popular>(popular, { shop, options: { excludeHistory: true } });
    expect(proposed(fresh, { history: [{ item: 2 }] }, 1).rows).toEqual([0]);
  });

  it('scores every candidate as its source does, and unknown rows 0', async () => {
    const shopOfMany = syntheticShop();
    const setup = { shop: shopOfMany, inputs: { segment: 'user.country' }, options: { minimumSegmentUsers: 1, segmentSmoothing: 7 } };
    const component = await openComponent<Popular>(popular, setup);
    const requests = [shopOfMany.request(0), shopOfMany.request(3), requestView()];
    const proposals = await component.propose(requestBatch(requests), 1000);
    const lists = requests.map((_, index) => [...proposals.rows.subarray(proposals.offsets[index], proposals.offsets[index + 1])]);
    const batch = candidateBatch({ rows: lists, requests });
    const out = new Float32Array(batch.count).fill(Number.NaN);
    await component.score(batch, out, new AbortController().signal);
    expect(out).toEqual(proposals.scores);
    const unknown = new Float32Array(1).fill(Number.NaN);
    await component.score(candidateBatch({ rows: [[shopOfMany.items.rowCount + 5]] }), unknown, new AbortController().signal);
    expect(unknown[0]).toBe(0);
  });

  it('ranks any shop as counting by definition does', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ user: fc.integer({ min: 0, max: 6 }), item: fc.integer({ min: 0, max: 5 }) }), {
          minLength: 1,
          maxLength: 40,
        }),
        fc.array(fc.constantFrom('A', 'B', null), { minLength: 7, maxLength: 7 }),
        async (pairs, countries) => {
          const data = shopOf(pairs, 7, 6, countries);
          const source = await openComponent<Popular>(popular, {
            shop: data,
            inputs: { segment: 'user.country' },
            options: { minimumSegmentUsers: 1, segmentSmoothing: 3 },
          });
          const usersOf = (item: number, country?: string) =>
            new Set(
              pairs
                .filter((pair) => pair.item === item && (country === undefined || countries[pair.user] === country))
                .map((pair) => pair.user),
            ).size;
          const active = (country?: string) =>
            new Set(pairs.filter((pair) => country === undefined || countries[pair.user] === country).map((pair) => pair.user)).size;
          const inA = active('A');
          const expected = Array.from({ length: 6 }, (_, item) => {
            const share = usersOf(item) / active();
            return inA === 0 ? share : (usersOf(item, 'A') + 3 * share) / (inA + 3);
          });
          const { rows, scores } = proposed(source, { userFields: { country: 'A' } });
          expect(new Set(rows)).toEqual(new Set(expected.flatMap((score, item) => (score > 0 ? [item] : []))));
          rows.forEach((row, place) => {
            expect(scores[place]).toBeCloseTo(expected[row] as number, 5);
            if (place > 0) expect(scores[place] as number).toBeLessThanOrEqual(scores[place - 1] as number);
          });
        },
      ),
      { numRuns: 60 },
    );
  });

  it('gives the same bytes twice and works on an empty history', async () => {
    const host = createTestHost();
    const setup = { inputs: { segment: 'user.country' } };
    expect(await host.fit(popular, setup)).toEqual(await host.fit(popular, setup));
    const empty = await openComponent<Popular>(popular, { shop: shopOf([], 0, 2) });
    expect(proposed(empty, {}).rows).toEqual([]);
  });

  it('refuses unknown and wrong options', async () => {
    for (const raw of [{ counts: 'users' }, { windowDays: 0 }, { eventTypes: [] }]) {
      await expect(validateOptions(popular, raw)).rejects.toSatisfy((error) => isRecloomError(error) && error.code === 'RECLOOM_CFG_TYPE');
    }
  });
});
