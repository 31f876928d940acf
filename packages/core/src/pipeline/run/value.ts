import { recloomError } from '@recloom/plugin-api';
import { allFinite, type CandidateSet } from '../candidate-set.js';
import type { RequestState } from '../request-state.js';
import type { RunContext } from './run-context.js';

const reciprocalRankConstant = 60;

export function evaluateValue(run: RunContext, set: CandidateSet): void {
  const value = set.value.subarray(0, set.count);
  if (run.surface.value === undefined) reciprocalRankFusion(set, value);
  else run.surface.value.evaluate(run.view(set, run.states), value);
  for (let index = 0; index < run.states.length; index++) {
    const state = run.states[index] as RequestState;
    const start = set.offsets[index] as number;
    const end = set.offsets[index + 1] as number;
    if (state.request.boost !== undefined) applyBoost(run, set, value, state, start, end);
    if (allFinite(value, start, end)) continue;
    let sunk = 0;
    for (let at = start; at < end; at++) {
      const found = value[at] as number;
      if (found - found === 0) continue;
      value[at] = Number.NEGATIVE_INFINITY;
      sunk++;
    }
    if (sunk > 0)
      state.warn('RECLOOM_LAW_NON_FINITE', recloomError('RECLOOM_LAW_NON_FINITE', { name: 'value', count: sunk }).message, sunk);
  }
}

function applyBoost(run: RunContext, set: CandidateSet, value: Float32Array, state: RequestState, start: number, end: number): void {
  const boost = new Float32Array(set.count);
  run.compileRequest(state.request.boost as string, 'number', 'boost').evaluate(run.view(set, run.states), boost);
  let minimum = Number.POSITIVE_INFINITY;
  let maximum = Number.NEGATIVE_INFINITY;
  for (let at = start; at < end; at++) {
    const found = value[at] as number;
    if (found - found !== 0) continue;
    if (found < minimum) minimum = found;
    if (found > maximum) maximum = found;
  }
  const range = maximum > minimum ? maximum - minimum : 1;
  for (let at = start; at < end; at++) value[at] = ((value[at] as number) - minimum) / range + (boost[at] as number);
}

/** Σ 1 / (60 + rank) over the sources (Cormack, Clarke, Büttcher 2009). */
function reciprocalRankFusion(set: CandidateSet, value: Float32Array): void {
  value.fill(0);
  for (let source = 0; source < set.sourceCount; source++) {
    const ranks = set.sourceRanks[source] as Int32Array;
    for (let at = 0; at < set.count; at++) {
      const rank = ranks[at] as number;
      if (rank > 0) value[at] = (value[at] as number) + 1 / (reciprocalRankConstant + rank);
    }
  }
}
