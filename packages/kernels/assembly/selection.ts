// Top-k selection. A candidate is one unsigned 64-bit key: the score's bits, mapped so that integers
// order as floats do, above the inverted row. So one integer comparison orders by score and then by
// row, all keys differ, and the outcome does not depend on the order of offers.
//
// Candidates that beat the threshold are appended; when the buffer is full, a quickselect keeps the
// best k and raises the threshold. That is one well-predicted comparison per row.

const COUNT: usize = 0;
const THRESHOLD: usize = 4;
const KEPT: usize = 8;
const CAPACITY: usize = 12;
const KEYS: usize = 64;

export function selectionBytes(k: i32): usize {
  return KEYS + <usize>(2 * k + 256) * 8;
}

export function beginSelection(state: usize, k: i32): void {
  store<i32>(state, 0, COUNT);
  store<f32>(state, f32.NEGATIVE_INFINITY, THRESHOLD);
  store<i32>(state, k, KEPT);
  store<i32>(state, 2 * k + 256, CAPACITY);
}

// @ts-ignore: decorator
@inline
export function thresholdOf(state: usize): f32 {
  return load<f32>(state, THRESHOLD);
}

// @ts-ignore: decorator
@inline
function keyOf(score: f32, row: i32): u64 {
  // Adding zero turns -0 into 0, so that the two tie.
  const bits = reinterpret<u32>(score + <f32>0);
  const ordered = bits ^ (<u32>(<i32>bits >> 31) | 0x80000000);
  return (<u64>ordered << 32) | <u64>(~(<u32>row));
}

// @ts-ignore: decorator
@inline
function scoreOf(key: u64): f32 {
  const ordered = <u32>(key >> 32);
  return reinterpret<f32>(ordered ^ (<u32>(<i32>(~ordered) >> 31) | 0x80000000));
}

// @ts-ignore: decorator
@inline
function rowOf(key: u64): i32 {
  return <i32>(~(<u32>key));
}

/** Adds a candidate that reached the threshold. */
export function admit(state: usize, score: f32, row: i32): void {
  // The negated form also refuses NaN.
  if (!(score <= f32.MAX_VALUE && score >= -f32.MAX_VALUE)) return;
  const count = load<i32>(state, COUNT);
  store<u64>(state + KEYS + (<usize>count << 3), keyOf(score, row));
  store<i32>(state, count + 1, COUNT);
  if (count + 1 == load<i32>(state, CAPACITY)) compact(state);
}

function compact(state: usize): void {
  const count = load<i32>(state, COUNT);
  const k = load<i32>(state, KEPT);
  if (count <= k) return;
  partitionBest(state + KEYS, count, k);
  let worst: u64 = u64.MAX_VALUE;
  for (let index = 0; index < k; index++) {
    const key = load<u64>(state + KEYS + (<usize>index << 3));
    if (key < worst) worst = key;
  }
  store<i32>(state, k, COUNT);
  store<f32>(state, scoreOf(worst), THRESHOLD);
}

/** Moves the `k` largest of `count` keys to the front (Hoare's quickselect, median of three). */
function partitionBest(keys: usize, count: i32, k: i32): void {
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const pivot = medianOfThree(keys, low, high);
    let left = low;
    let right = high;
    while (left <= right) {
      while (load<u64>(keys + (<usize>left << 3)) > pivot) left++;
      while (load<u64>(keys + (<usize>right << 3)) < pivot) right--;
      if (left <= right) {
        swap(keys, left, right);
        left++;
        right--;
      }
    }
    if (k - 1 <= right) high = right;
    else if (k - 1 >= left) low = left;
    else return;
  }
}

// @ts-ignore: decorator
@inline
function medianOfThree(keys: usize, low: i32, high: i32): u64 {
  const first = load<u64>(keys + (<usize>low << 3));
  const middle = load<u64>(keys + (<usize>((low + high) >> 1) << 3));
  const last = load<u64>(keys + (<usize>high << 3));
  if (first > middle) {
    if (middle > last) return middle;
    return first > last ? last : first;
  }
  if (first > last) return first;
  return middle > last ? last : middle;
}

// @ts-ignore: decorator
@inline
function swap(keys: usize, left: i32, right: i32): void {
  const leftAddress = keys + (<usize>left << 3);
  const rightAddress = keys + (<usize>right << 3);
  const key = load<u64>(leftAddress);
  store<u64>(leftAddress, load<u64>(rightAddress));
  store<u64>(rightAddress, key);
}

/** Below this many keys, comparing is faster than counting digits. */
const RADIX_FROM: i32 = 512;

/**
 * Sorts keys from large to small: quicksort down to short runs, then one insertion sort; many keys by their digits.
 * Behind the keys there must be room for as many again and 1 KiB.
 */
export function sortDescending(keys: usize, count: i32): void {
  if (count >= RADIX_FROM) {
    radixDescending(keys, count);
    return;
  }
  quicksort(keys, 0, count - 1);
  for (let index = 1; index < count; index++) {
    const key = load<u64>(keys + (<usize>index << 3));
    let position = index - 1;
    while (position >= 0 && load<u64>(keys + (<usize>position << 3)) < key) {
      store<u64>(keys + (<usize>(position + 1) << 3), load<u64>(keys + (<usize>position << 3)));
      position--;
    }
    store<u64>(keys + (<usize>(position + 1) << 3), key);
  }
}

/** Least significant digit first, a byte at a time, between the keys and the room behind them; bytes that all keys share cost no pass. */
function radixDescending(keys: usize, count: i32): void {
  const counts = keys + (<usize>count << 4);
  let from = keys;
  let to = keys + (<usize>count << 3);
  const first = load<u64>(keys);
  let differing: u64 = 0;
  for (let index = 1; index < count; index++) differing |= load<u64>(keys + (<usize>index << 3)) ^ first;
  for (let shift: u64 = 0; shift < 64; shift += 8) {
    if (((differing >> shift) & 255) == 0) continue;
    memory.fill(counts, 0, 1024);
    for (let index = 0; index < count; index++) {
      const at = counts + ((<usize>(load<u64>(from + (<usize>index << 3)) >> shift) & 255) << 2);
      store<i32>(at, load<i32>(at) + 1);
    }
    let place = 0;
    for (let digit = 255; digit >= 0; digit--) {
      const at = counts + (<usize>digit << 2);
      const some = load<i32>(at);
      store<i32>(at, place);
      place += some;
    }
    for (let index = 0; index < count; index++) {
      const key = load<u64>(from + (<usize>index << 3));
      const at = counts + ((<usize>(key >> shift) & 255) << 2);
      const target = load<i32>(at);
      store<i32>(at, target + 1);
      store<u64>(to + (<usize>target << 3), key);
    }
    const swapped = from;
    from = to;
    to = swapped;
  }
  if (from != keys) memory.copy(keys, from, <usize>count << 3);
}

function quicksort(keys: usize, low: i32, high: i32): void {
  while (high - low > 16) {
    const pivot = medianOfThree(keys, low, high);
    let left = low;
    let right = high;
    while (left <= right) {
      while (load<u64>(keys + (<usize>left << 3)) > pivot) left++;
      while (load<u64>(keys + (<usize>right << 3)) < pivot) right--;
      if (left <= right) {
        swap(keys, left, right);
        left++;
        right--;
      }
    }
    // Recursion into the shorter side bounds the depth.
    if (right - low < high - left) {
      quicksort(keys, low, right);
      low = left;
    } else {
      quicksort(keys, left, high);
      high = right;
    }
  }
}

/** Writes rows and scores, best first; returns how many. */
export function finishSelection(state: usize, outputRows: usize, outputScores: usize): i32 {
  compact(state);
  const count = load<i32>(state, COUNT);
  sortDescending(state + KEYS, count);
  for (let index = 0; index < count; index++) {
    const key = load<u64>(state + KEYS + (<usize>index << 3));
    store<i32>(outputRows + (<usize>index << 2), rowOf(key));
    store<f32>(outputScores + (<usize>index << 2), scoreOf(key));
  }
  return count;
}

/** Where the next key of a selection in order goes; at least `room` keys fit there. */
// @ts-ignore: decorator
@inline
export function openInOrder(state: usize, room: i32): usize {
  if (load<i32>(state, COUNT) + room > load<i32>(state, CAPACITY)) compactInOrder(state);
  return state + KEYS + (<usize>load<i32>(state, COUNT) << 3);
}

/**
 * Adds a candidate that is finite, above the threshold and behind all others by its row; returns where the next key goes.
 * Keys stand in the order of their rows; behind the room for them there must be as much again.
 */
// @ts-ignore: decorator
@inline
export function putInOrder(next: usize, score: f32, row: i32): usize {
  store<u64>(next, keyOf(score, row));
  return next + 8;
}

// @ts-ignore: decorator
@inline
export function closeInOrder(state: usize, next: usize): void {
  store<i32>(state, <i32>((next - state - KEYS) >> 3), COUNT);
}

/** Keeps the best k where they stand: the worst of them is found in a copy, so that nothing has to be sorted. */
function compactInOrder(state: usize): void {
  const count = load<i32>(state, COUNT);
  const k = load<i32>(state, KEPT);
  if (count <= k) return;
  const keys = state + KEYS;
  const copy = keys + (<usize>load<i32>(state, CAPACITY) << 3);
  memory.copy(copy, keys, <usize>count << 3);
  const worst = largestAt(copy, count, k - 1);
  let next = keys;
  for (let index = 0; index < count; index++) {
    const key = load<u64>(keys + (<usize>index << 3));
    store<u64>(next, key);
    next += key >= worst ? 8 : 0;
  }
  store<i32>(state, k, COUNT);
  store<f32>(state, scoreOf(worst), THRESHOLD);
}

/**
 * The key that `place` others are larger than (all differ), by quickselect, in disorder afterwards. Every key is swapped,
 * larger or not: a branch on it would be guessed wrong half the time.
 */
function largestAt(keys: usize, count: i32, place: i32): u64 {
  let low = 0;
  let high = count;
  while (high - low > 2) {
    const pivot = medianOfThree(keys, low, high - 1);
    const end = keys + (<usize>high << 3);
    let to = keys + (<usize>low << 3);
    for (let from = to; from < end; from += 8) {
      const key = load<u64>(from);
      store<u64>(from, load<u64>(to));
      store<u64>(to, key);
      to += key > pivot ? 8 : 0;
    }
    // The pivot is the largest of those from here on, and at least one of the three was larger.
    const larger = <i32>((to - keys) >> 3);
    if (place < larger) high = larger;
    else if (place == larger) return pivot;
    else low = larger;
  }
  const first = load<u64>(keys + (<usize>low << 3));
  if (high - low == 1) return first;
  const second = load<u64>(keys + (<usize>low << 3), 8);
  return place == low ? max(first, second) : min(first, second);
}

/** Writes rows and scores by ascending row, as they came; returns how many. */
export function finishInOrder(state: usize, outputRows: usize, outputScores: usize): i32 {
  compactInOrder(state);
  const count = load<i32>(state, COUNT);
  for (let index = 0; index < count; index++) {
    const key = load<u64>(state + KEYS + (<usize>index << 3));
    store<i32>(outputRows + (<usize>index << 2), rowOf(key));
    store<f32>(outputScores + (<usize>index << 2), scoreOf(key));
  }
  return count;
}

// @ts-ignore: decorator
@inline
function offerAscending(state: usize, score: f32, row: i32, mask: usize): void {
  // Rows ascend, so a later row that ties with the threshold loses.
  if (score > thresholdOf(state) && (mask == 0 || load<u8>(mask + row) != 0)) admit(state, score, row);
}

export function topK(
  scores: usize,
  length: i32,
  k: i32,
  mask: usize,
  outputRows: usize,
  outputScores: usize,
  state: usize,
): i32 {
  beginSelection(state, k);
  let row = 0;
  while (row + 16 <= length) {
    const at = scores + (<usize>row << 2);
    const threshold = f32x4.splat(thresholdOf(state));
    const first = v128.or(f32x4.gt(v128.load(at), threshold), f32x4.gt(v128.load(at, 16), threshold));
    const second = v128.or(f32x4.gt(v128.load(at, 32), threshold), f32x4.gt(v128.load(at, 48), threshold));
    if (v128.any_true(v128.or(first, second))) {
      for (let lane = 0; lane < 16; lane++) {
        offerAscending(state, load<f32>(at + (<usize>lane << 2)), row + lane, mask);
      }
    }
    row += 16;
  }
  while (row < length) {
    offerAscending(state, load<f32>(scores + (<usize>row << 2)), row, mask);
    row++;
  }
  return finishSelection(state, outputRows, outputScores);
}

/** `topK` over the rows whose score is above their floor. */
export function topKAbove(
  scores: usize,
  floors: usize,
  length: i32,
  k: i32,
  mask: usize,
  outputRows: usize,
  outputScores: usize,
  state: usize,
): i32 {
  beginSelection(state, k);
  let row = 0;
  while (row + 16 <= length) {
    const at = scores + (<usize>row << 2);
    const floor = floors + (<usize>row << 2);
    const threshold = f32x4.splat(thresholdOf(state));
    // Above both is above the greater.
    const first = v128.or(
      f32x4.gt(v128.load(at), f32x4.pmax(threshold, v128.load(floor))),
      f32x4.gt(v128.load(at, 16), f32x4.pmax(threshold, v128.load(floor, 16))),
    );
    const second = v128.or(
      f32x4.gt(v128.load(at, 32), f32x4.pmax(threshold, v128.load(floor, 32))),
      f32x4.gt(v128.load(at, 48), f32x4.pmax(threshold, v128.load(floor, 48))),
    );
    if (v128.any_true(v128.or(first, second))) {
      for (let lane = 0; lane < 16; lane++) {
        const score = load<f32>(at + (<usize>lane << 2));
        if (score > load<f32>(floor + (<usize>lane << 2))) offerAscending(state, score, row + lane, mask);
      }
    }
    row += 16;
  }
  while (row < length) {
    const score = load<f32>(scores + (<usize>row << 2));
    if (score > load<f32>(floors + (<usize>row << 2))) offerAscending(state, score, row, mask);
    row++;
  }
  return finishSelection(state, outputRows, outputScores);
}
