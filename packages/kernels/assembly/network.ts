// One training step of a network that turns a history into a vector and ranks items by cosine: softmax loss over shared
// negatives, gradients, Adam on the rows that took part. `layout` is the block of words that src/history-network.ts fills
// (the same numbers stand there). All sums run in an order that no thread count changes.
import { dotProduct, sumLanes } from './dense';

// @ts-ignore: decorator
@inline
function word(layout: usize, index: usize): i32 {
  return load<i32>(layout + (index << 2));
}
// @ts-ignore: decorator
@inline
function address(layout: usize, index: usize): usize {
  return <usize>load<u32>(layout + (index << 2));
}
// @ts-ignore: decorator
@inline
function real(layout: usize, index: usize): f32 {
  return load<f32>(layout + (index << 2));
}

/** e^x for four values of at most 0, to about one unit in the last place (Cephes expf). */
// @ts-ignore: decorator
@inline
function exponential(values: v128): v128 {
  const x = f32x4.max(values, f32x4.splat(-87));
  const whole = f32x4.nearest(f32x4.mul(x, f32x4.splat(1.44269504)));
  let rest = f32x4.sub(x, f32x4.mul(whole, f32x4.splat(0.693359375)));
  rest = f32x4.sub(rest, f32x4.mul(whole, f32x4.splat(-2.12194440e-4)));
  let sum = f32x4.splat(1.9875691500e-4);
  sum = f32x4.add(f32x4.mul(sum, rest), f32x4.splat(1.3981999507e-3));
  sum = f32x4.add(f32x4.mul(sum, rest), f32x4.splat(8.3334519073e-3));
  sum = f32x4.add(f32x4.mul(sum, rest), f32x4.splat(4.1665795894e-2));
  sum = f32x4.add(f32x4.mul(sum, rest), f32x4.splat(1.6666665459e-1));
  sum = f32x4.add(f32x4.mul(sum, rest), f32x4.splat(5.0000001201e-1));
  sum = f32x4.add(f32x4.add(f32x4.mul(f32x4.mul(rest, rest), sum), rest), f32x4.splat(1));
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(whole), i32x4.splat(127)), 23);
  return f32x4.mul(sum, power);
}

/** 32 well-mixed bits of a counter (MurmurHash3's finaliser, Appleby). */
// @ts-ignore: decorator
@inline
function mixed(seed: u32, counter: u32): u32 {
  let bits = seed ^ (counter * 0x9e3779b1);
  bits = (bits ^ (bits >>> 16)) * 0x85ebca6b;
  bits = (bits ^ (bits >>> 13)) * 0xc2b2ae35;
  return bits ^ (bits >>> 16);
}

/**
 * C (rows x 8 columns) = or += A B over `inner`; A by byte strides, so that it may lie transposed. Four rows and eight columns
 * stay in registers.
 */
// @ts-ignore: decorator
@inline
function multiplyStrip(
  a: usize,
  aRow: usize,
  aInner: usize,
  b: usize,
  bInner: usize,
  c: usize,
  cRow: usize,
  rows: i32,
  inner: i32,
  accumulate: bool,
): void {
  const zero = f32x4.splat(0);
  let row = 0;
  for (; row + 4 <= rows; row += 4) {
    const c1 = c + cRow;
    const c2 = c1 + cRow;
    const c3 = c2 + cRow;
    let s00 = accumulate ? v128.load(c) : zero;
    let s01 = accumulate ? v128.load(c, 16) : zero;
    let s10 = accumulate ? v128.load(c1) : zero;
    let s11 = accumulate ? v128.load(c1, 16) : zero;
    let s20 = accumulate ? v128.load(c2) : zero;
    let s21 = accumulate ? v128.load(c2, 16) : zero;
    let s30 = accumulate ? v128.load(c3) : zero;
    let s31 = accumulate ? v128.load(c3, 16) : zero;
    let left = a;
    let right = b;
    for (let step = 0; step < inner; step++) {
      const b0 = v128.load(right);
      const b1 = v128.load(right, 16);
      let value = v128.load32_splat(left);
      s00 = f32x4.add(s00, f32x4.mul(value, b0));
      s01 = f32x4.add(s01, f32x4.mul(value, b1));
      value = v128.load32_splat(left + aRow);
      s10 = f32x4.add(s10, f32x4.mul(value, b0));
      s11 = f32x4.add(s11, f32x4.mul(value, b1));
      value = v128.load32_splat(left + (aRow << 1));
      s20 = f32x4.add(s20, f32x4.mul(value, b0));
      s21 = f32x4.add(s21, f32x4.mul(value, b1));
      value = v128.load32_splat(left + aRow * 3);
      s30 = f32x4.add(s30, f32x4.mul(value, b0));
      s31 = f32x4.add(s31, f32x4.mul(value, b1));
      left += aInner;
      right += bInner;
    }
    v128.store(c, s00);
    v128.store(c, s01, 16);
    v128.store(c1, s10);
    v128.store(c1, s11, 16);
    v128.store(c2, s20);
    v128.store(c2, s21, 16);
    v128.store(c3, s30);
    v128.store(c3, s31, 16);
    a += aRow << 2;
    c += cRow << 2;
  }
  for (; row < rows; row++) {
    let s0 = accumulate ? v128.load(c) : zero;
    let s1 = accumulate ? v128.load(c, 16) : zero;
    let left = a;
    let right = b;
    for (let step = 0; step < inner; step++) {
      const value = v128.load32_splat(left);
      s0 = f32x4.add(s0, f32x4.mul(value, v128.load(right)));
      s1 = f32x4.add(s1, f32x4.mul(value, v128.load(right, 16)));
      left += aInner;
      right += bInner;
    }
    v128.store(c, s0);
    v128.store(c, s1, 16);
    a += aRow;
    c += cRow;
  }
}

/** to += factor * from. */
// @ts-ignore: decorator
@inline
function addScaled(to: usize, from: usize, factor: f32, bytes: usize): void {
  const factors = f32x4.splat(factor);
  for (let at: usize = 0; at < bytes; at += 16) {
    v128.store(to + at, f32x4.add(v128.load(to + at), f32x4.mul(factors, v128.load(from + at))));
  }
}

export function networkItemRows(layout: usize, begin: i32, end: i32): i32 {
  const width = word(layout, 0);
  const bytes = <usize>width << 2;
  const negatives = word(layout, 2);
  const attributeOffsets = address(layout, 10);
  for (let place = begin; place < end; place++) {
    const row = <usize>load<u32>(address(layout, 6) + (<usize>place << 2));
    const unit = address(layout, 16) + <usize>place * bytes;
    memory.copy(unit, address(layout, 7) + row * bytes, bytes);
    if (attributeOffsets) {
      const last = load<i32>(attributeOffsets + (row << 2), 4);
      for (let entry = load<i32>(attributeOffsets + (row << 2)); entry < last; entry++) {
        const attribute = <usize>load<u32>(address(layout, 11) + (<usize>entry << 2));
        addScaled(unit, address(layout, 13) + attribute * bytes, load<f32>(address(layout, 12) + (<usize>entry << 2)), bytes);
      }
    }
    const length: f32 = Mathf.sqrt(dotProduct(unit, unit, width));
    store<f32>(address(layout, 17) + (<usize>place << 2), length);
    const factors = f32x4.splat(length > 1e-12 ? <f32>1 / length : 0);
    for (let at: usize = 0; at < bytes; at += 16) v128.store(unit + at, f32x4.mul(v128.load(unit + at), factors));
    if (place < negatives) {
      // Strips of eight negatives, so that the rows of a strip never compete for the same part of the cache.
      let to = address(layout, 18) + (<usize>(place >> 3) * bytes << 3) + (<usize>(place & 7) << 2);
      for (let at: usize = 0; at < bytes; at += 4) {
        store<f32>(to, load<f32>(unit + at));
        to += 32;
      }
    }
  }
  return end - begin;
}

export function networkExampleRows(layout: usize, begin: i32, end: i32, filterGradient: usize): i32 {
  const width = word(layout, 0);
  const bytes = <usize>width << 2;
  const negatives = word(layout, 2);
  const columns = word(layout, 3);
  const rowBytes = <usize>(columns + 16) << 2;
  const scale = real(layout, 41);
  const correction = real(layout, 42);
  const factor = real(layout, 47);
  const units = address(layout, 16);
  const hidden = address(layout, 24);
  const hiddenGradients = address(layout, 25);
  const logits = address(layout, 26);
  const seed = <u32>word(layout, 38);
  const eventDrop = <u32>word(layout, 39);
  const drop = <u32>word(layout, 40);
  const historyOffsets = address(layout, 21);
  const historyItems = address(layout, 22);
  const keeps = address(layout, 23);
  const filter = address(layout, 19);
  memory.fill(filterGradient, 0, <usize>word(layout, 1) * bytes);

  for (let example = begin; example < end; example++) {
    const to = hidden + <usize>example * bytes;
    memory.fill(to, 0, bytes);
    const first = load<i32>(historyOffsets + (<usize>example << 2));
    const last = load<i32>(historyOffsets + (<usize>example << 2), 4);
    let kept = 0;
    for (let entry = first; entry < last; entry++) {
      // The newest event (entry `first`) comes last, so that one event is always left.
      const at = entry + 1 < last ? entry + 1 : first;
      const keep = eventDrop == 0 || (at == first && kept == 0) || mixed(seed, <u32>at) >= eventDrop;
      kept += i32(keep);
      store<f32>(keeps + (<usize>at << 2), keep ? 1 : 0);
    }
    for (let entry = first; entry < last; entry++) {
      if (load<f32>(keeps + (<usize>entry << 2)) == 0) continue;
      const unit = units + <usize>load<u32>(historyItems + (<usize>entry << 2)) * bytes;
      const weights = filter + <usize>(entry - first) * bytes;
      for (let at: usize = 0; at < bytes; at += 16) {
        v128.store(to + at, f32x4.add(v128.load(to + at), f32x4.mul(v128.load(unit + at), v128.load(weights + at))));
      }
    }
    if (drop != 0) {
      const counter = <u32>example * <u32>width;
      for (let at = 0; at < width; at++) {
        if (mixed(~seed, counter + <u32>at) < drop) store<f32>(to + (<usize>at << 2), 0);
      }
    }
    const length: f32 = Mathf.sqrt(dotProduct(to, to, width));
    // The losses' place holds the length until the loss is known.
    store<f32>(address(layout, 28) + (<usize>example << 2), length);
    const factors = f32x4.splat(length > 1e-12 ? <f32>1 / length : 0);
    for (let at: usize = 0; at < bytes; at += 16) v128.store(to + at, f32x4.mul(v128.load(to + at), factors));
  }

  // Rows in blocks whose logits stay in the second-level cache until their gradients are taken.
  for (let block = begin; block < end; block += 32) {
    const rows = min(32, end - block);
    const from = hidden + <usize>block * bytes;
    const at = logits + <usize>block * rowBytes;
    for (let column = 0; column < columns; column += 8) {
      multiplyStrip(from, bytes, 4, address(layout, 18) + (<usize>column * bytes), 32, at + (<usize>column << 2), rowBytes, rows, width, false);
    }
    for (let example = block; example < block + rows; example++) {
      softmaxRow(layout, example, negatives, columns, rowBytes, scale, correction, factor);
    }
    for (let column = 0; column < width; column += 8) {
      multiplyStrip(at, rowBytes, 4, units + (<usize>column << 2), bytes, hiddenGradients + <usize>block * bytes + (<usize>column << 2), bytes, rows, negatives, false);
    }
  }

  for (let example = begin; example < end; example++) {
    const unit = hidden + <usize>example * bytes;
    const gradient = hiddenGradients + <usize>example * bytes;
    const target = <usize>load<u32>(address(layout, 20) + (<usize>example << 2));
    addScaled(gradient, units + target * bytes, load<f32>(address(layout, 27) + (<usize>example << 2)), bytes);
    const length = load<f32>(address(layout, 33) + (<usize>example << 2));
    const along = f32x4.splat(dotProduct(unit, gradient, width));
    const factors = f32x4.splat(length > 1e-12 ? <f32>1 / length : 0);
    for (let at: usize = 0; at < bytes; at += 16) {
      const rest = f32x4.sub(v128.load(gradient + at), f32x4.mul(along, v128.load(unit + at)));
      v128.store(gradient + at, f32x4.mul(rest, factors));
    }
    if (drop != 0) {
      const counter = <u32>example * <u32>width;
      for (let at = 0; at < width; at++) {
        if (mixed(~seed, counter + <u32>at) < drop) store<f32>(gradient + (<usize>at << 2), 0);
      }
    }
    const first = load<i32>(historyOffsets + (<usize>example << 2));
    const last = load<i32>(historyOffsets + (<usize>example << 2), 4);
    for (let entry = first; entry < last; entry++) {
      if (load<f32>(keeps + (<usize>entry << 2)) == 0) continue;
      const item = units + <usize>load<u32>(historyItems + (<usize>entry << 2)) * bytes;
      const sums = filterGradient + <usize>(entry - first) * bytes;
      for (let at: usize = 0; at < bytes; at += 16) {
        v128.store(sums + at, f32x4.add(v128.load(sums + at), f32x4.mul(v128.load(item + at), v128.load(gradient + at))));
      }
    }
  }
  return end - begin;
}

/** Cosines of one example become gradients of its logits, times scale and share of the batch. */
// @ts-ignore: decorator
@inline
function softmaxRow(
  layout: usize,
  example: i32,
  negatives: i32,
  columns: i32,
  rowBytes: usize,
  scale: f32,
  correction: f32,
  factor: f32,
): void {
  const width = word(layout, 0);
  const bytes = <usize>width << 2;
  const place = <usize>example << 2;
  const row = address(layout, 26) + <usize>example * rowBytes;
  const length = load<f32>(address(layout, 28) + place);
  store<f32>(address(layout, 33) + place, length);
  const rowEnd = row + (<usize>columns << 2);
  if (!(length > 1e-12)) {
    memory.fill(row, 0, <usize>columns << 2);
    store<f32>(address(layout, 27) + place, 0);
    store<f32>(address(layout, 28) + place, 0);
    store<f32>(address(layout, 29) + place, 0);
    return;
  }
  const target = load<i32>(address(layout, 20) + place);
  const cosine: f32 = dotProduct(address(layout, 24) + <usize>example * bytes, address(layout, 16) + <usize>target * bytes, width);
  const logit: f32 = cosine * scale;
  // Cosines below -2 do not occur: what stands for "not there" ends far below every real logit.
  for (let column = negatives; column < columns; column++) store<f32>(row + (<usize>column << 2), -1e6);
  if (target < negatives) store<f32>(row + (<usize>target << 2), -1e6);
  const scales = f32x4.splat(scale);
  let most = f32x4.splat(-1e6);
  for (let at = row; at < rowEnd; at += 16) most = f32x4.max(most, v128.load(at));
  most = f32x4.max(most, v128.shuffle<f32>(most, most, 2, 3, 0, 1));
  most = f32x4.max(most, v128.shuffle<f32>(most, most, 1, 0, 3, 2));
  const highest: f32 = max(f32x4.extract_lane(most, 0) * scale + correction, logit);
  const shift = f32x4.splat(correction - highest);
  let sums = f32x4.splat(0);
  let cosines = f32x4.splat(0);
  const floor = f32x4.splat(-2);
  for (let at = row; at < rowEnd; at += 16) {
    const values = v128.load(at);
    const there = f32x4.gt(values, floor);
    const parts = v128.and(exponential(f32x4.add(f32x4.mul(values, scales), shift)), there);
    sums = f32x4.add(sums, parts);
    cosines = f32x4.add(cosines, f32x4.mul(parts, values));
    v128.store(at, parts);
  }
  const own: f32 = Mathf.exp(logit - highest);
  const total: f32 = sumLanes(sums) + own;
  const share: f32 = <f32>1 / total;
  const ownGradient: f32 = own * share - 1;
  store<f32>(address(layout, 28) + place, Mathf.log(total) + highest - logit);
  store<f32>(address(layout, 29) + place, (sumLanes(cosines) * share + ownGradient * cosine) * factor);
  store<f32>(address(layout, 27) + place, ownGradient * scale * factor);
  const shares = f32x4.splat(share * scale * factor);
  for (let at = row; at < rowEnd; at += 16) v128.store(at, f32x4.mul(v128.load(at), shares));
}

/** Adam (Kingma and Ba 2015) on one row. */
// @ts-ignore: decorator
@inline
function adamRow(layout: usize, values: usize, first: usize, second: usize, gradient: usize, bytes: usize): void {
  const stepSize = f32x4.splat(real(layout, 43));
  const beta1 = f32x4.splat(real(layout, 44));
  const beta2 = f32x4.splat(real(layout, 45));
  const epsilon = f32x4.splat(real(layout, 46));
  const correction = f32x4.splat(real(layout, 48));
  const rest1 = f32x4.splat(<f32>1 - real(layout, 44));
  const rest2 = f32x4.splat(<f32>1 - real(layout, 45));
  for (let at: usize = 0; at < bytes; at += 16) {
    const slope = v128.load(gradient + at);
    const mean = f32x4.add(f32x4.mul(beta1, v128.load(first + at)), f32x4.mul(rest1, slope));
    const square = f32x4.add(f32x4.mul(beta2, v128.load(second + at)), f32x4.mul(rest2, f32x4.mul(slope, slope)));
    v128.store(first + at, mean);
    v128.store(second + at, square);
    const divisor = f32x4.add(f32x4.mul(f32x4.sqrt(square), correction), epsilon);
    v128.store(values + at, f32x4.sub(v128.load(values + at), f32x4.mul(stepSize, f32x4.div(mean, divisor))));
  }
}

export function networkItemGradients(layout: usize, begin: i32, end: i32): i32 {
  const width = word(layout, 0);
  const bytes = <usize>width << 2;
  const negatives = word(layout, 2);
  const rowBytes = <usize>(word(layout, 3) + 16) << 2;
  const examples = word(layout, 4);
  const gradients = address(layout, 32);
  const units = address(layout, 16);
  const hidden = address(layout, 24);
  const hiddenGradients = address(layout, 25);
  const historyOffsets = address(layout, 21);
  memory.fill(gradients + <usize>begin * bytes, 0, <usize>(end - begin) * bytes);
  const rows = min(end, negatives) - begin;
  if (rows > 0) {
    // 256 examples at a time: their gradients for one cache line of negatives stay in the cache while all columns pass.
    for (let example = 0; example < examples; example += 256) {
      const inner = min(256, examples - example);
      for (let row = 0; row < rows; row += 16) {
        const from = address(layout, 26) + <usize>example * rowBytes + (<usize>(begin + row) << 2);
        const to = gradients + <usize>(begin + row) * bytes;
        for (let column = 0; column < width; column += 8) {
          multiplyStrip(from, 4, rowBytes, hidden + <usize>example * bytes + (<usize>column << 2), bytes, to + (<usize>column << 2), bytes, min(16, rows - row), inner, true);
        }
      }
    }
  }
  for (let place = begin; place < end; place++) {
    const gradient = gradients + <usize>place * bytes;
    const last = load<i32>(address(layout, 30) + (<usize>place << 2), 4);
    for (let use = load<i32>(address(layout, 30) + (<usize>place << 2)); use < last; use++) {
      const example = <usize>load<u32>(address(layout, 31) + (<usize>use << 3));
      const slot = load<i32>(address(layout, 31) + (<usize>use << 3), 4);
      if (slot < 0) {
        addScaled(gradient, hidden + example * bytes, load<f32>(address(layout, 27) + (example << 2)), bytes);
        continue;
      }
      const entry = <usize>(load<i32>(historyOffsets + (example << 2)) + slot);
      if (load<f32>(address(layout, 23) + (entry << 2)) == 0) continue;
      const weights = address(layout, 19) + <usize>slot * bytes;
      const from = hiddenGradients + example * bytes;
      for (let at: usize = 0; at < bytes; at += 16) {
        v128.store(gradient + at, f32x4.add(v128.load(gradient + at), f32x4.mul(v128.load(weights + at), v128.load(from + at))));
      }
    }
    const unit = units + <usize>place * bytes;
    const length = load<f32>(address(layout, 17) + (<usize>place << 2));
    const along = f32x4.splat(dotProduct(unit, gradient, width));
    const factors = f32x4.splat(length > 1e-12 ? <f32>1 / length : 0);
    for (let at: usize = 0; at < bytes; at += 16) {
      const rest = f32x4.sub(v128.load(gradient + at), f32x4.mul(along, v128.load(unit + at)));
      v128.store(gradient + at, f32x4.mul(rest, factors));
    }
    const row = <usize>load<u32>(address(layout, 6) + (<usize>place << 2)) * bytes;
    adamRow(layout, address(layout, 7) + row, address(layout, 8) + row, address(layout, 9) + row, gradient, bytes);
  }
  return end - begin;
}

export function networkAttributeRows(layout: usize, begin: i32, end: i32, workspace: usize): i32 {
  const bytes = <usize>word(layout, 0) << 2;
  const offsets = address(layout, 34);
  let changed = 0;
  for (let attribute = begin; attribute < end; attribute++) {
    let touched = false;
    const last = load<i32>(offsets + (<usize>attribute << 2), 4);
    for (let entry = load<i32>(offsets + (<usize>attribute << 2)); entry < last; entry++) {
      const item = <usize>load<u32>(address(layout, 35) + (<usize>entry << 2));
      const place = load<i32>(address(layout, 37) + (item << 2));
      if (place < 0) continue;
      if (!touched) memory.fill(workspace, 0, bytes);
      touched = true;
      addScaled(workspace, address(layout, 32) + <usize>place * bytes, load<f32>(address(layout, 36) + (<usize>entry << 2)), bytes);
    }
    if (!touched) continue;
    changed++;
    const row = <usize>attribute * bytes;
    adamRow(layout, address(layout, 13) + row, address(layout, 14) + row, address(layout, 15) + row, workspace, bytes);
  }
  return changed;
}
