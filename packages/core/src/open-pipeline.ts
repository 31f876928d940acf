import {
  type Clock,
  type ComponentState,
  clockToken,
  type Logger,
  loggerToken,
  type Metrics,
  metricsToken,
  type RandomSource,
  RecloomError,
  randomToken,
  recloomError,
  type Tracer,
  tracerToken,
  type Warning,
} from '@recloom/plugin-api';
import { buildPipeline, fieldsOf } from './build/build-pipeline.js';
import { silentObserver } from './build/build-report.js';
import { type FittedParts, fitComponents, hasStoredState, isItemExtractor } from './build/fit-components.js';
import type { ColumnarTable, Dataset } from './data/dataset.js';
import { HistoryOverlay } from './data/history-overlay.js';
import { OverlayTable } from './data/overlay-table.js';
import type { ServiceContainer } from './di/container.js';
import { assemble, withLocation } from './pipeline/assemble.js';
import { Engine, type RequestServices } from './pipeline/engine.js';
import { LiveFeature } from './pipeline/live-feature.js';
import { applyEvent, applyItems } from './pipeline/overlay.js';
import { type OverlayLog, Pipeline } from './pipeline/pipeline.js';
import type { Plan } from './pipeline/plan.js';
import type { Attributes } from './pipeline/types.js';
import type { SnapshotComponent } from './snapshot/types.js';
import { type ConfigSource, type HostOptions, openWorkspace, type Workspace } from './workspace.js';

export interface OpenPipelineOptions extends HostOptions {
  /** Whether to build first: `never` (default), `if-missing` (no snapshot is published) or `always`. */
  readonly build?: 'never' | 'if-missing' | 'always';
  /** Opens this snapshot instead of the published one. */
  readonly snapshot?: string;
  /** Fits this dataset in memory instead of opening a snapshot: for evaluation and for hosts whose data are small. */
  readonly dataset?: Dataset;
  /** With `dataset`: where components fitted before are looked for and kept, so that what did not change is not fitted again. */
  readonly parts?: FittedParts;
  readonly signal?: AbortSignal;
  /** Told the label and the column whenever a personal column is read: to prove what a request touched. */
  readonly onRead?: (label: string, column: string) => void;
}

/**
 * Opens a pipeline: reads the config, loads its plugins, opens the published snapshot, makes every component.
 *
 * @throws RECLOOM_CFG_INVALID with every problem of the config; RECLOOM_DAT_SNAPSHOT_* when there is no usable snapshot
 */
export async function openPipeline<ItemAttributes extends Attributes = Attributes>(
  source: ConfigSource,
  options: OpenPipelineOptions = {},
): Promise<Pipeline<ItemAttributes>> {
  const first = await openWorkspace(source, options);
  if (options.dataset === undefined && options.build !== undefined && options.build !== 'never') {
    if (options.build === 'always' || (await first.store.current()) === undefined) {
      await buildPipeline(source, { ...options, ...(options.signal === undefined ? {} : { signal: options.signal }) });
    }
  }
  const services = await first.services();
  const signal = options.signal ?? new AbortController().signal;
  try {
    const engine =
      options.dataset === undefined
        ? await openEngine(first, services, options, signal)
        : await fitEngine(first, options.dataset, services, options, signal);
    return new Pipeline<ItemAttributes>({
      engine,
      store: options.dataset === undefined ? first.store : undefined,
      close: () => services.close(),
      reopen: async (log) => {
        if (options.dataset !== undefined)
          throw recloomError('RECLOOM_RUN_REQUEST', { why: 'a pipeline fitted in memory has no snapshot to reload' });
        // The config is read again: a reload after a changed config and a new build is one step for the host.
        const fresh = await openEngine(await openWorkspace(source, options), services, options, new AbortController().signal);
        await replay(fresh, log);
        return fresh;
      },
    });
  } catch (error) {
    await services.close();
    throw error;
  }
}

async function openEngine(
  workspace: Workspace,
  services: ServiceContainer,
  options: OpenPipelineOptions,
  signal: AbortSignal,
): Promise<Engine> {
  workspace.plan();
  const warnings: Warning[] = [];
  const snapshot = await workspace.store.open(options.snapshot, {
    signal,
    fallback: options.snapshot === undefined,
    warn: (warning) => warnings.push(warning),
  });
  const plan = workspace.plan(fieldsOf(snapshot));
  checkStates(plan, snapshot.components);
  return makeEngine({
    plan,
    services,
    options,
    signal,
    warnings,
    snapshotId: snapshot.id,
    items: snapshot.items,
    users: snapshot.users,
    history: snapshot.history,
    lastEventMs: snapshot.manifest.lastEventMs,
    components: [...snapshot.components.values()],
  });
}

async function fitEngine(
  workspace: Workspace,
  dataset: Dataset,
  services: ServiceContainer,
  options: OpenPipelineOptions,
  signal: AbortSignal,
): Promise<Engine> {
  const plan = workspace.plan(fieldsOf(dataset));
  const warnings: Warning[] = [];
  const fitted = await fitComponents({
    plan,
    dataset,
    services,
    signal,
    parts: options.parts,
    observer: { ...silentObserver, warn: (warning) => warnings.push(warning) },
  });
  return makeEngine({
    plan,
    services,
    options,
    signal,
    warnings,
    snapshotId: `memory-${dataset.hash.slice(0, 16)}`,
    items: dataset.items,
    users: dataset.users,
    history: dataset.history,
    lastEventMs: dataset.lastEventMs,
    components: fitted.components,
  });
}

/** Every component of the plan must find the state it was fitted to, under the same options and a version it can read. */
function checkStates(plan: Plan, components: ReadonlyMap<string, SnapshotComponent>): void {
  const problems: RecloomError[] = [];
  for (const node of plan.nodes) {
    if (!hasStoredState(node)) continue;
    const stored = components.get(node.name);
    const at = { pipeline: plan.loaded.config.name, node: node.name, component: node.reference, ...place(plan, node.path) };
    if (stored === undefined || stored.reference !== node.reference || stored.optionsHash !== node.optionsHash) {
      problems.push(recloomError('RECLOOM_DAT_SNAPSHOT_STALE', { name: node.name }, { at }));
    } else if (stored.stateVersion !== node.definition.stateVersion) {
      problems.push(
        recloomError(
          'RECLOOM_DAT_STATE_VERSION',
          { name: node.name, found: stored.stateVersion, supported: node.definition.stateVersion },
          { at },
        ),
      );
    }
  }
  const [first] = problems;
  if (first === undefined) return;
  throw problems.length === 1
    ? first
    : withLocation(new RecloomError({ code: first.code, message: first.message, hint: first.hint, problems }), first.at);
}

function place(plan: Plan, path: readonly (string | number)[]): { file: string; line?: number; column?: number } {
  const { file, line, column } = plan.loaded.locate(path, 'key');
  return line > 0 ? { file, line, column } : { file };
}

async function makeEngine(parts: {
  readonly plan: Plan;
  readonly services: ServiceContainer;
  readonly options: OpenPipelineOptions;
  readonly signal: AbortSignal;
  readonly warnings: Warning[];
  readonly snapshotId: string;
  readonly items: ColumnarTable;
  readonly users: ColumnarTable;
  readonly history: Dataset['history'];
  readonly lastEventMs: number;
  readonly components: readonly SnapshotComponent[];
}): Promise<Engine> {
  const { plan, services, options, signal, warnings } = parts;
  const items = new OverlayTable(parts.items, { what: 'item' });
  const users = new OverlayTable(parts.users, { what: 'user' });
  const features = new Map<string, LiveFeature>();
  const states = new Map<string, ComponentState>();
  const extractors = new Set(plan.nodes.filter(isItemExtractor).map((node) => node.name));
  for (const component of parts.components) {
    states.set(component.name, component.state);
    if (component.feature !== undefined && extractors.has(component.name))
      features.set(component.name, new LiveFeature(component.name, component.feature));
  }
  // Components also warn while the pipeline serves (a new item whose picture is broken): the newest are kept.
  const warn = (warning: Warning): void => {
    warnings.push(warning);
    if (warnings.length > mostWarnings) warnings.shift();
  };
  const assembly = await assemble({ plan, services, items, users, states, features, signal, warn });
  const onRead = options.onRead;
  return new Engine({
    plan,
    assembly,
    services: await requestServices(services, options),
    snapshotId: parts.snapshotId,
    configHash: plan.loaded.hash,
    items,
    users,
    history: new HistoryOverlay(parts.history, users, onRead === undefined ? {} : { onRead: (label) => onRead(label, 'history') }),
    features,
    warnings,
    lastEventMs: parts.lastEventMs,
    onRead,
  });
}

const mostWarnings = 1000;

/** The services that requests use, taken out of the container once. */
async function requestServices(services: ServiceContainer, options: OpenPipelineOptions): Promise<RequestServices> {
  const clock = await services.get<Clock>(clockToken.id);
  const traced = options.provide?.some(([token]) => token.id === tracerToken.id) === true;
  return {
    logger: await services.get<Logger>(loggerToken.id),
    metrics: await services.get<Metrics>(metricsToken.id),
    random: await services.get<RandomSource>(randomToken.id),
    tracer: traced ? await services.get<Tracer>(tracerToken.id) : undefined,
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
  };
}

/** Applies the overlay's changes to a new engine; events that its snapshot was built from are in it already. */
async function replay(engine: Engine, log: OverlayLog): Promise<void> {
  const builtUpTo = engine.newestEventMs;
  await applyItems(engine, log.items);
  for (const { event, timeMs } of log.events) if (timeMs >= builtUpTo) applyEvent(engine, event, timeMs);
}
