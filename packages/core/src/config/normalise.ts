import { defaultSourceLimit, type WrittenConfig } from './config-schema.js';
import type { ComponentNode, OnError, PipelineConfig, SourceUse, StageUse, SurfaceConfig, TuneConfig, TuneSplit } from './types.js';

type WrittenSurface = WrittenConfig['surfaces'][string];
type WrittenComponent = WrittenConfig['components'][string];
type WrittenTune = NonNullable<WrittenConfig['tune']>;
type WrittenStage = NonNullable<WrittenSurface['filters']>;
type Stage = 'filters' | 'features' | 'scorers' | 'rankers' | 'privacy' | 'effects';

/** What happens when a component of a stage fails and the config does not say: what keeps promises (filters, privacy) fails. */
const stageDefaults: Readonly<Record<Stage, OnError>> = {
  filters: 'fail',
  features: 'skip',
  scorers: 'skip',
  rankers: 'skip',
  privacy: 'fail',
  effects: 'skip',
};

/** Writes shorthands out and fills defaults in. Records by name have no prototype, so looking up `constructor` finds nothing. */
export function normaliseConfig(written: WrittenConfig): PipelineConfig {
  return {
    format: '1.0',
    name: written.name,
    plugins: written.plugins ?? [],
    data: {
      items: written.data.items && componentNode(written.data.items),
      events: written.data.events && componentNode(written.data.events),
      users: written.data.users && componentNode(written.data.users),
      now: written.data.now ?? 'clock',
      labels: record(written.data.labels, (label) => label),
      title: written.data.title ?? 'title',
    },
    components: record(written.components, componentNode),
    surfaces: record(written.surfaces, surfaceConfig),
    texts: record(written.texts, (text) => text),
    models: { allowDownload: written.models?.allowDownload ?? false, cache: written.models?.cache },
    inference: {
      workers: written.inference?.workers,
      isolation: written.inference?.isolation ?? 'thread',
      queueLimit: written.inference?.queueLimit,
    },
    images: {
      directories: written.images?.directories ?? [],
      hosts: written.images?.hosts ?? [],
      timeoutMs: written.images?.timeoutMs ?? 10_000,
    },
    snapshot: { directory: written.snapshot?.directory, keep: written.snapshot?.keep ?? 3 },
    compute: { threads: written.compute?.threads },
    seed: written.seed ?? defaultSeed,
    tune: written.tune && tuneConfig(written.tune, written.seed ?? defaultSeed),
  };
}

const defaultSeed = 42;

function tuneConfig(written: WrittenTune, seed: number): TuneConfig {
  const split = tuneSplit(written.split);
  // A window of its own has an end of its own.
  const inherited = written.confirm?.cut === undefined ? written.split : { ...written.split, until: undefined };
  return {
    metric: written.metric ?? 'ndcg',
    k: written.k ?? 10,
    surface: written.surface,
    purposes: written.purposes ?? ['personalisation'],
    seed: written.seed ?? seed,
    trials: written.trials ?? 60,
    minutes: written.minutes,
    test: written.test,
    split,
    confirm: written.confirm && tuneSplit({ ...inherited, ...written.confirm }),
    options: record(written.options, (option) => option),
  };
}

function tuneSplit(written: WrittenTune['split']): TuneSplit {
  const { kind, cut, until, minimumItemUsers, minimumUserItems, repeats, relevantTypes, file, count, fraction, foldIn, folds, seeds } =
    written;
  return {
    kind: kind ?? 'temporal',
    cut,
    until,
    minimumItemUsers,
    minimumUserItems,
    repeats,
    relevantTypes,
    file,
    count,
    fraction,
    foldIn,
    folds,
    seeds,
  };
}

function componentNode(written: WrittenComponent): ComponentNode {
  return { use: written.use, in: record(written.in, (input) => input), with: record(written.with, (option) => option) };
}

function surfaceConfig(written: WrittenSurface): SurfaceConfig {
  return {
    needs: written.needs ?? [],
    sources: sources(written.sources),
    filters: stage(written.filters, 'filters'),
    features: stage(written.features, 'features'),
    scorers: stage(written.scorers, 'scorers'),
    value: written.value,
    rankers: stage(written.rankers, 'rankers'),
    privacy: stage(written.privacy, 'privacy'),
    effects: stage(written.effects, 'effects'),
    limits: {
      timeoutMs: written.limits?.timeoutMs ?? 1000,
      candidates: written.limits?.candidates ?? 1000,
      items: written.limits?.items ?? 200,
    },
    limit: written.limit ?? 10,
    attributes: written.attributes ?? [],
  };
}

function sources(written: WrittenSurface['sources']): Readonly<Record<string, SourceUse>> {
  if (!Array.isArray(written)) return record(written, (use) => (typeof use === 'number' ? sourceUse({ limit: use }) : sourceUse(use)));
  const named: Record<string, SourceUse> = Object.create(null);
  for (const entry of written) {
    if (typeof entry === 'string') named[entry] = sourceUse({});
    else named[entry.use] = sourceUse(entry);
  }
  return named;
}

function sourceUse(written: {
  readonly limit?: number | undefined;
  readonly fallback?: boolean | undefined;
  readonly required?: boolean | undefined;
  readonly timeoutMs?: number | undefined;
}): SourceUse {
  return {
    limit: written.limit ?? defaultSourceLimit,
    fallback: written.fallback ?? false,
    required: written.required ?? false,
    timeoutMs: written.timeoutMs,
  };
}

function stage(written: WrittenStage | undefined, name: Stage): readonly StageUse[] {
  return (written ?? []).map((entry) =>
    typeof entry === 'string'
      ? { name: entry, onError: stageDefaults[name] }
      : { name: entry.use, onError: name === 'privacy' ? 'fail' : (entry.onError ?? stageDefaults[name]) },
  );
}

function record<From, To>(written: Readonly<Record<string, From>> | undefined, convert: (value: From) => To): Readonly<Record<string, To>> {
  const result: Record<string, To> = Object.create(null);
  for (const [key, value] of Object.entries(written ?? {})) result[key] = convert(value);
  return result;
}
