import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Workspace } from '@recloom/core';
import type { ComponentDefinition, PluginDefinition, RecloomError } from '@recloom/plugin-api';
import type { CliIo } from './io.js';

/** A plugin as found, or why it cannot be used. */
export type InstalledPlugin =
  | { readonly id: string; readonly definition: PluginDefinition; readonly origin: string; readonly error?: undefined }
  | { readonly id: string; readonly definition?: undefined; readonly error: RecloomError };

/** Every plugin that a config in this folder could name: installed packages, those the config lists, and those handed in. */
export async function installedPlugins(io: CliIo, config: string | undefined, directory: string): Promise<readonly InstalledPlugin[]> {
  const { loader } = await openLoader(io, config, directory);
  const ids = new Set(loader.loaded().keys());
  for (const start of [directory, io.directory, dirname(fileURLToPath(import.meta.url))]) for (const id of packagesFrom(start)) ids.add(id);
  const plugins: InstalledPlugin[] = [];
  for (const id of [...ids].sort()) {
    try {
      const { definition, origin } = await loader.load(id);
      plugins.push({ id, definition, origin });
    } catch (error) {
      plugins.push({ id, error: error as RecloomError });
    }
  }
  return plugins;
}

async function openLoader(io: CliIo, config: string | undefined, directory: string): Promise<Workspace> {
  const { openWorkspace } = await import('@recloom/core');
  const host = { env: io.env, directory, ...(io.plugins === undefined ? {} : { plugins: io.plugins }) };
  // Without a config any valid one gives a loader; this one names no plugin that exists.
  const empty = { format: '1.0', name: 'plugins', data: { events: { use: 'none/none' } }, components: {}, surfaces: {} };
  return openWorkspace(config ?? empty, host);
}

/** Ids of the plugin packages in `node_modules` of a folder and of those above it. */
function packagesFrom(directory: string): string[] {
  const ids: string[] = [];
  for (let current = directory; ; current = dirname(current)) {
    const modules = join(current, 'node_modules');
    for (const name of names(join(modules, '@recloom')))
      if (name.startsWith('plugin-') && !/^plugin-(api|template)$/.test(name)) ids.push(name.slice(7));
    for (const name of names(modules)) if (name.startsWith('recloom-plugin-')) ids.push(name.slice(15));
    if (dirname(current) === current) return ids;
  }
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** An option of a component, taken from its JSON Schema. */
export interface OptionDescription {
  readonly name: string;
  readonly type: string;
  readonly default: unknown;
  readonly required: boolean;
  readonly description: string;
}

type Schema = Readonly<Record<string, unknown>>;

/** JSON Schema (draft 2020-12) of a component's options. */
export function optionsSchemaOf(component: ComponentDefinition): Schema {
  return component.options['~standard'].jsonSchema.input({ target: 'draft-2020-12' });
}

/** The options of a component in the order it declares them. */
export function describeOptions(component: ComponentDefinition): readonly OptionDescription[] {
  const schema = optionsSchemaOf(component);
  const required = new Set((schema['required'] as readonly string[] | undefined) ?? []);
  return Object.entries((schema['properties'] as Record<string, Schema> | undefined) ?? {}).map(([name, property]) => ({
    name,
    type: typeOf(property, schema),
    default: property['default'],
    required: required.has(name),
    description: typeof property['description'] === 'string' ? property['description'] : '',
  }));
}

function typeOf(property: Schema, root: Schema, depth = 0): string {
  if (depth > 4) return 'any';
  const reference = property['$ref'];
  if (typeof reference === 'string') {
    const target = reference
      .replace(/^#\//, '')
      .split('/')
      .reduce<unknown>((value, key) => (value as Schema | undefined)?.[key], root);
    return target === undefined ? 'any' : typeOf(target as Schema, root, depth + 1);
  }
  if (property['const'] !== undefined) return JSON.stringify(property['const']);
  const choices = property['enum'] as readonly unknown[] | undefined;
  if (choices !== undefined) return choices.map((choice) => String(choice)).join(' | ');
  const alternatives = (property['anyOf'] ?? property['oneOf']) as readonly Schema[] | undefined;
  if (alternatives !== undefined) return [...new Set(alternatives.map((entry) => typeOf(entry, root, depth + 1)))].join(' | ');
  const type = property['type'];
  if (type === 'array') return `list of ${typeOf((property['items'] as Schema | undefined) ?? {}, root, depth + 1)}`;
  if (type === 'object') {
    const inner = property['properties'] as Record<string, Schema> | undefined;
    return inner === undefined ? 'mapping' : `{ ${Object.keys(inner).join(', ')} }`;
  }
  if (type === 'string') return 'text';
  if (type === 'integer') return 'whole number';
  return typeof type === 'string' ? type : 'any';
}
