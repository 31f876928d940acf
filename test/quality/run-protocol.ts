// The program behind `npm run quality -- q1` … `q5`, and the rows of `goals`.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { holmCorrection, type Interval, meanOf, pairedBootstrap, pairedRandomisationTest } from '@recloom/evaluate';
import { root } from '../bench/online-retail.js';
import { type Measured, measurePipeline, measurePopularity } from './measure.js';
import { type Column, missingData, type Part, type ProtocolSplit, readProtocol } from './protocol-data.js';
import { type Goal, goals, type Peer, type ProtocolId } from './reference-figures.js';

/** Where `peer_cases.py` leaves what its methods reach on every case; never in the repository. */
const casesFolder = process.env['RECLOOM_PEER_CASES'] ?? '/tmp/recloom-peer-cases';

const help = (goal: Goal): string => `Usage: npm run quality -- ${goal.id} [options]

  --on valid|test     the part that is asked for (default valid: choose there; test is looked at once per final model)
  --column A|B        on test: A fitted on train, B on train + valid (default B)
  --pipeline FILE     the pipeline, a config with the surface "home" (default ${defaultPipeline(goal.id)})
  --against FILE      one more pipeline on the same cases and data, with a paired test; again for more
  --served            with the limits of serving instead of the full catalogue; the share of right answers among the candidates is told
  --seeds N           fit and ask with the seeds 1 … N: mean and spread (default 1 run with the config's own seed)
  --every N           every Nth case only, to compare options quickly; such a figure is none for the table
${goal.aimWithAttributes === undefined ? '' : '  --attributes        items carry their attributes (field "attributes", a list); without it nobody can look at them\n'}  --cases FILE        write the figure of every case there, as JSON
  --json              one JSON document instead of the table

${goal.title}. ${figureName(goal)} over the full catalogue, masked items removed, ties by ascending id. Peers' figures:
test/quality/reference-figures.ts. Where ${casesFolder} holds their figures case by case
(python test/quality/peer_cases.py), differences to them are paired; otherwise they are given in standard errors of the mean of ours.`;

/** Figures of one pipeline on one part of a protocol. */
export interface Outcome {
  readonly protocol: ProtocolId;
  readonly part: Part;
  readonly column: Column;
  readonly metric: string;
  readonly cases: number;
  readonly pipeline: string;
  readonly attributes: boolean;
  readonly served: boolean;
  /** With the limits of serving: the share of right answers among the candidates. */
  readonly ceiling?: number;
  readonly every: number;
  /** With seeds: of the case means over seeds. */
  readonly figure: { readonly mean: number; readonly standardError: number; readonly low: number; readonly high: number };
  readonly other: { readonly name: string; readonly mean: number };
  readonly hitRate: number;
  readonly seeds?: { readonly count: number; readonly means: readonly number[]; readonly spread: number };
  readonly popularity: number;
  /** The same by how many items a user has. */
  readonly segments: readonly {
    readonly name: string;
    readonly cases: number;
    readonly ours: number;
    readonly popularity: number;
  }[];
  readonly fitSeconds: number;
  readonly askSeconds: number;
  /** Processor time of fitting and asking, all threads. */
  readonly cpuSeconds: number;
  readonly candidates: Measured['candidates'];
  readonly warnings: Readonly<Record<string, number>>;
  readonly peers: readonly Compared[];
  readonly aim: number;
  readonly reached: boolean;
}

/** Ours against somebody else's. */
export interface Compared {
  readonly name: string;
  readonly what: string;
  readonly kind: Peer['kind'] | 'pipeline';
  readonly figure?: number;
  /** ours − theirs */
  readonly difference?: number;
  /** Where their cases are known. */
  readonly interval?: Interval;
  readonly pValue?: number;
  /** Holm-corrected over the comparisons of this table. */
  readonly adjustedPValue?: number;
  /** Otherwise: the difference in standard errors of our mean. */
  readonly standardErrors?: number;
}

export interface ProtocolRequest {
  readonly part: Part;
  readonly column: Column;
  readonly pipeline: string;
  readonly against: readonly string[];
  readonly seeds: number;
  readonly every: number;
  readonly attributes: boolean;
  readonly served: boolean;
  readonly casesFile?: string;
  readonly progress?: (line: string) => void;
}

/** The pipeline of a protocol's row, from the repository's root. */
export function defaultPipeline(id: ProtocolId, attributes = false): string {
  if (id === 'q1') return 'examples/online-retail/shop-full.yaml';
  return `test/quality/pipelines/${id}${attributes ? '-attributes' : ''}.yaml`;
}

const figureName = ({ metric, k }: Goal): string => `${metric === 'ndcg' ? 'NDCG' : 'recall'}@${k}`;

/** Runs one protocol. @throws Error when the data are not there or not the protocol's, and what the pipeline throws */
export async function runProtocol(id: ProtocolId, request: ProtocolRequest): Promise<Outcome> {
  const goal = goals[id];
  const { part, seeds, every, attributes, served } = request;
  const column = part === 'valid' || id === 'q1' ? 'B' : request.column;
  const whole = await readProtocol(id, part, column, { attributes, pipeline: resolve(root, request.pipeline) });
  const split: ProtocolSplit = every > 1 ? { ...whole, cases: whole.cases.filter((_, index) => index % every === 0) } : whole;
  const popularity = await measurePopularity(split, goal.k);
  const runs: Measured[] = [];
  for (let seed = 1; seed <= seeds; seed++) {
    request.progress?.(`${id}: ${request.pipeline}${seeds > 1 ? `, seed ${seed} of ${seeds}` : ''}`);
    runs.push(await measurePipeline(resolve(root, request.pipeline), split, { k: goal.k, served, ...(seeds > 1 ? { seed } : {}) }));
  }
  const averaged = averageOf(runs.map((run) => run[goal.metric]));
  const challengers: { readonly name: string; readonly values: Float64Array }[] = [];
  for (const file of request.against) {
    request.progress?.(`${id}: ${file}`);
    challengers.push({ name: file, values: (await measurePipeline(resolve(root, file), split, { k: goal.k, served }))[goal.metric] });
  }
  if (request.casesFile !== undefined) {
    writeFileSync(
      request.casesFile,
      JSON.stringify(Object.fromEntries(split.cases.map(({ user }, index) => [caseKey(id, user), averaged[index]]))),
    );
  }
  const { mean, standardError } = meanOf(averaged);
  const zeros = new Float64Array(averaged.length);
  const { low, high } = pairedBootstrap(averaged, zeros, { rounds: roundsFor(averaged) });
  const [first] = runs as [Measured, ...Measured[]];
  const other = goal.metric === 'ndcg' ? 'recall' : 'ndcg';
  const means = runs.map((run) => meanOf(run[goal.metric]).mean);
  const peers = compare(goal, { part, column, averaged, mean, standardError, split, every }, popularity[goal.metric], challengers);
  const aim = attributes ? (goal.aimWithAttributes ?? goal.aim) : goal.aim;
  return {
    protocol: id,
    part,
    column,
    metric: figureName(goal),
    cases: split.cases.length,
    pipeline: relative(root, resolve(root, request.pipeline)),
    attributes,
    served,
    ...(first.ceiling === undefined ? {} : { ceiling: first.ceiling }),
    every,
    figure: { mean, standardError, low, high },
    other: { name: other === 'ndcg' ? `NDCG@${goal.k}` : `recall@${goal.k}`, mean: average(runs.map((run) => meanOf(run[other]).mean)) },
    hitRate: average(runs.map((run) => meanOf(run.hitRate).mean)),
    ...(seeds > 1 ? { seeds: { count: seeds, means, spread: spreadOf(means) } } : {}),
    popularity: meanOf(popularity[goal.metric]).mean,
    segments: segmentsOf(split, averaged, popularity[goal.metric]),
    fitSeconds: first.fitMs / 1000,
    askSeconds: first.askMs / 1000,
    cpuSeconds: first.cpuMs / 1000,
    candidates: first.candidates,
    warnings: first.warnings,
    peers,
    aim,
    reached: part === 'test' && column === 'B' && every === 1 && (mean >= aim || notWorse(goal, peers)),
  };
}

/** Cold, warm and heavy users apart: nobody is to be served worse than by popularity. */
function segmentsOf({ cases }: ProtocolSplit, ours: Float64Array, popularity: Float64Array): Outcome['segments'] {
  const parts = [
    { name: 'at most 5 items', within: (count: number) => count <= 5 },
    { name: '6 to 20', within: (count: number) => count > 5 && count <= 20 },
    { name: 'more than 20', within: (count: number) => count > 20 },
  ];
  return parts.flatMap(({ name, within }) => {
    const inside = (_: number, index: number): boolean => within(cases[index]?.known.length ?? 0);
    const chosen = ours.filter(inside);
    if (chosen.length === 0) return [];
    return [{ name, cases: chosen.length, ours: meanOf(chosen).mean, popularity: meanOf(popularity.filter(inside)).mean }];
  });
}

/** Whether the goal asks for no more than somebody's figure, and ours is not significantly below it. */
function notWorse(goal: Goal, peers: readonly Compared[]): boolean {
  const peer = peers.find(({ name }) => name === goal.notWorseThan);
  if (peer?.difference === undefined) return false;
  return peer.interval === undefined ? peer.difference >= 0 : peer.interval.high >= 0;
}

function compare(
  goal: Goal,
  ours: {
    readonly part: Part;
    readonly column: Column;
    readonly averaged: Float64Array;
    readonly mean: number;
    readonly standardError: number;
    readonly split: ProtocolSplit;
    readonly every: number;
  },
  popularity: Float64Array,
  challengers: readonly { readonly name: string; readonly values: Float64Array }[],
): readonly Compared[] {
  const paired = (name: string, what: string, kind: Compared['kind'], measured: Float64Array): Compared => {
    // Sums of the same gains in another order differ in their last digit, all to one side: that is no difference.
    const theirs = measured.map((value, index) => {
      const own = ours.averaged[index] as number;
      return Math.abs(value - own) < 1e-9 ? own : value;
    });
    return {
      name,
      what,
      kind,
      figure: meanOf(theirs).mean,
      difference: ours.mean - meanOf(theirs).mean,
      interval: pairedBootstrap(ours.averaged, theirs, { rounds: roundsFor(ours.averaged) }),
      pValue: pairedRandomisationTest(ours.averaged, theirs),
    };
  };
  const rows = [
    ...goal.peers.map((peer): Compared => {
      if (peer.kind === 'popularity') return paired(peer.name, peer.options, peer.kind, popularity);
      const theirs = peer.cases === undefined ? undefined : readCases(goal, ours, peer.cases);
      if (theirs !== undefined) return paired(peer.name, peer.options, peer.kind, theirs);
      const figure = ours.part === 'valid' ? peer.valid : ours.column === 'A' ? peer.testA : peer.testB;
      if (figure === undefined || ours.every > 1) return { name: peer.name, what: peer.options, kind: peer.kind };
      return {
        name: peer.name,
        what: peer.options,
        kind: peer.kind,
        figure,
        difference: ours.mean - figure,
        standardErrors: (ours.mean - figure) / ours.standardError,
      };
    }),
    ...challengers.map(({ name, values }) => paired(name, '', 'pipeline', values)),
  ];
  const adjusted = holmCorrection(rows.flatMap(({ pValue }) => (pValue === undefined ? [] : [pValue])));
  let next = 0;
  return rows.map((row) => (row.pValue === undefined ? row : { ...row, adjustedPValue: adjusted[next++] as number }));
}

/** A peer's figure of each of our cases; undefined when the file is not there or knows other cases. */
function readCases(
  { id, metric, k }: Goal,
  { part, column, split }: { readonly part: Part; readonly column: Column; readonly split: ProtocolSplit },
  name: string,
): Float64Array | undefined {
  const path = join(casesFolder, `${id}-${part === 'valid' ? 'valid' : `test-${column}`}-${name}.json`);
  if (!existsSync(path)) return undefined;
  const file = JSON.parse(readFileSync(path, 'utf8')) as { readonly metric: string; readonly cases: Readonly<Record<string, number>> };
  if (file.metric !== `${metric}@${k}`) throw new Error(`${path} holds ${file.metric}, not ${metric}@${k}.`);
  const values = split.cases.map(({ user }) => file.cases[caseKey(id, user)]);
  if (values.includes(undefined)) throw new Error(`${path} knows other cases than the protocol.`);
  return Float64Array.from(values as number[]);
}

const caseKey = (id: ProtocolId, user: string): string => (id === 'q1' ? user : String(Number(user)));

function averageOf(runs: readonly Float64Array[]): Float64Array {
  return Float64Array.from(runs[0] as Float64Array, (_, index) => average(runs.map((run) => run[index] as number)));
}

/** With many cases fewer resamples say as much. */
const roundsFor = (values: Float64Array): number => (values.length > 5000 ? 2000 : 10_000);

const average = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Sample standard deviation of the means. */
function spreadOf(means: readonly number[]): number {
  const mean = average(means);
  return Math.sqrt(means.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (means.length - 1));
}

/** The program: reads the command line, prints the table or the document. */
export async function main(id: ProtocolId): Promise<void> {
  const { values } = parseArgs({
    options: {
      on: { type: 'string', default: 'valid' },
      column: { type: 'string', default: 'B' },
      pipeline: { type: 'string' },
      against: { type: 'string', multiple: true, default: [] },
      seeds: { type: 'string', default: '1' },
      every: { type: 'string', default: '1' },
      attributes: { type: 'boolean', default: false },
      served: { type: 'boolean', default: false },
      cases: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(help(goals[id]));
    return;
  }
  const { on, column } = values;
  if (on !== 'valid' && on !== 'test') throw new Error(`--on is valid or test, not "${on}".`);
  if (column !== 'A' && column !== 'B') throw new Error(`--column is A or B, not "${column}".`);
  if (id === 'q1' && column === 'A') throw new Error('Q1 has column B alone: everything before the cut is fitted.');
  const missing = missingData(id);
  if (missing !== undefined) {
    console.log(values.json ? JSON.stringify({ protocol: id, skipped: missing }) : `${id} skipped: ${missing}`);
    return;
  }
  if (on === 'test') console.error('Asking for the TEST part: once per final model; options are chosen on valid.');
  const outcome = await runProtocol(id, {
    part: on,
    column,
    pipeline: values.pipeline ?? defaultPipeline(id, values.attributes),
    against: values.against,
    seeds: wholeNumber('seeds', values.seeds),
    every: wholeNumber('every', values.every),
    attributes: values.attributes,
    served: values.served,
    ...(values.cases === undefined ? {} : { casesFile: values.cases }),
    progress: (line) => console.error(line),
  });
  console.log(values.json ? JSON.stringify(outcome, null, 2) : tableOf(outcome));
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${name} is a whole number of at least 1, not "${text}".`);
  return value;
}

export const fourDigits = (value: number): string => value.toFixed(4).replace(/^0\./, '.');

export const signed = (value: number): string => `${value < 0 ? '−' : '+'}${fourDigits(Math.abs(value))}`;

export const chanceOf = (value: number | undefined): string => (value === undefined ? '' : value < 0.001 ? '< .001' : value.toFixed(3));

/** Markdown. */
function tableOf(outcome: Outcome): string {
  const { figure, seeds } = outcome;
  const part = outcome.part === 'valid' ? 'valid' : `test, column ${outcome.column}`;
  const lines = [
    `${goals[outcome.protocol].title}: ${part}, ${outcome.cases} cases${outcome.every > 1 ? ` (every ${outcome.every}th)` : ''}`,
    '',
    `| ${outcome.metric} | figure | ours − theirs | 95 % interval | p (Holm) |`,
    '| --- | --- | --- | --- | --- |',
    `| **ours**: ${outcome.pipeline}${outcome.attributes ? ' (sees attributes)' : ''} | **${fourDigits(figure.mean)}** ± ${fourDigits(figure.standardError)} | | ${fourDigits(figure.low)} … ${fourDigits(figure.high)} | |`,
  ];
  for (const peer of outcome.peers) {
    const name = `${peer.name}${peer.what === '' ? '' : ` (${peer.what})`}${peer.kind === 'published' ? ', published' : ''}`;
    if (peer.figure === undefined) {
      lines.push(`| ${name} | – | | | |`);
      continue;
    }
    const interval =
      peer.interval === undefined
        ? `${(peer.standardErrors as number).toFixed(1)} standard errors`
        : `${signed(peer.interval.low)} … ${signed(peer.interval.high)}`;
    lines.push(
      `| ${name} | ${fourDigits(peer.figure)} | ${signed(peer.difference as number)} | ${interval} | ${chanceOf(peer.adjustedPValue)} |`,
    );
  }
  lines.push(
    '',
    `${outcome.other.name} ${fourDigits(outcome.other.mean)}, hit rate ${fourDigits(outcome.hitRate)}; ` +
      `${outcome.candidates.mean.toFixed(0)} candidates a case (least ${outcome.candidates.least}); ` +
      `fit ${outcome.fitSeconds.toFixed(1)} s, ask ${outcome.askSeconds.toFixed(1)} s, ${outcome.cpuSeconds.toFixed(1)} s of processor time`,
  );
  lines.push(
    `by the user’s items, ours against popularity: ${outcome.segments
      .map(({ name, cases, ours, popularity }) => `${name} ${fourDigits(ours)} / ${fourDigits(popularity)} (${cases})`)
      .join('; ')}`,
  );
  if (outcome.ceiling !== undefined)
    lines.push(`limits of serving: ${(outcome.ceiling * 100).toFixed(1)} % of the right answers are among the candidates`);
  const remark = outcome.part === 'valid' ? goals[outcome.protocol].validRemark : undefined;
  if (remark !== undefined && outcome.pipeline === defaultPipeline(outcome.protocol)) lines.push(`note: ${remark}`);
  if (seeds !== undefined)
    lines.push(`${seeds.count} seeds: ${seeds.means.map(fourDigits).join(', ')}; spread ${fourDigits(seeds.spread)}`);
  const warnings = Object.entries(outcome.warnings);
  if (warnings.length > 0) lines.push(`warnings: ${warnings.map(([code, count]) => `${code} × ${count}`).join(', ')}`);
  lines.push(
    outcome.part === 'test'
      ? `aim ${goals[outcome.protocol].aimInWords}: ${outcome.reached ? 'reached' : 'not reached'}`
      : `aim (test, column B) ${goals[outcome.protocol].aimInWords}`,
  );
  return lines.join('\n');
}
