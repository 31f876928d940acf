import type { Label } from '@recloom/plugin-api';

/** One component as the config writes it. */
export interface ComponentNode {
  /** Ref: `<plugin-id>/<component-id>`. */
  readonly use: string;
  /** Inputs by name: `item.<field>`, `user.<field>` or the name of another component. */
  readonly in: Readonly<Record<string, string | readonly string[]>>;
  /** Options, validated against the component's own schema. */
  readonly with: Readonly<Record<string, unknown>>;
}

export type SurfaceNeed = 'user' | 'session' | 'item' | 'text' | 'image';

export interface SourceUse {
  /** How many candidates it is asked for. */
  readonly limit: number;
  /** Asked only when the others left too few. */
  readonly fallback: boolean;
  /** Its failure fails the request. */
  readonly required: boolean;
  readonly timeoutMs: number | undefined;
}

/** What to do when a component of a stage fails: leave it out with a warning, or fail the request. */
export type OnError = 'skip' | 'fail';

export interface StageUse {
  readonly name: string;
  readonly onError: OnError;
}

export interface SurfaceConfig {
  /** What a request must bring; any request may bring more. */
  readonly needs: readonly SurfaceNeed[];
  readonly sources: Readonly<Record<string, SourceUse>>;
  readonly filters: readonly StageUse[];
  /** Candidate-scope features, in order. */
  readonly features: readonly StageUse[];
  readonly scorers: readonly StageUse[];
  /** CEL over columns. Default: the sum of `rank()` of the scorers; without scorers, reciprocal rank fusion of the sources. */
  readonly value: string | undefined;
  readonly rankers: readonly StageUse[];
  readonly privacy: readonly StageUse[];
  readonly effects: readonly StageUse[];
  readonly limits: {
    /** Deadline of a whole request in milliseconds. */
    readonly timeoutMs: number;
    /** Candidates that are filtered and scored; what sources propose beyond waits as overflow. */
    readonly candidates: number;
    /** Largest `limit` a request may ask for. */
    readonly items: number;
  };
  /** Items per answer when the request does not say. */
  readonly limit: number;
  /** Item fields every answer carries. */
  readonly attributes: readonly string[];
}

export interface DataConfig {
  readonly items: ComponentNode | undefined;
  readonly events: ComponentNode | undefined;
  readonly users: ComponentNode | undefined;
  /** `clock`: requests happen now. `data`: at the snapshot's last event, for demos on old data. */
  readonly now: 'clock' | 'data';
  /** Labels of user fields that are not plain `profile`, e.g. `{ country: location }`. */
  readonly labels: Readonly<Record<string, Label>>;
  /** Item field that names an item in sentences; default `title`, else the id. */
  readonly title: string;
}

/** Figures that a search can aim at: those of `RankingFigures` in @recloom/evaluate. */
export type TuneMetric = 'ndcg' | 'recall' | 'precision' | 'f1' | 'hitRate' | 'map' | 'mrr' | 'gradedNdcg' | 'revenue';

export type TuneSplitKind =
  | 'temporal'
  | 'leave-last-out'
  | 'leave-n-out'
  | 'random'
  | 'k-fold'
  | 'user-holdout'
  | 'cold-items'
  | 'predefined';

/** A validation part as the config writes it; what is undefined is the default of the kind. Instants are ISO 8601. */
export interface TuneSplit {
  readonly kind: TuneSplitKind;
  readonly cut: string | undefined;
  readonly until: string | undefined;
  readonly minimumItemUsers: number | undefined;
  readonly minimumUserItems: number | undefined;
  readonly repeats: 'masked' | 'answers' | 'only' | undefined;
  /** Event types that are right answers; undefined = all. */
  readonly relevantTypes: readonly string[] | undefined;
  /** Of a predefined split: what was kept back, relative to the config. */
  readonly file: string | undefined;
  readonly count: number | undefined;
  readonly fraction: number | undefined;
  readonly foldIn: number | undefined;
  readonly folds: number | undefined;
  readonly seeds: readonly number[] | undefined;
}

export type TuneValue = string | number | boolean | null;

/** What one number or choice may be: a range, or values. */
export interface TuneRange {
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly scale?: 'linear' | 'log' | undefined;
  readonly values?: readonly TuneValue[] | undefined;
}

/** One entry of `tune.options`; `expression` and `numbers` are those of a surface's `value`. */
export interface TuneOption extends TuneRange {
  readonly expression?: string | undefined;
  readonly numbers?: Readonly<Record<string, TuneRange>> | undefined;
}

/** What `recloom tune` searches. No part of what is served. */
export interface TuneConfig {
  readonly metric: TuneMetric;
  readonly k: number;
  /** Undefined: `home`, or the only one there is. */
  readonly surface: string | undefined;
  readonly purposes: readonly string[];
  readonly seed: number;
  readonly trials: number;
  readonly minutes: number | undefined;
  readonly test: string | undefined;
  readonly split: TuneSplit;
  readonly confirm: TuneSplit | undefined;
  /** By address: `<component>.<option>` or `surfaces.<name>.…`. Checked by `resolveTune`. */
  readonly options: Readonly<Record<string, TuneOption>>;
}

/** A config after base, defaults and environment were applied. Still to be checked against the plugins (see `pipeline/plan`). */
export interface PipelineConfig {
  readonly format: '1.0';
  readonly name: string;
  /** Extra plugin packages or paths. */
  readonly plugins: readonly string[];
  readonly data: DataConfig;
  readonly components: Readonly<Record<string, ComponentNode>>;
  readonly surfaces: Readonly<Record<string, SurfaceConfig>>;
  /** Sentences by reason code, replacing the English ones. */
  readonly texts: Readonly<Record<string, string>>;
  readonly models: { readonly allowDownload: boolean; readonly cache: string | undefined };
  readonly inference: {
    /** Undefined: one per core. */
    readonly workers: number | undefined;
    readonly isolation: 'thread' | 'process';
    readonly queueLimit: number | undefined;
  };
  readonly images: {
    readonly directories: readonly string[];
    readonly hosts: readonly string[];
    readonly timeoutMs: number;
  };
  readonly snapshot: { readonly directory: string | undefined; readonly keep: number };
  readonly compute: { readonly threads: number | undefined };
  readonly seed: number;
  /** What a search may change; undefined when the config says nothing of it. Not part of the config's hash. */
  readonly tune: TuneConfig | undefined;
}

/** A path into the config, e.g. `['components', 'habits', 'with', 'lambda']`. */
export type ConfigPath = readonly (string | number)[];

export interface SourcePosition {
  readonly file: string;
  /** 1-based; 0 when the config was an object. */
  readonly line: number;
  readonly column: number;
}

/** A config that has been read, with the place every value came from. */
export interface LoadedConfig {
  readonly config: PipelineConfig;
  /** Absolute folder that relative paths are resolved against. */
  readonly directory: string;
  /** Display name of the file, or `<object>`. */
  readonly file: string;
  /** Hex SHA-256 over the canonical JSON of the config with environment values redacted to their hashes. */
  readonly hash: string;
  /** Where a value (or, failing that, its nearest parent) stands. `target: 'key'` gives the key's place rather than the value's. */
  locate(path: ConfigPath, target?: 'key' | 'value'): SourcePosition;
  /**
   * Where the character at an offset into a text value (an expression) stands in its file; undefined when the file does not
   * hold the text as it is, for example because it has escapes, or when the config was an object.
   */
  locateInside?(path: ConfigPath, offset: number): SourcePosition | undefined;
  /** True when what is wrong at a path follows from a problem that was told already, such as a variable that is not set. */
  isSettled?(path: ConfigPath): boolean;
  /** Components that a layer took out with `null` and none above it brought back: where the `null` stands, by name. */
  readonly takenOut?: ReadonlyMap<string, SourcePosition>;
  /** The config with every value that came from the environment replaced by `[env:NAME]`, for logs and `inspect`. */
  redacted(): unknown;
}
