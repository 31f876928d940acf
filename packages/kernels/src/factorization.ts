import { perform, type WorkOptions } from './compute.js';
import { KernelError, requireShape } from './kernel-error.js';
import { panelPadding, pivotWorkspaceBytes, stripColumns } from './kernel-table.js';
import type { Kernels } from './kernels.js';
import { type Plan, splitRows, type Task } from './plan.js';
import { Staging } from './staging.js';

/** Rows and columns per diagonal block; part of the result's rounding, so it is never tuned at run time. */
const blockOrder = 128;
const updateShards = 12;
const panelShards = 8;

export interface FactorizationOptions {
  /** Receives the result (size x size); may be the input itself. */
  readonly output?: Float32Array | undefined;
}

/**
 * The smallest size from `size` on at which `invertPositiveDefinite` needs no second matrix: there, a resident matrix that
 * is its own output is inverted where it lies. Fill up with rows of the unit matrix.
 */
export function inPlaceSize(size: number): number {
  const paddedRows = Math.ceil(size / panelPadding) * panelPadding;
  return strideOf(paddedRows);
}

/** An odd number of cache lines per row, or the rows of a tile would compete for the same cache set. */
function strideOf(paddedRows: number): number {
  return (paddedRows / panelPadding) % 2 === 0 ? paddedRows + panelPadding : paddedRows;
}

/**
 * The inverse of a symmetric positive definite matrix (size x size, row-major, float32; only the
 * lower triangle is read), by a blocked symmetric sweep: size^3 floating point operations, diagonal
 * blocks inverted through Cholesky in float64. The result is symmetric.
 * @throws RECLOOM_KRN_NOT_POSITIVE_DEFINITE, RECLOOM_KRN_SHAPE, RECLOOM_KRN_OUT_OF_MEMORY
 */
export function invertPositiveDefinite(
  matrix: Float32Array,
  size: number,
  options: FactorizationOptions & WorkOptions = {},
): Promise<Float32Array> {
  return perform(options, (kernels) => inversePlan(kernels, matrix, size, options));
}

/** `invertPositiveDefinite` on this thread. */
export function invertPositiveDefiniteNow(
  kernels: Kernels,
  matrix: Float32Array,
  size: number,
  options: FactorizationOptions = {},
): Float32Array {
  return kernels.runPlan(inversePlan(kernels, matrix, size, options));
}

/**
 * The lower Cholesky factor L (size x size, zeros above the diagonal) with L L^T = matrix, of a
 * symmetric positive definite matrix of which only the lower triangle is read. For `choleskySolve`.
 * @throws RECLOOM_KRN_NOT_POSITIVE_DEFINITE, RECLOOM_KRN_SHAPE, RECLOOM_KRN_OUT_OF_MEMORY
 */
export function choleskyFactor(
  matrix: Float32Array,
  size: number,
  options: FactorizationOptions & WorkOptions = {},
): Promise<Float32Array> {
  return perform(options, (kernels) => choleskyPlan(kernels, matrix, size, options));
}

/** `choleskyFactor` on this thread. */
export function choleskyFactorNow(kernels: Kernels, matrix: Float32Array, size: number, options: FactorizationOptions = {}): Float32Array {
  return kernels.runPlan(choleskyPlan(kernels, matrix, size, options));
}

interface Workspace {
  readonly output: Float32Array;
  /** The work is done in the output itself. */
  readonly inPlace: boolean;
  readonly paddedRows: number;
  readonly stride: number;
  readonly matrix: number;
  readonly inverse: number;
  readonly packed: number;
  readonly product: number;
  readonly pivot: number;
}

/**
 * A zero-padded copy of the matrix, so that the micro-kernels never meet a partial tile, and room for
 * one panel.
 */
function openWorkspace(
  kernels: Kernels,
  staging: Staging,
  matrix: Float32Array,
  size: number,
  options: FactorizationOptions,
  mayWorkInPlace: boolean,
): Workspace {
  requireShape(Number.isInteger(size) && size >= 0, () => `The size ${size} is not a whole number of at least 0.`);
  requireShape(matrix.length === size * size, () => `The matrix has ${matrix.length} values, not ${size * size}.`);
  const output = options.output ?? new Float32Array(size * size);
  requireShape(output.length === size * size, () => `The output has ${output.length} values, not ${size * size}.`);
  const paddedRows = Math.ceil(size / panelPadding) * panelPadding;
  const stride = strideOf(paddedRows);
  const inPlace = mayWorkInPlace && size > 0 && stride === size && matrix === output && kernels.isResident(matrix);
  const address = inPlace ? matrix.byteOffset : staging.take(paddedRows * stride * 4, true);
  if (!inPlace) {
    const copy = new Float32Array(kernels.memory.buffer, address, paddedRows * stride);
    for (let row = 0; row < size; row++) {
      copy.set(matrix.subarray(row * size, row * size + row + 1), row * stride);
    }
  }
  return {
    output,
    inPlace,
    paddedRows,
    stride,
    matrix: address,
    inverse: staging.take(blockOrder * blockOrder * 4, true),
    packed: staging.take(paddedRows * blockOrder * 4, true),
    product: staging.take(paddedRows * blockOrder * 4, true),
    pivot: staging.take(pivotWorkspaceBytes(blockOrder)),
  };
}

function requirePivot(answer: number | undefined): void {
  if (answer !== undefined && answer > 0) {
    throw new KernelError(
      'RECLOOM_KRN_NOT_POSITIVE_DEFINITE',
      `The matrix is not positive definite: pivot ${answer - 1} is not positive.`,
      { hint: 'Raise the regularisation (the constant added to the diagonal), and check for NaN.' },
    );
  }
}

/** Splits rows outside [skipBegin, skipEnd) into shards. */
function shardRows(rows: number, shards: number, skipBegin: number, skipEnd: number, cost: (row: number) => number): [number, number][] {
  const ranges: [number, number][] = [];
  for (const [begin, end] of splitRows(rows, shards, stripColumns, cost)) {
    if (begin < skipBegin) ranges.push([begin, Math.min(end, skipBegin)]);
    if (end > skipEnd) ranges.push([Math.max(begin, skipEnd), end]);
  }
  return ranges;
}

function* inversePlan(kernels: Kernels, matrix: Float32Array, size: number, options: FactorizationOptions): Plan<Float32Array> {
  const staging = new Staging(kernels);
  try {
    const work = openWorkspace(kernels, staging, matrix, size, options, true);
    const { stride, paddedRows, inverse, packed, product } = work;
    for (let begin = 0; begin < size; begin += blockOrder) {
      const order = Math.min(blockOrder, size - begin);
      const end = begin + Math.ceil(order / stripColumns) * stripColumns;
      const [failure] = yield [{ kernel: 'sweepPivot', parameters: [work.matrix, stride, begin, order, inverse, work.pivot] }];
      requirePivot(failure);
      const panels = shardRows(paddedRows, panelShards, begin, end, (row) => row);
      const updates = shardRows(paddedRows, updateShards, begin, end, (row) => row * (row + 1));
      yield panels.map(
        ([first, last]): Task => ({
          kernel: 'sweepPanel',
          parameters: [work.matrix, stride, begin, order, inverse, packed, product, first, last],
        }),
      );
      // Large shards first, so that no thread is left with a long one at the end.
      yield updates.reverse().map(
        ([first, last]): Task => ({
          kernel: 'rankUpdate',
          parameters: [work.matrix, stride, order, packed, product, first, last, 0, begin, end],
        }),
      );
      yield [
        ...panels.map(
          ([first, last]): Task => ({
            kernel: 'sweepStore',
            parameters: [work.matrix, stride, begin, order, product, first, last],
          }),
        ),
        { kernel: 'sweepStorePivot', parameters: [work.matrix, stride, begin, order, inverse] },
      ];
    }
    // The sweep leaves minus the inverse. In place the sign is turned first: mirroring reads what other tasks would turn.
    if (work.inPlace) negateLower(work.output, size);
    const to = staging.output(work.output);
    yield splitRows(size, 16, 1, (row) => row).map(
      ([first, last]): Task => ({
        kernel: 'mirrorLower',
        parameters: [work.matrix, stride, to, size, size, first, last, work.inPlace ? 1 : -1],
      }),
    );
    return staging.deliver(work.output, to);
  } finally {
    staging.free();
  }
}

function negateLower(matrix: Float32Array, size: number): void {
  for (let row = 0; row < size; row++) {
    const start = row * size;
    for (let at = start; at <= start + row; at++) matrix[at] = -(matrix[at] as number);
  }
}

function* choleskyPlan(kernels: Kernels, matrix: Float32Array, size: number, options: FactorizationOptions): Plan<Float32Array> {
  const staging = new Staging(kernels);
  try {
    const work = openWorkspace(kernels, staging, matrix, size, options, false);
    const { stride, paddedRows, inverse, packed, product, output } = work;
    for (let begin = 0; begin < size; begin += blockOrder) {
      const order = Math.min(blockOrder, size - begin);
      const [failure] = yield [{ kernel: 'choleskyPivot', parameters: [work.matrix, stride, begin, order, inverse, work.pivot] }];
      requirePivot(failure);
      const end = begin + order;
      if (end >= size) break;
      const below = paddedRows - end;
      yield splitRows(below, panelShards, stripColumns, (row) => row).map(
        ([first, last]): Task => ({
          kernel: 'choleskyPanel',
          parameters: [work.matrix, stride, begin, order, inverse, packed, product, end + first, end + last],
        }),
      );
      yield splitRows(below, updateShards, stripColumns, (row) => row * (row + 1))
        .reverse()
        .map(
          ([first, last]): Task => ({
            kernel: 'rankUpdate',
            parameters: [work.matrix, stride, order, packed, product, end + first, end + last, end, 0, 0],
          }),
        );
    }
    const factor = new Float32Array(kernels.memory.buffer, work.matrix, paddedRows * stride);
    for (let row = 0; row < size; row++) {
      output.set(factor.subarray(row * stride, row * stride + row + 1), row * size);
      output.fill(0, row * size + row + 1, (row + 1) * size);
    }
    return output;
  } finally {
    staging.free();
  }
}
