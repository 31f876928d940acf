// The definitions themselves, in double precision and without any of the identities that the components use.
import type { ComponentState, HistoryStore } from '@recloom/plugin-api';
import { historyFrom, type TestUserEvent, tableFrom } from '@recloom/testing';

export const day = 86_400_000;

export function shopOf(events: readonly TestUserEvent[], items: number) {
  const history = historyFrom(events, { itemCount: items });
  return {
    items: tableFrom(Array.from({ length: items }, (_, row) => `i${row}`)),
    users: tableFrom(Array.from({ length: history.userCount }, (_, row) => `u${row}`)),
    history,
  };
}

/** The sparse links of a state, from row to row. */
export function linksOf(state: ComponentState): number[][] {
  const offsets = state['offsets']?.data as Int32Array;
  const columns = state['neighbours']?.data as Int32Array;
  const stored = state['weights']?.data as Float32Array;
  const size = offsets.length - 1;
  return Array.from({ length: size }, (_, row) => {
    const values = new Array<number>(size).fill(0);
    for (let entry = offsets[row] as number; entry < (offsets[row + 1] as number); entry++) {
      values[columns[entry] as number] = stored[entry] as number;
    }
    return values;
  });
}

/** x with matrix x = right, by elimination with row exchanges. */
export function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const size = right.length;
  const rows = matrix.map((row, index) => [...row, right[index] as number]);
  for (let pivot = 0; pivot < size; pivot++) {
    let best = pivot;
    for (let row = pivot; row < size; row++)
      if (Math.abs(rows[row]?.[pivot] as number) > Math.abs(rows[best]?.[pivot] as number)) best = row;
    [rows[pivot], rows[best]] = [rows[best] as number[], rows[pivot] as number[]];
    for (let row = 0; row < size; row++) {
      if (row === pivot) continue;
      const factor = (rows[row]?.[pivot] as number) / (rows[pivot]?.[pivot] as number);
      for (let column = pivot; column <= size; column++)
        (rows[row] as number[])[column] = (rows[row]?.[column] as number) - factor * (rows[pivot]?.[column] as number);
    }
  }
  return rows.map((row, index) => (row[size] as number) / (row[index] as number));
}

/** One row of a weighted regression: what is known, what is to be foretold, and how much it counts. */
export interface Sample {
  readonly input: readonly number[];
  readonly target: readonly number[];
  readonly weight: number;
}

/**
 * Ridge regression with a diagonal of 0, as it is meant: every column is foretold from the other items alone, so its own
 * row is left out of its system.
 */
export function ridgeWithoutSelf(samples: readonly Sample[], size: number, lambda: number): number[][] {
  const links = Array.from({ length: size }, () => new Array<number>(size).fill(0));
  for (let to = 0; to < size; to++) {
    const others = Array.from({ length: size }, (_, item) => item).filter((item) => item !== to);
    const sum = (value: (sample: Sample) => number): number => samples.reduce((total, sample) => total + sample.weight * value(sample), 0);
    const matrix = others.map((row) =>
      others.map((column) => sum(({ input }) => (input[row] as number) * (input[column] as number)) + (row === column ? lambda : 0)),
    );
    const right = others.map((row) => sum(({ input, target }) => (input[row] as number) * (target[to] as number)));
    const solution = solve(matrix, right);
    others.forEach((from, place) => {
      (links[from] as number[])[to] = solution[place] as number;
    });
  }
  return links;
}

export interface WindowSettings {
  readonly cuts: number;
  readonly stepDays: number;
  readonly horizonDays: number;
  readonly cutRecencyDays: number;
  readonly recencyDays: number;
  readonly recencyFloor: number;
  readonly userWeight: number;
  readonly cooccurrence: number;
  readonly cooccurrenceRecencyDays: number;
}

/** The samples of next-purchase by its description: every event is looked at for every cut. */
export function samplesOf(history: HistoryStore, settings: WindowSettings): Sample[] {
  const { userCount, itemCount, offsets, items, timesMs } = history;
  const asOfMs = timesMs.reduce((latest, time) => Math.max(latest, time), 0);
  const samples: Sample[] = [];
  const weigh = (input: readonly number[]): number =>
    Math.max(
      1,
      input.reduce((sum, value) => sum + value, 0),
    ) ** -settings.userWeight;
  for (let user = 0; user < userCount; user++) {
    const events = Array.from({ length: (offsets[user + 1] as number) - (offsets[user] as number) }, (_, place) => {
      const event = (offsets[user] as number) + place;
      return { item: items[event] as number, timeMs: timesMs[event] as number };
    });
    for (let cut = 0; cut < settings.cuts; cut++) {
      const endMs = asOfMs - cut * settings.stepDays * day;
      const cutMs = endMs - settings.horizonDays * day;
      const input = new Array<number>(itemCount).fill(0);
      const target = new Array<number>(itemCount).fill(0);
      for (const { item, timeMs } of events) {
        if (timeMs > cutMs) continue;
        const amount = Math.exp(-(cutMs - timeMs) / day / settings.recencyDays) + settings.recencyFloor;
        input[item] = Math.max(input[item] as number, amount);
      }
      for (const { item, timeMs } of events) if (timeMs > cutMs && timeMs <= endMs && input[item] === 0) target[item] = 1;
      if (!input.some((value) => value > 0) || !target.includes(1)) continue;
      samples.push({ input, target, weight: weigh(input) * Math.exp((-cut * settings.stepDays) / settings.cutRecencyDays) });
    }
    const whole = new Array<number>(itemCount).fill(0);
    for (const { item, timeMs } of events)
      whole[item] = Math.max(whole[item] as number, Math.exp(-(asOfMs - timeMs) / day / settings.cooccurrenceRecencyDays));
    samples.push({ input: whole, target: whole, weight: settings.cooccurrence * weigh(whole) });
  }
  return samples;
}
