import { describe, expect, it } from 'vitest';
import { catalogueCoverage, exposureGini, intraListDiversity, novelty, popularityLift, serendipity, shareOf } from './catalogue.js';

// Items a–e are 0–4. Histories: 1 {a,b}, 2 {a,c}, 3 {a,d}, 4 {b}: known by a 3, b 2, c 1, d 1, e 0 of four users.
const usersPerItem = [3, 2, 1, 1, 0];
const lists = [
  [2, 3, 4],
  [1, 3],
  [1, 2, 4],
];

describe('figures of the catalogue', () => {
  it('novelty equals RecTools 0.19 MeanInvUserFreq at 3: 2, 1.5, 1.6667', () => {
    expect(lists.map((list) => novelty(list, usersPerItem, 4))).toEqual([2, 1.5, expect.closeTo(5 / 3, 12)]);
    expect(novelty([], usersPerItem, 4)).toBeNaN();
  });

  it('intra-list diversity equals RecTools 0.19 with the Hamming distance: 1.6667, 2, 1.3333', () => {
    const features = [
      [0, 1],
      [1, 1],
      [1, 0],
      [0, 0],
      [2, 1],
    ];
    const distance = (left: number, right: number): number =>
      (features[left] as number[]).filter((value, place) => value !== (features[right] as number[])[place]).length;
    expect(lists.map((list) => intraListDiversity(list, distance))).toEqual([expect.closeTo(5 / 3, 12), 2, expect.closeTo(4 / 3, 12)]);
    expect(intraListDiversity([1], distance)).toBeNaN();
    // A pair that cannot be compared is left out rather than counted as alike.
    expect(intraListDiversity([0, 1, 2], (left, right) => (left === 0 && right === 1 ? Number.NaN : 1))).toBe(1);
  });

  it('coverage counts what is shown: four of five', () => {
    expect(catalogueCoverage(lists, 5)).toBe(0.8);
  });

  it('Gini is 0 when all are shown alike and (n − 1) / n when one gets everything', () => {
    expect(exposureGini([[0, 1, 2, 3]], 4)).toBe(0);
    expect(exposureGini([[0], [0], [0]], 4)).toBeCloseTo(0.75, 12);
    // Exposures 0 2 2 2 2 of five: (−4·0 − 2·2 + 0 + 2·2 + 4·2) / (5·8) = .2
    expect(exposureGini(lists, 5)).toBeCloseTo(0.2, 12);
    expect(exposureGini([], 5)).toBeNaN();
  });

  it('serendipity counts hits that popularity would not have shown', () => {
    expect(serendipity([2, 1, 4], new Set([1, 4]), new Set([0, 1, 2]), 3)).toBeCloseTo(1 / 3, 12);
  });

  it('shares and popularity lift, by hand', () => {
    expect(shareOf([1, 3], (item) => item === 3)).toBe(0.5);
    expect(shareOf([], () => true)).toBeNaN();
    // History {a, b}: mean 2.5; list {c, d}: mean 1 → −60 %.
    expect(popularityLift([2, 3], [0, 1], usersPerItem)).toBeCloseTo(-0.6, 12);
    expect(popularityLift([2], [4], usersPerItem)).toBeNaN();
  });
});
