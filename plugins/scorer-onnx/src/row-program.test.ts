// What the kernels compute is held against onnxruntime on the very same file; what they do not know must go to onnxruntime.
import { join } from 'node:path';
import { createKernels } from '@recloom/kernels';
import { candidateBatch } from '@recloom/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openKernels } from './kernel-engine.js';
import type { AttributeSpec, ConstantSpec, ModelSpec, NodeSpec } from './onnx-model.fixture.js';
import { writeModel } from './onnx-model.fixture.js';
import { NotUnderstood } from './row-steps.js';
import { largestDifference, openWorkshop, scored, type Workshop } from './test-models.fixture.js';

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop();
});
afterAll(() => workshop.close());

const random = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
};
const draw = random(3);
const floats = (length: number): Float32Array => Float32Array.from({ length }, () => Math.fround(4 * draw()));

/** 700 rows of three columns: several blocks, values on thresholds, gaps. */
const rowCount = 700;
const batch = candidateBatch({
  rows: [Array.from({ length: rowCount }, (_, row) => row)],
  columns: Object.fromEntries(
    ['a', 'b', 'c'].map((name) => [
      `feature.${name}`,
      Array.from({ length: rowCount }, (_, row) => (name !== 'a' && row % 13 === 0 ? Number.NaN : Math.round(16 * draw()) / 4)),
    ]),
  ),
});

const constant = (name: string, dims: readonly number[], values: ConstantSpec['values']): ConstantSpec => ({ name, dims, values });
const node = (
  operator: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: NodeSpec['attributes'] = {},
): NodeSpec => ({
  operator,
  inputs,
  outputs,
  attributes,
});
const classical = (...given: Parameters<typeof node>): NodeSpec => ({ ...node(...given), domain: 'ai.onnx.ml' });
const graph = (
  nodes: readonly NodeSpec[],
  width: number,
  constants: readonly ConstantSpec[] = [],
  more: Partial<ModelSpec> = {},
): ModelSpec => ({
  inputs: [{ name: 'x', dims: ['rows', 3] }],
  outputs: [{ name: 'y', dims: width === 0 ? ['rows'] : ['rows', width] }],
  nodes,
  constants,
  ...more,
});

/** Trees of depth two over three features, in the layout of ai.onnx.ml 1 to 4. */
function trees(
  prefix: 'target' | 'class',
  count: number,
  ids: (leaf: number, tree: number) => number,
  weight: () => number,
  modes: readonly string[] = ['BRANCH_LEQ'],
): Record<string, AttributeSpec> {
  const perTree = <Value>(make: (tree: number, node: number) => Value, nodes: readonly number[]): Value[] =>
    Array.from({ length: count }, (_, tree) => nodes.map((index) => make(tree, index))).flat();
  const all = [0, 1, 2, 3, 4, 5, 6];
  const leaves = [3, 4, 5, 6];
  return {
    nodes_treeids: { ints: perTree((tree) => tree, all) },
    nodes_nodeids: { ints: perTree((_, index) => index, all) },
    nodes_featureids: { ints: perTree((tree, index) => (tree + index) % 3, all) },
    nodes_modes: { strings: perTree((tree, index) => (index < 3 ? (modes[(tree + index) % modes.length] as string) : 'LEAF'), all) },
    nodes_values: { floats: perTree(() => Math.round(8 * draw()) / 4, all) },
    nodes_truenodeids: { ints: perTree((_, index) => (index < 3 ? 2 * index + 1 : 0), all) },
    nodes_falsenodeids: { ints: perTree((_, index) => (index < 3 ? 2 * index + 2 : 0), all) },
    nodes_missing_value_tracks_true: { ints: perTree((tree, index) => (tree + index) % 2, all) },
    [`${prefix}_treeids`]: { ints: perTree((tree) => tree, leaves) },
    [`${prefix}_nodeids`]: { ints: perTree((_, index) => index, leaves) },
    [`${prefix}_ids`]: { ints: perTree((tree, leaf) => ids(leaf, tree), leaves) },
    [`${prefix}_weights`]: { floats: perTree(() => Math.fround(weight()), leaves) },
  };
}
const mixed = (): number => draw();
const positive = (): number => 0.05 + Math.abs(draw());
const labels = (count: number): AttributeSpec => ({ ints: Array.from({ length: count }, (_, index) => index) });
const allModes = ['BRANCH_LEQ', 'BRANCH_LT', 'BRANCH_GTE', 'BRANCH_GT', 'BRANCH_EQ', 'BRANCH_NEQ'];

function regressor(more: Record<string, AttributeSpec>, targets = 1, modes?: readonly string[]): ModelSpec {
  const attributes = { ...trees('target', 9, (_, tree) => tree % targets, mixed, modes), n_targets: targets, ...more };
  return graph([classical('TreeEnsembleRegressor', ['x'], ['y'], attributes)], targets);
}
function classifier(more: Record<string, AttributeSpec>, classes: number, weight = mixed): ModelSpec {
  const ids = classes === 2 ? (): number => 0 : (_: number, tree: number): number => tree % classes;
  const attributes = { ...trees('class', 9, ids, weight), classlabels_int64s: labels(classes), ...more };
  return graph([classical('TreeEnsembleClassifier', ['x'], ['label', 'y'], attributes)], classes);
}

/** Nodes: 0 splits on a, 1 on b, 2 on a; leaves 0 … 4. Root 0 owns node 1; node 2 is a tree of its own, and so is node 3, one leaf. */
const ensembleFive = (more: Record<string, AttributeSpec> = {}): ModelSpec =>
  graph(
    [
      classical('TreeEnsemble', ['x'], ['y'], {
        n_targets: 1,
        aggregate_function: 1,
        post_transform: 0,
        tree_roots: { ints: [0, 2, 3] },
        nodes_featureids: { ints: [0, 1, 0, 2] },
        nodes_modes: { tensor: { dims: [4], values: Uint8Array.of(0, 1, 4, 0) } },
        nodes_splits: { tensor: { dims: [4], values: Float32Array.of(0, 1, 1, 0.5) } },
        nodes_truenodeids: { ints: [0, 1, 3, 4] },
        nodes_trueleafs: { ints: [1, 1, 1, 1] },
        nodes_falsenodeids: { ints: [1, 2, 4, 4] },
        nodes_falseleafs: { ints: [0, 1, 1, 1] },
        nodes_missing_value_tracks_true: { ints: [0, 1, 0, 0] },
        leaf_targetids: { ints: [0, 0, 0, 0, 0] },
        leaf_weights: { tensor: { dims: [5], values: Float32Array.of(1, 2, 4, 8, 16) } },
        ...more,
      }),
    ],
    1,
    [],
    { opsets: { '': 21, 'ai.onnx.ml': 5 } },
  );

const weights = floats(3);
const understood: Readonly<Record<string, ModelSpec>> = {
  'a regressor of trees': regressor({ base_values: { floats: [0.25] } }),
  'a regressor of every comparison': regressor({}, 1, allModes),
  'a regressor that averages': regressor({ aggregate_function: 'AVERAGE', base_values: { floats: [0.25] } }),
  'a regressor that takes the least': regressor({ aggregate_function: 'MIN' }),
  'a regressor that takes the most': regressor({ aggregate_function: 'MAX' }),
  'a regressor whose post-transform onnxruntime ignores': regressor({ post_transform: 'LOGISTIC' }),
  'a regressor of three targets': regressor({ post_transform: 'SOFTMAX', base_values: { floats: [0.1, 0.2, 0.3] } }, 3),
  'a classifier of two, logistic': classifier({ post_transform: 'LOGISTIC' }, 2),
  'a classifier of two with a base': classifier({ post_transform: 'LOGISTIC', base_values: { floats: [-0.5] } }, 2),
  'a classifier of two by scores': classifier({ post_transform: 'NONE' }, 2),
  'a classifier of two by votes': classifier({ post_transform: 'NONE' }, 2, positive),
  'a classifier of two by votes, logistic': classifier({ post_transform: 'LOGISTIC' }, 2, positive),
  'a classifier of three': classifier({ post_transform: 'SOFTMAX', base_values: { floats: [0.1, 0.2, 0.3] } }, 3),
  'a classifier of three, logistic': classifier({ post_transform: 'LOGISTIC' }, 3),
  'TreeEnsemble 5': ensembleFive(),
  'TreeEnsemble 5 that averages': ensembleFive({ aggregate_function: 0 }),
  Gemm: graph([node('Gemm', ['x', 'w', 'b'], ['y'], { alpha: { float: 0.5 }, beta: { float: 2 }, transB: 1 })], 2, [
    constant('w', [2, 3], floats(6)),
    constant('b', [1, 2], floats(2)),
  ]),
  'MatMul, Add and Sigmoid': graph([node('MatMul', ['x', 'w'], ['p']), node('Add', ['b', 'p'], ['s']), node('Sigmoid', ['s'], ['y'])], 1, [
    constant('w', [3, 1], weights),
    constant('b', [1], floats(1)),
  ]),
  'a linear layer with its scaling, as a vector': graph(
    [
      node('Sub', ['x', 'mean'], ['c']),
      node('Div', ['c', 'scale'], ['z']),
      node('Gemm', ['z', 'w'], ['p']),
      node('Squeeze', ['p', 'axis'], ['q']),
      node('Mul', ['half', 'q'], ['y']),
    ],
    0,
    [
      constant('mean', [3], floats(3)),
      constant('scale', [1, 3], Float32Array.of(2, 3, 4)),
      constant('w', [3, 1], weights),
      constant('axis', [1], BigInt64Array.of(1n)),
      constant('half', [], Float32Array.of(0.5)),
    ],
  ),
  'a softmax of three': graph([node('Gemm', ['x', 'w'], ['p']), node('Softmax', ['p'], ['y'])], 3, [constant('w', [3, 3], floats(9))]),
  'pieces side by side, reshaped': graph(
    [
      node('Gemm', ['x', 'w'], ['p']),
      node('Reshape', ['p', 'flat'], ['q']),
      node('Reshape', ['q', 'tall'], ['r']),
      node('Concat', ['r', 'x', 'p'], ['s'], { axis: 1 }),
      node('Identity', ['s'], ['t']),
      node('Cast', ['t'], ['y'], { to: 1 }),
    ],
    5,
    [constant('w', [3, 1], weights), constant('flat', [1], BigInt64Array.of(-1n)), constant('tall', [2], BigInt64Array.of(-1n, 1n))],
  ),
  'a scaled linear regressor': graph(
    [
      classical('Scaler', ['x'], ['z'], { offset: { floats: [1, 2, 3] }, scale: { floats: [0.5, 2, 1] } }),
      classical('LinearRegressor', ['z'], ['y'], { coefficients: { floats: [...weights] }, intercepts: { floats: [0.5] } }),
    ],
    1,
  ),
  'a linear classifier of three': graph(
    [
      classical('LinearClassifier', ['x'], ['label', 'y'], {
        coefficients: { floats: [...floats(9)] },
        intercepts: { floats: [0.1, 0.2, 0.3] },
        classlabels_ints: labels(3),
        post_transform: 'SOFTMAX',
      }),
    ],
    3,
  ),
  'a linear classifier of one score': graph(
    [
      classical('LinearClassifier', ['x'], ['label', 'y'], {
        coefficients: { floats: [...weights] },
        intercepts: { floats: [0.1] },
        classlabels_ints: labels(2),
        post_transform: 'LOGISTIC',
      }),
    ],
    2,
  ),
  'a constant of a node': graph(
    [node('Constant', [], ['two'], { value: { tensor: { dims: [], values: Float32Array.of(2) } } }), node('Mul', ['x', 'two'], ['y'])],
    3,
  ),
};

const declined: Readonly<Record<string, ModelSpec>> = {
  'a ReLU': graph([node('Relu', ['x'], ['y'])], 3),
  'a sum over rows': graph([node('Softmax', ['x'], ['y'], { axis: 0 })], 3),
  'two values that are multiplied': graph([node('Mul', ['x', 'x'], ['y'])], 3),
  'a constant per row': graph([node('ReduceSum', ['x', 'one'], ['s'], { keepdims: 0 }), node('Identity', ['s'], ['y'])], 0, [
    constant('one', [1], BigInt64Array.of(1n)),
  ]),
  'leaf weights of exactly 0 without a post-transform': classifier({ post_transform: 'NONE' }, 2, () => Math.max(0, draw())),
  'a post-transform of its own kind': classifier({ post_transform: 'SOFTMAX_ZERO' }, 3),
  'a wide layer': graph([node('Gemm', ['x', 'w'], ['h']), node('Gemm', ['h', 'v'], ['y'])], 1, [
    constant('w', [3, 1400], floats(4200)),
    constant('v', [1400, 1], floats(1400)),
  ]),
};

async function scoresOf(name: string, spec: ModelSpec, engine: string): Promise<{ device: string; columns: Float32Array[] }> {
  const file = `${name.replaceAll(/\W+/g, '-')}.onnx`;
  await workshop.folder.write(file, writeModel(spec));
  const width = (spec.outputs[0]?.dims[1] as number | undefined) ?? 1;
  const scorer = await workshop.open({
    model: file,
    engine,
    inputs: { x: { columns: ['feature.a', 'feature.b', 'feature.c'], missing: 'nan' } },
    outputs: Object.fromEntries(Array.from({ length: width }, (_, column) => [`y${column}`, { output: 'y', column }])),
  });
  return { device: scorer.models()[0]?.device ?? '', columns: await scored(scorer, batch) };
}

describe('graphs that the kernels know', () => {
  it.each(Object.entries(understood))('%s', async (name, spec) => {
    const kernels = await scoresOf(name, spec, 'auto');
    const onnx = await scoresOf(name, spec, 'onnx');
    expect([kernels.device, onnx.device]).toEqual(['kernels', 'cpu']);
    expect(kernels.columns).toHaveLength(onnx.columns.length);
    kernels.columns.forEach((column, index) => {
      const other = onnx.columns[index] as Float32Array;
      // A gap in, a gap out, in the same places.
      expect([...column].map(Number.isNaN)).toEqual([...other].map(Number.isNaN));
      const present = (values: Float32Array): number[] => [...values].filter((value) => !Number.isNaN(value));
      expect(present(column).length).toBeGreaterThan(rowCount / 2);
      expect(new Set(present(column)).size).toBeGreaterThan(3);
      expect(largestDifference(present(column), present(other))).toBeLessThan(4e-6);
    });
  });
});

describe('graphs that are left to onnxruntime', () => {
  it.each(Object.entries(declined))('%s', async (name, spec) => {
    const { device, columns } = await scoresOf(name, spec, 'auto');
    expect(device).toBe('cpu');
    expect(columns[0]?.some((value) => Number.isFinite(value))).toBe(true);
  });

  it('and everything, when a device is named', async () => {
    await workshop.folder.write('named.onnx', writeModel(understood['Gemm'] as ModelSpec));
    const inputs = { x: { columns: ['feature.a', 'feature.b', 'feature.c'] } };
    const open = (device: unknown): ReturnType<Workshop['open']> => workshop.open({ model: 'named.onnx', device, inputs });
    expect((await open('cpu')).models()[0]?.device).toBe('kernels');
    expect((await open(['cpu'])).models()[0]?.device).toBe('cpu');
  });
});

describe('hostile graphs', () => {
  const declines = async (file: string, spec: ModelSpec): Promise<void> => {
    await workshop.folder.write(file, writeModel(spec));
    const request = { file: join(workshop.folder.path, file), sha256: undefined, outputs: undefined, widths: new Map([['x', 3]]) };
    const kernels = createKernels();
    await expect(openKernels(request, kernels)).rejects.toBeInstanceOf(NotUnderstood);
    expect(kernels.bytesInUse).toBe(0);
  };

  // The first would take minutes and gigabytes if the number of targets were believed.
  it.each([2 ** 31 - 1, 3_000_000, 0, -5])('of %d targets are declined before anything is made for them', async (targets) => {
    await declines('targets.onnx', graph([classical('TreeEnsembleRegressor', ['x'], ['y'], { n_targets: targets })], 1));
  });

  it('of a chain that is deeper than the stack are declined', async () => {
    const length = 30_000;
    const name = (place: number): string => (place === 0 ? 'x' : place === length ? 'y' : `v${place}`);
    const chain = Array.from({ length }, (_, place) => node('Identity', [name(place)], [name(place + 1)]));
    await declines('chain.onnx', graph(chain, 3));
  });
});

describe('long work', () => {
  it('gives the event loop its turn, stops when aborted, and gives the same whatever came between', async () => {
    await workshop.folder.write('forest.onnx', writeModel(understood['a regressor of trees'] as ModelSpec));
    const scorer = await workshop.open({
      model: 'forest.onnx',
      inputs: { x: { columns: ['feature.a', 'feature.b', 'feature.c'], missing: 'nan' } },
    });
    const times = 600;
    const many = (name: string): Float32Array => {
      const one = batch.column(name) as Float32Array;
      return Float32Array.from({ length: one.length * times }, (_, place) => one[place % one.length] as number);
    };
    const large = candidateBatch({
      rows: [Array.from({ length: rowCount * times }, (_, row) => row % rowCount)],
      columns: Object.fromEntries(['a', 'b', 'c'].map((name) => [`feature.${name}`, many(`feature.${name}`)])),
    });
    let turns = 0;
    let running = true;
    const count = (): void => {
      turns++;
      if (running) setImmediate(count);
    };
    setImmediate(count);
    const [[whole], [small]] = (await Promise.all([scored(scorer, large), scored(scorer, batch)])) as [[Float32Array], [Float32Array]];
    running = false;
    expect(turns).toBeGreaterThan(3);
    for (const start of [0, rowCount * 37, rowCount * (times - 1)]) expect(whole.subarray(start, start + rowCount)).toEqual(small);
    const controller = new AbortController();
    const aborted = scored(scorer, large, controller.signal);
    controller.abort(new Error('over'));
    await expect(aborted).rejects.toThrow('over');
  });
});
