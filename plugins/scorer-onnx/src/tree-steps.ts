import { type Kernels, TreeEnsemble, type TreeEnsembleDescription } from '@recloom/kernels';
import { constantOf, numberOf, numbersOf, textOf, textsOf } from './node-attributes.js';
import type { OnnxNode } from './onnx-graph.js';
import { newValues, type RowStep, type RowValues, require } from './row-steps.js';
import { logistic, type Transform, transformOf } from './score-transforms.js';

/** What a tree node of the graph becomes. */
export interface TreeStep {
  readonly result: RowValues;
  readonly step: RowStep;
  readonly dispose: () => void;
}

/**
 * `TreeEnsembleRegressor`, the scores of `TreeEnsembleClassifier` (ai.onnx.ml 1 to 4) or `TreeEnsemble` (5) over the kernels.
 * Follows onnxruntime where the standard leaves room, and declines where onnxruntime goes ways of its own.
 *
 * @throws NotUnderstood, RECLOOM_KRN_SHAPE when the trees are not well formed.
 */
export function treeStep(node: OnnxNode, input: RowValues, kernels: Kernels): TreeStep {
  switch (node.operator) {
    case 'TreeEnsembleRegressor':
      return regressor(node, input, kernels);
    case 'TreeEnsembleClassifier':
      return classifier(node, input, kernels);
    default:
      return ensemble(node, input, kernels);
  }
}

function regressor(node: OnnxNode, input: RowValues, kernels: Kernels): TreeStep {
  const targetCount = numberOf(node, 'n_targets', 1);
  const post = textOf(node, 'post_transform', 'NONE');
  // Of a single target onnxruntime applies none but PROBIT.
  require(targetCount > 1 || post !== 'PROBIT', () => 'the post-transform PROBIT');
  const aggregate = textOf(node, 'aggregate_function', 'SUM') as NonNullable<TreeEnsembleDescription['aggregate']>;
  const bases = numbersOf(node, 'base_values');
  require(bases.length === 0 || bases.length === targetCount, () => `${bases.length} base values for ${targetCount} targets`);
  const description = flatTrees(node, 'target', input.width, targetCount, bases, aggregate);
  return open(description, input, kernels, targetCount === 1 ? undefined : transformOf(post));
}

function classifier(node: OnnxNode, input: RowValues, kernels: Kernels): TreeStep {
  const classes = Math.max(numbersOf(node, 'classlabels_int64s').length, textsOf(node, 'classlabels_strings').length);
  const post = textOf(node, 'post_transform', 'NONE');
  const weights = numbersOf(node, 'class_weights');
  const bases = numbersOf(node, 'base_values');
  const used = new Set(numbersOf(node, 'class_ids'));
  if (classes === 2 && used.size === 1) {
    require(used.has(0) && bases.length <= 1, () => 'a classifier of two classes whose leaves speak of the second only');
    require(post === 'LOGISTIC' || post === 'NONE', () => `the post-transform ${post} of one score`);
    const lowest = weights.reduce((least, weight) => Math.min(least, weight), Number.POSITIVE_INFINITY);
    // Weights that are all positive are taken for votes by onnxruntime; whether 0 is positive is its own affair.
    require(post === 'LOGISTIC' || lowest !== 0, () => 'leaf weights of exactly 0 without a post-transform');
    const description = flatTrees(node, 'class', input.width, 1, bases, 'SUM');
    return binary(description, input, kernels, post === 'LOGISTIC' ? 'logistic' : lowest > 0 ? 'votes' : 'scores');
  }
  require(classes > 1, () => `a classifier of ${classes} classes`);
  require(bases.length === 0 || (bases.length === classes && classes > 2), () => `${bases.length} base values for ${classes} classes`);
  return open(flatTrees(node, 'class', input.width, classes, bases, 'SUM'), input, kernels, transformOf(post));
}

/** One score s per row becomes two: what speaks against, and what speaks for. */
function binary(description: TreeEnsembleDescription, input: RowValues, kernels: Kernels, kind: 'logistic' | 'votes' | 'scores'): TreeStep {
  const single = open(description, input, kernels, undefined);
  const result = newValues(2);
  return {
    result,
    dispose: single.dispose,
    step: (rows) => {
      single.step(rows);
      const { values } = result;
      for (let row = 0; row < rows; row++) {
        const score = single.result.values[row] as number;
        values[2 * row] = kind === 'logistic' ? logistic(-score) : kind === 'votes' ? 1 - score : -score;
        values[2 * row + 1] = kind === 'logistic' ? logistic(score) : score;
      }
    },
  };
}

const modesByNumber = ['BRANCH_LEQ', 'BRANCH_LT', 'BRANCH_GTE', 'BRANCH_GT', 'BRANCH_EQ', 'BRANCH_NEQ'] as const;
const aggregatesByNumber = ['AVERAGE', 'SUM', 'MIN', 'MAX'] as const;
const transformsByNumber = ['NONE', 'SOFTMAX', 'LOGISTIC', 'SOFTMAX_ZERO', 'PROBIT'] as const;

/** `TreeEnsemble` of ai.onnx.ml 5: leaves are a table of their own, and trees are told apart by their roots. */
function ensemble(node: OnnxNode, input: RowValues, kernels: Kernels): TreeStep {
  const targetCount = numberOf(node, 'n_targets', 1);
  const aggregate = aggregatesByNumber[numberOf(node, 'aggregate_function', 1)];
  const post = transformsByNumber[numberOf(node, 'post_transform', 0)] ?? 'unknown';
  require(aggregate !== undefined, () => 'an unknown aggregate function');
  require(targetCount > 1 || post !== 'PROBIT', () => 'the post-transform PROBIT');
  const features = numbersOf(node, 'nodes_featureids');
  const modes = constantOf(node, 'nodes_modes').values;
  const splits = constantOf(node, 'nodes_splits').values;
  const whenTrue = numbersOf(node, 'nodes_truenodeids');
  const whenFalse = numbersOf(node, 'nodes_falsenodeids');
  const trueLeafs = numbersOf(node, 'nodes_trueleafs');
  const falseLeafs = numbersOf(node, 'nodes_falseleafs');
  const tracks = numbersOf(node, 'nodes_missing_value_tracks_true');
  const leafTargets = numbersOf(node, 'leaf_targetids');
  const leafWeights = constantOf(node, 'leaf_weights').values;
  require(splits instanceof Float32Array && leafWeights instanceof Float32Array, () => 'trees of doubles');
  const treeIds: number[] = [];
  const nodeIds: number[] = [];
  const rows: { feature: number; mode: string; value: number; yes: number; no: number; missing: number }[] = [];
  const targets = { treeIds: [] as number[], nodeIds: [] as number[], targetIds: [] as number[], weights: [] as number[] };
  // Leaf k is called nodes + k, so that it meets no inner node.
  const nameOf = (id: number, leaf: number | undefined): number => (leaf === 1 ? features.length + id : id);
  const add = (tree: number, id: number): void => {
    const inner = id < features.length;
    treeIds.push(tree);
    nodeIds.push(id);
    if (inner) {
      const mode = modesByNumber[modes[id] as number];
      require(mode !== undefined, () => 'a comparison with a set of values');
      rows.push({
        feature: features[id] as number,
        mode,
        value: splits[id] as number,
        yes: nameOf(whenTrue[id] as number, trueLeafs[id]),
        no: nameOf(whenFalse[id] as number, falseLeafs[id]),
        missing: tracks[id] ?? 0,
      });
      return;
    }
    const leaf = id - features.length;
    require(leaf < leafWeights.length, () => 'a branch that leads nowhere');
    rows.push({ feature: 0, mode: 'LEAF', value: 0, yes: 0, no: 0, missing: 0 });
    targets.treeIds.push(tree);
    targets.nodeIds.push(id);
    targets.targetIds.push(leafTargets[leaf] as number);
    targets.weights.push(leafWeights[leaf] as number);
  };
  for (const [tree, root] of numbersOf(node, 'tree_roots').entries()) {
    const waiting = [root];
    const seen = new Set(waiting);
    while (waiting.length > 0) {
      const id = waiting.pop() as number;
      require(id >= 0 && id < features.length + leafWeights.length, () => 'a branch that leads nowhere');
      add(tree, id);
      if (id >= features.length) continue;
      for (const child of [nameOf(whenTrue[id] as number, trueLeafs[id]), nameOf(whenFalse[id] as number, falseLeafs[id])]) {
        if (!seen.has(child)) waiting.push(child);
        seen.add(child);
      }
    }
  }
  const description: TreeEnsembleDescription = {
    featureCount: input.width,
    targetCount,
    nodes: {
      treeIds,
      nodeIds,
      featureIds: rows.map((row) => row.feature),
      modes: rows.map((row) => row.mode),
      values: rows.map((row) => row.value),
      trueNodeIds: rows.map((row) => row.yes),
      falseNodeIds: rows.map((row) => row.no),
      missingTracksTrue: rows.map((row) => row.missing),
    },
    targets,
    aggregate,
  };
  return open(description, input, kernels, targetCount === 1 ? undefined : transformOf(post));
}

function open(description: TreeEnsembleDescription, input: RowValues, kernels: Kernels, transform: Transform | undefined): TreeStep {
  const { featureCount, targetCount } = description;
  require(Number.isInteger(targetCount) && targetCount > 0, () => `trees of ${targetCount} targets`);
  const result = newValues(targetCount);
  const trees = TreeEnsemble.from(kernels, description);
  return {
    result,
    dispose: () => trees.dispose(),
    step: (rows) => {
      const out = result.values.subarray(0, rows * targetCount);
      trees.score(input.values.subarray(0, rows * featureCount), rows, out);
      transform?.(out, rows, targetCount);
    },
  };
}

/** The attributes of ai.onnx.ml 1 to 4 as the kernels take them; they use the same layout. */
function flatTrees(
  node: OnnxNode,
  prefix: 'target' | 'class',
  featureCount: number,
  targetCount: number,
  baseValues: readonly number[],
  aggregate: NonNullable<TreeEnsembleDescription['aggregate']>,
): TreeEnsembleDescription {
  for (const name of ['nodes_values_as_tensor', 'base_values_as_tensor', `${prefix}_weights_as_tensor`]) {
    require(!node.attributes.has(name), () => 'trees of doubles');
  }
  const treeIds = numbersOf(node, 'nodes_treeids');
  const tracks = numbersOf(node, 'nodes_missing_value_tracks_true');
  return {
    featureCount,
    targetCount,
    nodes: {
      treeIds,
      nodeIds: numbersOf(node, 'nodes_nodeids'),
      featureIds: numbersOf(node, 'nodes_featureids'),
      modes: textsOf(node, 'nodes_modes'),
      values: numbersOf(node, 'nodes_values'),
      trueNodeIds: numbersOf(node, 'nodes_truenodeids'),
      falseNodeIds: numbersOf(node, 'nodes_falsenodeids'),
      missingTracksTrue: tracks.length === treeIds.length ? tracks : undefined,
    },
    targets: {
      treeIds: numbersOf(node, `${prefix}_treeids`),
      nodeIds: numbersOf(node, `${prefix}_nodeids`),
      targetIds: numbersOf(node, `${prefix}_ids`),
      weights: numbersOf(node, `${prefix}_weights`),
    },
    baseValues: baseValues.length === 0 ? undefined : baseValues,
    aggregate,
  };
}
