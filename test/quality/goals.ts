/**
 * Protocol: the table of goals, Q1 to Q7, each row by its own program
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from '../bench/online-retail.js';
import { goals, type ProtocolId } from './reference-figures.js';
import { type Compared, chanceOf, defaultPipeline, fourDigits, type Outcome, signed } from './run-protocol.js';

const help = `Usage: npm run quality -- goals [options]

  --on valid|test     the part that is asked for (default valid; test is looked at once per final model)
  --only q2,q5,…      rows: q1, q2, q3, q4, q4-attributes, q5, q6, q7 (default all)
  --seeds N           seeds of the rows whose pipelines draw anything at random (q3, q4, q4-attributes; default 1)
  --json              one JSON document instead of the table

Every row is what its own program prints (npm run quality -- q1 … q5, cold-items, emoji-search): the same data, the same pipeline.`;

/** One line of the table. */
interface Row {
  readonly id: string;
  readonly title: string;
  readonly metric: string;
  readonly command: string;
  readonly ours?: { readonly mean: number; readonly standardError: number; readonly low?: number; readonly high?: number };
  readonly spread?: number;
  readonly popularity?: number;
  readonly library?: Compared;
  readonly best?: Compared;
  readonly aim: string;
  readonly reached?: boolean;
  readonly note?: string;
}

interface Program {
  readonly id: string;
  readonly run: (part: 'valid' | 'test', seeds: number) => Row;
}

const protocol = (
  id: ProtocolId,
  options: { readonly attributes?: boolean; readonly flags?: readonly string[]; readonly random?: boolean } = {},
): Program => ({
  id: options.attributes === true ? `${id}-attributes` : id,
  run: (part, seeds) => {
    const goal = goals[id];
    const flags = [
      ...(options.flags ?? []),
      ...(options.attributes === true ? ['--attributes'] : []),
      ...(options.random === true && seeds > 1 ? ['--seeds', String(seeds)] : []),
    ];
    const base = {
      id: options.attributes === true ? `${id.toUpperCase()}, with attributes` : id.toUpperCase(),
      title: goal.title,
      metric: `${goal.metric === 'ndcg' ? 'N' : 'R'}@${goal.k}`,
      command: `npm run quality -- ${[id, '--on', part, ...flags].join(' ')}`,
      aim:
        goal.notWorseThan === undefined
          ? `≥ ${fourDigits(options.attributes === true ? (goal.aimWithAttributes as number) : goal.aim)}`
          : `not below ${goal.notWorseThan}`,
    };
    const file = defaultPipeline(id, options.attributes === true);
    if (!existsSync(resolve(root, file))) return { ...base, note: `${file} is not there yet` };
    const outcome = answerOf(id, ['--on', part, ...flags]) as Outcome | { readonly skipped: string };
    if ('skipped' in outcome) return { ...base, note: `skipped: ${outcome.skipped}` };
    const allowed = new Set(goal.peers.filter((peer) => options.attributes === true || peer.features !== true).map(({ name }) => name));
    const bestOf = (kinds: readonly Compared['kind'][]): Compared | undefined =>
      outcome.peers
        .filter((peer) => kinds.includes(peer.kind) && peer.figure !== undefined && allowed.has(peer.name))
        .sort((left, right) => (right.figure as number) - (left.figure as number))[0];
    const library = bestOf(['library']);
    const best = bestOf(['library', 'reference', 'published']);
    const remark = part === 'valid' ? goal.validRemark : undefined;
    return {
      ...base,
      ours: outcome.figure,
      ...(outcome.seeds === undefined ? {} : { spread: outcome.seeds.spread }),
      popularity: outcome.popularity,
      ...(library === undefined ? {} : { library }),
      ...(best === undefined ? {} : { best }),
      ...(part === 'test' ? { reached: outcome.reached } : {}),
      ...(remark === undefined ? {} : { note: remark }),
    };
  },
});

interface Mean {
  readonly mean: number;
  readonly standardError: number;
}

const coldItems: Program = {
  id: 'q6',
  run: (part) => {
    const flags = ['--part', part === 'valid' ? 'validation' : 'test', '--only', 'popular,content,map-1024'];
    const { rows } = answerOf('cold-items', flags) as { readonly rows: readonly { readonly name: string; readonly ndcg: Mean }[] };
    const figure = (name: string): Mean => (rows.find((row) => row.name === name) as { readonly ndcg: Mean }).ndcg;
    return {
      id: 'Q6',
      title: 'Online Retail, new items from their titles',
      metric: 'N@10',
      command: `npm run quality -- cold-items ${flags.join(' ')}`,
      ours: figure('map-1024'),
      popularity: figure('popular').mean,
      ...(part === 'test' ? { best: { name: 'sum of cosine^8', what: '', kind: 'reference', figure: 0.334 } as Compared } : {}),
      aim: '≥ .3800',
      ...(part === 'test' ? { reached: figure('map-1024').mean >= 0.38 } : {}),
    };
  },
};

const emojiSearch: Program = {
  id: 'q7',
  run: (part) => {
    const flags = ['--part', 'words', '--only', 'bm25,mix'];
    const { tables } = answerOf('emoji-search', flags) as {
      readonly tables: readonly { readonly rows: readonly { readonly name: string; readonly validation: Mean; readonly test: Mean }[] }[];
    };
    const row = tables[0]?.rows.find(({ name }) => name === 'mix') as { readonly validation: Mean; readonly test: Mean };
    return {
      id: 'Q7',
      title: 'emoji by keywords, text only',
      metric: 'N@10',
      command: `npm run quality -- emoji-search ${flags.join(' ')}`,
      ours: part === 'valid' ? row.validation : row.test,
      ...(part === 'test' ? { best: { name: 'MiniLM cosine', what: '', kind: 'reference', figure: 0.256 } as Compared } : {}),
      aim: '≥ .2900',
      ...(part === 'test' ? { reached: row.test.mean >= 0.29 } : {}),
    };
  },
};

const programs: readonly Program[] = [
  // As it serves: the trained models learned on what the sources propose, and the ceiling is told by the row's program.
  protocol('q1', { flags: ['--served'] }),
  protocol('q2'),
  protocol('q3', { random: true }),
  protocol('q4', { random: true }),
  protocol('q4', { random: true, attributes: true }),
  protocol('q5'),
  coldItems,
  emojiSearch,
];

/** What a program prints with --json. @throws Error when it fails */
function answerOf(program: string, flags: readonly string[]): unknown {
  const tsx = join(root, 'node_modules', '.bin', 'tsx');
  const ended = spawnSync(tsx, [join(import.meta.dirname, `${program}.ts`), ...flags, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (ended.status !== 0) throw new Error(`${program} ended with ${ended.status ?? ended.signal}.`);
  return JSON.parse(ended.stdout);
}

function lineOf(row: Row): string {
  if (row.ours === undefined) return `| ${row.id} | ${row.metric} | – | | | | ${row.aim} | ${row.note ?? ''} |`;
  const ours = `**${fourDigits(row.ours.mean)}** ± ${fourDigits(row.ours.standardError)}${row.spread === undefined ? '' : ` (spread ${fourDigits(row.spread)})`}`;
  const named = (peer: Compared | undefined): string =>
    peer?.figure === undefined ? '' : `${fourDigits(peer.figure)} ${peer.name}${peer.kind === 'published' ? ' (published)' : ''}`;
  const { best } = row;
  const difference =
    best?.difference === undefined
      ? ''
      : best.interval === undefined
        ? `${signed(best.difference)}, ${(best.standardErrors as number).toFixed(1)} s.e. of ours`
        : `${signed(best.difference)} (${signed(best.interval.low)} … ${signed(best.interval.high)}), p ${chanceOf(best.pValue)}`;
  const reached = row.reached === undefined ? '' : row.reached ? ' reached' : ' not reached';
  return `| ${row.id} | ${row.metric} | ${ours} | ${row.popularity === undefined ? '' : fourDigits(row.popularity)} | ${named(row.library)} | ${named(best)} | ${difference} | ${row.aim}${reached} |`;
}

const { values } = parseArgs({
  options: {
    on: { type: 'string', default: 'valid' },
    only: { type: 'string' },
    seeds: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) console.log(help);
else {
  const part = values.on;
  if (part !== 'valid' && part !== 'test') throw new Error(`--on is valid or test, not "${part}".`);
  const names = values.only?.split(',');
  const unknown = names?.find((name) => programs.every(({ id }) => id !== name));
  if (unknown !== undefined) throw new Error(`There is no row "${unknown}". There are: ${programs.map(({ id }) => id).join(', ')}.`);
  if (part === 'test') console.error('Asking for the TEST part: once per final model; options are chosen on valid.');
  const seeds = Number(values.seeds);
  if (!Number.isSafeInteger(seeds) || seeds < 1) throw new Error(`--seeds is a whole number of at least 1, not "${values.seeds}".`);
  const rows: Row[] = [];
  for (const { id, run } of programs) {
    if (names !== undefined && !names.includes(id)) continue;
    console.error(`${id} …`);
    rows.push(run(part, seeds));
  }
  if (values.json) console.log(JSON.stringify({ part, rows }, null, 2));
  else {
    console.log(`| ${part} | metric | ours | popularity | best library peer | best peer | ours − best peer | aim (test) |`);
    console.log('| --- | --- | --- | --- | --- | --- | --- | --- |');
    for (const row of rows) console.log(lineOf(row));
    console.log('');
    for (const { id, note } of rows) if (note !== undefined) console.log(`${id}: ${note}`);
    for (const { id, command } of rows) console.log(`${id}: ${command}`);
  }
}
