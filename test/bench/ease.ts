// EASE at the size of protocol Q1 against the inverse everybody else takes: numpy's, which is LAPACK's.
import { type Dataset, openPipeline } from '@recloom/core';
import { createComputePool, invertPositiveDefinite } from '@recloom/kernels';
import type { Outcome } from './goal.js';
import { interleave, type Measured, uniformSource } from './measure.js';
import { findPython, NumpyInverse } from './numpy.js';
import { readTraining, root } from './online-retail.js';
import type { SuiteOptions } from './suites.js';

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
