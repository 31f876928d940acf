import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { runInNewContext } from 'node:vm';
import { isRecloomError, type RecloomError, recloomError } from '@recloom/plugin-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canonicalJson } from '../canonical-json.js';
import { type LoadConfigOptions, loadConfig, parseConfig } from './load-config.js';
import type { LoadedConfig } from './types.js';

let folder: string;
let counter = 0;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'recloom-config-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Writes files into a fresh folder and gives the path of the first. */
function files(contents: Record<string, string | Uint8Array>): string {
  const directory = path.join(folder, `${counter++}`);
  for (const [name, content] of Object.entries(contents)) {
    mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
    writeFileSync(path.join(directory, name), content);
  }
  return path.join(directory, Object.keys(contents)[0] as string);
}

const minimal = `format: "1.0"
name: shop
data: { items: { use: data-duckdb/items } }
components:
  recent: { use: popularity/recent }
  habits: { use: collaborative/ease, in: { text: item.title, all: [a, b] }, with: { lambda: 100 } }
  seen: { use: rules/seen }
  consent: { use: privacy-consent/purpose }
surfaces:
  home: { sources: { recent: 100 } }
`;

async function failure(source: string | Record<string, unknown>, options: LoadConfigOptions = {}): Promise<RecloomError> {
  try {
    await loadConfig(source, options);
  } catch (error) {
    if (isRecloomError(error)) return error;
    throw error;
  }
  throw new Error('expected the config to be refused');
}

/** Takes the marks `¶` out of a text and gives the places they stood at, as `line:column`. */
function unmark(marked: string): { readonly text: string; readonly places: readonly string[] } {
  const lines = marked.split('\n');
  const places = lines.flatMap((line, index) =>
    line
      .split('¶')
      .slice(0, -1)
      .map((_, mark, parts) => `${index + 1}:${parts.slice(0, mark + 1).join('').length + 1}`),
  );
  return { text: marked.replaceAll('¶', ''), places };
}

/** Loads a text that is wrong where `¶` stands, and gives the codes; the places must be those of the marks, in order. */
async function problemsAtMarks(marked: string, options: LoadConfigOptions = {}): Promise<string[]> {
  const { text, places } = unmark(marked);
  const error = await failure(files({ 'shop.yaml': text }), options);
  expect(error.code).toBe('RECLOOM_CFG_INVALID');
  expect(error.problems.map((problem) => `${problem.at.line}:${problem.at.column}`)).toEqual(places);
  return error.problems.map((problem) => problem.code.replace('RECLOOM_CFG_', ''));
}

async function messagesOf(marked: string): Promise<string[]> {
  return (await failure(files({ 'shop.yaml': unmark(marked).text }))).problems.map((problem) => problem.message);
}

describe('loadConfig: what it gives', () => {
  it('fills in every default', async () => {
    const loaded = await loadConfig(files({ 'shop.yaml': minimal }));
    expect(loaded.config).toEqual({
      format: '1.0',
      name: 'shop',
      plugins: [],
      data: {
        items: { use: 'data-duckdb/items', in: {}, with: {} },
        events: undefined,
        users: undefined,
        now: 'clock',
        labels: {},
        title: 'title',
      },
      components: {
        recent: { use: 'popularity/recent', in: {}, with: {} },
        habits: { use: 'collaborative/ease', in: { text: 'item.title', all: ['a', 'b'] }, with: { lambda: 100 } },
        seen: { use: 'rules/seen', in: {}, with: {} },
        consent: { use: 'privacy-consent/purpose', in: {}, with: {} },
      },
      surfaces: {
        home: {
          needs: [],
          sources: { recent: { limit: 100, fallback: false, required: false, timeoutMs: undefined } },
          filters: [],
          features: [],
          scorers: [],
          value: undefined,
          rankers: [],
          privacy: [],
          effects: [],
          limits: { timeoutMs: 1000, candidates: 1000, items: 200 },
          limit: 10,
          attributes: [],
        },
      },
      texts: {},
      models: { allowDownload: false, cache: undefined },
      inference: { workers: undefined, isolation: 'thread', queueLimit: undefined },
      images: { directories: [], hosts: [], timeoutMs: 10_000 },
      snapshot: { directory: undefined, keep: 3 },
      compute: { threads: undefined },
      seed: 42,
    });
    expect(path.isAbsolute(loaded.directory)).toBe(true);
  });

  it('writes shorthands out', async () => {
    const { config } = await loadConfig(
      files({
        'shop.yaml': minimal.replace(
          'home: { sources: { recent: 100 } }',
          `home:
    sources: [recent, { use: habits, limit: 5, required: true }]
    filters: [seen, { use: recent, onError: skip }]
    features: [a]
    scorers: [habits, { use: b, onError: fail }]
    rankers: [c]
    privacy: [consent, { use: d }, { use: e, onError: fail }]
    effects: [f]
  other: { sources: { recent: { limit: 7, fallback: true, timeoutMs: 20 }, habits: {} } }`,
        ),
      }),
    );
    const { home, other } = config.surfaces;
    expect(home?.sources).toEqual({
      recent: { limit: 200, fallback: false, required: false, timeoutMs: undefined },
      habits: { limit: 5, fallback: false, required: true, timeoutMs: undefined },
    });
    expect(other?.sources).toMatchObject({ recent: { limit: 7, fallback: true, timeoutMs: 20 }, habits: { limit: 200 } });
    expect(home?.filters).toEqual([
      { name: 'seen', onError: 'fail' },
      { name: 'recent', onError: 'skip' },
    ]);
    expect(home?.scorers).toEqual([
      { name: 'habits', onError: 'skip' },
      { name: 'b', onError: 'fail' },
    ]);
    expect([home?.features, home?.rankers, home?.effects].flat().map((use) => use?.onError)).toEqual(['skip', 'skip', 'skip']);
    expect(home?.privacy).toEqual(['consent', 'd', 'e'].map((name) => ({ name, onError: 'fail' })));
  });

  it('reads JSON, an object, an object of another realm, and a file named relative to the working folder alike', async () => {
    const fromYaml = await loadConfig(files({ 'shop.yaml': minimal }));
    const plain = JSON.parse(JSON.stringify(fromYaml.config.components)) as unknown;
    const object = {
      format: '1.0',
      name: 'shop',
      data: { items: { use: 'data-duckdb/items' } },
      components: plain,
      surfaces: { home: { sources: { recent: 100 } } },
    };
    const json = await loadConfig(files({ 'shop.json': JSON.stringify(object) }));
    const given = await loadConfig(object, { directory: folder });
    const foreign = await loadConfig(runInNewContext(`(${JSON.stringify(object)})`));
    const relative = await loadConfig(path.relative(process.cwd(), files({ 'shop.yaml': minimal })));
    for (const loaded of [json, given, foreign, relative]) {
      expect(loaded.config).toEqual(fromYaml.config);
      expect(loaded.hash).toBe(fromYaml.hash);
    }
    expect(given.directory).toBe(folder);
    expect(given.file).toBe('<object>');
    expect(given.locate(['components'])).toEqual({ file: '<object>', line: 0, column: 0 });
  });

  it('leaves the object it was given alone', async () => {
    const object = {
      format: '1.0',
      name: 'x',
      data: {},
      components: { a: { use: 'b/c', with: { d: null } } },
      surfaces: { s: { sources: ['a'] } },
    };
    const copy = structuredClone(object);
    const { config } = await loadConfig(object);
    expect(object).toEqual(copy);
    expect(config.components.a?.with).toEqual({});
  });

  it('answers undefined for names that Object.prototype has', async () => {
    const { config } = await loadConfig(files({ 'shop.yaml': minimal }));
    for (const record of [config.components, config.surfaces, config.surfaces.home?.sources, config.texts, config.data.labels]) {
      for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) expect(record?.[name]).toBeUndefined();
    }
  });

  it('accepts `format: 1.0` without quotes, and a component called constructor', async () => {
    const text = minimal.replace('"1.0"', '1.0').replace('components:', 'components:\n  constructor: { use: a/b, with: { valueOf: 1 } }');
    const { config } = await loadConfig(files({ 'shop.yaml': text }));
    expect(config.format).toBe('1.0');
    expect(Object.keys(config.components)).toContain('constructor');
    expect(Object.keys(Object.entries(config.components).find(([name]) => name === 'constructor')?.[1].with ?? {})).toEqual(['valueOf']);
  });
});

describe('loadConfig: base', () => {
  it('lays a file over its bases, later bases over earlier ones, and null takes an entry out', async () => {
    const file = files({
      'shop.yaml': 'base: [common/a.yaml, common/b.yaml]\nname: mine\ncomponents: { recent: { with: { decayDays: 9 } }, seen: null }\n',
      'common/a.yaml': minimal.replace('recent }', 'recent, with: { decayDays: 5, keep: [1, 2] } }'),
      'common/b.yaml': 'base: deeper/c.yaml\nseed: 7\ncomponents: { recent: { with: { keep: [3] } } }\n',
      'common/deeper/c.yaml': 'seed: 8\nlimit: 1\nlimit: 2\ncompute: { threads: 2 }\n'.replaceAll(/limit: .\n/g, ''),
    });
    const { config, directory } = await loadConfig(file);
    expect(config.name).toBe('mine');
    expect(config.seed).toBe(7);
    expect(config.compute.threads).toBe(2);
    expect(config.components.recent?.with).toEqual({ decayDays: 9, keep: [3] });
    expect(Object.keys(config.components)).not.toContain('seen');
    expect(directory).toBe(path.dirname(file));
  });

  it('finds a preset through the host, or as a package beside the config', async () => {
    const file = files({
      'shop.yaml': 'base: recloom:mini\nname: mine\n',
      'node_modules/@recloom/presets/package.json': '{"name":"@recloom/presets","version":"1.0.0"}',
      'node_modules/@recloom/presets/presets/mini.yaml': minimal,
      'elsewhere.yaml': minimal.replace('shop', 'x').replace('recent: 100', 'recent: 50'),
    });
    expect((await loadConfig(file)).config.surfaces.home?.sources.recent?.limit).toBe(100);
    const given = await loadConfig(file, { presetPaths: (name) => (name === 'mini' ? 'elsewhere.yaml' : undefined) });
    expect(given.config.surfaces.home?.sources.recent?.limit).toBe(50);
    const object = await loadConfig({ base: 'recloom:mini', name: 'object' }, { directory: path.dirname(file) });
    expect(object.config.name).toBe('object');
  });

  it('reads a diamond, which is no loop', async () => {
    const file = files({
      'shop.yaml': 'base: [a.yaml, b.yaml]\n',
      'a.yaml': 'base: c.yaml\n',
      'b.yaml': 'base: c.yaml\nname: b\n',
      'c.yaml': minimal,
    });
    expect((await loadConfig(file)).config.name).toBe('b');
  });

  it('reports a loop where it closes', async () => {
    const file = files({ 'a.yaml': `${minimal}base: b.yaml\n`, 'b.yaml': '\n\nbase: a.yaml\n' });
    const { problems } = await failure(file);
    expect(problems.map((problem) => problem.code)).toEqual(['RECLOOM_CFG_BASE_LOOP']);
    expect(problems[0]?.message).toMatch(/a\.yaml → .*b\.yaml → .*a\.yaml/);
    expect(problems[0]?.at).toMatchObject({ file: path.join(path.dirname(file), 'b.yaml'), line: 3, column: 7 });
    expect((await failure(files({ 'a.yaml': `${minimal}base: a.yaml\n` }))).problems[0]?.code).toBe('RECLOOM_CFG_BASE_LOOP');
  });

  it('suggests a name for a base that is missing, and never leaves the presets', async () => {
    const near = await failure(files({ 'shop.yaml': `base: sub/comon.yaml\n${minimal}`, 'sub/common.yaml': '' }));
    expect(near.problems.map((problem) => problem.message)).toEqual([
      'The base "sub/comon.yaml" was not found; did you mean "sub/common.yaml"?',
    ]);
    expect(near.problems[0]?.at).toMatchObject({ line: 1, column: 7 });
    const presets = { 'node_modules/@recloom/presets/package.json': '{}', 'node_modules/@recloom/presets/presets/shop.yaml': minimal };
    const preset = await failure(files({ 'shop.yaml': `base: recloom:shp\n${minimal}`, ...presets }));
    expect(preset.problems[0]?.message).toBe('The base "recloom:shp" was not found; did you mean "recloom:shop"?');
    const outside = await failure(
      files({ 'shop.yaml': `base: "recloom:../../../../secret"\n${minimal}`, ...presets, 'secret.yaml': minimal }),
    );
    expect(outside.problems.map((problem) => problem.code)).toEqual(['RECLOOM_CFG_BASE_MISSING']);
  });

  it('says in which file a problem is, the main file first', async () => {
    const file = files({ 'shop.yaml': 'base: base.yaml\n\nseed: x\n', 'base.yaml': `sed: 1\n${minimal}` });
    const { problems } = await failure(file);
    expect(problems.map((problem) => [path.basename(problem.at.file ?? ''), problem.at.line, problem.at.column, problem.code])).toEqual([
      ['shop.yaml', 3, 7, 'RECLOOM_CFG_TYPE'],
      ['base.yaml', 1, 1, 'RECLOOM_CFG_UNKNOWN_KEY'],
    ]);
  });

  it('lays overrides over everything', async () => {
    const { config } = await loadConfig(files({ 'shop.yaml': minimal }), { overrides: { seed: 5, surfaces: { home: { limit: 3 } } } });
    expect([config.seed, config.surfaces.home?.limit, config.surfaces.home?.sources.recent?.limit]).toEqual([5, 3, 100]);
    const wrong = await failure(files({ 'shop.yaml': minimal }), { overrides: { sed: 5 } });
    expect(wrong.problems[0]?.at).toEqual({ file: '<overrides>' });
  });
});

describe('loadConfig: what it refuses, each with its place', () => {
  const home = (surface: string) => minimal.replace('sources: { recent: 100 }', surface);
  it.each([
    ['an unknown key', `${minimal}¶serfaces: {}\n`, ['UNKNOWN_KEY']],
    ['a misspelt key of a surface', home('sources: [recent], ¶limts: {}'), ['UNKNOWN_KEY']],
    ['an unknown key of a source', home('sources: { recent: { ¶limt: 3 } }'), ['UNKNOWN_KEY']],
    ['a wrong type', `${minimal}seed: ¶soon\n`, ['TYPE']],
    ['a number in quotes', home('sources: { recent: ¶"100" }'), ['TYPE']],
    ['a number out of range', `${minimal}snapshot: { keep: ¶0 }\n`, ['TYPE']],
    ['a missing required key', minimal.replace('recent: { use: popularity/recent }', '¶recent: { with: {} }'), ['MISSING_KEY']],
    ['a missing top-level key', `¶${minimal.replace('name: shop\n', '')}`, ['MISSING_KEY']],
    ['a duplicate key', `${minimal}¶name: again\n`, ['DUPLICATE_KEY']],
    ['two components of one name', minimal.replace('  seen:', '  ¶habits: { use: a/b }\n  seen:'), ['DUPLICATE_COMPONENT']],
    ['another format', minimal.replace('"1.0"', '¶"2.0"'), ['FORMAT']],
    ['a reference without a slash', minimal.replace('popularity/recent', '¶popularity'), ['TYPE']],
    ['a component name that expressions cannot say', minimal.replace('recent:', '¶re-cent:'), ['TYPE']],
    ['a component name that CEL reads as a value', minimal.replace('seen:', '¶true:'), ['TYPE']],
    ['a pipeline name that is no folder', minimal.replace('name: shop', 'name: ¶../shop'), ['TYPE']],
    ['a surface with empty sources', minimal.replace('home: { sources: { recent: 100 } }', '¶home: { sources: {} }'), ['NO_SOURCES']],
    ['a surface without sources', minimal.replace('home: { sources: { recent: 100 } }', '¶home: {}'), ['NO_SOURCES']],
    ['a source named twice', home('sources: [recent, ¶recent]'), ['TYPE']],
    ['a privacy filter that may be skipped', home('sources: [recent], privacy: [{ use: consent, onError: ¶skip }]'), ['PRIVACY_SKIP']],
    ['an unknown onError', home('sources: [recent], filters: [{ use: seen, onError: ¶ignore }]'), ['TYPE']],
    ['an input that is no text', minimal.replace('text: item.title', 'text: ¶5'), ['TYPE']],
    [
      'an environment variable that is not set',
      minimal.replace('100 }, ', '').replace('lambda: 100', 'lambda: ¶"${env:NOT_SET}"'),
      ['ENV_MISSING'],
    ],
    ['an unclosed bracket', `${minimal}plugins: [\n¶`, ['SYNTAX']],
    ['__proto__ as a key', minimal.replace('lambda: 100', 'lambda: 100, ¶__proto__: { x: 1 }'), ['UNKNOWN_KEY']],
    ['a list where the document should be', '¶- 1\n', ['TYPE']],
  ])('%s', async (_, marked, expected) => {
    expect(await problemsAtMarks(marked, { env: {} })).toEqual(expected);
  });

  it('an empty file: all that is missing', async () => {
    const error = await failure(files({ 'shop.yaml': '# nothing yet\n' }));
    expect(error.problems.map((problem) => problem.message)).toEqual(
      ['format: "1.0"', 'name', 'data', 'components', 'surfaces'].map((key) => `The required key "${key}" is missing.`),
    );
  });

  it('tells all problems at once, in file order', async () => {
    const text = minimal
      .replace('name: shop', 'name: ¶my shop')
      .replace('{ use: popularity/recent }', '{ use: popularity/recent, ¶lambda: 3 }')
      .replace('sources: { recent: 100 }', 'sources: { recent: ¶many }, needs: [¶itm], rankers: ¶diverse')
      .concat('¶sead: 1\n');
    expect(await problemsAtMarks(text)).toEqual(['TYPE', 'UNKNOWN_KEY', 'TYPE', 'TYPE', 'TYPE', 'UNKNOWN_KEY']);
    expect(await messagesOf(text)).toEqual([
      '"name" has a wrong value: expected a name of at most 100 letters, digits, "-" and "_" (it becomes a folder), found the text "my shop".',
      'Unknown key "lambda"; did you mean "with: { lambda: … }"?',
      '"surfaces.home.sources.recent" has a wrong value: expected a number or a mapping of keys, found the text "many".',
      '"surfaces.home.needs[0]" has a wrong value: expected user, session, item, text or image, found the text "itm" (did you mean "item"?).',
      '"surfaces.home.rankers" has a wrong value: expected a list, found the text "diverse" (write [diverse]).',
      'Unknown key "sead"; did you mean "seed"?',
    ]);
  });

  it('keeps the places of list elements right when several are wrong', async () => {
    const filters = 'filters: [seen, ¶seen, { use: ¶3 }, { use: x, ¶onEror: skip }], sources:';
    expect(await problemsAtMarks(minimal.replace('sources:', filters))).toEqual(['TYPE', 'TYPE', 'UNKNOWN_KEY']);
  });

  it.each([
    ['a missing file', () => path.join(folder, 'none.yaml'), /there is no such file/],
    ['a folder', () => folder, /it is a folder/],
    ['a device without end', () => '/dev/zero', /not a regular file/],
    ['a file that is not UTF-8', () => files({ 'shop.yaml': Uint8Array.of(0x6e, 0x3a, 0x20, 0xe9, 0x0a) }), /not valid UTF-8/],
    ['a file of 3 MB', () => files({ 'shop.yaml': `# ${'x'.repeat(3_000_000)}` }), /3000002 bytes/],
  ])('cannot read %s', async (_, file, message) => {
    const error = await failure(file());
    expect(error.code).toBe('RECLOOM_CFG_INVALID');
    expect(error.problems.map((problem) => problem.code)).toEqual(['RECLOOM_CFG_READ']);
    expect(error.problems[0]?.message).toMatch(message);
  });

  it('refuses objects that are no plain data, naming the path', async () => {
    const cyclic: Record<string, unknown> = {};
    cyclic.self = cyclic;
    const object = {
      format: '1.0',
      name: 'x',
      data: {},
      components: { a: { use: 'b/c', with: { when: new Date(0), call: () => 1, cyclic } } },
      surfaces: { s: { sources: ['a'] } },
    };
    const { problems } = await failure(object);
    expect(problems.map((problem) => problem.message)).toEqual([
      '"components.a.with.when" has a wrong value: expected plain data, found Date.',
      '"components.a.with.call" has a wrong value: expected plain data, found a function.',
      expect.stringMatching(/holds itself/),
    ]);
    const polluted = JSON.parse('{"format":"1.0","name":"x","data":{},"components":{"__proto__":{"use":"a/b"}},"surfaces":{}}');
    expect((await failure(polluted)).problems.map((problem) => problem.code)).toEqual(['RECLOOM_CFG_UNKNOWN_KEY']);
  });

  it('never shows a value of the environment', async () => {
    const text = minimal.replace('name: shop', 'name: "${env:SECRET}"');
    const error = await failure(files({ 'shop.yaml': text }), { env: { SECRET: 'hunter 2!' } });
    expect(error.problems).toHaveLength(1);
    expect(JSON.stringify(error)).not.toContain('hunter');
  });
});

describe('parseConfig', () => {
  it('gives what is right of a wrong config, so that a plan can find more problems, and throws once', async () => {
    const text = minimal
      .replace('{ use: popularity/recent }', '{ use: popularity/recent, lambda: 3 }')
      .replace('  seen: { use: rules/seen }\n', '  seen: { usse: rules/seen }\n')
      .replace('sources:', 'filters: [seen, 3], sources:');
    const { loaded, problems, broken, collector } = await parseConfig(files({ 'shop.yaml': text }));
    expect(problems.map((problem) => problem.code).sort()).toEqual([
      'RECLOOM_CFG_MISSING_KEY',
      'RECLOOM_CFG_TYPE',
      'RECLOOM_CFG_UNKNOWN_KEY',
      'RECLOOM_CFG_UNKNOWN_KEY',
    ]);
    expect(Object.keys(loaded?.config.components ?? {})).toEqual(['recent', 'habits', 'consent']);
    expect(loaded?.config.surfaces.home?.filters).toEqual([{ name: 'seen', onError: 'fail' }]);
    expect([...broken].sort()).toEqual(['home', 'recent', 'seen']);
    collector.add('RECLOOM_CFG_UNKNOWN_NAME', { name: 'x', available: 'recent' }, ['surfaces', 'home', 'filters', 0]);
    expect(() => collector.throwIfAny()).toThrow(
      expect.objectContaining({ code: 'RECLOOM_CFG_INVALID', problems: expect.objectContaining({ length: 5 }) }),
    );
  });

  it('gives no config when there is nothing to plan', async () => {
    expect((await parseConfig(files({ 'shop.yaml': 'a: [' }))).loaded).toBeUndefined();
    expect((await parseConfig(files({ 'shop.yaml': minimal.replace('name: shop\n', '') }))).loaded).toBeUndefined();
  });
});

describe('locate', () => {
  let loaded: LoadedConfig;
  const surface = `home:
    sources: [¶recent, { use: habits, limit: ¶5 }]
    filters:
      - ¶seen
      - { use: consent, onError: ¶skip }
    value: "0.7 * ¶score.habits"
    `;
  const { text, places } = unmark(
    minimal.replace('lambda: 100', '¶lambda: ¶100').replace('with: {', 'with: ¶{').replace('home: { sources: { recent: 100 } }', surface),
  );
  const [withOptions, lambdaKey, lambda, recent, limit, seen, onError, score] = places;
  beforeAll(async () => {
    loaded = await loadConfig(files({ 'shop.yaml': text }));
  });
  const at = (steps: (string | number)[], target?: 'key' | 'value') => {
    const { line, column } = loaded.locate(steps, target);
    return `${line}:${column}`;
  };

  it('finds keys and values', () => {
    expect(at(['components', 'habits', 'with', 'lambda'])).toBe(lambda);
    expect(at(['components', 'habits', 'with', 'lambda'], 'key')).toBe(lambdaKey);
    expect(at(['components', 'habits', 'with'])).toBe(withOptions);
    expect(at(['surfaces', 'home', 'filters', 1, 'onError'])).toBe(onError);
  });
  it('finds what was written as a shorthand', () => {
    expect(at(['surfaces', 'home', 'sources', 'recent'])).toBe(recent);
    expect(at(['surfaces', 'home', 'sources', 'habits', 'limit'])).toBe(limit);
    expect(at(['surfaces', 'home', 'filters', 0, 'name'])).toBe(seen);
  });
  it('answers the key of the nearest parent for what is not there', () => {
    const key = loaded.locate(['components', 'habits', 'with'], 'key');
    expect(loaded.locate(['components', 'habits', 'with', 'none', 'deeper'])).toEqual(key);
    expect(at(['nothing'])).toBe('1:1');
  });
  it('finds a place inside an expression, whatever stands around it', async () => {
    const offset = '0.7 * score.habits'.indexOf('score');
    const inside = (config: LoadedConfig) => {
      const position = config.locateInside?.(['surfaces', 'home', 'value'], offset);
      return position && `${position.line}:${position.column}`;
    };
    expect(inside(loaded)).toBe(score);
    const block = unmark(text.replace('"0.7 * score.habits"', '|-\n      0.7 * ¶score.habits'));
    expect(inside(await loadConfig(files({ 'shop.yaml': block.text })))).toBe(block.places[0]);
    expect(inside(await loadConfig(files({ 'shop.yaml': text.replace('0.7 *', '0.7\\u0020*') })))).toBeUndefined();
  });
  it('lets a collector point into the expression', async () => {
    const { collector } = await parseConfig(files({ 'shop.yaml': text }));
    const cause = Object.assign(new Error('x'), { offset: 6 });
    collector.addError(recloomError('RECLOOM_CFG_EXPRESSION', { why: 'x' }, { cause }), ['surfaces', 'home', 'value']);
    collector.addError(new Error('boom'), ['components', 'seen', 'use']);
    expect(collector.problems.map(({ code, at: place }) => [code, `${place.line}:${place.column}`, place.surface ?? place.node])).toEqual([
      ['RECLOOM_PLG_COMPONENT_FAILED', '7:16', 'seen'],
      ['RECLOOM_CFG_EXPRESSION', score, 'home'],
    ]);
  });
});

describe('inference and images', () => {
  const load = (text: string) => loadConfig(files({ 'shop.yaml': `${minimal}${text}` }));

  it('are read', async () => {
    const { config } = await load(`inference: { workers: 2, isolation: process, queueLimit: 10 }
images:
  directories: [../media, /srv/pictures]
  hosts: [images.example.com, "cdn.example.com:8443", "*.shop.example", "10.0.0.5", "[::1]:8443", "fd00::1"]
  timeoutMs: 500
`);
    expect(config.inference).toEqual({ workers: 2, isolation: 'process', queueLimit: 10 });
    expect(config.images).toEqual({
      directories: ['../media', '/srv/pictures'],
      hosts: ['images.example.com', 'cdn.example.com:8443', '*.shop.example', '10.0.0.5', '[::1]:8443', 'fd00::1'],
      timeoutMs: 500,
    });
  });

  it.each([
    ['images: { hosts: ["https://images.example.com"] }', 'RECLOOM_CFG_TYPE', 'a host without "https://" and path'],
    ['images: { hosts: ["images.example.com/folder"] }', 'RECLOOM_CFG_TYPE', 'a host without "https://" and path'],
    ['images: { hosts: ["*"] }', 'RECLOOM_CFG_TYPE', 'a host without "https://" and path'],
    ['images: { host: [a] }', 'RECLOOM_CFG_UNKNOWN_KEY', 'did you mean "hosts"?'],
    ['images: { timeoutMs: 0 }', 'RECLOOM_CFG_TYPE', ''],
    ['images: { directories: [""] }', 'RECLOOM_CFG_TYPE', ''],
    ['inference: { workers: 0 }', 'RECLOOM_CFG_TYPE', ''],
    ['inference: { isolation: thred }', 'RECLOOM_CFG_TYPE', ''],
    ['inference: { queue: 3 }', 'RECLOOM_CFG_UNKNOWN_KEY', 'Allowed here: workers, isolation, queueLimit'],
  ])('%s is refused', async (text, code, message) => {
    const error = (await load(`${text}\n`).catch((caught: unknown) => caught)) as RecloomError;
    expect(error.problems).toHaveLength(1);
    expect(error.problems[0]).toMatchObject({ code, message: expect.stringContaining(message) });
    expect(error.problems[0]?.at.line).toBe(minimal.split('\n').length);
  });
});

describe('hash and redaction', () => {
  const hashOf = async (text: string, env: NodeJS.ProcessEnv = {}) => (await loadConfig(files({ 'shop.yaml': text }), { env })).hash;

  it('does not depend on order, shorthands, comments, folder, or what the machine may use', async () => {
    const hash = await hashOf(minimal);
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
    const [first, ...rest] = minimal.split(/^(?=\w)/m);
    expect(await hashOf(`# hello\n${rest.reverse().join('')}${first}`)).toBe(hash);
    expect(await hashOf(minimal.replace('recent: 100', 'recent: { limit: 100 }'))).toBe(hash);
    expect(await hashOf(`${minimal}seed: 42\ncompute: { threads: 8 }\nsnapshot: { keep: 9 }\n`)).toBe(hash);
    expect(await hashOf(`${minimal}inference: { isolation: process }\nimages: { timeoutMs: 5 }\n`)).toBe(hash);
  });
  it('depends on every option', async () => {
    const hashes = await Promise.all(
      [
        minimal,
        minimal.replace('lambda: 100', 'lambda: 101'),
        `${minimal}seed: 43\n`,
        minimal.replace('recent: 100', 'recent: 99'),
        `${minimal}images: { directories: [media] }\n`,
        `${minimal}images: { hosts: [media] }\n`,
      ].map((text) => hashOf(text)),
    );
    expect(new Set(hashes).size).toBe(6);
  });
  it('is that of the canonical JSON', async () => {
    expect(canonicalJson({ b: [1, undefined, Number.POSITIVE_INFINITY], a: { d: null, c: 'é' }, e: undefined })).toBe(
      '{"a":{"c":"é","d":null},"b":[1,null,"Infinity"]}',
    );
    // The canonical JSON is written out by hand; Node hashes it.
    const small = { format: '1.0', name: 'x', data: {}, components: {}, surfaces: {} };
    const { createHash } = await import('node:crypto');
    const canonical =
      '{"components":{},"data":{"labels":{},"now":"clock","title":"title"},"format":"1.0","name":"x","plugins":[],"seed":42,"surfaces":{},"texts":{}}';
    expect((await loadConfig(small)).hash).toBe(createHash('sha256').update(canonical).digest('hex'));
  });

  const secret = minimal
    .replace('lambda: 100', 'lambda: "${env:KEY}", url: "x://${env:HOST}/y"')
    .replace('home: { sources: { recent: 100 } }', 'home:\n    sources:\n      recent: ${env:N}');
  it('holds no value of the environment, only whether it changed', async () => {
    const text = secret;
    const one = await loadConfig(files({ 'shop.yaml': text }), { env: { KEY: 'k1', HOST: 'h', N: '30' } });
    expect(one.config.components.habits?.with).toEqual({ lambda: 'k1', url: 'x://h/y' });
    expect(one.config.surfaces.home?.sources.recent?.limit).toBe(30);
    expect(await hashOf(text, { KEY: 'k1', HOST: 'h', N: '30' })).toBe(one.hash);
    expect(await hashOf(text, { KEY: 'k2', HOST: 'h', N: '30' })).not.toBe(one.hash);
    const redacted = one.redacted() as LoadedConfig['config'];
    expect(redacted.components.habits?.with).toEqual({ lambda: '[env:KEY]', url: 'x://[env:HOST]/y' });
    expect(redacted.surfaces.home?.sources.recent?.limit).toBe('[env:N]');
    expect(one.config.components.habits?.with.lambda).toBe('k1');
  });
});
