import { dirname, resolve } from 'node:path';
import { type ConfigSource, type LoadedConfig, type StageUse, suggest } from '@recloom/core';
import { recloomError } from '@recloom/plugin-api';

/** Name and ref of the component that the export adds behind the last scorer. */
export const probeName = 'recloomTraining';
/** Ref of that component. */
export const probeReference = 'recloom-training/probe';

/** A config cut down to what the export asks. */
export interface TrainingConfig {
  readonly source: Readonly<Record<string, unknown>>;
  /** Folder that its relative paths start from. */
  readonly directory: string;
  readonly surface: string;
  /** Scorers, features and sources that are left, in config order. */
  readonly sources: readonly string[];
  readonly features: readonly string[];
  readonly scorers: readonly string[];
  /** Components of the surface that went because they depend on one that was left out. */
  readonly implied: readonly string[];
}

/** The surface that is exported, and what is left out or kept. */
export interface TrainingConfigOptions {
  readonly surface: string | undefined;
  readonly without: readonly string[];
  /** Extractors that must stay though the surface may not use them. */
  readonly features: readonly string[];
}

/**
 * The config with one surface, what that needs, and a probe behind its scorers. Rankers, effects and the value are left out: rows
 * are made of candidates before they are ranked. A component that fails fails the export: a column of zeros would teach nonsense.
 *
 * @throws RECLOOM_RUN_UNKNOWN_SURFACE, RECLOOM_CFG_UNKNOWN_NAME
 */
export function trainingConfig(source: ConfigSource, loaded: LoadedConfig, options: TrainingConfigOptions): TrainingConfig {
  const { config } = loaded;
  const names = Object.keys(config.surfaces);
  const surface = options.surface ?? (names.includes('home') ? 'home' : names.length === 1 ? (names[0] as string) : 'home');
  const written = Object.hasOwn(config.surfaces, surface) ? config.surfaces[surface] : undefined;
  if (written === undefined) {
    throw recloomError('RECLOOM_RUN_UNKNOWN_SURFACE', {
      surface,
      suggestion: suggest(surface, names),
      available: names.join(', '),
    });
  }
  const components = Object.keys(config.components);
  for (const name of [...options.without, ...options.features]) {
    if (components.includes(name)) continue;
    throw recloomError('RECLOOM_CFG_UNKNOWN_NAME', { name, suggestion: suggest(name, components), available: components.join(', ') });
  }
  const gone = new Set(options.without);
  const dependencies = (name: string): string[] =>
    Object.values(config.components[name]?.in ?? {})
      .flat()
      .filter((entry) => !entry.includes('.') && Object.hasOwn(config.components, entry));
  const isGone = (name: string): boolean => gone.has(name) || dependencies(name).some(isGone);
  const implied = new Set<string>();
  const keep = (name: string): boolean => {
    if (!isGone(name)) return true;
    if (!gone.has(name)) implied.add(name);
    return false;
  };
  const stages = (uses: readonly StageUse[]): StageUse[] => uses.filter((use) => keep(use.name));
  const sources = Object.keys(written.sources).filter(keep);
  const filters = stages(written.filters);
  const features = stages(written.features);
  const scorers = stages(written.scorers);
  const privacy = written.privacy;
  const used = new Set<string>();
  const use = (name: string): void => {
    if (used.has(name)) return;
    used.add(name);
    for (const dependency of dependencies(name)) use(dependency);
  };
  for (const name of [...sources, ...options.features, ...[...filters, ...features, ...scorers, ...privacy].map((stage) => stage.name)]) {
    use(name);
  }
  const below: Readonly<Record<string, unknown>> = typeof source === 'string' ? { base: resolve(source) } : source;
  const own = (below['surfaces'] as Record<string, object> | undefined)?.[surface];
  const drop = (all: readonly string[], kept: (name: string) => boolean): Record<string, null> =>
    Object.fromEntries(all.filter((name) => !kept(name)).map((name) => [name, null]));
  return {
    source: {
      ...below,
      components: {
        ...(below['components'] as object | undefined),
        ...drop(components, (name) => used.has(name)),
        [probeName]: { use: probeReference },
      },
      surfaces: {
        ...(below['surfaces'] as object | undefined),
        ...drop(names, (name) => name === surface),
        [surface]: {
          ...own,
          sources: {
            ...entriesTakenOut((own as { readonly sources?: unknown } | undefined)?.sources),
            ...drop(Object.keys(written.sources), (name) => sources.includes(name)),
            ...Object.fromEntries(
              sources.map((name) => {
                const { limit, fallback } = written.sources[name] as { limit: number; fallback: boolean };
                return [name, { limit, fallback, required: true }];
              }),
            ),
          },
          filters: filters.map(({ name }) => ({ use: name, onError: 'fail' })),
          features: features.map(({ name }) => ({ use: name, onError: 'fail' })),
          scorers: [...scorers.map(({ name }) => ({ use: name, onError: 'fail' })), { use: probeName, onError: 'fail' }],
          value: null,
          rankers: null,
          effects: null,
        },
      },
    },
    directory: typeof source === 'string' ? dirname(resolve(source)) : loaded.directory,
    surface,
    sources,
    features: features.map(({ name }) => name),
    scorers: scorers.map(({ name }) => name),
    implied: [...implied].sort(),
  };
}

/** The entries that a mapping takes out of what lies below it. */
function entriesTakenOut(mapping: unknown): Record<string, null> {
  if (typeof mapping !== 'object' || mapping === null || Array.isArray(mapping)) return {};
  return Object.fromEntries(Object.entries(mapping).flatMap(([name, value]) => (value === null ? [[name, null]] : [])));
}
