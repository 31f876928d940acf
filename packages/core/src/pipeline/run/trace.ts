import type { AssembledSurface } from '../assemble.js';
import type { CandidateSet } from '../candidate-set.js';
import type { RunContext } from './run-context.js';

/** Who proposed the candidate at a place of a set. */
export function sourcesOf(set: CandidateSet, at: number, surface: AssembledSurface): { name: string; rank: number; score: number }[] {
  const found: { name: string; rank: number; score: number }[] = [];
  for (const [index, source] of surface.allSources.entries()) {
    const rank = (set.sourceRanks[index] as Int32Array)[at] as number;
    if (rank > 0) found.push({ name: source.name, rank, score: (set.sourceScores[index] as Float32Array)[at] as number });
  }
  return found;
}

export function traceValue(run: RunContext, set: CandidateSet, start: number, end: number): void {
  if (run.trace === undefined) return;
  const at = set.rows.subarray(start, end).indexOf(run.options.traceRow);
  if (at < 0) return;
  const value = set.value[start + at] as number;
  let better = 0;
  for (let other = start; other < end; other++) if ((set.value[other] as number) > value) better++;
  run.trace.value = value;
  run.trace.placeByValue = better + 1;
  run.trace.scores = scoresOf(run, start + at);
}

export function scoresOf(run: RunContext, at: number): Record<string, number | null> {
  const scores: Record<string, number | null> = {};
  for (const [name, column] of run.finished) {
    const value = column[at] as number;
    scores[name] = value - value === 0 ? value : null;
  }
  return scores;
}
