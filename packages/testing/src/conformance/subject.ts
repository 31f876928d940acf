import {
  type CandidateBatch,
  type Column,
  type ColumnType,
  type ComponentDefinition,
  type ComponentState,
  columnLength,
  createRandomStream,
  type FeatureMatrix,
  type PluginDefinition,
  type Provided,
  type RankedList,
  type RequestView,
  type Token,
} from '@recloom/plugin-api';
import { type TestTable, tableFrom } from '../host/columns.js';
import { historyViewFrom } from '../host/history.js';
import { type AnyInstance, type ComponentSetup, createTestHost, type TestHost, type TestInputs } from '../host/host.js';
import { candidateBatch, featureMatrix, type RequestParts, rankedList } from '../host/requests.js';
import { type Shop, syntheticShop } from '../host/shop.js';
import { LawBroken } from './law.js';
import { PackageInspector } from './package-check.js';

/**
 * Parts of a request that a fixture may set. Who asks, their history and their grants stay the kit's: the laws rest on
 * requests that differ in them.
 */
export type RequestFixture = Pick<
  RequestParts,
  'items' | 'text' | 'image' | 'queryWeights' | 'queryVectors' | 'userFields' | 'context' | 'asOfMs' | 'limit' | 'diversity'
>;

/** What a component needs to be opened in a test. It supplies material; it cannot switch a law off. */
export interface ComponentFixture {
  /** Options for `with:`; default `{}`. */
  readonly options?: unknown;
  /**
   * Inputs by name; default: for a field the first of the shop that has an accepted type, for a feature a made-up one of
   * width 8 in which some items lack the modality. Optional inputs are plugged in as well.
   */
  readonly inputs?: TestInputs;
  /** Folder that relative paths in options start from; default the working folder. */
  readonly directory?: string;
  /** Default a synthetic shop of 40 users and 48 items. */
  readonly shop?: Shop;
  /**
   * Merged into every sample request, for a component that acts on what the caller sends along, e.g.
   * `{ context: { maximumPrice: 5 } }`; `context` and `queryVectors` are merged by name, the others replace. The laws that compare a
   * batch with separate runs also mix requests with and without these parts.
   */
  readonly request?: RequestFixture;
  /**
   * Further finished columns a scorer reads (what its `readsColumns` names), e.g. `['score.habits', 'feature.walk.1']`:
   * sample candidates come with made-up values, some of them missing.
   */
  readonly columns?: readonly string[];
  readonly provide?: Provided;
}

/** What the kit is told about a plugin. */
export interface ConformanceOptions {
  /** Services for all components, beyond the default fakes of the test host. */
  readonly provide?: Provided;
  /** By component id. */
  readonly fixtures?: Readonly<Record<string, ComponentFixture>>;
  /** Folder of the plugin's package.json; default the nearest one above the test file (vitest) or the working folder. */
  readonly packageDirectory?: string;
  /**
   * Module with a default export `{ provide?, fixtures? }` for the law that runs in a child process (a missing library),
   * where objects of this process cannot go. Needed only when a component cannot be opened there with plain fixtures.
   */
  readonly setupModule?: string | URL;
}

/** A component under test, and everything the laws run it on. */
export interface Subject {
  readonly plugin: PluginDefinition;
  readonly definition: ComponentDefinition;
  readonly options: ConformanceOptions;
  readonly fixture: ComponentFixture;
  /** Looks at the plugin's package from outside; shared by the plugin's components. */
  readonly inspector: PackageInspector;
  readonly shop: Shop;
  /** The shop after two items and two users joined it that were not there at fit time; the new items lack every feature. */
  readonly grownShop: Shop;
  readonly inputs: TestInputs;
  /** Options, inputs and folder of the fixture, for `host().fit` and `host().open`. */
  readonly setup: ComponentSetup;
  /** What `fit` gives; worked out once. */
  state(): Promise<ComponentState>;
  /** A new instance in a new host. */
  open(setup?: ComponentSetup, provide?: Provided): Promise<{ readonly instance: AnyInstance; readonly host: TestHost }>;
  host(provide?: Provided): TestHost;
  /** The service the fixture or the test provides for a token; undefined where it is left to the test host. */
  provided<Service>(token: Token<Service>): Service | undefined;
}

/** Sets a component up for the laws. */
export function createSubject(
  plugin: PluginDefinition,
  definition: ComponentDefinition,
  options: ConformanceOptions,
  inspector: PackageInspector = new PackageInspector(plugin, options),
): Subject {
  const fixture = options.fixtures?.[definition.id] ?? {};
  const shop = fixture.shop ?? syntheticShop({ users: 40, items: 48, events: 700 });
  const inputs = fixture.inputs ?? defaultInputs(definition, shop);
  const provide: Provided = [...(options.provide ?? []), ...(fixture.provide ?? [])];
  let fitted: Promise<ComponentState> | undefined;
  const host = (more: Provided = []): TestHost => createTestHost({ shop, provide: [...provide, ...more] });
  const base: ComponentSetup = {
    options: fixture.options ?? {},
    inputs,
    ...(fixture.directory === undefined ? {} : { directory: fixture.directory }),
  };
  const state = (): Promise<ComponentState> => {
    fitted ??= host().fit(definition, base);
    return fitted;
  };
  return {
    plugin,
    definition,
    options,
    fixture,
    inspector,
    shop,
    grownShop: grow(shop),
    inputs,
    setup: base,
    state,
    host,
    provided: <Service>(token: Token<Service>) => provide.findLast(([one]) => one.id === token.id)?.[1] as Service | undefined,
    async open(setup = {}, more = []) {
      const own = host(more);
      const instance = await own.open(definition, { ...base, state: setup.state ?? (await state()), ...setup });
      return { instance, host: own };
    },
  };
}

/** Inputs for a component nobody wrote a fixture for. */
function defaultInputs(definition: ComponentDefinition, shop: Shop): TestInputs {
  const inputs: Record<string, string | FeatureMatrix | readonly FeatureMatrix[]> = {};
  for (const [name, spec] of Object.entries(definition.inputs)) {
    if (spec.kind === 'feature') {
      inputs[name] = madeUpFeature(name, shop);
      continue;
    }
    const [side, table] = spec.kind === 'item-field' ? ['item', shop.items] : ['user', shop.users];
    const typeOf = (candidate: string): ColumnType => table.column(candidate)?.type ?? 'text';
    // Whoever takes pictures as text references means pictures.
    const field =
      (spec.types?.includes('image') === true ? table.fields.find((candidate) => typeOf(candidate) === 'image') : undefined) ??
      table.fields.find((candidate) => spec.types?.includes(typeOf(candidate)) ?? true);
    if (field !== undefined) inputs[name] = `${side}.${field}`;
    else if (!spec.optional) throw new LawBroken(`No ${side} field of the shop fits the input "${name}"; give one in the fixture.`);
  }
  return inputs;
}

/** Vectors of length 1 that lie near each other within a category; every eleventh item lacks them. */
export function madeUpFeature(name: string, shop: Shop, width = 8): FeatureMatrix {
  const random = createRandomStream(11);
  const { rowCount } = shop.items;
  const values = new Float32Array(rowCount * width);
  const presence = new Uint8Array(rowCount);
  const category = shop.items.column('category');
  for (let row = 0; row < rowCount; row++) {
    const code = category?.type === 'category' ? (category.codes[row] ?? 0) : row % 5;
    const vector = Array.from({ length: width }, (_, at) => (at === (code + width) % width ? 2 : 0) + 0.5 * random.normal());
    const length = Math.hypot(...vector);
    if (row % 11 === 10) continue;
    presence[row] = 1;
    vector.forEach((value, at) => {
      values[row * width + at] = value / length;
    });
  }
  return featureMatrix(name, width, values, presence);
}

/** A column with two more rows: a copy of row 0, and null. */
function growColumn(column: Column): Column {
  switch (column.type) {
    case 'number':
      return { type: 'number', values: Float64Array.from([...column.values, column.values[0] ?? Number.NaN, Number.NaN]) };
    case 'boolean':
      return { type: 'boolean', values: Uint8Array.from([...column.values, column.values[0] ?? 255, 255]) };
    case 'category':
      return { ...column, codes: Int32Array.from([...column.codes, column.codes[0] ?? -1, -1]) };
    case 'list': {
      const first = column.codes.subarray(0, column.offsets[1] ?? 0);
      const end = column.codes.length + first.length;
      return { ...column, offsets: Int32Array.from([...column.offsets, end, end]), codes: Int32Array.from([...column.codes, ...first]) };
    }
    default:
      return { type: column.type, values: [...column.values, column.values[0] ?? null, null] };
  }
}

function growTable(table: TestTable, prefix: string): TestTable {
  const columns = Object.fromEntries(
    Object.entries(table.columns).map(([field, column]) => [field, columnLength(column) === table.rowCount ? growColumn(column) : column]),
  );
  return tableFrom([...table.ids, `${prefix}-1`, `${prefix}-2`], columns, table.version + 1);
}

function grow(shop: Shop): Shop {
  return { ...shop, items: growTable(shop.items, 'zz-new-item'), users: growTable(shop.users, 'zz-new-user') };
}

/** The parts of a sample request with the fixture's put over them. */
function withFixture({ request: given = {} }: ComponentFixture, parts: RequestParts): RequestParts {
  return {
    ...parts,
    ...given,
    context: { ...parts.context, ...given.context },
    queryVectors: { ...parts.queryVectors, ...given.queryVectors },
  };
}

/** A request of a stranger: the law's own parts, and the context the fixture gives. Who and what is unknown stays the law's. */
export function strangerRequest(subject: Subject, userRow: number, parts: RequestParts = {}): RequestView {
  return subject.grownShop.request(userRow, { ...withFixture(subject.fixture, {}), ...parts });
}

/**
 * The sample requests, every other one without the parts of the fixture: what a request brings along must not reach its
 * neighbours. Without such parts, the sample requests themselves.
 */
export function mixedRequests(subject: Subject): readonly RequestView[] {
  const whole = sampleRequests(subject);
  if (subject.fixture.request === undefined) return whole;
  const { request: _left, ...fixture } = subject.fixture;
  const bare = sampleRequests({ ...subject, fixture });
  return whole.map((request, index) => (index % 2 === 0 ? request : (bare[index] ?? request)));
}

/** The requests the laws ask with: two known users, a guest with a session, a guest of whom nothing is known, a search with everything; each with the parts of the fixture. */
export function sampleRequests(subject: Subject): readonly RequestView[] {
  const { shop } = subject;
  const queryVectors: Record<string, ArrayLike<number>> = {};
  for (const input of Object.values(subject.inputs).flat()) {
    if (typeof input === 'string') continue;
    const matrix = input as FeatureMatrix;
    queryVectors[matrix.name] = matrix.values.subarray(0, matrix.width);
  }
  const session = historyViewFrom(
    [
      { item: 1, type: 'view', timeMs: shop.asOfMs - 60_000 },
      { item: Math.min(9, shop.items.rowCount - 1), type: 'view', timeMs: shop.asOfMs - 1_000 },
    ],
    shop.history.typeNames.length > 0 ? shop.history.typeNames : ['view'],
  );
  const request = (userRow: number, parts: RequestParts): RequestView => shop.request(userRow, withFixture(subject.fixture, parts));
  return [
    request(0, { seed: 11 }),
    request(-1, { index: 1, history: session, seed: 12 }),
    request(3, { index: 2, items: [0, 5], text: 'red mug', queryVectors, context: { country: 'France' }, diversity: 0.5, seed: 13 }),
    request(-1, { index: 3, seed: 14 }),
    request(5, { index: 4, items: [2], seed: 15 }),
  ];
}

/**
 * Candidates for the given requests, twelve each: sources `first` and `second` (each proposes about three quarters of them),
 * finished columns `score.first`, `score.second` and `feature.first` (partly missing), and those of the fixture.
 */
export function sampleCandidates(subject: Subject, requests: readonly RequestView[], rowLimit?: number): CandidateBatch {
  const random = createRandomStream(21);
  const rowCount = rowLimit ?? subject.shop.items.rowCount;
  const rows = requests.map(() => shuffled(rowCount, random).slice(0, Math.min(12, rowCount)));
  const count = rows.reduce((sum, list) => sum + list.length, 0);
  const draw = (missing: number): number[] =>
    Array.from({ length: count }, () => (random.next() < missing ? Number.NaN : random.next() * 3));
  return candidateBatch({
    rows,
    requests,
    sources: { first: draw(0.25), second: draw(0.25) },
    columns: {
      'score.first': draw(0),
      'score.second': draw(0.2),
      'feature.first': draw(0.2),
      ...Object.fromEntries((subject.fixture.columns ?? []).map((name) => [name, draw(0.2)])),
    },
  });
}

/** Twenty candidates of one request in descending order of value. */
export function sampleList(subject: Subject, request: RequestView, count = 20): RankedList {
  const random = createRandomStream(31);
  const rows = shuffled(subject.shop.items.rowCount, random).slice(0, count);
  const values = rows.map(() => random.next() * 4).sort((a, b) => b - a);
  return rankedList(rows, values, { request, limit: Math.min(8, rows.length) });
}

/** The numbers [0, length) in a seeded random order. */
export function shuffled(length: number, random: { integer(bound: number): number }): number[] {
  const order = Array.from({ length }, (_, index) => index);
  for (let index = length - 1; index > 0; index--) {
    const other = random.integer(index + 1);
    [order[index], order[other]] = [order[other] as number, order[index] as number];
  }
  return order;
}
