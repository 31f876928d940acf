import type { KernelName } from './kernel-table.js';

/** One kernel call; parameters may depend on the workspace slot that the runner assigns. */
export interface Task {
  readonly kernel: KernelName;
  readonly parameters: readonly number[] | ((slot: number) => readonly number[]);
}

/**
 * A heavy computation as phases of independent kernel calls. The tasks never depend on how many
 * threads run them, so results are the same bit for bit; each phase receives the kernels' answers in
 * task order. A plan frees its memory in `finally`.
 */
export type Plan<Result> = Generator<readonly Task[], Result, readonly number[]>;

/** Splits `count` rows into at most `parts` ranges with about equal `cost`, at multiples of `step`. */
export function splitRows(
  count: number,
  parts: number,
  step: number,
  cumulativeCost: (row: number) => number,
): [begin: number, end: number][] {
  const ranges: [number, number][] = [];
  const total = cumulativeCost(count);
  let begin = 0;
  for (let part = 1; part <= parts && begin < count; part++) {
    let end = count;
    if (part < parts) {
      const goal = (total * part) / parts;
      let low = begin;
      let high = count;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (cumulativeCost(middle) < goal) low = middle + 1;
        else high = middle;
      }
      end = Math.min(count, Math.ceil(low / step) * step);
    }
    if (end > begin) {
      ranges.push([begin, end]);
      begin = end;
    }
  }
  return ranges;
}
