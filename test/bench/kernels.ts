// Kernels against their limits: one-query scans against a streaming read of the same bytes (G4, G13), and random walks (G12).
import {
  buildWalkGraph,
  createKernels,
  type Kernels,
  keepWalkGraph,
  randomWalksNow,
  sparseMatrixFromEntries,
  VectorIndex,
} from '@recloom/kernels';
import type { GoalResult } from './goal.js';
import { interleave, normalSource, uniformSource } from './measure.js';
import type { SuiteOptions } from './suites.js';

/** Rows around cluster centres with a decaying spectrum, as sentence embeddings have, and queries near some of them. */
function clusteredRows(rowCount: number, width: number, clusters: number, seed: number): Float32Array {
  const normal = normalSource(uniformSource(seed));
  const uniform = uniformSource(seed + 1);
  const centres = Float32Array.from({ length: clusters * width }, (_, index) => normal() / Math.sqrt(1 + (index % width) / 32));
  const rows = new Float32Array(rowCount * width);
  for (let row = 0; row < rowCount; row++) {
    const centre = Math.floor(uniform() * clusters) * width;
    for (let column = 0; column < width; column++) {
      rows[row * width + column] = (centres[centre + column] as number) + (0.6 * normal()) / Math.sqrt(1 + column / 32);
    }
  }
  return rows;
}

function recall(found: Int32Array, truth: Int32Array): number {
  const wanted = new Set(truth);
  let hits = 0;
  for (const row of found) if (wanted.has(row)) hits++;
  return hits / truth.length;
}

/** G4 and G13: the exact top 100 of 100,000 vectors of 384 numbers. */
export async function benchScans({ quick }: SuiteOptions): Promise<GoalResult[]> {
  const kernels = createKernels();
  const rowCount = 100_000;
  const width = 384;
  const index = new VectorIndex(kernels, { width, normalize: true, capacity: rowCount });
  index.append(clusteredRows(rowCount, width, 400, 11));
  const queryCount = 40;
  const queries = clusteredRows(queryCount, width, 400, 11);
  const queryOf = (position: number): Float32Array => queries.subarray(position * width, (position + 1) * width);
  let recalled = 0;
  for (let query = 0; query < queryCount; query++) {
    const truth = index.search(queryOf(query), 100, { exact: true });
    recalled += recall(index.search(queryOf(query), 100).rows, truth.rows) / queryCount;
  }
  const vectors = index.vectors;
  let turn = 0;
  const next = (): Float32Array => queryOf(turn++ % queryCount);
  const times = await interleave(
    {
      stream: () => kernels.table.streamRead(vectors.byteOffset, vectors.length),
      streamQuarter: () => kernels.table.streamRead(vectors.byteOffset, vectors.length / 4),
      float: () => index.search(next(), 100, { exact: true }),
      quantized: () => index.search(next(), 100),
      batch: () => index.searchMany(queries.subarray(0, 16 * width), 100),
    },
    { rounds: quick ? 7 : 41, warmUpRounds: 3, calls: 2 },
  );
  const bytes = vectors.byteLength;
  index.dispose();
  const stream = times.stream.cpuMs.median;
  const float = times.float.cpuMs.median;
  const quantized = times.quantized.cpuMs.median;
  return [
    {
      goal: 'G4',
      name: 'one-query float32 scan, as a share of streaming-read bandwidth',
      figure: stream / float,
      unit: '×',
      bound: { atLeast: 0.9 },
      limit: { name: 'streaming read', value: bytes / stream / 1e6, unit: 'GB/s' },
      note: `top 100 of ${rowCount.toLocaleString('en-GB')} × ${width}: ${float.toFixed(2)} ms CPU; the read alone ${stream.toFixed(2)} ms`,
    },
    {
      goal: 'G4',
      name: 'int8 scan and float32 re-rank, in float32 scans',
      figure: quantized / float,
      unit: '×',
      bound: { atMost: 0.4 },
      limit: { name: 'float32 scan', value: float, unit: 'ms CPU' },
      note: `the same answer: recall@100 against the exact scan over ${queryCount} queries is ${recalled.toFixed(4)}`,
    },
    {
      goal: 'G4',
      name: 'recall@100 of the int8 scan and re-rank',
      figure: recalled,
      unit: 'share',
      bound: { atLeast: 0.999 },
      note: 'clustered vectors with a decaying spectrum, as sentence embeddings have',
    },
    {
      goal: 'G13',
      name: 'exact top 100 of 100,000 × 384',
      figure: quantized,
      unit: 'ms CPU',
      bound: { atMost: 3.5 },
      limit: { name: 'streaming read of the int8 bytes', value: times.streamQuarter.cpuMs.median, unit: 'ms CPU' },
      note: 'int8 pass, then float32 re-rank',
    },
    {
      goal: 'G13',
      name: 'the same for 16 queries in one float32 pass, per query',
      figure: times.batch.cpuMs.median / 16,
      unit: 'ms CPU',
      limit: { name: 'float32 scan of one query', value: float, unit: 'ms CPU' },
      note: 'exact float32, no int8 codes',
    },
  ];
}

/** G12: random walks with restart over a graph of two million edges with skewed popularity. */
export async function benchWalks({ quick }: SuiteOptions): Promise<GoalResult[]> {
  const kernels = createKernels();
  const nodeCount = 200_000;
  const edges = 2_000_000;
  const uniform = uniformSource(5);
  const rows = Int32Array.from({ length: edges }, () => Math.floor(uniform() * nodeCount));
  const columns = Int32Array.from({ length: edges }, () => Math.floor(uniform() ** 2.5 * nodeCount));
  const values = Float32Array.from({ length: edges }, () => 0.1 + uniform());
  const matrix = sparseMatrixFromEntries(nodeCount, nodeCount, rows, columns, values);
  const graphs = {
    unweighted: keepWalkGraph(kernels, buildWalkGraph(matrix, { weighted: false })),
    weighted: keepWalkGraph(kernels, buildWalkGraph(matrix, { weighted: true })),
  };
  const starts = Int32Array.from({ length: 20 }, () => Math.floor(uniform() * nodeCount));
  const steps = 2_000_000;
  const options = { starts, steps, restart: 0.15, seed: 42 };
  const chase = pointerChase(kernels, matrix.columnIndices.length, steps);
  const times = await interleave(
    {
      chase,
      unweighted: () => randomWalksNow(kernels, graphs.unweighted, options),
      weighted: () => randomWalksNow(kernels, graphs.weighted, options),
    },
    { rounds: quick ? 3 : 15 },
  );
  const speed = (milliseconds: number): number => steps / milliseconds / 1000;
  return (['unweighted', 'weighted'] as const).map((kind) => ({
    goal: 'G12',
    name: `${kind} random walks over ${(matrix.columnIndices.length / 1e6).toFixed(1)} M edges`,
    figure: speed(times[kind].cpuMs.median),
    unit: 'M steps/s and core',
    bound: { atLeast: 5 },
    limit: { name: 'bare chase through as many random pointers', value: speed(times.chase.cpuMs.median), unit: 'M steps/s' },
    note: `${kind === 'weighted' ? 'two tables are read per step; ' : ''}20 starts, restart 0.15, counting the visits included`,
  }));
}

/** The least a walk must do: each step reads the place of the next from memory that no cache of one core holds. */
function pointerChase(kernels: Kernels, size: number, steps: number): () => number {
  const uniform = uniformSource(7);
  const next = kernels.int32(size);
  for (let place = 0; place < size; place++) next[place] = place;
  // Sattolo's shuffle: one cycle through all places.
  for (let place = size - 1; place > 0; place--) {
    const other = Math.floor(uniform() * place);
    const moved = next[place] as number;
    next[place] = next[other] as number;
    next[other] = moved;
  }
  let at = 0;
  return () => {
    for (let step = 0; step < steps; step++) at = next[at] as number;
    return at;
  };
}
