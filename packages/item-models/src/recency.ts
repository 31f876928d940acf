import type { Warning } from '@recloom/plugin-api';
import type { InterestsRule } from './interests.js';

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

/** How events of a history are weighed by their age. */
export interface RecencyRule {
  /** Names of the types that count; undefined = all. */
  readonly eventTypes: readonly string[] | undefined;
  /** Multiply by the events' weights. */
  readonly useWeights: boolean;
  readonly recencyDays: number | undefined;
  readonly recencyFloor: number;
}

/** `InterestsRule.amounts` by age: (exp(-age / recencyDays) + recencyFloor), times the event's weight when told. */
export function recencyAmounts(rule: RecencyRule): InterestsRule['amounts'] {
  return (history, asOfMs) => {
    const { length, types, timesMs, weights } = history;
    const counted = typeMask(history.typeNames, rule.eventTypes);
    // Without a floor, ages before the newest event give the same order and cannot underflow for people long gone.
    const origin = rule.recencyFloor > 0 ? asOfMs : Math.min(asOfMs, timesMs[length - 1] ?? asOfMs);
    const amounts = new Float64Array(length);
    for (let event = 0; event < length; event++) {
      if (counted !== undefined && counted[types[event] as number] === 0) continue;
      const recency = recencyWeight(origin - (timesMs[event] as number), rule.recencyDays, rule.recencyFloor);
      amounts[event] = rule.useWeights ? recency * (weights[event] as number) : recency;
    }
    return amounts;
  };
}
