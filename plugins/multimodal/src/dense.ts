import { type SparseMatrix, sparseDenseProduct } from '@recloom/kernels';
import type { Compute } from '@recloom/plugin-api';

/** Where long numeric work runs, and what stops it. */
export interface Work {
  readonly compute: Compute;
  readonly signal: AbortSignal;
}

/** Rows of the left matrix per product, which bounds the memory for its copy. */
const rowsPerSlice = 1024;
/** Long loops on this thread let the event loop turn after so many multiplications. */
const turnAfterProducts = 20_000_000;

/** A dense matrix in sparse form, without its zeros: what the kernels multiply from the left. */
function asSparse(dense: Float32Array, begin: number, end: number, width: number): SparseMatrix {
  const rowOffsets = new Int32Array(end - begin + 1);
  const columnIndices = new Int32Array((end - begin) * width);
  const values = new Float32Array((end - begin) * width);
  let length = 0;
  for (let row = begin; row < end; row++) {
    for (let column = 0; column < width; column++) {
      const value = dense[row * width + column] as number;
      if (value === 0) continue;
      columnIndices[length] = column;
      values[length++] = value;
    }
    rowOffsets[row - begin + 1] = length;
  }
  return {
    rowCount: end - begin,
    columnCount: width,
    rowOffsets,
    columnIndices: columnIndices.subarray(0, length),
    values: values.subarray(0, length),
  };
}

/**
 * The product (rows × width, row-major, new) of a dense matrix (rows × inner) and another (inner × width), on the pool. A
 * row of the result depends on that row of `left` alone, to the bit.
 *
 * @throws RECLOOM_KRN_OUT_OF_MEMORY
 */
export async function denseProduct(
  left: Float32Array,
  inner: number,
  right: Float32Array,
  width: number,
  work: Work,
): Promise<Float32Array> {
  const rowCount = left.length / inner;
  const product = new Float32Array(rowCount * width);
  for (let begin = 0; begin < rowCount; begin += rowsPerSlice) {
    const end = Math.min(rowCount, begin + rowsPerSlice);
    const slice = asSparse(left, begin, end, inner);
    await sparseDenseProduct(slice, right, width, { ...work, output: product.subarray(begin * width, end * width) });
  }
  return product;
}

/** The transposed matrix (width × rows), new. */
export function transpose(matrix: Float32Array, width: number): Float32Array {
  const rowCount = matrix.length / width;
  const transposed = new Float32Array(matrix.length);
  for (let row = 0; row < rowCount; row++) {
    for (let column = 0; column < width; column++) transposed[column * rowCount + row] = matrix[row * width + column] as number;
  }
  return transposed;
}

/** Matrixᵀ × matrix (width × width, float64), summed over rows in their order; lets the event loop turn. */
export async function gramOf(matrix: Float32Array, width: number, signal: AbortSignal): Promise<Float64Array> {
  const gram = new Float64Array(width * width);
  const rowCount = matrix.length / width;
  const row = new Float64Array(width);
  let products = 0;
  for (let index = 0; index < rowCount; index++) {
    for (let column = 0; column < width; column++) row[column] = matrix[index * width + column] as number;
    for (let left = 0; left < width; left++) {
      const value = row[left] as number;
      if (value === 0) continue;
      const start = left * width;
      for (let right = 0; right <= left; right++) gram[start + right] = (gram[start + right] as number) + value * (row[right] as number);
    }
    products += (width * width) / 2;
    if (products > turnAfterProducts) {
      products = 0;
      await turn(signal);
    }
  }
  for (let left = 0; left < width; left++) {
    for (let right = 0; right < left; right++) gram[right * width + left] = gram[left * width + right] as number;
  }
  return gram;
}

/**
 * Makes the columns of a matrix (rows × width) orthonormal in place, by Cholesky in float64, twice (Yamamoto 2015,
 * CholeskyQR2). A column that depends on those before it becomes zero.
 */
export async function orthonormalise(matrix: Float32Array, width: number, signal: AbortSignal): Promise<void> {
  const rowCount = matrix.length / width;
  const solved = new Float64Array(width);
  for (let pass = 0; pass < 2; pass++) {
    const factor = await gramOf(matrix, width, signal);
    const scale = Float64Array.from({ length: width }, (_, column) => factor[column * width + column] as number);
    const dropped = new Uint8Array(width);
    for (let row = 0; row < width; row++) {
      for (let column = 0; column <= row; column++) {
        let sum = factor[row * width + column] as number;
        for (let inner = 0; inner < column; inner++) {
          sum -= (factor[row * width + inner] as number) * (factor[column * width + inner] as number);
        }
        if (column < row) factor[row * width + column] = dropped[column] === 1 ? 0 : sum / (factor[column * width + column] as number);
        else if (sum > 1e-11 * (scale[row] as number) && sum > 1e-30) factor[row * width + row] = Math.sqrt(sum);
        else dropped[row] = 1;
      }
    }
    let products = 0;
    for (let index = 0; index < rowCount; index++) {
      const start = index * width;
      for (let column = 0; column < width; column++) {
        let sum = matrix[start + column] as number;
        const at = column * width;
        for (let inner = 0; inner < column; inner++) sum -= (factor[at + inner] as number) * (solved[inner] as number);
        solved[column] = dropped[column] === 1 ? 0 : sum / (factor[at + column] as number);
      }
      matrix.set(solved, start);
      products += (width * width) / 2;
      if (products > turnAfterProducts) {
        products = 0;
        await turn(signal);
      }
    }
  }
}

/** Lets the event loop turn. @throws the signal's reason once it is aborted. */
export async function turn(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
  signal.throwIfAborted();
}
