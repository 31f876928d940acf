// What a few items (a history) say about many candidates, over lists of neighbours and over vectors. The history is
// spread once into a table by neighbour; a candidate then reads the rows of its own neighbours and adds them up: one
// byte per item of the history counts the neighbours that both share.
import { sumLanes } from './dense';

/** Items of a history at most: bytes of a row. */
const most = 64;
/** A row of the table: a byte per item of the history, the sum of their weights, the neighbour's rarity, the neighbour. */
const rowBytes: usize = 80;

// @ts-ignore: decorator
@inline
function placeOf(row: i32, history: usize, historyCount: i32): i32 {
  for (let place = 0; place < historyCount; place++) if (load<i32>(history + (<usize>place << 2)) == row) return place;
  return -1;
}

// The weights of all items of the history but one. Summed anew: 1 minus a weight close to 1 has lost its digits.
// @ts-ignore: decorator
@inline
function weightWithout(self: i32, weights: usize, historyCount: i32): f32 {
  if (self < 0) return historyCount == 0 ? 0 : 1;
  let sum: f32 = 0;
  for (let place = 0; place < historyCount; place++) {
    if (place != self) sum += load<f32>(weights + (<usize>place << 2));
  }
  return sum;
}

// Rarities of the neighbours in [entry, end) that other items of the history share; for candidates that it has itself.
function rarityWithout(self: i32, entry: usize, end: usize, slots: usize, table: usize, weights: usize, historyCount: i32): f32 {
  let rarity: f32 = 0;
  for (; entry < end; entry += 4) {
    const record = table + <usize>load<u32>(slots + (<usize>load<u32>(entry) << 2)) * rowBytes;
    let weight: f32 = 0;
    for (let place = 0; place < historyCount; place++) {
      if (place != self && load<u8>(record + place) != 0) weight += load<f32>(weights + (<usize>place << 2));
    }
    rarity += load<f32>(record, 68) * weight;
  }
  return rarity;
}

// Four shares of the union, given the counts and the sums of both sizes.
// @ts-ignore: decorator
@inline
function shareOf(counts: v128, sizes: v128): v128 {
  return f32x4.div(counts, f32x4.max(f32x4.sub(sizes, counts), f32x4.splat(1)));
}

/**
 * Per candidate four numbers, each a weighted mean over the other items of the history: whether it is their neighbour,
 * how many neighbours they share, the sum of the shared ones' rarities, shared neighbours by all of both.
 */
export function neighbourEvidence(
  offsets: usize,
  neighbours: usize,
  rarities: usize,
  rows: usize,
  count: i32,
  history: usize,
  weights: usize,
  historyCount: i32,
  slots: usize,
  workspace: usize,
  output: usize,
): i32 {
  const sizes = workspace;
  const shares = workspace + 256;
  const counters = workspace + 512;
  const table = workspace + 576;
  memory.fill(workspace, 0, 576 + rowBytes);
  let used = 1;
  for (let place = 0; place < historyCount; place++) {
    const row = load<i32>(history + (<usize>place << 2));
    const weight = load<f32>(weights + (<usize>place << 2));
    const begin = load<i32>(offsets + (<usize>row << 2));
    const end = load<i32>(offsets + (<usize>row << 2), 4);
    store<f32>(sizes + (<usize>place << 2), <f32>(end - begin));
    store<f32>(shares + (<usize>place << 2), weight);
    for (let entry = begin; entry < end; entry++) {
      const neighbour = load<i32>(neighbours + (<usize>entry << 2));
      const at = slots + (<usize>neighbour << 2);
      let slot = load<i32>(at);
      if (slot == 0) {
        slot = used++;
        store<i32>(at, slot);
        const fresh = table + <usize>slot * rowBytes;
        memory.fill(fresh, 0, rowBytes);
        store<f32>(fresh, load<f32>(rarities + (<usize>neighbour << 2)), 68);
        store<i32>(fresh, neighbour, 72);
      }
      const record = table + <usize>slot * rowBytes;
      store<u8>(record + place, 1);
      store<f32>(record, load<f32>(record, 64) + weight, 64);
    }
  }
  for (let index = 0; index < count; index++) {
    const row = load<i32>(rows + (<usize>index << 2));
    const to = output + (<usize>index << 4);
    const self = placeOf(row, history, historyCount);
    const rest: f32 = weightWithout(self, weights, historyCount);
    if (row < 0 || rest <= 0) {
      v128.store(to, i8x16.splat(0));
      continue;
    }
    const begin = neighbours + (<usize>load<u32>(offsets + (<usize>row << 2)) << 2);
    const end = neighbours + (<usize>load<u32>(offsets + (<usize>row << 2), 4) << 2);
    let counts0 = i8x16.splat(0);
    let counts1 = i8x16.splat(0);
    let counts2 = i8x16.splat(0);
    let counts3 = i8x16.splat(0);
    let rarity: f32 = 0;
    for (let entry = begin; entry < end; entry += 4) {
      const record = table + <usize>load<u32>(slots + (<usize>load<u32>(entry) << 2)) * rowBytes;
      counts0 = i8x16.add(counts0, v128.load(record));
      counts1 = i8x16.add(counts1, v128.load(record, 16));
      counts2 = i8x16.add(counts2, v128.load(record, 32));
      counts3 = i8x16.add(counts3, v128.load(record, 48));
      rarity += load<f32>(record, 68) * load<f32>(record, 64);
    }
    v128.store(counters, counts0);
    v128.store(counters, counts1, 16);
    v128.store(counters, counts2, 32);
    v128.store(counters, counts3, 48);
    if (self >= 0) {
      store<u8>(counters + self, 0);
      rarity = rarityWithout(self, begin, end, slots, table, weights, historyCount);
    }
    const size = f32x4.splat(<f32>((end - begin) >> 2));
    let common = f32x4.splat(0);
    let union = f32x4.splat(0);
    for (let place = 0; place < historyCount; place += 4) {
      const bytes = v128.load_zero<u32>(counters + place);
      const counts = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(bytes)));
      const weight = v128.load(shares + (<usize>place << 2));
      common = f32x4.add(common, f32x4.mul(weight, counts));
      union = f32x4.add(union, f32x4.mul(weight, shareOf(counts, f32x4.add(v128.load(sizes + (<usize>place << 2)), size))));
    }
    const linked = load<f32>(table + <usize>load<u32>(slots + (<usize>row << 2)) * rowBytes, 64);
    store<f32>(to, linked / rest);
    store<f32>(to, sumLanes(common) / rest, 4);
    store<f32>(to, rarity / rest, 8);
    store<f32>(to, sumLanes(union) / rest, 12);
  }
  for (let slot = 1; slot < used; slot++) {
    store<i32>(slots + (<usize>load<u32>(table + <usize>slot * rowBytes, 72) << 2), 0);
  }
  return count;
}

/** Per candidate two numbers over the other items of the history: the largest dot product, and their weighted mean. */
export function historySimilarity(
  vectors: usize,
  width: i32,
  rows: usize,
  count: i32,
  history: usize,
  weights: usize,
  historyCount: i32,
  workspace: usize,
  output: usize,
): i32 {
  const products = workspace;
  const packed = workspace + 256;
  const bytes = <usize>width << 2;
  memory.fill(packed, 0, bytes * most);
  for (let place = 0; place < historyCount; place++) {
    const vector = vectors + <usize>load<u32>(history + (<usize>place << 2)) * bytes;
    const to = packed + (<usize>place << 2);
    for (let column: usize = 0; column < <usize>width; column++) {
      store<f32>(to + column * (most << 2), load<f32>(vector + (column << 2)));
    }
  }
  for (let index = 0; index < count; index++) {
    const row = load<i32>(rows + (<usize>index << 2));
    const to = output + (<usize>index << 3);
    const self = placeOf(row, history, historyCount);
    const rest: f32 = weightWithout(self, weights, historyCount);
    if (row < 0 || rest <= 0) {
      store<i64>(to, 0);
      continue;
    }
    const begin = vectors + <usize>row * bytes;
    const end = begin + bytes;
    for (let first = 0; first < historyCount; first += 32) {
      let sum0 = f32x4.splat(0);
      let sum1 = f32x4.splat(0);
      let sum2 = f32x4.splat(0);
      let sum3 = f32x4.splat(0);
      let sum4 = f32x4.splat(0);
      let sum5 = f32x4.splat(0);
      let sum6 = f32x4.splat(0);
      let sum7 = f32x4.splat(0);
      let from = packed + (<usize>first << 2);
      for (let column = begin; column < end; column += 4) {
        const value = v128.load_splat<f32>(column);
        sum0 = f32x4.add(sum0, f32x4.mul(value, v128.load(from)));
        sum1 = f32x4.add(sum1, f32x4.mul(value, v128.load(from, 16)));
        sum2 = f32x4.add(sum2, f32x4.mul(value, v128.load(from, 32)));
        sum3 = f32x4.add(sum3, f32x4.mul(value, v128.load(from, 48)));
        sum4 = f32x4.add(sum4, f32x4.mul(value, v128.load(from, 64)));
        sum5 = f32x4.add(sum5, f32x4.mul(value, v128.load(from, 80)));
        sum6 = f32x4.add(sum6, f32x4.mul(value, v128.load(from, 96)));
        sum7 = f32x4.add(sum7, f32x4.mul(value, v128.load(from, 112)));
        from += most << 2;
      }
      const at = products + (<usize>first << 2);
      v128.store(at, sum0);
      v128.store(at, sum1, 16);
      v128.store(at, sum2, 32);
      v128.store(at, sum3, 48);
      v128.store(at, sum4, 64);
      v128.store(at, sum5, 80);
      v128.store(at, sum6, 96);
      v128.store(at, sum7, 112);
    }
    let largest: f32 = -f32.POSITIVE_INFINITY;
    let mean: f32 = 0;
    for (let place = 0; place < historyCount; place++) {
      if (place == self) continue;
      const value = load<f32>(products + (<usize>place << 2));
      largest = max(largest, value);
      mean += load<f32>(weights + (<usize>place << 2)) * value;
    }
    store<f32>(to, largest);
    store<f32>(to, mean / rest, 4);
  }
  return count;
}
