/**
 * Adds to package-lock.json the optional packages of other platforms that the registry at hand did not serve:
 * `node scripts/complete-lockfile.mjs` writes, with `--check` it only says whether something is missing (exit 1).
 *
 * npm leaves an optional package out of the lockfile when it cannot fetch its metadata (a mirror that carries one platform
 * only). `npm ci` of npm 11 then refuses the whole lockfile, and a Mac would install without its native packages. What is
 * missing is known without asking anybody: the parent names an exact version, and the package's name says its platform.
 * No integrity is known for these, so npm takes it from the registry that serves them; a later `npm install` fills it in.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const path = join(dirname(fileURLToPath(import.meta.url)), '..', 'package-lock.json');
const systems = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const processors = ['arm64', 'arm', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'x64'];

/** The platform that a package like `@oxlint/binding-linux-arm64-musl` is for; undefined when its name does not say. */
export function platformOf(packageName) {
  const parts = packageName.split('/').at(-1).split('-');
  const os = systems.find((system) => parts.includes(system));
  const cpu = processors.find((processor) => parts.includes(processor));
  if (os === undefined || cpu === undefined) return undefined;
  if (os !== 'linux') return { os: [os], cpu: [cpu] };
  const musl = parts.some((part) => part.startsWith('musl'));
  const glibc = parts.some((part) => part.startsWith('gnu'));
  return { os: [os], cpu: [cpu], ...(musl ? { libc: ['musl'] } : glibc ? { libc: ['glibc'] } : {}) };
}

/** Where Node would find `name` from the package at `location`, among the places the lockfile lists. */
export function findInstalled(packages, location, name) {
  for (let folder = location; ; ) {
    const place = `${folder === '' ? '' : `${folder}/`}node_modules/${name}`;
    if (packages[place] !== undefined) return place;
    if (folder === '') return undefined;
    const end = folder.lastIndexOf('node_modules/');
    folder = end <= 0 ? '' : folder.slice(0, end - 1);
  }
}

/** The entries that `packages` lacks, by the place they belong; and the names whose platform cannot be told. */
export function missingEntries(packages) {
  const entries = {};
  const unclear = [];
  for (const [location, parent] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
      if (findInstalled(packages, location, name) !== undefined) continue;
      const platform = platformOf(name);
      if (platform === undefined || !/^\d+\.\d+\.\d+[\w.+-]*$/.test(version)) {
        unclear.push(`${name}@${version}`);
        continue;
      }
      const { os, cpu, libc } = platform;
      entries[`node_modules/${name}`] = {
        version,
        cpu,
        ...(parent.dev === true ? { dev: true } : {}),
        ...(libc === undefined ? {} : { libc }),
        ...(parent.license === undefined ? {} : { license: parent.license }),
        optional: true,
        os,
        ...(parent.engines === undefined ? {} : { engines: parent.engines }),
      };
    }
  }
  return { entries, unclear };
}

function main() {
  const text = readFileSync(path, 'utf8');
  const lockfile = JSON.parse(text);
  const { entries, unclear } = missingEntries(lockfile.packages);
  for (const name of unclear) console.error(`package-lock.json lacks ${name}, and its name does not say for which platform it is.`);
  const names = Object.keys(entries);
  if (process.argv.includes('--check')) {
    if (names.length > 0)
      console.error(
        `package-lock.json lacks ${names.length} packages of other platforms, so npm 11 refuses it: run node scripts/complete-lockfile.mjs`,
      );
    process.exitCode = names.length + unclear.length > 0 ? 1 : 0;
    return;
  }
  const sorted = Object.entries({ ...lockfile.packages, ...entries }).sort(([left], [right]) => left.localeCompare(right, 'en'));
  writeFileSync(path, `${JSON.stringify({ ...lockfile, packages: Object.fromEntries(sorted) }, null, 2)}\n`);
  console.log(`package-lock.json: ${names.length} packages of other platforms added.`);
  process.exitCode = unclear.length > 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
