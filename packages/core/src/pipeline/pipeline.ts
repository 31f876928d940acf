import { columnValue, isRecloomError, type ModelInUse, type RecloomError, recloomError, type Warning } from '@recloom/plugin-api';
import type { SnapshotStore } from '../snapshot/snapshot-store.js';
import type { AssembledSurface } from './assemble.js';
import { checkEvent } from './check-request.js';
import type { Engine } from './engine.js';
import { explainResult, titleOf } from './explain.js';
import { applyEvent, applyItems } from './overlay.js';
import { RequestState, surfaceOf, timeOf } from './request-state.js';
import { type FinishRun, rankCandidates, runBatch } from './run/run-batch.js';
import type { RunOptions, RunResult } from './run/run-types.js';
import { columnNames, compileColumns, type ScoredCandidates, type ScoredResult, takeCandidates } from './score-candidates.js';
import type { Answer, AnswerItem, Attributes, AttributeValue, EventInput, ItemInput, RecommendRequest, Trace } from './types.js';

/** What `recommendMany` yields, in the order of the requests: an answer, or the error of that request alone. */
export type ManyResult<ItemAttributes extends Attributes> =
  | { readonly index: number; readonly answer: Answer<ItemAttributes>; readonly error?: undefined }
  | { readonly index: number; readonly answer?: undefined; readonly error: RecloomError };

export interface ManyOptions {
  /** Requests run together at most; default 64. Fewer do when their candidates together would be very many. */
  readonly batch?: number;
  readonly signal?: AbortSignal;
  /** For evaluation: ask sources for the whole catalogue and rank all of it. Default false. */
  readonly unlimited?: boolean;
}

export interface ScoreCandidatesOptions extends ManyOptions {
  /**
   * Columns wanted: `source.<name>.score` and `.rank`, `score.<name>` and its further ones, `feature.<name>` and
   * `feature.<name>.<index>`, `item.<number or boolean field>`, `request.<key>`, or any CEL number over these such as
   * `log(1 + item.price)`. Default: all columns of sources, features and scorers of the request's surface.
   */
  readonly columns?: readonly string[];
  /**
   * For looking at what is lost on the way: the candidates as the sources propose them, merged, before the limit of candidates,
   * filters (what a request excludes or asks for, too) and fallbacks. Default false.
   */
  readonly unfiltered?: boolean;
}

/** What came of one request of several. */
type GroupResult<Result> =
  | { readonly engine: Engine; readonly surface: AssembledSurface; readonly result: Result; readonly error?: undefined }
  | { readonly engine?: undefined; readonly surface?: undefined; readonly result?: undefined; readonly error: RecloomError };

/** A model that a component runs. */
export interface ModelOfComponent extends ModelInUse {
  /** Name of the component in the config. */
  readonly component: string;
  /** Its ref, e.g. `text-bert/embedding`. */
  readonly reference: string;
}

export interface RecordResult {
  readonly recorded: number;
  /** Events of items that are not in the catalogue. */
  readonly unknownItems: number;
  /**
   * Recorded events whose type no event of the snapshot has, misspelt ones for example: they are kept, but a component that asks
   * for certain types passes over them. Events without a type are not counted.
   */
  readonly unknownTypes: number;
}

export interface PipelineParts {
  readonly engine: Engine;
  /** Makes an engine from what is published now, with the overlay's changes applied again. */
  readonly reopen: (replay: OverlayLog) => Promise<Engine>;
  readonly close: () => Promise<void>;
  readonly store: SnapshotStore | undefined;
}

/** What a host wrote into the overlay, to be applied again after a reload. */
export interface OverlayLog {
  readonly items: readonly ItemInput[];
  readonly events: readonly { readonly event: EventInput; readonly timeMs: number }[];
}

/**
 * Candidates that run through the stages together at most (one request alone may have more): beyond that their columns leave
 * the processor's cache, and every stage waits for memory.
 */
const candidatesTogether = 65_536;

/** How many requests of a surface may run together, whatever the caller asked for. */
function requestsTogether(engine: Engine, surface: AssembledSurface, unlimited: boolean): number {
  const most = engine.items.rowCount;
  let candidates = 0;
  for (const { planned } of surface.allSources) candidates += unlimited ? most : Math.min(most, planned.use.limit);
  return Math.max(1, Math.floor(candidatesTogether / Math.max(1, Math.min(most, candidates))));
}

/** Records kept for a reload; beyond that the oldest are forgotten, since the next build has them. */
const maximumLogLength = 100_000;

/**
 * A config made runnable. Requests are safe to run concurrently. `ItemAttributes` types the attributes of answers.
 */
export class Pipeline<ItemAttributes extends Attributes = Attributes> {
  #engine: Engine;
  readonly #parts: PipelineParts;
  #closed = false;
  #reloading: Promise<{ readonly snapshotId: string; readonly changed: boolean }> | undefined;
  readonly #itemLog = new Map<string, ItemInput>();
  #eventLog: { event: EventInput; timeMs: number }[] = [];

  constructor(parts: PipelineParts) {
    this.#parts = parts;
    this.#engine = parts.engine;
  }

  /** Name of the config. */
  get name(): string {
    return this.#engine.plan.loaded.config.name;
  }

  /** Content id of the snapshot that new requests run on. */
  get snapshotId(): string {
    return this.#engine.snapshotId;
  }

  get surfaces(): readonly string[] {
    return [...this.#engine.assembly.surfaces.keys()];
  }

  /** What went less than perfectly while opening. */
  get warnings(): readonly Warning[] {
    return this.#engine.warnings;
  }

  get itemCount(): number {
    return this.#engine.items.rowCount;
  }

  /**
   * Recommendations for one page.
   *
   * @throws RECLOOM_RUN_REQUEST, RECLOOM_RUN_LIMIT, RECLOOM_RUN_NEEDS, RECLOOM_RUN_UNKNOWN_SURFACE when the request is not valid;
   *   RECLOOM_RUN_ABORTED; RECLOOM_RUN_REQUIRED_FAILED; RECLOOM_RUN_CLOSED
   */
  async recommend(request: RecommendRequest): Promise<Answer<ItemAttributes>> {
    const engine = this.#open();
    const surface = surfaceOf(engine, request);
    const state = new RequestState(engine, surface, request);
    const started = engine.services.monotonic();
    const [result] = await runBatch(engine, surface, [state], this.#runOptions(surface, request, -1), rankCandidates);
    return this.#answer(engine, surface, result as RunResult, started);
  }

  /** Search by words, a picture, or both: `recommend` on the surface `search` unless the request names another. */
  search(request: RecommendRequest): Promise<Answer<ItemAttributes>> {
    const named =
      request.surface !== undefined || !this.#engine.assembly.surfaces.has('search') ? request : { ...request, surface: 'search' };
    return this.recommend(named);
  }

  /**
   * Many requests (or user ids) in batches that run through every stage together. Answers come in order, as they are
   * ready; nothing is run ahead of the consumer. A request's error stays in the stream.
   */
  async *recommendMany(
    requests: Iterable<RecommendRequest | string> | AsyncIterable<RecommendRequest | string>,
    options: ManyOptions = {},
  ): AsyncGenerator<ManyResult<ItemAttributes>, void, undefined> {
    for await (const batch of batchesOf(requests, options)) {
      const startedMs = this.#open().services.monotonic();
      const results = await this.#inGroups(batch.requests, options, rankCandidates);
      // All of them at once: the consumer may take its time, and the pipeline be closed meanwhile.
      yield* results.map(({ engine, surface, result, error }, at): ManyResult<ItemAttributes> => {
        const index = batch.first + at;
        return error === undefined ? { index, answer: this.#answer(engine, surface, result, startedMs) } : { index, error };
      });
    }
  }

  /**
   * All candidates of each request with their columns, as they are when the rankers would begin: for training files, evaluation
   * and looking into a surface. Consent applies as in `recommend`; what withholds items of a finished list, such as
   * k-anonymity, does not, since there is no list yet: do not show these to anybody. In batches, in order, nothing ahead of the consumer; a request's
   * error stays in the stream.
   *
   * @throws RECLOOM_RUN_REQUEST when a column does not exist; RECLOOM_RUN_ABORTED; RECLOOM_RUN_CLOSED
   */
  async *scoreCandidates(
    requests: Iterable<RecommendRequest | string> | AsyncIterable<RecommendRequest | string>,
    options: ScoreCandidatesOptions = {},
  ): AsyncGenerator<ScoredResult, void, undefined> {
    // A column that does not exist is told before the first request is run.
    if (options.columns !== undefined) compileColumns(this.#open(), options.columns);
    const finish: FinishRun<ScoredCandidates> = async (run, candidates) =>
      takeCandidates(run, candidates, compileColumns(run.engine, options.columns ?? columnNames(run.surface)));
    for await (const batch of batchesOf(requests, options)) {
      const results = await this.#inGroups(batch.requests, options, finish);
      for (const [at, { result, error }] of results.entries()) {
        const index = batch.first + at;
        yield error === undefined ? { index, candidates: result } : { index, error };
      }
    }
  }

  /** Follows one item through a request: who proposed it, who took it out, its scores and places. */
  async explain(request: RecommendRequest & { readonly target: string }): Promise<Trace> {
    const engine = this.#open();
    const { target, ...rest } = request;
    const asked: RecommendRequest = { ...rest, explain: true };
    const surface = surfaceOf(engine, asked);
    const row = engine.items.rowOf(target);
    const state = new RequestState(engine, surface, asked);
    const started = engine.services.monotonic();
    const [result] = await runBatch(engine, surface, [state], this.#runOptions(surface, asked, row), rankCandidates);
    const answer = this.#answer(engine, surface, result as RunResult, started);
    const trace = (result as RunResult).trace;
    const place = answer.items.findIndex((item) => item.id === target) + 1;
    const proposedBy = trace?.proposedBy ?? [];
    const removedBy = trace?.removedBy;
    return {
      item: target,
      known: row >= 0,
      inAnswer: place > 0,
      place,
      proposedBy,
      removedBy,
      scores: trace?.scores ?? {},
      value: trace?.value,
      placeByValue: trace?.placeByValue,
      rankers: trace?.rankers ?? [],
      verdict: verdict({
        known: row >= 0,
        place,
        proposedBy,
        removedBy,
        placeByValue: trace?.placeByValue,
        limit: answer.items.length,
        refused: answer.warnings.flatMap((warning) => (warning.code === 'RECLOOM_PRV_NOT_GRANTED' ? [warning.at?.node ?? ''] : [])),
      }),
      answer,
    };
  }

  /**
   * Adds events to the in-memory overlay: the next request sees them. They are gone with the process unless the host
   * stores them and the next build reads them.
   */
  record(events: readonly EventInput[]): RecordResult {
    const engine = this.#open();
    const nowMs = engine.services.now();
    const defaultMs = engine.plan.loaded.config.data.now === 'data' ? engine.newestEventMs : nowMs;
    // All are checked before the first is recorded: a refused call has changed nothing.
    const times: number[] = [];
    for (const event of events) {
      if (typeof event?.user !== 'string' || typeof event.item !== 'string')
        throw recloomError('RECLOOM_RUN_REQUEST', { why: 'an event needs "user" and "item", both texts' });
      const given = timeOf(event.time);
      checkEvent(event, given ?? nowMs, nowMs);
      times.push(given ?? defaultMs);
    }
    let recorded = 0;
    let unknownItems = 0;
    let unknownTypes = 0;
    for (const [index, event] of events.entries()) {
      const timeMs = times[index] as number;
      if (!applyEvent(engine, event, timeMs)) {
        unknownItems++;
        continue;
      }
      recorded++;
      if (event.type !== undefined && !engine.history.isStoredType(event.type)) unknownTypes++;
      this.#eventLog.push({ event, timeMs });
    }
    if (this.#eventLog.length > maximumLogLength) this.#eventLog = this.#eventLog.slice(-maximumLogLength);
    return { recorded, unknownItems, unknownTypes };
  }

  /**
   * Adds or changes items in the in-memory overlay and works out their item features, so that content-based sources
   * find them at once. Resolves when the next request sees them.
   */
  async upsertItems(items: readonly ItemInput[]): Promise<void> {
    let engine = this.#open();
    for (const item of items) {
      if (typeof item?.id !== 'string' || item.id.length === 0) throw recloomError('RECLOOM_RUN_REQUEST', { why: 'an item needs an "id"' });
    }
    await applyItems(engine, items);
    for (const item of items) this.#itemLog.set(item.id, { ...this.#itemLog.get(item.id), ...item });
    // A reload that began before they stood in the log opens an engine without them.
    for (;;) {
      await this.#reloading?.catch(() => undefined);
      if (this.#closed || this.#engine === engine) return;
      engine = this.#engine;
      // As the log has them now: another call may have changed them since.
      await applyItems(
        engine,
        items.map(({ id }) => this.#itemLog.get(id) as ItemInput),
      );
    }
  }

  /** The models that components run, and what runs them now: a device that failed has been given up for another. */
  get models(): readonly ModelOfComponent[] {
    return [...this.#open().assembly.nodes].flatMap(([component, { planned, modelBacked }]) =>
      (modelBacked?.models() ?? []).map(({ file, sha256, device }) => ({ component, reference: planned.reference, file, sha256, device })),
    );
  }

  /** Attributes of an item as it is now, or undefined when it is unknown. */
  item(id: string): ItemAttributes | undefined {
    const engine = this.#open();
    const row = engine.items.rowOf(id);
    return row < 0 ? undefined : (attributesOf(engine, row, engine.items.fields) as ItemAttributes);
  }

  /** What a shopper calls an item: its title, else its id. */
  title(id: string): string {
    const engine = this.#open();
    const row = engine.items.rowOf(id);
    return row < 0 ? id : titleOf(engine, row);
  }

  /** The instance of a component, for hosts that know its plugin's type (e.g. to query a graph). Its lifetime is the snapshot's. */
  component<Instance = object>(name: string): Instance {
    const node = this.#open().assembly.nodes.get(name);
    if (node === undefined) throw recloomError('RECLOOM_RUN_REQUEST', { why: `there is no component "${name}"` });
    return node.instance as Instance;
  }

  /**
   * Swaps to the newly published snapshot. Running requests finish on the old one, whose components are disposed
   * after the last of them. When opening fails, the old snapshot goes on serving and the error is thrown.
   */
  reload(): Promise<{ readonly snapshotId: string; readonly changed: boolean }> {
    this.#open();
    this.#reloading ??= this.#swap().finally(() => {
      this.#reloading = undefined;
    });
    return this.#reloading;
  }

  /** Waits for running requests, then disposes everything the pipeline made. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#reloading?.catch(() => undefined);
    await this.#engine.retire();
    await this.#parts.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What core itself knows about this pipeline, for `inspect` and tests. */
  get engine(): Engine {
    return this.#engine;
  }

  async #swap(): Promise<{ readonly snapshotId: string; readonly changed: boolean }> {
    const old = this.#engine;
    const fresh = await this.#parts.reopen({ items: [...this.#itemLog.values()], events: this.#eventLog });
    if (this.#closed) {
      await fresh.retire();
      throw recloomError('RECLOOM_RUN_CLOSED', {});
    }
    this.#engine = fresh;
    void old
      .retire()
      .catch((error: unknown) => fresh.services.logger.error('the old snapshot did not end cleanly', { error: (error as Error).name }));
    return { snapshotId: fresh.snapshotId, changed: fresh.snapshotId !== old.snapshotId };
  }

  #open(): Engine {
    if (this.#closed) throw recloomError('RECLOOM_RUN_CLOSED', {});
    return this.#engine;
  }

  #runOptions(surface: AssembledSurface, request: RecommendRequest, traceRow: number): RunOptions {
    return { timeoutMs: request.deadlineMs ?? surface.planned.config.limits.timeoutMs, signal: request.signal, unlimited: false, traceRow };
  }

  /** Runs requests together by surface. One that fails is an error by itself; all others come to their result. */
  async #inGroups<Result>(
    requests: readonly RecommendRequest[],
    options: ManyOptions & { readonly unfiltered?: boolean },
    finish: FinishRun<Result>,
  ): Promise<readonly GroupResult<Result>[]> {
    const engine = this.#open();
    const results = new Array<GroupResult<Result>>(requests.length);
    const groups = new Map<AssembledSurface, { index: number; state: RequestState }[]>();
    const alone: { index: number; surface: AssembledSurface; state: RequestState }[] = [];
    for (const [index, request] of requests.entries()) {
      try {
        const surface = surfaceOf(engine, request);
        const state = new RequestState(engine, surface, request);
        // A request with its own expressions, signal or deadline runs by itself.
        if (request.filter !== undefined || request.signal !== undefined || request.deadlineMs !== undefined) {
          alone.push({ index, surface, state });
          continue;
        }
        const group = groups.get(surface);
        if (group === undefined) groups.set(surface, [{ index, state }]);
        else group.push({ index, state });
      } catch (error) {
        results[index] = { error: asRecloomError(error) };
      }
    }
    const runGroup = async (
      surface: AssembledSurface,
      members: readonly { index: number; state: RequestState }[],
      timeoutMs: number,
      signal: AbortSignal | undefined,
    ): Promise<void> => {
      try {
        const runs = await runBatch(
          engine,
          surface,
          members.map((member) => member.state),
          { timeoutMs, signal, unlimited: options.unlimited ?? false, unfiltered: options.unfiltered ?? false, traceRow: -1 },
          finish,
        );
        for (const [at, result] of runs.entries()) {
          const { index } = members[at] as { index: number };
          results[index] = { engine, surface, result };
        }
      } catch (error) {
        options.signal?.throwIfAborted();
        const [only] = members;
        // One request's error must not become its neighbours': each is asked again by itself.
        if (members.length > 1)
          for (const member of members) await runGroup(surface, [{ ...member, state: member.state.again() }], timeoutMs, signal);
        else if (only !== undefined) results[only.index] = { error: asRecloomError(error) };
      }
    };
    for (const [surface, members] of groups) {
      const together = requestsTogether(engine, surface, options.unlimited ?? false);
      for (let first = 0; first < members.length; first += together)
        await runGroup(surface, members.slice(first, first + together), Number.POSITIVE_INFINITY, options.signal);
    }
    for (const { index, surface, state } of alone)
      await runGroup(
        surface,
        [{ index, state }],
        state.request.deadlineMs ?? Number.POSITIVE_INFINITY,
        state.request.signal ?? options.signal,
      );
    return results;
  }

  #answer(engine: Engine, surface: AssembledSurface, result: RunResult, startedMs: number): Answer<ItemAttributes> {
    const { state, rows, values } = result;
    const explained = state.request.explain === true ? explainResult(engine, surface, result) : undefined;
    const fields =
      state.request.attributes === undefined
        ? surface.planned.config.attributes
        : [...new Set([...surface.planned.config.attributes, ...state.request.attributes])];
    const items = new Array<AnswerItem<ItemAttributes>>(rows.length);
    for (let place = 0; place < rows.length; place++) {
      const row = rows[place] as number;
      const item = {
        id: engine.items.idOf(row),
        value: values[place] as number,
        attributes: attributesOf(engine, row, fields) as ItemAttributes,
      };
      const why = explained?.[place];
      items[place] = why === undefined ? item : { ...item, reason: why.sentence, explanation: why.explanation };
    }
    const totalMs = engine.services.monotonic() - startedMs;
    const answer: Answer<ItemAttributes> = {
      items,
      surface: surface.name,
      snapshotId: engine.snapshotId,
      configHash: engine.configHash,
      attributionId: engine.services.random.id(),
      asOfMs: state.asOfMs,
      personalised: state.personalised,
      warnings: state.warnings,
      timings: result.timings,
      ledger: {
        proposed: result.proposed,
        merged: result.merged,
        removed: result.removed,
        scored: result.scored,
        missingScores: result.missingScores,
        withheld: result.withheld,
      },
    };
    engine.services.metrics.observe('recloom.request.milliseconds', totalMs);
    if (engine.services.tracer !== undefined) traceRequest(engine, answer, totalMs);
    if (surface.effects.length > 0) runEffects(engine, surface, answer, totalMs);
    return answer;
  }
}

/** Requests in batches of `options.batch`; `first` is the place of the first of a batch. */
async function* batchesOf(
  requests: Iterable<RecommendRequest | string> | AsyncIterable<RecommendRequest | string>,
  options: ManyOptions,
): AsyncGenerator<{ readonly first: number; readonly requests: readonly RecommendRequest[] }, void, undefined> {
  const size = options.batch ?? 64;
  if (!Number.isInteger(size) || size < 1) throw recloomError('RECLOOM_RUN_REQUEST', { why: '"batch" must be a whole number from 1' });
  let waiting: RecommendRequest[] = [];
  let first = 0;
  for await (const entry of requests) {
    if (options.signal?.aborted === true) throw recloomError('RECLOOM_RUN_ABORTED', {}, { cause: options.signal.reason });
    waiting.push(typeof entry === 'string' ? { user: entry } : entry);
    if (waiting.length < size) continue;
    yield { first, requests: waiting };
    first += waiting.length;
    waiting = [];
  }
  if (waiting.length > 0) yield { first, requests: waiting };
}

function attributesOf(engine: Engine, row: number, fields: readonly string[]): Attributes {
  const attributes: Record<string, AttributeValue> = {};
  for (const field of fields) {
    const column = engine.items.column(field);
    attributes[field] = column === undefined ? null : columnValue(column, row);
  }
  return attributes;
}

function asRecloomError(error: unknown): RecloomError {
  return isRecloomError(error) ? error : recloomError('RECLOOM_PLG_COMPONENT_FAILED', { what: 'a request' }, { cause: error });
}

/** Side effects run when the answer is on its way: they can neither delay nor fail it. */
function runEffects(engine: Engine, surface: AssembledSurface, answer: Answer, totalMs: number): void {
  const event = {
    attributionId: answer.attributionId,
    surface: answer.surface,
    snapshotId: answer.snapshotId,
    asOfMs: answer.asOfMs,
    items: answer.items.map((item) => item.id),
    totalMs,
    warningCodes: answer.warnings.map((warning) => warning.code),
  };
  engine.enter();
  setImmediate(async () => {
    try {
      for (const effect of surface.effects) {
        try {
          await effect.instance.onAnswer(event);
        } catch (error) {
          engine.services.metrics.count('recloom.node.failures', 1, { node: effect.name });
          engine.services.logger.warn('a side effect failed', { node: effect.name, error: (error as Error).name });
        }
      }
    } finally {
      engine.leave();
    }
  });
}

function traceRequest(engine: Engine, answer: Answer, totalMs: number): void {
  const span = engine.services.tracer?.startSpan('recloom.request', {
    surface: answer.surface,
    snapshot: answer.snapshotId,
    items: answer.items.length,
    milliseconds: totalMs,
  });
  for (const timing of answer.timings) span?.setAttribute(`node.${timing.node}.milliseconds`, timing.milliseconds);
  span?.end();
}

function verdict(facts: {
  readonly known: boolean;
  readonly place: number;
  readonly proposedBy: readonly { readonly source: string; readonly rank: number }[];
  readonly removedBy: { readonly filter: string; readonly reason: string } | undefined;
  readonly placeByValue: number | undefined;
  readonly limit: number;
  /** Components that were left out because the request does not grant what they read. */
  readonly refused: readonly string[];
}): string {
  if (!facts.known) return 'The item is not in the catalogue of this snapshot.';
  if (facts.place > 0) return `The item is in the answer, at place ${facts.place}.`;
  if (facts.proposedBy.length === 0) {
    return facts.refused.length === 0
      ? 'No source proposed the item.'
      : `No source that may run without consent proposed the item; left out were ${facts.refused.join(', ')}.`;
  }
  const sources = facts.proposedBy.map((entry) => `${entry.source} (rank ${entry.rank})`).join(', ');
  if (facts.removedBy !== undefined) return `Proposed by ${sources}, then removed by ${facts.removedBy.filter}: ${facts.removedBy.reason}.`;
  if (facts.placeByValue !== undefined)
    return `Proposed by ${sources}; by value it came in at place ${facts.placeByValue}, and the answer shows ${facts.limit}.`;
  return `Proposed by ${sources}, but it was beyond the candidate limit.`;
}
