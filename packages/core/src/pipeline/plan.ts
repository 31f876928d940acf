import {
  type ColumnType,
  type ComponentDefinition,
  type ContractName,
  type ErrorCode,
  type ErrorParameters,
  isRecloomError,
  type Label,
  type PluginDefinition,
  RecloomError,
  recloomError,
  type SchemaIssue,
} from '@recloom/plugin-api';
import { hashOf } from '../canonical-json.js';
import { suggest } from '../config/suggest.js';
import type {
  ComponentNode,
  ConfigPath,
  LoadedConfig,
  OnError,
  SourcePosition,
  SourceUse,
  StageUse,
  SurfaceConfig,
  SurfaceNeed,
} from '../config/types.js';
import { meantIssues } from '../config/union-issues.js';
import { featureInputs } from './extraction.js';

/** One `in:` entry after the names in it were resolved. */
export type PlannedInput =
  | { readonly kind: 'item-field'; readonly field: string }
  | { readonly kind: 'user-field'; readonly field: string; readonly label: Label }
  | { readonly kind: 'feature'; readonly node: PlannedNode };

/** A component of the config with its definition, validated options and resolved inputs. */
export interface PlannedNode {
  readonly name: string;
  readonly reference: string;
  readonly pluginId: string;
  readonly definition: ComponentDefinition;
  readonly options: unknown;
  readonly optionsHash: string;
  /** By input name, in the order of the config; `many` tells whether the component gets a list. */
  readonly inputs: ReadonlyMap<string, { readonly many: boolean; readonly entries: readonly PlannedInput[] }>;
  /** Labels it cannot do without: the definition's and those of its required user fields. */
  readonly reads: readonly Label[];
  /** Where it stands in the config. */
  readonly path: ConfigPath;
}

export interface PlannedStage {
  readonly node: PlannedNode;
  readonly onError: OnError;
}

export interface PlannedSource {
  readonly node: PlannedNode;
  readonly use: SourceUse;
}

/** One surface with its stages resolved. */
export interface PlannedSurface {
  readonly name: string;
  readonly config: SurfaceConfig;
  readonly sources: readonly PlannedSource[];
  readonly filters: readonly PlannedStage[];
  readonly features: readonly PlannedStage[];
  readonly scorers: readonly PlannedStage[];
  readonly rankers: readonly PlannedStage[];
  readonly privacy: readonly PlannedStage[];
  readonly effects: readonly PlannedStage[];
  /**
   * Extractors that must answer at query scope because a component of this surface compares with their feature, or with one that
   * is made of it; in dependency order.
   */
  readonly queryFeatures: readonly PlannedNode[];
}

/** A config made ready: pure data, no instance, no container. */
export interface Plan {
  readonly loaded: LoadedConfig;
  readonly data: {
    readonly items: PlannedNode | undefined;
    readonly events: PlannedNode | undefined;
    readonly users: PlannedNode | undefined;
  };
  /** In dependency order. */
  readonly nodes: readonly PlannedNode[];
  readonly surfaces: ReadonlyMap<string, PlannedSurface>;
}

export interface PlanOptions {
  /** The plugin of an id, or why there is none. */
  readonly plugin: (id: string) => PluginDefinition | RecloomError;
  /** Ids that the plugins known so far have, for suggestions. */
  readonly pluginIds: () => readonly string[];
  /** Ids of the tokens that will be there at assembly. */
  readonly tokens: ReadonlySet<string>;
  /** Names of components and surfaces whose problems were reported before: references to them are not reported again. */
  readonly broken?: ReadonlySet<string>;
  /** Fields of the data, once they are known. */
  readonly fields?: { readonly items: Readonly<Record<string, ColumnType>>; readonly users: Readonly<Record<string, ColumnType>> };
}

export interface PlanResult {
  readonly plan: Plan;
  /** All problems, in the order of the config. When there is one, the plan must not be assembled. */
  readonly problems: readonly RecloomError[];
}

/** Resolves names, options, inputs and stages; finds every problem at once. Pure: the same config and plugins give the same plan. */
export function planPipeline(loaded: LoadedConfig, options: PlanOptions): PlanResult {
  return new Planner(loaded, options).run();
}

const stageContracts = {
  filters: 'filter',
  features: 'extractor',
  scorers: 'scorer',
  rankers: 'ranker',
  privacy: 'privacy',
  effects: 'effect',
} as const satisfies Record<string, ContractName>;

class Planner {
  readonly #loaded: LoadedConfig;
  readonly #options: PlanOptions;
  /** Without an error: what follows from a problem that was told already. */
  readonly #problems: { readonly error: RecloomError | undefined; readonly order: number }[] = [];
  /** Where components are used that the config took out, by name. */
  readonly #missed = new Map<string, Set<string>>();
  readonly #nodes = new Map<string, PlannedNode>();
  /** Names that stand in the config but could not be planned: references to them are not reported a second time. */
  readonly #broken: Set<string>;

  constructor(loaded: LoadedConfig, options: PlanOptions) {
    this.#loaded = loaded;
    this.#options = options;
    this.#broken = new Set(options.broken);
  }

  run(): PlanResult {
    const { config } = this.#loaded;
    const data = {
      items: this.#planData('items', config.data.items),
      events: this.#planData('events', config.data.events),
      users: this.#planData('users', config.data.users),
    };
    const ordered = this.#order();
    for (const name of ordered) {
      const node = this.#planComponent(name, config.components[name] as ComponentNode, ['components', name]);
      if (node === undefined) this.#broken.add(name);
      else this.#nodes.set(name, node);
    }
    const surfaces = new Map<string, PlannedSurface>();
    for (const [name, surface] of Object.entries(config.surfaces)) surfaces.set(name, this.#planSurface(name, surface));
    this.#reportTakenOut();
    const problems = this.#problems.sort((left, right) => left.order - right.order).flatMap(({ error }) => error ?? []);
    return { plan: { loaded: this.#loaded, data, nodes: [...this.#nodes.values()], surfaces }, problems };
  }

  #report<Code extends ErrorCode>(
    code: Code,
    parameters: ErrorParameters<Code>,
    path: ConfigPath,
    target: 'key' | 'value' = 'value',
    node?: string,
    reference?: string,
  ): void {
    this.#reportError(recloomError(code, parameters), path, target, node, reference);
  }

  #reportError(error: RecloomError, path: ConfigPath, target: 'key' | 'value', node?: string, reference?: string): void {
    const position = this.#loaded.locate(path, target);
    if (this.#loaded.isSettled?.(path) === true) this.#problems.push({ error: undefined, order: 0 });
    else this.#reportAt(error, position, node, reference);
  }

  #reportAt(error: RecloomError, position: SourcePosition, node: string | undefined, reference?: string): void {
    const located = new RecloomError({
      code: error.code,
      message: error.message,
      hint: error.hint,
      retryable: error.retryable,
      cause: error.cause,
      at: {
        ...error.at,
        pipeline: this.#loaded.config.name,
        file: position.file,
        ...(position.line > 0 ? { line: position.line, column: position.column } : {}),
        ...(node === undefined ? {} : { node }),
        ...(reference === undefined ? {} : { component: reference }),
      },
    });
    this.#problems.push({ error: located, order: position.line * 10_000 + position.column });
  }

  /** Whether a component was taken out on purpose; then its use at `place` is told of once, where it was taken out. */
  #isTakenOut(name: string, place: string): boolean {
    if (this.#loaded.takenOut?.has(name) !== true) return false;
    const places = this.#missed.get(name);
    if (places === undefined) this.#missed.set(name, new Set([place]));
    else places.add(place);
    return true;
  }

  #reportTakenOut(): void {
    for (const [name, places] of this.#missed) {
      const position = this.#loaded.takenOut?.get(name) as SourcePosition;
      this.#reportAt(recloomError('RECLOOM_CFG_STILL_USED', { name, places: [...places].join(', ') }), position, name);
    }
  }

  /** Names of the components in dependency order; a circle is reported and its members come in config order. */
  #order(): readonly string[] {
    const { components } = this.#loaded.config;
    const state = new Map<string, 'open' | 'done'>();
    const ordered: string[] = [];
    const visit = (name: string, chain: readonly string[]): void => {
      const seen = state.get(name);
      if (seen === 'done') return;
      if (seen === 'open') {
        this.#report(
          'RECLOOM_CFG_CYCLE',
          { chain: [...chain.slice(chain.indexOf(name)), name].join(' → ') },
          ['components', name, 'in'],
          'key',
          name,
        );
        this.#broken.add(name);
        return;
      }
      state.set(name, 'open');
      for (const value of Object.values(components[name]?.in ?? {})) {
        for (const entry of typeof value === 'string' ? [value] : value) {
          if (!entry.includes('.') && Object.hasOwn(components, entry)) visit(entry, [...chain, name]);
        }
      }
      state.set(name, 'done');
      ordered.push(name);
    };
    for (const name of Object.keys(components)) visit(name, []);
    return ordered;
  }

  #planData(kind: 'items' | 'events' | 'users', node: ComponentNode | undefined): PlannedNode | undefined {
    if (node === undefined) return undefined;
    const planned = this.#planComponent(`data.${kind}`, node, ['data', kind]);
    if (planned === undefined) return undefined;
    if (!planned.definition.provides.includes('data') || (planned.definition.capabilities.data ?? kind) !== kind) {
      const provides = planned.definition.provides.includes('data')
        ? `data of ${planned.definition.capabilities.data}`
        : planned.definition.provides.join(', ');
      this.#report('RECLOOM_CFG_WRONG_CONTRACT', { name: node.use, stage: `data.${kind}`, provides }, ['data', kind, 'use']);
      return undefined;
    }
    return planned;
  }

  #planComponent(name: string, node: ComponentNode, path: ConfigPath): PlannedNode | undefined {
    const slash = node.use.indexOf('/');
    const pluginId = slash < 0 ? node.use : node.use.slice(0, slash);
    const componentId = slash < 0 ? '' : node.use.slice(slash + 1);
    const plugin = this.#options.plugin(pluginId);
    if (isRecloomError(plugin)) {
      const suggestion = plugin.code === 'RECLOOM_CFG_UNKNOWN_PLUGIN' ? suggest(pluginId, this.#options.pluginIds()) : undefined;
      const error =
        suggestion === undefined
          ? plugin
          : recloomError('RECLOOM_CFG_UNKNOWN_PLUGIN', { plugin: pluginId, suggestion, tried: triedNames(pluginId) });
      this.#reportError(error, [...path, 'use'], 'value', name, node.use);
      return undefined;
    }
    const definition = plugin.components.find((component) => component.id === componentId);
    if (definition === undefined) {
      const references = plugin.components.map((component) => `${plugin.id}/${component.id}`);
      this.#report(
        'RECLOOM_CFG_UNKNOWN_COMPONENT',
        {
          reference: node.use,
          suggestion: suggest(node.use, references) ?? (references.length === 1 ? references[0] : undefined),
          available: references.join(', '),
        },
        [...path, 'use'],
        'value',
        name,
      );
      return undefined;
    }
    const before = this.#problems.length;
    const options = this.#validateOptions(name, node, definition, path);
    const inputs = this.#planInputs(name, node, definition, path);
    for (const token of Object.values(definition.needs)) {
      if (!this.#options.tokens.has(token.id))
        this.#report('RECLOOM_DI_MISSING', { token: token.id, name }, [...path, 'use'], 'value', name, node.use);
    }
    if (this.#problems.length > before) return undefined;
    const reads = new Set<Label>(definition.reads);
    // An optional field that is not granted is merely absent; only a required one keeps the component from running.
    for (const [input, { entries }] of inputs) {
      if (definition.inputs[input]?.optional === true) continue;
      for (const entry of entries) if (entry.kind === 'user-field') reads.add(entry.label);
    }
    return {
      name,
      reference: node.use,
      pluginId,
      definition,
      options,
      optionsHash: hashOf(inputs.size === 0 ? options : { options, in: wiringOf(inputs) }),
      inputs,
      reads: [...reads],
      path,
    };
  }

  #validateOptions(name: string, node: ComponentNode, definition: ComponentDefinition, path: ConfigPath): unknown {
    const result = definition.options['~standard'].validate(node.with);
    if (result instanceof Promise) {
      this.#report(
        'RECLOOM_PLG_INVALID',
        { plugin: node.use, why: 'its option schema is asynchronous' },
        [...path, 'use'],
        'value',
        name,
        node.use,
      );
      return undefined;
    }
    if (result.issues === undefined) return result.value;
    for (const issue of meantIssues(result.issues)) this.#reportIssue(issue, name, node, definition, path);
    return undefined;
  }

  #reportIssue(issue: SchemaIssue, name: string, node: ComponentNode, definition: ComponentDefinition, path: ConfigPath): void {
    const issuePath = (issue.path ?? [])
      .map((part) => (typeof part === 'object' ? part.key : part))
      .map((part) => (typeof part === 'number' ? part : String(part)));
    const at = [...path, 'with', ...issuePath];
    const unknownKeys =
      (issue as { code?: string; keys?: readonly string[] }).code === 'unrecognized_keys'
        ? ((issue as { keys?: readonly string[] }).keys ?? [])
        : [];
    if (unknownKeys.length > 0) {
      const allowed = propertyNames(definition, issuePath);
      for (const key of unknownKeys) {
        this.#report(
          'RECLOOM_CFG_UNKNOWN_KEY',
          { key, suggestion: suggest(key, allowed), allowed: allowed.join(', ') },
          [...at, key],
          'key',
          name,
          node.use,
        );
      }
      return;
    }
    const written = valueAt(node.with, issuePath);
    const key = issuePath.join('.') || 'with';
    if (/received undefined/.test(issue.message) || (written === undefined && (issue as { code?: string }).code === 'invalid_union')) {
      this.#report('RECLOOM_CFG_MISSING_KEY', { key }, at, 'value', name, node.use);
      return;
    }
    this.#report('RECLOOM_CFG_TYPE', { key, why: explainIssue(issue, definition, issuePath, written) }, at, 'value', name, node.use);
  }

  #planInputs(name: string, node: ComponentNode, definition: ComponentDefinition, path: ConfigPath): PlannedNode['inputs'] {
    const planned = new Map<string, { many: boolean; entries: readonly PlannedInput[] }>();
    const known = Object.keys(definition.inputs);
    for (const input of Object.keys(node.in)) {
      if (!known.includes(input)) {
        this.#report(
          'RECLOOM_CFG_UNKNOWN_KEY',
          { key: input, suggestion: suggest(input, known), allowed: known.join(', ') || 'nothing' },
          [...path, 'in', input],
          'key',
          name,
          node.use,
        );
      }
    }
    for (const [input, spec] of Object.entries(definition.inputs)) {
      const written = node.in[input];
      const at: ConfigPath = [...path, 'in', input];
      if (written === undefined) {
        if (!spec.optional)
          this.#report(
            'RECLOOM_CFG_INPUT',
            { name, input, why: `it is required (${spec.description})` },
            Object.keys(node.in).length > 0 ? [...path, 'in'] : path,
            'key',
            name,
            node.use,
          );
        continue;
      }
      const names = typeof written === 'string' ? [written] : written;
      if (!spec.many && names.length !== 1) {
        this.#report('RECLOOM_CFG_INPUT', { name, input, why: 'it takes exactly one entry' }, at, 'value', name, node.use);
        continue;
      }
      const entries: PlannedInput[] = [];
      for (const [index, entry] of names.entries()) {
        const entryPath = typeof written === 'string' ? at : [...at, index];
        const resolved = this.#planInput(entry, spec.kind, spec.types, name, input, entryPath);
        if (resolved !== undefined) entries.push(resolved);
      }
      planned.set(input, { many: spec.many, entries });
    }
    return planned;
  }

  #planInput(
    entry: string,
    kind: PlannedInput['kind'],
    types: readonly ColumnType[] | undefined,
    name: string,
    input: string,
    path: ConfigPath,
  ): PlannedInput | undefined {
    if (kind === 'feature') {
      const node = this.#nodes.get(entry);
      if (node === undefined) {
        if (this.#broken.has(entry) || this.#isTakenOut(entry, `components.${name}`)) return undefined;
        const names = Object.keys(this.#loaded.config.components);
        this.#report(
          'RECLOOM_CFG_UNKNOWN_NAME',
          { name: entry, suggestion: suggest(entry, names), available: names.join(', ') },
          path,
          'value',
          name,
        );
        return undefined;
      }
      if (!node.definition.provides.includes('extractor') || node.definition.capabilities.scopes?.includes('item') === false) {
        this.#report(
          'RECLOOM_CFG_INPUT',
          { name, input, why: `"${entry}" gives no item feature, it provides ${node.definition.provides.join(', ')}` },
          path,
          'value',
          name,
        );
        return undefined;
      }
      return { kind, node };
    }
    const prefix = kind === 'item-field' ? 'item.' : 'user.';
    if (!entry.startsWith(prefix)) {
      this.#report(
        'RECLOOM_CFG_INPUT',
        { name, input, why: `it takes a field such as ${prefix}${kind === 'item-field' ? 'title' : 'country'}, not "${entry}"` },
        path,
        'value',
        name,
      );
      return undefined;
    }
    const field = entry.slice(prefix.length);
    const fields = kind === 'item-field' ? this.#options.fields?.items : this.#options.fields?.users;
    if (fields !== undefined) {
      const type = Object.hasOwn(fields, field) ? fields[field] : undefined;
      if (type === undefined) {
        const available = Object.keys(fields).map((known) => prefix + known);
        this.#report(
          'RECLOOM_CFG_UNKNOWN_FIELD',
          { field: entry, suggestion: suggest(entry, available), available: available.join(', ') || 'none' },
          path,
          'value',
          name,
        );
        return undefined;
      }
      if (types !== undefined && !types.includes(type)) {
        this.#report(
          'RECLOOM_CFG_INPUT',
          { name, input, why: `"${entry}" is of type ${type}, it takes ${types.join(' or ')}` },
          path,
          'value',
          name,
        );
        return undefined;
      }
    }
    if (kind === 'item-field') return { kind, field };
    return { kind: 'user-field', field, label: this.#loaded.config.data.labels[field] ?? 'profile' };
  }

  #planSurface(name: string, surface: SurfaceConfig): PlannedSurface {
    const path: ConfigPath = ['surfaces', name];
    const sources: PlannedSource[] = [];
    for (const [source, use] of Object.entries(surface.sources)) {
      const at: ConfigPath = [...path, 'sources', source];
      const node = this.#stageNode(source, 'source', `surfaces.${name}.sources`, at, 'key');
      if (node === undefined) continue;
      this.#checkAsks(name, surface, node, at);
      sources.push({ node, use });
    }
    const stages = {} as Record<keyof typeof stageContracts, PlannedStage[]>;
    for (const stage of Object.keys(stageContracts) as (keyof typeof stageContracts)[]) {
      stages[stage] = [];
      for (const [index, use] of (surface[stage] as readonly StageUse[]).entries()) {
        const node = this.#stageNode(use.name, stageContracts[stage], `surfaces.${name}.${stage}`, [...path, stage, index], 'value');
        if (node !== undefined) stages[stage].push({ node, onError: use.onError });
      }
    }
    // A name that only the value reads is missed there, too.
    for (const [, read = ''] of (surface.value ?? '').matchAll(/\b(?:source|score|feature)\.([a-zA-Z][a-zA-Z0-9_]*)/g))
      this.#isTakenOut(read, `surfaces.${name}.value`);
    const itemFields = this.#options.fields?.items;
    if (itemFields !== undefined) {
      for (const [index, attribute] of surface.attributes.entries()) {
        if (Object.hasOwn(itemFields, attribute)) continue;
        const available = Object.keys(itemFields);
        this.#report(
          'RECLOOM_CFG_UNKNOWN_FIELD',
          { field: attribute, suggestion: suggest(attribute, available), available: available.join(', ') },
          [...path, 'attributes', index],
        );
      }
    }
    const queryFeatures = new Set<PlannedNode>();
    const addQueryFeatures = (node: PlannedNode): void => {
      for (const input of featureInputs(node)) {
        if (queryFeatures.has(input) || input.definition.capabilities.scopes?.includes('query') !== true) continue;
        queryFeatures.add(input);
        // What a query's vector is made of is asked for too.
        addQueryFeatures(input);
      }
    };
    for (const { node } of [...sources, ...Object.values(stages).flat()]) addQueryFeatures(node);
    // In dependency order, so that each finds the vectors it is made of.
    const ordered = [...this.#nodes.values()].filter((node) => queryFeatures.has(node));
    return { name, config: surface, sources, ...stages, queryFeatures: ordered };
  }

  #stageNode(name: string, contract: ContractName, stage: string, path: ConfigPath, target: 'key' | 'value'): PlannedNode | undefined {
    const node = this.#nodes.get(name);
    if (node === undefined) {
      if (this.#broken.has(name) || this.#isTakenOut(name, stage)) return undefined;
      const names = Object.keys(this.#loaded.config.components);
      this.#report(
        'RECLOOM_CFG_UNKNOWN_NAME',
        { name, suggestion: suggest(name, names), available: names.join(', ') || 'nothing' },
        path,
        target,
      );
      return undefined;
    }
    if (!node.definition.provides.includes(contract)) {
      this.#report(
        'RECLOOM_CFG_WRONG_CONTRACT',
        { name, stage, provides: node.definition.provides.join(', ') },
        path,
        target,
        name,
        node.reference,
      );
      return undefined;
    }
    return node;
  }

  /** A source that can only answer a search, say, is a mistake on a surface that is never asked with one. */
  #checkAsks(surfaceName: string, surface: SurfaceConfig, node: PlannedNode, path: ConfigPath): void {
    const asks = node.definition.capabilities.asks;
    if (asks === undefined || asks.length === 0) return;
    const given: readonly SurfaceNeed[] = surface.needs.length === 0 ? ['user', 'session'] : surface.needs;
    const satisfied = asks.some((ask) => given.includes(ask) || (ask === 'user' && given.includes('session')));
    if (!satisfied)
      this.#report(
        'RECLOOM_CFG_SURFACE_NEEDS',
        { surface: surfaceName, name: node.name, needs: asks.join(' or ') },
        path,
        'key',
        node.name,
        node.reference,
      );
  }
}

/** What each input of a component is fed from, for a hash: a state fitted to other inputs is another state. */
function wiringOf(inputs: PlannedNode['inputs']): object {
  const sourceOf = (entry: PlannedInput): readonly [string, string] => [
    entry.kind,
    entry.kind === 'feature' ? entry.node.name : entry.field,
  ];
  return Object.fromEntries([...inputs].map(([input, { entries }]) => [input, entries.map(sourceOf)]));
}

function triedNames(pluginId: string): string {
  return `@recloom/plugin-${pluginId}, recloom-plugin-${pluginId}`;
}

/** The keys an option mapping allows at a path, from the component's JSON schema: those of every form it may take. */
function propertyNames(definition: ComponentDefinition, path: readonly (string | number)[]): readonly string[] {
  let schemas = formsOf(definition.options['~standard'].jsonSchema.input({ target: 'draft-2020-12' }));
  for (const part of path) {
    schemas = schemas.flatMap((schema) => {
      const properties = schema['properties'] as Readonly<Record<string, unknown>> | undefined;
      const next =
        typeof part === 'number'
          ? schema['items']
          : properties !== undefined && Object.hasOwn(properties, part)
            ? properties[part]
            : schema['additionalProperties'];
      return typeof next === 'object' && next !== null ? formsOf(next as JsonSchema) : [];
    });
  }
  return [...new Set(schemas.flatMap((schema) => Object.keys(schema['properties'] ?? {})))];
}

/** A schema, or the forms it is a choice of. */
function formsOf(schema: JsonSchema): readonly JsonSchema[] {
  const forms = (schema['anyOf'] ?? schema['oneOf']) as readonly JsonSchema[] | undefined;
  return forms === undefined ? [schema] : forms.flatMap(formsOf);
}

/** The JSON schema of an option at a path, or undefined when the component's does not say. */
export function schemaAt(definition: ComponentDefinition, path: readonly (string | number)[]): JsonSchema | undefined {
  let schema: JsonSchema | undefined = definition.options['~standard'].jsonSchema.input({ target: 'draft-2020-12' });
  for (const part of path) {
    const next: unknown =
      typeof part === 'number' ? schema?.['items'] : (schema?.['properties'] as Record<string, unknown> | undefined)?.[part];
    schema = typeof next === 'object' && next !== null ? (next as JsonSchema) : undefined;
  }
  return schema;
}

type JsonSchema = Readonly<Record<string, unknown>>;

/** What is wrong with an option. What is written is not quoted: it may have come from the environment. */
function explainIssue(issue: SchemaIssue, definition: ComponentDefinition, path: readonly (string | number)[], written: unknown): string {
  const { code, values } = issue as { readonly code?: string; readonly values?: unknown };
  if (code === 'invalid_value' && Array.isArray(values) && values.length > 0) {
    const words = values.map((value) => JSON.stringify(value) ?? String(value));
    const near = typeof written === 'string' ? suggest(written, values.map(String)) : undefined;
    return `expected ${listed(words)}${near === undefined ? '' : ` (did you mean "${near}"?)`}`;
  }
  // Of a union a schema only says that nothing fitted.
  const expected = issue.message === 'Invalid input' ? expectedWords(schemaAt(definition, path)) : undefined;
  return expected === undefined ? plainIssue(issue.message) : `expected ${expected}`;
}

function valueAt(value: unknown, path: readonly (string | number)[]): unknown {
  let current = value;
  for (const step of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, step)) return undefined;
    current = (current as Record<string | number, unknown>)[step];
  }
  return current;
}

function listed(words: readonly string[]): string {
  return words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

/** What a schema takes, in words: `"cpu", "cuda" or a list of these`; undefined when it does not say. */
function expectedWords(schema: JsonSchema | undefined): string | undefined {
  const branches = (schema?.['anyOf'] ?? schema?.['oneOf']) as readonly JsonSchema[] | undefined;
  if (branches === undefined) return undefined;
  const words = new Set<string>();
  for (const branch of branches) for (const word of branchWords(branch, words)) words.add(word);
  return words.size === 0 ? undefined : listed([...words]);
}

function branchWords(branch: JsonSchema, before: ReadonlySet<string>): readonly string[] {
  if (Array.isArray(branch['enum'])) return branch['enum'].map((value) => JSON.stringify(value));
  if ('const' in branch) return [JSON.stringify(branch['const'])];
  if (branch['type'] === 'array') {
    const inner = branch['items'] === undefined ? [] : branchWords(branch['items'] as JsonSchema, new Set());
    return [inner.length > 0 && inner.every((word) => before.has(word)) ? 'a list of these' : 'a list'];
  }
  return typeof branch['type'] === 'string' ? [schemaWords[branch['type']] ?? branch['type']] : [];
}

/** A schema's message without its own jargon: "Invalid input: expected number, received string" → "expected a number, found a text". */
export function plainIssue(message: string): string {
  const plain = message
    .replace(/^Invalid (?:input|option): /, '')
    .replace(/\bexpected (number|string|boolean|object|array|record)\b/, (_, type: string) => `expected ${schemaWords[type]}`)
    .replace(/\breceived (\w+)$/, (_, type: string) => `found ${schemaWords[type] ?? type}`)
    .replace(/^Too (?:small|big): (expected .*)$/, '$1');
  return plain.charAt(0).toLowerCase() + plain.slice(1);
}

const schemaWords: Readonly<Record<string, string>> = {
  integer: 'a whole number',
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
  object: 'a mapping of keys',
  record: 'a mapping of keys',
  array: 'a list',
};
