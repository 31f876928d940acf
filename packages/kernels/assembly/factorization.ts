// Blocked Cholesky factorisation and symmetric sweep. All heavy work is one micro-kernel: a tile of
// 4 x 8 sums held in eight registers, over operands packed in strips of eight rows:
// packed[(row / 8 * order + inner) * 8 + row % 8]. Orders are rounded up to a multiple of 8.

import { dotProduct } from './dense';

/** tile[4 x 8] = (subtract ? tile - : ) sum over inner of left[inner, 0..4] * right[inner, 0..8]. */
// @ts-ignore: decorator
@inline
export function multiplyTile(left: usize, right: usize, order: i32, tile: usize, stride: usize, subtract: bool): void {
  let sum00 = f32x4.splat(0);
  let sum01 = f32x4.splat(0);
  let sum10 = f32x4.splat(0);
  let sum11 = f32x4.splat(0);
  let sum20 = f32x4.splat(0);
  let sum21 = f32x4.splat(0);
  let sum30 = f32x4.splat(0);
  let sum31 = f32x4.splat(0);
  const end = left + (<usize>order << 5);
  while (left < end) {
    const right0 = v128.load(right);
    const right1 = v128.load(right, 16);
    let value = v128.load_splat<f32>(left);
    sum00 = f32x4.add(sum00, f32x4.mul(value, right0));
    sum01 = f32x4.add(sum01, f32x4.mul(value, right1));
    value = v128.load_splat<f32>(left, 4);
    sum10 = f32x4.add(sum10, f32x4.mul(value, right0));
    sum11 = f32x4.add(sum11, f32x4.mul(value, right1));
    value = v128.load_splat<f32>(left, 8);
    sum20 = f32x4.add(sum20, f32x4.mul(value, right0));
    sum21 = f32x4.add(sum21, f32x4.mul(value, right1));
    value = v128.load_splat<f32>(left, 12);
    sum30 = f32x4.add(sum30, f32x4.mul(value, right0));
    sum31 = f32x4.add(sum31, f32x4.mul(value, right1));
    left += 32;
    right += 32;
  }
  const tile1 = tile + stride;
  const tile2 = tile1 + stride;
  const tile3 = tile2 + stride;
  if (subtract) {
    v128.store(tile, f32x4.sub(v128.load(tile), sum00));
    v128.store(tile, f32x4.sub(v128.load(tile, 16), sum01), 16);
    v128.store(tile1, f32x4.sub(v128.load(tile1), sum10));
    v128.store(tile1, f32x4.sub(v128.load(tile1, 16), sum11), 16);
    v128.store(tile2, f32x4.sub(v128.load(tile2), sum20));
    v128.store(tile2, f32x4.sub(v128.load(tile2, 16), sum21), 16);
    v128.store(tile3, f32x4.sub(v128.load(tile3), sum30));
    v128.store(tile3, f32x4.sub(v128.load(tile3, 16), sum31), 16);
  } else {
    v128.store(tile, sum00);
    v128.store(tile, sum01, 16);
    v128.store(tile1, sum10);
    v128.store(tile1, sum11, 16);
    v128.store(tile2, sum20);
    v128.store(tile2, sum21, 16);
    v128.store(tile3, sum30);
    v128.store(tile3, sum31, 16);
  }
}

// @ts-ignore: decorator
@inline
function paddedOrder(order: i32): i32 {
  return (order + 7) & ~7;
}

/** Rows of the workspace block, doubles, from the lower triangle of the matrix. */
// @ts-ignore: decorator
@inline
function loadBlock(from: usize, stride: usize, order: i32, block: usize): void {
  for (let row = 0; row < order; row++) {
    for (let column = 0; column <= row; column++) {
      const value = <f64>load<f32>(from + <usize>row * stride + (<usize>column << 2));
      store<f64>(block + (<usize>(row * order + column) << 3), value);
      store<f64>(block + (<usize>(column * order + row) << 3), value);
    }
  }
}

/** target[0..count) -= factor * source[0..count), in doubles. */
// @ts-ignore: decorator
@inline
function subtractScaled(target: usize, source: usize, factor: f64, count: i32): void {
  const factors = f64x2.splat(factor);
  let rest = count;
  while (rest >= 4) {
    v128.store(target, f64x2.sub(v128.load(target), f64x2.mul(factors, v128.load(source))));
    v128.store(target, f64x2.sub(v128.load(target, 16), f64x2.mul(factors, v128.load(source, 16))), 16);
    target += 32;
    source += 32;
    rest -= 4;
  }
  while (rest > 0) {
    store<f64>(target, load<f64>(target) - factor * load<f64>(source));
    target += 8;
    source += 8;
    rest--;
  }
}

/** Packs an order x order block of doubles into float strips, zero-padded. */
function packBlock(block: usize, order: i32, packed: usize): void {
  const padded = paddedOrder(order);
  for (let row = 0; row < padded; row++) {
    for (let inner = 0; inner < padded; inner++) {
      const value: f64 = row < order && inner < order ? load<f64>(block + (<usize>(row * order + inner) << 3)) : 0;
      store<f32>(packed + (<usize>(((row >> 3) * padded + inner) * 8 + (row & 7)) << 2), <f32>value);
    }
  }
}

/**
 * Gauss-Jordan inversion in doubles without row exchanges. The pivots are those of the Cholesky
 * factorisation, so that all being positive proves the block (a Schur complement) positive definite.
 */
export function sweepPivot(
  matrix: usize,
  stride: i32,
  begin: i32,
  order: i32,
  inverse: usize,
  workspace: usize,
): i32 {
  const bytes = <usize>stride << 2;
  loadBlock(matrix + <usize>begin * bytes + (<usize>begin << 2), bytes, order, workspace);
  const rowBytes = <usize>order << 3;
  for (let pivot = 0; pivot < order; pivot++) {
    const pivotRow = workspace + <usize>pivot * rowBytes;
    const value = load<f64>(pivotRow + (<usize>pivot << 3));
    if (!(value > 0 && value < f64.POSITIVE_INFINITY)) return begin + pivot + 1;
    const reciprocal = 1.0 / value;
    store<f64>(pivotRow + (<usize>pivot << 3), 1);
    for (let column = 0; column < order; column++) {
      const at = pivotRow + (<usize>column << 3);
      store<f64>(at, load<f64>(at) * reciprocal);
    }
    for (let row = 0; row < order; row++) {
      if (row == pivot) continue;
      const target = workspace + <usize>row * rowBytes;
      const factor = load<f64>(target + (<usize>pivot << 3));
      store<f64>(target + (<usize>pivot << 3), 0);
      subtractScaled(target, pivotRow, factor, order);
    }
  }
  packBlock(workspace, order, inverse);
  return 0;
}

/** Packs W (columns of the block, for all rows of the strip) and multiplies it with the inverse. */
export function sweepPanel(
  matrix: usize,
  stride: i32,
  begin: i32,
  order: i32,
  inverse: usize,
  packed: usize,
  product: usize,
  rowBegin: i32,
  rowEnd: i32,
): i32 {
  const padded = paddedOrder(order);
  const bytes = <usize>stride << 2;
  for (let row = rowBegin; row < rowEnd; row += 8) {
    const strip = packed + (<usize>row * <usize>padded << 2);
    if (row > begin) packColumns(matrix + <usize>row * bytes + (<usize>begin << 2), bytes, padded, strip);
    else {
      // Above the block the panel is stored transposed, which is the packed order already.
      for (let inner = 0; inner < padded; inner++) {
        const at = matrix + <usize>(begin + inner) * bytes + (<usize>row << 2);
        const to = strip + (<usize>inner << 5);
        v128.store(to, v128.load(at));
        v128.store(to, v128.load(at, 16), 16);
      }
    }
    multiplyStrip(inverse, strip, padded, product + (<usize>row * <usize>padded << 2));
  }
  return rowEnd - rowBegin;
}

/** Packs eight rows of `padded` values into one strip (4 x 4 transpositions). */
// @ts-ignore: decorator
@inline
function packColumns(rows: usize, bytes: usize, padded: i32, strip: usize): void {
  for (let half = 0; half < 2; half++) {
    let at = rows + <usize>(half * 4) * bytes;
    let to = strip + (<usize>half << 4);
    for (let inner = 0; inner < padded; inner += 4) {
      const line0 = v128.load(at);
      const line1 = v128.load(at + bytes);
      const line2 = v128.load(at + 2 * bytes);
      const line3 = v128.load(at + 3 * bytes);
      const low01 = v128.shuffle<f32>(line0, line1, 0, 4, 1, 5);
      const high01 = v128.shuffle<f32>(line0, line1, 2, 6, 3, 7);
      const low23 = v128.shuffle<f32>(line2, line3, 0, 4, 1, 5);
      const high23 = v128.shuffle<f32>(line2, line3, 2, 6, 3, 7);
      v128.store(to, v128.shuffle<f32>(low01, low23, 0, 1, 4, 5));
      v128.store(to, v128.shuffle<f32>(low01, low23, 2, 3, 6, 7), 32);
      v128.store(to, v128.shuffle<f32>(high01, high23, 0, 1, 4, 5), 64);
      v128.store(to, v128.shuffle<f32>(high01, high23, 2, 3, 6, 7), 96);
      at += 16;
      to += 128;
    }
  }
}

/** product[column, 0..8] = sum over inner of square[column, inner] * strip[inner, 0..8]. */
// @ts-ignore: decorator
@inline
function multiplyStrip(square: usize, strip: usize, padded: i32, product: usize): void {
  for (let column = 0; column < padded; column += 8) {
    const left = square + (<usize>column * <usize>padded << 2);
    const tile = product + (<usize>column << 5);
    multiplyTile(left, strip, padded, tile, 32, false);
    multiplyTile(left + 16, strip, padded, tile + 128, 32, false);
  }
}

/**
 * Tiles of the lower triangle, eight rows from left to right: the matrix, which no cache holds, is walked along few lines
 * that the processor fetches ahead, and the packed strips are read in order. Tiles on the diagonal also write above it,
 * where nothing is read.
 */
export function rankUpdate(
  matrix: usize,
  stride: i32,
  order: i32,
  packed: usize,
  product: usize,
  rowBegin: i32,
  rowEnd: i32,
  columnBegin: i32,
  skipBegin: i32,
  skipEnd: i32,
): i32 {
  const padded = paddedOrder(order);
  const bytes = <usize>stride << 2;
  const stripBytes = <usize>padded << 5;
  for (let row = rowBegin; row < rowEnd; row += 8) {
    const left = product + (<usize>row >> 3) * stripBytes;
    for (let column = columnBegin; column <= row; column += 8) {
      if (column >= skipBegin && column < skipEnd) continue;
      const right = packed + (<usize>column >> 3) * stripBytes;
      const tile = matrix + <usize>row * bytes + (<usize>column << 2);
      multiplyTile(left, right, padded, tile, bytes, true);
      multiplyTile(left + 16, right, padded, tile + (bytes << 2), bytes, true);
    }
  }
  return rowEnd - rowBegin;
}

export function sweepStore(
  matrix: usize,
  stride: i32,
  begin: i32,
  order: i32,
  product: usize,
  rowBegin: i32,
  rowEnd: i32,
): i32 {
  const padded = paddedOrder(order);
  const bytes = <usize>stride << 2;
  for (let row = rowBegin; row < rowEnd; row += 8) {
    const strip = product + (<usize>row * <usize>padded << 2);
    if (row > begin) unpackColumns(strip, padded, matrix + <usize>row * bytes + (<usize>begin << 2), bytes);
    else {
      for (let inner = 0; inner < padded; inner++) {
        const to = matrix + <usize>(begin + inner) * bytes + (<usize>row << 2);
        const at = strip + (<usize>inner << 5);
        v128.store(to, v128.load(at));
        v128.store(to, v128.load(at, 16), 16);
      }
    }
  }
  return rowEnd - rowBegin;
}

/** The reverse of `packColumns`. */
// @ts-ignore: decorator
@inline
function unpackColumns(strip: usize, padded: i32, rows: usize, bytes: usize): void {
  for (let half = 0; half < 2; half++) {
    let to = rows + <usize>(half * 4) * bytes;
    let at = strip + (<usize>half << 4);
    for (let inner = 0; inner < padded; inner += 4) {
      const line0 = v128.load(at);
      const line1 = v128.load(at, 32);
      const line2 = v128.load(at, 64);
      const line3 = v128.load(at, 96);
      const low01 = v128.shuffle<f32>(line0, line1, 0, 4, 1, 5);
      const high01 = v128.shuffle<f32>(line0, line1, 2, 6, 3, 7);
      const low23 = v128.shuffle<f32>(line2, line3, 0, 4, 1, 5);
      const high23 = v128.shuffle<f32>(line2, line3, 2, 6, 3, 7);
      v128.store(to, v128.shuffle<f32>(low01, low23, 0, 1, 4, 5));
      v128.store(to + bytes, v128.shuffle<f32>(low01, low23, 2, 3, 6, 7));
      v128.store(to + 2 * bytes, v128.shuffle<f32>(high01, high23, 0, 1, 4, 5));
      v128.store(to + 3 * bytes, v128.shuffle<f32>(high01, high23, 2, 3, 6, 7));
      to += 16;
      at += 128;
    }
  }
}

export function sweepStorePivot(matrix: usize, stride: i32, begin: i32, order: i32, inverse: usize): i32 {
  const padded = paddedOrder(order);
  for (let row = 0; row < order; row++) {
    for (let column = 0; column < order; column++) {
      const value = load<f32>(inverse + (<usize>(((row >> 3) * padded + column) * 8 + (row & 7)) << 2));
      store<f32>(matrix + ((<usize>(begin + row) * <usize>stride + <usize>(begin + column)) << 2), -value);
    }
  }
  return order;
}

/** Eliminates [block | identity] in doubles; what the identity became is the factor's inverse. */
export function choleskyPivot(
  matrix: usize,
  stride: i32,
  begin: i32,
  order: i32,
  inverse: usize,
  workspace: usize,
): i32 {
  const bytes = <usize>stride << 2;
  const from = matrix + <usize>begin * bytes + (<usize>begin << 2);
  const rowBytes = <usize>order << 3;
  const identity = workspace + <usize>order * rowBytes;
  loadBlock(from, bytes, order, workspace);
  memory.fill(identity, 0, <usize>order * rowBytes);
  for (let row = 0; row < order; row++) store<f64>(identity + <usize>row * rowBytes + (<usize>row << 3), 1);
  for (let pivot = 0; pivot < order; pivot++) {
    const pivotRow = workspace + <usize>pivot * rowBytes;
    const value = load<f64>(pivotRow + (<usize>pivot << 3));
    if (!(value > 0 && value < f64.POSITIVE_INFINITY)) return begin + pivot + 1;
    const root = Math.sqrt(value);
    store<f32>(from + <usize>pivot * bytes + (<usize>pivot << 2), <f32>root);
    for (let row = pivot + 1; row < order; row++) {
      const target = workspace + <usize>row * rowBytes;
      // The block is symmetric until it is eliminated: its row holds this column's multipliers.
      const entry = load<f64>(pivotRow + (<usize>row << 3));
      const factor = entry / value;
      store<f32>(from + <usize>row * bytes + (<usize>pivot << 2), <f32>(entry / root));
      subtractScaled(target + (<usize>row << 3), pivotRow + (<usize>row << 3), factor, order - row);
      subtractScaled(identity + <usize>row * rowBytes, identity + <usize>pivot * rowBytes, factor, pivot + 1);
    }
  }
  // The pivots were left in place; their roots scale the rows of the inverse.
  for (let row = 0; row < order; row++) {
    const value = load<f64>(workspace + <usize>row * rowBytes + (<usize>row << 3));
    const factor = 1 / Math.sqrt(value);
    for (let column = 0; column <= row; column++) {
      const at = identity + <usize>row * rowBytes + (<usize>column << 3);
      store<f64>(at, load<f64>(at) * factor);
    }
  }
  packBlock(identity, order, inverse);
  return 0;
}

export function choleskyPanel(
  matrix: usize,
  stride: i32,
  begin: i32,
  order: i32,
  inverse: usize,
  packed: usize,
  product: usize,
  rowBegin: i32,
  rowEnd: i32,
): i32 {
  const padded = paddedOrder(order);
  const bytes = <usize>stride << 2;
  for (let row = rowBegin; row < rowEnd; row += 8) {
    const offset = <usize>row * <usize>padded << 2;
    const from = matrix + <usize>row * bytes + (<usize>begin << 2);
    packColumns(from, bytes, padded, packed + offset);
    multiplyStrip(inverse, packed + offset, padded, product + offset);
    memory.copy(packed + offset, product + offset, <usize>padded << 5);
    unpackColumns(product + offset, padded, from, bytes);
  }
  return rowEnd - rowBegin;
}

export function choleskySolve(factor: usize, stride: i32, size: i32, rightHandSides: usize, count: i32): i32 {
  const bytes = <usize>stride << 2;
  for (let index = 0; index < count; index++) {
    for (let row = 0; row < size; row++) {
      const line = factor + <usize>row * bytes;
      const at = rightHandSides + (<usize>row << 2);
      store<f32>(at, (load<f32>(at) - dotProduct(line, rightHandSides, row)) / load<f32>(line + (<usize>row << 2)));
    }
    for (let row = size - 1; row >= 0; row--) {
      const line = factor + <usize>row * bytes;
      const at = rightHandSides + (<usize>row << 2);
      const value = load<f32>(at) / load<f32>(line + (<usize>row << 2));
      store<f32>(at, value);
      const values = f32x4.splat(value);
      let column = 0;
      while (column + 4 <= row) {
        const to = rightHandSides + (<usize>column << 2);
        v128.store(to, f32x4.sub(v128.load(to), f32x4.mul(values, v128.load(line + (<usize>column << 2)))));
        column += 4;
      }
      while (column < row) {
        const to = rightHandSides + (<usize>column << 2);
        store<f32>(to, load<f32>(to) - value * load<f32>(line + (<usize>column << 2)));
        column++;
      }
    }
    rightHandSides += <usize>size << 2;
  }
  return count;
}
