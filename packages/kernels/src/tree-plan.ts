import type { NormalTrees } from './tree-description.js';

/** Rows that the mask kernel handles side by side. */
export const rankRows = 32;
/** Rows that the walk kernel handles side by side. */
export const walkRows = 8;
/** A rank is one byte. */
const mostThresholdsPerSlot = 255;
/** The number of a leaf is one byte in the mask kernel. */
export const mostMaskedLeaves = 256;

/** The arrays of `KernelTable.rankFeatures` and `maskedTrees`. */
export interface MaskPlan {
  readonly slots: Int32Array;
  readonly thresholds: Float32Array;
  readonly trees: Int32Array;
  readonly entries: Int32Array;
  readonly weights: Float32Array;
}

/** The arrays of `KernelTable.spreadFeatures` and `walkedTrees`. */
export interface WalkPlan {
  readonly slots: Int32Array;
  readonly trees: Int32Array;
  readonly nodes: Int32Array;
  readonly weights: Float32Array;
}

/** Leaves (as if nothing were shared), branches and depth of the subtree below every node. */
interface Extent {
  readonly leaves: Float64Array;
  readonly depth: Int32Array;
}

function extentOf(trees: NormalTrees): Extent {
  const count = trees.featureIds.length;
  const leaves = new Float64Array(count);
  const depth = new Int32Array(count);
  for (const node of trees.order) {
    if (trees.featureIds[node] === -1) {
      leaves[node] = 1;
      continue;
    }
    const yes = trees.trueNodes[node] as number;
    const no = trees.falseNodes[node] as number;
    leaves[node] = (leaves[yes] as number) + (leaves[no] as number);
    depth[node] = 1 + Math.max(depth[yes] as number, depth[no] as number);
  }
  return { leaves, depth };
}

/** Leaves of the largest tree, shared ones counted as often as they are reached. */
export function mostLeaves(trees: NormalTrees): number {
  const { leaves } = extentOf(trees);
  return trees.roots.reduce((most, root) => Math.max(most, leaves[root] as number), 0);
}

/** Numbers for what belongs to a feature and a way to treat NaN. */
function slotKey(featureId: number, missing: number): number {
  return featureId * 2 + missing;
}

/** Collects the targets of a tree's leaves and appends one table of weights each. */
class WeightTables {
  readonly #values: number[] = [];
  readonly #trees: NormalTrees;
  readonly #neutral: number;

  constructor(trees: NormalTrees, neutral: number) {
    this.#trees = trees;
    this.#neutral = neutral;
  }

  /** Pairs of target and first weight. */
  add(leaves: readonly number[]): number[] {
    const targets = new Set<number>();
    for (const leaf of leaves) for (const target of this.#trees.leaves.get(leaf)?.keys() ?? []) targets.add(target);
    const pairs: number[] = [];
    for (const target of [...targets].sort((one, other) => one - other)) {
      pairs.push(target, this.#values.length);
      for (const leaf of leaves) this.#values.push(this.#trees.leaves.get(leaf)?.get(target) ?? this.#neutral);
    }
    return pairs;
  }

  get values(): Float32Array {
    return Float32Array.from(this.#values);
  }
}

/** Compiles the trees for the mask kernel; of at most `mostMaskedLeaves` leaves each. */
export function planMasks(trees: NormalTrees, neutral: number): MaskPlan {
  const { places, slots, thresholds } = rankSlots(trees);
  const tables = new WeightTables(trees, neutral);
  const stream: number[] = [];
  const entries: number[] = [];
  for (const root of trees.roots) {
    const { leaves, branches } = leavesInOrder(trees, root);
    const byteCount = Math.ceil(leaves.length / 8);
    const outputs = tables.add(leaves);
    stream.push(byteCount, outputs.length / 2);
    for (let byte = byteCount - 1; byte >= 0; byte--) {
      let count = 0;
      for (const { node, begin, end } of branches) {
        const first = Math.max(0, begin - byte * 8);
        const last = Math.min(8, end - byte * 8);
        if (first >= last) continue;
        const lost = (1 << last) - (1 << first);
        const key = slotKey(trees.featureIds[node] as number, trees.missing[node] as number);
        const place = places.get(key)?.get(trees.thresholds[node] as number) as { readonly slot: number; readonly rank: number };
        entries.push(place.slot * rankRows, ((place.rank - 128) & 0xff) | (lost << 8));
        count++;
      }
      stream.push(count);
    }
    stream.push(...outputs);
  }
  return { slots, thresholds, trees: Int32Array.from(stream), entries: Int32Array.from(entries), weights: tables.values };
}

/** Every threshold's slot and rank there. A feature with more thresholds than a byte can number has several slots. */
function rankSlots(trees: NormalTrees): {
  readonly places: ReadonlyMap<number, ReadonlyMap<number, { readonly slot: number; readonly rank: number }>>;
  readonly slots: Int32Array;
  readonly thresholds: Float32Array;
} {
  const met = new Map<number, Set<number>>();
  for (const node of trees.order) {
    if (trees.featureIds[node] === -1) continue;
    const key = slotKey(trees.featureIds[node] as number, trees.missing[node] as number);
    const own = met.get(key);
    if (own === undefined) met.set(key, new Set([trees.thresholds[node] as number]));
    else own.add(trees.thresholds[node] as number);
  }
  const places = new Map<number, Map<number, { slot: number; rank: number }>>();
  const slots: number[] = [];
  const thresholds: number[] = [];
  for (const key of [...met.keys()].sort((one, other) => one - other)) {
    const sorted = Float32Array.from(met.get(key) ?? []).sort();
    const own = new Map<number, { slot: number; rank: number }>();
    places.set(key, own);
    for (let begin = 0; begin < sorted.length; begin += mostThresholdsPerSlot) {
      const chunk = sorted.subarray(begin, begin + mostThresholdsPerSlot);
      const steps = Math.ceil(Math.log2(chunk.length + 1));
      for (const [rank, threshold] of chunk.entries()) own.set(threshold, { slot: slots.length / 4, rank });
      slots.push(key >> 1, thresholds.length, steps, (key & 1) === 1 ? 0 : chunk.length);
      thresholds.push(...chunk);
      for (let padding = chunk.length; padding < 2 ** steps - 1; padding++) thresholds.push(Number.POSITIVE_INFINITY);
    }
  }
  return { places, slots: Int32Array.from(slots), thresholds: Float32Array.from(thresholds) };
}

/** The leaves from the true side to the false one, and for each branch those on its true side. */
function leavesInOrder(
  trees: NormalTrees,
  root: number,
): {
  readonly leaves: readonly number[];
  readonly branches: readonly { readonly node: number; readonly begin: number; readonly end: number }[];
} {
  const leaves: number[] = [];
  const branches: { node: number; begin: number; end: number }[] = [];
  const visit = (node: number): void => {
    if (trees.featureIds[node] === -1) {
      leaves.push(node);
      return;
    }
    const begin = leaves.length;
    visit(trees.trueNodes[node] as number);
    branches.push({ node, begin, end: leaves.length });
    visit(trees.falseNodes[node] as number);
  };
  visit(root);
  return { leaves, branches };
}

/** Compiles the trees for the walk kernel. */
export function planWalks(trees: NormalTrees, neutral: number): WalkPlan {
  const { depth } = extentOf(trees);
  const slotOf = new Map<number, number>();
  const slots: number[] = [];
  for (const node of trees.order) {
    if (trees.featureIds[node] === -1) continue;
    const key = slotKey(trees.featureIds[node] as number, trees.missing[node] as number);
    if (slotOf.has(key)) continue;
    slotOf.set(key, slots.length / 2);
    slots.push(key >> 1, key & 1);
  }
  const tables = new WeightTables(trees, neutral);
  const stream: number[] = [];
  const records: number[] = [];
  const asBits = new Int32Array(1);
  const asFloat = new Float32Array(asBits.buffer);
  for (const root of trees.roots) {
    const leaves: number[] = [];
    const leafNumber = new Map<number, number>();
    const pairOf = new Map<number, number>();
    const rootPlace = records.length * 4;
    records.push(0, 0, 0, 0);
    const pending: { readonly node: number; readonly place: number }[] = [{ node: root, place: rootPlace }];
    // Children lie behind their parents, breadth first: the part of a tree that every row passes stays together.
    for (let next = 0; next < pending.length; next++) {
      const { node, place } = pending[next] as { node: number; place: number };
      const at = place / 4;
      if (trees.featureIds[node] === -1) {
        let leaf = leafNumber.get(node);
        if (leaf === undefined) {
          leaf = leaves.length;
          leafNumber.set(node, leaf);
          leaves.push(node);
        }
        asFloat[0] = Number.NaN;
        records[at] = asBits[0] as number;
        records[at + 1] = 0;
        records[at + 2] = place;
        records[at + 3] = leaf;
        continue;
      }
      let pair = pairOf.get(node);
      if (pair === undefined) {
        pair = records.length * 4;
        pairOf.set(node, pair);
        for (let word = 0; word < 8; word++) records.push(0);
        pending.push({ node: trees.falseNodes[node] as number, place: pair });
        pending.push({ node: trees.trueNodes[node] as number, place: pair + 16 });
      }
      asFloat[0] = trees.thresholds[node] as number;
      records[at] = asBits[0] as number;
      records[at + 1] = (slotOf.get(slotKey(trees.featureIds[node] as number, trees.missing[node] as number)) as number) * walkRows * 4;
      records[at + 2] = pair;
      records[at + 3] = -1;
    }
    const outputs = tables.add(leaves);
    stream.push(rootPlace, depth[root] as number, outputs.length / 2, ...outputs);
  }
  return { slots: Int32Array.from(slots), trees: Int32Array.from(stream), nodes: Int32Array.from(records), weights: tables.values };
}
