// Alternating least squares. A row's system (G + reg I + sum of weight * y y^T) x = sum of target * y is solved in a basis
// in which G + reg I is diagonal (`alsBasis`), so that a step of the conjugate gradients costs two passes over the row's
// entries and nothing of the order width^2, and is preconditioned by everything that rows share. Solutions stay in that
// basis: the next half's Gram matrix and basis are worked out there, so that no half pays for the way back.

import { solveDirectly, sumFour } from './als-direct';
import { sumLanes } from './dense';

/** Rows of at most so many entries are solved directly: above it, steps cost less. */
const directEntries: i32 = 24;

/** Rows of factors between two additions to a Gram matrix: few enough that none drives another out of the first-level cache. */
const gramBlock: i32 = 32;
/** Rows that are transformed together. */
const solveBlock: i32 = 16;

/** output[4 x 8] = rows[4] times a packed strip of eight columns; rows and outputs lie `bytes` apart. */
// @ts-ignore: decorator
@inline
function transformTile(from: usize, bytes: usize, strip: usize, end: i32, output: usize): void {
  let sum00 = f32x4.splat(0);
  let sum01 = f32x4.splat(0);
  let sum10 = f32x4.splat(0);
  let sum11 = f32x4.splat(0);
  let sum20 = f32x4.splat(0);
  let sum21 = f32x4.splat(0);
  let sum30 = f32x4.splat(0);
  let sum31 = f32x4.splat(0);
  let at = from;
  const last = from + (<usize>end << 2);
  while (at < last) {
    const right0 = v128.load(strip);
    const right1 = v128.load(strip, 16);
    let value = v128.load_splat<f32>(at);
    sum00 = f32x4.add(sum00, f32x4.mul(value, right0));
    sum01 = f32x4.add(sum01, f32x4.mul(value, right1));
    value = v128.load_splat<f32>(at + bytes);
    sum10 = f32x4.add(sum10, f32x4.mul(value, right0));
    sum11 = f32x4.add(sum11, f32x4.mul(value, right1));
    value = v128.load_splat<f32>(at + 2 * bytes);
    sum20 = f32x4.add(sum20, f32x4.mul(value, right0));
    sum21 = f32x4.add(sum21, f32x4.mul(value, right1));
    value = v128.load_splat<f32>(at + 3 * bytes);
    sum30 = f32x4.add(sum30, f32x4.mul(value, right0));
    sum31 = f32x4.add(sum31, f32x4.mul(value, right1));
    at += 4;
    strip += 32;
  }
  v128.store(output, sum00);
  v128.store(output, sum01, 16);
  v128.store(output + bytes, sum10);
  v128.store(output + bytes, sum11, 16);
  v128.store(output + 2 * bytes, sum20);
  v128.store(output + 2 * bytes, sum21, 16);
  v128.store(output + 3 * bytes, sum30);
  v128.store(output + 3 * bytes, sum31, 16);
}

/** The same for one row: the same sums in the same order. */
// @ts-ignore: decorator
@inline
function transformRow(from: usize, strip: usize, end: i32, output: usize): void {
  let sum0 = f32x4.splat(0);
  let sum1 = f32x4.splat(0);
  let at = from;
  const last = from + (<usize>end << 2);
  while (at < last) {
    const value = v128.load_splat<f32>(at);
    sum0 = f32x4.add(sum0, f32x4.mul(value, v128.load(strip)));
    sum1 = f32x4.add(sum1, f32x4.mul(value, v128.load(strip, 16)));
    at += 4;
    strip += 32;
  }
  v128.store(output, sum0);
  v128.store(output, sum1, 16);
}

/** `count` rows times a packed matrix; `upper`: nothing lies below its diagonal. */
function transform(from: usize, count: i32, stride: i32, packed: usize, upper: bool, output: usize): void {
  const bytes = <usize>stride << 2;
  for (let column = 0; column < stride; column += 8) {
    const strip = packed + (<usize>column * <usize>stride << 2);
    const end = upper ? column + 8 : stride;
    let row = 0;
    for (; row + 4 <= count; row += 4) {
      const at = <usize>row * bytes;
      transformTile(from + at, bytes, strip, end, output + at + (<usize>column << 2));
    }
    for (; row < count; row++) {
      const at = <usize>row * bytes;
      transformRow(from + at, strip, end, output + at + (<usize>column << 2));
    }
  }
}

export function alsTransformRows(
  factors: usize,
  stride: i32,
  packed: usize,
  upper: i32,
  rowBegin: i32,
  rowEnd: i32,
  output: usize,
): i32 {
  const bytes = <usize>stride << 2;
  for (let row = rowBegin; row < rowEnd; row += solveBlock) {
    const at = <usize>row * bytes;
    transform(factors + at, min(solveBlock, rowEnd - row), stride, packed, upper != 0, output + at);
  }
  return rowEnd - rowBegin;
}

/** tile[4 x 8] += sum over rows of row[0..4] (x) row[column - line ..][0..8]. */
// @ts-ignore: decorator
@inline
function gramTile(left: usize, right: usize, bytes: usize, count: i32, tile: usize): void {
  let sum00 = f32x4.splat(0);
  let sum01 = f32x4.splat(0);
  let sum10 = f32x4.splat(0);
  let sum11 = f32x4.splat(0);
  let sum20 = f32x4.splat(0);
  let sum21 = f32x4.splat(0);
  let sum30 = f32x4.splat(0);
  let sum31 = f32x4.splat(0);
  for (let row = 0; row < count; row++) {
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
    left += bytes;
    right += bytes;
  }
  const tile1 = tile + bytes;
  const tile2 = tile1 + bytes;
  const tile3 = tile2 + bytes;
  v128.store(tile, f32x4.add(v128.load(tile), sum00));
  v128.store(tile, f32x4.add(v128.load(tile, 16), sum01), 16);
  v128.store(tile1, f32x4.add(v128.load(tile1), sum10));
  v128.store(tile1, f32x4.add(v128.load(tile1, 16), sum11), 16);
  v128.store(tile2, f32x4.add(v128.load(tile2), sum20));
  v128.store(tile2, f32x4.add(v128.load(tile2, 16), sum21), 16);
  v128.store(tile3, f32x4.add(v128.load(tile3), sum30));
  v128.store(tile3, f32x4.add(v128.load(tile3, 16), sum31), 16);
}

/** Tiles of the lower triangle; those on the diagonal also write above it. */
export function alsGramRows(factors: usize, stride: i32, rowBegin: i32, rowEnd: i32, output: usize): i32 {
  const bytes = <usize>stride << 2;
  memory.fill(output, 0, <usize>stride * bytes);
  for (let row = rowBegin; row < rowEnd; row += gramBlock) {
    const count = min(gramBlock, rowEnd - row);
    const rows = factors + <usize>row * bytes;
    for (let line = 0; line < stride; line += 4) {
      for (let column = 0; column <= line; column += 8) {
        const tile = output + <usize>line * bytes + (<usize>column << 2);
        gramTile(rows + (<usize>line << 2), rows + (<usize>column << 2), bytes, count, tile);
      }
    }
  }
  return rowEnd - rowBegin;
}

/** Zeros; `memory.fill` would leave the module for a few dozen bytes. */
// @ts-ignore: decorator
@inline
function clear(begin: usize, bytes: usize): void {
  const zero = f32x4.splat(0);
  for (let at: usize = 0; at < bytes; at += 16) v128.store(begin + at, zero);
}

/** The weights of up to four entries. */
// @ts-ignore: decorator
@inline
function weightsOf(values: usize, rest: i32, uniform: f32): v128 {
  let weights = f32x4.splat(uniform);
  if (values != 0) {
    if (rest > 3) return v128.load(values);
    weights = v128.load32_zero(values);
    if (rest > 1) weights = f32x4.replace_lane(weights, 1, load<f32>(values, 4));
    if (rest > 2) weights = f32x4.replace_lane(weights, 2, load<f32>(values, 8));
  }
  return weights;
}

/** Zeros the lanes past `rest`. */
// @ts-ignore: decorator
@inline
function cutLanes(values: v128, rest: i32): v128 {
  if (rest < 4) {
    values = f32x4.replace_lane(values, 3, 0);
    if (rest < 3) values = f32x4.replace_lane(values, 2, 0);
    if (rest < 2) values = f32x4.replace_lane(values, 1, 0);
  }
  return values;
}

/** output += factors[0..4] times four rows. */
// @ts-ignore: decorator
@inline
function addFour(factors: v128, first: usize, second: usize, third: usize, fourth: usize, bytes: usize, output: usize): void {
  const factor0 = v128.shuffle<f32>(factors, factors, 0, 0, 0, 0);
  const factor1 = v128.shuffle<f32>(factors, factors, 1, 1, 1, 1);
  const factor2 = v128.shuffle<f32>(factors, factors, 2, 2, 2, 2);
  const factor3 = v128.shuffle<f32>(factors, factors, 3, 3, 3, 3);
  for (let at: usize = 0; at < bytes; at += 16) {
    const low = f32x4.add(f32x4.mul(factor0, v128.load(first + at)), f32x4.mul(factor1, v128.load(second + at)));
    const high = f32x4.add(f32x4.mul(factor2, v128.load(third + at)), f32x4.mul(factor3, v128.load(fourth + at)));
    v128.store(output + at, f32x4.add(v128.load(output + at), f32x4.add(low, high)));
  }
}

/** output = sum over the entries of (weight + offset) y. */
function addTargets(
  indices: usize,
  values: usize,
  count: i32,
  uniform: f32,
  offset: f32,
  sources: usize,
  bytes: usize,
  output: usize,
): void {
  clear(output, bytes);
  const offsets = f32x4.splat(offset);
  for (let rest = count; rest > 0; rest -= 4) {
    const first = sources + <usize>load<u32>(indices) * bytes;
    const second = rest > 1 ? sources + <usize>load<u32>(indices, 4) * bytes : first;
    const third = rest > 2 ? sources + <usize>load<u32>(indices, 8) * bytes : first;
    const fourth = rest > 3 ? sources + <usize>load<u32>(indices, 12) * bytes : first;
    const factors = cutLanes(f32x4.add(weightsOf(values, rest, uniform), offsets), rest);
    addFour(factors, first, second, third, fourth, bytes, output);
    indices += 16;
    if (values != 0) values += 16;
  }
}

/** output = sum over the entries of weight * (y . direction) y. */
function addOuterProducts(
  indices: usize,
  values: usize,
  count: i32,
  uniform: f32,
  sources: usize,
  bytes: usize,
  direction: usize,
  output: usize,
): void {
  clear(output, bytes);
  for (let rest = count; rest > 0; rest -= 4) {
    const first = sources + <usize>load<u32>(indices) * bytes;
    const second = rest > 1 ? sources + <usize>load<u32>(indices, 4) * bytes : first;
    const third = rest > 2 ? sources + <usize>load<u32>(indices, 8) * bytes : first;
    const fourth = rest > 3 ? sources + <usize>load<u32>(indices, 12) * bytes : first;
    let dot0 = f32x4.splat(0);
    let dot1 = f32x4.splat(0);
    let dot2 = f32x4.splat(0);
    let dot3 = f32x4.splat(0);
    for (let at: usize = 0; at < bytes; at += 16) {
      const value = v128.load(direction + at);
      dot0 = f32x4.add(dot0, f32x4.mul(v128.load(first + at), value));
      dot1 = f32x4.add(dot1, f32x4.mul(v128.load(second + at), value));
      dot2 = f32x4.add(dot2, f32x4.mul(v128.load(third + at), value));
      dot3 = f32x4.add(dot3, f32x4.mul(v128.load(fourth + at), value));
    }
    const factors = f32x4.mul(weightsOf(values, rest, uniform), sumFour(dot0, dot1, dot2, dot3));
    addFour(cutLanes(factors, rest), first, second, third, fourth, bytes, output);
    indices += 16;
    if (values != 0) values += 16;
  }
}

/**
 * Solves rows [rowBegin, rowEnd) in the basis of `sources`: directly where they have few entries, else by conjugate
 * gradients preconditioned by the diagonal. Those end when a row's error, measured in the norm of the diagonal, is proven
 * to be at most `tolerance` of the solution: the system is at least the diagonal, so the error is at most the residual in
 * the dual norm.
 */
export function alsSolveRows(
  rowOffsets: usize,
  columnIndices: usize,
  values: usize,
  uniform: f32,
  offset: f32,
  sources: usize,
  stride: i32,
  base: usize,
  regularizations: usize,
  tolerance: f32,
  mostSteps: i32,
  rowBegin: i32,
  rowEnd: i32,
  workspace: usize,
  factors: usize,
  gram: usize,
): i32 {
  const bytes = <usize>stride << 2;
  const diagonal = workspace;
  const inverse = diagonal + bytes;
  const residual = inverse + bytes;
  const direction = residual + bytes;
  const image = direction + bytes;
  const direct = image + bytes;
  const limit = tolerance * tolerance;
  const plain = values == 0 && uniform == 0;
  let steps = 0;
  let finite = true;
  if (regularizations == 0) loadDiagonal(base, 0, bytes, diagonal, inverse);
  const unit = regularizations == 0 && isUnit(base, bytes);
  for (let row = rowBegin; row < rowEnd; row++) {
    const solution = factors + <usize>row * bytes;
    const entry = load<u32>(rowOffsets + (<usize>row << 2));
    const entries = <i32>(load<u32>(rowOffsets + (<usize>(row + 1) << 2)) - entry);
    if (entries == 0) {
      clear(solution, bytes);
      continue;
    }
    const indices = columnIndices + (<usize>entry << 2);
    const weights = values == 0 ? 0 : values + (<usize>entry << 2);
    if (regularizations != 0) loadDiagonal(base, load<f32>(regularizations + (<usize>row << 2)), bytes, diagonal, inverse);
    if (!plain && entries <= directEntries) {
      if (solveDirectly(indices, weights, entries, uniform, offset, sources, bytes, unit ? 0 : inverse, tolerance, direct, solution)) continue;
    }
    addTargets(indices, weights, entries, uniform, offset, sources, bytes, residual);
    if (plain) {
      let total = f32x4.splat(0);
      for (let at: usize = 0; at < bytes; at += 16) {
        const value = f32x4.mul(v128.load(inverse + at), v128.load(residual + at));
        v128.store(solution + at, value);
        total = f32x4.add(total, f32x4.abs(value));
      }
      if (!(sumLanes(total) < f32.MAX_VALUE)) finite = false;
      continue;
    }
    clear(solution, bytes);
    let sums = f32x4.splat(0);
    for (let at: usize = 0; at < bytes; at += 16) {
      const value = v128.load(residual + at);
      const preconditioned = f32x4.mul(value, v128.load(inverse + at));
      v128.store(direction + at, preconditioned);
      sums = f32x4.add(sums, f32x4.mul(value, preconditioned));
    }
    let error = sumLanes(sums);
    let norm: f32 = 0;
    for (let step = 0; step < mostSteps && error > limit * norm; step++) {
      steps++;
      addOuterProducts(indices, weights, entries, uniform, sources, bytes, direction, image);
      sums = f32x4.splat(0);
      for (let at: usize = 0; at < bytes; at += 16) {
        const along = v128.load(direction + at);
        const value = f32x4.add(v128.load(image + at), f32x4.mul(v128.load(diagonal + at), along));
        v128.store(image + at, value);
        sums = f32x4.add(sums, f32x4.mul(value, along));
      }
      const length = error / sumLanes(sums);
      const lengths = f32x4.splat(length);
      sums = f32x4.splat(0);
      let norms = f32x4.splat(0);
      for (let at: usize = 0; at < bytes; at += 16) {
        const known = f32x4.add(v128.load(solution + at), f32x4.mul(lengths, v128.load(direction + at)));
        v128.store(solution + at, known);
        norms = f32x4.add(norms, f32x4.mul(f32x4.mul(known, known), v128.load(diagonal + at)));
        const value = f32x4.sub(v128.load(residual + at), f32x4.mul(lengths, v128.load(image + at)));
        v128.store(residual + at, value);
        sums = f32x4.add(sums, f32x4.mul(f32x4.mul(value, value), v128.load(inverse + at)));
      }
      const next = sumLanes(sums);
      norm = sumLanes(norms);
      const share = f32x4.splat(next / error);
      error = next;
      for (let at: usize = 0; at < bytes; at += 16) {
        const value = f32x4.mul(v128.load(residual + at), v128.load(inverse + at));
        v128.store(direction + at, f32x4.add(value, f32x4.mul(share, v128.load(direction + at))));
      }
    }
    // NaN and infinity are neither below nor equal.
    if (!(norm < f32.MAX_VALUE && error < f32.MAX_VALUE)) finite = false;
  }
  if (gram != 0) alsGramRows(factors, stride, rowBegin, rowEnd, gram);
  return finite ? steps : -1;
}

/** Whether all values are 1. */
function isUnit(base: usize, bytes: usize): bool {
  for (let at: usize = 0; at < bytes; at += 4) if (load<f32>(base + at) != 1) return false;
  return true;
}

// @ts-ignore: decorator
@inline
function loadDiagonal(base: usize, regularization: f32, bytes: usize, diagonal: usize, inverse: usize): void {
  const regularizations = f32x4.splat(regularization);
  const one = f32x4.splat(1);
  for (let at: usize = 0; at < bytes; at += 16) {
    const value = f32x4.add(v128.load(base + at), regularizations);
    v128.store(diagonal + at, value);
    v128.store(inverse + at, f32x4.div(one, value));
  }
}

// The basis, in doubles.

// @ts-ignore: decorator
@inline
function cell(matrix: usize, order: i32, row: i32, column: i32): usize {
  return matrix + (<usize>(row * order + column) << 3);
}

// @ts-ignore: decorator
@inline
function dotDoubles(left: usize, right: usize, count: i32): f64 {
  let sum0 = f64x2.splat(0);
  let sum1 = f64x2.splat(0);
  let rest = count;
  while (rest >= 4) {
    sum0 = f64x2.add(sum0, f64x2.mul(v128.load(left), v128.load(right)));
    sum1 = f64x2.add(sum1, f64x2.mul(v128.load(left, 16), v128.load(right, 16)));
    left += 32;
    right += 32;
    rest -= 4;
  }
  sum0 = f64x2.add(sum0, sum1);
  let sum = f64x2.extract_lane(sum0, 0) + f64x2.extract_lane(sum0, 1);
  while (rest > 0) {
    sum += load<f64>(left) * load<f64>(right);
    left += 8;
    right += 8;
    rest--;
  }
  return sum;
}

/** target += factor * source. */
// @ts-ignore: decorator
@inline
function addScaled(target: usize, source: usize, factor: f64, count: i32): void {
  const factors = f64x2.splat(factor);
  let rest = count;
  while (rest >= 2) {
    v128.store(target, f64x2.add(v128.load(target), f64x2.mul(factors, v128.load(source))));
    target += 16;
    source += 16;
    rest -= 2;
  }
  if (rest > 0) store<f64>(target, load<f64>(target) + factor * load<f64>(source));
}

/** Lower Cholesky factor in place, its inverse beside it; 0, or 1 + the first pivot that is not positive. */
function factorLower(matrix: usize, order: i32, inverse: usize): i32 {
  for (let row = 0; row < order; row++) {
    for (let column = 0; column <= row; column++) {
      const at = cell(matrix, order, row, column);
      const value = load<f64>(at) - dotDoubles(cell(matrix, order, row, 0), cell(matrix, order, column, 0), column);
      if (column < row) store<f64>(at, value / load<f64>(cell(matrix, order, column, column)));
      else {
        if (!(value > 0 && value < f64.POSITIVE_INFINITY)) return row + 1;
        store<f64>(at, Math.sqrt(value));
      }
    }
  }
  memory.fill(inverse, 0, (<usize>order * <usize>order) << 3);
  for (let row = 0; row < order; row++) {
    const line = cell(inverse, order, row, 0);
    for (let inner = 0; inner < row; inner++) {
      addScaled(line, cell(inverse, order, inner, 0), -load<f64>(cell(matrix, order, row, inner)), inner + 1);
    }
    const reciprocal = 1.0 / load<f64>(cell(matrix, order, row, row));
    for (let column = 0; column < row; column++) {
      const at = line + (<usize>column << 3);
      store<f64>(at, load<f64>(at) * reciprocal);
    }
    store<f64>(line + (<usize>row << 3), reciprocal);
  }
  return 0;
}

/**
 * Eigenvalues into `values` and eigenvectors into the rows of `vectors` (Householder tridiagonalisation, then QR steps
 * with Wilkinson's shift; Golub and Van Loan, Matrix Computations, sections 8.3). `scratch`: 3 * order. False: no convergence.
 */
function diagonalize(matrix: usize, order: i32, values: usize, vectors: usize, scratch: usize): bool {
  const below = scratch;
  const image = below + (<usize>order << 3);
  const scales = image + (<usize>order << 3);
  for (let pivot = 0; pivot + 2 < order; pivot++) {
    const count = order - pivot - 1;
    // The matrix is kept whole, so the reflected column is also the row, which is contiguous.
    const reflector = cell(matrix, order, pivot, pivot + 1);
    const lead = load<f64>(reflector);
    const tail = dotDoubles(reflector + 8, reflector + 8, count - 1);
    if (!(tail > 1e-300)) {
      store<f64>(below + (<usize>pivot << 3), lead);
      store<f64>(scales + (<usize>pivot << 3), 0);
      continue;
    }
    const root = Math.sqrt(lead * lead + tail);
    const length = lead > 0 ? -root : root;
    store<f64>(below + (<usize>pivot << 3), length);
    store<f64>(reflector, lead - length);
    const scale = 2.0 / dotDoubles(reflector, reflector, count);
    store<f64>(scales + (<usize>pivot << 3), scale);
    for (let row = 0; row < count; row++) {
      const line = cell(matrix, order, pivot + 1 + row, pivot + 1);
      store<f64>(image + (<usize>row << 3), scale * dotDoubles(line, reflector, count));
    }
    addScaled(image, reflector, -0.5 * scale * dotDoubles(image, reflector, count), count);
    for (let row = 0; row < count; row++) {
      const line = cell(matrix, order, pivot + 1 + row, pivot + 1);
      addScaled(line, image, -load<f64>(reflector + (<usize>row << 3)), count);
      addScaled(line, reflector, -load<f64>(image + (<usize>row << 3)), count);
    }
  }
  if (order > 1) store<f64>(below + (<usize>(order - 2) << 3), load<f64>(cell(matrix, order, order - 1, order - 2)));
  store<f64>(below + (<usize>(order - 1) << 3), 0);
  for (let row = 0; row < order; row++) store<f64>(values + (<usize>row << 3), load<f64>(cell(matrix, order, row, row)));
  // The product of the reflections, transposed.
  memory.fill(vectors, 0, (<usize>order * <usize>order) << 3);
  for (let row = 0; row < order; row++) store<f64>(cell(vectors, order, row, row), 1);
  for (let pivot = order - 3; pivot >= 0; pivot--) {
    const scale = load<f64>(scales + (<usize>pivot << 3));
    if (scale == 0) continue;
    const count = order - pivot - 1;
    const reflector = cell(matrix, order, pivot, pivot + 1);
    for (let row = pivot + 1; row < order; row++) {
      const line = cell(vectors, order, row, pivot + 1);
      addScaled(line, reflector, -scale * dotDoubles(line, reflector, count), count);
    }
  }
  let last = order - 1;
  let rounds = 0;
  while (last > 0) {
    let first = last;
    while (first > 0) {
      const at = below + (<usize>(first - 1) << 3);
      const size = Math.abs(load<f64>(values + (<usize>(first - 1) << 3))) + Math.abs(load<f64>(values + (<usize>first << 3)));
      if (Math.abs(load<f64>(at)) <= 1e-15 * size + 1e-300) {
        store<f64>(at, 0);
        break;
      }
      first--;
    }
    if (first == last) {
      last--;
      rounds = 0;
      continue;
    }
    if (++rounds > 60) return false;
    const corner = load<f64>(values + (<usize>last << 3));
    const edge = load<f64>(below + (<usize>(last - 1) << 3));
    const half = (load<f64>(values + (<usize>(last - 1) << 3)) - corner) * 0.5;
    const root = Math.sqrt(half * half + edge * edge);
    const shift = corner - (edge * edge) / (half + (half >= 0 ? root : -root));
    let x = load<f64>(values + (<usize>first << 3)) - shift;
    let z = load<f64>(below + (<usize>first << 3));
    for (let index = first; index < last; index++) {
      const radius = Math.sqrt(x * x + z * z);
      const cosine = radius > 0 ? x / radius : 1;
      const sine = radius > 0 ? z / radius : 0;
      if (index > first) store<f64>(below + (<usize>(index - 1) << 3), radius);
      const upper = load<f64>(values + (<usize>index << 3));
      const lower = load<f64>(values + (<usize>(index + 1) << 3));
      const between = load<f64>(below + (<usize>index << 3));
      store<f64>(
        values + (<usize>index << 3),
        cosine * cosine * upper + 2 * cosine * sine * between + sine * sine * lower,
      );
      store<f64>(
        values + (<usize>(index + 1) << 3),
        sine * sine * upper - 2 * cosine * sine * between + cosine * cosine * lower,
      );
      x = cosine * sine * (lower - upper) + (cosine * cosine - sine * sine) * between;
      store<f64>(below + (<usize>index << 3), x);
      if (index + 1 < last) {
        const at = below + (<usize>(index + 1) << 3);
        z = sine * load<f64>(at);
        store<f64>(at, cosine * load<f64>(at));
      }
      rotateRows(cell(vectors, order, index, 0), cell(vectors, order, index + 1, 0), cosine, sine, order);
    }
  }
  return true;
}

// @ts-ignore: decorator
@inline
function rotateRows(one: usize, other: usize, cosine: f64, sine: f64, count: i32): void {
  const cosines = f64x2.splat(cosine);
  const sines = f64x2.splat(sine);
  let rest = count;
  while (rest >= 2) {
    const upper = v128.load(one);
    const lower = v128.load(other);
    v128.store(one, f64x2.add(f64x2.mul(cosines, upper), f64x2.mul(sines, lower)));
    v128.store(other, f64x2.sub(f64x2.mul(cosines, lower), f64x2.mul(sines, upper)));
    one += 16;
    other += 16;
    rest -= 2;
  }
  if (rest > 0) {
    const upper = load<f64>(one);
    const lower = load<f64>(other);
    store<f64>(one, cosine * upper + sine * lower);
    store<f64>(other, cosine * lower - sine * upper);
  }
}

/** Packs an order x order matrix of doubles, transposed, in strips of eight columns, zero-padded to the stride. */
function packTransposed(matrix: usize, order: i32, stride: i32, packed: usize): void {
  memory.fill(packed, 0, <usize>stride * <usize>stride << 2);
  for (let column = 0; column < order; column++) {
    const from = cell(matrix, order, column, 0);
    const to = packed + (<usize>((column >> 3) * stride * 8 + (column & 7)) << 2);
    for (let row = 0; row < order; row++) store<f32>(to + (<usize>row << 5), <f32>load<f64>(from + (<usize>row << 3)));
  }
}

/** matrix (lower triangle) = scale * sum of the parts, part by part; 0, or 1 + a row with a value that is not finite. */
function sumParts(parts: usize, partCount: i32, width: i32, stride: i32, scale: f64, matrix: usize): i32 {
  for (let part = 0; part < partCount; part++) {
    for (let row = 0; row < width; row++) {
      const from = parts + (<usize>((part * stride + row) * stride) << 2);
      const to = cell(matrix, width, row, 0);
      let column = 0;
      for (; column < row; column += 2) {
        const at = to + (<usize>column << 3);
        const values = f64x2.promote_low_f32x4(v128.load64_zero(from + (<usize>column << 2)));
        v128.store(at, part == 0 ? values : f64x2.add(v128.load(at), values));
      }
      if (column == row) {
        const at = to + (<usize>column << 3);
        const value = <f64>load<f32>(from + (<usize>column << 2));
        store<f64>(at, part == 0 ? value : load<f64>(at) + value);
      }
    }
  }
  for (let row = 0; row < width; row++) {
    const line = cell(matrix, width, row, 0);
    for (let column = 0; column <= row; column++) {
      const at = line + (<usize>column << 3);
      const sum = load<f64>(at) * scale;
      // Also turns away NaN.
      if (!(Math.abs(sum) < 1e30)) return row + 1;
      store<f64>(at, sum);
    }
  }
  return 0;
}

/** Finds the basis in doubles; see `KernelTable.alsBasis`. */
export function alsBasis(
  parts: usize,
  partCount: i32,
  width: i32,
  stride: i32,
  scale: f64,
  regularization: f64,
  eigen: i32,
  workspace: usize,
  into: usize,
  base: usize,
  from: usize,
  to: usize,
): i32 {
  const size = (<usize>width * <usize>width) << 3;
  const matrix = workspace;
  const second = matrix + size;
  const values = second + size;
  const broken = sumParts(parts, partCount, width, stride, scale, matrix);
  if (broken != 0) return broken;
  if (eigen == 0) {
    const dual = from + size;
    for (let row = 0; row < width; row++) {
      const at = cell(matrix, width, row, 0);
      const own = cell(dual, width, row, 0);
      for (let column = 0; column <= row; column++) {
        const place = at + (<usize>column << 3);
        const product = dotDoubles(own, cell(dual, width, column, 0), width);
        store<f64>(place, load<f64>(place) + regularization * product);
      }
    }
    const failure = factorLower(matrix, width, second);
    if (failure > 0) return failure;
    packTransposed(second, width, stride, into);
    for (let index = 0; index < stride; index++) store<f32>(base + (<usize>index << 2), 1);
    // R' = L^-1 R^-T and its inverse, transposed: R'^-T = L^T R.
    memory.fill(to, 0, size << 1);
    for (let row = 0; row < width; row++) {
      for (let inner = 0; inner <= row; inner++) {
        addScaled(cell(to, width, row, 0), cell(dual, width, inner, 0), load<f64>(cell(second, width, row, inner)), width);
        addScaled(cell(to + size, width, inner, 0), cell(from, width, row, 0), load<f64>(cell(matrix, width, row, inner)), width);
      }
    }
    return 0;
  }
  for (let row = 0; row < width; row++) {
    for (let column = 0; column < row; column++) store<f64>(cell(matrix, width, column, row), load<f64>(cell(matrix, width, row, column)));
  }
  if (!diagonalize(matrix, width, values, second, values + (<usize>width << 3))) return 1;
  packTransposed(second, width, stride, into);
  for (let index = 0; index < stride; index++) {
    // Rounding may leave a tiny negative eigenvalue.
    const value: f64 = index < width ? Math.max(0, load<f64>(values + (<usize>index << 3))) : 1;
    store<f32>(base + (<usize>index << 2), <f32>value);
  }
  if (to == 0) return 0;
  // R' = V R; a rotation is its own inverse, transposed.
  memory.fill(to, 0, size);
  for (let row = 0; row < width; row++) {
    for (let inner = 0; inner < width; inner++) {
      addScaled(cell(to, width, row, 0), cell(from, width, inner, 0), load<f64>(cell(second, width, row, inner)), width);
    }
  }
  memory.copy(to + size, to, size);
  return 0;
}
