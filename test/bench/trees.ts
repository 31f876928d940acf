// Tree ensembles and linear models against onnxruntime on one thread: 1,000 candidates with 50 features (G2, G8).
import { createKernels, TreeEnsemble, type TreeEnsembleDescription } from '@recloom/kernels';
import onnxProto, { type onnx as Onnx } from 'onnx-proto';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { GoalResult } from './goal.js';
import { interleave, type Measured, normalSource, uniformSource } from './measure.js';
import type { SuiteOptions } from './suites.js';

const rows = 1000;
const features = 50;
const treeCount = 200;
/** Rows that the trees are grown on, and cuts per feature: as many as LightGBM's bins give by default. */
const sampleRows = 4000;
const cuts = 254;

/** G2 and G8: 200 trees of 31, 63 and more leaves over 1,000 × 50. */
export async function benchTrees({ quick }: SuiteOptions): Promise<GoalResult[]> {
  const kernels = createKernels();
  const sample = normalTable(sampleRows, 3);
  const table = normalTable(rows, 4);
  const results: GoalResult[] = [];
  for (const leaves of [15, 31, 63, 127, 255]) {
    const description = grownEnsemble(leaves, sample);
    const session = await InferenceSession.create(encodeModel(description), { intraOpNumThreads: 1, interOpNumThreads: 1 });
    const peer = async (input: Float32Array): Promise<Float32Array> => {
      const answer = await session.run({ x: new Tensor('float32', input, [input.length / features, features]) });
      return answer.y?.data as Float32Array;
    };
    const masks = TreeEnsemble.from(kernels, description, { method: 'masks' });
    const walks = TreeEnsemble.from(kernels, description, { method: 'walks' });
    const out = new Float32Array(rows);
    const truth = Float32Array.from(await peer(table));
    for (const own of [masks, walks]) requireEqual(own.score(table, rows, out), truth);
    const few = table.subarray(0, 10 * features);
    const times = await interleave(
      {
        onnx: () => peer(table),
        masks: () => masks.score(table, rows, out),
        walks: () => walks.score(table, rows, out),
        onnxFew: () => peer(few),
        masksFew: () => masks.score(few, 10, out.subarray(0, 10)),
      },
      { rounds: quick ? 7 : 41, warmUpRounds: 5, calls: { onnx: 1, masks: 4, walks: 2, onnxFew: 40, masksFew: 100 } },
    );
    masks.dispose();
    walks.dispose();
    await session.release();
    const cpu = (measured: Measured): number => measured.cpuMs.median;
    const limit = { name: 'onnxruntime TreeEnsembleRegressor, one thread', value: cpu(times.onnx), unit: 'ms CPU' };
    const asked = leaves === 31 || leaves === 63;
    const note = `${rows.toLocaleString('en-GB')} rows × ${features} features, ${treeCount} trees: ${cpu(times.masks).toFixed(2)} ms, walking down ${cpu(times.walks).toFixed(2)} ms; the same bits as onnxruntime; 10 rows ${(cpu(times.masksFew) * 1000).toFixed(0)} µs against ${(cpu(times.onnxFew) * 1000).toFixed(0)} µs`;
    if (asked) {
      results.push({
        goal: 'G2',
        name: `${treeCount} trees of ${leaves} leaves for 1,000 candidates`,
        figure: cpu(times.masks),
        unit: 'ms CPU',
        bound: { atMost: 3.5 },
        limit,
        note,
      });
    }
    results.push({
      goal: 'G8',
      name: `${treeCount} trees of ${leaves} leaves, in onnxruntime's TreeEnsemble`,
      figure: cpu(times.masks) / cpu(times.onnx),
      unit: '×',
      ...(asked ? { bound: { atMost: 0.6 } } : {}),
      limit,
      note,
    });
  }
  return results;
}

/** G2: a linear model over 1,000 × 50. */
export async function benchLinear({ quick }: SuiteOptions): Promise<GoalResult[]> {
  const kernels = createKernels();
  const table = normalTable(rows, 4);
  const weights = normalTable(1, 5);
  const resident = kernels.keepFloat32(table);
  const residentWeights = kernels.keepFloat32(weights);
  const out = new Float32Array(rows);
  const times = await interleave(
    {
      copied: () => kernels.multiplyRows(table, features, weights, out),
      resident: () => kernels.multiplyRows(resident, features, residentWeights, out),
      read: () => kernels.table.streamRead(resident.byteOffset, resident.length),
    },
    { rounds: quick ? 7 : 41, warmUpRounds: 5, calls: 200 },
  );
  kernels.free(resident);
  kernels.free(residentWeights);
  return [
    {
      goal: 'G2',
      name: 'linear model for 1,000 candidates',
      figure: times.copied.cpuMs.median,
      unit: 'ms CPU',
      bound: { atMost: 0.1 },
      limit: { name: 'streaming read of the features', value: times.read.cpuMs.median, unit: 'ms CPU' },
      note: `multiplyRows over 1,000 × ${features} features copied in by the call; in place ${(times.resident.cpuMs.median * 1000).toFixed(1)} µs`,
    },
  ];
}

function normalTable(count: number, seed: number): Float32Array {
  const normal = normalSource(uniformSource(seed));
  return Float32Array.from({ length: count * features }, normal);
}

function requireEqual(own: Float32Array, truth: Float32Array): void {
  for (const [row, value] of own.entries()) {
    if (!Object.is(value, truth[row])) throw new Error(`Row ${row} of the tree ensemble differs from onnxruntime.`);
  }
}

/** Trees as gradient boosting grows them leaf by leaf: each split falls on a cut of a feature, chosen at random, of a large leaf. */
function grownEnsemble(leaves: number, sample: Float32Array): TreeEnsembleDescription {
  const uniform = uniformSource(leaves);
  const nodes = {
    treeIds: [] as number[],
    nodeIds: [] as number[],
    featureIds: [] as number[],
    modes: [] as string[],
    values: [] as number[],
    trueNodeIds: [] as number[],
    falseNodeIds: [] as number[],
  };
  const targets = { treeIds: [] as number[], nodeIds: [] as number[], targetIds: [] as number[], weights: [] as number[] };
  const sorted = Array.from({ length: features }, (_, feature) =>
    Float32Array.from({ length: sampleRows }, (_unused, row) => sample[row * features + feature] as number).sort(),
  );
  for (let tree = 0; tree < treeCount; tree++) {
    const base = nodes.treeIds.length;
    const add = (): number => {
      nodes.treeIds.push(tree);
      nodes.nodeIds.push(nodes.treeIds.length - 1 - base);
      nodes.featureIds.push(0);
      nodes.modes.push('LEAF');
      nodes.values.push(0);
      nodes.trueNodeIds.push(0);
      nodes.falseNodeIds.push(0);
      return nodes.treeIds.length - 1;
    };
    let open = [{ node: add(), members: Int32Array.from({ length: sampleRows }, (_, row) => row) }];
    while (open.length < leaves) {
      // The gain of a split grows with the rows it parts, and luck has a say in it.
      let best = 0;
      let bestGain = -1;
      for (const [place, { members }] of open.entries()) {
        const gain = members.length * uniform();
        if (members.length > 1 && gain > bestGain) [best, bestGain] = [place, gain];
      }
      const { node, members } = open[best] as (typeof open)[number];
      const feature = Math.floor(uniform() * features);
      const cut = Math.floor(((1 + Math.floor(uniform() * cuts)) / (cuts + 1)) * sampleRows);
      const threshold = sorted[feature]?.[cut] as number;
      const below = members.filter((row) => (sample[row * features + feature] as number) <= threshold);
      const above = members.filter((row) => (sample[row * features + feature] as number) > threshold);
      if (below.length === 0 || above.length === 0) continue;
      const yes = add();
      const no = add();
      nodes.featureIds[node] = feature;
      nodes.modes[node] = 'BRANCH_LEQ';
      nodes.values[node] = threshold;
      nodes.trueNodeIds[node] = yes - base;
      nodes.falseNodeIds[node] = no - base;
      open = [...open.filter((_, place) => place !== best), { node: yes, members: below }, { node: no, members: above }];
    }
    for (const { node } of open) {
      targets.treeIds.push(tree);
      targets.nodeIds.push(node - base);
      targets.targetIds.push(0);
      targets.weights.push(Math.fround(uniform() - 0.5));
    }
  }
  return { featureCount: features, targetCount: 1, nodes, targets };
}

/** The same ensemble as an ONNX file. */
function encodeModel({ nodes, targets }: TreeEnsembleDescription): Uint8Array {
  const { AttributeType } = onnxProto.onnx.AttributeProto;
  const integers = (name: string, ints: ArrayLike<number>): Onnx.IAttributeProto => ({
    name,
    type: AttributeType.INTS,
    ints: Array.from(ints),
  });
  const floats = (name: string, values: ArrayLike<number>): Onnx.IAttributeProto => ({
    name,
    type: AttributeType.FLOATS,
    floats: Array.from(values),
  });
  const text = new TextEncoder();
  const value = (name: string, width: number): Onnx.IValueInfoProto => ({
    name,
    type: { tensorType: { elemType: onnxProto.onnx.TensorProto.DataType.FLOAT, shape: { dim: [{ dimParam: 'n' }, { dimValue: width }] } } },
  });
  return onnxProto.onnx.ModelProto.encode({
    irVersion: 8,
    opsetImport: [
      { domain: '', version: 15 },
      { domain: 'ai.onnx.ml', version: 3 },
    ],
    graph: {
      name: 'trees',
      input: [value('x', features)],
      output: [value('y', 1)],
      node: [
        {
          opType: 'TreeEnsembleRegressor',
          domain: 'ai.onnx.ml',
          input: ['x'],
          output: ['y'],
          attribute: [
            { name: 'n_targets', type: AttributeType.INT, i: 1 },
            integers('nodes_treeids', nodes.treeIds),
            integers('nodes_nodeids', nodes.nodeIds),
            integers('nodes_featureids', nodes.featureIds),
            {
              name: 'nodes_modes',
              type: AttributeType.STRINGS,
              strings: Array.from(nodes.modes, (mode) => text.encode(mode)),
            },
            floats('nodes_values', nodes.values),
            integers('nodes_truenodeids', nodes.trueNodeIds),
            integers('nodes_falsenodeids', nodes.falseNodeIds),
            integers('target_treeids', targets.treeIds),
            integers('target_nodeids', targets.nodeIds),
            integers('target_ids', targets.targetIds),
            floats('target_weights', targets.weights),
          ],
        },
      ],
    },
  }).finish();
}
