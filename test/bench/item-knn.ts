// The fit of item-kNN against implicit's, which is C++: the same cosines, as many neighbours, one thread each.
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { type Dataset, datasetFromArrays } from '@recloom/core';
import { createComputePool } from '@recloom/kernels';
import { createRandomStream, readTensor } from '@recloom/plugin-api';
import { itemKnn } from '@recloom/plugin-collaborative-neighbours';
import type { Outcome } from './goal.js';
import { interleave, type Timing } from './measure.js';
import { readTraining, root } from './online-retail.js';
import { findPythonWith, howToGetPeers, PythonPeer } from './python-peer.js';
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
  /** Σ of the similarities it kept last, its own left out. */
  sum = Number.NaN;
  readonly #peer: PythonPeer;

  private constructor(peer: PythonPeer) {
    this.#peer = peer;
  }

  static async start(python: string, dataset: Dataset): Promise<ImplicitKnn> {
    const { offsets, columns } = pairsOf(dataset);
    const { userCount, itemCount } = dataset.history;
    return new ImplicitKnn(await PythonPeer.start(python, script, { offsets, columns }, [userCount, itemCount, neighbours]));
  }

  get version(): string {
    return this.#peer.version;
  }

  /** One fit, timed by Python itself. */
  readonly fit = async (): Promise<Timing> => {
    const [cpuMs = Number.NaN, wallMs = Number.NaN, sum = Number.NaN] = await this.#peer.ask();
    this.sum = sum;
    return { cpuMs, wallMs };
  };

  stop(): Promise<void> {
    return this.#peer.stop();
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
  const python = findPythonWith('implicit');
  const outcomes: Outcome[] = [];
  const sizes = [
    { name: 'Online Retail', read: readTraining },
    { name: 'Amazon Beauty', read: existsSync(beauty) ? async () => readBeauty() : undefined },
  ];
  for (const { name, read } of sizes) {
    const title = `item-kNN's fit, in implicit's (${name})`;
    if (read === undefined || python === undefined) {
      const missing = read === undefined ? `${beauty} is not there` : `no Python with implicit: ${howToGetPeers}`;
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
      bound: { atMost: 1 },
      limit: { name: `implicit ${peer.version} CosineRecommender, one thread`, value: times.implicit.cpuMs.median, unit: 'ms CPU' },
      note: `${history.userCount} users × ${history.itemCount} items, ${neighbours} neighbours, the same similarities: ${times.own.cpuMs.median.toFixed(0)} ms on one thread, from the events in memory; implicit starts from its matrix`,
    };
  } finally {
    await pool.close();
    await peer.stop();
  }
}
