import type { NumberNode } from './nodes.js';

/** Fills `values[start, end)` with normalised values; `scratch` has room for as many. */
type Normaliser = (values: Float64Array, start: number, end: number, scratch: Float64Array) => void;

/**
 * rank: the share of the request's values that are not greater, in (0, 1]: the best of n distinct values gets 1, the
 * worst 1/n, and equal values share the better place. Missing values get 0.
 */
const rank: Normaliser = (values, start, end, scratch) => {
  let known = 0;
  for (let index = start; index < end; index++) {
    const value = values[index] as number;
    if (!Number.isNaN(value)) scratch[known++] = value;
  }
  const sorted = scratch.subarray(0, known).sort();
  for (let index = start; index < end; index++) {
    const value = values[index] as number;
    values[index] = Number.isNaN(value) ? 0 : countUpTo(sorted, value) / known;
  }
};

/** How many of the sorted values are not greater. */
function countUpTo(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

interface Extremes {
  readonly count: number;
  readonly minimum: number;
  readonly maximum: number;
}

function finiteExtremes(values: Float64Array, start: number, end: number): Extremes {
  let count = 0;
  let minimum = Number.POSITIVE_INFINITY;
  let maximum = Number.NEGATIVE_INFINITY;
  for (let index = start; index < end; index++) {
    const value = values[index] as number;
    if (!Number.isFinite(value)) continue;
    count++;
    if (value < minimum) minimum = value;
    if (value > maximum) maximum = value;
  }
  return { count, minimum, maximum };
}

/**
 * minmax: (x − minimum) / (maximum − minimum) over the request's values, in [0, 1]; when all are equal, 1. Missing values
 * get 0, infinite ones count as the nearest finite one.
 */
const minmax: Normaliser = (values, start, end) => {
  const { count, minimum, maximum } = finiteExtremes(values, start, end);
  if (count === 0) {
    values.fill(0, start, end);
    return;
  }
  // Halved, so that the range of huge values stays finite.
  const range = maximum / 2 - minimum / 2;
  for (let index = start; index < end; index++) {
    const value = values[index] as number;
    if (Number.isNaN(value)) values[index] = 0;
    else if (range === 0) values[index] = 1;
    else values[index] = (Math.min(Math.max(value, minimum), maximum) / 2 - minimum / 2) / range;
  }
};

/**
 * zscore: (x − mean) / standard deviation (of the population) over the request's values; 0 when all are equal. Missing
 * values get the lowest of the others' scores, infinite ones count as the nearest finite one and leave the statistics alone.
 */
const zscore: Normaliser = (values, start, end) => {
  const { count, minimum, maximum } = finiteExtremes(values, start, end);
  if (count === 0 || minimum === maximum) {
    values.fill(0, start, end);
    return;
  }
  let sum = 0;
  for (let index = start; index < end; index++) {
    const value = values[index] as number;
    if (Number.isFinite(value)) sum += value / count;
  }
  // In units of the range, or the squares of huge values would overflow and those of tiny ones vanish.
  const scale = maximum / 2 - minimum / 2;
  let squares = 0;
  for (let index = start; index < end; index++) {
    const value = values[index] as number;
    if (Number.isFinite(value)) squares += ((value / 2 - sum / 2) / scale) ** 2;
  }
  const deviation = scale * Math.sqrt(squares / count);
  for (let index = start; index < end; index++) {
    const value = values[index] as number;
    const bounded = Number.isNaN(value) ? minimum : Math.min(Math.max(value, minimum), maximum);
    values[index] = (bounded / 2 - sum / 2) / deviation;
  }
};

/** The functions that compare a candidate with the others of its request. */
export const normalisers: Readonly<Record<string, Normaliser>> = { rank, minmax, zscore };

/** Applies a normaliser within each request. */
export function normaliseNumbers(name: string, operand: NumberNode): NumberNode {
  const apply = normalisers[name] as Normaliser;
  return {
    type: 'number',
    evaluate(frame) {
      const out = operand.evaluate(frame);
      const scratch = frame.pool.takeNumbers(frame.count);
      const offsets = frame.batch?.offsets ?? [0, frame.count];
      for (let request = 0; request + 1 < offsets.length; request++) {
        apply(out, offsets[request] as number, offsets[request + 1] as number, scratch);
      }
      frame.pool.giveNumbers(scratch);
      return out;
    },
  };
}
