import type { CandidateFilter } from '@recloom/plugin-api';
import { candidateBatch, openComponent, type RequestParts, shopFrom, tableFrom } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { seen } from './index.js';

const day = 86_400_000;
const now = 50 * day;
const shop = shopFrom({ items: tableFrom(['a', 'b', 'c', 'd']) });
const history = [
  { item: 0, type: 'purchase', timeMs: now - 30 * day },
  { item: 1, type: 'view', timeMs: now - 2 * day },
  { item: 2, type: 'purchase', timeMs: now - 7 * day },
];

async function removed(options: object, requests: readonly RequestParts[]): Promise<number[]> {
  const filter = await openComponent<CandidateFilter>(seen, { options, shop });
  const batch = candidateBatch({ rows: requests.map(() => [3, 2, 1, 0]), requests });
  const mask = new Uint8Array(batch.count);
  await filter.filter(batch, mask, new AbortController().signal);
  return [...mask];
}

describe('seen', () => {
  it('removes what the history holds', async () => {
    expect(await removed({}, [{ history, asOfMs: now }])).toEqual([0, 1, 1, 1]);
  });

  it('by event type', async () => {
    expect(await removed({ types: ['purchase'] }, [{ history, asOfMs: now }])).toEqual([0, 1, 0, 1]);
    expect(await removed({ types: ['rating'] }, [{ history, asOfMs: now }])).toEqual([0, 0, 0, 0]);
  });

  it('by age, the border included', async () => {
    expect(await removed({ withinDays: 7 }, [{ history, asOfMs: now }])).toEqual([0, 1, 1, 0]);
    expect(await removed({ withinDays: 6.9 }, [{ history, asOfMs: now }])).toEqual([0, 0, 1, 0]);
  });

  it("keeps requests apart, and a guest's session counts", async () => {
    const requests = [
      { history, asOfMs: now },
      { asOfMs: now },
      { history: [{ item: 3, type: 'view', timeMs: now }], grants: ['session' as const], asOfMs: now },
      { history, grants: ['item' as const], asOfMs: now },
    ];
    expect(await removed({}, requests)).toEqual([0, 1, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
  });

  it('passes over items that are not in the catalogue (any more)', async () => {
    expect(await removed({}, [{ history: [{ item: 99, timeMs: now }], asOfMs: now }])).toEqual([0, 0, 0, 0]);
  });
});
