import type { AssembledSurface } from '../assemble.js';
import type { CandidateSet } from '../candidate-set.js';
import { Deadline, isThenable } from '../deadline.js';
import type { Engine } from '../engine.js';
import type { RequestState } from '../request-state.js';
import { fallBack } from './fall-back.js';
import { filterWithOverflow, hasToFilter } from './filter.js';
import { grantUngated, groupByGrant, openGates } from './gates.js';
import { extractQueries } from './query-features.js';
import { applyRankers, finishRanking, startRanking } from './rank.js';
import { merge, propose, requestBatch } from './retrieve.js';
import { RunContext } from './run-context.js';
import type { RunOptions, RunResult } from './run-types.js';
import { extractCandidateFeatures, score } from './score.js';
import { evaluateValue } from './value.js';

/** What comes of the scored candidates of a group of requests: one result per request, in their order. */
export type FinishRun<Result> = (run: RunContext, candidates: CandidateSet) => Promise<readonly Result[]>;

/** Runs B requests of one surface through its stages up to their scores, and what `finish` makes of them. */
export async function runBatch<Result>(
  engine: Engine,
  surface: AssembledSurface,
  states: readonly RequestState[],
  options: RunOptions,
  finish: FinishRun<Result>,
): Promise<readonly Result[]> {
  const deadline = new Deadline(engine.services.monotonic, options.timeoutMs, options.signal, engine.spareControllers);
  engine.enter();
  let answered = false;
  try {
    deadline.throwIfAborted();
    if (surface.gates.length === 0) grantUngated(engine, states);
    else await openGates(engine, surface, states, deadline);
    const results = new Array<Result>(states.length);
    for (const group of groupByGrant(states)) {
      const run = new RunContext(engine, surface, group, options, deadline);
      const finished = await finish(run, await scoredCandidates(run));
      for (const [index, state] of group.entries()) results[states.indexOf(state)] = finished[index] as Result;
      // Not after a failure: a scorer that nobody waits for any more may still write into its columns.
      run.release();
    }
    answered = true;
    return results;
  } finally {
    try {
      deadline.close(answered);
    } finally {
      engine.leave();
    }
  }
}

/** The stages up to the value, in order. A stage that has nothing to do, or whose components answer at once, is not awaited. */
async function scoredCandidates(run: RunContext): Promise<CandidateSet> {
  const { surface, states } = run;
  if (surface.queryFeatures.length > 0 && (await extractQueries(run))) {
    const turn = run.engine.encodedTurns.take();
    if (turn !== undefined) {
      await turn;
      run.deadline.throwIfAborted();
    }
  }
  const proposed = propose(run, requestBatch(run, states), surface.sources);
  let candidates = run.takeSet();
  merge(run, candidates, isThenable(proposed) ? await proposed : proposed, states);
  const { unfiltered } = run.options;
  if (unfiltered !== true && hasToFilter(run, candidates)) candidates = await filterWithOverflow(run, candidates);
  if (unfiltered !== true && surface.fallbacks.length > 0) candidates = await fallBack(run, candidates);
  if (surface.features.length > 0) await extractCandidateFeatures(run, candidates);
  const scored = score(run, candidates);
  if (scored !== undefined) await scored;
  evaluateValue(run, candidates);
  return candidates;
}

/** Orders and cuts the scored candidates: the last stages of an answer. */
export async function rankCandidates(run: RunContext, candidates: CandidateSet): Promise<readonly RunResult[]> {
  const { surface, states } = run;
  const results: RunResult[] = [];
  for (let index = 0; index < states.length; index++) {
    const ranking = startRanking(run, candidates, index);
    if (surface.rankers.length + surface.resultFilters.length > 0) await applyRankers(run, candidates, ranking);
    results.push(finishRanking(run, candidates, index, ranking));
  }
  return results;
}
