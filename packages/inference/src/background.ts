import { Worker } from 'node:worker_threads';
import { type BackgroundRequest, type BackgroundWork, recloomError } from '@recloom/plugin-api';
import type { BackgroundAnswer, BackgroundCall, BackgroundMessage } from './background-protocol.js';
import { entryOf } from './model-host.js';
import { fromPlainError } from './protocol.js';

interface Waiting {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** What equal requests share. */
interface Entry {
  readonly key: string;
  readonly identity: string;
  readonly request: BackgroundRequest;
  references: number;
  /** On the thread there is now; undefined before, and after it died. */
  opened: Promise<unknown> | undefined;
}

/**
 * One thread for plugins' own JavaScript: it starts with the first request, keeps the process alive only while it has work, and
 * is replaced when it dies.
 */
export class BackgroundThread {
  readonly #entries = new Map<string, Entry>();
  readonly #waiting = new Map<number, Waiting>();
  /** Calls of this turn of the event loop. */
  #gathered: BackgroundCall[] = [];
  #worker: Worker | undefined;
  #nextCall = 1;
  #nextKey = 1;
  #closing: Promise<void> | undefined;
  /** Resolves the wait of `close` for the last answer. */
  #idle: (() => void) | undefined;

  /** @throws what the module or its `open` throws, RECLOOM_RUN_WORKER_DIED, RECLOOM_RUN_CLOSED */
  async open(request: BackgroundRequest): Promise<BackgroundWork> {
    const identity = JSON.stringify([request.module.href, request.settings, request.overlapping === true]);
    let entry = this.#entries.get(identity);
    if (entry === undefined) {
      entry = { key: `work-${this.#nextKey++}`, identity, request, references: 0, opened: undefined };
      this.#entries.set(identity, entry);
    }
    const shared = entry;
    shared.references++;
    try {
      await this.#openedOf(shared);
    } catch (error) {
      this.#leave(shared);
      throw error;
    }
    let closed = false;
    return {
      call: async (name, ...parameters) => {
        if (closed) throw recloomError('RECLOOM_RUN_CLOSED', {});
        return this.#call(shared, name, parameters);
      },
      close: async () => {
        if (closed) return;
        closed = true;
        this.#leave(shared);
      },
    };
  }

  /** Refuses new calls, waits for the answers of those under way, then ends the thread. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    if (this.#waiting.size > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    const worker = this.#worker;
    if (worker === undefined) return;
    worker.ref();
    await new Promise<void>((resolve) => {
      worker.once('exit', () => resolve());
      this.#post(worker, { kind: 'stop' });
    });
  }

  #openedOf(entry: Entry): Promise<unknown> {
    if (entry.opened !== undefined) return entry.opened;
    const { key, request } = entry;
    const opening = new Promise<unknown>((resolve, reject) => {
      const worker = this.#start();
      const call = this.#expect({ resolve, reject });
      const { module, settings, overlapping = false } = request;
      this.#post(worker, { kind: 'open', call, key, module: module.href, settings, overlapping });
    });
    entry.opened = opening;
    opening.catch(() => {
      if (entry.opened === opening) entry.opened = undefined;
    });
    return opening;
  }

  async #call(entry: Entry, name: string, parameters: readonly unknown[]): Promise<unknown> {
    await this.#openedOf(entry);
    return new Promise((resolve, reject) => {
      if (entry.opened === undefined) return reject(died(undefined));
      this.#start();
      if (this.#gathered.length === 0) queueMicrotask(() => this.#send());
      this.#gathered.push({ call: this.#expect({ resolve, reject }), key: entry.key, name, parameters });
    });
  }

  #send(): void {
    const calls = this.#gathered;
    this.#gathered = [];
    if (this.#worker === undefined) return;
    try {
      this.#post(this.#worker, { kind: 'calls', calls });
    } catch (error) {
      if (calls.length === 1) return this.#settle({ call: (calls[0] as BackgroundCall).call }, error);
      // What cannot be copied fails alone.
      for (const call of calls) {
        this.#gathered = [call];
        this.#send();
      }
    }
  }

  #leave(entry: Entry): void {
    if (--entry.references > 0) return;
    this.#entries.delete(entry.identity);
    if (entry.opened !== undefined && this.#worker !== undefined) this.#post(this.#worker, { kind: 'release', key: entry.key });
  }

  /** @throws RECLOOM_RUN_CLOSED */
  #start(): Worker {
    if (this.#closing !== undefined) throw recloomError('RECLOOM_RUN_CLOSED', {});
    if (this.#worker !== undefined) return this.#worker;
    // The parent's flags (loaders, inspectors, test runners) are not the worker's business.
    const worker = new Worker(entryOf('background-entry'), { execArgv: [], name: 'recloom-background' });
    let failure: unknown;
    worker.on('message', (answers: readonly BackgroundAnswer[]) => {
      for (const answer of answers) this.#settle(answer, answer.error && fromPlainError(answer.error));
    });
    worker.on('error', (error) => {
      failure = error;
    });
    worker.on('exit', () => this.#lose(failure));
    worker.unref();
    this.#worker = worker;
    return worker;
  }

  #post(worker: Worker, message: BackgroundMessage): void {
    worker.postMessage(message);
  }

  #expect(waiting: Waiting): number {
    const call = this.#nextCall++;
    this.#waiting.set(call, waiting);
    this.#worker?.ref();
    return call;
  }

  #settle({ call, value }: BackgroundAnswer, error: unknown): void {
    const waiting = this.#waiting.get(call);
    this.#waiting.delete(call);
    if (this.#waiting.size === 0) {
      this.#worker?.unref();
      this.#idle?.();
      this.#idle = undefined;
    }
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(error);
  }

  /** The thread ended: its calls fail as retryable, and the next one starts another. */
  #lose(failure: unknown): void {
    this.#worker = undefined;
    this.#gathered = [];
    for (const entry of this.#entries.values()) entry.opened = undefined;
    for (const call of this.#waiting.keys()) this.#settle({ call }, died(failure));
  }
}

function died(cause: unknown): Error {
  return recloomError('RECLOOM_RUN_WORKER_DIED', { what: 'the background work' }, cause === undefined ? {} : { cause });
}
