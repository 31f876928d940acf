/**
 * The table of libraries in THIRD_PARTY_NOTICES.md, from package-lock.json: `node scripts/third-party-notices.mjs` writes it,
 * `--check` says whether it is up to date (exit 1 when not). What stands outside the markers is written by hand.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findInstalled, platformOf } from './complete-lockfile.mjs';
import { publishable, readJson, root } from './workspaces.mjs';

const path = join(root, 'THIRD_PARTY_NOTICES.md');
const [begin, end] = ['<!-- libraries: begin (node scripts/third-party-notices.mjs) -->', '<!-- libraries: end -->'];

/** One line for all platforms of a native package: `@img/sharp-libvips-*`. */
function shownName(name) {
  if (platformOf(name) === undefined && !/-wasm32$|-linuxmusl-/.test(name)) return name;
  return name.replace(/[-/](android|darwin|freebsd|linux(musl)?|openharmony|webcontainers|win32|wasm32)(-.*)?$/, (match) => `${match[0]}*`);
}

/** Every library that an install of our packages brings, as `{ name, version, license, from }`, sorted; `from` are packages of ours. */
export function runtimeLibraries() {
  const { packages } = readJson(join(root, 'package-lock.json'));
  const found = new Map();
  for (const { folder, manifest } of publishable()) {
    const waiting = [folder];
    const seen = new Set();
    for (let location = waiting.pop(); location !== undefined; location = waiting.pop()) {
      const entry = packages[location];
      for (const name of Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })) {
        const place = findInstalled(packages, location, name);
        // Our own packages stand for themselves.
        if (place === undefined || seen.has(place) || packages[place].link === true) continue;
        seen.add(place);
        waiting.push(place);
        const real = packages[place].name ?? name;
        const key = `${shownName(real)} ${packages[place].version} ${packages[place].license}`;
        const line = found.get(key) ?? {
          name: shownName(real),
          version: packages[place].version,
          license: packages[place].license,
          from: new Set(),
        };
        line.from.add(manifest.name.replace('@recloom/', ''));
        found.set(key, line);
      }
    }
  }
  return [...found.values()].sort(
    (left, right) => left.name.localeCompare(right.name, 'en') || left.version.localeCompare(right.version, 'en'),
  );
}

/** The table in Markdown. */
function table() {
  const lines = runtimeLibraries().map(({ name, version, license, from }) => {
    const users = [...from].sort();
    return `| ${name} | ${version} | ${license ?? 'see its package'} | ${users.length > 4 ? `${users.length} packages` : users.join(', ')} |`;
  });
  return ['| library | version | licence | comes with |', '| --- | --- | --- | --- |', ...lines].join('\n');
}

/** THIRD_PARTY_NOTICES.md as it is and as it should be. */
export function notices() {
  const actual = readFileSync(path, 'utf8');
  const [before, rest] = actual.split(begin);
  const after = rest?.split(end)[1];
  if (after === undefined) throw new Error(`THIRD_PARTY_NOTICES.md has lost its markers: ${begin}`);
  return { actual, expected: `${before}${begin}\n\n${table()}\n\n${end}${after}` };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { actual, expected } = notices();
  if (!process.argv.includes('--check')) writeFileSync(path, expected);
  else if (actual !== expected) {
    console.error('THIRD_PARTY_NOTICES.md is not up to date: run node scripts/third-party-notices.mjs');
    process.exitCode = 1;
  }
}
