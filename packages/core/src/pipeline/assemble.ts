import {
  type CandidateFilter,
  type CandidateSource,
  type CompiledExpression,
  type ComponentState,
  type CreateContext,
  type Explainer,
  type Expressions,
  expressionsToken,
  type FeatureExtractor,
  type FieldInput,
  type FitContext,
  type InputsSpec,
  isRecloomError,
  type ModelBacked,
  type NeedsSpec,
  type PrivacyFilter,
  type Ranker,
  RecloomError,
  recloomError,
  requestLabels,
  type Scorer,
  type SideEffect,
  type Table,
  type Warning,
} from '@recloom/plugin-api';
import { namePattern, reservedNames } from '../config/config-schema.js';
import { ProblemCollector } from '../config/problems.js';
import { suggest } from '../config/suggest.js';
import type { AssemblyContainer, ServiceContainer } from '../di/container.js';
import { createExpressions, type PipelineExpressions, type UndecidedProblem } from '../expressions/create-expressions.js';
import { findOption } from './find-option.js';
import type { LiveFeature } from './live-feature.js';
import type { Plan, PlannedNode, PlannedSource, PlannedStage, PlannedSurface } from './plan.js';

/** A component with its instance. The instance provides what the definition says. */
export interface AssembledNode {
  readonly planned: PlannedNode;
  readonly instance: object;
  readonly explainer: Explainer | undefined;
  /** The instance as one that runs models, when it does. */
  readonly modelBacked: ModelBacked | undefined;
}

/** A scorer of a surface. */
export interface AssembledScorer extends AssembledStage<Scorer> {
  /** Names of its further columns. */
  readonly further: readonly string[];
  /** Scorers before it whose columns it reads. */
  readonly waitsFor: readonly string[];
}

export interface AssembledStage<Contract> {
  readonly name: string;
  readonly node: AssembledNode;
  readonly instance: Contract;
  readonly planned: PlannedStage;
}

export interface AssembledSource {
  readonly name: string;
  /** Place among all sources of the surface: its column. */
  readonly index: number;
  readonly node: AssembledNode;
  readonly instance: CandidateSource;
  readonly planned: PlannedSource;
}

/** One surface as a frozen array of stages: what a request runs through. */
export interface AssembledSurface {
  readonly name: string;
  readonly planned: PlannedSurface;
  readonly sources: readonly AssembledSource[];
  readonly fallbacks: readonly AssembledSource[];
  /** All sources, in config order: the order of source columns. */
  readonly allSources: readonly AssembledSource[];
  readonly filters: readonly AssembledStage<CandidateFilter>[];
  readonly features: readonly AssembledStage<FeatureExtractor>[];
  readonly scorers: readonly AssembledScorer[];
  /** Undefined: reciprocal rank fusion of the sources. */
  readonly value: CompiledExpression | undefined;
  readonly rankers: readonly AssembledStage<Ranker>[];
  readonly gates: readonly AssembledStage<PrivacyFilter>[];
  readonly resultFilters: readonly AssembledStage<PrivacyFilter>[];
  readonly effects: readonly AssembledStage<SideEffect>[];
  readonly queryFeatures: readonly { readonly name: string; readonly node: AssembledNode; readonly instance: FeatureExtractor }[];
  /** Some source skips items inside its scan and some filter depends on the item alone. */
  readonly usesEligible: boolean;
}

export interface AssembleOptions {
  readonly plan: Plan;
  readonly services: ServiceContainer;
  readonly items: Table;
  readonly users: Table;
  readonly states: ReadonlyMap<string, ComponentState>;
  readonly features: ReadonlyMap<string, LiveFeature>;
  readonly signal: AbortSignal;
  readonly warn: (warning: Warning) => void;
}

/** A plan with instances. `close` disposes them. */
export interface Assembly {
  readonly nodes: ReadonlyMap<string, AssembledNode>;
  readonly surfaces: ReadonlyMap<string, AssembledSurface>;
  readonly expressions: Expressions;
  readonly container: AssemblyContainer;
}

/** Names of columns that expressions may read on any surface. What only instances know is told by `nodes`, as they come to be. */
export function expressionsFor(
  plan: Plan,
  items: Table,
  nodes: ReadonlyMap<string, AssembledNode> = new Map(),
  owner: () => string | undefined = () => undefined,
): PipelineExpressions {
  const provides = (contract: string): string[] =>
    plan.nodes.filter((node) => node.definition.provides.includes(contract as never)).map((node) => node.name);
  return createExpressions({
    items,
    sources: provides('source'),
    scores: provides('scorer'),
    features: provides('extractor'),
    furtherScores: (name) => {
      const node = nodes.get(name);
      return node === undefined ? undefined : ((node.instance as Scorer).furtherColumns ?? []);
    },
    featureWidth: (name) => (nodes.get(name)?.instance as FeatureExtractor | undefined)?.width,
    owner,
  });
}

/** Makes every component that a surface uses, each in its own child container, and freezes the surfaces. All problems of all nodes are collected. */
export async function assemble(options: AssembleOptions): Promise<Assembly> {
  const { plan, services, items } = options;
  const nodes = new Map<string, AssembledNode>();
  // Components are made one after the other, so it is known which of them asks.
  let making: string | undefined;
  const expressions = expressionsFor(plan, items, nodes, () => making);
  const container = services.assembly([[expressionsToken, expressions]]);
  const problems: RecloomError[] = [];
  for (const planned of plan.nodes) {
    making = planned.name;
    try {
      nodes.set(planned.name, await createNode(planned, container, options));
    } catch (error) {
      options.signal.throwIfAborted();
      problems.push(stampError(error, planned, plan, 'create()'));
    }
  }
  making = undefined;
  const surfaces = new Map<string, AssembledSurface>();
  if (problems.length === 0) {
    for (const problem of expressions.undecidedProblems()) problems.push(...optionProblems(problem, plan));
    for (const planned of plan.surfaces.values()) {
      try {
        warnUngated(planned, plan, options.warn);
        problems.push(...scorerOrderProblems(planned, nodes, plan));
        surfaces.set(planned.name, assembleSurface(planned, nodes, expressions));
      } catch (error) {
        problems.push(...expressionProblems(error, plan, planned.name));
      }
    }
  }
  if (problems.length > 0) {
    await container.close();
    throw problems.length === 1
      ? (problems[0] as RecloomError)
      : recloomError('RECLOOM_CFG_INVALID', { count: problems.length, file: plan.loaded.file }, { problems });
  }
  return { nodes, surfaces, expressions, container };
}

/** An error of a surface's `value`, at the very character of the config where it stands. */
export function expressionProblems(error: unknown, plan: Plan, surface: string): readonly RecloomError[] {
  const collector = new ProblemCollector(plan.loaded);
  collector.addError(error, ['surfaces', surface, 'value']);
  return collector.problems;
}

/** Makes one instance; used by the build plane for extractors too. */
export async function createNode(
  planned: PlannedNode,
  container: AssemblyContainer,
  options: Pick<AssembleOptions, 'plan' | 'items' | 'users' | 'states' | 'features' | 'signal' | 'warn'>,
): Promise<AssembledNode> {
  const { definition } = planned;
  const instance = await container.bindNode(planned.name, definition.needs, (deps) => {
    const context: CreateContext<unknown, NeedsSpec, InputsSpec> = {
      name: planned.name,
      directory: options.plan.loaded.directory,
      options: planned.options,
      deps,
      inputs: resolveInputs(planned, options.items, undefined, options.features),
      state: options.states.get(planned.name) ?? {},
      items: options.items,
      signal: options.signal,
      warn: (warning) => options.warn(stampWarning(warning, planned, options.plan)),
    };
    return definition.create(context as never);
  });
  if (definition.provides.includes('scorer')) checkFurtherColumns(planned.name, (instance as Scorer).furtherColumns);
  return {
    planned,
    instance,
    explainer: definition.capabilities.explains === true ? (instance as Explainer) : undefined,
    modelBacked: typeof (instance as Partial<ModelBacked>).models === 'function' ? (instance as ModelBacked) : undefined,
  };
}

/** Further columns are read in expressions, so their names are CEL identifiers, each of its own. */
function checkFurtherColumns(name: string, further: unknown): void {
  if (further === undefined) return;
  const valid =
    Array.isArray(further) &&
    new Set(further).size === further.length &&
    further.every((column) => typeof column === 'string' && namePattern.test(column) && !reservedNames.includes(column));
  if (!valid)
    throw recloomError('RECLOOM_LAW_SHAPE', {
      name,
      expected: 'further columns with names of letters, digits and "_", each of its own',
      found: Array.isArray(further) ? further.map((column) => JSON.stringify(column)).join(', ') : `a ${typeof further}`,
    });
}

/** An expression of a component that reads what is not there: at its character in the config, or else at the component. */
function optionProblems({ error, owners }: UndecidedProblem, plan: Plan): readonly RecloomError[] {
  const text = (error.cause as { readonly text?: string } | undefined)?.text;
  const collector = new ProblemCollector(plan.loaded);
  for (const node of plan.nodes) {
    if (!owners.includes(node.name)) continue;
    const path = findOption(plan.loaded, node.path, (option) => option === text);
    // It may come from a file of the component's.
    if (path === undefined) collector.addFound(stampError(error, node, plan, 'create()'));
    else collector.addError(error, path);
  }
  return collector.problems;
}

/** Scorers of a surface that read a column which is not there when their turn comes. */
function scorerOrderProblems(surface: PlannedSurface, nodes: ReadonlyMap<string, AssembledNode>, plan: Plan): readonly RecloomError[] {
  const collector = new ProblemCollector(plan.loaded);
  for (const [place, { node }] of surface.scorers.entries()) {
    const instance = nodes.get(node.name)?.instance as Scorer;
    for (const column of instance.readsColumns ?? []) {
      const why = whyUnread(column, place, surface, nodes);
      if (why === undefined) continue;
      collector.add('RECLOOM_CFG_SCORER_ORDER', { name: node.name, column, surface: surface.name, why }, [
        'surfaces',
        surface.name,
        'scorers',
        place,
      ]);
    }
  }
  return collector.problems;
}

/** Why the scorer at a place of a surface cannot read a column; undefined when it can. */
function whyUnread(column: string, place: number, surface: PlannedSurface, nodes: ReadonlyMap<string, AssembledNode>): string | undefined {
  const [namespace, name = '', part] = column.split('.');
  if (namespace === 'score') {
    const position = surface.scorers.findIndex(({ node }) => node.name === name);
    if (position < 0) return `"${name}" is not among the scorers of the surface`;
    if (position === place) return 'it is its own';
    if (position > place) return `"${name}" comes later; name it before`;
    const further = (nodes.get(name)?.instance as Scorer | undefined)?.furtherColumns ?? [];
    return part === undefined || further.includes(part) ? undefined : missingPart(`score.${name}`, part, further);
  }
  if (namespace === 'feature') {
    if (!surface.features.some(({ node }) => node.name === name)) return `"${name}" is not among the features of the surface`;
    const { width } = (nodes.get(name) as AssembledNode).instance as FeatureExtractor;
    return part === undefined || Number(part) < width
      ? undefined
      : `"${name}" has ${width} column${width === 1 ? '' : 's'}, counted from 0`;
  }
  return undefined;
}

function missingPart(owner: string, part: string, further: readonly string[]): string {
  const meant = suggest(part, further);
  if (meant !== undefined) return `there is no such column; did you mean "${owner}.${meant}"?`;
  return `there is no such column; there are ${[owner, ...further.map((name) => `${owner}.${name}`)].join(', ')}`;
}

/** The inputs a component declared, resolved against tables and features. At serve time (`users` undefined) user fields give no column. */
export function resolveInputs(
  planned: PlannedNode,
  items: Table,
  users: Table | undefined,
  features: ReadonlyMap<string, LiveFeature>,
): FitContext<unknown, NeedsSpec, InputsSpec>['inputs'] {
  const resolved: Record<string, unknown> = {};
  for (const [name, { many, entries }] of planned.inputs) {
    const values = entries.map((entry): FieldInput | LiveFeature => {
      if (entry.kind === 'item-field') return { field: entry.field, column: () => items.column(entry.field) };
      if (entry.kind === 'user-field') return { field: entry.field, column: () => users?.column(entry.field) };
      const matrix = features.get(entry.node.name);
      if (matrix === undefined) throw recloomError('RECLOOM_DAT_SNAPSHOT_STALE', { name: entry.node.name });
      return matrix;
    });
    resolved[name] = many ? values : values[0];
  }
  return resolved as never;
}

/** A surface that reads about people and has no gate grants everything; its author should know. */
function warnUngated(planned: PlannedSurface, plan: Plan, warn: (warning: Warning) => void): void {
  if (planned.privacy.length > 0) return;
  const stages = [planned.filters, planned.features, planned.scorers, planned.rankers];
  const nodes = [...planned.sources.map((source) => source.node), ...stages.flatMap((stage) => stage.map((use) => use.node))];
  const personal = nodes.filter((node) => node.reads.some((label) => !requestLabels.includes(label)));
  if (personal.length === 0) return;
  const labels = [...new Set(personal.flatMap((node) => node.reads.filter((label) => !requestLabels.includes(label))))].join(', ');
  const names = [...new Set(personal.map((node) => node.name))].join(', ');
  const at = {
    pipeline: plan.loaded.config.name,
    surface: planned.name,
    ...positionOf(plan.loaded.locate(['surfaces', planned.name], 'key')),
  };
  warn({ code: 'RECLOOM_PRV_NO_GATE', message: recloomError('RECLOOM_PRV_NO_GATE', { surface: planned.name, labels, names }).message, at });
}

function assembleSurface(planned: PlannedSurface, nodes: ReadonlyMap<string, AssembledNode>, expressions: Expressions): AssembledSurface {
  const node = (name: string): AssembledNode => nodes.get(name) as AssembledNode;
  const stage = <Contract>(stages: readonly PlannedStage[]): AssembledStage<Contract>[] =>
    stages.map((use) => ({
      name: use.node.name,
      node: node(use.node.name),
      instance: node(use.node.name).instance as Contract,
      planned: use,
    }));
  const allSources = planned.sources.map(
    (source, index): AssembledSource => ({
      name: source.node.name,
      index,
      node: node(source.node.name),
      instance: node(source.node.name).instance as CandidateSource,
      planned: source,
    }),
  );
  const filters = stage<CandidateFilter>(planned.filters);
  const scorers = stage<Scorer>(planned.scorers).map((scorer, place, all): AssembledScorer => {
    const read = new Set(
      (scorer.instance.readsColumns ?? []).flatMap((column) => (column.startsWith('score.') ? [column.split('.')[1]] : [])),
    );
    return {
      ...scorer,
      further: scorer.instance.furtherColumns ?? [],
      waitsFor: all.slice(0, place).flatMap(({ name }) => (read.has(name) ? [name] : [])),
    };
  });
  const privacy = stage<PrivacyFilter>(planned.privacy);
  const text =
    planned.config.value ?? (scorers.length === 0 ? undefined : scorers.map((scorer) => `rank(score.${scorer.name})`).join(' + '));
  return Object.freeze({
    name: planned.name,
    planned,
    allSources,
    sources: allSources.filter((source) => !source.planned.use.fallback),
    fallbacks: allSources.filter((source) => source.planned.use.fallback),
    filters,
    features: stage<FeatureExtractor>(planned.features),
    scorers,
    value: text === undefined ? undefined : expressions.compile(text, 'number'),
    rankers: stage<Ranker>(planned.rankers),
    gates: privacy.filter((filter) => typeof filter.instance.gate === 'function'),
    resultFilters: privacy.filter((filter) => typeof filter.instance.filterResult === 'function'),
    effects: stage<SideEffect>(planned.effects),
    queryFeatures: planned.queryFeatures.map((feature) => ({
      name: feature.name,
      node: node(feature.name),
      instance: node(feature.name).instance as FeatureExtractor,
    })),
    usesEligible:
      allSources.some((source) => source.planned.node.definition.capabilities.filtersInside === true) &&
      filters.some((filter) => typeof filter.instance.filterItems === 'function'),
  });
}

function positionOf(position: { readonly file: string; readonly line: number; readonly column: number }): {
  file: string;
  line?: number;
  column?: number;
} {
  return position.line > 0 ? { file: position.file, line: position.line, column: position.column } : { file: position.file };
}

/** The same error with more said about where it happened; what is already known stays. */
export function withLocation(error: RecloomError, at: RecloomError['at']): RecloomError {
  return new RecloomError({
    code: error.code,
    message: error.message,
    hint: error.hint,
    retryable: error.retryable,
    cause: error.cause,
    problems: error.problems,
    at: { ...at, ...error.at },
  });
}

/** Whatever a component threw, as an error of ours that names the component and its place in the config. */
export function stampError(error: unknown, planned: PlannedNode, plan: Plan, what: string): RecloomError {
  const wrapped = isRecloomError(error) ? error : recloomError('RECLOOM_PLG_COMPONENT_FAILED', { what }, { cause: error });
  return withLocation(wrapped, {
    pipeline: plan.loaded.config.name,
    node: planned.name,
    component: planned.reference,
    ...positionOf(plan.loaded.locate(planned.path, 'key')),
  });
}

/** The same warning with the component it is about. */
export function stampWarning(warning: Warning, planned: PlannedNode, plan: Plan): Warning {
  return { ...warning, at: { pipeline: plan.loaded.config.name, node: planned.name, component: planned.reference, ...warning.at } };
}
