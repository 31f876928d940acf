// What `graph/candidate` costs a request: 1,000 candidates against 50 items of a history.
import { createKernels, HistoryEvidence } from '@recloom/kernels';
import type { GoalResult } from './goal.js';
import { interleave, normalSource, uniformSource } from './measure.js';
import type { SuiteOptions } from './suites.js';

const candidateCount = 1000;
const historyCount = 50;
const neighbourCount = 100;
const width = 64;

/** The work of the kernels behind the graph's columns, on a small and a large catalogue. */
export async function benchGraphColumns({ quick }: SuiteOptions): Promise<GoalResult[]> {
  const results: GoalResult[] = [];
  for (const itemCount of [3000, 100_000]) {
    const kernels = createKernels();
    const uniform = uniformSource(17);
    const normal = normalSource(uniform);
    // Popular items are in many lists, and in many histories.
    const skewed = (): number => Math.floor(uniform() ** 2 * itemCount);
    const offsets = Int32Array.from({ length: itemCount + 1 }, (_, row) => row * neighbourCount);
    const neighbours = new Int32Array(itemCount * neighbourCount);
    for (let row = 0; row < itemCount; row++) {
      const list = distinct(neighbourCount, skewed, row).sort((one, other) => one - other);
      neighbours.set(list, row * neighbourCount);
    }
    const vectors = kernels.normalizeRows(Float32Array.from({ length: itemCount * width }, normal), width);
    const evidence = new HistoryEvidence(kernels, { offsets, neighbours, vectors, width });
    const rows = Int32Array.from(distinct(candidateCount, skewed, -1));
    const history = Int32Array.from(distinct(historyCount, skewed, -1));
    const weights = Array.from(history, (_, place) => 0.9 ** place);
    const shared = new Float32Array(candidateCount * 4);
    const similar = new Float32Array(candidateCount * 2);
    const times = await interleave(
      {
        neighbours: () => evidence.neighbours(rows, history, weights, shared),
        similarities: () => evidence.similarities(rows, history, weights, similar),
      },
      { rounds: quick ? 7 : 41, warmUpRounds: 5, calls: 10 },
    );
    evidence.dispose();
    const parts = [times.neighbours.cpuMs.median, times.similarities.cpuMs.median] as const;
    results.push({
      goal: 'GRAPH',
      name: `graph columns of 1,000 candidates against 50 items of a history, ${itemCount.toLocaleString('en-GB')} items`,
      figure: parts[0] + parts[1],
      unit: 'ms CPU',
      bound: { atMost: 2 },
      note: `${neighbourCount} neighbours each: shared neighbours ${parts[0].toFixed(2)} ms, cosines of ${width} numbers ${parts[1].toFixed(2)} ms`,
    });
  }
  return results;
}

/** So many different rows, none of them `except`. */
function distinct(count: number, draw: () => number, except: number): number[] {
  const found = new Set<number>();
  while (found.size < count) {
    const row = draw();
    if (row !== except) found.add(row);
  }
  return [...found];
}
