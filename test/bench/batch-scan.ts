// G5: the best rows for 64 queries at once, against onnxruntime's MatMul and TopK of the same shape and implicit's topk. Ours proposes
// by int8 and ranks by exact float32 scores, as G4's search does; the exact pass over float32 stands beside it.
import { createKernels, type TopRows, VectorIndex } from '@recloom/kernels';
import onnxProto from 'onnx-proto';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Outcome } from './goal.js';
import { interleave, normalSource, type Timing, uniformSource } from './measure.js';
import { findPythonWith, howToGetPeers, PythonPeer } from './python-peer.js';
import type { SuiteOptions } from './suites.js';

const queryCount = 64;
const k = 100;

/** A catalogue as factors rank it, and one of vectors of sentences. */
const shapes = [
  { rowCount: 12_101, width: 128, asked: false },
  { rowCount: 100_000, width: 384, asked: true },
];

const script = `
import sys, time
import numpy, implicit
from implicit.cpu.topk import topk
folder, rows, width, k = sys.argv[1], *map(int, sys.argv[2:5])
items = numpy.fromfile(f"{folder}/rows", numpy.float32).reshape(rows, width)
queries = numpy.fromfile(f"{folder}/queries", numpy.float32).reshape(-1, width)
print(implicit.__version__, flush=True)
for line in sys.stdin:
    cpu, wall = time.process_time(), time.perf_counter()
    ids, scores = topk(items, queries, k, num_threads=1)
    print(1000 * (time.process_time() - cpu), 1000 * (time.perf_counter() - wall), int(ids.astype(numpy.int64).sum()), flush=True)
`;

/** The top 100 of 64 queries, one thread each. */
export async function benchBatchScan({ quick }: SuiteOptions): Promise<Outcome[]> {
  const python = findPythonWith('implicit');
  const outcomes: Outcome[] = [];
  for (const shape of shapes) outcomes.push(...(await compare(shape, python, quick)));
  return outcomes;
}

async function compare(
  { rowCount, width, asked }: (typeof shapes)[number],
  python: string | undefined,
  quick: boolean,
): Promise<Outcome[]> {
  const normal = normalSource(uniformSource(21));
  const rows = Float32Array.from({ length: rowCount * width }, normal);
  const queries = Float32Array.from({ length: queryCount * width }, normal);
  const kernels = createKernels();
  const index = new VectorIndex(kernels, { width, capacity: rowCount });
  index.append(rows);
  // The rows are stored with the model, turned so that MatMul reads them as it likes best.
  const session = await InferenceSession.create(encodeSearch(rowCount, width), { intraOpNumThreads: 1, interOpNumThreads: 1 });
  const turned = new Float32Array(rows.length);
  for (let row = 0; row < rowCount; row++)
    for (let inner = 0; inner < width; inner++) turned[inner * rowCount + row] = rows[row * width + inner] as number;
  const feeds = { rows: new Tensor('float32', turned, [width, rowCount]), queries: new Tensor('float32', queries, [queryCount, width]) };
  const peer = python === undefined ? undefined : await PythonPeer.start(python, script, { rows, queries }, [rowCount, width, k]);
  let peerSum = Number.NaN;
  const implicitTopK = async (): Promise<Timing | undefined> => {
    if (peer === undefined) return undefined;
    const [cpuMs = Number.NaN, wallMs = Number.NaN, sum = Number.NaN] = await peer.ask();
    peerSum = sum;
    return { cpuMs, wallMs };
  };
  try {
    const found = (await session.run(feeds))['found']?.data as BigInt64Array;
    const own = index.searchMany(queries, k, { exact: false });
    const recall = 1 - requireSame(own, found);
    requireSame(index.searchMany(queries, k), found);
    const times = await interleave(
      {
        own: () => index.searchMany(queries, k, { exact: false }),
        exact: () => index.searchMany(queries, k),
        onnx: () => session.run(feeds),
        implicit: implicitTopK,
      },
      { rounds: quick ? 3 : 15, warmUpRounds: quick ? 1 : 2 },
    );
    const ownSum = own.reduce((total, { rows: best }) => total + best.reduce((sum, row) => sum + row, 0), 0);
    // Sums of float32 in another order may swap the last of a list.
    if (peer !== undefined && !(Math.abs(ownSum - peerSum) <= 1e-3 * ownSum))
      throw new Error(`implicit found other rows: ${peerSum}, ${ownSum}.`);
    const cpu = (name: keyof typeof times): number => times[name].cpuMs.median;
    const shape = `${queryCount} queries × ${rowCount.toLocaleString('en-GB')} rows of ${width}`;
    const outcomes: Outcome[] = [
      {
        goal: 'G5',
        name: `${shape}, top ${k}, in onnxruntime's MatMul and TopK`,
        figure: cpu('own') / cpu('onnx'),
        unit: '×',
        ...(asked ? { bound: { atMost: 1.2 } } : {}),
        limit: { name: 'onnxruntime MatMul and TopK, one thread', value: cpu('onnx'), unit: 'ms CPU' },
        note: `${cpu('own').toFixed(1)} ms, ${(cpu('own') / queryCount).toFixed(2)} ms a query: one pass over int8 codes and exact float32 scores of what it proposes, recall@${k} ${recall.toFixed(4)}; the exact pass over float32 takes ${cpu('exact').toFixed(1)} ms, ${(cpu('exact') / cpu('onnx')).toFixed(2)}×`,
      },
    ];
    const name = `${shape}, top ${k}, throughput in that of implicit's topk`;
    if (peer === undefined) outcomes.push({ goal: 'G5', name, skipped: `no Python with implicit: ${howToGetPeers}` });
    else
      outcomes.push({
        goal: 'G5',
        name,
        figure: cpu('implicit') / cpu('own'),
        unit: '×',
        ...(asked ? { bound: { atLeast: 2 } } : {}),
        limit: { name: `implicit ${peer.version} topk, one thread`, value: cpu('implicit'), unit: 'ms CPU' },
        note: `${cpu('own').toFixed(1)} ms; the exact pass over float32 ${(cpu('implicit') / cpu('exact')).toFixed(2)}×`,
      });
    return outcomes;
  } finally {
    index.dispose();
    await session.release();
    await peer?.stop();
  }
}

/** The share of rows that the other did not find. @throws Error when it is more than one in a thousand: rounding explains no more */
function requireSame(own: readonly TopRows[], found: BigInt64Array): number {
  let other = 0;
  own.forEach(({ rows }, query) => {
    const theirs = new Set(Array.from(found.subarray(query * k, (query + 1) * k), Number));
    for (const row of rows) if (!theirs.has(row)) other++;
  });
  if (other > 1e-3 * own.length * k) throw new Error(`onnxruntime found ${other} other rows.`);
  return other / (own.length * k);
}

/** scores = queries · rows, the k best of each. */
function encodeSearch(rowCount: number, width: number): Uint8Array {
  const { onnx } = onnxProto;
  const value = (name: string, elemType: number, dims: readonly number[]) => ({
    name,
    type: { tensorType: { elemType, shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
  });
  return onnx.ModelProto.encode(
    onnx.ModelProto.create({
      irVersion: 8,
      opsetImport: [{ domain: '', version: 17 }],
      graph: {
        name: 'search',
        input: [value('queries', 1, [queryCount, width]), value('rows', 1, [width, rowCount])],
        output: [value('best', 1, [queryCount, k]), value('found', 7, [queryCount, k])],
        initializer: [{ name: 'k', dims: [1], dataType: 7, int64Data: [k] }],
        node: [
          { opType: 'MatMul', input: ['queries', 'rows'], output: ['scores'] },
          { opType: 'TopK', input: ['scores', 'k'], output: ['best', 'found'] },
        ],
      },
    }),
  ).finish();
}
