import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { defineCandidateSource, definePlugin, isRecloomError, perRequest, type RecloomError } from '@recloom/plugin-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { validatePipeline } from '../validate-pipeline.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'recloom-plan-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const field = z.union([
  z.string().min(1),
  z.strictObject({ column: z.string().optional(), type: z.enum(['text', 'number', 'category']).optional() }),
]);
const part = z.union([
  z.strictObject({ kind: z.literal('fixed'), size: z.number() }),
  z.strictObject({ kind: z.literal('share'), share: z.number().max(1) }),
]);
const source = defineCandidateSource({
  id: 'source',
  summary: 'Proposes nothing.',
  options: z.strictObject({
    id: field.default('id'),
    fields: z.record(z.string(), field).default({}),
    mode: z.enum(['fast', 'exact']).default('fast'),
    part: part.optional(),
    path: z.string().min(1).default('x'),
  }),
  capabilities: {},
  stateVersion: 1,
  create: () => ({ propose: perRequest(() => ({ rows: [], scores: [] })) }),
});
const needy = defineCandidateSource({
  id: 'needy',
  summary: 'Proposes nothing, from a column it must be told.',
  options: z.strictObject({ id: field }),
  capabilities: {},
  stateVersion: 1,
  create: () => ({ propose: perRequest(() => ({ rows: [], scores: [] })) }),
});
const plugins = [definePlugin({ apiVersion: 1, id: 'test', components: [source, needy] })];

/** Everything that is wrong with a config; the first of the files is the one that is read. */
async function problems(files: Record<string, string>, env: Record<string, string> = {}): Promise<readonly RecloomError[]> {
  const directory = mkdtempSync(join(folder, 'x-'));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
  try {
    await validatePipeline(join(directory, Object.keys(files)[0] as string), { plugins, env, data: false });
  } catch (error) {
    if (!isRecloomError(error)) throw error;
    return error.problems.length > 0 ? error.problems : [error];
  }
  return [];
}

const short = ({ code, at, message }: RecloomError): string => `${at.line}:${at.column} ${code} ${message}`;

const config = (options: string, use = 'test/source'): string => `format: "1.0"
name: shop
data: {}
components:
  habits: { use: ${use}, with: { ${options} } }
surfaces:
  home: { sources: [habits] }
`;

describe('options that a component refuses', () => {
  it.each([
    ['a word that is none of the list', 'mode: slow', '5:45 RECLOOM_CFG_TYPE "mode" has a wrong value: expected "fast" or "exact".'],
    [
      'a misspelt word of the list',
      'mode: exat',
      '5:45 RECLOOM_CFG_TYPE "mode" has a wrong value: expected "fast" or "exact" (did you mean "exact"?).',
    ],
    [
      'a word inside one form of several',
      'fields: { title: { type: strnig } }',
      '5:64 RECLOOM_CFG_TYPE "fields.title.type" has a wrong value: expected "text", "number" or "category".',
    ],
    [
      'a misspelt word inside one form of several',
      'fields: { title: { type: nmber } }',
      '5:64 RECLOOM_CFG_TYPE "fields.title.type" has a wrong value: expected "text", "number" or "category" (did you mean "number"?).',
    ],
    [
      'a key inside one form of several',
      'fields: { title: { colum: a } }',
      '5:58 RECLOOM_CFG_UNKNOWN_KEY Unknown key "colum"; did you mean "column"? Allowed here: column, type.',
    ],
    [
      'a key of the form that its fixed word names',
      'part: { kind: share, share: 2 }',
      '5:67 RECLOOM_CFG_TYPE "part.share" has a wrong value: expected a number to be <=1.',
    ],
    ['nothing that fits any form', 'id: 3', '5:43 RECLOOM_CFG_TYPE "id" has a wrong value: expected a text or a mapping of keys.'],
  ])('says what is taken instead of %s', async (_, options, expected) => {
    expect((await problems({ 'shop.yaml': config(options) })).map(short)).toEqual([expected]);
  });

  it('says that an option of several forms is missing', async () => {
    expect((await problems({ 'shop.yaml': config('', 'test/needy') })).map(short)).toEqual([
      '5:30 RECLOOM_CFG_MISSING_KEY The required key "id" is missing.',
    ]);
  });
});

describe('a cause and what follows from it', () => {
  it('tells of a base that is not there, and not of what it would have held', async () => {
    const found = await problems({ 'shop.yaml': 'format: "1.0"\nname: shop\nbase: bse.yaml\nlimts: 3\n', 'base.yaml': config('') });
    expect(found.map(short)).toEqual([
      '3:7 RECLOOM_CFG_BASE_MISSING The base "bse.yaml" was not found; did you mean "base.yaml"?',
      expect.stringMatching(/^4:1 RECLOOM_CFG_UNKNOWN_KEY Unknown key "limts"/),
    ]);
  });

  it('tells of the second base that cannot be read, and not of the components it would have brought', async () => {
    const own = 'format: "1.0"\nname: shop\nbase: [more.yaml, none.yaml]\n';
    const more = 'data: {}\ncomponents: { habits: { use: test/source } }\nsurfaces: { home: { sources: [habits, recent] }, empty: {} }\n';
    expect((await problems({ 'shop.yaml': own, 'more.yaml': more })).map(({ code }) => code)).toEqual(['RECLOOM_CFG_BASE_MISSING']);
  });

  it('tells of a loop of bases alone, with what to do', async () => {
    const [loop, ...others] = await problems({ 'a.yaml': 'format: "1.0"\nname: a\nbase: b.yaml\n', 'b.yaml': 'base: a.yaml\n' });
    expect([loop?.code, loop?.hint, others]).toEqual(['RECLOOM_CFG_BASE_LOOP', expect.stringMatching(/\w/), []]);
  });

  it.each([
    ['an option', config('path: "${env:NOWHERE}"')],
    ['a name that must not be empty', config('').replace('name: shop', 'name: "${env:NOWHERE}"')],
    ['the number of a list', config('').replace('[habits] }', '[habits], limit: "${env:NOWHERE}" }')],
    ['a plugin', config('').replace('test/source', '"${env:NOWHERE}"')],
    ['a base', config('').replace('name: shop', 'name: shop\nbase: "${env:NOWHERE}"')],
    ['one base of two', config('').replace('name: shop', 'name: shop\nbase: [other.yaml, "${env:NOWHERE}"]')],
  ])('tells of a variable that is not set, and not of what %s is without it', async (_, text) => {
    const found = await problems({ 'shop.yaml': text, 'other.yaml': 'seed: 3\n' });
    expect(found.map(({ code }) => code)).toEqual(['RECLOOM_CFG_ENV_MISSING']);
    // The same place with a value is looked at.
    const set = await problems({ 'shop.yaml': text, 'other.yaml': 'seed: 3\n' }, { NOWHERE: '' });
    expect(set.map(({ code }) => code)).not.toContain('RECLOOM_CFG_ENV_MISSING');
    expect(set.length).toBeGreaterThan(0);
  });

  it('finds a wrong address below a `tune:` that lacks its split', async () => {
    const tune = 'tune:\n  confirm: { cut: 2024-02-01, until: 2024-03-01 }\n  options:\n    habits.pth: { values: [a, b] }\n';
    const found = await problems({ 'shop.yaml': config('') + tune });
    expect(found.map(short)).toEqual([
      '8:1 RECLOOM_CFG_MISSING_KEY The required key "tune.split" is missing.',
      expect.stringMatching(/^11:5 RECLOOM_CFG_UNKNOWN_KEY Unknown key "pth"; did you mean "path"/),
    ]);
    expect(found[0]?.hint).not.toMatch(/recloom init/);
  });

  it('finds a wrong window of a `tune:` that lacks its options', async () => {
    const found = await problems({ 'shop.yaml': `${config('')}tune:\n  split: { kind: leave-last-out, folds: 3 }\n` });
    expect(found.map(({ code, at }) => `${at.line} ${code}`)).toEqual(['8 RECLOOM_CFG_MISSING_KEY', '9 RECLOOM_CFG_TYPE']);
  });

  const preset = `components:
  habits: { use: test/source }
  recent: { use: test/source }
surfaces:
  home: { sources: { habits: 10, recent: 10 }, value: "source.habits.score + source.recent.score" }
  basket: { sources: [habits, recent] }
  guest: { sources: [recent] }
`;

  it('tells once, at the `null`, where a component that was taken out is still used', async () => {
    const own = 'format: "1.0"\nname: shop\nbase: preset.yaml\ndata: {}\ncomponents: { habits: null }\n';
    expect((await problems({ 'shop.yaml': own, 'preset.yaml': preset })).map(short)).toEqual([
      '5:15 RECLOOM_CFG_STILL_USED "habits" is taken out here, and is still used in surfaces.home.sources, surfaces.home.value, surfaces.basket.sources.',
    ]);
  });

  it('says nothing when it is taken out everywhere, or a layer above brought it back', async () => {
    const out =
      'components: { habits: null, "a(": null }\nsurfaces: { home: { sources: { habits: null }, value: source.recent.score }, basket: { sources: [recent] } }\n';
    const head = 'format: "1.0"\nname: shop\ndata: {}\n';
    expect(await problems({ 'shop.yaml': `${head}base: preset.yaml\n${out}`, 'preset.yaml': preset })).toEqual([]);
    const back = { 'shop.yaml': `${head}base: middle.yaml\ncomponents: { habits: { use: test/source } }\n` };
    const middle = { 'middle.yaml': 'base: preset.yaml\ncomponents: { habits: null }\n' };
    expect(await problems({ ...back, ...middle, 'preset.yaml': preset })).toEqual([]);
  });

  it('still tells of a name that nobody took out', async () => {
    const own =
      'format: "1.0"\nname: shop\nbase: preset.yaml\ndata: {}\ncomponents: { habit: null }\nsurfaces: { guest: { sources: [habit, rcent] } }\n';
    expect((await problems({ 'shop.yaml': own, 'preset.yaml': preset })).map(({ code }) => code)).toEqual([
      'RECLOOM_CFG_STILL_USED',
      'RECLOOM_CFG_UNKNOWN_NAME',
    ]);
  });
});
