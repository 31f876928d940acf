import { dirname, relative, resolve } from 'node:path';
import { Document, isCollection, isMap, isNode, isScalar, isSeq, type Node, type Pair, visit } from 'yaml';

/** A part of a config as plain data, to be laid over another; null takes an entry out. */
export type ConfigChanges = { readonly [key: string]: unknown };

/** What a person should know of one entry. */
export interface ConfigNote {
  /** Keys from the top of the config down to the entry; a note of what is not among the changes is left out. */
  readonly path: readonly string[];
  /** Without `#`. A single line stands behind a value where both fit on a line; several stand above the entry. */
  readonly lines: readonly string[];
}

/** What stands in a config that changes another. */
export interface ConfigPatch {
  /** The config below, as `base:` writes it: `./shop.yaml`, or `recloom:shop`. */
  readonly base: string;
  /** What a person should know, above everything else; one line each, without `#`. */
  readonly comment?: readonly string[];
  /** Entries over those of the base, nested as in a config. */
  readonly changes: ConfigChanges;
  readonly notes?: readonly ConfigNote[];
}

/** How wide a mapping or list may be to stand on one line. */
const lineWidth = 100;

/**
 * A config that a person can read, on top of another: `base` and what changes, with notes. Keys keep their order; mappings and
 * lists of plain values without notes stand on one line where they fit. YAML, ends with a newline.
 */
export function writeConfigPatch(patch: ConfigPatch): string {
  const document = new Document({ base: patch.base, ...patch.changes });
  if (patch.comment !== undefined && patch.comment.length > 0) document.commentBefore = asComment(patch.comment);
  const noted = new Set<unknown>();
  for (const note of patch.notes ?? []) addNote(document, note, noted);
  visit(document, {
    Collection: (_, node) => {
      const values = isMap(node) ? node.items.map(({ value }) => value) : isSeq(node) ? node.items : [];
      const plain = values.every((value) => (isScalar(value) && !noted.has(value)) || (isCollection(value) && value.items.length === 0));
      if (plain && JSON.stringify(node.toJSON()).length < lineWidth) node.flow = true;
    },
  });
  return document.toString({ lineWidth: 0, flowCollectionPadding: true });
}

/** Writes a note at its entry; the entry's value is remembered in `noted`, since a mapping with comments cannot stand on one line. */
function addNote(document: Document, { path, lines }: ConfigNote, noted: Set<unknown>): void {
  const above = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  const pair = isMap(above)
    ? (above.items as Pair<Node, Node | null>[]).find(({ key }) => isScalar(key) && key.value === path.at(-1))
    : undefined;
  if (pair === undefined) return;
  noted.add(pair.value);
  const [line = ''] = lines;
  const isShort = isScalar(pair.value) && `${path.at(-1)}: ${String(pair.value.value)} # ${line}`.length + 2 * path.length <= lineWidth;
  if (lines.length === 1 && isShort && isNode(pair.value)) pair.value.comment = ` ${line}`;
  else pair.key.commentBefore = asComment(lines);
}

function asComment(lines: readonly string[]): string {
  return lines.map((line) => (line === '' ? '' : ` ${line}`)).join('\n');
}

/** How the config `patchFile` names the config `configFile` as its base: relative, with forward slashes. */
export function baseReference(configFile: string, patchFile: string): string {
  const path = relative(dirname(resolve(patchFile)), resolve(configFile)).replaceAll('\\', '/');
  return path.startsWith('.') || /^[a-z]:/i.test(path) ? path : `./${path}`;
}
