import {
  type ConfigSource,
  fillExpression,
  type PipelineConfig,
  type ResolvedTune,
  type TuneParameter,
  type TuneValue,
} from '@recloom/core';
import type { ConfigChanges } from '../config-patch.js';
import type { Point } from './search.js';

/**
 * What a point changes in the config: only values that differ from `base` (default: everything the point sets). Numbers in
 * expressions come together in one value. A source's limit is set in a mapping of all sources when `wholeSources`, which a
 * config that lists them needs.
 */
export function patchOf(
  parameters: readonly TuneParameter[],
  point: Point,
  config: PipelineConfig,
  options: { readonly base?: Point; readonly wholeSources?: boolean } = {},
): ConfigChanges {
  const patch: Record<string, unknown> = {};
  const numbers = new Map<string, { readonly parameter: TuneParameter; readonly values: Map<string, number>; changed: boolean }>();
  for (const [place, parameter] of parameters.entries()) {
    const value = point[place];
    const changed = options.base === undefined || options.base[place] !== value;
    if (parameter.expression !== undefined) {
      const key = parameter.path.join('\n');
      const known = numbers.get(key) ?? { parameter, values: new Map<string, number>(), changed: false };
      if (typeof value === 'number') known.values.set(parameter.expression.number, value);
      known.changed ||= changed;
      numbers.set(key, known);
    } else if (changed && value !== undefined) {
      if (parameter.path[2] === 'sources' && options.wholeSources === true) setAllSources(patch, parameter, config);
      set(patch, parameter.path, value);
    }
  }
  for (const { parameter, values, changed } of numbers.values())
    if (changed) set(patch, parameter.path, fillExpression(parameter.expression?.template ?? '', values));
  return patch;
}

/**
 * The config of a trial: what the asked surface does without is taken out, so that it is neither fitted nor opened. Side
 * effects go too: an event log must not hear of questions that nobody asked.
 */
export function trialConfig(
  source: ConfigSource,
  tune: ResolvedTune,
  config: PipelineConfig,
  patch: ConfigChanges,
  servingLimits: boolean,
): ConfigSource {
  const needed = new Set(tune.components);
  const components = Object.fromEntries(Object.keys(config.components).flatMap((name) => (needed.has(name) ? [] : [[name, null]])));
  const surfaces = Object.fromEntries(Object.keys(config.surfaces).flatMap((name) => (name === tune.surface ? [] : [[name, null]])));
  // How busy the machine is must not decide what a trial is worth.
  const patient = servingLimits ? { limits: { timeoutMs: 3_600_000 } } : {};
  const asked = { surfaces: { [tune.surface]: { effects: null, ...patient } } };
  return [patch, { components, surfaces, tune: null }, asked].reduce<ConfigSource>(
    (merged, over) => mergePlain(merged as ConfigChanges, over),
    typeof source === 'string' ? { base: source } : source,
  );
}

/** Whether a patch of a source's limit leaves the other sources in place, which it does not over a list. */
export function keepsSources(before: PipelineConfig, after: PipelineConfig, surface: string): boolean {
  const names = (config: PipelineConfig): string => Object.keys(config.surfaces[surface]?.sources ?? {}).join('\n');
  return names(before) === names(after);
}

/** A name for a value in tables and comments. */
export function valueText(value: TuneValue | undefined): string {
  return value === undefined || value === null ? 'not set' : typeof value === 'string' ? value : JSON.stringify(value);
}

function setAllSources(patch: Record<string, unknown>, { path }: TuneParameter, config: PipelineConfig): void {
  const [, surface = ''] = path as readonly string[];
  if (get(patch, path.slice(0, 3)) !== undefined) return;
  for (const [name, use] of Object.entries(config.surfaces[surface]?.sources ?? {})) {
    const { limit, fallback, required, timeoutMs } = use;
    set(patch, ['surfaces', surface, 'sources', name], {
      limit,
      ...(fallback ? { fallback } : {}),
      ...(required ? { required } : {}),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
  }
}

function get(value: unknown, path: readonly (string | number)[]): unknown {
  let current = value;
  for (const part of path)
    current = typeof current === 'object' && current !== null ? (current as Record<string | number, unknown>)[part] : undefined;
  return current;
}

function set(target: Record<string, unknown>, path: readonly (string | number)[], value: unknown): void {
  let parent = target;
  for (const part of path.slice(0, -1)) {
    const key = String(part);
    if (typeof parent[key] !== 'object' || parent[key] === null) parent[key] = {};
    parent = parent[key] as Record<string, unknown>;
  }
  parent[String(path.at(-1))] = value;
}

/** Lays plain data over other as the config reader does, but keeps nulls: they may have to take out what a base brings. */
function mergePlain(base: ConfigChanges, over: ConfigChanges): ConfigChanges {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isPlain(below) && isPlain(value) ? mergePlain(below, value) : value;
  }
  return merged;
}

function isPlain(value: unknown): value is ConfigChanges {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
