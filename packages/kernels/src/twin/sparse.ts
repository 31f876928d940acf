import type { KernelTable } from '../kernel-table.js';
import type { MemoryViews } from './memory-views.js';
import { BestRows } from './selection.js';

type SparseKernels = Pick<KernelTable, 'gramRows' | 'mirrorLower' | 'sparseProductTopKRows' | 'sparseDenseRows'>;

export function sparseTwin(memory: MemoryViews): SparseKernels {
  return {
    gramRows(
      rowOffsets,
      columnIndices,
      values,
      transposedOffsets,
      transposedIndices,
      transposedValues,
      weights,
      size,
      rowBegin,
      rowEnd,
      output,
    ) {
      const { float32, int32 } = memory.refresh();
      for (let row = rowBegin; row < rowEnd; row++) {
        const to = (output >>> 2) + row * size;
        float32.fill(0, to, to + row + 1);
        const last = int32[(transposedOffsets >>> 2) + row + 1] as number;
        for (let entry = int32[(transposedOffsets >>> 2) + row] as number; entry < last; entry++) {
          const sample = int32[(transposedIndices >>> 2) + entry] as number;
          const value = transposedValues === 0 ? 1 : (float32[(transposedValues >>> 2) + entry] as number);
          const weight = weights === 0 ? 1 : (float32[(weights >>> 2) + sample] as number);
          const factor = Math.fround(value * weight);
          const end = int32[(rowOffsets >>> 2) + sample + 1] as number;
          for (let other = int32[(rowOffsets >>> 2) + sample] as number; other < end; other++) {
            const column = int32[(columnIndices >>> 2) + other] as number;
            if (column > row) break;
            const otherValue = values === 0 ? 1 : (float32[(values >>> 2) + other] as number);
            float32[to + column] = (float32[to + column] as number) + Math.fround(factor * otherValue);
          }
        }
      }
      return rowEnd - rowBegin;
    },

    mirrorLower(source, sourceStride, output, outputStride, size, rowBegin, rowEnd, factor) {
      const { float32 } = memory.refresh();
      const from = source >>> 2;
      const to = output >>> 2;
      const single = Math.fround(factor);
      for (let row = rowBegin; row < rowEnd; row++) {
        for (let column = 0; column < size; column++) {
          const position = column <= row ? row * sourceStride + column : column * sourceStride + row;
          float32[to + row * outputStride + column] = (float32[from + position] as number) * single;
        }
      }
      return rowEnd - rowBegin;
    },

    sparseProductTopKRows(
      leftOffsets,
      leftIndices,
      leftValues,
      rightOffsets,
      rightIndices,
      rightValues,
      rightColumnCount,
      rowFactors,
      columnFactors,
      shrinkage,
      excludeDiagonal,
      k,
      rowBegin,
      rowEnd,
      outputIndices,
      outputValues,
      outputCounts,
    ) {
      const { float32, int32 } = memory.refresh();
      const sums = new Float32Array(rightColumnCount);
      const stamps = new Int32Array(rightColumnCount);
      for (let row = rowBegin; row < rowEnd; row++) {
        const touched: number[] = [];
        const last = int32[(leftOffsets >>> 2) + row + 1] as number;
        for (let entry = int32[(leftOffsets >>> 2) + row] as number; entry < last; entry++) {
          const inner = int32[(leftIndices >>> 2) + entry] as number;
          const value = leftValues === 0 ? 1 : (float32[(leftValues >>> 2) + entry] as number);
          const end = int32[(rightOffsets >>> 2) + inner + 1] as number;
          for (let other = int32[(rightOffsets >>> 2) + inner] as number; other < end; other++) {
            const column = int32[(rightIndices >>> 2) + other] as number;
            const otherValue = rightValues === 0 ? 1 : (float32[(rightValues >>> 2) + other] as number);
            if (stamps[column] !== row + 1) {
              stamps[column] = row + 1;
              sums[column] = 0;
              touched.push(column);
            }
            sums[column] = (sums[column] as number) + Math.fround(value * otherValue);
          }
        }
        const rowFactor = rowFactors === 0 ? 1 : (float32[(rowFactors >>> 2) + row] as number);
        const best = new BestRows(k);
        for (const column of touched) {
          if (excludeDiagonal !== 0 && column === row) continue;
          const columnFactor = columnFactors === 0 ? 1 : (float32[(columnFactors >>> 2) + column] as number);
          const divisor = Math.fround(Math.fround(rowFactor * columnFactor) + Math.fround(shrinkage));
          best.offer(column, Math.fround((sums[column] as number) / divisor));
        }
        const kept: [number, number][] = [];
        best.drain((_position, column, score) => kept.push([column, score]));
        kept.sort((one, other) => one[0] - other[0]);
        const to = (row - rowBegin) * k;
        kept.forEach(([column, score], position) => {
          int32[(outputIndices >>> 2) + to + position] = column;
          float32[(outputValues >>> 2) + to + position] = score;
        });
        int32[(outputCounts >>> 2) + row - rowBegin] = kept.length;
      }
      return rowEnd - rowBegin;
    },

    sparseDenseRows(rowOffsets, columnIndices, values, dense, width, rowBegin, rowEnd, output) {
      const { float32, int32 } = memory.refresh();
      for (let row = rowBegin; row < rowEnd; row++) {
        const to = (output >>> 2) + row * width;
        float32.fill(0, to, to + width);
        const last = int32[(rowOffsets >>> 2) + row + 1] as number;
        for (let entry = int32[(rowOffsets >>> 2) + row] as number; entry < last; entry++) {
          const from = (dense >>> 2) + (int32[(columnIndices >>> 2) + entry] as number) * width;
          const value = values === 0 ? 1 : (float32[(values >>> 2) + entry] as number);
          for (let column = 0; column < width; column++) {
            float32[to + column] = (float32[to + column] as number) + Math.fround(value * (float32[from + column] as number));
          }
        }
      }
      return rowEnd - rowBegin;
    },
  };
}
