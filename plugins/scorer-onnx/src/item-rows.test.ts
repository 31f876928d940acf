import { createKernels } from '@recloom/kernels';
import { candidateBatch, numberColumn, simpleExpressions, tableFrom } from '@recloom/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { columnsInput } from './columns-input.js';
import { Arena } from './input-filler.js';
import { ItemRows } from './item-rows.js';

const kernels = createKernels();

describe('ItemRows', () => {
  it('rows of the fields, gaps filled, as the columns say', () => {
    const items = tableFrom(['a', 'b', 'c'], { price: numberColumn([1, null, 3]), stock: numberColumn([10, 20, null]) });
    expect([...(new ItemRows(items, ['stock', 'price'], -1, kernels).values() ?? [])].slice(0, 6)).toEqual([10, 1, 20, -1, -1, 3]);
  });

  it('are made piece by piece, and anew once an item changed', () => {
    const count = 50_000;
    const prices = Float64Array.from({ length: count }, (_, row) => row);
    const table = tableFrom(
      Array.from({ length: count }, (_, row) => `i${row}`),
      { price: { type: 'number', values: prices }, double: { type: 'number', values: prices.map((price) => 2 * price) } },
    );
    let version = 1;
    const items = Object.create(table, { version: { get: () => version } }) as typeof table;
    const rows = new ItemRows(items, ['price', 'double'], 0, kernels);
    expect(rows.values()).toBeUndefined();
    const made = rows.values();
    expect(made?.subarray(2 * 49_999, 100_000)).toEqual(Float32Array.of(49_999, 99_998));
    prices[7] = 1000;
    expect(rows.values()?.[14]).toBe(7);
    version++;
    expect(rows.values()).toBeUndefined();
    expect(rows.values()?.subarray(14, 16)).toEqual(Float32Array.of(1000, 14));
  });

  it('lie in the memory of the kernels until they are given back; elsewhere when that is full', () => {
    const items = tableFrom(['a', 'b'], { price: numberColumn([1, 2]) });
    const before = kernels.bytesInUse;
    const rows = new ItemRows(items, ['price', 'price'], 0, kernels);
    const values = rows.values();
    expect(values !== undefined && kernels.isResident(values)).toBe(true);
    expect(kernels.bytesInUse).toBeGreaterThan(before);
    rows.dispose();
    rows.dispose();
    expect(kernels.bytesInUse).toBe(before);
    expect(rows.values()).toBeUndefined();
    const full = Object.create(kernels, {
      float32: {
        value: () => {
          throw new Error('full');
        },
      },
      isResident: { value: () => false },
    }) as typeof kernels;
    const apart = new ItemRows(items, ['price', 'price'], 0, full);
    expect([...(apart.values() ?? [])]).toEqual([1, 1, 2, 2]);
    apart.dispose();
    expect(kernels.bytesInUse).toBe(before);
  });

  it('too many to be kept a second time: none', () => {
    const items = Object.create(tableFrom(['a'], { price: numberColumn([1]) }), { rowCount: { value: 9_000_000 } }) as never;
    expect(new ItemRows(items, ['price', 'price'], 0, kernels).values()).toBeUndefined();
  });

  it('give the tensor that the columns give, whatever stands between the fields', () => {
    const number = fc.option(fc.float({ noNaN: true, noDefaultInfinity: true }), { nil: null });
    const names = ['item.f0', 'item.f1', 'item.f2', 'item.f3', 'item.f4', 'item.f0 + 1', 'score.h'];
    fc.assert(
      fc.property(
        fc.array(fc.tuple(number, number, number, number, number), { minLength: 1, maxLength: 9 }),
        fc.array(fc.nat(1000), { minLength: 1, maxLength: 12 }),
        fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 9 }),
        fc.constantFrom(-1, 0, Number.NaN),
        (cells, places, texts, missing) => {
          const ids = cells.map((_, row) => `i${row}`);
          const columns = [0, 1, 2, 3, 4].map((field) => cells.map((row) => row[field] ?? null));
          const items = tableFrom(ids, Object.fromEntries(columns.map((values, field) => [`f${field}`, numberColumn(values)])));
          const rows = places.map((place) => place % ids.length);
          const batch = candidateBatch({ rows: [rows], columns: { 'score.h': rows.map((row) => row / 2) } });
          const settings = { input: 'x', texts, missing, rank: 2 as const, place: String };
          const filler = columnsInput(settings, simpleExpressions(items), items, kernels);
          const { values = [] } = filler.columns?.(batch, new Arena()) ?? {};
          const expected = rows.flatMap((_, row) =>
            values.map((column) => (Number.isNaN(column[row] as number) ? missing : (column[row] as number))),
          );
          expect([...(filler.fill(batch, new Arena()).data as Float32Array)]).toEqual(expected);
        },
      ),
    );
  });
});
