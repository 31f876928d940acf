import type { CandidateFilter } from '@recloom/plugin-api';
import { booleanColumn, candidateBatch, categoryColumn, numberColumn, openComponent, shopFrom, tableFrom } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { where } from './index.js';

const items = tableFrom(['a', 'b', 'c', 'd'], {
  price: numberColumn([5, 50, null, 500]),
  brand: categoryColumn(['Alder', 'Birch', 'Alder', null]),
  sale: booleanColumn([true, false, true, null]),
});
const open = (expression: string, more: object = {}) =>
  openComponent<CandidateFilter>(where, { options: { expression, ...more }, shop: shopFrom({ items }) });

async function removed(filter: CandidateFilter, context: Record<string, string> = {}): Promise<number[]> {
  const batch = candidateBatch({
    rows: [[0, 1, 2, 3], [3]],
    requests: [{ context }, { context }],
    columns: { 'score.a': [1, 2, 3, 4, 5] },
  });
  const mask = new Uint8Array(batch.count);
  await filter.filter(batch, mask, new AbortController().signal);
  return [...mask];
}

describe('where', () => {
  it('keeps what is true; false and null go', async () => {
    expect(await removed(await open('item.price < 100.0'))).toEqual([0, 0, 1, 1, 1]);
    expect(await removed(await open('item.brand == "Alder" || item.sale'))).toEqual([0, 1, 0, 1, 1]);
  });

  it('decides for the whole catalogue when it reads items only', async () => {
    const filter = await open('item.price < 100.0');
    const mask = new Uint8Array(4);
    filter.filterItems?.(mask);
    expect([...mask]).toEqual([0, 0, 1, 1]);
  });

  it('does not when it reads the request or a score', async () => {
    const byRequest = await open('item.brand == request.brand');
    expect(byRequest).not.toHaveProperty('filterItems');
    expect(await removed(byRequest, { brand: 'Birch' })).toEqual([1, 0, 1, 1, 1]);
    const byScore = await open('score.a > 2.0');
    expect(byScore).not.toHaveProperty('filterItems');
    expect(await removed(byScore)).toEqual([1, 1, 0, 0, 0]);
  });

  it('counts removals under the name it was given', async () => {
    expect((await open('true')).removalReasons).toEqual(['where']);
    expect((await open('true', { reason: 'too-dear' })).removalReasons).toEqual(['too-dear']);
    await expect(open('true', { reason: 'Too dear' })).rejects.toMatchObject({ code: 'RECLOOM_CFG_TYPE' });
  });

  it('refuses an expression that is wrong', async () => {
    await expect(open('item.pricee < 3')).rejects.toMatchObject({ code: 'RECLOOM_CFG_EXPRESSION' });
    await expect(openComponent(where)).rejects.toMatchObject({ code: 'RECLOOM_CFG_TYPE' });
  });
});
