// Scans of all rows for the best dot products.
import { dotProduct } from './dense';
import { admit, beginSelection, finishSelection, selectionBytes, thresholdOf } from './selection';

export function scanTopK(
  matrix: usize,
  rowCount: i32,
  width: i32,
  query: usize,
  k: i32,
  mask: usize,
  outputRows: usize,
  outputScores: usize,
  state: usize,
): i32 {
  beginSelection(state, k);
  const bytes = <usize>width << 2;
  for (let row = 0; row < rowCount; row++) {
    if (mask == 0 || load<u8>(mask + row) != 0) {
      const score = dotProduct(matrix, query, width);
      if (score > thresholdOf(state)) admit(state, score, row);
    }
    matrix += bytes;
  }
  return finishSelection(state, outputRows, outputScores);
}

/** Sums the lanes of four vectors: lane i of the result is the sum of vector i. */
// @ts-ignore: decorator
@inline
function sumFour(first: v128, second: v128, third: v128, fourth: v128): v128 {
  const low = f32x4.add(
    v128.shuffle<f32>(first, second, 0, 4, 1, 5),
    v128.shuffle<f32>(first, second, 2, 6, 3, 7),
  );
  const high = f32x4.add(
    v128.shuffle<f32>(third, fourth, 0, 4, 1, 5),
    v128.shuffle<f32>(third, fourth, 2, 6, 3, 7),
  );
  return f32x4.add(v128.shuffle<f32>(low, high, 0, 1, 4, 5), v128.shuffle<f32>(low, high, 2, 3, 6, 7));
}

// @ts-ignore: decorator
@inline
function offerFour(state: usize, scores: v128, stateBytes: usize, row: i32): void {
  const first = f32x4.extract_lane(scores, 0);
  if (first > thresholdOf(state)) admit(state, first, row);
  const second = f32x4.extract_lane(scores, 1);
  if (second > thresholdOf(state + stateBytes)) admit(state + stateBytes, second, row);
  const third = f32x4.extract_lane(scores, 2);
  if (third > thresholdOf(state + 2 * stateBytes)) admit(state + 2 * stateBytes, third, row);
  const fourth = f32x4.extract_lane(scores, 3);
  if (fourth > thresholdOf(state + 3 * stateBytes)) admit(state + 3 * stateBytes, fourth, row);
}

/** Two rows against four queries at a time, over blocks of rows that stay in the first-level cache. */
export function scanTopKMany(
  matrix: usize,
  rowCount: i32,
  width: i32,
  queries: usize,
  queryCount: i32,
  k: i32,
  mask: usize,
  outputRows: usize,
  outputScores: usize,
  outputCounts: usize,
  workspace: usize,
): i32 {
  const bytes = <usize>width << 2;
  const stateBytes = selectionBytes(k);
  for (let query = 0; query < queryCount; query++) beginSelection(workspace + <usize>query * stateBytes, k);
  const blockRows = max(2, (16384 / <i32>bytes) & ~1);
  const quads = width & ~3;
  for (let blockBegin = 0; blockBegin < rowCount; blockBegin += blockRows) {
    const blockEnd = min(rowCount, blockBegin + blockRows);
    let query = 0;
    while (query + 4 <= queryCount) {
      const query0 = queries + <usize>query * bytes;
      const query1 = query0 + bytes;
      const query2 = query1 + bytes;
      const query3 = query2 + bytes;
      const state = workspace + <usize>query * stateBytes;
      let row = blockBegin;
      while (row < blockEnd) {
        const row0 = matrix + <usize>row * bytes;
        // The last single row is paired with itself and offered once.
        const paired = row + 1 < blockEnd;
        const row1 = paired ? row0 + bytes : row0;
        let sum00 = f32x4.splat(0);
        let sum01 = f32x4.splat(0);
        let sum02 = f32x4.splat(0);
        let sum03 = f32x4.splat(0);
        let sum10 = f32x4.splat(0);
        let sum11 = f32x4.splat(0);
        let sum12 = f32x4.splat(0);
        let sum13 = f32x4.splat(0);
        const end = <usize>quads << 2;
        for (let at: usize = 0; at < end; at += 16) {
          const value0 = v128.load(row0 + at);
          const value1 = v128.load(row1 + at);
          const factor0 = v128.load(query0 + at);
          sum00 = f32x4.add(sum00, f32x4.mul(value0, factor0));
          sum10 = f32x4.add(sum10, f32x4.mul(value1, factor0));
          const factor1 = v128.load(query1 + at);
          sum01 = f32x4.add(sum01, f32x4.mul(value0, factor1));
          sum11 = f32x4.add(sum11, f32x4.mul(value1, factor1));
          const factor2 = v128.load(query2 + at);
          sum02 = f32x4.add(sum02, f32x4.mul(value0, factor2));
          sum12 = f32x4.add(sum12, f32x4.mul(value1, factor2));
          const factor3 = v128.load(query3 + at);
          sum03 = f32x4.add(sum03, f32x4.mul(value0, factor3));
          sum13 = f32x4.add(sum13, f32x4.mul(value1, factor3));
        }
        let scores0 = sumFour(sum00, sum01, sum02, sum03);
        let scores1 = sumFour(sum10, sum11, sum12, sum13);
        for (let at = end; at < bytes; at += 4) {
          let factors = f32x4.splat(load<f32>(query0 + at));
          factors = f32x4.replace_lane(factors, 1, load<f32>(query1 + at));
          factors = f32x4.replace_lane(factors, 2, load<f32>(query2 + at));
          factors = f32x4.replace_lane(factors, 3, load<f32>(query3 + at));
          scores0 = f32x4.add(scores0, f32x4.mul(v128.load_splat<f32>(row0 + at), factors));
          scores1 = f32x4.add(scores1, f32x4.mul(v128.load_splat<f32>(row1 + at), factors));
        }
        if (mask == 0 || load<u8>(mask + row) != 0) offerFour(state, scores0, stateBytes, row);
        if (paired && (mask == 0 || load<u8>(mask + row + 1) != 0)) offerFour(state, scores1, stateBytes, row + 1);
        row += 2;
      }
      query += 4;
    }
    while (query < queryCount) {
      const state = workspace + <usize>query * stateBytes;
      const vector = queries + <usize>query * bytes;
      for (let row = blockBegin; row < blockEnd; row++) {
        if (mask == 0 || load<u8>(mask + row) != 0) {
          const score = dotProduct(matrix + <usize>row * bytes, vector, width);
          if (score > thresholdOf(state)) admit(state, score, row);
        }
      }
      query++;
    }
  }
  const outputBytes = <usize>k << 2;
  for (let query = 0; query < queryCount; query++) {
    const count = finishSelection(
      workspace + <usize>query * stateBytes,
      outputRows + <usize>query * outputBytes,
      outputScores + <usize>query * outputBytes,
    );
    store<i32>(outputCounts + (<usize>query << 2), count);
  }
  return queryCount;
}

export function quantizeRows(
  matrix: usize,
  firstRow: i32,
  rowCount: i32,
  width: i32,
  stride: i32,
  codes: usize,
  scales: usize,
): i32 {
  for (let row = firstRow; row < firstRow + rowCount; row++) {
    let largest: f32 = 0;
    let finite = true;
    for (let column = 0; column < width; column++) {
      const magnitude = abs<f32>(load<f32>(matrix + (<usize>column << 2)));
      finite = finite && magnitude < f32.POSITIVE_INFINITY;
      largest = max<f32>(largest, magnitude);
    }
    const scale: f32 = finite ? largest / 127 : 0;
    const inverse: f32 = scale > 0 ? <f32>1 / scale : 0;
    const usable = finite && inverse < f32.POSITIVE_INFINITY;
    // A row that is not finite must never be selected, as in the float scan.
    store<f32>(scales + (<usize>row << 2), finite ? (usable ? scale : 0) : f32.NaN);
    // Four rows form a group, in which pieces of eight codes alternate: one sequential stream.
    const start = codes + <usize>(row & ~3) * <usize>stride + <usize>((row & 3) << 3);
    for (let column = 0; column < stride; column++) {
      let code: i32 = 0;
      if (usable && column < width) {
        code = max(-127, min(127, <i32>nearest<f32>(load<f32>(matrix + (<usize>column << 2)) * inverse)));
      }
      store<i8>(start + <usize>(((column >> 3) << 5) + (column & 7)), <i8>code);
    }
    matrix += <usize>width << 2;
  }
  return rowCount;
}

// @ts-ignore: decorator
@inline
function sumFourIntegers(first: v128, second: v128, third: v128, fourth: v128): v128 {
  const low = i32x4.add(
    v128.shuffle<i32>(first, second, 0, 4, 1, 5),
    v128.shuffle<i32>(first, second, 2, 6, 3, 7),
  );
  const high = i32x4.add(
    v128.shuffle<i32>(third, fourth, 0, 4, 1, 5),
    v128.shuffle<i32>(third, fourth, 2, 6, 3, 7),
  );
  return i32x4.add(v128.shuffle<i32>(low, high, 0, 1, 4, 5), v128.shuffle<i32>(low, high, 2, 3, 6, 7));
}

/**
 * Four rows at a time, in one sequential stream, share the loads of the query and one vector
 * comparison with the threshold. Codes are widened to int16 on load; dot_i16x8 multiplies and adds
 * pairs into int32.
 */
export function quantizedTopK(
  codes: usize,
  scales: usize,
  rowCount: i32,
  stride: i32,
  queryCodes: usize,
  queryScale: f32,
  k: i32,
  mask: usize,
  outputRows: usize,
  outputScores: usize,
  state: usize,
): i32 {
  beginSelection(state, k);
  const groupBytes = <usize>stride << 2;
  const queryScales = f32x4.splat(queryScale);
  for (let row = 0; row < rowCount; row += 4) {
    const end = codes + groupBytes;
    if (mask != 0 && row + 4 <= rowCount && load<u32>(mask + row) == 0) {
      codes = end;
      continue;
    }
    let sum0 = i32x4.splat(0);
    let sum1 = i32x4.splat(0);
    let sum2 = i32x4.splat(0);
    let sum3 = i32x4.splat(0);
    let query = queryCodes;
    while (codes < end) {
      const factors = v128.load(query);
      sum0 = i32x4.add(sum0, i32x4.dot_i16x8_s(v128.load_ext<i8>(codes), factors));
      sum1 = i32x4.add(sum1, i32x4.dot_i16x8_s(v128.load_ext<i8>(codes, 8), factors));
      sum2 = i32x4.add(sum2, i32x4.dot_i16x8_s(v128.load_ext<i8>(codes, 16), factors));
      sum3 = i32x4.add(sum3, i32x4.dot_i16x8_s(v128.load_ext<i8>(codes, 24), factors));
      codes += 32;
      query += 16;
    }
    const sums = f32x4.convert_i32x4_s(sumFourIntegers(sum0, sum1, sum2, sum3));
    const scores = f32x4.mul(sums, f32x4.mul(v128.load(scales + (<usize>row << 2)), queryScales));
    if (v128.any_true(f32x4.gt(scores, f32x4.splat(thresholdOf(state))))) {
      offer(state, f32x4.extract_lane(scores, 0), row, mask);
      if (row + 1 < rowCount) offer(state, f32x4.extract_lane(scores, 1), row + 1, mask);
      if (row + 2 < rowCount) offer(state, f32x4.extract_lane(scores, 2), row + 2, mask);
      if (row + 3 < rowCount) offer(state, f32x4.extract_lane(scores, 3), row + 3, mask);
    }
  }
  return finishSelection(state, outputRows, outputScores);
}

// @ts-ignore: decorator
@inline
function offer(state: usize, score: f32, row: i32, mask: usize): void {
  if (score > thresholdOf(state) && (mask == 0 || load<u8>(mask + row) != 0)) admit(state, score, row);
}

export function rerankTopK(
  matrix: usize,
  width: i32,
  query: usize,
  rows: usize,
  count: i32,
  k: i32,
  outputRows: usize,
  outputScores: usize,
  state: usize,
): i32 {
  beginSelection(state, k);
  const bytes = <usize>width << 2;
  for (let index = 0; index < count; index++) {
    const row = load<u32>(rows + (<usize>index << 2));
    const score = dotProduct(matrix + <usize>row * bytes, query, width);
    // Rows come in any order, so one that ties with the threshold may still win.
    if (score >= thresholdOf(state)) admit(state, score, row);
  }
  return finishSelection(state, outputRows, outputScores);
}
