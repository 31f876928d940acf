import type { HistoryStore } from '@recloom/plugin-api';
import { recloomError } from '@recloom/plugin-api';

/**
 * Which events are right answers when they are kept back, by event type.
 *
 * With `relevantTypes: ['purchase']` what people bought is asked for and is what they "have"; their views stay history. So an
 * item that somebody only looked at before is no item they have: it may be proposed, and is a right answer when they buy it.
 */
export interface RelevantTypesOptions {
  /** Names of the event types that are right answers; default: all. */
  readonly relevantTypes?: readonly string[];
}

/**
 * One byte per type code, 1 = a right answer; undefined when all are.
 *
 * @throws RECLOOM_DAT_UNKNOWN_EVENT_TYPE for a name that no event has; RECLOOM_RUN_EVALUATION for an empty list
 */
export function relevantMask({ typeNames, types }: HistoryStore, names: readonly string[] | undefined): Uint8Array | undefined {
  if (names === undefined) return undefined;
  if (names.length === 0) throw recloomError('RECLOOM_RUN_EVALUATION', { why: '"relevantTypes" names no event type' });
  const mask = new Uint8Array(256);
  for (const name of names) {
    const code = typeNames.indexOf(name);
    // A dataset that was cut keeps the names of what it lost.
    if (code < 0 || !types.includes(code)) {
      const available = typeNames.filter((_, place) => types.includes(place)).join(', ') || 'none';
      throw recloomError('RECLOOM_DAT_UNKNOWN_EVENT_TYPE', { name, available });
    }
    mask[code] = 1;
  }
  return mask;
}

/** The same mask for a part of the data in which a type need not occur. */
export function relevantMaskWhere({ typeNames }: HistoryStore, names: readonly string[] | undefined): Uint8Array | undefined {
  if (names === undefined) return undefined;
  const mask = new Uint8Array(256);
  for (const [code, name] of typeNames.entries()) if (names.includes(name)) mask[code] = 1;
  return mask;
}
