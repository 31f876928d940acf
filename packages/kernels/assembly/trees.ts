// Tree ensembles, in two ways that give the same leaves.
//
// Masks (QuickScorer, Lucchese et al. 2015; byte-wise as in RapidScorer, Ye et al. 2018): features become ranks
// among the thresholds they meet, one byte each, so that one instruction compares sixteen rows with a threshold.
// A row that fails a condition loses the leaves on its true side; the first leaf that is left is the row's.
// Every condition is looked at, none is branched on.
//
// Walks: eight rows go down a tree side by side, without branches; a leaf leads to itself. For trees with so many
// leaves that looking at every condition costs more.

/** Rows per block of ranks. */
const rankRows = 32;
/** Rows per block of walked features. */
const walkRows = 8;

/**
 * One byte per row and slot: how many thresholds of the slot lie below the value, minus 128. A slot is four words:
 * feature, first threshold, steps of the search (2^steps - 1 thresholds, padded with infinity), rank of NaN.
 */
export function rankFeatures(
  features: usize,
  rowCount: i32,
  featureCount: i32,
  slots: usize,
  slotCount: i32,
  thresholds: usize,
  ranks: usize,
): i32 {
  const rowBytes = <usize>featureCount << 2;
  for (let block = 0; block < rowCount; block += rankRows) {
    const rows = min(rankRows, rowCount - block);
    const from = features + <usize>block * rowBytes;
    for (let slot = 0; slot < slotCount; slot++) {
      const record = slots + (<usize>slot << 4);
      const column = from + (<usize>load<u32>(record) << 2);
      const first = thresholds + (<usize>load<u32>(record, 4) << 2);
      const start = (<usize>2 << load<u32>(record, 8)) & ~3;
      const missing = load<i32>(record, 12);
      let row = 0;
      // Four searches side by side: each alone waits for its own loads.
      for (; row + 4 <= rows; row += 4) {
        const at = column + <usize>row * rowBytes;
        const value0 = load<f32>(at);
        const value1 = load<f32>(at + rowBytes);
        const value2 = load<f32>(at + 2 * rowBytes);
        const value3 = load<f32>(at + 3 * rowBytes);
        let place0 = first;
        let place1 = first;
        let place2 = first;
        let place3 = first;
        for (let step = start; step != 0; step = (step >> 1) & ~3) {
          place0 += step & -(<usize>(load<f32>(place0 + step - 4) < value0));
          place1 += step & -(<usize>(load<f32>(place1 + step - 4) < value1));
          place2 += step & -(<usize>(load<f32>(place2 + step - 4) < value2));
          place3 += step & -(<usize>(load<f32>(place3 + step - 4) < value3));
        }
        const output = ranks + row;
        store<u8>(output, (value0 == value0 ? i32((place0 - first) >> 2) : missing) - 128);
        store<u8>(output, (value1 == value1 ? i32((place1 - first) >> 2) : missing) - 128, 1);
        store<u8>(output, (value2 == value2 ? i32((place2 - first) >> 2) : missing) - 128, 2);
        store<u8>(output, (value3 == value3 ? i32((place3 - first) >> 2) : missing) - 128, 3);
      }
      for (; row < rows; row++) {
        const value = load<f32>(column + <usize>row * rowBytes);
        let place = first;
        for (let step = start; step != 0; step = (step >> 1) & ~3) {
          place += step & -(<usize>(load<f32>(place + step - 4) < value));
        }
        store<u8>(ranks + row, (value == value ? i32((place - first) >> 2) : missing) - 128);
      }
      if (rows < rankRows) memory.fill(ranks + rows, 0, rankRows - rows);
      ranks += rankRows;
    }
  }
  return rowCount;
}

// The lowest set bit of a nibble; 16 for none.
// @ts-ignore: decorator
@inline
function lowestBits(bytes: v128, ofNibble: v128): v128 {
  const nibble = i8x16.splat(15);
  const low = v128.swizzle(ofNibble, v128.and(bytes, nibble));
  const high = v128.swizzle(ofNibble, v128.and(i16x8.shr_u(bytes, 4), nibble));
  return i8x16.min_u(low, i8x16.add(high, i8x16.splat(4)));
}

/** sums (four rows) and the weights of the leaves that four bytes name. */
// @ts-ignore: decorator
@inline
function combineFour(sums: usize, leaves: usize, weights: usize, aggregate: i32): void {
  let values = v128.load_zero<f32>(weights + (<usize>load<u8>(leaves) << 2));
  values = v128.load_lane<f32>(weights + (<usize>load<u8>(leaves, 1) << 2), values, 1);
  values = v128.load_lane<f32>(weights + (<usize>load<u8>(leaves, 2) << 2), values, 2);
  values = v128.load_lane<f32>(weights + (<usize>load<u8>(leaves, 3) << 2), values, 3);
  const before = v128.load(sums);
  v128.store(
    sums,
    aggregate == 0 ? f32x4.add(before, values) : aggregate == 1 ? f32x4.min(before, values) : f32x4.max(before, values),
  );
}

/**
 * Adds every tree's leaf to the sums of the rows whose ranks are given. A tree is a stream of words: bytes of its
 * mask, outputs, entries per byte (the last byte first), then per output target and first weight. An entry is eight
 * bytes: place of the slot in a block of ranks (four), rank of the threshold minus 128, leaves that are lost.
 */
export function maskedTrees(
  ranks: usize,
  blockCount: i32,
  slotCount: i32,
  trees: usize,
  treeCount: i32,
  entries: usize,
  weights: usize,
  aggregate: i32,
  sums: usize,
  sumStride: i32,
  workspace: usize,
): i32 {
  const blockBytes = <usize>slotCount * rankRows;
  const ofNibble = i8x16(16, 0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0);
  const zero = i8x16.splat(0);
  for (let tree = 0; tree < treeCount; tree++) {
    const byteCount = load<i32>(trees);
    const outputCount = load<i32>(trees, 4);
    const counts = trees + 8;
    const outputs = counts + (<usize>byteCount << 2);
    let last = entries;
    for (let block = 0; block < blockCount; block++) {
      const from = ranks + <usize>block * blockBytes;
      let leaves0 = zero;
      let leaves1 = zero;
      let entry = entries;
      for (let byte = 0; byte < byteCount; byte++) {
        let left0 = i8x16.splat(-1);
        let left1 = i8x16.splat(-1);
        const end = entry + (<usize>load<u32>(counts + (<usize>byte << 2)) << 3);
        while (entry < end) {
          const values = from + <usize>load<u32>(entry);
          const threshold = v128.load_splat<u8>(entry, 4);
          const lost = v128.load_splat<u8>(entry, 5);
          left0 = v128.andnot(left0, v128.and(i8x16.gt_s(v128.load(values), threshold), lost));
          left1 = v128.andnot(left1, v128.and(i8x16.gt_s(v128.load(values, 16), threshold), lost));
          entry += 8;
        }
        const base = i8x16.splat(<i8>((byteCount - 1 - byte) << 3));
        leaves0 = v128.bitselect(leaves0, i8x16.add(lowestBits(left0, ofNibble), base), i8x16.eq(left0, zero));
        leaves1 = v128.bitselect(leaves1, i8x16.add(lowestBits(left1, ofNibble), base), i8x16.eq(left1, zero));
      }
      last = entry;
      v128.store(workspace, leaves0);
      v128.store(workspace, leaves1, 16);
      let output = outputs;
      for (let index = 0; index < outputCount; index++) {
        const table = weights + (<usize>load<u32>(output, 4) << 2);
        const target = sums + ((<usize>load<u32>(output) * <usize>sumStride + <usize>block * rankRows) << 2);
        if (aggregate == 0) {
          for (let row: usize = 0; row < <usize>rankRows; row += 8) {
            combineFour(target + (row << 2), workspace + row, table, 0);
            combineFour(target + (row << 2) + 16, workspace + row + 4, table, 0);
          }
        } else {
          for (let row: usize = 0; row < <usize>rankRows; row += 4) combineFour(target + (row << 2), workspace + row, table, aggregate);
        }
        output += 8;
      }
    }
    entries = last;
    trees = outputs + (<usize>outputCount << 3);
  }
  return treeCount;
}

/**
 * Features by slot in blocks of eight rows. A slot is two words: feature, and 1 when a NaN takes the true side, which
 * it then does as minus infinity.
 */
export function spreadFeatures(
  features: usize,
  rowCount: i32,
  featureCount: i32,
  slots: usize,
  slotCount: i32,
  output: usize,
): i32 {
  const rowBytes = <usize>featureCount << 2;
  for (let block = 0; block < rowCount; block += walkRows) {
    const rows = min(walkRows, rowCount - block);
    const from = features + <usize>block * rowBytes;
    for (let slot = 0; slot < slotCount; slot++) {
      const record = slots + (<usize>slot << 3);
      const missing = load<i32>(record, 4);
      let at = from + (<usize>load<u32>(record) << 2);
      for (let row = 0; row < rows; row++) {
        const value = load<f32>(at);
        store<f32>(output + (<usize>row << 2), missing != 0 && value != value ? -f32.POSITIVE_INFINITY : value);
        at += rowBytes;
      }
      if (rows < walkRows) memory.fill(output + (<usize>rows << 2), 0, <usize>(walkRows - rows) << 2);
      output += walkRows << 2;
    }
  }
  return rowCount;
}

// One step of one row: the pair of children lies together, the true one second.
// @ts-ignore: decorator
@inline
function step(node: usize, from: usize, lane: usize, nodes: usize): usize {
  const value = load<f32>(from + lane * 4 + <usize>load<u32>(node, 4));
  return nodes + <usize>load<u32>(node, 8) + (<usize>(value <= load<f32>(node)) << 4);
}

// @ts-ignore: decorator
@inline
function leafOf(node: usize): i32 {
  return load<i32>(node, 12);
}

/**
 * Adds every tree's leaf to the sums of the rows whose features are given. A tree is a stream of words: place of its
 * root, depth, outputs, then per output target and first weight. A node is sixteen bytes: threshold (NaN in a leaf),
 * place of the slot in a block of features, place of its children (a leaf: its own), leaf number or -1.
 */
export function walkedTrees(
  values: usize,
  blockCount: i32,
  slotCount: i32,
  trees: usize,
  treeCount: i32,
  nodes: usize,
  weights: usize,
  aggregate: i32,
  sums: usize,
  sumStride: i32,
  workspace: usize,
): i32 {
  const blockBytes = <usize>slotCount * walkRows * 4;
  for (let tree = 0; tree < treeCount; tree++) {
    const root = nodes + <usize>load<u32>(trees);
    const depth = load<i32>(trees, 4);
    const outputCount = load<i32>(trees, 8);
    const outputs = trees + 12;
    for (let block = 0; block < blockCount; block++) {
      const from = values + <usize>block * blockBytes;
      let node0 = root;
      let node1 = root;
      let node2 = root;
      let node3 = root;
      let node4 = root;
      let node5 = root;
      let node6 = root;
      let node7 = root;
      for (let level = 0; level < depth; level += 2) {
        node0 = step(node0, from, 0, nodes);
        node1 = step(node1, from, 1, nodes);
        node2 = step(node2, from, 2, nodes);
        node3 = step(node3, from, 3, nodes);
        node4 = step(node4, from, 4, nodes);
        node5 = step(node5, from, 5, nodes);
        node6 = step(node6, from, 6, nodes);
        node7 = step(node7, from, 7, nodes);
        node0 = step(node0, from, 0, nodes);
        node1 = step(node1, from, 1, nodes);
        node2 = step(node2, from, 2, nodes);
        node3 = step(node3, from, 3, nodes);
        node4 = step(node4, from, 4, nodes);
        node5 = step(node5, from, 5, nodes);
        node6 = step(node6, from, 6, nodes);
        node7 = step(node7, from, 7, nodes);
        const open =
          leafOf(node0) | leafOf(node1) | leafOf(node2) | leafOf(node3) | leafOf(node4) | leafOf(node5) | leafOf(node6) | leafOf(node7);
        if (open >= 0) break;
      }
      store<i32>(workspace, leafOf(node0));
      store<i32>(workspace, leafOf(node1), 4);
      store<i32>(workspace, leafOf(node2), 8);
      store<i32>(workspace, leafOf(node3), 12);
      store<i32>(workspace, leafOf(node4), 16);
      store<i32>(workspace, leafOf(node5), 20);
      store<i32>(workspace, leafOf(node6), 24);
      store<i32>(workspace, leafOf(node7), 28);
      let output = outputs;
      for (let index = 0; index < outputCount; index++) {
        const table = weights + (<usize>load<u32>(output, 4) << 2);
        const target = sums + ((<usize>load<u32>(output) * <usize>sumStride + <usize>block * walkRows) << 2);
        for (let row: usize = 0; row < <usize>walkRows << 2; row += 4) {
          const value = load<f32>(table + (<usize>load<u32>(workspace + row) << 2));
          const before = load<f32>(target + row);
          store<f32>(target + row, aggregate == 0 ? before + value : aggregate == 1 ? min(before, value) : max(before, value));
        }
        output += 8;
      }
    }
    trees = outputs + (<usize>outputCount << 3);
  }
  return treeCount;
}
