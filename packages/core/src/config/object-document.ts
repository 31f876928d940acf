import { type RecloomError, recloomError } from '@recloom/plugin-api';
import { type ConfigNode, deepestNesting, type MappingEntry } from './located-node.js';
import type { SourcePosition } from './types.js';

/** Reads plain data into nodes, so that objects and files are merged and checked alike. All of them stand at line 0 of `file`. */
export function readObject(value: unknown, file: string): { readonly root: ConfigNode; readonly problems: readonly RecloomError[] } {
  const position: SourcePosition = { file, line: 0, column: 0 };
  const problems: RecloomError[] = [];
  const wrong = (path: readonly string[], why: string): ConfigNode => {
    problems.push(recloomError('RECLOOM_CFG_TYPE', { key: path.join('.') || 'the config', why }, { at: { file } }));
    return scalar(null);
  };
  const scalar = (content: string | number | boolean | null): ConfigNode => ({
    kind: 'scalar',
    value: content,
    position,
    plain: false,
    range: undefined,
    template: undefined,
  });
  const read = (content: unknown, path: readonly string[]): ConfigNode => {
    if (content === undefined || content === null) return scalar(null);
    if (typeof content === 'string' || typeof content === 'number' || typeof content === 'boolean') return scalar(content);
    if (typeof content !== 'object') return wrong(path, `expected plain data, found a ${typeof content}`);
    if (path.length > deepestNesting)
      return wrong(path.slice(0, 4), `it is nested more than ${deepestNesting} levels deep or holds itself`);
    if (Array.isArray(content))
      return { kind: 'list', position, items: content.map((item, index) => read(item, [...path, String(index)])) };
    const prototype: unknown = Object.getPrototypeOf(content);
    // A plain object of another realm (a test runner's, a vm's) is plain too: its prototype has none of its own.
    if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
      return wrong(
        path,
        `expected plain data, found ${(content as { constructor?: { name?: string } }).constructor?.name || 'an object of a class'}`,
      );
    }
    const entries = new Map<string, MappingEntry>();
    for (const [key, entry] of Object.entries(content)) {
      if (key === '__proto__') problems.push(recloomError('RECLOOM_CFG_UNKNOWN_KEY', { key }, { at: { file } }));
      else if (entry !== undefined) entries.set(key, { keyPosition: position, node: read(entry, [...path, key]) });
    }
    return { kind: 'mapping', position, entries };
  };
  return { root: read(value, []), problems };
}
