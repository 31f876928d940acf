import { recencyWeight } from '@recloom/item-models';
import type { HistoryStore } from '@recloom/plugin-api';

/** Everybody's events one after the other, without those that do not count; several in a row on one item are one. */
export interface Sequences {
  readonly length: number;
  readonly items: Int32Array;
  /** Number of the visit (or person) of each event; ascending, equal within a visit. */
  readonly visits: Int32Array;
  /** What a transition that leads to the event counts. */
  readonly weights: Float64Array;
  /** What a transition whose later event this is counts. */
  readonly recency: Float64Array;
}

/** Which events make a sequence, and how much those of the past count. */
export interface SequenceRule {
  readonly maxGapHours?: number | undefined;
  readonly recencyDays?: number | undefined;
  readonly recencyFloor: number;
  readonly useWeights: boolean;
}

const hourMs = 3_600_000;

/** Reads the sequences of a history. Of several events in a row on one item, the newest time and the largest weight count. */
export function readSequences(
  history: HistoryStore,
  rule: SequenceRule,
  counted: Uint8Array | undefined,
  asOfMs: number,
  signal: AbortSignal,
): Sequences {
  const items = new Int32Array(history.eventCount);
  const visits = new Int32Array(history.eventCount);
  const weights = new Float64Array(history.eventCount);
  const recency = new Float64Array(history.eventCount);
  const longestGapMs = rule.maxGapHours === undefined ? Number.POSITIVE_INFINITY : rule.maxGapHours * hourMs;
  let length = 0;
  let visit = -1;
  for (let user = 0; user < history.userCount; user++) {
    if ((user & 0x3fff) === 0) signal.throwIfAborted();
    let previousMs = Number.NEGATIVE_INFINITY;
    visit++;
    const end = history.offsets[user + 1] as number;
    for (let event = history.offsets[user] as number; event < end; event++) {
      if (counted !== undefined && counted[history.types[event] as number] === 0) continue;
      const weight = rule.useWeights ? (history.weights[event] as number) : 1;
      if (!(weight > 0) || weight === Number.POSITIVE_INFINITY) continue;
      const timeMs = history.timesMs[event] as number;
      if (timeMs - previousMs > longestGapMs) visit++;
      previousMs = timeMs;
      const item = history.items[event] as number;
      const repeated = length > 0 && visits[length - 1] === visit && items[length - 1] === item;
      const place = repeated ? length - 1 : length++;
      items[place] = item;
      visits[place] = visit;
      weights[place] = repeated ? Math.max(weights[place] as number, weight) : weight;
      recency[place] = recencyWeight(asOfMs - timeMs, rule.recencyDays, rule.recencyFloor);
    }
  }
  return { length, items, visits, weights, recency };
}
