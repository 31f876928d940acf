// The fit of item-kNN against implicit's, which is C++: the same cosines, as many neighbours, one thread each.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { gunzipSync } from 'node:zlib';
import { type Dataset, datasetFromArrays } from '@recloom/core';
import { createComputePool } from '@recloom/kernels';
import { createRandomStream, readTensor } from '@recloom/plugin-api';
import { itemKnn } from '@recloom/plugin-collaborative-neighbours';
import type { Outcome } from './goal.js';
import { interleave, type Timing } from './measure.js';
import { readTraining, root } from './online-retail.js';
import type { SuiteOptions } from './suites.js';

const neighbours = 100;
const beauty = resolve(root, '../shared/data/beauty-last/train.csv.gz');

const script = `
import sys, time
import numpy, scipy.sparse, implicit
from implicit.nearest_neighbours import CosineRecommender
folder, users, items, neighbours = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
offsets, columns = (numpy.fromfile(f"{folder}/{name}", numpy.int32) for name in ("offsets", "columns"))
matrix = scipy.sparse.csr_matrix((numpy.ones(len(columns), numpy.float32), columns, offsets), (users, items))
print(implicit.__version__, flush=True)
for line in sys.stdin:
    # It counts an item among its own neighbours, so one more gives as many others.
    model = CosineRecommender(K=neighbours + 1, num_threads=1)
    cpu, wall = time.process_time(), time.perf_counter()
    model.fit(matrix, show_progress=False)
    cpu, wall = 1000 * (time.process_time() - cpu), 1000 * (time.perf_counter() - wall)
    print(cpu, wall, float(model.similarity.sum() - model.similarity.diagonal().sum()), flush=True)
`;

/** A Python that has implicit, or undefined: `RECLOOM_BENCH_PYTHON`, `RECLOOM_PYTHON`, else `python3`. */
function findPython(): string | undefined {
  const candidates = [process.env['RECLOOM_BENCH_PYTHON'], process.env['RECLOOM_PYTHON'], 'python3'];
  return candidates.find(
    (python) => python !== undefined && python !== '' && spawnSync(python, ['-c', 'import implicit'], { stdio: 'ignore' }).status === 0,
  );
}

/** Users × items, each pair once. */
interface Pairs {
  readonly offsets: Int32Array;
  readonly columns: Int32Array;
}

function pairsOf({ history }: Dataset): Pairs {
  const offsets = new Int32Array(history.userCount + 1);
  const columns: number[] = [];
  for (let user = 0; user < history.userCount; user++) {
    const own = new Set(history.items.subarray(history.offsets[user], history.offsets[user + 1]));
    columns.push(...[...own].sort((one, other) => one - other));
    offsets[user + 1] = columns.length;
  }
  return { offsets, columns: Int32Array.from(columns) };
}

/** A Python process that fits the same matrix whenever asked. */
class ImplicitKnn {
  readonly version: string;
  /** Σ of the similarities it kept last, its own left out. */
  sum = Number.NaN;
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

  static async start(python: string, dataset: Dataset): Promise<ImplicitKnn> {
    const folder = mkdtempSync(join(tmpdir(), 'recloom-bench-knn-'));
    const { offsets, columns } = pairsOf(dataset);
    writeFileSync(join(folder, 'offsets'), offsets);
    writeFileSync(join(folder, 'columns'), columns);
    const { userCount, itemCount } = dataset.history;
    const child = spawn(python, ['-W', 'ignore', '-c', script, folder, String(userCount), String(itemCount), String(neighbours)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, OPENBLAS_NUM_THREADS: '1', OMP_NUM_THREADS: '1', MKL_NUM_THREADS: '1' },
    });
    if (child.stdout === null) throw new Error('Python has no output.');
    const reader = createInterface({ input: child.stdout });
    const lines = reader[Symbol.asyncIterator]();
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`${python} ended at once.`);
    return new ImplicitKnn(child, reader, lines, folder, value);
  }

  /** One fit, timed by Python itself. */
  readonly fit = async (): Promise<Timing> => {
    this.#process.stdin?.write('\n');
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('Python ended.');
    const [cpuMs, wallMs, sum] = value.split(' ').map(Number);
    this.sum = sum as number;
    return { cpuMs: cpuMs as number, wallMs: wallMs as number };
  };

  async stop(): Promise<void> {
    const ended = new Promise((done) => this.#process.once('exit', done));
    this.#process.stdin?.end();
    await ended;
    this.#reader.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The training part of protocol Q4: 22,363 people, 12,092 items. The data are for comparison only and not in the repository. */
function readBeauty(): Dataset {
  const lines = gunzipSync(readFileSync(beauty)).toString('utf8').trimEnd().split('\n').slice(1);
  return datasetFromArrays({
    events: lines.map((line, at) => {
      const [user = '', item = ''] = line.split(',');
      return { user, item, timeMs: Date.UTC(2014, 0, 1) + at * 1000 };
    }),
  });
}

/** Fits on one thread, from the history in memory to the links: cosine, no shrinkage, all people alike. */
export async function benchItemKnn({ quick }: SuiteOptions): Promise<Outcome[]> {
  const python = findPython();
  const outcomes: Outcome[] = [];
  const sizes = [
    { name: 'Online Retail', read: readTraining },
    { name: 'Amazon Beauty', read: existsSync(beauty) ? async () => readBeauty() : undefined },
  ];
  for (const { name, read } of sizes) {
    const title = `item-kNN's fit, in implicit's (${name})`;
    if (read === undefined || python === undefined) {
      const missing =
        read === undefined
          ? `${beauty} is not there`
          : 'no Python with implicit: set RECLOOM_BENCH_PYTHON to one (pip install implicit==0.7.3)';
      outcomes.push({ goal: 'KNN', name: title, skipped: missing });
      continue;
    }
    outcomes.push(await compare(python, title, await read(), quick));
  }
  return outcomes;
}

async function compare(python: string, title: string, dataset: Dataset, quick: boolean): Promise<Outcome> {
  const peer = await ImplicitKnn.start(python, dataset);
  const pool = createComputePool({ threads: 1 });
  const { history } = dataset;
  let sum = Number.NaN;
  const options = { neighbours, shrinkage: 0, userWeight: 0, minimumItemUsers: 1, maximumUserItems: 1_000_000 };
  const validated = await itemKnn.options['~standard'].validate(options);
  const { fit } = itemKnn;
  if (validated.issues !== undefined || fit === undefined) throw new Error('The options of item-knn have changed.');
  const context = {
    name: 'bench',
    directory: root,
    options: validated.value,
    deps: { compute: pool },
    inputs: {},
    items: dataset.items,
    users: dataset.users,
    history,
    asOfMs: dataset.lastEventMs,
    random: createRandomStream(1),
    signal: new AbortController().signal,
    progress: () => {},
    warn: () => {},
  };
  try {
    const times = await interleave(
      {
        own: async () => {
          const state = await fit(context as never);
          sum = readTensor(state, 'similarities', Float32Array).reduce((total, value) => total + value, 0);
        },
        implicit: peer.fit,
      },
      { rounds: quick ? 1 : 7, warmUpRounds: 1 },
    );
    if (!(Math.abs(sum - peer.sum) <= 1e-3 * peer.sum)) throw new Error(`The two kept other similarities: ${sum} and ${peer.sum}.`);
    return {
      goal: 'KNN',
      name: title,
      figure: times.own.cpuMs.median / times.implicit.cpuMs.median,
      unit: '×',
      bound: { atMost: 1.5 },
      limit: { name: `implicit ${peer.version} CosineRecommender, one thread`, value: times.implicit.cpuMs.median, unit: 'ms CPU' },
      note: `${history.userCount} users × ${history.itemCount} items, ${neighbours} neighbours, the same similarities: ${times.own.cpuMs.median.toFixed(0)} ms on one thread, from the events in memory; implicit starts from its matrix`,
    };
  } finally {
    await pool.close();
    await peer.stop();
  }
}
