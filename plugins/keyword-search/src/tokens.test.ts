import { type ComponentState, createRandomStream } from '@recloom/plugin-api';
import { tableFrom, textColumn } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { type TokensOptions, tokensOptions } from './options.js';
import { fitTokens, Tokens, tokensOf } from './tokens.js';

const signal = new AbortController().signal;
const parse = (options: Partial<TokensOptions> = {}): TokensOptions => tokensOptions.parse(options);

function fit(texts: readonly (string | null)[], options: TokensOptions): ComponentState {
  const column = textColumn(texts);
  const items = tableFrom(
    texts.map((_, row) => `item-${row}`),
    { title: column },
  );
  return fitTokens({ options, fields: [{ field: 'title', column: () => column }], items, signal });
}

function vectors(tokens: Tokens, texts: readonly (string | null)[]): { readonly rows: Float32Array[]; readonly presence: Uint8Array } {
  const out = { values: new Float32Array(texts.length * tokens.width), presence: new Uint8Array(texts.length) };
  const columns = { text: [textColumn(texts)] };
  tokens.extract({ scope: 'query', count: texts.length, columns, rows: new Int32Array(0), candidates: undefined, signal }, out);
  return {
    rows: texts.map((_, row) => out.values.subarray(row * tokens.width, (row + 1) * tokens.width)),
    presence: out.presence,
  };
}

const dot = (left: Float32Array, right: Float32Array): number => left.reduce((sum, value, at) => sum + value * (right[at] as number), 0);

describe('tokensOf', () => {
  it('gives words, pairs and pieces, plurals folded', () => {
    expect(tokensOf('Red MUGS', parse())).toEqual(['red', 'mug', 'red mug', '#<red', '#red>', '#<mug', '#mug>']);
    expect(tokensOf('Red MUGS', parse({ pairs: false, grams: 0 }))).toEqual(['red', 'mug']);
    expect(tokensOf('Red MUGS', parse({ pairs: false, grams: 0, language: 'none' }))).toEqual(['red', 'mugs']);
    expect(tokensOf('a', parse())).toEqual(['a']);
  });

  it('cuts by character, not by half of an emoji, and reads no more than told', () => {
    expect(tokensOf('𝒳𝒴', parse({ grams: 3 }))).toEqual(['xy', '#<xy', '#xy>']);
    expect(tokensOf('mug plate', parse({ maximumLength: 3, grams: 0 }))).toEqual(['mug']);
  });
});

describe('Tokens', () => {
  it('gives the cosine of TF-IDF where no two tokens meet', () => {
    // Without pairs and pieces: texts {red mug}, {red pan}, {blue pan}; 3 texts, red and pan in 2, mug and blue in 1.
    const options = parse({ width: 8192, pairs: false, grams: 0 });
    const texts = ['red mug', 'red pan', 'blue pan'];
    const { rows } = vectors(new Tokens(options, fit(texts, options)), texts);
    const common = 1 + Math.log(4 / 3);
    const rare = 1 + Math.log(4 / 2);
    const length = (...parts: number[]): number => Math.hypot(...parts);
    expect(dot(rows[0] as Float32Array, rows[1] as Float32Array)).toBeCloseTo(
      common ** 2 / length(common, rare) / length(common, common),
      5,
    );
    expect(dot(rows[0] as Float32Array, rows[2] as Float32Array)).toBeCloseTo(0, 6);
    expect(dot(rows[0] as Float32Array, rows[0] as Float32Array)).toBeCloseTo(1, 5);
  });

  it('counts a repeated word by the logarithm of its occurrences', () => {
    const options = parse({ width: 8192, pairs: false, grams: 0 });
    const tokens = new Tokens(options, fit(['red mug'], options));
    const { rows } = vectors(tokens, ['red red red mug']);
    const [three, one] = [...(rows[0] as Float32Array)]
      .map(Math.abs)
      .filter((value) => value > 0)
      .sort((a, b) => b - a);
    expect((three as number) / (one as number)).toBeCloseTo(1 + Math.log(3), 5);
  });

  it('keeps dot products on average though words share numbers', () => {
    // 400 made-up words in 64 numbers: without signs every pair of texts would come out alike.
    const random = createRandomStream(5);
    const word = (): string => `w${random.integer(400)}x`;
    const texts = Array.from({ length: 300 }, () => Array.from({ length: 8 }, word).join(' '));
    const small = parse({ width: 64, pairs: false, grams: 0 });
    const large = parse({ width: 8192, pairs: false, grams: 0 });
    const hashed = vectors(new Tokens(small, fit(texts, small)), texts).rows;
    const exact = vectors(new Tokens(large, fit(texts, large)), texts).rows;
    let error = 0;
    let pairs = 0;
    for (let one = 0; one < 300; one += 2) {
      error +=
        dot(hashed[one] as Float32Array, hashed[one + 1] as Float32Array) - dot(exact[one] as Float32Array, exact[one + 1] as Float32Array);
      pairs++;
    }
    // Standard error about 1 / sqrt(64 × 150) = .01; unsigned buckets would be off by about .1.
    expect(Math.abs(error / pairs)).toBeLessThan(0.03);
  });

  it('marks what has no words as absent', () => {
    const options = parse();
    const tokens = new Tokens(options, fit(['red mug', null], options));
    const { rows, presence } = vectors(tokens, [null, '', ' !? ', 'unheard-of', '😀', '咖啡杯']);
    expect([...presence]).toEqual([0, 0, 0, 1, 0, 1]);
    for (const row of [0, 1, 2, 4]) expect((rows[row] as Float32Array).every((value) => value === 0)).toBe(true);
  });

  it('reads a text of a megabyte and control characters', () => {
    const options = parse();
    const tokens = new Tokens(options, fit(['red mug'], options));
    const { presence } = vectors(tokens, ['mug '.repeat(262_144), '\u0000\u0007mug\u001b']);
    expect([...presence]).toEqual([1, 1]);
  });

  it('works without a catalogue', () => {
    const options = parse();
    expect([...vectors(new Tokens(options, fit([], options)), ['mug']).presence]).toEqual([1]);
  });
});
