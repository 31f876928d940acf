import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { capabilityLines } from './docs-capabilities.mjs';
import { exportsOf } from './docs-exports.mjs';
import { root } from './docs-markdown.mjs';
import { schemaRows } from './docs-schema.mjs';

const notice = '<!-- Written by `npm run docs:generate` from the code. Do not edit: change the code and run it again. -->';

/** The compiled module of a package; imported when a page needs it, so that the build must have run. */
async function compiled(packageDirectory, file = 'dist/index.js') {
  const path = join(root, packageDirectory, file);
  if (!existsSync(path)) throw new Error(`${packageDirectory} is not compiled; run "npm run build" first`);
  return import(pathToFileURL(path).href);
}

/** Text inside a table cell. */
const cell = (text) => outsideCode(String(text)).replaceAll('|', '\\|').replaceAll('\n', ' ').trim();
/** Angle brackets in prose would be HTML. */
const outsideCode = (text) => text.replace(/(`[^`]*`)|</g, (match, span) => span ?? '&lt;');
const table = (head, rows) =>
  [`| ${head.join(' | ')} |`, `| ${head.map(() => '---').join(' | ')} |`, ...rows.map((row) => `| ${row.map(cell).join(' | ')} |`)].join(
    '\n',
  );
const code = (text) => `\`${text}\``;

/** The pages of `docs/reference/`: path relative to the repository, and how its text is made. */
export const referencePages = {
  'docs/reference/plugins.md': pluginsPage,
  'docs/reference/capabilities.md': capabilitiesPage,
  'docs/reference/errors.md': errorsPage,
  'docs/reference/cli.md': cliPage,
  'docs/reference/config.md': configPage,
  'docs/reference/api.md': apiPage,
};

/** Every plugin of the repository by its folder, compiled, with its npm name. */
export async function allPlugins() {
  const folders = readdirSync(join(root, 'plugins'))
    .filter((name) => existsSync(join(root, 'plugins', name, 'package.json')))
    .sort();
  return Promise.all(
    folders.map(async (folder) => ({
      folder: `plugins/${folder}`,
      packageName: JSON.parse(readFileSync(join(root, 'plugins', folder, 'package.json'), 'utf8')).name,
      definition: (await compiled(`plugins/${folder}`)).default,
    })),
  );
}

const contractNames = {
  data: 'DataSource',
  extractor: 'FeatureExtractor',
  source: 'CandidateSource',
  filter: 'CandidateFilter',
  scorer: 'Scorer',
  ranker: 'Ranker',
  privacy: 'PrivacyFilter',
  effect: 'SideEffect',
};

async function pluginsPage() {
  const plugins = await allPlugins();
  const lines = [
    '# Plugins and their components',
    '',
    notice,
    '',
    'A component is named in a config as `<plugin>/<component>`. Options stand under `with:`, inputs under `in:`. `recloom plugins` prints the same for what is installed.',
    '',
    table(
      ['component', 'provides', 'what it does'],
      plugins.flatMap(({ definition }) =>
        definition.components.map((component) => {
          const reference = `${definition.id}/${component.id}`;
          return [`[${code(reference)}](#${anchor(reference)})`, component.provides.join(', '), component.summary];
        }),
      ),
    ),
    '',
  ];
  for (const { folder, packageName, definition } of plugins) {
    lines.push(`## ${definition.id}`, '', `Package ${code(packageName)}; [README](../../${folder}/README.md).`, '');
    for (const component of definition.components) lines.push(...componentSection(definition.id, component));
  }
  return finish(lines);
}

async function capabilitiesPage() {
  return finish(['# What the algorithms can do', '', notice, '', ...capabilityLines(await allPlugins(), { table, code })]);
}

const anchor = (heading) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_\- ]/gu, '')
    .replace(/ /g, '-');

function componentSection(pluginId, component) {
  const lines = [`### ${pluginId}/${component.id}`, '', component.summary, ''];
  const facts = [
    `Provides: ${component.provides.map((name) => contractNames[name]).join(', ')}.`,
    component.reads.length === 0 ? 'Reads no personal label.' : `Reads: ${component.reads.map(code).join(', ')}.`,
    component.fit === undefined ? 'Learns nothing.' : `Learns at build time (state version ${component.stateVersion}).`,
    ...(Object.keys(component.needs).length === 0
      ? []
      : [
          `Services: ${Object.values(component.needs)
            .map((token) => code(token.id))
            .join(', ')}.`,
        ]),
    `Capabilities: ${capabilityWords(component.capabilities)}.`,
  ];
  lines.push(...facts.map((fact) => `- ${fact}`), '');
  const inputs = Object.entries(component.inputs);
  if (inputs.length > 0) {
    const kinds = { 'item-field': 'item field', 'user-field': 'user field', feature: 'vectors of a component' };
    lines.push(
      table(
        ['input', 'takes', 'required', 'meaning'],
        inputs.map(([name, input]) => [
          code(name),
          `${kinds[input.kind]}${input.types === undefined ? '' : ` (${input.types.join(', ')})`}${input.many ? ', one or a list' : ''}`,
          input.optional ? 'no' : 'yes',
          input.description,
        ]),
      ),
      '',
    );
  }
  const rows = schemaRows(component.options['~standard'].jsonSchema.input({ target: 'draft-2020-12' }));
  if (rows.length === 0) lines.push('No options.', '');
  else lines.push(optionTable('option', rows), '');
  return lines;
}

function optionTable(head, rows) {
  return table(
    [head, 'type', 'default', 'meaning'],
    rows.map(defaultToColumn).map((row) => [code(row.path), row.type, defaultWords(row), row.description]),
  );
}

/** A default that the description tells in words ("Default: no limit.") goes into its column; one told twice is told once. */
function defaultToColumn(row) {
  const found = /(?:^|\s)Default:? ((?:[^.]|\.(?=\w|"))+)\.$/.exec(row.description) ?? / ?\(default ([^()]+)\)\.$/.exec(row.description);
  if (found === null) return row;
  const description = row.description.slice(0, found.index).replace(/([^.])$/, '$1.');
  if (row.default === undefined) return { ...row, description, told: found[1] };
  const same = [row.default, JSON.parse(row.default)].some((value) => String(value) === found[1]);
  return same ? { ...row, description } : row;
}

function defaultWords(row) {
  if (row.default !== undefined) return code(row.default);
  if (row.told !== undefined) return row.told;
  return row.required ? '**required**' : '–';
}

function capabilityWords(capabilities) {
  const entries = Object.entries(capabilities).filter(([, value]) => value !== undefined);
  if (entries.length === 0) return 'none declared';
  return entries
    .map(([name, value]) => (value === true ? name : value === false ? `not ${name}` : `${name} ${[value].flat().join(', ')}`))
    .join('; ');
}

/** Codes that were once raised and are no longer: code → since when and what stands in for it. */
const retiredCodes = {};

/** A table's message with `{name}` where its values go. */
export function messageShape(entry) {
  const values = new Proxy({}, { get: (_, name) => (typeof name === 'string' ? `{${name}}` : undefined), has: () => true });
  return entry.message(values);
}

const areas = {
  CFG: 'Config',
  DAT: 'Data, models and snapshots',
  DI: 'Wiring',
  KRN: 'Kernels',
  LAW: 'A component broke its contract',
  PLG: 'Plugins',
  PRV: 'Privacy',
  RUN: 'Requests and running models',
};

async function errorsPage() {
  const { errorCodes } = await compiled('packages/plugin-api');
  const codes = Object.keys(errorCodes).sort();
  const lines = [
    '# Errors and warnings',
    '',
    notice,
    '',
    'Every error is a `RecloomError` with `code`, `message`, `hint`, `at` (file, line, column, component), `retryable` and `cause`; a config with several problems carries all of them under `problems`. Warnings are values `{ code, message, at, count }` in answers and build reports. Messages never hold item or user data. `{name}` stands for a value of the case.',
    '',
  ];
  for (const [area, title] of Object.entries(areas)) {
    const own = codes.filter((name) => name.split('_')[1] === area);
    if (own.length === 0) continue;
    lines.push(`## ${title}`, '');
    for (const name of own) {
      const entry = errorCodes[name];
      lines.push(
        `### ${name}`,
        '',
        `> ${messageShape(entry)}`,
        '',
        `${entry.hint}`,
        '',
        `For: ${entry.audience}.${entry.retryable === true ? ' The same call may succeed later.' : ''}`,
        '',
      );
    }
  }
  const unplaced = codes.filter((name) => areas[name.split('_')[1]] === undefined);
  if (unplaced.length > 0) throw new Error(`these codes have an area that errors.md does not know: ${unplaced.join(', ')}`);
  lines.push(
    '## Errors of plugins',
    '',
    'Declared by the plugins in `definePlugin({ errors })`. Those whose text begins with "Warning" are warnings of a build or an answer.',
    '',
  );
  for (const { definition } of await allPlugins()) {
    for (const error of [...definition.errors].sort((left, right) => (left.code < right.code ? -1 : 1)))
      lines.push(`### ${error.code}`, '', `Plugin ${code(definition.id)}. ${error.summary}`, '', error.hint, '');
  }
  lines.push('## Retired codes', '');
  const retired = Object.entries(retiredCodes);
  lines.push(
    retired.length === 0
      ? 'None so far. A code that is no longer raised is listed here, so that a search for it still ends somewhere.'
      : table(
          ['code', 'what became of it'],
          retired.map(([name, words]) => [code(name), words]),
        ),
    '',
  );
  return finish(lines);
}

async function cliPage() {
  const { runCli } = await compiled('packages/cli', 'dist/run-cli.js');
  const help = async (words) => {
    let text = '';
    const stream = { write: (part) => (text += part), isTTY: false };
    const signal = new AbortController().signal;
    await runCli([...words, '--help'], { stdout: stream, stderr: stream, env: { NO_COLOR: '1' }, directory: root, signal });
    return text.trimEnd();
  };
  const main = await help([]);
  const lines = ['# The recloom command', '', notice, '', 'What `--help` prints.', '', '```text', main, '```', ''];
  for (const name of subcommands(main)) {
    const text = await help([name]);
    lines.push(`## recloom ${name}`, '', '```text', text, '```', '');
    for (const inner of subcommands(text)) lines.push(`### recloom ${name} ${inner}`, '', '```text', await help([name, inner]), '```', '');
  }
  return finish(lines);
}

/** Names under "Commands:" of a help text. */
function subcommands(text) {
  const listed = /^Commands:\n((?:[ \t].*\n?)*)/m.exec(text)?.[1] ?? '';
  return [...listed.matchAll(/^ {2}(\w[\w-]*)/gm)].map((match) => match[1]).filter((name) => name !== 'help');
}

async function configPage() {
  const { configJsonSchema } = await compiled('packages/core');
  const schema = configJsonSchema([]);
  const { component, surface } = schema.$defs;
  const properties = { ...schema.properties };
  const described = (text) => ({ description: text, type: 'object' });
  const component_ = ' (a [component](#a-component))';
  properties.components = described(`${schema.properties.components.description} Each is a [component](#a-component).`);
  properties.surfaces = described(`${schema.properties.surfaces.description} Each is a [surface](#a-surface).`);
  properties.data = {
    ...schema.properties.data,
    properties: Object.fromEntries(
      Object.entries(schema.properties.data.properties).map(([key, value]) =>
        ['items', 'events', 'users'].includes(key)
          ? [key, described(`${value.description.replace(/\.$/, '')}${component_}.`)]
          : [key, value],
      ),
    ),
  };
  const rows = (part) => schemaRows(withoutNull(part));
  const required = ['format', 'name', 'data', 'components', 'surfaces'];
  const lines = [
    '# The config file',
    '',
    notice,
    '',
    'YAML 1.2 or JSON; every key is listed here, and an unknown key is an error with a suggestion. `recloom schema` writes the JSON Schema, with the options of the installed plugins, for editors.',
    '',
    '- `${env:NAME}` inside a text is replaced by the environment variable. There is no other substitution and no code.',
    '- With `base:`, mappings are merged key by key and everything else is replaced; `name: null` takes an inherited entry out. Required keys may come from the base.',
    '- Relative paths start from the folder of the config file.',
    '',
    '## Top level',
    '',
    optionTable('key', rows({ ...schema, properties, required })),
    '',
    '## A component',
    '',
    'One entry of `components`, and of `data.items`, `data.events` and `data.users`. Its options and inputs are those of the [component it uses](plugins.md).',
    '',
    optionTable('key', rows({ ...component, required: ['use'] })),
    '',
    '## A surface',
    '',
    optionTable('key', rows({ ...surface, required: ['sources'] })),
    '',
    'Entries of `filters`, `features`, `scorers`, `rankers`, `privacy` and `effects` are names of components, or `{ use: name, onError: skip | fail }`. When `onError` is not given, filters fail the request; features, scorers, rankers and effects are left out with a warning; privacy filters always close.',
    '',
  ];
  return finish(lines);
}

/** A copy in which "or null", which only a config with a base may write, is left out. */
function withoutNull(value) {
  if (Array.isArray(value)) return value.map(withoutNull);
  if (typeof value !== 'object' || value === null) return value;
  const copy = Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, withoutNull(entry)]));
  if (Array.isArray(copy.type)) {
    const types = copy.type.filter((type) => type !== 'null');
    copy.type = types.length === 1 ? types[0] : types;
  }
  if (Array.isArray(copy.anyOf)) {
    const kept = copy.anyOf.filter((entry) => entry.type !== 'null');
    if (kept.length === 1) {
      const { anyOf: _anyOf, ...rest } = copy;
      return { ...kept[0], ...rest };
    }
    copy.anyOf = kept;
  }
  return copy;
}

const apiPackages = [
  ['packages/plugin-api', 'src/index.ts', '@recloom/plugin-api'],
  ['packages/core', 'src/index.ts', '@recloom/core'],
  ['packages/testing', 'src/index.ts', '@recloom/testing'],
  ['packages/testing', 'src/vitest.ts', '@recloom/testing/vitest'],
  ['packages/evaluate', 'src/index.ts', '@recloom/evaluate'],
  ['packages/decorators', 'src/index.ts', '@recloom/decorators'],
];

async function apiPage() {
  const lines = [
    '# Public exports',
    '',
    notice,
    '',
    'The first sentence of each docstring; the link leads to the source, whose types and docstrings are the full contract. What is not listed here is not public.',
    '',
  ];
  for (const [directory, entry, name] of apiPackages) {
    if (!existsSync(join(root, directory, entry))) continue;
    lines.push(`## ${name}`, '');
    lines.push(
      table(
        ['export', 'kind', 'what it is'],
        exportsOf(directory, entry).map((found) => [
          found.file === undefined ? code(found.name) : `[${code(found.name)}](../../${found.file})`,
          found.kind,
          found.summary,
        ]),
      ),
      '',
    );
  }
  return finish(lines);
}

function finish(lines) {
  return `${lines.join('\n').trimEnd()}\n`;
}
