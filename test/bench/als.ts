// G6: an epoch of alternating least squares against implicit's, which is C++ over BLAS, from the same start factors with the
// same objective. implicit's default takes three steps of conjugate gradients and stays away from the solution; its Cholesky
// solver finds it. Times are held against the default, factors against Cholesky's.
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { alternatingLeastSquares, type ComputePool, createComputePool, type SparseMatrix, sparseMatrixFromEntries } from '@recloom/kernels';
import type { Outcome } from './goal.js';
import { interleave, type Timing, uniformSource } from './measure.js';
import { readTraining, root } from './online-retail.js';
import { findPythonWith, howToGetPeers, PythonPeer } from './python-peer.js';
import type { SuiteOptions } from './suites.js';

/** Epochs of a timed fit; the first, which also reads the data, is not counted. */
const timedEpochs = 4;
/** Epochs after which factors are compared. */
const comparedEpochs = 3;

const script = `
import sys, time
import numpy, scipy.sparse, implicit
from implicit.als import AlternatingLeastSquares
folder, users, items, factors = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
alpha, regularization = float(sys.argv[5]), float(sys.argv[6])
offsets, columns = (numpy.fromfile(f"{folder}/{name}", numpy.int32) for name in ("offsets", "columns"))
matrix = scipy.sparse.csr_matrix((numpy.ones(len(columns), numpy.float32), columns, offsets), (users, items))
start = numpy.fromfile(f"{folder}/start", numpy.float32).reshape(items, factors)
def fit(threads, epochs, **options):
    model = AlternatingLeastSquares(factors=factors, alpha=alpha, regularization=regularization, iterations=epochs, num_threads=threads, **options)
    model.user_factors, model.item_factors = numpy.zeros((users, factors), numpy.float32), start.copy()
    times = []
    model.fit(matrix, show_progress=False, callback=lambda *_: times.append((time.process_time(), time.perf_counter())))
    return model, times
print(implicit.__version__, flush=True)
for line in sys.stdin:
    what, threads, epochs = line.split()
    if what == "time":
        begin = time.process_time()
        model, times = fit(int(threads), int(epochs))
        whole = 1000 * (time.process_time() - begin)
        print(*(1000 * (last - first) / (len(times) - 1) for first, last in zip(times[0], times[-1])), whole, flush=True)
    else:
        exact, _ = fit(int(threads), int(epochs), use_cg=False)
        exact.item_factors.astype(numpy.float32).tofile(f"{folder}/exact")
        quick, _ = fit(int(threads), int(epochs))
        print(numpy.linalg.norm(quick.item_factors - exact.item_factors) / numpy.linalg.norm(exact.item_factors), 0, flush=True)
`;

/** What is fitted: the options that implicit was tuned to on validation (/work/shared/reference/quality/reference.md). */
interface Case {
  readonly name: string;
  readonly factors: number;
  readonly alpha: number;
  readonly regularization: number;
  /** Not the tuned options: shown beside the goal, and no part of it. */
  readonly beside?: boolean;
  /** Undefined where the data are not there. */
  readonly read: (() => Promise<SparseMatrix>) | undefined;
  readonly missing: string;
}

/** The training part of a folder of comparison data, which lie outside the repository. */
function shared(folder: string): Pick<Case, 'read' | 'missing'> {
  const file = resolve(root, '../shared/data', folder, 'train.csv.gz');
  return { read: existsSync(file) ? async () => readPairs(file) : undefined, missing: `${file} is not there` };
}

function readPairs(file: string): SparseMatrix {
  const rows: number[] = [];
  const columns: number[] = [];
  const userOf = new Map<string, number>();
  const itemOf = new Map<string, number>();
  const placeIn = (places: Map<string, number>, id: string): number => {
    const place = places.get(id) ?? places.size;
    places.set(id, place);
    return place;
  };
  for (const line of gunzipSync(readFileSync(file)).toString('utf8').trimEnd().split('\n').slice(1)) {
    const [user = '', item = ''] = line.split(',');
    rows.push(placeIn(userOf, user));
    columns.push(placeIn(itemOf, item));
  }
  const matrix = sparseMatrixFromEntries(userOf.size, itemOf.size, Int32Array.from(rows), Int32Array.from(columns));
  return { ...matrix, values: undefined };
}

/** The training part of protocol Q1, each pair once. */
async function readRetail(): Promise<SparseMatrix> {
  const { history } = await readTraining();
  const rows = new Int32Array(history.eventCount);
  for (let user = 0; user < history.userCount; user++) rows.fill(user, history.offsets[user], history.offsets[user + 1]);
  return { ...sparseMatrixFromEntries(history.userCount, history.itemCount, rows, history.items.slice()), values: undefined };
}

const cases: readonly Case[] = [
  { name: 'Online Retail, 64 factors', factors: 64, alpha: 1, regularization: 10, read: readRetail, missing: '' },
  { name: 'MovieLens-100K, 64 factors', factors: 64, alpha: 1, regularization: 10, ...shared('ml100k-random') },
  { name: 'Amazon Beauty, 128 factors', factors: 128, alpha: 10, regularization: 3, ...shared('beauty-last') },
  { name: 'Amazon Baby, 128 factors', factors: 128, alpha: 10, regularization: 30, ...shared('baby-diffmm') },
  { name: 'MovieLens-100K, 64 factors, alpha 10', factors: 64, alpha: 10, regularization: 10, beside: true, ...shared('ml100k-random') },
];

/** A Python process that fits the same matrix whenever asked. Two threads at most: implicit's own share the rows out. */
function startImplicit(python: string, given: Case, matrix: SparseMatrix, start: Float32Array): Promise<PythonPeer> {
  const files = { offsets: matrix.rowOffsets, columns: matrix.columnIndices, start };
  const parameters = [matrix.rowCount, matrix.columnCount, given.factors, given.alpha, given.regularization];
  return PythonPeer.start(python, script, files, parameters, 2);
}

/** CPU time of whole fits of `timedEpochs`, with what an epoch leaves out: preparation and results. */
type WholeFits = number[];

/** One epoch of implicit's default, timed by Python itself. */
async function implicitEpoch(peer: PythonPeer, threads: number, whole?: WholeFits): Promise<Timing> {
  const [cpuMs = Number.NaN, wallMs = Number.NaN, wholeMs = Number.NaN] = await peer.ask(`time ${threads} ${timedEpochs}`);
  whole?.push(wholeMs);
  return { cpuMs, wallMs };
}

/** The item factors of implicit's Cholesky solver, and how far its default is from them (relative). */
async function implicitExact(peer: PythonPeer): Promise<{ readonly factors: Float32Array; readonly defaultDistance: number }> {
  const [defaultDistance = Number.NaN] = await peer.ask(`exact 1 ${comparedEpochs}`);
  const bytes = readFileSync(join(peer.folder, 'exact'));
  return { factors: new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)), defaultDistance };
}

function fit(
  given: Case,
  matrix: SparseMatrix,
  start: Float32Array,
  epochs: number,
  compute: ComputePool,
  onHalf?: (half: number) => void,
) {
  // implicit's confidence is alpha where there is an entry and 1 elsewhere.
  const objective = {
    unobservedWeight: 1,
    targetOffset: 1,
    regularization: given.regularization,
    regularizationExponent: 0,
    uniformValue: given.alpha - 1,
  };
  return alternatingLeastSquares(matrix, objective, { width: given.factors, epochs, columnFactors: start, compute, onHalf });
}

/** An epoch of ours, the first of a fit left out. */
async function epochOf(given: Case, matrix: SparseMatrix, start: Float32Array, compute: ComputePool, whole?: WholeFits): Promise<Timing> {
  let begin = 0;
  const atStart = process.cpuUsage();
  let before = atStart;
  let timing: Timing | undefined;
  await fit(given, matrix, start, timedEpochs, compute, (half) => {
    if (half === 2) {
      begin = performance.now();
      before = process.cpuUsage();
    }
    if (half === 2 * timedEpochs) {
      const used = process.cpuUsage(before);
      const counted = timedEpochs - 1;
      timing = { cpuMs: (used.user + used.system) / 1000 / counted, wallMs: (performance.now() - begin) / counted };
    }
  });
  const used = process.cpuUsage(atStart);
  whole?.push((used.user + used.system) / 1000);
  return timing as Timing;
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1] ?? Number.NaN;
}

function distance(one: Float32Array, other: Float32Array): number {
  let squares = 0;
  let total = 0;
  for (let index = 0; index < other.length; index++) {
    squares += ((one[index] as number) - (other[index] as number)) ** 2;
    total += (other[index] as number) ** 2;
  }
  return Math.sqrt(squares / total);
}

/** An epoch on one thread (CPU time) and on two (wall time), and how far factors are from implicit's exact ones. */
export async function benchAls({ quick }: SuiteOptions): Promise<Outcome[]> {
  const python = findPythonWith('implicit');
  const outcomes: Outcome[] = [];
  for (const given of cases) {
    const { read } = given;
    if (read === undefined || python === undefined) {
      const skipped = read === undefined ? given.missing : `no Python with implicit: ${howToGetPeers}`;
      outcomes.push({ goal: 'G6', name: `an ALS epoch, in implicit's (${given.name})`, skipped });
      continue;
    }
    outcomes.push(...(await compare(python, given, await read(), quick)));
  }
  return outcomes;
}

async function compare(python: string, given: Case, matrix: SparseMatrix, quick: boolean): Promise<Outcome[]> {
  const uniform = uniformSource(7);
  const start = Float32Array.from({ length: matrix.columnCount * given.factors }, () => uniform() * 0.01);
  const peer = await startImplicit(python, given, matrix, start);
  const pools = [createComputePool({ threads: 1 }), createComputePool({ threads: 2 })] as const;
  const [ownFits, implicitFits]: [WholeFits, WholeFits] = [[], []];
  try {
    const times = await interleave(
      {
        own: () => epochOf(given, matrix, start, pools[0], ownFits),
        implicit: () => implicitEpoch(peer, 1, implicitFits),
        ownOnTwo: () => epochOf(given, matrix, start, pools[1]),
        implicitOnTwo: () => implicitEpoch(peer, 2),
      },
      { rounds: quick ? 1 : 7, warmUpRounds: quick ? 1 : 2 },
    );
    const exact = await implicitExact(peer);
    const own = await fit(given, matrix, start, comparedEpochs, pools[0]);
    const apart = distance(own.columnFactors, exact.factors);
    const shape = `${matrix.rowCount} × ${matrix.columnCount}, ${matrix.rowOffsets[matrix.rowCount]} pairs, alpha ${given.alpha}, regularisation ${given.regularization}`;
    const bound = given.beside === true ? {} : { bound: { atMost: 0.5 } };
    return [
      {
        goal: 'G6',
        name: `an ALS epoch, in implicit's (${given.name})`,
        figure: times.own.cpuMs.median / times.implicit.cpuMs.median,
        unit: '×',
        ...bound,
        limit: { name: `implicit ${peer.version}, default solver, one thread`, value: times.implicit.cpuMs.median, unit: 'ms CPU' },
        note: `${shape}: ${times.own.cpuMs.median.toFixed(1)} ms on one thread; a fit of ${timedEpochs} epochs, preparation and results included, ${median(ownFits).toFixed(0)} ms CPU against ${median(implicitFits).toFixed(0)}`,
      },
      {
        goal: 'G6',
        name: `an ALS epoch on two threads, wall time, in implicit's on two (${given.name})`,
        figure: times.ownOnTwo.wallMs.median / times.implicitOnTwo.wallMs.median,
        unit: '×',
        ...bound,
        limit: { name: 'implicit on two threads', value: times.implicitOnTwo.wallMs.median, unit: 'ms wall' },
        note: `${times.ownOnTwo.wallMs.median.toFixed(1)} ms; wall time wavers with the machine's load`,
      },
      {
        goal: 'G6',
        name: `distance of the item factors from implicit's Cholesky solver's (${given.name})`,
        figure: apart,
        unit: 'relative',
        bound: { atMost: 1e-3 },
        limit: { name: "implicit's own default solver", value: exact.defaultDistance, unit: 'relative' },
        note: `after ${comparedEpochs} epochs from the same start factors`,
      },
    ];
  } finally {
    for (const pool of pools) await pool.close();
    await peer.stop();
  }
}
