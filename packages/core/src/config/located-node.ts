import type { ConfigPath, SourcePosition } from './types.js';

/** A text that nodes were read from; `positionAt` turns an offset into a line and column. */
export interface SourceText {
  readonly file: string;
  readonly text: string;
  positionAt(offset: number): SourcePosition;
}

/** Where the raw text of a scalar lies in its file, so that a position inside it (of an expression) can be found. */
export interface SourceRange {
  readonly source: SourceText;
  readonly start: number;
  readonly end: number;
}

export interface ScalarNode {
  readonly kind: 'scalar';
  readonly value: string | number | boolean | null;
  readonly position: SourcePosition;
  /** Written without quotes, so that `${env:N}` may become a number. */
  readonly plain: boolean;
  readonly range: SourceRange | undefined;
  /** The text before environment values were put in; undefined when there were none. */
  readonly template: string | undefined;
}

export interface MappingEntry {
  readonly keyPosition: SourcePosition;
  readonly node: ConfigNode;
}

export interface MappingNode {
  readonly kind: 'mapping';
  readonly position: SourcePosition;
  readonly entries: ReadonlyMap<string, MappingEntry>;
}

export interface ListNode {
  readonly kind: 'list';
  readonly position: SourcePosition;
  readonly items: readonly ConfigNode[];
}

/** A value of a config together with the place it came from. Immutable; parts are shared between trees. */
export type ConfigNode = ScalarNode | MappingNode | ListNode;

/** Deepest nesting of a config; the deepest sensible one has about eight levels. */
export const deepestNesting = 60;

/** The node as plain data. Mappings have no prototype, so that a key such as `constructor` is never inherited. */
export function toPlain(node: ConfigNode): unknown {
  if (node.kind === 'scalar') return node.value;
  if (node.kind === 'list') return node.items.map(toPlain);
  const result: Record<string, unknown> = Object.create(null);
  for (const [key, entry] of node.entries) result[key] = toPlain(entry.node);
  return result;
}

/** A copy without the entries whose value is null: `null` means "take this out". Nulls in lists stay. */
export function withoutNulls(node: ConfigNode): ConfigNode {
  if (node.kind === 'scalar') return node;
  if (node.kind === 'list') return { ...node, items: node.items.map(withoutNulls) };
  const entries = new Map<string, MappingEntry>();
  for (const [key, entry] of node.entries) {
    if (entry.node.kind === 'scalar' && entry.node.value === null) continue;
    entries.set(key, { keyPosition: entry.keyPosition, node: withoutNulls(entry.node) });
  }
  return { ...node, entries };
}

/** A copy with every scalar replaced; the path leads to the scalar. */
export function mapScalars(
  node: ConfigNode,
  replace: (scalar: ScalarNode, path: ConfigPath) => ScalarNode,
  path: ConfigPath = [],
): ConfigNode {
  if (node.kind === 'scalar') return replace(node, path);
  if (node.kind === 'list') return { ...node, items: node.items.map((item, index) => mapScalars(item, replace, [...path, index])) };
  const entries = new Map<string, MappingEntry>();
  for (const [key, entry] of node.entries) {
    entries.set(key, { keyPosition: entry.keyPosition, node: mapScalars(entry.node, replace, [...path, key]) });
  }
  return { ...node, entries };
}

/** A copy without the value at a path; unchanged when there is none. */
export function withoutPath(node: ConfigNode, path: ConfigPath): ConfigNode {
  const [step, ...rest] = path;
  if (step === undefined || node.kind === 'scalar') return node;
  if (node.kind === 'list') {
    const index = Number(step);
    const item = node.items[index];
    if (item === undefined) return node;
    const items = rest.length === 0 ? node.items.filter((_, place) => place !== index) : node.items.with(index, withoutPath(item, rest));
    return { ...node, items };
  }
  const entry = node.entries.get(String(step));
  if (entry === undefined) return node;
  const entries = new Map(node.entries);
  if (rest.length === 0) entries.delete(String(step));
  else entries.set(String(step), { ...entry, node: withoutPath(entry.node, rest) });
  return { ...node, entries };
}

/** A copy of a tree of mappings with a node at a path; unchanged when the path does not lead through mappings. */
export function withPath(root: ConfigNode, path: ConfigPath, node: ConfigNode): ConfigNode {
  const [step, ...rest] = path;
  if (step === undefined) return node;
  if (root.kind !== 'mapping') return root;
  const entry = root.entries.get(String(step));
  if (entry === undefined && rest.length > 0) return root;
  const entries = new Map(root.entries);
  entries.set(String(step), {
    keyPosition: entry?.keyPosition ?? root.position,
    node: entry === undefined ? node : withPath(entry.node, rest, node),
  });
  return { ...root, entries };
}

export interface FoundNode {
  readonly node: ConfigNode;
  readonly keyPosition: SourcePosition | undefined;
  /** True when the whole path exists; otherwise this is its nearest parent. */
  readonly exact: boolean;
}

/**
 * The node at a path or its nearest parent. Paths may be those of the normalised config: in a list, a name finds the
 * element that says it (`sources: [habits]` answers `['sources', 'habits']`).
 */
export function findNode(root: ConfigNode, path: ConfigPath): FoundNode {
  let node = root;
  let keyPosition: SourcePosition | undefined;
  for (const step of path) {
    if (node.kind === 'mapping') {
      const entry = node.entries.get(String(step));
      if (entry === undefined) return { node, keyPosition, exact: false };
      node = entry.node;
      keyPosition = entry.keyPosition;
    } else if (node.kind === 'list') {
      const item = typeof step === 'number' ? node.items[step] : node.items.find((candidate) => namedBy(candidate) === step);
      if (item === undefined) return { node, keyPosition, exact: false };
      node = item;
      keyPosition = undefined;
    } else {
      return { node, keyPosition, exact: false };
    }
  }
  return { node, keyPosition, exact: true };
}

function namedBy(node: ConfigNode): string | undefined {
  if (node.kind === 'scalar') return typeof node.value === 'string' ? node.value : undefined;
  if (node.kind !== 'mapping') return undefined;
  const use = node.entries.get('use')?.node;
  return use?.kind === 'scalar' && typeof use.value === 'string' ? use.value : undefined;
}
