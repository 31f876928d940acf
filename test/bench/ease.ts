// EASE at the sizes of protocols Q1 and Q4 against the inverse everybody else takes: numpy's, which is LAPACK's.
import { spawnSync } from 'node:child_process';
import { type Dataset, openPipeline } from '@recloom/core';
import { createComputePool, invertPositiveDefinite } from '@recloom/kernels';
import type { Outcome } from './goal.js';
import { interleave, type Measured, summarise, type Timing, timed, uniformSource } from './measure.js';
import { findPython, NumpyInverse } from './numpy.js';
import { readOnlineRetail, readTraining, root } from './online-retail.js';
import { runScript } from './processes.js';
import type { SuiteOptions } from './suites.js';
import { fitSkew, inequalityOf, makeShop } from './synthetic.js';

const size = 3_066;

/** Fits EASE to a dataset in memory and opens it, on so many threads. */
export async function fitEase(dataset: Dataset, threads: number, options: Readonly<Record<string, unknown>> = {}): Promise<void> {
  const pipeline = await openPipeline(
    {
      format: '1.0',
      name: 'bench-ease',
      data: {},
      components: { habits: { use: 'collaborative-linear/ease', with: { lambda: 100, ...options } } },
      surfaces: { home: { sources: { habits: 100 } } },
      compute: { threads },
    },
    { dataset, directory: root },
  );
  await pipeline.close();
}

/** The whole fit and its inverse, on one thread (CPU time) and on two (wall time). */
export async function benchEase({ quick }: SuiteOptions): Promise<Outcome[]> {
  const training = await readTraining();
  const python = findPython();
  const absent = `no Python with numpy: set RECLOOM_PYTHON to one (python3 -m venv /tmp/numpy && /tmp/numpy/bin/pip install numpy)`;
  const peers = python === undefined ? undefined : await startPeers(python);
  const pool = createComputePool({ threads: 1 });
  const matrix = pool.kernels.float32(size * size);
  const inverse = pool.kernels.float32(size * size);
  fillPositiveDefinite(matrix);
  try {
    const own = {
      inverse: () => invertPositiveDefinite(matrix, size, { compute: pool, output: inverse }),
      fit: () => fitEase(training, 1),
      shopFit: () => fitEase(training, 1, { recencyDays: 30, keep: 200, negativeWeights: false }),
      fitOnTwo: () => fitEase(training, 2),
    };
    const rounds = { rounds: quick ? 1 : 5, warmUpRounds: 1 };
    if (peers === undefined) {
      const times = await interleave(own, rounds);
      return [
        { goal: 'EASE', name: "the inverse alone, in numpy's", skipped: absent },
        { goal: 'EASE', name: 'the whole fit, in numpy inverses', skipped: absent },
        {
          goal: 'EASE',
          name: 'the whole fit of 3,066 items on one thread',
          figure: times.fit.cpuMs.median,
          unit: 'ms CPU',
          note: `the inverse is ${times.inverse.cpuMs.median.toFixed(0)} ms of it; numpy was not there to compare with`,
        },
      ];
    }
    const times = await interleave(
      { ...own, numpy: peers.float64.invert, numpy32: peers.float32.invert, numpyOnTwo: peers.onTwo.invert },
      rounds,
    );
    const cpu = (measured: Measured): number => measured.cpuMs.median;
    const numpy = { name: `numpy ${peers.float64.version} linalg.inv, float64, one thread`, value: cpu(times.numpy), unit: 'ms CPU' };
    return [
      {
        goal: 'EASE',
        name: "the inverse alone, in numpy's",
        figure: cpu(times.inverse) / cpu(times.numpy),
        unit: '×',
        bound: { atMost: 2 },
        limit: numpy,
        note: `${cpu(times.inverse).toFixed(0)} ms on one thread; in float32 numpy takes ${cpu(times.numpy32).toFixed(0)} ms, which is ${(cpu(times.inverse) / cpu(times.numpy32)).toFixed(2)}×`,
      },
      {
        goal: 'EASE',
        name: 'the whole fit, in numpy inverses',
        figure: cpu(times.fit) / cpu(times.numpy),
        unit: '×',
        bound: { atMost: 2 },
        limit: numpy,
        note: `3,818 users × 3,066 items of protocol Q1, all weights kept: ${cpu(times.fit).toFixed(0)} ms on one thread, from interactions to an open component`,
      },
      {
        goal: 'EASE',
        name: 'the same as the shop preset fits it (recency, 200 weights an item)',
        figure: cpu(times.shopFit) / cpu(times.numpy),
        unit: '×',
        bound: { atMost: 2 },
        limit: numpy,
        note: `${cpu(times.shopFit).toFixed(0)} ms on one thread`,
      },
      {
        goal: 'EASE',
        name: 'the whole fit on two threads, wall time, in numpy inverses on two',
        figure: times.fitOnTwo.wallMs.median / times.numpyOnTwo.wallMs.median,
        unit: '×',
        limit: { name: 'numpy on two threads', value: times.numpyOnTwo.wallMs.median, unit: 'ms wall' },
        note: `${times.fitOnTwo.wallMs.median.toFixed(0)} ms; wall time wavers with the machine's load`,
      },
    ];
  } finally {
    await pool.close();
    for (const peer of Object.values(peers ?? {})) await peer.stop();
  }
}

async function startPeers(python: string): Promise<Record<'float64' | 'float32' | 'onTwo', NumpyInverse>> {
  return {
    float64: await NumpyInverse.start(python, size, 'float64', 1),
    float32: await NumpyInverse.start(python, size, 'float32', 1),
    onTwo: await NumpyInverse.start(python, size, 'float64', 2),
  };
}

/** Diagonally dominant, so positive definite; the time of an inverse does not depend on the values. */
function fillPositiveDefinite(matrix: Float32Array): void {
  const uniform = uniformSource(9);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < row; column++) {
      const value = uniform();
      matrix[row * size + column] = value;
      matrix[column * size + row] = value;
    }
    matrix[row * size + row] = size;
  }
}

/** The size of Amazon Beauty, protocol Q4. */
const large = { users: 22_363, items: 12_101, eventsPerUser: 7 };

/** Fits a component to a made-up shop in a process of its own; prints CPU and wall time and the peak of the resident memory. */
const largeFit = `
import { datasetFromArrays, openPipeline } from '@recloom/core';
const { users, items, eventsPerUser, options } = JSON.parse(process.argv[1]);
let state = 12345;
const uniform = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 4294967296;
const events = [];
for (let item = 0; item < items; item++) for (let turn = 0; turn < 2; turn++) events.push({ user: 'u' + ((item * 2 + turn) % users), item: 'i' + item, timeMs: 1.7e12 });
while (events.length < users * eventsPerUser)
  events.push({ user: 'u' + Math.floor(uniform() * users), item: 'i' + Math.floor(items * uniform() ** 3), timeMs: 1.7e12 });
const dataset = datasetFromArrays({ events });
events.length = 0;
const cpu = process.cpuUsage(), wall = performance.now(), before = process.resourceUsage().maxRSS;
const pipeline = await openPipeline({
  format: '1.0', name: 'bench-large', data: {},
  components: { habits: { use: 'collaborative-linear/ease', with: { lambda: 150, minimumItemUsers: 1, ...options } } },
  surfaces: { home: { sources: { habits: 100 } } }, compute: { threads: 1 },
}, { dataset });
const used = process.cpuUsage(cpu);
console.log(JSON.stringify({ items: dataset.history.itemCount, cpuSeconds: (used.user + used.system) / 1e6, wallSeconds: (performance.now() - wall) / 1e3, peakBytes: process.resourceUsage().maxRSS * 1024, beforeBytes: before * 1024 }));
await pipeline.close();
`;

/** EASE as one writes it in numpy: LAPACK's Cholesky inverse in float32, overwriting, mirrored, divided. */
const numpyFit = `
import json, resource, sys, time
import numpy, scipy
import scipy.linalg, scipy.sparse
users, items, per_user = (int(value) for value in sys.argv[1:4])
random = numpy.random.default_rng(1)
count = users * per_user
rows, columns = random.integers(0, users, count), (items * random.random(count) ** 3).astype(int)
x = scipy.sparse.csr_matrix((numpy.ones(count, numpy.float32), (rows, columns)), (users, items))
cpu, wall = time.process_time(), time.perf_counter()
gram = numpy.asarray((x.T @ x).todense(), numpy.float32)
diagonal = numpy.arange(items)
gram[diagonal, diagonal] += 150
factor, _ = scipy.linalg.lapack.spotrf(gram, lower=1, overwrite_a=1)
inverse, _ = scipy.linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
inverse = numpy.tril(inverse) + numpy.tril(inverse, -1).T
links = inverse / -numpy.diagonal(inverse)
links[diagonal, diagonal] = 0
print(json.dumps(dict(version=numpy.__version__, cpuSeconds=time.process_time() - cpu, wallSeconds=time.perf_counter() - wall,
                      peakBytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)))
`;

interface LargeFit {
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
  readonly peakBytes: number;
}

/** EASE at 12,101 items: time and peak memory against numpy's; and how next-purchase grows with the events. */
export async function benchLinear({ quick }: SuiteOptions): Promise<Outcome[]> {
  return [...(await benchLargeEase(quick)), ...(await benchNextPurchaseGrowth(quick))];
}

async function benchLargeEase(quick: boolean): Promise<Outcome[]> {
  const size = quick ? { ...large, items: 3_000 } : large;
  const fit = async (options: Readonly<Record<string, unknown>>): Promise<LargeFit> =>
    (await runScript(largeFit, [JSON.stringify({ ...size, options })])) as LargeFit;
  const python = findScipy();
  const name = `EASE of ${size.items.toLocaleString('en-GB')} items`;
  const sparse = await fit({ keep: 200, negativeWeights: false });
  const peer = python === undefined ? undefined : (runPython(python, size) as LargeFit & { readonly version: string });
  const dense = await fit({});
  const mebibytes = ({ peakBytes }: LargeFit): string => `${(peakBytes / 2 ** 20).toFixed(0)} MiB`;
  const seconds = ({ cpuSeconds }: LargeFit): string => `${cpuSeconds.toFixed(1)} s CPU`;
  if (peer === undefined)
    return [
      { goal: 'EASE', name: `${name} against numpy`, skipped: 'no Python with numpy and scipy: set RECLOOM_BENCH_PYTHON to one' },
      { goal: 'EASE', name, figure: sparse.cpuSeconds, unit: 's CPU', note: `200 weights an item; peak ${mebibytes(sparse)}` },
    ];
  const limit = (value: number, unit: string): { name: string; value: number; unit: string } => ({
    name: `numpy ${peer.version} with LAPACK's spotrf and spotri, one thread`,
    value,
    unit,
  });
  return [
    {
      goal: 'EASE',
      name: `${name}: peak memory of the process, all weights kept, in numpy's`,
      figure: dense.peakBytes / peer.peakBytes,
      unit: '×',
      bound: { atMost: 1 },
      limit: limit(peer.peakBytes / 2 ** 20, 'MiB'),
      note: `${mebibytes(dense)}, from events in memory to an open component; ${mebibytes(sparse)} with 200 weights an item, ${(sparse.peakBytes / peer.peakBytes).toFixed(2)}×`,
    },
    {
      goal: 'EASE',
      name: `${name}: the whole fit, all weights kept, in numpy's`,
      figure: dense.cpuSeconds / peer.cpuSeconds,
      unit: '×',
      limit: limit(peer.cpuSeconds, 's CPU'),
      note: `${seconds(dense)} on one thread; ${seconds(sparse)} with 200 weights an item. numpy's float32 runs on the processor's widest vectors with fused multiply-adds, WebAssembly on 128 bits without`,
    },
  ];
}

/** 1, 2, 4 and 8 times the users and events over the same items. */
async function benchNextPurchaseGrowth(quick: boolean): Promise<Outcome[]> {
  const real = await readOnlineRetail(['events']);
  const skew = fitSkew(real.history);
  const { users, items } = inequalityOf(real.history);
  const factors = quick ? [1, 2] : [1, 2, 4, 8];
  const shops: Dataset[] = [];
  for (const factor of factors) shops.push(await makeShop(skew, { users: users * factor, items }, factor));
  const timings: Timing[][] = factors.map(() => []);
  for (let round = -1; round < (quick ? 1 : 3); round++) {
    for (const [place, shop] of (round < 0 ? shops.slice(0, 1) : shops).entries()) {
      const timing = await timed(() => fitNextPurchase(shop));
      if (round >= 0) timings[place]?.push(timing);
    }
  }
  const seconds = timings.map((rounds) => summarise(rounds).cpuMs.median / 1e3);
  const growth = (seconds.at(-1) as number) / (seconds[0] as number);
  const most = factors.at(-1) as number;
  return [
    {
      goal: 'EASE',
      name: `next-purchase: the fit of ${most} times the events, in fits of one`,
      figure: growth,
      unit: '×',
      bound: { atMost: most },
      note: `${factors.map((factor, place) => `${factor}×: ${seconds[place]?.toFixed(1)} s CPU`).join(', ')}; made-up shops of ${users.toLocaleString('en-GB')} customers and up, ${items.toLocaleString('en-GB')} items, one thread, 12 cuts`,
    },
  ];
}

async function fitNextPurchase(dataset: Dataset): Promise<void> {
  const pipeline = await openPipeline(
    {
      format: '1.0',
      name: 'bench-next-purchase',
      data: {},
      components: { next: { use: 'collaborative-linear/next-purchase' } },
      surfaces: { home: { sources: { next: 100 } } },
      compute: { threads: 1 },
    },
    { dataset, directory: root },
  );
  await pipeline.close();
}

/** A Python that has numpy and scipy, or undefined: `RECLOOM_BENCH_PYTHON`, `RECLOOM_PYTHON`, else `python3`. */
function findScipy(): string | undefined {
  const candidates = [process.env['RECLOOM_BENCH_PYTHON'], process.env['RECLOOM_PYTHON'], 'python3'];
  return candidates.find(
    (python) => python !== undefined && python !== '' && spawnSync(python, ['-c', 'import numpy, scipy.linalg']).status === 0,
  );
}

function runPython(python: string, { users, items, eventsPerUser }: typeof large): unknown {
  const done = spawnSync(python, ['-c', numpyFit, String(users), String(items), String(eventsPerUser)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, OPENBLAS_NUM_THREADS: '1', OMP_NUM_THREADS: '1', MKL_NUM_THREADS: '1' },
  });
  if (done.status !== 0) throw new Error(`${python} ended with ${done.status ?? done.signal}.`);
  return JSON.parse(done.stdout);
}
