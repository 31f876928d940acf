import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { recloomError } from '@recloom/plugin-api';

/** The folder of a package as seen from `directory`, walking up through node_modules; undefined when it is not installed. */
export function findPackageDirectory(packageName: string, directory: string): string | undefined {
  let current = resolve(directory);
  for (;;) {
    const candidate = join(current, 'node_modules', packageName);
    if (existsSync(join(candidate, 'package.json'))) return candidate;
    const parent = dirname(current);
    if (parent === current) return undefined;
    current = parent;
  }
}

/**
 * The URL to import a package or path with, as seen from each of `directories` in turn; undefined when it is nowhere. A
 * path may name a file or the folder of a package. `import.meta.resolve` takes no parent on Node 20, so exports that name
 * only `import` are read by hand.
 *
 * @throws RECLOOM_PLG_LOAD when the package is there and the file it names as its entry is not: it was never compiled
 */
export function resolveImport(specifier: string, directories: readonly string[]): string | undefined {
  for (const directory of directories) {
    if (specifier.startsWith('.') || isAbsolute(specifier)) {
      const path = resolve(directory, specifier);
      if (!existsSync(path)) continue;
      return pathToFileURL(statSync(path).isDirectory() ? packageEntry(specifier, path) : path).href;
    }
    try {
      const path = createRequire(join(directory, 'noop.js')).resolve(specifier);
      if (existsSync(path)) return pathToFileURL(path).href;
    } catch {
      // Not there, or its exports are not for `require`: looked at below.
    }
    const packageDirectory = findPackageDirectory(specifier, directory);
    if (packageDirectory !== undefined) return pathToFileURL(packageEntry(specifier, packageDirectory)).href;
  }
  return undefined;
}

/** The file a package's `exports` (or `main`) names for `import`. */
function packageEntry(specifier: string, packageDirectory: string): string {
  const manifestPath = join(packageDirectory, 'package.json');
  if (!existsSync(manifestPath)) {
    throw recloomError('RECLOOM_PLG_LOAD', { plugin: specifier, why: `${packageDirectory} is a folder without a package.json` });
  }
  const manifest = JSON.parse(readFileSync(manifestPath, 'utf8')) as { exports?: unknown; module?: string; main?: string };
  let target: unknown = manifest.exports;
  if (typeof target === 'object' && target !== null && '.' in target) target = (target as Record<string, unknown>)['.'];
  while (typeof target === 'object' && target !== null) {
    const conditions = target as Record<string, unknown>;
    target = conditions['node'] ?? conditions['import'] ?? conditions['default'];
  }
  const entry = typeof target === 'string' ? target : (manifest.module ?? manifest.main ?? 'index.js');
  const path = join(packageDirectory, entry);
  if (!existsSync(path)) {
    throw recloomError('RECLOOM_PLG_LOAD', {
      plugin: specifier,
      why: `it was found in ${packageDirectory}, but ${entry} is not there: compile it first (npx tsc -b)`,
    });
  }
  return path;
}

/**
 * Hex SHA-256 over the code of the package that a module belongs to: its package.json and every JavaScript and WebAssembly
 * file beside or below the module. Names count by their place in the package, so that the hash does not depend on where it lies.
 */
export function hashPackageCode(url: string): string {
  const entry = fileURLToPath(url);
  const root = dirname(entry);
  const hash = createHash('sha256');
  let manifest = root;
  while (!existsSync(join(manifest, 'package.json')) && dirname(manifest) !== manifest) manifest = dirname(manifest);
  const files = [join(manifest, 'package.json'), ...codeFiles(root)].filter((file) => existsSync(file));
  for (const file of files) hash.update(relative(manifest, file)).update('\0').update(readFileSync(file)).update('\0');
  return hash.digest('hex');
}

function codeFiles(directory: string): readonly string[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.name !== 'node_modules')
    .sort((left, right) => (left.name < right.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) return codeFiles(path);
      return /\.(?:js|mjs|cjs|wasm)$/.test(entry.name) ? [path] : [];
    });
}

/** The folder of this file: packages that core itself can see (a global install of the CLI) are found from here. */
export function coreDirectory(): string {
  return dirname(fileURLToPath(import.meta.url));
}

/** Names of the packages in every node_modules that one of `directories` sees, walking up, in no particular order. Only those of the scope @recloom and those that begin with `recloom-`. */
export function installedPackages(directories: readonly string[]): readonly string[] {
  const names = new Set<string>();
  for (const directory of directories) {
    for (let current = resolve(directory); ; current = dirname(current)) {
      const modules = join(current, 'node_modules');
      for (const name of namesIn(modules)) if (name.startsWith('recloom-')) names.add(name);
      for (const name of namesIn(join(modules, '@recloom'))) names.add(`@recloom/${name}`);
      if (current === dirname(current)) break;
    }
  }
  return [...names];
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
