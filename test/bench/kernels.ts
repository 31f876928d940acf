// Measures the kernels against their limits: goals G4, G12, G13 and the EASE-size inverse of
// docs "execution.md". Variants are interleaved and medians of this process's CPU time compared, so
// that a busy machine slows all of them alike.
import { execFileSync } from 'node:child_process';
import {
  buildWalkGraph,
  createComputePool,
  createKernels,
  gram,
  invertPositiveDefinite,
  type Kernels,
  keepWalkGraph,
  randomWalksNow,
  sparseMatrixFromEntries,
  sparseProductTopK,
  transposeSparseMatrix,
  VectorIndex,
} from '@recloom/kernels';

/** One measured goal. */
export interface BenchResult {
  readonly goal: string;
  readonly figure: number;
  /** The limit kernel's or peer's figure in the same run, in the unit that the note names. */
  readonly limit: number;
  readonly unit: string;
  readonly target: string;
  readonly note: string;
}

/** Reproducible uniform numbers in [0, 1). */
function uniformSource(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function normalSource(uniform: () => number): () => number {
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[sorted.length >> 1] as number;
}

/** Median CPU milliseconds per call of each variant, run in turns. */
function interleave<Name extends string>(
  variants: Record<Name, () => unknown>,
  rounds: number,
  callsPerRound: number,
): Record<Name, number> {
  const names = Object.keys(variants) as Name[];
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let round = -3; round < rounds; round++) {
    for (const name of names) {
      const before = process.cpuUsage();
      for (let call = 0; call < callsPerRound; call++) variants[name]();
      const used = process.cpuUsage(before);
      if (round >= 0) times[name].push((used.user + used.system) / 1000 / callsPerRound);
    }
  }
  return Object.fromEntries(names.map((name) => [name, median(times[name])])) as Record<Name, number>;
}

/**
 * Rows around cluster centres with decaying spectrum, as sentence embeddings have, and queries near
 * some of them.
 */
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

function scanGoals(kernels: Kernels): BenchResult[] {
  const rowCount = 100_000;
  const width = 384;
  const index = new VectorIndex(kernels, { width, normalize: true, capacity: rowCount });
  index.append(clusteredRows(rowCount, width, 400, 11));
  const queryCount = 40;
  const queries = clusteredRows(queryCount, width, 400, 11);
  const queryOf = (position: number) => queries.subarray(position * width, (position + 1) * width);
  let recalled = 0;
  for (let query = 0; query < queryCount; query++) {
    const truth = index.search(queryOf(query), 100, { exact: true });
    recalled += recall(index.search(queryOf(query), 100).rows, truth.rows) / queryCount;
  }
  const vectors = index.vectors;
  let turn = 0;
  const next = () => queryOf(turn++ % queryCount);
  const times = interleave(
    {
      stream: () => kernels.table.streamRead(vectors.byteOffset, vectors.length),
      float: () => index.search(next(), 100, { exact: true }),
      quantized: () => index.search(next(), 100),
      batch: () => index.searchMany(queries.subarray(0, 16 * width), 100),
    },
    15,
    2,
  );
  const bytes = vectors.byteLength;
  index.dispose();
  const gigabytes = (milliseconds: number) => bytes / milliseconds / 1e6;
  return [
    {
      goal: 'G4 one-query scan',
      figure: times.stream / times.float,
      limit: gigabytes(times.stream),
      unit: 'share of streaming-read bandwidth',
      target: '>= 0.90',
      note: `float32 top-100 of ${rowCount} x ${width}: ${times.float.toFixed(2)} ms CPU; limit: streaming read in GB/s`,
    },
    {
      goal: 'G4 int8 and re-rank',
      figure: times.quantized / times.float,
      limit: times.float,
      unit: 'ratio to the float32 scan',
      target: '<= 0.40',
      note: `recall@100 ${recalled.toFixed(5)} (target >= 0.999); limit: float32 scan in ms`,
    },
    {
      goal: 'G13 exact top-100 of 100k x 384',
      figure: times.quantized,
      limit: times.stream / 4,
      unit: 'ms CPU',
      target: '<= 3.5',
      note: 'int8 pass and float32 re-rank; limit: streaming read of the int8 bytes in ms',
    },
    {
      goal: '16 queries in one scan',
      figure: times.batch / 16,
      limit: times.float,
      unit: 'ms CPU per query',
      target: 'below one float32 scan',
      note: 'exact float32; limit: one-query scan in ms',
    },
  ];
}

function walkGoal(kernels: Kernels): BenchResult[] {
  const nodeCount = 200_000;
  const edges = 2_000_000;
  const uniform = uniformSource(5);
  const rows = Int32Array.from({ length: edges }, () => Math.floor(uniform() * nodeCount));
  // Popularity is skewed, as in real graphs.
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
  const times = interleave(
    {
      unweighted: () => randomWalksNow(kernels, graphs.unweighted, options),
      weighted: () => randomWalksNow(kernels, graphs.weighted, options),
    },
    7,
    1,
  );
  return (['unweighted', 'weighted'] as const).map((kind) => ({
    goal: `G12 random walks, ${kind}`,
    figure: steps / times[kind] / 1000,
    limit: 5,
    unit: 'million steps per second and core',
    target: '>= 5',
    note: `${matrix.columnIndices.length} edges, restart 0.15, counting included`,
  }));
}

const numpyInverse = `
import numpy, time
n = 3066
x = numpy.random.default_rng(0).random((n, 200))
g = x @ x.T + 100 * numpy.eye(n)
times = []
for _ in range(4):
    t = time.perf_counter(); numpy.linalg.inv(g); times.append(time.perf_counter() - t)
print(1000 * sorted(times[1:])[1])
`;

/** Milliseconds of numpy's float64 inverse, or undefined without Python and numpy. */
function numpyMilliseconds(): number | undefined {
  for (const python of [process.env['RECLOOM_BENCH_PYTHON'], 'python3']) {
    if (python === undefined) continue;
    try {
      return Number(execFileSync(python, ['-c', numpyInverse], { stdio: ['ignore', 'pipe', 'ignore'] }).toString());
    } catch {
      // The next interpreter may have numpy.
    }
  }
  return undefined;
}

async function heavyGoals(): Promise<BenchResult[]> {
  const size = 3066;
  const pool = createComputePool({ threads: 2 });
  try {
    const { kernels } = pool;
    const uniform = uniformSource(9);
    const users = 3818;
    const pairs = 228_926;
    const matrix = sparseMatrixFromEntries(
      users,
      size,
      Int32Array.from({ length: pairs }, () => Math.floor(uniform() ** 1.6 * users)),
      Int32Array.from({ length: pairs }, () => Math.floor(uniform() ** 2 * size)),
    );
    const output = kernels.float32(size * size);
    const inverse = kernels.float32(size * size);
    const wall = { gram: [] as number[], product: [] as number[], inverse: [] as number[] };
    const timed = async (times: number[], run: () => Promise<unknown>) => {
      const begin = performance.now();
      await run();
      times.push(performance.now() - begin);
    };
    const transposed = transposeSparseMatrix(matrix);
    for (let round = 0; round < 5; round++) {
      await timed(wall.gram, () => gram(matrix, { compute: pool, output }));
      await timed(wall.product, () => sparseProductTopK(transposed, matrix, 200, { compute: pool, shrinkage: 10 }));
      for (let row = 0; row < size; row++) output[row * size + row] = (output[row * size + row] as number) + 100;
      await timed(wall.inverse, () => invertPositiveDefinite(output, size, { compute: pool, output: inverse }));
    }
    const numpy = numpyMilliseconds();
    const milliseconds = median(wall.inverse.slice(1));
    return [
      {
        goal: 'EASE inverse, 3,066 items',
        figure: numpy === undefined ? milliseconds : milliseconds / numpy,
        limit: numpy ?? Number.NaN,
        unit: numpy === undefined ? 'ms (no numpy here)' : 'ratio to numpy.linalg.inv',
        target: '<= 2',
        note: `two threads, ${milliseconds.toFixed(0)} ms wall; limit: numpy in ms`,
      },
      {
        goal: 'EASE Gram matrix, 3,066 items',
        figure: median(wall.gram),
        limit: milliseconds,
        unit: 'ms wall',
        target: 'far below the inverse',
        note: `${matrix.columnIndices.length} pairs, two threads; limit: the inverse in ms`,
      },
      {
        goal: 'item-kNN product, 200 per item',
        figure: median(wall.product),
        limit: milliseconds,
        unit: 'ms wall',
        target: 'far below the inverse',
        note: 'same matrix, two threads; limit: the inverse in ms',
      },
    ];
  } finally {
    await pool.close();
  }
}

/** Runs all kernel measurements (about half a minute). */
export async function benchKernels(): Promise<BenchResult[]> {
  const kernels = createKernels();
  return [...scanGoals(kernels), ...walkGoal(kernels), ...(await heavyGoals())];
}
