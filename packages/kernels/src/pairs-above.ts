import { perform, type WorkOptions } from './compute.js';
import { requireShape } from './kernel-error.js';
import { batchWorkspaceBytes, selectionBytes } from './kernel-table.js';
import type { Kernels } from './kernels.js';
import type { Plan, Task } from './plan.js';
import { Staging } from './staging.js';

/** Rows whose partners one task looks for, and rows it compares them with. */
const queriesPerTask = 64;
const rowsPerTask = 4096;
/** Partners of a row that a task finds at first; where all of them reach the bound, the task's rows are looked through again. */
const firstPartners = 8;
/** Tasks whose answers are held at once: enough for any number of threads. */
const tasksPerPhase = 128;

export interface PairsAboveOptions {
  /** Told the share of the rows that are done, from 0 to 1, on the calling thread. */
  readonly progress?: ((fraction: number) => void) | undefined;
}

/** Some queries against some rows, none of which lies before them. */
interface Block {
  readonly start: number;
  readonly queries: number;
  readonly from: number;
  readonly rows: number;
}

/**
 * Calls `onPair` on this thread for every two rows of a matrix whose dot product is at least `least` (for rows of length 1:
 * their cosine), the smaller row first, in an order that does not depend on the threads. Returns how many there are. Exact;
 * the work grows with the square of the rows, over all threads of a pool. Memory beside the matrix: a few megabytes.
 * @throws RECLOOM_KRN_SHAPE, RECLOOM_KRN_OUT_OF_MEMORY
 */
export function pairsAbove(
  matrix: Float32Array,
  width: number,
  least: number,
  onPair: (left: number, right: number) => void,
  options: PairsAboveOptions & WorkOptions = {},
): Promise<number> {
  return perform(options, (kernels, slots) => pairsPlan(kernels, slots, matrix, width, least, onPair, options));
}

function* pairsPlan(
  kernels: Kernels,
  slots: number,
  matrix: Float32Array,
  width: number,
  least: number,
  onPair: (left: number, right: number) => void,
  { progress }: PairsAboveOptions,
): Plan<number> {
  requireShape(Number.isInteger(width) && width > 0, () => `The width ${width} is not a positive whole number.`);
  requireShape(matrix.length % width === 0, () => `${matrix.length} values are no whole number of rows of ${width}.`);
  const rowCount = matrix.length / width;
  let pairs = 0;
  const report = (left: number, right: number): void => {
    if (right <= left) return;
    pairs++;
    onPair(left, right);
  };
  const staging = new Staging(kernels);
  try {
    const address = staging.input(matrix);
    const rowAt = (row: number): number => address + row * width * 4;
    const workspaceBytes = Math.max(batchWorkspaceBytes(width, queriesPerTask, firstPartners), selectionBytes(rowsPerTask));
    const workspaces = Array.from({ length: slots }, () => staging.take(workspaceBytes));
    const answers = tasksPerPhase * queriesPerTask * firstPartners;
    const places = staging.take(answers * 4);
    const scores = staging.take(answers * 4);
    const counts = staging.take(tasksPerPhase * queriesPerTask * 4);
    const allPlaces = staging.take(tasksPerPhase * rowsPerTask * 4);
    const allScores = staging.take(tasksPerPhase * rowsPerTask * 4);

    for (const blocks of phasesOf(rowCount)) {
      yield blocks.map(({ start, queries, from, rows }, task): Task => {
        const first = task * queriesPerTask;
        return {
          kernel: 'scanTopKMany',
          parameters: (slot) => [
            rowAt(from),
            rows,
            width,
            rowAt(start),
            queries,
            Math.min(firstPartners, rows),
            0,
            places + first * firstPartners * 4,
            scores + first * firstPartners * 4,
            counts + first * 4,
            workspaces[slot] as number,
          ],
        };
      });
      const full: (Block & { readonly query: number })[] = [];
      const { buffer } = kernels.memory;
      const countView = new Int32Array(buffer, counts, tasksPerPhase * queriesPerTask);
      for (const [task, block] of blocks.entries()) {
        const kept = Math.min(firstPartners, block.rows);
        for (let query = 0; query < block.queries; query++) {
          const at = (task * queriesPerTask * firstPartners + query * kept) * 4;
          const found = countReaching(new Float32Array(buffer, scores + at, countView[task * queriesPerTask + query] as number), least);
          if (found === kept && kept < block.rows) {
            full.push({ ...block, query: block.start + query });
            continue;
          }
          for (const place of new Int32Array(buffer, places + at, found)) report(block.start + query, block.from + place);
        }
      }
      for (let begin = 0; begin < full.length; begin += tasksPerPhase) {
        const again = full.slice(begin, begin + tasksPerPhase);
        const found = yield again.map(({ query, from, rows }, task): Task => {
          const to = task * rowsPerTask * 4;
          return {
            kernel: 'scanTopK',
            parameters: (slot) => [
              rowAt(from),
              rows,
              width,
              rowAt(query),
              rows,
              0,
              allPlaces + to,
              allScores + to,
              workspaces[slot] as number,
            ],
          };
        });
        const memory = kernels.memory.buffer;
        for (const [task, { query, from }] of again.entries()) {
          const to = task * rowsPerTask * 4;
          const reaching = countReaching(new Float32Array(memory, allScores + to, found[task] as number), least);
          for (const place of new Int32Array(memory, allPlaces + to, reaching)) report(query, from + place);
        }
      }
      const { start, queries, from, rows } = blocks.at(-1) as Block;
      if (from + rows === rowCount) progress?.((start + queries) / rowCount);
    }
    return pairs;
  } finally {
    staging.free();
  }
}

/** The blocks of the upper triangle, some at a time. */
function* phasesOf(rowCount: number): Generator<readonly Block[], void, undefined> {
  let blocks: Block[] = [];
  for (let start = 0; start < rowCount; start += queriesPerTask) {
    for (let from = start; from < rowCount; from += rowsPerTask) {
      blocks.push({ start, queries: Math.min(queriesPerTask, rowCount - start), from, rows: Math.min(rowsPerTask, rowCount - from) });
      if (blocks.length < tasksPerPhase) continue;
      yield blocks;
      blocks = [];
    }
  }
  if (blocks.length > 0) yield blocks;
}

/** How many of scores that descend reach a bound. */
function countReaching(scores: Float32Array, least: number): number {
  let count = 0;
  while (count < scores.length && (scores[count] as number) >= least) count++;
  return count;
}
