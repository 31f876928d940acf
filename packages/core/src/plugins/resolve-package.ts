import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

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
 * The URL to import a package or path with, as seen from each of `directories` in turn; undefined when it is nowhere.
 * `import.meta.resolve` takes no parent on Node 20, so exports that name only `import` are read by hand.
 */
export function resolveImport(specifier: string, directories: readonly string[]): string | undefined {
  for (const directory of directories) {
    if (specifier.startsWith('.') || isAbsolute(specifier)) {
      const path = resolve(directory, specifier);
      if (!existsSync(path)) continue;
      try {
        return pathToFileURL(createRequire(join(directory, 'noop.js')).resolve(path)).href;
      } catch {
        return pathToFileURL(path).href;
      }
    }
    try {
      return pathToFileURL(createRequire(join(directory, 'noop.js')).resolve(specifier)).href;
    } catch {
      const packageDirectory = findPackageDirectory(specifier, directory);
      const entry = packageDirectory === undefined ? undefined : importEntry(packageDirectory);
      if (entry !== undefined) return pathToFileURL(entry).href;
    }
  }
  return undefined;
}

function importEntry(packageDirectory: string): string | undefined {
  const manifest = JSON.parse(readFileSync(join(packageDirectory, 'package.json'), 'utf8')) as {
    exports?: unknown;
    module?: string;
    main?: string;
  };
  let target: unknown = manifest.exports;
  if (typeof target === 'object' && target !== null && '.' in target) target = (target as Record<string, unknown>)['.'];
  while (typeof target === 'object' && target !== null) {
    const conditions = target as Record<string, unknown>;
    target = conditions['node'] ?? conditions['import'] ?? conditions['default'];
  }
  const entry = typeof target === 'string' ? target : (manifest.module ?? manifest.main ?? 'index.js');
  const path = join(packageDirectory, entry);
  return existsSync(path) ? path : undefined;
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
