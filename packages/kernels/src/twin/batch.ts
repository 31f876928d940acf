import type { KernelTable } from '../kernel-table.js';
import { dotAt } from './dense.js';
import type { MemoryViews } from './memory-views.js';
import { BestRows } from './selection.js';

type BatchKernels = Pick<KernelTable, 'multiplyRowsMany' | 'boundedTopKMany'>;

export function batchTwin(memory: MemoryViews): BatchKernels {
  return {
    multiplyRowsMany(matrix, rowCount, width, queries, queryCount, output) {
      const { float32 } = memory.refresh();
      for (let query = 0; query < queryCount; query++) {
        for (let row = 0; row < rowCount; row++) {
          const product = dotAt(float32, (matrix >>> 2) + row * width, (queries >>> 2) + query * width, width);
          float32[(output >>> 2) + query * rowCount + row] = product;
        }
      }
      return queryCount;
    },

    boundedTopKMany(
      _blocks,
      _lengths,
      _order,
      rowCount,
      matrix,
      width,
      queries,
      scales,
      queryCount,
      limits,
      most,
      mask,
      outputRows,
      outputScores,
      outputCounts,
    ) {
      // No bound leaves out a row that is among the best, so the plain way is to look at all of them.
      const { float32, int32, uint8 } = memory.refresh();
      for (let query = 0; query < queryCount; query++) {
        let squares = 0;
        for (let column = 0; column < width; column++) {
          const value = (float32[(queries >>> 2) + query * width + column] as number) * (float32[(scales >>> 2) + column] as number);
          squares += Math.fround(value) ** 2;
        }
        if (!Number.isFinite(Math.fround(Math.sqrt(squares)))) {
          int32[(outputCounts >>> 2) + query] = -1;
          continue;
        }
        const best = new BestRows(int32[(limits >>> 2) + query] as number);
        for (let row = 0; row < rowCount; row++) {
          if (mask !== 0 && uint8[mask + row] === 0) continue;
          const score = dotAt(float32, (matrix >>> 2) + row * width, (queries >>> 2) + query * width, width);
          if (score > 0) best.offer(row, score);
        }
        int32[(outputCounts >>> 2) + query] = best.drain((position, row, score) => {
          int32[(outputRows >>> 2) + query * most + position] = row;
          float32[(outputScores >>> 2) + query * most + position] = score;
        });
      }
      return queryCount;
    },
  };
}
