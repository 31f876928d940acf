import type { Ranker } from '@recloom/plugin-api';
import { categoryColumn, openComponent, rankedList, shopFrom, tableFrom } from '@recloom/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { spread } from './index.js';

async function rank(options: object, categories: readonly (string | null)[], limit = categories.length): Promise<number[]> {
  const items = tableFrom(
    categories.map((_, row) => `item-${row}`),
    { category: categoryColumn(categories) },
  );
  const ranker = await openComponent<Ranker>(spread, { options, inputs: { category: 'item.category' }, shop: shopFrom({ items }) });
  const rows = categories.map((_, row) => row);
  return [
    ...(await ranker.rank(
      rankedList(
        rows,
        rows.map((row) => -row),
        { limit },
      ),
      new AbortController().signal,
    )),
  ];
}

const shown = async (options: object, list: string, limit?: number): Promise<string> => {
  const categories = list.split('').map((letter) => (letter === '-' ? null : letter));
  return (await rank(options, categories, limit)).map((place) => list[place]).join('');
};

describe('spread', () => {
  it('keeps a category apart; by hand', async () => {
    expect(await shown({ most: 1, within: 2 }, 'aaabb')).toBe('ababa');
    expect(await shown({ most: 1, within: 3 }, 'aabbcc')).toBe('abcabc');
    expect(await shown({ most: 2, within: 3 }, 'aaaabb')).toBe('aabaab');
  });

  it('is stable: of equals the first comes first', async () => {
    expect(await rank({ most: 1, within: 2 }, ['a', 'a', 'b', 'a', 'b'])).toEqual([0, 2, 1, 4, 3]);
  });

  it('when nothing fits, goes on in the order of the list; nothing is lost', async () => {
    expect(await shown({ most: 1, within: 3 }, 'aaaab')).toBe('abaaa');
    expect(await shown({}, '')).toBe('');
  });

  it('items without a category are free', async () => {
    expect(await shown({ most: 1, within: 4 }, 'aa---a')).toBe('a---aa');
  });

  it('arranges the places asked for; the rest follows in its order', async () => {
    expect(await shown({ most: 1, within: 2 }, 'aaabbb', 3)).toBe('abaabb');
  });

  it('is a permutation, and breaks the window only where no candidate would have kept it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('a', 'b', 'c', null), { maxLength: 14 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 2, max: 5 }),
        async (categories, most, within) => {
          const order = await rank({ most, within }, categories);
          expect([...order].sort((a, b) => a - b)).toEqual(categories.map((_, place) => place));
          order.forEach((place, position) => {
            const before = order.slice(Math.max(0, position - within + 1), position).map((other) => categories[other]);
            const fits = (candidate: number): boolean => {
              const category = categories[candidate];
              return category === null || before.filter((other) => other === category).length < most;
            };
            const left = order.slice(position);
            const fitting = left.filter(fits);
            // The first that fits, or the first at all.
            expect(place).toBe(Math.min(...(fitting.length > 0 ? fitting : left)));
          });
        },
      ),
      { numRuns: 200 },
    );
  });
});
