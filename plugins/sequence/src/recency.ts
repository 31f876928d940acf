import type { Warning } from '@recloom/plugin-api';

/** Milliseconds of a day. */
const dayMs = 86_400_000;

/** exp(-age / recencyDays) + recencyFloor; 1 without `recencyDays`. Ages below 0 count as 0. */
export function recencyWeight(ageMs: number, recencyDays: number | undefined, recencyFloor: number): number {
  return recencyDays === undefined ? 1 : Math.exp(-Math.max(0, ageMs) / dayMs / recencyDays) + recencyFloor;
}

/** One byte per type code, 1 = counts; undefined when all do. A name that no event has is handed to `unknown`. */
export function typeMask(
  typeNames: readonly string[],
  names: readonly string[] | undefined,
  unknown?: (name: string) => void,
): Uint8Array | undefined {
  if (names === undefined) return undefined;
  const mask = new Uint8Array(256);
  for (const name of names) {
    const code = typeNames.indexOf(name);
    if (code >= 0) mask[code] = 1;
    else unknown?.(name);
  }
  return mask;
}

/** The warning for a name under `eventTypes` that no event has. */
export function unknownEventType(code: string, name: string, typeNames: readonly string[]): Warning {
  return { code, message: `No event has the type "${name}" of eventTypes; the data have: ${typeNames.join(', ') || 'no types'}.` };
}
