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
