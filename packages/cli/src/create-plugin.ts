import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UsageError } from './report-error.js';

/** A plugin that was just written. */
export interface CreatedPlugin {
  readonly id: string;
  readonly packageName: string;
  /** Absolute. */
  readonly directory: string;
  /** As a person would write it from the working folder. */
  readonly shownDirectory: string;
  /** Relative to `directory`, sorted. */
  readonly files: readonly string[];
  /** Commands to run next. */
  readonly next: readonly string[];
  /** True in the repository, where npm links it and every config finds it by its id. */
  readonly isWorkspace: boolean;
  /** True when Recloom's own packages are taken from the checkout this command runs from, by `file:` ranges. */
  readonly fromCheckout: boolean;
}

const packageDirectory = fileURLToPath(new URL('..', import.meta.url));

/** The repository this command runs from; undefined when it is installed from a registry. */
function ownCheckout(): string | undefined {
  const root = resolve(packageDirectory, '../..');
  return existsSync(join(root, 'plugins/_template/package.json')) ? root : undefined;
}

/** The template: in the repository the plugin itself, in an installed CLI the copy that `prepack` made. */
export function templateDirectory(): string {
  const root = ownCheckout();
  return root === undefined ? join(packageDirectory, 'template') : join(root, 'plugins/_template');
}

/** Without what the name of a plugin's package begins with: `recloom-plugin-season` is the plugin `season`. */
function idOf(given: string): string {
  return given.replace(/^(?:@recloom\/plugin-|recloom-plugin-)/, '');
}

/**
 * Copies the template and puts an id in; `given` is the id, or the name of the package it is to have.
 *
 * @throws UsageError when the id cannot be one or the folder is not empty
 */
export async function createPlugin(
  given: string,
  options: { readonly workingDirectory: string; readonly directory?: string; readonly template?: string },
): Promise<CreatedPlugin> {
  const id = idOf(given);
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(id) || id === 'template')
    throw new UsageError(`"${given}" cannot be the id of a plugin.`, 'Use lower-case words joined by hyphens, e.g. my-plugin.');
  const { workingDirectory } = options;
  const root = repositoryRoot(options.directory ?? workingDirectory);
  const directory = options.directory ?? (root === undefined ? join(workingDirectory, `recloom-plugin-${id}`) : join(root, 'plugins', id));
  if (existsSync(directory) && readdirSync(directory).length > 0)
    throw new UsageError(`${relative(workingDirectory, directory) || '.'} is not empty.`, 'Choose another folder with --directory.');
  const isWorkspace = root !== undefined && dirname(directory) === join(root, 'plugins');
  const packageName = isWorkspace ? `@recloom/plugin-${id}` : `recloom-plugin-${id}`;
  const template = options.template ?? templateDirectory();
  await mkdir(directory, { recursive: true });
  const checkout = isWorkspace ? undefined : ownCheckout();
  // npm reads a `file:` range from where the package really lies.
  const ranges = rangesOf(checkout === undefined ? undefined : relative(realpathSync(directory), realpathSync(checkout)));
  const names: Names = { id, packageName, isWorkspace, ranges };
  const texts = new Map<string, string>();
  for (const file of await filesOf(template)) texts.set(file, adapt(file, await readFile(join(template, file), 'utf8'), names));
  if (!isWorkspace) for (const [file, text] of Object.entries(standaloneFiles)) texts.set(file, text);
  const files = [...texts.keys()].sort();
  for (const [file, text] of texts) {
    await mkdir(dirname(join(directory, file)), { recursive: true });
    await writeFile(join(directory, file), text);
  }
  const shownDirectory = relative(workingDirectory, directory) || '.';
  return {
    id,
    packageName,
    directory,
    shownDirectory,
    files,
    next: isWorkspace
      ? ['npm install', `npx tsc -b plugins/${id}`, `npx vitest run plugins/${id}`]
      : [`cd ${shownDirectory}`, 'npm install', 'npm run build', 'npm test'],
    isWorkspace,
    fromCheckout: checkout !== undefined,
  };
}

/** The Recloom repository that holds a folder, or undefined. */
function repositoryRoot(start: string): string | undefined {
  for (let current = resolve(start); ; current = dirname(current)) {
    if (existsSync(join(current, 'packages/plugin-api/package.json')) && existsSync(join(current, 'plugins/_template'))) return current;
    if (dirname(current) === current) return undefined;
  }
}

async function filesOf(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)).split('\\').join('/'))
    .filter((file) => !/^(dist|node_modules)\//.test(file))
    .sort();
}

interface Names {
  readonly id: string;
  readonly packageName: string;
  readonly isWorkspace: boolean;
  /** Ranges of Recloom's packages that the tests of a plugin outside the repository need. */
  readonly ranges: Readonly<Record<string, string>>;
}

function rangesOf(checkout: string | undefined): Names['ranges'] {
  const own = JSON.parse(readFileSync(join(packageDirectory, 'package.json'), 'utf8')) as { readonly dependencies: Record<string, string> };
  const published = own.dependencies['@recloom/plugin-api'] as string;
  const range = (folder: string): string =>
    checkout === undefined ? published : `file:${join(checkout, 'packages', folder).split('\\').join('/')}`;
  return { '@recloom/plugin-api': range('plugin-api'), '@recloom/testing': range('testing') };
}

function adapt(file: string, text: string, names: Names): string {
  const { id, packageName } = names;
  if (file === 'package.json') return packageJson(text, names);
  if (file === 'README.md') return readme(names);
  const named = text.replaceAll('template/newest', `${id}/newest`).replaceAll('@recloom/plugin-template', packageName);
  return file === 'src/index.ts' ? named.replace("id: 'template'", `id: '${id}'`) : named;
}

/** The headings every plugin's README has, filled in for the example; how to write one is the guide's matter. */
function readme({ id, packageName, isWorkspace }: Names): string {
  const guide = `${isWorkspace ? '../..' : 'https://github.com/recloom/recloom/blob/main'}/docs/guide/writing-a-plugin.md`;
  return `# ${packageName}

\`${id}/newest\` proposes the items that were added last. (One sentence: what a shop gets from this plugin.)

## Options

| option           | unit | default | meaning                                                            |
| ---------------- | ---- | ------- | ------------------------------------------------------------------ |
| \`halfScoreDays\`  | days | 30      | age at which an item scores half of what it scored when it was new |
| \`maximumAgeDays\` | days | none    | items older than this are not proposed                             |

## Pipeline

\`\`\`yaml
components:
  new: { use: ${id}/newest, in: { added: item.addedMs }, with: { halfScoreDays: 14 } }
surfaces:
  home:
    sources: { new: 50 }
\`\`\`

## When it fails

An item without a date is not proposed; without the field, nothing is. An error at request time leaves this source out of the answer, with a warning, unless the surface marks it \`required\`.

## Model

None. (A plugin with a model says where it comes from and under which licence.)

How plugins are written, tested and published: [Writing a plugin](${guide}).
`;
}

function packageJson(text: string, { id, packageName, isWorkspace, ranges }: Names): string {
  const manifest = JSON.parse(text) as Record<string, unknown> & { recloom: object; peerDependencies: Record<string, string> };
  const written: Record<string, unknown> = {
    ...manifest,
    name: packageName,
    description: `Recloom plugin ${id}.`,
    recloom: { ...manifest.recloom, id },
  };
  if (!isWorkspace) {
    // The tests open the compiled plugin, so they compile it first.
    written['scripts'] = { build: 'tsc -b', test: 'tsc -b && vitest run', typecheck: 'tsc -p tsconfig.tests.json' };
    written['devDependencies'] = {
      ...ranges,
      '@types/node': '^20.19.0',
      typescript: '^7.0.2',
      vitest: '^4.1.12',
    };
  }
  return asJson(written);
}

/** Outside the repository there is no root config to extend; these are its options that a plugin needs. */
const standaloneTsconfig = asJson({
  compilerOptions: {
    target: 'ES2022',
    lib: ['ES2023'],
    module: 'NodeNext',
    moduleResolution: 'NodeNext',
    types: ['node'],
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    erasableSyntaxOnly: true,
    verbatimModuleSyntax: true,
    declaration: true,
    sourceMap: true,
    composite: true,
    skipLibCheck: true,
    rootDir: 'src',
    outDir: 'dist',
    tsBuildInfoFile: 'dist/.tsbuildinfo',
  },
  include: ['src'],
  exclude: ['src/**/*.test.ts'],
});

/** What a workspace of the repository has from its root. */
const standaloneFiles: Readonly<Record<string, string>> = {
  '.gitignore': 'dist/\nnode_modules/\n',
  'tsconfig.json': standaloneTsconfig,
  'tsconfig.tests.json': asJson({
    extends: './tsconfig.json',
    compilerOptions: { composite: false, declaration: false, noEmit: true },
    include: ['src'],
    exclude: [],
  }),
};

function asJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
