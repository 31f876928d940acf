import { type ConfigNode, type MappingEntry, withoutNulls } from './located-node.js';

/** Lays one config over another: mappings merge key by key, `null` takes an entry out, lists and scalars replace. Neither is changed. */
export function mergeNodes(base: ConfigNode, over: ConfigNode): ConfigNode {
  if (base.kind !== 'mapping' || over.kind !== 'mapping') return over;
  const entries = new Map<string, MappingEntry>(base.entries);
  for (const [key, entry] of over.entries) {
    const below = entries.get(key);
    if (entry.node.kind === 'scalar' && entry.node.value === null) entries.delete(key);
    else
      entries.set(
        key,
        below === undefined ? { ...entry, node: withoutNulls(entry.node) } : { ...entry, node: mergeNodes(below.node, entry.node) },
      );
  }
  return { kind: 'mapping', position: over.position, entries };
}
