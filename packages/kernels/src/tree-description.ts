import { requireShape } from './kernel-error.js';

/** What a node of a tree does, by the names of ONNX `TreeEnsemble*`: compare and branch, or end. */
export type TreeNodeMode = 'BRANCH_LEQ' | 'BRANCH_LT' | 'BRANCH_GTE' | 'BRANCH_GT' | 'BRANCH_EQ' | 'BRANCH_NEQ' | 'LEAF';

/** How the leaves of all trees become one number per target. */
export type TreeAggregate = 'SUM' | 'AVERAGE' | 'MIN' | 'MAX';

/** One value per node, in any order; the attributes `nodes_*` of ONNX `TreeEnsembleRegressor`. All have one length. */
export interface TreeNodes {
  /** The tree a node belongs to; trees are summed in the order in which they first occur here. */
  readonly treeIds: ArrayLike<number>;
  /** Unique within a tree. */
  readonly nodeIds: ArrayLike<number>;
  /** Feature that is compared, from 0; any in a leaf. */
  readonly featureIds: ArrayLike<number>;
  readonly modes: ArrayLike<string>;
  /** Threshold, read as float32; any in a leaf. */
  readonly values: ArrayLike<number>;
  /** Node of the same tree where the comparison holds; any in a leaf. Branches may share a node. */
  readonly trueNodeIds: ArrayLike<number>;
  /** Node of the same tree where it does not hold; any in a leaf. */
  readonly falseNodeIds: ArrayLike<number>;
  /** 1 or true: NaN takes the true branch. Absent: NaN is compared as IEEE 754 has it (only NEQ holds). */
  readonly missingTracksTrue?: ArrayLike<number | boolean> | undefined;
}

/** What leaves contribute; the attributes `target_*` (or `class_*`) of ONNX. All have one length. */
export interface TreeLeafWeights {
  readonly treeIds: ArrayLike<number>;
  /** A leaf; entries for inner nodes are ignored, as onnxruntime does. */
  readonly nodeIds: ArrayLike<number>;
  /** From 0; a leaf names a target at most once. */
  readonly targetIds: ArrayLike<number>;
  /** Finite, read as float32. */
  readonly weights: ArrayLike<number>;
}

/** A tree ensemble in the flat layout of ONNX `TreeEnsembleRegressor` and `TreeEnsembleClassifier` (`ai.onnx.ml` 1 to 3). */
export interface TreeEnsembleDescription {
  /** Features per row. */
  readonly featureCount: number;
  /** Numbers per row that come out. */
  readonly targetCount: number;
  readonly nodes: TreeNodes;
  readonly targets: TreeLeafWeights;
  /** Added to each target at the end, one per target; absent: 0. */
  readonly baseValues?: ArrayLike<number> | undefined;
  /** Default SUM. */
  readonly aggregate?: TreeAggregate | undefined;
}

/**
 * Trees whose every branch is `feature <= threshold`, and where NaN is either less than everything or greater. Column i
 * of every array belongs to node i; leaves have `featureIds[i] === -1`.
 */
export interface NormalTrees {
  readonly roots: readonly number[];
  readonly featureIds: readonly number[];
  /** 1: NaN takes the true branch, as minus infinity would. */
  readonly missing: readonly number[];
  /** float32, never NaN. */
  readonly thresholds: readonly number[];
  readonly trueNodes: readonly number[];
  readonly falseNodes: readonly number[];
  /** Leaf weights by leaf: target → float32 weight. */
  readonly leaves: ReadonlyMap<number, ReadonlyMap<number, number>>;
  /** Nodes of all trees, children before their parents. */
  readonly order: readonly number[];
}

const words = new Float32Array(1);
const bits = new Int32Array(words.buffer);

/** The next float32 below; minus infinity has none: undefined. */
function nextBelow(value: number): number | undefined {
  if (value === Number.NEGATIVE_INFINITY) return undefined;
  if (value === 0) return -1.401298464324817e-45;
  words[0] = value;
  bits[0] = (bits[0] as number) + (value > 0 ? -1 : 1);
  return words[0];
}

/** Brings every comparison to `<=`; meaning is kept for every float32, NaN included. @throws RECLOOM_KRN_SHAPE */
export function normalizeTrees(description: TreeEnsembleDescription): NormalTrees {
  const { nodes, featureCount } = description;
  const indexOf = indexNodes(nodes);
  const count = nodes.treeIds.length;
  const featureIds: number[] = [];
  const missing: number[] = [];
  const thresholds: number[] = [];
  const trueNodes: number[] = [];
  const falseNodes: number[] = [];
  /** Where a node that decides nothing leads; -1 for all others. */
  const instead = new Int32Array(count).fill(-1);
  const set = (node: number, feature: number, nanIsTrue: boolean, threshold: number, whenTrue: number, whenFalse: number): void => {
    featureIds[node] = feature;
    missing[node] = nanIsTrue ? 1 : 0;
    thresholds[node] = threshold;
    trueNodes[node] = whenTrue;
    falseNodes[node] = whenFalse;
  };
  for (let node = 0; node < count; node++) set(node, -1, false, 0, -1, -1);
  for (let node = 0; node < count; node++) {
    const mode = nodes.modes[node] as string;
    if (mode === 'LEAF') continue;
    const feature = nodes.featureIds[node] as number;
    requireShape(
      Number.isInteger(feature) && feature >= 0 && feature < featureCount,
      () => `A node asks for feature ${feature} of ${featureCount}.`,
    );
    const tree = nodes.treeIds[node] as number;
    const whenTrue = childOf(indexOf, tree, nodes.trueNodeIds[node] as number);
    const whenFalse = childOf(indexOf, tree, nodes.falseNodeIds[node] as number);
    const threshold = Math.fround(nodes.values[node] as number);
    const nanIsTrue = Boolean(nodes.missingTracksTrue?.[node]);
    const below = Number.isNaN(threshold) ? undefined : nextBelow(threshold);
    /** `feature <= limit`, where an undefined limit is never reached. */
    const atMost = (at: number, limit: number | undefined, nanLimitIsTrue: boolean, yes: number, no: number): void => {
      if (limit !== undefined) {
        set(at, feature, nanLimitIsTrue, limit, yes, no);
        return;
      }
      if (!nanLimitIsTrue) {
        instead[at] = no;
        return;
      }
      // Only NaN passes: minus infinity and NaN come through the first test, and the second sends minus infinity away.
      const second = featureIds.length;
      set(second, feature, false, Number.NEGATIVE_INFINITY, no, yes);
      set(at, feature, true, Number.NEGATIVE_INFINITY, second, no);
    };
    const limit = Number.isNaN(threshold) ? undefined : threshold;
    switch (mode) {
      case 'BRANCH_LEQ':
        atMost(node, limit, nanIsTrue, whenTrue, whenFalse);
        break;
      case 'BRANCH_LT':
        atMost(node, below, nanIsTrue, whenTrue, whenFalse);
        break;
      case 'BRANCH_GT':
        if (limit === undefined) atMost(node, undefined, nanIsTrue, whenTrue, whenFalse);
        else atMost(node, limit, !nanIsTrue, whenFalse, whenTrue);
        break;
      case 'BRANCH_GTE':
        if (limit === undefined) atMost(node, undefined, nanIsTrue, whenTrue, whenFalse);
        else atMost(node, below, !nanIsTrue, whenFalse, whenTrue);
        break;
      case 'BRANCH_EQ':
      case 'BRANCH_NEQ': {
        const equal = mode === 'BRANCH_EQ';
        const [same, other] = equal ? [whenTrue, whenFalse] : [whenFalse, whenTrue];
        if (limit === undefined) {
          atMost(node, undefined, equal && nanIsTrue, same, other);
          break;
        }
        // NaN differs from everything, unless it is told to take the true branch of an equality.
        const nanIsSame = equal && nanIsTrue;
        if (below === undefined) {
          set(node, feature, nanIsSame, limit, same, other);
          break;
        }
        const second = featureIds.length;
        set(second, feature, nanIsSame, limit, same, other);
        set(node, feature, !nanIsSame, below, other, second);
        break;
      }
      default:
        requireShape(false, () => `A node has the unknown mode "${mode}".`);
    }
  }
  const resolve = (start: number): number => {
    let node = start;
    for (let hops = 0; node >= 0 && node < count && (instead[node] as number) >= 0; hops++) {
      requireShape(hops <= count, 'A tree has a cycle.');
      node = instead[node] as number;
    }
    return node;
  };
  for (let node = 0; node < featureIds.length; node++) {
    if (featureIds[node] === -1) continue;
    trueNodes[node] = resolve(trueNodes[node] as number);
    falseNodes[node] = resolve(falseNodes[node] as number);
  }
  const roots = rootsOf(nodes, indexOf);
  const order = orderOf(roots.map(resolve), featureIds, trueNodes, falseNodes);
  return {
    roots: roots.map(resolve),
    featureIds,
    missing,
    thresholds,
    trueNodes,
    falseNodes,
    leaves: leafWeights(description, indexOf),
    order,
  };
}

type NodeIndex = ReadonlyMap<number, ReadonlyMap<number, number>>;

function indexNodes(nodes: TreeNodes): NodeIndex {
  const count = nodes.treeIds.length;
  for (const [name, column] of Object.entries(nodes) as [string, ArrayLike<unknown> | undefined][]) {
    requireShape(column === undefined || column.length === count, () => `nodes.${name} has ${column?.length} values for ${count} nodes.`);
  }
  const index = new Map<number, Map<number, number>>();
  for (let node = 0; node < count; node++) {
    const tree = nodes.treeIds[node] as number;
    let inside = index.get(tree);
    if (inside === undefined) index.set(tree, (inside = new Map()));
    const id = nodes.nodeIds[node] as number;
    requireShape(!inside.has(id), () => `Tree ${tree} has two nodes ${id}.`);
    inside.set(id, node);
  }
  return index;
}

function childOf(index: NodeIndex, tree: number, id: number): number {
  const found = index.get(tree)?.get(id);
  requireShape(found !== undefined, () => `A branch of tree ${tree} leads to node ${id}, which it does not have.`);
  return found;
}

/** The one node of each tree that no branch leads to, in the order of the trees' first occurrence. */
function rootsOf(nodes: TreeNodes, index: NodeIndex): number[] {
  const hasParent = new Uint8Array(nodes.treeIds.length);
  for (let node = 0; node < hasParent.length; node++) {
    if (nodes.modes[node] === 'LEAF') continue;
    const tree = nodes.treeIds[node] as number;
    hasParent[childOf(index, tree, nodes.trueNodeIds[node] as number)] = 1;
    hasParent[childOf(index, tree, nodes.falseNodeIds[node] as number)] = 1;
  }
  const roots: number[] = [];
  for (const [tree, inside] of index) {
    const own = [...inside.values()].filter((node) => hasParent[node] === 0);
    requireShape(own.length === 1, () =>
      own.length === 0
        ? `Tree ${tree} has no root: its nodes form a cycle.`
        : `Tree ${tree} has ${own.length} nodes that no branch leads to.`,
    );
    roots.push(own[0] as number);
  }
  const reached = new Uint8Array(hasParent.length);
  const pending = [...roots];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (reached[node] === 1) continue;
    reached[node] = 1;
    if (nodes.modes[node] === 'LEAF') continue;
    const tree = nodes.treeIds[node] as number;
    pending.push(childOf(index, tree, nodes.trueNodeIds[node] as number), childOf(index, tree, nodes.falseNodeIds[node] as number));
  }
  const lost = reached.indexOf(0);
  requireShape(lost < 0, () => `Tree ${nodes.treeIds[lost]} has a cycle apart from its root.`);
  return roots;
}

/** Children before parents, without recursion: a tree may be a chain of thousands of nodes. @throws RECLOOM_KRN_SHAPE for a cycle. */
function orderOf(
  roots: readonly number[],
  featureIds: readonly number[],
  trueNodes: readonly number[],
  falseNodes: readonly number[],
): number[] {
  const state = new Uint8Array(featureIds.length);
  const order: number[] = [];
  const pending: number[] = [];
  for (const root of roots) {
    pending.push(root);
    while (pending.length > 0) {
      const node = pending[pending.length - 1] as number;
      if (state[node] === 2) pending.pop();
      else if (state[node] === 1 || featureIds[node] === -1) {
        state[node] = 2;
        order.push(node);
        pending.pop();
      } else {
        state[node] = 1;
        for (const child of [trueNodes[node] as number, falseNodes[node] as number]) {
          requireShape(state[child] !== 1, 'A tree has a cycle.');
          if (state[child] === 0) pending.push(child);
        }
      }
    }
  }
  return order;
}

function leafWeights(description: TreeEnsembleDescription, index: NodeIndex): Map<number, Map<number, number>> {
  const { targets, targetCount, nodes } = description;
  const count = targets.treeIds.length;
  for (const [name, column] of Object.entries(targets) as [string, ArrayLike<unknown>][]) {
    requireShape(column.length === count, () => `targets.${name} has ${column.length} values for ${count} entries.`);
  }
  const leaves = new Map<number, Map<number, number>>();
  for (let entry = 0; entry < count; entry++) {
    const tree = targets.treeIds[entry] as number;
    const id = targets.nodeIds[entry] as number;
    const node = index.get(tree)?.get(id);
    requireShape(node !== undefined, () => `A leaf weight names node ${id} of tree ${tree}, which does not exist.`);
    if (nodes.modes[node] !== 'LEAF') continue;
    const target = targets.targetIds[entry] as number;
    requireShape(
      Number.isInteger(target) && target >= 0 && target < targetCount,
      () => `A leaf weight names target ${target} of ${targetCount}.`,
    );
    const weight = Math.fround(targets.weights[entry] as number);
    requireShape(Number.isFinite(weight), () => `A leaf weight of tree ${tree} is not a finite number.`);
    let own = leaves.get(node);
    if (own === undefined) leaves.set(node, (own = new Map()));
    requireShape(!own.has(target), () => `A leaf of tree ${tree} names target ${target} twice.`);
    own.set(target, weight);
  }
  return leaves;
}
