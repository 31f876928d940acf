import type { CandidateSource, Ranker } from '@recloom/plugin-api';
import { openComponent, rankedList, requestBatch, shopFrom, tableFrom } from '@recloom/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pin } from './index.js';

const shop = shopFrom({ items: tableFrom(['a', 'b', 'c', 'd', 'e', 'f']) });
const open = (items: object[]) => openComponent<CandidateSource & Ranker>(pin, { options: { items }, shop });
const signal = new AbortController().signal;

describe('pin as a ranker', () => {
  it('puts items at their slots, the others keep their order', async () => {
    const ranker = await open([
      { item: 'e', slot: 3 },
      { item: 'f', slot: 1 },
    ]);
    // List a b c d e f → f a e b c d, as places.
    expect([...(await ranker.rank(rankedList([0, 1, 2, 3, 4, 5], [6, 5, 4, 3, 2, 1]), signal))]).toEqual([5, 0, 4, 1, 2, 3]);
  });

  it('passes over items that are not in the list or the catalogue, and takes the end for slots beyond it', async () => {
    const ranker = await open([
      { item: 'a', slot: 1 },
      { item: 'nowhere', slot: 2 },
      { item: 'b', slot: 40 },
    ]);
    expect([...(await ranker.rank(rankedList([1, 2, 3], [3, 2, 1]), signal))]).toEqual([1, 2, 0]);
    expect([...(await ranker.rank(rankedList([], []), signal))]).toEqual([]);
  });

  it('is a permutation with every pin at its slot, whatever the list', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.integer({ min: 0, max: 5 }), { maxLength: 6 }),
        fc.uniqueArray(fc.integer({ min: 0, max: 5 }), { maxLength: 4 }),
        fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { minLength: 4, maxLength: 4 }),
        async (rows, pinned, slots) => {
          const ranker = await open(pinned.map((row, index) => ({ item: shop.items.idOf(row), slot: slots[index] ?? 1 })));
          const order = [
            ...(await ranker.rank(
              rankedList(
                rows,
                rows.map((_, place) => -place),
              ),
              signal,
            )),
          ];
          expect([...order].sort((a, b) => a - b)).toEqual(rows.map((_, place) => place));
          const others = order.filter((place) => !pinned.includes(rows[place] ?? -1));
          expect(others).toEqual([...others].sort((a, b) => a - b));
          pinned.forEach((row, index) => {
            const slot = slots[index] ?? 1;
            const place = rows.indexOf(row);
            // A pin can be kept from its slot only by the end of the list.
            if (place >= 0 && slot <= others.length + 1) expect(order.indexOf(place)).toBeLessThanOrEqual(slot - 1);
            if (place >= 0) expect(order.indexOf(place)).toBeGreaterThanOrEqual(Math.min(slot - 1, others.length));
          });
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('pin as a source', () => {
  it('proposes what is pinned, lowest slot first, as far as it may', async () => {
    const source = await open([
      { item: 'e', slot: 3 },
      { item: 'f', slot: 1 },
      { item: 'nowhere', slot: 2 },
    ]);
    const all = await source.propose(requestBatch([{}, {}]), 5);
    expect([...all.offsets]).toEqual([0, 2, 4]);
    expect([...all.rows]).toEqual([5, 4, 5, 4]);
    expect([...all.scores]).toEqual([1, 0.5, 1, 0.5]);
    const some = await source.propose(requestBatch([{}], { eligible: Uint8Array.of(1, 1, 1, 1, 1, 0) }), 5);
    expect([...some.rows]).toEqual([4]);
  });

  it.each([
    [
      { item: 'a', slot: 1 },
      { item: 'a', slot: 2 },
    ],
    [
      { item: 'a', slot: 1 },
      { item: 'b', slot: 1 },
    ],
  ])('refuses an item or a slot that occurs twice', async (...items) => {
    await expect(open(items)).rejects.toMatchObject({ code: 'RECLOOM_CFG_TYPE' });
  });
});
