import { type FeatureMatrix, type RequestView } from '@recloom/plugin-api';
import { candidateBatch, featureMatrix, requestBatch, requestView, singleThreadCompute, tableFrom } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { FactorProfile } from './factor-profile.js';
import { featureOf } from './fixtures.test-support.js';
import { factorProfileOptions } from './options.js';

const signal = new AbortController().signal;
const day = 86_400_000;
const vectors = featureOf('space', [[2, 0], [0, 1], [1, 1], null, [-1, 0], [3, 0.5]]);
const items = tableFrom(['a', 'b', 'c', 'd', 'e', 'f']);
const open = (given: object = {}, feature: FeatureMatrix = vectors): FactorProfile =>
  new FactorProfile(factorProfileOptions.parse(given), feature, items, singleThreadCompute());

const visitor = (events: readonly (readonly [item: number, ageDays: number])[], more: object = {}): RequestView =>
  requestView({
    userRow: 0,
    history: events.map(([item, age]) => ({ item, type: 'purchase', timeMs: 100 * day - age * day })),
    asOfMs: 100 * day,
    ...more,
  });

function proposed(source: FactorProfile, request: RequestView, eligible?: Uint8Array): readonly (readonly [number, number])[] {
  const { rows, scores } = source.propose(requestBatch([request], { eligible }), 10);
  return Array.from(rows, (row, place) => [row, Math.round((scores[place] as number) * 1e4) / 1e4] as const);
}

describe('FactorProfile', () => {
  it('scores by the dot product with the sum of the history, lengths included', () => {
    const source = open();
    // a + b = (2, 1): a 4, b 1, c 3, e −2, f 6.5; d has no vector; what scores 0 or less is no proposal.
    const request = visitor([
      [0, 1],
      [1, 0],
    ]);
    expect(proposed(source, request)).toEqual([
      [5, 6.5],
      [0, 4],
      [2, 3],
      [1, 1],
    ]);
    const out = new Float32Array(6).fill(Number.NaN);
    source.score(candidateBatch({ rows: [[0, 1, 2, 3, 4, 5]], requests: [request] }), out, signal);
    expect([...out]).toEqual([4, 1, 3, 0, -2, 6.5]);
    source.dispose();
  });

  it('fades by age when told', () => {
    const source = open({ recencyDays: 10 });
    const out = new Float32Array(1);
    source.score(
      candidateBatch({
        rows: [[0]],
        requests: [
          visitor([
            [0, 10],
            [2, 0],
          ]),
        ],
      }),
      out,
      signal,
    );
    // e⁻¹ × 4 + 2.
    expect(out[0]).toBeCloseTo(4 / Math.E + 2, 5);
    source.dispose();
  });

  it('leaves out what it is told to', () => {
    const source = open({ excludeHistory: true });
    expect(proposed(source, visitor([[0, 0]])).map(([row]) => row)).toEqual([5, 2]);
    expect(proposed(source, visitor([[0, 0]], { items: [5] })).map(([row]) => row)).toEqual([2]);
    expect(proposed(source, visitor([[0, 0]]), Uint8Array.of(1, 1, 0, 1, 1, 1)).map(([row]) => row)).toEqual([5]);
    source.dispose();
  });

  it('answers a product page without a history, and nobody with nothing', () => {
    const source = open();
    expect(proposed(source, requestView({ items: [1] })).map(([row]) => row)).toEqual([2, 5]);
    expect(proposed(source, requestView({}))).toEqual([]);
    expect(proposed(source, visitor([[3, 0]]))).toEqual([]);
    const out = new Float32Array(2).fill(Number.NaN);
    source.score(candidateBatch({ rows: [[0, 77]], requests: [requestView({})] }), out, signal);
    expect([...out]).toEqual([0, 0]);
    const ignoring = open({ requestItems: 'ignore' });
    expect(proposed(ignoring, requestView({ items: [1] }))).toEqual([]);
    source.dispose();
    ignoring.dispose();
  });

  it('says which item of the history speaks most for each', () => {
    const source = open();
    const [forFive, forOne, forFour] = source.reasons(
      visitor([
        [0, 1],
        [1, 0],
      ]),
      Int32Array.of(5, 1, 4),
    );
    // a gives 6 of f's 6.5.
    expect(forFive).toMatchObject({ code: 'because-you-bought', items: [0], strength: expect.closeTo(0.5 + (0.4 * 6) / 6.5, 5) as number });
    // An item is no reason for itself, and what speaks against it is none either.
    expect(forOne).toBeUndefined();
    expect(forFour).toBeUndefined();
    expect(source.inspectItem(3)).toEqual({ present: false });
    expect(source.inspectItem(0)).toMatchObject({
      present: true,
      length: 2,
      recommendedAfter: [
        { item: 'f', link: 6 },
        { item: 'c', link: 2 },
        { item: 'b', link: 0 },
        { item: 'e', link: -2 },
      ],
    });
    source.dispose();
  });

  it('sees items that come or change later, also in a history', () => {
    const values = Float32Array.of(2, 0, 0, 1, 0, 0);
    const live = { ...featureMatrix('space', 2, values.slice(0, 4), Uint8Array.of(1, 1)), rowCount: 2, version: 0 };
    let grown = { ...live, values: values.slice(0, 4), presence: Uint8Array.of(1, 1), changed: new Int32Array(0) };
    const feature: FeatureMatrix = {
      name: 'space',
      width: 2,
      get rowCount() {
        return grown.rowCount;
      },
      get values() {
        return grown.values;
      },
      get presence() {
        return grown.presence;
      },
      get version() {
        return grown.version;
      },
      changedSince: () => grown.changed,
    };
    const source = open({}, feature);
    expect(proposed(source, visitor([[0, 0]])).map(([row]) => row)).toEqual([0]);
    grown = {
      ...grown,
      rowCount: 3,
      version: 1,
      values: Float32Array.of(2, 0, 5, 1, 3, 1),
      presence: Uint8Array.of(1, 1, 1),
      changed: Int32Array.of(1, 2),
    };
    expect(proposed(source, visitor([[0, 0]]))).toEqual([
      [1, 10],
      [2, 6],
      [0, 4],
    ]);
    expect(proposed(source, visitor([[2, 0]]))).toEqual([
      [1, 16],
      [2, 10],
      [0, 6],
    ]);
    grown = { ...grown, version: 2, presence: Uint8Array.of(1, 0, 1), changed: Int32Array.of(1) };
    expect(proposed(source, visitor([[0, 0]])).map(([row]) => row)).toEqual([2, 0]);
    source.dispose();
  });
});
