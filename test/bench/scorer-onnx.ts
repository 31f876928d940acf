// Models behind `scorer-onnx/model`, gathering of the columns included, against the bare run of onnxruntime on one thread:
// 1,000 candidates × 50 columns (G1, G2, G8).
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInference, createModelFiles } from '@recloom/inference';
import { type CandidateBatch, inferenceToken, modelFilesToken, type Scorer } from '@recloom/plugin-api';
import { model } from '@recloom/plugin-scorer-onnx';
import { candidateBatch, createTestHost, numberColumn, shopFrom, tableFrom } from '@recloom/testing';
import onnxProto, { type onnx as Onnx } from 'onnx-proto';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { GoalResult } from './goal.js';
import { interleave, uniformSource } from './measure.js';
import type { SuiteOptions } from './suites.js';

const rows = 1000;
const width = 50;
const treeCount = 200;

/** G1, G2 and G8 through the plugin: a network of 50 → 256 → 128 → 1, a linear model, 200 trees of 32 leaves. */
export async function benchScorerOnnx({ quick }: SuiteOptions): Promise<GoalResult[]> {
  const directory = await mkdtemp(join(tmpdir(), 'recloom-bench-'));
  const inference = createInference({ workers: 1 });
  const { batch, columns, table, items } = makeBatch();
  const host = createTestHost({
    shop: shopFrom({ items }),
    provide: [
      [inferenceToken, inference],
      [modelFilesToken, createModelFiles({ directory })],
    ],
  });
  const out = new Float32Array(rows);
  const { signal } = new AbortController();
  const opened: Scorer[] = [];
  const prepare = async (name: string, bytes: Uint8Array, engine: string) => {
    const file = join(directory, `${name}.onnx`);
    await writeFile(file, bytes);
    const options = { model: file, engine, device: 'cpu', inputs: { x: { columns } } };
    const scorer = await host.open<Scorer>(model, { options, directory });
    opened.push(scorer);
    const raw = await InferenceSession.create(file, { intraOpNumThreads: 1, interOpNumThreads: 1 });
    const session = await inference.load({ file, device: 'cpu' });
    const feed = { type: 'float32' as const, dims: [rows, width], data: table };
    const bare = async (): Promise<Float32Array> =>
      (await raw.run({ x: new Tensor('float32', table, [rows, width]) }))['y']?.data as Float32Array;
    const score = (): void | Promise<void> => scorer.score(batch, out, signal);
    await score();
    requireClose(out, await bare());
    return { score, bare, worker: () => session.run({ x: feed }) };
  };
  try {
    const network = await prepare('network', encode(networkNodes([width, 256, 128, 1])), 'onnx');
    const linear = await prepare('linear', encode(networkNodes([width, 1])), 'kernels');
    const forest = await prepare('forest', encode(forestNodes()), 'kernels');
    const times = await interleave(
      {
        network: network.score,
        networkWorker: network.worker,
        networkBare: network.bare,
        linear: linear.score,
        linearBare: linear.bare,
        forest: forest.score,
        forestBare: forest.bare,
      },
      {
        rounds: quick ? 9 : 61,
        warmUpRounds: 5,
        calls: { network: 10, networkWorker: 10, networkBare: 10, linear: 100, linearBare: 100, forest: 5, forestBare: 5 },
      },
    );
    // In short turns both threads come to their work with the caches of another; requests that follow each other do not.
    const inARow = await interleave(
      { network: network.score, networkWorker: network.worker, networkBare: network.bare },
      { rounds: quick ? 3 : 15, warmUpRounds: 1, calls: 100 },
    );
    const cpu = (name: keyof typeof times): number => times[name].cpuMs.median;
    const wall = (name: keyof typeof times): string => `${times[name].wallMs.median.toFixed(2)} ms`;
    const limit = (name: string, value: number): NonNullable<GoalResult['limit']> => ({ name, value, unit: 'ms CPU' });
    const networkNote = `network 50 → 256 → 128 → 1 on a worker: ${cpu('network').toFixed(2)} ms CPU, ${wall('network')} on the clock; inference service with ready tensors ${cpu('networkWorker').toFixed(2)} ms, ${wall('networkWorker')}; bare on this thread ${cpu('networkBare').toFixed(2)} ms, ${wall('networkBare')}`;
    return [
      {
        goal: 'G1',
        name: 'a network in scorer-onnx, over the bare run of onnxruntime',
        figure: (cpu('network') - cpu('networkBare')) * 1000,
        unit: 'µs CPU',
        bound: { atMost: Math.max(100, cpu('networkBare') * 100) },
        limit: limit('onnxruntime, one thread, ready tensors', cpu('networkBare')),
        note: `${networkNote}. Bound: 100 µs, or a tenth of a run above 1 ms`,
      },
      {
        goal: 'G2',
        name: 'a network for 1,000 candidates, in onnxruntime',
        figure: cpu('network') / cpu('networkBare'),
        unit: '×',
        bound: { atMost: 1.3 },
        limit: limit('onnxruntime, one thread, ready tensors', cpu('networkBare')),
        note: networkNote,
      },
      {
        goal: 'G2',
        name: 'the same network, a hundred requests in a row',
        figure: inARow.network.cpuMs.median / inARow.networkBare.cpuMs.median,
        unit: '×',
        limit: limit('onnxruntime, one thread, ready tensors', inARow.networkBare.cpuMs.median),
        note: `${inARow.network.cpuMs.median.toFixed(2)} ms CPU; inference service with ready tensors ${inARow.networkWorker.cpuMs.median.toFixed(2)} ms. The goal is held to turns of ten requests between those of the other models`,
      },
      {
        goal: 'G2',
        name: 'linear model in scorer-onnx, gathering included',
        figure: cpu('linear'),
        unit: 'ms CPU',
        bound: { atMost: 0.1 },
        limit: limit('onnxruntime, one thread, ready tensors', cpu('linearBare')),
        note: 'kernels, on the calling thread: 50 columns gathered, multiplied, handed on',
      },
      {
        goal: 'G2',
        name: `${treeCount} trees of 32 leaves in scorer-onnx, gathering included`,
        figure: cpu('forest'),
        unit: 'ms CPU',
        bound: { atMost: 3.5 },
        limit: limit('onnxruntime TreeEnsembleRegressor, one thread', cpu('forestBare')),
        note: `${wall('forest')} on the clock, with a turn of the event loop every millisecond`,
      },
      {
        goal: 'G8',
        name: `${treeCount} trees of 32 leaves in scorer-onnx, in onnxruntime's TreeEnsemble`,
        figure: cpu('forest') / cpu('forestBare'),
        unit: '×',
        bound: { atMost: 0.6 },
        limit: limit('onnxruntime TreeEnsembleRegressor, one thread', cpu('forestBare')),
        note: 'gathering of 50 columns included on our side only',
      },
    ];
  } finally {
    for (const scorer of opened) await scorer.dispose?.();
    await inference.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** Columns of every origin (sources, scores, features, item fields), and the same numbers as the table onnxruntime is given. */
function makeBatch(): { batch: CandidateBatch; columns: string[]; table: Float32Array; items: ReturnType<typeof tableFrom> } {
  const uniform = uniformSource(7);
  const list = (): number[] => Array.from({ length: rows }, () => Math.fround(2 * uniform() - 1));
  const kinds = ['source', 'score', 'feature', 'item'];
  const sources: Record<string, number[]> = {};
  const finished: Record<string, number[]> = {};
  const fields: Record<string, ReturnType<typeof numberColumn>> = {};
  const table = new Float32Array(rows * width);
  const columns = Array.from({ length: width }, (_, index) => {
    const values = list();
    values.forEach((value, row) => {
      table[row * width + index] = value;
    });
    const kind = kinds[index % kinds.length];
    const name = `c${index}`;
    if (kind === 'source') {
      sources[name] = values;
      return `source.${name}.score`;
    }
    if (kind === 'item') {
      fields[name] = numberColumn(values);
      return `item.${name}`;
    }
    finished[`${kind}.${name}`] = values;
    return `${kind}.${name}`;
  });
  const ids = Array.from({ length: rows }, (_, row) => `item-${row}`);
  const batch = candidateBatch({ rows: [Array.from({ length: rows }, (_, row) => row)], sources, columns: finished });
  return { batch, columns, table, items: tableFrom(ids, fields) };
}

function requireClose(own: Float32Array, truth: Float32Array): void {
  for (const [row, value] of own.entries()) {
    if (!(Math.abs(value - (truth[row] as number)) < 1e-4)) throw new Error(`Row ${row} of the scorer differs from onnxruntime.`);
  }
}

interface Parts {
  readonly nodes: readonly Onnx.INodeProto[];
  readonly constants: readonly Onnx.ITensorProto[];
}

function encode({ nodes, constants }: Parts): Uint8Array {
  const value = (name: string, size: number): Onnx.IValueInfoProto => ({
    name,
    type: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: 'rows' }, { dimValue: size }] } } },
  });
  return onnxProto.onnx.ModelProto.encode({
    irVersion: 8,
    opsetImport: [
      { domain: '', version: 17 },
      { domain: 'ai.onnx.ml', version: 3 },
    ],
    graph: { name: 'bench', input: [value('x', width)], output: [value('y', 1)], node: [...nodes], initializer: [...constants] },
  }).finish();
}

/** Dense layers with ReLU between them. */
function networkNodes(widths: readonly number[]): Parts {
  const uniform = uniformSource(widths.length);
  const nodes: Onnx.INodeProto[] = [];
  const constants: Onnx.ITensorProto[] = [];
  const last = widths.length - 2;
  for (let layer = 0; layer <= last; layer++) {
    const [inputs, outputs] = [widths[layer] as number, widths[layer + 1] as number];
    const tensor = (name: string, dims: number[], scale: number): void => {
      const values = Float32Array.from({ length: dims.reduce((product, size) => product * size, 1) }, () => (uniform() - 0.5) * scale);
      constants.push({ name, dims, dataType: 1, rawData: new Uint8Array(values.buffer) });
    };
    tensor(`w${layer}`, [inputs, outputs], 2 / Math.sqrt(inputs));
    tensor(`b${layer}`, [outputs], 1);
    nodes.push({
      opType: 'Gemm',
      input: [layer === 0 ? 'x' : `a${layer}`, `w${layer}`, `b${layer}`],
      output: [layer === last ? 'y' : `h${layer}`],
    });
    if (layer < last) nodes.push({ opType: 'Relu', input: [`h${layer}`], output: [`a${layer + 1}`] });
  }
  return { nodes, constants };
}

/** Whole trees of depth five; thresholds anywhere among the values. */
function forestNodes(): Parts {
  const uniform = uniformSource(11);
  const inner = 31;
  const nodeCount = 63;
  const total = treeCount * nodeCount;
  const per = <Value>(make: (tree: number, node: number) => Value): Value[] =>
    Array.from({ length: total }, (_, index) => make(Math.floor(index / nodeCount), index % nodeCount));
  const leaves = per((tree, node) => ({ tree, node })).filter(({ node }) => node >= inner);
  const integers = (name: string, ints: number[]): Onnx.IAttributeProto => ({ name, type: 7, ints });
  const floats = (name: string, values: number[]): Onnx.IAttributeProto => ({ name, type: 6, floats: values });
  const text = new TextEncoder();
  const attribute: Onnx.IAttributeProto[] = [
    { name: 'n_targets', type: 2, i: 1 },
    integers(
      'nodes_treeids',
      per((tree) => tree),
    ),
    integers(
      'nodes_nodeids',
      per((_, node) => node),
    ),
    integers(
      'nodes_featureids',
      per(() => Math.floor(uniform() * width)),
    ),
    { name: 'nodes_modes', type: 8, strings: per((_, node) => text.encode(node < inner ? 'BRANCH_LEQ' : 'LEAF')) },
    floats(
      'nodes_values',
      per(() => Math.fround(1.6 * uniform() - 0.8)),
    ),
    integers(
      'nodes_truenodeids',
      per((_, node) => (node < inner ? 2 * node + 1 : 0)),
    ),
    integers(
      'nodes_falsenodeids',
      per((_, node) => (node < inner ? 2 * node + 2 : 0)),
    ),
    integers(
      'target_treeids',
      leaves.map(({ tree }) => tree),
    ),
    integers(
      'target_nodeids',
      leaves.map(({ node }) => node),
    ),
    integers(
      'target_ids',
      leaves.map(() => 0),
    ),
    floats(
      'target_weights',
      leaves.map(() => Math.fround(uniform() - 0.5)),
    ),
  ];
  return { nodes: [{ opType: 'TreeEnsembleRegressor', domain: 'ai.onnx.ml', input: ['x'], output: ['y'], attribute }], constants: [] };
}
