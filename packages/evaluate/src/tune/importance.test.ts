import type { TuneParameter } from '@recloom/core';
import { describe, expect, it } from 'vitest';
import { parameterImportance } from './importance.js';

const number = (name: string): TuneParameter => ({
  name,
  path: [],
  domain: { kind: 'number', from: 0, to: 100, integer: false, scale: 'linear' },
  start: 0,
});
const choice: TuneParameter = { name: 'choice', path: [], domain: { kind: 'choice', values: ['a', 'b'] }, start: 'a' };

describe('parameterImportance', () => {
  it('ranks what goes along with the figure first', () => {
    // Figures rise with x; the choice is a for the lower half: ranks 1–5 and 6–10, means 3 and 8, so between the groups lie
    // 2 · 5 · 2.5² = 62.5 of Σ (rank − 5.5)² = 82.5, η = √(62.5 / 82.5); z is the same everywhere.
    const tried = Array.from({ length: 10 }, (_, place) => ({ point: [place < 5 ? 'a' : 'b', 3, place * place], value: place / 10 }));
    expect(parameterImportance([choice, number('z'), number('x')], tried)).toEqual([
      { name: 'x', strength: expect.closeTo(1, 12), measure: 'rank-correlation' },
      { name: 'choice', strength: expect.closeTo(Math.sqrt(62.5 / 82.5), 12), measure: 'correlation-ratio' },
      { name: 'z', strength: 0, measure: 'rank-correlation' },
    ]);
  });

  it('shares ranks among equal values, as scipy.stats.spearmanr does', () => {
    const x = [1, 2, 2, 3, 4, 4, 4, 5, 6, 7];
    const y = [3, 1, 2, 2, 5, 4, 6, 6, 9, 7];
    // scipy 1.x: spearmanr(x, y).statistic = 0.882391001975937
    const tried = x.map((value, place) => ({ point: [value], value: y[place] as number }));
    expect(parameterImportance([number('x')], tried)[0]?.strength).toBeCloseTo(0.882391001975937, 8);
  });

  it('says nothing from fewer than ten scored trials', () => {
    const tried = Array.from({ length: 12 }, (_, place) => ({ point: [place], value: place < 9 ? place : undefined }));
    expect(parameterImportance([number('x')], tried)).toEqual([]);
  });
});
