import { afterAll, describe, expect, it } from 'vitest';
import { createComputePool } from './compute-pool.js';
import { createKernels } from './kernels.js';
import { pairsAbove } from './pairs-above.js';

const wasm = createKernels({ implementation: 'wasm' });
const twin = createKernels({ implementation: 'typescript' });
const pool = createComputePool({ threads: 3 });

afterAll(async () => {
  expect([wasm.bytesInUse, twin.bytesInUse, pool.kernels.bytesInUse]).toEqual([0, 0, 0]);
  await pool.close();
});

/** Small whole numbers, whose products float32 holds exactly; every third row occurs many times. */
function matrixOf(rows: number, width: number): Float32Array {
  let state = 7;
  const values = Float32Array.from({ length: rows * width }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return (state >>> 16) % 7;
  });
  for (let row = 3; row < rows; row += 3) values.copyWithin(row * width, (row % 9) * width, (row % 9) * width + width);
  return values;
}

/** Every pair, the plain way. */
function pairsOf(matrix: Float32Array, width: number, least: number): Set<number> {
  const rows = matrix.length / width;
  const found = new Set<number>();
  for (let left = 0; left < rows; left++) {
    for (let right = left + 1; right < rows; right++) {
      let sum = 0;
      for (let column = 0; column < width; column++)
        sum += (matrix[left * width + column] as number) * (matrix[right * width + column] as number);
      if (sum >= least) found.add(left * rows + right);
    }
  }
  return found;
}

describe('pairs above a bound', () => {
  it.each([
    ['one row', 1, 4, 0],
    ['no rows', 0, 4, 0],
    ['fewer rows than are kept at first', 5, 3, 20],
    ['many equal rows', 300, 5, 90],
    ['a bound that everything reaches', 130, 3, -1],
    ['several blocks of rows', 4400, 6, 150],
  ])('%s: what comparing every pair finds, on every engine, in the same order', async (_name, rows, width, least) => {
    const matrix = matrixOf(rows, width);
    const expected = pairsOf(matrix, width, least);
    const orders: number[][] = [];
    const engines = rows > 1000 ? [{ kernels: wasm }, { compute: pool }] : [{ kernels: wasm }, { kernels: twin }, { compute: pool }];
    for (const engine of engines) {
      const order: number[] = [];
      const fractions: number[] = [];
      const count = await pairsAbove(
        matrix,
        width,
        least,
        (left, right) => {
          expect(left).toBeLessThan(right);
          order.push(left * rows + right);
        },
        { ...engine, progress: (fraction) => fractions.push(fraction) },
      );
      expect([count, order.length, new Set(order).size]).toEqual([expected.size, expected.size, expected.size]);
      expect(order.every((pair) => expected.has(pair))).toBe(true);
      expect(fractions.at(-1)).toBe(rows === 0 ? undefined : 1);
      orders.push(order);
    }
    for (const order of orders) expect(order).toEqual(orders[0]);
  });

  it('stops when it is aborted, and gives its memory back', async () => {
    const controller = new AbortController();
    const pending = pairsAbove(matrixOf(9000, 16), 16, 1e9, () => undefined, { compute: pool, signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(pending).rejects.toThrow('enough');
    expect(pool.kernels.bytesInUse).toBe(0);
  });

  it('gives its memory back when the receiver throws', async () => {
    const matrix = matrixOf(30, 4);
    const refuse = (): never => {
      throw new TypeError('no room');
    };
    await expect(pairsAbove(matrix, 4, 0, refuse, { kernels: wasm })).rejects.toThrow('no room');
  });

  it('refuses a matrix that is no whole number of rows', async () => {
    await expect(pairsAbove(new Float32Array(7), 3, 0, () => undefined, { kernels: wasm })).rejects.toMatchObject({
      code: 'RECLOOM_KRN_SHAPE',
    });
  });
});
