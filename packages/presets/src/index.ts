import { fileURLToPath } from 'node:url';

/** Names of the presets, the all-in-one first: `base: recloom:<name>`. Frozen. */
export const presetNames = Object.freeze(['shop', 'home', 'related', 'basket', 'next', 'guest', 'search', 'again'] as const);
/** One of `presetNames`. */
export type PresetName = (typeof presetNames)[number];

/** Absolute path of a preset's YAML file; what it is based on lies beside it, so read it with `loadConfig`. */
export function presetPath(name: PresetName): string {
  return fileURLToPath(new URL(`../presets/${name}.yaml`, import.meta.url));
}
