import { describe, expect, it } from 'vitest';
import { fitSkew, inequalityOf, logGamma, makeEvents, makeShop, type Skew } from './synthetic.js';

const skew: Skew = {
  popularity: { exponent: 0.4, cutoff: 0.2 },
  activity: { mean: 39, dispersion: 0.8 },
  repeat: 0.3,
  basketEvents: 12,
  days: 300,
};

describe('logGamma', () => {
  // Γ(n) = (n - 1)!, Γ(1/2) = √π, and Γ(0.01) from DLMF 5.4 and tables (99.4325851191506).
  it.each([
    [1, 0],
    [5, Math.log(24)],
    [0.5, Math.log(Math.sqrt(Math.PI))],
    [11, Math.log(3_628_800)],
    [0.01, Math.log(99.4325851191506)],
  ])('of %d', (x, expected) => {
    expect(logGamma(x)).toBeCloseTo(expected, 9);
  });
});

describe('made-up shops', () => {
  it('have the skew they were made with: fitting finds it again', async () => {
    const { history } = await makeShop(skew, { users: 3_000, items: 2_000 }, 1);
    const found = fitSkew(history);
    expect(found.activity.mean).toBeGreaterThan(36);
    expect(found.activity.mean).toBeLessThan(42);
    expect(found.activity.dispersion).toBeGreaterThan(0.72);
    expect(found.activity.dispersion).toBeLessThan(0.88);
    expect(found.repeat).toBeCloseTo(0.3, 1);
    expect(found.basketEvents).toBeGreaterThan(9);
    expect(found.basketEvents).toBeLessThan(13);
    expect(found.days).toBeCloseTo(300, -1);
    expect(found.popularity.exponent).toBeGreaterThan(0.35);
    expect(found.popularity.exponent).toBeLessThan(0.45);
    expect(found.popularity.cutoff).toBeGreaterThan(0.18);
    expect(found.popularity.cutoff).toBeLessThan(0.22);
  });

  it('are as unequal with a larger catalogue', async () => {
    const small = inequalityOf((await makeShop(skew, { users: 1_500, items: 500 }, 4)).history);
    const large = inequalityOf((await makeShop(skew, { users: 1_500, items: 2_000 }, 5)).history);
    expect(large.items).toBeGreaterThan(3 * small.items);
    expect(Math.abs(large.top10Percent - small.top10Percent)).toBeLessThan(0.06);
  });

  it('stay as unequal when users are doubled', async () => {
    const one = inequalityOf((await makeShop(skew, { users: 1_000, items: 1_000 }, 1)).history);
    const two = inequalityOf((await makeShop(skew, { users: 2_000, items: 1_000 }, 2)).history);
    expect(two.users).toBe(2 * one.users);
    expect(two.pairs / one.pairs).toBeCloseTo(2, 0);
    expect(two.top10Percent).toBeCloseTo(one.top10Percent, 1);
  });

  it('are the same for the same seed, and others for another', () => {
    const size = { users: 50, items: 40 };
    expect(makeEvents(skew, size, 7)).toEqual(makeEvents(skew, size, 7));
    expect(makeEvents(skew, size, 7)).not.toEqual(makeEvents(skew, size, 8));
  });

  it('give everybody at least one event, also where a user has every item', () => {
    const { rowCount, columns } = makeEvents(skew, { users: 20, items: 3 }, 3);
    const users = columns['user'];
    const items = columns['item'];
    if (users?.type !== 'category' || items?.type !== 'category') throw new Error('not categories');
    expect(new Set(users.codes).size).toBe(20);
    expect(rowCount).toBe(items.codes.length);
    for (const item of items.codes) expect(item).toBeLessThan(3);
  });
});

describe('inequalityOf', () => {
  it('counts by hand: three people, of whom two took the same item', () => {
    const history = {
      userCount: 3,
      itemCount: 2,
      eventCount: 4,
      offsets: Int32Array.of(0, 2, 3, 4),
      items: Int32Array.of(0, 0, 0, 1),
      types: new Uint8Array(4),
      weights: new Float32Array(4).fill(1),
      timesMs: new Float64Array(4),
      typeNames: ['event'],
    };
    expect(inequalityOf(history)).toEqual({
      users: 3,
      items: 2,
      events: 4,
      pairs: 3,
      top1Percent: 2 / 3,
      top10Percent: 2 / 3,
      medianItems: 1,
      items99: 1,
    });
  });
});
