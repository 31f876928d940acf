import { type ComponentState, recloomError, type Tensor, tensor } from '@recloom/plugin-api';
import type { ManifestComponent, SnapshotComponent, StoredFeature } from './types.js';

const statePrefix = 'state.';
const featureValues = 'feature.values';
const featurePresence = 'feature.presence';

/** A component's state and feature as the tensors of one file: `state.<name>`, `feature.values`, `feature.presence`. */
export function encodeComponent(state: ComponentState, feature: StoredFeature | undefined): ComponentState {
  const tensors = Object.entries(state).map(([name, value]): [string, Tensor] => [`${statePrefix}${name}`, value]);
  if (feature !== undefined) {
    const rows = feature.presence.length;
    tensors.push([featureValues, tensor(feature.values, [rows, feature.width])], [featurePresence, tensor(feature.presence)]);
  }
  return Object.fromEntries(tensors);
}

/** @throws RECLOOM_DAT_SNAPSHOT_CORRUPT when the feature does not fit the manifest or the number of items. */
export function decodeComponent(tensors: ComponentState, manifest: ManifestComponent, itemCount: number): SnapshotComponent {
  const state = Object.entries(tensors)
    .filter(([name]) => name.startsWith(statePrefix))
    .map(([name, value]): [string, Tensor] => [name.slice(statePrefix.length), value]);
  return {
    name: manifest.name,
    reference: manifest.reference,
    optionsHash: manifest.optionsHash,
    stateVersion: manifest.stateVersion,
    state: Object.fromEntries(state),
    feature: decodeFeature(tensors, manifest, itemCount),
  };
}

function decodeFeature(tensors: ComponentState, manifest: ManifestComponent, itemCount: number): StoredFeature | undefined {
  const width = manifest.featureWidth;
  if (width === undefined) return undefined;
  const values = tensors[featureValues]?.data;
  const presence = tensors[featurePresence]?.data;
  if (
    !(values instanceof Float32Array) ||
    !(presence instanceof Uint8Array) ||
    presence.length !== itemCount ||
    values.length !== itemCount * width
  ) {
    throw recloomError('RECLOOM_DAT_SNAPSHOT_CORRUPT', { file: manifest.file, why: 'its feature does not fit the manifest' });
  }
  return { width, values, presence };
}

/** Names that are taken by a snapshot's other files, or that Windows keeps for devices. */
const reservedNames = /^(items|users|history|manifest|con|prn|aux|nul|com\d|lpt\d)$/i;

/**
 * File names by component name: `<name>.safetensors`, with what a file system might not take, or might take for another
 * component's, written as `%` and hex.
 */
export function componentFiles(names: readonly string[]): ReadonlyMap<string, string> {
  const occurrences = new Map<string, number>();
  for (const name of names) occurrences.set(name.toLowerCase(), (occurrences.get(name.toLowerCase()) ?? 0) + 1);
  return new Map(
    names.map((name) => {
      // Some file systems hold `Text` and `text` for the same name.
      const alike = (occurrences.get(name.toLowerCase()) ?? 0) > 1;
      const escaped = [...Buffer.from(name, 'utf8')]
        .map((byte) => {
          const character = String.fromCharCode(byte);
          const plain = alike ? /[a-z0-9_-]/ : /[A-Za-z0-9_-]/;
          return plain.test(character) ? character : `%${byte.toString(16).padStart(2, '0')}`;
        })
        .join('');
      return [name, `${reservedNames.test(escaped) || escaped === '' ? '%' : ''}${escaped}.safetensors`];
    }),
  );
}
