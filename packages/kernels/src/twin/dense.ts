import type { KernelTable } from '../kernel-table.js';
import type { MemoryViews } from './memory-views.js';

type DenseKernels = Pick<
  KernelTable,
  | 'dot'
  | 'sparseDot'
  | 'sparseDenseDot'
  | 'multiplyRows'
  | 'interleaveColumns'
  | 'combineColumns'
  | 'gatherRows'
  | 'gatherDot'
  | 'accumulateRows'
  | 'accumulateSparseRows'
  | 'normalizeRows'
  | 'streamRead'
>;

/** Dot of two stretches of a float array, given their first element. */
export function dotAt(values: Float32Array, left: number, right: number, length: number): number {
  let sum = 0;
  for (let index = 0; index < length; index++) {
    sum += (values[left + index] as number) * (values[right + index] as number);
  }
  return Math.fround(sum);
}

export function denseTwin(memory: MemoryViews): DenseKernels {
  return {
    dot(left, right, length) {
      return dotAt(memory.refresh().float32, left >>> 2, right >>> 2, length);
    },

    sparseDot(leftIndices, leftValues, leftLength, rightIndices, rightValues, rightLength) {
      const { float32, int32 } = memory.refresh();
      let left = 0;
      let right = 0;
      let sum = 0;
      while (left < leftLength && right < rightLength) {
        const leftIndex = int32[(leftIndices >>> 2) + left] as number;
        const rightIndex = int32[(rightIndices >>> 2) + right] as number;
        if (leftIndex === rightIndex) {
          sum += (float32[(leftValues >>> 2) + left] as number) * (float32[(rightValues >>> 2) + right] as number);
          left++;
          right++;
        } else if (leftIndex < rightIndex) left++;
        else right++;
      }
      return Math.fround(sum);
    },

    sparseDenseDot(indices, values, length, dense) {
      const { float32, int32 } = memory.refresh();
      let sum = 0;
      for (let index = 0; index < length; index++) {
        const position = int32[(indices >>> 2) + index] as number;
        sum += (float32[(values >>> 2) + index] as number) * (float32[(dense >>> 2) + position] as number);
      }
      return Math.fround(sum);
    },

    multiplyRows(matrix, rowCount, width, vector, output) {
      const { float32 } = memory.refresh();
      for (let row = 0; row < rowCount; row++) {
        float32[(output >>> 2) + row] = dotAt(float32, (matrix >>> 2) + row * width, vector >>> 2, width);
      }
      return rowCount;
    },

    interleaveColumns(columns, count, width, missing, output) {
      const { float32 } = memory.refresh();
      for (let column = 0; column < width; column++) {
        const from = (columns >>> 2) + column * count;
        const to = (output >>> 2) + column;
        for (let row = 0; row < count; row++) {
          const value = float32[from + row] as number;
          float32[to + row * width] = Number.isNaN(value) ? missing : value;
        }
      }
      return count;
    },

    combineColumns(columns, count, width, weights, missing, output) {
      const { float32 } = memory.refresh();
      const filler = Math.fround(missing);
      for (let row = 0; row < count; row++) {
        let sum = 0;
        for (let column = 0; column < width; column++) {
          const value = float32[(columns >>> 2) + column * count + row] as number;
          sum = Math.fround(sum + Math.fround((float32[(weights >>> 2) + column] as number) * (Number.isNaN(value) ? filler : value)));
        }
        float32[(output >>> 2) + row] = sum;
      }
      return count;
    },

    gatherRows(matrix, width, rows, count, output) {
      const { float32, int32 } = memory.refresh();
      for (let index = 0; index < count; index++) {
        const from = (matrix >>> 2) + (int32[(rows >>> 2) + index] as number) * width;
        float32.copyWithin((output >>> 2) + index * width, from, from + width);
      }
      return count;
    },

    gatherDot(matrix, width, rows, count, vector, output) {
      const { float32, int32 } = memory.refresh();
      for (let index = 0; index < count; index++) {
        const row = int32[(rows >>> 2) + index] as number;
        float32[(output >>> 2) + index] = dotAt(float32, (matrix >>> 2) + row * width, vector >>> 2, width);
      }
      return count;
    },

    accumulateRows(output, matrix, width, rows, weights, count) {
      const { float32, int32 } = memory.refresh();
      const to = output >>> 2;
      for (let index = 0; index < count; index++) {
        const from = (matrix >>> 2) + (int32[(rows >>> 2) + index] as number) * width;
        const weight = weights === 0 ? 1 : (float32[(weights >>> 2) + index] as number);
        for (let column = 0; column < width; column++) {
          float32[to + column] = (float32[to + column] as number) + weight * (float32[from + column] as number);
        }
      }
      return count;
    },

    accumulateSparseRows(output, rowOffsets, columnIndices, values, rows, weights, count) {
      const { float32, int32 } = memory.refresh();
      for (let index = 0; index < count; index++) {
        const row = int32[(rows >>> 2) + index] as number;
        const weight = weights === 0 ? 1 : (float32[(weights >>> 2) + index] as number);
        const end = int32[(rowOffsets >>> 2) + row + 1] as number;
        for (let entry = int32[(rowOffsets >>> 2) + row] as number; entry < end; entry++) {
          const to = (output >>> 2) + (int32[(columnIndices >>> 2) + entry] as number);
          const value = values === 0 ? 1 : (float32[(values >>> 2) + entry] as number);
          float32[to] = (float32[to] as number) + weight * value;
        }
      }
      return count;
    },

    normalizeRows(matrix, rowCount, width) {
      const { float32 } = memory.refresh();
      for (let row = 0; row < rowCount; row++) {
        const begin = (matrix >>> 2) + row * width;
        const squared = dotAt(float32, begin, begin, width);
        const factor = squared >= 1e-30 && squared < Number.POSITIVE_INFINITY ? 1 / Math.sqrt(squared) : 0;
        for (let column = begin; column < begin + width; column++) {
          float32[column] = factor === 0 ? 0 : (float32[column] as number) * factor;
        }
      }
      return rowCount;
    },

    streamRead(values, length) {
      const { float32 } = memory.refresh();
      let sum = 0;
      for (let index = values >>> 2; index < (values >>> 2) + length; index++) sum += float32[index] as number;
      return Math.fround(sum);
    },
  };
}
