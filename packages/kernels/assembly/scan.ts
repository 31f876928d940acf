// Scans of all rows for the best dot products.
import { dotProduct } from './dense';
import { multiplyTile } from './factorization';
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

/** Rows per packed strip of `scanTopKMany`, and queries per strip. */
const STRIP: i32 = 8;

/** Packs eight vectors (fewer: the rest zero) so that equal components lie side by side. */
function packStrip(vectors: usize, count: i32, width: i32, strip: usize): void {
  const bytes = <usize>width << 2;
  let inner = 0;
  if (count == STRIP) {
    for (; inner + 4 <= width; inner += 4) {
      for (let half = 0; half < 2; half++) {
        const at = vectors + <usize>(half * 4) * bytes + (<usize>inner << 2);
        const to = strip + (<usize>inner << 5) + (<usize>half << 4);
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
      }
    }
  }
  for (; inner < width; inner++) {
    for (let lane = 0; lane < STRIP; lane++) {
      const value: f32 = lane < count ? load<f32>(vectors + <usize>lane * bytes + (<usize>inner << 2)) : 0;
      store<f32>(strip + (<usize>inner << 5) + (<usize>lane << 2), value);
    }
  }
}

/**
 * Eight rows against eight queries at a time, by the micro-kernel of the factorisations. Workspace:
 * the packed queries, one packed strip of rows, eight by eight scores, one selection per query.
 */
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
  const stripBytes = bytes << 3;
  const stateBytes = selectionBytes(k);
  const stripCount = (queryCount + STRIP - 1) / STRIP;
  const rowStrip = workspace + <usize>stripCount * stripBytes;
  const scores = rowStrip + stripBytes;
  const states = scores + 256;
  for (let strip = 0; strip < stripCount; strip++) {
    const first = strip * STRIP;
    const count = min(STRIP, queryCount - first);
    packStrip(queries + <usize>first * bytes, count, width, workspace + <usize>strip * stripBytes);
  }
  for (let query = 0; query < queryCount; query++) beginSelection(states + <usize>query * stateBytes, k);
  for (let first = 0; first < rowCount; first += STRIP) {
    const rows = min(STRIP, rowCount - first);
    packStrip(matrix + <usize>first * bytes, rows, width, rowStrip);
    for (let strip = 0; strip < stripCount; strip++) {
      const right = workspace + <usize>strip * stripBytes;
      multiplyTile(rowStrip, right, width, scores, 32, false);
      multiplyTile(rowStrip + 16, right, width, scores + 128, 32, false);
      const count = min(STRIP, queryCount - strip * STRIP);
      const state = states + <usize>(strip * STRIP) * stateBytes;
      for (let query = 0; query < count; query++) {
        const selection = state + <usize>query * stateBytes;
        for (let row = 0; row < rows; row++) {
          const score = load<f32>(scores + (<usize>(row * STRIP + query) << 2));
          offer(selection, score, first + row, mask);
        }
      }
    }
  }
  const outputBytes = <usize>k << 2;
  for (let query = 0; query < queryCount; query++) {
    const count = finishSelection(
      states + <usize>query * stateBytes,
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
      const more = v128.load(query, 16);
      sum0 = i32x4.add(sum0, i32x4.dot_i16x8_s(v128.load_ext<i8>(codes, 32), more));
      sum1 = i32x4.add(sum1, i32x4.dot_i16x8_s(v128.load_ext<i8>(codes, 40), more));
      sum2 = i32x4.add(sum2, i32x4.dot_i16x8_s(v128.load_ext<i8>(codes, 48), more));
      sum3 = i32x4.add(sum3, i32x4.dot_i16x8_s(v128.load_ext<i8>(codes, 56), more));
      codes += 64;
      query += 32;
    }
    const sums = f32x4.convert_i32x4_s(sumFourIntegers(sum0, sum1, sum2, sum3));
    const scores = f32x4.mul(sums, f32x4.mul(v128.load(scales + (<usize>row << 2)), queryScales));
    offerFour(state, scores, row, rowCount, mask);
  }
  return finishSelection(state, outputRows, outputScores);
}

/** Rows that one pair of queries meets before the next pair is read: 16 widened rows stay in the first cache. */
const BLOCK: i32 = 16;

/** Widens the codes of a group of four rows to int16, pieces of eight codes of the four rows one after the other. */
function widenGroup(codes: usize, groupBytes: usize, to: usize): void {
  const end = codes + groupBytes;
  while (codes < end) {
    v128.store(to, v128.load_ext<i8>(codes));
    v128.store(to, v128.load_ext<i8>(codes, 8), 16);
    v128.store(to, v128.load_ext<i8>(codes, 16), 32);
    v128.store(to, v128.load_ext<i8>(codes, 24), 48);
    codes += 32;
    to += 64;
  }
}

/**
 * `quantizedTopK` for consecutive queries: four rows against two queries at a time, each widened once for all. An odd
 * query meets itself. Workspace: 16 rows of int16 codes, one selection per query.
 */
export function quantizedTopKMany(
  codes: usize,
  scales: usize,
  rowCount: i32,
  stride: i32,
  queryCodes: usize,
  queryScales: usize,
  queryCount: i32,
  k: i32,
  mask: usize,
  outputRows: usize,
  outputScores: usize,
  outputCounts: usize,
  workspace: usize,
): i32 {
  const groupBytes = <usize>stride << 2;
  const queryBytes = <usize>stride << 1;
  const stateBytes = selectionBytes(k);
  const states = workspace + groupBytes * (BLOCK >> 1);
  for (let query = 0; query < queryCount; query++) beginSelection(states + <usize>query * stateBytes, k);
  for (let first = 0; first < rowCount; first += BLOCK) {
    const last = min(first + BLOCK, rowCount);
    let to = workspace;
    for (let row = first; row < last; row += 4) {
      widenGroup(codes + <usize>row * <usize>stride, groupBytes, to);
      to += groupBytes << 1;
    }
    for (let query = 0; query < queryCount; query += 2) {
      const other = min(query + 1, queryCount - 1);
      const state = states + <usize>query * stateBytes;
      const otherState = states + <usize>other * stateBytes;
      const scale = v128.load_splat<f32>(queryScales + (<usize>query << 2));
      const otherScale = v128.load_splat<f32>(queryScales + (<usize>other << 2));
      let at = workspace;
      for (let row = first; row < last; row += 4) {
        const end = at + (groupBytes << 1);
        if (mask != 0 && row + 4 <= rowCount && load<u32>(mask + row) == 0) {
          at = end;
          continue;
        }
        let left = queryCodes + <usize>query * queryBytes;
        let right = queryCodes + <usize>other * queryBytes;
        let sum0 = i32x4.splat(0);
        let sum1 = i32x4.splat(0);
        let sum2 = i32x4.splat(0);
        let sum3 = i32x4.splat(0);
        let sum4 = i32x4.splat(0);
        let sum5 = i32x4.splat(0);
        let sum6 = i32x4.splat(0);
        let sum7 = i32x4.splat(0);
        while (at < end) {
          const factors = v128.load(left);
          const others = v128.load(right);
          const row0 = v128.load(at);
          sum0 = i32x4.add(sum0, i32x4.dot_i16x8_s(row0, factors));
          sum4 = i32x4.add(sum4, i32x4.dot_i16x8_s(row0, others));
          const row1 = v128.load(at, 16);
          sum1 = i32x4.add(sum1, i32x4.dot_i16x8_s(row1, factors));
          sum5 = i32x4.add(sum5, i32x4.dot_i16x8_s(row1, others));
          const row2 = v128.load(at, 32);
          sum2 = i32x4.add(sum2, i32x4.dot_i16x8_s(row2, factors));
          sum6 = i32x4.add(sum6, i32x4.dot_i16x8_s(row2, others));
          const row3 = v128.load(at, 48);
          sum3 = i32x4.add(sum3, i32x4.dot_i16x8_s(row3, factors));
          sum7 = i32x4.add(sum7, i32x4.dot_i16x8_s(row3, others));
          const moreFactors = v128.load(left, 16);
          const moreOthers = v128.load(right, 16);
          const next0 = v128.load(at, 64);
          sum0 = i32x4.add(sum0, i32x4.dot_i16x8_s(next0, moreFactors));
          sum4 = i32x4.add(sum4, i32x4.dot_i16x8_s(next0, moreOthers));
          const next1 = v128.load(at, 80);
          sum1 = i32x4.add(sum1, i32x4.dot_i16x8_s(next1, moreFactors));
          sum5 = i32x4.add(sum5, i32x4.dot_i16x8_s(next1, moreOthers));
          const next2 = v128.load(at, 96);
          sum2 = i32x4.add(sum2, i32x4.dot_i16x8_s(next2, moreFactors));
          sum6 = i32x4.add(sum6, i32x4.dot_i16x8_s(next2, moreOthers));
          const next3 = v128.load(at, 112);
          sum3 = i32x4.add(sum3, i32x4.dot_i16x8_s(next3, moreFactors));
          sum7 = i32x4.add(sum7, i32x4.dot_i16x8_s(next3, moreOthers));
          at += 128;
          left += 32;
          right += 32;
        }
        const rowScales = v128.load(scales + (<usize>row << 2));
        const sums = f32x4.convert_i32x4_s(sumFourIntegers(sum0, sum1, sum2, sum3));
        offerFour(state, f32x4.mul(sums, f32x4.mul(rowScales, scale)), row, rowCount, mask);
        if (other == query) continue;
        const otherSums = f32x4.convert_i32x4_s(sumFourIntegers(sum4, sum5, sum6, sum7));
        offerFour(otherState, f32x4.mul(otherSums, f32x4.mul(rowScales, otherScale)), row, rowCount, mask);
      }
    }
  }
  const outputBytes = <usize>k << 2;
  for (let query = 0; query < queryCount; query++) {
    const count = finishSelection(
      states + <usize>query * stateBytes,
      outputRows + <usize>query * outputBytes,
      outputScores + <usize>query * outputBytes,
    );
    store<i32>(outputCounts + (<usize>query << 2), count);
  }
  return queryCount;
}

// @ts-ignore: decorator
@inline
function offerFour(state: usize, scores: v128, row: i32, rowCount: i32, mask: usize): void {
  if (v128.any_true(f32x4.gt(scores, f32x4.splat(thresholdOf(state))))) {
    offer(state, f32x4.extract_lane(scores, 0), row, mask);
    if (row + 1 < rowCount) offer(state, f32x4.extract_lane(scores, 1), row + 1, mask);
    if (row + 2 < rowCount) offer(state, f32x4.extract_lane(scores, 2), row + 2, mask);
    if (row + 3 < rowCount) offer(state, f32x4.extract_lane(scores, 3), row + 3, mask);
  }
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
