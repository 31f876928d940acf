import type { AssembledSurface } from '../assemble.js';
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

/** Runs B requests of one surface through its stages. */
export async function runBatch(
  engine: Engine,
  surface: AssembledSurface,
  states: readonly RequestState[],
  options: RunOptions,
): Promise<readonly RunResult[]> {
  const deadline = new Deadline(engine.services.monotonic, options.timeoutMs, options.signal, engine.spareControllers);
  engine.enter();
  try {
    deadline.throwIfAborted();
    if (surface.gates.length === 0) grantUngated(engine, states);
    else await openGates(engine, surface, states, deadline);
    const results = new Array<RunResult>(states.length);
    for (const group of groupByGrant(states)) {
      const run = new RunContext(engine, surface, group, options, deadline);
      try {
        for (const result of await runStages(run)) results[states.indexOf(result.state)] = result;
      } finally {
        run.release();
      }
    }
    return results;
  } finally {
    try {
      deadline.close();
    } finally {
      engine.leave();
    }
  }
}

/** The stages in order. A stage that has nothing to do, or whose components answer at once, is not awaited. */
async function runStages(run: RunContext): Promise<readonly RunResult[]> {
  const { surface, states } = run;
  if (surface.queryFeatures.length > 0) await extractQueries(run);
  const proposed = propose(run, requestBatch(run, states), surface.sources);
  let candidates = run.takeSet();
  merge(run, candidates, isThenable(proposed) ? await proposed : proposed, states);
  if (hasToFilter(run, candidates)) candidates = await filterWithOverflow(run, candidates);
  if (surface.fallbacks.length > 0) candidates = await fallBack(run, candidates);
  if (surface.features.length > 0) await extractCandidateFeatures(run, candidates);
  const scored = score(run, candidates);
  if (scored !== undefined) await scored;
  evaluateValue(run, candidates);
  const results: RunResult[] = [];
  for (let index = 0; index < states.length; index++) {
    const ranking = startRanking(run, candidates, index);
    if (surface.rankers.length + surface.resultFilters.length > 0) await applyRankers(run, candidates, ranking);
    results.push(finishRanking(run, candidates, index, ranking));
  }
  return results;
}
