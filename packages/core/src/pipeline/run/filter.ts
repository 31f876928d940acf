import type { CandidateSet } from '../candidate-set.js';
import { isThenable } from '../deadline.js';
import type { RequestState } from '../request-state.js';
import type { RemovalLedger, RunContext } from './run-context.js';

/** Whether anything may leave a candidate out: a filter, the request itself, or the limit of candidates. */
export function hasToFilter(run: RunContext, merged: CandidateSet): boolean {
  if (run.surface.filters.length > 0) return true;
  const cap = candidateLimit(run);
  for (let index = 0; index < run.states.length; index++) {
    const { excluded, request } = run.states[index] as RequestState;
    if (excluded.length > 0 || request.filter !== undefined) return true;
    if ((merged.offsets[index + 1] as number) - (merged.offsets[index] as number) > cap) return true;
  }
  return false;
}

function candidateLimit(run: RunContext): number {
  return run.options.unlimited ? Number.POSITIVE_INFINITY : run.surface.planned.config.limits.candidates;
}

/** Filters the first `limits.candidates` of each request; while too few are left, the next of the overflow. */
export async function filterWithOverflow(run: RunContext, merged: CandidateSet): Promise<CandidateSet> {
  const requests = run.states.length;
  const cap = candidateLimit(run);
  let overflowing = false;
  for (let index = 0; index < requests; index++)
    if ((merged.offsets[index + 1] as number) - (merged.offsets[index] as number) > cap) overflowing = true;
  if (!overflowing) {
    await filter(run, merged, run.states);
    return merged;
  }
  const from = new Int32Array(requests);
  const to = new Int32Array(requests);
  for (let index = 0; index < requests; index++) {
    from[index] = merged.offsets[index] as number;
    to[index] = Math.min((from[index] as number) + cap, merged.offsets[index + 1] as number);
  }
  let kept = run.takeSet();
  kept.takeSlice(merged, from, to);
  await filter(run, kept, run.states);
  for (;;) {
    let more = false;
    for (let index = 0; index < requests; index++) {
      const found = (kept.offsets[index + 1] as number) - (kept.offsets[index] as number);
      const start = to[index] as number;
      const end = merged.offsets[index + 1] as number;
      from[index] = start;
      to[index] = found < (run.states[index] as RequestState).limit ? Math.min(start + cap, end) : start;
      if ((to[index] as number) > start) more = true;
    }
    if (!more) return kept;
    const next = run.takeSet();
    next.takeSlice(merged, from, to);
    await filter(run, next, run.states);
    const both = run.takeSet();
    both.takeBoth(kept, next);
    kept = both;
  }
}

export async function filter(run: RunContext, set: CandidateSet, states: readonly RequestState[]): Promise<void> {
  removeExcluded(run, set, states);
  for (const filter of run.surface.filters) {
    if (set.count === 0) return;
    if (!run.allows(filter.node, states)) continue;
    const started = run.engine.services.monotonic();
    const removed = set.removed.subarray(0, set.count);
    removed.fill(0);
    try {
      const pending = filter.instance.filter(run.view(set, states), removed, run.deadline.signal);
      if (isThenable(pending)) await run.deadline.wait(pending, filter.name, undefined);
    } catch (error) {
      // A filter that is late may still write into the mask it was given; nobody else may read that one.
      set.removed = new Uint8Array(set.removed.length);
      run.stageFailed(filter, error, 'filtering', states);
      continue;
    }
    applyRemoval(run, set, states, filter.name, filter.instance.removalReasons);
    run.time(filter, started);
  }
  for (const state of states) {
    if (state.request.filter === undefined || set.count === 0) continue;
    applyRequestFilter(run, set, states, state);
  }
}

function removeExcluded(run: RunContext, set: CandidateSet, states: readonly RequestState[]): void {
  if (states.every(({ excluded }) => excluded.length === 0)) return;
  const places = set.named ?? placesOfExcluded(run, set, states);
  let request = 0;
  for (const place of places) {
    while (place >= (set.offsets[request + 1] as number)) request++;
    count(run, set, states[request] as RequestState, place, 'request.exclude', 'excluded');
  }
  set.drop(places);
}

/** Where the rows stand that each request excludes. */
function placesOfExcluded(run: RunContext, set: CandidateSet, states: readonly RequestState[]): Int32Array {
  const places: number[] = [];
  // A byte per item, for all requests in turn: asked for each candidate, which may be the whole catalogue.
  const isExcluded = new Uint8Array(run.engine.items.rowCount);
  for (let index = 0; index < states.length; index++) {
    const { excluded } = states[index] as RequestState;
    if (excluded.length === 0) continue;
    for (const row of excluded) isExcluded[row] = 1;
    const end = set.offsets[index + 1] as number;
    for (let at = set.offsets[index] as number; at < end; at++) if (isExcluded[set.rows[at] as number] === 1) places.push(at);
    for (const row of excluded) isExcluded[row] = 0;
  }
  return Int32Array.from(places);
}

function applyRequestFilter(run: RunContext, set: CandidateSet, states: readonly RequestState[], state: RequestState): void {
  const expression = run.compileRequest(state.request.filter as string, 'boolean', 'filter');
  const passes = new Float32Array(set.count);
  expression.evaluate(run.view(set, states), passes);
  const removed = set.removed.subarray(0, set.count);
  removed.fill(0);
  const index = states.indexOf(state);
  for (let at = set.offsets[index] as number; at < (set.offsets[index + 1] as number); at++) if (passes[at] !== 1) removed[at] = 1;
  applyRemoval(run, set, states, 'request.filter', ['condition']);
}

/** Counts what a filter took out, by reason, and drops it. */
function applyRemoval(
  run: RunContext,
  set: CandidateSet,
  states: readonly RequestState[],
  filter: string,
  reasons: readonly string[],
): void {
  let any = false;
  for (let index = 0; index < states.length; index++) {
    const state = states[index] as RequestState;
    for (let at = set.offsets[index] as number; at < (set.offsets[index + 1] as number); at++) {
      const code = set.removed[at] as number;
      if (code === 0) continue;
      any = true;
      count(run, set, state, at, filter, reasons[code - 1] ?? 'unknown');
    }
  }
  if (any) set.compact();
}

/** Notes that a candidate was taken out. */
function count(run: RunContext, set: CandidateSet, state: RequestState, at: number, filter: string, reason: string): void {
  const ledger = run.removed[state.index] as RemovalLedger;
  const key = `${filter} ${reason}`;
  const entry = ledger.get(key);
  if (entry === undefined) ledger.set(key, { filter, reason, count: 1 });
  else entry.count++;
  if (run.trace !== undefined && set.rows[at] === run.options.traceRow) run.trace.removedBy = { filter, reason };
}
