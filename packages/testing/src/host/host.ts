import {
  type Clock,
  type ComponentDefinition,
  type ComponentState,
  type Contracts,
  clockToken,
  computeToken,
  consentToken,
  createRandomStream,
  deriveSeed,
  type Explainer,
  expressionsToken,
  type FeatureMatrix,
  type FieldInput,
  type HistoryStore,
  type InputSpec,
  type Inspectable,
  imageReaderToken,
  keyValueStoreToken,
  loggerToken,
  type ModelBacked,
  metricsToken,
  type Provided,
  randomToken,
  recloomError,
  type SchemaIssue,
  type Table,
  type Tensor,
  type TensorData,
  tracerToken,
  type Warning,
} from '@recloom/plugin-api';
import { simpleExpressions } from './expressions.js';
import { pictureReader } from './pictures.js';
import {
  consentFrom,
  fixedClock,
  type LogRecord,
  type MetricRecord,
  memoryKeyValueStore,
  recordingLogger,
  recordingMetrics,
  seededRandom,
  silentTracer,
  singleThreadCompute,
} from './services.js';
import { type Shop, syntheticShop } from './shop.js';

/** What a test plugs into a component's `in:`: `item.<field>`, `user.<field>`, a feature, or a list of them. */
export type TestInput = string | FeatureMatrix;
/** What a component is given under `in:`, by name. */
export type TestInputs = Readonly<Record<string, TestInput | readonly TestInput[]>>;

/** How a component is fitted and opened. Everything has a default. */
export interface ComponentSetup {
  /** The component's name in the config; default its id. */
  readonly name?: string;
  /** Folder that relative paths in options start from; default the working folder. */
  readonly directory?: string;
  /** Raw options, as `with:` gives them; validated through the component's schema. Default `{}`. */
  readonly options?: unknown;
  /** Catalogue, users and history; default the host's shop. */
  readonly shop?: Pick<Shop, 'items' | 'users' | 'history'>;
  /** By input name. Optional inputs may be left out. */
  readonly inputs?: TestInputs;
  /** Services that replace the host's. */
  readonly provide?: Provided;
  /** Seed of `context.random`; default 42. */
  readonly seed?: number;
  /** "Now" of the build; default the time of the last event. */
  readonly asOfMs?: number;
  readonly signal?: AbortSignal;
  /** What `fit` left behind; without it, a component that has a `fit` is fitted first. */
  readonly state?: ComponentState;
}

/** The methods of every contract: at run time only those exist that the component provides. */
export type AnyInstance = Contracts['data'] &
  Contracts['extractor'] &
  Contracts['source'] &
  Contracts['filter'] &
  Contracts['scorer'] &
  Contracts['ranker'] &
  Contracts['privacy'] &
  Contracts['effect'] &
  Explainer &
  Inspectable &
  ModelBacked;

/** Runs components without core, and remembers what they said. */
export interface TestHost {
  readonly shop: Shop;
  readonly clock: Clock & { advance(milliseconds: number): void };
  /** What components logged so far. */
  readonly logs: readonly LogRecord[];
  /** What components measured so far. */
  readonly measurements: readonly MetricRecord[];
  /** Warnings of `fit`, `create` and their instances so far. */
  readonly warnings: readonly Warning[];
  /** Progress fractions reported by `fit` so far. */
  readonly progress: readonly number[];
  /** Runs `fit`. The state is copied, as a snapshot would. Empty for a component without `fit`. */
  fit(definition: ComponentDefinition, setup?: ComponentSetup): Promise<ComponentState>;
  /** Opens an instance (after `fit` where there is one and no state is given). Call its `dispose` when done. */
  open<Instance extends object = AnyInstance>(definition: ComponentDefinition, setup?: ComponentSetup): Promise<Instance>;
}

/** How a test host is made. */
export interface TestHostOptions {
  /** Services that replace the default fakes. */
  readonly provide?: Provided;
  /** Purposes by user id, for the default consent service. */
  readonly consent?: Readonly<Record<string, readonly string[]>>;
  /** Default a synthetic shop of 120 users and 80 items. */
  readonly shop?: Shop;
  /** Where the clock stands; default the shop's last event. */
  readonly nowMs?: number;
}

/**
 * A host of the default fakes: a logger and metrics that record, a clock that stands still, seeded random, no-op tracer,
 * key-value store in memory, single-thread compute, simple expressions over the shop's items, consent from a map, made-up
 * pictures.
 * Inference and model files have no default: provide them.
 */
export function createTestHost(options: TestHostOptions = {}): TestHost {
  // Made when first asked for: most tests bring their own.
  let shop = options.shop;
  const ownShop = (): Shop => {
    shop ??= syntheticShop();
    return shop;
  };
  const clock = fixedClock(options.nowMs ?? (() => ownShop().asOfMs));
  const logger = recordingLogger();
  const metrics = recordingMetrics();
  const warnings: Warning[] = [];
  const progress: number[] = [];
  const services = new Map<string, unknown>([
    [loggerToken.id, logger],
    [clockToken.id, clock],
    [randomToken.id, seededRandom(1)],
    [metricsToken.id, metrics],
    [tracerToken.id, silentTracer()],
    [keyValueStoreToken.id, memoryKeyValueStore()],
    [computeToken.id, singleThreadCompute()],
    [consentToken.id, consentFrom(options.consent ?? {})],
    [imageReaderToken.id, pictureReader()],
  ]);
  for (const [token, value] of options.provide ?? []) services.set(token.id, value);

  const common = async (definition: ComponentDefinition, setup: ComponentSetup, plane: 'build' | 'serve') => {
    const data = setup.shop ?? ownShop();
    const name = setup.name ?? definition.id;
    const own = new Map(services);
    for (const [token, value] of setup.provide ?? []) own.set(token.id, value);
    if (!own.has(expressionsToken.id)) own.set(expressionsToken.id, simpleExpressions(data.items));
    const deps: Record<string, unknown> = {};
    for (const [key, token] of Object.entries(definition.needs)) {
      if (!own.has(token.id)) throw recloomError('RECLOOM_DI_MISSING', { token: token.id, name });
      deps[key] = own.get(token.id);
    }
    return {
      name,
      directory: setup.directory ?? process.cwd(),
      options: await validateOptions(definition, setup.options ?? {}),
      deps,
      inputs: resolveInputs(definition, setup.inputs ?? {}, data, plane),
      items: data.items,
      signal: setup.signal ?? new AbortController().signal,
      warn: (warning: Warning) => void warnings.push(warning),
    };
  };

  const host: TestHost = {
    get shop() {
      return ownShop();
    },
    clock,
    logs: logger.records,
    measurements: metrics.records,
    warnings,
    progress,
    async fit(definition, setup = {}) {
      const { fit } = definition;
      if (fit === undefined) return {};
      const data = setup.shop ?? ownShop();
      const base = await common(definition, setup, 'build');
      const context = {
        ...base,
        users: data.users,
        history: data.history,
        asOfMs: setup.asOfMs ?? data.history.timesMs.reduce((latest, time) => Math.max(latest, time), 0),
        random: createRandomStream(deriveSeed(setup.seed ?? 42, base.name)),
        progress: (fraction: number) => void progress.push(fraction),
      };
      return copyState(await fit(context as never));
    },
    async open<Instance extends object = AnyInstance>(definition: ComponentDefinition, setup: ComponentSetup = {}): Promise<Instance> {
      const state = setup.state ?? (await host.fit(definition, setup));
      const base = await common(definition, setup, 'serve');
      return (await definition.create({ ...base, state: copyState(state) } as never)) as Instance;
    },
  };
  return host;
}

/** Fits a component in a fresh host (or the given one) and returns its state. */
export function fitComponent(
  definition: ComponentDefinition,
  setup: ComponentSetup = {},
  host: TestHost = createTestHost(),
): Promise<ComponentState> {
  return host.fit(definition, setup);
}

/** Opens a component in a fresh host (or the given one). The type parameter narrows the instance, e.g. `<CandidateSource & Explainer>`. */
export function openComponent<Instance extends object = AnyInstance>(
  definition: ComponentDefinition,
  setup: ComponentSetup = {},
  host: TestHost = createTestHost(),
): Promise<Instance> {
  return host.open<Instance>(definition, setup);
}

/**
 * Validates raw options through a component's schema and returns what `create` gets, deep-frozen.
 *
 * @throws RECLOOM_CFG_TYPE naming the first option that is wrong.
 */
export async function validateOptions(definition: ComponentDefinition, raw: unknown): Promise<unknown> {
  const result = await definition.options['~standard'].validate(raw);
  if (result.issues === undefined) return deepFreeze(result.value);
  const issue = result.issues[0] as SchemaIssue;
  const path = (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.');
  throw recloomError('RECLOOM_CFG_TYPE', { key: path === '' ? 'with' : path, why: issue.message });
}

function resolveInputs(
  definition: ComponentDefinition,
  given: TestInputs,
  data: { readonly items: Table; readonly users: Table; readonly history: HistoryStore },
  plane: 'build' | 'serve',
): Record<string, unknown> {
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(definition.inputs, name)) {
      throw recloomError('RECLOOM_CFG_INPUT', { name: definition.id, input: name, why: 'it accepts no such input' });
    }
  }
  const resolved: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(definition.inputs)) {
    const value = given[name];
    if (value === undefined) {
      if (!spec.optional) throw recloomError('RECLOOM_CFG_INPUT', { name: definition.id, input: name, why: 'it is required' });
      resolved[name] = undefined;
      continue;
    }
    const many = Array.isArray(value) ? (value as readonly TestInput[]) : [value as TestInput];
    const inputs = many.map((one) => resolveInput(definition.id, name, spec, one, data, plane));
    if (!spec.many && inputs.length !== 1) {
      throw recloomError('RECLOOM_CFG_INPUT', { name: definition.id, input: name, why: `it takes one value, not ${inputs.length}` });
    }
    resolved[name] = spec.many ? inputs : inputs[0];
  }
  return resolved;
}

function resolveInput(
  component: string,
  input: string,
  spec: InputSpec,
  value: TestInput,
  data: { readonly items: Table; readonly users: Table },
  plane: 'build' | 'serve',
): FieldInput | FeatureMatrix {
  const fail = (why: string): never => {
    throw recloomError('RECLOOM_CFG_INPUT', { name: component, input, why });
  };
  if (spec.kind === 'feature') return typeof value === 'string' ? fail('it takes a feature') : value;
  const [side, field = ''] = typeof value === 'string' ? value.split('.') : fail('it takes a field');
  if (side !== (spec.kind === 'item-field' ? 'item' : 'user')) fail(`it takes ${spec.kind === 'item-field' ? 'item' : 'user'}.<field>`);
  const table = spec.kind === 'item-field' ? data.items : data.users;
  const column = table.column(field);
  if (column === undefined) return fail(`there is no field "${field}"`);
  if (spec.types !== undefined && !spec.types.includes(column.type)) fail(`"${field}" is ${column.type}, not ${spec.types.join(' or ')}`);
  const hidden = spec.kind === 'user-field' && plane === 'serve';
  return { field, column: () => (hidden ? undefined : table.column(field)) };
}

/** A copy of a state that shares no memory with it. */
export function copyState(state: ComponentState): ComponentState {
  return Object.fromEntries(
    Object.entries(state).map(([name, { shape, data }]): [string, Tensor] => [
      name,
      { shape: [...shape], data: data.slice() as TensorData },
    ]),
  );
}

/** Freezes plain objects and arrays all the way down; typed arrays and class instances are left alone. */
export function deepFreeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value)) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null && !Array.isArray(value)) return value;
  Object.freeze(value);
  for (const part of Object.values(value)) deepFreeze(part);
  return value;
}
