/** The packages of this repository, as the scripts beside this file see them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Absolute path of the repository. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** A JSON file, parsed. */
export function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}

/**
 * Every package under packages/ and plugins/, by folder: `{ folder, directory, manifest }` with the folder relative to the
 * repository (`plugins/graph`), its absolute path, and its package.json.
 */
export function workspaces() {
  return ['packages', 'plugins'].flatMap((parent) =>
    readdirSync(join(root, parent))
      .filter((name) => existsSync(join(root, parent, name, 'package.json')))
      .sort()
      .map((name) => {
        const directory = join(root, parent, name);
        return { folder: `${parent}/${name}`, directory, manifest: readJson(join(directory, 'package.json')) };
      }),
  );
}

/** The packages that are published. */
export function publishable() {
  return workspaces().filter(({ manifest }) => manifest.private !== true);
}
