// Vectors and rows. Sums use several independent accumulators, because one chain of additions is
// bound by the latency of the adder and not by memory. Loops are unrolled only as far as all loads of
// one turn fit into registers: V8 moves them to the front of the turn and would spill the rest.

// @ts-ignore: decorator
@inline
export function sumLanes(values: v128): f32 {
  const pairs = f32x4.add(values, v128.shuffle<f32>(values, values, 2, 3, 0, 1));
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}

/** Dot product of two consecutive float vectors. */
// @ts-ignore: decorator
@inline
export function dotProduct(left: usize, right: usize, length: i32): f32 {
  let sum0 = f32x4.splat(0);
  let sum1 = f32x4.splat(0);
  let sum2 = f32x4.splat(0);
  let sum3 = f32x4.splat(0);
  const end = left + (<usize>length << 2);
  const unrolledEnd = left + (<usize>(length & ~15) << 2);
  while (left < unrolledEnd) {
    sum0 = f32x4.add(sum0, f32x4.mul(v128.load(left), v128.load(right)));
    sum1 = f32x4.add(sum1, f32x4.mul(v128.load(left, 16), v128.load(right, 16)));
    sum2 = f32x4.add(sum2, f32x4.mul(v128.load(left, 32), v128.load(right, 32)));
    sum3 = f32x4.add(sum3, f32x4.mul(v128.load(left, 48), v128.load(right, 48)));
    left += 64;
    right += 64;
  }
  while (left + 16 <= end) {
    sum0 = f32x4.add(sum0, f32x4.mul(v128.load(left), v128.load(right)));
    left += 16;
    right += 16;
  }
  let sum = sumLanes(f32x4.add(f32x4.add(sum0, sum1), f32x4.add(sum2, sum3)));
  while (left < end) {
    sum += load<f32>(left) * load<f32>(right);
    left += 4;
    right += 4;
  }
  return sum;
}

export function dot(left: usize, right: usize, length: i32): f32 {
  return dotProduct(left, right, length);
}

export function sparseDot(
  leftIndices: usize,
  leftValues: usize,
  leftLength: i32,
  rightIndices: usize,
  rightValues: usize,
  rightLength: i32,
): f32 {
  let left = 0;
  let right = 0;
  let sum: f32 = 0;
  while (left < leftLength && right < rightLength) {
    const leftIndex = load<i32>(leftIndices + (<usize>left << 2));
    const rightIndex = load<i32>(rightIndices + (<usize>right << 2));
    if (leftIndex == rightIndex) {
      sum += load<f32>(leftValues + (<usize>left << 2)) * load<f32>(rightValues + (<usize>right << 2));
    }
    // Branch-free merge: which side advances is not predictable.
    left += i32(leftIndex <= rightIndex);
    right += i32(rightIndex <= leftIndex);
  }
  return sum;
}

export function sparseDenseDot(indices: usize, values: usize, length: i32, dense: usize): f32 {
  let sum0: f32 = 0;
  let sum1: f32 = 0;
  let sum2: f32 = 0;
  let sum3: f32 = 0;
  let rest = length;
  while (rest >= 4) {
    sum0 += load<f32>(values) * load<f32>(dense + (<usize>load<u32>(indices) << 2));
    sum1 += load<f32>(values, 4) * load<f32>(dense + (<usize>load<u32>(indices, 4) << 2));
    sum2 += load<f32>(values, 8) * load<f32>(dense + (<usize>load<u32>(indices, 8) << 2));
    sum3 += load<f32>(values, 12) * load<f32>(dense + (<usize>load<u32>(indices, 12) << 2));
    values += 16;
    indices += 16;
    rest -= 4;
  }
  while (rest > 0) {
    sum0 += load<f32>(values) * load<f32>(dense + (<usize>load<u32>(indices) << 2));
    values += 4;
    indices += 4;
    rest--;
  }
  return sum0 + sum1 + (sum2 + sum3);
}

export function multiplyRows(matrix: usize, rowCount: i32, width: i32, vector: usize, output: usize): i32 {
  const bytes = <usize>width << 2;
  for (let row = 0; row < rowCount; row++) {
    store<f32>(output, dotProduct(matrix, vector, width));
    matrix += bytes;
    output += 4;
  }
  return rowCount;
}

/** `values`, with `missing` in place of what is not a number. */
// @ts-ignore: decorator
@inline
function present(values: v128, missing: v128): v128 {
  return v128.bitselect(values, missing, f32x4.eq(values, values));
}

// @ts-ignore: decorator
@inline
function presentValue(value: f32, missing: f32): f32 {
  return value == value ? value : missing;
}

/** Four rows of four columns at a time, by a transposition within registers; rows in blocks whose part of the output stays in the cache. */
export function interleaveColumns(columns: usize, count: i32, width: i32, missing: f32, output: usize): i32 {
  const stride = <usize>count << 2;
  const rowBytes = <usize>width << 2;
  const fillers = f32x4.splat(missing);
  for (let first = 0; first < count; first += 64) {
    const end = min(count, first + 64);
    const whole = first + ((end - first) & ~3);
    let column = 0;
    for (; column + 4 <= width; column += 4) {
      let from = columns + <usize>column * stride + (<usize>first << 2);
      let to = output + <usize>first * rowBytes + (<usize>column << 2);
      let row = first;
      for (; row < whole; row += 4) {
        const a = present(v128.load(from), fillers);
        const b = present(v128.load(from + stride), fillers);
        const c = present(v128.load(from + 2 * stride), fillers);
        const d = present(v128.load(from + 3 * stride), fillers);
        const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
        const cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
        const abHigh = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
        const cdHigh = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
        v128.store(to, v128.shuffle<f64>(ab, cd, 0, 2));
        v128.store(to + rowBytes, v128.shuffle<f64>(ab, cd, 1, 3));
        v128.store(to + 2 * rowBytes, v128.shuffle<f64>(abHigh, cdHigh, 0, 2));
        v128.store(to + 3 * rowBytes, v128.shuffle<f64>(abHigh, cdHigh, 1, 3));
        from += 16;
        to += 4 * rowBytes;
      }
      for (; row < end; row++) {
        store<f32>(to, presentValue(load<f32>(from), missing));
        store<f32>(to, presentValue(load<f32>(from + stride), missing), 4);
        store<f32>(to, presentValue(load<f32>(from + 2 * stride), missing), 8);
        store<f32>(to, presentValue(load<f32>(from + 3 * stride), missing), 12);
        from += 4;
        to += rowBytes;
      }
    }
    for (; column < width; column++) {
      let from = columns + <usize>column * stride + (<usize>first << 2);
      let to = output + <usize>first * rowBytes + (<usize>column << 2);
      for (let row = first; row < end; row++) {
        store<f32>(to, presentValue(load<f32>(from), missing));
        from += 4;
        to += rowBytes;
      }
    }
  }
  return count;
}

export function combineColumns(
  columns: usize,
  count: i32,
  width: i32,
  weights: usize,
  missing: f32,
  output: usize,
): i32 {
  const stride = <usize>count << 2;
  const fillers = f32x4.splat(missing);
  let row = 0;
  // Sixteen rows stay in registers over all columns.
  for (; row + 16 <= count; row += 16) {
    let from = columns + (<usize>row << 2);
    let sum0 = f32x4.splat(0);
    let sum1 = f32x4.splat(0);
    let sum2 = f32x4.splat(0);
    let sum3 = f32x4.splat(0);
    for (let column = 0; column < width; column++) {
      const weight = f32x4.splat(load<f32>(weights + (<usize>column << 2)));
      sum0 = f32x4.add(sum0, f32x4.mul(weight, present(v128.load(from), fillers)));
      sum1 = f32x4.add(sum1, f32x4.mul(weight, present(v128.load(from, 16), fillers)));
      sum2 = f32x4.add(sum2, f32x4.mul(weight, present(v128.load(from, 32), fillers)));
      sum3 = f32x4.add(sum3, f32x4.mul(weight, present(v128.load(from, 48), fillers)));
      from += stride;
    }
    const to = output + (<usize>row << 2);
    v128.store(to, sum0);
    v128.store(to, sum1, 16);
    v128.store(to, sum2, 32);
    v128.store(to, sum3, 48);
  }
  for (; row < count; row++) {
    let from = columns + (<usize>row << 2);
    let sum: f32 = 0;
    for (let column = 0; column < width; column++) {
      sum += load<f32>(weights + (<usize>column << 2)) * presentValue(load<f32>(from), missing);
      from += stride;
    }
    store<f32>(output + (<usize>row << 2), sum);
  }
  return count;
}

export function gatherRows(matrix: usize, width: i32, rows: usize, count: i32, output: usize): i32 {
  const bytes = <usize>width << 2;
  for (let index = 0; index < count; index++) {
    memory.copy(output, matrix + <usize>load<u32>(rows) * bytes, bytes);
    rows += 4;
    output += bytes;
  }
  return count;
}

export function gatherDot(
  matrix: usize,
  width: i32,
  rows: usize,
  count: i32,
  vector: usize,
  output: usize,
): i32 {
  const bytes = <usize>width << 2;
  for (let index = 0; index < count; index++) {
    store<f32>(output, dotProduct(matrix + <usize>load<u32>(rows) * bytes, vector, width));
    rows += 4;
    output += 4;
  }
  return count;
}

/**
 * output[0..width) (+)= sum of weight(i) * row(index(i)). Columns are taken in blocks that stay in
 * registers over all rows, so that each output value is loaded and stored once.
 */
// @ts-ignore: decorator
@inline
export function combineRows(
  output: usize,
  matrix: usize,
  width: i32,
  rows: usize,
  weights: usize,
  count: i32,
  start: bool,
): void {
  const bytes = <usize>width << 2;
  let column = 0;
  while (column + 32 <= width) {
    const at = output + (<usize>column << 2);
    let sum0 = start ? f32x4.splat(0) : v128.load(at);
    let sum1 = start ? f32x4.splat(0) : v128.load(at, 16);
    let sum2 = start ? f32x4.splat(0) : v128.load(at, 32);
    let sum3 = start ? f32x4.splat(0) : v128.load(at, 48);
    let sum4 = start ? f32x4.splat(0) : v128.load(at, 64);
    let sum5 = start ? f32x4.splat(0) : v128.load(at, 80);
    let sum6 = start ? f32x4.splat(0) : v128.load(at, 96);
    let sum7 = start ? f32x4.splat(0) : v128.load(at, 112);
    const base = matrix + (<usize>column << 2);
    for (let index = 0; index < count; index++) {
      const offset = <usize>index << 2;
      const weight = weights ? v128.load_splat<f32>(weights + offset) : f32x4.splat(1);
      const row = base + <usize>load<u32>(rows + offset) * bytes;
      sum0 = f32x4.add(sum0, f32x4.mul(weight, v128.load(row)));
      sum1 = f32x4.add(sum1, f32x4.mul(weight, v128.load(row, 16)));
      sum2 = f32x4.add(sum2, f32x4.mul(weight, v128.load(row, 32)));
      sum3 = f32x4.add(sum3, f32x4.mul(weight, v128.load(row, 48)));
      sum4 = f32x4.add(sum4, f32x4.mul(weight, v128.load(row, 64)));
      sum5 = f32x4.add(sum5, f32x4.mul(weight, v128.load(row, 80)));
      sum6 = f32x4.add(sum6, f32x4.mul(weight, v128.load(row, 96)));
      sum7 = f32x4.add(sum7, f32x4.mul(weight, v128.load(row, 112)));
    }
    v128.store(at, sum0);
    v128.store(at, sum1, 16);
    v128.store(at, sum2, 32);
    v128.store(at, sum3, 48);
    v128.store(at, sum4, 64);
    v128.store(at, sum5, 80);
    v128.store(at, sum6, 96);
    v128.store(at, sum7, 112);
    column += 32;
  }
  while (column + 4 <= width) {
    const at = output + (<usize>column << 2);
    let sum = start ? f32x4.splat(0) : v128.load(at);
    const base = matrix + (<usize>column << 2);
    for (let index = 0; index < count; index++) {
      const offset = <usize>index << 2;
      const weight = weights ? v128.load_splat<f32>(weights + offset) : f32x4.splat(1);
      sum = f32x4.add(sum, f32x4.mul(weight, v128.load(base + <usize>load<u32>(rows + offset) * bytes)));
    }
    v128.store(at, sum);
    column += 4;
  }
  while (column < width) {
    const at = output + (<usize>column << 2);
    let sum: f32 = start ? 0 : load<f32>(at);
    const base = matrix + (<usize>column << 2);
    for (let index = 0; index < count; index++) {
      const offset = <usize>index << 2;
      const weight: f32 = weights ? load<f32>(weights + offset) : 1;
      sum += weight * load<f32>(base + <usize>load<u32>(rows + offset) * bytes);
    }
    store<f32>(at, sum);
    column++;
  }
}

export function accumulateRows(
  output: usize,
  matrix: usize,
  width: i32,
  rows: usize,
  weights: usize,
  count: i32,
): i32 {
  combineRows(output, matrix, width, rows, weights, count, false);
  return count;
}

export function accumulateSparseRows(
  output: usize,
  rowOffsets: usize,
  columnIndices: usize,
  values: usize,
  rows: usize,
  weights: usize,
  count: i32,
): i32 {
  for (let index = 0; index < count; index++) {
    const row = rowOffsets + (<usize>load<u32>(rows + (<usize>index << 2)) << 2);
    const weight: f32 = weights ? load<f32>(weights + (<usize>index << 2)) : 1;
    const begin = <usize>load<u32>(row) << 2;
    const end = <usize>load<u32>(row, 4) << 2;
    if (values) {
      for (let entry = begin; entry < end; entry += 4) {
        const to = output + (<usize>load<u32>(columnIndices + entry) << 2);
        store<f32>(to, load<f32>(to) + weight * load<f32>(values + entry));
      }
    } else {
      for (let entry = begin; entry < end; entry += 4) {
        const to = output + (<usize>load<u32>(columnIndices + entry) << 2);
        store<f32>(to, load<f32>(to) + weight);
      }
    }
  }
  return count;
}

export function normalizeRows(matrix: usize, rowCount: i32, width: i32): i32 {
  const bytes = <usize>width << 2;
  for (let row = 0; row < rowCount; row++) {
    const squared = dotProduct(matrix, matrix, width);
    if (squared >= 1e-30 && squared < f32.POSITIVE_INFINITY) {
      const factor: f32 = <f32>(1.0 / Math.sqrt(<f64>squared));
      const factors = f32x4.splat(factor);
      let at = matrix;
      let rest = width;
      while (rest >= 4) {
        v128.store(at, f32x4.mul(v128.load(at), factors));
        at += 16;
        rest -= 4;
      }
      while (rest > 0) {
        store<f32>(at, load<f32>(at) * factor);
        at += 4;
        rest--;
      }
    } else {
      memory.fill(matrix, 0, bytes);
    }
    matrix += bytes;
  }
  return rowCount;
}

export function streamRead(values: usize, length: i32): f32 {
  let sum0 = f32x4.splat(0);
  let sum1 = f32x4.splat(0);
  let sum2 = f32x4.splat(0);
  let sum3 = f32x4.splat(0);
  let rest = length;
  while (rest >= 32) {
    sum0 = f32x4.add(sum0, v128.load(values));
    sum1 = f32x4.add(sum1, v128.load(values, 16));
    sum2 = f32x4.add(sum2, v128.load(values, 32));
    sum3 = f32x4.add(sum3, v128.load(values, 48));
    sum0 = f32x4.add(sum0, v128.load(values, 64));
    sum1 = f32x4.add(sum1, v128.load(values, 80));
    sum2 = f32x4.add(sum2, v128.load(values, 96));
    sum3 = f32x4.add(sum3, v128.load(values, 112));
    values += 128;
    rest -= 32;
  }
  let sum = sumLanes(f32x4.add(f32x4.add(sum0, sum1), f32x4.add(sum2, sum3)));
  while (rest > 0) {
    sum += load<f32>(values);
    values += 4;
    rest--;
  }
  return sum;
}
