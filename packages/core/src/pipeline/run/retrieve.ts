import { type Proposals, type RequestBatch, recloomError } from '@recloom/plugin-api';
import type { AssembledSource } from '../assemble.js';
import type { CandidateSet } from '../candidate-set.js';
import { isThenable } from '../deadline.js';
import type { RequestState } from '../request-state.js';
import { reportFailure } from './report-failure.js';
import { type RunContext, track } from './run-context.js';
import { sourcesOf } from './trace.js';

/** The list of each source of the surface, in config order. */
export type ProposedLists = (Proposals | undefined)[];

export function requestBatch(run: RunContext, requests: readonly RequestState[]): RequestBatch {
  const deadline = run.deadline;
  return {
    requests,
    eligible: eligible(run),
    get signal() {
      return deadline.signal;
    },
  };
}

/** What the item-only filters of the surface, and of a single request, allow. */
function eligible(run: RunContext): Uint8Array | undefined {
  const base = run.surface.usesEligible ? run.engine.eligibleItems(run.surface.name) : undefined;
  const state = run.states[0];
  if (run.states.length !== 1 || state?.request.filter === undefined) return base;
  const expression = run.compileRequest(state.request.filter, 'boolean', 'filter');
  if (!expression.itemsOnly) return base;
  const itemCount = run.engine.items.rowCount;
  const passes = new Float32Array(itemCount);
  expression.evaluateItems(passes);
  const mask = base === undefined ? new Uint8Array(itemCount).fill(1) : base.slice();
  for (let row = 0; row < itemCount; row++) if (passes[row] !== 1) mask[row] = 0;
  return mask;
}

/** Asks the sources in parallel: synchronous ones answer at once, the others are awaited together. */
export function propose(run: RunContext, batch: RequestBatch, sources: readonly AssembledSource[]): ProposedLists | Promise<ProposedLists> {
  const lists = new Array<Proposals | undefined>(run.surface.allSources.length).fill(undefined);
  const pending: Promise<void>[] = [];
  for (const source of sources) {
    if (!run.allows(source.node, batch.requests as readonly RequestState[])) continue;
    const limit = run.options.unlimited ? run.engine.items.rowCount : source.planned.use.limit;
    const started = run.engine.services.monotonic();
    try {
      if (run.deadline.passedAt(started)) throw recloomError('RECLOOM_RUN_TIMEOUT', { name: source.name, timeoutMs: 0 });
      const answer = source.instance.propose(batch, limit);
      if (isThenable(answer)) {
        track(
          pending,
          run.deadline.wait(answer as PromiseLike<Proposals>, source.name, source.planned.use.timeoutMs).then(
            (list) => {
              lists[source.index] = acceptProposals(run, source, list, limit, batch);
              run.time(source, started);
            },
            (error: unknown) => sourceFailed(run, source, error, batch),
          ),
        );
      } else {
        lists[source.index] = acceptProposals(run, source, answer as Proposals, limit, batch);
        run.time(source, started);
      }
    } catch (error) {
      sourceFailed(run, source, error, batch);
    }
  }
  if (pending.length === 0) return lists;
  return Promise.all(pending).then(() => {
    run.deadline.throwIfAborted();
    return lists;
  });
}

function sourceFailed(run: RunContext, source: AssembledSource, error: unknown, batch: RequestBatch): void {
  run.throwIfFinal(error);
  if (source.planned.use.required) throw run.required(source.node, error, 'propose()');
  for (const state of batch.requests)
    reportFailure(run.engine, state as RequestState, source.node, error, 'RECLOOM_RUN_NODE_FAILED', 'proposing');
}

/** Checks the shape of what a source gave; rows are checked while merging. */
function acceptProposals(
  run: RunContext,
  source: AssembledSource,
  list: Proposals,
  limit: number,
  batch: RequestBatch,
): Proposals | undefined {
  const requests = batch.requests.length;
  const fits =
    list?.offsets instanceof Int32Array &&
    list.rows instanceof Int32Array &&
    list.scores instanceof Float32Array &&
    list.offsets.length === requests + 1 &&
    list.offsets[0] === 0 &&
    list.offsets[requests] === list.rows.length &&
    list.rows.length === list.scores.length;
  let ordered = fits;
  for (let index = 0; ordered && index < requests; index++)
    if ((list.offsets[index + 1] as number) < (list.offsets[index] as number)) ordered = false;
  if (!ordered) {
    const error = recloomError('RECLOOM_LAW_SHAPE', {
      name: source.name,
      expected: `rows and scores with ${requests + 1} offsets`,
      found: 'something else',
    });
    sourceFailed(run, source, error, batch);
    return undefined;
  }
  for (let index = 0; index < requests; index++) {
    const state = batch.requests[index] as RequestState;
    const found = (list.offsets[index + 1] as number) - (list.offsets[index] as number);
    (run.proposed[state.index] as Record<string, number>)[source.name] = Math.min(found, limit);
    if (found > limit) {
      state.warn('RECLOOM_LAW_TOO_MANY', recloomError('RECLOOM_LAW_TOO_MANY', { name: source.name, limit }).message, found - limit, {
        node: source.name,
      });
    }
  }
  return list;
}

export function merge(
  run: RunContext,
  set: CandidateSet,
  lists: readonly (Proposals | undefined)[],
  states: readonly RequestState[],
): void {
  const engine = run.engine;
  const scratch = engine.takeScratch();
  scratch.ensureSources(lists.length);
  for (let source = 0; source < lists.length; source++)
    scratch.limits[source] = run.options.unlimited
      ? engine.items.rowCount
      : (run.surface.allSources[source] as AssembledSource).planned.use.limit;
  const excludes = states.some(({ excluded }) => excluded.length > 0);
  set.merge(lists, states.length, engine.items.rowCount, scratch, excludes ? states.map(({ excluded }) => excluded) : undefined);
  for (let source = 0; source < lists.length; source++) {
    const count = scratch.badRows[source] as number;
    if (count === 0) continue;
    const { name } = run.surface.allSources[source] as AssembledSource;
    const { message } = recloomError('RECLOOM_LAW_ROWS', { name, count });
    for (const state of states) state.warn('RECLOOM_LAW_ROWS', message, count, { node: name });
  }
  engine.giveScratch(scratch);
  for (let index = 0; index < states.length; index++) {
    const at = (states[index] as RequestState).index;
    run.merged[at] = (run.merged[at] as number) + (set.offsets[index + 1] as number) - (set.offsets[index] as number);
  }
  traceProposals(run, set);
}

function traceProposals(run: RunContext, set: CandidateSet): void {
  if (run.trace === undefined) return;
  const at = set.rows.subarray(0, set.count).indexOf(run.options.traceRow);
  if (at < 0) return;
  for (const { name, rank, score } of sourcesOf(set, at, run.surface)) run.trace.proposedBy.push({ source: name, rank, score });
}
