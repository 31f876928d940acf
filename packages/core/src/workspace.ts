import { join, resolve } from 'node:path';
import {
  type ColumnType,
  isRecloomError,
  type PluginDefinition,
  type Provided,
  type RecloomError,
  recloomError,
} from '@recloom/plugin-api';
import { type LoadConfigOptions, parseConfig } from './config/load-config.js';
import { ProblemCollector } from './config/problems.js';
import type { LoadedConfig } from './config/types.js';
import type { ServiceContainer } from './di/container.js';
import { checkProvided, coreTokenIds, defaultServices } from './di/services.js';
import { earlyExpressionProblems } from './pipeline/check-expressions.js';
import { type Plan, planPipeline } from './pipeline/plan.js';
import { PluginLoader } from './plugins/load-plugins.js';
import { SnapshotStore } from './snapshot/snapshot-store.js';

/** A config as a file path or an object. */
export type ConfigSource = string | Readonly<Record<string, unknown>>;

/** What a host hands in besides the config. */
export interface HostOptions {
  /** Services that replace or add to the defaults: `[[loggerToken, log]]`. */
  readonly provide?: Provided;
  /** Plugins handed in rather than found by name. */
  readonly plugins?: readonly PluginDefinition[];
  /** Folder that relative paths of a config object start from; default: the working folder. */
  readonly directory?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** A config with its plugins loaded: the common ground of validating, building and opening. */
export interface Workspace {
  readonly loaded: LoadedConfig;
  readonly loader: PluginLoader;
  readonly provided: Provided;
  readonly store: SnapshotStore;
  /** Plans the config; with `fields`, names of fields are checked too. @throws RECLOOM_CFG_INVALID with all problems. */
  plan(fields?: TableFields): Plan;
  /** The same without throwing: the plan of what is right, and everything that is wrong. */
  tryPlan(fields?: TableFields): { readonly plan: Plan; readonly problems: ProblemCollector };
  /** The services of one pipeline; the caller closes them. Loads Inversify. */
  services(): Promise<ServiceContainer>;
}

/** Names and types of the fields of the data. */
export interface TableFields {
  readonly items: Readonly<Record<string, ColumnType>>;
  readonly users: Readonly<Record<string, ColumnType>>;
}

/**
 * Reads a config and loads its plugins.
 *
 * @throws RECLOOM_CFG_* when the config cannot be read or is not valid (all problems at once), RECLOOM_DI_DUPLICATE
 */
export async function openWorkspace(source: ConfigSource, host: HostOptions = {}): Promise<Workspace> {
  const provided = host.provide ?? [];
  checkProvided(provided);
  const options: LoadConfigOptions = {
    ...(host.directory === undefined ? {} : { directory: host.directory }),
    ...(host.env === undefined ? {} : { env: host.env as NodeJS.ProcessEnv }),
  };
  const { loaded, broken, collector } = await parseConfig(source as string | Record<string, unknown>, options);
  if (loaded === undefined) {
    collector.throwIfAny();
    throw recloomError('RECLOOM_CFG_READ', { file: typeof source === 'string' ? source : '<object>', why: 'it has no usable content' });
  }
  const loader = new PluginLoader({ directory: loaded.directory, listed: loaded.config.plugins, handedIn: host.plugins ?? [] });
  const failures = await loadPlugins(loaded, loader, collector);
  const tokens = new Set([...coreTokenIds, ...provided.map(([token]) => token.id)]);
  const root = join(resolve(loaded.directory, loaded.config.snapshot.directory ?? '.recloom'), loaded.config.name);
  const tryPlan: Workspace['tryPlan'] = (fields) => {
    const known = loader.loaded();
    const result = planPipeline(loaded, {
      plugin: (id) =>
        known.get(id)?.definition ?? failures.get(id) ?? recloomError('RECLOOM_CFG_UNKNOWN_PLUGIN', { plugin: id, tried: id }),
      pluginIds: () => [...known.keys(), ...loader.installed()],
      tokens,
      broken,
      ...(fields === undefined ? {} : { fields }),
    });
    const all = new ProblemCollector(loaded, collector.problems);
    for (const problem of result.problems) all.addFound(problem);
    if (fields === undefined) for (const problem of earlyExpressionProblems(result.plan, broken)) all.addFound(problem);
    return { plan: result.plan, problems: all };
  };
  const plan: Workspace['plan'] = (fields) => {
    const result = tryPlan(fields);
    result.problems.throwIfAny();
    return result.plan;
  };
  return {
    loaded,
    loader,
    provided,
    store: new SnapshotStore(root),
    plan,
    tryPlan,
    services: async () => {
      const { ServiceContainer } = await import('./di/container.js');
      return new ServiceContainer(
        defaultServices({
          directory: loaded.directory,
          cacheDirectory: join(root, 'cache'),
          modelCache: loaded.config.models.cache,
          allowDownload: loaded.config.models.allowDownload,
          threads: loaded.config.compute.threads,
          inference: loaded.config.inference,
          images: loaded.config.images,
        }),
        provided,
      );
    },
  };
}

/** Loads the plugin of every ref in the config; the failures by plugin id. What is wrong with a listed plugin goes to `collector`. */
async function loadPlugins(
  loaded: LoadedConfig,
  loader: PluginLoader,
  collector: ProblemCollector,
): Promise<ReadonlyMap<string, RecloomError>> {
  const failures = new Map<string, RecloomError>();
  const listed = await loader.loadListed();
  for (const [index, problem] of listed.entries()) {
    if (problem !== undefined) collector.addError(problem, ['plugins', index]);
  }
  const { data, components } = loaded.config;
  const nodes = [data.items, data.events, data.users, ...Object.values(components)];
  const ids = new Set(nodes.flatMap((node) => (node === undefined ? [] : [node.use.split('/')[0] as string])));
  for (const id of ids) {
    try {
      await loader.load(id);
    } catch (error) {
      failures.set(
        id,
        isRecloomError(error) ? error : recloomError('RECLOOM_PLG_LOAD', { plugin: id, why: (error as Error).message }, { cause: error }),
      );
    }
  }
  return failures;
}
