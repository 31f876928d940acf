import type { HistoryStore } from '../columns/history.js';
import type { RandomStream } from '../columns/random-stream.js';
import type { Table } from '../columns/table.js';
import type { ComponentState } from '../columns/tensor.js';
import type { CandidateFilter } from '../contracts/candidate-filter.js';
import type { CandidateSource } from '../contracts/candidate-source.js';
import type { DataSource } from '../contracts/data-source.js';
import type { Explainer, Inspectable } from '../contracts/explainer.js';
import type { FeatureExtractor, FeatureScope } from '../contracts/feature-extractor.js';
import type { ModelBacked } from '../contracts/model-backed.js';
import type { PrivacyFilter } from '../contracts/privacy-filter.js';
import type { Ranker } from '../contracts/ranker.js';
import type { Scorer } from '../contracts/scorer.js';
import type { SideEffect } from '../contracts/side-effect.js';
import type { Warning } from '../errors/warning.js';
import type { Label } from '../request/labels.js';
import type { Token, TokenValue } from '../tokens/token.js';
import type { InputsSpec, ResolvedInputs } from './inputs.js';
import type { OptionsSchema, SchemaOutput } from './standard-schema.js';

/** The contracts by the name a component declares in `provides`. */
export interface Contracts {
  readonly data: DataSource;
  readonly extractor: FeatureExtractor;
  readonly source: CandidateSource;
  readonly filter: CandidateFilter;
  readonly scorer: Scorer;
  readonly ranker: Ranker;
  readonly privacy: PrivacyFilter;
  readonly effect: SideEffect;
}
/** Names of the contracts that a component can provide. */
export type ContractName = keyof Contracts;

/** The services that a component asks for: a token by the name it goes by in `deps`. */
export type NeedsSpec = Readonly<Record<string, Token<unknown>>>;
/** The services of a `NeedsSpec`, by the same names. */
export type ResolvedNeeds<Needs extends NeedsSpec> = { readonly [Name in keyof Needs]: TokenValue<Needs[Name]> };

/** What a component can and cannot do: shown by `recloom plugins`, checked by the planner, and deciding which conformance laws apply. */
export interface Capabilities {
  /** The same inputs, seed and options give the same result. Default true. */
  readonly deterministic?: boolean;
  /** Extractors: where it can run. */
  readonly scopes?: readonly FeatureScope[];
  /** Extractors: what goes in. */
  readonly modality?: 'text' | 'image' | 'graph' | 'behaviour' | 'mixed';
  /** Data sources: what comes out. */
  readonly data?: 'items' | 'events' | 'users';
  /** Results depend on the user's history. */
  readonly personal?: boolean;
  /** Works for a user (or guest session) that was not there at fit time. */
  readonly coldUser?: boolean;
  /** Can propose or score items that were not there at fit time. */
  readonly coldItem?: boolean;
  /** Sees `record`ed events without a refit. */
  readonly incremental?: boolean;
  /** Gives reasons (facet `reasons`). */
  readonly explains?: boolean;
  /** What the surface must be asked with for this component to have anything to say. Any one of them is enough. */
  readonly asks?: readonly ('user' | 'item' | 'text' | 'image')[];
  /** Applies `RequestBatch.eligible` inside its scan. */
  readonly filtersInside?: boolean;
  /** Model-backed components: devices it can run on. */
  readonly devices?: readonly string[];
}

/** Build plane: what `fit` gets. */
export interface FitContext<Options, Needs extends NeedsSpec, Inputs extends InputsSpec> {
  /** The component's name in the config. */
  readonly name: string;
  /** Absolute path of the folder that holds the config file; relative paths in options start here. */
  readonly directory: string;
  readonly options: Options;
  readonly deps: ResolvedNeeds<Needs>;
  readonly inputs: ResolvedInputs<Inputs>;
  readonly items: Table;
  readonly users: Table;
  readonly history: HistoryStore;
  /** "Now" of the build: the last event's time, in milliseconds. */
  readonly asOfMs: number;
  /** Seeded by the config's seed and the component's name. */
  readonly random: RandomStream;
  readonly signal: AbortSignal;
  /** Fraction done in [0, 1]. */
  readonly progress: (fraction: number, note?: string) => void;
  readonly warn: (warning: Warning) => void;
}

/** Serve plane: what `create` gets. A fitted component finds its tensors in `state`. */
export interface CreateContext<Options, Needs extends NeedsSpec, Inputs extends InputsSpec> {
  readonly name: string;
  /** Absolute path of the folder that holds the config file; relative paths in options start here. */
  readonly directory: string;
  readonly options: Options;
  readonly deps: ResolvedNeeds<Needs>;
  readonly inputs: ResolvedInputs<Inputs>;
  /** What `fit` returned, read back from the snapshot; empty for a component without `fit`. */
  readonly state: ComponentState;
  /** Live view of the catalogue. While building, the catalogue of the build. */
  readonly items: Table;
  readonly signal: AbortSignal;
  readonly warn: (warning: Warning) => void;
}

type UnionToIntersection<U> = (U extends unknown ? (value: U) => void : never) extends (value: infer I) => void ? I : never;
/** An instance provides every contract the component declares, and may explain itself. */
export type InstanceOf<Provides extends ContractName> = UnionToIntersection<{ [Name in Provides]: Contracts[Name] }[Provides]> &
  Partial<Explainer> &
  Partial<Inspectable> &
  Partial<ModelBacked>;

/** How to make one kind of component. */
export interface ComponentSpec<
  Provides extends ContractName = ContractName,
  Schema extends OptionsSchema = OptionsSchema,
  Needs extends NeedsSpec = NeedsSpec,
  Inputs extends InputsSpec = InputsSpec,
> {
  /** Second part of the ref, e.g. `ease` in `collaborative-linear/ease`. */
  readonly id: string;
  /** One line for `recloom plugins`. */
  readonly summary: string;
  readonly provides: readonly Provides[];
  /** Schema of `with:`, strict: unknown keys are errors. `{}` must be valid unless an option has no sensible default. */
  readonly options: Schema;
  readonly needs?: Needs;
  readonly inputs?: Inputs;
  /**
   * What it reads of the request (`history` for `request.history` and `userRow`, `profile` for user fields …); a request
   * that does not grant one of them skips the component. `history` is satisfied by session events too. Learning from
   * everybody's history in `fit` needs no label.
   */
  readonly reads?: readonly Label[];
  readonly capabilities: Capabilities;
  /**
   * Raise it whenever `fit` would give different numbers or another layout for the same input, so that whoever installs
   * the new version builds anew instead of serving old state. While developing, the build notices changed plugin code by
   * itself; `recloom build --fresh` fits everything anew.
   */
  readonly stateVersion: number;
  /** Build plane: learns from data. Leaves out = nothing to learn. The state must be self-contained and the same for the same input. */
  readonly fit?: (context: FitContext<SchemaOutput<Schema>, Needs, Inputs>) => ComponentState | Promise<ComponentState>;
  /** Serve plane: an instance that answers requests. */
  readonly create: (context: CreateContext<SchemaOutput<Schema>, Needs, Inputs>) => InstanceOf<Provides> | Promise<InstanceOf<Provides>>;
}

/** A component as core sees it: types of options, needs and inputs erased. */
export interface ComponentDefinition {
  readonly id: string;
  readonly summary: string;
  readonly provides: readonly ContractName[];
  readonly options: OptionsSchema;
  readonly needs: NeedsSpec;
  readonly inputs: InputsSpec;
  readonly reads: readonly Label[];
  readonly capabilities: Capabilities;
  readonly stateVersion: number;
  readonly fit?: (context: FitContext<never, never, never>) => ComponentState | Promise<ComponentState>;
  readonly create: (context: CreateContext<never, never, never>) => object | Promise<object>;
}

/** Defines a component that provides one or several contracts. */
export function defineComponent<
  const Provides extends ContractName,
  Schema extends OptionsSchema,
  const Needs extends NeedsSpec = Record<never, never>,
  const Inputs extends InputsSpec = Record<never, never>,
>(spec: ComponentSpec<Provides, Schema, Needs, Inputs>): ComponentDefinition {
  const { fit, create } = spec;
  return Object.freeze({
    id: spec.id,
    summary: spec.summary,
    provides: spec.provides,
    options: spec.options,
    needs: spec.needs ?? {},
    inputs: spec.inputs ?? {},
    reads: spec.reads ?? [],
    capabilities: spec.capabilities,
    stateVersion: spec.stateVersion,
    ...(fit === undefined ? {} : { fit: fit as unknown as NonNullable<ComponentDefinition['fit']> }),
    create: create as unknown as ComponentDefinition['create'],
  });
}

type Shorthand<Provides extends ContractName> = <
  Schema extends OptionsSchema,
  const Needs extends NeedsSpec = Record<never, never>,
  const Inputs extends InputsSpec = Record<never, never>,
>(
  spec: Omit<ComponentSpec<Provides, Schema, Needs, Inputs>, 'provides'>,
) => ComponentDefinition;

function shorthand<Provides extends ContractName>(contract: Provides): Shorthand<Provides> {
  return (spec) => defineComponent({ ...spec, provides: [contract] });
}

/** `defineComponent` for a component that provides `data` alone. */
export const defineDataSource: Shorthand<'data'> = shorthand('data');
/** `defineComponent` for a component that provides `extractor` alone. */
export const defineFeatureExtractor: Shorthand<'extractor'> = shorthand('extractor');
/** `defineComponent` for a component that provides `source` alone. */
export const defineCandidateSource: Shorthand<'source'> = shorthand('source');
/** `defineComponent` for a component that provides `filter` alone. */
export const defineCandidateFilter: Shorthand<'filter'> = shorthand('filter');
/** `defineComponent` for a component that provides `scorer` alone. */
export const defineScorer: Shorthand<'scorer'> = shorthand('scorer');
/** `defineComponent` for a component that provides `ranker` alone. */
export const defineRanker: Shorthand<'ranker'> = shorthand('ranker');
/** `defineComponent` for a component that provides `privacy` alone. */
export const definePrivacyFilter: Shorthand<'privacy'> = shorthand('privacy');
/** `defineComponent` for a component that provides `effect` alone. */
export const defineSideEffect: Shorthand<'effect'> = shorthand('effect');
