/**
 * Checks what a person gets who installs Recloom from npm: `npm run packages:check`.
 *
 * Packs every published package; looks into each tarball (publint, arethetypeswrong, sources, licence); installs all of them
 * into an empty project outside the repository; and there validates and builds a shop with the `recloom` command, embeds it
 * from JavaScript, CommonJS and strict TypeScript, and writes, tests and uses a third party's plugin. Nothing is left behind;
 * `--keep` leaves the folder there and says where. Exit 1 at the first thing that is wrong.
 */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { checkManifests } from './check-manifests.mjs';
import { missingEntries } from './complete-lockfile.mjs';
import { notices } from './third-party-notices.mjs';
import { publishable, readJson, root } from './workspaces.mjs';

const execute = promisify(execFile);
const consumerFiles = join(root, 'scripts/consumer');
const children = new Set();
/** What npm tells the scripts it runs would make an npm of ours work on the repository instead of the project. */
const environment = {
  ...Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^npm_/i.test(name) || /^npm_config_(cache|registry|userconfig|globalconfig)$/i.test(name),
    ),
  ),
  NO_COLOR: '1',
};

/** Something a package got wrong, told in a sentence. */
class Wrong extends Error {}

/** Runs a command to its end; its standard output. Wrong, with all it printed, when it fails, unless `allow` accepts that output. */
async function run(command, parameters, directory, { allow } = {}) {
  const pending = execute(command, parameters, { cwd: directory, env: environment, maxBuffer: 1 << 26, timeout: 300_000 });
  children.add(pending.child);
  try {
    return (await pending).stdout.trim();
  } catch (error) {
    if (typeof error.code === 'number' && allow?.(error.stdout) === true) return error.stdout.trim();
    const printed = [error.stdout, error.stderr].filter((text) => text?.trim()).join('\n');
    throw new Wrong(
      `${command} ${parameters.join(' ')}\nin ${directory} ended with ${error.code ?? error.signal}:\n${printed || error.message}`,
    );
  } finally {
    children.delete(pending.child);
  }
}

/** The files below a folder, relative to it, sorted. */
function filesBelow(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .sort();
}

/** Deletes what the compiler made of sources that are gone: it never does so itself, and npm would pack it. How many files. */
function removeStaleOutputs() {
  let removed = 0;
  for (const { directory } of publishable()) {
    const dist = join(directory, 'dist');
    if (!existsSync(dist)) continue;
    for (const file of filesBelow(dist)) {
      const stem = /^(.*?)(?:\.d\.ts|\.js)(?:\.map)?$/.exec(file)?.[1];
      if (stem === undefined || existsSync(join(directory, 'src', `${stem}.ts`))) continue;
      rmSync(join(dist, file));
      removed++;
    }
  }
  return removed;
}

async function packAll(folder) {
  mkdirSync(folder);
  const packages = publishable();
  const selected = packages.flatMap(({ manifest }) => ['-w', manifest.name]);
  // The repository's .npmrc keeps install scripts from running; packing needs the packages' own.
  const packed = JSON.parse(
    await run('npm', ['pack', '--json', '--ignore-scripts=false', '--pack-destination', folder, ...selected], root).then((text) =>
      text.slice(text.search(/^[[{]/m)),
    ),
  );
  const list = Array.isArray(packed) ? packed : Object.values(packed);
  return packages.map((entry) => {
    const found = list.find((one) => one.name === entry.manifest.name);
    if (found === undefined) throw new Wrong(`npm pack made no tarball of ${entry.manifest.name}`);
    return { ...entry, tarball: join(folder, found.filename), bytes: found.size };
  });
}

/** The relative modules and files that a compiled module asks for. */
function relativeTargets(code) {
  const bare = code.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  return [
    ...bare.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*)['"](\.{1,2}\/[^'"]+)['"]/g),
    ...bare.matchAll(/new URL\(\s*['"](\.{1,2}\/[^'"]+)['"],\s*import\.meta\.url/g),
  ].map((match) => match[1]);
}

/** What is wrong inside one unpacked tarball, as sentences. */
function contentsProblems(entry, unpacked) {
  const problems = [];
  const files = new Set(filesBelow(unpacked));
  const needed = ['package.json', 'README.md', 'LICENSE', ...(existsSync(join(entry.directory, 'NOTICE')) ? ['NOTICE'] : [])];
  for (const file of needed) if (!files.has(file)) problems.push(`${file} is not in the tarball`);
  for (const file of files) {
    if (/^(dist|src)\/.*(\.test\.|\.fixture\.|\/test-)|tsbuildinfo$/.test(file)) problems.push(`${file} should stay at home`);
    if (/^dist\/.*\.js$/.test(file)) {
      const source = file.replace(/^dist\//, 'src/').replace(/\.js$/, '.ts');
      if (!files.has(source)) problems.push(`${file} has no source in the tarball`);
      for (const target of relativeTargets(readFileSync(join(unpacked, file), 'utf8'))) {
        const path = relative(unpacked, resolve(dirname(join(unpacked, file)), target));
        // A folder or a template of a path is the module's own business; a module or a file must be there.
        if (/\.(js|mjs|cjs|json|wasm|yaml)$/.test(path) && !path.includes('${') && !path.startsWith('..') && !files.has(path))
          problems.push(`${file} asks for ${target}, which is not in the tarball`);
      }
    }
    if (/^dist\/.*\.map$/.test(file)) {
      for (const source of readJson(join(unpacked, file)).sources) {
        const path = relative(unpacked, resolve(dirname(join(unpacked, file)), source));
        if (!files.has(path)) problems.push(`${file} leads to ${source}, which is not in the tarball`);
      }
    }
  }
  const bins = Object.values(entry.manifest.bin ?? {});
  for (const bin of bins) if (!files.has(bin.replace(/^\.\//, ''))) problems.push(`bin ${bin} is not in the tarball`);
  return problems;
}

async function checkTarball(entry, unpackedRoot) {
  const directory = join(unpackedRoot, entry.folder.replace('/', '-'));
  mkdirSync(directory, { recursive: true });
  await run('tar', ['-xzf', entry.tarball, '-C', directory, '--strip-components=1'], unpackedRoot);
  const problems = contentsProblems(entry, directory);
  const { messages, pkg } = await publint({ pkgDir: directory, pack: false, strict: true });
  for (const message of messages) {
    const text = formatMessage(message, pkg, { color: false });
    // The CLI's template is a package that will be copied out, not one that is loaded from where it lies.
    if (!text.includes('./template/package.json')) problems.push(`publint: ${text}`);
  }
  if (entry.manifest.exports?.['.'] !== undefined) {
    const attw = join(root, 'node_modules/@arethetypeswrong/cli/dist/index.js');
    await run(
      process.execPath,
      [attw, entry.tarball, '--profile', 'esm-only', '--format', 'ascii', '--no-color', '--no-emoji', '--no-definitely-typed'],
      root,
    );
  }
  if (problems.length > 0) throw new Wrong(`${entry.manifest.name}:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
}

/** Two at a time: the type checks are the longest part of this. */
async function checkTarballs(entries, unpackedRoot) {
  const waiting = [...entries];
  const work = async () => {
    for (let entry = waiting.shift(); entry !== undefined; entry = waiting.shift()) await checkTarball(entry, unpackedRoot);
  };
  await Promise.all([work(), work()]);
}

/** Two CSV files of a made-up shop: 48 items, 60 users who buy within one or two of four categories. No chance in it. */
function writeShop(directory) {
  const wares = {
    garden: ['clay flower pot', 'watering can', 'bird feeder', 'herb seeds', 'garden shears', 'solar lantern'],
    kitchen: ['blue tea pot', 'cake stand', 'wooden spoon set', 'enamel milk jug', 'recipe box', 'glass jam jars'],
    winter: ['warm woollen gloves', 'hand warmer owl', 'hot water bottle', 'knitted scarf', 'fleece blanket', 'thermal socks'],
    toys: ['wooden train', 'paper dolls', 'spinning top', 'rag doll', 'colouring book', 'toy tea set'],
  };
  const categories = Object.keys(wares);
  const items = ['small', 'large'].flatMap((size, turn) =>
    categories.flatMap((category, place) =>
      wares[category].map((ware, index) => {
        const day = String(1 + ((turn * 24 + place * 6 + index) % 28)).padStart(2, '0');
        return {
          id: `item-${turn * 24 + place * 6 + index}`,
          title: `${size} ${ware}`,
          price: 3 + index * 2 + turn,
          category,
          added: `2023-12-${day}`,
        };
      }),
    ),
  );
  const rows = ['id,title,price,category,added', ...items.map((item) => Object.values(item).join(','))];
  writeFileSync(join(directory, 'items.csv'), `${rows.join('\n')}\n`);
  const events = ['user,item,time,type,basket'];
  for (let user = 0; user < 60; user++) {
    for (let step = 0; step < 8; step++) {
      const category = categories[(user + (step >= 6 ? 1 : 0)) % 4];
      const own = items.filter((item) => item.category === category);
      const { id } = own[(user * 5 + step * 7) % own.length];
      const time = new Date(Date.UTC(2024, 0, 1 + step * 3, 9, user)).toISOString();
      events.push([`user-${user}`, id, time, step % 3 === 2 ? 'view' : 'purchase', `basket-${user}-${step >> 1}`].join(','));
    }
  }
  writeFileSync(join(directory, 'events.csv'), `${events.join('\n')}\n`);
}

/** An empty project with the tarballs in it, and nothing else but what its own tests need. */
async function installProject(directory, packages) {
  mkdirSync(directory);
  const { devDependencies } = readJson(join(root, 'package.json'));
  const tools = Object.fromEntries(['typescript', 'vitest', '@types/node'].map((name) => [name, devDependencies[name]]));
  const zod = readJson(join(root, 'packages/core/package.json')).dependencies.zod;
  writeFileSync(
    join(directory, 'package.json'),
    JSON.stringify({
      name: 'newcomer',
      private: true,
      type: 'module',
      dependencies: { zod, ...Object.fromEntries(packages.map(({ manifest, tarball }) => [manifest.name, `file:${tarball}`])) },
      devDependencies: tools,
    }),
  );
  await run('npm', ['install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'], directory);
  for (const { manifest } of packages) {
    const nested = await import('node:fs').then(({ lstatSync }) => lstatSync(join(directory, 'node_modules', manifest.name)));
    if (nested.isSymbolicLink()) throw new Wrong(`${manifest.name} was linked, not installed`);
  }
  const twice = filesBelow(join(directory, 'node_modules')).filter((file) => /node_modules\/@recloom\/[^/]+\/package\.json$/.test(file));
  if (twice.length > 0) throw new Wrong(`installed twice: ${twice.join(', ')}`);
  writeShop(directory);
  cpSync(consumerFiles, directory, { recursive: true });
}

/** The `recloom` command of the project. */
const recloom = (project, ...parameters) => run('npx', ['--no', 'recloom', ...parameters], project);

async function checkCommand(project) {
  const valid = JSON.parse(await recloom(project, 'validate', 'shop.yaml', '--json'));
  if (valid.counts?.items !== 48 || valid.counts?.users !== 60 || valid.counts?.events !== 480)
    throw new Wrong(`recloom validate counted ${JSON.stringify(valid.counts)}, not 48 items, 60 users and 480 events`);
  const lines = (await recloom(project, 'build', 'shop.yaml', '--json')).split('\n').map((line) => JSON.parse(line));
  if (lines.at(-1).event !== 'report') throw new Wrong('recloom build --json does not end with its report');
  const answer = JSON.parse(await recloom(project, 'recommend', 'shop.yaml', '--user', 'user-3', '--purpose', 'personalisation', '--json'));
  if (!(answer.items?.length > 0)) throw new Wrong('recloom recommend answered without items');
  return `${valid.counts.items} items, ${valid.counts.users} users, ${valid.counts.events} events; ${answer.items.length} recommendations`;
}

/**
 * Strict, with the libraries checked too. Errors within @types/node are not ours and cannot be mended here: as of 20.19 its
 * https.d.ts contradicts itself under exactOptionalPropertyTypes.
 */
async function checkTypeScript(project) {
  const printed = await run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json', '--pretty', 'false'], project, {
    allow: (output) => !output.split('\n').some((line) => /^\S.*: error TS/.test(line) && !line.startsWith('node_modules/@types/node/')),
  });
  const note = await run(process.execPath, ['built/embedding.js'], project);
  return printed === '' ? note : `${note} (@types/node has errors of its own)`;
}

/** A plugin by somebody else: from the template, compiled, tested with the conformance kit, packed, installed, used. */
async function checkThirdParty(project) {
  await recloom(project, 'plugins', 'new', 'acme');
  const directory = join(project, 'recloom-plugin-acme');
  await run(process.execPath, [join(project, 'node_modules/typescript/bin/tsc'), '-b'], directory);
  const report = join(project, 'acme.json');
  await run(
    process.execPath,
    [join(project, 'node_modules/vitest/vitest.mjs'), 'run', '--root', directory, '--reporter=json', `--outputFile=${report}`],
    directory,
  );
  const { numPassedTests, numFailedTests, numPendingTests, testResults } = readJson(report);
  const laws = testResults.flatMap((file) => file.assertionResults).filter((test) => test.fullName.includes('conformance of acme'));
  if (numFailedTests > 0 || numPendingTests > 0 || laws.length < 10)
    throw new Wrong(
      `the plugin's tests: ${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests} skipped, ${laws.length} of them laws`,
    );
  const [packed] = Object.values(JSON.parse(await run('npm', ['pack', '--json', '--pack-destination', project], directory)));
  await run('npm', ['install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', `./${packed.filename}`], project);
  writeFileSync(
    join(project, 'acme.yaml'),
    [
      'format: "1.0"',
      'name: acme',
      'base: ./shop.yaml',
      'components:',
      '  new: { use: acme/newest, in: { added: item.added } }',
      'surfaces:',
      '  new: { sources: { new: 50 } }',
      '',
    ].join('\n'),
  );
  await recloom(project, 'build', 'acme.yaml');
  const answer = JSON.parse(await recloom(project, 'recommend', 'acme.yaml', '--surface', 'new', '--limit', '3', '--json'));
  // Item 27 is the only one that was added on 28 December, the latest date of the file.
  if (answer.items?.[0]?.id !== 'item-27') throw new Wrong(`acme/newest put ${answer.items?.[0]?.id} first, not item-27`);
  return `${numPassedTests} tests of the plugin passed, ${laws.length} of them laws; found as recloom-plugin-acme`;
}

/** One step, with its time. */
async function step(name, work) {
  const started = performance.now();
  process.stdout.write(`${name} … `);
  const note = await work();
  console.log(`ok (${((performance.now() - started) / 1000).toFixed(1)} s)${typeof note === 'string' ? `: ${note}` : ''}`);
}

async function checkAll(folder) {
  let packages = [];
  const project = join(folder, 'project');
  await step('package.json, LICENSE, notices and lockfile', () => {
    const problems = checkManifests();
    const { entries, unclear } = missingEntries(readJson(join(root, 'package-lock.json')).packages);
    if (Object.keys(entries).length + unclear.length > 0)
      problems.push('package-lock.json lacks packages of other platforms: run node scripts/complete-lockfile.mjs');
    const { actual, expected } = notices();
    if (actual !== expected) problems.push('THIRD_PARTY_NOTICES.md is not up to date: run node scripts/third-party-notices.mjs');
    if (problems.length > 0) throw new Wrong(problems.join('\n'));
  });
  await step('npm pack', async () => {
    removeStaleOutputs();
    packages = await packAll(join(folder, 'tarballs'));
    const bytes = packages.reduce((sum, entry) => sum + entry.bytes, 0);
    return `${packages.length} tarballs, ${(bytes / 1e6).toFixed(1)} MB`;
  });
  await step('publint, arethetypeswrong, contents', () => {
    mkdirSync(join(folder, 'unpacked'));
    return checkTarballs(packages, join(folder, 'unpacked'));
  });
  await step('install into an empty project', () => installProject(project, packages));
  await step('recloom validate, build, recommend', () => checkCommand(project));
  await step('embedding from JavaScript', () => run(process.execPath, ['embedding.mjs'], project));
  const names = packages.filter(({ manifest }) => manifest.exports?.['.'] !== undefined && manifest.name !== '@recloom/cli');
  await step('embedding from CommonJS', () =>
    run(process.execPath, ['embedding.cjs', ...names.map(({ manifest }) => manifest.name)], project),
  );
  await step('embedding from strict TypeScript', () => checkTypeScript(project));
  await step("a third party's plugin", () => checkThirdParty(project));
}

async function main() {
  const folder = mkdtempSync(join(tmpdir(), 'recloom-packages-'));
  const keep = process.argv.includes('--keep');
  const clean = () => {
    if (!keep) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    rmSync(join(root, 'packages/cli/template'), { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      for (const child of children) child.kill();
      clean();
      process.exit(signal === 'SIGINT' ? 130 : 143);
    });
  }
  try {
    await checkAll(folder);
    console.log('The packages are fit to be published.');
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    console.error(`\n${error.message}`);
    process.exitCode = 1;
  } finally {
    clean();
    if (keep) console.log(`Left in ${folder}`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
