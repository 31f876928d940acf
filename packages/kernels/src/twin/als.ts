import { alsDirectEntries, type KernelTable } from '../kernel-table.js';
import type { MemoryViews } from './memory-views.js';

type AlsKernels = Pick<KernelTable, 'alsSolveRows' | 'alsTransformRows' | 'alsGramRows' | 'alsBasis'>;

/** Element (row, column) of a matrix packed in strips of eight columns. */
function packedPlace(stride: number, row: number, column: number): number {
  return ((column >>> 3) * stride + row) * 8 + (column & 7);
}

export function alsTwin(memory: MemoryViews): AlsKernels {
  function transformRow(from: number, stride: number, packed: number, upper: number, to: number): void {
    const { float32 } = memory;
    for (let column = 0; column < stride; column++) {
      const strip = column & ~7;
      const end = upper === 1 ? strip + 8 : stride;
      let sum = 0;
      for (let inner = 0; inner < end; inner++) {
        sum += (float32[from + inner] as number) * (float32[packed + packedPlace(stride, inner, column)] as number);
      }
      float32[to + column] = sum;
    }
  }

  function gramRows(factors: number, stride: number, rowBegin: number, rowEnd: number, output: number): void {
    const { float32 } = memory;
    for (let line = 0; line < stride; line++) {
      for (let column = 0; column <= line; column++) {
        let sum = 0;
        for (let row = rowBegin; row < rowEnd; row++) {
          sum += (float32[factors + row * stride + line] as number) * (float32[factors + row * stride + column] as number);
        }
        float32[output + line * stride + column] = sum;
      }
    }
  }

  return {
    alsTransformRows(factors, stride, packed, upper, rowBegin, rowEnd, output) {
      memory.refresh();
      for (let row = rowBegin; row < rowEnd; row++) {
        transformRow((factors >>> 2) + row * stride, stride, packed >>> 2, upper, (output >>> 2) + row * stride);
      }
      return rowEnd - rowBegin;
    },

    alsGramRows(factors, stride, rowBegin, rowEnd, output) {
      memory.refresh();
      gramRows(factors >>> 2, stride, rowBegin, rowEnd, output >>> 2);
      return rowEnd - rowBegin;
    },

    alsSolveRows(
      rowOffsets,
      columnIndices,
      values,
      uniform,
      offset,
      sources,
      stride,
      base,
      regularizations,
      tolerance,
      mostSteps,
      rowBegin,
      rowEnd,
      _workspace,
      factors,
      gram,
    ) {
      const { float32, int32 } = memory.refresh();
      const from = sources >>> 2;
      const solution = new Float64Array(stride);
      const residual = new Float64Array(stride);
      const direction = new Float64Array(stride);
      const image = new Float64Array(stride);
      const diagonal = new Float64Array(stride);
      // The system of as many unknowns as entries; see assembly/als-direct.ts.
      const solveDirectly = (begin: number, end: number, target: number): boolean => {
        const count = end - begin;
        const place = (entry: number): number => from + (int32[(columnIndices >>> 2) + begin + entry] as number) * stride;
        const weight = (entry: number): number => (values === 0 ? uniform : (float32[(values >>> 2) + begin + entry] as number));
        const system: number[][] = [];
        let largest = 0;
        for (let row = 0; row < count; row++) {
          if (!(weight(row) > 1e-12)) return false;
          const line: number[] = [];
          for (let column = 0; column < count; column++) {
            let product = 0;
            for (let index = 0; index < stride; index++) {
              const value = (float32[place(row) + index] as number) * (float32[place(column) + index] as number);
              product += value / (diagonal[index] as number);
            }
            line.push(product * Math.sqrt(weight(row) * weight(column)));
          }
          if (!((line[row] as number) < 1e30)) return false;
          largest = Math.max(largest, line[row] as number);
          line[row] = (line[row] as number) + 1;
          line.push((weight(row) + offset) / Math.sqrt(weight(row)));
          system.push(line);
        }
        if (!(largest <= tolerance * 1e6)) return false;
        eliminate(system);
        for (let index = 0; index < stride; index++) {
          let sum = 0;
          for (let entry = 0; entry < count; entry++) {
            sum += Math.sqrt(weight(entry)) * (system[entry]?.[count] as number) * (float32[place(entry) + index] as number);
          }
          float32[target + index] = sum / (diagonal[index] as number);
        }
        return true;
      };
      let steps = 0;
      let finite = true;
      for (let row = rowBegin; row < rowEnd; row++) {
        const target = (factors >>> 2) + row * stride;
        const begin = int32[(rowOffsets >>> 2) + row] as number;
        const end = int32[(rowOffsets >>> 2) + row + 1] as number;
        if (begin === end) {
          float32.fill(0, target, target + stride);
          continue;
        }
        const regularization = regularizations === 0 ? 0 : (float32[(regularizations >>> 2) + row] as number);
        for (let index = 0; index < stride; index++) {
          diagonal[index] = (float32[(base >>> 2) + index] as number) + regularization;
        }
        solution.fill(0);
        // output = sum of (weight + offset) y, or of weight * (y . along) y
        const pass = (along: Float64Array | undefined, output: Float64Array): void => {
          output.fill(0);
          for (let entry = begin; entry < end; entry++) {
            const source = from + (int32[(columnIndices >>> 2) + entry] as number) * stride;
            const weight = values === 0 ? uniform : (float32[(values >>> 2) + entry] as number);
            let factor = weight + offset;
            if (along !== undefined) {
              let product = 0;
              for (let index = 0; index < stride; index++) product += (float32[source + index] as number) * (along[index] as number);
              factor = weight * product;
            }
            for (let index = 0; index < stride; index++) {
              output[index] = (output[index] as number) + factor * (float32[source + index] as number);
            }
          }
        };
        if (end - begin <= alsDirectEntries && solveDirectly(begin, end, target)) continue;
        pass(undefined, residual);
        let error = 0;
        let norm = 0;
        for (let index = 0; index < stride; index++) {
          const value = residual[index] as number;
          const preconditioned = value / (diagonal[index] as number);
          direction[index] = preconditioned;
          error += value * preconditioned;
        }
        for (let step = 0; step < mostSteps && error > tolerance * tolerance * norm; step++) {
          steps++;
          pass(direction, image);
          let along = 0;
          for (let index = 0; index < stride; index++) {
            const value = (image[index] as number) + (diagonal[index] as number) * (direction[index] as number);
            image[index] = value;
            along += value * (direction[index] as number);
          }
          const length = error / along;
          let next = 0;
          norm = 0;
          for (let index = 0; index < stride; index++) {
            const scale = diagonal[index] as number;
            const known = (solution[index] as number) + length * (direction[index] as number);
            const value = (residual[index] as number) - length * (image[index] as number);
            solution[index] = known;
            residual[index] = value;
            norm += known * known * scale;
            next += (value * value) / scale;
          }
          for (let index = 0; index < stride; index++) {
            direction[index] = (residual[index] as number) / (diagonal[index] as number) + (next / error) * (direction[index] as number);
          }
          error = next;
        }
        if (!(norm < 3.4e38 && error < 3.4e38)) finite = false;
        float32.set(solution, target);
      }
      if (gram !== 0) gramRows(factors >>> 2, stride, rowBegin, rowEnd, gram >>> 2);
      return finite ? steps : -1;
    },

    alsBasis(parts, partCount, width, stride, scale, regularization, eigen, _workspace, into, base, from, to) {
      const { float32, float64 } = memory.refresh();
      const size = width * width;
      const matrix = new Float64Array(width * width);
      for (let row = 0; row < width; row++) {
        for (let column = 0; column <= row; column++) {
          let sum = 0;
          for (let part = 0; part < partCount; part++) {
            sum += float32[(parts >>> 2) + part * stride * stride + row * stride + column] as number;
          }
          sum *= scale;
          if (!(Math.abs(sum) < 1e30)) return row + 1;
          matrix[row * width + column] = sum;
          matrix[column * width + row] = sum;
        }
      }
      // `cell` reads the matrix to pack; what lies outside is 0.
      const pack = (target: number, cell: (row: number, column: number) => number): void => {
        for (let row = 0; row < stride; row++) {
          for (let column = 0; column < stride; column++) {
            const value = row < width && column < width ? cell(row, column) : 0;
            float32[(target >>> 2) + packedPlace(stride, row, column)] = value;
          }
        }
      };
      if (eigen === 0) {
        for (let row = 0; row < width; row++) {
          for (let column = 0; column < width; column++) {
            let product = 0;
            for (let inner = 0; inner < width; inner++) {
              const own = float64[(from >>> 3) + size + row * width + inner] as number;
              product += own * (float64[(from >>> 3) + size + column * width + inner] as number);
            }
            matrix[row * width + column] = (matrix[row * width + column] as number) + regularization * product;
          }
        }
        const lower = new Float64Array(width * width);
        const inverse = new Float64Array(width * width);
        for (let row = 0; row < width; row++) {
          for (let column = 0; column <= row; column++) {
            let value = matrix[row * width + column] as number;
            for (let inner = 0; inner < column; inner++) {
              value -= (lower[row * width + inner] as number) * (lower[column * width + inner] as number);
            }
            if (column === row && !(value > 0 && value < Number.POSITIVE_INFINITY)) return row + 1;
            lower[row * width + column] = column === row ? Math.sqrt(value) : value / (lower[column * width + column] as number);
          }
        }
        for (let column = 0; column < width; column++) {
          for (let row = column; row < width; row++) {
            let value = row === column ? 1 : 0;
            for (let inner = column; inner < row; inner++) {
              value -= (lower[row * width + inner] as number) * (inverse[inner * width + column] as number);
            }
            inverse[row * width + column] = value / (lower[row * width + row] as number);
          }
        }
        pack(into, (row, column) => inverse[column * width + row] as number);
        for (let row = 0; row < width; row++) {
          for (let column = 0; column < width; column++) {
            let next = 0;
            let dual = 0;
            for (let inner = 0; inner < width; inner++) {
              next += (inverse[row * width + inner] as number) * (float64[(from >>> 3) + size + inner * width + column] as number);
              dual += (lower[inner * width + row] as number) * (float64[(from >>> 3) + inner * width + column] as number);
            }
            float64[(to >>> 3) + row * width + column] = next;
            float64[(to >>> 3) + size + row * width + column] = dual;
          }
        }
        float32.fill(1, base >>> 2, (base >>> 2) + stride);
        return 0;
      }
      const vectors = jacobi(matrix, width);
      pack(into, (row, column) => vectors[row * width + column] as number);
      for (let index = 0; index < stride; index++) {
        float32[(base >>> 2) + index] = index < width ? Math.max(0, matrix[index * width + index] as number) : 1;
      }
      if (to === 0) return 0;
      for (let row = 0; row < width; row++) {
        for (let column = 0; column < width; column++) {
          let sum = 0;
          for (let inner = 0; inner < width; inner++) {
            sum += (vectors[inner * width + row] as number) * (float64[(from >>> 3) + inner * width + column] as number);
          }
          float64[(to >>> 3) + row * width + column] = sum;
          float64[(to >>> 3) + size + row * width + column] = sum;
        }
      }
      return 0;
    },
  };
}

/** Gauss-Jordan elimination of a positive definite system whose lines end with the right-hand side: the solution lies there afterwards. */
function eliminate(system: readonly number[][]): void {
  for (const [pivot, own] of system.entries()) {
    const diagonal = own[pivot] as number;
    for (let column = 0; column < own.length; column++) own[column] = (own[column] as number) / diagonal;
    for (const [row, line] of system.entries()) {
      if (row === pivot) continue;
      const factor = line[pivot] as number;
      for (let column = 0; column < line.length; column++) line[column] = (line[column] as number) - factor * (own[column] as number);
    }
  }
}

/** Cyclic Jacobi rotations: leaves the eigenvalues on the diagonal of `matrix`, returns the eigenvectors as columns. */
function jacobi(matrix: Float64Array, size: number): Float64Array {
  const vectors = new Float64Array(size * size);
  for (let row = 0; row < size; row++) vectors[row * size + row] = 1;
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0;
    let total = 0;
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < size; column++) {
        const square = (matrix[row * size + column] as number) ** 2;
        total += square;
        if (row !== column) off += square;
      }
    }
    if (off <= 1e-30 * total) break;
    for (let one = 0; one < size; one++) {
      for (let other = one + 1; other < size; other++) {
        const between = matrix[one * size + other] as number;
        if (between === 0) continue;
        const theta = ((matrix[other * size + other] as number) - (matrix[one * size + one] as number)) / (2 * between);
        const tangent = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const cosine = 1 / Math.sqrt(tangent * tangent + 1);
        const sine = tangent * cosine;
        rotate(matrix, size, one, other, cosine, sine, 1, size);
        rotate(matrix, size, one, other, cosine, sine, size, 1);
        rotate(vectors, size, one, other, cosine, sine, size, 1);
      }
    }
  }
  return vectors;
}

/** Rotates two lines of a square matrix: rows (`step` 1, `line` size) or columns (`step` size, `line` 1). */
function rotate(
  matrix: Float64Array,
  size: number,
  one: number,
  other: number,
  cosine: number,
  sine: number,
  step: number,
  line: number,
): void {
  for (let index = 0; index < size; index++) {
    const first = one * line + index * step;
    const second = other * line + index * step;
    const upper = matrix[first] as number;
    const lower = matrix[second] as number;
    matrix[first] = cosine * upper - sine * lower;
    matrix[second] = sine * upper + cosine * lower;
  }
}
