import type { NumberNode } from './nodes.js';

/** Fills `values[start, end)` with normalised values. */
type Normaliser = (values: Float64Array, start: number, end: number, sorter: FloatSorter) => void;

/**
 * rank: the share of the request's values that are not greater, in (0, 1]: the best of n distinct values gets 1, the
 * worst 1/n, and equal values share the better place. Missing values get 0.
 */
const rank: Normaliser = (values, start, end, sorter) => {
  const known = sorter.sort(values, start, end);
  const { order } = sorter;
  let place = known;
  // From the best down: a run of equal values takes the place of its best.
  while (place > 0) {
    const value = values[order[place - 1] as number] as number;
    const share = place / known;
    do {
      values[order[place - 1] as number] = share;
      place--;
    } while (place > 0 && values[order[place - 1] as number] === value);
  }
  for (let index = start; index < end; index++) if (Number.isNaN(values[index])) values[index] = 0;
};

/**
 * Sorts places by their float values: least significant digit first, a byte at a time, over the bits of the floats made
 * ascending. Linear in the number of values, and bytes that all values share (the low ones of what was a float32) cost nothing.
 */
class FloatSorter {
  /** The places of the values that are not NaN, ascending by value, then by place. Valid until the next call. */
  order = new Int32Array(0);
  #other = new Int32Array(0);
  #bits = new Uint32Array(0);
  readonly #counts = new Int32Array(8 * 256);
  readonly #float = new Float64Array(1);
  readonly #words = new Uint32Array(this.#float.buffer);

  /** Which word of a float holds its sign: the second on a little-endian machine. */
  readonly #upper: number = new Uint8Array(Uint16Array.of(1).buffer)[0] as number;

  /** Sorts the places `[start, end)`; gives how many of their values are not NaN. */
  sort(values: Float64Array, start: number, end: number): number {
    const length = end - start;
    if (this.order.length < length) {
      this.order = new Int32Array(length * 2);
      this.#other = new Int32Array(length * 2);
      this.#bits = new Uint32Array(length * 4);
    }
    const bits = this.#bits;
    const counts = this.#counts.fill(0);
    const words = this.#words;
    let known = 0;
    for (let index = start; index < end; index++) {
      const value = values[index] as number;
      if (Number.isNaN(value)) continue;
      // Adding 0 makes -0 the equal of 0.
      this.#float[0] = value + 0;
      const upper = words[this.#upper] as number;
      // Negative numbers are stored by size: flip all of theirs, and the sign of the others.
      const flip = upper >>> 31 === 1 ? 0xffffffff : 0;
      const first = ((words[1 - this.#upper] as number) ^ flip) >>> 0;
      const second = (upper ^ (flip | 0x80000000)) >>> 0;
      bits[2 * (index - start)] = first;
      bits[2 * (index - start) + 1] = second;
      for (let digit = 0; digit < 4; digit++) {
        const lowSlot = digit * 256 + ((first >>> (8 * digit)) & 255);
        const highSlot = (digit + 4) * 256 + ((second >>> (8 * digit)) & 255);
        counts[lowSlot] = (counts[lowSlot] as number) + 1;
        counts[highSlot] = (counts[highSlot] as number) + 1;
      }
      this.order[known++] = index;
    }
    for (let digit = 0; digit < 8; digit++) this.#pass(digit, start, known);
    return known;
  }

  #pass(digit: number, start: number, known: number): void {
    const counts = this.#counts.subarray(digit * 256, digit * 256 + 256);
    let sum = 0;
    for (let slot = 0; slot < 256; slot++) {
      const count = counts[slot] as number;
      if (count === known) return;
      counts[slot] = sum;
      sum += count;
    }
    const { order } = this;
    const other = this.#other;
    const bits = this.#bits;
    const word = digit >>> 2;
    const shift = 8 * (digit & 3);
    for (let place = 0; place < known; place++) {
      const index = order[place] as number;
      const slot = ((bits[2 * (index - start) + word] as number) >>> shift) & 255;
      const target = counts[slot] as number;
      counts[slot] = target + 1;
      other[target] = index;
    }
    this.order = other;
    this.#other = order;
  }
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
  const length = end - start;
  if (length === 0) return;
  let minimum = values[start] as number;
  let maximum = minimum;
  let sum = 0;
  for (let index = start; index < end; index++) {
    const value = values[index] as number;
    minimum = value < minimum ? value : minimum;
    maximum = value > maximum ? value : maximum;
    sum += value / length;
  }
  // A mean of finite numbers is finite; that of others is not.
  if (sum - sum !== 0) {
    zscoreOfSome(values, start, end);
    return;
  }
  if (minimum === maximum) {
    values.fill(0, start, end);
    return;
  }
  // In units of the range, or the squares of huge values would overflow and those of tiny ones vanish.
  const scale = maximum / 2 - minimum / 2;
  const middle = sum / 2;
  let squares = 0;
  for (let index = start; index < end; index++) {
    const distance = ((values[index] as number) / 2 - middle) / scale;
    squares += distance * distance;
  }
  const deviation = scale * Math.sqrt(squares / length);
  for (let index = start; index < end; index++) values[index] = ((values[index] as number) / 2 - middle) / deviation;
};

/** `zscore` where some values are not finite. */
function zscoreOfSome(values: Float64Array, start: number, end: number): void {
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
  const scale = maximum / 2 - minimum / 2;
  const middle = sum / 2;
  let squares = 0;
  for (let index = start; index < end; index++) {
    const value = values[index] as number;
    if (!Number.isFinite(value)) continue;
    const distance = (value / 2 - middle) / scale;
    squares += distance * distance;
  }
  const deviation = scale * Math.sqrt(squares / count);
  for (let index = start; index < end; index++) {
    const value = values[index] as number;
    const bounded = Number.isNaN(value) ? minimum : Math.min(Math.max(value, minimum), maximum);
    values[index] = (bounded / 2 - middle) / deviation;
  }
}

/** The functions that compare a candidate with the others of its request. */
export const normalisers: Readonly<Record<string, Normaliser>> = { rank, minmax, zscore };

/** Applies a normaliser within each request. */
export function normaliseNumbers(name: string, operand: NumberNode): NumberNode {
  const apply = normalisers[name] as Normaliser;
  const sorter = new FloatSorter();
  return {
    type: 'number',
    evaluate(frame) {
      const out = operand.evaluate(frame);
      const offsets = frame.batch?.offsets ?? [0, frame.count];
      for (let request = 0; request + 1 < offsets.length; request++) {
        apply(out, offsets[request] as number, offsets[request + 1] as number, sorter);
      }
      return out;
    },
  };
}
