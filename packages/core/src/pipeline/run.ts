import {
  type CandidateBatch,
  isRecloomError,
  type Label,
  type Proposals,
  type RecloomError,
  type RequestBatch,
  recloomError,
  requestLabels,
  type SourceColumns,
  type TextColumn,
} from '@recloom/plugin-api';
import { type AssembledNode, type AssembledSource, type AssembledStage, type AssembledSurface, stampError } from './assemble.js';
import { type CandidateSet, selectBest } from './candidate-set.js';
import { Deadline, isThenable } from './deadline.js';
import type { Engine } from './engine.js';
import type { RequestState } from './request-state.js';
import type { NodeTiming } from './types.js';

/** How a batch is run. */
export interface RunOptions {
  /** Milliseconds; Infinity = none. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** Evaluation: sources are asked for the whole catalogue and nothing is cut before ranking. */
  readonly unlimited: boolean;
  /** Item row whose way is followed; -1 = none. Only with a batch of one. */
  readonly traceRow: number;
}

/** The way of one row through a run. */
export interface RunTrace {
  proposedBy: { source: string; rank: number; score: number }[];
  removedBy: { filter: string; reason: string } | undefined;
  scores: Record<string, number | null>;
  value: number | undefined;
  placeByValue: number | undefined;
  rankers: { name: string; place: number }[];
}

/** What explaining needs of one answered item. */
export interface RankedItemDetail {
  readonly sources: readonly { readonly name: string; readonly rank: number; readonly score: number }[];
  readonly scores: Readonly<Record<string, number | null>>;
  readonly place: number;
  readonly rankers: readonly { readonly name: string; readonly place: number }[];
}

/** The ordered result of one request. */
export interface RunResult {
  readonly state: RequestState;
  readonly rows: Int32Array;
  readonly values: Float32Array;
  /** Aligned to `rows`; present when an explanation was asked for. */
  readonly details: readonly RankedItemDetail[] | undefined;
  readonly removed: readonly { readonly filter: string; readonly reason: string; readonly count: number }[];
  readonly proposed: Readonly<Record<string, number>>;
  readonly merged: number;
  readonly scored: number;
  readonly missingScores: Readonly<Record<string, number>>;
  readonly withheld: number;
  readonly timings: readonly NodeTiming[];
  readonly trace: RunTrace | undefined;
}

const allGranted: ReadonlySet<Label> = new Set<Label>([...requestLabels, 'history', 'profile', 'location']);
/** The list of each source of the surface, in config order. */
type ProposedLists = (Proposals | undefined)[];

const reciprocalRankConstant = 60;

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
    await openGates(engine, surface, states, deadline);
    const results = new Array<RunResult>(states.length);
    for (const group of groupByGrant(states)) {
      const run = new Run(engine, surface, group, options, deadline);
      try {
        const pending = run.execute();
        const groupResults = isThenable(pending) ? await pending : pending;
        for (const result of groupResults) results[states.indexOf(result.state)] = result;
      } finally {
        run.release();
      }
    }
    return results;
  } finally {
    deadline.close();
    engine.leave();
  }
}

/** Asks the surface's gates what each request grants. A gate that fails or is late grants nothing beyond the request itself. */
async function openGates(engine: Engine, surface: AssembledSurface, states: readonly RequestState[], deadline: Deadline): Promise<void> {
  for (const state of states) {
    if (surface.gates.length === 0) {
      state.grant(grantsOfUngated(engine));
      continue;
    }
    let granted: Set<Label> | undefined;
    for (const gate of surface.gates) {
      let labels: readonly Label[] = [];
      try {
        const answer =
          gate.instance.gate?.({
            surface: surface.name,
            userId: state.request.user,
            purposes: state.request.purposes,
            signal: deadline.signal,
          }) ?? [];
        labels = isThenable(answer)
          ? await deadline.wait(answer as PromiseLike<readonly Label[]>, gate.name, undefined)
          : (answer as readonly Label[]);
        if (!Array.isArray(labels))
          throw recloomError('RECLOOM_LAW_SHAPE', { name: gate.name, expected: 'a list of labels', found: typeof labels });
      } catch (error) {
        deadline.throwIfAborted();
        labels = [];
        reportFailure(engine, state, gate.node, error, 'RECLOOM_PRV_FAILED_CLOSED', 'gate()');
      }
      const these = new Set(labels);
      granted = granted === undefined ? these : new Set([...granted].filter((label) => these.has(label)));
    }
    for (const label of requestLabels) granted?.add(label);
    state.grant(granted ?? new Set(requestLabels));
  }
}

/** Without a gate the config's author decided that everything may be read. */
function grantsOfUngated(engine: Engine): ReadonlySet<Label> {
  const extra = Object.values(engine.plan.loaded.config.data.labels);
  return extra.length === 0 ? allGranted : new Set([...allGranted, ...extra]);
}

/** Requests that grant the same run together; nearly always that is one group. */
function groupByGrant(states: readonly RequestState[]): readonly (readonly RequestState[])[] {
  if (states.length === 1) return [states];
  const groups = new Map<string, RequestState[]>();
  for (const state of states) {
    const key = `${[...state.granted_].sort().join()}|${state.session.length > 0 || state.items.length > 0}|${state.text === undefined}|${state.request.image === undefined}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [state]);
    else group.push(state);
  }
  return [...groups.values()];
}

/** Logs, counts and warns about a component that failed; the error itself stays in the log. */
function reportFailure(
  engine: Engine,
  state: RequestState | undefined,
  node: AssembledNode,
  error: unknown,
  code: 'RECLOOM_PRV_FAILED_CLOSED' | 'RECLOOM_RUN_NODE_FAILED',
  what: string,
): void {
  const { name, reference } = node.planned;
  const at = { node: name, component: reference };
  engine.services.metrics.count('recloom.node.failures', 1, { node: name });
  const timedOut = isRecloomError(error) && error.code === 'RECLOOM_RUN_TIMEOUT';
  engine.services.logger.warn(timedOut ? 'a component was late' : 'a component failed', { ...at, what, error: describe(error) });
  const warning =
    code === 'RECLOOM_RUN_NODE_FAILED' ? (timedOut ? error : recloomError(code, { name, what })) : recloomError(code, { name });
  state?.warn(warning.code, warning.message, undefined, at);
}

/** For the log: class and code, never the message of foreign errors, which may quote data. */
function describe(error: unknown): string {
  if (isRecloomError(error)) return `${error.code}: ${error.message}`;
  return error instanceof Error ? error.name : typeof error;
}

/** One request's order on its way to the answer: positions in the candidate set, best first. */
interface Ranking {
  readonly state: RequestState;
  order: Int32Array;
  /** The order before any ranker, and the place after each, when an explanation is wanted. */
  readonly byValue: Int32Array | undefined;
  readonly places: Map<number, { name: string; place: number }[]> | undefined;
}

/** A set's columns as a component sees them. */
class CandidateView implements CandidateBatch {
  readonly set: CandidateSet;
  readonly requests: readonly RequestState[];
  readonly count: number;
  readonly offsets: Int32Array;
  readonly rows: Int32Array;
  readonly #surface: AssembledSurface;
  readonly #finished: ReadonlyMap<string, Float32Array>;
  #sources: readonly SourceColumns[] | undefined;

  constructor(
    set: CandidateSet,
    requests: readonly RequestState[],
    surface: AssembledSurface,
    finished: ReadonlyMap<string, Float32Array>,
  ) {
    this.set = set;
    this.requests = requests;
    this.count = set.count;
    this.offsets = set.offsets.length === requests.length + 1 ? set.offsets : set.offsets.subarray(0, requests.length + 1);
    this.rows = set.rows.subarray(0, set.count);
    this.#surface = surface;
    this.#finished = finished;
  }

  get sources(): readonly SourceColumns[] {
    this.#sources ??= this.#surface.allSources.map((source, index) => ({
      name: source.name,
      scores: (this.set.sourceScores[index] as Float32Array).subarray(0, this.count),
      ranks: (this.set.sourceRanks[index] as Int32Array).subarray(0, this.count),
    }));
    return this.#sources;
  }

  column(name: string): Float32Array | undefined {
    return this.#finished.get(name);
  }
}

class Run {
  readonly #engine: Engine;
  readonly #surface: AssembledSurface;
  readonly #states: readonly RequestState[];
  readonly #options: RunOptions;
  readonly #deadline: Deadline;
  readonly #timings: NodeTiming[] = [];
  readonly #sourceIndex = new Map<string, number>();
  readonly #sets: CandidateSet[] = [];
  readonly #removed: Map<string, { filter: string; reason: string; count: number }>[];
  readonly #proposed: Record<string, number>[];
  readonly #missing: Record<string, number>[];
  readonly #withheld: number[];
  readonly #merged: number[];
  readonly #trace: RunTrace | undefined;
  readonly #finished = new Map<string, Float32Array>();
  #lastView: CandidateView | undefined;

  constructor(engine: Engine, surface: AssembledSurface, states: readonly RequestState[], options: RunOptions, deadline: Deadline) {
    this.#engine = engine;
    this.#surface = surface;
    this.#states = states;
    this.#options = options;
    this.#deadline = deadline;
    for (let index = 0; index < states.length; index++) (states[index] as RequestState).index = index;
    for (const [index, source] of surface.allSources.entries()) this.#sourceIndex.set(source.name, index);
    this.#removed = states.map(() => new Map());
    this.#proposed = states.map(() => ({}));
    this.#missing = states.map(() => ({}));
    this.#withheld = states.map(() => 0);
    this.#merged = states.map(() => 0);
    this.#trace =
      options.traceRow < 0
        ? undefined
        : { proposedBy: [], removedBy: undefined, scores: {}, value: undefined, placeByValue: undefined, rankers: [] };
  }

  release(): void {
    for (const set of this.#sets) this.#engine.giveSet(set);
    this.#sets.length = 0;
  }

  /** The stages in order. A stage that has nothing to do, or whose components answer at once, is not awaited. */
  async execute(): Promise<readonly RunResult[]> {
    const surface = this.#surface;
    if (surface.queryFeatures.length > 0) await this.#extractQueries();
    const proposed = this.#propose(this.#requestBatch(this.#states), surface.sources);
    let candidates = this.#takeSet();
    this.#merge(candidates, isThenable(proposed) ? await proposed : proposed, this.#states);
    candidates = await this.#filterWithOverflow(candidates);
    if (surface.fallbacks.length > 0) candidates = await this.#fallBack(candidates);
    if (surface.features.length > 0) await this.#extractCandidateFeatures(candidates);
    const scored = this.#score(candidates);
    if (scored !== undefined) await scored;
    this.#evaluateValue(candidates);
    const results: RunResult[] = [];
    for (let index = 0; index < this.#states.length; index++) {
      const ranking = this.#startRanking(candidates, index);
      if (surface.rankers.length + surface.resultFilters.length > 0) await this.#applyRankers(candidates, ranking);
      results.push(this.#finishRanking(candidates, index, ranking));
    }
    return results;
  }

  // ---------------------------------------------------------------- request features

  async #extractQueries(): Promise<void> {
    const { queryFeatures } = this.#surface;
    if (queryFeatures.length === 0) return;
    for (const feature of queryFeatures) {
      const { definition } = feature.node.planned;
      const modality = definition.capabilities.modality;
      const asked = this.#states.filter((state) => (modality === 'image' ? state.image !== undefined : state.text !== undefined));
      if (asked.length === 0) continue;
      const started = this.#engine.services.monotonic();
      try {
        const columns: Record<string, readonly TextColumn[]> = {};
        const values = asked.map((state) => (modality === 'image' ? (state.image as string) : (state.text ?? null)));
        for (const [input, spec] of Object.entries(definition.inputs))
          if (spec.kind === 'item-field') columns[input] = [{ type: 'text', values }];
        const out = { values: new Float32Array(asked.length * feature.instance.width), presence: new Uint8Array(asked.length) };
        const pending = feature.instance.extract(
          { scope: 'query', count: asked.length, columns, rows: new Int32Array(0), candidates: undefined, signal: this.#deadline.signal },
          out,
        );
        if (isThenable(pending)) await this.#deadline.wait(pending, feature.name, undefined);
        for (const [index, state] of asked.entries()) {
          if (out.presence[index] === 1)
            state.setQueryVector(feature.name, out.values.slice(index * feature.instance.width, (index + 1) * feature.instance.width));
        }
      } catch (error) {
        this.#deadline.throwIfAborted();
        for (const state of asked) reportFailure(this.#engine, state, feature.node, error, 'RECLOOM_RUN_NODE_FAILED', 'encoding the query');
      }
      this.#time(feature.name, started);
    }
  }

  // ---------------------------------------------------------------- sources and merge

  #requestBatch(requests: readonly RequestState[]): RequestBatch {
    const deadline = this.#deadline;
    return {
      requests,
      eligible: this.#eligible(),
      get signal() {
        return deadline.signal;
      },
    };
  }

  /** What the item-only filters of the surface, and of a single request, allow. */
  #eligible(): Uint8Array | undefined {
    const base = this.#surface.usesEligible ? this.#engine.eligibleItems(this.#surface.name) : undefined;
    const state = this.#states[0];
    if (this.#states.length !== 1 || state?.request.filter === undefined) return base;
    const expression = this.#compileRequest(state.request.filter, 'boolean', 'filter');
    if (!expression.itemsOnly) return base;
    const itemCount = this.#engine.items.rowCount;
    const passes = new Float32Array(itemCount);
    expression.evaluateItems(passes);
    const mask = base === undefined ? new Uint8Array(itemCount).fill(1) : base.slice();
    for (let row = 0; row < itemCount; row++) if (passes[row] !== 1) mask[row] = 0;
    return mask;
  }

  #takeSet(): CandidateSet {
    const set = this.#engine.takeSet(this.#surface.allSources.length);
    this.#sets.push(set);
    return set;
  }

  /** Asks the sources in parallel: synchronous ones answer at once, the others are awaited together. */
  #propose(batch: RequestBatch, sources: readonly AssembledSource[]): ProposedLists | Promise<ProposedLists> {
    const lists = new Array<Proposals | undefined>(this.#surface.allSources.length).fill(undefined);
    const pending: Promise<void>[] = [];
    for (const source of sources) {
      const index = this.#sourceIndex.get(source.name) as number;
      if (!this.#allowed(source.node, batch.requests as readonly RequestState[])) continue;
      const limit = this.#options.unlimited ? this.#engine.items.rowCount : source.planned.use.limit;
      const started = this.#engine.services.monotonic();
      try {
        if (this.#deadline.passed) throw recloomError('RECLOOM_RUN_TIMEOUT', { name: source.name, timeoutMs: 0 });
        const answer = source.instance.propose(batch, limit);
        if (isThenable(answer)) {
          track(
            pending,
            this.#deadline.wait(answer as PromiseLike<Proposals>, source.name, source.planned.use.timeoutMs).then(
              (list) => {
                lists[index] = this.#acceptProposals(source, list, limit, batch);
                this.#time(source.name, started);
              },
              (error: unknown) => this.#sourceFailed(source, error, batch),
            ),
          );
        } else {
          lists[index] = this.#acceptProposals(source, answer as Proposals, limit, batch);
          this.#time(source.name, started);
        }
      } catch (error) {
        this.#sourceFailed(source, error, batch);
      }
    }
    if (pending.length === 0) return lists;
    return Promise.all(pending).then(() => {
      this.#deadline.throwIfAborted();
      return lists;
    });
  }

  #sourceFailed(source: AssembledSource, error: unknown, batch: RequestBatch): void {
    this.#deadline.throwIfAborted();
    if (source.planned.use.required) throw this.#required(source.node, error, 'propose()');
    for (const state of batch.requests)
      reportFailure(this.#engine, state as RequestState, source.node, error, 'RECLOOM_RUN_NODE_FAILED', 'proposing');
  }

  #required(node: AssembledNode, error: unknown, what: string): RecloomError {
    const cause = stampError(error, node.planned, this.#engine.plan, what);
    return recloomError('RECLOOM_RUN_REQUIRED_FAILED', { name: node.planned.name }, { cause, at: cause.at });
  }

  /** Checks the shape of what a source gave; rows are checked while merging. */
  #acceptProposals(source: AssembledSource, list: Proposals, limit: number, batch: RequestBatch): Proposals | undefined {
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
      this.#sourceFailed(source, error, batch);
      return undefined;
    }
    for (let index = 0; index < requests; index++) {
      const state = batch.requests[index] as RequestState;
      const found = (list.offsets[index + 1] as number) - (list.offsets[index] as number);
      (this.#proposed[state.index] as Record<string, number>)[source.name] = Math.min(found, limit);
      if (found > limit) {
        state.warn('RECLOOM_LAW_TOO_MANY', recloomError('RECLOOM_LAW_TOO_MANY', { name: source.name, limit }).message, found - limit, {
          node: source.name,
        });
      }
    }
    return list;
  }

  #merge(set: CandidateSet, lists: readonly (Proposals | undefined)[], states: readonly RequestState[]): void {
    const engine = this.#engine;
    const limits = new Int32Array(lists.length);
    for (const [index, source] of this.#surface.allSources.entries())
      limits[index] = this.#options.unlimited ? engine.items.rowCount : source.planned.use.limit;
    const scratch = engine.takeScratch();
    const faults = { badRows: new Int32Array(lists.length) };
    set.merge(lists, states.length, engine.items.rowCount, limits, scratch, faults);
    engine.giveScratch(scratch);
    for (let source = 0; source < lists.length; source++) {
      const count = faults.badRows[source] as number;
      if (count === 0) continue;
      const { name } = this.#surface.allSources[source] as AssembledSource;
      const { message } = recloomError('RECLOOM_LAW_ROWS', { name, count });
      for (const state of states) state.warn('RECLOOM_LAW_ROWS', message, count, { node: name });
    }
    for (let index = 0; index < states.length; index++) {
      const at = (states[index] as RequestState).index;
      this.#merged[at] = (this.#merged[at] as number) + (set.offsets[index + 1] as number) - (set.offsets[index] as number);
    }
    this.#traceProposals(set);
  }

  #traceProposals(set: CandidateSet): void {
    if (this.#trace === undefined) return;
    const at = set.rows.subarray(0, set.count).indexOf(this.#options.traceRow);
    if (at < 0) return;
    this.#trace.proposedBy.push(...sourcesOf(set, at, this.#surface));
  }

  /** The same grants hold for the whole group, so the first request speaks for all. */
  #allowed(node: AssembledNode, states: readonly RequestState[]): boolean {
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

  // ---------------------------------------------------------------- filters

  /** Filters the first `limits.candidates` of each request; while too few are left, the next of the overflow. */
  async #filterWithOverflow(merged: CandidateSet): Promise<CandidateSet> {
    const requests = this.#states.length;
    const cap = this.#options.unlimited ? Number.POSITIVE_INFINITY : this.#surface.planned.config.limits.candidates;
    let overflowing = false;
    for (let index = 0; index < requests; index++)
      if ((merged.offsets[index + 1] as number) - (merged.offsets[index] as number) > cap) overflowing = true;
    if (!overflowing) {
      await this.#filter(merged, this.#states);
      return merged;
    }
    const from = new Int32Array(requests);
    const to = new Int32Array(requests);
    for (let index = 0; index < requests; index++) {
      from[index] = merged.offsets[index] as number;
      to[index] = Math.min((from[index] as number) + cap, merged.offsets[index + 1] as number);
    }
    let kept = this.#takeSet();
    kept.takeSlice(merged, from, to);
    await this.#filter(kept, this.#states);
    for (;;) {
      let more = false;
      for (let index = 0; index < requests; index++) {
        const found = (kept.offsets[index + 1] as number) - (kept.offsets[index] as number);
        const start = to[index] as number;
        const end = merged.offsets[index + 1] as number;
        from[index] = start;
        to[index] = found < (this.#states[index] as RequestState).limit ? Math.min(start + cap, end) : start;
        if ((to[index] as number) > start) more = true;
      }
      if (!more) return kept;
      const next = this.#takeSet();
      next.takeSlice(merged, from, to);
      await this.#filter(next, this.#states);
      const both = this.#takeSet();
      both.takeBoth(kept, next);
      kept = both;
    }
  }

  async #filter(set: CandidateSet, states: readonly RequestState[]): Promise<void> {
    this.#removeExcluded(set, states);
    for (const filter of this.#surface.filters) {
      if (set.count === 0) return;
      if (!this.#allowed(filter.node, states)) continue;
      const started = this.#engine.services.monotonic();
      const removed = set.removed.subarray(0, set.count);
      removed.fill(0);
      try {
        const pending = filter.instance.filter(this.#view(set, states), removed, this.#lazySignal());
        if (isThenable(pending)) await this.#deadline.wait(pending, filter.name, undefined);
      } catch (error) {
        this.#deadline.throwIfAborted();
        if (filter.planned.onError === 'fail') throw this.#required(filter.node, error, 'filter()');
        for (const state of states) reportFailure(this.#engine, state, filter.node, error, 'RECLOOM_RUN_NODE_FAILED', 'filtering');
        continue;
      }
      this.#applyRemoval(set, states, filter.name, filter.instance.removalReasons);
      this.#time(filter.name, started);
    }
    for (const state of states) {
      if (state.request.filter === undefined || set.count === 0) continue;
      this.#applyRequestFilter(set, states, state);
    }
  }

  #removeExcluded(set: CandidateSet, states: readonly RequestState[]): void {
    const removed = set.removed.subarray(0, set.count);
    let any = false;
    for (let index = 0; index < states.length; index++) {
      const { excluded } = states[index] as RequestState;
      if (excluded.length === 0) continue;
      if (!any) removed.fill(0);
      any = true;
      const rows = new Set(excluded);
      for (let at = set.offsets[index] as number; at < (set.offsets[index + 1] as number); at++)
        if (rows.has(set.rows[at] as number)) removed[at] = 1;
    }
    if (any) this.#applyRemoval(set, states, 'request.exclude', ['excluded']);
  }

  #applyRequestFilter(set: CandidateSet, states: readonly RequestState[], state: RequestState): void {
    const expression = this.#compileRequest(state.request.filter as string, 'boolean', 'filter');
    const passes = new Float32Array(set.count);
    expression.evaluate(this.#view(set, states), passes);
    const removed = set.removed.subarray(0, set.count);
    removed.fill(0);
    const index = states.indexOf(state);
    for (let at = set.offsets[index] as number; at < (set.offsets[index + 1] as number); at++) if (passes[at] !== 1) removed[at] = 1;
    this.#applyRemoval(set, states, 'request.filter', ['condition']);
  }

  /** Counts what a filter took out, by reason, and drops it. */
  #applyRemoval(set: CandidateSet, states: readonly RequestState[], filter: string, reasons: readonly string[]): void {
    let any = false;
    for (let index = 0; index < states.length; index++) {
      const ledger = this.#removed[(states[index] as RequestState).index] as Map<string, { filter: string; reason: string; count: number }>;
      for (let at = set.offsets[index] as number; at < (set.offsets[index + 1] as number); at++) {
        const code = set.removed[at] as number;
        if (code === 0) continue;
        any = true;
        const reason = reasons[code - 1] ?? 'unknown';
        const key = `${filter} ${reason}`;
        const entry = ledger.get(key);
        if (entry === undefined) ledger.set(key, { filter, reason, count: 1 });
        else entry.count++;
        if (this.#trace !== undefined && set.rows[at] === this.#options.traceRow) this.#trace.removedBy = { filter, reason };
      }
    }
    if (any) set.compact();
  }

  /** Asks the fallback sources for requests that are still short of items. */
  async #fallBack(candidates: CandidateSet): Promise<CandidateSet> {
    const { fallbacks } = this.#surface;
    if (fallbacks.length === 0) return candidates;
    const short = this.#states.filter(
      (state, index) =>
        this.#options.unlimited || (candidates.offsets[index + 1] as number) - (candidates.offsets[index] as number) < state.limit,
    );
    if (short.length === 0) return candidates;
    const lists = await this.#propose(this.#requestBatch(short), fallbacks);
    const aligned =
      short.length === this.#states.length
        ? lists
        : lists.map((list) => (list === undefined ? undefined : spread(list, short, this.#states)));
    const fresh = this.#takeSet();
    this.#merge(fresh, aligned, this.#states);
    this.#joinKnown(candidates, fresh);
    await this.#filter(fresh, this.#states);
    const both = this.#takeSet();
    both.takeBoth(candidates, fresh);
    return both;
  }

  /** A row that is already a candidate gets the fallback's score and rank and is not taken twice. */
  #joinKnown(candidates: CandidateSet, fresh: CandidateSet): void {
    const scratch = this.#engine.takeScratch();
    const removed = fresh.removed.subarray(0, fresh.count);
    removed.fill(0);
    for (let index = 0; index < this.#states.length; index++) {
      scratch.begin();
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
    this.#engine.giveScratch(scratch);
  }

  // ---------------------------------------------------------------- features, scores, value

  async #extractCandidateFeatures(set: CandidateSet): Promise<void> {
    let column = 0;
    for (const feature of this.#surface.features) {
      if (!this.#allowed(feature.node, this.#states)) continue;
      const { width } = feature.instance;
      const started = this.#engine.services.monotonic();
      try {
        const out = { values: new Float32Array(set.count * width), presence: new Uint8Array(set.count) };
        const pending = feature.instance.extract(
          {
            scope: 'candidate',
            count: set.count,
            columns: {},
            rows: set.rows.subarray(0, set.count),
            candidates: this.#view(set, this.#states),
            signal: this.#lazySignal(),
          },
          out,
        );
        if (isThenable(pending)) await this.#deadline.wait(pending, feature.name, undefined);
        for (let component = 0; component < width; component++) {
          const target = set.columnAt(column++).subarray(0, set.count);
          for (let at = 0; at < set.count; at++)
            target[at] = out.presence[at] === 1 ? (out.values[at * width + component] as number) : Number.NaN;
          this.#finished.set(component === 0 ? `feature.${feature.name}` : `feature.${feature.name}.${component}`, target);
        }
      } catch (error) {
        this.#stageFailed(feature, error, 'extracting');
      }
      this.#time(feature.name, started);
    }
  }

  #score(set: CandidateSet): Promise<void> | undefined {
    const first = this.#finished.size;
    const pending: Promise<void>[] = [];
    for (const [index, scorer] of this.#surface.scorers.entries()) {
      const out = set.columnAt(first + index).subarray(0, set.count);
      const finish = (): void => {
        this.#countMissing(set, scorer, out);
        this.#finished.set(`score.${scorer.name}`, out);
      };
      if (!this.#allowed(scorer.node, this.#states)) {
        out.fill(0);
        this.#finished.set(`score.${scorer.name}`, out);
        continue;
      }
      out.fill(Number.NaN);
      const started = this.#engine.services.monotonic();
      try {
        if (this.#deadline.passed) throw recloomError('RECLOOM_RUN_TIMEOUT', { name: scorer.name, timeoutMs: 0 });
        const answer = scorer.instance.score(this.#view(set, this.#states), out, this.#lazySignal());
        if (isThenable(answer)) {
          // A scorer that answers too late may still write: it works on a column that nobody reads any more.
          const late = out;
          track(
            pending,
            this.#deadline.wait(answer, scorer.name, undefined).then(
              () => {
                finish();
                this.#time(scorer.name, started);
              },
              (error: unknown) => {
                set.columns[first + index] = new Float32Array(late.length);
                const zeros = set.columnAt(first + index).subarray(0, set.count);
                zeros.fill(0);
                this.#finished.set(`score.${scorer.name}`, zeros);
                this.#stageFailed(scorer, error, 'scoring');
              },
            ),
          );
        } else {
          finish();
          this.#time(scorer.name, started);
        }
      } catch (error) {
        out.fill(0);
        this.#finished.set(`score.${scorer.name}`, out);
        this.#stageFailed(scorer, error, 'scoring');
      }
    }
    if (pending.length === 0) return undefined;
    return Promise.all(pending).then(() => this.#deadline.throwIfAborted());
  }

  #countMissing(set: CandidateSet, scorer: { readonly name: string }, out: Float32Array): void {
    for (let index = 0; index < this.#states.length; index++) {
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
      (this.#missing[index] as Record<string, number>)[scorer.name] = missing;
      (this.#states[index] as RequestState).warn(
        'RECLOOM_LAW_NON_FINITE',
        recloomError('RECLOOM_LAW_NON_FINITE', { name: scorer.name, count: missing }).message,
        missing,
        { node: scorer.name },
      );
    }
  }

  #stageFailed(stage: AssembledStage<unknown>, error: unknown, what: string): void {
    this.#deadline.throwIfAborted();
    if (stage.planned.onError === 'fail') throw this.#required(stage.node, error, what);
    for (const state of this.#states) reportFailure(this.#engine, state, stage.node, error, 'RECLOOM_RUN_NODE_FAILED', what);
  }

  #evaluateValue(set: CandidateSet): void {
    const value = set.value.subarray(0, set.count);
    if (this.#surface.value === undefined) reciprocalRankFusion(set, value);
    else this.#surface.value.evaluate(this.#view(set, this.#states), value);
    for (let index = 0; index < this.#states.length; index++) {
      const state = this.#states[index] as RequestState;
      const start = set.offsets[index] as number;
      const end = set.offsets[index + 1] as number;
      if (state.request.boost !== undefined) this.#applyBoost(set, value, state, start, end);
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

  #applyBoost(set: CandidateSet, value: Float32Array, state: RequestState, start: number, end: number): void {
    const boost = new Float32Array(set.count);
    this.#compileRequest(state.request.boost as string, 'number', 'boost').evaluate(this.#view(set, this.#states), boost);
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

  #compileRequest(text: string, result: 'number' | 'boolean', what: string): ReturnType<Engine['compile']> {
    try {
      return this.#engine.compile(text, result);
    } catch (error) {
      throw recloomError('RECLOOM_RUN_REQUEST', { why: `"${what}" is wrong: ${(error as Error).message}` }, { cause: error });
    }
  }

  // ---------------------------------------------------------------- order

  /** The best of one request by value: as many as the answer shows, or more when something may still reorder or withhold. */
  #startRanking(set: CandidateSet, index: number): Ranking {
    const state = this.#states[index] as RequestState;
    const start = set.offsets[index] as number;
    const end = set.offsets[index + 1] as number;
    const later = this.#surface.rankers.length + this.#surface.resultFilters.length;
    let order = selectBest(set.value, set.rows, start, end, later === 0 ? state.limit : Math.max(100, state.limit * 10));
    if (state.request.minRelevance !== undefined) {
      const minimum = state.request.minRelevance;
      order = order.filter((at) => (set.value[at] as number) >= minimum);
    }
    this.#traceValue(set, start, end);
    const traced = state.request.explain === true || this.#trace !== undefined;
    return { state, order, byValue: traced ? order : undefined, places: traced ? new Map() : undefined };
  }

  async #applyRankers(set: CandidateSet, ranking: Ranking): Promise<void> {
    const { state, places } = ranking;
    for (const ranker of this.#surface.rankers) {
      if (ranking.order.length === 0) break;
      ranking.order = await this.#applyRanker(ranker, set, state, ranking.order);
      if (places === undefined) continue;
      for (let place = 0; place < ranking.order.length; place++) {
        const at = ranking.order[place] as number;
        const list = places.get(at) ?? [];
        list.push({ name: ranker.name, place: place + 1 });
        places.set(at, list);
      }
    }
    for (const filter of this.#surface.resultFilters) ranking.order = await this.#withhold(filter, set, state, ranking.order);
  }

  #finishRanking(set: CandidateSet, index: number, ranking: Ranking): RunResult {
    const { state, places } = ranking;
    if (this.#trace !== undefined) {
      for (const [at, list] of places ?? []) if (set.rows[at] === this.#options.traceRow) this.#trace.rankers.push(...list);
    }
    const kept = ranking.order.length <= state.limit ? ranking.order : ranking.order.subarray(0, state.limit);
    if (kept.length < state.limit && !this.#options.unlimited) {
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
              sources: sourcesOf(set, at, this.#surface),
              scores: this.#scoresOf(at),
              place: (ranking.byValue?.indexOf(at) ?? -1) + 1,
              rankers: places?.get(at) ?? [],
            }))
          : undefined,
      removed: [...(this.#removed[index] as Map<string, { filter: string; reason: string; count: number }>).values()],
      proposed: this.#proposed[index] as Record<string, number>,
      merged: this.#merged[index] as number,
      scored: (set.offsets[index + 1] as number) - (set.offsets[index] as number),
      missingScores: this.#missing[index] as Record<string, number>,
      withheld: this.#withheld[index] as number,
      timings: this.#timings,
      trace: this.#trace,
    };
  }

  async #applyRanker(
    ranker: AssembledSurface['rankers'][number],
    set: CandidateSet,
    state: RequestState,
    order: Int32Array,
  ): Promise<Int32Array> {
    if (!this.#allowed(ranker.node, [state])) return order;
    const started = this.#engine.services.monotonic();
    const rows = new Int32Array(order.length);
    const values = new Float32Array(order.length);
    for (let place = 0; place < order.length; place++) {
      rows[place] = set.rows[order[place] as number] as number;
      values[place] = set.value[order[place] as number] as number;
    }
    try {
      if (this.#deadline.passed) throw recloomError('RECLOOM_RUN_TIMEOUT', { name: ranker.name, timeoutMs: 0 });
      const answer = ranker.instance.rank({ request: state, count: order.length, rows, values, limit: state.limit }, this.#lazySignal());
      const indices = isThenable(answer)
        ? await this.#deadline.wait(answer as PromiseLike<Int32Array>, ranker.name, undefined)
        : (answer as Int32Array);
      const result = this.#acceptOrder(ranker, state, order, indices);
      this.#time(ranker.name, started);
      return result;
    } catch (error) {
      this.#deadline.throwIfAborted();
      if (ranker.planned.onError === 'fail') throw this.#required(ranker.node, error, 'rank()');
      reportFailure(this.#engine, state, ranker.node, error, 'RECLOOM_RUN_NODE_FAILED', 'ranking');
      return order;
    }
  }

  /** Takes the valid, first-seen indices of what a ranker gave; the rest is counted and ignored. */
  #acceptOrder(ranker: AssembledSurface['rankers'][number], state: RequestState, order: Int32Array, indices: Int32Array): Int32Array {
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
  async #withhold(
    filter: AssembledSurface['resultFilters'][number],
    set: CandidateSet,
    state: RequestState,
    order: Int32Array,
  ): Promise<Int32Array> {
    const started = this.#engine.services.monotonic();
    const removed = new Uint8Array(order.length);
    const rows = Int32Array.from(order, (at) => set.rows[at] as number);
    const values = Float32Array.from(order, (at) => set.value[at] as number);
    try {
      const pending = filter.instance.filterResult?.({ request: state, count: order.length, rows, values }, removed);
      if (isThenable(pending)) await this.#deadline.wait(pending, filter.name, undefined);
    } catch (error) {
      this.#deadline.throwIfAborted();
      reportFailure(this.#engine, state, filter.node, error, 'RECLOOM_PRV_FAILED_CLOSED', 'filterResult()');
      removed.fill(1);
    }
    this.#time(filter.name, started);
    const kept = order.filter((_, place) => removed[place] === 0);
    this.#withheld[state.index] = (this.#withheld[state.index] as number) + order.length - kept.length;
    return kept;
  }

  #traceValue(set: CandidateSet, start: number, end: number): void {
    if (this.#trace === undefined) return;
    const at = set.rows.subarray(start, end).indexOf(this.#options.traceRow);
    if (at < 0) return;
    const value = set.value[start + at] as number;
    let better = 0;
    for (let other = start; other < end; other++) if ((set.value[other] as number) > value) better++;
    this.#trace.value = value;
    this.#trace.placeByValue = better + 1;
    this.#trace.scores = this.#scoresOf(start + at);
  }

  #scoresOf(at: number): Record<string, number | null> {
    const scores: Record<string, number | null> = {};
    for (const [name, column] of this.#finished) {
      const value = column[at] as number;
      scores[name] = value - value === 0 ? value : null;
    }
    return scores;
  }

  // ---------------------------------------------------------------- views

  /** The columns of a set as components see them; made again only when the set has changed. */
  #view(set: CandidateSet, requests: readonly RequestState[]): CandidateBatch {
    let view = this.#lastView;
    if (view === undefined || view.set !== set || view.requests !== requests || view.count !== set.count) {
      view = new CandidateView(set, requests, this.#surface, this.#finished);
      this.#lastView = view;
    }
    return view;
  }

  /** The request's signal, made only if a component looks at it. */
  #lazySignal(): AbortSignal {
    return this.#deadline.signal;
  }

  #time(node: string, started: number): void {
    this.#timings.push({ node, milliseconds: this.#engine.services.monotonic() - started });
  }
}

function sourcesOf(
  set: CandidateSet,
  at: number,
  surface: AssembledSurface,
): { name: string; source: string; rank: number; score: number }[] {
  const found: { name: string; source: string; rank: number; score: number }[] = [];
  for (const [index, source] of surface.allSources.entries()) {
    const rank = (set.sourceRanks[index] as Int32Array)[at] as number;
    if (rank > 0)
      found.push({ name: source.name, source: source.name, rank, score: (set.sourceScores[index] as Float32Array)[at] as number });
  }
  return found;
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

/** Keeps a promise to await later; that it fails before anybody awaits it is no unhandled rejection. */
function track(pending: Promise<void>[], promise: Promise<void>): void {
  promise.catch(() => undefined);
  pending.push(promise);
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
