import { basename } from 'node:path';
import { type Clock, type InferenceTensor, type Logger, type Metrics, recloomError, type Warning } from '@recloom/plugin-api';
import { AbortListeners } from './abort-listeners.js';
import { aborted, type Call, fail, fulfil, late, poolName } from './call.js';
import { CallQueue } from './call-queue.js';
import { buffersOf, copyFeeds } from './feeds.js';
import type { ModelHost, StartModelHost } from './model-host.js';
import { monotonicMs } from './monotonic.js';
import { createPoolMetrics, type PoolMetrics } from './pool-metrics.js';
import { noteRun, type PoolModel } from './pool-model.js';
import { fromPlainError, type OpenedModel, type WorkerMessage } from './protocol.js';
import { isShareable, joinFeeds, type SharingLimits, sharingKeyOf, sharingOf, splitOutputs } from './sharing.js';
import { createSlot, isAbandoned, type OpenTask, type RunTask, type Slot, slotFor, slotToOpen, type Task } from './slot.js';
import type { TensorMemory } from './tensor-memory.js';

export interface WorkerPoolOptions {
  /** How many workers may run at once. */
  readonly workers: number;
  /** Runs that may wait; one more is refused. */
  readonly queueLimit: number;
  readonly loadTimeoutMs: number;
  /** How long a run that nobody waits for any more may go on before its worker is killed, where workers can be. */
  readonly overdueMs: number;
  readonly start: StartModelHost;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly logger: Pick<Logger, 'warn'> | undefined;
  readonly metrics: Metrics | undefined;
  /** Where the memory of inputs comes from, and goes when it was used. */
  readonly memory: TensorMemory;
  /** For the labels of metrics. */
  readonly isolation: string;
}

/** A run as it is asked for. */
export interface PoolRun {
  readonly model: PoolModel;
  /** Checked inputs. They are copied, but not when the run is refused. */
  readonly feeds: Readonly<Record<string, InferenceTensor>>;
  /** Inputs whose memory is taken instead. */
  readonly give: readonly string[] | undefined;
  readonly outputs: readonly string[];
  readonly sharing: SharingLimits | undefined;
  readonly signal: AbortSignal | undefined;
  /** On the pool's monotonic clock. */
  readonly deadlineMs: number | undefined;
  /** Told once, when the run has been answered or refused. */
  readonly ended?: (() => void) | undefined;
}

/** A call without a deadline is treated as if it had one this far away: background work yields, and never starves. */
const patienceMs = 1_000;

/** When calls of a model have waited this long behind others, one more worker is given the model. */
const spreadAfterMs = 5;

/** Longest delay a timer takes. */
const longestDelayMs = 2 ** 31 - 1;

/**
 * Workers and the bounded queue before them: the nearest deadline first, to an idle worker that has the model. A worker
 * starts, and gets a model, only when those that have the model are busy; it keeps the process alive only while it has
 * work, and is replaced when it dies.
 */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #metrics: PoolMetrics | undefined;
  readonly #slots: readonly Slot[];
  readonly #queue = new CallQueue();
  readonly #signals = new AbortListeners();
  #nextId = 1;
  #closed = false;
  /** Calls that may share a run are looked at when the work that is queued right now has made its own. */
  #gathering = false;
  /** Runs out when the first call that waits for company has waited long enough. */
  #company: NodeJS.Timeout | undefined;
  /** Resolves the wait of `close` for the last answer. */
  #idle: (() => void) | undefined;
  /** Resolves the wait of `close` for the end of a worker. */
  readonly #ended = new Map<Slot, () => void>();

  /** One listener for all workers, there only while there are some. */
  readonly #onProcessExit = (): void => {
    for (const slot of this.#slots) slot.host?.quiesce();
  };

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#metrics = options.metrics && createPoolMetrics(options.metrics, options.isolation);
    this.#slots = Array.from({ length: options.workers }, createSlot);
  }

  /**
   * Loads a model on a worker. Others get it when they are needed.
   *
   * @throws RECLOOM_RUN_CLOSED, RECLOOM_RUN_LOAD_TIMEOUT, RECLOOM_RUN_WORKER_DIED and what the worker says
   */
  open(model: PoolModel): Promise<OpenedModel> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(recloomError('RECLOOM_RUN_CLOSED', {}));
      this.#open(model, slotToOpen(this.#slots, model) as Slot, { resolve, reject });
    });
  }

  /**
   * Queues a run.
   *
   * @throws RECLOOM_RUN_CLOSED, RECLOOM_RUN_OVERLOADED, RECLOOM_RUN_ABORTED, RECLOOM_RUN_TIMEOUT, RECLOOM_RUN_WORKER_DIED, RECLOOM_RUN_MODEL_FAILED
   */
  run(run: PoolRun): Promise<Record<string, InferenceTensor>> {
    return new Promise((resolve, reject) => {
      const { model, outputs, deadlineMs, signal, ended } = run;
      const now = this.#options.clock.monotonic();
      const refusal = this.#refusalOf(run, now);
      if (refusal !== undefined) {
        ended?.();
        return reject(refusal);
      }
      const feeds = copyFeeds(run.feeds, run.give, this.#options.memory);
      const sharing = run.sharing && model.shareable ? sharingOf(feeds, run.sharing) : undefined;
      const call: Call = {
        id: this.#nextId++,
        model,
        feeds,
        outputs,
        sharing,
        due: deadlineMs ?? now + patienceMs,
        deadlineMs,
        timeoutMs: timeoutOf(deadlineMs, now),
        arrivedMs: now,
        resolve,
        reject,
        ended,
        unlisten: undefined,
        timer: undefined,
        answered: false,
        task: undefined,
      };
      if (signal !== undefined) call.unlisten = this.#signals.listen(signal, () => this.#abandon(call, aborted(signal)));
      if (deadlineMs !== undefined) this.#limitCall(call, deadlineMs - now);
      this.#queue.add(call);
      this.#metrics?.queued(this.#queue.size);
      if (sharing === undefined) this.#dispatch();
      else this.#gather();
    });
  }

  /** Why a run is not taken. */
  #refusalOf({ deadlineMs, signal }: PoolRun, now: number): Error | undefined {
    if (this.#closed) return recloomError('RECLOOM_RUN_CLOSED', {});
    if (signal?.aborted === true) return aborted(signal);
    if (deadlineMs !== undefined && deadlineMs <= now) return late(timeoutOf(deadlineMs, now));
    // Calls that are being gathered wait for each other, not for a worker: they leave before anybody is refused.
    if (this.#queue.size >= this.#options.queueLimit && this.#gathering) this.#dispatch();
    if (this.#queue.size < this.#options.queueLimit) return undefined;
    this.#metrics?.refused();
    return recloomError('RECLOOM_RUN_OVERLOADED', { what: 'The inference queue' });
  }

  /** How many runs of a model can be computed at once; a device other than the CPU is one device, however many workers there are. */
  parallelRunsOf(model: PoolModel): number {
    return model.opened?.provider === 'cpu' ? this.#slots.length : 1;
  }

  /** Forgets a model on every worker. */
  release(model: PoolModel): void {
    clearTimeout(model.spreading);
    model.spreading = undefined;
    for (const slot of this.#slots) {
      if (slot.models.delete(model)) slot.host?.post({ kind: 'release', key: model.request.key });
    }
  }

  /** Refuses new runs, waits until every call is answered, then ends the workers; a child process whose runs nobody waits for is killed. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const task of this.#slots.flatMap((slot) => [...slot.inFlight.values()])) {
      if (!isAbandoned(task)) continue;
      clearTimeout(task.overdue);
      task.overdue = undefined;
      this.#limit(task, 0);
    }
    if (this.#busy()) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    await Promise.all(
      this.#slots.map(async (slot) => {
        const host = slot.host;
        if (host === undefined) return;
        host.keepAlive(true);
        host.post({ kind: 'stop' });
        await new Promise<void>((resolve) => {
          this.#ended.set(slot, resolve);
        });
      }),
    );
  }

  /** Answers a call at its deadline. */
  #limitCall(call: Call, milliseconds: number): void {
    const delay = Math.min(longestDelayMs, Math.max(0, Math.ceil(milliseconds)));
    call.timer = setTimeout(() => this.#abandon(call, late(call.timeoutMs)), delay);
    call.timer.unref();
  }

  /**
   * Answers a caller before the worker does. A waiting call leaves the queue; a run whose last caller has gone is
   * cancelled if it has not started. One that has started goes on: a thread cannot be ended within a native call, so the
   * worker is used again when it returns, and only a child process is killed when it does not.
   */
  #abandon(call: Call, error: unknown): void {
    if (call.answered) return;
    fail(call, error);
    const { task } = call;
    if (task === undefined) {
      this.#queue.remove([call]);
      this.#checkIdle();
    } else if (task.kind === 'run' && task.calls.every((other) => other.answered)) {
      task.slot.host?.post({ kind: 'cancel', call: task.id });
      this.#limit(task, this.#closed ? 0 : this.#options.overdueMs);
    }
  }

  /** Kills the worker of a task that nobody waits for and that does not end, where that is possible; not while somebody waits for another task of it. */
  #limit(task: Task, milliseconds: number): void {
    const { slot } = task;
    const { host } = slot;
    if (host?.kill === undefined || task.overdue !== undefined) return;
    task.overdue = setTimeout(() => {
      task.overdue = undefined;
      if (!slot.inFlight.has(task.id)) return;
      if ([...slot.inFlight.values()].every(isAbandoned)) host.kill?.();
      else this.#limit(task, Math.max(100, milliseconds));
    }, milliseconds);
    task.overdue.unref();
  }

  /** Looks at the queue after the microtasks that are queued now: requests that are at the same step make their calls in them. */
  #gather(): void {
    if (this.#gathering) return;
    this.#gathering = true;
    queueMicrotask(() => {
      if (this.#gathering) this.#dispatch();
    });
  }

  #dispatch(): void {
    this.#gathering = false;
    if (this.#company !== undefined) clearTimeout(this.#company);
    this.#company = undefined;
    if (this.#queue.size === 0) return this.#considerSpreading();
    if (this.#queue.size === 1 && this.#handAtOnce()) return this.#considerSpreading();
    const waiting = new Set<PoolModel>();
    const judged = new Set<string | undefined>();
    const now = this.#options.clock.monotonic();
    let flushAtMs = Number.POSITIVE_INFINITY;
    for (let place = 0; place < this.#queue.size; ) {
      const call = this.#queue.at(place) as Call;
      if (waiting.has(call.model) || (judged.size > 0 && judged.has(sharingKeyOf(call)))) {
        place++;
        continue;
      }
      const slot = slotFor(this.#slots, call.model);
      if (slot === undefined) {
        waiting.add(call.model);
        place++;
        continue;
      }
      const { calls, full, oldestMs } = this.#queue.companyOf(place);
      if (slot.inFlight.size > 0 && call.sharing !== undefined && !full && oldestMs + call.sharing.limits.waitMs > now) {
        // An idle worker takes what there is; a busy one is given a run when it is full or its first call has waited enough.
        judged.add(sharingKeyOf(call));
        flushAtMs = Math.min(flushAtMs, oldestMs + call.sharing.limits.waitMs);
        place++;
        continue;
      }
      this.#queue.remove(calls);
      this.#hand(calls, slot);
    }
    if (flushAtMs < Number.POSITIVE_INFINITY) this.#company = setTimeout(() => this.#dispatch(), Math.max(1, Math.ceil(flushAtMs - now)));
    for (const model of waiting) this.#ensureOpen(model);
    this.#considerSpreading(waiting);
  }

  /** The common case: one call, and an idle worker that has its model. */
  #handAtOnce(): boolean {
    const call = this.#queue.at(0) as Call;
    const slot = slotFor(this.#slots, call.model);
    if (slot === undefined || slot.inFlight.size > 0) return false;
    const calls = [call];
    this.#queue.remove(calls);
    this.#hand(calls, slot);
    return true;
  }

  #hand(calls: readonly Call[], slot: Slot): void {
    const { model, outputs } = calls[0] as Call;
    const now = this.#options.clock.monotonic();
    // One that has time keeps the run for all; the others are answered by their own timers.
    let last = 0;
    for (const call of calls) last = Math.max(last, call.deadlineMs ?? Number.POSITIVE_INFINITY);
    const startBefore = last === Number.POSITIVE_INFINITY ? undefined : monotonicMs() + last - now;
    const feeds = joinFeeds(calls, this.#options.memory);
    const task: RunTask = { kind: 'run', id: this.#nextId++, slot, model, calls, feeds, handedMs: now, overdue: undefined };
    try {
      for (const call of calls) call.task = task;
      this.#occupy(slot, task);
      slot.host?.post({ kind: 'run', call: task.id, key: model.request.key, feeds, outputs, startBefore });
      this.#metrics?.handed(calls.map((call) => now - call.arrivedMs));
    } catch (error) {
      this.#vacate(task);
      for (const call of calls) fail(call, error);
    }
  }

  #occupy(slot: Slot, task: Task): void {
    slot.inFlight.set(task.id, task);
    slot.host?.keepAlive(true);
  }

  #vacate(task: Task): void {
    if (task.overdue !== undefined) clearTimeout(task.overdue);
    if (task.kind === 'open') clearTimeout(task.timer);
    const { slot } = task;
    slot.inFlight.delete(task.id);
    if (slot.inFlight.size === 0) slot.host?.keepAlive(false);
  }

  /** A model that waits and that no worker has (the last one died) is opened again. */
  #ensureOpen(model: PoolModel): void {
    if (this.#slots.some((slot) => slot.models.has(model))) return;
    const slot = slotToOpen(this.#slots, model);
    if (slot !== undefined) this.#open(model, slot, undefined);
  }

  /** Looks at the models whose calls wait behind others. */
  #considerSpreading(waiting?: ReadonlySet<PoolModel>): void {
    if ((waiting === undefined || waiting.size === 0) && !this.#slots.some(hasMany)) return;
    const models = new Set(waiting);
    for (const slot of this.#slots) {
      let first = true;
      for (const task of slot.inFlight.values()) {
        if (!first && task.kind === 'run') models.add(task.model);
        first = false;
      }
    }
    for (const model of models) {
      if (model.spreading !== undefined || model.spreadFailed || this.parallelRunsOf(model) === 1) continue;
      if (!this.#slots.some((slot) => !slot.models.has(model))) continue;
      model.spreading = setTimeout(() => this.#spread(model), spreadAfterMs);
      model.spreading.unref();
    }
  }

  /** Gives a model to one worker more, when calls of it have waited all the while and none of its workers is idle. */
  #spread(model: PoolModel): void {
    model.spreading = undefined;
    const now = this.#options.clock.monotonic();
    const waited = (since: number): boolean => now - since >= spreadAfterMs - 1;
    let behind = this.#queue.some((call) => call.model === model && waited(call.arrivedMs));
    for (const slot of this.#slots) {
      const state = slot.models.get(model);
      if (state === 'opening' || (state === 'open' && slot.inFlight.size === 0)) return;
      const [, ...others] = slot.inFlight.values();
      behind ||= others.some((task) => task.kind === 'run' && task.model === model && waited(task.handedMs));
    }
    const slot = behind && !this.#closed ? slotToOpen(this.#slots, model) : undefined;
    if (slot !== undefined) this.#open(model, slot, undefined);
  }

  #open(model: PoolModel, slot: Slot, settle: OpenTask['settle']): void {
    slot.host ??= this.#startHost(slot);
    const { loadTimeoutMs } = this.#options;
    const task: OpenTask = {
      kind: 'open',
      id: this.#nextId++,
      slot,
      model,
      handedMs: this.#options.clock.monotonic(),
      settle,
      timer: undefined,
      abandoned: false,
      overdue: undefined,
    };
    task.timer = setTimeout(
      () => {
        this.#failOpening(task, recloomError('RECLOOM_RUN_LOAD_TIMEOUT', { file: basename(model.request.file), timeoutMs: loadTimeoutMs }));
        task.abandoned = true;
        // The loading itself cannot be stopped in a thread; when it ends, the worker forgets the model.
        this.#limit(task, 0);
      },
      Math.min(longestDelayMs, loadTimeoutMs),
    );
    slot.models.set(model, 'opening');
    this.#occupy(slot, task);
    slot.host.post({ kind: 'open', call: task.id, model: model.request });
  }

  #startHost(slot: Slot): ModelHost {
    if (this.#slots.every((other) => other.host === undefined)) process.on('exit', this.#onProcessExit);
    const host: ModelHost = this.#options.start({
      message: (message) => {
        if (slot.host === host) this.#receive(slot, message);
      },
      exit: (error) => {
        if (slot.host === host) this.#lose(slot, error);
      },
    });
    this.#metrics?.workers(this.#slots.filter((slot) => slot.host !== undefined).length + 1);
    return host;
  }

  #receive(slot: Slot, message: WorkerMessage): void {
    const task = slot.inFlight.get(message.call);
    if (task === undefined) return;
    this.#vacate(task);
    if (task.kind === 'open') this.#finishOpening(task, message);
    else {
      this.#finishRun(task, message);
      this.#recycle(task);
    }
    this.#dispatch();
    this.#checkIdle();
  }

  /** The worker has read its inputs: their memory is free, but not that of calls that are to run again. */
  #recycle({ feeds, calls }: RunTask): void {
    const { memory } = this.#options;
    for (const buffer of buffersOf(feeds)) memory.give(buffer);
    if (calls.length === 1) return;
    for (const call of calls) if (call.answered) for (const buffer of buffersOf(call.feeds)) memory.give(buffer);
  }

  #finishOpening(task: OpenTask, message: WorkerMessage): void {
    const { slot, model, settle } = task;
    if (message.kind === 'failed') {
      // Who waited for one that took too long has been told.
      if (!task.abandoned) this.#failOpening(task, fromPlainError(message.error));
    } else if (message.kind === 'opened') {
      if (!slot.models.has(model)) {
        // Given up meanwhile: too late, or nobody uses it any more.
        slot.host?.post({ kind: 'release', key: model.request.key });
        settle?.reject(recloomError('RECLOOM_RUN_ABORTED', {}));
        return;
      }
      slot.models.set(model, 'open');
      if (model.opened === undefined) {
        model.opened = message.model;
        model.shareable = isShareable(message.model);
        // Another worker that opens it later must find the same bytes.
        model.request = { ...model.request, sha256: message.model.sha256 };
      }
      settle?.resolve(message.model);
    }
  }

  /** A model could not be opened: whoever asked hears of it, and so do its waiting calls when no worker has it. */
  #failOpening(task: OpenTask, error: unknown): void {
    const { slot, model, settle } = task;
    task.settle = undefined;
    slot.models.delete(model);
    if (settle !== undefined) return settle.reject(error);
    if (this.#slots.some((other) => other.models.has(model))) {
      model.spreadFailed = true;
      this.#options.logger?.warn('a model could not be loaded on a further inference worker', {
        reason: (error as { code?: string }).code ?? 'unknown',
      });
      return;
    }
    const calls = this.#queue.filter((call) => call.model === model);
    this.#queue.remove(calls);
    for (const call of calls) fail(call, error);
    this.#checkIdle();
  }

  #finishRun(task: RunTask, message: WorkerMessage): void {
    const { model, calls } = task;
    switch (message.kind) {
      case 'ran': {
        noteRun(model, message.milliseconds);
        if (message.fellBack !== undefined) this.#fallBack(task, message.fellBack);
        this.#metrics?.ran(model, message.milliseconds, rowsOf(calls), calls.length);
        if (calls.length === 1) return fulfil(calls[0] as Call, message.outputs);
        const parts = splitOutputs(message.outputs, calls);
        if (parts === undefined) return this.#runApart(task);
        for (const [place, call] of calls.entries()) fulfil(call, parts[place] as Record<string, InferenceTensor>);
        return;
      }
      case 'failed':
        // One call's inputs must not fail the others: each tries on its own.
        if (calls.length > 1) return this.#runAgain(calls);
        return fail(calls[0] as Call, fromPlainError(message.error));
      case 'skipped':
        for (const call of calls) fail(call, late(call.timeoutMs));
    }
  }

  /** An output does not follow the rows, whatever the graph declares: nothing of this model is shared any more. */
  #runApart(task: RunTask): void {
    task.model.shareable = false;
    for (const call of this.#queue.filter((other) => other.model === task.model)) call.sharing = undefined;
    this.#runAgain(task.calls);
  }

  /** Puts calls that shared a run back, to run alone. */
  #runAgain(calls: readonly Call[]): void {
    for (const call of calls) {
      if (call.answered) continue;
      call.task = undefined;
      call.sharing = undefined;
      this.#queue.add(call);
    }
  }

  /** A device failed in one worker: what it says of itself changes, and every other worker leaves the device as well. */
  #fallBack(task: RunTask, warning: Warning): void {
    const { model } = task;
    const { opened } = model;
    if (opened === undefined || opened.provider === 'cpu') return;
    this.#metrics?.fellBack(opened.provider);
    model.opened = { ...opened, provider: 'cpu', warnings: [...opened.warnings, warning] };
    model.request = { ...model.request, devices: ['cpu'] };
    model.meanRunMs = undefined;
    for (const slot of this.#slots) {
      if (slot !== task.slot && slot.models.has(model)) slot.host?.post({ kind: 'useCpu', key: model.request.key });
    }
    this.#options.logger?.warn('a device failed while it ran a model; the CPU has taken over', { device: opened.provider });
  }

  /** A worker ended: its calls fail as retryable, and the next call starts another. */
  #lose(slot: Slot, error: unknown): void {
    const tasks = [...slot.inFlight.values()];
    const calls = tasks.flatMap((task) => (task.kind === 'run' ? task.calls : []));
    for (const task of tasks) this.#vacate(task);
    slot.host = undefined;
    slot.models.clear();
    if (this.#slots.every((other) => other.host === undefined)) process.off('exit', this.#onProcessExit);
    const ended = this.#ended.get(slot);
    this.#ended.delete(slot);
    if (ended === undefined && !(this.#closed && tasks.every(isAbandoned))) {
      this.#metrics?.died();
      this.#options.logger?.warn('an inference worker died and is replaced', { calls: calls.length });
    }
    const died = (): Error => recloomError('RECLOOM_RUN_WORKER_DIED', { what: poolName }, { cause: error });
    for (const call of calls) fail(call, died());
    for (const task of tasks) if (task.kind === 'open') this.#failOpening(task, died());
    ended?.();
    this.#dispatch();
    this.#checkIdle();
  }

  #busy(): boolean {
    return this.#queue.size > 0 || this.#slots.some((slot) => slot.inFlight.size > 0);
  }

  #checkIdle(): void {
    if (!this.#closed || this.#busy()) return;
    this.#idle?.();
    this.#idle = undefined;
  }
}

function timeoutOf(deadlineMs: number | undefined, now: number): number {
  return deadlineMs === undefined ? 0 : Math.max(0, Math.round(deadlineMs - now));
}

function hasMany(slot: Slot): boolean {
  return slot.inFlight.size > 1;
}

function rowsOf(calls: readonly Call[]): number {
  let rows = 0;
  for (const call of calls) rows += call.sharing?.rows ?? Object.values(call.feeds)[0]?.dims[0] ?? 1;
  return rows;
}
