import { recloomError } from '@recloom/plugin-api';
import type { CandidateSet } from '../candidate-set.js';
import { isThenable } from '../deadline.js';
import type { RequestState } from '../request-state.js';
import { type RunContext, track } from './run-context.js';

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
    run.time(feature.name, started);
  }
}

export function score(run: RunContext, set: CandidateSet): Promise<void> | undefined {
  const first = run.finished.size;
  const pending: Promise<void>[] = [];
  for (const [index, scorer] of run.surface.scorers.entries()) {
    const out = set.columnAt(first + index).subarray(0, set.count);
    const finish = (): void => {
      countMissing(run, set, scorer, out);
      run.finished.set(`score.${scorer.name}`, out);
    };
    if (!run.allows(scorer.node, run.states)) {
      out.fill(0);
      run.finished.set(`score.${scorer.name}`, out);
      continue;
    }
    out.fill(Number.NaN);
    const started = run.engine.services.monotonic();
    try {
      if (run.deadline.passedAt(started)) throw recloomError('RECLOOM_RUN_TIMEOUT', { name: scorer.name, timeoutMs: 0 });
      const answer = scorer.instance.score(run.view(set, run.states), out, run.deadline.signal);
      if (isThenable(answer)) {
        // A scorer that answers too late may still write: it works on a column that nobody reads any more.
        const late = out;
        track(
          pending,
          run.deadline.wait(answer, scorer.name, undefined).then(
            () => {
              finish();
              run.time(scorer.name, started);
            },
            (error: unknown) => {
              set.columns[first + index] = new Float32Array(late.length);
              const zeros = set.columnAt(first + index).subarray(0, set.count);
              zeros.fill(0);
              run.finished.set(`score.${scorer.name}`, zeros);
              run.stageFailed(scorer, error, 'scoring');
            },
          ),
        );
      } else {
        finish();
        run.time(scorer.name, started);
      }
    } catch (error) {
      out.fill(0);
      run.finished.set(`score.${scorer.name}`, out);
      run.stageFailed(scorer, error, 'scoring');
    }
  }
  if (pending.length === 0) return undefined;
  return Promise.all(pending).then(() => run.deadline.throwIfAborted());
}

function countMissing(run: RunContext, set: CandidateSet, scorer: { readonly name: string }, out: Float32Array): void {
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
    (run.missing[index] as Record<string, number>)[scorer.name] = missing;
    (run.states[index] as RequestState).warn(
      'RECLOOM_LAW_NON_FINITE',
      recloomError('RECLOOM_LAW_NON_FINITE', { name: scorer.name, count: missing }).message,
      missing,
      { node: scorer.name },
    );
  }
}
