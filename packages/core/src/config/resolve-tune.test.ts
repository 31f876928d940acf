import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineCandidateSource, definePlugin, perRequest, type RecloomError } from '@recloom/plugin-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { validatePipeline } from '../validate-pipeline.js';
import { openWorkspace } from '../workspace.js';
import { loadConfig } from './load-config.js';
import { fillExpression, type ResolvedTune, resolveTune } from './resolve-tune.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'recloom-resolve-tune-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const options = z.strictObject({
  lambda: z.number().gt(0).max(5000).default(100),
  keep: z.number().int().min(1).optional(),
  mode: z.enum(['fast', 'exact']).default('fast'),
  nested: z.strictObject({ depth: z.number().int().min(0).max(9).default(2) }).prefault({}),
  weights: z.record(z.string(), z.number()).default({}),
  names: z.array(z.string()).default([]),
});
const source = defineCandidateSource({
  id: 'source',
  summary: 'Proposes nothing.',
  options,
  capabilities: {},
  stateVersion: 1,
  create: () => ({ propose: perRequest(() => ({ rows: [], scores: [] })) }),
});
const plugins = [definePlugin({ apiVersion: 1, id: 'test', components: [source] })];

const head = `format: "1.0"
name: shop
data: {}
components:
  habits: { use: test/source, with: { lambda: 50, weights: { blue: 1 }, names: [helper] } }
  recent: { use: test/source }
  helper: { use: test/source }
  idle: { use: test/source }
surfaces:
  home:
    sources: { habits: 300, recent: { limit: 20, fallback: true } }
    value: "source.habits.score + 0.5 * source.recent.score - (-2) * source.recent.rank"
  other: { sources: [idle] }
tune:
`;
const split = '  split: { cut: 2011-10-09, until: 2011-11-09 }\n';
/** The line of `tune:`; places are counted from it. */
const firstLine = head.split('\n').length - 1;

async function file(text: string): Promise<string> {
  const path = join(mkdtempSync(join(folder, 'x-')), 'shop.yaml');
  writeFileSync(path, text);
  return path;
}

async function resolved(
  tune: string,
  testMs?: number,
): Promise<{ readonly tune: ResolvedTune | undefined; readonly problems: readonly RecloomError[] }> {
  const workspace = await openWorkspace(await file(head + tune), { plugins });
  return resolveTune(workspace.plan(), testMs === undefined ? {} : { testMs });
}

/** The problems with `tune:`, as `line:column code`. */
async function problems(tune: string): Promise<readonly string[]> {
  const { problems: found, tune: result } = await resolved(tune);
  expect(result === undefined).toBe(found.length > 0);
  return found.map(({ code, at }) => `${(at.line ?? 0) - firstLine}:${at.column} ${code}`);
}

async function message(tune: string): Promise<string> {
  return (await resolved(tune)).problems[0]?.message ?? '';
}

const searching = (option: string): string => `${split}  options:\n    ${option}\n`;

describe('resolveTune', () => {
  it('finds addresses, kinds and the values that stand now, defaults included', async () => {
    const { tune } = await resolved(`${split}  options:
    habits.lambda: { from: 10, to: 1000, scale: log }
    habits.keep: { from: 10, to: 50 }
    habits.mode: { values: [fast, exact] }
    recent.keep: { values: [null, 10] }
    habits.nested.depth: { from: 0, to: 9 }
    habits.weights.blue: { from: -1, to: 1 }
    recent.lambda: { values: [1, 2.5, 3] }
    surfaces.home.sources.recent: { from: 5, to: 100 }
    surfaces.home.limits.candidates: { values: [100, 1000] }
    surfaces.home.value:
      expression: "source.habits.score+{{half}}*source.recent.score - {{ turn }} * source.recent.rank"
      numbers: { half: { from: 0, to: 1 }, turn: { from: -3, to: 3 } }
`);
    const about = tune?.parameters.map(({ name, path, domain, start }) => [
      name,
      path.join('/'),
      domain.kind === 'number' ? `${domain.integer ? 'whole' : 'number'} ${domain.scale}` : domain.values.join('|'),
      start,
    ]);
    expect(about).toEqual([
      ['habits.lambda', 'components/habits/with/lambda', 'number log', 50],
      ['habits.keep', 'components/habits/with/keep', 'whole linear', undefined],
      ['habits.mode', 'components/habits/with/mode', 'fast|exact', 'fast'],
      ['recent.keep', 'components/recent/with/keep', '|10', null],
      ['habits.nested.depth', 'components/habits/with/nested/depth', 'whole linear', 2],
      ['habits.weights.blue', 'components/habits/with/weights/blue', 'number linear', 1],
      ['recent.lambda', 'components/recent/with/lambda', '1|2.5|3', 100],
      ['surfaces.home.sources.recent', 'surfaces/home/sources/recent/limit', 'whole linear', 20],
      ['surfaces.home.limits.candidates', 'surfaces/home/limits/candidates', '100|1000', 1000],
      ['surfaces.home.value.half', 'surfaces/home/value', 'number linear', 0.5],
      ['surfaces.home.value.turn', 'surfaces/home/value', 'number linear', -2],
    ]);
    // What the surface uses, and what an option of it names; not what only another surface needs.
    expect(tune?.components).toEqual(['habits', 'recent', 'helper']);
    expect(tune).toMatchObject({ surface: 'home', testMs: Date.UTC(2011, 10, 9), confirm: undefined });
    expect(tune?.split).toMatchObject({ kind: 'temporal', cutMs: Date.UTC(2011, 9, 9), untilMs: Date.UTC(2011, 10, 9) });
  });

  it.each([
    ['an unknown component', 'habit.lambda: { from: 1, to: 2 }', '3:5 RECLOOM_CFG_UNKNOWN_NAME', 'did you mean "habits"'],
    ['an unknown option', 'habits.lamda: { from: 1, to: 2 }', '3:5 RECLOOM_CFG_UNKNOWN_KEY', 'did you mean "lambda"'],
    ['an unknown nested option', 'habits.nested.dept: { from: 1, to: 2 }', '3:5 RECLOOM_CFG_UNKNOWN_KEY', 'did you mean "depth"'],
    ['no option at all', 'habits: { from: 1, to: 2 }', '3:5 RECLOOM_CFG_TYPE', 'habits.lambda'],
    ['an unknown surface', 'surfaces.hoem.value: { from: 1, to: 2 }', '3:5 RECLOOM_CFG_UNKNOWN_NAME', 'did you mean "home"'],
    ['an unknown source', 'surfaces.home.sources.resent: { from: 1, to: 2 }', '3:5 RECLOOM_CFG_UNKNOWN_NAME', 'did you mean "recent"'],
    [
      'a part of a surface that cannot be tuned',
      'surfaces.home.filters: { values: [a, b] }',
      '3:5 RECLOOM_CFG_TYPE',
      'surfaces.home.limits.candidates',
    ],
    ["a range beyond the option's own", 'habits.lambda: { from: 1, to: 6000 }', '3:35 RECLOOM_CFG_TYPE', '5000'],
    ['a broken number for whole ones', 'habits.keep: { from: 1.5, to: 6 }', '3:26 RECLOOM_CFG_TYPE', 'found 1.5'],
    ['a value of another type', 'habits.mode: { values: [fast, 3] }', '3:35 RECLOOM_CFG_TYPE', 'found 3'],
    ['a number for a choice', 'habits.mode: { values: [0, fast] }', '3:29 RECLOOM_CFG_TYPE', 'found 0'],
    ['an empty range', 'habits.lambda: { from: 5, to: 5 }', '3:28 RECLOOM_CFG_TYPE', 'the range is empty'],
    ['a range upside down', 'habits.lambda: { from: 9, to: 5 }', '3:28 RECLOOM_CFG_TYPE', 'from (9) must be below to (5)'],
    ['half a range', 'habits.lambda: { from: 9 }', '3:5 RECLOOM_CFG_MISSING_KEY', 'to'],
    ['neither range nor values', 'habits.lambda: {}', '3:5 RECLOOM_CFG_MISSING_KEY', 'from and to, or values'],
    ['range and values', 'habits.lambda: { values: [1, 2], to: 3 }', '3:38 RECLOOM_CFG_TYPE', 'a list of values has none'],
    ['a single value', 'habits.lambda: { values: [1] }', '3:30 RECLOOM_CFG_TYPE', 'one value is no choice'],
    ['a value twice', 'habits.lambda: { values: [1, 2, 1] }', '3:37 RECLOOM_CFG_TYPE', 'twice'],
    ['a log scale from zero', 'surfaces.home.sources.recent: { from: 0, to: 9, scale: log }', '3:43 RECLOOM_CFG_TYPE', 'above 0'],
    ['a limit of zero', 'surfaces.home.sources.recent: { from: 0, to: 9 }', '3:43 RECLOOM_CFG_TYPE', 'whole number from 1'],
    ['what the surface does not use', 'idle.lambda: { from: 1, to: 2 }', '3:5 RECLOOM_CFG_TUNE', 'does not use "idle"'],
    [
      'another surface than the one asked',
      'surfaces.other.limits.candidates: { from: 1, to: 2 }',
      '3:5 RECLOOM_CFG_TUNE',
      'asks the surface "home"',
    ],
    [
      'an expression where none belongs',
      'habits.lambda: { expression: "{{x}}", numbers: { x: { from: 0, to: 1 } } }',
      '3:22 RECLOOM_CFG_TYPE',
      'surfaces.<name>.value',
    ],
    [
      'an expression that is not the value',
      'surfaces.home.value: { expression: "{{x}} * source.habits.score", numbers: { x: { from: 0, to: 1 } } }',
      '3:40 RECLOOM_CFG_TYPE',
      'it must be the value',
    ],
    [
      'a name in the expression without a range',
      'surfaces.home.value: { expression: "source.habits.score + {{x}} * source.recent.score - (-2) * source.recent.rank", numbers: {} }',
      '3:121 RECLOOM_CFG_MISSING_KEY',
      'numbers.x',
    ],
    [
      'a range for a name that is not there',
      'surfaces.home.value: { expression: "source.habits.score + {{x}} * source.recent.score - (-2) * source.recent.rank", numbers: { x: { from: 0, to: 1 }, y: { from: 0, to: 1 } } }',
      '3:155 RECLOOM_CFG_UNKNOWN_NAME',
      '"y"',
    ],
  ])('refuses %s, at its place', async (_, option, problem, words) => {
    expect(await problems(searching(option))).toEqual([problem]);
    expect(await message(searching(option))).toContain(words);
  });

  it.each([
    [
      'a window that reaches into the test',
      '  split: { cut: 2011-10-09, until: 2011-11-09 }\n  test: 2011-11-01\n',
      'RECLOOM_CFG_TUNE_TEST',
    ],
    ['a window without an end or a test', '  split: { cut: 2011-10-09 }\n', 'RECLOOM_CFG_TUNE_TEST'],
    [
      'a second window that reaches into the test',
      '  split: { cut: 2011-09-09, until: 2011-10-09 }\n  confirm: { cut: 2011-10-09, until: 2011-12-01 }\n  test: 2011-11-01\n',
      'RECLOOM_CFG_TUNE_TEST',
    ],
    [
      'a second window that overlaps the first',
      '  split: { cut: 2011-09-09, until: 2011-10-09 }\n  confirm: { cut: 2011-10-01, until: 2011-11-09 }\n',
      'RECLOOM_CFG_TYPE',
    ],
    ['an empty window', '  split: { cut: 2011-10-09, until: 2011-10-09 }\n', 'RECLOOM_CFG_TYPE'],
    ['no cut', '  split: { until: 2011-10-09 }\n', 'RECLOOM_CFG_MISSING_KEY'],
    ['a date that is none', '  split: { cut: October, until: 2011-10-09 }\n', 'RECLOOM_CFG_TYPE'],
    ['a key that the kind does not read', '  split: { kind: leave-last-out, folds: 3 }\n', 'RECLOOM_CFG_TYPE'],
    ['a predefined split without its file', '  split: { kind: predefined }\n', 'RECLOOM_CFG_MISSING_KEY'],
    ['a file that the kind does not read', '  split: { kind: random, file: kept.csv }\n', 'RECLOOM_CFG_TYPE'],
    ['repeats of a kind that knows none', '  split: { kind: leave-last-out, repeats: only }\n', 'RECLOOM_CFG_TYPE'],
    ['the same file twice', '  split: { kind: predefined, file: a.csv }\n  confirm: { file: a.csv }\n', 'RECLOOM_CFG_TYPE'],
    ['two files', '  split: { kind: predefined, file: a.csv }\n  confirm: { file: b.csv }\n', undefined],
    [
      'the same part for other events',
      '  split: { kind: random, relevantTypes: [purchase] }\n  confirm: { relevantTypes: [cart] }\n',
      'RECLOOM_CFG_TYPE',
    ],
    ['a split that knows no validation part without a test', '  split: { kind: user-holdout }\n', 'RECLOOM_CFG_TUNE_TEST'],
    ['the same part twice', '  split: { kind: random }\n  confirm: { fraction: .1 }\n  test: 2011-11-01\n', undefined],
    ['the very same part twice', '  split: { kind: random, seeds: [1] }\n  confirm: { kind: random }\n', 'RECLOOM_CFG_TYPE'],
    [
      'a second part of another kind without a test',
      '  split: { kind: random }\n  confirm: { kind: temporal, cut: 2011-09-09, until: 2011-10-09 }\n',
      'RECLOOM_CFG_TUNE_TEST',
    ],
    ['an unknown surface', `${split}  surface: hoem\n`, 'RECLOOM_CFG_UNKNOWN_NAME'],
  ])('judges %s', async (_, window, code) => {
    const { problems: found } = await resolved(`${window}  options: { habits.lambda: { from: 1, to: 2 } }\n`);
    expect(found.map((problem) => problem.code)).toEqual(code === undefined ? [] : [code]);
    for (const { at } of found) expect(at.line).toBeGreaterThanOrEqual(firstLine);
  });

  it('refuses a search of nothing', async () => {
    expect(await problems(`${split}  options: {}\n`)).toEqual(['2:3 RECLOOM_CFG_TYPE']);
  });

  it('lets a window end where the test begins, and a second one where the first begins', async () => {
    const { tune } = await resolved(
      '  split: { cut: 2011-10-09 }\n  confirm: { cut: 2011-09-09 }\n  test: 2011-11-09\n  options: { habits.lambda: { from: 1, to: 2 } }\n',
    );
    expect(tune?.split.untilMs).toBe(Date.UTC(2011, 10, 9));
    expect(tune?.confirm).toMatchObject({ cutMs: Date.UTC(2011, 8, 9), untilMs: Date.UTC(2011, 9, 9) });
  });

  it('reads what is asked for of a split, and "now" of a predefined one', async () => {
    const options = '  options: { habits.lambda: { from: 1, to: 2 } }\n';
    const { tune } = await resolved(
      `  split: { cut: 2011-10-09, until: 2011-11-09, repeats: only, relevantTypes: [purchase] }\n  confirm: { cut: 2011-09-09, relevantTypes: [cart] }\n${options}`,
    );
    expect(tune?.split).toMatchObject({ repeats: 'only', relevantTypes: ['purchase'] });
    expect(tune?.confirm).toMatchObject({ repeats: 'only', relevantTypes: ['cart'] });
    const { tune: predefined } = await resolved(`  split: { kind: predefined, file: kept.csv, cut: 2011-10-09 }\n${options}`);
    expect(predefined?.split).toMatchObject({ file: 'kept.csv', cutMs: Date.UTC(2011, 9, 9), untilMs: undefined });
    expect(predefined?.testMs).toBeUndefined();
  });

  it('takes the earlier test of host and config, so that nobody widens by mistake what a search may see', async () => {
    const text = '  split: { cut: 2011-10-09, until: 2011-11-09 }\n  test: 2011-11-09\n  options: { habits.lambda: { from: 1, to: 2 } }\n';
    expect((await resolved(text, Date.UTC(2011, 10, 1))).problems).toMatchObject([{ code: 'RECLOOM_CFG_TUNE_TEST' }]);
    expect((await resolved(text, Date.UTC(2011, 11, 1))).tune?.testMs).toBe(Date.UTC(2011, 10, 9));
  });
});

describe('a config with tune', () => {
  const right = `${split}  options: { habits.lambda: { from: 1, to: 2 } }\n`;

  it('has the hash of the same config without it, whatever is searched', async () => {
    const plain = (await loadConfig(await file(head.replace('tune:\n', '')))).hash;
    expect((await loadConfig(await file(head + right))).hash).toBe(plain);
    expect((await loadConfig(await file(`${head}${right}  trials: 5\n  seed: 3\n`))).hash).toBe(plain);
  });

  it('is checked by validate together with everything else, and by nothing that serves', async () => {
    const wrong = await file((head + searching('recent.lamda: { from: 1, to: 2 }')).replace('with: { lambda: 50', 'with: { lambda: -1'));
    await expect(validatePipeline(wrong, { plugins, data: false })).rejects.toMatchObject({
      problems: [{ code: 'RECLOOM_CFG_TYPE' }, { code: 'RECLOOM_CFG_UNKNOWN_KEY' }],
    });
    const onlyTune = await openWorkspace(await file(head + searching('habits.lamda: { from: 1, to: 2 }')), { plugins });
    expect(onlyTune.plan().nodes).toHaveLength(4);
  });

  it('knows its keys: a misspelt one is told with a suggestion', async () => {
    await expect(loadConfig(await file(`${head}${right}  metrics: ndcg\n`))).rejects.toMatchObject({
      problems: [{ code: 'RECLOOM_CFG_UNKNOWN_KEY', message: expect.stringContaining('did you mean "metric"') }],
    });
    await expect(loadConfig(await file(`${head}${right}  metric: ndgc\n`))).rejects.toMatchObject({
      problems: [{ code: 'RECLOOM_CFG_TYPE', message: expect.stringContaining('did you mean "ndcg"') }],
    });
    await expect(loadConfig(await file(`${head}  split: { kind: random, relevantTypes: [] }\n  options: {}\n`))).rejects.toMatchObject({
      problems: [{ code: 'RECLOOM_CFG_TYPE', message: expect.stringContaining('tune.split.relevantTypes') }],
    });
  });
});

describe('fillExpression', () => {
  it('writes numbers so that they can stand after any operator', () => {
    const numbers = new Map([
      ['a', -0.5],
      ['b', 2],
    ]);
    expect(fillExpression('x - {{a}} * y + {{ b }} * {{a}}', numbers)).toBe('x - (-0.5) * y + 2 * (-0.5)');
  });
});
