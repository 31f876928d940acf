import { existsSync, readdirSync, readFileSync } from 'node:fs';
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
}

const packageDirectory = fileURLToPath(new URL('..', import.meta.url));

/** The template: in the repository the plugin itself, in an installed CLI the copy that `prepack` made. */
export function templateDirectory(): string {
  const own = resolve(packageDirectory, '../../plugins/_template');
  return existsSync(join(own, 'package.json')) ? own : join(packageDirectory, 'template');
}

/**
 * Copies the template and puts an id in.
 *
 * @throws UsageError when the id cannot be one or the folder is not empty
 */
export async function createPlugin(
  id: string,
  options: { readonly workingDirectory: string; readonly directory?: string; readonly template?: string },
): Promise<CreatedPlugin> {
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(id) || id === 'template')
    throw new UsageError(`"${id}" cannot be the id of a plugin.`, 'Use lower-case words joined by hyphens, e.g. my-plugin.');
  const { workingDirectory } = options;
  const root = repositoryRoot(options.directory ?? workingDirectory);
  const directory = options.directory ?? (root === undefined ? join(workingDirectory, `recloom-plugin-${id}`) : join(root, 'plugins', id));
  if (existsSync(directory) && readdirSync(directory).length > 0)
    throw new UsageError(`${relative(workingDirectory, directory) || '.'} is not empty.`, 'Choose another folder with --directory.');
  const isWorkspace = root !== undefined && dirname(directory) === join(root, 'plugins');
  const packageName = isWorkspace ? `@recloom/plugin-${id}` : `recloom-plugin-${id}`;
  const template = options.template ?? templateDirectory();
  const files = await filesOf(template);
  for (const file of files) {
    const text = adapt(file, await readFile(join(template, file), 'utf8'), { id, packageName, isWorkspace });
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
      : [`cd ${shownDirectory}`, 'npm install', 'npx tsc -b', 'npx vitest run'],
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

function adapt(
  file: string,
  text: string,
  names: { readonly id: string; readonly packageName: string; readonly isWorkspace: boolean },
): string {
  const { id, packageName, isWorkspace } = names;
  if (file === 'package.json') return packageJson(text, id, packageName, isWorkspace);
  if (file === 'tsconfig.json' && !isWorkspace) return standaloneTsconfig;
  const named = text.replaceAll('template/newest', `${id}/newest`).replaceAll('@recloom/plugin-template', packageName);
  if (file === 'src/index.ts') return named.replace("id: 'template'", `id: '${id}'`);
  if (file === 'README.md') return named.replace(/^# .*$/m, `# ${packageName}`);
  return named;
}

function packageJson(text: string, id: string, packageName: string, isWorkspace: boolean): string {
  const manifest = JSON.parse(text) as Record<string, unknown> & { recloom: object; peerDependencies: Record<string, string> };
  const written: Record<string, unknown> = {
    ...manifest,
    name: packageName,
    description: `Recloom plugin ${id}.`,
    recloom: { ...manifest.recloom, id },
  };
  if (!isWorkspace) {
    const own = JSON.parse(readFileSync(join(packageDirectory, 'package.json'), 'utf8')) as {
      readonly dependencies: Record<string, string>;
    };
    const recloom = own.dependencies['@recloom/plugin-api'] as string;
    written['devDependencies'] = {
      '@recloom/plugin-api': recloom,
      '@recloom/testing': recloom,
      '@types/node': '^20.19.0',
      typescript: '^7.0.2',
      vitest: '^4.1.12',
    };
  }
  return `${JSON.stringify(written, undefined, 2)}\n`;
}

/** Outside the repository there is no root config to extend; these are its options that a plugin needs. */
const standaloneTsconfig = `${JSON.stringify(
  {
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
  },
  undefined,
  2,
)}\n`;
