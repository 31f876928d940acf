import { createHash } from 'node:crypto';
import { recloomError } from '@recloom/plugin-api';
import { z } from 'zod';
import type { Manifest } from './types.js';

/** The format of snapshots that this version writes and reads. */
export const snapshotFormatVersion = 1;
export const manifestFile = 'manifest.json';

/** Content ids: 16 hex digits. */
export const snapshotIdPattern = /^[0-9a-f]{16}$/;

const count = z.number().int().min(0);
const digest = z.string().regex(/^[0-9a-f]{64}$/);
// No separators and no leading dot: a manifest must not name anything outside its directory.
const fileName = z.string().regex(/^[A-Za-z0-9_%-]+\.safetensors$/);
const tensors = z.record(z.string(), z.strictObject({ dtype: z.string(), shape: z.array(count), sha256: digest }));
const manifestSchema = z.strictObject({
  formatVersion: z.literal(snapshotFormatVersion),
  pipeline: z.string(),
  configHash: z.string(),
  dataHash: z.string(),
  lastEventMs: z.number(),
  counts: z.strictObject({ items: count, users: count, events: count }),
  files: z.record(fileName, z.strictObject({ bytes: count, sha256: digest, tensors })),
  components: z.array(
    z.strictObject({
      name: z.string(),
      reference: z.string(),
      optionsHash: z.string(),
      stateVersion: z.number().int(),
      file: fileName,
      tensors,
      featureWidth: z.number().int().min(1).optional(),
    }),
  ),
});

/** The canonical bytes of a manifest: JSON with sorted keys, two spaces, a final newline. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  return Buffer.from(`${JSON.stringify(sortKeys(manifest), undefined, 2)}\n`, 'utf8');
}

/** The content id of a snapshot: the first 16 hex digits of the SHA-256 of its manifest's bytes, which in turn holds the SHA-256 of every file. */
export function contentId(manifest: Uint8Array): string {
  return createHash('sha256').update(manifest).digest('hex').slice(0, 16);
}

/**
 * Reads a manifest and checks that it is the one that `id` was computed from.
 *
 * @throws RECLOOM_DAT_SNAPSHOT_FORMAT for another format version, RECLOOM_DAT_SNAPSHOT_CORRUPT naming `file` otherwise.
 */
export function decodeManifest(bytes: Uint8Array, id: string, file: string): Manifest {
  const corrupt = (why: string): Error => recloomError('RECLOOM_DAT_SNAPSHOT_CORRUPT', { file, why });
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw corrupt('it is no JSON');
  }
  const found = typeof value === 'object' && value !== null && 'formatVersion' in value ? value.formatVersion : undefined;
  // Before the id: another format may compute its ids in another way.
  if (typeof found === 'number' && found !== snapshotFormatVersion) {
    throw recloomError('RECLOOM_DAT_SNAPSHOT_FORMAT', { found: String(found), supported: String(snapshotFormatVersion) });
  }
  if (contentId(bytes) !== id) throw corrupt('its SHA-256 is not the one the snapshot is named by');
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success) throw corrupt('it lacks something that the format demands');
  return {
    ...parsed.data,
    components: parsed.data.components.map((component) => ({ ...component, featureWidth: component.featureWidth })),
  };
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  entries.sort(([left], [right]) => (left < right ? -1 : 1));
  return Object.fromEntries(entries.map(([key, entry]) => [key, sortKeys(entry)]));
}
