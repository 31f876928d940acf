import type { TreeEnsembleDescription } from './tree-description.js';

/**
 * What the ONNX operators TreeEnsembleRegressor and TreeEnsembleClassifier mean, node by node (without base values and
 * post-transform): each target's sum in the order of the trees, in float32.
 */
export function scoreByDefinition(description: TreeEnsembleDescription, features: Float32Array, rows: number): Float32Array {
  const { featureCount, targetCount, nodes, targets, aggregate = 'SUM' } = description;
  const count = nodes.treeIds.length;
  const find = (tree: number, id: number): number => {
    for (let node = 0; node < count; node++) if (nodes.treeIds[node] === tree && nodes.nodeIds[node] === id) return node;
    throw new Error('no such node');
  };
  const trees = [...new Set(Array.from(nodes.treeIds))];
  const out = new Float32Array(rows * targetCount);
  for (let row = 0; row < rows; row++) {
    const sums: (number | undefined)[] = Array.from({ length: targetCount }, () => undefined);
    for (const tree of trees) {
      let node = find(tree, rootOf(description, tree));
      while (nodes.modes[node] !== 'LEAF') {
        const value = features[row * featureCount + (nodes.featureIds[node] as number)] as number;
        const threshold = Math.fround(nodes.values[node] as number);
        const holds =
          (Number.isNaN(value) && Boolean(nodes.missingTracksTrue?.[node])) || compare(nodes.modes[node] as string, value, threshold);
        node = find(tree, (holds ? nodes.trueNodeIds : nodes.falseNodeIds)[node] as number);
      }
      for (let entry = 0; entry < targets.treeIds.length; entry++) {
        if (targets.treeIds[entry] !== tree || targets.nodeIds[entry] !== nodes.nodeIds[node]) continue;
        const target = targets.targetIds[entry] as number;
        const weight = Math.fround(targets.weights[entry] as number);
        const before = sums[target];
        if (aggregate === 'MIN') sums[target] = before === undefined ? weight : Math.min(before, weight);
        else if (aggregate === 'MAX') sums[target] = before === undefined ? weight : Math.max(before, weight);
        else sums[target] = Math.fround((before ?? 0) + weight);
      }
    }
    for (let target = 0; target < targetCount; target++) {
      const sum = sums[target] ?? 0;
      const combined = aggregate === 'AVERAGE' ? Math.fround(sum / Math.max(1, trees.length)) : sum;
      out[row * targetCount + target] = combined + Math.fround(description.baseValues?.[target] ?? 0);
    }
  }
  return out;
}

function rootOf({ nodes }: TreeEnsembleDescription, tree: number): number {
  const children = new Set<number>();
  const own: number[] = [];
  for (let node = 0; node < nodes.treeIds.length; node++) {
    if (nodes.treeIds[node] !== tree) continue;
    own.push(nodes.nodeIds[node] as number);
    if (nodes.modes[node] === 'LEAF') continue;
    children.add(nodes.trueNodeIds[node] as number).add(nodes.falseNodeIds[node] as number);
  }
  return own.find((id) => !children.has(id)) as number;
}

function compare(mode: string, value: number, threshold: number): boolean {
  switch (mode) {
    case 'BRANCH_LEQ':
      return value <= threshold;
    case 'BRANCH_LT':
      return value < threshold;
    case 'BRANCH_GTE':
      return value >= threshold;
    case 'BRANCH_GT':
      return value > threshold;
    case 'BRANCH_EQ':
      return value === threshold;
    default:
      return value !== threshold;
  }
}

/** A tree as nested branches, for descriptions by hand. */
export type Sketch =
  | { readonly leaf: Readonly<Record<number, number>> }
  | {
      readonly feature: number;
      readonly mode: string;
      readonly threshold: number;
      readonly nanIsTrue?: boolean;
      readonly yes: Sketch;
      readonly no: Sketch;
    };

/** The flat columns of sketched trees; a sketch that occurs twice within a tree becomes one shared node. */
export function describeTrees(
  trees: readonly Sketch[],
  shape: Omit<TreeEnsembleDescription, 'nodes' | 'targets'>,
): TreeEnsembleDescription & { readonly nodes: { readonly modes: string[] } } {
  const nodes = {
    treeIds: [] as number[],
    nodeIds: [] as number[],
    featureIds: [] as number[],
    modes: [] as string[],
    values: [] as number[],
    trueNodeIds: [] as number[],
    falseNodeIds: [] as number[],
    missingTracksTrue: [] as number[],
  };
  const targets = { treeIds: [] as number[], nodeIds: [] as number[], targetIds: [] as number[], weights: [] as number[] };
  for (const [tree, sketch] of trees.entries()) {
    const known = new Map<Sketch, number>();
    const add = (part: Sketch): number => {
      const before = known.get(part);
      if (before !== undefined) return before;
      const id = known.size;
      known.set(part, id);
      const at = nodes.treeIds.length;
      nodes.treeIds.push(tree);
      nodes.nodeIds.push(id);
      const branch = 'leaf' in part ? undefined : part;
      nodes.featureIds.push(branch?.feature ?? 0);
      nodes.modes.push(branch?.mode ?? 'LEAF');
      nodes.values.push(branch?.threshold ?? 0);
      nodes.missingTracksTrue.push(branch?.nanIsTrue === true ? 1 : 0);
      nodes.trueNodeIds.push(0);
      nodes.falseNodeIds.push(0);
      if ('leaf' in part) {
        for (const [target, weight] of Object.entries(part.leaf)) {
          targets.treeIds.push(tree);
          targets.nodeIds.push(id);
          targets.targetIds.push(Number(target));
          targets.weights.push(weight);
        }
      } else {
        nodes.trueNodeIds[at] = add(part.yes);
        nodes.falseNodeIds[at] = add(part.no);
      }
      return id;
    };
    add(sketch);
  }
  return { ...shape, nodes, targets };
}
