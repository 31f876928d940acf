import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { configSchema } from './config-schema.js';
import { configJsonSchema } from './json-schema.js';
import { parseConfig } from './load-config.js';

type Schema = Record<string, unknown>;

/** The keywords of JSON Schema 2020-12 that the schema uses, as the specification defines them. */
function accepts(schema: Schema | boolean, value: unknown, root: Schema): boolean {
  if (typeof schema === 'boolean') return schema;
  const all = (schemas: unknown) => (schemas as Schema[]).every((part) => accepts(part, value, root));
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  const typeOf = Array.isArray(value) ? 'array' : value === null ? 'null' : Number.isInteger(value) ? 'integer' : typeof value;
  for (const [keyword, rule] of Object.entries(schema)) {
    switch (keyword) {
      case '$ref': {
        const target = (rule as string)
          .slice(2)
          .split('/')
          .reduce<unknown>((node, step) => (node as Schema)?.[step], root);
        if (target === undefined) throw new Error(`dangling ${String(rule)}`);
        if (!accepts(target as Schema, value, root)) return false;
        break;
      }
      case 'type':
        if (![rule].flat().some((type) => type === typeOf || (type === 'number' && typeOf === 'integer'))) return false;
        break;
      case 'const':
        if (value !== rule) return false;
        break;
      case 'enum':
        if (!(rule as unknown[]).includes(value)) return false;
        break;
      case 'pattern':
        if (typeof value === 'string' && !new RegExp(rule as string, 'u').test(value)) return false;
        break;
      case 'minLength':
        if (typeof value === 'string' && value.length < (rule as number)) return false;
        break;
      case 'minimum':
        if (typeof value === 'number' && value < (rule as number)) return false;
        break;
      case 'maximum':
        if (typeof value === 'number' && value > (rule as number)) return false;
        break;
      case 'anyOf':
        if (!(rule as Schema[]).some((part) => accepts(part, value, root))) return false;
        break;
      case 'allOf':
        if (!all(rule)) return false;
        break;
      case 'not':
        if (accepts(rule as Schema, value, root)) return false;
        break;
      case 'if': {
        const branch = accepts(rule as Schema, value, root) ? schema.then : schema.else;
        if (branch !== undefined && !accepts(branch as Schema, value, root)) return false;
        break;
      }
      case 'items':
        if (Array.isArray(value) && !value.every((item) => accepts(rule as Schema, item, root))) return false;
        break;
      case 'required':
        if (isObject && !(rule as string[]).every((key) => Object.hasOwn(value, key))) return false;
        break;
      case 'propertyNames':
        if (isObject && !Object.keys(value).every((key) => accepts(rule as Schema, key, root))) return false;
        break;
      case 'properties':
        if (
          isObject &&
          !Object.entries(rule as Record<string, Schema>).every(
            ([key, part]) => !Object.hasOwn(value, key) || accepts(part, (value as Schema)[key], root),
          )
        )
          return false;
        break;
      case 'additionalProperties':
        if (
          isObject &&
          !Object.entries(value).every(
            ([key, entry]) => Object.hasOwn((schema.properties ?? {}) as object, key) || accepts(rule as Schema, entry, root),
          )
        )
          return false;
        break;
      case '$schema':
      case '$defs':
      case 'title':
      case 'description':
      case 'then':
      case 'default':
        break;
      default:
        throw new Error(`the test does not know the keyword ${keyword}`);
    }
  }
  return true;
}

const options = z.strictObject({ decayDays: z.number().min(1).default(5).describe('Days.'), inner: z.lazy(() => tree).optional() });
const tree: z.ZodType = z.strictObject({ child: z.lazy(() => tree).optional() }).meta({ id: 'Tree' });
const schema = configJsonSchema([
  {
    reference: 'popularity/recent',
    summary: 'Most recent.',
    inputs: {},
    schema: z.toJSONSchema(options, { io: 'input', target: 'draft-2020-12' }),
  },
  {
    reference: 'scorer-onnx/model',
    inputs: {
      features: { kind: 'feature', many: true, optional: false, description: 'Vectors.' },
      title: { kind: 'item-field', many: false, optional: true, description: 'Title.' },
    },
    schema: z.toJSONSchema(z.strictObject({ model: z.string() }), { io: 'input', target: 'draft-2020-12' }),
  },
]);
const valid = (value: unknown) => accepts(schema, value, schema);

const config = {
  format: '1.0',
  name: 'shop',
  data: { items: { use: 'data-duckdb/items', with: { path: 'x' } } },
  components: {
    recent: { use: 'popularity/recent', with: { decayDays: 3, inner: { child: { child: {} } } } },
    click: { use: 'scorer-onnx/model', in: { features: ['text', 'habits'], title: 'item.title' }, with: { model: 'm.onnx' } },
    other: { use: 'not-installed/thing', with: { anything: [1] }, in: { a: 'b' } },
  },
  surfaces: {
    home: { sources: { recent: 100, other: { limit: 3, fallback: true } }, scorers: ['click', { use: 'other', onError: 'skip' }] },
    list: { sources: ['recent'] },
  },
};
type Config = typeof config;
const changed = (change: (copy: Config & Record<string, unknown>) => void): unknown => {
  const copy = structuredClone(config) as Config & Record<string, unknown>;
  change(copy);
  return copy;
};

describe('configJsonSchema', () => {
  it('is JSON, of draft 2020-12, with a description for every key of the file', () => {
    expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
    expect(schema.$schema).toBe('https://json-schema.org/draft/2020-12/schema');
    for (const key of Object.keys(configSchema.shape)) {
      expect((schema.properties as Record<string, Schema>)[key]?.description, key).toMatch(/\w/);
    }
    const surface = (schema.$defs as Record<string, Schema>).surface?.properties as Record<string, Schema>;
    for (const key of ['needs', 'sources', 'filters', 'value', 'limits', 'limit']) expect(surface[key]?.description, key).toMatch(/\w/);
  });

  it('accepts what the loader accepts', async () => {
    expect(valid(config)).toBe(true);
    expect((await parseConfig(config)).problems).toEqual([]);
  });

  it.each<[string, (copy: Config & Record<string, unknown>) => void]>([
    ['an unknown key', (copy) => Object.assign(copy, { serfaces: {} })],
    ['an unknown key of a surface', (copy) => Object.assign(copy.surfaces.home, { limts: {} })],
    ['a wrong type', (copy) => Object.assign(copy, { seed: 'soon' })],
    ['an impossible number', (copy) => Object.assign(copy.surfaces.home.sources, { recent: 0 })],
    ['a missing key', (copy) => Reflect.deleteProperty(copy, 'name')],
    ['a component without use', (copy) => Reflect.deleteProperty(copy.components.other, 'use')],
    ['a surface without sources', (copy) => Reflect.deleteProperty(copy.surfaces.home, 'sources')],
    ['a bad name', (copy) => Object.assign(copy.components, { '2nd': { use: 'a/b' } })],
    ['a bad reference', (copy) => Object.assign(copy.components.other, { use: 'thing' })],
    ['another format', (copy) => Object.assign(copy, { format: '2.0' })],
  ])('refuses %s, as the loader does', async (_, change) => {
    const value = changed(change);
    expect(valid(value)).toBe(false);
    expect((await parseConfig(value as Record<string, unknown>)).problems.length).toBeGreaterThan(0);
  });

  it.each<[string, (copy: Config & Record<string, unknown>) => void]>([
    ['an unknown option', (copy) => Object.assign(copy.components.recent.with, { decayDais: 3 })],
    ['a wrong option', (copy) => Object.assign(copy.components.recent.with, { decayDays: 'x' })],
    ['a wrong option behind a reference', (copy) => Object.assign(copy.components.recent.with.inner.child, { chld: {} })],
    ['missing options', (copy) => Reflect.deleteProperty(copy.components.click, 'with')],
    ['a missing input', (copy) => Reflect.deleteProperty(copy.components.click.in, 'features')],
    ['an unknown input', (copy) => Object.assign(copy.components.click.in, { feature: 'x' })],
    ['several values for a single input', (copy) => Object.assign(copy.components.click.in, { title: ['a', 'b'] })],
    ['an input of a component that takes none', (copy) => Object.assign(copy.components.recent, { in: { x: 'y' } })],
  ])('refuses %s of an installed component', (_, change) => {
    expect(valid(changed(change))).toBe(false);
  });

  it('asks less of a file that has a base, and lets null take an entry out there', () => {
    expect(
      valid({
        base: 'recloom:shop',
        components: { recent: { with: { a: 1 } }, seen: null },
        surfaces: { home: { limit: 3, filters: null } },
      }),
    ).toBe(true);
    expect(valid({ components: {} })).toBe(false);
    expect(valid({ base: 'recloom:shop', sead: 1 })).toBe(false);
  });
});
