import { recloomError } from '@recloom/plugin-api';
import type { AssembledScorer } from '../assemble.js';
import { allFinite, type CandidateSet } from '../candidate-set.js';
import { isThenable } from '../deadline.js';
import type { RequestState } from '../request-state.js';
import type { RunContext } from './run-context.js';

export async function extractCandidateFeatures(run: RunContext, set: CandidateSet): Promise<void> {
  let column = 0;
  for (const feature of run.surface.features) {
    if (!run.allows(feature.node, run.states)) continue;
    const { width } = feature.instance;
    const started = run.engine.services.monotonic();
    try {
      const out = { values: new Float32Array(set.count * width), presence: new Uint8Array(set.count) };
      const pending = feature.instance.extract(
        {
          scope: 'candidate',
          count: set.count,
          columns: {},
          rows: set.rows.subarray(0, set.count),
          candidates: run.view(set, run.states),
          signal: run.deadline.signal,
        },
        out,
      );
      if (isThenable(pending)) await run.deadline.wait(pending, feature.name, undefined);
      for (let component = 0; component < width; component++) {
        const target = set.columnAt(column++).subarray(0, set.count);
        for (let at = 0; at < set.count; at++)
          target[at] = out.presence[at] === 1 ? (out.values[at * width + component] as number) : Number.NaN;
        run.finished.set(component === 0 ? `feature.${feature.name}` : `feature.${feature.name}.${component}`, target);
      }
    } catch (error) {
      run.stageFailed(feature, error, 'extracting');
    }
    run.time(feature, started);
  }
}

/** One scorer at work: the columns it fills, its own first, then its further ones. */
interface ScorerRun {
  readonly scorer: AssembledScorer;
  /** Place of its first column among those of the set. */
  readonly first: number;
  readonly names: readonly string[];
}

/**
 * Runs the scorers in order. Those that answer later run side by side, except that one that reads the columns of another is
 * called when they are there.
 */
export function score(run: RunContext, set: CandidateSet): Promise<void> | undefined {
  let next = run.finished.size;
  const running = new Map<string, Promise<void>>();
  for (const scorer of run.surface.scorers) {
    const names = [`score.${scorer.name}`, ...scorer.further.map((name) => `score.${scorer.name}.${name}`)];
    const work: ScorerRun = { scorer, first: next, names };
    next += names.length;
    const awaited = scorer.waitsFor.flatMap((name) => running.get(name) ?? []);
    const pending = awaited.length === 0 ? runScorer(run, set, work) : Promise.all(awaited).then(() => runScorer(run, set, work));
    if (pending === undefined) continue;
    // It is awaited below, with the others; that it fails before is no unhandled rejection.
    pending.catch(() => undefined);
    running.set(scorer.name, pending);
  }
  if (running.size === 0) return undefined;
  return Promise.all(running.values()).then(() => run.deadline.throwIfAborted());
}

function runScorer(run: RunContext, set: CandidateSet, work: ScorerRun): Promise<void> | undefined {
  const { scorer, first, names } = work;
  const columns = names.map((_, index) => set.columnAt(first + index).subarray(0, set.count));
  const finish = (filled: readonly Float32Array[]): void => {
    for (const [index, name] of names.entries()) run.finished.set(name, filled[index] as Float32Array);
  };
  if (!run.allows(scorer.node, run.states)) {
    for (const column of columns) column.fill(0);
    finish(columns);
    return undefined;
  }
  for (const column of columns) column.fill(Number.NaN);
  const [out, ...further] = columns as [Float32Array, ...Float32Array[]];
  const started = run.engine.services.monotonic();
  const succeeded = (): void => {
    for (const [index, name] of names.entries()) countMissing(run, set, name, columns[index] as Float32Array);
    finish(columns);
    run.time(scorer, started);
  };
  try {
    if (run.deadline.passedAt(started)) throw recloomError('RECLOOM_RUN_TIMEOUT', { name: scorer.name, timeoutMs: 0 });
    const answer = scorer.instance.score(run.view(set, run.states), out, run.deadline.signal, further);
    if (!isThenable(answer)) {
      succeeded();
      return undefined;
    }
    return run.deadline.wait(answer, scorer.name, undefined).then(succeeded, (error: unknown) => {
      // A scorer that answers too late may still write: it works on columns that nobody reads any more.
      for (const index of names.keys()) set.columns[first + index] = new Float32Array(set.count);
      finish(names.map((_, index) => set.columnAt(first + index).subarray(0, set.count)));
      run.stageFailed(scorer, error, 'scoring');
    });
  } catch (error) {
    for (const column of columns) column.fill(0);
    finish(columns);
    run.stageFailed(scorer, error, 'scoring');
    return undefined;
  }
}

/** Makes every number that is not finite a missing one, and counts them per request. */
function countMissing(run: RunContext, set: CandidateSet, column: string, out: Float32Array): void {
  if (allFinite(out, 0, set.count)) return;
  const name = column.slice('score.'.length);
  for (let index = 0; index < run.states.length; index++) {
    let missing = 0;
    for (let at = set.offsets[index] as number; at < (set.offsets[index + 1] as number); at++) {
      const value = out[at] as number;
      // x - x is 0 for finite numbers only; NaN and infinities count as missing alike.
      if (value - value !== 0) {
        missing++;
        out[at] = Number.NaN;
      }
    }
    if (missing === 0) continue;
    (run.missing[index] as Record<string, number>)[name] = missing;
    const [node] = name.split('.');
    (run.states[index] as RequestState).warn(
      'RECLOOM_LAW_NON_FINITE',
      recloomError('RECLOOM_LAW_NON_FINITE', { name, count: missing }).message,
      missing,
      node === undefined ? undefined : { node },
    );
  }
}
