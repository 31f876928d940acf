// G6: an epoch of alternating least squares against implicit's, which is C++ over BLAS, from the same start factors with the
// same objective. implicit's default takes three steps of conjugate gradients and stays away from the solution; its Cholesky
// solver finds it. Times are held against the default, factors against Cholesky's.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { gunzipSync } from 'node:zlib';
import { alternatingLeastSquares, type ComputePool, createComputePool, type SparseMatrix, sparseMatrixFromEntries } from '@recloom/kernels';
import type { Outcome } from './goal.js';
import { interleave, type Timing, uniformSource } from './measure.js';
import { readTraining, root } from './online-retail.js';
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
        model, times = fit(int(threads), int(epochs))
        print(*(1000 * (last - first) / (len(times) - 1) for first, last in zip(times[0], times[-1])), flush=True)
    else:
        exact, _ = fit(int(threads), int(epochs), use_cg=False)
        exact.item_factors.astype(numpy.float32).tofile(f"{folder}/exact")
        quick, _ = fit(int(threads), int(epochs))
        print(numpy.linalg.norm(quick.item_factors - exact.item_factors) / numpy.linalg.norm(exact.item_factors), 0, flush=True)
`;

/** A Python that has implicit, or undefined: `RECLOOM_BENCH_PYTHON`, `RECLOOM_PYTHON`, else `python3`. */
function findPython(): string | undefined {
  const candidates = [process.env['RECLOOM_BENCH_PYTHON'], process.env['RECLOOM_PYTHON'], 'python3'];
  return candidates.find(
    (python) => python !== undefined && python !== '' && spawnSync(python, ['-c', 'import implicit'], { stdio: 'ignore' }).status === 0,
  );
}

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

/** A Python process that fits the same matrix whenever asked. */
class ImplicitAls {
  readonly version: string;
  readonly #process: ChildProcess;
  readonly #reader: Interface;
  readonly #lines: AsyncIterator<string>;
  readonly #folder: string;

  private constructor(child: ChildProcess, reader: Interface, lines: AsyncIterator<string>, folder: string, version: string) {
    this.#process = child;
    this.#reader = reader;
    this.#lines = lines;
    this.#folder = folder;
    this.version = version;
  }

  static async start(python: string, given: Case, matrix: SparseMatrix, start: Float32Array): Promise<ImplicitAls> {
    const folder = mkdtempSync(join(tmpdir(), 'recloom-bench-als-'));
    writeFileSync(join(folder, 'offsets'), matrix.rowOffsets);
    writeFileSync(join(folder, 'columns'), matrix.columnIndices);
    writeFileSync(join(folder, 'start'), start);
    const numbers = [matrix.rowCount, matrix.columnCount, given.factors, given.alpha, given.regularization].map(String);
    const child = spawn(python, ['-W', 'ignore', '-c', script, folder, ...numbers], {
      stdio: ['pipe', 'pipe', 'inherit'],
      // As implicit itself asks for: its own threads share the rows out.
      env: { ...process.env, OPENBLAS_NUM_THREADS: '1', OMP_NUM_THREADS: '2', MKL_NUM_THREADS: '1' },
    });
    if (child.stdout === null) throw new Error('Python has no output.');
    const reader = createInterface({ input: child.stdout });
    const lines = reader[Symbol.asyncIterator]();
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`${python} ended at once.`);
    return new ImplicitAls(child, reader, lines, folder, value);
  }

  async #ask(line: string): Promise<readonly [number, number]> {
    this.#process.stdin?.write(`${line}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('Python ended.');
    return value.split(' ').map(Number) as unknown as [number, number];
  }

  /** One epoch of its default, timed by Python itself. */
  async epoch(threads: number): Promise<Timing> {
    const [cpuMs, wallMs] = await this.#ask(`time ${threads} ${timedEpochs}`);
    return { cpuMs, wallMs };
  }

  /** The item factors of its Cholesky solver, and how far its default is from them (relative). */
  async exact(): Promise<{ readonly factors: Float32Array; readonly defaultDistance: number }> {
    const [defaultDistance] = await this.#ask(`exact 1 ${comparedEpochs}`);
    const bytes = readFileSync(join(this.#folder, 'exact'));
    return { factors: new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)), defaultDistance };
  }

  async stop(): Promise<void> {
    const ended = new Promise((done) => this.#process.once('exit', done));
    this.#process.stdin?.end();
    await ended;
    this.#reader.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
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
async function epochOf(given: Case, matrix: SparseMatrix, start: Float32Array, compute: ComputePool): Promise<Timing> {
  let begin = 0;
  let before = process.cpuUsage();
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
  return timing as Timing;
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
  const python = findPython();
  const outcomes: Outcome[] = [];
  for (const given of cases) {
    const { read } = given;
    if (read === undefined || python === undefined) {
      const skipped =
        read === undefined ? given.missing : 'no Python with implicit: set RECLOOM_BENCH_PYTHON to one (pip install implicit==0.7.3)';
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
  const peer = await ImplicitAls.start(python, given, matrix, start);
  const pools = [createComputePool({ threads: 1 }), createComputePool({ threads: 2 })] as const;
  try {
    const times = await interleave(
      {
        own: () => epochOf(given, matrix, start, pools[0]),
        implicit: () => peer.epoch(1),
        ownOnTwo: () => epochOf(given, matrix, start, pools[1]),
        implicitOnTwo: () => peer.epoch(2),
      },
      { rounds: quick ? 1 : 7, warmUpRounds: quick ? 1 : 2 },
    );
    const exact = await peer.exact();
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
        note: `${shape}: ${times.own.cpuMs.median.toFixed(1)} ms on one thread`,
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
