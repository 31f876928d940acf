// Many queries against all rows.
import { dotProduct } from './dense';
import { sortDescending } from './selection';

/** Bytes of rows that stay in the first-level cache while all queries pass. */
const blockBytes: i32 = 16384;

/** `multiplyRows` of each query, a block of rows at a time: the same products. */
export function multiplyRowsMany(
  matrix: usize,
  rowCount: i32,
  width: i32,
  queries: usize,
  queryCount: i32,
  output: usize,
): i32 {
  const bytes = <usize>width << 2;
  const blockRows = max(1, blockBytes / max(1, <i32>bytes));
  for (let begin = 0; begin < rowCount; begin += blockRows) {
    const end = min(rowCount, begin + blockRows);
    for (let query = 0; query < queryCount; query++) {
      const vector = queries + <usize>query * bytes;
      let to = output + ((<usize>query * <usize>rowCount + <usize>begin) << 2);
      let at = matrix + <usize>begin * bytes;
      for (let row = begin; row < end; row++) {
        store<f32>(to, dotProduct(at, vector, width));
        at += bytes;
        to += 4;
      }
    }
  }
  return queryCount;
}

// The best rows by dot product, exactly, without multiplying most of them out. Rows lie in blocks of 32, longest first,
// component by component. A query meets the components in the order of its own largest ones; after every sixteen, a row's
// score is at most what is known of it plus the product of the lengths of both rests (Cauchy and Schwarz). Rows that cannot
// reach the worst of the best are left; the others are multiplied out as `scanTopK` does. Pruning by length and in part is
// that of Teflioudi, Gemulla and Mykytiuk (2015, LEMP), the layout that of Kuffo, Krippner and Boncz (2025, PDX).

/** Components between two bounds. */
const CHUNK: i32 = 16;
/** Rows of a block that are cheaper multiplied out than bounded once more. */
const FEW: i32 = 2;

// The state of a query: rows wanted, rows kept, the score to reach; then its components (where they lie in a block, their
// value), the lengths of the rests, and the keys of the rows kept, best first.
const LIMIT: usize = 0;
const COUNT: usize = 4;
const REACH: usize = 8;
const COMPONENTS: usize = 16;

// @ts-ignore: decorator
@inline
function chunksOf(width: i32): i32 {
  return (width + CHUNK - 1) / CHUNK;
}

// @ts-ignore: decorator
@inline
function restsOf(state: usize, chunks: i32): usize {
  return state + COMPONENTS + (<usize>(chunks * CHUNK) << 3);
}

// @ts-ignore: decorator
@inline
function keysOf(state: usize, chunks: i32): usize {
  return restsOf(state, chunks) + ((<usize>(chunks + 2) << 2) & ~7);
}

/** Notes the components of a query by size. False when its length is no finite number. */
function prepare(query: usize, scales: usize, width: i32, limit: i32, state: usize, sorting: usize): bool {
  const chunks = chunksOf(width);
  for (let column = 0; column < width; column++) {
    const value = load<f32>(query + (<usize>column << 2)) * load<f32>(scales + (<usize>column << 2));
    store<u64>(sorting + (<usize>column << 3), (<u64>reinterpret<u32>(abs<f32>(value)) << 32) | <u64>(~(<u32>column)));
  }
  sortDescending(sorting, width);
  for (let place = 0; place < chunks * CHUNK; place++) {
    const to = state + COMPONENTS + (<usize>place << 3);
    const column: u32 = place < width ? ~(<u32>load<u64>(sorting + (<usize>place << 3))) : 0;
    const value: f32 =
      place < width ? load<f32>(query + (<usize>column << 2)) * load<f32>(scales + (<usize>column << 2)) : 0;
    store<u32>(to, column << 7);
    store<f32>(to, value, 4);
  }
  const rests = restsOf(state, chunks);
  let squares: f64 = 0;
  store<f32>(rests + (<usize>chunks << 2), 0);
  for (let chunk = chunks - 1; chunk >= 0; chunk--) {
    for (let place = (chunk + 1) * CHUNK - 1; place >= chunk * CHUNK; place--) {
      const value = <f64>load<f32>(state + COMPONENTS + (<usize>place << 3), 4);
      squares += value * value;
    }
    store<f32>(rests + (<usize>chunk << 2), <f32>sqrt(squares));
  }
  // What rounding may have changed of both products is a few units in the last place for each component.
  const rounding = sqrt(squares) * <f64>(2 * width + 32) * (1.0 / 8388608.0);
  for (let chunk = 0; chunk <= chunks; chunk++) {
    const at = rests + (<usize>chunk << 2);
    store<f32>(at, <f32>((<f64>load<f32>(at) + rounding) * 1.000001));
  }
  store<i32>(state, limit, LIMIT);
  store<i32>(state, 0, COUNT);
  store<f32>(state, 0, REACH);
  return load<f32>(rests) <= f32.MAX_VALUE;
}

/** Keeps a row when it is among the best so far; equal scores by ascending row. */
function keep(state: usize, keys: usize, score: f32, row: u32): void {
  // Scores above 0 are ordered as their bits are.
  const key = (<u64>reinterpret<u32>(score) << 32) | <u64>(~row);
  const limit = load<i32>(state, LIMIT);
  const count = load<i32>(state, COUNT);
  let place = count;
  if (count == limit) {
    place = limit - 1;
    if (load<u64>(keys + (<usize>place << 3)) > key) return;
  } else {
    store<i32>(state, count + 1, COUNT);
  }
  for (; place > 0; place--) {
    const before = load<u64>(keys + (<usize>(place - 1) << 3));
    if (before > key) break;
    store<u64>(keys + (<usize>place << 3), before);
  }
  store<u64>(keys + (<usize>place << 3), key);
  if (count + 1 >= limit) store<f32>(state, reinterpret<f32>(<u32>(load<u64>(keys + (<usize>(limit - 1) << 3)) >> 32)), REACH);
}

// @ts-ignore: decorator
@inline
function alive(sums: v128, lengths: usize, rest: v128, reach: v128): i32 {
  return i32x4.bitmask(f32x4.ge(f32x4.add(sums, f32x4.mul(v128.load(lengths), rest)), reach));
}

/** One query against one block: which rows may still reach the best, as bits. */
function boundBlock(block: usize, lengths: usize, state: usize, chunks: i32): u32 {
  let sum0 = f32x4.splat(0);
  let sum1 = f32x4.splat(0);
  let sum2 = f32x4.splat(0);
  let sum3 = f32x4.splat(0);
  let sum4 = f32x4.splat(0);
  let sum5 = f32x4.splat(0);
  let sum6 = f32x4.splat(0);
  let sum7 = f32x4.splat(0);
  const reach = v128.load_splat<f32>(state + REACH);
  const full = load<i32>(state, COUNT) == load<i32>(state, LIMIT);
  let component = state + COMPONENTS;
  let rests = restsOf(state, chunks);
  const lastRest = rests + (<usize>chunks << 2);
  let bits: u32 = 0;
  while (true) {
    const end = component + (<usize>CHUNK << 3);
    while (component < end) {
      const from = block + <usize>load<u32>(component);
      const value = v128.load_splat<f32>(component + 4);
      sum0 = f32x4.add(sum0, f32x4.mul(value, v128.load(from)));
      sum1 = f32x4.add(sum1, f32x4.mul(value, v128.load(from, 16)));
      sum2 = f32x4.add(sum2, f32x4.mul(value, v128.load(from, 32)));
      sum3 = f32x4.add(sum3, f32x4.mul(value, v128.load(from, 48)));
      sum4 = f32x4.add(sum4, f32x4.mul(value, v128.load(from, 64)));
      sum5 = f32x4.add(sum5, f32x4.mul(value, v128.load(from, 80)));
      sum6 = f32x4.add(sum6, f32x4.mul(value, v128.load(from, 96)));
      sum7 = f32x4.add(sum7, f32x4.mul(value, v128.load(from, 112)));
      component += 8;
    }
    rests += 4;
    const rest = v128.load_splat<f32>(rests);
    const low = alive(sum0, lengths, rest, reach) | (alive(sum1, lengths + 16, rest, reach) << 4);
    const middle = alive(sum2, lengths + 32, rest, reach) | (alive(sum3, lengths + 48, rest, reach) << 4);
    const high = alive(sum4, lengths + 64, rest, reach) | (alive(sum5, lengths + 80, rest, reach) << 4);
    const top = alive(sum6, lengths + 96, rest, reach) | (alive(sum7, lengths + 112, rest, reach) << 4);
    bits = <u32>low | (<u32>middle << 8) | (<u32>high << 16) | (<u32>top << 24);
    // As long as anything is wanted there is nothing to reach.
    if (!full || <i32>popcnt<u32>(bits) <= FEW || rests == lastRest) break;
  }
  return bits;
}

export function boundedTopKMany(
  blocks: usize,
  lengths: usize,
  order: usize,
  rowCount: i32,
  matrix: usize,
  width: i32,
  queries: usize,
  scales: usize,
  queryCount: i32,
  limits: usize,
  most: i32,
  mask: usize,
  outputRows: usize,
  outputScores: usize,
  outputCounts: usize,
  workspace: usize,
): i32 {
  const bytes = <usize>width << 2;
  const chunks = chunksOf(width);
  const stateBytes = keysOf(0, chunks) + (<usize>most << 3);
  const running = workspace + <usize>queryCount * stateBytes;
  const sorting = (running + (<usize>queryCount << 2) + 7) & ~7;
  let active = 0;
  for (let query = 0; query < queryCount; query++) {
    const limit = load<i32>(limits + (<usize>query << 2));
    const state = workspace + <usize>query * stateBytes;
    const sound = prepare(queries + <usize>query * bytes, scales, width, limit, state, sorting);
    // Told as -1: nothing can be said of such a query.
    if (!sound) store<i32>(state, -1, COUNT);
    else if (limit > 0) {
      store<i32>(running + (<usize>active << 2), query);
      active++;
    }
  }
  const blockCount = (rowCount + 31) >> 5;
  for (let block = 0; block < blockCount && active > 0; block++) {
    const at = blocks + <usize>block * (bytes << 5);
    const length = lengths + (<usize>block << 7);
    const longest = load<f32>(length);
    let place = 0;
    while (place < active) {
      const query = load<i32>(running + (<usize>place << 2));
      const state = workspace + <usize>query * stateBytes;
      if (longest * load<f32>(restsOf(state, chunks)) < load<f32>(state, REACH)) {
        // All rows from here on are shorter still.
        active--;
        store<i32>(running + (<usize>place << 2), load<i32>(running + (<usize>active << 2)));
        continue;
      }
      place++;
      let bits = boundBlock(at, length, state, chunks);
      const keys = keysOf(state, chunks);
      while (bits != 0) {
        const index = (block << 5) + <i32>ctz<u32>(bits);
        bits &= bits - 1;
        if (index >= rowCount) break;
        const row = load<u32>(order + (<usize>index << 2));
        if (mask != 0 && load<u8>(mask + <usize>row) == 0) continue;
        const score = dotProduct(matrix + <usize>row * bytes, queries + <usize>query * bytes, width);
        if (score > 0 && score >= load<f32>(state, REACH) && score <= f32.MAX_VALUE) keep(state, keys, score, row);
      }
    }
  }
  for (let query = 0; query < queryCount; query++) {
    const state = workspace + <usize>query * stateBytes;
    const keys = keysOf(state, chunks);
    const count = load<i32>(state, COUNT);
    store<i32>(outputCounts + (<usize>query << 2), count);
    for (let place = 0; place < count; place++) {
      const key = load<u64>(keys + (<usize>place << 3));
      const to = <usize>(query * most + place) << 2;
      store<i32>(outputRows + to, ~(<i32>key));
      store<f32>(outputScores + to, reinterpret<f32>(<u32>(key >> 32)));
    }
  }
  return queryCount;
}
