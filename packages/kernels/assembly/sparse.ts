// Sparse matrices in compressed sparse rows. Products go row by row (Gustavson 1978).
import { combineRows } from './dense';
import { admit, beginSelection, finishSelectionByRow, thresholdOf } from './selection';

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

/**
 * Workspace: per column a sum and the stamp of the row that last touched it (side by side, so that
 * one cache line serves both), the list of touched columns, the selection.
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
  const touched = workspace + (<usize>rightColumnCount << 3);
  const state = workspace + ((<usize>rightColumnCount * 12 + 63) & ~63);
  const outputBytes = <usize>k << 2;
  for (let row = rowBegin; row < rowEnd; row++) {
    const stamp = row + 1;
    let next = touched;
    const last = load<i32>(leftOffsets + (<usize>(row + 1) << 2));
    for (let entry = load<i32>(leftOffsets + (<usize>row << 2)); entry < last; entry++) {
      const inner = rightOffsets + (<usize>load<u32>(leftIndices + (<usize>entry << 2)) << 2);
      const value: f32 = leftValues ? load<f32>(leftValues + (<usize>entry << 2)) : 1;
      let other = rightIndices + (<usize>load<u32>(inner) << 2);
      const end = rightIndices + (<usize>load<u32>(inner, 4) << 2);
      const toValue = rightValues - rightIndices;
      while (other < end) {
        const column = load<u32>(other);
        const cell = workspace + (<usize>column << 3);
        const product: f32 = rightValues ? value * load<f32>(other + toValue) : value;
        if (load<i32>(cell, 4) == stamp) {
          store<f32>(cell, load<f32>(cell) + product);
        } else {
          store<f32>(cell, product + <f32>0);
          store<i32>(cell, stamp, 4);
          store<u32>(next, column);
          next += 4;
        }
        other += 4;
      }
    }
    beginSelection(state, k);
    const rowFactor: f32 = rowFactors ? load<f32>(rowFactors + (<usize>row << 2)) : 1;
    for (let at = touched; at < next; at += 4) {
      const column = load<i32>(at);
      const factor: f32 = columnFactors ? rowFactor * load<f32>(columnFactors + (<usize>column << 2)) : rowFactor;
      const score: f32 = load<f32>(workspace + (<usize>column << 3)) / (factor + shrinkage);
      // Touched columns come in any order, so one that ties with the threshold may still win.
      if (score >= thresholdOf(state) && !(excludeDiagonal && column == row)) admit(state, score, column);
    }
    store<i32>(outputCounts, finishSelectionByRow(state, outputIndices, outputValues));
    outputIndices += outputBytes;
    outputValues += outputBytes;
    outputCounts += 4;
  }
  return rowEnd - rowBegin;
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
