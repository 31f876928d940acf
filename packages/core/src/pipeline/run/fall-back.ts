import type { Proposals } from '@recloom/plugin-api';
import type { CandidateSet } from '../candidate-set.js';
import type { RequestState } from '../request-state.js';
import { filter } from './filter.js';
import { merge, propose, requestBatch } from './retrieve.js';
import type { RunContext } from './run-context.js';

/** Asks the fallback sources for requests that are still short of items. */
export async function fallBack(run: RunContext, candidates: CandidateSet): Promise<CandidateSet> {
  const { fallbacks } = run.surface;
  if (fallbacks.length === 0) return candidates;
  const short = run.states.filter(
    (state, index) =>
      run.options.unlimited || (candidates.offsets[index + 1] as number) - (candidates.offsets[index] as number) < state.limit,
  );
  if (short.length === 0) return candidates;
  const lists = await propose(run, requestBatch(run, short), fallbacks);
  const aligned =
    short.length === run.states.length ? lists : lists.map((list) => (list === undefined ? undefined : spread(list, short, run.states)));
  const fresh = run.takeSet();
  merge(run, fresh, aligned, run.states);
  joinKnown(run, candidates, fresh);
  await filter(run, fresh, run.states);
  const both = run.takeSet();
  both.takeBoth(candidates, fresh);
  return both;
}

/** A row that is already a candidate gets the fallback's score and rank and is not taken twice. */
function joinKnown(run: RunContext, candidates: CandidateSet, fresh: CandidateSet): void {
  const scratch = run.engine.takeScratch();
  const removed = fresh.removed.subarray(0, fresh.count);
  removed.fill(0);
  for (let index = 0; index < run.states.length; index++) {
    scratch.begin(candidates.count);
    for (let at = candidates.offsets[index] as number; at < (candidates.offsets[index + 1] as number); at++)
      scratch.put(candidates.rows[at] as number, at);
    for (let at = fresh.offsets[index] as number; at < (fresh.offsets[index + 1] as number); at++) {
      const known = scratch.placeOf(fresh.rows[at] as number);
      if (known < 0) continue;
      removed[at] = 1;
      for (let source = 0; source < fresh.sourceCount; source++) {
        const rank = (fresh.sourceRanks[source] as Int32Array)[at] as number;
        if (rank === 0) continue;
        (candidates.sourceRanks[source] as Int32Array)[known] = rank;
        (candidates.sourceScores[source] as Float32Array)[known] = (fresh.sourceScores[source] as Float32Array)[at] as number;
      }
    }
  }
  fresh.compact();
  run.engine.giveScratch(scratch);
}

/** Lists of some requests as lists of all: the others get none. */
function spread(list: Proposals, some: readonly RequestState[], all: readonly RequestState[]): Proposals {
  const offsets = new Int32Array(all.length + 1);
  let at = 0;
  for (let index = 0; index < all.length; index++) {
    const own = all[index] === some[at] ? (list.offsets[at + 1] as number) - (list.offsets[at] as number) : 0;
    if (all[index] === some[at]) at++;
    offsets[index + 1] = (offsets[index] as number) + own;
  }
  return { offsets, rows: list.rows, scores: list.scores };
}
