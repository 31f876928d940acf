import type { CandidateFilter } from '@recloom/plugin-api';
import { booleanColumn, candidateBatch, numberColumn, openComponent, shopFrom, type TestInputs, tableFrom } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { availability } from './index.js';

const items = tableFrom(['a', 'b', 'c', 'd', 'e'], {
  stock: numberColumn([0, 1, 5, null, 9]),
  active: booleanColumn([true, true, false, null, true]),
  fromMs: numberColumn([null, 1000, 2000, 500, 500]),
  toMs: numberColumn([null, 3000, 4000, null, 900]),
});

async function removed(options: object, inputs: TestInputs, asOf: readonly number[] = [1000]): Promise<number[]> {
  const filter = await openComponent<CandidateFilter>(availability, { options, inputs, shop: shopFrom({ items }) });
  const batch = candidateBatch({ rows: asOf.map(() => [0, 1, 2, 3, 4]), requests: asOf.map((asOfMs) => ({ asOfMs })) });
  const mask = new Uint8Array(batch.count);
  await filter.filter(batch, mask, new AbortController().signal);
  return [...mask];
}

describe('availability', () => {
  it('by stock', async () => {
    expect(await removed({}, { stock: 'item.stock' })).toEqual([1, 0, 0, 0, 0]);
    expect(await removed({ minimumStock: 5 }, { stock: 'item.stock' })).toEqual([1, 1, 0, 0, 0]);
    expect(await removed({ unknown: 'remove' }, { stock: 'item.stock' })).toEqual([1, 0, 0, 1, 0]);
  });

  it('by flag', async () => {
    expect(await removed({}, { available: 'item.active' })).toEqual([0, 0, 2, 0, 0]);
    expect(await removed({ unknown: 'remove' }, { available: 'item.active' })).toEqual([0, 0, 2, 2, 0]);
  });

  it('by time, against the "now" of each request: from included, to excluded', async () => {
    const inputs = { validFrom: 'item.fromMs', validTo: 'item.toMs' };
    expect(await removed({}, inputs, [999, 1000, 3000])).toEqual([0, 3, 3, 0, 4, 0, 0, 3, 0, 4, 0, 4, 0, 0, 4]);
  });

  it('names the first reason that holds', async () => {
    const inputs = { stock: 'item.stock', available: 'item.active', validFrom: 'item.fromMs', validTo: 'item.toMs' };
    expect(await removed({}, inputs, [1500])).toEqual([1, 0, 2, 0, 4]);
  });

  it('decides for the whole catalogue, unless times are plugged in', async () => {
    const open = (inputs: TestInputs) => openComponent<CandidateFilter>(availability, { inputs, shop: shopFrom({ items }) });
    const mask = new Uint8Array(5);
    (await open({ stock: 'item.stock', available: 'item.active' })).filterItems?.(mask);
    expect([...mask]).toEqual([1, 0, 2, 0, 0]);
    expect(await open({ stock: 'item.stock', validTo: 'item.toMs' })).not.toHaveProperty('filterItems');
  });

  it('wants at least one field', async () => {
    await expect(openComponent(availability, { inputs: {} })).rejects.toMatchObject({ code: 'RECLOOM_CFG_INPUT' });
  });
});
