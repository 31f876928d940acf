import { recloomError } from '@recloom/plugin-api';
import type { AssembledSurface } from '../assemble.js';
import { type CandidateSet, selectBest } from '../candidate-set.js';
import { isThenable } from '../deadline.js';
import type { RequestState } from '../request-state.js';
import { reportFailure } from './report-failure.js';
import type { RunContext } from './run-context.js';
import type { RunResult } from './run-types.js';
import { scoresOf, sourcesOf, traceValue } from './trace.js';

/** One request's order on its way to the answer: positions in the candidate set, best first. */
export interface Ranking {
  readonly state: RequestState;
  order: Int32Array;
  /** The order before any ranker, and the place after each, when an explanation is wanted. */
  readonly byValue: Int32Array | undefined;
  readonly places: Map<number, { name: string; place: number }[]> | undefined;
}

/** The best of one request by value: as many as the answer shows, or more when something may still reorder or withhold. */
export function startRanking(run: RunContext, set: CandidateSet, index: number): Ranking {
  const state = run.states[index] as RequestState;
  const start = set.offsets[index] as number;
  const end = set.offsets[index + 1] as number;
  const later = run.surface.rankers.length + run.surface.resultFilters.length;
  let order = selectBest(set.value, set.rows, start, end, later === 0 ? state.limit : Math.max(100, state.limit * 10));
  if (state.request.minRelevance !== undefined) {
    const minimum = state.request.minRelevance;
    order = order.filter((at) => (set.value[at] as number) >= minimum);
  }
  traceValue(run, set, start, end);
  const traced = state.request.explain === true || run.trace !== undefined;
  return { state, order, byValue: traced ? order : undefined, places: traced ? new Map() : undefined };
}

export async function applyRankers(run: RunContext, set: CandidateSet, ranking: Ranking): Promise<void> {
  const { state, places } = ranking;
  for (const ranker of run.surface.rankers) {
    if (ranking.order.length === 0) break;
    ranking.order = await applyRanker(run, ranker, set, state, ranking.order);
    if (places === undefined) continue;
    for (let place = 0; place < ranking.order.length; place++) {
      const at = ranking.order[place] as number;
      const list = places.get(at) ?? [];
      list.push({ name: ranker.name, place: place + 1 });
      places.set(at, list);
    }
  }
  for (const filter of run.surface.resultFilters) ranking.order = await withhold(run, filter, set, state, ranking.order);
}

export function finishRanking(run: RunContext, set: CandidateSet, index: number, ranking: Ranking): RunResult {
  const { state, places } = ranking;
  if (run.trace !== undefined) {
    for (const [at, list] of places ?? []) if (set.rows[at] === run.options.traceRow) run.trace.rankers.push(...list);
  }
  const kept = ranking.order.length <= state.limit ? ranking.order : ranking.order.subarray(0, state.limit);
  if (kept.length < state.limit && !run.options.unlimited) {
    state.warn('RECLOOM_RUN_TOO_FEW', recloomError('RECLOOM_RUN_TOO_FEW', { found: kept.length, wanted: state.limit }).message);
  }
  const rows = new Int32Array(kept.length);
  const values = new Float32Array(kept.length);
  for (let place = 0; place < kept.length; place++) {
    rows[place] = set.rows[kept[place] as number] as number;
    values[place] = set.value[kept[place] as number] as number;
  }
  return {
    state,
    rows,
    values,
    details:
      state.request.explain === true
        ? Array.from(kept, (at) => ({
            sources: sourcesOf(set, at, run.surface),
            scores: scoresOf(run, at),
            place: (ranking.byValue?.indexOf(at) ?? -1) + 1,
            rankers: places?.get(at) ?? [],
          }))
        : undefined,
    removed: [...(run.removed[index]?.values() ?? [])],
    proposed: run.proposed[index] as Record<string, number>,
    merged: run.merged[index] as number,
    scored: (set.offsets[index + 1] as number) - (set.offsets[index] as number),
    missingScores: run.missing[index] as Record<string, number>,
    withheld: run.withheld[index] as number,
    timings: run.timings,
    trace: run.trace,
  };
}

async function applyRanker(
  run: RunContext,
  ranker: AssembledSurface['rankers'][number],
  set: CandidateSet,
  state: RequestState,
  order: Int32Array,
): Promise<Int32Array> {
  if (!run.allows(ranker.node, [state])) return order;
  const started = run.engine.services.monotonic();
  const rows = new Int32Array(order.length);
  const values = new Float32Array(order.length);
  for (let place = 0; place < order.length; place++) {
    rows[place] = set.rows[order[place] as number] as number;
    values[place] = set.value[order[place] as number] as number;
  }
  try {
    if (run.deadline.passedAt(started)) throw recloomError('RECLOOM_RUN_TIMEOUT', { name: ranker.name, timeoutMs: 0 });
    const answer = ranker.instance.rank({ request: state, count: order.length, rows, values, limit: state.limit }, run.deadline.signal);
    const indices = isThenable(answer)
      ? await run.deadline.wait(answer as PromiseLike<Int32Array>, ranker.name, undefined)
      : (answer as Int32Array);
    const result = acceptOrder(ranker, state, order, indices);
    run.time(ranker, started);
    return result;
  } catch (error) {
    run.throwIfFinal(error);
    if (ranker.planned.onError === 'fail') throw run.required(ranker.node, error, 'rank()');
    reportFailure(run.engine, state, ranker.node, error, 'RECLOOM_RUN_NODE_FAILED', 'ranking');
    return order;
  }
}

/** Takes the valid, first-seen indices of what a ranker gave; the rest is counted and ignored. */
function acceptOrder(ranker: AssembledSurface['rankers'][number], state: RequestState, order: Int32Array, indices: Int32Array): Int32Array {
  if (!(indices instanceof Int32Array))
    throw recloomError('RECLOOM_LAW_SHAPE', { name: ranker.name, expected: 'an Int32Array of indices', found: typeof indices });
  const taken = new Uint8Array(order.length);
  const result = new Int32Array(Math.min(indices.length, order.length));
  let count = 0;
  let bad = 0;
  for (const at of indices) {
    if (!(at >= 0 && at < order.length) || taken[at] === 1) {
      bad++;
      continue;
    }
    taken[at] = 1;
    result[count++] = order[at] as number;
  }
  if (bad > 0)
    state.warn('RECLOOM_LAW_ROWS', recloomError('RECLOOM_LAW_ROWS', { name: ranker.name, count: bad }).message, bad, {
      node: ranker.name,
    });
  return result.subarray(0, count);
}

/** Lets a privacy filter withhold items; one that fails withholds everything. */
async function withhold(
  run: RunContext,
  filter: AssembledSurface['resultFilters'][number],
  set: CandidateSet,
  state: RequestState,
  order: Int32Array,
): Promise<Int32Array> {
  const started = run.engine.services.monotonic();
  const removed = new Uint8Array(order.length);
  const rows = Int32Array.from(order, (at) => set.rows[at] as number);
  const values = Float32Array.from(order, (at) => set.value[at] as number);
  try {
    const pending = filter.instance.filterResult?.({ request: state, count: order.length, rows, values }, removed);
    if (isThenable(pending)) await run.deadline.wait(pending, filter.name, undefined);
  } catch (error) {
    run.deadline.throwIfAborted();
    reportFailure(run.engine, state, filter.node, error, 'RECLOOM_PRV_FAILED_CLOSED', 'filterResult()');
    removed.fill(1);
  }
  run.time(filter, started);
  const kept = order.filter((_, place) => removed[place] === 0);
  run.withheld[state.index] = (run.withheld[state.index] as number) + order.length - kept.length;
  return kept;
}
