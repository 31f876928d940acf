import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** The dependency rules R1–R9 of the house, as machine checks (docs/guide/architecture.md). */
const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

interface Package {
  readonly directory: string;
  readonly name: string;
  readonly json: {
    dependencies?: Record<string, string>;
    peerDependencies?: Record<string, string>;
    optionalDependencies?: Record<string, string>;
    sideEffects?: unknown;
    exports?: unknown;
    recloom?: { apiVersion?: number; id?: string; model?: boolean };
  };
  readonly sources: readonly string[];
}

interface Import {
  readonly file: string;
  readonly specifier: string;
  readonly kind: 'static' | 'type' | 'dynamic';
}

function files(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    return statSync(path).isDirectory() ? files(path) : [path];
  });
}

const packages: readonly Package[] = ['packages', 'plugins'].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => existsSync(join(root, folder, name, 'package.json')))
    .map((name) => {
      const directory = join(root, folder, name);
      const json = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Package['json'] & { name: string };
      return { directory, name: json.name, json, sources: files(join(directory, 'src')).filter((file) => file.endsWith('.ts')) };
    }),
);
const plugins = packages.filter((entry) => dirname(entry.directory).endsWith('plugins'));
const byName = (name: string): Package => packages.find((entry) => entry.name === name) as Package;
const isTest = (file: string): boolean => /\.(?:test|test-support|fixture)\.ts$/.test(file) || file.includes('/src/broken/');

/** Comments out, so that an import in an example is not one. */
function code(file: string): string {
  return readFileSync(file, 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|\s)\/\/.*$/gm, '$1');
}

function importsOf(file: string): Import[] {
  const text = code(file);
  const found: Import[] = [];
  for (const match of text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[\w*{}\s,$]+?\s+from\s+)?['"]([^'"]+)['"]/gm)) {
    found.push({ file, specifier: match[2] as string, kind: match[1] === undefined ? 'static' : 'type' });
  }
  for (const match of text.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g))
    found.push({ file, specifier: match[1] as string, kind: 'dynamic' });
  return found;
}

const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
const shown = (entry: Import): string => `${relative(root, entry.file)} imports ${entry.specifier}`;
const allImports = (entry: Package): Import[] => entry.sources.flatMap(importsOf);
const productionImports = (entry: Package): Import[] => entry.sources.filter((file) => !isTest(file)).flatMap(importsOf);
const bare = (entry: Import): boolean => !entry.specifier.startsWith('.') && !entry.specifier.startsWith('node:');

describe('the house', () => {
  it('R1: plugin-api depends on nothing', () => {
    const api = byName('@recloom/plugin-api');
    expect({ ...api.json.dependencies, ...api.json.peerDependencies, ...api.json.optionalDependencies }).toEqual({});
    expect(
      productionImports(api)
        .filter((entry) => !entry.specifier.startsWith('.'))
        .map(shown),
    ).toEqual([]);
  });

  it('R2: a plugin imports plugin-api, our leaf packages and its own libraries only', () => {
    for (const plugin of plugins) {
      const own = new Set([...Object.keys(plugin.json.dependencies ?? {}), ...Object.keys(plugin.json.peerDependencies ?? {})]);
      const wrong = productionImports(plugin)
        .filter(bare)
        .filter((entry) => {
          const name = packageOf(entry.specifier);
          if (name.startsWith('@recloom/'))
            return name !== '@recloom/plugin-api' && !(['@recloom/kernels', '@recloom/item-models'].includes(name) && own.has(name));
          return !own.has(name) || name === 'inversify';
        });
      expect(wrong.map(shown), plugin.name).toEqual([]);
      expect(Object.keys(plugin.json.peerDependencies ?? {}), plugin.name).toContain('@recloom/plugin-api');
    }
  });

  it('R3: Inversify and reflect-metadata stand only under packages/core/src/di', () => {
    const wrong = packages
      .flatMap(productionImports)
      .filter(
        (entry) => ['inversify', 'reflect-metadata'].includes(packageOf(entry.specifier)) && !entry.file.includes('/packages/core/src/di/'),
      );
    expect(wrong.map(shown)).toEqual([]);
  });

  it('R4: no relative import leaves its package', () => {
    for (const entry of packages) {
      const wrong = allImports(entry).filter(
        (found) =>
          found.specifier.startsWith('.') && !resolve(dirname(found.file), found.specifier).startsWith(join(entry.directory, 'src')),
      );
      expect(wrong.map(shown), entry.name).toEqual([]);
    }
  });

  it('R5: a heavy library is imported lazily, by one file of a package', () => {
    const heavy = [
      'onnxruntime-node',
      'onnx-proto',
      'sharp',
      '@xenova/transformers',
      '@huggingface/transformers',
      '@duckdb/node-api',
      '@observablehq/plot',
      'linkedom',
    ];
    for (const entry of packages) {
      for (const library of heavy) {
        const uses = productionImports(entry).filter((found) => packageOf(found.specifier) === library && found.kind !== 'type');
        expect(uses.filter((found) => found.kind === 'static').map(shown), `${entry.name}: ${library}`).toEqual([]);
        expect(new Set(uses.map((found) => found.file)).size, `${entry.name}: files that import ${library}`).toBeLessThanOrEqual(1);
      }
    }
  });

  it('R6: core knows no plugin by name', () => {
    const ids = plugins.map((plugin) => plugin.json.recloom?.id).filter((id) => id !== undefined && id.includes('-')) as string[];
    for (const file of byName('@recloom/core').sources.filter((source) => !isTest(source))) {
      const text = code(file);
      for (const id of ids)
        expect(text.includes(`'${id}`) || text.includes(`@recloom/plugin-${id}`), `${relative(root, file)} names ${id}`).toBe(false);
    }
  });

  it('R7: one index.ts per package, with explicit named exports', () => {
    for (const entry of packages) {
      if (entry.sources.length === 0) continue;
      expect(
        entry.sources.filter((file) => basename(file) === 'index.ts').map((file) => relative(entry.directory, file)),
        entry.name,
      ).toEqual(['src/index.ts']);
      for (const file of entry.sources) expect(/^export\s+\*/m.test(code(file)), `${relative(root, file)} exports *`).toBe(false);
    }
  });

  it('R8: importing our packages changes nothing global and loads no heavy library', () => {
    const names = packages.filter((entry) => entry.sources.length > 0 && entry.name !== '@recloom/cli').map((entry) => entry.name);
    const script = `
      // zod keeps its registry of schema metadata on globalThis under names of its own.
      const keys = () => [Reflect, globalThis, Object.prototype, Array.prototype].map((target) => Reflect.ownKeys(target).filter((key) => !String(key).startsWith('__zod_')).length);
      const before = keys();
      for (const name of ${JSON.stringify(names)}) await import(name);
      const after = keys();
      console.log(JSON.stringify({ before, after, native: process.report.getReport().sharedObjects.filter((path) => /onnxruntime|duckdb|sharp|vips/.test(path)) }));
    `;
    const found = JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: root, encoding: 'utf8' })) as {
      before: number[];
      after: number[];
      native: string[];
    };
    expect(found.after).toEqual(found.before);
    expect(found.native).toEqual([]);
  });

  it('R9: no module keeps a registry', () => {
    for (const entry of packages) {
      // The hooks of a child process live in a thread of their own, where Node hands them their data once.
      for (const file of entry.sources.filter((source) => !isTest(source) && !source.includes('/conformance/child/'))) {
        const registries = [
          ...code(file).matchAll(/^(?:export\s+)?(?:let\s+\w+|const\s+\w+(?::[^=]+)?=\s*(?:new (?:Map|Set)(?:<[^>]*>)?\(\)|\[\];))/gm),
        ].map((match) => match[0]);
        expect(registries, relative(root, file)).toEqual([]);
      }
    }
  });

  it('no top-level await, so that CommonJS hosts can require us', () => {
    for (const entry of packages)
      for (const file of entry.sources) expect(/^(?:const .*= )?await /m.test(code(file)), relative(root, file)).toBe(false);
  });

  it('a package folder holds what its anatomy names', () => {
    const allowed = new Set(['package.json', 'tsconfig.json', 'README.md', 'LICENSE', 'CHANGELOG.md', 'src', 'dist', 'node_modules']);
    const extra: Record<string, readonly string[]> = {
      '@recloom/kernels': ['assembly', 'scripts'],
      '@recloom/presets': ['presets'],
      '@recloom/cli': ['bin', 'scripts', 'template', '.gitignore'],
      '@recloom/model-image-minilm-lite0': ['NOTICE', 'config.json', 'heldout.json', 'onnx', 'preprocessor_config.json', 'reference.json'],
      '@recloom/model-all-minilm-l6-v2': [
        'onnx',
        'config.json',
        'tokenizer.json',
        'tokenizer_config.json',
        'special_tokens_map.json',
        'reference.json',
        'NOTICE',
      ],
    };
    for (const entry of packages) {
      const odd = readdirSync(entry.directory).filter((name) => !allowed.has(name) && !(extra[entry.name] ?? []).includes(name));
      expect(odd, entry.name).toEqual([]);
      expect(existsSync(join(entry.directory, 'README.md')), `${entry.name} has a README`).toBe(true);
      if (entry.json.recloom?.model !== true) expect(entry.json.sideEffects, entry.name).toBe(false);
    }
  });

  it('a plugin says its API version and the id that its folder bears', () => {
    for (const plugin of plugins) {
      const folder = basename(plugin.directory);
      expect(plugin.json.recloom, plugin.name).toEqual({ apiVersion: 1, id: folder === '_template' ? 'template' : folder });
    }
  });
});
