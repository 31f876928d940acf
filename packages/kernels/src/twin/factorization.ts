import { type KernelTable, stripColumns } from '../kernel-table.js';
import type { MemoryViews } from './memory-views.js';

type FactorizationKernels = Pick<
  KernelTable,
  'sweepPivot' | 'sweepPanel' | 'rankUpdate' | 'sweepStore' | 'sweepStorePivot' | 'choleskyPivot' | 'choleskyPanel' | 'choleskySolve'
>;

interface PivotFactor {
  /** 0, or 1 + the index of the first pivot that is not positive. */
  readonly failure: number;
  readonly factor: Float64Array;
  /** Inverse of the factor, lower triangular. */
  readonly inverse: Float64Array;
}

/** Cholesky factor and its inverse of one small block, in double precision. */
function factorBlock(float32: Float32Array, begin: number, stride: number, order: number): PivotFactor {
  const factor = new Float64Array(order * order);
  const inverse = new Float64Array(order * order);
  for (let row = 0; row < order; row++) {
    for (let column = 0; column <= row; column++) {
      let sum = float32[begin + row * stride + column] as number;
      for (let inner = 0; inner < column; inner++) {
        sum -= (factor[row * order + inner] as number) * (factor[column * order + inner] as number);
      }
      if (row !== column) factor[row * order + column] = sum / (factor[column * order + column] as number);
      else if (sum > 0 && sum < Number.POSITIVE_INFINITY) factor[row * order + row] = Math.sqrt(sum);
      else return { failure: row + 1, factor, inverse };
    }
  }
  for (let column = 0; column < order; column++) {
    for (let row = column; row < order; row++) {
      let sum = row === column ? 1 : 0;
      for (let inner = column; inner < row; inner++) {
        sum -= (factor[row * order + inner] as number) * (inverse[inner * order + column] as number);
      }
      inverse[row * order + column] = sum / (factor[row * order + row] as number);
    }
  }
  return { failure: 0, factor, inverse };
}

function packedPosition(row: number, inner: number, order: number): number {
  const strip = Math.floor(row / stripColumns);
  return (strip * order + inner) * stripColumns + (row % stripColumns);
}

export function factorizationTwin(memory: MemoryViews): FactorizationKernels {
  return {
    sweepPivot(matrix, stride, begin, order, inverse) {
      const { float32 } = memory.refresh();
      const block = factorBlock(float32, (matrix >>> 2) + begin * stride + begin, stride, order);
      if (block.failure > 0) return block.failure + begin;
      for (let row = 0; row < order; row++) {
        for (let column = 0; column <= row; column++) {
          let sum = 0;
          for (let inner = row; inner < order; inner++) {
            sum += (block.inverse[inner * order + row] as number) * (block.inverse[inner * order + column] as number);
          }
          float32[(inverse >>> 2) + row * order + column] = sum;
          float32[(inverse >>> 2) + column * order + row] = sum;
        }
      }
      return 0;
    },

    sweepPanel(matrix, stride, begin, order, inverse, packed, product, rowBegin, rowEnd) {
      const { float32 } = memory.refresh();
      const from = matrix >>> 2;
      for (let row = rowBegin; row < rowEnd; row++) {
        for (let inner = 0; inner < order; inner++) {
          const position = row > begin ? row * stride + begin + inner : (begin + inner) * stride + row;
          float32[(packed >>> 2) + packedPosition(row, inner, order)] = float32[from + position] as number;
        }
        for (let column = 0; column < order; column++) {
          let sum = 0;
          for (let inner = 0; inner < order; inner++) {
            sum +=
              (float32[(packed >>> 2) + packedPosition(row, inner, order)] as number) *
              (float32[(inverse >>> 2) + inner * order + column] as number);
          }
          float32[(product >>> 2) + row * order + column] = sum;
        }
      }
      return rowEnd - rowBegin;
    },

    rankUpdate(matrix, stride, order, packed, product, rowBegin, rowEnd, columnBegin, skipBegin, skipEnd) {
      const { float32 } = memory.refresh();
      for (let row = rowBegin; row < rowEnd; row++) {
        for (let column = columnBegin; column <= row; column++) {
          if (column >= skipBegin && column < skipEnd) continue;
          let sum = 0;
          for (let inner = 0; inner < order; inner++) {
            sum +=
              (float32[(product >>> 2) + row * order + inner] as number) *
              (float32[(packed >>> 2) + packedPosition(column, inner, order)] as number);
          }
          const to = (matrix >>> 2) + row * stride + column;
          float32[to] = (float32[to] as number) - sum;
        }
      }
      return rowEnd - rowBegin;
    },

    sweepStore(matrix, stride, begin, order, product, rowBegin, rowEnd) {
      const { float32 } = memory.refresh();
      for (let row = rowBegin; row < rowEnd; row++) {
        for (let inner = 0; inner < order; inner++) {
          const position = row > begin ? row * stride + begin + inner : (begin + inner) * stride + row;
          float32[(matrix >>> 2) + position] = float32[(product >>> 2) + row * order + inner] as number;
        }
      }
      return rowEnd - rowBegin;
    },

    sweepStorePivot(matrix, stride, begin, order, inverse) {
      const { float32 } = memory.refresh();
      for (let row = 0; row < order; row++) {
        for (let column = 0; column < order; column++) {
          float32[(matrix >>> 2) + (begin + row) * stride + begin + column] = -(float32[(inverse >>> 2) + row * order + column] as number);
        }
      }
      return order;
    },

    choleskyPivot(matrix, stride, begin, order, inverse) {
      const { float32 } = memory.refresh();
      const from = (matrix >>> 2) + begin * stride + begin;
      const block = factorBlock(float32, from, stride, order);
      if (block.failure > 0) return block.failure + begin;
      for (let row = 0; row < order; row++) {
        for (let column = 0; column < order; column++) {
          if (column <= row) float32[from + row * stride + column] = block.factor[row * order + column] as number;
          float32[(inverse >>> 2) + row * order + column] = block.inverse[row * order + column] as number;
        }
      }
      return 0;
    },

    choleskyPanel(matrix, stride, begin, order, inverse, packed, product, rowBegin, rowEnd) {
      const { float32 } = memory.refresh();
      for (let row = rowBegin; row < rowEnd; row++) {
        const from = (matrix >>> 2) + row * stride + begin;
        const to = (product >>> 2) + row * order;
        for (let column = 0; column < order; column++) {
          let sum = 0;
          for (let inner = 0; inner <= column; inner++) {
            sum += (float32[from + inner] as number) * (float32[(inverse >>> 2) + column * order + inner] as number);
          }
          float32[to + column] = sum;
        }
        for (let column = 0; column < order; column++) {
          const value = float32[to + column] as number;
          float32[from + column] = value;
          float32[(packed >>> 2) + packedPosition(row, column, order)] = value;
        }
      }
      return rowEnd - rowBegin;
    },

    choleskySolve(factor, stride, size, rightHandSides, count) {
      const { float32 } = memory.refresh();
      const from = factor >>> 2;
      for (let index = 0; index < count; index++) {
        const to = (rightHandSides >>> 2) + index * size;
        for (let row = 0; row < size; row++) {
          let sum = float32[to + row] as number;
          for (let column = 0; column < row; column++) {
            sum -= (float32[from + row * stride + column] as number) * (float32[to + column] as number);
          }
          float32[to + row] = sum / (float32[from + row * stride + row] as number);
        }
        for (let row = size - 1; row >= 0; row--) {
          const value = (float32[to + row] as number) / (float32[from + row * stride + row] as number);
          float32[to + row] = value;
          for (let column = 0; column < row; column++) {
            float32[to + column] = (float32[to + column] as number) - value * (float32[from + row * stride + column] as number);
          }
        }
      }
      return count;
    },
  };
}
