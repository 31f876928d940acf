// Sparse matrices in compressed sparse rows. Products go row by row (Gustavson 1978).
import { combineRows } from './dense';
import { beginSelection, closeInOrder, finishInOrder, openInOrder, putInOrder, thresholdOf } from './selection';

/**
 * One dense output row stays in the first-level cache while the rows of all samples that have its
 * column are added to it; only the lower triangle is summed.
 */
export function gramRows(
  rowOffsets: usize,
  columnIndices: usize,
  values: usize,
  transposedOffsets: usize,
  transposedIndices: usize,
  transposedValues: usize,
  weights: usize,
  size: i32,
  rowBegin: i32,
  rowEnd: i32,
  output: usize,
): i32 {
  for (let row = rowBegin; row < rowEnd; row++) {
    const to = output + ((<usize>row * <usize>size) << 2);
    memory.fill(to, 0, <usize>(row + 1) << 2);
    const last = load<i32>(transposedOffsets + (<usize>(row + 1) << 2));
    for (let entry = load<i32>(transposedOffsets + (<usize>row << 2)); entry < last; entry++) {
      const sample = <usize>load<u32>(transposedIndices + (<usize>entry << 2)) << 2;
      const value: f32 = transposedValues ? load<f32>(transposedValues + (<usize>entry << 2)) : 1;
      const factor: f32 = weights ? value * load<f32>(weights + sample) : value;
      let other = columnIndices + (<usize>load<u32>(rowOffsets + sample) << 2);
      const end = columnIndices + (<usize>load<u32>(rowOffsets + sample, 4) << 2);
      if (values) {
        const toValue = values - columnIndices;
        while (other < end) {
          const column = load<i32>(other);
          if (column > row) break;
          const cell = to + (<usize>column << 2);
          store<f32>(cell, load<f32>(cell) + factor * load<f32>(other + toValue));
          other += 4;
        }
      } else {
        while (other < end) {
          const column = load<i32>(other);
          if (column > row) break;
          const cell = to + (<usize>column << 2);
          store<f32>(cell, load<f32>(cell) + factor);
          other += 4;
        }
      }
    }
  }
  return rowEnd - rowBegin;
}

/** Copies four by four cells transposed, so that neither side is walked with a long stride. */
export function mirrorLower(
  source: usize,
  sourceStride: i32,
  output: usize,
  outputStride: i32,
  size: i32,
  rowBegin: i32,
  rowEnd: i32,
  factor: f32,
): i32 {
  const from = <usize>sourceStride << 2;
  const to = <usize>outputStride << 2;
  const factors = f32x4.splat(factor);
  const inPlace = source == output;
  for (let blockBegin = rowBegin; blockBegin < rowEnd; blockBegin += 16) {
    const blockEnd = min(rowEnd, blockBegin + 16);
    if (!inPlace) {
      for (let row = blockBegin; row < blockEnd; row++) {
        let column = 0;
        const left = source + <usize>row * from;
        const right = output + <usize>row * to;
        while (column + 4 <= row) {
          v128.store(right + (<usize>column << 2), f32x4.mul(v128.load(left + (<usize>column << 2)), factors));
          column += 4;
        }
        while (column <= row) {
          store<f32>(right + (<usize>column << 2), load<f32>(left + (<usize>column << 2)) * factor);
          column++;
        }
      }
    }
    // Above the diagonal, inside the block's own columns and in the last columns: cell by cell.
    const tileBegin = min(size, blockEnd);
    const tileEnd = tileBegin + ((size - tileBegin) & ~3);
    for (let row = blockBegin; row < blockEnd; row++) {
      for (let column = row + 1; column < tileBegin; column++) copyCell(source, from, output, to, row, column, factor);
      for (let column = tileEnd; column < size; column++) copyCell(source, from, output, to, row, column, factor);
    }
    const rowTileEnd = blockBegin + ((blockEnd - blockBegin) & ~3);
    for (let column = tileBegin; column < tileEnd; column += 4) {
      let row = blockBegin;
      while (row < rowTileEnd) {
        const at = source + <usize>column * from + (<usize>row << 2);
        const line0 = f32x4.mul(v128.load(at), factors);
        const line1 = f32x4.mul(v128.load(at + from), factors);
        const line2 = f32x4.mul(v128.load(at + 2 * from), factors);
        const line3 = f32x4.mul(v128.load(at + 3 * from), factors);
        const low01 = v128.shuffle<f32>(line0, line1, 0, 4, 1, 5);
        const high01 = v128.shuffle<f32>(line0, line1, 2, 6, 3, 7);
        const low23 = v128.shuffle<f32>(line2, line3, 0, 4, 1, 5);
        const high23 = v128.shuffle<f32>(line2, line3, 2, 6, 3, 7);
        const cell = output + <usize>row * to + (<usize>column << 2);
        v128.store(cell, v128.shuffle<f32>(low01, low23, 0, 1, 4, 5));
        v128.store(cell + to, v128.shuffle<f32>(low01, low23, 2, 3, 6, 7));
        v128.store(cell + 2 * to, v128.shuffle<f32>(high01, high23, 0, 1, 4, 5));
        v128.store(cell + 3 * to, v128.shuffle<f32>(high01, high23, 2, 3, 6, 7));
        row += 4;
      }
      while (row < blockEnd) {
        for (let lane = 0; lane < 4; lane++) copyCell(source, from, output, to, row, column + lane, factor);
        row++;
      }
    }
  }
  return rowEnd - rowBegin;
}

// @ts-ignore: decorator
@inline
function copyCell(source: usize, from: usize, output: usize, to: usize, row: i32, column: i32, factor: f32): void {
  const value = load<f32>(source + <usize>column * from + (<usize>row << 2));
  store<f32>(output + <usize>row * to + (<usize>column << 2), value * factor);
}

/** Columns that share a mark. */
const markedColumns: i32 = 16;

/**
 * Workspace: a word that says whether it was made ready; sixteen scores; per column a sum; per sixteen columns a mark; the selection. A
 * sum that nothing was added to is -0, which no sum of others can be, so that one load and one store per product say what
 * it comes to, and one unconditional store where to look. Marked columns are then walked by ascending column.
 */
export function sparseProductTopKRows(
  leftOffsets: usize,
  leftIndices: usize,
  leftValues: usize,
  rightOffsets: usize,
  rightIndices: usize,
  rightValues: usize,
  rightColumnCount: i32,
  rowFactors: usize,
  columnFactors: usize,
  shrinkage: f32,
  excludeDiagonal: i32,
  k: i32,
  rowBegin: i32,
  rowEnd: i32,
  outputIndices: usize,
  outputValues: usize,
  outputCounts: usize,
  workspace: usize,
): i32 {
  const blocks = <usize>((rightColumnCount + markedColumns - 1) / markedColumns);
  const scores = workspace + 64;
  const sums = scores + 64;
  const marks = sums + (blocks << 6);
  const state = marks + ((blocks + 63) & ~63);
  const outputBytes = <usize>k << 2;
  const nothing = f32x4.splat(-0.0);
  if (load<i32>(workspace) == 0) {
    store<i32>(workspace, 1);
    for (let at = sums; at < marks; at += 16) v128.store(at, nothing);
  }
  const toValue = rightValues - rightIndices;
  for (let row = rowBegin; row < rowEnd; row++) {
    const last = load<i32>(leftOffsets + (<usize>(row + 1) << 2));
    for (let entry = load<i32>(leftOffsets + (<usize>row << 2)); entry < last; entry++) {
      const inner = rightOffsets + (<usize>load<u32>(leftIndices + (<usize>entry << 2)) << 2);
      const value: f32 = leftValues ? load<f32>(leftValues + (<usize>entry << 2)) : 1;
      let other = rightIndices + (<usize>load<u32>(inner) << 2);
      const end = rightIndices + (<usize>load<u32>(inner, 4) << 2);
      // Adding zero turns -0 into 0.
      if (rightValues) {
        while (other < end) {
          const column = <usize>load<u32>(other);
          const cell = sums + (column << 2);
          store<f32>(cell, load<f32>(cell) + (value * load<f32>(other + toValue) + <f32>0));
          store<u8>(marks + (column >> 4), 255);
          other += 4;
        }
      } else {
        const product = value + <f32>0;
        while (other < end) {
          const column = <usize>load<u32>(other);
          const cell = sums + (column << 2);
          store<f32>(cell, load<f32>(cell) + product);
          store<u8>(marks + (column >> 4), 255);
          other += 4;
        }
      }
    }
    if (excludeDiagonal && row < rightColumnCount) store<f32>(sums + (<usize>row << 2), -0.0);
    beginSelection(state, k);
    const rowFactor: f32 = rowFactors ? load<f32>(rowFactors + (<usize>row << 2)) : 1;
    for (let group: usize = 0; group < blocks; group += 16) {
      const marked = v128.load(marks + group);
      let bits = <u32>i8x16.bitmask(marked);
      if (bits == 0) continue;
      v128.store(marks + group, i32x4.splat(0));
      while (bits != 0) {
        const block = group + <usize>ctz(bits);
        bits &= bits - 1;
        offerBlock(
          sums + (block << 6),
          <i32>(block << 4),
          rightColumnCount,
          rowFactor,
          columnFactors ? columnFactors + (block << 6) : 0,
          shrinkage,
          scores,
          state,
        );
      }
    }
    store<i32>(outputCounts, finishInOrder(state, outputIndices, outputValues));
    outputIndices += outputBytes;
    outputValues += outputBytes;
    outputCounts += 4;
  }
  return rowEnd - rowBegin;
}

/** Offers the sums of sixteen columns, and makes them -0 again; `scores`: 64 bytes. */
// @ts-ignore: decorator
@inline
function offerBlock(
  sums: usize,
  first: i32,
  columnCount: i32,
  rowFactor: f32,
  columnFactors: usize,
  shrinkage: f32,
  scores: usize,
  state: usize,
): void {
  let next = openInOrder(state, markedColumns);
  const nothing = f32x4.splat(-0.0);
  const rowFactors = f32x4.splat(rowFactor);
  const shrinkages = f32x4.splat(shrinkage);
  const threshold = f32x4.splat(thresholdOf(state));
  const largest = f32x4.splat(f32.MAX_VALUE);
  const whole = first + markedColumns <= columnCount;
  let bits = 0;
  for (let lane = 0; lane < markedColumns; lane += 4) {
    const bytes = <usize>lane << 2;
    const values = v128.load(sums + bytes);
    v128.store(sums + bytes, nothing);
    let divisors = rowFactors;
    if (columnFactors) {
      // Past the last column nothing may be read.
      if (whole) divisors = f32x4.mul(rowFactors, v128.load(columnFactors + bytes));
      else divisors = f32x4.mul(rowFactors, lastFactors(columnFactors + bytes, columnCount - first - lane));
    }
    const quotients = f32x4.div(values, f32x4.add(divisors, shrinkages));
    v128.store(scores + bytes, quotients);
    // Columns ascend, so that one that ties with the threshold loses. What is not a number is neither above nor below.
    const above = v128.and(f32x4.gt(quotients, threshold), f32x4.le(quotients, largest));
    bits |= i32x4.bitmask(v128.and(i32x4.ne(values, nothing), above)) << lane;
  }
  while (bits != 0) {
    const lane = ctz(bits);
    bits &= bits - 1;
    next = putInOrder(next, load<f32>(scores + (<usize>lane << 2)), first + lane);
  }
  closeInOrder(state, next);
}

/** The first `count` of four floats, else 1. */
function lastFactors(from: usize, count: i32): v128 {
  let factors = f32x4.splat(1);
  if (count > 0) factors = f32x4.replace_lane(factors, 0, load<f32>(from));
  if (count > 1) factors = f32x4.replace_lane(factors, 1, load<f32>(from, 4));
  if (count > 2) factors = f32x4.replace_lane(factors, 2, load<f32>(from, 8));
  if (count > 3) factors = f32x4.replace_lane(factors, 3, load<f32>(from, 12));
  return factors;
}

export function sparseDenseRows(
  rowOffsets: usize,
  columnIndices: usize,
  values: usize,
  dense: usize,
  width: i32,
  rowBegin: i32,
  rowEnd: i32,
  output: usize,
): i32 {
  const bytes = <usize>width << 2;
  for (let row = rowBegin; row < rowEnd; row++) {
    const offset = <usize>load<u32>(rowOffsets + (<usize>row << 2));
    const count = load<i32>(rowOffsets + (<usize>(row + 1) << 2)) - <i32>offset;
    combineRows(
      output + <usize>row * bytes,
      dense,
      width,
      columnIndices + (offset << 2),
      values ? values + (offset << 2) : 0,
      count,
      true,
    );
  }
  return rowEnd - rowBegin;
}
