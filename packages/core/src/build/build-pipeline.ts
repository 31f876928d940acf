import { type Clock, type Column, type ColumnType, clockToken, type DataSource, RecloomError, type Warning } from '@recloom/plugin-api';
import type { ConfigPath } from '../config/types.js';
import type { ColumnarTable, Dataset } from '../data/dataset.js';
import { readDataset } from '../data/read-dataset.js';
import type { ServiceContainer } from '../di/container.js';
import { createNode, stampError, stampWarning } from '../pipeline/assemble.js';
import { checkExpressions } from '../pipeline/check-expressions.js';
import { findOption } from '../pipeline/find-option.js';
import type { Plan, PlannedNode } from '../pipeline/plan.js';
import { type ConfigSource, type HostOptions, openWorkspace } from '../workspace.js';
import { type BuildObserver, type BuildReport, silentObserver } from './build-report.js';
import { fitComponents } from './fit-components.js';

export interface BuildOptions extends HostOptions {
  readonly signal?: AbortSignal;
  readonly observer?: BuildObserver;
  /** Fit everything anew, whatever an earlier build left. Default false. */
  readonly fresh?: boolean;
}

/**
 * Builds a snapshot and publishes it: data → clean and report → fit → write → verify → publish. When anything fails, or
 * the process is killed at any point, the last published snapshot goes on serving and a later build resumes.
 *
 * @throws RECLOOM_CFG_INVALID, RECLOOM_DAT_*, RECLOOM_PLG_*; the signal's reason when aborted
 */
export async function buildPipeline(source: ConfigSource, options: BuildOptions = {}): Promise<BuildReport> {
  const started = performance.now();
  const warnings: Warning[] = [];
  const outer = options.observer ?? silentObserver;
  const observer: BuildObserver = {
    step: (step, phase, detail) => outer.step(step, phase, detail),
    progress: (step, fraction, note) => outer.progress(step, fraction, note),
    warn: (warning) => {
      warnings.push(warning);
      outer.warn(warning);
    },
  };
  const signal = options.signal ?? new AbortController().signal;
  observer.step('config', 'start');
  const workspace = await openWorkspace(source, options);
  workspace.plan();
  observer.step('config', 'end');
  const { store } = workspace;
  const lock = await store.acquireLock(signal);
  const services = await workspace.services();
  try {
    const dataset = await readData(workspace.plan(), services, observer, signal);
    const plan = workspace.plan(fieldsOf(dataset));
    await checkExpressions(plan, dataset, services, signal);
    const fitted = await fitComponents({
      plan,
      dataset,
      services,
      observer,
      signal,
      parts: options.fresh === true ? undefined : store.parts,
      codeHash: (pluginId) => workspace.loader.codeHash(pluginId),
    });
    const before = await store.current();
    const { id, directory } = await store.write(
      { pipeline: plan.loaded.config.name, configHash: plan.loaded.hash, dataset, components: fitted.components },
      { signal, onStep: (step, phase) => observer.step(step, phase) },
    );
    observer.step('verify', 'start');
    await store.verify(id, signal);
    observer.step('verify', 'end');
    await store.publish(id, { onStep: (step, phase) => observer.step(step, phase) });
    observer.step('prune', 'start');
    await store.prune(plan.loaded.config.snapshot.keep);
    if (options.fresh !== true) await store.parts.prune(fitted.partKeys);
    observer.step('prune', 'end');
    return {
      snapshotId: id,
      directory,
      changed: before !== id,
      counts: { items: dataset.items.rowCount, users: dataset.users.rowCount, events: dataset.history.eventCount },
      data: dataset.reports,
      components: fitted.reports,
      warnings,
      milliseconds: performance.now() - started,
    };
  } finally {
    await services.close();
    await lock.release();
  }
}

/** Reads a config's data without fitting anything. */
export async function readPipelineData(source: ConfigSource, options: BuildOptions = {}): Promise<Dataset> {
  const workspace = await openWorkspace(source, options);
  const plan = workspace.plan();
  const services = await workspace.services();
  try {
    return await readData(plan, services, options.observer ?? silentObserver, options.signal ?? new AbortController().signal);
  } finally {
    await services.close();
  }
}

/** Reads the data that a plan names; the plan of its components need not be complete. */
export async function readData(plan: Plan, services: ServiceContainer, observer: BuildObserver, signal: AbortSignal): Promise<Dataset> {
  const container = services.assembly();
  const noTable = emptyTable();
  const sources: { items?: DataSource; events?: DataSource; users?: DataSource } = {};
  observer.step('read data', 'start');
  try {
    for (const kind of ['items', 'events', 'users'] as const) {
      const node = plan.data[kind];
      if (node === undefined) continue;
      try {
        const assembled = await createNode(node, container, {
          plan,
          items: noTable,
          users: noTable,
          states: new Map(),
          features: new Map(),
          signal,
          warn: (warning) => observer.warn(warning),
        });
        sources[kind] = assembled.instance as DataSource;
      } catch (error) {
        signal.throwIfAborted();
        throw stampError(error, node, plan, 'create()');
      }
    }
    const clock = await services.get<Clock>(clockToken.id);
    const dataset = await readDataset(sources, {
      signal,
      nowMs: clock.now(),
      progress: (kind, fraction, note) => observer.progress('read data', progressOf(kind, fraction, sources), note ?? kind),
      warn: (warning, kind) => observer.warn(stampWarning(warning, plan.data[kind] as PlannedNode, plan)),
      translate: (error, kind) => {
        signal.throwIfAborted();
        return dataError(error, plan.data[kind] as PlannedNode, plan);
      },
    });
    observer.step('read data', 'end', {
      items: dataset.items.rowCount,
      users: dataset.users.rowCount,
      events: dataset.history.eventCount,
      ...Object.fromEntries(Object.entries(dataset.reports).map(([kind, report]) => [`${kind}Dropped`, report?.dropped])),
    });
    return dataset;
  } finally {
    await container.close();
  }
}

/** An error of a data source at the very option it speaks of: the path or column that is named in its message. */
function dataError(error: unknown, node: PlannedNode, plan: Plan): RecloomError {
  const stamped = stampError(error, node, plan, 'read()');
  const mentioned =
    findOption(plan.loaded, node.path, (option) => option.length > 1 && mentions(stamped.message, option)) ??
    optionNamed(stamped.message, node, plan);
  if (mentioned === undefined) return stamped;
  const { file, line, column } = plan.loaded.locate(mentioned);
  return new RecloomError({
    code: stamped.code,
    message: stamped.message,
    hint: stamped.hint,
    retryable: stamped.retryable,
    cause: stamped.cause,
    problems: stamped.problems,
    at: { ...stamped.at, file, ...(line > 0 ? { line, column } : {}) },
  });
}

/** The option that a message names in backticks, such as `fields.price`, where the config says it. */
function optionNamed(message: string, node: PlannedNode, plan: Plan): ConfigPath | undefined {
  for (const [, name = ''] of message.matchAll(/`([\w.]+)`/g)) {
    const option = [...node.path, 'with', ...name.split('.')];
    let value: unknown = plan.loaded.config;
    for (const step of option) {
      value =
        typeof value === 'object' && value !== null && Object.hasOwn(value, step)
          ? (value as Record<string | number, unknown>)[step]
          : undefined;
    }
    if (value !== undefined) return option;
  }
  return undefined;
}

/** Whether a message names an option's value first of all: it opens with it, or with the words for a missing file or column and then it. */
function mentions(message: string, option: string): boolean {
  return ['', 'No file matches ', 'There is no column "'].some(
    (opening) => message.startsWith(opening + option) && /^(?:["\s.:]|$)/.test(message.slice(opening.length + option.length)),
  );
}

/** Sources are read one after the other, items and users first: a third of three sources is a third of the step. */
function progressOf(kind: string, fraction: number, sources: object): number {
  const kinds = ['items', 'users', 'events'].filter((name) => Object.hasOwn(sources, name));
  return (Math.max(0, kinds.indexOf(kind)) + fraction) / Math.max(1, kinds.length);
}

/** Names and types of the fields of a dataset's or snapshot's tables. */
export function fieldsOf(tables: { readonly items: ColumnarTable; readonly users: ColumnarTable }): {
  items: Record<string, ColumnType>;
  users: Record<string, ColumnType>;
} {
  const types = (columns: Readonly<Record<string, Column>>): Record<string, ColumnType> =>
    Object.fromEntries(Object.entries(columns).map(([field, column]) => [field, column.type]));
  return { items: types(tables.items.columns), users: types(tables.users.columns) };
}

function emptyTable(): ColumnarTable {
  return { ids: [], columns: {}, rowCount: 0, fields: [], version: 0, idOf: () => '', rowOf: () => -1, column: () => undefined };
}
