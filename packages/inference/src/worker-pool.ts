import { type Clock, type InferenceTensor, type Logger, recloomError } from '@recloom/plugin-api';
import { buffersOf } from './feeds.js';
import type { ModelHost, StartModelHost } from './model-host.js';
import { fromPlainError, type OpenedModel, type OpenModel, type WorkerMessage } from './protocol.js';

export interface WorkerPoolOptions {
  /** How many workers may run at once. */
  readonly threads: number;
  /** Runs that may wait; one more is refused. */
  readonly queueLimit: number;
  readonly start: StartModelHost;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly logger: Pick<Logger, 'warn'> | undefined;
}

/** A run as it is asked for. */
export interface PoolRun {
  readonly model: OpenModel;
  /** Gives the inputs in buffers of their own, which are transferred away. Called once, and not at all when the run is refused. */
  readonly feeds: () => Readonly<Record<string, InferenceTensor>>;
  readonly outputs: readonly string[];
  readonly signal: AbortSignal | undefined;
  /** On the pool's monotonic clock. */
  readonly deadlineMs: number | undefined;
}

type Work =
  | { readonly kind: 'open'; readonly model: OpenModel }
  | {
      readonly kind: 'run';
      readonly model: OpenModel;
      readonly feeds: Readonly<Record<string, InferenceTensor>>;
      readonly outputs: readonly string[];
      readonly deadlineMs: number | undefined;
      /** From the call to its deadline, for the message. */
      readonly timeoutMs: number;
    };

interface Call {
  readonly id: number;
  readonly work: Work;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
  /** Detaches the signal and the timer. */
  detach: () => void;
  /** The caller has its answer; what the worker still says of this call is dropped. */
  answered: boolean;
  slot: Slot | undefined;
}

interface Slot {
  host: ModelHost | undefined;
  /** Keys this worker was told to open. */
  readonly open: Set<string>;
  readonly inFlight: Map<number, Call>;
}

/**
 * Calls handed to one worker at a time. The worker does them one by one; the second and later ones wait in its inbox,
 * so that it never idles while an answer and the next call cross between threads.
 */
const window = 4;

/** The name of this service in messages. */
const poolName = 'inference';

/**
 * Workers and the bounded queue before them: first come, first served, to the worker with the fewest calls. A worker
 * starts with the first call that needs it, keeps the process alive only while it has calls, and is replaced when it dies.
 */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #slots: readonly Slot[];
  #queue: Call[] = [];
  #waitingRuns = 0;
  #nextCall = 1;
  #closed = false;
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
    this.#slots = Array.from({ length: options.threads }, () => ({
      host: undefined,
      open: new Set<string>(),
      inFlight: new Map<number, Call>(),
    }));
  }

  /** Loads a model on a worker. Other workers load it with their first run of it. */
  open(model: OpenModel): Promise<OpenedModel> {
    return new Promise((resolve, reject) => this.#add({ kind: 'open', model }, resolve, reject, undefined));
  }

  /**
   * Queues a run.
   *
   * @throws RECLOOM_RUN_CLOSED, RECLOOM_RUN_OVERLOADED, RECLOOM_RUN_ABORTED, RECLOOM_RUN_TIMEOUT, RECLOOM_RUN_WORKER_DIED, RECLOOM_RUN_MODEL_FAILED
   */
  run(run: PoolRun): Promise<Record<string, InferenceTensor>> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(recloomError('RECLOOM_RUN_CLOSED', {}));
      if (run.signal?.aborted) return reject(aborted(run.signal));
      const now = this.#options.clock.monotonic();
      const timeoutMs = run.deadlineMs === undefined ? 0 : Math.max(0, Math.round(run.deadlineMs - now));
      if (run.deadlineMs !== undefined && run.deadlineMs <= now) return reject(late(timeoutMs));
      if (this.#waitingRuns >= this.#options.queueLimit)
        return reject(recloomError('RECLOOM_RUN_OVERLOADED', { what: 'The inference queue' }));
      const { model, outputs, deadlineMs } = run;
      this.#add({ kind: 'run', model, feeds: run.feeds(), outputs, deadlineMs, timeoutMs }, resolve, reject, run.signal);
    });
  }

  /** Forgets a model on every worker. */
  release(key: string): void {
    for (const slot of this.#slots) {
      if (slot.open.delete(key)) slot.host?.post({ kind: 'release', key });
    }
  }

  /** Refuses new runs, waits until every call is answered, then ends the workers. */
  async close(): Promise<void> {
    this.#closed = true;
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
        const ended = new Promise<void>((resolve) => {
          this.#ended.set(slot, resolve);
        });
        await ended;
      }),
    );
  }

  #add(work: Work, resolve: (value: never) => void, reject: (error: unknown) => void, signal: AbortSignal | undefined): void {
    const call: Call = { id: this.#nextCall++, work, resolve, reject, detach: () => {}, answered: false, slot: undefined };
    if (work.kind === 'run') {
      this.#waitingRuns++;
      const onAbort = (): void => this.#abandon(call, aborted(signal));
      signal?.addEventListener('abort', onAbort, { once: true });
      let timer: NodeJS.Timeout | undefined;
      if (work.deadlineMs !== undefined) {
        // Only a call that still waits is answered here; one that runs is let finish.
        const expire = (): void => {
          if (call.slot === undefined) this.#abandon(call, late(work.timeoutMs));
        };
        timer = setTimeout(expire, Math.min(2 ** 31 - 1, Math.max(0, work.deadlineMs - this.#options.clock.monotonic())));
        timer.unref();
      }
      call.detach = () => {
        signal?.removeEventListener('abort', onAbort);
        clearTimeout(timer);
      };
    }
    this.#queue.push(call);
    this.#dispatch();
  }

  /** Answers a caller before the worker does. A waiting call leaves the queue; one that was handed over is cancelled if it has not started. */
  #abandon(call: Call, error: unknown): void {
    if (call.answered) return;
    this.#answer(call, () => call.reject(error));
    if (call.slot !== undefined) call.slot.host?.post({ kind: 'cancel', call: call.id });
    else {
      this.#queue = this.#queue.filter((other) => other !== call);
      this.#waitingRuns--;
      this.#checkIdle();
    }
  }

  #answer(call: Call, settle: () => void): void {
    if (call.answered) return;
    call.answered = true;
    call.detach();
    settle();
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const slot = this.#leastBusy();
      if (slot === undefined) return;
      const call = this.#queue.shift() as Call;
      if (call.work.kind === 'run') this.#waitingRuns--;
      try {
        this.#hand(call, slot);
      } catch (error) {
        slot.inFlight.delete(call.id);
        this.#answer(call, () => call.reject(error));
      }
    }
  }

  #hand(call: Call, slot: Slot): void {
    slot.host ??= this.#startHost(slot);
    call.slot = slot;
    slot.inFlight.set(call.id, call);
    slot.host.keepAlive(true);
    const { work } = call;
    const { model } = work;
    if (work.kind === 'open') {
      slot.open.add(model.key);
      slot.host.post({ kind: 'open', call: call.id, model });
      return;
    }
    if (!slot.open.has(model.key)) {
      // A worker that is new to this model opens it first; should that fail, the run says why.
      slot.open.add(model.key);
      slot.host.post({ kind: 'open', call: 0, model });
    }
    const remainingMs = work.deadlineMs === undefined ? undefined : work.deadlineMs - this.#options.clock.monotonic();
    const startBefore = remainingMs === undefined ? undefined : performance.timeOrigin + performance.now() + remainingMs;
    slot.host.post(
      { kind: 'run', call: call.id, key: model.key, feeds: work.feeds, outputs: work.outputs, startBefore },
      buffersOf(work.feeds),
    );
  }

  #leastBusy(): Slot | undefined {
    let best: Slot | undefined;
    for (const slot of this.#slots) {
      if (slot.inFlight.size < window && (best === undefined || slot.inFlight.size < best.inFlight.size)) best = slot;
    }
    return best;
  }

  #startHost(slot: Slot): ModelHost {
    if (this.#slots.every((other) => other.host === undefined)) process.on('exit', this.#onProcessExit);
    return this.#options.start({
      message: (message) => this.#receive(slot, message),
      exit: (error) => this.#lose(slot, error),
    });
  }

  #receive(slot: Slot, message: WorkerMessage): void {
    const call = slot.inFlight.get(message.call);
    if (call === undefined) return;
    slot.inFlight.delete(call.id);
    if (slot.inFlight.size === 0) slot.host?.keepAlive(false);
    const settle = call.resolve as (value: unknown) => void;
    switch (message.kind) {
      case 'opened':
        this.#answer(call, () => settle(message.model));
        break;
      case 'ran':
        this.#answer(call, () => settle(message.outputs));
        break;
      case 'failed':
        // What failed before the model ran (a file that changed, a library that is missing) is tried afresh by the next call.
        if (message.error.code !== 'RECLOOM_RUN_MODEL_FAILED') slot.open.delete(call.work.model.key);
        this.#answer(call, () => call.reject(fromPlainError(message.error)));
        break;
      case 'skipped':
        this.#answer(call, () => call.reject(late(call.work.kind === 'run' ? call.work.timeoutMs : 0)));
    }
    this.#dispatch();
    this.#checkIdle();
  }

  /** A worker ended: its calls fail as retryable, and the next call starts another. */
  #lose(slot: Slot, error: unknown): void {
    const calls = [...slot.inFlight.values()];
    slot.host = undefined;
    if (this.#slots.every((other) => other.host === undefined)) process.off('exit', this.#onProcessExit);
    slot.open.clear();
    slot.inFlight.clear();
    const ended = this.#ended.get(slot);
    this.#ended.delete(slot);
    if (ended === undefined) this.#options.logger?.warn('an inference worker died and is replaced', { calls: calls.length });
    for (const call of calls) {
      this.#answer(call, () => call.reject(recloomError('RECLOOM_RUN_WORKER_DIED', { what: poolName }, { cause: error })));
    }
    ended?.();
    this.#dispatch();
    this.#checkIdle();
  }

  #busy(): boolean {
    return this.#queue.length > 0 || this.#slots.some((slot) => slot.inFlight.size > 0);
  }

  #checkIdle(): void {
    if (!this.#closed || this.#busy()) return;
    this.#idle?.();
    this.#idle = undefined;
  }
}

function aborted(signal: AbortSignal | undefined): Error {
  return recloomError('RECLOOM_RUN_ABORTED', {}, { cause: signal?.reason });
}

function late(timeoutMs: number): Error {
  return recloomError('RECLOOM_RUN_TIMEOUT', { name: poolName, timeoutMs });
}
