/**
 * What every published package says of itself, checked against the root: `node scripts/check-manifests.mjs`, and with
 * `--write` the derived fields and the copies of LICENSE are brought in line.
 *
 * Derived: ranges of our own packages, licence, author, repository with folder, homepage, bugs, engines, publishConfig, `types`, and what `files` must
 * hold. By hand, checked only: description, keywords, pins, exports.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { publishable, readJson, root, workspaces } from './workspaces.mjs';

const order =
  'name version private description keywords homepage bugs license author repository type sideEffects engines bin types exports files publishConfig recloom scripts peerDependencies peerDependenciesMeta dependencies'.split(
    ' ',
  );

/** Tests, fixtures and the compiler's notes stay at home; sources travel, so that the source maps lead somewhere. */
const codeFiles = [
  'dist',
  'src',
  '!dist/.tsbuildinfo',
  ...['dist', 'src'].flatMap((folder) => [
    `!${folder}/**/*.test.*`,
    `!${folder}/**/*.fixture.*`,
    `!${folder}/**/*.test-support.*`,
    `!${folder}/**/test-*`,
    `!${folder}/**/test-support`,
  ]),
];

/** The range under which our packages ask for each other: the line of versions that a release belongs to. */
function rangeFor(version) {
  const [major, minor] = version.split('.').map(Number);
  return major === 0 ? `>=0.${minor}.0 <0.${minor + 1}.0` : `>=${major}.0.0 <${major + 1}.0.0`;
}

/** The fields of a package that follow from the root and from where it lies. */
function derivedFields({ folder, directory, manifest }, rootManifest, versions) {
  const isCode = existsSync(join(directory, 'src'));
  const own = (manifest.files ?? []).filter(
    (entry) => !entry.startsWith('!') && !codeFiles.includes(entry) && !['README.md', 'LICENSE'].includes(entry),
  );
  const ranges = (kind) =>
    manifest[kind] === undefined
      ? {}
      : {
          [kind]: Object.fromEntries(
            Object.entries(manifest[kind]).map(([name, range]) => [name, versions.has(name) ? rangeFor(versions.get(name)) : range]),
          ),
        };
  return {
    ...ranges('peerDependencies'),
    ...ranges('dependencies'),
    license: rootManifest.license,
    author: rootManifest.author,
    homepage: `${rootManifest.homepage.replace(/#.*$/, '')}/tree/main/${folder}#readme`,
    bugs: rootManifest.bugs,
    repository: { ...rootManifest.repository, directory: folder },
    engines: rootManifest.engines,
    type: 'module',
    sideEffects: false,
    publishConfig: { access: 'public' },
    files: [...(isCode ? codeFiles : []), ...own, 'README.md', 'LICENSE'],
    ...(isCode ? { types: manifest.exports?.['.']?.types } : {}),
  };
}

/** What cannot be derived and is wrong, as sentences. */
function problemsOf({ folder, directory, manifest }, all, rootVersion) {
  const problems = [];
  const wrong = (text) => problems.push(`${folder}: ${text}`);
  if (!manifest.description) wrong('package.json has no description');
  if (!(manifest.keywords ?? []).includes('recloom')) wrong('keywords must include "recloom"');
  if (manifest.recloom?.id !== undefined && !manifest.keywords?.includes('recloom-plugin'))
    wrong('keywords of a plugin must include "recloom-plugin": that is how one finds it on npm');
  for (const [subpath, target] of Object.entries(manifest.exports ?? {})) {
    if (typeof target === 'string') continue;
    const conditions = Object.keys(target);
    if (conditions.join() !== 'types,default')
      wrong(`exports["${subpath}"] must be types, then default (which serves import and require), not ${conditions.join(', ')}`);
  }
  if (manifest.main !== undefined || manifest.module !== undefined) wrong('main and module are for bundles of old; exports says it all');
  const versions = new Map(all.map((entry) => [entry.manifest.name, entry.manifest.version]));
  for (const kind of ['dependencies', 'peerDependencies', 'optionalDependencies']) {
    for (const [name, range] of Object.entries(manifest[kind] ?? {})) {
      const version = versions.get(name);
      if (version !== undefined) {
        const expected = rangeFor(version);
        if (range !== expected) wrong(`${kind}.${name} must be "${expected}" (npm knows no workspace: ranges), not "${range}"`);
        if (all.find((entry) => entry.manifest.name === name).manifest.private === true)
          wrong(`${name} is private: nobody could install this`);
      } else if (kind === 'dependencies' && !/^(npm:(@[\w.-]+\/)?[\w.-]+@)?\d+\.\d+\.\d+[\w.+-]*$/.test(range)) {
        wrong(`${kind}.${name} must be pinned, not "${range}": "^" does not protect from a library that leaves Node 20`);
      }
    }
  }
  if (manifest.recloom?.id !== undefined && manifest.peerDependencies?.['@recloom/plugin-api'] === undefined)
    wrong('a plugin takes @recloom/plugin-api as a peer');
  // Changesets makes a major of every package whose peer leaves its range: at 0.x a minor of plugin-api would do that.
  if (manifest.version.split('.')[0] !== rootVersion.split('.')[0])
    wrong(
      `version ${manifest.version} leaves the line of the repository (${rootVersion}); if that is meant, raise the version in the root package.json`,
    );
  if (!existsSync(join(directory, 'README.md'))) wrong('there is no README.md');
  return problems;
}

/** A preset names its plugins in YAML alone: whoever installs the presets must get all of these, and no others. */
function problemsOfPresets({ directory, manifest }) {
  const presets = join(directory, 'presets');
  const texts = readdirSync(presets, { recursive: true })
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => readFileSync(join(presets, file), 'utf8'));
  const named = new Set(
    texts.flatMap((text) => Array.from(text.matchAll(/\buse: *["']?([\w-]+)\//g), ([, id]) => `@recloom/plugin-${id}`)),
  );
  const taken = Object.keys(manifest.dependencies ?? {});
  return [
    ...[...named].filter((name) => !taken.includes(name)).map((name) => `packages/presets: a preset uses ${name}, which is no dependency`),
    ...taken.filter((name) => !named.has(name)).map((name) => `packages/presets: no preset uses the dependency ${name}`),
  ];
}

/** Checks (or, with `write`, mends) every published package; the problems that are left, as sentences. */
export function checkManifests({ write = false } = {}) {
  const rootManifest = readJson(join(root, 'package.json'));
  const licence = readFileSync(join(root, 'LICENSE'), 'utf8');
  const all = workspaces();
  const versions = new Map(all.map((entry) => [entry.manifest.name, entry.manifest.version]));
  const problems = [];
  for (const entry of publishable()) {
    const fields = derivedFields(entry, rootManifest, versions);
    const stale = Object.entries(fields).filter(([key, value]) => JSON.stringify(entry.manifest[key]) !== JSON.stringify(value));
    if (stale.length > 0) {
      if (write) {
        const merged = { ...entry.manifest, ...fields };
        const keys = [...order.filter((key) => key in merged), ...Object.keys(merged).filter((key) => !order.includes(key))];
        entry.manifest = Object.fromEntries(keys.map((key) => [key, merged[key]]));
        writeFileSync(join(entry.directory, 'package.json'), `${JSON.stringify(entry.manifest, null, 2)}\n`);
      } else {
        problems.push(
          `${entry.folder}: ${stale.map(([key]) => key).join(', ')} in package.json: run node scripts/check-manifests.mjs --write`,
        );
      }
    }
    const licencePath = join(entry.directory, 'LICENSE');
    if (!existsSync(licencePath) || readFileSync(licencePath, 'utf8') !== licence) {
      if (write) writeFileSync(licencePath, licence);
      else problems.push(`${entry.folder}: LICENSE is not the root's: run node scripts/check-manifests.mjs --write`);
    }
    problems.push(...problemsOf(entry, all, rootManifest.version));
    if (entry.manifest.name === '@recloom/presets') problems.push(...problemsOfPresets(entry));
  }
  return problems;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const problems = checkManifests({ write: process.argv.includes('--write') });
  for (const problem of problems) console.error(problem);
  console.log(
    problems.length === 0 ? `package.json and LICENSE of ${publishable().length} packages: in order.` : `${problems.length} problems.`,
  );
  process.exitCode = problems.length === 0 ? 0 : 1;
}
