import { readdir, readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { type ErrorLocation, isRecloomError, type RecloomError, recloomError } from '@recloom/plugin-api';
import { hashOf } from '../canonical-json.js';
import { checkShape } from './check-shape.js';
import { type EnvironmentUse, hashTemplate, redactTemplate, substituteEnvironment } from './environment.js';
import { type ConfigNode, findNode, type MappingNode, withoutNulls, withoutPath } from './located-node.js';
import { mergeNodes } from './merge.js';
import { normaliseConfig } from './normalise.js';
import { readObject } from './object-document.js';
import { ProblemCollector } from './problems.js';
import { suggest } from './suggest.js';
import type { ConfigPath, LoadedConfig, PipelineConfig, SourcePosition } from './types.js';
import { longestConfig, readYaml } from './yaml-document.js';

export interface LoadConfigOptions {
  /** Folder that relative paths (of the config, its bases, data and models) are resolved against. Default: the config file's folder, or the working folder for an object. */
  readonly directory?: string;
  /** Where a preset's file is (`shop` for `recloom:shop`); undefined falls back to the package `@recloom/presets`. */
  readonly presetPaths?: (name: string) => string | undefined | Promise<string | undefined>;
  /** Values of `${env:NAME}`. Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
  /** Laid over the config last, e.g. from the command line. */
  readonly overrides?: Record<string, unknown>;
}

/** What `parseConfig` found: as much of the config as could be used, and everything that is wrong with it. */
export interface ParsedConfig {
  /** The config without its wrong parts; undefined when too little is right to plan anything. */
  readonly loaded: LoadedConfig | undefined;
  /** All problems in file order; empty when the config is right. */
  readonly problems: readonly RecloomError[];
  /** Components and surfaces whose problems are already listed: a planner need not complain that they are missing. */
  readonly broken: ReadonlySet<string>;
  /** Takes further problems and throws them together with `problems`; works without `loaded` too. */
  readonly collector: ProblemCollector;
}

/**
 * Reads a config from a YAML or JSON file, or from an object: merges what it is based on, puts environment values in,
 * checks the whole of it and fills in defaults.
 *
 * @throws RECLOOM_CFG_INVALID with every problem found, in file order, under `problems`.
 */
export async function loadConfig(source: string | Record<string, unknown>, options: LoadConfigOptions = {}): Promise<LoadedConfig> {
  const { loaded, collector } = await parseConfig(source, options);
  collector.throwIfAny();
  return loaded as LoadedConfig;
}

/** Like `loadConfig`, without throwing for a wrong config: a planner adds what it finds to `collector` and throws once. */
export async function parseConfig(source: string | Record<string, unknown>, options: LoadConfigOptions = {}): Promise<ParsedConfig> {
  const reader = new ConfigReader(options);
  const merged = await reader.readMain(source);
  const problemSource: ConfigSource = {
    file: reader.file,
    files: reader.files,
    locate: (configPath, target) => locate(reader, merged, configPath, target ?? 'value'),
    locateInside: (configPath, offset) => locateInside(merged, configPath, offset),
    isSettled: (configPath) => settled.some((above) => above.every((step, depth) => step === configPath[depth])),
    takenOut: reader.takenOut(merged),
  };
  const settled: ConfigPath[] = [];
  const collector = new ProblemCollector(problemSource, reader.problems);
  if (merged === undefined) return { loaded: undefined, problems: collector.problems, broken: new Set(), collector };

  const environment = options.env ?? process.env;
  const substituted = substituteEnvironment(merged, environment);
  for (const problem of substituted.problems) collector.addFound(problem);
  settled.push(...substituted.unset);
  const { written, broken, stoodIn } = checkShape(substituted.root, collector, reader.incomplete);
  settled.push(...stoodIn);
  // Of a config whose base could not be read, everything that stands there would seem to be missing.
  const loaded =
    written === undefined || reader.incomplete
      ? undefined
      : createLoaded(normaliseConfig(written), reader, problemSource, substituted.uses, environment);
  return { loaded, problems: collector.problems, broken, collector };
}

/** What the reading alone knows, whether or not the config turns out to be usable. */
type ConfigSource = Required<Pick<LoadedConfig, 'file' | 'locate' | 'locateInside' | 'isSettled' | 'takenOut'>> & {
  readonly files: readonly string[];
};

function createLoaded(
  config: PipelineConfig,
  reader: ConfigReader,
  source: ConfigSource,
  uses: readonly EnvironmentUse[],
  environment: NodeJS.ProcessEnv,
): LoadedConfig & ConfigSource {
  // What only says how the work is done, not what comes out: two machines with other cores or disks build the same snapshot.
  const {
    compute: _compute,
    snapshot: _snapshot,
    models: _models,
    inference: _inference,
    tune: _tune,
    images,
    ...rest
  } = replaceAt(config, uses, (template) => hashTemplate(template, environment));
  // What may be read decides which pictures are missing; how long a host may take does not belong to a config's identity.
  const { directories, hosts } = images;
  const hashed = directories.length + hosts.length === 0 ? rest : { ...rest, images: { directories, hosts } };
  return {
    ...source,
    config,
    directory: reader.directory,
    hash: hashOf(hashed),
    redacted: () => replaceAt(config, uses, redactTemplate),
  };
}

/** A copy of the config with the values at the places of environment values replaced. */
function replaceAt(config: PipelineConfig, uses: readonly EnvironmentUse[], replace: (template: string) => string): PipelineConfig {
  const copy = structuredClone(config) as unknown;
  for (const use of uses) {
    let parent = copy as Record<string | number, unknown>;
    const steps = normalisedPath(use.path, config);
    for (const step of steps.slice(0, -1)) {
      const next = Object.hasOwn(parent, step) ? parent[step] : undefined;
      if (typeof next !== 'object' || next === null) break;
      parent = next as Record<string | number, unknown>;
    }
    const last = steps.at(-1) as string | number;
    if (Object.hasOwn(parent, last) && typeof parent[last] !== 'object') parent[last] = replace(use.template);
  }
  return copy as PipelineConfig;
}

/** Where a value of the written config went when shorthands were written out. */
function normalisedPath(written: ConfigPath, config: PipelineConfig): ConfigPath {
  const [section, surface, stage, entry, ...rest] = written;
  if (section !== 'surfaces' || entry === undefined || surface === undefined || stage === undefined) return written;
  if (stage === 'sources') return rest.length === 0 && typeof entry === 'string' ? [...written, 'limit'] : written;
  const stages = Object.hasOwn(config.surfaces, surface) ? config.surfaces[surface] : undefined;
  const isStage = typeof entry === 'number' && stages !== undefined && stage !== 'needs' && stage !== 'attributes';
  if (!isStage) return written;
  return rest.length === 0 || rest[0] === 'use' ? [section, surface, stage, entry, 'name'] : written;
}

function locate(reader: ConfigReader, root: ConfigNode | undefined, configPath: ConfigPath, target: 'key' | 'value'): SourcePosition {
  if (root === undefined) return { file: reader.file, line: reader.hasLines ? 1 : 0, column: reader.hasLines ? 1 : 0 };
  const found = findNode(root, configPath);
  // For something that is not there, the key of what should hold it says more than the first of its entries.
  return (target === 'key' || !found.exact ? found.keyPosition : undefined) ?? found.node.position;
}

function locateInside(root: ConfigNode | undefined, configPath: ConfigPath, offset: number): SourcePosition | undefined {
  const found = root && findNode(root, configPath);
  if (found === undefined || !found.exact || found.node.kind !== 'scalar') return undefined;
  const { range, value } = found.node;
  if (range === undefined || typeof value !== 'string') return undefined;
  // Quotes and block indicators come before the text; escapes and folded lines make it differ from what is written.
  const begin = range.source.text.slice(range.start, range.end).indexOf(value);
  return begin < 0 ? undefined : range.source.positionAt(range.start + begin + offset);
}

class ConfigReader {
  readonly #options: LoadConfigOptions;
  readonly files: string[] = [];
  readonly problems: RecloomError[] = [];
  file = '<object>';
  hasLines = false;
  directory: string;
  /** True when a base could not be found or read: what it holds is missing from the whole. */
  incomplete = false;
  /** Where a component was taken out with `null`, by name; the topmost layer counts. */
  readonly #nulls = new Map<string, SourcePosition>();

  constructor(options: LoadConfigOptions) {
    this.#options = options;
    this.directory = path.resolve(options.directory ?? '.');
  }

  async readMain(source: string | Record<string, unknown>): Promise<ConfigNode | undefined> {
    let root: ConfigNode | undefined;
    if (typeof source === 'string') {
      const file = path.resolve(source);
      if (this.#options.directory === undefined) this.directory = path.dirname(file);
      this.file = displayName(file);
      this.hasLines = true;
      root = await this.#readFile(file, [], undefined);
    } else {
      root = await this.#readObject(source, this.file);
    }
    if (root !== undefined && this.#options.overrides !== undefined) {
      const overrides = await this.#readObject(this.#options.overrides, '<overrides>');
      if (overrides !== undefined) root = mergeNodes(root, overrides);
    }
    return root && withoutNulls(root);
  }

  /** The components that were taken out and are not in the whole. */
  takenOut(merged: ConfigNode | undefined): ReadonlyMap<string, SourcePosition> {
    const components = merged?.kind === 'mapping' ? merged.entries.get('components')?.node : undefined;
    const has = (name: string): boolean => components?.kind === 'mapping' && components.entries.has(name);
    return new Map([...this.#nulls].filter(([name]) => !has(name)));
  }

  async #readObject(source: Record<string, unknown>, file: string): Promise<ConfigNode | undefined> {
    this.files.push(file);
    const { root, problems } = readObject(source, file);
    this.problems.push(...problems);
    return this.#withBases(root, file, this.directory, []);
  }

  /** `chain` holds the absolute paths of the files that lead here; `from` is where the base was named. */
  async #readFile(file: string, chain: readonly string[], from: ErrorLocation | undefined): Promise<ConfigNode | undefined> {
    const name = displayName(file);
    if (chain.includes(file)) {
      const loop = [...chain.slice(chain.indexOf(file)), file].map(displayName).join(' → ');
      this.problems.push(recloomError('RECLOOM_CFG_BASE_LOOP', { chain: loop }, from === undefined ? {} : { at: from }));
      return undefined;
    }
    if (!this.files.includes(name)) this.files.push(name);
    let content: string;
    try {
      content = await readText(file);
    } catch (error) {
      const why = isRecloomError(error) ? error.message : reasonOf(error);
      this.problems.push(recloomError('RECLOOM_CFG_READ', { file: name, why }, { at: from ?? { file: name }, cause: error }));
      return undefined;
    }
    const { root, problems } = readYaml(content, name);
    this.problems.push(...problems);
    return root && this.#withBases(root, name, path.dirname(file), [...chain, file]);
  }

  async #withBases(root: ConfigNode, file: string, directory: string, chain: readonly string[]): Promise<ConfigNode | undefined> {
    if (root.kind !== 'mapping') {
      const empty = root.kind === 'scalar' && root.value === null;
      if (empty) return { kind: 'mapping', position: root.position, entries: new Map() };
      const why = `expected a mapping of keys, found ${root.kind === 'list' ? 'a list' : 'a single value'}`;
      this.problems.push(recloomError('RECLOOM_CFG_TYPE', { key: file, why }, { at: placeOf(root.position) }));
      return undefined;
    }
    let below: ConfigNode | undefined;
    for (const base of this.#basesOf(root)) {
      const found = await this.#findBase(base.reference, directory, base.position);
      const node = found === undefined ? undefined : await this.#readFile(found, chain, placeOf(base.position));
      if (node === undefined) this.incomplete = true;
      else below = below === undefined ? node : mergeNodes(below, node);
    }
    const components = root.entries.get('components')?.node;
    for (const [name, entry] of components?.kind === 'mapping' ? components.entries : [])
      if (entry.node.kind === 'scalar' && entry.node.value === null) this.#nulls.set(name, entry.keyPosition);
    const own = withoutPath(root, ['base']);
    return below === undefined ? own : mergeNodes(below, own);
  }

  #basesOf(root: MappingNode): readonly { readonly reference: string; readonly position: SourcePosition }[] {
    const written = root.entries.get('base');
    if (written === undefined) return [];
    const { root: node, problems, unset } = substituteEnvironment(written.node, this.#options.env ?? process.env);
    this.problems.push(...problems);
    this.incomplete ||= unset.length > 0;
    const items = node.kind === 'list' ? node.items : [node];
    return items.flatMap((item, index) => {
      if (unset.some(([place]) => place === undefined || place === index)) return [];
      if (item.kind === 'scalar' && item.value === null) return [];
      if (item.kind === 'scalar' && typeof item.value === 'string') return [{ reference: item.value, position: item.position }];
      const why = 'expected the path of a file, a preset such as recloom:shop, or a list of these';
      this.problems.push(recloomError('RECLOOM_CFG_TYPE', { key: 'base', why }, { at: placeOf(item.position) }));
      this.incomplete = true;
      return [];
    });
  }

  async #findBase(reference: string, directory: string, position: SourcePosition): Promise<string | undefined> {
    const preset = /^recloom:(.*)$/s.exec(reference)?.[1];
    const found = preset === undefined ? path.resolve(directory, reference) : await this.#findPreset(preset, directory);
    if (found !== undefined && (await isFile(found))) return found;
    const names = preset === undefined ? await namesBeside(path.resolve(directory, reference)) : await this.#presetNames(directory);
    const suggestion = suggest(preset === undefined ? path.basename(reference) : preset, names);
    const shown =
      preset === undefined ? suggestion && path.join(path.dirname(reference), suggestion) : suggestion && `recloom:${suggestion}`;
    this.problems.push(recloomError('RECLOOM_CFG_BASE_MISSING', { base: reference, suggestion: shown }, { at: placeOf(position) }));
    return undefined;
  }

  async #findPreset(name: string, directory: string): Promise<string | undefined> {
    const given = await this.#options.presetPaths?.(name);
    if (given !== undefined) return path.resolve(this.directory, given);
    // A name with dots or slashes would lead out of the presets' folder.
    const folder = /^[a-zA-Z0-9_-]+$/.test(name) ? presetFolder(directory) : undefined;
    return folder && path.join(folder, `${name}.yaml`);
  }

  async #presetNames(directory: string): Promise<readonly string[]> {
    const folder = presetFolder(directory);
    return folder === undefined ? [] : (await namesBeside(path.join(folder, 'any'))).map((name) => name.replace(/\.yaml$/, ''));
  }
}

/** The presets' folder as the config's folder sees it, else as this package does. */
function presetFolder(directory: string): string | undefined {
  for (const origin of [path.join(directory, 'config.yaml'), import.meta.url]) {
    try {
      return path.join(path.dirname(createRequire(origin).resolve('@recloom/presets/package.json')), 'presets');
    } catch {
      // Not installed here: look from the next place.
    }
  }
  return undefined;
}

async function readText(file: string): Promise<string> {
  const status = await stat(file);
  if (status.isDirectory()) throw new Error('it is a folder');
  // A pipe or device may have no end.
  if (!status.isFile()) throw new Error('it is not a regular file');
  if (status.size > longestConfig * 4) throw new Error(`it has ${status.size} bytes, and a config may have ${longestConfig} characters`);
  const bytes = await readFile(file);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new Error('it is not valid UTF-8', { cause: error });
  }
}

function reasonOf(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  if (code === 'ENOTDIR') return 'a part of the path is not a folder';
  return error instanceof Error ? error.message : String(error);
}

async function isFile(file: string): Promise<boolean> {
  try {
    return !(await stat(file)).isDirectory();
  } catch {
    return false;
  }
}

async function namesBeside(file: string): Promise<readonly string[]> {
  try {
    return (await readdir(path.dirname(file))).toSorted().slice(0, 1000);
  } catch {
    return [];
  }
}

/** Relative to the working folder when the file lies inside it: short, clickable, and the same name the author typed. */
function displayName(file: string): string {
  const relative = path.relative(process.cwd(), file);
  return relative === '' || relative.startsWith('..') || path.isAbsolute(relative) ? file : relative;
}

function placeOf(position: SourcePosition): ErrorLocation {
  return position.line > 0 ? position : { file: position.file };
}
