import { sparseMatrixFromEntries } from '@recloom/kernels';
import { createRandomStream, type Warning } from '@recloom/plugin-api';
import { historyFrom, singleThreadCompute, syntheticShop } from '@recloom/testing';
import { describe, expect, it } from 'vitest';
import { behaviourFactors, behaviourOf } from './behaviour-factors.js';
import { gramOf } from './dense.js';
import { symmetricEigen } from './symmetric-eigen.js';

const signal = new AbortController().signal;
const work = { compute: singleThreadCompute(), signal };

describe('behaviourFactors', () => {
  it('finds the singular vectors that are known by hand', async () => {
    // Two groups that share nothing: 3 people with items 0 and 1, 2 people with item 2. XᵀX = [[3,3,0],[3,3,0],[0,0,2]].
    const rows = [0, 0, 1, 1, 2, 2, 3, 4];
    const columns = [0, 1, 0, 1, 0, 1, 2, 2];
    const matrix = sparseMatrixFromEntries(5, 4, Int32Array.from(rows), Int32Array.from(columns));
    const { values, singular } = await behaviourFactors(matrix, 3, createRandomStream(1), work);
    expect([...singular]).toEqual([expect.closeTo(Math.sqrt(6), 5), expect.closeTo(Math.sqrt(2), 5), 0]);
    const row = (item: number): number[] => [...values.subarray(item * 3, item * 3 + 3)].map(Math.abs);
    expect(row(0)).toEqual([expect.closeTo(Math.SQRT1_2, 5), expect.closeTo(0, 5), 0]);
    expect(row(2)).toEqual([expect.closeTo(0, 5), expect.closeTo(1, 5), 0]);
    expect(row(3)).toEqual([0, 0, 0]);
  });

  it('agrees with the whole decomposition', async () => {
    const shop = syntheticShop({ users: 120, items: 90, events: 3000 });
    const { matrix } = behaviourOf(shop.history, { useWeights: false, minimumItemUsers: 1 }, shop.asOfMs, signal, () => {});
    const dense = new Float32Array(matrix.rowCount * matrix.columnCount);
    for (let row = 0; row < matrix.rowCount; row++) {
      for (let entry = matrix.rowOffsets[row] as number; entry < (matrix.rowOffsets[row + 1] as number); entry++) {
        dense[row * matrix.columnCount + (matrix.columnIndices[entry] as number)] = matrix.values?.[entry] ?? 1;
      }
    }
    const whole = await symmetricEigen(await gramOf(dense, matrix.columnCount, signal), matrix.columnCount, signal);
    const { singular, values } = await behaviourFactors(matrix, 5, createRandomStream(7), work);
    for (let column = 0; column < 5; column++) {
      expect(singular[column]).toBeCloseTo(Math.sqrt(whole.values[column] as number), 3);
    }
    // The strongest direction stands alone, so that it can be compared as it is.
    const strongest = whole.vectors.subarray(0, matrix.columnCount);
    const along = strongest.reduce((sum, value, item) => sum + value * (values[item * 5] as number), 0);
    expect(Math.abs(along)).toBeCloseTo(1, 4);
  });

  it('gives the same bytes for the same seed, and nothing for nobody', async () => {
    const shop = syntheticShop({ users: 30, items: 20, events: 300 });
    const { matrix } = behaviourOf(shop.history, { useWeights: false, minimumItemUsers: 1 }, shop.asOfMs, signal, () => {});
    const first = await behaviourFactors(matrix, 6, createRandomStream(3), work);
    const second = await behaviourFactors(matrix, 6, createRandomStream(3), work);
    expect([...first.values]).toEqual([...second.values]);
    const empty = await behaviourFactors(
      { ...matrix, rowOffsets: new Int32Array(31), columnIndices: new Int32Array(0), values: undefined },
      6,
      createRandomStream(3),
      work,
    );
    expect(empty.values.every((value) => value === 0)).toBe(true);
  });
});

describe('behaviourOf', () => {
  it('leaves rare items out, fades by age, and warns of types that no event has', () => {
    const day = 86_400_000;
    const history = historyFrom(
      [
        { user: 0, item: 0, timeMs: 0, type: 'view' },
        { user: 1, item: 0, timeMs: 10 * day, type: 'view' },
        { user: 1, item: 1, timeMs: 10 * day, type: 'view' },
      ],
      { itemCount: 2 },
    );
    const warnings: Warning[] = [];
    const rule = { useWeights: false, minimumItemUsers: 2, recencyDays: 10, eventTypes: ['view', 'hug'] };
    const { matrix, itemUsers } = behaviourOf(history, rule, 10 * day, signal, (warning) => warnings.push(warning));
    expect([...itemUsers]).toEqual([2, 0]);
    expect([...(matrix.values ?? [])]).toEqual([expect.closeTo(Math.exp(-1), 6), 1]);
    expect(warnings.map(({ code }) => code)).toEqual(['MULTIMODAL_EVENT_TYPE_UNKNOWN']);
  });
});
