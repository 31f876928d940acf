import type { ComponentDefinition } from './component.js';

/** The version of the contracts in this package; a plugin made for another is refused at assembly. */
export const pluginApiVersion = 1;

/** An error a plugin can raise on top of Recloom's own table; codes begin with the plugin's own prefix, not `RECLOOM_`. */
export interface PluginErrorCode {
  readonly code: string;
  readonly summary: string;
  readonly hint: string;
}

/** A package of components. */
export interface PluginDefinition {
  readonly apiVersion: number;
  /** First part of its components' refs, e.g. `collaborative-linear`. */
  readonly id: string;
  readonly components: readonly ComponentDefinition[];
  readonly errors: readonly PluginErrorCode[];
}

/** Defines a plugin: the default export of its package. */
export function definePlugin(spec: Omit<PluginDefinition, 'errors'> & { readonly errors?: readonly PluginErrorCode[] }): PluginDefinition {
  return Object.freeze({ errors: [], ...spec });
}
