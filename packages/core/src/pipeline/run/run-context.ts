import { type CandidateBatch, type CompiledExpression, isRecloomError, type RecloomError, recloomError } from '@recloom/plugin-api';
import { reasonOf } from '../../expressions/expression-fault.js';
import { type AssembledNode, type AssembledStage, type AssembledSurface, stampError } from '../assemble.js';
import type { CandidateSet } from '../candidate-set.js';
import type { Deadline } from '../deadline.js';
import type { Engine } from '../engine.js';
import type { RequestState } from '../request-state.js';
import type { NodeTiming } from '../types.js';
import { CandidateView } from './candidate-view.js';
import { reportFailure } from './report-failure.js';
import type { RunOptions, RunTrace } from './run-types.js';

/** Removals of one request, by filter and reason. */
export type RemovalLedger = Map<string, { filter: string; reason: string; count: number }>;

/** What the stages of one run share: the requests of a group that grants the same, the deadline, the ledgers, scratch memory. */
export class RunContext {
  readonly engine: Engine;
  readonly surface: AssembledSurface;
  readonly states: readonly RequestState[];
  readonly options: RunOptions;
  readonly deadline: Deadline;
  readonly timings: NodeTiming[] = [];
  /** The ledgers, by place of the request. */
  readonly removed: readonly RemovalLedger[];
  readonly proposed: readonly Record<string, number>[];
  readonly missing: readonly Record<string, number>[];
  readonly withheld: number[];
  readonly merged: number[];
  readonly trace: RunTrace | undefined;
  /** Finished score and feature columns of the candidates that are scored. */
  readonly finished = new Map<string, Float32Array>();
  readonly #sets: CandidateSet[] = [];
  #lastView: CandidateView | undefined;

  constructor(engine: Engine, surface: AssembledSurface, states: readonly RequestState[], options: RunOptions, deadline: Deadline) {
    this.engine = engine;
    this.surface = surface;
    this.states = states;
    this.options = options;
    this.deadline = deadline;
    for (let index = 0; index < states.length; index++) (states[index] as RequestState).index = index;
    this.removed = states.map(() => new Map());
    this.proposed = states.map(() => ({}));
    this.missing = states.map(() => ({}));
    this.withheld = states.map(() => 0);
    this.merged = states.map(() => 0);
    this.trace =
      options.traceRow < 0
        ? undefined
        : { proposedBy: [], removedBy: undefined, scores: {}, value: undefined, placeByValue: undefined, rankers: [] };
  }

  /** Gives the scratch memory back; nothing of it may be used afterwards, by a component that is late either. */
  release(): void {
    for (const set of this.#sets) this.engine.giveSet(set);
    this.#sets.length = 0;
  }

  takeSet(): CandidateSet {
    const set = this.engine.takeSet(this.surface.allSources.length);
    this.#sets.push(set);
    return set;
  }

  /** The same grants hold for the whole group, so the first request speaks for all. */
  allows(node: AssembledNode, states: readonly RequestState[]): boolean {
    const first = states[0];
    if (first === undefined || first.mayRead(node.planned.reads)) return true;
    // A stranger has nothing to refuse; only a named user is told that something was left out.
    const missing = node.planned.reads.filter((label) => !first.granted(label));
    const { name, reference } = node.planned;
    for (const state of states) {
      if (state.request.user === undefined) continue;
      state.warn(
        'RECLOOM_PRV_NOT_GRANTED',
        recloomError('RECLOOM_PRV_NOT_GRANTED', { name, labels: missing.join(', ') }).message,
        undefined,
        { node: name, component: reference },
      );
    }
    return false;
  }

  /** The columns of a set as components see them; made again only when the set has changed. */
  view(set: CandidateSet, requests: readonly RequestState[]): CandidateBatch {
    let view = this.#lastView;
    if (view === undefined || view.set !== set || view.requests !== requests || view.count !== set.count) {
      view = new CandidateView(set, requests, this.surface, this.finished);
      this.#lastView = view;
    }
    return view;
  }

  compileRequest(text: string, result: 'number' | 'boolean', what: string): CompiledExpression {
    try {
      return this.engine.compile(text, result);
    } catch (error) {
      throw recloomError('RECLOOM_RUN_REQUEST', { why: `"${what}" is wrong: ${reasonOf(error)}` }, { cause: error });
    }
  }

  required(node: AssembledNode, error: unknown, what: string): RecloomError {
    const cause = stampError(error, node.planned, this.engine.plan, what);
    return recloomError('RECLOOM_RUN_REQUIRED_FAILED', { name: node.planned.name }, { cause, at: cause.at });
  }

  /** Notes how long a component took, and what ran its model. */
  time(stage: { readonly name: string; readonly node: AssembledNode }, started: number): void {
    const milliseconds = this.engine.services.monotonic() - started;
    const device = stage.node.modelBacked === undefined ? undefined : this.engine.deviceOf(stage.node, this.states);
    if (device === undefined) {
      this.timings.push({ node: stage.name, milliseconds });
      return;
    }
    this.timings.push({ node: stage.name, milliseconds, device });
    this.engine.services.metrics.count('recloom.model.runs', 1, { node: stage.name, device });
  }

  /** Throws when the run is over: the host gave up, or a component found the request itself to be wrong, which is the caller's to know. */
  throwIfFinal(error: unknown): void {
    this.deadline.throwIfAborted();
    if (isRecloomError(error) && error.code === 'RECLOOM_RUN_REQUEST') throw error;
  }

  /** A stage failed: throws when the config says so, else every request is warned and goes on without it. */
  stageFailed(stage: AssembledStage<unknown>, error: unknown, what: string, states: readonly RequestState[] = this.states): void {
    this.throwIfFinal(error);
    if (stage.planned.onError === 'fail') throw this.required(stage.node, error, what);
    for (const state of states) reportFailure(this.engine, state, stage.node, error, 'RECLOOM_RUN_NODE_FAILED', what);
  }
}

/** Keeps a promise to await later; that it fails before anybody awaits it is no unhandled rejection. */
export function track(pending: Promise<void>[], promise: Promise<void>): void {
  promise.catch(() => undefined);
  pending.push(promise);
}
