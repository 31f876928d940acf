import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { editDistance, suggest } from './suggest.js';

describe('editDistance', () => {
  // Worked out by hand; "ca" → "abc" is the textbook pair on which optimal string alignment (3) and full Damerau–Levenshtein (2) differ.
  it.each([
    ['', '', 0],
    ['', 'abc', 3],
    ['kitten', 'sitting', 3],
    ['limts', 'limits', 1],
    ['scroe', 'score', 1],
    ['ca', 'abc', 3],
    ['flaw', 'lawn', 2],
  ])('%s → %s = %i', (left, right, distance) => {
    expect(editDistance(left, right)).toBe(distance);
  });

  it('is symmetric, zero only for equal words, and at most the longer length', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (left, right) => {
        const distance = editDistance(left, right);
        expect(distance).toBe(editDistance(right, left));
        expect(distance === 0).toBe(left === right);
        expect(distance).toBeLessThanOrEqual(Math.max(left.length, right.length));
        expect(distance).toBeGreaterThanOrEqual(Math.abs(left.length - right.length));
      }),
    );
  });
});

describe('suggest', () => {
  it('names the nearest candidate, ignoring case', () => {
    expect(suggest('limts', ['limit', 'limits', 'filters'])).toBe('limits');
    expect(suggest('Sources', ['sources', 'scorers'])).toBe('sources');
    expect(suggest('fitlers', ['filters', 'features'])).toBe('filters');
  });
  it('says nothing when nothing is near', () => {
    expect(suggest('xyz', ['sources', 'filters'])).toBeUndefined();
    expect(suggest('', ['a'])).toBeUndefined();
    expect(suggest('ab', ['cd'])).toBeUndefined();
  });
  it('never suggests the word itself and spends no time on very long ones', () => {
    expect(suggest('limit', ['limit'])).toBeUndefined();
    expect(suggest('a'.repeat(1_000_000), ['a'.repeat(1_000_000)])).toBeUndefined();
  });
});
