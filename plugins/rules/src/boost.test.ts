import type { Scorer } from '@recloom/plugin-api';
import { candidateBatch, categoryColumn, numberColumn, openComponent, shopFrom, tableFrom } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { boost } from './index.js';

const items = tableFrom(['a', 'b', 'c', 'd'], {
  margin: numberColumn([0.5, 2, null, 0]),
  brand: categoryColumn(['Alder', 'Birch', 'Alder', null]),
});

async function score(options: object): Promise<number[]> {
  const scorer = await openComponent<Scorer>(boost, { options, shop: shopFrom({ items }) });
  const batch = candidateBatch({
    rows: [
      [0, 1],
      [2, 3],
    ],
  });
  const out = new Float32Array(4).fill(Number.NaN);
  await scorer.score(batch, out, new AbortController().signal);
  return [...out];
}

describe('boost', () => {
  it('is 1 everywhere by default, or the factor', async () => {
    expect(await score({})).toEqual([1, 1, 1, 1]);
    expect(await score({ factor: 2.5 })).toEqual([2.5, 2.5, 2.5, 2.5]);
  });

  it('expression times factor; null and infinite values count as told', async () => {
    expect(await score({ expression: 'item.margin', factor: 10 })).toEqual([5, 20, 10, 0]);
    expect(await score({ expression: 'item.margin', otherwise: 0 })).toEqual([0.5, 2, 0, 0]);
    expect(await score({ expression: '1.0 / item.margin', otherwise: 7 })).toEqual([2, 0.5, 7, 7]);
  });

  it('multiplies the factors of all conditions that hold; by hand', async () => {
    const rules = [
      { when: 'item.brand == "Alder"', factor: 3 },
      { when: 'item.margin > 0.1', factor: 0.5 },
    ];
    // a: 3 × 0.5; b: 0.5; c: Alder, margin null → 3; d: none.
    expect(await score({ rules })).toEqual([1.5, 0.5, 3, 1]);
    expect(await score({ rules, expression: 'item.margin' })).toEqual([0.75, 1, 3, 0]);
  });

  it('refuses wrong expressions and negative factors', async () => {
    await expect(score({ rules: [{ when: 'item.brnd == "x"', factor: 1 }] })).rejects.toMatchObject({ code: 'RECLOOM_CFG_EXPRESSION' });
    await expect(score({ rules: [{ when: 'true', factor: -1 }] })).rejects.toMatchObject({ code: 'RECLOOM_CFG_TYPE' });
  });
});
