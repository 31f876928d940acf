// BATCH: the ten best new items for each of the 22,363 people of Amazon Beauty, against implicit and RecTools on one thread.
// implicit's lists are made of row numbers and so are those of the bare component; RecTools' are made of ids, as the pipeline's.
import { type Dataset, openPipeline, type Pipeline } from '@recloom/core';
import type { CandidateSource, ComponentDefinition, RequestBatch, RequestView } from '@recloom/plugin-api';
import { ials } from '@recloom/plugin-collaborative-factors';
import { itemKnn } from '@recloom/plugin-collaborative-neighbours';
import { createTestHost, historyViewOf, requestBatch, requestView, shopFrom, tableFrom } from '@recloom/testing';
import { missingBeauty, readBeauty } from './comparison-data.js';
import type { GoalResult, Outcome } from './goal.js';
import { interleave, type Timing } from './measure.js';
import { root } from './online-retail.js';
import { findPythonWith, howToGetPeers, PythonPeer } from './python-peer.js';
import type { SuiteOptions } from './suites.js';

const perUser = 10;
/** Requests that run together, as an evaluation asks. */
const batch = 128;

const script = `
import sys, time
import numpy, pandas, scipy.sparse, implicit, rectools
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import CosineRecommender
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import ImplicitALSWrapperModel, ImplicitItemKNNWrapperModel
folder, users, items = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
offsets, columns = (numpy.fromfile(f"{folder}/{name}", numpy.int32) for name in ("offsets", "columns"))
matrix = scipy.sparse.csr_matrix((numpy.ones(len(columns), numpy.float32), columns, offsets), (users, items))
table = pandas.DataFrame({Columns.User: numpy.repeat(numpy.arange(users), numpy.diff(offsets)).astype(str), Columns.Item: columns.astype(str)})
table[Columns.Weight], table[Columns.Datetime] = 1.0, pandas.Timestamp("2014-01-01")
dataset = Dataset.construct(table)
people = dataset.user_id_map.external_ids
models = {
    "item-knn": lambda: CosineRecommender(K=101, num_threads=1),
    "ials": lambda: AlternatingLeastSquares(factors=128, alpha=10, regularization=3, iterations=5, num_threads=1, random_state=1),
}
wrapped = {
    "item-knn": lambda: ImplicitItemKNNWrapperModel(models["item-knn"]()),
    "ials": lambda: ImplicitALSWrapperModel(models["ials"](), recommend_n_threads=1),
}
bare, whole = {}, {}
for name in models:
    bare[name] = models[name]()
    bare[name].fit(matrix, show_progress=False)
    whole[name] = wrapped[name]()
    whole[name].fit(dataset)
print(f"{implicit.__version__} {rectools.__version__}", flush=True)
everybody = numpy.arange(users)
for line in sys.stdin:
    library, name = line.split()
    cpu, wall = time.process_time(), time.perf_counter()
    if library == "implicit":
        ids, scores = bare[name].recommend(everybody, matrix, N=10, filter_already_liked_items=True)
        count = ids.shape[0]
    else:
        count = whole[name].recommend(people, dataset, k=10, filter_viewed=True)[Columns.User].nunique()
    print(1000 * (time.process_time() - cpu), 1000 * (time.perf_counter() - wall), count, flush=True)
`;

interface Contender {
  readonly name: 'item-knn' | 'ials';
  readonly title: string;
  readonly use: string;
  readonly definition: ComponentDefinition;
  readonly with: Readonly<Record<string, unknown>>;
  /** What differs in the work. */
  readonly remark: string;
}

const contenders: readonly Contender[] = [
  {
    name: 'item-knn',
    title: 'item-kNN of 100 neighbours',
    use: 'collaborative-neighbours/item-knn',
    definition: itemKnn as unknown as ComponentDefinition,
    with: { neighbours: 100, shrinkage: 0, userWeight: 0, minimumItemUsers: 1, maximumUserItems: 1_000_000, excludeHistory: true },
    remark: 'the same links on both sides',
  },
  {
    name: 'ials',
    title: 'iALS of 128 factors',
    use: 'collaborative-factors/ials',
    definition: ials as unknown as ComponentDefinition,
    // implicit's objective, by our names for it.
    with: {
      factors: 128,
      epochs: 5,
      alpha: 10,
      unobservedWeight: 1,
      lambda: 3,
      regularizationExponent: 0,
      minimumItemUsers: 1,
      excludeHistory: true,
    },
    remark:
      'ours solves for each person anew, so that what they did a moment ago counts; the peers multiply the factors that their fit left',
  },
];

/** Bare components against implicit, pipelines against RecTools: lists per second of CPU time. */
export async function benchBatch({ quick }: SuiteOptions): Promise<Outcome[]> {
  const missing = missingBeauty();
  const python = findPythonWith('implicit', 'rectools');
  if (missing !== undefined || python === undefined) {
    const skipped = missing ?? `no Python with implicit and RecTools: ${howToGetPeers}`;
    return contenders.map(({ title }) => ({ goal: 'BATCH', name: `${title}: ten items for all of Amazon Beauty`, skipped }));
  }
  const dataset = readBeauty();
  const peer = await PythonPeer.start(python, script, pairsOf(dataset), [dataset.history.userCount, dataset.history.itemCount]);
  try {
    const outcomes: Outcome[] = [];
    for (const contender of contenders) outcomes.push(...(await compare(contender, dataset, peer, quick)));
    return outcomes;
  } finally {
    await peer.stop();
  }
}

async function compare(contender: Contender, dataset: Dataset, peer: PythonPeer, quick: boolean): Promise<GoalResult[]> {
  const { userCount, itemCount } = dataset.history;
  const ask = async (library: 'implicit' | 'rectools'): Promise<Timing> => {
    const [cpuMs = Number.NaN, wallMs = Number.NaN, count] = await peer.ask(`${library} ${contender.name}`);
    if (count !== userCount) throw new Error(`${library} answered ${count} of ${userCount} people.`);
    return { cpuMs, wallMs };
  };
  const pipeline = await openPipeline(
    {
      format: '1.0',
      name: 'bench-batch',
      data: { now: 'data' },
      components: { model: { use: contender.use, with: contender.with } },
      surfaces: { home: { sources: { model: perUser } } },
      compute: { threads: 1 },
    },
    { dataset, directory: root },
  );
  const shop = shopFrom({
    items: tableFrom(Array.from({ length: itemCount }, (_, row) => dataset.items.idOf(row))),
    history: dataset.history,
  });
  const component = await createTestHost({ shop }).open<CandidateSource & { dispose?(): void }>(contender.definition, {
    options: contender.with,
  });
  const views = Array.from(
    { length: userCount },
    (_, userRow): RequestView => requestView({ userRow, history: historyViewOf(dataset.history, userRow), asOfMs: dataset.lastEventMs }),
  );
  const batches = Array.from({ length: Math.ceil(userCount / batch) }, (_, index) =>
    requestBatch(views.slice(index * batch, (index + 1) * batch)),
  );
  try {
    const times = await interleave(
      {
        component: () => proposeAll(component, batches),
        pipeline: () => recommendAll(pipeline, dataset),
        implicit: () => ask('implicit'),
        rectools: () => ask('rectools'),
      },
      { rounds: quick ? 1 : 5, warmUpRounds: 1 },
    );
    const [implicitVersion = '?', rectoolsVersion = '?'] = peer.version.split(' ');
    const cpu = (name: keyof typeof times): number => times[name].cpuMs.median;
    const seconds = (name: keyof typeof times): string => `${(cpu(name) / 1e3).toFixed(2)} s`;
    const shape = `${userCount.toLocaleString('en-GB')} people, ${itemCount.toLocaleString('en-GB')} items, what they have left out`;
    return [
      {
        goal: 'BATCH',
        name: `${contender.title}: ten items for all, bare component, throughput in that of implicit's recommend`,
        figure: cpu('implicit') / cpu('component'),
        unit: '×',
        bound: { atLeast: 2 },
        limit: { name: `implicit ${implicitVersion} recommend, one thread`, value: cpu('implicit'), unit: 'ms CPU' },
        note: `${shape}: ${seconds('component')} on one thread; ${contender.remark}`,
      },
      {
        goal: 'BATCH',
        name: `${contender.title}: ten items for all, recommendMany of a pipeline, throughput in that of RecTools' recommend`,
        figure: cpu('rectools') / cpu('pipeline'),
        unit: '×',
        bound: { atLeast: 2 },
        limit: { name: `RecTools ${rectoolsVersion} recommend, one thread`, value: cpu('rectools'), unit: 'ms CPU' },
        note: `${seconds('pipeline')} from ids to answers with ids, ${batch} requests together; ${(cpu('implicit') / cpu('pipeline')).toFixed(2)}× the throughput of implicit, which knows no ids`,
      },
    ];
  } finally {
    await pipeline.close();
    await component.dispose?.();
  }
}

async function proposeAll(component: CandidateSource, batches: readonly RequestBatch[]): Promise<void> {
  for (const requests of batches) {
    const { offsets } = await component.propose(requests, perUser);
    if (offsets.length - 1 !== requests.requests.length)
      throw new Error(`${offsets.length - 1} lists came for ${requests.requests.length}.`);
  }
}

async function recommendAll(pipeline: Pipeline, { users }: Dataset): Promise<void> {
  function* requests() {
    for (let row = 0; row < users.rowCount; row++) yield { user: users.idOf(row), limit: perUser, purposes: ['personalisation'] };
  }
  let answers = 0;
  for await (const { answer, error } of pipeline.recommendMany(requests(), { batch })) {
    if (error !== undefined) throw error;
    if (answer.items.length > 0) answers++;
  }
  // Whoever has but items that nobody else has gets none.
  if (answers < 0.99 * users.rowCount) throw new Error(`Only ${answers} of ${users.rowCount} people were given something.`);
}

function pairsOf({ history }: Dataset): { readonly offsets: Int32Array; readonly columns: Int32Array } {
  const offsets = new Int32Array(history.userCount + 1);
  const columns: number[] = [];
  for (let user = 0; user < history.userCount; user++) {
    const own = new Set(history.items.subarray(history.offsets[user], history.offsets[user + 1]));
    columns.push(...[...own].sort((one, other) => one - other));
    offsets[user + 1] = columns.length;
  }
  return { offsets, columns: Int32Array.from(columns) };
}
