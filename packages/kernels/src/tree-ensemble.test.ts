import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { createKernels, KernelError, TreeEnsemble, type TreeEnsembleDescription, type TreeMethod } from './index.js';
import { describeTrees, type Sketch, scoreByDefinition } from './tree-ensemble.test-support.js';

const instances = { wasm: createKernels({ implementation: 'wasm' }), typescript: createKernels({ implementation: 'typescript' }) };
const ways = (['wasm', 'typescript'] as const).flatMap((implementation) =>
  (['masks', 'walks'] as const).map((method) => ({ name: `${method} in ${implementation}`, kernels: instances[implementation], method })),
);

function scores(way: (typeof ways)[number], description: TreeEnsembleDescription, features: Float32Array, rows: number): Float32Array {
  const ensemble = TreeEnsemble.from(way.kernels, description, { method: way.method });
  try {
    return ensemble.score(features, rows, new Float32Array(rows * description.targetCount).fill(Number.NaN));
  } finally {
    ensemble.dispose();
  }
}

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof KernelError) return `${error.code} ${error.message}`;
    throw error;
  }
  throw new Error('nothing was thrown');
}

const leaf = (weight: number): Sketch => ({ leaf: { 0: weight } });
const one = { featureCount: 1, targetCount: 1 };

interface Fixture {
  readonly modes: readonly string[];
  readonly ensembles: readonly {
    readonly name: string;
    readonly featureCount: number;
    readonly targetCount: number;
    readonly aggregate: 'SUM';
    readonly baseValues: string | null;
    readonly nodes: Omit<TreeEnsembleDescription['nodes'], 'values' | 'modes'> & { readonly values: string; readonly modes: number[] };
    readonly targets: Omit<TreeEnsembleDescription['targets'], 'weights'> & { readonly weights: string };
    readonly rows: string;
    readonly onnxruntime: string;
    readonly trainer: string | null;
  }[];
}

// Made by tree-ensemble.fixture.py: trained by LightGBM, XGBoost and scikit-learn, or written with every kind of branch.
const fixture = JSON.parse(readFileSync(new URL('./tree-ensemble.fixture.json', import.meta.url), 'utf8')) as Fixture;

function floats(packed: string): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(packed, 'base64'));
  return new Float32Array(bytes.buffer);
}

function descriptionOf(entry: Fixture['ensembles'][number]): TreeEnsembleDescription {
  return {
    featureCount: entry.featureCount,
    targetCount: entry.targetCount,
    aggregate: entry.aggregate,
    baseValues: entry.baseValues === null ? undefined : floats(entry.baseValues),
    nodes: { ...entry.nodes, values: floats(entry.nodes.values), modes: entry.nodes.modes.map((mode) => fixture.modes[mode] as string) },
    targets: { ...entry.targets, weights: floats(entry.targets.weights) },
  };
}

afterAll(() => {
  for (const kernels of Object.values(instances)) expect(kernels.bytesInUse).toBe(0);
});

describe('against onnxruntime and the trainers', () => {
  it('has all the models', () => {
    expect(fixture.ensembles).toHaveLength(20);
    expect(fixture.ensembles.filter((entry) => entry.trainer !== null)).toHaveLength(4);
  });

  for (const entry of fixture.ensembles) {
    const rows = floats(entry.rows);
    const count = rows.length / entry.featureCount;
    // A category is a chain of comparisons that share a branch: as masks it would have hundreds of leaves.
    const possible = entry.name === 'lightgbm with a category' ? ways.filter(({ method }) => method === 'walks') : ways;
    it.each(possible)(`$name: ${entry.name}, bit for bit`, (way) => {
      expect([...scores(way, descriptionOf(entry), rows, count)]).toEqual([...floats(entry.onnxruntime)]);
    });
    const { trainer } = entry;
    if (trainer === null) continue;
    it(`${entry.name}: as the trainer itself, which computes in float64`, () => {
      const truth = new Float64Array(Uint8Array.from(Buffer.from(trainer, 'base64')).buffer);
      const found = TreeEnsemble.from(instances.wasm, descriptionOf(entry));
      const own = found.score(rows, count, new Float32Array(truth.length));
      found.dispose();
      // Float32 sums of a few dozen leaves of the size of 1.
      for (let index = 0; index < truth.length; index++)
        expect(Math.abs((own[index] as number) - (truth[index] as number))).toBeLessThan(2e-5);
    });
  }
});

describe('comparisons', () => {
  const infinity = Number.POSITIVE_INFINITY;
  const values = [-infinity, -3.4028235e38, -1, -1e-45, -0, 0, 1e-45, 1, 1.0000001, 3.4028235e38, infinity, Number.NaN];
  const features = Float32Array.from(values);
  const modes = ['BRANCH_LEQ', 'BRANCH_LT', 'BRANCH_GTE', 'BRANCH_GT', 'BRANCH_EQ', 'BRANCH_NEQ'];

  it.each(ways)('$name: every value against every threshold, also at the edges of float32', (way) => {
    for (const mode of modes) {
      for (const threshold of values) {
        for (const nanIsTrue of [false, true]) {
          const description = describeTrees([{ feature: 0, mode, threshold, nanIsTrue, yes: leaf(1), no: leaf(2) }], one);
          const label = `${mode} ${threshold} ${nanIsTrue}`;
          expect([label, ...scores(way, description, features, values.length)]).toEqual([
            label,
            ...scoreByDefinition(description, features, values.length),
          ]);
        }
      }
    }
  });

  it('the definition itself, by hand', () => {
    const answers = (mode: string, nanIsTrue: boolean): string =>
      [
        ...scoreByDefinition(
          describeTrees([{ feature: 0, mode, threshold: 1, nanIsTrue, yes: leaf(1), no: leaf(0) }], one),
          Float32Array.of(0, 1, 2, Number.NaN),
          4,
        ),
      ].join(' ');
    expect(modes.map((mode) => answers(mode, false))).toEqual(['1 1 0 0', '1 0 0 0', '0 1 1 0', '0 0 1 0', '0 1 0 0', '1 0 1 1']);
    expect(modes.map((mode) => answers(mode, true))).toEqual(['1 1 0 1', '1 0 0 1', '0 1 1 1', '0 0 1 1', '0 1 0 1', '1 0 1 1']);
  });
});

describe('shapes', () => {
  it.each(ways)('$name: trees of one leaf, and none at all', (way) => {
    expect([...scores(way, describeTrees([leaf(2), leaf(0.5)], { ...one, baseValues: [1] }), Float32Array.of(7, 8), 2)]).toEqual([
      3.5, 3.5,
    ]);
    expect([...scores(way, describeTrees([], { ...one, baseValues: [1] }), Float32Array.of(7), 1)]).toEqual([1]);
    expect([...scores(way, describeTrees([leaf(2)], { featureCount: 0, targetCount: 1 }), new Float32Array(0), 3)]).toEqual([2, 2, 2]);
    expect(scores(way, describeTrees([leaf(2)], one), new Float32Array(0), 0)).toHaveLength(0);
  });

  it.each(ways)('$name: sums in the order of the trees, in float32, the base value last', (way) => {
    // 1e8 + 1 is 1e8 in float32: ((1e8 + 1) - 1e8) + 0.5, where another order gives 1.5.
    const trees = [leaf(1e8), leaf(1), leaf(-1e8)];
    expect(scores(way, describeTrees(trees, { ...one, baseValues: [0.5] }), Float32Array.of(0), 1)[0]).toBe(0.5);
    expect(scores(way, describeTrees([leaf(1e8), leaf(-1e8), leaf(1)], { ...one, baseValues: [0.5] }), Float32Array.of(0), 1)[0]).toBe(1.5);
  });

  it.each(ways)('$name: smallest, largest and average leaves; a target that no leaf names is 0', (way) => {
    const trees: Sketch[] = [{ leaf: { 0: 3, 1: -1 } }, { leaf: { 0: 1 } }, { leaf: { 0: 5, 1: -4 } }];
    const results = (['MIN', 'MAX', 'AVERAGE', 'SUM'] as const).map((aggregate) => [
      ...scores(way, describeTrees(trees, { featureCount: 1, targetCount: 3, aggregate, baseValues: [0, 0, 10] }), Float32Array.of(0), 1),
    ]);
    expect(results).toEqual([
      [1, -4, 10],
      [5, -1, 10],
      [3, Math.fround(-5 / 3), 10],
      [9, -5, 10],
    ]);
  });

  it.each(ways)('$name: a feature with more thresholds than a byte can number', (way) => {
    const trees = Array.from(
      { length: 600 },
      (_, place): Sketch => ({ feature: 0, mode: 'BRANCH_LEQ', threshold: place, yes: leaf(0), no: leaf(1) }),
    );
    const features = Float32Array.from([-1, 0, 0.5, 254, 254.5, 255, 255.5, 256, 510, 510.5, 599, 600, Number.NaN]);
    // Counts the thresholds below.
    expect([...scores(way, describeTrees(trees, one), features, features.length)]).toEqual([
      0, 0, 1, 254, 255, 255, 256, 256, 510, 511, 599, 600, 600,
    ]);
  });

  it('walks where trees have more than 256 leaves, also down a chain of thousands', () => {
    const chain = (length: number): Sketch => {
      let tree = leaf(length);
      for (let place = length - 1; place >= 0; place--)
        tree = { feature: 0, mode: 'BRANCH_LEQ', threshold: place, yes: leaf(place), no: tree };
      return tree;
    };
    const features = Float32Array.from([-5, 0, 17.5, 254, 255, 300, 1999.5, 5000]);
    for (const [length, method] of [
      [255, 'masks'],
      [256, 'walks'],
      [2000, 'walks'],
    ] as const) {
      for (const kernels of Object.values(instances)) {
        const ensemble = TreeEnsemble.from(kernels, describeTrees([chain(length)], one));
        expect([ensemble.method, ensemble.leafCount, ensemble.treeCount]).toEqual([method, length + 1, 1]);
        expect([...ensemble.score(features, 8, new Float32Array(8))]).toEqual(
          Array.from(features, (value) => Math.min(length, Math.max(0, Math.ceil(value)))),
        );
        ensemble.dispose();
      }
    }
    expect(codeOf(() => TreeEnsemble.from(instances.wasm, describeTrees([chain(256)], one), { method: 'masks' }))).toContain('257 leaves');
  });

  it.each(ways)('$name: branches that share a node, as converters write categories', (way) => {
    const shared: Sketch = { feature: 1, mode: 'BRANCH_LEQ', threshold: 0, yes: leaf(10), no: leaf(20) };
    const tree: Sketch = {
      feature: 0,
      mode: 'BRANCH_EQ',
      threshold: 1,
      yes: shared,
      no: { feature: 0, mode: 'BRANCH_EQ', threshold: 3, yes: shared, no: leaf(30) },
    };
    const features = Float32Array.from([1, -1, 3, 1, 2, 0, Number.NaN, 0]);
    expect([...scores(way, describeTrees([tree], { featureCount: 2, targetCount: 1 }), features, 4)]).toEqual([10, 20, 30, 30]);
  });

  it('shares grow to more leaves than masks hold: walks', () => {
    let tree = leaf(0);
    const path: number[] = [];
    for (let depth = 0; depth < 60; depth++) {
      tree = { feature: 0, mode: 'BRANCH_LEQ', threshold: depth, yes: tree, no: tree };
      path.push(depth);
    }
    const ensemble = TreeEnsemble.from(instances.wasm, describeTrees([tree], one));
    expect(ensemble.method).toBe('walks');
    expect([...ensemble.score(Float32Array.of(3), 1, new Float32Array(1))]).toEqual([0]);
    ensemble.dispose();
  });
});

describe('any trees', () => {
  const number = fc.oneof(
    fc.float({ noNaN: false }),
    fc.constantFrom(0, -0, 1, 2, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN),
  );
  const weight = fc.float({ min: -100, max: 100, noNaN: true }).map((value) => value + 0);
  const { tree } = fc.letrec<{ tree: Sketch; leaf: Sketch; branch: Sketch }>((tie) => ({
    leaf: fc.record({ leaf: fc.dictionary(fc.constantFrom('0', '1', '2'), weight, { maxKeys: 3 }) }),
    branch: fc.record({
      feature: fc.integer({ min: 0, max: 2 }),
      mode: fc.constantFrom('BRANCH_LEQ', 'BRANCH_LT', 'BRANCH_GTE', 'BRANCH_GT', 'BRANCH_EQ', 'BRANCH_NEQ'),
      threshold: number,
      nanIsTrue: fc.boolean(),
      yes: tie('tree'),
      no: tie('tree'),
    }),
    tree: fc.oneof({ maxDepth: 6, depthSize: 'large' }, tie('leaf'), tie('branch')),
  }));

  it('all four ways give what the definition says, whatever rows they are cut into', () => {
    fc.assert(
      fc.property(
        fc.array(tree, { maxLength: 6 }),
        fc.array(fc.tuple(number, number, number), { minLength: 1, maxLength: 70 }),
        fc.constantFrom('SUM' as const, 'AVERAGE' as const, 'MIN' as const, 'MAX' as const),
        fc.array(weight, { minLength: 3, maxLength: 3 }),
        fc.nat(),
        (trees, table, aggregate, baseValues, cut) => {
          const description = describeTrees(trees, { featureCount: 3, targetCount: 3, aggregate, baseValues });
          const features = Float32Array.from(table.flat());
          const truth = [...scoreByDefinition(description, features, table.length)].map((value) => value + 0);
          for (const way of ways) {
            const ensemble = TreeEnsemble.from(way.kernels, description, { method: way.method });
            const out = new Float32Array(table.length * 3);
            const first = cut % (table.length + 1);
            ensemble.score(features.subarray(0, first * 3), first, out.subarray(0, first * 3));
            ensemble.score(features.subarray(first * 3), table.length - first, out.subarray(first * 3));
            ensemble.dispose();
            expect([...out].map((value) => value + 0)).toEqual(truth);
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe('memory', () => {
  const tree: Sketch = { feature: 0, mode: 'BRANCH_LEQ', threshold: 0, yes: leaf(1), no: leaf(2) };

  it.each(ways)('$name: takes resident features in place, and many rows in several passes', ({ kernels, method }) => {
    const rows = 3001;
    const ensemble = TreeEnsemble.from(kernels, describeTrees([tree], one), { method });
    const own = Float32Array.from({ length: rows }, (_, row) => (row % 3) - 1);
    const resident = kernels.keepFloat32(own);
    const out = kernels.float32(rows);
    const expected = Array.from(own, (value) => (value <= 0 ? 1 : 2));
    expect([...ensemble.score(resident, rows, out)]).toEqual(expected);
    expect([...ensemble.score(own, rows, new Float32Array(rows))]).toEqual(expected);
    kernels.free(resident);
    kernels.free(out);
    ensemble.dispose();
  });

  it('gives its memory back, and is then closed', () => {
    const before = instances.wasm.bytesInUse;
    const ensemble = TreeEnsemble.from(instances.wasm, describeTrees([tree], one));
    expect(instances.wasm.bytesInUse).toBeGreaterThan(before);
    expect(ensemble.bytes).toBeGreaterThan(0);
    ensemble.dispose();
    ensemble.dispose();
    expect(instances.wasm.bytesInUse).toBe(before);
    expect(codeOf(() => ensemble.score(Float32Array.of(0), 1, new Float32Array(1)))).toContain('RECLOOM_KRN_CLOSED');
  });
});

describe('bad input', () => {
  const kernels = instances.wasm;
  const good = describeTrees([{ feature: 0, mode: 'BRANCH_LEQ', threshold: 0, yes: leaf(1), no: leaf(2) }], one);
  const nodes = (change: Partial<TreeEnsembleDescription['nodes']>): TreeEnsembleDescription => ({
    ...good,
    nodes: { ...good.nodes, ...change },
  });
  const targets = (change: Partial<TreeEnsembleDescription['targets']>): TreeEnsembleDescription => ({
    ...good,
    targets: { ...good.targets, ...change },
  });
  const method = 'neither' as TreeMethod;

  it.each<[string, TreeEnsembleDescription, string]>([
    ['columns of different lengths', nodes({ values: [0] }), 'nodes.values has 1 values for 3 nodes'],
    ['leaf columns of different lengths', targets({ weights: [1] }), 'targets.weights has 1 values for 2 entries'],
    ['a feature that rows do not have', nodes({ featureIds: [1, 0, 0] }), 'feature 1 of 1'],
    ['a feature that is no whole number', nodes({ featureIds: [0.5, 0, 0] }), 'feature 0.5'],
    ['a mode that does not exist', nodes({ modes: ['BRANCH_LIKE', 'LEAF', 'LEAF'] }), 'mode "BRANCH_LIKE"'],
    ['a child that does not exist', nodes({ trueNodeIds: [9, 0, 0] }), 'leads to node 9'],
    ['two nodes of one id', nodes({ nodeIds: [0, 1, 1] }), 'two nodes 1'],
    ['a node that leads to itself', nodes({ trueNodeIds: [0, 0, 0] }), 'cycle apart from its root'],
    [
      'nodes that lead to each other',
      nodes({ trueNodeIds: [0, 0, 0], falseNodeIds: [0, 0, 0], modes: ['BRANCH_LT', 'LEAF', 'LEAF'] }),
      '2 nodes that',
    ],
    ['nodes that nothing leads to', nodes({ modes: ['LEAF', 'LEAF', 'LEAF'] }), '3 nodes that no branch leads to'],
    [
      'a cycle below the root',
      {
        ...one,
        nodes: {
          treeIds: [0, 0, 0, 0],
          nodeIds: [0, 1, 2, 3],
          featureIds: [0, 0, 0, 0],
          modes: ['BRANCH_LEQ', 'BRANCH_LEQ', 'BRANCH_LEQ', 'LEAF'],
          values: [0, 0, 0, 0],
          trueNodeIds: [1, 2, 1, 0],
          falseNodeIds: [3, 3, 3, 0],
        },
        targets: { treeIds: [0], nodeIds: [3], targetIds: [0], weights: [1] },
      },
      'has a cycle',
    ],
    ['a leaf weight for a node that does not exist', targets({ nodeIds: [1, 7] }), 'node 7 of tree 0'],
    ['a target that does not exist', targets({ targetIds: [0, 1] }), 'target 1 of 1'],
    ['a target named twice', targets({ nodeIds: [1, 1] }), 'target 0 twice'],
    ['a leaf weight that is not finite', targets({ weights: [1, 1e39] }), 'not a finite number'],
    ['base values for other targets', { ...good, baseValues: [1, 2] }, '2 base values for 1 targets'],
    ['no target', { ...good, targetCount: 0 }, 'count of 0 targets'],
    ['half a feature', { ...good, featureCount: 0.5 }, 'count of 0.5 features'],
    ['an unknown aggregate', { ...good, aggregate: 'MEDIAN' as 'SUM' }, '"MEDIAN"'],
  ])('%s', (_, description, message) => {
    const before = kernels.bytesInUse;
    expect(codeOf(() => TreeEnsemble.from(kernels, description))).toContain('RECLOOM_KRN_SHAPE');
    expect(codeOf(() => TreeEnsemble.from(kernels, description))).toContain(message);
    expect(kernels.bytesInUse).toBe(before);
  });

  it('a method that does not exist', () => {
    expect(codeOf(() => TreeEnsemble.from(kernels, good, { method }))).toContain('method "neither"');
  });

  it('weights on inner nodes are passed over, as onnxruntime does', () => {
    const description = targets({ treeIds: [0, 0, 0], nodeIds: [1, 2, 0], targetIds: [0, 0, 0], weights: [1, 2, 50] });
    for (const way of ways) expect([...scores(way, description, Float32Array.of(-1, 1), 2)]).toEqual([1, 2]);
  });

  it('rows and outputs of the wrong length', () => {
    const ensemble = TreeEnsemble.from(kernels, good);
    expect(codeOf(() => ensemble.score(new Float32Array(3), 2, new Float32Array(2)))).toContain('3 features are not 2 rows of 1');
    expect(codeOf(() => ensemble.score(new Float32Array(2), 2, new Float32Array(3)))).toContain('has 3 values, not 2 rows of 1');
    expect(codeOf(() => ensemble.score(new Float32Array(2), -1, new Float32Array(2)))).toContain('count of -1 rows');
    ensemble.dispose();
  });
});
