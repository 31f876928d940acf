import { dirname, relative, resolve } from 'node:path';
import { Document, isCollection, isMap, isScalar, isSeq, visit } from 'yaml';

/** What stands in a config that changes another. */
export interface ConfigPatch {
  /** The config below, as `base:` writes it: `./shop.yaml`, or `recloom:shop`. */
  readonly base: string;
  /** What a person should know, above everything else; one line each, without `#`. */
  readonly comment?: readonly string[];
  /** Entries over those of the base, nested as in a config; null takes an entry out. */
  readonly changes: Readonly<Record<string, unknown>>;
}

/** How wide a mapping or list may be to stand on one line. */
const lineWidth = 100;

/**
 * A config that a person can read, on top of another: `base` and what changes. Keys keep their order; mappings and lists of
 * plain values that fit stand on one line.
 */
export function writeConfigPatch(patch: ConfigPatch): string {
  const document = new Document({ base: patch.base, ...patch.changes });
  if (patch.comment !== undefined && patch.comment.length > 0)
    document.commentBefore = patch.comment.map((line) => (line === '' ? '' : ` ${line}`)).join('\n');
  visit(document, {
    Collection: (_, node) => {
      const values = isMap(node) ? node.items.map(({ value }) => value) : isSeq(node) ? node.items : [];
      const plain = values.every((value) => isScalar(value) || (isCollection(value) && value.items.length === 0));
      if (plain && JSON.stringify(node.toJSON()).length < lineWidth) node.flow = true;
    },
  });
  return document.toString({ lineWidth: 0, flowCollectionPadding: true });
}

/** How the config `patchFile` names the config `configFile` as its base: relative, with forward slashes. */
export function baseReference(configFile: string, patchFile: string): string {
  const path = relative(dirname(resolve(patchFile)), resolve(configFile)).replaceAll('\\', '/');
  return path.startsWith('.') || /^[a-z]:/i.test(path) ? path : `./${path}`;
}
