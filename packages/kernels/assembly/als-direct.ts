// Rows of few entries, exactly. With D the diagonal, Y the entries' rows, w their weights and t what they pull with, the
// system (D + Y^T diag(w) Y) x = Y^T t has the solution x = D^-1 Y^T c, where (1 + diag(w) K) c = t and K = Y D^-1 Y^T: as
// many unknowns as entries (Woodbury). Symmetric with s = sqrt(w) and c = s v: (1 + diag(s) K diag(s)) v = t / s, which is
// at least the unit matrix, so that elimination needs no pivoting.

/** The sums of the lanes of four vectors, as one vector. */
// @ts-ignore: decorator
@inline
export function sumFour(one: v128, two: v128, three: v128, four: v128): v128 {
  const low = f32x4.add(v128.shuffle<f32>(one, two, 0, 4, 1, 5), v128.shuffle<f32>(one, two, 2, 6, 3, 7));
  const high = f32x4.add(v128.shuffle<f32>(three, four, 0, 4, 1, 5), v128.shuffle<f32>(three, four, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(low, high, 0, 1, 4, 5), v128.shuffle<f32>(low, high, 2, 3, 6, 7));
}

/** Four products each of two rows with four rows, D^-1 between them (`scaled`; else D is 1). */
// @ts-ignore: decorator
@inline
function productTile(
  left0: usize,
  left1: usize,
  right: usize,
  bytes: usize,
  inverse: usize,
  scaled: bool,
  output0: usize,
  output1: usize,
): void {
  const right0 = <usize>load<u32>(right);
  const right1 = <usize>load<u32>(right, 4);
  const right2 = <usize>load<u32>(right, 8);
  const right3 = <usize>load<u32>(right, 12);
  let sum00 = f32x4.splat(0);
  let sum01 = f32x4.splat(0);
  let sum02 = f32x4.splat(0);
  let sum03 = f32x4.splat(0);
  let sum10 = f32x4.splat(0);
  let sum11 = f32x4.splat(0);
  let sum12 = f32x4.splat(0);
  let sum13 = f32x4.splat(0);
  for (let at: usize = 0; at < bytes; at += 16) {
    let first = v128.load(left0 + at);
    let second = v128.load(left1 + at);
    if (scaled) {
      const factors = v128.load(inverse + at);
      first = f32x4.mul(first, factors);
      second = f32x4.mul(second, factors);
    }
    let value = v128.load(right0 + at);
    sum00 = f32x4.add(sum00, f32x4.mul(first, value));
    sum10 = f32x4.add(sum10, f32x4.mul(second, value));
    value = v128.load(right1 + at);
    sum01 = f32x4.add(sum01, f32x4.mul(first, value));
    sum11 = f32x4.add(sum11, f32x4.mul(second, value));
    value = v128.load(right2 + at);
    sum02 = f32x4.add(sum02, f32x4.mul(first, value));
    sum12 = f32x4.add(sum12, f32x4.mul(second, value));
    value = v128.load(right3 + at);
    sum03 = f32x4.add(sum03, f32x4.mul(first, value));
    sum13 = f32x4.add(sum13, f32x4.mul(second, value));
  }
  v128.store(output0, sumFour(sum00, sum01, sum02, sum03));
  v128.store(output1, sumFour(sum10, sum11, sum12, sum13));
}

/** The products of four rows with each other, on and above the diagonal. */
// @ts-ignore: decorator
@inline
function triangleTile(places: usize, bytes: usize, inverse: usize, scaled: bool, output: usize, line: usize): void {
  const row0 = <usize>load<u32>(places);
  const row1 = <usize>load<u32>(places, 4);
  const row2 = <usize>load<u32>(places, 8);
  const row3 = <usize>load<u32>(places, 12);
  let sum00 = f32x4.splat(0);
  let sum01 = f32x4.splat(0);
  let sum02 = f32x4.splat(0);
  let sum03 = f32x4.splat(0);
  let sum11 = f32x4.splat(0);
  let sum12 = f32x4.splat(0);
  let sum13 = f32x4.splat(0);
  let sum22 = f32x4.splat(0);
  let sum23 = f32x4.splat(0);
  let sum33 = f32x4.splat(0);
  for (let at: usize = 0; at < bytes; at += 16) {
    const value0 = v128.load(row0 + at);
    const value1 = v128.load(row1 + at);
    const value2 = v128.load(row2 + at);
    const value3 = v128.load(row3 + at);
    let left = value0;
    let factors = left;
    if (scaled) {
      factors = v128.load(inverse + at);
      left = f32x4.mul(left, factors);
    }
    sum00 = f32x4.add(sum00, f32x4.mul(left, value0));
    sum01 = f32x4.add(sum01, f32x4.mul(left, value1));
    sum02 = f32x4.add(sum02, f32x4.mul(left, value2));
    sum03 = f32x4.add(sum03, f32x4.mul(left, value3));
    left = scaled ? f32x4.mul(value1, factors) : value1;
    sum11 = f32x4.add(sum11, f32x4.mul(left, value1));
    sum12 = f32x4.add(sum12, f32x4.mul(left, value2));
    sum13 = f32x4.add(sum13, f32x4.mul(left, value3));
    left = scaled ? f32x4.mul(value2, factors) : value2;
    sum22 = f32x4.add(sum22, f32x4.mul(left, value2));
    sum23 = f32x4.add(sum23, f32x4.mul(left, value3));
    left = scaled ? f32x4.mul(value3, factors) : value3;
    sum33 = f32x4.add(sum33, f32x4.mul(left, value3));
  }
  // What lies below the diagonal is not read.
  v128.store(output, sumFour(sum00, sum01, sum02, sum03));
  output += line;
  v128.store(output, sumFour(sum11, sum11, sum12, sum13));
  output += line;
  v128.store(output, sumFour(sum22, sum22, sum22, sum23));
  output += line;
  v128.store(output, sumFour(sum33, sum33, sum33, sum33));
}

/** The same for two rows. */
// @ts-ignore: decorator
@inline
function pairTile(places: usize, bytes: usize, inverse: usize, scaled: bool, output: usize, line: usize): void {
  const row0 = <usize>load<u32>(places);
  const row1 = <usize>load<u32>(places, 4);
  let sum00 = f32x4.splat(0);
  let sum01 = f32x4.splat(0);
  let sum11 = f32x4.splat(0);
  for (let at: usize = 0; at < bytes; at += 16) {
    const value0 = v128.load(row0 + at);
    const value1 = v128.load(row1 + at);
    let left = value0;
    let other = value1;
    if (scaled) {
      const factors = v128.load(inverse + at);
      left = f32x4.mul(left, factors);
      other = f32x4.mul(other, factors);
    }
    sum00 = f32x4.add(sum00, f32x4.mul(left, value0));
    sum01 = f32x4.add(sum01, f32x4.mul(left, value1));
    sum11 = f32x4.add(sum11, f32x4.mul(other, value1));
  }
  const sums = sumFour(sum00, sum01, sum01, sum11);
  v128.store(output, sums);
  v128.store(output + line, v128.shuffle<f32>(sums, sums, 2, 3, 2, 3));
}

/** K on and above the diagonal of the matrix; `scratch`: 32 bytes. */
// @ts-ignore: decorator
@inline
function fillProducts(
  places: usize,
  end: usize,
  bytes: usize,
  inverse: usize,
  scaled: bool,
  matrix: usize,
  line: usize,
  scratch: usize,
): void {
  for (let row: usize = 0; row < end; row += 16) {
    const target = matrix + (row >> 2) * line;
    const left0 = <usize>load<u32>(places + row);
    const left1 = <usize>load<u32>(places + row, 4);
    const left2 = <usize>load<u32>(places + row, 8);
    const left3 = <usize>load<u32>(places + row, 12);
    if (row + 8 < end) triangleTile(places + row, bytes, inverse, scaled, target + row, line);
    else pairTile(places + row, bytes, inverse, scaled, target + row, line);
    for (let column = row + 16; column < end; column += 16) {
      const output = target + column;
      if (column + 8 < end) {
        productTile(left0, left1, places + column, bytes, inverse, scaled, output, output + line);
        productTile(left2, left3, places + column, bytes, inverse, scaled, output + 2 * line, output + 3 * line);
      } else {
        const right0 = <usize>load<u32>(places + column);
        const right1 = <usize>load<u32>(places + column, 4);
        productTile(right0, right1, places + row, bytes, inverse, scaled, scratch, scratch + 16);
        for (let index: usize = 0; index < 4; index++) {
          store<f32>(output + index * line, load<f32>(scratch + (index << 2)));
          store<f32>(output + index * line, load<f32>(scratch + 16 + (index << 2)), 4);
        }
      }
    }
  }
}

/** output = D^-1 sum of factors[i] rows[i], thirty-two columns at a time, then eight. */
function combineRows(factors: usize, places: usize, count: i32, bytes: usize, inverse: usize, output: usize): void {
  let begin: usize = 0;
  for (; begin + 128 <= bytes; begin += 128) {
    let sum0 = f32x4.splat(0);
    let sum1 = f32x4.splat(0);
    let sum2 = f32x4.splat(0);
    let sum3 = f32x4.splat(0);
    let sum4 = f32x4.splat(0);
    let sum5 = f32x4.splat(0);
    let sum6 = f32x4.splat(0);
    let sum7 = f32x4.splat(0);
    for (let entry: usize = 0; entry < <usize>count << 2; entry += 4) {
      const factor = v128.load_splat<f32>(factors + entry);
      const row = <usize>load<u32>(places + entry) + begin;
      sum0 = f32x4.add(sum0, f32x4.mul(factor, v128.load(row)));
      sum1 = f32x4.add(sum1, f32x4.mul(factor, v128.load(row, 16)));
      sum2 = f32x4.add(sum2, f32x4.mul(factor, v128.load(row, 32)));
      sum3 = f32x4.add(sum3, f32x4.mul(factor, v128.load(row, 48)));
      sum4 = f32x4.add(sum4, f32x4.mul(factor, v128.load(row, 64)));
      sum5 = f32x4.add(sum5, f32x4.mul(factor, v128.load(row, 80)));
      sum6 = f32x4.add(sum6, f32x4.mul(factor, v128.load(row, 96)));
      sum7 = f32x4.add(sum7, f32x4.mul(factor, v128.load(row, 112)));
    }
    const to = output + begin;
    v128.store(to, sum0);
    v128.store(to, sum1, 16);
    v128.store(to, sum2, 32);
    v128.store(to, sum3, 48);
    v128.store(to, sum4, 64);
    v128.store(to, sum5, 80);
    v128.store(to, sum6, 96);
    v128.store(to, sum7, 112);
  }
  for (; begin < bytes; begin += 32) {
    let sum0 = f32x4.splat(0);
    let sum1 = f32x4.splat(0);
    for (let entry: usize = 0; entry < <usize>count << 2; entry += 4) {
      const factor = v128.load_splat<f32>(factors + entry);
      const row = <usize>load<u32>(places + entry) + begin;
      sum0 = f32x4.add(sum0, f32x4.mul(factor, v128.load(row)));
      sum1 = f32x4.add(sum1, f32x4.mul(factor, v128.load(row, 16)));
    }
    v128.store(output + begin, sum0);
    v128.store(output + begin, sum1, 16);
  }
  if (inverse == 0) return;
  for (let at: usize = 0; at < bytes; at += 16) {
    v128.store(output + at, f32x4.mul(v128.load(output + at), v128.load(inverse + at)));
  }
}

/**
 * Solves one row of `entries` >= 1 entries into `output`; false, with nothing of use written, where single precision would
 * not keep the error within `tolerance` or something is not finite: the caller then takes steps. `workspace`: places,
 * scales, factors and the matrix, see `alsWorkspaceBytes`.
 */
export function solveDirectly(
  indices: usize,
  weights: usize,
  entries: i32,
  uniform: f32,
  offset: f32,
  sources: usize,
  bytes: usize,
  inverse: usize,
  tolerance: f32,
  workspace: usize,
  output: usize,
): bool {
  // The right-hand side is one more column; lines are whole vectors.
  const line = <usize>((entries + 4) & ~3) << 2;
  const places = workspace;
  const scales = places + line;
  const factors = scales + line;
  const scratch = factors + line;
  const matrix = scratch + 32;
  const end = <usize>entries << 2;
  const first = sources + <usize>load<u32>(indices) * bytes;
  for (let at: usize = 0; at < line; at += 4) {
    let place = first;
    if (at < end) {
      place = sources + <usize>load<u32>(indices + at) * bytes;
      const weight = weights == 0 ? uniform : load<f32>(weights + at);
      // A weight of nothing has no square root to divide by.
      if (!(weight > 1e-12)) return false;
      store<f32>(scales + at, Mathf.sqrt(weight));
    } else {
      store<f32>(scales + at, 0);
    }
    store<u32>(places + at, <u32>place);
  }
  if (inverse == 0) fillProducts(places, end, bytes, 0, false, matrix, line, scratch);
  else fillProducts(places, end, bytes, inverse, true, matrix, line, scratch);
  let largest: f32 = 0;
  let finite = true;
  for (let row: usize = 0; row < end; row += 4) {
    const target = matrix + (row >> 2) * line;
    const scale = load<f32>(scales + row);
    const own = f32x4.splat(scale);
    for (let column = row & ~15; column < line; column += 16) {
      v128.store(target + column, f32x4.mul(v128.load(target + column), f32x4.mul(own, v128.load(scales + column))));
    }
    const diagonal = load<f32>(target + row);
    if (!(diagonal < 1e30)) finite = false;
    largest = max(largest, diagonal);
    store<f32>(target + row, diagonal + 1);
    const weight = weights == 0 ? uniform : load<f32>(weights + row);
    store<f32>(target + end, (weight + offset) / scale);
  }
  if (!finite || !(largest <= tolerance * 1e6)) return false;
  // Elimination, then substitution backwards.
  for (let pivot: usize = 0; pivot < end; pivot += 4) {
    const from = matrix + (pivot >> 2) * line;
    const reciprocal: f32 = 1 / load<f32>(from + pivot);
    for (let row = pivot + 4; row < end; row += 4) {
      const target = matrix + (row >> 2) * line;
      const share = f32x4.splat(load<f32>(from + row) * reciprocal);
      for (let column = row & ~15; column < line; column += 16) {
        v128.store(target + column, f32x4.sub(v128.load(target + column), f32x4.mul(share, v128.load(from + column))));
      }
    }
  }
  for (let row = <isize>end - 4; row >= 0; row -= 4) {
    const from = matrix + (<usize>row >> 2) * line;
    let value = load<f32>(from + end);
    for (let column = <usize>row + 4; column < end; column += 4) value -= load<f32>(from + column) * load<f32>(factors + column);
    store<f32>(factors + <usize>row, value / load<f32>(from + <usize>row));
  }
  for (let at: usize = 0; at < end; at += 4) store<f32>(factors + at, load<f32>(factors + at) * load<f32>(scales + at));
  combineRows(factors, places, entries, bytes, inverse, output);
  return true;
}
