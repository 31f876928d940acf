import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { type Compute, poolKernels } from './compute.js';
import { KernelError, requireShape } from './kernel-error.js';
import { type KernelName, kernelNames } from './kernel-table.js';
import { createKernels, type Kernels, type KernelsOptions } from './kernels.js';
import { builtFile } from './load-module.js';
import type { WorkerReply, WorkerRequest } from './worker.js';

export interface ComputePoolOptions extends KernelsOptions {
  /** Worker threads; default: the processors this process may use. */
  readonly threads?: number;
}

/** Calls posted to a worker before it answered: one runs, one waits, so that it never idles. */
const callsInFlight = 2;

interface Call {
  readonly request: WorkerRequest;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (answer: number) => void;
  readonly reject: (error: unknown) => void;
}

interface Member {
  readonly worker: Worker;
  readonly calls: Map<number, Call>;
}

/**
 * Worker threads that compute in the memory of one `Kernels` instance. Neither the memory nor a
 * thread exists before its first use; idle threads do not keep the process alive.
 */
export class ComputePool implements Compute {
  readonly threads: number;
  readonly #options: KernelsOptions;
  readonly #members: Member[] = [];
  readonly #queue: Call[] = [];
  #kernels: Kernels | undefined;
  #closed = false;
  #nextCall = 0;

  /** Use `createComputePool`. */
  constructor(options: ComputePoolOptions = {}) {
    const { threads = availableParallelism(), ...rest } = options;
    requireShape(Number.isInteger(threads) && threads >= 1, () => `A pool cannot have ${threads} threads.`);
    this.threads = threads;
    this.#options = rest;
  }

  /** The instance in whose memory the pool works. @throws RECLOOM_KRN_OUT_OF_MEMORY */
  get kernels(): Kernels {
    this.#kernels ??= createKernels(this.#options);
    return this.#kernels;
  }

  get [poolKernels](): Kernels {
    return this.kernels;
  }

  /** Worker threads alive now. */
  get startedThreads(): number {
    return this.#members.length;
  }

  /**
   * Runs one pointer-level kernel (see `KernelTable`) on a worker. An aborted call that waits is
   * dropped at once; one that runs is rejected when its kernel has ended, for until then it uses the
   * memory it was given.
   * @throws RECLOOM_KRN_UNAVAILABLE for an unknown kernel, RECLOOM_KRN_CLOSED, RECLOOM_KRN_TRAP,
   * RECLOOM_KRN_WORKER_LOST (retryable), or the signal's reason.
   */
  run(kernel: string, parameters: readonly number[], signal?: AbortSignal): Promise<number> {
    return new Promise<number>((resolve, reject) => {
      if (this.#closed) throw closedError();
      signal?.throwIfAborted();
      if (!(kernelNames as readonly string[]).includes(kernel)) {
        throw new KernelError('RECLOOM_KRN_UNAVAILABLE', `There is no kernel "${kernel}".`);
      }
      const request = { call: this.#nextCall++, kernel: kernel as KernelName, parameters };
      this.#queue.push({ request, signal, resolve, reject });
      this.#dispatch();
    });
  }

  /** Rejects what still runs or waits, and stops the threads. May be repeated. */
  async close(): Promise<void> {
    this.#closed = true;
    const members = this.#members.splice(0);
    for (const call of this.#queue.splice(0)) call.reject(closedError());
    await Promise.all(members.map(({ worker }) => worker.terminate()));
    for (const { calls } of members) {
      for (const call of calls.values()) call.reject(closedError());
      calls.clear();
    }
  }

  /** Stops one worker as a crash would. @internal for tests of recovery */
  async stopOneWorker(): Promise<void> {
    await this.#members[0]?.worker.terminate();
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const member = this.#freeMember();
      if (member === undefined) return;
      const call = this.#queue.shift() as Call;
      if (call.signal?.aborted === true) {
        call.reject(call.signal.reason);
        continue;
      }
      if (member.calls.size === 0) member.worker.ref();
      member.calls.set(call.request.call, call);
      member.worker.postMessage(call.request);
    }
  }

  #freeMember(): Member | undefined {
    let best: Member | undefined;
    for (const member of this.#members) {
      if (member.calls.size < (best?.calls.size ?? callsInFlight)) best = member;
    }
    if (best?.calls.size === 0) return best;
    return this.#members.length < this.threads ? this.#start() : best;
  }

  #start(): Member {
    const worker = new Worker(builtFile('worker.js'), {
      workerData: this.kernels.handle,
      name: 'recloom-kernels',
      // The host's flags (loaders, inspectors) are no business of a numeric thread.
      execArgv: [],
    });
    worker.unref();
    const member: Member = { worker, calls: new Map() };
    this.#members.push(member);
    worker.on('message', (reply: WorkerReply) => this.#settle(member, reply));
    worker.on('error', (error) => this.#lose(member, error));
    worker.on('exit', (code) => this.#lose(member, new Error(`It exited with code ${code}.`)));
    return member;
  }

  #settle(member: Member, reply: WorkerReply): void {
    const call = member.calls.get(reply.call);
    if (call === undefined) return;
    member.calls.delete(reply.call);
    if (member.calls.size === 0) member.worker.unref();
    if (call.signal?.aborted === true) call.reject(call.signal.reason);
    else if (reply.answer !== undefined) call.resolve(reply.answer);
    else {
      call.reject(new KernelError('RECLOOM_KRN_TRAP', `Kernel "${call.request.kernel}" stopped abnormally: ${reply.trap}.`));
    }
    this.#dispatch();
  }

  #lose(member: Member, cause: Error): void {
    const index = this.#members.indexOf(member);
    if (index < 0) return;
    this.#members.splice(index, 1);
    for (const call of member.calls.values()) {
      call.reject(
        new KernelError('RECLOOM_KRN_WORKER_LOST', 'A worker thread stopped while it computed.', {
          hint: 'Repeat the call; the thread is replaced.',
          retryable: true,
          cause,
        }),
      );
    }
    member.calls.clear();
    this.#dispatch();
  }
}

function closedError(): KernelError {
  return new KernelError('RECLOOM_KRN_CLOSED', 'The compute pool is closed.');
}

/** A pool of worker threads with its own kernels; nothing starts before its first use. */
export function createComputePool(options: ComputePoolOptions = {}): ComputePool {
  return new ComputePool(options);
}
