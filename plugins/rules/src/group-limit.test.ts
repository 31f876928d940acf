import type { Ranker } from '@recloom/plugin-api';
import { booleanColumn, categoryColumn, numberColumn, openComponent, rankedList, shopFrom, tableFrom, textColumn } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { groupLimit } from './index.js';

const groups = ['x', 'x', 'y', 'x', null, 'y', null, 'x'];
const items = tableFrom(
  groups.map((_, row) => `item-${row}`),
  {
    category: categoryColumn(groups),
    text: textColumn(groups),
    number: numberColumn(groups.map((group) => (group === null ? null : group === 'x' ? 0 : 1))),
    boolean: booleanColumn(groups.map((group) => (group === null ? null : group === 'x'))),
  },
);

async function rank(most: number, field: string): Promise<number[]> {
  const ranker = await openComponent<Ranker>(groupLimit, {
    options: { most },
    inputs: { group: `item.${field}` },
    shop: shopFrom({ items }),
  });
  return [...(await ranker.rank(rankedList([0, 1, 2, 3, 4, 5, 6, 7], [8, 7, 6, 5, 4, 3, 2, 1]), new AbortController().signal))];
}

describe('group-limit', () => {
  it.each(['category', 'text', 'number', 'boolean'])('lets the first of each group through, the rest follow; by %s', async (field) => {
    expect(await rank(1, field)).toEqual([0, 2, 4, 6, 1, 3, 5, 7]);
    expect(await rank(2, field)).toEqual([0, 1, 2, 4, 5, 6, 3, 7]);
    expect(await rank(4, field)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });
});
