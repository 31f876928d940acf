import { availableParallelism } from 'node:os';
import {
  type ComponentState,
  createRandomStream,
  deriveSeed,
  expressionsToken,
  type FeatureExtractor,
  type FitContext,
  type InputsSpec,
  type NeedsSpec,
  recloomError,
  type Tensor,
  tensor,
  type Warning,
} from '@recloom/plugin-api';
import { hashOf } from '../canonical-json.js';
import type { Dataset } from '../data/dataset.js';
import type { AssemblyContainer, ServiceContainer } from '../di/container.js';
import { createNode, expressionsFor, resolveInputs, stampError } from '../pipeline/assemble.js';
import { featureInputs, itemInputs, settleRows, sliceFeature } from '../pipeline/extraction.js';
import { LiveFeature } from '../pipeline/live-feature.js';
import type { Plan, PlannedNode } from '../pipeline/plan.js';
import type { SnapshotComponent, StoredFeature } from '../snapshot/types.js';
import type { BuildObserver, ComponentReport } from './build-report.js';
import { imageStamps } from './image-stamps.js';
import { sliceColumn } from './slice-column.js';

/** Keeps fitted components by a key that stands for all they depend on: options, inputs, data, seed. A `PartStore` is one. */
export interface FittedParts {
  /** The tensors put under a key, which are then the caller's own, or undefined. */
  get(key: string): Promise<ComponentState | undefined>;
  /** Keeps tensors; they stay the caller's own. */
  put(key: string, tensors: ComponentState): Promise<void>;
}

export interface FitOptions {
  readonly plan: Plan;
  readonly dataset: Dataset;
  readonly services: ServiceContainer;
  readonly observer: BuildObserver;
  readonly signal: AbortSignal;
  /** Finished components of earlier builds; undefined = fit everything and keep nothing. */
  readonly parts: FittedParts | undefined;
  /** Hash of a plugin's code, so that a changed `fit` is fitted anew; undefined where the code cannot be seen. */
  readonly codeHash?: (pluginId: string) => string | undefined;
}

export interface FitResult {
  readonly components: readonly SnapshotComponent[];
  readonly features: ReadonlyMap<string, LiveFeature>;
  readonly reports: readonly ComponentReport[];
  /** Keys of the parts this build is made of. */
  readonly partKeys: readonly string[];
}

/** Items per call of an extractor: large enough to sort by length in, small enough to show progress. */
const extractBatchRows = 1_024;

/** True for components whose result the snapshot keeps. */
export function hasStoredState(node: PlannedNode): boolean {
  return node.definition.fit !== undefined || isItemExtractor(node);
}

/** True for extractors whose item features are worked out at build time. */
export function isItemExtractor(node: PlannedNode): boolean {
  return node.definition.provides.includes('extractor') && node.definition.capabilities.scopes?.includes('item') !== false;
}

/**
 * Fits every component in dependency order; independent ones run side by side, since most of the work is done on
 * worker threads. What was finished by an interrupted build, with the same inputs, is taken from `parts`.
 */
export async function fitComponents(options: FitOptions): Promise<FitResult> {
  const { plan, dataset } = options;
  const container = options.services.assembly([[expressionsToken, expressionsFor(plan, dataset.items)]]);
  const keys = new Map<string, string>();
  const codeHashes = new Map<string, string | undefined>();
  for (const { pluginId } of plan.nodes) {
    if (options.parts !== undefined && !codeHashes.has(pluginId)) codeHashes.set(pluginId, options.codeHash?.(pluginId));
  }
  for (const node of plan.nodes) {
    const pictures = options.parts === undefined ? undefined : await imageStamps(node, plan, dataset);
    keys.set(node.name, partKey(node, plan, dataset, keys, codeHashes.get(node.pluginId), pictures));
  }
  const features = new Map<string, LiveFeature>();
  const results = new Map<string, { readonly component: SnapshotComponent; readonly report: ComponentReport }>();
  const running = new Map<string, Promise<void>>();
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  const slots = new Semaphore(Math.max(2, availableParallelism()));
  try {
    for (const node of plan.nodes) {
      if (!hasStoredState(node)) continue;
      const work = async (): Promise<void> => {
        await Promise.all(featureInputs(node).map((input) => running.get(input.name) ?? Promise.resolve()));
        await slots.run(async () => {
          signal.throwIfAborted();
          results.set(node.name, await fitOne(node, keys.get(node.name) as string, { ...options, signal }, container, features));
        });
      };
      const promise = work();
      // The first failure stops the others; it is thrown below, once all have come to rest.
      promise.catch(() => failed.abort());
      running.set(node.name, promise);
    }
    const settled = await Promise.allSettled(running.values());
    options.signal.throwIfAborted();
    const failures = settled.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
    const root = failures.find((error) => (error as Error).name !== 'AbortError') ?? failures[0];
    if (root !== undefined) throw root;
  } finally {
    await container.close();
  }
  const ordered = plan.nodes.flatMap((node) => results.get(node.name) ?? []);
  return {
    components: ordered.map((result) => result.component),
    features,
    reports: ordered.map((result) => result.report),
    partKeys: ordered.map((result) => keys.get(result.component.name) as string),
  };
}

/** Everything a component's state depends on. */
function partKey(
  node: PlannedNode,
  plan: Plan,
  dataset: Dataset,
  keys: ReadonlyMap<string, string>,
  code: string | undefined,
  pictures: string | undefined,
): string {
  const inputs = [...node.inputs].map(([name, { entries }]) => [
    name,
    entries.map((entry) => (entry.kind === 'feature' ? { feature: keys.get(entry.node.name) } : { [entry.kind]: entry.field })),
  ]);
  return hashOf({
    part: 1,
    name: node.name,
    reference: node.reference,
    code,
    options: node.optionsHash,
    stateVersion: node.definition.stateVersion,
    seed: plan.loaded.config.seed,
    data: dataset.hash,
    inputs,
    ...(pictures === undefined ? {} : { pictures }),
  });
}

async function fitOne(
  node: PlannedNode,
  key: string,
  options: FitOptions,
  container: AssemblyContainer,
  features: Map<string, LiveFeature>,
): Promise<{ readonly component: SnapshotComponent; readonly report: ComponentReport }> {
  const { plan, observer, signal } = options;
  const step = `fit ${node.name}`;
  const started = performance.now();
  observer.step(step, 'start', { component: node.reference });
  const kept = await options.parts?.get(key);
  // A fit that only listens would never hear of an abort that came before it.
  signal.throwIfAborted();
  let component: SnapshotComponent;
  if (kept !== undefined) {
    component = unpack(node, kept);
  } else {
    const warn = (warning: Warning): void =>
      observer.warn({ ...warning, at: { pipeline: plan.loaded.config.name, node: node.name, component: node.reference, ...warning.at } });
    const state = await fitState(node, options, container, features, warn);
    const feature = isItemExtractor(node) ? await extractItems(node, state, options, container, features, warn) : undefined;
    component = {
      name: node.name,
      reference: node.reference,
      optionsHash: node.optionsHash,
      stateVersion: node.definition.stateVersion,
      state,
      feature,
    };
    signal.throwIfAborted();
    await options.parts?.put(key, pack(component));
  }
  if (component.feature !== undefined) features.set(node.name, new LiveFeature(node.name, component.feature));
  const milliseconds = performance.now() - started;
  observer.step(step, 'end', { component: node.reference, reused: kept !== undefined, milliseconds: Math.round(milliseconds) });
  return { component, report: { name: node.name, reference: node.reference, reused: kept !== undefined, milliseconds } };
}

async function fitState(
  node: PlannedNode,
  options: FitOptions,
  container: AssemblyContainer,
  features: ReadonlyMap<string, LiveFeature>,
  warn: (warning: Warning) => void,
): Promise<ComponentState> {
  const { plan, dataset, observer, signal } = options;
  const { fit, needs } = node.definition;
  if (fit === undefined) return {};
  try {
    const holder = await container.bindNode(`fit:${node.name}`, needs, (deps) => ({ deps }));
    const context: FitContext<unknown, NeedsSpec, InputsSpec> = {
      name: node.name,
      directory: plan.loaded.directory,
      options: node.options,
      deps: holder.deps,
      inputs: resolveInputs(node, dataset.items, dataset.users, features),
      items: dataset.items,
      users: dataset.users,
      history: dataset.history,
      asOfMs: dataset.lastEventMs,
      random: createRandomStream(deriveSeed(plan.loaded.config.seed, node.name)),
      signal,
      progress: (fraction, note) => observer.progress(`fit ${node.name}`, fraction, note),
      warn,
    };
    const state = await fit(context as never);
    checkState(node, state);
    return state;
  } catch (error) {
    signal.throwIfAborted();
    throw stampError(error, node, plan, 'fit()');
  }
}

/** Runs an item-scope extractor over the whole catalogue. */
async function extractItems(
  node: PlannedNode,
  state: ComponentState,
  options: FitOptions,
  container: AssemblyContainer,
  features: ReadonlyMap<string, LiveFeature>,
  warn: (warning: Warning) => void,
): Promise<StoredFeature> {
  const { plan, dataset, observer, signal } = options;
  const { items } = dataset;
  const assembled = await createNode(node, container, {
    plan,
    items,
    users: dataset.users,
    states: new Map([[node.name, state]]),
    features,
    signal,
    warn,
  }).catch((error: unknown) => {
    signal.throwIfAborted();
    throw stampError(error, node, plan, 'create()');
  });
  const extractor = assembled.instance as FeatureExtractor;
  const { width } = extractor;
  if (!Number.isInteger(width) || width < 1) {
    throw stampError(
      recloomError('RECLOOM_LAW_SHAPE', { name: node.name, expected: 'a width of at least 1', found: String(width) }),
      node,
      plan,
      'create()',
    );
  }
  const values = new Float32Array(items.rowCount * width);
  const presence = new Uint8Array(items.rowCount);
  let bad = 0;
  try {
    for (let start = 0; start < items.rowCount; start += extractBatchRows) {
      signal.throwIfAborted();
      const end = Math.min(items.rowCount, start + extractBatchRows);
      const inputs = itemInputs(
        node,
        (field) => {
          const column = items.column(field);
          return column === undefined ? undefined : sliceColumn(column, start, end);
        },
        (name) => {
          const matrix = features.get(name);
          return matrix === undefined ? undefined : sliceFeature(matrix, start, end);
        },
      );
      const rows = Int32Array.from({ length: end - start }, (_, index) => start + index);
      const out = { values: values.subarray(start * width, end * width), presence: presence.subarray(start, end) };
      await extractor.extract({ scope: 'item', count: end - start, ...inputs, rows, candidates: undefined, signal }, out);
      bad += settleRows(out.values, out.presence, width);
      observer.progress(`fit ${node.name}`, end / items.rowCount);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw stampError(error, node, plan, 'extract()');
  }
  if (bad > 0) {
    const { message } = recloomError('RECLOOM_LAW_NON_FINITE', { name: node.name, count: bad });
    warn({ code: 'RECLOOM_LAW_NON_FINITE', message, count: bad });
  }
  return { width, values, presence };
}

function checkState(node: PlannedNode, state: ComponentState): void {
  if (typeof state !== 'object' || state === null)
    throw recloomError('RECLOOM_LAW_SHAPE', {
      name: node.name,
      expected: 'named tensors from fit()',
      found: state === undefined || state === null ? 'nothing' : `a ${typeof state}`,
    });
  for (const [name, entry] of Object.entries(state)) {
    const elements = entry.shape.reduce((product, size) => product * size, 1);
    if (elements !== entry.data.length) {
      throw recloomError('RECLOOM_LAW_SHAPE', {
        name: node.name,
        expected: `tensor "${name}" of ${elements} elements`,
        found: `${entry.data.length}`,
      });
    }
  }
}

function pack(component: SnapshotComponent): ComponentState {
  const tensors: Record<string, Tensor> = {};
  for (const [name, entry] of Object.entries(component.state)) tensors[`state.${name}`] = entry;
  const { feature } = component;
  if (feature !== undefined) {
    tensors['feature.values'] = tensor(feature.values, [feature.presence.length, feature.width]);
    tensors['feature.presence'] = tensor(feature.presence);
  }
  return tensors;
}

function unpack(node: PlannedNode, tensors: ComponentState): SnapshotComponent {
  const state: Record<string, Tensor> = {};
  for (const [name, entry] of Object.entries(tensors)) if (name.startsWith('state.')) state[name.slice('state.'.length)] = entry;
  const values = tensors['feature.values'];
  const presence = tensors['feature.presence'];
  const feature =
    values !== undefined && presence !== undefined
      ? { width: values.shape[1] ?? 0, values: values.data as Float32Array, presence: presence.data as Uint8Array }
      : undefined;
  return {
    name: node.name,
    reference: node.reference,
    optionsHash: node.optionsHash,
    stateVersion: node.definition.stateVersion,
    state,
    feature,
  };
}

/** Lets at most `size` pieces of work run at once. */
class Semaphore {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(size: number) {
    this.#free = size;
  }

  async run(work: () => Promise<void>): Promise<void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}
