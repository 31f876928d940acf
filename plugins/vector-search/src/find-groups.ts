import { kernelsOf, pairsAbove } from '@recloom/kernels';
import type { Compute, FeatureMatrix } from '@recloom/plugin-api';

/** Rounding may put the cosine of equal vectors a little below 1. */
export const roundingSlack = 1e-6;

/** How near two vectors must be to make a group, and what the search runs on. */
export interface GroupSearch {
  readonly threshold: number;
  readonly compute: Compute;
  readonly signal: AbortSignal;
  progress(fraction: number): void;
}

/** Near duplicates of a catalogue. */
export interface Groups {
  /** Per item row the smallest row of its group; -1 for an item without a near duplicate. */
  readonly groups: Int32Array;
  /** How many pairs reach the threshold. */
  readonly pairs: number;
}

/**
 * Finds all pairs of rows whose cosine is at least the threshold, exactly, and joins them: a group is what pairs connect.
 * Rows that are absent, or have no direction, are in no group. Works on all threads of the pool, beside a float32 copy of
 * the vectors that are there.
 *
 * @throws RECLOOM_KRN_OUT_OF_MEMORY, and the signal's reason
 */
export async function findGroups(feature: FeatureMatrix, search: GroupSearch): Promise<Groups> {
  const { compute, signal, threshold } = search;
  const kernels = kernelsOf(compute);
  const { width } = feature;
  const rows = directedRows(feature);
  const parents = Int32Array.from({ length: feature.rowCount }, (_, row) => row);
  const memory = kernels.float32(Math.max(1, rows.length * width));
  try {
    const vectors = memory.subarray(0, rows.length * width);
    rows.forEach((row, place) => vectors.set(feature.values.subarray(row * width, (row + 1) * width), place * width));
    kernels.normalizeRows(vectors, width);
    const pairs = await pairsAbove(
      vectors,
      width,
      threshold - roundingSlack,
      (left, right) => join(parents, rows[left] as number, rows[right] as number),
      { compute, signal, progress: (fraction) => search.progress(fraction) },
    );
    return { groups: groupsOf(parents), pairs };
  } finally {
    kernels.free(memory);
  }
}

/** Rows that are present with finite numbers that are not all zero, ascending. */
function directedRows({ rowCount, width, values, presence }: FeatureMatrix): Int32Array {
  const rows: number[] = [];
  for (let row = 0; row < rowCount; row++) {
    if (presence[row] !== 1) continue;
    let squares = 0;
    for (let at = row * width; at < (row + 1) * width; at++) squares += (values[at] as number) ** 2;
    if (squares > 0 && squares < Number.POSITIVE_INFINITY) rows.push(row);
  }
  return Int32Array.from(rows);
}

/** The smallest row of a row's group so far; paths are halved on the way (Tarjan and van Leeuwen 1984). */
function rootOf(parents: Int32Array, row: number): number {
  let at = row;
  while (parents[at] !== at) {
    parents[at] = parents[parents[at] as number] as number;
    at = parents[at] as number;
  }
  return at;
}

function join(parents: Int32Array, left: number, right: number): void {
  const [one, other] = [rootOf(parents, left), rootOf(parents, right)];
  parents[Math.max(one, other)] = Math.min(one, other);
}

function groupsOf(parents: Int32Array): Int32Array {
  const roots = parents.map((_, row) => rootOf(parents, row));
  const sizes = new Int32Array(roots.length);
  for (const root of roots) sizes[root] = (sizes[root] as number) + 1;
  return roots.map((root) => ((sizes[root] as number) > 1 ? root : -1));
}
