import { fork } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { FeatureMatrix, PluginDefinition } from '@recloom/plugin-api';
import type { ChildAnswer, ChildComponent, ChildRequest, OpenFinding } from './child/messages.js';
import { LawBroken } from './law.js';
import type { ConformanceOptions, Subject } from './subject.js';

/** Packages that importing a plugin may load: the contracts, the class style, and schema libraries. */
export const lightPackages: readonly string[] = Object.freeze(['@recloom/plugin-api', '@recloom/decorators', 'zod', 'valibot', 'arktype']);

/** What the laws read of a plugin's package.json. */
export interface PackageManifest {
  readonly directory: string;
  readonly name: string;
  readonly entry: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

/** A library of a plugin that is neither ours nor a schema library. */
export interface Library {
  readonly name: string;
  /** The version part of the declared range, e.g. `4.3.1` of `npm:@huggingface/transformers@4.3.1`. */
  readonly version: string;
}

/** The nearest folder at or above `start` whose package.json describes a plugin (or, failing that, any package). */
export function findPackageDirectory(start: string): string | undefined {
  for (let directory = start; ; directory = dirname(directory)) {
    if (existsSync(join(directory, 'package.json'))) return directory;
    if (directory === dirname(directory)) return undefined;
  }
}

/** Reads the manifest in a folder, or in the nearest one above the working folder. */
function readPackage(packageDirectory: string | undefined): PackageManifest {
  const directory = packageDirectory ?? findPackageDirectory(process.cwd());
  if (directory === undefined) throw new LawBroken('No package.json was found; give packageDirectory.');
  const manifest = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as {
    readonly name?: string;
    readonly exports?: unknown;
    readonly main?: string;
    readonly dependencies?: Readonly<Record<string, string>>;
    readonly optionalDependencies?: Readonly<Record<string, string>>;
    readonly peerDependencies?: Readonly<Record<string, string>>;
  };
  const target = entryOf(manifest.exports) ?? manifest.main;
  if (target === undefined)
    throw new LawBroken(`The package.json in ${directory} exports nothing under "."; is this the plugin's package?`);
  const entry = join(directory, target);
  if (!existsSync(entry)) throw new LawBroken(`${entry} is not there; compile the plugin first (tsc -b).`);
  return {
    directory,
    name: manifest.name ?? '',
    entry,
    dependencies: { ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.peerDependencies },
  };
}

function entryOf(exported: unknown): string | undefined {
  if (typeof exported === 'string') return exported;
  if (typeof exported !== 'object' || exported === null) return undefined;
  const conditions = exported as Record<string, unknown>;
  return entryOf(conditions['.'] ?? conditions['import'] ?? conditions['node'] ?? conditions['default']);
}

/** The libraries a plugin depends on, apart from Recloom's own packages and schema libraries. */
export function thirdPartyLibraries({ dependencies }: PackageManifest): readonly Library[] {
  return Object.entries(dependencies)
    .filter(([name]) => !lightPackages.includes(name) && !name.startsWith('@recloom/'))
    .map(([name, range]) => ({ name, version: range.match(/\d+(?:\.\d+)*(?:-[\w.-]+)?/g)?.at(-1) ?? range }));
}

/** What importing the plugin loads and changes. */
export interface ImportFindings {
  /** Packages beyond the plugin's own and the light ones. */
  readonly heavy: readonly string[];
  /** Globals and built-ins that changed, listeners that came. */
  readonly globals: readonly string[];
}

/** What becomes of a component without a library. */
export interface MissingLibraryFinding extends OpenFinding {
  /** It fails in the child process with the library as well. */
  readonly failsAnyway: boolean;
}

/** Looks at a plugin's package in child processes; each question is asked once, however many components there are. */
export class PackageInspector {
  readonly #plugin: PluginDefinition;
  readonly #options: ConformanceOptions;
  #imported: Promise<ImportFindings> | undefined;
  readonly #withoutLibrary = new Map<string, Promise<readonly MissingLibraryFinding[]>>();

  constructor(plugin: PluginDefinition, options: ConformanceOptions) {
    this.#plugin = plugin;
    this.#options = options;
  }

  /** The manifest of the package. */
  manifest(): PackageManifest {
    return readPackage(this.#options.packageDirectory);
  }

  /** What importing the plugin loads and changes, seen by a child process that does nothing else. */
  imported(): Promise<ImportFindings> {
    this.#imported ??= this.#inspectImport();
    return this.#imported;
  }

  /** What becomes of each component when a library cannot be found. */
  withoutLibrary(library: string): Promise<readonly MissingLibraryFinding[]> {
    const known = this.#withoutLibrary.get(library) ?? this.#openWithout(library);
    this.#withoutLibrary.set(library, known);
    return known;
  }

  async #inspectImport(): Promise<ImportFindings> {
    const manifest = this.manifest();
    const answer = await askChild({ task: 'import', entry: pathToFileURL(manifest.entry).href });
    if (answer.failure !== undefined) throw new LawBroken(`Importing the plugin fails: ${answer.failure}`);
    return {
      heavy: answer.packages.filter((name) => name !== manifest.name && !lightPackages.includes(name)),
      globals: answer.globals,
    };
  }

  async #openWithout(library: string): Promise<readonly MissingLibraryFinding[]> {
    const entry = pathToFileURL(this.manifest().entry).href;
    const components = this.#plugin.components.map((definition): ChildComponent => {
      const fixture = this.#options.fixtures?.[definition.id];
      return {
        id: definition.id,
        options: fixture?.options ?? {},
        inputs: plainInputs(fixture?.inputs),
        directory: fixture?.directory,
        request: fixture?.request,
        columns: fixture?.columns,
      };
    });
    const setup = this.#options.setupModule;
    const setupModule =
      setup === undefined ? undefined : setup instanceof URL ? setup.href : setup.includes('://') ? setup : pathToFileURL(setup).href;
    const request: ChildRequest = { task: 'open', entry, components, setupModule };
    const hidden = await askChild({ ...request, hiddenLibrary: library });
    if (hidden.failure !== undefined) throw new LawBroken(`Without ${library}, importing the plugin fails: ${hidden.failure}`);
    const doubtful = hidden.findings.some((finding) => finding.outcome === 'failed' && finding.code !== 'RECLOOM_PLG_LIBRARY_MISSING');
    const control = doubtful ? await askChild(request) : undefined;
    return hidden.findings.map((finding) => ({
      ...finding,
      failsAnyway: control?.findings.find((other) => other.component === finding.component)?.outcome === 'failed',
    }));
  }
}

/** Inputs without their methods, which cannot be sent to another process. */
function plainInputs(inputs: Subject['inputs'] | undefined): ChildComponent['inputs'] {
  if (inputs === undefined) return undefined;
  const plain = (one: unknown): unknown => {
    if (typeof one === 'string') return one;
    const { name, width, values, presence } = one as FeatureMatrix;
    return { name, width, values, presence };
  };
  return Object.fromEntries(Object.entries(inputs).map(([name, given]) => [name, Array.isArray(given) ? given.map(plain) : plain(given)]));
}

const childTimeoutMs = 60_000;

/** Runs the child's program; it always lies in `dist`, since a plain Node process runs it. */
function askChild(request: ChildRequest): Promise<ChildAnswer> {
  const program = fileURLToPath(new URL('./child/program.js', import.meta.url)).replace(
    /([\\/])src([\\/]conformance[\\/]child[\\/]program\.js)$/,
    '$1dist$2',
  );
  if (!existsSync(program)) return Promise.reject(new LawBroken(`${program} is not there; compile @recloom/testing first (tsc -b).`));
  const { NODE_OPTIONS: _dropped, ...env } = process.env;
  return new Promise((resolve, reject) => {
    const child = fork(program, [], {
      serialization: 'advanced',
      execArgv: request.setupModule?.endsWith('.ts') === true ? ['--import', 'tsx'] : [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env,
    });
    let complaint = '';
    let answered = false;
    const timer = setTimeout(() => child.kill('SIGKILL'), childTimeoutMs);
    child.stderr?.on('data', (chunk: Buffer) => {
      complaint = `${complaint}${chunk.toString()}`.slice(-2_000);
    });
    child.once('message', (answer) => {
      answered = true;
      resolve(answer as ChildAnswer);
      child.kill();
    });
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      if (!answered) reject(new LawBroken(`The child process ended (${signal ?? code}) without an answer. ${complaint}`));
    });
    child.send(request);
  });
}
