import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { codeWordsOf, fold, isStopWord, singular, wordsOf } from './words.js';

describe('wordsOf', () => {
  it.each([
    ['WHITE HANGING HEART T-LIGHT HOLDER', ['white', 'hanging', 'heart', 't', 'light', 'holder', 'tlight']],
    ['Crème BRÛLÉE, Ærø', ['creme', 'brulee', 'aero']],
    ['Straße', ['strasse']],
    ["CHILDREN'S CUTLERY", ['childrens', 'cutlery']],
    ['85123A & 85123-a', ['85123a', '85123', 'a', '85123a']],
    ['№5 ½', ['no5', '1', '2']],
    ['東京タワー mug', ['東京', '京タ', 'タワ', 'ワー', 'mug']],
    ['مصباح', ['مصباح']],
    ['हिन्दी', ['हिन्दी']],
    [' \n\t!?', []],
    ['', []],
  ])('%j', (text, words) => {
    expect(wordsOf(text)).toEqual(words);
  });

  it('gives the same words for the same text in another normal form and case', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (text) => {
        expect(wordsOf(text.normalize('NFD'))).toEqual(wordsOf(text.normalize('NFC')));
      }),
    );
  });

  it('gives words that fold to themselves and hold no separator', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        for (const word of wordsOf(text)) {
          expect(word).toMatch(/^[\p{L}\p{N}\p{M}]+$/u);
          expect(fold(word)).toBe(word);
        }
      }),
    );
  });
});

describe('codeWordsOf', () => {
  it('finds an id by its parts and as a whole', () => {
    expect(codeWordsOf('85123A')).toEqual(['85123a']);
    expect(codeWordsOf('SKU-123/A')).toEqual(['sku', '123', 'a', 'sku123a']);
    expect(codeWordsOf('')).toEqual([]);
  });
});

describe('singular', () => {
  it.each([
    ['hands', 'hand'],
    ['candles', 'candle'],
    ['boxes', 'box'],
    ['dishes', 'dish'],
    ['glasses', 'glass'],
    ['glass', 'glass'],
    ['trees', 'tree'],
    ['shoes', 'shoe'],
    ['potatoes', 'potato'],
    ['berries', 'berry'],
    ['ties', 'tie'],
    ['cactus', 'cactus'],
    ['bus', 'bus'],
    ['4s', '4s'],
    ['dcgs0076s', 'dcgs0076s'],
  ])('%s is %s', (plural, term) => {
    expect(singular(plural)).toBe(term);
  });
});

describe('isStopWord', () => {
  it('knows what people wrap around a wish, and keeps the wish', () => {
    const words = wordsOf('something to keep my hands warm').filter((word) => !isStopWord(word));
    expect(words).toEqual(['keep', 'hands', 'warm']);
  });
});
