import type { ConfigPath, LoadedConfig } from '../config/types.js';

/** The path of the first text in a component's options that meets a condition. */
export function findOption(loaded: LoadedConfig, path: ConfigPath, wanted: (option: string) => boolean): ConfigPath | undefined {
  let node: unknown = loaded.config;
  for (const step of [...path, 'with']) node = (node as Record<string | number, unknown> | undefined)?.[step];
  const search = (value: unknown, at: ConfigPath): ConfigPath | undefined => {
    if (typeof value === 'string') return wanted(value) ? at : undefined;
    if (typeof value !== 'object' || value === null) return undefined;
    const entries: Iterable<[string | number, unknown]> = Array.isArray(value) ? value.entries() : Object.entries(value);
    for (const [key, child] of entries) {
      const found = search(child, [...at, key]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return search(node, [...path, 'with']);
}
