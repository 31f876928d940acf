import { dirname, resolve } from 'node:path';
import { type ConfigSource, type LoadedConfig, type Plan, type StageUse, suggest } from '@recloom/core';
import { recloomError } from '@recloom/plugin-api';

/** The ways `blend/scores` can normalise a column, in the order in which ties between them are settled. */
export const normalisations = ['zscore', 'log-zscore', 'robust-zscore', 'rank', 'minmax'] as const;
/** One of `normalisations`. */
export type BlendNormalisation = (typeof normalisations)[number];

/** Ref of the component that blends. */
export const blendReference = 'blend/scores';

/** A config cut down to one surface, with a probe for each way to normalise behind its scorers. */
export interface ProbeConfig {
  readonly source: Readonly<Record<string, unknown>>;
  /** Folder that its relative paths start from. */
  readonly directory: string;
  readonly surface: string;
  /** Names of the columns as `weights` of `blend/scores` has them, in the order asked for. */
  readonly columns: readonly string[];
  /** Scorers of the surface once the columns are there: those it has, then those that a column needs. */
  readonly scorers: readonly StageUse[];
  /** Those of `scorers` that the surface has today. */
  readonly present: readonly string[];
  /** What the surface orders by today, as an expression. */
  readonly value: string;
}

/** The probe's column of the normalised scores of a column. */
export function probeColumn(name: string, normalisation: BlendNormalisation): string {
  return `score.${probeName(normalisation)}.${name.replace(/^score\./, '').replaceAll('.', '_')}`;
}

function probeName(normalisation: BlendNormalisation): string {
  return `recloomBlend_${normalisation.replace('-', '_')}`;
}

/**
 * The config with one surface and what that needs, its scorers with those of `columns` added, and behind them a blend of
 * weight 1 for each of `ways` to normalise that shows what it made of each column: the very numbers that a blend adds up in serving.
 * Rankers and effects are left out; a component that fails fails the whole, since zeros would teach nonsense.
 *
 * @throws RECLOOM_RUN_UNKNOWN_SURFACE, RECLOOM_CFG_UNKNOWN_NAME for a column of a component that there is none,
 *   RECLOOM_RUN_REQUEST when there is nothing to blend
 */
export function probeConfig(
  source: ConfigSource,
  loaded: LoadedConfig,
  plan: Plan,
  wanted: {
    readonly surface: string | undefined;
    readonly columns: readonly string[] | undefined;
    readonly ways: readonly BlendNormalisation[];
  },
): ProbeConfig {
  const { config } = loaded;
  const names = Object.keys(config.surfaces);
  const surface = wanted.surface ?? (names.includes('home') ? 'home' : names.length === 1 ? (names[0] as string) : 'home');
  const written = Object.hasOwn(config.surfaces, surface) ? config.surfaces[surface] : undefined;
  if (written === undefined) {
    throw recloomError('RECLOOM_RUN_UNKNOWN_SURFACE', { surface, suggestion: suggest(surface, names), available: names.join(', ') });
  }
  const own = written.scorers.filter(({ name }) => config.components[name]?.use !== blendReference);
  const scores = (name: string): boolean =>
    plan.nodes.some((node) => node.name === name && node.definition.provides.includes('scorer') && node.reference !== blendReference);
  const columns = [...new Set(wanted.columns ?? [...own.map(({ name }) => name), ...Object.keys(written.sources).filter(scores)])];
  if (columns.length === 0)
    throw recloomError('RECLOOM_RUN_REQUEST', {
      why: `surface "${surface}" has neither a scorer nor a source that can score: name columns`,
    });
  const scoring = Object.keys(config.components).filter(scores);
  const added: string[] = [];
  for (const column of columns) {
    const [namespace, ...path] = column.split('.');
    if (namespace === 'feature') continue;
    const name = (namespace === 'score' ? path[0] : namespace) ?? '';
    if (!scoring.includes(name))
      throw recloomError('RECLOOM_CFG_UNKNOWN_NAME', { name, suggestion: suggest(name, scoring), available: scoring.join(', ') });
    if (!own.some((use) => use.name === name) && !added.includes(name)) added.push(name);
  }
  // Without a value of its own a surface adds up the ranks of its scorers, or fuses its sources; with more scorers that would change.
  const value =
    written.value ??
    (written.scorers.length > 0
      ? written.scorers.map(({ name }) => `rank(score.${name})`).join(' + ')
      : Object.keys(written.sources)
          .map((name) => `coalesce(1.0 / (60.0 + source.${name}.rank), 0.0)`)
          .join(' + '));
  const used = new Set<string>();
  const use = (name: string): void => {
    if (used.has(name)) return;
    used.add(name);
    for (const entry of Object.values(config.components[name]?.in ?? {}).flat()) {
      if (!entry.includes('.') && Object.hasOwn(config.components, entry)) use(entry);
    }
  };
  const stages = [...written.filters, ...written.features, ...written.scorers, ...written.privacy];
  for (const name of [...Object.keys(written.sources), ...stages.map((stage) => stage.name), ...added]) use(name);
  const below: Readonly<Record<string, unknown>> = typeof source === 'string' ? { base: resolve(source) } : source;
  const drop = (all: readonly string[], kept: (name: string) => boolean): Record<string, null> =>
    Object.fromEntries(all.filter((name) => !kept(name)).map((name) => [name, null]));
  const failing = (uses: readonly StageUse[]): object[] => uses.map(({ name }) => ({ use: name, onError: 'fail' }));
  // A blend that is there already stays for the value that is compared with, and so does what it reads.
  const all = [...written.scorers, ...added.map((name): StageUse => ({ name, onError: 'fail' }))];
  const probes = wanted.ways.map((normalise) => ({
    name: probeName(normalise),
    node: { use: blendReference, with: { weights: Object.fromEntries(columns.map((name) => [name, 1])), normalise, contributions: true } },
  }));
  return {
    source: {
      ...below,
      components: {
        ...(below['components'] as object | undefined),
        ...drop(Object.keys(config.components), (name) => used.has(name)),
        ...Object.fromEntries(probes.map(({ name, node }) => [name, node])),
      },
      surfaces: {
        ...(below['surfaces'] as object | undefined),
        ...drop(names, (name) => name === surface),
        [surface]: {
          ...(below['surfaces'] as Record<string, object> | undefined)?.[surface],
          scorers: [...failing(all), ...probes.map(({ name }) => ({ use: name, onError: 'fail' }))],
          value,
          rankers: null,
          effects: null,
        },
      },
    },
    directory: typeof source === 'string' ? dirname(resolve(source)) : loaded.directory,
    surface,
    columns,
    scorers: [...own, ...added.map((name): StageUse => ({ name, onError: own[0]?.onError ?? 'skip' }))],
    present: own.map(({ name }) => name),
    value,
  };
}
