import { isRecloomError, type PluginDefinition, pluginApiVersion, type RecloomError, recloomError } from '@recloom/plugin-api';
import { coreDirectory, hashPackageCode, installedPackages, resolveImport } from './resolve-package.js';

/** A plugin and where it came from: the URL of its package, or `handed in`. */
export interface LoadedPlugin {
  readonly definition: PluginDefinition;
  readonly origin: string;
}

export interface PluginLookup {
  /** Absolute folder of the config. */
  readonly directory: string;
  /** What the config lists under `plugins:`. */
  readonly listed: readonly string[];
  /** What the host handed in. */
  readonly handedIn: readonly PluginDefinition[];
}

/** Finds plugins by id, each at most once. Holds no state beyond itself: two pipelines share nothing. */
export class PluginLoader {
  readonly #lookup: PluginLookup;
  readonly #byId = new Map<string, LoadedPlugin>();
  readonly #failures = new Map<string, RecloomError>();
  #listedLoaded: Promise<readonly RecloomError[]> | undefined;

  constructor(lookup: PluginLookup) {
    this.#lookup = lookup;
    for (const definition of lookup.handedIn) this.#byId.set(definition.id, { definition, origin: 'handed in' });
  }

  /** Loads everything under `plugins:`; the problems by their place in the list. */
  loadListed(): Promise<readonly RecloomError[]> {
    this.#listedLoaded ??= (async () => {
      const problems: RecloomError[] = [];
      for (const [index, specifier] of this.#lookup.listed.entries()) {
        const url = resolveImport(specifier, this.#directories());
        try {
          if (url === undefined)
            throw recloomError('RECLOOM_CFG_UNKNOWN_PLUGIN', {
              plugin: specifier,
              tried: "from the config's folder and the working folder",
            });
          const definition = await importPlugin(specifier, url);
          this.#byId.set(definition.id, { definition, origin: url });
        } catch (error) {
          problems[index] = error as RecloomError;
        }
      }
      return problems;
    })();
    return this.#listedLoaded;
  }

  /**
   * The plugin with this id: handed in, listed, `@recloom/plugin-<id>` or `recloom-plugin-<id>`.
   *
   * @throws RECLOOM_CFG_UNKNOWN_PLUGIN when there is none; RECLOOM_PLG_* when it cannot be used.
   */
  async load(id: string): Promise<LoadedPlugin> {
    await this.loadListed();
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    const failed = this.#failures.get(id);
    if (failed !== undefined) throw failed;
    try {
      const loaded = await this.#find(id);
      this.#byId.set(id, loaded);
      return loaded;
    } catch (error) {
      const failure = isRecloomError(error)
        ? error
        : recloomError('RECLOOM_PLG_LOAD', { plugin: id, why: (error as Error).message.split('\n')[0] ?? '' }, { cause: error });
      this.#failures.set(id, failure);
      throw failure;
    }
  }

  /** Everything loaded so far, by id. */
  loaded(): ReadonlyMap<string, LoadedPlugin> {
    return this.#byId;
  }

  /**
   * What the fitted state of a plugin's components depends on besides data and options: a hash of its code. Undefined for
   * a plugin that was handed in, whose code nobody can see; there `stateVersion` alone speaks.
   */
  codeHash(id: string): string | undefined {
    const origin = this.#byId.get(id)?.origin;
    return origin?.startsWith('file:') === true ? hashPackageCode(origin) : undefined;
  }

  /** Ids of the plugins whose packages can be found by name, loaded or not, in ascending order: for suggestions. */
  installed(): readonly string[] {
    const ids = installedPackages(this.#directories()).flatMap((name) => /^(?:@recloom\/|recloom-)plugin-(.+)$/.exec(name)?.[1] ?? []);
    return [...new Set(ids)].sort();
  }

  #directories(): readonly string[] {
    return [this.#lookup.directory, process.cwd(), coreDirectory()];
  }

  async #find(id: string): Promise<LoadedPlugin> {
    const tried = /^[a-z0-9][a-z0-9-]*$/.test(id) ? [`@recloom/plugin-${id}`, `recloom-plugin-${id}`] : [];
    for (const packageName of tried) {
      const url = resolveImport(packageName, this.#directories());
      if (url === undefined) continue;
      const definition = await importPlugin(packageName, url);
      return { definition, origin: url };
    }
    throw recloomError('RECLOOM_CFG_UNKNOWN_PLUGIN', { plugin: id, tried: tried.join(', ') || 'nothing: this is not a plugin id' });
  }
}

async function importPlugin(specifier: string, url: string): Promise<PluginDefinition> {
  let module: { default?: unknown };
  try {
    module = (await import(url)) as { default?: unknown };
  } catch (error) {
    throw recloomError('RECLOOM_PLG_LOAD', { plugin: specifier, why: (error as Error).message.split('\n')[0] ?? '' }, { cause: error });
  }
  const definition = (module.default as { default?: unknown } | undefined)?.default ?? module.default;
  return checkPlugin(specifier, definition);
}

/**
 * Checks that a value is a plugin made for this API.
 *
 * @throws RECLOOM_PLG_INVALID, RECLOOM_PLG_API_VERSION
 */
export function checkPlugin(specifier: string, value: unknown): PluginDefinition {
  if (typeof value !== 'object' || value === null)
    throw recloomError('RECLOOM_PLG_INVALID', { plugin: specifier, why: 'it has no default export made by definePlugin()' });
  const definition = value as Partial<PluginDefinition>;
  if (definition.apiVersion !== pluginApiVersion) {
    throw recloomError('RECLOOM_PLG_API_VERSION', {
      plugin: definition.id ?? specifier,
      found: String(definition.apiVersion),
      supported: pluginApiVersion,
    });
  }
  if (typeof definition.id !== 'string' || !Array.isArray(definition.components)) {
    throw recloomError('RECLOOM_PLG_INVALID', { plugin: specifier, why: 'it has no id or no list of components' });
  }
  const ids = new Set<string>();
  for (const component of definition.components) {
    if (ids.has(component.id))
      throw recloomError('RECLOOM_PLG_INVALID', { plugin: definition.id, why: `two components are called "${component.id}"` });
    ids.add(component.id);
    if (component.options?.['~standard']?.jsonSchema === undefined) {
      throw recloomError('RECLOOM_PLG_INVALID', {
        plugin: definition.id,
        why: `the options of "${component.id}" are not a Standard JSON Schema (zod 4 schemas are)`,
      });
    }
  }
  return definition as PluginDefinition;
}
