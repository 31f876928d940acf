/**
 * Protocol: a ranker of one's own on Online Retail (Q1: customers' next items, with and without the trained models)
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadConfig, openPipeline, readPipelineData } from '@recloom/core';
import {
  evaluateRecommender,
  type Interval,
  type Mean,
  pairedBootstrap,
  pairedRandomisationTest,
  popularityRecommender,
  type QualityReport,
  type TemporalSplit,
  temporalSplit,
} from '@recloom/evaluate';
import { surfaceAlone } from './surface-alone.js';

const help = `Usage: npm run quality -- ranker [options]

  --part validation|test   cut on 2011-10-09 or on 2011-11-09 (default validation: choose there, look at the test once)
  --value EXPRESSION       one more row: a CEL value over the columns of examples/online-retail/shop-full.yaml; again for more
  --unlimited              ask the sources for the whole catalogue instead of what they propose in serving
  --json                   one JSON document instead of the table

Protocol Q1: the pipeline is fitted on what was known before the cut and asked for every customer who took something new in the
month after it. What it ranks is what its sources propose, as in serving; the share of the right answers among that is the ceiling. NDCG@10, mean and standard error over customers; "against" is the paired difference to the
blend of four scores with a 95 % bootstrap interval, and p of a paired randomisation test.`;

const directory = join(import.meta.dirname, '..', '..', 'examples', 'online-retail');
const surface = 'home';
const baseline = 'blend';

/** Four scores, weighed by hand on the validation cut: the start page of `recloom:shop` before next-purchase. */
const blend = 'zscore(score.habits) + 0.5 * zscore(score.neighbours) + zscore(log(score.recent + 0.3)) + 0.6 * zscore(score.trending)';

interface Row {
  readonly name: string;
  readonly what: string;
  readonly report: QualityReport;
}

type Part = 'validation' | 'test';

async function readSplit(part: Part): Promise<TemporalSplit> {
  const dataset = await readPipelineData(join(directory, 'shop-full.yaml'));
  return temporalSplit(dataset, {
    cutMs: part === 'test' ? Date.UTC(2011, 10, 9) : Date.UTC(2011, 9, 9),
    ...(part === 'test' ? {} : { untilMs: Date.UTC(2011, 10, 9) }),
    minimumItemUsers: 5,
    minimumUserItems: 5,
  });
}

/** One pass over all candidates gives every value that is asked for: they share their columns. */
async function measure(
  split: TemporalSplit,
  values: readonly (readonly [name: string, what: string, value: string])[],
  unlimited: boolean,
): Promise<{ readonly rows: readonly Row[]; readonly ceiling: number; readonly candidates: number }> {
  const { config } = await surfaceAlone(join(directory, 'shop-full.yaml'), surface);
  const pipeline = await openPipeline(config, { dataset: split.train, directory });
  const lists = values.map((): (readonly string[])[] => []);
  let [right, found, count] = [0, 0, 0];
  try {
    const requests = split.cases.map(({ user, known }) => ({
      user,
      surface,
      exclude: known,
      purposes: ['personalisation'],
      asOf: split.cutMs,
    }));
    const columns = values.map(([, , value]) => value);
    for await (const { index: place, candidates, error } of pipeline.scoreCandidates(requests, { columns, batch: 64, unlimited })) {
      if (error !== undefined) throw error;
      const missing = candidates.warnings.find(({ code }) => code === 'RECLOOM_RUN_NODE_FAILED');
      if (missing !== undefined) throw new Error(missing.message);
      const proposed = new Set(candidates.ids);
      const relevant = split.cases[place]?.relevant ?? [];
      right += relevant.length;
      found += relevant.filter((id) => proposed.has(id)).length;
      count += candidates.ids.length;
      for (const [index, value] of columns.entries()) {
        lists[index]?.push(
          best(candidates.columns[value] as Float32Array, candidates.rows).map((place) => candidates.ids[place] as string),
        );
      }
    }
  } finally {
    await pipeline.close();
  }
  const rows: Row[] = [];
  for (const [index, [name, what]] of values.entries()) {
    rows.push({ name, what, report: await evaluateRecommender(() => lists[index] as (readonly string[])[], split) });
  }
  return { rows, ceiling: found / right, candidates: count / split.cases.length };
}

/** Places of the ten best: by value, then by ascending row. */
function best(values: Float32Array, rows: Int32Array): readonly number[] {
  const value = (place: number): number => (Number.isFinite(values[place]) ? (values[place] as number) : Number.NEGATIVE_INFINITY);
  const order = Array.from(values.keys());
  return order
    .sort((left, right) => {
      const [one, other] = [value(left), value(right)];
      return one === other ? (rows[left] as number) - (rows[right] as number) : other - one;
    })
    .slice(0, 10);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      part: { type: 'string', default: 'validation' },
      value: { type: 'string', multiple: true, default: [] },
      unlimited: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(help);
    return;
  }
  const { part } = values;
  if (part !== 'validation' && part !== 'test') throw new Error(`--part is validation or test, not "${part}".`);
  const { config } = await loadConfig(join(directory, 'shop-full.yaml'));
  const split = await readSplit(part);
  const popularity = await evaluateRecommender(popularityRecommender(split), split);
  const measured = await measure(
    split,
    [
      [baseline, 'four scores, weighed by hand', blend],
      ['shop-full', 'the value of shop-full.yaml', config.surfaces[surface]?.value as string],
      ...models(Object.keys(config.components)),
      ...values.value.map((text, index): [string, string, string] => [`value ${index + 1}`, text, text]),
    ],
    values.unlimited,
  );
  const rows: Row[] = [{ name: 'popularity', what: 'what most customers bought', report: popularity }, ...measured.rows];
  const base = rows.find(({ name }) => name === baseline)?.report.ndcgPerCase as Float64Array;
  const table = rows.map(({ name, what, report }) => ({
    name,
    what,
    ndcg: report.ndcg,
    recall: report.recall,
    coverage: report.coverage,
    ...(name === baseline || name === 'popularity'
      ? {}
      : { against: pairedBootstrap(report.ndcgPerCase, base), p: pairedRandomisationTest(report.ndcgPerCase, base) }),
  }));
  if (values.json) {
    console.log(
      JSON.stringify(
        { protocol: 'Q1', part, cases: split.cases.length, k: 10, candidates: measured.candidates, ceiling: measured.ceiling, rows: table },
        null,
        2,
      ),
    );
    return;
  }
  const figure = ({ mean, standardError }: Mean): string => `${mean.toFixed(4)} ± ${standardError.toFixed(4)}`;
  const signed = (value: number): string => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(4)}`;
  const interval = ({ mean, low, high }: Interval): string => `${signed(mean)} (${signed(low)} … ${signed(high)})`;
  console.log(`| ${part}, ${split.cases.length} customers | N@10 | R@10 | coverage | against \`${baseline}\` | p |`);
  console.log('| --- | --- | --- | --- | --- | --- |');
  for (const row of table) {
    const against = row.against === undefined ? '' : interval(row.against);
    const chance = row.p === undefined ? '' : row.p < 0.001 ? '< .001' : row.p.toFixed(3);
    console.log(
      `| \`${row.name}\`: ${row.what} | ${figure(row.ndcg)} | ${figure(row.recall)} | ${(row.coverage * 100).toFixed(0)} % | ${against} | ${chance} |`,
    );
  }
  console.log(
    `\n${measured.candidates.toFixed(0)} candidates a customer; ${(measured.ceiling * 100).toFixed(1)} % of the right answers are among them`,
  );
}

/** The trained models of the config, each by itself. */
function models(components: readonly string[]): [string, string, string][] {
  const known: Readonly<Record<string, string>> = { ranker: 'LambdaMART', attention: 'the network with attention over the history' };
  return Object.entries(known).flatMap(([name, what]): [string, string, string][] =>
    components.includes(name) ? [[name, `${what} alone`, `score.${name}`]] : [],
  );
}

await main();
