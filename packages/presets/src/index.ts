import { fileURLToPath } from 'node:url';

/** Names of the presets: `base: recloom:<name>`. */
export const presetNames = Object.freeze(['shop'] as const);
export type PresetName = (typeof presetNames)[number];

/** Absolute path of a preset's YAML file. */
export function presetPath(name: PresetName): string {
  return fileURLToPath(new URL(`../presets/${name}.yaml`, import.meta.url));
}
