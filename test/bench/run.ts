// npm run bench: measures the goals of docs/guide/performance.md side by side with their limit kernels.
import { fork } from 'node:child_process';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isSkipped, type Outcome, verdictOf } from './goal.js';
import { root } from './online-retail.js';
import { describeMachine, loadNow, type Measurement, mergeResults, type Results, readResults, writeResults } from './results.js';
import type { SuiteReply } from './run-suite.js';
import { type Suite, type SuiteOptions, type SuiteResult, suites } from './suites.js';
import { growthLines, tableOf } from './table.js';

const help = `npm run bench -- [options]

Measures each goal side by side with its limit kernel (about twenty minutes) and writes bench/results.json.

  --only G11,G12   only these goals: ${[...new Set(suites.flatMap((suite) => suite.goals))].join(', ')}
  --quick          fewer rounds; written to bench/results.local.json, which git ignores
  --json           the results as JSON on standard output
  --gate           exit with 1 when a goal is missed by more than 15 %
  --document       write the tables and the picture of docs/guide/performance.md from bench/results.json afterwards
  --help           this

Without --only, BATCH, EVALUATION, PRESETS, GROWTH and EASE of 12,101 items are left out: they take some minutes each.
Peers run where RECLOOM_BENCH_PYTHON (or RECLOOM_PYTHON, or python3) has numpy, onnxruntime, implicit and RecTools; docs/guide/performance.md
says how to install them.

Example: npm run bench -- --only G11,G12 --quick
`;

interface Options extends SuiteOptions {
  readonly only: ReadonlySet<string> | undefined;
  readonly json: boolean;
  readonly gate: boolean;
  readonly document: boolean;
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      gate: { type: 'boolean', default: false },
      document: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const known = new Set(suites.flatMap((suite) => suite.goals));
  const only = values.only?.flatMap((list) => list.split(',')).map((goal) => goal.trim().toUpperCase());
  const unknown = only?.filter((goal) => !known.has(goal)) ?? [];
  if (unknown.length > 0) throw new Error(`There is no goal ${unknown.join(', ')}; known are ${[...known].join(', ')}.`);
  return {
    quick: values.quick,
    json: values.json,
    gate: values.gate,
    document: values.document,
    only: only === undefined ? undefined : new Set(only),
  };
}

/** Runs one suite in a process of its own. @throws Error with what went wrong there. */
function runApart(suite: Suite, options: SuiteOptions): Promise<SuiteResult> {
  return new Promise((fulfil, reject) => {
    const child = fork(resolve(import.meta.dirname, 'run-suite.ts'), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], cwd: root });
    let reply: SuiteReply | undefined;
    child.once('message', (message) => {
      reply = message as SuiteReply;
    });
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      if (reply === undefined) reject(new Error(`The process of "${suite.id}" ended with ${signal ?? code}.`));
      else if ('failure' in reply) reject(new Error(`"${suite.id}" failed: ${reply.failure}`));
      else fulfil(reply.result);
    });
    child.send({ id: suite.id, options: { quick: options.quick } });
  });
}

async function main(): Promise<number> {
  const options = readOptions();
  if (options === undefined) {
    process.stdout.write(help);
    return 0;
  }
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const chosen = suites.filter((suite) => (options.only === undefined ? suite.usual : suite.goals.some((goal) => options.only?.has(goal))));
  const measurements: Measurement[] = [];
  let growth: Results['growth'];
  for (const suite of chosen) {
    say(`${suite.goals.join(', ')}: ${suite.summary} …`);
    const before = loadNow();
    const measuredAt = new Date().toISOString();
    const started = performance.now();
    const result = await runApart(suite, options);
    const load = { before, after: loadNow() };
    const outcomes = result.outcomes.filter((outcome) => options.only?.has(outcome.goal) ?? true);
    if (outcomes.length > 0)
      measurements.push({
        suite: suite.id,
        measuredAt,
        load,
        quick: options.quick,
        seconds: Math.round((performance.now() - started) / 1000),
        outcomes,
      });
    if (result.growth !== undefined) growth = { ...result.growth, measuredAt, load, quick: options.quick };
  }
  const now: Results = { format: 1, machine: describeMachine(), measurements, ...(growth === undefined ? {} : { growth }) };
  const file = resolve(root, options.quick ? 'bench/results.local.json' : 'bench/results.json');
  writeResults(file, mergeResults(readResults(file), now));
  const outcomes: Outcome[] = measurements.flatMap((measurement) => measurement.outcomes);
  if (options.json) process.stdout.write(`${JSON.stringify(now, undefined, 2)}\n`);
  else {
    const loads = measurements.flatMap(({ load }) => [load.before, load.after]);
    if (loads.length > 0) process.stdout.write(`\n${tableOf(outcomes)}\n`);
    if (growth !== undefined) process.stdout.write(`\n${growthLines(growth)}\n`);
    const { processor, cores, node } = now.machine;
    process.stdout.write(
      `\n${processor}, ${cores} cores, Node ${node}${loads.length > 0 ? `; load average ${Math.min(...loads)} to ${Math.max(...loads)}` : ''}${options.quick ? '; --quick: too few rounds to publish' : ''}\n`,
    );
  }
  for (const outcome of outcomes) if (isSkipped(outcome)) say(`NOT MEASURED  ${outcome.goal} ${outcome.name}: ${outcome.skipped}`);
  if (options.document) {
    const { writeDocument } = await import('./document.js');
    writeDocument();
  }
  const far = outcomes.filter((outcome) => verdictOf(outcome) === 'far off');
  if (!options.gate || far.length === 0) return 0;
  say(`Missed by more than 15 %: ${far.map((outcome) => `${outcome.goal} (${outcome.name})`).join(', ')}`);
  return 1;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 2;
  },
);
